"""Sources as discovery or a loader hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from turnkey.model.call import CallStructure, Leaf
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel

CALL_OF_X = CallStructure(args=(Leaf("x"),), kwargs={})
"""One tensor, by position."""


def samples_of_x(*values: np.ndarray, structure: CallStructure | None = CALL_OF_X) -> SampleSet:
    """One sample per array; its outputs are not known."""
    return SampleSet(
        structure=structure, inputs=tuple({"x": value} for value in values), outputs=(None,) * len(values)
    )


def source_model(
    module: Any = None, samples: SampleSet | None = None, *, path: Path | None = None, **facts: Any
) -> SourceModel:
    """A source with facts that the test at hand does not look at, unless it names them."""
    unseen = {
        "class_name": type(module).__name__,
        "model_hash": "0" * 64,
        "hash_basis": "calls" if path is None else "graph",
        "weights_hash": "0" * 8,
        "parameter_count": 0,
        "parameter_bytes": 0,
    }
    return SourceModel(module=module, path=path, samples=samples or samples_of_x(), **{**unseen, **facts})
