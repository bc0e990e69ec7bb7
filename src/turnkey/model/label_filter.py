"""The filter of ``--labels``: which inputs of a call have what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from turnkey.errors import UsageError
from turnkey.model.inputs import Input
from turnkey.model.labels import Labels, has_labels, has_labels_but_for_case, label_text, parse_filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Filtered:
    """The inputs that stay, in order, and what the user should know: how many went, which labels are malformed."""

    inputs: tuple[Input, ...]
    notes: tuple[str, ...] = ()


def filter_inputs(
    inputs: Sequence[Input],
    wanted_texts: Iterable[str],
    *,
    labels_of: Callable[[Input], tuple[Labels, tuple[str, ...]]],
) -> Filtered:
    """Keep the inputs that have every requested value of every requested key.

    Args:
        inputs: in order.
        wanted_texts: ``task::translation`` …, as given; none keeps every input.
        labels_of: labels of an input, and warnings about malformed ones.

    Raises:
        UsageError: a malformed filter, or one that keeps nothing.
    """
    wanted = parse_filter(wanted_texts)
    if not wanted:
        return Filtered(inputs=tuple(inputs))
    notes: list[str] = []
    labelled = []
    for item in inputs:
        labels, warnings = labels_of(item)
        notes.extend(warnings)
        labelled.append((item, labels))
    kept = tuple(item for item, labels in labelled if has_labels(labels, wanted))
    if not kept:
        raise _nothing_left(labelled, wanted)
    if len(kept) < len(inputs):
        notes.append(f"{len(kept)} of {len(inputs)} inputs have {label_text(wanted)}")
    return Filtered(inputs=kept, notes=tuple(notes))


def _nothing_left(labelled: Sequence[tuple[Input, Labels]], wanted: Labels) -> UsageError:
    remedy = "labels stand on the first line of a script: #labels task::translation"
    for item, labels in labelled:
        if has_labels_but_for_case(labels, wanted):
            remedy = f"upper and lower case count: {item.text} has {label_text(labels)}"
            break
    return UsageError(
        "no input has the requested labels",
        evidence=f"{label_text(wanted)}, looked for in {len(labelled)} inputs",
        remedy=remedy,
    )
