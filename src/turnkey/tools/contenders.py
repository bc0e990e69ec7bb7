"""All candidates that a build can have here: every format that can be made, on every runtime that executes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from turnkey.errors import TurnkeyError, UsageError
from turnkey.formats import FORMATS, find_format
from turnkey.formats.onnx_rewrite import FOREIGN, UNCHANGED
from turnkey.formats.route import formats_named, installed_format
from turnkey.host import has_bfloat16
from turnkey.model.source import SourceModel
from turnkey.pipeline.events import tell_progress
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.runtimes import RUNTIMES, Runtime, default_runtime, find_runtime
from turnkey.runtimes.verification import VariantVerification
from turnkey.tools.calibration import calibrating, split
from turnkey.tools.candidates import LIVE, Candidate
from turnkey.tools.conversion import Wish, reached
from turnkey.verify import VerificationVerdict, precision_of
from turnkey.verify.tolerance import QUANTIZED_4_BITS, QUANTIZED_8_BITS

_NOT_FOR_SPEED = {"onnx-reference", "mlf"}
"""Runtimes that exist for other reasons than speed on this machine."""
_TRIED_ANYWAY = {"onnx-dynamo"}
"""Formats that are what another one tries first."""
_COMPILED = {"executorch", "tensorrt", "torch-aoti", "torch-tensorrt"}
"""Ways of storing that a compiler makes, which may take minutes."""


def wanted_runtimes(names: Sequence[str]) -> tuple[Runtime, ...]:
    """The runtimes named, else all that are installed and execute something on the processor.

    Raises:
        UsageError: there is none of that name.
        MissingDependencyError: one that was named is not installed.
    """
    if names:
        return tuple(find_runtime(name) for name in names)
    found = []
    for name in RUNTIMES.names():
        if name in _NOT_FOR_SPEED:
            continue
        try:
            runtime = find_runtime(name)
        except TurnkeyError as error:
            print(f"{name}: {error.what}", flush=True)
            continue
        if "cpu" in runtime.devices:
            found.append(runtime)
    return tuple(found)


def wanted_formats(names: Sequence[str], *, runtimes: Sequence[Runtime], exact: bool) -> tuple[str, ...]:
    """The formats named, else all that are installed and that one of the runtimes executes from a file.

    Those named keep their order. Of all, what a compiler makes comes last: who interrupts has the portable forms.

    Raises:
        UsageError: there is none of that name.
    """
    words = [word for text in names for word in text.split(",") if word]
    chosen = dict.fromkeys(name for word in words for name in formats_named(word))
    executed = {kind for runtime in runtimes for kind in runtime.executes} - set(LIVE)
    found = []
    for name in chosen or FORMATS.names():
        if exact and precision_of(name) is not None:
            continue
        if not chosen and name in _TRIED_ANYWAY:
            continue
        if not chosen and precision_of(name) == "bfloat16" and not has_bfloat16():
            print(f"{name}: not tried: this processor has no bfloat16 instructions", flush=True)
            continue
        try:
            form = installed_format(name)
        except TurnkeyError as error:
            print(f"{name}: {error.what}", flush=True)
            continue
        if form.stored_as in executed and form.converts_from:
            found.append(name)
    if not chosen:
        found.sort(key=lambda name: find_format(name).stored_as in _COMPILED)  # stable: parents stay before children
    if chosen and not found:
        raise UsageError(
            "none of these formats can be made and executed here",
            evidence=", ".join(chosen),
            remedy="turnkey system-info says what each of them lacks; --runtimes names what is to execute them",
        )
    return tuple(found)


def made(state: State, source: SourceModel, formats: Sequence[str]) -> tuple[State, list[str]]:
    """A variant of each format, and a line about each that could not be made.

    Files made from an ONNX file start from the exported one, so that each is one step away from it. What calibrates
    sees half of the captured inputs: it is verified on the others too.
    """
    failures = []
    held_back = calibrating(source, split(source.samples.inputs))
    for number, name in enumerate(formats, start=1):
        form = find_format(name)
        plain = next((v.key for v in state.variants if v.key == "onnx"), "")
        start = plain if name != "onnx" and "onnx" in form.converts_from else ""
        if any(variant.key == name for variant in state.variants):
            continue
        by_name = getattr(form, "exporter", "")
        if by_name and any(variant.exporter == by_name for variant in state.variants):
            continue  # the file of that exporter is there already
        tell_progress(f"making {name}, form {number} of {len(formats)}")
        is_quantised = precision_of(name) in (QUANTIZED_8_BITS, QUANTIZED_4_BITS)
        found = reached(state, Wish(format=name, start=start), source=held_back if is_quantised else source)
        state = found.state
        if found.key is None:
            failures.append(found.sentence)
    return state, failures


def contenders(
    state: State,
    source: SourceModel,
    runtimes: Sequence[Runtime],
    verdicts: Mapping[str, VariantVerification | TurnkeyError],
    *,
    exact: bool,
) -> list[Candidate]:
    """Every valid variant on every runtime that executes it, and the live model; each once.

    Left out is what an optimiser left as it was, and ONNX files with one runtime's own operators on any other.
    """
    found = []
    for runtime in runtimes:
        if source.live_format is not None and source.live_format in runtime.executes:
            live = Candidate(key=runtime.name, runtime=runtime, variant=None, path=None, device="cpu")
            if not exact or live.precision is None:
                found.append(live)
        for variant in state.variants:
            verdict = verdicts.get(variant.key)
            if not isinstance(verdict, VariantVerification) or verdict.verdict is not VerificationVerdict.VALID:
                continue
            if exact and precision_of(variant.key) is not None:
                continue
            if _is_executed(variant, runtime, verified_with=verdict.runtime):
                path = state.build_dir / variant.path
                key = f"{variant.key} @ {runtime.name}"
                found.append(Candidate(key=key, runtime=runtime, variant=variant, path=path, device="cpu"))
    return found


def _is_executed(variant: Variant, runtime: Runtime, *, verified_with: str) -> bool:
    kind = stored_as(variant)
    if kind not in runtime.executes or any(note.startswith(UNCHANGED) for note in variant.notes):
        return False
    if verified_with != default_runtime(kind):  # the first choice lacks what the file needs
        return runtime.name == verified_with
    if runtime.executes[0] == kind:
        return True
    # A second choice, such as ONNX files in OpenVINO, whose own files are made from them anyway.
    return kind != "onnx" or (variant.key.endswith("int8-static") and not _is_foreign(variant))


def _is_foreign(variant: Variant) -> bool:
    return any(note.startswith(FOREIGN) for note in variant.notes)
