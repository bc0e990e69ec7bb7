"""What this machine offers to measurements and what disturbs them: findings with remedies. For ``turnkey doctor``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turnkey.measure import environment, validity
from turnkey.measure.environment import Span
from turnkey.measure.host_watch import HostWatch

_ROOT = Path("/")
_WATCH_S = 2.0
_STOP_S = 2.0
_SLOW_CLOCK_NS = 500
"""Readings through a system call take about so long; those of the processor's counter a tenth."""


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
        _clock(root),
        _peers(),
        *_gpus(facts),
        *_energy(root),
    ]


def watch_host() -> Span:
    """What others do to our CPUs while we sleep."""
    watch = HostWatch()
    beginning = watch.begin()
    time.sleep(_WATCH_S)
    return watch.end(beginning)


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


def _clock(root: Path) -> Finding:
    """What one reading of the clock costs: it stands on both sides of every timed call."""
    readings = [time.perf_counter_ns() for _ in range(10_001)]
    cost_ns = (readings[-1] - readings[0]) / (len(readings) - 1)
    source = environment.read_text_of(root / "sys/devices/system/clocksource/clocksource0/current_clocksource")
    text = f"one reading of the clock takes {cost_ns:.0f} ns" + (f" ({source})" if source else "")
    if cost_ns < _SLOW_CLOCK_NS:
        return Finding(topic="clock", level="good", text=text)
    remedy = "a kernel that keeps the clock source tsc; calls below 20 µs are timed in loops all the same"
    return Finding(topic="clock", level="note", text=text, remedy=remedy)


def _peers() -> Finding:
    """Whether a process of ours can really be stopped: some sandboxes take the signal and do nothing."""
    idle = [sys.executable, "-S", "-c", "import time; time.sleep(30)"]
    with subprocess.Popen(idle, process_group=0) as child:
        try:
            os.killpg(child.pid, signal.SIGSTOP)
            stopped, status = os.waitpid(child.pid, os.WUNTRACED | os.WNOHANG)
            deadline = time.monotonic() + _STOP_S
            while not stopped and time.monotonic() < deadline:
                time.sleep(0.01)
                stopped, status = os.waitpid(child.pid, os.WUNTRACED | os.WNOHANG)
            works = bool(stopped) and os.WIFSTOPPED(status)
        except PermissionError:
            works = False
        finally:
            child.kill()
    if works:
        return Finding(topic="peers", level="good", text="idle candidates are stopped while another is timed")
    return Finding(
        topic="peers",
        level="note",
        text="idle candidates cannot be stopped here: their threads may spin while another is timed",
        remedy="run outside of this sandbox for narrower intervals",
    )


def _gpus(facts: dict[str, Any]) -> list[Finding]:
    found = [
        Finding(topic="gpu", level="good", text=f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB")
        for gpu in facts["gpus"]
    ]
    if facts["gpu_note"]:
        found.append(Finding(topic="gpu", level="note", text=facts["gpu_note"]))
    return found


def _energy(root: Path) -> list[Finding]:
    if environment.joules(root=root) is not None:
        return []
    remedy = "sudo chmod a+r /sys/class/powercap/*/energy_uj   # where the machine has them"
    return [Finding(topic="energy", level="note", text="energy counters cannot be read", remedy=remedy)]
