"""One export: the ONNX file of a subject, checked, and compared with torch output by output."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError, VerificationError
from turnkey.lexer.limits import Limits, limits_of
from turnkey.lexer.options import LexerSettings

if TYPE_CHECKING:
    from turnkey.lexer.subject import Subject
    from turnkey.lexer.working_directory import WorkingDirectory
    from turnkey.model.samples import Sample


class ValidationError(VerificationError, AssertionError):
    """The ONNX file does not compute what the PyTorch model computes. ``result`` is the export, with its numbers."""

    result: ExportResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCheck:
    """One output: largest errors against torch, and what the limits say; errors are None where not defined."""

    name: str
    passed: bool
    max_abs_error: float | None
    max_rel_error: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """What an export made.

    Attributes:
        path: of the file in the context's working directory; gone with the context and its results.
        checked: ONNX's checker, with shape inference, accepted the file.
        validation: ``pass``, ``fail``, ``unproven`` (torch's own outputs are zero or not finite, so that agreement
            says nothing) or ``off``.
        outputs: one check per output; empty without validation.
        seconds: wall time of export, check and validation.
        sha256, size_bytes: of the file with its external data.
        notes: who exported, with which dynamic axes, and what else a reader must know.
    """

    class_name: str
    path: Path
    opset: int
    exporter: str
    checked: bool
    validation: str
    outputs: tuple[OutputCheck, ...] = ()
    seconds: float
    sha256: str
    size_bytes: int
    notes: tuple[str, ...] = ()
    directory: WorkingDirectory | None = field(repr=False, compare=False, default=None)
    """Not used, only held: the file stays as long as somebody has this result."""

    @property
    def max_abs_error(self) -> float | None:
        return max((each.max_abs_error for each in self.outputs if each.max_abs_error is not None), default=None)

    @property
    def max_rel_error(self) -> float | None:
        return max((each.max_rel_error for each in self.outputs if each.max_rel_error is not None), default=None)

    def __iter__(self) -> Iterator[OutputCheck]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)

    def __bool__(self) -> bool:
        return True  # an export without validation is an export

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "class_name": self.class_name,
            "path": str(self.path),
            "opset": self.opset,
            "exporter": self.exporter,
            "checked": self.checked,
            "validation": self.validation,
            "max_abs_error": self.max_abs_error,
            "max_rel_error": self.max_rel_error,
            "outputs": [asdict(each) for each in self.outputs],
            "seconds": self.seconds,
            "size_bytes": self.size_bytes,
            "notes": list(self.notes),
        }

    def to_dataframe(self) -> Any:
        """One row per output. Raises MissingDependencyError without pandas."""
        from turnkey.lexer.table import data_frame

        return data_frame([asdict(each) for each in self.outputs])

    def __str__(self) -> str:
        from turnkey.pipeline.quantity import size_text

        checked = "checked" if self.checked else "not checked"
        first = (
            f"{self.class_name}.onnx: opset {self.opset}, {size_text(self.size_bytes)}, {checked}, "
            f"validation {self.validation}, {self.seconds:.2f} s"
        )
        lines = [
            f"  {each.name}: largest error {_error(each.max_abs_error)}, relative {_error(each.max_rel_error)}"
            + (f"; {each.reason}" if each.reason else "")
            for each in self.outputs
        ]
        return "\n".join([first, *lines])

    def __rich__(self) -> Any:
        """A table for rich consoles."""
        from turnkey.lexer.table import rich_table

        rows = [[e.name, _error(e.max_abs_error), _error(e.max_rel_error), e.reason or "pass"] for e in self.outputs]
        title = str(self).partition("\n")[0]
        return rich_table(["output", "max abs error", "max rel error", "verdict"], rows, title=title)


def export_subject(
    subject: Subject, settings: LexerSettings, path: Path, *, directory: WorkingDirectory | None = None
) -> ExportResult:
    """Write ``path``, which lies in ``directory``, check it, and validate it as the settings say.

    Raises:
        UsageError: a tolerance for an output that the model does not have.
        ConversionError: no exporter wrote a file that agrees, or the checker refuses it.
        ValidationError: the outputs differ and ``on_validation_failure`` is ``raise``; ``result`` has the numbers.
    """
    from turnkey.formats import ConvertRequest, find_format
    from turnkey.formats.onnx_export import OnnxExportSettings
    from turnkey.formats.onnx_file import describe_file
    from turnkey.settings import onnx_opset

    limits_of(settings).require_outputs(subject.outputs)
    started = time.perf_counter()
    opset = settings.opset or onnx_opset()
    path.parent.mkdir(parents=True, exist_ok=True)
    conversion = find_format("onnx").convert(
        ConvertRequest(
            source=subject.source, path=path, settings=OnnxExportSettings(opset=opset, exporter=settings.exporter)
        )
    )
    _name_outputs(path, subject)
    if settings.enable_onnx_checks:
        _check(path)
    validation, outputs = _validated(path, subject, settings) if settings.enable_export_validation else ("off", ())
    file = describe_file(path)
    result = ExportResult(
        class_name=subject.class_name,
        path=path,
        opset=opset,
        exporter=conversion.exporter,
        checked=settings.enable_onnx_checks,
        validation=validation,
        outputs=outputs,
        seconds=time.perf_counter() - started,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        notes=conversion.notes,
        directory=directory,
    )
    if validation == "fail" and settings.on_validation_failure == "raise":
        error = ValidationError(
            f"{subject.class_name}.onnx does not compute what the PyTorch model computes",
            evidence="\n".join(f"{each.name}: {each.reason}" for each in outputs if not each.passed),
            remedy="on_validation_failure='warn' goes on; rtol=, atol= and tolerances= are the limits",
        )
        error.result = result
        raise error
    return result


def reused(earlier: ExportResult, subject: Subject, settings: LexerSettings) -> ExportResult | None:
    """An earlier export of the same model with the validation of another input; None unless it passes that."""
    started = time.perf_counter()
    try:
        validation, outputs = _validated(earlier.path, subject, settings)
    except Exception:  # noqa: BLE001 - a shape that the file does not take; the classes have no common base
        return None
    if validation != "pass":
        return None
    return replace(earlier, validation=validation, outputs=outputs, seconds=time.perf_counter() - started)


def _name_outputs(path: Path, subject: Subject) -> None:
    """Give the outputs the decorator's names; weights beside the file are not touched."""
    from turnkey.formats.onnx_file import load_graph
    from turnkey.formats.onnx_naming import name_border
    from turnkey.pipeline import durable

    model = load_graph(path)
    if [value.name for value in model.graph.output] == list(subject.output_names):
        return
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in weights]
    name_border(model.graph, input_names=inputs, output_names=subject.output_names)
    durable.write_bytes(path, model.SerializeToString(deterministic=True))


