"""The tool ``verify-exporter``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import ConversionError, InputError, VerificationError
from turnkey.formats.onnx_export import EXPORTERS
from turnkey.pipeline.quantity import tolerance
from turnkey.pipeline.tool import Argument, Tool, ToolKind, ToolSkipped

if TYPE_CHECKING:
    from turnkey.pipeline.state import State, Variant
    from turnkey.runtimes.verification import VariantVerification

RTOL = 1.3e-6
ATOL = 1e-5


class VerifyOnnxExporter(Tool):
    """Check that the ONNX export computes what the PyTorch model computes, on all captured samples.

    It judges the file of export-pytorch; before export-pytorch it exports into a temporary file and judges that.
    The verdict is valid, invalid, or unverified where the outputs prove nothing; only valid is a success.
    """

    name = "verify-exporter"
    kind = ToolKind.SEQUENCE
    progress = "Verifying the ONNX exporter"
    reads = "the model and its samples; the exported file if there is one"
    writes = "torch_export_validity: valid, invalid or unverified"
    example = "turnkey -i model.py discover export-pytorch verify-exporter"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--rtol",),
            parse=tolerance,
            default=RTOL,
            metavar="R",
            help="Relative part of the tolerance: |error| <= atol + rtol * |reference|.",
        ),
        Argument(
            flags=("--atol",),
            parse=tolerance,
            default=ATOL,
            metavar="A",
            help="Absolute part; the default grows with outputs larger than 1, a given value is literal.",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """A model that was loaded from an ONNX file was not exported by us."""
        return all(variant.exporter != "loaded" for variant in state.variants)

    def run(self, state: State, **arguments: Any) -> State:
        """Verify the export.

        Raises:
            VerificationError: the file differs from the model, or nothing could prove that it does not.
            ConversionError: nothing was exported yet, and the model cannot be.
        """
        import tempfile

        if state.model is not None and state.model.module is None:
            raise ToolSkipped("the input is an ONNX file: nothing was exported")
        if state.model is None:
            raise InputError(
                f"the build {state.build_name} holds no live model to compare an export with",
                remedy="turnkey -i SCRIPT.py discover export-pytorch verify-exporter",
            )
        exported = [variant for variant in state.variants if variant.exporter in EXPORTERS]
        if exported:
            return _judged(state, exported[-1], state.build_dir / exported[-1].path, arguments)
        with tempfile.TemporaryDirectory(prefix="turnkey-export-") as scratch:
            path = Path(scratch) / "model.onnx"
            variant = _exported_to(state, path)
            return _judged(state, variant, path, arguments)


def _exported_to(state: State, path: Path) -> Variant:
    from turnkey import settings
    from turnkey.formats import ConvertRequest, find_format
    from turnkey.formats.onnx_export import OnnxExportSettings
    from turnkey.pipeline.state import Variant

    request = ConvertRequest(source=state.model, path=path, settings=OnnxExportSettings(opset=settings.onnx_opset()))
    try:
        conversion = find_format("onnx").convert(request)
    except ConversionError as error:
        error.state = state.with_statistics(torch_export_validity="unverified")
        raise
    return Variant(key="onnx", format="onnx", path=path.name, sha256="", exporter=conversion.exporter)


def _judged(state: State, variant: Variant, path: Path, arguments: dict[str, Any]) -> State:
    from turnkey.host import fair_threads
    from turnkey.runtimes.file_verifier import verify_file
    from turnkey.runtimes.reference import Reference
    from turnkey.tools.verdicts import keep_reference_outputs
    from turnkey.verify import Tolerances, VerificationVerdict

    assert state.model is not None, "the caller made sure"
    rtol, atol = arguments.get("rtol", RTOL), arguments.get("atol", ATOL)
    reference = Reference(state.model)
    try:
        state, complete = keep_reference_outputs(state, reference)
        reference.source = replace(reference.source, samples=complete)
        found = verify_file(
            reference,
            key=variant.key,
            path=path,
            stored_as="onnx",
            exported=path,
            tolerances=Tolerances(rtol=rtol, atol=atol, scaled=(rtol, atol) == (RTOL, ATOL)),
            threads=fair_threads(),
        )
    finally:
        reference.close()
    state = state.with_statistics(torch_export_validity=found.verdict.value)
    sentence = f"export by {variant.exporter}: {found.sentence.removeprefix(f'{variant.key}: ')}"
    if found.verdict is not VerificationVerdict.VALID:
        raise _failure(found, variant, state)
    return replace(state, listing=sentence)


def _failure(found: VariantVerification, variant: Variant, state: State) -> VerificationError:
    part = found.failed or found.parts[0]
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in part.shapes.items())
    evidence = [f"inputs: {part.origin}, {shapes}"]
    if part.hidden is not None and part.hidden.sentence:
        evidence.append(part.hidden.sentence)
    other = next(name for name in EXPORTERS if name != variant.exporter)
    if found.failed is not None:
        what = f"the exporter {variant.exporter} changed what the model computes: {part.reason}"
        remedy = f"turnkey ... export-pytorch --exporter {other} verify-exporter"
    else:
        what = f"the export by {variant.exporter} is unverified: {part.reason}"
        remedy = "give the model inputs (and weights) for which its outputs are finite and not zero"
    error = VerificationError(what, evidence="\n".join(evidence), remedy=remedy)
    error.state = state
    return error
