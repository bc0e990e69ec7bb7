"""The model hash: what it depends on, what it does not, and twenty golden values that guard upgrades of torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from turnkey.model.call import flatten_call
from turnkey.model.hash import ModelHash, replay_hash, weights_hash
from turnkey.model.replay import Replay, replay
from turnkey.model.torch_bridge import array_of


def replayed(module: nn.Module, *args: Any, **kwargs: Any) -> Replay:
    names = ["x", "y", "z"]
    tensors, structure = flatten_call(args, kwargs, names, is_tensor=lambda value: isinstance(value, torch.Tensor))
    return replay(module, structure, {name: array_of(tensor) for name, tensor in tensors.items()})


def hash_of(module: nn.Module, *args: Any, **kwargs: Any) -> ModelHash:
    return replay_hash(replayed(module, *args, **kwargs))


class Function(nn.Module):
    """A module whose forward is a function."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, x: torch.Tensor, *others: torch.Tensor) -> Any:
        return self.function(x, *self.parts, *others)


def image(*shape: int) -> torch.Tensor:
    return torch.ones(shape)


GOLDEN: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...], str]] = {
    "linear": (lambda: nn.Linear(4, 3), (image(2, 4),), "56ed0053"),
    "linear without bias": (lambda: nn.Linear(4, 3, bias=False), (image(2, 4),), "e9706215"),
    "two layers": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (image(2, 4),), "21bde328"),
    "gelu": (lambda: nn.Sequential(nn.Linear(4, 3), nn.GELU()), (image(2, 4),), "c8650cc1"),
    "convolution": (lambda: nn.Conv2d(3, 4, 3, padding=1), (image(1, 3, 8, 8),), "6a7829f4"),
    "convolution with norm": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6()), (image(1, 3, 8, 8),), "918954cb"
    ),
    "pooling": (
        lambda: nn.Sequential(nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()), (image(1, 3, 8, 8),), "c26ddaec"
    ),
    "layer norm": (lambda: nn.LayerNorm(4), (image(2, 4),), "59b1e6e1"),
    "group norm": (lambda: nn.GroupNorm(2, 4), (image(1, 4, 5),), "058faa52"),
    "embedding": (lambda: nn.Embedding(10, 4), (torch.ones(2, 3, dtype=torch.int64),), "264b7f7c"),
    "attention": (
        lambda: Function(lambda x, m: m(x, x, x)[0], nn.MultiheadAttention(8, 2, batch_first=True)),
        (image(1, 3, 8),),
        "dd5c0c46",
    ),
    "encoder layer": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (image(1, 3, 8),), "ec2facac"),
    "lstm": (lambda: nn.LSTM(4, 5), (image(3, 1, 4),), "94fff0b2"),
    "gru": (lambda: nn.GRU(4, 5, bidirectional=True), (image(3, 1, 4),), "1865358d"),
    "upsampling": (lambda: nn.Upsample(scale_factor=2.0, mode="bilinear"), (image(1, 1, 4, 4),), "f4cf7be6"),
    "dropout": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)), (image(2, 4),), "913ada46"),
    "slicing and writing": (lambda: Function(_write), (image(2, 4),), "d81c9f4f"),
    "operators": (
        lambda: Function(lambda x, y: (x @ y.T + 1) / 2 - y.sum(-1)), (image(2, 4), image(2, 4)), "62a7c3e7"
    ),
    "factories": (
        lambda: Function(lambda x: x + torch.arange(x.shape[1]) * torch.ones(())), (image(2, 4),), "cd3dadc7"
    ),
    "scripted": (lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.ReLU())), (image(2, 4),), "bca3f69f"),
}  # fmt: skip


def _write(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, 1:3] = 0
    return y.add_(1)[..., None]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_hashes_stay(name: str) -> None:
    make, inputs, digest = GOLDEN[name]
    assert hash_of(make(), *inputs).digest[:8] == digest


def test_golden_hashes_are_twenty_different_ones() -> None:
    assert len({digest for _, _, digest in GOLDEN.values()}) == 20


def test_weights_seed_and_calling_style_do_not_matter() -> None:
    torch.manual_seed(0)
    first = hash_of(nn.Linear(4, 3), image(2, 4))
    assert hash_of(nn.Linear(4, 3), image(2, 4) * 5) == first
    assert hash_of(nn.Linear(4, 3), input=image(2, 4)) == first
    assert first.basis == "calls"


