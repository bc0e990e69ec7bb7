"""A network as the measuring engine takes it: its tarball and its ONNX file, checked on the same seeded samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from turnkey.measure import TargetDescription
from turnkey.mlf.reference import reference_of
from turnkey.model.samples import SampleSet, write_samples

SAMPLES = 4


def drawn_inputs(model: onnx.ModelProto, *, seed: int) -> tuple[dict[str, np.ndarray], ...]:
    """Standard normal values for the one input that every network of these benchmarks has."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    generator = np.random.Generator(np.random.PCG64(seed))
    return tuple({"input": generator.standard_normal(shape).astype(np.float32)} for _ in range(SAMPLES))


def comparison(
    name: str, model: onnx.ModelProto, directory: Path, *, precision: str | None = None
) -> list[TargetDescription]:
    """The exported network (``<name>.tar``, there already) and its ONNX file, which is written here with samples.

    Args:
        precision: in which outputs are compared, where it is coarser than their dtype.
    """
    onnx_file, samples = directory / f"{name}.onnx", directory / f"{name}-samples"
    onnx_file.write_bytes(model.SerializeToString())
    inputs = drawn_inputs(model, seed=1)
    reference = reference_of(model)
    outputs = tuple(reference.run(sample) for sample in inputs)
    write_samples(SampleSet(structure=None, inputs=inputs, outputs=outputs, seed=1), samples)
    return [
        TargetDescription(
            key=runtime,
            factory="turnkey.runtimes.target:load_target",
            arguments={"runtime": runtime, "samples": str(samples), "path": str(path), "precision": precision},
        )
        for runtime, path in (("mlf", directory / f"{name}.tar"), ("onnxruntime", onnx_file))
    ]
