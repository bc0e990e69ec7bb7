"""One run of an ONNX file by ONNX Runtime on the processor, with one thread: loaded, called, and let go of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnkey.model.samples import Sample
from turnkey.runtimes.lookup import find_runtime
from turnkey.runtimes.runtime import LoadRequest


def outputs_of_file(path: Path, sample: Sample, *, options: Mapping[str, Any] | None = None) -> Sample:
    """What the file computes from a sample.

    Args:
        options: of the runtime ``onnxruntime``; by default those it has when the file is used.

    Raises:
        InputError: the sample lacks an input.
        ConversionError: ONNX Runtime refuses the file.
    """
    runner = find_runtime("onnxruntime").load(LoadRequest(path=path, threads=1, options=options or {}))
    try:
        return runner.outputs(runner.run(runner.prepare(sample)))
    finally:
        runner.close()
