"""What processes told of themselves."""

from __future__ import annotations

from turnkey.measure.process_facts import ProcessFacts

RUN = {
    "calibration": [{"v": "a", "load_ns": 5_000_000, "import_ns": 9_000_000, "n_warm": 7, "peak_bytes": 100}],
    "rounds": [
        {
            "processes": [
                {"v": "a", "load_ns": 1_000_000, "import_ns": 4_000_000, "joules": 2.0, "joules_calls": 4},
                {"v": "b", "load_ns": None, "wrong": "y differs"},
            ]
        },
        {"processes": [{"v": "a", "load_ns": 3_000_000, "facts": {"threads": 2}, "notes": ["denormals"]}]},
    ],
}


def test_steps_are_medians_over_processes_and_the_least_disturbed_import() -> None:
    steps = ProcessFacts(RUN).steps("a")
    assert (steps["load_ms"], steps["first_load_ms"], steps["import_ms"]) == (3.0, 5.0, 4.0)
    assert (steps["warm_calls"], steps["peak_memory_bytes"], steps["joules_per_call"]) == (7, 100, 0.5)
    assert steps["compile_ms"] is None
    two = {"calibration": RUN["calibration"], "rounds": RUN["rounds"][:1]}
    assert ProcessFacts(two).steps("a")["load_ms"] == 3.0  # of 1 and 5


def test_the_inputs_of_a_candidate_are_told_in_words() -> None:
    process = {"v": "a", "load_ns": 1, "samples": 8, "inputs": {"x": "float32[1, 3]", "k": "int64[1] int64[2]"}}
    assert ProcessFacts({"rounds": [{"processes": [process]}]}).inputs("a") == {
        "samples": 8,
        "inputs": "x float32[1, 3], k int64[1] int64[2]",
    }
    assert ProcessFacts(RUN).inputs("a") == ProcessFacts(RUN).inputs("z") == {}


def test_a_process_that_never_loaded_tells_nothing_but_that_it_was_wrong() -> None:
    found = ProcessFacts(RUN)
    assert found.of("b") == []
    assert found.is_wrong("b")
    assert not found.is_wrong("a")
    assert found.threads() == {"a": 2}
    assert (found.described("a"), found.notes("a")) == ({"threads": 2}, ["denormals"])
