"""What discovery found, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnkey.model.signature import TensorSpec

_WIDTH = 100
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """One (model, signature) that the script called.

    Attributes:
        hash: what users see and select by: ``479b1332``, for a further one of the same hash ``479b1332.2``; empty if
            it could not be taken (``note`` says why).
        model_hash: 64 hex digits.
        hash_basis: ``calls``, ``modules`` or ``graph``.
        weights_hash: 8 hex digits; taken for the selected one, and where several share a hash.
        name: what the model is bound to where it was called; empty if nothing was found.
        class_name: of the module.
        calls, failed_calls, seconds: finished calls, calls that raised, and the time of the former.
        file, line: of the first call.
        depth: 0 for top-level models.
        parameter_count, parameter_bytes: of the parameters, shared ones counted once.
        bytes_by_dtype: of the same parameters.
        inputs, outputs: in the order of the call; outputs are known after the replay.
        samples: captured inputs.
        training_mode_seen, data_dependent: see `turnkey.model.source.SourceModel`.
        opaque: types of arguments that are kept by reference, and cannot leave the process.
        status: ``selected``, ``auto-selected`` or ``found``.
        build_dir: of the selected model, once it has one.
        note: what a reader must know.
        children: models called inside it, by first call.
    """

    hash: str = ""
    model_hash: str = ""
    hash_basis: str = ""
    weights_hash: str = ""
    name: str
    class_name: str
    calls: int
    failed_calls: int
    seconds: float
    file: str
    line: int
    depth: int = 0
    parameter_count: int
    parameter_bytes: int
    bytes_by_dtype: Mapping[str, int]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()
    samples: int = 0
    training_mode_seen: bool = False
    data_dependent: bool = False
    opaque: tuple[str, ...] = ()
    status: str = "found"
    build_dir: str = ""
    note: str = ""
    children: tuple[FoundModel, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in ("inputs", "outputs", "children")}
        plain["bytes_by_dtype"] = dict(self.bytes_by_dtype)
        plain["opaque"] = list(self.opaque)
        for side in ("inputs", "outputs"):
            plain[side] = [
                {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in getattr(self, side)
            ]
        plain["children"] = [child.to_dict() for child in self.children]
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All that one run of a script showed.

    Attributes:
        path: the script, as named.
        exit_code: of the script.
        seconds: of the run.
        models: top-level models by first call, each with its children.
        traceback: of the exception that ended the script; empty if none did.
    """

    path: str
    exit_code: int
    seconds: float
    models: tuple[FoundModel, ...]
    traceback: str = field(default="", repr=False)

    def __iter__(self) -> Iterator[FoundModel]:
        """Every entry, parents before their children."""
        stack = list(reversed(self.models))
        while stack:
            model = stack.pop()
            yield model
            stack.extend(reversed(model.children))

    def find(self, wanted: str) -> FoundModel | None:
        """The entry of that hash (or full digest, which means the first that has it); None if there is none."""
        for model in self:
            if wanted and wanted in (model.hash, model.model_hash):
                return model
        return None

    @property
    def selected(self) -> FoundModel | None:
        """The model that is handed on."""
        return next((model for model in self if model.status != "found"), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "path": self.path,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "models": [model.to_dict() for model in self.models],
        }

    def __str__(self) -> str:
        count = len(self.models)
        head = f"{count} model{'s' if count != 1 else ''} in {self.path}"
        ending = "" if self.exit_code == 0 else f", exit code {self.exit_code}"
        lines = [f"{head} (ran {self.seconds:.1f} s{ending})"]
        parameter_free = [model for model in self.models if _is_minor(model)]
        for model in self.models:
            if not _is_minor(model):
                lines.extend(["", *_lines(model, indent="  ")])
        if parameter_free:
            lines.extend(["", f"  without parameters: {', '.join(_short(model) for model in parameter_free)}"])
        hint = self._selection_hint()
        return "\n".join([*lines, *(["", hint] if hint else [])])

    def _selection_hint(self) -> str:
        """How to select another model, where one was selected for the user."""
        selected = self.selected
        others = [model.hash for model in self if model is not selected and model.hash and model.parameter_count]
        if selected is None or selected.status != "auto-selected" or not others:
            return ""
        return (
            f"  {selected.hash} was selected automatically; another one: "
            f"turnkey -i {self.path}::{others[0]} discover …"
        )

    def with_status(self, chosen: FoundModel, status: str, build_dir: str) -> Listing:
        """The listing with one entry marked."""

        def marked(model: FoundModel) -> FoundModel:
            children = tuple(marked(child) for child in model.children)
            if model is chosen:
                return replace(model, status=status, build_dir=build_dir, children=children)
            return replace(model, children=children)

        return replace(self, models=tuple(marked(model) for model in self.models))


