"""What is made of a profiler's events."""

from __future__ import annotations

from types import SimpleNamespace

from turnkey.runtimes.profiling import _CALL_MARK, _LAYER_MARK, _from_torch_events


def event(name, start, *, microseconds=0.0, parent=None):
    return SimpleNamespace(
        name=name, time_range=SimpleNamespace(start=start), self_cpu_time_total=microseconds, cpu_parent=parent
    )


def test_one_interrupted_call_of_torch_does_not_outweigh_the_others():
    events = []
    for number, slow in enumerate([0.0, 0.0, 490_000.0, 0.0, 0.0]):
        start = 1_000_000 * number
        call = event(_CALL_MARK, start)
        layer = event(f"{_LAYER_MARK}fc", start + 1, parent=call)
        halves = [event("aten::addmm", start + 2 + half, microseconds=3.0 + slow, parent=layer) for half in (0, 1)]
        events += [*halves, layer, call]
    [operator] = _from_torch_events(events)
    assert (operator.operator, operator.layer, operator.microseconds) == ("aten::addmm", "fc", 6.0)
