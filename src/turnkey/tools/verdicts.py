"""What the verifying tools share: the verdict about one variant of a state, and the reference outputs of the build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from turnkey.formats.onnx_export import EXPORTERS
from turnkey.host import fair_threads
from turnkey.model.samples import SampleSet, write_samples
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.runtimes.file_verifier import verify_file
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.verify import Tolerances, precision_of


def keep_reference_outputs(state: State, reference: Reference) -> tuple[State, SampleSet]:
    """Complete the captured samples by the source model's outputs, in the state and in ``samples/``.

    A build whose model is neither in memory nor a file keeps the outputs that it has.
    """
    samples = reference.source.samples
    if not reference.can_run or all(output is not None for output in samples.outputs):
        return state, samples
    complete = reference.with_outputs(samples)
    if complete.structure is None or complete.structure.is_portable:
        write_samples(complete, BuildPaths(state.cache_dir, state.build_name).samples)
    else:
        print("the samples are not kept in samples/: the call takes an object that cannot be written to a file")
    if state.model is not None:
        state = replace(state, model=replace(state.model, samples=complete))
    return state, complete


def with_reference_outputs(state: State, source: SourceModel) -> tuple[State, SampleSet]:
    """`keep_reference_outputs`, by a reference that nothing else is asked of."""
    reference = Reference(source)
    try:
        return keep_reference_outputs(state, reference)
    finally:
        reference.close()


def exported_file(state: State, variant: Variant) -> Path | None:
    """The file that a variant was made from and that names the submodules of the live model; None without one."""
    keys = {*variant.lineage, variant.key}
    return next(
        (state.build_dir / each.path for each in state.variants if each.key in keys and each.exporter in EXPORTERS),
        None,
    )


def variant_verification(
    state: State, variant: Variant, reference: Reference, tolerances: Tolerances
) -> VariantVerification:
    """Verify one variant of a state on all samples of the reference's source."""
    return verify_file(
        reference,
        key=variant.key,
        path=state.build_dir / variant.path,
        stored_as=stored_as(variant),
        exported=exported_file(state, variant),
        tolerances=replace(tolerances, precision=precision_of(variant.key)),
        threads=fair_threads(),
    )
