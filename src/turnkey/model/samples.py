"""Captured inputs and reference outputs of one model, in memory and on disk.

On disk (``<build>/samples/``): ``samples.json`` says what there is, ``<k>.npz`` holds the arrays of sample k; no
pickle. Dtypes that numpy lacks (bfloat16, float8) are stored as their bits, with the name of the dtype beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turnkey.model.call import CallStructure

Sample = dict[str, np.ndarray]
"""One set of named inputs or outputs, in host memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Samples of one (model, signature).

    Attributes:
        structure: how an input sample becomes a call; None for a source that takes named arrays (ONNX).
        inputs: at least one sample; all have the same names and dtypes.
        outputs: reference outputs of the source model, one per input or None where not computed yet.
        seed: of the generator that made or chose them; None for what a script really used.
    """

    structure: CallStructure | None
    inputs: tuple[Sample, ...]
    outputs: tuple[Sample | None, ...]
    seed: int | None = None


def write_samples(samples: SampleSet, directory: Path) -> None:
    """Write a sample set; an older one in that directory is replaced as a whole.

    Raises:
        ValueError: the call has an opaque argument and cannot be written.
    """
    raise NotImplementedError


def read_samples(directory: Path) -> SampleSet:
    """Read a sample set.

    Raises:
        ArtifactError: missing, truncated, inconsistent or hostile files.
    """
    raise NotImplementedError
