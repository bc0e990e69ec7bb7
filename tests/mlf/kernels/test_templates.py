"""Every float template in one model: as strict C99 without vectors, and under the sanitisers."""

from __future__ import annotations

from pathlib import Path

import kernel_networks
import pytest
from several import Several, check, exported

import turnkey.mlf as mlf
from turnkey.mlf.sanitized import run_sanitized

pytestmark = pytest.mark.needs("emx_onnx_cgen")


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Several, mlf.Module]:
    several = Several()
    for add in (
        kernel_networks.products,
        kernel_networks.rows,
        kernel_networks.transpositions,
        kernel_networks.wide_layers,
    ):
        add(several)
    return several, exported(several.model(), tmp_path_factory.mktemp("everything") / "several.tar", executor="aot")


def test_strict_c99_without_vectors_gives_the_same(everything: tuple[Several, mlf.Module]) -> None:
    several, module = everything
    check(several, module, cflags=("-O1", "-std=c99", "-pedantic-errors", "-DTURNKEY_MLF_SCALAR"))


def test_the_sanitizers_stay_silent_over_rows_and_heads(tmp_path: Path) -> None:
    several = Several()
    kernel_networks.rows(several)
    several.output(kernel_networks.attention(several, 5, 2, 6))
    run_sanitized(exported(several.model(), tmp_path / "several.tar", executor="aot"), [several.sample])


@pytest.mark.nightly
def test_the_sanitizers_stay_silent_over_everything(everything: tuple[Several, mlf.Module]) -> None:
    several, module = everything
    run_sanitized(module, [several.sample])
