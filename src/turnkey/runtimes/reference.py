"""The source of truth: what the source model itself computes.

For a live module that is torch, eager, in evaluation mode; for any other callable its own call. For an ONNX file it is
that file in ONNX Runtime with all optimisations off; since that is one implementation judging itself, small graphs are
also computed by the reference evaluator of the onnx package, and a disagreement is a doubt that the verdict carries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from turnkey.errors import ModelError, TurnkeyError
from turnkey.formats.failure_text import evidence_of
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.source import SourceModel
from turnkey.runtimes.lookup import find_runtime
from turnkey.runtimes.runtime import LoadRequest, Runner
from turnkey.verify import VerificationVerdict, compare

if TYPE_CHECKING:
    from turnkey.model.call import CallStructure

_REMEDY = "see that it runs on its own inputs; of an ONNX file, on samples of other extents: load-onnx --dim NAME=N"
_SMALL_NODES = 200
_SMALL_BYTES = 8 << 20
"""Above these the reference evaluator, which is plain Python, would take minutes."""


class Reference:
    """Outputs of the source model. Close it to free what it loaded."""

    def __init__(self, source: SourceModel) -> None:
        self.source = source
        self._runner: Runner | None = None

    @property
    def can_run(self) -> bool:
        """Whether the source is in memory or a file; else only outputs that were kept are known."""
        return self.source.module is not None or self.source.path is not None

    def outputs(self, sample: Sample, structure: CallStructure | None) -> Sample:
        """What the source computes for one sample.

        Raises:
            ModelError: the source itself fails on this sample, or is neither in memory nor a file.
        """
        if not self.can_run:
            raise ModelError(
                "the source model is not in memory, and these outputs of it were not kept",
                remedy="turnkey -i SCRIPT.py discover export-pytorch verify",
            )
        try:
            return self._of_module(sample, structure) if self.source.module is not None else self._of_file(sample)
        except TurnkeyError as error:
            raise ModelError(
                f"the source model {self.source.class_name} fails on a sample: {error.what}",
                evidence=error.evidence,
                remedy=error.remedy or _REMEDY,
            ) from error
        except Exception as error:  # the user's model may raise anything
            raise ModelError(
                f"the source model {self.source.class_name} fails on a sample",
                evidence=evidence_of(error),
                remedy=_REMEDY,
            ) from error

    def with_outputs(self, samples: SampleSet) -> SampleSet:
        """The samples with a reference output for each input."""
        outputs = tuple(
            known if known is not None else self.outputs(sample, samples.structure)
            for sample, known in zip(samples.inputs, samples.outputs, strict=True)
        )
        return replace(samples, outputs=outputs)

    def disagrees_with_itself(self, sample: Sample, structure: CallStructure | None) -> bool:
        """Whether two calls with one sample differ: such a model cannot be verified by its outputs."""
        first, second = self.outputs(sample, structure), self.outputs(sample, structure)
        return compare(first, second).verdict is VerificationVerdict.INVALID

    def doubt(self) -> str:
        """Why the outputs themselves may be wrong; empty if nothing speaks against them."""
        if self.source.path is None or self.source.module is not None:
            return ""
        import onnx
        from onnx.reference import ReferenceEvaluator

        from turnkey.formats.onnx_file import load_model, stored_bytes

        if stored_bytes(self.source.path) > _SMALL_BYTES:
            return ""
        model = load_model(self.source.path)
        sample = self.source.samples.inputs[0]
        if len(model.graph.node) > _SMALL_NODES or sum(array.nbytes for array in sample.values()) > _SMALL_BYTES:
            return ""
        names = [value.name for value in model.graph.output]
        try:
            results: Any = ReferenceEvaluator(model).run(names, {**sample})
        except Exception as error:  # noqa: BLE001 - it implements a part of ONNX and fails in many ways
            print(f"onnx {onnx.__version__} cannot compute this graph itself: {type(error).__name__}: {error}")
            return ""
        comparison = compare(dict(zip(names, results, strict=True)), self.outputs(sample, None))
        if comparison.verdict is not VerificationVerdict.INVALID:
            return ""
        return (
            f"ONNX Runtime, unoptimised, and onnx's reference evaluator disagree about the source: {comparison.reason}"
        )

    def close(self) -> None:
        """Free the session over a source file."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _of_module(self, sample: Sample, structure: CallStructure | None) -> Sample:
        if self.source.live_format == "python":
            from turnkey.runtimes.python import python_outputs

            assert structure is not None, "a callable comes with its calls"
            function: Any = self.source.module
            return python_outputs(function, structure, sample)
        from turnkey.formats.torch_call import call_of, outputs_of

        return outputs_of(call_of(self.source.module, structure, sample), sample)

    def _of_file(self, sample: Mapping[str, Any]) -> Sample:
        if self._runner is None:
            options = {"graph_optimization_level": "none"}
            request = LoadRequest(path=self.source.path, threads=1, options=options)
            self._runner = find_runtime("onnxruntime").load(request)
        return self._runner.outputs(self._runner.run(self._runner.prepare(dict(sample))))
