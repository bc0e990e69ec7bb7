"""Conversions of a state: one step to one format, and the way to a format over as many steps as it takes.

Every step leaves an entry in ``state.conversions`` (key, format, parent, outcome, seconds, log, error), whether it
succeeded or not. A step that fails is not the end: another way is looked for, and said.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnkey.errors import ConversionError, TurnkeyError, UsageError
from turnkey.file_digest import digest_of_files
from turnkey.formats import FORMATS, Conversion, ConvertRequest, Format, find_format
from turnkey.formats.failure_text import evidence_of, reason_of
from turnkey.formats.format_settings import settings_of
from turnkey.formats.onnx_export import EXPORTERS
from turnkey.formats.route import Step, find_route
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.capture import captured
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.tools.onnx_state import onnx_stage, with_onnx, without_stale
from turnkey.verify import precision_of

_EXPORTED = "onnx"
"""The format that other ONNX files are made from, whoever exported it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How the way to one format ended.

    Attributes:
        state: with every variant and every entry that the way left.
        format: that was wanted.
        key: of its variant; None if it could not be made.
        error: why not.
    """

    state: State
    format: str
    key: str | None = None
    error: TurnkeyError | None = None

    @property
    def sentence(self) -> str:
        """One line for the terminal."""
        if self.key is None:
            assert self.error is not None, "what has no variant has a reason"
            return f"{self.format}: not made: {reason_of(self.error)}"
        variant = self.state.variant(self.key)
        lineage = " -> ".join([*variant.lineage, self.key]) if variant.lineage else self.key
        mine = [entry for entry in self.state.conversions if entry["key"] == self.key and entry["outcome"] == "made"]
        return f"{lineage}: {variant.path}, {variant.size_bytes} bytes, {mine[-1]['seconds']:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted.

    Attributes:
        format: its name.
        start: key of the variant to start from; empty for whatever leads there soonest, the newest first.
        before: keys of the variants of which the newest wins; the others are taken as the formats themselves prefer.
            None for all variants.
        settings: what differs from the defaults, by format: ``{"torchscript-script": {"strict": False}}``.
    """

    format: str
    start: str = ""
    before: tuple[str, ...] | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def planned(state: State, wish: Wish, *, source: SourceModel | None) -> tuple[Step, ...]:
    """The steps that `reached` would try first. Raises as `turnkey.formats.route.find_route` does."""
    starts = _starts(state, wish, source)
    return find_route(wish.format, available=tuple(starts), preferred=_preferred(starts, wish))


def reached(state: State, wish: Wish, *, source: SourceModel) -> Reached:
    """Make a format, over other formats where need be; another way is tried where a step fails.

    Raises:
        UsageError: no such format, variant or setting. What fails to convert is told by the result.
    """
    refused: dict[Step, TurnkeyError] = {}
    while True:
        starts = _starts(state, wish, source)
        try:
            preferred = _preferred(starts, wish)
            route = find_route(wish.format, available=tuple(starts), preferred=preferred, refused=refused)
        except UsageError:
            raise
        except TurnkeyError as error:
            reason = next(iter(refused.values()), error)  # the first way is the one that should have worked
            if not refused:
                state = _noted(state, key=wish.format, step=Step(parent="", format=wish.format), error=error)
            return Reached(state=state, format=wish.format, error=reason)
        parent = starts[route[0].parent]
        for step in route:
            settings = wish.settings.get(step.format, {})
            state, failure = _performed(state, step, parent, source=source, settings=settings)
            if failure is not None:
                refused[step] = failure
                break
            parent = state.variant()
        else:
            return Reached(state=state, format=wish.format, key=state.results)


def _performed(
    state: State, step: Step, parent: Variant | None, *, source: SourceModel, settings: Mapping[str, Any]
) -> tuple[State, TurnkeyError | None]:
    """The state after one step, with its entry; and why it failed, if it did."""
    form = find_format(step.format)
    chosen = settings_of(form, settings)
    key = key_of(form, parent)
    paths = BuildPaths(state.cache_dir, state.build_name)
    request = ConvertRequest(
        source=source,
        parent=None if parent is None else state.build_dir / parent.path,
        path=_path_of(form, key, chosen, state),
        settings=chosen,
        samples=source.samples.inputs,
    )
    log = paths.log(f"convert-{key}")
    started = time.perf_counter()
    failure: TurnkeyError | None = None
    try:
        with captured(log, first_line=f"{step}: {chosen}"):
            conversion = form.convert(request)
            key = _with_precision(key, conversion)
            state = _with_conversion(state, conversion, form, key=key, parent=parent)
    except TurnkeyError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - converters and their libraries raise whatever they like
        failure = ConversionError(f"{step} failed", evidence=evidence_of(error), remedy=f"see {log.name}")
    seconds = time.perf_counter() - started
    outcome = "made" if failure is None else f"failed: {failure.what}"
    print(f"{step}: {outcome}, {seconds:.1f} s ({log.name})", flush=True)
    return _noted(state, key=key, step=step, error=failure, seconds=seconds, log=log.name, parent=parent), failure


