"""What this machine offers to measurements and what disturbs them: findings with remedies. For ``turnkey doctor``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.measure import environment, validity
from turnkey.measure.environment import Span

_ROOT = Path("/")
_WATCH_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about the machine.

    Attributes:
        level: ``good``, ``note`` (wider intervals, or a number that lacks) or ``bad`` (results would be INVALID).
        remedy: empty where nothing is to be done.
    """

    topic: str
    level: str
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def checkup(*, root: Path = _ROOT, watch: Callable[[], Span] | None = None) -> list[Finding]:
    """Look at the machine for about two seconds.

    Args:
        root: of the kernel's files.
        watch: what others do to this machine while we rest; None watches it.
    """
    facts = environment.probe(root=root)
    span = (watch or watch_host)()
    return [
        _threads(facts),
        *_others(span),
        _frequency(facts),
        _power(facts),
        _virtual(facts),
        _aslr(facts),
        _memory(facts),
        *_missing(root),
    ]


def watch_host() -> Span:
    """What others do to our CPUs while we sleep."""
    before, ours = environment.pulse(), time.process_time()
    time.sleep(_WATCH_S)
    cpus = len(host.affinity_cpus())
    return environment.span(before, environment.pulse(), ours_s=time.process_time() - ours, cpus=cpus)


def _threads(facts: dict[str, Any]) -> Finding:
    quota = facts["cpu_quota"]
    text = (
        f"{facts['fair_threads']} fair threads: {facts['physical_cores']} cores, {facts['affinity_cpus']} CPUs allowed"
    )
    if quota is None:
        return Finding(topic="threads", level="good", text=text + ", no CPU quota")
    return Finding(
        topic="threads",
        level="note",
        text=f"{text}, a quota of {quota:g}",
        remedy="more threads than the quota are throttled: leave --threads alone",
    )


def _others(span: Span) -> list[Finding]:
    found = []
    if span.others is not None:
        level = "bad" if span.others > validity.OTHERS_LIMIT else "note" if span.others > 0.1 else "good"
        remedy = "stop the other programs; values are INVALID above 50 %" if level != "good" else ""
        text = f"other programs use {span.others:.0%} of our CPUs"
        found.append(Finding(topic="load", level=level, text=text, remedy=remedy))
    if span.steal is not None:
        level = "bad" if span.steal > validity.STEAL_LIMIT else "note" if span.steal > 0.005 else "good"
        remedy = "use a dedicated machine for values; paired verdicts stand" if level != "good" else ""
        found.append(
            Finding(
                topic="steal", level=level, text=f"the hypervisor takes {span.steal:.1%} of our CPUs", remedy=remedy
            )
        )
    if span.throttled:
        text = f"the CPU quota stopped us {span.throttled} times while we rested"
        found.append(Finding(topic="quota", level="bad", text=text, remedy="a larger CPU quota"))
    return found


def _frequency(facts: dict[str, Any]) -> Finding:
    governor = facts["governor"]
    if governor is None:
        return Finding(topic="frequency", level="note", text="the frequency governor cannot be seen from here")
    if governor == "performance":
        return Finding(topic="frequency", level="good", text="governor performance")
    return Finding(
        topic="frequency",
        level="note",
        text=f"governor {governor}",
        remedy="sudo cpupower frequency-set -g performance",
    )


def _power(facts: dict[str, Any]) -> Finding:
    if facts["on_mains"] is False:
        return Finding(topic="power", level="bad", text="on battery", remedy="connect to mains")
    text = "on mains" if facts["on_mains"] else "no power supply can be seen (usual for servers)"
    return Finding(topic="power", level="good", text=text)


def _virtual(facts: dict[str, Any]) -> Finding:
    kind = facts["virtualisation"]
    if facts["is_virtual"]:
        text = "a virtual machine: other guests disturb it in ways that cannot be seen from here"
        return Finding(topic="host", level="note", text=text, remedy="effort rigorous; turnkey doctor --noise")
    return Finding(topic="host", level="good", text=kind or "no hypervisor seen")


def _aslr(facts: dict[str, Any]) -> Finding:
    if facts["aslr"] == "0":
        return Finding(
            topic="layout",
            level="note",
            text="address-space layout randomisation is off: rounds repeat one layout",
            remedy="sudo sysctl kernel.randomize_va_space=2",
        )
    return Finding(topic="layout", level="good", text="every process draws its own address-space layout")


def _memory(facts: dict[str, Any]) -> Finding:
    free = facts["available_memory_bytes"] / 2**30
    return Finding(
        topic="memory", level="good", text=f"{free:.1f} GiB free: candidates of a comparison share 80 % of it"
    )


def _missing(root: Path) -> list[Finding]:
    found = []
    if not hasattr(os, "killpg"):
        found.append(Finding(topic="processes", level="note", text="idle workers cannot be stopped on this platform"))
    if environment.joules(root=root) is None:
        found.append(
            Finding(
                topic="energy",
                level="note",
                text="energy counters cannot be read",
                remedy="sudo chmod a+r /sys/class/powercap/*/energy_uj   # where the machine has them",
            )
        )
    return found
