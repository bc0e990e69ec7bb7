"""Whether a value or a verdict may be used at all. Pure: evidence in, reasons with remedies out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from turnkey.measure.environment import Span

OTHERS_LIMIT = 0.50
STEAL_LIMIT = 0.02
WARMER_LIMIT = 10.0
THROTTLED_PASSES_LIMIT = 0.10
GPU_CLOCK_LIMIT = 0.75
"""Share of the default clock; nvbench's threshold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why something must not be used.

    Attributes:
        code: ``wrong-output`` …
        key: the variant; empty for all of them.
        evidence: the value that shows it.
        remedy: what to do.
        spoils_value: the number does not describe this machine at rest.
        spoils_verdict: the comparison does not stand.
    """

    code: str
    key: str
    evidence: str
    spoils_value: bool
    spoils_verdict: bool
    remedy: str

    def applies_to(self, key: str) -> bool:
        return self.key in ("", key)

    def __str__(self) -> str:
        return f"{self.code}: {self.evidence} ({self.remedy})"

    @property
    def line(self) -> str:
        """``INVALID net @ onnxruntime: steal: 5.0% … (use a dedicated machine …)``; without a key it is of all."""
        return f"INVALID {self.key or 'all'}: {self}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


REASONS: Mapping[str, tuple[bool, bool, str]] = {
    "wrong-output": (True, True, "find the first divergent layer with the verify tool"),
    "provider-fallback": (True, True, "look at the nodes named, try another opset or provider"),
    "no-steady-state": (True, True, "use effort rigorous, or calls that settle: it was still getting faster"),
    "quota-throttled": (True, True, "use fewer threads, or a larger CPU quota"),
    "threads-differ": (False, True, "give all candidates the same --threads"),
    "aa-difference": (False, True, "run turnkey doctor --noise, or use another host"),
    "not-interleaved": (False, True, "more memory, or fewer variants at a time"),
    "foreign-load": (True, False, "stop the other programs, or use CPUs of your own"),
    "steal": (True, False, "use a dedicated machine: the hypervisor takes CPU time away"),
    "temperature": (True, False, "let the machine cool, or use fewer cores"),
    "power": (True, False, "connect to mains and set the performance governor"),
    "foreign-gpu-process": (True, False, "free the device"),
    "littles-law": (True, False, "the client is the bottleneck: fewer clients, or a faster one"),
    "generator-late": (True, False, "the client is the bottleneck: a lower rate, or a faster machine"),
    "unstable": (True, False, "more calls per window, or a wider stability percentage"),
    "crashed": (True, True, "read the log tail in the record"),
}
"""By code: whether it spoils the value, whether it spoils the verdict, and what to do."""


def reason(code: str, evidence: str, *, key: str = "") -> Reason:
    """A reason with its remedy."""
    value, verdict, remedy = REASONS[code]
    return Reason(code=code, key=key, evidence=evidence, spoils_value=value, spoils_verdict=verdict, remedy=remedy)


def remedy(code: str) -> str:
    """What to do about a reason; empty for a code that is not of this version."""
    return REASONS[code][2] if code in REASONS else ""


def first_of_each(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """The first reason of each code for each candidate."""
    found: dict[tuple[str, str], Reason] = {}
    for item in reasons:
        found.setdefault((item.code, item.key), item)
    return tuple(found.values())


def of_process(key: str, facts: Mapping[str, Any]) -> list[Reason]:
    """Reasons in one process's record: a wrong output, a fall-back."""
    found = []
    if facts.get("wrong"):
        found.append(reason("wrong-output", str(facts["wrong"]), key=key))
    fallback = (facts.get("facts") or {}).get("fallback")
    if fallback:
        found.append(reason("provider-fallback", str(fallback), key=key))
    return found


