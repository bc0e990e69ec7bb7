"""Why one candidate is slower than another: findings from two profiles, each with a remedy. Pure.

A fall-back of the provider comes first, since everything else follows from it. All others are ordered by the time
that they explain. Nothing is concluded where a look was disturbed: the time of a call and those of its operators are
taken one after the other, and would belong to different situations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from turnkey.runtimes.profile import OperatorTime, Profile

_SLOWER_FROM = 1.03
_TELLING_SHARE = 0.03
"""Share of the slow candidate's time below which a difference is not worth a line."""
_TOLD_LAYERS = 3
_IDLE_SHARE = 0.7
"""Use of the threads, against the other candidate's, below which they count as idle."""
_FAR_ABOVE = 4.0
"""Times of a call that its operators may take in all; the profiler itself slows small ones."""
_BUSY_BEYOND = 1.5
"""Use of the threads, against those that it was given, that a look at rest does not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Operators that compute nothing of the model's own.

    Attributes:
        cause: in a word.
        operators: as ONNX Runtime, OpenVINO and torch call them.
        remedy: what to do.
    """

    cause: str
    operators: frozenset[str]
    remedy: str


_KINDS = (
    _Kind(
        cause="casts",
        operators=frozenset({"Cast", "Convert", "aten::to", "aten::_to_copy"}),
        remedy="use the float32 file on this processor, or keep the operators around them in one precision: "
        "convert-fp16 --block OP",
    ),
    _Kind(
        cause="transposes",
        operators=frozenset(
            {"Transpose", "Reorder", "ReorderInput", "ReorderOutput", "aten::permute", "aten::transpose"}
        ),
        remedy="let the layout be chosen once: optimize-ort --level all, or write the model without permutations",
    ),
    _Kind(
        cause="copies",
        operators=frozenset(
            {"MemcpyToHost", "MemcpyFromHost", "Identity", "aten::copy_", "aten::clone", "aten::contiguous"}
        ),
        remedy="keep all nodes on one provider, and views instead of copies in the model",
    ),
    _Kind(
        cause="quantisation steps",
        operators=frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "FakeQuantize"}),
        remedy="quantise statically, and only what is large: quantize --to onnx-int8-static --operators MatMul Conv",
    ),
)
_NO_WORK = frozenset().union(*(kind.operators for kind in _KINDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause.

    Attributes:
        cause: in a word: ``fall-back``, ``disturbed``, ``threads``, ``casts``, ``transposes``, ``copies``, ``layer`` …
        excess_ms: of a call, that it explains; None where that cannot be told.
        sentence: what was seen.
        remedy: what to do.
    """

    cause: str
    excess_ms: float | None
    sentence: str
    remedy: str


def findings(slow: Profile, fast: Profile) -> tuple[Finding, ...]:
    """What explains the difference, the most telling first; nothing where it is not slower and nothing fell back."""
    if not _is_slower(slow, fast):
        return tuple(_fallback(slow, fast))
    causes = tuple(_disturbed(slow, fast)) or _by_excess(slow, fast)
    return (*_fallback(slow, fast), *causes)


def headline(slow: Profile, fast: Profile, found: tuple[Finding, ...]) -> str:
    """One line: whether it is slower, by how much, and the first cause."""
    if not _is_slower(slow, fast):
        return f"{slow.key} is not slower than {fast.key} here: {slow.call_ms:.3g} ms against {fast.call_ms:.3g} ms"
    why = found[0].sentence if found else "no single cause: every layer takes a little longer"
    return f"{slow.key} is {slow.call_ms / fast.call_ms:.1f} times slower than {fast.key}: {why}"


def _by_excess(slow: Profile, fast: Profile) -> tuple[Finding, ...]:
    """All causes, by the time that they explain; a layer counts for no more than a missing thread, which slows all."""
    threads = tuple(_threads(slow, fast))
    bound = min((each.excess_ms or 0.0 for each in threads if slow.threads < fast.threads), default=math.inf)

    def weight(found: Finding) -> float:
        excess = found.excess_ms or 0.0
        return min(excess, bound) if found.cause == "layer" else excess

    causes = [*threads, *_idle_work(slow, fast), *_layers(slow, fast)]
    return tuple(sorted(causes, key=weight, reverse=True))  # stable: the thread stays before the layers


def _is_slower(slow: Profile, fast: Profile) -> bool:
    return slow.call_ms >= _SLOWER_FROM * fast.call_ms


def _fallback(slow: Profile, fast: Profile) -> Iterator[Finding]:
    if slow.fallback is None:
        return
    yield Finding(
        cause="fall-back",
        excess_ms=max(0.0, slow.call_ms - fast.call_ms),
        sentence=f"provider fall-back: {slow.fallback}",
        remedy="install what the provider needs (turnkey system-info), or ask for the one that runs: "
        "--rt-args provider::CPU",
    )


def _disturbed(*profiles: Profile) -> Iterator[Finding]:
    """Candidates whose times cannot belong together: something else ran while they were looked at."""
    for profile in profiles:
        said = []
        total = _milliseconds(profile.operators)
        if total > _FAR_ABOVE * profile.call_ms:
            said.append(
                f"its operators took {total:.3g} ms in a call with the profiler, {profile.call_ms:.3g} ms is one"
            )
        if profile.threads_used > _BUSY_BEYOND * profile.threads:
            said.append(f"{profile.threads_used:.1f} threads seemed busy, it was given {profile.threads}")
        if said:
            yield Finding(
                cause="disturbed",
                excess_ms=None,
                sentence=f"why is not told, the look at {profile.key} was disturbed: {'; '.join(said)}",
                remedy="explain again on a quiet machine; turnkey doctor says what disturbs this one",
            )


def _threads(slow: Profile, fast: Profile) -> Iterator[Finding]:
    used, other = slow.threads_used, fast.threads_used
    excess = slow.call_ms * (1 - used / other) if other > used else 0.0
    if slow.threads < fast.threads and excess > _TELLING_SHARE * slow.call_ms:
        given = "one thread" if slow.threads == 1 else f"{slow.threads} threads"
        yield Finding(
            cause="threads",
            excess_ms=excess,
            sentence=f"{given}: it was given {slow.threads}, the other {fast.threads}",
            remedy=f"--threads {fast.threads}",
        )
    elif slow.threads > 1 and used < _IDLE_SHARE * other:
        yield Finding(
            cause="threads",
            excess_ms=excess,
            sentence=f"idle threads: it keeps {used:.1f} of {slow.threads} threads busy, the other {other:.1f}",
            remedy="larger batches, or a runtime that splits these operators",
        )


def _idle_work(slow: Profile, fast: Profile) -> Iterator[Finding]:
    for kind in _KINDS:
        mine, theirs = slow.of_kinds(kind.operators), fast.of_kinds(kind.operators)
        spent, other = _milliseconds(mine), _milliseconds(theirs)
        if spent - other > _telling_ms(slow):
            share = spent / _milliseconds(slow.operators)
            yield Finding(
                cause=kind.cause,
                excess_ms=spent - other,
                sentence=f"{kind.cause}: {len(mine)} of them take {share:.0%} of its time ({spent:.3g} ms; "
                f"the other: {len(theirs)}, {other:.3g} ms){_where(mine)}",
                remedy=kind.remedy,
            )


def _layers(slow: Profile, fast: Profile) -> Iterator[Finding]:
    mine, theirs = slow.by_layer(without=_NO_WORK), fast.by_layer(without=_NO_WORK)
    apart = {layer: (mine[layer] - theirs.get(layer, 0.0)) / 1000 for layer in mine}
    telling = [layer for layer, excess in apart.items() if excess > _telling_ms(slow)]
    for layer in sorted(telling, key=lambda layer: -apart[layer])[:_TOLD_LAYERS]:
        kinds = sorted({each.operator for each in slow.operators if each.layer == layer} - _NO_WORK)
        yield Finding(
            cause="layer",
            excess_ms=apart[layer],
            sentence=f"layer {layer} ({', '.join(kinds)}): {mine[layer] / 1000:.3g} ms against "
            f"{theirs.get(layer, 0.0) / 1000:.3g} ms",
            remedy=f"the other's kernel suits this processor better: {fast.key}",
        )


def _telling_ms(slow: Profile) -> float:
    """Below it a difference between operators is not worth a line: a share of whatever they are a part of."""
    return _TELLING_SHARE * max(slow.call_ms, _milliseconds(slow.operators))


def _milliseconds(operators: tuple[OperatorTime, ...]) -> float:
    return sum(each.microseconds for each in operators) / 1000


def _where(operators: tuple[OperatorTime, ...]) -> str:
    layers = list(dict.fromkeys(each.layer for each in operators if each.layer))
    if not layers:
        return ""
    return f", most in {layers[0]}" if len(layers) == 1 else f", most in {layers[0]} and {layers[1]}"
