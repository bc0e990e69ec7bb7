"""Any callable on numpy arrays behind the runtime interface, and as a source of truth."""

from __future__ import annotations

import numpy as np
import pytest
from source_models import samples_of_x, source_model

from turnkey.errors import ModelError, UsageError
from turnkey.model.call import CallStructure, Leaf
from turnkey.runtimes import LoadRequest, find_runtime
from turnkey.runtimes.handover import handed_over
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.target import load_target

STRUCTURE = CallStructure(args=(Leaf("x"),), kwargs={"shift": 1.0})
SAMPLE = {"x": np.arange(3.0)}


def shifted(x, shift):
    return {"sum": x.sum() + shift, "moved": x + shift}


def source_of(function):
    return source_model(function, samples_of_x(SAMPLE["x"], structure=STRUCTURE), class_name="shifted")


def test_a_function_is_called_with_its_arguments_and_gives_named_arrays():
    runner = find_runtime("python").load(LoadRequest(module=shifted, structure=STRUCTURE, threads=2))
    outputs = runner.outputs(runner.run(runner.prepare(SAMPLE)))
    assert list(outputs) == ["sum", "moved"]
    np.testing.assert_array_equal(outputs["moved"], [1.0, 2.0, 3.0])
    assert outputs["sum"] == 4.0
    assert "2 were meant" in runner.describe()["notes"][0]
    runner.close()


def test_without_a_function_or_the_structure_of_its_calls_nothing_is_loaded():
    runtime = find_runtime("python")
    with pytest.raises(UsageError, match="live callable"):
        runtime.load(LoadRequest(threads=1))
    with pytest.raises(ModelError, match="how the function is called"):
        runtime.load(LoadRequest(module=shifted, threads=1))
    with pytest.raises(UsageError, match="no option called 'fast'"):
        runtime.load(LoadRequest(module=shifted, structure=STRUCTURE, threads=1, options={"fast": True}))


def test_a_function_is_a_source_of_truth_and_what_it_does_to_its_arguments_stays_its_own():
    def destructive(x, shift):
        x += shift
        return x

    source = source_of(destructive)
    assert source.live_format == "python"
    complete = Reference(source).with_outputs(source.samples)
    np.testing.assert_array_equal(complete.outputs[0]["output"], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(SAMPLE["x"], [0.0, 1.0, 2.0])


def test_a_function_that_fails_is_a_model_error_with_its_words():
    def failing(x, shift):
        raise KeyError("no such column")

    with pytest.raises(ModelError, match="fails on a sample") as caught:
        Reference(source_of(failing)).outputs(SAMPLE, STRUCTURE)
    assert "no such column" in caught.value.evidence


def test_a_function_reaches_a_fresh_process_as_a_module_does():
    factor = 3.0

    def scaled(x, shift):
        return x * factor + shift

    source = source_of(scaled)
    complete = Reference(source).with_outputs(source.samples)
    with handed_over(source, complete, with_module=True) as handover:
        target = load_target(
            threads=1, runtime="python", samples=str(handover.samples), module=dict(handover.module), options={}
        )
        target.load()
        outputs = target.outputs(target.run(target.prepare(target.samples()[0])))
        assert target.check(0, outputs) is None
        assert target.describe()["verification"] == "valid"
        target.close()