def _check(path: Path) -> None:
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise ConversionError(
            f"ONNX's checker refuses {path.name}",
            evidence=str(error).strip()[:2000],
            remedy="another opset may do: opset=18; enable_onnx_checks=False keeps the file unchecked",
        ) from error


def _validated(path: Path, subject: Subject, settings: LexerSettings) -> tuple[str, tuple[OutputCheck, ...]]:
    from turnkey.runtimes.single_run import outputs_of_file

    actual = outputs_of_file(path, subject.inputs)
    return judged(subject.outputs, actual, limits_of(settings))


def judged(reference: Sample, actual: Sample, limits: Limits) -> tuple[str, tuple[OutputCheck, ...]]:
    """``pass``, ``fail`` or ``unproven``, and one check per output."""
    from turnkey.verify import VerificationVerdict, compare

    own = {name: limits.for_output(name, str(array.dtype)) for name, array in reference.items()}
    comparison = compare(reference, actual, by_output=own)
    checks = tuple(
        OutputCheck(
            name=each.name,
            passed=not each.failed_test,
            max_abs_error=each.max_abs,
            max_rel_error=each.max_rel,
            reason=each.reason,
        )
        for each in comparison.outputs
    )
    words = {
        VerificationVerdict.VALID: "pass",
        VerificationVerdict.INVALID: "fail",
        VerificationVerdict.UNVERIFIED: "unproven",
    }
    return words[comparison.verdict], checks


def _error(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
