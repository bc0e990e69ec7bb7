"""torch, eager and compiled, behind the runtime interface."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from turnkey.errors import ConversionError, UsageError
from turnkey.model.call import CallStructure, Leaf, Opaque
from turnkey.runtimes import LoadRequest, find_runtime
from turnkey.runtimes.torch_eager import left_as_it_was


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x, scale=1.0):
        return {"y": self.dropout(self.linear(x)) * scale, "grad": torch.tensor(torch.is_grad_enabled())}


def request(module, **given):
    structure = CallStructure(args=(Leaf("x"),), kwargs={"scale": 2.0})
    return LoadRequest(module=module, structure=structure, **{"threads": 1, **given})


def test_the_module_runs_in_evaluation_mode_without_gradients_and_gets_its_flags_and_threads_back():
    module = Net().train()
    module.linear.eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runner = find_runtime("torch").load(request(module))
        x = np.ones((4, 3), np.float32)
        outputs = runner.outputs(runner.run(runner.prepare({"x": x})))
        assert torch.get_num_threads() == 1
        runner.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    expected = 2 * torch.nn.functional.linear(torch.ones(4, 3), module.linear.weight, module.linear.bias)
    np.testing.assert_allclose(outputs["y"], expected.detach().numpy(), rtol=1e-6)
    assert not outputs["grad"]
    assert module.training
    assert not module.linear.training


def test_runners_that_are_open_at_once_leave_the_users_process_with_gradients():
    first, second = (find_runtime("torch").load(request(Net())) for _ in range(2))
    prepared = first.prepare({"x": np.ones((4, 3), np.float32)})
    assert not first.outputs(first.run(prepared))["grad"]
    assert torch.is_grad_enabled(), "gradients are off in a call alone"
    first.close()
    second.close()
    assert torch.is_grad_enabled()


def test_an_unknown_option_a_missing_module_and_a_missing_device_are_usage_errors():
    runtime = find_runtime("torch")
    with pytest.raises(UsageError, match="mode"):
        runtime.load(request(Net(), options={"mode": "fast"}))
    with pytest.raises(UsageError, match="live PyTorch model"):
        runtime.load(request(None))
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="cuda"):
            runtime.load(request(Net(), device="cuda"))


def test_the_compiled_module_computes_the_same_and_leaves_no_trace_on_the_users_object():
    module = Net().eval()
    before = set(vars(module))
    runner = find_runtime("torch-compile").load(request(module, options={"backend": "eager"}))
    prepared = runner.prepare({"x": np.ones((2, 3), np.float32)})
    runner.compile(prepared)
    eager = find_runtime("torch").load(request(module))
    compiled, plain = runner.outputs(runner.run(prepared)), eager.outputs(eager.run(prepared))
    np.testing.assert_allclose(compiled["y"], plain["y"], rtol=1e-6)
    assert runner.describe()["graphs"] >= 1
    assert set(vars(module)) == before


def test_a_module_that_was_compiled_by_its_script_is_measured_uncompiled():
    module = torch.compile(Net(), backend="eager")
    runner = find_runtime("torch").load(request(module))
    assert isinstance(runner._call, Net)


def test_a_backend_that_fails_is_a_conversion_error_with_its_reason():
    def broken(graph, inputs):
        raise RuntimeError("no code for this graph")

    torch._dynamo.register_backend(broken, name="broken_for_test")
    runner = find_runtime("torch-compile").load(request(Net(), options={"backend": "broken_for_test"}))
    with pytest.raises(ConversionError, match="broken_for_test") as caught:
        runner.compile(runner.prepare({"x": np.ones((2, 3), np.float32)}))
    assert "no code for this graph" in caught.value.evidence


@pytest.mark.needs("transformers")
def test_a_key_value_cache_is_made_anew_for_every_call_and_does_not_grow():
    from transformers.cache_utils import DynamicCache

    from turnkey.model.call import flatten_call
    from turnkey.model.torch_bridge import array_of, is_tensor

    class Decoder(torch.nn.Module):
        def forward(self, x, cache):
            keys, _ = cache.update(x, x, 0)
            return keys

    cache = DynamicCache()
    cache.update(torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4), 0)
    x = torch.full((1, 2, 1, 4), 2.0)
    tensors, structure = flatten_call((x, cache), {}, ("x", "cache"), is_tensor=is_tensor)
    model = Decoder()
    runner = find_runtime("torch").load(LoadRequest(module=model, structure=structure, threads=1))
    prepared = runner.prepare({name: array_of(tensor) for name, tensor in tensors.items()})
    first, second = runner.outputs(runner.run(prepared)), runner.outputs(runner.run(prepared))
    assert first["output"].shape == second["output"].shape == (1, 2, 4, 4)


def test_an_object_of_the_call_is_copied_and_the_record_warns():
    class Counting(torch.nn.Module):
        def forward(self, x, seen):
            seen.append(1)
            return x + len(seen)

    seen = ["the user's own"]
    structure = CallStructure(args=(Leaf("x"), Opaque(seen)), kwargs={})
    runner = find_runtime("torch").load(LoadRequest(module=Counting(), structure=structure, threads=1))
    runner.run(runner.prepare({"x": np.zeros(1, np.float32)}))
    assert len(seen) == 1
    assert "later calls see the change" in runner.describe()["notes"][0]


@pytest.mark.parametrize(
    ("name", "options", "dtype"),
    [("torch", {"autocast": "bf16"}, "bfloat16"), ("torch-bf16", {}, "bfloat16"), ("torch-fp16", {}, "float16")],
)
def test_autocast_computes_products_in_the_narrow_type_near_to_the_module_itself(name, options, dtype):
    module = Net().eval()
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    runner = find_runtime(name).load(request(module, options=options))
    outputs = runner.outputs(runner.run(runner.prepare({"x": x})))["y"]
    eager = find_runtime("torch").load(request(module))
    exact = eager.outputs(eager.run(eager.prepare({"x": x})))["y"]
    assert str(outputs.dtype) == dtype
    error = np.abs(outputs.astype(np.float32) - exact).max()
    assert 0 < error < 0.05


def test_a_type_that_torch_does_not_autocast_to_is_a_usage_error_and_a_preset_takes_no_other():
    with pytest.raises(UsageError, match="autocast cannot be 'int8'"):
        find_runtime("torch").load(request(Net(), options={"autocast": "int8"}))
    with pytest.raises(UsageError, match="torch-bf16 has no option called 'autocast'"):
        find_runtime("torch-bf16").load(request(Net(), options={"autocast": "fp16"}))


@pytest.mark.parametrize("option", ["fullgraph", "dynamic", "freezing"])
def test_an_option_that_is_neither_on_nor_off_is_refused_and_the_process_left_as_it_was(option):
    module, threads = Net().train(), torch.get_num_threads()
    with pytest.raises(UsageError, match=f"{option} cannot be 'perhaps'"):
        find_runtime("torch-compile").load(request(module, threads=threads + 1, options={option: "Perhaps"}))
    assert (torch.get_num_threads(), module.training) == (threads, True)


def test_where_torch_was_never_loaded_it_is_not_loaded_to_be_left_as_it_was(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    with left_as_it_was(len):
        assert "torch" not in sys.modules


def test_what_a_runtime_presets_is_part_of_its_name():
    tuned = find_runtime("torch-compile-max-autotune")
    with pytest.raises(UsageError, match="no option called 'mode'"):
        tuned.load(request(Net(), options={"mode": "default"}))
    assert find_runtime("torch-compile-freezing").compiles


@pytest.mark.slow
def test_freezing_folds_weights_and_computes_the_same():
    module = Net().eval()
    runner = find_runtime("torch-compile-freezing").load(request(module))
    prepared = runner.prepare({"x": np.ones((2, 3), np.float32)})
    runner.compile(prepared)
    eager = find_runtime("torch").load(request(module))
    np.testing.assert_allclose(
        runner.outputs(runner.run(prepared))["y"], eager.outputs(eager.run(prepared))["y"], rtol=1e-5
    )
    module.linear.weight.data.zero_()  # the user's own weights are no part of the compiled code any more
    assert runner.outputs(runner.run(prepared))["y"].any()
