"""From inputs to work items: which sequence each input gets, and which build.

One call may mix scripts, ONNX files and builds. Where the sequence begins with ``discover``, every other kind of input
is loaded by its own first tool; a sequence that begins with a loader takes only what that loader loads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from turnkey.errors import ArtifactError, InputError, UsageError
from turnkey.host import fair_threads
from turnkey.launch.options import Options
from turnkey.launch.work_item import WorkItem, environment_that_matters
from turnkey.model.inputs import Input, InputKind
from turnkey.model.labels import Labels, read_onnx_labels, read_script_labels
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_name import check_name, claim
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.tool import ToolKind

FIRST_TOOLS: Mapping[InputKind, str] = {
    InputKind.SCRIPT: "discover",
    InputKind.ONNX: "load-onnx",
    InputKind.BUILD: "load-build",
    InputKind.TARBALL: "load-mlf",
}

DEFAULT_SEQUENCES: Mapping[InputKind, tuple[str, ...]] = {
    InputKind.SCRIPT: ("discover", "export-pytorch", "verify", "benchmark"),
    InputKind.ONNX: ("load-onnx", "verify", "benchmark"),
    InputKind.BUILD: ("load-build", "benchmark"),
    InputKind.TARBALL: ("load-mlf", "verify", "benchmark"),
}


def sequence_for(kind: InputKind, sequence: Sequence | None) -> Sequence:
    """The sequence that an input of this kind goes through; None asks for the default one.

    Raises:
        UsageError: the sequence begins with a tool that cannot take such an input.
    """
    if sequence is None:
        return Sequence(DEFAULT_SEQUENCES[kind])
    first = sequence.tools[0]
    if first.kind is not ToolKind.FIRST:
        raise UsageError(
            f"{first.name} cannot start a sequence",
            evidence=f"first tools: {', '.join(FIRST_TOOLS.values())}",
            remedy=f"turnkey -i INPUTS {' '.join([FIRST_TOOLS[kind], *sequence.names])}",
        )
    own = FIRST_TOOLS[kind]
    if first.name == own or first.name not in FIRST_TOOLS.values():
        return sequence
    if first.name != FIRST_TOOLS[InputKind.SCRIPT]:  # running a script must have been asked for
        raise UsageError(
            f"{first.name} does not take this kind of input: {kind.value}",
            remedy=f"turnkey -i INPUT {' '.join([own, *sequence.names[1:]])}",
        )
    return Sequence([(own, {}), *sequence.steps[1:]])


def labels_of(source: Input) -> tuple[Labels, tuple[str, ...]]:
    """Labels of an input and warnings about malformed ones; a file that cannot be read has none (its tool will say).

    A build has the labels stored in it.
    """
    try:
        if source.kind is InputKind.BUILD:
            return load_state(state_path=source.path).labels, ()
        if source.kind is InputKind.TARBALL:
            return {}, ()
        reading = (read_script_labels if source.kind is InputKind.SCRIPT else read_onnx_labels)(source.path)
    except (InputError, ArtifactError):
        return {}, ()
    return reading.labels, reading.warnings


def build_of(source: Input, labels: Labels, cache_dir: Path) -> BuildPaths:
    """The build directory of an input, made and marked if it is new.

    Raises:
        InputError: the cache cannot be written.
        ArtifactError: the state file does not lie in a build.
    """
    path = Path(os.path.abspath(source.path))
    if source.kind is InputKind.BUILD:
        paths = BuildPaths(path.parent.parent, path.parent.name)
        check_name(paths.build_name)
        if paths.state != path:
            raise InputError(
                "this state file does not lie in its build directory",
                evidence=str(path),
                remedy=f"move it to <cache>/{path.name.removesuffix('_state.yaml')}/, with the build's other files",
            )
        return paths
    author = "_".join(labels.get("author", ()))
    return claim(cache_dir, path, author=author, model_hash=source.target or "")


def work_item(
    source: Input, *, number: int, sequence: Sequence, build: BuildPaths, labels: Labels, options: Options
) -> WorkItem:
    """Everything that is needed to work on one input."""
    return WorkItem(
        number=number,
        input=source.text,
        path=str(source.path),
        target=source.target,
        labels={key: list(values) for key, values in labels.items()},
        steps=sequence.steps,
        cache_dir=str(build.cache_dir),
        build_name=build.build_name,
        working_directory=os.getcwd(),
        timeout=options.timeout,
        memory_limit=options.memory_limit,
        disk_limit=options.disk_limit,
        output_limit=options.output_limit,
        resume=options.resume,
        retry=options.retry,
        reuse=not options.fresh,
        lean_cache=options.lean_cache,
        seed=options.seed,
        verbose=options.verbose,
        environment={**thread_share(options.jobs), **environment_that_matters()},
    )


def thread_share(jobs: int) -> dict[str, str]:
    """Variables that keep so many workers at a time to the threads that this process may use; none for one worker.

    What measures sets its own: it has the machine to itself.
    """
    if jobs == 1:
        return {}
    share = str(max(1, fair_threads() // jobs))
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), share)


def check_sequences(inputs: Iterable[Input], sequence: Sequence | None) -> None:
    """Refuse, before anything runs, a sequence that an input cannot go through. Raises UsageError."""
    for kind in dict.fromkeys(source.kind for source in inputs):
        sequence_for(kind, sequence)
