"""Weights that are zero, made nonzero alike in the module and in a copy of its file.

Some networks are created with heads of zeros: every output is 0 then, whatever the rest computes, and an error of 0
proves nothing. With the same random weights on both sides the outputs become a proof again. Neither the user's
module nor the file is touched.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.formats.module_scopes import WRAPPER
from turnkey.model.samples import Sample
from turnkey.runtimes.single_run import outputs_of_file
from turnkey.verify import Comparison, Tolerances, compare

if TYPE_CHECKING:
    import onnx
    import torch

    from turnkey.formats.torch_call import PositionalCall
    from turnkey.model.call import CallStructure


def compare_perturbed(
    module: torch.nn.Module,
    structure: CallStructure | None,
    sample: Sample,
    *,
    variant: Path,
    tolerances: Tolerances,
    seed: int = 0,
) -> Comparison | None:
    """Compare module and file with their zero weights replaced; None where the file has no such weights by name.

    Args:
        seed: of the generator of the new weights (normal, standard deviation 0.05).
    """
    from turnkey.formats.onnx_file import load_model
    from turnkey.formats.torch_call import call_of

    zeros = {name for name, weight in module.named_parameters() if weight.dim() >= 2 and not weight.any()}
    if not zeros:
        return None
    model = load_model(variant)
    generator = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for tensor in model.graph.initializer:
        name = tensor.name if tensor.name in zeros else tensor.name.removeprefix(WRAPPER)
        if name in zeros and tuple(tensor.dims) == tuple(module.get_parameter(name).shape):
            weights[name] = _replace(tensor, generator)
    if not weights:
        return None
    reference = _module_outputs(call_of(module, structure, sample), sample, weights)
    return compare(reference, _file_outputs(model, variant.parent, sample), tolerances=tolerances)


def _replace(tensor: onnx.TensorProto, generator: np.random.Generator) -> np.ndarray:
    import onnx

    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    values = (generator.standard_normal(tuple(tensor.dims)) * 0.05).astype(dtype)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return values


def _module_outputs(call: PositionalCall, sample: Sample, weights: dict[str, np.ndarray]) -> Sample:
    import torch

    from turnkey.formats.torch_call import tensors_for
    from turnkey.model.torch_bridge import array_of, evaluation_mode, tensor_of

    swapped = {}
    for name, values in weights.items():
        weight = call.module.get_parameter(name)
        swapped[WRAPPER + name] = tensor_of(values).to(weight.device, weight.dtype)
    with evaluation_mode(call):
        results = torch.func.functional_call(call, swapped, tensors_for(call, sample))
        names = list(call.named_outputs(*tensors_for(call, sample)))
    return {name: array_of(result) for name, result in zip(names, results, strict=True)}


def _file_outputs(model: onnx.ModelProto, directory: Path, sample: Sample) -> Sample:
    from turnkey.formats.onnx_file import save_model

    with tempfile.TemporaryDirectory(dir=directory, prefix=".perturbed-") as scratch:
        path = Path(scratch) / "model.onnx"
        save_model(model, path)
        # Optimised like the variant when it is used: a fusion that breaks the head must be seen.
        return outputs_of_file(path, sample)
