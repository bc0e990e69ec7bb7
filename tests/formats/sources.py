"""What tests of formats share: sources made of tiny modules, ONNX files written as text, and a run of a file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper, parser
from source_models import source_model

from turnkey.formats.onnx_file import load_graph
from turnkey.formats.onnx_signature import fit_sample, read_signature
from turnkey.model.call import flatten_call
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import array_of, is_tensor


@contextmanager
def torchvision_operators() -> Iterator[None]:
    """Lets transformers import beside a torchvision that lacks its operators (a CPU build of torch)."""
    fragment = torch.library.Library("torchvision", "FRAGMENT")
    with suppress(RuntimeError):  # a torchvision that works has them already
        fragment.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        fragment.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield


def samples_of(module: torch.nn.Module, *args: Any, **kwargs: Any) -> SampleSet:
    """The sample set of one call."""
    names = [name for name in inspect.signature(module.forward).parameters if name not in ("args", "kwargs")]
    tensors, structure = flatten_call(args, kwargs, names, is_tensor=is_tensor)
    inputs = {name: array_of(tensor) for name, tensor in tensors.items()}
    return SampleSet(structure=structure, inputs=(inputs,), outputs=(None,))


def source_of(
    module: torch.nn.Module,
    *args: Any,
    further: tuple[SampleSet, ...] = (),
    data_dependent: bool = False,
    **kwargs: Any,
) -> SourceModel:
    """A module as discovery would hand it on after that call."""
    return source_model(
        module,
        samples_of(module, *args, **kwargs),
        further_samples=further,
        parameter_count=sum(weight.numel() for weight in module.parameters()),
        data_dependent=data_dependent,
    )


def write_onnx(path: Path, text: str, weights: dict[str, np.ndarray] | None = None, *, external: bool = False) -> Path:
    """A model in ONNX's text form with its weights, checked and written."""
    model = parser.parse_model(text)
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    if external:
        onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def run_file(path: Path, sample: Sample) -> Sample:
    """Outputs of a file for a sample, cast to the file's dtypes."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(None, fit_sample(sample, read_signature(load_graph(path))))
    return dict(zip([value.name for value in session.get_outputs()], outputs, strict=True))


LINEAR = """
<ir_version: 9, opset_import: ["": 20]>
linear (float[N,40] x) => (float[N,30] y) { product = MatMul(x, w)  y = Add(product, b) }
"""


def linear_weights(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "w": generator.standard_normal((40, 30)).astype(np.float32),
        "b": generator.standard_normal(30).astype(np.float32),
    }