def test_names_of_weights_and_source_text_do_not_matter() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.something = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = self.something(x)  # another way of writing it
            return hidden.relu()

    assert hash_of(Other(), image(2, 4)) == hash_of(Function(lambda x, m: m(x).relu(), nn.Linear(4, 3)), image(2, 4))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda x: x.relu(), lambda x: F.gelu(x)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: x.sum(0), lambda x: x.sum(1)),
        (lambda x: x.double(), lambda x: x.half()),
        (lambda x: (x, x + 1), lambda x: (x + 1, x)),
        (lambda x: x[0], lambda x: x[1]),
        (lambda x: x.view(4, 2), lambda x: x.view(8)),
    ],
)
def test_operators_constants_and_wiring_matter(first: Callable[..., Any], second: Callable[..., Any]) -> None:
    assert hash_of(Function(first), image(2, 4)) != hash_of(Function(second), image(2, 4))


def test_shapes_dtypes_and_number_of_heads_matter() -> None:
    linear = nn.Linear(4, 3)
    digests = {hash_of(linear, image(2, 4)).digest, hash_of(linear, image(3, 4)).digest}
    digests.add(hash_of(linear.double(), image(2, 4).double()).digest)
    digests |= {hash_of(nn.TransformerEncoderLayer(8, n, 16), image(1, 3, 8)).digest for n in (1, 2, 4)}
    assert len(digests) == 6


OPERATIONS = st.sampled_from(["relu", "sigmoid", "tanh", "exp", "neg", "abs", "cos"])


@settings(max_examples=40, deadline=None)
@given(st.lists(OPERATIONS, min_size=1, max_size=5), st.lists(OPERATIONS, max_size=5))
def test_two_chains_have_one_hash_exactly_if_they_are_the_same(first: list[str], second: list[str]) -> None:
    def chain(names: list[str]) -> nn.Module:
        def forward(x: torch.Tensor) -> torch.Tensor:
            for name in names:
                x = getattr(x, name)()
            return x

        return Function(forward)

    same = hash_of(chain(first), torch.rand(3)) == hash_of(chain(second), torch.rand(3))
    assert same == (first == second)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x * x.sum().item(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: x * float(x[0, 0]),
        lambda x: x.nonzero(),
        lambda x: x.unique(),
        lambda x: x + x.tolist()[0][0],
        lambda x: torch.where(x > 0)[0],
    ],
)
def test_data_dependent_reads_change_the_basis_to_modules(read: Callable[..., Any]) -> None:
    done = replayed(Function(read), torch.rand(2, 4))
    assert done.data_reads
    assert replay_hash(done).basis == "modules"


def test_reading_what_no_data_reaches_is_no_data_dependence() -> None:
    rates = Function(lambda x: x * torch.linspace(0, 1, 4).tolist()[2] * torch.arange(3)[1].item())
    assert hash_of(rates, image(2, 4)).basis == "calls"


def test_the_modules_basis_sees_classes_weights_and_inputs() -> None:
    def model(*parts: nn.Module) -> ModelHash:
        return hash_of(Function(lambda x, *ms: ms[0](x) if x.sum() > 0 else x, *parts), image(2, 4))

    assert model(nn.Linear(4, 3)) == model(nn.Linear(4, 3))
    assert len({model(part).digest for part in (nn.Linear(4, 3), nn.Linear(4, 2), nn.ReLU(), nn.GELU())}) == 4


def test_a_call_that_raises_is_told_and_hashed_by_its_modules() -> None:
    done = replayed(Function(lambda x, m: m(x)[7], nn.Linear(4, 3)), image(2, 4))
    assert "IndexError" in done.error
    assert done.result is None
    assert replay_hash(done).basis == "modules"


def test_a_replay_leaves_the_module_and_the_generators_as_they_were() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))
            self.norm = nn.BatchNorm1d(4)
            self.calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.count += 1
            self.last = x
            return self.norm(x) + torch.rand(4) + np.random.rand()

    module = Counting()
    module.norm.eval()
    before = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), module.norm.running_mean.tolist())
    hash_of(module, torch.rand(2, 4))
    after = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), module.norm.running_mean.tolist())
    assert (module.calls, module.count.item(), hasattr(module, "last"), module.training) == (0, 0, False, True)
    assert not module.norm.training
    assert after[0] != before[0]  # torch.rand above, outside of the replay
    assert after[1:] == before[1:]


def test_two_processes_agree() -> None:
    text = (
        "import torch; from torch import nn; from turnkey.model.call import *; from turnkey.model.hash import *;"
        "from turnkey.model.replay import replay; import numpy as np;"
        "r = replay(nn.Linear(4, 3), CallStructure(args=(Leaf('x'),), kwargs={}), {'x': np.ones((2, 4), np.float32)});"
        "print(replay_hash(r).digest)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hash_of(nn.Linear(4, 3), image(2, 4)).digest


def test_one_changed_byte_changes_the_weights_hash_and_only_that() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    before, model_before = weights_hash(module), hash_of(module, image(2, 4))
    with torch.no_grad():
        module[0].weight[1, 1] += 1e-3
    assert weights_hash(module) != before
    assert hash_of(module, image(2, 4)) == model_before
    changed = weights_hash(module)
    module[1].running_mean += 1
    assert weights_hash(module) != changed
