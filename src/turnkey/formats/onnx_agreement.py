"""Whether an ONNX file computes what its source computes, as seen by ONNX Runtime on the processor.

Used while exporting, to choose between exporters; the tool ``verify`` judges every variant afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from turnkey.formats.failure_text import one_line
from turnkey.formats.onnx_file import load_graph
from turnkey.formats.onnx_signature import fit_sample, read_signature
from turnkey.model.samples import Sample
from turnkey.verify import Comparison, VerificationVerdict, compare

_BEYOND_NUMPY = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}

Excuse = Callable[[Comparison, Sample, Sample, Sample], Comparison]
"""Given a comparison that failed, its inputs, the reference and the file's outputs: the comparison to believe."""


class Agreement(Enum):
    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a comparison found. Where the file agrees, ``reason`` is empty or says what had to be excused."""

    agreement: Agreement
    reason: str = ""


def judge_file(
    path: Path, inputs: Sequence[Sample], references: Sequence[Sample], *, excuse: Excuse | None = None
) -> Finding:
    """Run a file on some inputs and compare all its outputs with the source's.

    A file that ONNX Runtime has no kernels for (bfloat16 on most processors) is unproven, one that it refuses for
    another reason or whose outputs differ disagrees.
    """
    import onnxruntime  # half a second: only when a file is really run
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    signature = read_signature(load_graph(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    unproven = excused = ""
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        if unknown := sorted({spec.dtype for spec in (*signature.inputs, *signature.outputs)} & _BEYOND_NUMPY):
            reason = f"{', '.join(unknown)} inputs and outputs are compared by the tool verify alone"
            return Finding(agreement=Agreement.UNPROVEN, reason=reason)
        names = [output.name for output in session.get_outputs()]
        for sample, reference in zip(inputs, references, strict=True):
            outputs = dict(zip(names, session.run(names, fit_sample(sample, signature)), strict=True))
            comparison = compare(reference, outputs)
            if comparison.verdict is VerificationVerdict.INVALID and excuse is not None:
                comparison = excuse(comparison, sample, reference, outputs)
                excused = "; ".join(output.reason for output in comparison.outputs if output.reason)
            if comparison.verdict is VerificationVerdict.INVALID:
                return Finding(agreement=Agreement.DISAGREES, reason=comparison.reason)
            if comparison.verdict is VerificationVerdict.UNVERIFIED:
                unproven = unproven or comparison.reason
    except failures.NotImplemented as error:
        return Finding(agreement=Agreement.UNPROVEN, reason=f"ONNX Runtime cannot run it: {one_line(error)}")
    except Exception as error:  # noqa: BLE001 - what ONNX Runtime raises has no common base, and all of it is a refusal
        return Finding(agreement=Agreement.DISAGREES, reason=f"ONNX Runtime refuses it: {one_line(error)}")
    if unproven:
        return Finding(agreement=Agreement.UNPROVEN, reason=unproven)
    return Finding(agreement=Agreement.AGREES, reason=excused)
