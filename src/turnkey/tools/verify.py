"""The tool ``verify``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import VerificationError
from turnkey.formats.onnx_export import EXPORTERS
from turnkey.pipeline.quantity import positive_count, tolerance
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind, ToolSkipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkey.pipeline.state import State
    from turnkey.runtimes.verification import VariantVerification


class Verify(Tool):
    """Compare every variant with the source model, on real inputs.

    All outputs of every captured sample are compared, then other shapes that were captured, and other batch sizes
    where the file leaves them free. Limits go by dtype; --rtol and --atol replace them, as in
    torch.testing.assert_close. A mismatch fails the input and names the output, the element and the first layer that
    differs. Where the outputs of the source model are zero, agreement proves nothing: then zero weights are replaced
    on both sides, or hidden outputs compared. If neither is possible the variant stays unverified, and what is not
    verified is never recommended. With --explain a mismatch is traced through every form between the model and the
    variant to the first wrong layer and operator, which is written as a file and a script that reproduce it.
    """

    name = "verify"
    kind = ToolKind.SEQUENCE
    reusable = True
    progress = "Verifying variants against the source model"
    reads = "the variants of the build, the source model and its samples"
    writes = (
        "verification in the state; verify_status, verify_max_abs, verify_max_rel; reference outputs in samples/; "
        "explain/<variant>/ with --explain"
    )
    example = "turnkey -i model.py discover export-pytorch optimize-ort verify"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--rtol",),
            parse=tolerance,
            metavar="R",
            default_text="by dtype",
            help="Relative part of the tolerance: |error| <= atol + rtol * |reference|.",
        ),
        Argument(
            flags=("--atol",),
            parse=tolerance,
            metavar="A",
            default_text="by dtype",
            help="Absolute part of the tolerance.",
        ),
        Argument(
            flags=("--samples",),
            parse=positive_count,
            metavar="N",
            default_text="all captured",
            help="Compare only the first N captured samples.",
        ),
        Argument(
            flags=("--explain",),
            arity=Arity.FLAG,
            default=False,
            help="Find the first wrong form, layer and operator of what differs, and write a script that shows it.",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Where reference outputs were not kept, or layers are asked for, and the source is no ONNX file."""
        wanted = not state.verification or bool(arguments.get("explain"))
        return wanted and all(variant.exporter != "loaded" for variant in state.variants)

    def run(self, state: State, **arguments: Any) -> State:
        """Verify all variants.

        Raises:
            VerificationError: a variant differs; all verdicts are in the state that it carries.
            ModelError: the source model fails on its own samples.
        """
        from turnkey.pipeline.stored_source import source_of
        from turnkey.runtimes.reference import Reference
        from turnkey.tools.divergences import divergences
        from turnkey.tools.verdicts import keep_reference_outputs, variant_verification
        from turnkey.verify import Tolerances

        if not state.variants:
            raise ToolSkipped("there is no variant to verify; export-pytorch or load-onnx makes one")
        source = source_of(state)
        reference = Reference(source)
        try:
            state, complete = keep_reference_outputs(state, reference)
            count = arguments.get("samples")
            kept = replace(complete, inputs=complete.inputs[:count], outputs=complete.outputs[:count])
            reference.source = replace(source, samples=kept)
            limits = Tolerances(rtol=arguments.get("rtol"), atol=arguments.get("atol"))
            found = [variant_verification(state, variant, reference, limits) for variant in state.variants]
            failed = [each for each in found if each.failed is not None]
            traces = divergences(state, failed, reference, limits) if arguments.get("explain") else ()
        finally:
            reference.close()
        state = _with_verdicts(state, found)
        listing = "\n".join(each.sentence for each in found)
        if failed:
            print(listing, flush=True)  # for the log: the error tells of those that failed
            raise _mismatch(failed, state, traces)
        return replace(state, listing=listing)


def _with_verdicts(state: State, found: list[VariantVerification]) -> State:
    from turnkey.verify import VerificationVerdict

    def worst(measure: str) -> float | None:
        return max((value for each in found if (value := each.worst(measure)) is not None), default=None)

    order = (VerificationVerdict.INVALID, VerificationVerdict.UNVERIFIED, VerificationVerdict.VALID)
    status = next(verdict for verdict in order if any(each.verdict is verdict for each in found))
    entries = tuple(entry for each in found for entry in each.entries())
    # What an earlier run of the build recommended must not stay so if its variant is no longer verified.
    doubtful = {each.key for each in found if each.verdict is not VerificationVerdict.VALID}
    recommended = next((entry for entry in state.measurements if entry.get("key") == state.chosen), {})
    chosen = None if recommended.get("variant") in doubtful else state.chosen
    return replace(state, verification=entries, chosen=chosen).with_statistics(
        verify_status=status.value, verify_max_abs=worst("max_abs"), verify_max_rel=worst("max_rel")
    )


def _mismatch(failed: list[VariantVerification], state: State, traces: Sequence[str]) -> VerificationError:
    first = failed[0]
    part = first.failed
    assert part is not None, "the caller chose those that failed"
    shapes = ", ".join(f"{name} {list(shape)}" for name, shape in part.shapes.items())
    evidence = [f"inputs: {part.origin}, {shapes}", *traces]
    if not traces and part.hidden is not None and part.hidden.sentence:
        evidence.append(part.hidden.sentence)
    evidence.extend(f"also {other.sentence}" for other in failed[1:])
    variant = state.variant(first.key)
    if variant.lineage:
        cure = f"use {variant.lineage[-1]}, from which {first.key} was made, if it is valid"
    elif first.key == "torchscript-trace":
        cure = "use torchscript-script or torch-exportedprogram: a trace keeps only the branches that it saw"
    elif variant.exporter in EXPORTERS:
        other = next(name for name in EXPORTERS if name != variant.exporter)
        cure = f"try the other exporter: export-pytorch --exporter {other}"
    elif first.is_source:
        cure = "load it without optimisations: benchmark --rt-args onnxruntime.graph_optimization_level::none"
    else:
        cure = "use another format"
    error = VerificationError(
        f"{first.key} does not compute what the source model computes: {part.reason}",
        evidence="\n".join(evidence),
        remedy=f"{cure}; or allow more: verify --rtol R --atol A" if part.worst else cure,
    )
    error.state = state
    return error