def of_warm_up(key: str, processes: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """The warm-up of most of a variant's timed processes hit its cap.

    One process of many may be trapped by a burst of the host: that alone says nothing about the variant.
    """
    warmed = [process for process in processes if process.get("settled") is not None]
    capped = [process for process in warmed if not process["settled"]]
    if 2 * len(capped) <= len(warmed):
        return []
    calls = max(process["warm_calls"] for process in capped)
    evidence = f"still getting faster after {calls} warm-up calls in {len(capped)} of {len(warmed)} processes"
    return [reason("no-steady-state", evidence, key=key)]


def of_threads(threads: Mapping[str, int]) -> list[Reason]:
    """Different thread counts though threads are not compared."""
    if len(set(threads.values())) < 2:
        return []
    return [reason("threads-differ", ", ".join(f"{key}: {count}" for key, count in threads.items()))]


def of_host(spans: Sequence[Span]) -> list[Reason]:
    """What the host did during the passes."""
    found = []
    others, steal = _mean(spans, "others"), _mean(spans, "steal")
    if others is not None and others > OTHERS_LIMIT:
        found.append(reason("foreign-load", f"other processes used {others:.0%} of our CPUs during the passes"))
    if steal is not None and steal > STEAL_LIMIT:
        found.append(reason("steal", f"the hypervisor took {steal:.1%} of our CPUs during the passes"))
    throttled = [item.throttled for item in spans if item.throttled is not None]
    if sum(throttled):
        found.append(reason("quota-throttled", f"{sum(throttled)} periods throttled by the CPU quota"))
    celsius = [item.celsius for item in spans if item.celsius is not None]
    if celsius and celsius[-1] - celsius[0] > WARMER_LIMIT:
        found.append(reason("temperature", f"from {celsius[0]:.0f} to {celsius[-1]:.0f} °C"))
    elif (hot := sum(1 for item in spans if item.hot)) > THROTTLED_PASSES_LIMIT * len(spans):
        found.append(reason("temperature", f"CPUs slowed down because of heat in {hot} of {len(spans)} passes"))
    found += _of_gpu(spans)
    governors = {item.governor for item in spans}
    limits = sorted({item.limit_khz for item in spans if item.limit_khz is not None})
    if any(item.on_mains is False for item in spans):
        found.append(reason("power", "on battery"))
    elif len(governors) > 1:
        found.append(reason("power", f"governor changed: {', '.join(sorted(map(str, governors)))}"))
    elif len(limits) > 1:
        found.append(
            reason("power", f"the frequency limit changed: {limits[0] / 1e6:.2f} to {limits[-1] / 1e6:.2f} GHz")
        )
    return found


def _of_gpu(spans: Sequence[Span]) -> list[Reason]:
    found = []
    foreign = [item.gpu_foreign for item in spans if item.gpu_foreign]
    if foreign:
        found.append(reason("foreign-gpu-process", f"up to {max(foreign)} in {len(foreign)} of {len(spans)} passes"))
    celsius = [item.gpu_celsius for item in spans if item.gpu_celsius is not None]
    throttled = sum(1 for item in spans if item.gpu_throttle)
    if celsius and celsius[-1] - celsius[0] > WARMER_LIMIT:
        found.append(reason("temperature", f"the GPU went from {celsius[0]} to {celsius[-1]} °C"))
    elif throttled > THROTTLED_PASSES_LIMIT * len(spans):
        found.append(reason("temperature", f"the GPU held its clock down in {throttled} of {len(spans)} passes"))
    return found


def is_disturbed(item: Span, earlier: Sequence[Span]) -> bool:
    """Whether a pass is flagged: throttled, too hot, stolen from well beyond what is usual, or a GPU held down."""
    usual = sorted(span.steal for span in earlier if span.steal is not None)
    limit = max(STEAL_LIMIT, 2 * usual[len(usual) // 2]) if usual else STEAL_LIMIT
    if item.gpu_throttle or item.gpu_foreign or (item.gpu_clock is not None and item.gpu_clock < GPU_CLOCK_LIMIT):
        return True
    return bool(item.throttled or item.hot) or (item.steal is not None and item.steal > limit)


def _mean(spans: Sequence[Span], name: str) -> float | None:
    """Mean over passes, weighted by their duration."""
    known = [(value, item.seconds) for item in spans if (value := getattr(item, name)) is not None]
    total = sum(seconds for _, seconds in known)
    return sum(value * seconds for value, seconds in known) / total if total > 0 else None
