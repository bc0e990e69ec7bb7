"""The decorator: the same class afterwards, a handle on every instance, and nothing in anybody's state."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
import torch
from lexer_models import Child, Tiny
from torch import nn

from turnkey import Lexer
from turnkey.errors import UsageError
from turnkey.lexer import handle_of
from turnkey.lexer.decoration import decoration_of


class Plain(nn.Module):
    """Its documentation."""

    def __init__(self, width: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


def names_of(model: Any) -> tuple[Any, Any]:
    settings = decoration_of(model)
    return settings.get("input_names"), settings.get("output_names")


def test_the_class_stays_the_same_object_with_its_signature() -> None:
    """LD18: signature and qualified name were destroyed."""
    before = inspect.signature(Plain)
    decorated = Lexer(input_names=["a"], output_names=["b"])(Plain)

    assert decorated is Plain
    assert inspect.signature(Plain) == before
    assert (Plain.__qualname__, Plain.__doc__) == ("Plain", "Its documentation.")
    assert Plain(3, bias=False).linear.bias is None


def fresh() -> type[nn.Module]:
    class Local(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    return Local


def test_every_form_of_the_decorator_works() -> None:
    """LD17: bare and positional forms failed, the bare one only at the first benchmark."""
    assert names_of(Lexer(fresh())()) == (None, None)
    assert names_of(Lexer()(fresh())()) == (None, None)
    assert names_of(Lexer(["i"], ["o"])(fresh())()) == (("i",), ("o",))
    assert names_of(Lexer(input_names=["i"])(fresh())()) == (("i",), None)
    assert names_of(Lexer(fresh(), ["i"], ["o"])()) == (("i",), ("o",))
    assert decoration_of(Lexer(num_iterations=3)(fresh())()) == {"num_iterations": 3}


def test_a_mistake_is_told_at_the_decorator() -> None:
    with pytest.raises(UsageError, match="did you mean num_iterations"):
        Lexer(num_iteration=3)
    with pytest.raises(UsageError, match="decorates classes"):
        Lexer(Plain(2))
    with pytest.raises(UsageError, match="decorates classes"):
        Lexer()(Plain(2))  # type: ignore[type-var]


def test_instances_subclasses_and_compiled_models_answer() -> None:
    model = Tiny()

    assert model.lexer.model is model
    assert names_of(model) == (("x",), ("y",))
    assert names_of(Child()) == (("x",), ("y",))
    assert names_of(torch.compile(model)) == (("x",), ("y",))


def test_an_instance_can_be_wrapped_without_being_changed() -> None:
    model = nn.Linear(2, 2)
    before = dict(model.__dict__)

    assert Lexer.wrap(model, input_names=["a"], output_names=["b"]) is model
    assert model.__dict__ == before
    assert names_of(model) == (("a",), ("b",))
    assert names_of(nn.Linear(2, 2)) == (None, None)
    with pytest.raises(UsageError, match="takes a model"):
        Lexer.wrap(nn.Linear)


def test_the_handle_is_no_part_of_the_instance() -> None:
    """LD21: it was pickled with the instance."""
    model = Tiny()
    model.lexer  # noqa: B018
    twin = pickle.loads(pickle.dumps(model))

    assert b"turnkey" not in pickle.dumps(model)
    assert set(model.__dict__) == set(nn.Linear(1, 1).__dict__) - {"in_features", "out_features"}
    assert names_of(twin) == names_of(copy.deepcopy(model)) == (("x",), ("y",))
    assert twin.lexer.model is twin


def test_scripting_exporting_and_compiling_go_on_working() -> None:
    model, x = Tiny().eval(), torch.ones(2, 4)

    assert torch.equal(torch.jit.script(model)(x), model(x))
    assert torch.equal(torch.export.export(model, (x,)).module()(x), model(x))
    assert torch.equal(torch.compile(model, backend="eager")(x), model(x))


@pytest.mark.parametrize("kind", ["attribute", "parameter", "buffer", "submodule", "method"])
def test_what_a_model_calls_lexer_itself_wins(kind: str) -> None:
    """LD19: such an attribute broke the handle."""

    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            if kind == "attribute":
                self.lexer = "mine"
            elif kind == "parameter":
                self.lexer = nn.Parameter(torch.zeros(1))
            elif kind == "buffer":
                self.register_buffer("lexer", torch.zeros(1))
            elif kind == "submodule":
                self.lexer = nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    if kind == "method":
        Owner.lexer = lambda self: "mine"  # type: ignore[attr-defined]
    model = Lexer(input_names=["i"])(Owner)()

    expected = {"attribute": str, "parameter": nn.Parameter, "buffer": torch.Tensor, "submodule": nn.Linear}
    assert isinstance(model.lexer, expected[kind]) if kind != "method" else model.lexer() == "mine"
    assert handle_of(model).decoration == {"input_names": ("i",)}
