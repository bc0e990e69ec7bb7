"""``benchmark --load``: real onnxruntime workers under short loads."""

from __future__ import annotations

import pytest
from model_builds import CannotLeave, samples_of, source, state_of

from turnkey.errors import MeasurementInvalid, ModelError, UsageError
from turnkey.measure import LoadResult, Shape
from turnkey.measure.load_result import Trial
from turnkey.measure.validity import reason
from turnkey.tools import load_shape
from turnkey.tools.benchmark import Benchmark
from turnkey.tools.load_listing import load_table

SHORT = {"threads": 1, "load_seconds": 0.2}


def test_a_closed_loop_is_measured_at_each_number_of_clients_and_kept_in_the_state(file):
    state = Benchmark().run(file, load="concurrency", clients="2,1", **SHORT)
    [entry] = state.measurements
    assert [trial["clients"] for trial in entry["load"]["trials"]] == [1, 2]
    assert entry["load"]["items_per_second"] > 0
    assert state.listing.splitlines()[0].split()[:3] == ["candidate", "items/s", "clients"]
    kept = LoadResult.load(state.build_dir / entry["load_record"])
    assert kept.rate_per_s * 4 == pytest.approx(entry["load"]["items_per_second"])
    # A comparison of the same candidate keeps what it bears, and the other way round.
    both = Benchmark().run(state, effort="quick", iterations=6, threads=1)
    [entry] = both.measurements
    assert entry["latency_ms"] > 0
    assert entry["load"]["shape"] == "concurrency"
    [entry] = Benchmark().run(both, load="offline", **SHORT).measurements
    assert entry["latency_ms"] > 0
    assert entry["load"]["shape"] == "offline"


@pytest.mark.slow
def test_the_highest_rate_under_a_bound_is_searched_on_a_real_runtime(file, monkeypatch):
    monkeypatch.setattr(load_shape, "Shape", lambda **fields: Shape(**{**fields, "rounds": 1}))
    state = Benchmark().run(file, load="server", p90_bound_ms=200.0, threads=1, load_seconds=0.05)
    [entry] = state.measurements
    assert entry["load"]["quantile"] == 0.9
    assert entry["load"]["items_per_second"] > 0
    assert "queries per second with p90 within 200 ms" in state.listing


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"load": "server"}, "one latency bound"),
        ({"load": "server", "p99_bound_ms": 5.0, "p90_bound_ms": 2.0}, "one latency bound"),
        ({"load": "offline", "p99_bound_ms": 5.0}, "keeps no latency bound"),
    ],
)
def test_a_bound_belongs_to_the_server_and_to_it_alone(file, arguments, words):
    with pytest.raises(UsageError, match=words):
        Benchmark().run(file, **arguments)


def test_a_model_that_cannot_leave_this_process_cannot_be_loaded(tmp_path):
    state = state_of(tmp_path, source(CannotLeave().eval(), samples_of((2, 3, 8))))
    with pytest.raises(ModelError, match="fresh processes"):
        Benchmark().run(state, runtime="torch", load="offline", **SHORT)


def test_strict_fails_with_what_was_measured_kept(file, monkeypatch):
    def spoilt(description, shape, **_):
        trial = Trial(round=1, queries=9, throughput_per_s=3.0, clients=1, in_flight=0.5)
        law = reason("littles-law", "1 client, yet 0.50 calls in flight", key=description.key)
        return LoadResult(key=description.key, shape=shape, rate_per_s=3.0, trials=(trial,), reasons=(law,))

    monkeypatch.setattr(load_shape, "run_load", spoilt)
    state = Benchmark().run(file, load="concurrency", **SHORT)
    assert ": littles-law: " in state.listing
    assert "the client is the bottleneck" in state.listing
    with pytest.raises(MeasurementInvalid, match="must not be used") as caught:
        Benchmark().run(file, load="concurrency", strict=True, **SHORT)
    assert caught.value.state.measurements[0]["load"]["validity"] == "INVALID"


def test_the_table_of_a_server_says_what_was_kept_and_what_confirms():
    shape = Shape(kind="server", bound_ms=5.0)
    trials = (
        Trial(round=1, queries=1001, throughput_per_s=99.0, rate_per_s=100.0, p50_ms=1.0, p99_ms=4.0, kept=True),
        Trial(
            round=2, queries=1001, throughput_per_s=120.0, rate_per_s=200.0, late_sends=3, kept=False, confirms=True
        ),
    )
    result = LoadResult(key="a", shape=shape, rate_per_s=100.0, trials=trials, reasons=())
    lines = load_table([result], batch=2).splitlines()
    assert lines[1].split() == ["a", "198", "100", "1", "4", "kept", "0", "of", "1001", "1"]
    assert lines[2].split() == ["a", "240", "200", "–", "–", "broken", "3", "of", "1001", "2", "confirms"]
