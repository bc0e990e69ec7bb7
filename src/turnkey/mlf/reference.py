"""What the model should compute: ONNX Runtime's answer, or the ONNX reference's where that refuses the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(slots=True)
class Reference:
    """One evaluator of one model. ``name`` and ``version`` say whose answers these are."""

    name: str
    version: str
    _evaluator: Any = field(repr=False)
    _outputs: tuple[str, ...] = ()

    def run(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name."""
        import numpy as np

        values = self._evaluator.run(None, dict(sample))
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}


def reference_of(model: onnx.ModelProto) -> Reference:
    """An evaluator of the model, weights included, before any optimisation of ours."""
    import onnx

    outputs = tuple(value.name for value in model.graph.output)
    try:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  (an operator or type that ONNX Runtime lacks; the record names who answered)
        from onnx.reference import ReferenceEvaluator

        return Reference("onnx.reference", onnx.__version__, ReferenceEvaluator(model), outputs)
    return Reference("onnxruntime", ort.__version__, session, outputs)


def with_every_tensor(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the results of all its nodes as outputs, in their order."""
    import onnx

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    known = {value.name for value in whole.graph.output}
    for node in whole.graph.node:
        for name in node.output:
            if name and name not in known:
                whole.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return whole
