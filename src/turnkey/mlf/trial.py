"""One module before it is packed: compiled, run on samples, compared, watched; what was found are its facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkey.mlf.building import Build, build
from turnkey.mlf.failures import MlfMissingDependencyError, failure
from turnkey.mlf.library import Module
from turnkey.mlf.module_parts import ModuleParts
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.painted_stack import painted_stack
from turnkey.mlf.reference import reference_of
from turnkey.mlf.runner import ModuleRunner
from turnkey.mlf.sampling import index_limits, make_samples
from turnkey.mlf.stack import worst_case_stack
from turnkey.mlf.stages import Stages, compiled_text
from turnkey.mlf.toolchain import find_compiler
from turnkey.mlf.verification import Pair, Verified, verify

if TYPE_CHECKING:
    import numpy as np

STORED_SAMPLES_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What compiling and running one module showed.

    Attributes:
        facts: for ``turnkey`` of the metadata.
        kernel_stacks: worst-case stack in bytes by kernel, as far as the compiler tells.
        samples: stored samples by path.
        verified: None if nothing was run.
    """

    facts: Mapping[str, Any]
    kernel_stacks: Mapping[str, int]
    samples: Mapping[str, bytes]
    verified: Verified | None


def try_out(
    module: Module,
    part: ModuleParts,
    options: ExportOptions,
    samples: Sequence[Pair] | None,
    stages: Stages,
) -> Trial:
    """Compile one module and, unless that is switched off, run it.

    Sizes and stack are those of the compiler that was asked for. Where that one makes code for another machine, the
    numbers and the writes are checked with this machine's own; without one nothing is run, and it is said.

    Raises:
        MlfVerificationError: it computes something else, or writes where it must not.
        UnsupportedInModelLibraryFormatError: it does not compile, or its stack exceeds the budget.
    """
    made = build(module, cc=options.cc, cflags=options.cflags)
    facts = _compiler_facts(made, part.name)
    stacks = {name: made.call_graph.depth_bytes(f"{name}_body") for name in part.sources.names.values()}
    known = {name: size for name, size in stacks.items() if size is not None}
    stages.done("compile", compiled_text(made))
    _check_stack(facts, known, options.max_stack)
    if not options.verify:
        return Trial(facts=facts, kernel_stacks=known, samples={}, verified=None)
    runnable = made if made.compiler.is_native else _built_for_here(module)
    if runnable is None:
        stages.done("verify", f"nothing was run: no compiler for this machine beside {made.compiler.target}")
        return Trial(facts=facts, kernel_stacks=known, samples={}, verified=None)
    pairs, name, version = _pairs(part, options, samples)
    runner = ModuleRunner(module, runnable)
    verified = verify(runner, pairs, reference=name, reference_version=version)
    if module.computes_on_bytes:  # what boards are to repeat: another's roundings may be a step apart
        pairs = [(sample, runner.run(sample)) for sample, _ in pairs]
    facts |= {"verify": verified.to_dict(), "high_water_bytes": verified.high_water_bytes}
    painted = painted_stack(runner, pairs[0][0]) if runnable is made else None
    if painted is not None:
        facts["stack"] = {**facts.get("stack", {}), "painted_bytes": painted}
    if options.sanitize:
        from turnkey.mlf.sanitized import run_sanitized

        run_sanitized(module, [sample for sample, _ in pairs], cc=options.cc if runnable is made else None)
    stages.done(
        "verify",
        f"{verified.samples} samples, {name} {version}: max abs {verified.max_abs:.1e}, "
        f"max rel {verified.max_rel:.1e}   ok" + ("; sanitizers clean" if options.sanitize else ""),
    )
    return Trial(facts=facts, kernel_stacks=known, samples=_stored(part, pairs), verified=verified)


def _built_for_here(module: Module) -> Build | None:
    """Built with this machine's own compiler; None if there is none."""
    try:
        native = find_compiler().is_native
    except MlfMissingDependencyError:
        return None
    return build(module) if native else None


def _check_stack(facts: Mapping[str, Any], kernels: Mapping[str, int], budget: int | None) -> None:
    needed = facts.get("stack", {}).get("static_bytes")
    if budget is None or needed is None or needed <= budget:
        return
    deepest = max(kernels, key=lambda name: kernels[name]) if kernels else ""
    raise failure(
        "mlf-over-budget",
        f"the stack needs {needed} bytes, {needed - budget} more than allowed",
        evidence=f"deepest kernel: {deepest}, {kernels[deepest]} bytes" if deepest else "from the compiler's frames",
        remedy="a larger --max-stack",
    )


def _pairs(
    part: ModuleParts, options: ExportOptions, samples: Sequence[Pair] | None
) -> tuple[Sequence[Pair], str, str]:
    if samples:
        return samples[: options.samples], "source model", ""
    reference = reference_of(part.model)
    inputs = [part.program.tensors[name] for name in part.program.inputs]
    shapes = {name: tensor.shape for name, tensor in part.prepared.tensors.items()}
    made = make_samples(inputs, count=options.samples, limits=index_limits(part.prepared.model, shapes))
    return [(sample, reference.run(sample)) for sample in made], reference.name, reference.version


def _stored(part: ModuleParts, pairs: Sequence[Pair]) -> dict[str, bytes]:
    """Samples as raw files, as many as fit the limit."""
    files: dict[str, bytes] = {}
    total = 0
    for number, (sample, expected) in enumerate(pairs):
        arrays: list[tuple[str, np.ndarray]] = []
        arrays += [(f"in{i}", sample[name]) for i, name in enumerate(part.program.inputs)]
        arrays += [(f"out{i}", expected[name]) for i, name in enumerate(part.program.outputs)]
        total += sum(array.nbytes for _, array in arrays)
        if total > STORED_SAMPLES_BYTES:
            break
        files.update({f"samples/{part.name}/{number}/{leaf}.bin": array.tobytes() for leaf, array in arrays})
    return files


def _compiler_facts(made: Build, module: str) -> dict[str, Any]:
    compiler = made.compiler
    facts: dict[str, Any] = {
        "compiler": {
            "name": compiler.name,
            "version": compiler.version,
            "target": compiler.target,
            "flags": list(made.flags),
            "warnings": len(made.warnings),
        },
    }
    if made.sections:
        facts["sections"] = dict(made.sections)
    if made.symbols is not None:
        facts["symbols"] = list(made.symbols)
    stack = worst_case_stack(made.call_graph, module)
    if stack is not None:
        facts["stack"] = {"static_bytes": stack}
    return facts
