"""Checking a loaded tarball: against its own stored samples, and against its ONNX model or another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf.library import Module
from turnkey.mlf.reference import reference_of
from turnkey.mlf.sampling import index_limits, make_samples
from turnkey.mlf.verification import Pair, Verified, verify

if TYPE_CHECKING:
    import numpy as np
    import onnx


def check_module(
    module: Module,
    reference: onnx.ModelProto | None,
    samples: Sequence[Mapping[str, np.ndarray]] | None,
    *,
    count: int,
) -> Verified:
    """Build, run and compare. See `Module.verify`."""
    runner = module.build()
    model = reference if reference is not None else module.onnx()
    evaluator = reference_of(model)
    if samples is None:
        shapes = {tensor.name: tensor.shape for tensor in module.inputs}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        samples = make_samples(module.inputs, count=count, limits=index_limits(model, shapes))
    pairs: list[Pair] = list(module.samples()) if reference is None else []
    pairs += [(sample, evaluator.run(sample)) for sample in samples]
    return verify(runner, pairs, reference=evaluator.name, reference_version=evaluator.version)
