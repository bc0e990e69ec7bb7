"""``templates/baremetal``: a program without operating system or heap, for a cross gcc and an emulated board."""

from __future__ import annotations

from collections.abc import Mapping

from turnkey.mlf import naming
from turnkey.mlf.codegen.header import Interface

_EMBEDDED_SAMPLE_BYTES = 64 << 10


def baremetal_files(interface: Interface, sample: Mapping[str, bytes]) -> dict[str, bytes]:
    """``templates/baremetal``: one static workspace and an embedded sample, for a cross gcc and an emulated board.

    Args:
        sample: ``in<i>`` and ``out<i>`` of one sample; empty if none is small enough or known.
    """
    if sum(len(content) for content in sample.values()) > _EMBEDDED_SAMPLE_BYTES:
        sample = {}
    return {
        "templates/baremetal/main.c": _bare_main(interface, sample).encode(),
        "templates/baremetal/Makefile": _bare_makefile(interface).encode(),
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
        lines.append("extern const uint8_t constants_in_flash[]; /* put the .bin file at a 64-byte boundary there */")
    lines += ["", "int main(void) {"]
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
        if tensor.dtype == "float32":
            lines += [
                f"for (size_t i = 0; i < {tensor.bytes // 4}u; ++i) {{",
                f"  float a = ((const float *)(const void *)output{index})[i];",
                f"  float b = ((const float *)(const void *)expected{index})[i];",
                "  float error = a > b ? a - b : b - a;",
                "  if (!(error <= 1e-4f + 1e-4f * (b > 0 ? b : -b))) return 1;",
                "}",
            ]
        else:
            lines += [
                f"for (size_t i = 0; i < {tensor.bytes}u; ++i) {{",
                f"  if (output{index}[i] != expected{index}[i]) return 1;",
                "}",
            ]
    return lines


def _bytes(content: bytes) -> str:
    rows = [", ".join(str(byte) for byte in content[start : start + 24]) for start in range(0, len(content), 24)]
    return "{\n  " + ",\n  ".join(rows) + "\n}" if rows else "{0}"


def _bare_makefile(interface: Interface) -> str:
    macro = f"{naming.macro_prefix(interface.module)}_CONSTANTS_FILE"
    return f"""\
# For a Cortex-M4 with floating-point unit, by default on an emulated MPS2 board. Generated by Turnkey.
#   make          build model.elf
#   make run      run it in qemu-system-arm; it prints ok and exits with 0 if the outputs are right
CC := arm-none-eabi-gcc
CPU ?= -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16
CFLAGS ?= -O2
ROOT := $(abspath ../..)
override CFLAGS += $(CPU) -std=gnu99 -ffreestanding -fno-strict-aliasing -ffunction-sections -DTVMGEN_NO_GRAPH
override CFLAGS += -Wall -Wextra -I$(ROOT)/codegen/host/include
override CFLAGS += -D{macro}=\\"$(ROOT)/codegen/host/src/{interface.module}_constants.bin\\"

model.elf: main.c startup.c $(wildcard $(ROOT)/codegen/host/src/*.c) board.ld
\t$(CC) $(CFLAGS) -nostartfiles -Wl,--gc-sections -T board.ld $(filter %.c,$^) -lm -lc -lgcc -o $@

run: model.elf
\tqemu-system-arm -M mps2-an386 -nographic -monitor none -serial none -semihosting -kernel $<

clean:
\trm -f model.elf

.PHONY: run clean
"""
