"""The tool ``explain``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Tool, ToolKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnkey.model.source import SourceModel
    from turnkey.pipeline.state import State
    from turnkey.runtimes.profile import Profile
    from turnkey.runtimes.profiling import Subject
    from turnkey.runtimes.slowness import Finding

_TOLD_OPERATORS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateText:
    """A candidate as it is written: ``onnx@onnxruntime,threads::1,provider::CUDA``, or ``torch`` alone.

    Attributes:
        text: as given.
        variant: key; empty for the live model.
        runtime: name or alias.
        threads: None for the fair count.
        device: ``cpu`` where none is given.
        options: for the runtime.
    """

    text: str
    variant: str
    runtime: str
    threads: int | None
    device: str
    options: Mapping[str, Any]


def parse_candidate(text: str) -> str:
    """A candidate as it is written, checked. Raises ValueError as `read_candidate` does."""
    read_candidate(text)
    return text


def read_candidate(text: str) -> CandidateText:
    """What a text says of a candidate.

    Raises:
        ValueError: it is not written so.
    """
    from turnkey.runtimes.options import parse_runtime_arguments

    place, *words = [word.strip() for word in text.split(",")]
    variant, separator, runtime = (part.strip() for part in place.partition("@"))
    if not separator:
        variant, runtime = "", variant
    if not runtime:
        raise ValueError("a candidate is written VARIANT@RUNTIME or RUNTIME, such as onnx-opt@onnxruntime,threads::1")
    try:
        options = dict(parse_runtime_arguments(words))
    except UsageError as error:
        raise ValueError(error.evidence) from None
    threads = options.pop("threads", None)
    if threads is not None and not (str(threads).isdigit() and int(str(threads)) > 0):
        raise ValueError(f"threads::{threads} is no number of threads")
    return CandidateText(
        text=text,
        variant=variant,
        runtime=runtime,
        threads=None if threads is None else int(str(threads)),
        device=str(options.pop("device", "cpu")),
        options=options,
    )


class Explain(Tool):
    """Say why one candidate is slower than another.

    Both are run here, each alone, and looked into: which provider executes the nodes, which casts, copies and
    transpositions were put in, how long every operator takes and which module of the model it belongs to, and how many
    threads are busy. The first line names the cause that explains most; each finding has a remedy. Times are of the
    runtime's own profiler and say where time goes; which candidate is faster, and by how much, benchmark says.
    """

    name = "explain"
    kind = ToolKind.SEQUENCE
    progress = "Looking for what makes it slow"
    measures = True
    reads = "variants and samples of the build; the last measurements, where no candidates are given"
    writes = "nothing; the findings are shown"
    example = "turnkey -i model.py discover export-pytorch explain --slow onnx@onnxruntime,threads::1 --fast torch"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--slow",),
            parse=parse_candidate,
            metavar="CANDIDATE",
            default_text="the slowest of the last benchmark",
            help="VARIANT@RUNTIME or RUNTIME, with options after commas: onnx@onnxruntime,threads::1.",
        ),
        Argument(
            flags=("--fast",),
            parse=parse_candidate,
            metavar="CANDIDATE",
            default_text="the recommended one, or the fastest of the last benchmark where that is the slow one",
            help="What it is compared with, written in the same way.",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Where one of both is the live model."""
        return any(not given.variant for given in _given(state, arguments))

    def run(self, state: State, **arguments: Any) -> State:
        """Explain.

        Raises:
            UsageError: fewer than two candidates are known, or one that does not exist.
            TurnkeyError: a runtime refuses its candidate.
        """
        from turnkey.pipeline.stored_source import source_of
        from turnkey.runtimes.profiling import profile_of
        from turnkey.runtimes.slowness import findings, headline

        pair = _given(state, arguments)
        if len(pair) != 2:
            raise UsageError(
                "explain compares two candidates",
                evidence=f"candidates of the last benchmark: {', '.join(_measured(state)) or 'none'}",
                remedy="explain --slow onnx@onnxruntime --fast torch   # or put benchmark before it",
            )
        source = source_of(state)
        profiles = []
        for given in pair:
            print(f"looking at {given.text}", flush=True)
            profiles.append(profile_of(_subject(state, source, given), source.samples.inputs[0]))
        slow, fast = profiles
        found = findings(slow, fast)
        return replace(state, listing="\n".join([headline(slow, fast, found), *_details(slow, fast, found)]))


def _given(state: State, arguments: Mapping[str, Any]) -> list[CandidateText]:
    """The slow and the fast candidate: as given, else of the last benchmark."""
    slow, fast = arguments.get("slow"), arguments.get("fast")
    measured = _measured(state)
    keys = list(measured)
    if slow is None and keys:
        slow = measured[keys[-1]]
    if fast is None and keys:
        recommended = measured.get(state.chosen or "")
        fast = measured[keys[0]] if recommended in (None, slow) else recommended
    texts = dict.fromkeys(str(text) for text in (slow, fast) if text is not None)
    return [read_candidate(text) for text in texts]


def _measured(state: State) -> dict[str, str]:
    """Candidates of the last benchmark as they are written, by key, the fastest first, on their threads and device.

    Those of compared thread counts are left out, and so are options, which a state does not keep.
    """
    timed = [entry for entry in state.measurements if entry.get("latency_ms") and "(" not in str(entry["key"])]
    return {str(entry["key"]): _written(entry) for entry in sorted(timed, key=lambda each: float(each["latency_ms"]))}


def _written(entry: Mapping[str, Any]) -> str:
    words = [str(entry["key"])]
    words += [f"threads::{entry['threads']}"] if entry.get("threads") else []
    words += [f"device::{entry['device_type']}"] if entry.get("device_type", "cpu") != "cpu" else []
    return ",".join(words)


def _subject(state: State, source: SourceModel, given: CandidateText) -> Subject:
    from turnkey.host import fair_threads
    from turnkey.runtimes.profiling import Subject
    from turnkey.tools.candidates import candidates_of
    from turnkey.tools.verdicts import exported_file

    [candidate] = candidates_of(
        state,
        source,
        runtimes=[given.runtime],
        variants=[given.variant] if given.variant else (),
        device=given.device,
        options=given.options,
    )
    return Subject(
        key=given.text,
        runtime=candidate.runtime.name,
        request=candidate.request(source, threads=given.threads or fair_threads()),
        exported=None if candidate.variant is None else exported_file(state, candidate.variant),
    )


def _details(slow: Profile, fast: Profile, found: tuple[Finding, ...]) -> list[str]:
    lines = []
    for number, finding in enumerate(found, start=1):
        explained = "" if finding.excess_ms is None else f"  [{finding.excess_ms:.3g} ms of a call]"
        lines.append(f"  {number}. {finding.sentence}{explained}")
        lines.append(f"     do: {finding.remedy}")
    for profile in (slow, fast):
        placed = ", ".join(f"{count} nodes on {name}" for name, count in profile.placement.items())
        busy = f"{profile.threads_used:.1f} of {profile.threads} threads busy"
        timed = f"{len(profile.operators)} operators timed{f', {placed}' if placed else ''}"
        lines.append(f"  {profile.key}: {profile.call_ms:.3g} ms a call, {busy}, {timed}")
        longest = sorted(profile.operators, key=lambda each: -each.microseconds)[:_TOLD_OPERATORS]
        for each in longest:
            place = f"  {each.layer}" if each.layer else ""
            lines.append(f"     {each.microseconds / 1000:8.3g} ms  {each.operator}{place}")
    return lines
