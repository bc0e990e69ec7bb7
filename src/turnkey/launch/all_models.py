"""``discover --all``: a script becomes one input per top-level model, as if each had been named by its hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from turnkey.discovery.top_level import top_level_hashes
from turnkey.model.inputs import Input, InputKind
from turnkey.pipeline.events import Event, Listener
from turnkey.pipeline.sequence import Sequence


def with_all_models(
    inputs: Iterable[Input], sequence: Sequence | None, *, seconds: float | None, listen: Listener
) -> list[Input]:
    """The inputs, scripts replaced by their models where the sequence asks for all of them.

    A script that shows no model stays as it is: its own run tells why.
    """
    first: dict[str, Any] = dict(sequence.steps[0][1]) if sequence is not None and sequence.steps else {}
    if sequence is None or sequence.names[0] != "discover" or not first.get("all"):
        return list(inputs)
    expanded: list[Input] = []
    for source in inputs:
        hashes: list[str] = []
        if source.kind is InputKind.SCRIPT and not source.target:
            hashes = top_level_hashes(
                str(source.path),
                script_args=str(first.get("script_args") or ""),
                compiled=str(first.get("compiled") or "run"),
                seconds=seconds,
            )
        if hashes:
            listen(Event(kind="note", input=source.text, text=f"{source.text} has the models {', '.join(hashes)}"))
        expanded.extend(replace(source, target=entry) for entry in hashes)
        if not hashes:
            expanded.append(source)
    return expanded
