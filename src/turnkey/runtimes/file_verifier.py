"""Verifying one file against the source model: every sample, other batch sizes, and what to do about zeros."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from turnkey.errors import (
    ArtifactError,
    ConversionError,
    MissingDependencyError,
    ModelError,
    TurnkeyError,
    UsageError,
)
from turnkey.formats.conditioning import excused_as_rounding
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.signature import Signature
from turnkey.runtimes.hidden import HiddenComparison, compare_hidden, compare_values
from turnkey.runtimes.lookup import find_runtime, runtimes_of
from turnkey.runtimes.perturbation import compare_perturbed
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.runtime import ClosedRunner, LoadRequest, Runner, Runtime
from turnkey.runtimes.verification import CAPTURED, MADE, SignatureVerification, VariantVerification, summarized
from turnkey.verify import Comparison, Tolerances, VerificationVerdict, batch_size, compare
from turnkey.verify.batch import batch_symbol, other_sizes, resized

_SHOWS_VALUES = "onnxruntime"
"""The runtime whose files can be looked into: values and weights inside of them."""


def verify_file(
    reference: Reference,
    *,
    key: str,
    path: Path,
    stored_as: str,
    exported: Path | None,
    tolerances: Tolerances,
    threads: int,
) -> VariantVerification:
    """Verify one stored variant with the first runtime that executes its format and has all that the file needs.

    Args:
        reference: of the source model; its samples get the outputs that they lack.
        key: of the variant.
        stored_as: the format in which the file is stored: ``onnx``.
        exported: see `FileVerifier`.

    Raises:
        MissingDependencyError: no runtime that is installed has what the file needs; the error of the first.
    """
    samples = reference.with_outputs(reference.source.samples)
    runtime, runner = _loaded(path, stored_as, threads)
    if isinstance(runner, TurnkeyError):
        refused = SignatureVerification(
            origin=_origin(samples),
            shapes={name: array.shape for name, array in samples.inputs[0].items()},
            samples=0,
            verdict=VerificationVerdict.INVALID,
            reason=f"it cannot be loaded: {runner.what}: {runner.evidence}",
        )
        return VariantVerification(key=key, runtime=runtime.name, runtime_version="", parts=(refused,))
    try:
        verifier = FileVerifier(
            reference,
            runner,
            path=path,
            exported=exported,
            signature=runner.signature if isinstance(runner, ClosedRunner) else signature_of(path, stored_as),
            tolerances=tolerances,
            shows_values=runtime.name == _SHOWS_VALUES,
        )
        parts = tuple(verifier.verify(samples, reference.source.further_samples))
        version = str(runner.describe().get("runtime_version", ""))
    finally:
        runner.close()
    source = reference.source
    is_source = source.module is None and source.path is not None and source.path == path
    return VariantVerification(
        key=key, runtime=runtime.name, runtime_version=version, parts=parts, is_source=is_source
    )


def _origin(samples: SampleSet) -> str:
    """What a script really used, or what was made for a file."""
    return CAPTURED if samples.seed is None else MADE


def _loaded(path: Path, stored_as: str, threads: int) -> tuple[Runtime, Runner | TurnkeyError]:
    """The first runtime that has what the file needs (ONNX Runtime lacks kernels for bfloat16 on processors), and
    the runner; instead of it the error of a runtime that refuses the file.

    Raises:
        MissingDependencyError: there is none; the error of the first.
    """
    lacking: MissingDependencyError | None = None
    for name in runtimes_of(stored_as):
        try:
            runtime = find_runtime(name)
            return runtime, runtime.load(LoadRequest(path=path, device=runtime.devices[0], threads=threads))
        except MissingDependencyError as error:
            lacking = lacking or error
        except (ConversionError, ArtifactError, UsageError) as error:  # the last: no such device here
            return runtime, error
    assert lacking is not None, "runtimes_of names one or raises"
    raise lacking


def signature_of(path: Path, stored_as: str) -> Signature:
    """Inputs of a file with their free dimensions; without inputs where neither it nor a file beside it tells them.

    Args:
        stored_as: the format in which it is stored: ``onnx``.
    """
    if stored_as == "onnx":
        from turnkey.formats.onnx_file import load_graph
        from turnkey.formats.onnx_signature import read_signature

        return read_signature(load_graph(path))
    if stored_as == "openvino":
        from turnkey.formats.openvino_model import read_openvino_signature

        return read_openvino_signature(path)
    from turnkey.formats.stored_call import read_stored_call, stored_call_path

    return read_stored_call(path).signature if stored_call_path(path).is_file() else Signature(inputs=())


class FileVerifier:
    """Compares one loaded file with the source model.

    Args:
        reference: the source of truth.
        runner: the file, loaded as it will be used.
        path: the file.
        exported: the exported file that it was made from (itself, if it is that one); None for other sources.
        signature: of the file: symbolic dimensions are free.
        tolerances: limits.
        shows_values: whether values and weights inside of the file can be looked at, which ONNX files alone allow.
    """

    def __init__(
        self,
        reference: Reference,
        runner: Runner,
        *,
        path: Path,
        exported: Path | None,
        signature: Signature,
        tolerances: Tolerances,
        shows_values: bool = True,
    ) -> None:
        self._reference = reference
        self._runner = runner
        self._path = path
        self._exported = exported
        self._signature = signature
        self._tolerances = tolerances
        self._shows_values = shows_values

    def verify(self, samples: SampleSet, further: Sequence[SampleSet]) -> Iterator[SignatureVerification]:
        """The captured samples first, then further signatures that fit the file, then other batch sizes."""
        captured = self._captured(samples)
        yield captured
        differs = captured.verdict is VerificationVerdict.INVALID
        if differs or any(output.failed_test for output in captured.worst):
            return  # it differs, or the source differs from itself: further shapes would only repeat that
        for other in further:
            if self._fits(other.inputs[0]):
                yield self._compared(self._reference.with_outputs(other), origin="captured, other shapes")
        yield from self._other_batch_sizes(samples)

    def _captured(self, samples: SampleSet) -> SignatureVerification:
        other = self._other_extents(samples)
        if other:
            return SignatureVerification(
                origin=_origin(samples),
                shapes={name: array.shape for name, array in samples.inputs[0].items()},
                samples=0,
                verdict=VerificationVerdict.UNVERIFIED,
                reason=other,
            )
        found = self._compared(samples, origin=_origin(samples))
        sample = samples.inputs[0]
        if found.verdict is VerificationVerdict.INVALID:
            if self._reference.can_run and self._reference.disagrees_with_itself(sample, samples.structure):
                reason = f"the source model gives different outputs for equal inputs; {found.reason}"
                return replace(found, verdict=VerificationVerdict.UNVERIFIED, reason=reason)
            return replace(found, hidden=self._hidden(samples))
        if found.verdict is VerificationVerdict.UNVERIFIED:
            return self._proven_otherwise(found, samples)
        doubt = self._reference.doubt()
        return replace(found, verdict=VerificationVerdict.UNVERIFIED, reason=doubt) if doubt else found

    def _proven_otherwise(self, found: SignatureVerification, samples: SampleSet) -> SignatureVerification:
        """Outputs prove nothing: replace zero weights on both sides, else compare hidden outputs."""
        module = self._reference.source.module
        perturbed = None
        if module is not None and self._shows_values:
            perturbed = compare_perturbed(
                module, samples.structure, samples.inputs[0], variant=self._path, tolerances=self._tolerances
            )
        if perturbed is not None and perturbed.verdict is VerificationVerdict.VALID:
            reason = f"{found.reason}; with its zero weights replaced on both sides they agree"
            return replace(found, verdict=perturbed.verdict, reason=reason, worst=perturbed.outputs)
        if perturbed is not None and perturbed.verdict is VerificationVerdict.INVALID:
            reason = f"with the model's zero weights replaced on both sides, {perturbed.reason}"
            hidden = self._hidden(samples)
            return replace(found, verdict=perturbed.verdict, reason=reason, worst=perturbed.outputs, hidden=hidden)
        hidden = self._hidden(samples)
        if hidden is not None and hidden.divergent:
            return replace(found, verdict=VerificationVerdict.INVALID, reason=hidden.sentence, hidden=hidden)
        if hidden is not None and hidden.agreeing:
            reason = f"{found.reason}; {len(hidden.agreeing)} hidden outputs agree, the last of {hidden.agreeing[-1]}"
            return replace(found, verdict=VerificationVerdict.VALID, reason=reason, hidden=hidden)
        return found

    def _hidden(self, samples: SampleSet) -> HiddenComparison | None:
        """Layers of the live module beside the file's, else values of the source file that it was made from."""
        source, sample = self._reference.source, samples.inputs[0]
        if not self._shows_values:
            return None
        if source.module is not None and self._exported is not None:
            return compare_hidden(
                source.module,
                samples.structure,
                sample,
                exported=self._exported,
                variant=self._path,
                tolerances=self._tolerances,
            )
        if source.module is None and source.path is not None and source.path != self._path:
            return compare_values(source.path, self._path, sample, tolerances=self._tolerances)
        return None

    def _other_batch_sizes(self, samples: SampleSet) -> Iterator[SignatureVerification]:
        symbol, sample = batch_symbol(self._signature), samples.inputs[0]
        if symbol is None:
            return
        named = next(spec.name for spec in self._signature.inputs if spec.shape and spec.shape[0] == symbol)
        for size in other_sizes(batch_size({named: sample[named]})):
            other = resized(sample, self._signature, size)
            if not self._reference.can_run:
                return
            try:
                outputs = self._reference.outputs(other, samples.structure)
            except ModelError as error:  # the model itself does not take it: nothing to compare
                print(f"batch size {size}: {error.what}: {error.evidence}")
                continue
            made = SampleSet(structure=samples.structure, inputs=(other,), outputs=(outputs,), seed=0)
            yield self._compared(made, origin=f"batch size {size}")

    def _compared(self, samples: SampleSet, *, origin: str) -> SignatureVerification:
        shapes = {name: array.shape for name, array in samples.inputs[0].items()}
        comparisons: list[Comparison] = []
        for sample, reference in zip(samples.inputs, samples.outputs, strict=True):
            assert reference is not None, "the caller completed the reference outputs"
            try:
                outputs = self._runner.outputs(self._runner.run(self._runner.prepare(sample)))
            except Exception as error:  # noqa: BLE001 - runtimes raise what they like; the file does not run
                print("".join(traceback.format_exception(error)))  # into the log: where in a plug-in's runner it was
                what = error.what if isinstance(error, TurnkeyError) else f"{type(error).__name__}: {error}"
                return SignatureVerification(
                    origin=origin,
                    shapes=shapes,
                    samples=len(comparisons) + 1,
                    verdict=VerificationVerdict.INVALID,
                    reason=f"it does not run: {what.strip()[:1000]}",
                )
            found = compare(reference, outputs, tolerances=self._tolerances)
            if found.verdict is VerificationVerdict.INVALID and self._may_be_rounding:
                module, structure = self._reference.source.module, samples.structure
                found = excused_as_rounding(found, module, structure, sample, reference=reference, actual=outputs)
            comparisons.append(found)
        return summarized(comparisons, origin=origin, shapes=shapes)

    @property
    def _may_be_rounding(self) -> bool:
        """Limits that the user gave are meant; a narrower precision has limits of its own; files have no float64."""
        is_literal = not self._tolerances.scaled and (self._tolerances.rtol, self._tolerances.atol) != (None, None)
        return self._reference.source.module is not None and self._tolerances.precision is None and not is_literal

    def _other_extents(self, samples: SampleSet) -> str:
        """Why the samples say nothing about code compiled for other extents of what its parent leaves free; or ""."""
        parent = self._exported or self._reference.source.path
        if not isinstance(self._runner, ClosedRunner) or parent is None or parent.suffix != ".onnx":
            return ""
        free = {spec.name: spec.shape for spec in signature_of(parent, "onnx").inputs}
        compiled: dict[str, int] = {}
        given: dict[str, int] = {}
        for spec in self._signature.inputs:
            array = samples.inputs[0].get(spec.name)
            shape = () if array is None else array.shape
            for symbol, fixed, extent in zip(free.get(spec.name, ()), spec.shape, shape, strict=False):
                if isinstance(symbol, str) and isinstance(fixed, int) and fixed != extent:
                    compiled[symbol], given[symbol] = fixed, extent
        if not given:
            return ""
        closed = ", ".join(f"{symbol} {extent}" for symbol, extent in compiled.items())
        extents = ", ".join(map(str, given.values()))
        command = self._runner.command_for(given)
        return f"not compared: it was compiled for {closed}, the {_origin(samples)} input has {extents}; do: {command}"

    def _fits(self, sample: Sample) -> bool:
        """Whether the file's fixed extents allow these shapes."""
        for spec in self._signature.inputs:
            array = sample.get(spec.name)
            if array is None or array.ndim != len(spec.shape):
                return False
            if any(isinstance(want, int) and want != have for want, have in zip(spec.shape, array.shape, strict=True)):
                return False
        return True
