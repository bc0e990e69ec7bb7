"""Acceptance of the engine on a host: equal things must not be told apart, a planted difference must be found.

The same procedure serves the built-in target (``turnkey doctor --noise``) and real models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import UsageError
from turnkey.measure import statistics
from turnkey.measure.experiment import run_experiment
from turnkey.measure.plan import Settings
from turnkey.measure.record import Record
from turnkey.measure.target import TargetDescription
from turnkey.version import __version__
from turnkey.whole_file import whole_file

FALSE_LIMIT = 0.10
FOUND_LIMIT = 0.95
_FILE = "noise_certificate.json"
_KERNELS = 20
_KERNEL_SIZE = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the acceptance found.

    Attributes:
        comparisons: of equal things.
        planted: comparisons with a planted difference.
        false_verdicts: FASTER or SLOWER among equal things.
        found: planted differences that were called SLOWER.
        wrong_directions: planted differences that were called FASTER.
        floor: median of what the host made of nothing (relative).
        host, version: what it holds for.
    """

    comparisons: int
    planted: int
    false_verdicts: int
    found: int
    wrong_directions: int
    floor: float | None
    host: str
    version: str

    @property
    def is_accepted(self) -> bool:
        """False verdicts in at most 10 %, the planted difference found in at least 95 %, no wrong direction."""
        few = self.false_verdicts <= FALSE_LIMIT * self.comparisons
        return few and self.found >= FOUND_LIMIT * self.planted and self.wrong_directions == 0

    def lines(self) -> list[str]:
        """The certificate in plain words."""

        def share(count: int, of: int) -> str:
            low, high = statistics.binomial_interval(count, of)
            return f"{count} of {of} ({count / of:.0%}, 95 % [{low:.0%}, {high:.0%}])"

        false = share(self.false_verdicts, self.comparisons)
        floor = "–" if self.floor is None else f"{self.floor:.1%}"
        return [
            f"false verdicts among equal things     {false}, at most 10 % accepted",
            f"planted 5 % found                     {share(self.found, self.planted)}, at least 95 % accepted",
            f"wrong directions                      {self.wrong_directions}, none accepted",
            f"noise floor (median)                  {floor}",
            f"this host is {'ACCEPTED' if self.is_accepted else 'NOT ACCEPTED'} at effort standard",
        ]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "accepted": self.is_accepted}


def accept(
    *,
    comparisons: int = 40,
    planted_comparisons: int | None = None,
    settings: Settings | None = None,
    equal: Sequence[TargetDescription] | None = None,
    planted: Sequence[TargetDescription] | None = None,
    tell: Callable[[str], None] | None = None,
    measure: Callable[..., Record] = run_experiment,
) -> Certificate:
    """Compare equal things ``comparisons`` times, then a planted slow-down.

    Args:
        planted_comparisons: None for as many as of equal things.
        equal, planted: pairs (reference, other); None is the built-in numpy target with 20 against 20 or 21 kernels.
        measure: as `run_experiment`.
    """
    times = {"equal": comparisons, "planted": comparisons if planted_comparisons is None else planted_comparisons}
    if min(times.values()) < 1:
        raise UsageError("at least one comparison of each kind is needed", evidence=f"{times}")
    chosen = settings or Settings()
    counts = {"false": 0, "found": 0, "wrong": 0}
    floors: list[float] = []
    for kind, pair in (("equal", equal or numpy_pair(0)), ("planted", planted or numpy_pair(1))):
        for number in range(times[kind]):
            record = measure(pair, reference=pair[0].key, settings=_seeded(chosen, number))
            verdict = record.verdict(pair[1].key)
            said = "" if verdict is None else str(verdict.kind)
            if record.noise_floor is not None:
                floors.append(record.noise_floor)
            counts["false"] += kind == "equal" and said in ("FASTER", "SLOWER")
            counts["found"] += kind == "planted" and said == "SLOWER"
            counts["wrong"] += kind == "planted" and said == "FASTER"
            if tell is not None:
                tell(f"{kind} {number + 1} of {times[kind]}: {verdict or 'no verdict'}")
    return Certificate(
        comparisons=comparisons,
        planted=times["planted"],
        false_verdicts=counts["false"],
        found=counts["found"],
        wrong_directions=counts["wrong"],
        floor=statistics.median(floors) if floors else None,
        host=host_name(),
        version=__version__,
    )


def numpy_pair(more_kernels: int) -> tuple[TargetDescription, TargetDescription]:
    """The built-in target of about 1 ms, and the same with more kernels (5 % each)."""

    def description(key: str, kernels: int) -> TargetDescription:
        return TargetDescription(
            key=key,
            factory="turnkey.measure.numpy_target:load_numpy",
            arguments={"kernels": kernels, "size": _KERNEL_SIZE},
            facts={"runtime": "numpy"},
        )

    return description("original", _KERNELS), description("other", _KERNELS + more_kernels)


def host_name() -> str:
    """What a certificate holds for: processor, CPUs allowed and quota."""
    quota = host.cgroup_cpu_quota()
    return f"{host.processor()}, {len(host.affinity_cpus())} CPUs" + ("" if quota is None else f", quota {quota:g}")


def save(certificate: Certificate, directory: Path) -> None:
    """Keep it for reports; replaces an older one atomically."""
    directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / _FILE) as unfinished:
        unfinished.write_text(json.dumps(asdict(certificate), indent=1), encoding="utf-8")


def load(directory: Path) -> Certificate | None:
    """The certificate of this host and this version; None if there is none, or it is of another host or version."""
    try:
        fields: Mapping[str, Any] = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        found = Certificate(**fields)
    except (OSError, ValueError, TypeError):
        return None
    return found if (found.host, found.version) == (host_name(), __version__) else None


def _seeded(settings: Settings, number: int) -> Settings:
    return replace(settings, seed=settings.seed + number)
