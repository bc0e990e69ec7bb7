"""The bench: one target and the tight loops that time it. Runs in the worker process (or in-process, flagged).

The timed loop does nothing but read the clock around the call and keep the difference in storage made before.
A result is let go after the clock was read: freeing it is the caller's cost, not the call's.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.measure import warmup
from turnkey.measure.crew import LoadReport, SliceReport
from turnkey.measure.target import DeviceTimer, Target
from turnkey.measure.warmup import WarmUp

_STATUS = Path("/proc/self/status")
_ROTATION = 8
_ROTATION_BYTES = 256 << 20
"""At most so much memory for inputs, copies among them."""
_MHZ = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")


def timed_calls(run: Callable[[Any], Any], prepared: Sequence[Any], storage: list[int]) -> None:
    """Time one call per item of ``prepared`` into ``storage`` (nanoseconds); both of the same length."""
    clock = time.perf_counter_ns
    for position, item in enumerate(prepared):
        begin = clock()
        result = run(item)
        storage[position] = clock() - begin
        del result


def timed_loops(run: Callable[[Any], Any], prepared: Sequence[Any], storage: list[int], inner: int) -> None:
    """Time ``inner`` calls per item of ``prepared`` together: for calls below the clock's useful resolution."""
    clock = time.perf_counter_ns
    for position, item in enumerate(prepared):
        turns = itertools.repeat(None, inner)
        begin = clock()
        for _ in turns:
            run(item)
        storage[position] = clock() - begin


def timed_cold_calls(
    run: Callable[[Any], Any], prepared: Sequence[Any], storage: list[int], flush: Callable[[], None]
) -> None:
    """As `timed_calls`, with the device's cache overwritten before each call, untimed."""
    for position, item in enumerate(prepared):
        flush()
        single = [0]
        timed_calls(run, [item], single)
        storage[position] = single[0]


class Bench:
    """One target under the engine's commands, in the order arrive, load, (calibrate | warm), slice …

    Args:
        make: imports and makes the target (its duration is the import step).
        same_input: time with the first sample only (the hot case).
        cold_cache: overwrite the device's cache before each timed call, where the target has a device.
    """

    def __init__(self, make: Callable[[], Target], *, same_input: bool = False, cold_cache: bool = False) -> None:
        self._make = make
        self._same_input = same_input
        self._cold_cache = cold_cache
        self._timer: DeviceTimer | None = None
        self._target: Target
        self._prepared: list[Any] = []
        self._position = 0

    def arrive(self) -> None:
        """Import the runtime and make the target."""
        with _NoCollection():  # a tenth of the time of large imports is looking for garbage that is not there
            begin = time.perf_counter_ns()
            self._target = self._make()
            self._import_ns = time.perf_counter_ns() - begin

    def load(self) -> LoadReport:
        """Load, compile, call for the first time, check every sample; each step timed apart."""
        clock = time.perf_counter_ns
        target = self._target
        after_import = resident_bytes()
        load_begin = clock()
        target.load()
        loaded = clock()
        self._timer = getattr(target, "device_timer", None)
        compiled_here = target.compile()
        compiled = clock()
        samples = target.samples()
        self._prepared = [target.prepare(sample) for sample in samples]
        begin_first = clock()
        result = target.run(self._prepared[0])
        first = clock() - begin_first
        wrong, notes = self._check(0, result)
        times = []
        for index, item in enumerate(self._prepared):
            begin_call = clock()
            result = target.run(item)
            times.append(clock() - begin_call)
            said, noted = self._check(index, result)
            wrong, notes = wrong or said, notes | noted
        if self._same_input:
            self._prepared = self._prepared[:1]
        else:
            self._prepared += [target.prepare(copy) for copy in _copies(samples)]
        return LoadReport(
            import_ns=self._import_ns,
            load_ns=loaded - load_begin,
            compile_ns=compiled - loaded if compiled_here else None,
            first_ns=first,
            call_ns=float(np.median(times)),
            samples=len(samples),
            inputs=_forms(samples),
            wrong=wrong,
            facts=dict(target.describe()),
            memory={
                name: size
                for name, size in (("after_import", after_import), ("after_load", resident_bytes()))
                if size is not None
            },
            notes=tuple(sorted(notes | _input_notes(samples))),
        )

    def calibrate(self, *, call_ns: float) -> WarmUp:
        with _NoCollection():
            return warmup.calibrate(self._time_calls, call_ns=call_ns)

    def warm(self, *, call_ns: float, n_warm: int, freeze: bool = True) -> WarmUp:
        """Warm up; then collect garbage once and, in a process of our own, switch collection off for good."""
        with _NoCollection():
            done = warmup.warm(self._time_calls, call_ns=call_ns, n_warm=n_warm)
        gc.collect()
        if freeze:
            gc.freeze()
            gc.disable()
        self._position = 0
        return done

    def slice(self, *, entries: int, inner: int) -> SliceReport:
        """One settling call, then ``entries`` timings of ``inner`` calls each."""
        order = self._next(entries + 1)
        settle, storage = [0], [0] * entries
        timer = self._timer if inner == 1 else None
        run = self._target.run if timer is None else timer.run
        with _NoCollection():
            switches, cpu, t0 = _switches(), time.process_time_ns(), time.monotonic_ns()
            timed_calls(run, order[:1], settle)
            if timer is not None and self._cold_cache:
                timed_cold_calls(run, order[1:], storage, timer.flush)
            elif inner == 1:
                timed_calls(run, order[1:], storage)
            else:
                timed_loops(run, order[1:], storage, inner)
            cpu = time.process_time_ns() - cpu
            after = _switches()
        return SliceReport(
            t0=t0,
            settle=settle[0],
            ns=tuple(storage),
            cpu=cpu,
            switches=None if switches is None or after is None else after - switches,
            mhz=_mhz(),
            device={} if timer is None else {part: tuple(times[1:]) for part, times in timer.read().items()},
        )

    def drive(self, *, kind: str, **arguments: Any) -> dict[str, Any]:
        """Carry a load shape; see `turnkey.measure.drive`, and ``cpu``: processor time meanwhile, nanoseconds."""
        from turnkey.measure import drive  # threads and queues: only for load shapes

        with _NoCollection():
            cpu = time.process_time_ns()
            found = drive.KINDS[kind](self._target.run, self._prepared, **arguments)
            return {**found, "cpu": time.process_time_ns() - cpu}

    def peak_memory(self) -> int | None:
        return _status_bytes("VmHWM")

    def _time_calls(self, count: int) -> list[int]:
        storage = [0] * count
        timed_calls(self._target.run, self._next(count), storage)
        return storage

    def _next(self, count: int) -> list[Any]:
        """The next prepared samples of the rotation: the same order in every process."""
        size = len(self._prepared)
        order = [self._prepared[(self._position + i) % size] for i in range(count)]
        self._position = (self._position + count) % size
        return order

    def _check(self, index: int, result: Any) -> tuple[str | None, set[str]]:
        outputs = self._target.outputs(result)
        notes = set()
        for name, array in outputs.items():
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                notes.add(f"output {name} holds NaN or infinity")
        return self._target.check(index, outputs), notes


