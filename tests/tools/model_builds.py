"""Builds of tiny models for the tests of tools: a live source, its samples, and files exported from it."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from source_models import source_model

from turnkey.formats.torch_call import call_of, tensors_for
from turnkey.model.call import CallStructure, Leaf
from turnkey.model.samples import SampleSet
from turnkey.model.torch_bridge import evaluation_mode
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.LayerNorm(8)
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x):
        return x + torch.relu(self.fc(self.norm(x)))


class Net(torch.nn.Module):
    """Two blocks and a head, which ``zero_head`` initialises as vision transformers do."""

    def __init__(self, *, zero_head=False, output_scale=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.head = torch.nn.Linear(8, 4)
        self.output_scale = output_scale
        if zero_head:
            torch.nn.init.zeros_(self.head.weight)
            torch.nn.init.zeros_(self.head.bias)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1)) * self.output_scale


class CannotLeave(Net):
    """A lock cannot be pickled."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def samples_of(*shapes, name="x"):
    generator = np.random.default_rng(0)
    inputs = tuple({name: generator.standard_normal(shape).astype(np.float32)} for shape in shapes)
    structure = CallStructure(args=(Leaf(name),), kwargs={})
    return SampleSet(structure=structure, inputs=inputs, outputs=(None,) * len(inputs))


def source(module=None, samples=None, **fields):
    return source_model(module, samples, class_name="Net", parameter_count=1, parameter_bytes=4, **fields)


def state_of(tmp_path, model, name="net"):
    paths = BuildPaths(Path(tmp_path), name)
    (paths.directory / "onnx").mkdir(parents=True)
    return State(cache_dir=Path(tmp_path), build_name=name, model=model)


def export(state, *, dynamo=False, dynamic=True):
    """The state with the live model exported as variant ``onnx``."""
    module, samples = state.model.module, state.model.samples
    call = call_of(module, samples.structure, samples.inputs[0])
    path = BuildPaths(state.cache_dir, state.build_name).onnx(20, "base")
    given = {"input_names": list(call.input_names), "output_names": ["output"], "verbose": False}
    if dynamic and dynamo:
        given["dynamic_shapes"] = (tuple({0: torch.export.Dim("batch")} for _ in call.input_names),)
    elif dynamic:
        given["dynamic_axes"] = {name: {0: "batch"} for name in (*call.input_names, "output")}
    with warnings.catch_warnings(), evaluation_mode(call):
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            call, tensors_for(call, samples.inputs[0]), None if dynamo else path, dynamo=dynamo, **given
        )
        if dynamo:
            made.save(path)
    exporter = "dynamo" if dynamo else "torchscript"
    relative = path.relative_to(state.build_dir).as_posix()
    return state.with_variant(Variant(key="onnx", format="onnx", path=relative, sha256="", exporter=exporter))


def edit(state, change, key="onnx"):
    """Change the ONNX file of a variant in place."""
    path = state.build_dir / state.variant(key).path
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def loaded(tmp_path, text, inputs):
    """A build of an ONNX file given as text."""
    samples = SampleSet(structure=None, inputs=inputs, outputs=(None,) * len(inputs), seed=0)
    state = state_of(tmp_path, None, "file")
    path = BuildPaths(state.cache_dir, state.build_name).onnx(20, "loaded")
    onnx.save(onnx.parser.parse_model(text), path)
    variant = Variant(key="onnx", format="onnx", path=f"onnx/{path.name}", sha256="", exporter="loaded")
    return State(
        cache_dir=state.cache_dir, build_name=state.build_name, model=source(path=path, samples=samples)
    ).with_variant(variant)


EXPONENTIAL = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,64] x) => (float[N,64] y) { y = Exp (x) }'


def exponential(tmp_path, text=EXPONENTIAL):
    """A loaded build of a quick file with a free batch, and two samples of four rows."""
    return loaded(tmp_path, text, ({"x": np.ones((4, 64), np.float32)}, {"x": np.zeros((4, 64), np.float32)}))
