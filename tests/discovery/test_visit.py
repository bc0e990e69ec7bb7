"""One script for each phrase of "must be seen", and what is said when nothing is."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import pytest

from turnkey.discovery import let_go
from turnkey.errors import InputError, ModelError

from .conftest import Visited


def entries(visit) -> list[tuple[str, str, int]]:  # type: ignore[no-untyped-def]
    return [(model.name, model.class_name, model.calls) for model in visit.listing]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("layer = Net(); layer(x)", [("layer", "Net", 1)]),
        ("module = Net()\nfor _ in range(3): module(x)", [("module", "Net", 3)]),
        ("nets = [Net(), Net()]\nfor net in nets: net(x)", [("net", "Net", 1), ("net", "Net", 1)]),
        ("nets = [Net()]; nets[0](x)", [("nets[0]", "Net", 1)]),
        ("nets = {'a': Net()}; nets['a'](x)", [("nets['a']", "Net", 1)]),
        (
            "class Box: pass\nbox = Box(); box.net = Net(); box.net(x)",
            [("box.net", "Net", 1)],
        ),
        (
            "def make():\n    inner = Net()\n    return lambda x: inner(x)\nmake()(x)",
            [("inner", "Net", 1)],
        ),
        ("Net()(x)", [("", "Net", 1)]),
        (
            "import threading\nnet = Net()\nthreads = [threading.Thread(target=net, args=(x,)) for _ in range(4)]\n"
            "[t.start() for t in threads]; [t.join() for t in threads]",
            [("net", "Net", 4)],
        ),
        ("loss = nn.MSELoss(); loss(x, x)", [("loss", "MSELoss", 1)]),
        ("lazy = nn.LazyLinear(3); lazy(x)", [("lazy", "Linear", 1)]),
        (
            "import copy\nnet = Net(); net(x); other = copy.deepcopy(net); other(x)",
            [("net", "Net", 1), ("other", "Net", 1)],
        ),
        ("t = nn.Transformer(4, 2, 1, 1, 8); t(torch.ones(3, 1, 4), torch.ones(2, 1, 4))", [("t", "Transformer", 1)]),
        ("traced = torch.jit.trace(Net(), x, check_trace=False); traced(x)", [("traced", "Net", 1)]),
        ("scripted = torch.jit.script(nn.Linear(4, 2)); scripted(x)", [("scripted", "Linear", 1)]),
        ("net = Net(); net = torch.compile(net, backend='eager'); net(x)", [("net", "Net", 1)]),
        ("g = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 2))); g(x)", [("g", "Sequential", 1)]),
        ("m = torch.export.export(Net(), (x,)).module(); m(x)", [("m", "GraphModule", 1)]),
        ("net = Net(); net(x); net(torch.ones(3, 4)); net(x)", [("net", "Net", 2), ("net", "Net", 1)]),
        ("net = Net(); net(x); net(x=x); net(x, None); net(x, scale=None)", [("net", "Net", 4)]),
        (
            "net = Net(); torch.func.functional_call(net, dict(net.named_parameters()), (x,))",
            [("net", "Net", 1)],
        ),
        ("with torch.device('cpu'):\n    net = Net(); net(torch.ones(2, 4))", [("net", "Net", 1)]),
        ("net = Net()\nwith torch.inference_mode(): net(x)", [("net", "Net", 1)]),
        ("net = nn.Sequential(Net(), nn.ReLU()); net(x)", [("net", "Sequential", 1)]),
    ],
)
def test_it_is_seen(visited: Visited, body: str, expected: list[tuple[str, str, int]]) -> None:
    assert entries(visited(body)) == expected


def test_arguments_of_every_kind_are_seen_and_named(visited: Visited) -> None:
    visit = visited(
        """
        from dataclasses import dataclass

        @dataclass
        class Config:
            tensor: object

        class Many(nn.Module):
            def forward(self, ids, mask, past, flag, number, text, options, config, *, extra):
                return ids + past[0][1].sum().to(ids.dtype)

        Many()(
            torch.ones(2, dtype=torch.int64), None, [(x, x.bfloat16()), x.half()], True, 2.5, "mean",
            {"a": x.to(torch.complex64), "b": [x > 0]}, Config(x), extra=x.double(),
        )
        """
    )
    (model,) = visit.listing.models
    assert [(spec.name, spec.dtype) for spec in model.inputs] == [
        ("ids", "int64"),
        ("past.0.0", "float32"),
        ("past.0.1", "bfloat16"),
        ("past.1", "float16"),
        ("options.a", "complex64"),
        ("options.b.0", "bool"),
        ("extra", "float64"),
    ]
    assert model.opaque == ("Config",)
    source = visit.select(None)
    assert source.samples.inputs[0]["past.0.1"].dtype.name == "bfloat16"
    assert not source.samples.structure.is_portable  # type: ignore[union-attr]


def test_sub_models_are_listed_down_to_the_depth_asked_for(visited: Visited) -> None:
    body = "net = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), nn.ReLU()); net(x); net(x)"
    for depth, expected in (
        (0, [("Sequential", 0)]),
        (1, [("Sequential", 0), ("Sequential", 1), ("ReLU", 1)]),
        (2, [("Sequential", 0), ("Sequential", 1), ("Linear", 2), ("Linear", 2), ("ReLU", 1)]),
    ):
        visit = visited(body, max_depth=depth)
        assert [(model.class_name, model.depth) for model in visit.listing] == expected
        assert {model.calls for model in visit.listing} == {2}
    assert "(Linear) ×2" in str(visit.listing) or "Linear ×2" in str(visit.listing)


def test_a_sub_model_has_the_hash_that_it_has_alone(visited: Visited) -> None:
    inside = visited("net = nn.Sequential(nn.Linear(4, 3), nn.ReLU()); net(x)", max_depth=1).listing
    alone = visited("net = nn.Linear(4, 3); net(x)").listing
    assert inside.models[0].children[0].hash == alone.models[0].hash


def test_the_last_discovered_model_with_parameters_is_selected(visited: Visited) -> None:
    visit = visited("a = Net(); b = Net(3); a(x); y = b(x); nn.MSELoss()(y, y); a(x)")
    source = visit.select(None)
    assert visit.listing.selected is not None
    assert visit.listing.selected.name == "b"
    assert visit.listing.selected.status == "auto-selected"
    assert source.module is sys.modules["__main__"].b
    assert "share this hash" not in str(visit.listing)
    assert f"::{visit.listing.models[0].hash}" in str(visit.listing)


def test_two_instances_with_one_hash_are_two_entries_with_their_own_weights(visited: Visited) -> None:
    visit = visited("a = Net(); b = Net(); a(x); b(x)")
    first, second = visit.listing.models
    assert second.hash == f"{first.hash}.2"
    assert first.weights_hash != second.weights_hash
    source = visit.select(second.hash)
    assert source.module is sys.modules["__main__"].b
    assert source.weights_hash == second.weights_hash
    assert visit.select(first.hash).module is sys.modules["__main__"].a
    assert f"2 models share this hash, the others are {second.hash}" in str(visit.listing)


def test_an_unknown_hash_is_an_error_that_lists_the_valid_ones(visited: Visited) -> None:
    visit = visited("a = Net(); a(x)")
    with pytest.raises(InputError) as caught:
        visit.select("deadbeef")
    assert visit.listing.models[0].hash in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("net = Net()", "never called: net (Net)"),
        ("net = Net(); net.forward = net.forward", "never called"),
        ("net = Net()\ntry:\n    net(torch.ones(9, 9))\nexcept RuntimeError: pass", "every call raised of: Net"),
    ],
)
def test_when_nothing_is_found_the_error_says_what_ran(visited: Visited, body: str, said: str) -> None:
    visit = visited(body)
    with pytest.raises(ModelError) as caught:
        visit.select(None)
    assert said in str(caught.value)


def test_a_direct_forward_call_shows_only_the_parts(visited: Visited) -> None:
    assert entries(visited("net = Net(); net.forward(x)")) == [("self.layer", "Linear", 1)]


def test_a_script_that_never_loads_torch_is_told_from_one_without_calls(visited: Visited) -> None:
    assert not visited("import json, random\nprint(json.dumps([1]))", head=False).uses_torch
    assert visited("import torch", head=False).uses_torch
    assert visited("from torch import nn", head=False).uses_torch


def test_a_failed_call_is_no_invocation_and_does_not_blind_the_rest(visited: Visited) -> None:
    visit = visited(
        """
        net = Net()
        for value in (torch.ones(9, 9), x, torch.ones(9, 9), x):
            try:
                net(value)
            except RuntimeError:
                pass
        """
    )
    assert entries(visit) == [("net", "Net", 2)]
    assert visit.listing.models[0].failed_calls == 0  # it never failed with this signature


def test_a_call_that_fails_now_and_then_is_counted_apart(visited: Visited) -> None:
    visit = visited(
        """
        class Moody(nn.Module):
            calls = 0
            def forward(self, x):
                Moody.calls += 1
                if Moody.calls % 2:
                    raise ValueError("no")
                return x + 1
        net = Moody()
        for _ in range(6):
            try: net(x)
            except ValueError: pass
        """
    )
    assert (visit.listing.models[0].calls, visit.listing.models[0].failed_calls) == (3, 3)


def test_a_model_in_training_mode_is_marked_and_replayed_in_evaluation_mode(visited: Visited) -> None:
    visit = visited("net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.9)); net(x)")
    source = visit.select(None)
    assert source.training_mode_seen
    module = sys.modules["__main__"].net
    assert module.training  # the script's own flag stays
    assert np.allclose(source.samples.outputs[0]["output"], module[0](sys.modules["__main__"].x).detach().numpy())  # type: ignore[index]


def test_compiled_functions_hide_a_model_unless_they_run_eagerly(visited: Visited) -> None:
    body = "net = Net()\n@torch.compile(backend='eager')\ndef step(x): return net(x) + 1\nstep(x); step(x)"
    assert entries(visited(body)) == []
    assert entries(visited(body, compiled="eager")) == [("net", "Net", 2)]


def test_models_beyond_the_kept_bytes_are_listed_without_hash(visited: Visited) -> None:
    visit = visited("a = nn.Linear(4, 1000); b = nn.Linear(4, 1000); a(x); b(x)", keep_bytes=30_000)
    first, second = visit.listing.models
    assert (first.hash, bool(second.hash)) == ("", True)
    assert "--keep-bytes" in first.note


def test_models_are_let_go_with_the_visit(visited: Visited) -> None:
    visit = visited("net = Net(); net(x); net.me = net")
    reference = weakref.ref(visit.select(None).module)
    assert reference() is not None
    del visit
    let_go()
    gc.collect()
    assert reference() is None


def test_main_stays_the_scripts_while_its_model_is_in_use(visited: Visited) -> None:
    import pickle

    before = sys.modules["__main__"]
    visit = visited("net = Net(); net(x)")
    assert pickle.loads(pickle.dumps(visit.select(None).module)).layer.weight.shape == (4, 4)
    let_go()
    assert sys.modules["__main__"] is before


def test_the_exception_of_a_failed_script_does_not_keep_its_models(visited: Visited) -> None:
    visit = visited("net = Net(); net(x)\nraise ValueError('no')")
    reference = weakref.ref(sys.modules["__main__"].net)
    error = visit.outcome.error
    del visit
    let_go()
    gc.collect()
    assert isinstance(error, ValueError)
    assert reference() is None
