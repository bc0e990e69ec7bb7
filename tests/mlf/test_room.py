"""Borders of the room: one module knows the generator, nothing foreign is packed, the errors are complete."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

import turnkey.mlf as mlf
from turnkey.mlf import failures
from turnkey.mlf.packed_files import packed_files

ROOM = Path(mlf.__file__).parent


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


def test_one_module_imports_the_generator() -> None:
    files = [path for path in ROOM.rglob("*.py") if {"emx_onnx_cgen", "shared"} & _imports(path)]
    assert [path.name for path in files] == ["emx.py"]


@pytest.mark.parametrize("path", sorted(packed_files()))
def test_what_is_packed_is_our_own_work(path: str) -> None:
    text = packed_files()[path].decode()
    assert not re.search(r"Apache|Licensed to|Copyright|SPDX", text)


@pytest.mark.needs("gcc")
def test_our_header_defines_nothing_that_dlpack_has_defined(tmp_path: Path) -> None:
    (tmp_path / "turnkey_mlf.h").write_bytes(packed_files()["runtime/include/turnkey_mlf.h"])
    (tmp_path / "use.c").write_text(
        "#define DLPACK_DLPACK_H_\n#include <stdint.h>\n"
        "typedef struct { int32_t device_type; int32_t device_id; } DLDevice;\n"
        "typedef struct { uint8_t code, bits; uint16_t lanes; } DLDataType;\n"
        "typedef struct { void *data; DLDevice device; int32_t ndim; DLDataType dtype; int64_t *shape, *strides; "
        'uint64_t byte_offset; } DLTensor;\n#include "turnkey_mlf.h"\n#include "turnkey_mlf.h"\n'
        "int main(void) { return (int)sizeof(TVMValue) - 8; }\n"
    )
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
    subprocess.run(["gcc", *flags, "-c", "use.c", "-o", "use.o"], cwd=tmp_path, check=True)


def test_every_code_is_documented_and_every_documented_code_exists() -> None:
    page = (Path(__file__).parents[2] / "docs/mlf.md").read_text()
    documented = set(re.findall(r"`(mlf-[a-z-]+)`", page))
    assert documented == set(failures.codes())


def test_every_code_is_raised_somewhere_with_evidence() -> None:
    calls: dict[str, list[ast.Call]] = {}
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failure":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    calls.setdefault(str(code.value), []).append(node)
    for code, found in calls.items():
        for call in found:
            assert any(keyword.arg == "evidence" for keyword in call.keywords) or code == "mlf-dynamic-shape", code
