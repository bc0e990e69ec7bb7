"""``templates/host``: a program and build files that make a tarball run and check itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from turnkey.mlf import naming
from turnkey.mlf.codegen.header import Interface
from turnkey.mlf.packed_files import text_to_fill
from turnkey.mlf.tensor import Tensor


def host_files(interfaces: Sequence[Interface]) -> dict[str, bytes]:
    """``templates/host``: one program per module, Makefile and CMakeLists.txt."""
    text = text_to_fill("templates/host/main")
    files = {f"templates/host/{_program(i, interfaces)}.c": _main(text, i).encode() for i in interfaces}
    files["templates/host/Makefile"] = _makefile(interfaces).encode()
    files["templates/host/CMakeLists.txt"] = _cmake(interfaces).encode()
    return files


def _program(interface: Interface, interfaces: Sequence[Interface]) -> str:
    return "main" if len(interfaces) == 1 else f"main_{interface.module}"


_KINDS = {kind: kind.upper() for kind in ("float32", "float64", "float16", "int8", "uint8")}


def _main(text: str, interface: Interface) -> str:
    inputs, outputs = interface.inputs, interface.outputs
    prefix, base = naming.prefix(interface.module), naming.macro_prefix(interface.module)
    state = [] if interface.workspace == "internal" else ["static void *workspace;"]
    state += ["static void *constants;"] if interface.constants_pool_bytes is not None else []
    setup = []
    if interface.workspace != "internal":
        setup.append(f"workspace = aligned_bytes({base}_WORKSPACE_SIZE + 1u, 64);")
    if interface.constants_pool_bytes is not None:
        setup += [
            f"constants = aligned_bytes({base}_CONSTANTS_CONSTANT_POOL_SIZE, 64);",
            f"if (!read_file({base}_CONSTANTS_FILE, constants, {base}_CONSTANTS_CONSTANT_POOL_SIZE)) {{",
            f'  fprintf(stderr, "cannot read %s\\n", {base}_CONSTANTS_FILE);',
            "  return 2;",
            "}",
        ]
    setup += [f"input_data[{i}] = aligned_bytes({max(1, t.bytes)}, 64);" for i, t in enumerate(inputs)]
    setup += [f"output_data[{i}] = aligned_bytes({max(1, t.bytes)}, 64);" for i, t in enumerate(outputs)]
    values = {
        "module": interface.module,
        "inputs": _table(inputs),
        "outputs": _table(outputs),
        "input_count": str(len(inputs)),
        "output_count": str(len(outputs)),
        "state": "".join(f"{line}\n" for line in state),
        "setup": "\n".join(f"  {line}" for line in setup),
        "run": "\n".join(f"  {line}" for line in _run(interface, prefix)),
    }
    return re.sub(r"@(\w+)@", lambda place: values[place[1]], text)  # once: names of tensors may look like places


def _run(interface: Interface, prefix: str) -> list[str]:
    lines: list[str] = []
    arguments = []
    if interface.has_pools:
        lines.append(f"struct {prefix}_workspace_pools pools;")
    if interface.takes_tensors:
        lines += [f"struct {prefix}_inputs in;", f"struct {prefix}_outputs out;"]
        arguments += ["&in", "&out"]
    else:
        lines += [
            f"struct {prefix}_inputs in;",
            f"struct {prefix}_outputs out;",
            "int32_t status;",
        ]
    if interface.workspace != "internal":
        lines.append("pools.workspace = workspace;")
    if interface.constants_pool_bytes is not None:
        lines.append("pools.constants = constants;")
    arguments += ["&pools"] if interface.has_pools else []
    if interface.takes_tensors:
        for side, short, tensors in (("input", "in", interface.inputs), ("output", "out", interface.outputs)):
            members = [f"{short}.{naming.c_name(t.name)} = {side}_data[{i}];" for i, t in enumerate(tensors)]
            lines += members or [f"{short}.unused_ = 0;"]
        return [*lines, f"return {prefix}_run({', '.join(arguments)});"]
    lines += [f"in = {prefix}_map_inputs(&pools);", f"out = {prefix}_map_outputs(&pools);"]
    lines += [
        f"memcpy(in.{naming.c_name(t.name)}, input_data[{i}], {t.bytes});" for i, t in enumerate(interface.inputs)
    ]
    lines.append(f"status = {prefix}_run(&pools);")
    lines += [
        f"memcpy(output_data[{i}], out.{naming.c_name(t.name)}, {t.bytes});" for i, t in enumerate(interface.outputs)
    ]
    if not interface.inputs:
        lines.append("(void)in;")
    return [*lines, "return status;"]


def _table(tensors: Sequence[Tensor]) -> str:
    rows = [f'    {{"{_quoted(t.name)}", {t.bytes}u, {_KINDS.get(t.dtype, "BYTES")}}},\n' for t in tensors]
    return "".join(rows) or '    {"", 0u, BYTES},\n'


def _quoted(text: str) -> str:
    plain = text.encode("ascii", "replace").decode()
    return "".join(c if c.isprintable() and c not in '"\\?%' else "_" for c in plain)


def constants_files(interfaces: Sequence[Interface]) -> dict[str, str]:
    """Macro to file of each module's constants, relative to the tarball's root."""
    return {naming.constants_macro(i.module): naming.constants_file(i.module) for i in interfaces}


def _makefile(interfaces: Sequence[Interface]) -> str:
    programs = {_program(i, interfaces): i for i in interfaces}
    macros = " ".join(f'-D{name}=\\"$(ROOT)/{path}\\"' for name, path in constants_files(interfaces).items())
    checks = "\n".join(
        f"\t./{program} --check $(ROOT)/samples/{interface.module}" for program, interface in programs.items()
    )
    links = "\n\n".join(
        f"{program}: {program}.o $(OBJECTS)\n\t$(CC) $(CFLAGS) $(LDFLAGS) $^ -lm -o $@" for program in programs
    )
    return f"""\
