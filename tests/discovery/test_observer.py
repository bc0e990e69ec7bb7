"""The observer leaves no trace, and captures samples within its bounds."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from turnkey.discovery.invocation import Budget, Reservoir
from turnkey.discovery.observer import SIGNATURES_PER_MODEL, Observer

from .conftest import Visited

ORIGINAL = nn.Module.__call__


def make_observer(**changes: object) -> Observer:
    settings = {"max_depth": 0, "sample_count": 4, "sample_bytes": 1 << 20, "keep_bytes": 1 << 30}
    return Observer(**(settings | changes), owns_file=lambda file: file == __file__)  # type: ignore[arg-type]


@pytest.fixture
def observer() -> Iterator[Observer]:
    observer = make_observer()
    observer.place()
    yield observer
    observer.remove()
    assert nn.Module.__call__ is ORIGINAL


def test_the_original_object_is_back_also_after_an_error_in_the_script(visited: Visited) -> None:
    assert visited("net = Net(); net(x); 1 / 0").outcome.exit_code == 1
    assert nn.Module.__dict__["__call__"] is ORIGINAL
    visited("nn.Module.__call__ = lambda self, *args: None")
    assert nn.Module.__dict__["__call__"] is ORIGINAL


def test_nothing_is_attached_to_models_or_classes(observer: Observer) -> None:
    net = nn.Sequential(nn.Linear(4, 4))
    before = (sorted(vars(net)), sorted(vars(nn.Linear)), len(net._forward_hooks), sorted(vars(nn.Module)))
    net(torch.ones(2, 4))
    assert (sorted(vars(net)), sorted(vars(nn.Linear)), len(net._forward_hooks), sorted(vars(nn.Module))) == before
    assert torch.nn.modules.module._global_forward_hooks == {}
    assert copy.deepcopy(net)(torch.ones(2, 4)).shape == (2, 4)
    assert pickle.loads(pickle.dumps(net))(torch.ones(2, 4)).shape == (2, 4)


def test_a_bound_call_that_was_kept_passes_on_after_the_end() -> None:
    observer = make_observer()
    observer.place()
    net = nn.Linear(4, 4)
    kept = net.__call__
    kept(torch.ones(2, 4))
    observer.remove()
    kept(torch.ones(2, 4))
    assert [invocation.calls for invocation in observer.invocations] == [1]


def test_samples_are_copies_that_later_writes_do_not_reach(observer: Observer) -> None:
    x = torch.ones(2, 4)
    net = nn.Linear(4, 4)
    net(x)
    x.fill_(7)
    assert observer.invocations[0].reservoir.samples[0]["input"].tolist() == np.ones((2, 4)).tolist()


def test_a_model_that_writes_to_its_input_is_captured_before_the_call(observer: Observer) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.add_(1)

    Writer()(torch.zeros(2))
    assert observer.invocations[0].reservoir.samples[0]["x"].tolist() == [0, 0]


def test_the_choice_of_samples_is_reproducible_bounded_and_keeps_the_first() -> None:
    chosen = []
    for _ in range(2):
        observer = make_observer()
        observer.place()
        net = nn.Identity()
        for k in range(1000):
            net(torch.full((1,), float(k)))
        observer.remove()
        (invocation,) = observer.invocations
        assert invocation.calls == 1000
        chosen.append([sample["input"].item() for sample in invocation.reservoir.samples])
    assert chosen[0] == chosen[1]
    assert chosen[0][0] == 0
    assert len(chosen[0]) == 4
    assert max(chosen[0]) > 100  # not only the first calls


def test_the_reservoir_chooses_uniformly() -> None:
    counts = np.zeros(40)
    for seed in range(2000):
        reservoir = Reservoir(6, Budget(1 << 30), seed=seed)
        for k in range(40):
            if k == reservoir.next_call:
                reservoir.offer({"x": np.array(k)})
        for sample in reservoir.samples:
            counts[int(sample["x"])] += 1
    assert counts[0] == 2000
    expected = 2000 * 5 / 39
    assert abs(counts[1:] - expected).max() < 5 * expected**0.5


def test_a_million_calls_stay_within_the_bytes() -> None:
    budget = Budget(100)
    reservoir = Reservoir(16, budget, seed=0)
    kept = 0
    for k in range(1_000_000):
        if k == reservoir.next_call:
            reservoir.offer({"x": np.zeros(5)})
            kept += 1
    assert len(reservoir.samples) == 2  # 40 bytes each
    assert kept < 100
    other = Reservoir(16, budget, seed=0)
    other.offer({"x": np.zeros(5)})
    assert len(other.samples) == 1  # the first of each signature in any case


def test_signatures_beyond_the_limit_are_counted_only(observer: Observer) -> None:
    net = nn.Identity()
    for size in range(SIGNATURES_PER_MODEL + 10):
        net(torch.ones(size))
    assert len(observer.invocations) == SIGNATURES_PER_MODEL
    assert observer.invocations[0].seen.surplus_calls == 10


def test_calls_of_tracers_are_not_the_scripts(observer: Observer) -> None:
    net = nn.Linear(4, 4)
    torch.jit.trace(net, torch.ones(2, 4), check_trace=False)
    torch.export.export(net, (torch.ones(2, 4),))
    torch.fx.symbolic_trace(nn.Sequential(net))
    assert observer.invocations == []
    net(torch.ones(2, 4))
    assert observer.invocations[0].calls == 1


def test_threads_nest_each_for_itself(observer: Observer) -> None:
    import threading

    class Slow(nn.Module):
        def forward(self, x: torch.Tensor, gate: threading.Event) -> torch.Tensor:
            gate.wait(10)
            return x

    gate, net, other = threading.Event(), Slow(), nn.Linear(4, 4)
    thread = threading.Thread(target=net, args=(torch.ones(1), gate))
    thread.start()
    other(torch.ones(2, 4))  # top-level here, while the other thread is inside a call
    gate.set()
    thread.join()
    assert sorted(type(i.seen.module).__name__ for i in observer.invocations) == ["Linear", "Slow"]
    assert all(i.depth == 0 for i in observer.invocations)


def test_inputs_on_the_meta_device_are_listed_without_sample(visited: Visited) -> None:
    visit = visited("net = Net().to('meta'); net(torch.ones(2, 4, device='meta'))")
    (model,) = visit.listing.models
    assert (model.class_name, model.calls, model.hash) == ("Net", 1, "")
    assert "meta" in model.note


def test_user_modes_do_not_see_what_the_observer_reads(visited: Visited) -> None:
    visited(
        """
        from torch.overrides import TorchFunctionMode
        names = []
        class Names(TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                names.append(func.__name__); return func(*args, **(kwargs or {}))
        net = Net()
        with Names():
            for _ in range(3): net(x)
        """
    )
    assert sys.modules["__main__"].names == ["linear", "relu"] * 3
