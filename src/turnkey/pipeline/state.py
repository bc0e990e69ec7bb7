"""The state: the value that flows from tool to tool, and what of it is written to the build directory.

Every tool returns a new `State`; `Sequence` writes it after each tool, atomically, as plain YAML. The live model
never leaves the process: a state that is loaded again has ``model`` None until something re-creates it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.settings import absolute_path

if TYPE_CHECKING:  # numpy comes with it, and building a state needs none
    from turnkey.model.source import SourceModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One stored form of the model: a format plus its settings.

    Attributes:
        key: by lineage: ``onnx``, ``onnx-opt``, ``onnx-opt-fp16``; unique in a state.
        format: ``onnx``, ``torch-exportedprogram`` …
        path: relative to the build directory.
        sha256: of the file's bytes (with external data: of all of them in name order).
        lineage: keys from the first ancestor to the parent, oldest first.
        exporter: who made it (``dynamo``, ``torchscript``, ``onnxruntime-basic``, ``loaded`` …).
        size_bytes: of the file with its external data.
        notes: what a reader must know (``host-specific``, ``dynamic batch refused: …``).
    """

    key: str
    format: str
    path: str
    sha256: str
    lineage: tuple[str, ...] = ()
    exporter: str = ""
    size_bytes: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """What a build knows. Plain data except ``model``.

    ``statistics`` is flat and goes to ``turnkey_stats.yaml``; everything else to ``<build>_state.yaml``. ``listing``
    is text for the user that a tool hands over; it is shown once and never written.
    """

    cache_dir: Path
    build_name: str
    _: KW_ONLY
    model: SourceModel | None = None
    input: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    build_status: str = "not_started"
    model_hash: str = ""
    weights_hash: str = ""
    expected_input_shapes: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)
    expected_input_dtypes: Mapping[str, str] = field(default_factory=dict)
    expected_output_names: tuple[str, ...] = ()
    onnx_opset: int | None = None
    downcast_applied: bool = False
    results: str | None = None
    """Key of the newest variant: what the next converter starts from."""
    variants: tuple[Variant, ...] = ()
    conversions: tuple[Mapping[str, Any], ...] = ()
    """One entry per step of `convert`: key, format, parent, outcome (made | failed), seconds, log, error."""
    verification: tuple[Mapping[str, Any], ...] = ()
    """One entry per (variant, signature): key, verdict (valid | invalid | unverified), reason, errors per output."""
    measurements: tuple[Mapping[str, Any], ...] = ()
    """One entry per candidate: variant, runtime, device, threads, record path, summary numbers."""
    chosen: str | None = None
    sequence: tuple[tuple[str, Mapping[str, Any], str], ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    uid: str = ""
    statistics: Mapping[str, Any] = field(default_factory=dict)
    listing: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "cache_dir", absolute_path(self.cache_dir))

    @property
    def build_dir(self) -> Path:
        return self.cache_dir / self.build_name

    def with_variant(self, variant: Variant) -> State:
        """The state with this variant added (or replaced, by key) and made the newest result."""
        kept = tuple(other for other in self.variants if other.key != variant.key)
        return replace(self, variants=(*kept, variant), results=variant.key)

    def with_statistics(self, **values: Any) -> State:
        """The state with these statistics added or replaced; None leaves a key out."""
        merged = {**self.statistics, **values}
        return replace(self, statistics={key: value for key, value in merged.items() if value is not None})

    def variant(self, key: str | None = None) -> Variant:
        """The variant of that key, by default the newest.

        Raises:
            KeyError: there is none.
        """
        wanted = key or self.results
        for candidate in self.variants:
            if candidate.key == wanted:
                return candidate
        raise KeyError(wanted)
