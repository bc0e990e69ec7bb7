"""Quantised variants of a build: made, judged by their outputs, raced against the form that they were made from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.formats.failure_text import reason_of
from turnkey.host import fair_threads
from turnkey.measure import Settings, Verdict
from turnkey.model.samples import Sample
from turnkey.model.source import SourceModel
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.runtimes import LoadRequest, default_runtime, find_runtime
from turnkey.runtimes.divergence import Form, layer_losses
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.tools.calibration import Calibration
from turnkey.tools.candidates import Candidate
from turnkey.tools.conversion import Wish, reached
from turnkey.tools.measurements import loss_of, verification_of, with_performance_statistics
from turnkey.tools.metric import Metric
from turnkey.tools.onnx_state import newest_onnx
from turnkey.tools.quantized import Quantized, verdict_in_words
from turnkey.tools.race import race, verified
from turnkey.tools.recommendation import recommend
from turnkey.tools.results import Results
from turnkey.tools.verdicts import with_reference_outputs
from turnkey.verify import Tolerances, VerificationVerdict, precision_of
from turnkey.verify.loss import output_losses

_ONNX_FAMILIES = ("onnx", "openvino")
"""Beginnings of the names of formats that are made from an ONNX file; others need the live module."""
_PRECISION = re.compile(r"-int[48]\b")
_DOES_NOT_PAY = "not proven faster than the form that it was made from"


def float_forms(state: State, source: SourceModel, schemes: Sequence[str]) -> tuple[State, dict[str, Variant]]:
    """The form that each scheme is compared with, by its format (``onnx``, ``openvino`` …); made if need be.

    Where one cannot be made, the ONNX file stands for it.

    Raises:
        ConversionError: the state holds no ONNX file.
    """
    exact = tuple(variant for variant in state.variants if precision_of(variant.key) is None)
    parent = newest_onnx(replace(state, variants=exact), tool="quantize")
    bases = {"onnx": parent}
    for name in dict.fromkeys(base_format(scheme) for scheme in schemes):
        if name not in bases:
            found = reached(state, Wish(format=name, start=_start(name, parent)), source=source)
            state = found.state
            bases[name] = parent if found.key is None else state.variant(found.key)
    return state, bases


def base_format(scheme: str) -> str:
    """The format without the precision: ``torch-aoti`` of ``torch-aoti-int8-static``."""
    return _PRECISION.split(scheme)[0]


def _start(name: str, onnx: Variant) -> str:
    """What a format of this name starts from: the ONNX file, or whatever leads there from the live module."""
    return onnx.key if name.startswith(_ONNX_FAMILIES) else ""


def made(
    state: State,
    source: SourceModel,
    schemes: Sequence[str],
    bases: Mapping[str, Variant],
    settings: Mapping[str, Any],
) -> tuple[State, tuple[Quantized, ...]]:
    """A variant per scheme; ``source`` holds the inputs to calibrate with."""
    from turnkey.formats import find_format

    attempts = []
    for scheme in schemes:
        fields = getattr(find_format(scheme).settings_type, "__dataclass_fields__", {})
        base = bases[base_format(scheme)]
        mine = {name: value for name, value in settings.items() if value}
        unknown = [name for name in mine if name not in fields]
        if unknown:  # made without it, it would be something else than what was asked for
            refusal = f"it cannot be told {' or '.join(f'--{name}' for name in unknown)}"
            attempts.append(Quantized(scheme=scheme, base=base.key, refusal=refusal))
            continue
        wish = Wish(format=scheme, start=_start(scheme, bases["onnx"]), settings={scheme: mine})
        found = reached(state, wish, source=source)
        state = found.state
        if found.key is None:
            refusal = "it could not be made" if found.error is None else reason_of(found.error)
            attempts.append(Quantized(scheme=scheme, base=base.key, refusal=refusal))
            continue
        variant = state.variant(found.key)
        attempts.append(
            Quantized(
                scheme=scheme,
                base=base.key,
                key=found.key,
                size_bytes=variant.size_bytes,
                base_bytes=base.size_bytes,
            )
        )
    return state, tuple(attempts)


def judged(
    state: State,
    source: SourceModel,
    attempts: Sequence[Quantized],
    calibration: Calibration,
    *,
    metric: Metric | None,
    max_drop: float | None,
) -> tuple[State, tuple[Quantized, ...]]:
    """Verdict, loss and metric of every variant that was made; what fails is refused with its reason."""
    keys = dict.fromkeys(key for attempt in attempts if attempt.key for key in (attempt.base, attempt.key))
    state, verdicts = verified(state, source, keys)
    _, complete = with_reference_outputs(state, source)
    inputs = [complete.inputs[index] for index in calibration.judged]
    wanted = [output for index in calibration.judged if (output := complete.outputs[index]) is not None]
    results = []
    for attempt in attempts:
        if not attempt.key:
            results.append(attempt)
            continue
        verdict = verdicts[attempt.key]
        refusal = _refusal(verdict)
        try:
            given = _outputs_of(state, attempt.key, inputs)
        except TurnkeyError as error:
            results.append(replace(attempt, refusal=refusal or f"it does not run: {error.what}"))
            continue
        attempt = replace(attempt, refusal=refusal, losses=output_losses(wanted, given))
        if metric is not None:
            base = metric.value(wanted, wanted)
            try:
                own = metric.value(given, wanted)
            except TurnkeyError as error:
                results.append(replace(attempt, refusal=refusal or f"{error.what}: {error.evidence}"))
                continue
            attempt = replace(attempt, metric=own, base_metric=base)
            if not refusal and max_drop is not None and base - own > max_drop:
                attempt = replace(
                    attempt, refusal=f"{metric.name} falls from {base:.4g} to {own:.4g}, allowed: {max_drop:g}"
                )
        results.append(attempt)
    return state, tuple(results)


def with_layers(state: State, source: SourceModel, attempts: Sequence[Quantized]) -> tuple[Quantized, ...]:
    """What every layer adds, for variants stored as ONNX."""
    reference = Reference(source)
    results = []
    try:
        for attempt in attempts:
            if not attempt.key or stored_as(state.variant(attempt.key)) != "onnx" or not reference.can_run:
                results.append(attempt)
                continue
            variant = state.variant(attempt.key)
            first = state.variant(variant.lineage[0]) if variant.lineage else variant
            form = Form(key=variant.key, path=state.build_dir / variant.path, exporter=variant.exporter)
            layers = layer_losses(
                reference,
                form,
                exported=state.build_dir / first.path,
                sample=source.samples.inputs[0],
                tolerances=Tolerances(),
            )
            results.append(replace(attempt, layers=layers))
    finally:
        reference.close()
    return tuple(results)


def raced(
    state: State, source: SourceModel, attempts: Sequence[Quantized], settings: Settings
) -> tuple[State, tuple[Quantized, ...]]:
    """Every usable variant against the form it was made from, in one experiment."""
    usable = [attempt for attempt in attempts if attempt.key and not attempt.refusal]
    if not usable:
        return state, tuple(attempts)
    keys = dict.fromkeys(key for attempt in usable for key in (attempt.base, attempt.key))
    candidates = {key: _candidate(state, key) for key in keys}
    found = race(state, source, list(candidates.values()), settings)
    results = []
    for attempt in attempts:
        if attempt not in usable:
            results.append(attempt)
            continue
        mine, base = candidates[attempt.key].key, candidates[attempt.base].key
        verdict = found.record.verdict(mine, against=base)
        refused = found.choice.refused.get(mine, "")
        results.append(
            replace(
                attempt,
                speedup=None if verdict is None else verdict.ratio,
                verdict="not measured" if verdict is None else verdict_in_words(verdict, found.record.reasons),
                refusal=refused,
                is_slower=_is_proven(verdict, "SLOWER"),
                pays=_is_proven(verdict, "FASTER") and not refused,
            )
        )
    losing = {candidates[attempt.key].key for attempt in results if attempt.key in candidates and not attempt.pays}
    state = found.state
    if found.choice.key in losing:
        state = _recommended_without(found, list(candidates.values()), losing)
    return state, tuple(results)


def _is_proven(verdict: Verdict | None, kind: str) -> bool:
    """Whether a verdict says so, by more than does not matter."""
    return verdict is not None and verdict.kind == kind and verdict.is_valid and not verdict.negligible


def _recommended_without(found: Results, candidates: Sequence[Candidate], losing: Collection[str]) -> State:
    """The state with another choice: a form that is only as fast, and smaller, loses something for nothing."""
    verification = {
        candidate.key: _DOES_NOT_PAY
        if candidate.key in losing
        else verification_of(found.state, candidate, found.record)
        for candidate in candidates
    }
    choice = recommend(
        found.record,
        verification=verification,
        size_bytes={c.key: c.variant.size_bytes for c in candidates if c.variant is not None},
        losses={candidate.key: loss_of(found.state, candidate) for candidate in candidates},
    )
    state = replace(found.state, chosen=choice.key)
    entry = next((entry for entry in state.measurements if entry.get("key") == choice.key), None)
    if entry is None:
        return state.with_statistics(recommendation=choice.sentence)
    return with_performance_statistics(state, entry, choice)


def _refusal(verdict: VariantVerification | TurnkeyError) -> str:
    if isinstance(verdict, TurnkeyError):
        return f"it could not be verified: {verdict.what}"
    if verdict.verdict is VerificationVerdict.VALID:
        return ""
    return f"{verdict.verdict.value}: {verdict.reason}"


def _outputs_of(state: State, key: str, inputs: Sequence[Sample]) -> list[Sample]:
    variant = state.variant(key)
    runtime = find_runtime(default_runtime(stored_as(variant)))
    runner = runtime.load(LoadRequest(path=state.build_dir / variant.path, threads=fair_threads()))
    try:
        return [runner.outputs(runner.run(runner.prepare(sample))) for sample in inputs]
    finally:
        runner.close()


def _candidate(state: State, key: str) -> Candidate:
    variant = state.variant(key)
    runtime = find_runtime(default_runtime(stored_as(variant)))
    path = state.build_dir / variant.path
    return Candidate(key=f"{key} @ {runtime.name}", runtime=runtime, variant=variant, path=path, device="cpu")
