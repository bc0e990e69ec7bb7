"""Tiles by measurement: each kernel of a tarball with every tile that its template offers, timed on this host.

The model inside the tarball is exported once per choice, side by side in a temporary directory; each kernel is then
timed alone in all of them, and one that is faster than with the usual tile beyond the interval gets its own. What was
chosen is exported again, compiled, verified, and compared with the tarball as it was; only if it is not slower does it
take its place, atomically.

Trade-offs: a kernel is timed on operands that nothing else pushes out of the caches. Kernels of one function share
their tile.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey import host
from turnkey.measure import Settings, TargetDescription, run_experiment, run_in_process
from turnkey.mlf import archive
from turnkey.mlf.earlier_export import earlier_export
from turnkey.mlf.export import Exported, export
from turnkey.mlf.failures import failure
from turnkey.mlf.kernel_loop import KernelLoop, repeats_for
from turnkey.mlf.kernels.templates import TEMPLATES
from turnkey.mlf.library import Library, Module, load
from turnkey.mlf.lowering import lower
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.prepare import prepare
from turnkey.mlf.program import Tile
from turnkey.mlf.sampling import make_samples
from turnkey.mlf.toolchain import find_compiler
from turnkey.model.samples import SampleSet, write_samples

if TYPE_CHECKING:
    from turnkey.measure import Record

Listen = Callable[[str], None]
_USUAL = "usual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One kernel with a tile of its own.

    Attributes:
        ratio, low, high: time with the usual tile over time with this one, and its interval; above 1.
    """

    function_name: str
    tile: Mapping[str, int]
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        sizes = ", ".join(f"{name} {size}" for name, size in self.tile.items())
        return f"{self.function_name}: {sizes}, {self.ratio:.2f}x [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What tuning found.

    Attributes:
        choices: by module; kernels that keep their usual tile are not among them.
        timed: how many kernels had a choice.
        ratio, low, high: time of the tarball as it was over time of the tuned one; None where nothing was chosen.
        path: what was written; None where the tarball was left as it was.
    """

    choices: Mapping[str, tuple[Choice, ...]]
    timed: int
    path: Path | None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tunable:
    """A kernel with a choice: its nodes, as ``op(name)``, and its tiles, the usual one first."""

    nodes: tuple[str, ...]
    tiles: tuple[Tile, ...]
    macs: int


def tune(
    path: str | Path,
    *,
    output: str | Path | None = None,
    effort: str = "quick",
    cc: str | None = None,
    cflags: tuple[str, ...] | None = None,
    listen: Listen | None = None,
) -> Tuned:
    """Choose the tiles of a tarball's kernels on this host. Its code is compiled and run.

    Args:
        output: what is written; the tarball itself by default.
        effort: of each comparison: ``quick`` in this process, ``standard`` or ``rigorous`` in fresh ones.
        cc, cflags: the toolchain, as of `export`.

    Raises:
        InputError, MlfArtifactError: there is no tarball, or it cannot be read.
        MlfUsageError: it was not written by Turnkey as a full model with both executors, or has no kernel with tiles.
        MlfVerificationError: the tuned code computes something else; nothing was written.
    """
    tell = listen or (lambda text: None)
    target = Path(output or path)
    if target.is_dir():
        raise failure(
            "mlf-bad-option",
            "a directory cannot be replaced by a tarball",
            evidence=str(target),
            remedy="turnkey tune-mlf DIRECTORY --output FILE",
        )
    library = load(path)
    earlier = earlier_export(library, cc=cc, cflags=cflags)
    models, options = earlier.models, earlier.options
    tunable = {module.name: _tunable(module, models[module.name], options) for module in library.modules}
    timed = sum(map(len, tunable.values()))
    if not timed:
        raise failure(
            "mlf-bad-option",
            "no kernel of this tarball has a choice of tiles",
            evidence=", ".join(sorted({kind for module in library.modules for kind in _kinds(module)})),
            remedy="tune networks with convolutions or matrix products, exported with kernels of ours",
        )
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-tune-") as directory:
        drafts = _drafts(library, models, tunable, options, Path(directory), tell)
        choices = {
            name: tuple(_chosen(name, kernels, drafts, effort=effort, tell=tell)) for name, kernels in tunable.items()
        }
        if not any(choices.values()):
            tell("the usual tiles are the fastest: nothing was written")
            return Tuned(choices=choices, timed=timed, path=None)
        made = _exported(library, models, tunable, choices, options, Path(directory) / "tuned.tar")
        whole = _compared(Path(path), made, Path(directory), effort=effort)
        ratio, low, high = whole
        tell(f"the whole network: {ratio:.2f}x [{low:.2f}, {high:.2f}] as fast as before")
        if high < 1:
            tell("it is slower: nothing was written")
            return Tuned(choices=choices, timed=timed, path=None, ratio=ratio, low=low, high=high)
        archive.write_atomically(target, made.path.read_bytes())
    tell(f"wrote {target}")
    return Tuned(choices=choices, timed=timed, path=target, ratio=ratio, low=low, high=high)


def _kinds(module: Module) -> set[str]:
    return {str(kernel.get("kind", "unknown")) for kernel in module.metadata.turnkey.get("kernels", ())}


def _tunable(module: Module, model: Any, options: ExportOptions) -> dict[str, _Tunable]:
    """Kernels of a module that have a choice, by the name of their function."""
    program = lower(prepare(model, optimize="none"), templates=TEMPLATES, vector_bytes=options.widest_vector_bytes)
    named = {
        (node, kernel.get("kind")): str(kernel["function_name"])  # one that the generator made stays as it is
        for kernel in module.metadata.turnkey["kernels"]
        for node in kernel.get("nodes", ())
    }
    found: dict[str, _Tunable] = {}
    for step in program.steps:
        name = named.get((step.nodes[0], step.kernel.kind)) if step.nodes else None
        if len(step.kernel.tiles) < 2 or name is None:
            continue
        before = found[name].nodes if name in found else ()
        found[name] = _Tunable(nodes=(*before, *step.nodes), tiles=step.kernel.tiles, macs=step.kernel.macs or 0)
    return found


def _drafts(
    library: Library,
    models: Mapping[str, Any],
    tunable: Mapping[str, Mapping[str, _Tunable]],
    options: ExportOptions,
    directory: Path,
    tell: Listen,
) -> list[Library]:
    """One tarball per place in the lists of tiles: in each, every kernel has its tile of that place."""
    most = max(len(kernel.tiles) for kernels in tunable.values() for kernel in kernels.values())
    drafts = []
    for place in range(most):
        tiles = {
            name: {
                node: kernel.tiles[place]
                for kernel in kernels.values()
                if place < len(kernel.tiles)
                for node in kernel.nodes
            }
            for name, kernels in tunable.items()
        }
        target = directory / f"draft{place}.tar"
        named = [(module.metadata.model_name, models[module.name]) for module in library.modules]
        export(named, target, options=options, tiles=tiles, compile=False, verify=False)
        drafts.append(load(target))
        tell(f"choice {place + 1} of {most}: exported")
    return drafts


def _chosen(
    name: str, kernels: Mapping[str, _Tunable], drafts: Sequence[Library], *, effort: str, tell: Listen
) -> Sequence[Choice]:
    """The kernels of a module that are faster with another tile than the usual one."""
    choices = []
    for number, (function, kernel) in enumerate(kernels.items(), 1):
        record = _timed(name, function, kernel, drafts, effort=effort)
        best = max(
            (found for key in record.keys if key != _USUAL and (found := record.verdict(key, against=_USUAL))),
            key=lambda found: found.low,
        )
        tile = kernel.tiles[int(best.key)]
        is_faster = best.is_valid and str(best.kind) == "FASTER"
        tell(f"{number} of {len(kernels)}  {function}: {dict(tile if is_faster else kernel.tiles[0])}")
        if is_faster:
            choices.append(
                Choice(function_name=function, tile=dict(tile), ratio=best.ratio, low=best.low, high=best.high)
            )
    return choices


def _timed(module: str, function: str, kernel: _Tunable, drafts: Sequence[Library], *, effort: str) -> Record:
    """One kernel with each of its tiles, in one experiment."""
    repeats = repeats_for(kernel.macs)
    used = {_USUAL if not place else str(place): drafts[place] for place in range(len(kernel.tiles))}
    settings = Settings(effort=effort, threads=1)
    if effort == "quick":
        loops = {key: KernelLoop(draft.module(module), function, repeats=repeats) for key, draft in used.items()}
        return run_in_process(loops, reference=_USUAL, settings=settings)
    targets = [
        TargetDescription(
            key=key,
            factory="turnkey.mlf.kernel_loop:load_kernel",
            arguments={
                "tarball": str(draft.archive.path),
                "module": module,
                "function": function,
                "repeats": repeats,
            },
        )
        for key, draft in used.items()
    ]
    return run_experiment(targets, reference=_USUAL, settings=settings)


def _exported(
    library: Library,
    models: Mapping[str, Any],
    tunable: Mapping[str, Mapping[str, _Tunable]],
    choices: Mapping[str, Sequence[Choice]],
    options: ExportOptions,
    target: Path,
) -> Exported:
    """The tarball with the chosen tiles, compiled and verified; what it came from is recorded as before."""
    compiler = find_compiler(options.cc)
    tiles: dict[str, dict[str, Tile]] = {name: {} for name in choices}
    for name, found in choices.items():
        for choice in found:
            tiles[name] |= dict.fromkeys(tunable[name][choice.function_name].nodes, tuple(choice.tile.items()))
    recorded = {
        module.name: {
            "source": module.metadata.turnkey["source"],
            "tuned": {
                "processor": host.processor(),
                "compiler": f"{compiler.name} {compiler.version}",
                "kernels": [asdict(choice) for choice in choices[module.name]],
            },
        }
        for module in library.modules
    }
    named = [(module.metadata.model_name, models[module.name]) for module in library.modules]
    samples = library.modules[0].samples() if len(library.modules) == 1 else []
    return export(named, target, options=options, samples=samples or None, tiles=tiles, recorded=recorded)


def _compared(before: Path, made: Exported, directory: Path, *, effort: str) -> tuple[float, float, float]:
    """Time of the tarball as it was over time of the tuned one: of its first module, with the interval."""
    module = made.library.modules[0]
    inputs = tuple(make_samples(module.inputs, count=2))
    write_samples(
        SampleSet(structure=None, inputs=inputs, outputs=(None,) * len(inputs), seed=0), directory / "samples"
    )
    targets = [
        TargetDescription(
            key=key,
            factory="turnkey.runtimes.target:load_target",
            arguments={
                "runtime": "mlf",
                "samples": str(directory / "samples"),
                "path": str(path),
                "options": {"module": module.name},
            },
        )
        for key, path in (("before", before), ("tuned", made.path))
    ]
    record = run_experiment(targets, reference="before", settings=Settings(effort=effort, threads=1))
    found = record.verdict("tuned", against="before")
    if found is None:
        raise failure("mlf-bad-sample", "the tuned tarball could not be measured", evidence=record.sentence())
    return found.ratio, found.low, found.high
