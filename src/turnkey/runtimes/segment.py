"""Running a part of an ONNX file by itself: see `turnkey.formats.onnx_segment` for how it is cut."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.model.samples import Sample
from turnkey.runtimes.single_run import outputs_of_file

if TYPE_CHECKING:
    import onnx

    from turnkey.formats.onnx_segment import WeightlessModel

_AS_WRITTEN = {"graph_optimization_level": "none", "session.disable_prepacking": "1"}
"""The file's own operators, and weights that stay where they are instead of being packed into a second copy."""


def cut_part(
    whole: WeightlessModel, *, outputs: Sequence[str], given: Mapping[str, np.ndarray], sample: Sample
) -> tuple[onnx.ModelProto, Sample]:
    """The part that computes ``outputs``, and what it is fed.

    Raises:
        KeyError: a value is neither computed nor given.
    """
    from turnkey.formats.onnx_segment import cut

    known = {**{name: array.dtype for name, array in given.items()}, **{n: a.dtype for n, a in sample.items()}}
    part = cut(whole, outputs=outputs, given=given.keys() - sample.keys(), feeds=known)
    feeds = {port.name: given[port.name] if port.name in given else sample[port.name] for port in part.graph.input}
    return part, feeds


def run_part(
    whole: WeightlessModel, *, outputs: Sequence[str], given: Mapping[str, np.ndarray], sample: Sample
) -> Sample:
    """Compute some values of a file from others, without optimisations, on one thread.

    Args:
        outputs: values to compute.
        given: values that need not be computed, read only where they are needed.
        sample: the model's inputs.

    Raises:
        KeyError: a value is neither computed nor given.
        ConversionError: ONNX Runtime refuses the part.
    """
    part, feeds = cut_part(whole, outputs=outputs, given=given, sample=sample)
    with tempfile.NamedTemporaryFile(dir=whole.directory, prefix="part-", suffix=".onnx") as file:
        file.write(part.SerializeToString())
        file.flush()
        return outputs_of_file(Path(file.name), feeds, options=_AS_WRITTEN)
