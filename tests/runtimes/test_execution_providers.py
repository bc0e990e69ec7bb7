"""Which execution providers a session is asked for."""

from __future__ import annotations

import pytest

from turnkey.errors import UsageError
from turnkey.runtimes.execution_providers import execution_providers


def test_a_second_gpu_is_named_to_every_provider_that_runs_on_it():
    cuda = execution_providers({}, "cuda:1")
    assert cuda.available(["CPUExecutionProvider", "CUDAExecutionProvider"]) == [
        ("CUDAExecutionProvider", {"device_id": "1"})
    ]
    both = execution_providers({"provider": ["Tensorrt", "CUDA", "CPU"]}, "cuda:1")
    assert [told.get("device_id") for _, told in both.available(list(both.names))] == ["1", "1", None]
    assert execution_providers({}, "cuda").options == {}


def test_the_users_own_device_number_and_options_win():
    found = execution_providers({"CUDA.device_id": 2, "CPU.x": 1, "spinning": "off"}, "cuda:1")
    assert found.options == {"CUDAExecutionProvider": {"device_id": "2"}}
    assert found.option_keys == {"CUDA.device_id"}, "CPU was not asked for: its option is refused as unknown"


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x"])
def test_a_device_that_nothing_runs_on_is_refused(device):
    with pytest.raises(UsageError, match=device):
        execution_providers({}, device)


def test_a_provider_that_is_named_needs_no_known_device():
    assert execution_providers({"provider": "OpenVINO"}, "npu").names == ("OpenVINOExecutionProvider",)
