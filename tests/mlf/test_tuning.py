"""Tiles by measurement: what is chosen, what is written, and when the tarball stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

import turnkey.mlf as mlf
from turnkey.cli.main import main
from turnkey.errors import TurnkeyError
from turnkey.mlf import archive, tuning
from turnkey.mlf.table import library_table

pytestmark = pytest.mark.needs("emx_onnx_cgen")

PRODUCT = """
<ir_version: 8, opset_import: ["" : 17]>
product (uint8[9,8] x) => (int32[9,5] y)
<int8[8,5] w, uint8 zero = {3}>
{
  y = MatMulInteger(x, w, zero)
}
"""


@pytest.fixture
def product_tar(tmp_path: Path) -> Path:
    """One kernel, whose tiles may have six, four or two rows."""
    model = onnx.parser.parse_model(PRODUCT)
    weights = np.random.default_rng(0).integers(-128, 128, (8, 5)).astype(np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    path = tmp_path / "product.tar"
    mlf.export(model, path, name="product", cflags=("-O1",))
    return path


class Measured:
    """A record in which the times are given: by key, relative to the reference."""

    def __init__(self, times: dict[str, float]) -> None:
        self._times = times

    @property
    def keys(self) -> Sequence[str]:
        return tuple(self._times)

    def verdict(self, key: str, *, against: str) -> Any:
        ratio = self._times[against] / self._times[key]
        kind = "FASTER" if ratio > 1.1 else "SLOWER" if ratio < 0.9 else "SAME"
        return SimpleNamespace(key=key, kind=kind, ratio=ratio, low=ratio * 0.99, high=ratio * 1.01, is_valid=True)


def _decided(monkeypatch: pytest.MonkeyPatch, kernel: dict[str, float], whole: float) -> list[list[str]]:
    """Let the kernel's tiles and the whole network take these times; returns what is timed."""
    timed: list[list[str]] = []

    def in_process(targets: dict[str, Any], **_: Any) -> Measured:
        timed.append([str(loop.describe()["kernel"]) for loop in targets.values()])
        for loop in targets.values():
            loop.load()
            assert loop.run(loop.prepare({})) == 0
        return Measured(kernel)

    monkeypatch.setattr(tuning, "run_in_process", in_process)
    monkeypatch.setattr(tuning, "run_experiment", lambda *_, **__: Measured({"before": 1.0, "tuned": whole}))
    return timed


def test_the_fastest_tile_is_recorded_and_the_tuned_code_is_verified(
    product_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = _decided(monkeypatch, {"usual": 1.0, "1": 0.8, "2": 0.5}, 0.7)
    source = mlf.load(product_tar).module().metadata.turnkey["source"]
    tuned = mlf.tune(product_tar, cflags=("-O1",))
    assert timed == [["tvmgen_product_fused_int8_matmulinteger"] * 3]
    assert (tuned.path, tuned.timed) == (product_tar, 1)
    assert [dict(choice.tile) for choice in tuned.choices["product"]] == [{"rows": 2}]
    module = mlf.load(product_tar).module()
    (kernel,) = module.metadata.turnkey["kernels"]
    assert kernel["tile"] == {"rows": 2}
    assert module.metadata.turnkey["tuned"]["kernels"][0]["ratio"] == 2.0
    assert module.metadata.turnkey["verify"]["verdict"] == "valid"
    assert module.metadata.turnkey["source"] == source
    assert "1 kernel with a tile of its own" in library_table(mlf.load(product_tar))


@pytest.mark.parametrize(
    ("kernel", "whole"),
    [({"usual": 1.0, "1": 0.97, "2": 1.2}, 0.5), ({"usual": 1.0, "1": 0.5, "2": 1.2}, 1.3)],
    ids=["no tile is faster", "the whole is slower"],
)
def test_a_tarball_that_gains_nothing_stays_as_it_is(
    product_tar: Path, kernel: dict[str, float], whole: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = product_tar.read_bytes()
    _decided(monkeypatch, kernel, whole)
    assert mlf.tune(product_tar, cflags=("-O1",)).path is None
    assert product_tar.read_bytes() == before


def test_a_tarball_without_tiles_is_refused_with_what_it_has(tmp_path: Path) -> None:
    import models

    path = tmp_path / "branches.tar"
    mlf.export(models.model_of(models.BRANCHES), path, name="branches", compile=False, verify=False)
    with pytest.raises(TurnkeyError, match="no kernel of this tarball has a choice of tiles"):
        mlf.tune(path)


def test_the_command_line_tunes_with_the_measuring_engine(
    product_tar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = product_tar.read_bytes()
    assert main(["tune-mlf", str(product_tar), "-o", str(tmp_path / "tuned.tar")]) == 0
    assert "1 of 1  tvmgen_product_fused_int8_matmulinteger: {'rows': " in capsys.readouterr().out
    assert product_tar.read_bytes() == before


@pytest.mark.parametrize("left_out", ["abi", "kernels", "source", "target", "kind"])
def test_a_tarball_that_does_not_tell_enough_is_refused_before_anything_is_compiled(
    left_out: str, cnn_tar: Path, tmp_path: Path
) -> None:
    files = dict(mlf.load(cnn_tar).archive.files)
    facts = json.loads(files["metadata.json"])
    (module,) = facts["modules"].values()
    if left_out == "target":
        module["target"] = []
    elif left_out == "kind":
        module["turnkey"]["kernels"][0]["kind"] = ["conv"]
    else:
        del module["turnkey"][left_out]
    path = tmp_path / "told.tar"
    path.write_bytes(archive.pack({**files, "metadata.json": json.dumps(facts).encode()}, timestamp=0))
    with pytest.raises(TurnkeyError, match=r"cannot be exported again|not what the format says"):
        tuning.tune(path)
