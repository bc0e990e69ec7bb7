"""What the model should compute: ONNX Runtime's answer, or the ONNX reference's where that refuses the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnkey.mlf.failures import failure

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
        """Outputs by name.

        Raises:
            MlfUsageError: it cannot compute them.
        """
        import numpy as np

        try:
            values = self._evaluator.run(None, dict(sample))
        except Exception as error:
            raise failure(
                "mlf-bad-sample",
                f"{self.name} cannot compute the outputs of a sample",
                evidence=" ".join(str(error).split())[:300],
                remedy="samples of the model's own, or --no-verify",
            ) from error
        return {name: np.asarray(value) for name, value in zip(self._outputs, values, strict=True)}


def reference_of(model: onnx.ModelProto) -> Reference:
    """An evaluator of the model, weights included, before any optimisation of ours.

    Raises:
        UnsupportedInModelLibraryFormatError: nobody can evaluate it.
    """
    import onnx

    outputs = tuple(value.name for value in model.graph.output)
    try:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  (an operator or type that it lacks; the record names who answered)
        return Reference("onnx.reference", onnx.__version__, _standard_evaluator(model, error), outputs)
    return Reference("onnxruntime", ort.__version__, session, outputs)


def _standard_evaluator(model: onnx.ModelProto, refusal: Exception) -> Any:
    """The one of the onnx package, for a model that ONNX Runtime refuses."""
    from onnx.reference import ReferenceEvaluator

    try:
        return ReferenceEvaluator(model)
    except Exception as error:
        raise failure(
            "mlf-unsupported-op",
            "there is nothing to compare the C code with: neither ONNX Runtime nor the ONNX reference runs the model",
            evidence="\n".join(" ".join(str(each).split())[:200] for each in (refusal, error)),
            remedy="export-mlf --no-verify",
        ) from error


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
