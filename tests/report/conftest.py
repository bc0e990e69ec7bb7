"""Caches written with the pipeline's own writers: what the report reads is what tools leave behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_name import claim_directory
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import write_state
from turnkey.pipeline.statistics import write_statistics

MEASUREMENT: Mapping[str, Any] = {
    "key": "onnx-opt @ onnxruntime",
    "variant": "onnx-opt",
    "runtime": "onnxruntime",
    "device_type": "cpu",
    "threads": 2,
    "latency_ms": 1.25,
    "latency_low_ms": 1.2,
    "latency_high_ms": 1.3,
    "p50_ms": 1.2345,
    "p90_ms": 1.5,
    "throughput_items_per_second": 810.4,
    "peak_memory_bytes": 200 * 2**20,
    "size_bytes": 44 * 2**20,
    "verification": "valid",
    "validity": "VALID",
}

MakeBuild = Callable[..., BuildPaths]


@pytest.fixture
def make_build(cache: Path) -> MakeBuild:
    def make(
        name: str,
        status: str = "successful",
        *,
        measurements: Sequence[Mapping[str, Any]] = (),
        chosen: str | None = None,
        cache_dir: Path = cache,
        verification: Sequence[Mapping[str, Any]] = (),
        conversions: Sequence[Mapping[str, Any]] = (),
        variants: Sequence[Variant] = (),
        labels: Mapping[str, Sequence[str]] | None = None,
        **statistics: Any,
    ) -> BuildPaths:
        paths = BuildPaths(cache_dir, name)
        claim_directory(paths, f"/somewhere/{name}.py")
        if labels is not None:
            statistics["labels"] = {key: list(values) for key, values in labels.items()}
        write_statistics(paths, {"build_name": name, "build_status": status, "model_name": name, **statistics})
        state = State(
            cache_dir=cache_dir,
            build_name=name,
            build_status=status,
            measurements=tuple(measurements),
            chosen=chosen,
            verification=tuple(verification),
            conversions=tuple(conversions),
            variants=tuple(variants),
            labels={key: tuple(values) for key, values in (labels or {}).items()},
        )
        write_state(state)
        return paths

    return make
