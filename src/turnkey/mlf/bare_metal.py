"""``templates/baremetal``: a program without operating system or heap, for a cross gcc and an emulated board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnkey.mlf import naming
from turnkey.mlf.codegen.header import Interface
from turnkey.mlf.host_template import constants_files

_EMBEDDED_SAMPLE_BYTES = 64 << 10
_AGREE = """\
/* NaN agrees with NaN alone, an infinity with itself; else the difference is at most a share of the largest value. */
static int agree(double a, double b, double allowed) {
  if (a != a || b != b) return a != a && b != b;
  if (a == b) return 1;
  if (a - a != 0 || b - b != 0) return 0;
  return (a > b ? a - b : b - a) <= allowed;
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """How elements of one type are compared: with the rule of ``templates/host/main.c``, without its libc.

    Attributes:
        function: name in C.
        width: bytes of an element.
        value: text of the C function that reads element i of ``data`` as a double; empty: bytes must be equal.
        share: allowed difference, of the largest expected magnitude; 0: one step of the type.
    """

    function: str
    width: int
    value: str = ""
    share: float = 0

    def text(self) -> str:
        head = f"static int {self.function}(const uint8_t *actual, const uint8_t *expected, size_t count) {{"
        if not self.value:
            return f"""\
{head}
  for (size_t i = 0; i < count; ++i) {{
    if (actual[i] != expected[i]) return 0;
  }}
  return 1;
}}
"""
        value = f"{self.function}_value"
        allowed = f"scale > 0 ? {self.share:g} * scale : {self.share:g}" if self.share else "1"
        return f"""\
static double {value}(const uint8_t *data, size_t i) {{
{self.value}
}}

{head}
  double scale = 0;
  for (size_t i = 0; i < count; ++i) {{
    const double b = {value}(expected, i);
    const double magnitude = b < 0 ? -b : b;
    if (magnitude - magnitude == 0 && magnitude > scale) scale = magnitude;
  }}
  for (size_t i = 0; i < count; ++i) {{
    if (!agree({value}(actual, i), {value}(expected, i), {allowed})) return 0;
  }}
  return 1;
}}
"""


_EXACT = _Comparison(function="same_bytes", width=1)
_HALF = """\
  const uint32_t half = ((const uint16_t *)(const void *)data)[i];
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 1023;
  union { uint32_t bits; float value; } single;
  if (exponent == 0) return (half >> 15 ? -1.0 : 1.0) * fraction / 16777216.0;
  single.bits = (half >> 15) << 31 | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
  return single.value;"""
_BRAIN = """\
  union { uint32_t bits; float value; } single;
  single.bits = (uint32_t)((const uint16_t *)(const void *)data)[i] << 16;
  return single.value;"""
_COMPARISONS = {
    "float32": _Comparison(
        function="close_singles", width=4, value="  return ((const float *)(const void *)data)[i];", share=1e-4
    ),
    "float64": _Comparison(
        function="close_doubles", width=8, value="  return ((const double *)(const void *)data)[i];", share=1e-4
    ),
    "float16": _Comparison(function="close_halves", width=2, value=_HALF, share=1e-2),
    "bfloat16": _Comparison(function="close_brains", width=2, value=_BRAIN, share=4e-2),
    # Rounding to whole numbers makes one step of a difference in the last bit of the sum before it.
    "int8": _Comparison(function="close_signed", width=1, value="  return ((const int8_t *)(const void *)data)[i];"),
    "uint8": _Comparison(function="close_unsigned", width=1, value="  return data[i];"),
}


def first_sample(files: Mapping[str, bytes], module: str) -> dict[str, bytes]:
    """``in<i>`` and ``out<i>`` of the first sample that a tarball's files hold; empty if they hold none."""
    base = f"samples/{module}/0/"
    return {path[len(base) : -4]: content for path, content in files.items() if path.startswith(base)}


def baremetal_files(
    interface: Interface, sample: Mapping[str, bytes], *, others: Sequence[Interface] = ()
) -> dict[str, bytes]:
    """``templates/baremetal``: one static workspace and an embedded sample, for a cross gcc and an emulated board.

    Args:
        interface: of the module that the program runs.
        sample: ``in<i>`` and ``out<i>`` of one sample; empty if none is known.
        others: further modules of the tarball, which are built beside it.
    """
    if sum(len(content) for content in sample.values()) > _EMBEDDED_SAMPLE_BYTES:
        sample = {}
    return {
        "templates/baremetal/main.c": _bare_main(interface, sample).encode(),
        "templates/baremetal/Makefile": _bare_makefile([interface, *others]).encode(),
    }


def _bare_main(interface: Interface, sample: Mapping[str, bytes]) -> str:
    prefix, base = naming.prefix(interface.module), naming.macro_prefix(interface.module)
    lines = [
        f'/* Runs "{interface.module}" once on an embedded sample, without an operating system or a heap. */',
        "#include <stddef.h>\n#include <stdint.h>\n",
        f'#include "{prefix}.h"\n',
        "void platform_print(const char *text);\n",
        "#define ALIGNED __attribute__((aligned(64)))",
    ]
    if interface.workspace != "internal":
        lines.append(f"static uint8_t workspace[{base}_WORKSPACE_SIZE + 1] ALIGNED;")
    for index, tensor in enumerate(interface.inputs):
        lines.append(
            f"static uint8_t input{index}[{max(1, tensor.bytes)}] ALIGNED = {_bytes(sample.get(f'in{index}', b''))};"
        )
    for index, tensor in enumerate(interface.outputs):
        lines.append(f"static uint8_t output{index}[{max(1, tensor.bytes)}] ALIGNED;")
        if sample:
            lines.append(f"static const uint8_t expected{index}[] ALIGNED = {_bytes(sample[f'out{index}'])};")
    if interface.constants_pool_bytes is not None:
        lines += [
            "/* The weights in flash, at a 64-byte boundary. */",
            '__asm__(".section .rodata.constants,\\"a\\"\\n.balign 64\\n.global constants_in_flash\\n"',
            f'        "constants_in_flash:\\n.incbin \\"" {base}_CONSTANTS_FILE "\\"\\n.text\\n");',
            "extern const uint8_t constants_in_flash[];",
        ]
    lines += ["", *(_comparison_functions(interface) if sample else []), "int main(void) {"]
    body = _bare_call(interface, prefix)
    if sample:
        body += _bare_comparison(interface)
        body += ['platform_print("ok\\n");', "return 0;"]
    else:
        body += ['platform_print("ran\\n");', "return 0;"]
    lines += [f"  {line}" for line in body]
    return "\n".join((*lines, "}")) + "\n"


def _bare_call(interface: Interface, prefix: str) -> list[str]:
    lines, arguments = [], []
    if interface.takes_tensors:
        for side, short, tensors in (("inputs", "in", interface.inputs), ("outputs", "out", interface.outputs)):
            values = ", ".join(f"{side[:-1]}{index}" for index in range(len(tensors))) or "0"
            lines.append(f"struct {prefix}_{side} {short} = {{{values}}};")
            arguments.append(f"&{short}")
    if interface.has_pools:
        members = ["workspace"] if interface.workspace != "internal" else []
        members += ["constants_in_flash"] if interface.constants_pool_bytes is not None else []
        lines.append(f"struct {prefix}_workspace_pools pools = {{{', '.join(members)}}};")
        arguments.append("&pools")
    if not interface.takes_tensors:
        lines += [f"struct {prefix}_inputs in = {prefix}_map_inputs(&pools);"]
        lines += [f"struct {prefix}_outputs out = {prefix}_map_outputs(&pools);"]
        for index, tensor in enumerate(interface.inputs):
            member = f"((uint8_t *)in.{naming.c_name(tensor.name)})"
            lines.append(f"for (size_t i = 0; i < {tensor.bytes}u; ++i) {member}[i] = input{index}[i];")
    lines.append(f"if ({prefix}_run({', '.join(arguments)}) != 0) return 2;")
    if not interface.takes_tensors:
        for index, tensor in enumerate(interface.outputs):
            member = f"((const uint8_t *)out.{naming.c_name(tensor.name)})"
            lines.append(f"for (size_t i = 0; i < {tensor.bytes}u; ++i) output{index}[i] = {member}[i];")
    return lines


def _bare_comparison(interface: Interface) -> list[str]:
    lines = []
    for index, tensor in enumerate(interface.outputs):
        comparison = _COMPARISONS.get(tensor.dtype, _EXACT)
        count = tensor.bytes // comparison.width
        lines.append(f"if (!{comparison.function}(output{index}, expected{index}, {count}u)) return 1;")
    return lines


def _comparison_functions(interface: Interface) -> list[str]:
    """The C functions that `_bare_comparison` calls, each once."""
    needed = list(dict.fromkeys(_COMPARISONS.get(tensor.dtype, _EXACT) for tensor in interface.outputs))
    shared = [_AGREE] if any(comparison.value for comparison in needed) else []
    return [*shared, *(comparison.text() for comparison in needed)]


def _bytes(content: bytes) -> str:
    rows = [", ".join(str(byte) for byte in content[start : start + 24]) for start in range(0, len(content), 24)]
    return "{\n  " + ",\n  ".join(rows) + "\n}" if rows else "{0}"


def _bare_makefile(interfaces: Sequence[Interface]) -> str:
    macros = " ".join(f'-D{name}=\\"$(ROOT)/{path}\\"' for name, path in constants_files(interfaces).items())
    return f"""\
# For a Cortex-M4 with floating-point unit, by default on an emulated MPS2 board. Generated by Turnkey.
#   make          build model.elf
#   make run      run it in qemu-system-arm; it prints ok and exits with 0 if the outputs are right
CC := arm-none-eabi-gcc
CPU ?= -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -mfp16-format=ieee
CFLAGS ?= -O2
ROOT := $(abspath ../..)
override CFLAGS += $(CPU) -std=gnu99 -ffreestanding -fno-strict-aliasing -ffunction-sections -DTVMGEN_NO_GRAPH
override CFLAGS += -Wall -Wextra -I$(ROOT)/codegen/host/include
override CFLAGS += {macros}

model.elf: main.c startup.c $(wildcard $(ROOT)/codegen/host/src/*.c) board.ld
\t$(CC) $(CFLAGS) -nostartfiles -Wl,--gc-sections -T board.ld $(filter %.c,$^) -lm -lc -lgcc -o $@

run: model.elf
\tqemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting -kernel $<

clean:
\trm -f model.elf

.PHONY: run clean
"""