# Builds the model's C sources with a program that runs them on files. Generated by Turnkey; change it as you like.
#   make          build
#   make check    run the stored samples and compare
CC ?= cc
CFLAGS ?= -O3 -std=gnu99 -Wall -Wextra
ROOT := $(abspath ../..)
SOURCES := $(wildcard $(ROOT)/codegen/host/src/*.c)
OBJECTS := $(notdir $(SOURCES:.c=.o))
override CFLAGS += -fno-strict-aliasing -DTVMGEN_NO_GRAPH -I$(ROOT)/codegen/host/include -I$(ROOT)/runtime/include
override CFLAGS += {macros}
vpath %.c $(ROOT)/codegen/host/src .

all: {" ".join(programs)}

{links}

%.o: %.c
\t$(CC) $(CFLAGS) -c $< -o $@

check: all
{checks}

clean:
\trm -f {" ".join(programs)} {" ".join(f"{program}.o" for program in programs)} $(OBJECTS)

.PHONY: all check clean
"""


def _cmake(interfaces: Sequence[Interface]) -> str:
    programs = {_program(i, interfaces): i for i in interfaces}
    macros = "\n".join(f'  {name}="${{MLF_ROOT}}/{path}"' for name, path in constants_files(interfaces).items())
    executables = "\n".join(
        f"add_executable({program} {program}.c)\ntarget_link_libraries({program} PRIVATE model m)\n"
        f"add_test(NAME {interface.module} COMMAND {program} --check ${{MLF_ROOT}}/samples/{interface.module})"
        for program, interface in programs.items()
    )
    return f"""\
# Generated by Turnkey; change it as you like.
cmake_minimum_required(VERSION 3.13)
project(mlf_host C)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
get_filename_component(MLF_ROOT "${{CMAKE_CURRENT_SOURCE_DIR}}/../.." ABSOLUTE)
file(GLOB MLF_SOURCES "${{MLF_ROOT}}/codegen/host/src/*.c")
add_library(model STATIC ${{MLF_SOURCES}})
target_include_directories(model PUBLIC "${{MLF_ROOT}}/codegen/host/include" "${{MLF_ROOT}}/runtime/include")
target_compile_definitions(model PUBLIC TVMGEN_NO_GRAPH
{macros})
target_compile_options(model PUBLIC -std=gnu99 -fno-strict-aliasing -Wall -Wextra)
target_link_libraries(model PUBLIC m)
enable_testing()
{executables}
"""
