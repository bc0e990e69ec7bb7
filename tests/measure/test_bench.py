"""The timed loops and what surrounds them: garbage collection, rotation of samples, notes about data."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from turnkey.measure import bench as bench_module
from turnkey.measure.bench import Bench, timed_calls, timed_loops
from turnkey.measure.numpy_target import NumpyTarget


class Watching(NumpyTarget):
    """Notes what it is called with and whether garbage was being collected."""

    def __init__(self) -> None:
        super().__init__(kernels=1, size=8)
        self.seen: list[int] = []
        self.collecting: list[bool] = []

    def prepare(self, sample: dict[str, np.ndarray]) -> Any:
        return (len(self.seen) == 0, float(sample["x"][0]), sample["x"])

    def run(self, prepared: Any) -> Any:
        self.collecting.append(gc.isenabled())
        self.seen.append(hash(prepared[1]))
        return super().run(prepared[2])


def loaded(target: NumpyTarget, *, same_input: bool = False) -> Bench:
    bench = Bench(lambda: target, same_input=same_input)
    bench.arrive()
    bench.load()
    return bench


def test_every_call_is_timed_in_order() -> None:
    done: list[str] = []
    storage = [0] * 3
    timed_calls(done.append, ["a", "b", "c"], storage)
    assert done == ["a", "b", "c"]
    assert all(value > 0 for value in storage)


def test_inner_loops_time_all_their_calls_together() -> None:
    done: list[str] = []
    storage = [0] * 2
    timed_loops(done.append, ["a", "b"], storage, 3)
    assert done == ["a"] * 3 + ["b"] * 3


def test_letting_a_result_go_is_not_part_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0

    class Costly:
        def __del__(self) -> None:
            nonlocal now
            now += 1000

    def call(_: object) -> Costly:
        nonlocal now
        now += 7
        return Costly()

    monkeypatch.setattr(bench_module.time, "perf_counter_ns", lambda: now)
    storage = [0] * 3
    timed_calls(call, [0, 0, 0], storage)
    assert storage == [7, 7, 7]
    assert now == 3 * 1007


def test_nothing_is_collected_inside_a_slice_and_collection_comes_back_afterwards() -> None:
    target = Watching()
    bench = loaded(target)
    bench.warm(call_ns=1e6, n_warm=0, freeze=False)
    target.collecting.clear()
    assert gc.isenabled()
    bench.slice(entries=5, inner=1)
    assert target.collecting == [False] * 6
    assert gc.isenabled()


def test_samples_rotate_from_slice_to_slice_and_one_is_used_for_the_hot_case() -> None:
    target = Watching()
    bench = loaded(target)
    target.seen.clear()
    for _ in range(4):
        bench.slice(entries=3, inner=1)
    assert len(set(target.seen)) == 8
    assert target.seen[:8] == target.seen[8:]
    hot = Watching()
    bench = loaded(hot, same_input=True)
    hot.seen.clear()
    bench.slice(entries=7, inner=1)
    assert len(set(hot.seen)) == 1


def test_a_single_sample_is_copied_so_that_the_rotation_does_not_stay_in_the_caches() -> None:
    class Lonely(Watching):
        def samples(self) -> list[dict[str, np.ndarray]]:
            return super().samples()[:1]

        def prepare(self, sample: dict[str, np.ndarray]) -> Any:
            return (False, float(id(sample["x"])), sample["x"])

    target = Lonely()
    bench = loaded(target)
    target.seen.clear()
    bench.slice(entries=7, inner=1)
    assert len(set(target.seen)) == 8
    hot = Lonely()
    bench = loaded(hot, same_input=True)
    hot.seen.clear()
    bench.slice(entries=7, inner=1)
    assert len(set(hot.seen)) == 1


def test_copies_of_inputs_never_take_more_than_a_quarter_of_a_gibibyte() -> None:
    assert len(bench_module._copies([{"x": np.zeros(8)}])) == 7
    assert len(bench_module._copies([{"x": np.broadcast_to(np.zeros(1), (1 << 24,))}])) == 1  # 128 MiB each
    assert bench_module._copies([{"x": np.zeros(8)}] * 9) == []
    assert len(bench_module._copies([{}])) == 7


def test_a_slice_has_a_settling_call_and_exactly_its_entries() -> None:
    report = loaded(NumpyTarget(kernels=1, size=8)).slice(entries=4, inner=5)
    assert len(report.ns) == 4
    assert report.settle > 0
    assert report.cpu is not None


@pytest.mark.parametrize(("value", "note"), [(np.nan, "input x holds NaN"), (1e-310, "denormals")])
def test_inputs_that_change_how_fast_kernels_are_get_a_note(value: float, note: str) -> None:
    class Planted(NumpyTarget):
        def samples(self) -> list[dict[str, np.ndarray]]:
            return [{"x": np.full(8, value)}]

    bench = Bench(lambda: Planted(kernels=1, size=8))
    bench.arrive()
    report = bench.load()
    assert any(note in said for said in report.notes)


def test_dtypes_and_shapes_of_all_samples_are_told() -> None:
    class Varied(NumpyTarget):
        def samples(self) -> list[dict[str, np.ndarray]]:
            return [{"x": np.zeros(size), "k": np.zeros((), np.int64)} for size in (8, 8, 4)]

        def run(self, prepared: Any) -> Any:
            return prepared

    bench = Bench(lambda: Varied())
    bench.arrive()
    assert bench.load().inputs == {"x": "float64[8] float64[4]", "k": "int64[]"}


def test_an_infinite_output_is_noted() -> None:
    class Infinite(NumpyTarget):
        def run(self, prepared: Any) -> Any:
            return np.array([np.inf])

    bench = Bench(lambda: Infinite(kernels=1, size=8))
    bench.arrive()
    report = bench.load()
    assert "output y holds NaN or infinity" in report.notes
    assert report.wrong is not None
