"""A part of a model that is wrong, by itself: an ONNX file, its inputs, what they should give, and a script."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.model.samples import Sample

if TYPE_CHECKING:
    import onnx

_SCRIPT = '''"""{title}. Written by turnkey; run it: python repro.py"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

INPUTS = {inputs!r}
OUTPUTS = {outputs!r}
TOLERATED = {tolerated!r}

here = Path(__file__).parent
stored = np.load(here / "layer.npz")
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(str(here / "layer.onnx"), options, providers=["CPUExecutionProvider"])
computed = session.run(OUTPUTS, {{name: stored[f"in{{i}}"] for i, name in enumerate(INPUTS)}})
worst = 0.0
for i, (name, got) in enumerate(zip(OUTPUTS, computed)):
    expected = stored[f"out{{i}}"].astype(np.float64)
    error = np.linalg.norm(got.astype(np.float64) - expected) / max(np.linalg.norm(expected), 1e-30)
    print(f"{{name}}: relative L2 error {{error:.3g}}")
    worst = error if np.isnan(error) else max(worst, error)
sys.exit(0 if worst <= TOLERATED else 1)
'''


def write_reproduction(
    part: onnx.ModelProto,
    feeds: Sample,
    expected: Sample,
    *,
    weights: Path,
    directory: Path,
    title: str,
    tolerated: float,
) -> None:
    """Write ``layer.onnx``, ``layer.npz`` and ``repro.py``; an older directory of that name is replaced.

    Args:
        part: without its weights, which lie in the directory ``weights``.
        feeds: by input of the part; cast to the types that it takes.
        expected: right values of its outputs, in their order.
        tolerated: relative L2 error up to which the script says that the part is right.
    """
    import onnx

    from turnkey.formats.onnx_segment import with_weights

    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    onnx.save_model(with_weights(part, weights), str(directory / "layer.onnx"))
    arrays: dict[str, np.ndarray] = {}
    for index, port in enumerate(part.graph.input):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        arrays[f"in{index}"] = np.asarray(feeds[port.name]).astype(dtype)
    for index, array in enumerate(expected.values()):
        arrays[f"out{index}"] = array
    np.savez(directory / "layer.npz", **arrays)  # type: ignore[arg-type]
    inputs = [port.name for port in part.graph.input]
    outputs = [port.name for port in part.graph.output]
    text = _SCRIPT.format(
        title=title.replace('"', "'").replace("\\", "/"), inputs=inputs, outputs=outputs, tolerated=tolerated
    )
    (directory / "repro.py").write_text(text)
