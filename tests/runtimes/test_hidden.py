"""Looking inside: submodules of a live module beside the values of a file."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from source_models import CALL_OF_X

from turnkey.runtimes.hidden import compare_hidden
from turnkey.verify import Tolerances

X = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Tanh()
        self.shared = torch.nn.Sigmoid()
        self.last = torch.nn.Softplus()

    def forward(self, x):
        return self.last(self.shared(self.shared(self.first(x))))


def exported(tmp_path, *operators):
    """The file of `Net` as the TorchScript exporter names it, with these operators for its four calls."""
    names = ["/module/first/", "/module/shared/", "/module/shared_1/", "/module/last/"]
    values = ["x", "a", "b", "c", "output"]
    nodes = [
        onnx.helper.make_node(operator, [values[i]], [values[i + 1]], name=names[i] + operator)
        for i, operator in enumerate(operators)
    ]
    border = [onnx.helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("x", "output")]
    graph = onnx.helper.make_graph(nodes, "net", border[:1], border[1:])
    opset = onnx.helper.make_opsetid("", 20)
    path = tmp_path / "net.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def compared(path, module=None):
    module = module or Net()
    return compare_hidden(module, CALL_OF_X, X, exported=path, variant=path, tolerances=Tolerances())


def test_agreeing_layers_are_listed_in_the_order_in_which_they_finish(tmp_path):
    found = compared(exported(tmp_path, "Tanh", "Sigmoid", "Sigmoid", "Softplus"))
    assert found.agreeing == ("first", "last")
    assert not found.divergent
    assert "the last is last" in found.sentence


def test_the_first_layer_that_differs_is_named_with_its_class_and_values(tmp_path):
    found = compared(exported(tmp_path, "Sin", "Sigmoid", "Sigmoid", "Softplus"))
    assert (found.divergent, found.divergent_class) == ("first", "Tanh")
    assert "instead of" in found.sentence


def test_a_layer_that_is_called_twice_is_passed_over(tmp_path):
    found = compared(exported(tmp_path, "Tanh", "Sigmoid", "Tanh", "Softplus"))
    assert found.divergent == "last", "the difference arose in the shared layer, of which nothing can be said"


def test_what_cannot_be_looked_at_gives_an_empty_comparison(tmp_path):
    path = exported(tmp_path, "Tanh", "Sigmoid", "Sigmoid", "Softplus")
    assert compared(path, torch.nn.Identity()).agreeing == ()
    assert compared(path, torch.nn.Identity()).sentence == ""


def test_hooks_are_gone_afterwards_and_nothing_is_left_beside_the_file(tmp_path):
    module = Net()
    compared(exported(tmp_path, "Tanh", "Sigmoid", "Sigmoid", "Softplus"), module)
    assert not any(child._forward_hooks for child in module.modules())
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
