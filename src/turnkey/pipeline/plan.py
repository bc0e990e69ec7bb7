"""The plan of a call: which inputs are worked on, and which tools each of them goes through.

Everything here happens before anything runs: inputs are expanded and filtered by their labels, and each gets the
sequence that fits its kind. A script is never run unless ``discover`` or the default sequence asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.errors import TurnkeyError, UsageError
from turnkey.model.inputs import Input, InputKind, expand_inputs
from turnkey.model.labels import (
    LabelReading,
    Labels,
    has_labels,
    has_labels_but_for_case,
    label_text,
    parse_filter,
    read_onnx_labels,
    read_script_labels,
)
from turnkey.pipeline.tool import Steps

DEFAULT_STEPS: Mapping[InputKind, tuple[str, ...]] = {
    InputKind.SCRIPT: ("discover", "export-pytorch", "verify", "benchmark"),
    InputKind.ONNX: ("load-onnx", "verify", "benchmark"),
    InputKind.BUILD: ("load-build", "benchmark"),
}
"""What runs on inputs that are named without any tool."""

_LOADERS = {InputKind.SCRIPT: "discover", InputKind.ONNX: "load-onnx", InputKind.BUILD: "load-build"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedInput:
    """One input with the steps it goes through, arguments as given."""

    input: Input
    steps: Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a call is going to do; ``notes`` are for the user, before anything runs."""

    items: tuple[PlannedInput, ...]
    notes: tuple[str, ...] = ()


def make_plan(
    words: Sequence[str],
    steps: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    labels: Sequence[str] = (),
    suggest: Callable[[str], list[str]] | None = None,
) -> Plan:
    """The plan for these inputs and tools; no tools means the default sequence of each input.

    Args:
        words: inputs as the user named them.
        steps: (tool, given arguments) in order.
        labels: filter, as given to ``--labels``.
        suggest: see `expand_inputs`.

    Raises:
        UsageError: inputs that cannot be expanded, a malformed filter or one that keeps nothing, a first tool that
            cannot take an input.
    """
    expanded = expand_inputs(words, suggest=suggest)
    notes = list(expanded.notes)
    kept = _filtered(expanded.inputs, parse_filter(labels), notes) if labels else expanded.inputs
    given = tuple(steps)
    if not given:
        notes.extend(_default_notes(kept))
    items = tuple(PlannedInput(input=item, steps=steps_for(item, given)) for item in kept)
    return Plan(items=items, notes=tuple(notes))


def steps_for(item: Input, steps: Steps) -> Steps:
    """The steps for one input: ``discover`` becomes the loader of an ONNX file or a build.

    Raises:
        UsageError: the first tool loads another kind of file.
    """
    if not steps:
        return tuple((name, {}) for name in DEFAULT_STEPS[item.kind])
    first = steps[0][0]
    loader = _LOADERS[item.kind]
    if first == loader or first not in _LOADERS.values():
        return steps
    if first == "discover":
        return ((loader, {}), *steps[1:])
    raise UsageError(
        f"{first} cannot start from a {item.kind.value}",
        evidence=item.text,
        remedy=f"turnkey -i {item.text} {' '.join([loader, *(name for name, _ in steps[1:])])}",
    )


def read_labels(item: Input) -> LabelReading:
    """Labels of an input by its kind: first line of a script, metadata of an ONNX file, those of a build.

    Raises:
        InputError: the file cannot be read.
        ArtifactError: the state file of the build is corrupt.
    """
    if item.kind is InputKind.SCRIPT:
        return read_script_labels(item.path)
    if item.kind is InputKind.ONNX:
        return read_onnx_labels(item.path)
    from turnkey.pipeline.state_file import load_state  # YAML: only builds pay for it

    return LabelReading(labels=load_state(state_path=item.path).labels)


def _filtered(inputs: tuple[Input, ...], wanted: Labels, notes: list[str]) -> tuple[Input, ...]:
    readings = []
    for item in inputs:
        try:
            reading = read_labels(item)
        except TurnkeyError as error:
            notes.append(f"{item.text} is left out, its labels cannot be read: {error.what}")
            reading = LabelReading()
        notes.extend(reading.warnings)
        readings.append((item, reading))
    kept = tuple(item for item, reading in readings if has_labels(reading.labels, wanted))
    if kept:
        if len(kept) < len(inputs):
            notes.append(f"{len(kept)} of {len(inputs)} inputs have {label_text(wanted)}")
        return kept
    by_case = [(item, reading) for item, reading in readings if has_labels_but_for_case(reading.labels, wanted)]
    if by_case:
        item, reading = by_case[0]
        remedy = f"upper and lower case count: {item.text} has {label_text(reading.labels)}"
    else:
        remedy = "labels stand on the first line of a script: #labels task::translation"
    raise UsageError(
        "no input has the requested labels",
        evidence=f"{label_text(wanted)}, in {len(inputs)} inputs",
        remedy=remedy,
    )


def _default_notes(inputs: Iterable[Input]) -> list[str]:
    kinds = dict.fromkeys(item.kind for item in inputs)
    return [f"no tool named; each {kind.value} goes through: {' '.join(DEFAULT_STEPS[kind])}" for kind in kinds]
