"""The bare-metal program's verdict on a board's outputs, with a model that only copies bytes to its output."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from turnkey.mlf.bare_metal import baremetal_files
from turnkey.mlf.codegen.header import Interface, header_text
from turnkey.mlf.tensor import Tensor

pytestmark = pytest.mark.needs("gcc")

FLOATS = ["float16", "bfloat16", "float32", "float64"]
WARNINGS = ("-std=gnu99", "-O2", "-ffreestanding", "-Wall", "-Wextra", "-Werror")


def _calls_it_right(directory: Path, expected: np.ndarray, actual: np.ndarray) -> bool:
    """Whether the program accepts ``actual`` where the embedded sample says ``expected``."""
    tensor = Tensor(name="y", dtype=expected.dtype.name, shape=expected.shape)
    interface = Interface(
        module="m", inputs=(), outputs=(tensor,), workspace="external", workspace_bytes=0, alignment=16
    )
    (directory / "tvmgen_m.h").write_text(header_text(interface))
    (directory / "main.c").write_bytes(
        baremetal_files(interface, {"out0": expected.tobytes()})["templates/baremetal/main.c"]
    )
    bytes_ = ", ".join(map(str, actual.tobytes()))
    (directory / "board.c").write_text(
        f'#include "tvmgen_m.h"\nstatic const uint8_t computed[] = {{{bytes_}}};\n'
        "void platform_print(const char *text);\nvoid platform_print(const char *text) { (void)text; }\n"
        "int32_t tvmgen_m_run(struct tvmgen_m_inputs *in, struct tvmgen_m_outputs *out,\n"
        "                     struct tvmgen_m_workspace_pools *pools) {\n"
        "  (void)in;\n  (void)pools;\n"
        "  for (unsigned i = 0; i < sizeof(computed); ++i) ((uint8_t *)out->y)[i] = computed[i];\n  return 0;\n}\n"
    )
    program = directory / "program"
    command = ["gcc", *WARNINGS, f"-I{directory}", str(directory / "main.c"), str(directory / "board.c")]
    subprocess.run([*command, "-o", str(program)], check=True)
    return subprocess.run([str(program)], check=False).returncode == 0


def _array(dtype: str, *values: float) -> np.ndarray:
    return np.array(values, dtype=getattr(ml_dtypes, dtype, dtype))


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_difference_of_rounding_is_right_and_a_larger_one_wrong(dtype: str, tmp_path: Path) -> None:
    expected = _array(dtype, 2.0, 1e-5, -3.0)
    next_value = (expected.view(f"u{expected.itemsize}") + 1).view(expected.dtype)
    assert _calls_it_right(tmp_path, expected, next_value)
    assert not _calls_it_right(tmp_path, expected, _array(dtype, 2.0, 1e-5, -2.5))
    assert not _calls_it_right(tmp_path, expected, -expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_and_infinities_agree_with_themselves_alone(dtype: str, tmp_path: Path) -> None:
    nan, infinity = float("nan"), float("inf")
    expected = _array(dtype, nan, infinity, -infinity, 1.0)
    assert _calls_it_right(tmp_path, expected, expected)
    for wrong in (
        (1.0, infinity, -infinity, 1.0),
        (nan, -infinity, -infinity, 1.0),
        (nan, 1.0, -infinity, 1.0),
        (nan, infinity, -infinity, nan),
        (nan, infinity, -infinity, infinity),
    ):
        assert not _calls_it_right(tmp_path, expected, _array(dtype, *wrong)), wrong


def test_outputs_of_zero_and_of_subnormal_halves_are_read_as_such(tmp_path: Path) -> None:
    assert _calls_it_right(tmp_path, _array("float32", 0.0), _array("float32", -0.0))
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    assert _calls_it_right(tmp_path, _array("float16", 5 * smallest), _array("float16", 5 * smallest))
    assert not _calls_it_right(tmp_path, _array("float16", 5 * smallest), _array("float16", 6 * smallest))


@pytest.mark.parametrize(("dtype", "low"), [("int8", -1), ("uint8", 127)])
def test_eight_bits_may_differ_by_one_step(dtype: str, low: int, tmp_path: Path) -> None:
    assert _calls_it_right(tmp_path, _array(dtype, low, 5), _array(dtype, low + 1, 5))
    assert not _calls_it_right(tmp_path, _array(dtype, low, 5), _array(dtype, low + 2, 5))


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_other_types_must_be_equal(dtype: str, tmp_path: Path) -> None:
    assert _calls_it_right(tmp_path, _array(dtype, 1, 0), _array(dtype, 1, 0))
    assert not _calls_it_right(tmp_path, _array(dtype, 1, 0), _array(dtype, 1, 1))
