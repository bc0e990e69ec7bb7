"""What a run starts from: samples of the dataloader, what the source computes for them, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from turnkey.errors import ModelError
from turnkey.navigator.exceptions import ConfigurationError, UserInputError
from turnkey.navigator.format import Format
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.preprocessing import by_names, prepare

ROWS = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)


def prepared(model: Any, data: Sequence[Any], *, told: list[str] | None = None, **options: Any) -> Prepared:
    kind = Format.TORCH if isinstance(model, torch.nn.Module) else Format.PYTHON
    given: dict[str, Any] = {"sample_count": 100, "batching": True, "input_names": None, "output_names": None}
    said: list[str] = [] if told is None else told
    return prepare(model, kind, data, **{**given, **options}, say=said.append)


def test_samples_are_named_by_their_keys_whatever_the_order_else_by_position() -> None:
    a, b = np.zeros(1), np.ones(1)
    assert list(by_names({"b": b, "a": a}, ["a", "b"]).values()) == [a, b]
    assert by_names({"input__0": b, "input__1": a}, ["a", "b"]) == {"a": b, "b": a}
    with pytest.raises(UserInputError, match="inputs of the model"):
        by_names({"a": a, "c": b}, ["a", "b"])


def test_fewer_samples_than_are_to_be_compared_are_told() -> None:
    told: list[str] = []
    for count in (1, 100):
        prepared(lambda x: x + 1, [ROWS], told=told, sample_count=count)
    [text] = told
    assert "1 samples, fewer than sample_count=100" in text


def test_a_source_that_does_not_repeat_itself_is_told_since_nothing_can_agree_with_it() -> None:
    class Dropping(torch.nn.Module):
        def __init__(self, *, always: bool) -> None:
            super().__init__()
            self.always = always

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.dropout(x + 2, training=self.always or self.training)

    told: list[str] = []
    torch.manual_seed(0)
    prepared(Dropping(always=False).train(), [torch.ones(2, 64)], told=told, sample_count=1)
    assert told == [], "dropout is off in evaluation mode"
    prepared(Dropping(always=True), [torch.ones(2, 64)], told=told, sample_count=1)
    assert any("does not repeat itself" in text for text in told)


def by_sign(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"positive" if x.sum() > 0 else "negative": x}


def by_length(x: np.ndarray) -> np.ndarray:
    return x if len(x) > 2 else x[:, 0]


@pytest.mark.parametrize("model", [by_sign, by_length])
def test_a_source_whose_outputs_change_over_the_samples_is_refused(model: Any) -> None:
    data = [ROWS - 1, np.concatenate([ROWS, ROWS]) + 1]
    with pytest.raises(ModelError, match="other outputs for some samples"):
        prepared(model, data)


@pytest.mark.parametrize("empty_at", [0, 1])
def test_a_sample_without_rows_is_refused_wherever_it_stands(empty_at: int) -> None:
    data = [ROWS, ROWS]
    data[empty_at] = ROWS[:0]
    with pytest.raises(ConfigurationError, match="no batch axis") as raised:
        prepared(lambda x: x + 1, data)
    assert raised.value.evidence == "input__0 [0, 4]"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_source_that_gives_nan_is_refused_in_types_that_numpy_does_not_know_too(dtype: torch.dtype) -> None:
    class Logarithm(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.to(dtype).log()

    with pytest.raises(ModelError, match="holds NaN or infinity") as raised:
        prepared(Logarithm(), [torch.tensor([[1.0, -1.0], [2.0, 3.0]])])
    assert raised.value.evidence == "1 of 4 elements"


def test_a_batch_that_memory_cannot_hold_is_told_and_never_made() -> None:
    told: list[str] = []
    found = prepared(lambda x: x + 1, [ROWS], told=told, further_batches=[10**15])
    assert "batch size 1000000000000000 is not checked: its inputs and outputs do not fit into memory" in told
    assert set(found.sizes) == {1, 4}
    with pytest.raises(ModelError, match="do not fit into memory"):
        found.at_batch(10**15)
