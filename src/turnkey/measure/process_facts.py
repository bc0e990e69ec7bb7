"""What the processes of an experiment told of themselves: durations of their start, memory, threads, notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnkey.measure.statistics import median


class ProcessFacts:
    """A view of the entries of ``run.json``: of the calibration, then of the rounds in order."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        self.in_rounds: Sequence[Mapping[str, Any]] = [
            process for entry in run["rounds"] for process in entry["processes"]
        ]
        self.all: Sequence[Mapping[str, Any]] = [*run.get("calibration", []), *self.in_rounds]

    def of(self, key: str) -> list[Mapping[str, Any]]:
        """Of the processes of one candidate that loaded it."""
        return [process for process in self.all if process["v"] == key and process.get("load_ns") is not None]

    def is_wrong(self, key: str) -> bool:
        """Whether some process of it had wrong outputs."""
        return any(process["v"] == key and process.get("wrong") for process in self.all)

    def threads(self) -> dict[str, int]:
        """Threads by candidate, where its runtime says what it took."""
        told = {process["v"]: (process.get("facts") or {}).get("threads") for process in self.all}
        return {key: threads for key, threads in told.items() if threads}

    def described(self, key: str) -> dict[str, Any]:
        """What the runner of the last process said of itself."""
        processes = self.of(key)
        return dict(processes[-1].get("facts") or {}) if processes else {}

    def inputs(self, key: str) -> dict[str, Any]:
        """Number of ``samples`` that its processes got, and ``inputs``: their dtypes and shapes, where known."""
        last: Mapping[str, Any] = next(reversed(self.of(key)), {})
        told = {"samples": last.get("samples"), "inputs": ", ".join(map(" ".join, (last.get("inputs") or {}).items()))}
        return {name: value for name, value in told.items() if value}

    def notes(self, key: str) -> list[str]:
        return [note for process in self.of(key) for note in process.get("notes", ())]

    def steps(self, key: str) -> dict[str, Any]:
        """Durations of starting (medians over processes), energy and memory: fields of `CandidateSummary`."""
        processes = self.of(key)

        def middle(name: str) -> float | None:
            values = [p[name] for p in processes if p.get(name) is not None]
            return median(values) / 1e6 if values else None

        calibrated = [p["n_warm"] for p in processes if p.get("n_warm") is not None]
        joules = sum(p.get("joules", 0.0) for p in processes)
        energy_calls = sum(p.get("joules_calls", 0) for p in processes)
        peaks = [p["peak_bytes"] for p in processes if p.get("peak_bytes") is not None]
        return {
            # Imports share the cores with those of other processes: the least disturbed one counts.
            "import_ms": min((p["import_ns"] for p in processes if p.get("import_ns") is not None), default=0) / 1e6
            or None,
            "load_ms": middle("load_ns"),
            "first_load_ms": processes[0]["load_ns"] / 1e6 if processes else None,
            "compile_ms": middle("compile_ns"),
            "first_ms": middle("first_ns"),
            "warm_calls": calibrated[0] if calibrated else None,
            "joules_per_call": joules / energy_calls if energy_calls else None,
            "peak_memory_bytes": peaks[0] if peaks else None,
        }