def _noted(
    state: State,
    *,
    key: str,
    step: Step,
    error: TurnkeyError | None,
    seconds: float = 0.0,
    log: str = "",
    parent: Variant | None = None,
) -> State:
    entry: dict[str, Any] = {
        "key": key,
        "format": step.format,
        "parent": step.parent if parent is None else parent.key,
        "outcome": "made" if error is None else "failed",
        "seconds": round(seconds, 3),
    }
    if log:
        entry["log"] = log
    if error is not None:
        entry["error"] = error.to_dict()
    place = (entry["key"], entry["parent"])
    kept = tuple(other for other in state.conversions if (other.get("key"), other.get("parent")) != place)
    return replace(state, conversions=(*kept, entry))


def key_of(form: Format, parent: Variant | None) -> str:
    """Key of what a format makes: by lineage, so that equal keys are made in equal ways.

    Within a family the parent's key is continued (``onnx-opt`` to ``onnx-opt-fp16``); into another family what was
    special about the parent comes last (``torch-exportedprogram-int8-static`` to ``torch-aoti-int8-static``).
    """
    if parent is None:
        return form.name
    family = stored_as(parent)
    if form.name.startswith(f"{family}-") and form.stored_as == family:
        return parent.key + form.name.removeprefix(family)
    special = parent.key.removeprefix(family) if parent.key.startswith(family) else f"-of-{parent.key}"
    key = form.name if form.name.endswith(special) else form.name + special
    if key == form.name:
        return key
    return f"{form.name}-of-{parent.key}" if key in FORMATS.names() else key


def _with_precision(key: str, conversion: Conversion) -> str:
    """The key, which outputs are judged by, with the precision that a quantised input left in what was made."""
    mark = conversion.facts.get("precision")
    return key if mark is None or precision_of(key) is not None else f"{key}-{mark}"


def _starts(state: State, wish: Wish, source: SourceModel | None) -> dict[str, Variant | None]:
    """What there is to start from, by format: the newest variant of each that is not known to be wrong, then the
    live model."""
    if wish.start:
        try:
            chosen = state.variant(wish.start)
        except KeyError:
            known = ", ".join(variant.key for variant in state.variants) or "none"
            raise UsageError(
                f"the build {state.build_name} has no variant {wish.start!r}",
                evidence=f"it has: {known}",
                remedy="convert --from KEY, or leave --from out",
            ) from None
        return {_EXPORTED if chosen.exporter in EXPORTERS else _format_of(chosen): chosen}
    newest = [variant for variant in state.variants if variant.key == state.results]
    others = [variant for variant in reversed(state.variants) if variant.key != state.results]
    wrong = {entry.get("key") for entry in state.verification if entry.get("verdict") == "invalid"}
    starts: dict[str, Variant | None] = {}
    for variant in (*newest, *others):
        if variant.key not in wrong:
            starts.setdefault(_format_of(variant), variant)
    for variant in (*newest, *others):
        if variant.exporter in EXPORTERS and variant.key not in wrong:
            starts.setdefault(_EXPORTED, variant)  # by an exporter that was named: where there is no other
    if source is not None and source.live_format is not None:
        starts[source.live_format] = None
    return starts


def _preferred(starts: Mapping[str, Variant | None], wish: Wish) -> list[str]:
    """Formats that are started from because they are the newest, in that order."""
    return [
        name
        for name, variant in starts.items()
        if variant is None or wish.before is None or variant.key in wish.before
    ]


def _format_of(variant: Variant) -> str:
    """Name of the format by which a variant was made; its key ends with it."""
    names = FORMATS.names()
    if variant.key in names:
        return variant.key
    family = stored_as(variant)
    endings = [name for name in names if name.startswith(f"{family}-")]
    fitting = [name for name in endings if variant.key.endswith(name.removeprefix(family))]
    return max(fitting, key=len, default=variant.format)


def _path_of(form: Format, key: str, settings: Any, state: State) -> Path:
    paths = BuildPaths(state.cache_dir, state.build_name)
    if form.stored_as != "onnx":
        return paths.variant(key, form.suffix)
    return paths.onnx(getattr(settings, "opset", None) or state.onnx_opset or 0, onnx_stage(key))


def _with_conversion(state: State, conversion: Conversion, form: Format, *, key: str, parent: Variant | None) -> State:
    if form.stored_as == "onnx":
        return with_onnx(state, conversion, key=key, parent=parent)
    digest = digest_of_files((conversion.path, *sorted(conversion.companions)))
    for note in conversion.notes:
        print(note)
    variant = Variant(
        key=key,
        format=form.name,
        path=BuildPaths(state.cache_dir, state.build_name).relative(conversion.path),
        sha256=digest.sha256,
        lineage=(*parent.lineage, parent.key) if parent else (),
        exporter=conversion.exporter,
        size_bytes=digest.size_bytes,
        notes=conversion.notes,
    )
    return without_stale(state, key).with_variant(variant)
