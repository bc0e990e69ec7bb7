"""The vector math of ``c/vectors.h`` against long double, and its two forms."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from turnkey.mlf.kernels.vectors import vectors

HERE = Path(__file__).parent

pytestmark = pytest.mark.needs("gcc")


@pytest.mark.parametrize(
    "flags",
    [
        ("-std=gnu99", "-O2", "-march=native"),
        ("-std=gnu99", "-O2"),
        ("-std=c99", "-O2", "-pedantic-errors", "-DTURNKEY_MLF_SCALAR"),
    ],
    ids=["widest vectors", "narrowest vectors", "scalar"],
)
def test_elementary_functions_are_within_four_ulp_everywhere(flags: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "vectors.h").write_text("#include <stdint.h>\n#include <stddef.h>\n" + vectors(64))
    program = tmp_path / "sweep"
    source = HERE / "sweep.c"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(
        ["gcc", *flags, *warnings, "-DSTEP=8209", f"-I{tmp_path}", str(source), "-o", str(program), "-lm"], check=True
    )
    lines = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.splitlines()
    worst = {name: float(error) for name, error, _ in map(str.split, lines)}
    assert {*worst} == {"exp", "tanh", "erf", "sigmoid", "rsqrt", "rsqrt_of_infinity"}
    assert all(error <= 4 for error in worst.values()), worst
