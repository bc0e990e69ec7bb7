"""The gate: both revisions checked out, built apart, measured in one interleaved experiment, judged."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from turnkey.errors import TurnkeyError
from turnkey.measure import Record, Settings, run_experiment
from turnkey.pipeline import durable
from turnkey.pipeline.tool import Steps
from turnkey.report.gate.building import Built, build
from turnkey.report.gate.exact import METRICS, ExactResult, compare_exactly
from turnkey.report.gate.judgement import Judgement, slowdown_of
from turnkey.report.gate.revision import Checkout, checked_out, repository_of
from turnkey.report.gate.target import description, runtime_of, shared_inputs

BASE, HEAD = "base", "head"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateInput:
    """What is built and measured of each revision.

    Attributes:
        path: in the working tree; the file at the same place of a revision is used.
        target: hash of one model of a script.
        steps: tools with their arguments, the first of them a first tool.
    """

    path: Path
    target: str | None = None
    steps: Steps

    @property
    def name(self) -> str:
        return self.path.name if self.target is None else f"{self.path.name}::{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What is asked.

    Attributes:
        base, head: revisions or directories.
        limit: relative slow-down that is allowed, in (0, ∞).
        runtime: None is the first that executes what was built.
        exact: metrics of `METRICS` that must not get worse.
        base_python, head_python: interpreters of other environments.
        records: directory that keeps the measurement records; None keeps none.
    """

    base: str
    head: str
    inputs: tuple[GateInput, ...]
    limit: float
    settings: Settings
    runtime: str | None = None
    device: str = "cpu"
    exact: tuple[str, ...] = METRICS
    base_python: str | None = None
    head_python: str | None = None
    timeout_s: float = 3600.0
    records: Path | None = None
    directory: Path = field(default_factory=Path.cwd)


def check(request: GateRequest, *, tell: Tell) -> tuple[Judgement, ...]:
    """One judgement per input; an input that cannot be built or measured is judged INVALID.

    Args:
        tell: is told in plain words what happens, never while something is measured.

    Raises:
        UsageError: not a repository, an unknown revision, a file that is not in it.
        MissingDependencyError: git is not installed.
    """
    repository = repository_of(request.directory)
    with ExitStack() as stack:
        base, head = (
            stack.enter_context(checked_out(name, option=option, repository=repository, here=request.directory))
            for option, name in (("--base", request.base), ("--head", request.head))
        )
        tell(f"base: {base.title}; head: {head.title}")
        files = [
            tuple(checkout.file(item.path, repository=repository) for checkout in (base, head))
            for item in request.inputs
        ]
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turnkey-gate-builds-")))
        return tuple(
            _judged(request, item, (base, head), pair, work=work / str(number), tell=tell)
            for number, (item, pair) in enumerate(zip(request.inputs, files, strict=True))
        )


def _judged(
    request: GateRequest,
    item: GateInput,
    checkouts: tuple[Checkout, Checkout],
    files: tuple[Path, ...],
    *,
    work: Path,
    tell: Tell,
) -> Judgement:
    try:
        sides = []
        for checkout, source, python, key in zip(
            checkouts, files, (request.base_python, request.head_python), (BASE, HEAD), strict=True
        ):
            tell(f"building {item.name} of {checkout.title}: {' '.join(tool for tool, _ in item.steps)}")
            sides.append(
                build(
                    checkout,
                    source,
                    item.steps,
                    target=item.target,
                    cache_dir=work / key,
                    interpreter=python,
                    timeout_s=request.timeout_s,
                    seed=request.settings.seed,
                )
            )
        return compare_built(request, item.name, sides[0], sides[1], work=work, tell=tell)
    except TurnkeyError as error:  # also inputs that differ, or a runtime that cannot: of this input alone
        return Judgement(name=item.name, base=checkouts[0].title, head=checkouts[1].title, error=error)


def compare_built(request: GateRequest, name: str, base: Built, head: Built, *, work: Path, tell: Tell) -> Judgement:
    """Measure two builds against each other and compare their exact figures.

    Raises:
        TurnkeyError: a side cannot be loaded.
    """
    titles = {"base": base.checkout.title, "head": head.checkout.title}
    runtimes = {side: runtime_of(built, request.runtime) for side, built in ((BASE, base), (HEAD, head))}
    samples = shared_inputs(base, head, work / "samples")
    targets = [
        description(built, key=key, runtime=runtimes[key], device=request.device, samples=samples)
        for key, built in ((BASE, base), (HEAD, head))
    ]
    exact = compare_exactly(base, head, descriptions=targets, metrics=request.exact, timeout_s=request.timeout_s)
    tell(f"measuring {name} on {runtimes[HEAD]}")
    # In the place of this gate alone: a record that another one left unfinished may be of other code.
    path = _record_path(name, work)
    record = run_experiment(targets, reference=BASE, settings=request.settings, path=path, listen=tell)
    if request.records is not None:
        _keep(path, request.records)
    return judgement_of(record, name=name, limit=request.limit, exact=exact, **titles)


def judgement_of(
    record: Record, *, name: str, limit: float, base: str, head: str, exact: Sequence[ExactResult] = ()
) -> Judgement:
    """What a record of base and head says."""
    error = next(
        (
            TurnkeyError(
                f"{key} could not be measured: {found.error['what']}", evidence=found.error.get("evidence", "")
            )
            for key in (BASE, HEAD)
            if (found := record.summary(key)).error
        ),
        None,
    )
    verdict = record.verdict(HEAD, against=BASE)
    return Judgement(
        name=name,
        base=base,
        head=head,
        slowdown=None if verdict is None else slowdown_of(verdict, limit=limit, floor=record.noise_floor),
        base_ms=record.summary(BASE).latency_ms,
        head_ms=record.summary(HEAD).latency_ms,
        exact=tuple(exact),
        error=error,
    )


def _record_path(name: str, directory: Path) -> Path:
    stem = "".join(character if character.isalnum() or character in "-_." else "_" for character in name)
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"gate-{stem}.zip"


def _keep(record: Path, directory: Path) -> None:
    """Beside the records that are there already: of an input of the same name, or of an earlier gate.

    Raises:
        InputError: it cannot be written there.
    """
    durable.make_directory(directory)
    try:
        for number in itertools.count(1):
            place = directory / (record.name if number == 1 else f"{record.stem}-{number}.zip")
            with suppress(FileExistsError), place.open("xb") as file:
                file.write(record.read_bytes())
                return
    except OSError as error:
        raise durable.cannot_write(directory, error) from error