def specs_text(specs: tuple[TensorSpec, ...]) -> str:
    """``x: float32[2,4], mask: bool[2]``."""
    parts = [f"{spec.name}: {spec.dtype}[{','.join(str(extent) for extent in spec.shape)}]" for spec in specs]
    return ", ".join(parts) or "–"


def _specs_lines(specs: tuple[TensorSpec, ...], indent: str) -> str:
    """On one line where they fit, else one below the other."""
    text = specs_text(specs)
    if len(text) <= _WIDTH:
        return text
    return f"\n{indent}{'':<13}".join(specs_text((spec,)) for spec in specs)


def _is_minor(model: FoundModel) -> bool:
    return model.parameter_count == 0 and model.status == "found" and not model.children


def _short(model: FoundModel) -> str:
    name = f"{model.name} " if model.name else ""
    return f"{name}({model.class_name}) {model.hash} {model.calls}×".replace("  ", " ")


def _lines(model: FoundModel, indent: str, *, times: int = 1) -> list[str]:
    title = f"{model.name} ({model.class_name})" if model.name else model.class_name
    if times > 1:
        title += f" ×{times}"
    if model.status != "found":
        title += f"  [{model.status}]"
    failed = f", failed {model.failed_calls}×" if model.failed_calls else ""
    rows = [
        ("executed", f"{model.calls}× in {model.seconds:.3f} s{failed}"),
        ("location", f"{Path(model.file).name}:{model.line}"),
        ("parameters", _weight_text(model)),
        ("input", _specs_lines(model.inputs, indent)),
        ("output", _specs_lines(model.outputs, indent)),
        ("hash", _hash_text(model)),
        ("build", model.build_dir),
        ("note", "; ".join(_notes(model))),
    ]
    lines = [f"{indent}{title}"]
    lines.extend(f"{indent}  {label:<11}{text}" for label, text in rows if text)
    for child, count in _grouped(model.children):
        lines.extend(_lines(child, indent + "    ", times=count))
    return lines


def _weight_text(model: FoundModel) -> str:
    by_dtype = " + ".join(f"{dtype} {_size_text(size)}" for dtype, size in sorted(model.bytes_by_dtype.items()))
    return f"{model.parameter_count:,} ({by_dtype})" if by_dtype else f"{model.parameter_count:,}"


def _hash_text(model: FoundModel) -> str:
    if not model.hash:
        return "–"
    basis = "" if model.hash_basis == "calls" else f", basis: {model.hash_basis}"
    weights = f", weights {model.weights_hash}" if model.weights_hash else ""
    return f"{model.hash}{basis}{weights}"


def _notes(model: FoundModel) -> list[str]:
    notes = [model.note] if model.note else []
    if model.training_mode_seen:
        notes.append("the script called it in training mode; it is used in evaluation mode")
    if model.opaque:
        notes.append(f"takes {', '.join(sorted(set(model.opaque)))}, which cannot be written to a file")
    if model.data_dependent:
        notes.append("its control flow or shapes depend on values")
    return notes


def _grouped(children: tuple[FoundModel, ...]) -> list[tuple[FoundModel, int]]:
    """Equal children as one, with their number, in order of the first."""
    groups: dict[Any, list[FoundModel]] = {}
    for child in children:
        key = (child.class_name, child.model_hash or specs_text(child.inputs), child.calls)
        groups.setdefault(key, []).append(child)
    return [(group[0], len(group)) for group in groups.values()]


def _size_text(size_bytes: float) -> str:
    for unit in _UNITS[:-1]:
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} {_UNITS[-1]}"
