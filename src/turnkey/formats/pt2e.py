"""Post-training quantisation of a captured graph: observers in, samples through, int8 out (torchao's PT2E)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import one_line
from turnkey.formats.format import require_samples
from turnkey.model.samples import Sample
from turnkey.model.signature import Signature
from turnkey.model.torch_bridge import tensor_of

_PRODUCTS = {"conv", "convolution", "linear", "matmul", "addmm", "mm", "bmm"}
"""Operators that multiply by weights, by their names in the graph without the number of dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """A quantised module, and how many of its matrix operators really are.

    Attributes:
        operators: convolutions and matrix products whose inputs are dequantised.
        all_operators: all of them.
    """

    module: torch.fx.GraphModule
    operators: int
    all_operators: int

    @property
    def sentence(self) -> str:
        return f"{self.operators} of {self.all_operators} convolutions and matrix products compute in int8"


def quantised_by_x86_rules(
    module: torch.fx.GraphModule,
    signature: Signature,
    samples: Sequence[Sample],
    *,
    is_dynamic: bool,
    reduce_range: bool,
) -> Quantised:
    """Quantise by torchao's rules for x86. Raises as `quantised` does."""
    from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
        X86InductorQuantizer,
        get_default_x86_inductor_quantization_config,
    )

    rules = X86InductorQuantizer()
    rules.set_global(get_default_x86_inductor_quantization_config(is_dynamic=is_dynamic, reduce_range=reduce_range))
    return quantised(module, signature, samples, rules)


def quantised(module: torch.fx.GraphModule, signature: Signature, samples: Sequence[Sample], rules: Any) -> Quantised:
    """Quantise a module by a quantiser's rules.

    Args:
        module: captured by torch.export; takes the signature's inputs by position.
        samples: inputs that set the ranges.
        rules: a torchao ``Quantizer``.

    Raises:
        ConversionError: there is no sample, torchao fails, or nothing of the graph was quantised.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    require_samples(samples, model="the graph")
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            prepared = prepare_pt2e(module, rules)
            for sample in samples:
                prepared(*(tensor_of(sample[spec.name]) for spec in signature.inputs))
            made = convert_pt2e(prepared)
    except Exception as error:
        raise ConversionError(
            "torchao cannot quantise the graph",
            evidence=one_line(error, limit=2000),
            remedy="other ways to int8: convert --to onnx-int8-static,onnx-int8-dynamic",
        ) from error
    every = [node for node in made.graph.nodes if _is_product(node)]
    narrow = [node for node in every if any("dequantize" in str(given.target) for given in node.all_input_nodes)]
    if not narrow:
        raise ConversionError(
            "nothing of the graph was quantised",
            evidence=f"{len(every)} convolutions and matrix products, none of which these rules apply to",
            remedy="other ways to int8: convert --to onnx-int8-static,onnx-int8-dynamic",
        )
    return Quantised(module=made, operators=len(narrow), all_operators=len(every))


def _is_product(node: torch.fx.Node) -> bool:
    name = str(node.target).removeprefix("aten.").partition(".")[0]
    return node.op == "call_function" and name.rstrip("123d") in _PRODUCTS
