"""The model under evaluation while it lives in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey.model.samples import SampleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceModel:
    """What discovery or a loader found, ready to be called, exported or measured.

    Attributes:
        module: the live ``torch.nn.Module``, or another callable; None when the source is a file (``path``).
        path: the file that is the source (ONNX input); None for a live module.
        samples: captured inputs (all of one signature) with reference outputs where they are known.
        further_samples: samples of the same model with other signatures (another batch size, another length).
        class_name: ``ResNet``; for files the graph's name.
        model_hash: 64 hex digits; ``model_hash[:8]`` is what users see.
        hash_basis: ``calls``, ``modules``, ``graph`` (docs/decisions/model-hash.md).
        weights_hash: 8 hex digits.
        parameter_count, parameter_bytes: of the parameters, shared ones counted once.
        training_mode_seen: the script called it in training mode; it is used in evaluation mode all the same.
        data_dependent: control flow or shapes depend on values, so that tracing would freeze them.
    """

    module: Any | None
    path: Path | None = None
    samples: SampleSet
    further_samples: tuple[SampleSet, ...] = field(default=())
    class_name: str
    model_hash: str
    hash_basis: str
    weights_hash: str
    parameter_count: int
    parameter_bytes: int
    training_mode_seen: bool = False
    data_dependent: bool = False

    @property
    def live_format(self) -> str | None:
        """``torch`` for a live module, ``python`` for any other callable, None where nothing is in memory."""
        if self.module is None:
            return None
        return "torch" if hasattr(self.module, "named_parameters") else "python"
