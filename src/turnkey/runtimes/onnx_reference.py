"""The reference evaluator of the onnx package: executes ONNX files operator by operator, in plain numpy.

For verification: an implementation that shares no code with ONNX Runtime or OpenVINO. Slow, one thread, no options.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.errors import ConversionError, InputError, UsageError
from turnkey.model.samples import Sample
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime

if TYPE_CHECKING:
    from onnx.reference import ReferenceEvaluator

    from turnkey.model.signature import Signature


class OnnxReferenceRunner:
    """One evaluator."""

    def __init__(self, evaluator: ReferenceEvaluator, signature: Signature) -> None:
        self._evaluator: ReferenceEvaluator | None = evaluator
        self._signature = signature
        self._names = [spec.name for spec in signature.outputs]

    def prepare(self, sample: Sample) -> Sample:
        """Arrays in the dtypes of the file.

        Raises:
            InputError: an input of the file is not in the sample.
        """
        from turnkey.formats.onnx_signature import fit_sample

        return fit_sample(sample, self._signature)

    def run(self, prepared: Sample) -> list[Any]:
        """One evaluation."""
        assert self._evaluator is not None
        results: list[Any] = self._evaluator.run(self._names, prepared)
        return results

    def outputs(self, result: list[Any]) -> Sample:
        """Arrays by output name, in the file's order."""
        return {name: np.asarray(value) for name, value in zip(self._names, result, strict=True)}

    def describe(self) -> Mapping[str, Any]:
        """Version; it always runs on the processor, with one thread."""
        import onnx

        return {
            "runtime_version": onnx.__version__,
            "device": "cpu",
            "threads": 1,
            "placement": {},
            "fallback": None,
            "notes": ["plain numpy, for verification: its speed says nothing"],
        }

    def close(self) -> None:
        """Free the evaluator with its weights."""
        self._evaluator = None


class OnnxReference:
    """The runtime ``onnx-reference``."""

    name = "onnx-reference"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("onnx",)
    devices: tuple[str, ...] = ("cpu",)
    requires: tuple[str, ...] = ("onnx",)
    install = "pip install onnx"
    compiles = False

    def load(self, request: LoadRequest) -> OnnxReferenceRunner:
        """The file of the request.

        Raises:
            UsageError: any option: there is none.
            ConversionError: the evaluator does not know an operator of the file, or cannot read it.
        """
        from onnx.reference import ReferenceEvaluator

        from turnkey.formats.onnx_file import load_model
        from turnkey.formats.onnx_signature import read_signature

        refuse_unknown(self.name, request.options, ())
        if request.path is None:
            raise UsageError(
                "the runtime onnx-reference executes ONNX files; there is none",
                remedy="turnkey -i INPUT discover export-pytorch benchmark --runtime onnx-reference",
            )
        try:
            model = load_model(request.path)
            return OnnxReferenceRunner(ReferenceEvaluator(model), read_signature(model))
        except InputError as error:
            evidence = error.evidence
            cause: Exception = error
        except Exception as error:  # noqa: BLE001 - it implements a part of ONNX and fails in many ways
            evidence = f"{type(error).__name__}: {error}"[:400]
            cause = error
        raise ConversionError(
            f"onnx's reference evaluator cannot load {Path(request.path).name}",
            evidence=evidence,
            remedy="verify with ONNX Runtime: --runtime onnxruntime",
        ) from cause


RUNTIME: Runtime = OnnxReference()