def resident_bytes() -> int | None:
    """Resident size of this process; None where the kernel does not say."""
    return _status_bytes("VmRSS")


def _copies(samples: Sequence[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """Copies that fill a short rotation up to eight: the same values elsewhere in memory, so not in the caches."""
    size = sum(array.nbytes for sample in samples for array in sample.values()) / len(samples)
    fitting = _ROTATION if size == 0 else int(_ROTATION_BYTES / size)
    missing = min(_ROTATION, fitting) - len(samples)
    return [
        {name: array.copy() for name, array in samples[index % len(samples)].items()}
        for index in range(max(0, missing))
    ]


def _forms(samples: Sequence[dict[str, np.ndarray]]) -> dict[str, str]:
    """Dtype and shape of each input, of every distinct one over the samples."""
    found: dict[str, dict[str, None]] = {}
    for sample in samples:
        for name, array in sample.items():
            found.setdefault(name, {})[f"{array.dtype}{list(array.shape)}"] = None
    return {name: " ".join(forms) for name, forms in found.items()}


class _NoCollection:
    """No garbage collection inside; the state before is restored."""

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._was_enabled:
            gc.enable()


def _input_notes(samples: Sequence[dict[str, np.ndarray]]) -> set[str]:
    """NaN, infinities and denormals (10 to 100 times slower kernels) among the inputs."""
    notes = set()
    for sample in samples:
        for name, array in sample.items():
            if not np.issubdtype(array.dtype, np.floating):
                continue
            if not np.isfinite(array).all():
                notes.add(f"input {name} holds NaN or infinity")
            elif ((array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)).any():
                notes.add("denormals")
    return notes


def _status_bytes(field: str) -> int | None:
    try:
        text = _STATUS.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _switches() -> int | None:
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def _mhz() -> float | None:
    try:
        return int(_MHZ.read_text()) / 1000
    except (OSError, ValueError):
        return None
