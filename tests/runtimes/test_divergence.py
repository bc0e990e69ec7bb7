"""The first wrong form, layer and operator of a variant, and a script that shows it."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from source_models import samples_of_x, source_model

from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_export import OnnxExportSettings
from turnkey.runtimes.divergence import Form, explain_divergence, layer_losses
from turnkey.runtimes.reference import Reference
from turnkey.verify import Tolerances


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = torch.nn.LayerNorm(width)
        self.fc = torch.nn.Linear(width, width)
        self.act = torch.nn.ReLU()

    def forward(self, x):
        return x + self.act(self.fc(self.norm(x)))


class Deep(torch.nn.Module):
    def __init__(self, depth=4, width=16):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = torch.nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = torch.nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.blocks(x))


def source_of(module, shape=(2, 16), scale=1.0):
    value = np.random.default_rng(0).standard_normal(shape) * scale
    return source_model(module.eval(), samples_of_x(value.astype(np.float32)), class_name="Deep")


BOTH = pytest.mark.parametrize("exported", ["torchscript", "dynamo"], indirect=True)


@pytest.fixture
def exported(request, tmp_path):
    source = source_of(Deep())
    path = tmp_path / "model.onnx"
    settings = OnnxExportSettings(opset=18, exporter=getattr(request, "param", "torchscript"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        find_format("onnx").convert(ConvertRequest(source=source, path=path, settings=settings))
    return source, path


def spoil(path: Path, to: Path, change) -> Path:
    model = onnx.load(path)
    change(model)
    onnx.save(model, to)
    return to


def nodes_of(model, operator):
    return [node for node in model.graph.node if node.op_type == operator]


def explain(source, forms, directory):
    reference = Reference(source)
    try:
        return explain_divergence(reference, forms, directory=directory, tolerances=Tolerances())
    finally:
        reference.close()


def run_reproduction(directory):
    return subprocess.run([sys.executable, "repro.py"], cwd=directory, capture_output=True, text=True, timeout=120)


@BOTH
def test_a_wrong_operator_of_the_export_is_named_with_its_module_and_reproduced(exported, tmp_path):
    source, path = exported

    def change(model):
        nodes_of(model, "Relu")[2].op_type = "Neg"

    found = explain(source, [Form(key="onnx", path=spoil(path, path, change), exporter="dynamo")], tmp_path / "why")
    assert found.form == "onnx"
    assert "from the source model" in found.made
    assert (found.layer, found.kind) == ("blocks.2.act", "ReLU")
    assert [name.split()[0] for name in found.operators] == ["Neg"]
    assert "instead of" in found.reason
    done = run_reproduction(tmp_path / "why")
    assert done.returncode == 1, done.stderr
    assert "relative L2 error" in done.stdout
    assert "TOLERATED = 5e-05" in (tmp_path / "why" / "repro.py").read_text(), "what float32 explains"
    assert len(onnx.load(tmp_path / "why" / "layer.onnx").graph.node) == 1
    assert list(path.parent.glob(".explain-*")) == []


@BOTH
def test_the_form_that_went_wrong_is_told_from_the_one_it_was_made_from(exported, tmp_path):
    source, path = exported

    def change(model):
        wanted = [t for t in model.graph.initializer if list(t.dims) == [16, 16]][1]
        wanted.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(wanted) * 1.5, wanted.name))

    bad = spoil(path, tmp_path / "opt.onnx", change)
    forms = [Form(key="onnx", path=path, exporter="dynamo"), Form(key="onnx-opt", path=bad, exporter="optimiser")]
    found = explain(source, forms, tmp_path / "why")
    assert found.form == "onnx-opt"
    assert "made by optimiser from onnx" in found.made
    assert found.layer.startswith("blocks.1")
    assert any(name.split()[0] in ("Gemm", "MatMul", "Add") for name in found.operators)
    assert run_reproduction(tmp_path / "why").returncode == 1


def test_a_functional_operator_between_modules_is_found_in_the_module_that_calls_it(exported, tmp_path):
    source, path = exported

    def change(model):
        adds = [n for n in nodes_of(model, "Add") if not any("bias" in name for name in n.input)]
        adds[-1].op_type = "Sub"

    found = explain(source, [Form(key="onnx", path=spoil(path, path, change), exporter="x")], tmp_path / "why")
    assert found.layer == "blocks.3"
    assert [name.split()[0] for name in found.operators] == ["Sub"]


def test_an_overflow_of_float16_is_named_where_it_happens(exported, tmp_path):
    source, path = exported
    with torch.no_grad():
        source.module.blocks[1].fc.weight.mul_(2e5)
        source.module.blocks[1].fc.weight.abs_()
    find_format("onnx").convert(
        ConvertRequest(source=source, path=path, settings=OnnxExportSettings(opset=18, exporter="torchscript"))
    )
    half = tmp_path / "half.onnx"
    form = find_format("onnx-fp16")
    form.convert(ConvertRequest(parent=path, path=half, settings=form.settings_type(keep_io=True)))
    forms = [Form(key="onnx", path=path, exporter="e"), Form(key="onnx-fp16", path=half, exporter="f16")]
    found = explain(source, forms, tmp_path / "why")
    assert found.form == "onnx-fp16"
    assert found.layer.startswith("blocks.1")


def test_small_errors_of_all_layers_are_told_as_such_with_the_layers_that_add_most(exported, tmp_path):
    source, path = exported

    def change(model):
        for tensor in model.graph.initializer:
            if tensor.name.endswith("fc.bias"):
                array = onnx.numpy_helper.to_array(tensor) + np.float32(1e-4)
                tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))

    bad = spoil(path, tmp_path / "shifted.onnx", change)
    forms = [Form(key="onnx", path=path, exporter="e"), Form(key="shifted", path=bad, exporter="n")]
    limits = Tolerances(rtol=0.0, atol=3e-4)  # what half of the layers shift the output by, is less
    reference = Reference(source)
    found = explain_divergence(reference, forms, directory=tmp_path / "why", tolerances=limits)
    losses = layer_losses(reference, forms[1], exported=path, sample=source.samples.inputs[0], tolerances=limits)
    reference.close()
    assert (found.form, found.layer, found.directory) == ("shifted", "", None)
    assert "their errors add up" in found.reason
    assert found.losses == losses[:3]
    assert f"  {losses[0].layer} ({losses[0].kind}) adds {losses[0].relative_l2:.2g} relative L2" in found.lines()
    assert {loss.layer for loss in losses[:4]} == {f"blocks.{index}.fc" for index in range(4)}
    assert losses[3].relative_l2 > 100 * losses[4].relative_l2


class Shared(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.third = (torch.nn.Linear(16, 16) for _ in range(3))
        self.act = torch.nn.ReLU()

    def forward(self, x):
        return self.third(self.act(self.second(self.act(self.first(x)))))


def test_a_module_that_is_called_twice_is_no_layer_and_spoils_no_other(tmp_path):
    source, path = source_of(Shared()), tmp_path / "model.onnx"
    settings = OnnxExportSettings(opset=18, exporter="torchscript")
    find_format("onnx").convert(ConvertRequest(source=source, path=path, settings=settings))

    def change(model):
        nodes_of(model, "Relu")[1].op_type = "Neg"

    found = explain(source, [Form(key="onnx", path=spoil(path, path, change), exporter="x")], tmp_path / "why")
    assert found.layer == "the model's own outputs, after second"
    assert found.operators[0].split()[0] == "Neg"


def test_a_right_file_is_the_fault_of_its_loading(exported, tmp_path):
    source, path = exported
    found = explain(source, [Form(key="onnx", path=path, exporter="dynamo")], tmp_path / "why")
    assert "loads" in found.made
    assert "optimisations at load" in found.reason


def test_a_source_file_is_searched_by_value_and_operator(tmp_path):
    text = """<ir_version: 9, opset_import: ["": 18]>
    g (float[2,4] x) => (float[2,4] y) { a = Exp(x)  b = Neg(a)  c = Tanh(b)  y = Mul(c, x) }"""
    path = tmp_path / "source.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    value = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    source = source_model(samples=samples_of_x(value, structure=None), path=path, class_name="g")

    def change(model):
        nodes_of(model, "Tanh")[0].op_type = "Sigmoid"

    bad = spoil(path, tmp_path / "opt.onnx", change)
    forms = [Form(key="onnx", path=path, exporter="loaded"), Form(key="onnx-opt", path=bad, exporter="o")]
    found = explain(source, forms, tmp_path / "why")
    assert (found.layer, found.kind) == ("c", "Tanh")
    assert [name.split()[0] for name in found.operators] == ["Sigmoid"]


MEASURED = """
import sys
sys.path[:0] = {places!r}
from test_divergence import *
from turnkey.runtimes.divergence import Form, explain_divergence

