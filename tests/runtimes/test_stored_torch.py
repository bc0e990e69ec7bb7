"""Runtimes of stored torch variants: what they refuse, and what they give back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from turnkey.errors import ArtifactError, InputError, UsageError
from turnkey.formats.stored_call import StoredCall, stored_call_path, write_stored_call
from turnkey.model.signature import Signature, TensorSpec
from turnkey.runtimes import LoadRequest, find_runtime

RUNTIMES = ("torchscript", "torch-exportedprogram", "torch-aoti")


@pytest.fixture
def path(tmp_path):
    """A TorchScript file with two inputs, called by position."""

    class Weighted(torch.nn.Module):
        def forward(self, x, weight):
            return (x * weight,)

    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.trace(Weighted(), (torch.ones(2), torch.ones(2))), str(path))
    specs = tuple(TensorSpec(name=name, dtype="float32", shape=(2,)) for name in ("x", "weight", "y"))
    write_stored_call(StoredCall(signature=Signature(inputs=specs[:2], outputs=specs[2:])), path)
    return path


@pytest.mark.parametrize("name", RUNTIMES)
def test_without_a_file_with_an_option_or_with_a_device_that_is_not_there_nothing_is_loaded(name, path):
    runtime = find_runtime(name)
    with pytest.raises(UsageError, match="executes files") as caught:
        runtime.load(LoadRequest(threads=1))
    assert "convert --to" in caught.value.remedy
    with pytest.raises(UsageError, match="no option called 'mode'"):
        runtime.load(LoadRequest(path=path, threads=1, options={"mode": "fast"}))
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no device 'cuda'"):
            runtime.load(LoadRequest(path=path, threads=1, device="cuda"))


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_file_of_which_nobody_knows_how_it_is_called_is_refused(name, path):
    stored_call_path(path).unlink()
    with pytest.raises(ArtifactError, match="not known how"):
        find_runtime(name).load(LoadRequest(path=path, threads=1))


def test_inputs_go_by_name_whatever_their_order_and_a_missing_one_is_named(path):
    runner = find_runtime("torchscript").load(LoadRequest(path=path, threads=1))
    weight, x = np.array([2.0, 3.0], np.float32), np.array([1.0, 10.0], np.float32)
    outputs = runner.outputs(runner.run(runner.prepare({"weight": weight, "x": x})))
    np.testing.assert_array_equal(outputs["y"], [2.0, 30.0])
    with pytest.raises(InputError, match="does not have: weight"):
        runner.prepare({"x": x})


def test_threads_of_the_process_are_given_back(path):
    threads = torch.get_num_threads()
    runner = find_runtime("torchscript").load(LoadRequest(path=path, threads=threads + 1))
    assert runner.describe()["threads"] == threads + 1
    runner.close()
    assert torch.get_num_threads() == threads
