"""For how large a batch engines are built, and what is done where they cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from navigator_samples import samples
from navigator_statuses import status

from turnkey.errors import ConversionError
from turnkey.navigator.conversion_cache import ConversionCache
from turnkey.navigator.format import Format
from turnkey.navigator.journal import Journal
from turnkey.navigator.making import make_model
from turnkey.navigator.max_batch import find_max_batch, max_batch_of, smaller_batches
from turnkey.navigator.model_config import plan_models
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.preprocessing import prepare
from turnkey.navigator.status import CommandStatus, ModelStatus
from turnkey.navigator.workspace import claim


def prepared_with(function: Any) -> Prepared:
    return prepare(
        function,
        Format.PYTHON,
        samples(2),
        sample_count=2,
        batching=True,
        input_names=None,
        output_names=None,
        say=lambda text: None,
    )


@pytest.mark.parametrize(("limit", "found"), [(1, 1), (5, 4), (512, 512), (1024, 512), (5000, 2048)])
def test_the_ladder_doubles_until_something_fails_and_halves_what_is_very_large(limit: int, found: int) -> None:
    assert find_max_batch(lambda batch: batch <= limit) == found


def test_the_source_model_and_memory_say_what_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def small(x: np.ndarray) -> np.ndarray:
        if len(x) > 20:
            raise MemoryError("no")
        return x * 2

    prepared = prepared_with(small)
    assert max_batch_of(prepared) == 16
    monkeypatch.setattr("turnkey.host.available_memory_bytes", lambda: 16 * 4 * 8 * 2)
    assert max_batch_of(prepared) < 16


def test_at_most_two_halvings_are_tried_and_none_at_the_dataloaders_own_batch() -> None:
    assert list(smaller_batches(64, least=2)) == [64, 32, 16]
    assert list(smaller_batches(8, least=4)) == [8]


def test_an_engine_that_cannot_be_built_so_large_is_built_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnkey.navigator.conversion.obstacle_of", lambda config: "")
    asked: list[int] = []

    class Jobs:
        def perform(self, job: dict[str, Any]) -> dict[str, Any]:
            asked.append(job["settings"]["max_batch"])
            if asked[-1] > 32:
                raise ConversionError("TensorRT cannot build an engine")
            Path(job["path"]).parent.mkdir(parents=True, exist_ok=True)
            Path(job["path"]).write_bytes(b"engine")
            return {"sha256": "0", "size_bytes": 6, "files": [job["path"]], "exporter": "tensorrt", "notes": []}

        def close(self) -> None: ...

    models = plan_models(Format.ONNX, (Format.ONNX, Format.TENSORRT), {})
    [onnx, engine] = [each for each in models if each.key in ("onnx", "trt-fp32")]
    workspace = claim(tmp_path / "w", is_same_run=lambda found: True)
    begun = status(ModelStatus(model_config=onnx, files=("onnx/model.onnx",)), ModelStatus(model_config=engine))
    journal = Journal(workspace, replace(begun, own={}), verbose=False, debug=False)
    make_model(
        *(engine, prepared_with(lambda x: x * 2), Jobs(), journal),
        content="",
        cache=ConversionCache(tmp_path / "cache", limit_bytes=0),
        max_batch=64,
    )
    assert asked == [64, 32]
    assert journal.status.models["trt-fp32"].commands["Conversion"].status is CommandStatus.OK
    assert "not for batch 64" in workspace.log.read_text()