class Wide(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        layers = []
        for _ in range(100):
            layers += [torch.nn.Linear(512, 512), torch.nn.Tanh()]
        self.layers = torch.nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)

def peak():
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

source = source_of(Wide(), (1, 512), 0.1)
with torch.no_grad():
    for child in source.module.layers[::2]:
        child.weight.normal_(0, 1.1 / 512**0.5)
path = Path(sys.argv[1])
nodes, weights = [], []
for index in range(0, 200, 2):
    scope = f"/layers/layers.{{index}}"
    layer = source.module.layers[index]
    for name, array in (("w", layer.weight.T.detach()), ("b", layer.bias.detach())):
        weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array.numpy()), f"{{name}}{{index}}"))
    before = "x" if index == 0 else f"t{{index - 2}}"
    read = [before, f"w{{index}}", f"b{{index}}"]
    nodes.append(onnx.helper.make_node("Gemm", read, [f"g{{index}}"], f"{{scope}}/Gemm"))
    operator = "Atan" if index == 136 else "Tanh"
    out = "output" if index == 198 else f"t{{index}}"
    nodes.append(onnx.helper.make_node(operator, [f"g{{index}}"], [out], f"/layers/layers.{{index + 1}}/Tanh"))
ports = [onnx.helper.make_tensor_value_info(name, 1, [1, 512]) for name in ("x", "output")]
graph = onnx.helper.make_graph(nodes, "deep", ports[:1], ports[1:], weights)
onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10), path)
size = path.stat().st_size
del graph, weights, nodes
import gc; gc.collect()
import onnxruntime
from turnkey.runtimes.segment import run_part
Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
before = peak()
reference = Reference(source)
forms, why = [Form(key="onnx", path=path, exporter="e")], path.parent / "why"
found = explain_divergence(reference, forms, directory=why, tolerances=Tolerances())
print(found.layer, found.operators[0].split()[0], size, (peak() - before) / size)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are reset through /proc")
def test_in_two_hundred_layers_one_wrong_operator_is_found_with_less_memory_than_the_model_has(tmp_path):
    places = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "shared")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.format(places=places), str(tmp_path / "deep.onnx")],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    layer, operator, size, growth = done.stdout.split()[-4:]
    assert (layer, operator) == ("layers.137", "Atan")
    assert int(size) > 100e6
    assert float(growth) < 1.0
