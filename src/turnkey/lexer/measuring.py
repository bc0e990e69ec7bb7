"""Engines of a benchmark, measured side by side by the product's one engine.

Effort ``single`` is the documented cost model: this process, so many samples per engine, slices of the engines
interleaved. The other efforts measure in fresh processes, and so does ``single`` where an engine beyond the documented
ones takes part: its crash must not be the user's. Whatever the effort, the model is left as it was found.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import from_dict
from turnkey.lexer.options import LexerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.subject import Subject
    from turnkey.measure import Record
    from turnkey.pipeline.state import State
    from turnkey.tools.candidates import Candidate

_LOCK = threading.RLock()
_FOLDER = "engines"
_HARMLESS = {"onnxruntime", "torch", "torch-compile"}
"""Engines that are measured in the user's own process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A record with its candidates in the order of the rows, and what must be said about all of them."""

    record: Record
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """Engines that could not be measured beside others that could."""
        lost = [candidate for candidate in self.candidates if candidate.key not in self.record.measured]
        errors = [(each.runtime.name, self.record.summary(each.key).error or {}) for each in lost]
        return tuple(f"{name} was not measured: {error.get('what', 'it failed')}" for name, error in errors)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Of several threads one works: exporting and measuring set flags of models and of the process."""
    with _LOCK:
        yield


@contextmanager
def left_alone(module: Any) -> Iterator[None]:
    """The model and this process as before, also after an error: mode, buffers, attributes, random state, threads."""
    from turnkey.model.module_state import put_back
    from turnkey.runtimes.torch_eager import left_as_it_was

    with put_back(module), left_as_it_was(module):
        yield


def require_engines(settings: LexerSettings) -> None:
    """Raise before anything is exported or timed if an engine is not installed.

    Raises:
        MissingDependencyError: with the command that installs it.
    """
    from turnkey.runtimes import find_runtime

    for name in settings.engine_names:
        find_runtime(name)


def measured(subject: Subject, export: ExportResult | None, settings: LexerSettings, workdir: Path) -> Measured:
    """Time every engine of the settings.

    Raises:
        ConversionError: an engine's format cannot be made of the model.
        TurnkeyError: nothing could be measured; the error of the first engine.
    """
    from turnkey.measure import Settings
    from turnkey.pipeline.events import tell_progress
    from turnkey.tools.experiment import compared, measured_here

    asked = Settings(
        effort="quick" if settings.effort == "single" else settings.effort,
        iterations=settings.num_iterations if settings.exact_iterations or settings.effort == "single" else None,
        iteration_seconds=None if settings.exact_iterations else settings.max_seconds,
        threads=settings.threads,
        seed=settings.seed,
    )
    notes: list[str] = []
    with nullcontext() if settings.enable_stdout else redirect_stdout(io.StringIO()):
        state = _state(subject, export, workdir)
        candidates = _candidates(state, subject, settings)
        if settings.effort == "single" and set(settings.engine_names) <= _HARMLESS:
            record = measured_here(subject.source, subject.source.samples, candidates, asked, listen=tell_progress)
        else:
            record, notes = compared(
                state, subject.source, subject.source.samples, candidates, asked, listen=tell_progress
            )
    if not record.measured:
        error = record.summary(candidates[0].key).error
        raise from_dict(dict(error or {"what": "nothing could be measured"}))
    return Measured(record=record, candidates=tuple(candidates), notes=(*notes, *_apart(record, candidates)))


def _state(subject: Subject, export: ExportResult | None, workdir: Path) -> State:
    """The subject as a build in the working directory: what the tools for candidates and conversions work on."""
    from turnkey.pipeline.state import State, Variant

    if export is None:
        return State(workdir, _FOLDER, model=subject.source)
    variant = Variant(
        key="onnx",
        format="onnx",
        path=export.path.name,
        sha256=export.sha256,
        exporter=export.exporter,
        size_bytes=export.size_bytes,
    )
    return State(export.path.parent.parent, export.path.parent.name, model=subject.source).with_variant(variant)


def _candidates(state: State, subject: Subject, settings: LexerSettings) -> list[Candidate]:
    """One candidate per engine; what an engine executes is converted to where it is not there yet."""
    from turnkey.tools.candidates import candidates_of

    options = {
        f"{engine}.{name}": value for engine, given in settings.engine_options.items() for name, value in given.items()
    }
    found: list[Candidate] = []
    for name in settings.engine_names:
        state = _with_format_of(state, name, subject)
        [candidate] = candidates_of(
            state, subject.source, runtimes=[name], device=settings.device or subject.device, options=options
        )
        found.append(replace(candidate, key=name))
    return found


def _with_format_of(state: State, engine: str, subject: Subject) -> State:
    """The state with a variant that the engine executes, made by the shortest way from what is there."""
    from turnkey.formats.route import formats_named
    from turnkey.pipeline.stored_form import stored_as
    from turnkey.runtimes import find_runtime
    from turnkey.tools.conversion import Wish, reached

    executed = find_runtime(engine).executes
    if subject.source.live_format in executed or any(stored_as(variant) in executed for variant in state.variants):
        return state
    found = reached(state, Wish(format=formats_named(executed[0])[0]), source=subject.source)
    if found.error is not None:
        raise found.error
    return found.state


def _apart(record: Record, candidates: Sequence[Candidate]) -> list[str]:
    """Engines that ran on different devices are not compared."""
    facts = {each.runtime.name: record.summary(each.key).facts for each in candidates if each.key in record.measured}
    devices = {name: str(said.get("fallback") or said.get("device")) for name, said in facts.items()}
    if len(set(devices.values())) < 2:
        return []
    return [f"not comparable, different devices: {', '.join(f'{name} on {dev}' for name, dev in devices.items())}"]
