"""What the tool ``package`` does, action by action: make, profile, select, save, serve, show, verify, reproduce.

Each returns what is told, as lines and as a document. Arguments have the names of the Python functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, UsageError
from turnkey.navigator import package as packages
from turnkey.navigator.call_settings import check_call
from turnkey.navigator.dispatch import optimized
from turnkey.navigator.package_archive import opened
from turnkey.navigator.package_result import Package
from turnkey.navigator.plan import planned_steps
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.recipe import Recipe, read_recipe
from turnkey.navigator.remeasurement import Latency, Remeasured, reproduce_package
from turnkey.navigator.self_check import Verified, verify_package
from turnkey.navigator.status_file import status_document
from turnkey.navigator.strategy import (
    MaxThroughputAndMinLatencyStrategy,
    MaxThroughputStrategy,
    MaxThroughputWithLatencyBudgetStrategy,
    MinLatencyStrategy,
    Strategy,
)
from turnkey.navigator.triton.model_repository import add_model_from_package

_RECIPES = (".yaml", ".yml")
_STRATEGIES: Mapping[str, type[Any]] = {
    "min-latency": MinLatencyStrategy,
    "max-throughput": MaxThroughputStrategy,
    "max-throughput-and-min-latency": MaxThroughputAndMinLatencyStrategy,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a step tells: lines for people, one document for programs, and whether the exit code is 1."""

    lines: tuple[str, ...]
    document: Any
    failed: bool = False


def optimize(path: Path, given: Mapping[str, Any]) -> Told:
    """Optimise what a recipe names, or a package again with what is asked for anew.

    Raises:
        TurnkeyError: as `turnkey.optimize` and `turnkey.navigator.package.optimize`.
    """
    _refuse_existing(given)
    if path.suffix not in _RECIPES:
        return _again(path, given)
    recipe = _changed(read_recipe(path), given)
    model, dataloader, arguments = recipe.call()
    asked = check_call(model, arguments)
    if given.get("plan"):
        steps = planned_steps(asked)
        return Told(lines=(*map(str, steps), "nothing was run"), document=[each.to_dict() for each in steps])
    return _packaged(optimized(model, dataloader, asked), given)


def profile(path: Path, given: Mapping[str, Any]) -> Told:
    """Profile the runners of a package again, each of its samples at every batch size."""
    with opened(path) as package:
        found = packages.profile(
            package,
            target_formats=given.get("target_formats"),
            target_device=given.get("target_device"),
            runners=given.get("runners"),
            batch_sizes=None if given.get("batch_sizes") is None else list(given["batch_sizes"]),
            max_batch_size=given.get("max_batch_size"),
            threads=given.get("threads"),
        )
        if given.get("output"):
            found.to_file(given["output"])
    lines = []
    for key, model in found.models.items():
        for name, runner in model.runners.items():
            for index, rungs in runner.detailed.items():
                lines += [f"{key} @ {name}, sample {index}, {_profiled(rung)}" for rung in rungs]
            if runner.reason:
                lines.append(f"{key} @ {name}: {runner.status.value}: {runner.reason}")
    failed = not any(model.runners for model in found.models.values())
    nothing = ("nothing of this package could be profiled here",)
    return Told(lines=tuple(lines) or nothing, document=found.to_dict(), failed=failed or not lines)


def select(path: Path, given: Mapping[str, Any]) -> Told:
    """The best runtime by a strategy, with those that tie with it, and why the others were left out.

    Raises:
        RuntimeAnalyzerError: none matches.
    """
    with opened(path) as package:
        best = package.get_best_runtime(strategy_of(given))
        excluded = package.candidates().excluded
    document = {
        "model": best.model_key,
        "runner": best.runner_name,
        "latency_ms": best.latency,
        "throughput": best.throughput,
        "batch_size": best.batch_size,
        "ties": list(best.ties),
        "strategy": best.strategy,
        "excluded": excluded,
    }
    ties = f"; tied with {', '.join(best.ties)}" if best.ties else ""
    line = (
        f"{best.model_key} @ {best.runner_name}: {best.latency:.4g} ms, {best.throughput:.4g}/s at batch "
        f"{best.batch_size}, by {best.strategy}{ties}"
    )
    return Told(lines=(line, *(f"{key}: {reason}" for key, reason in excluded.items())), document=document)


def save(path: Path, given: Mapping[str, Any]) -> Told:
    """Write the package of a workspace to one file."""
    _needed(given, "output")
    _refuse_existing(given)
    with opened(path) as package:
        return _packaged(package, given)


def serve(path: Path, given: Mapping[str, Any]) -> Told:
    """Write the best model that Triton can execute into a model repository."""
    with opened(path) as package:
        directory = add_model_from_package(
            _needed(given, "repository"),
            given.get("model_name") or path.stem,
            package,
            strategy=strategy_of(given),
            warmup=bool(given.get("warmup")),
            override=bool(given.get("override")),
        )
        return Told(lines=(str(directory),), document={"model": str(directory)})


def show(path: Path, given: Mapping[str, Any]) -> Told:
    """What a package knows."""
    with opened(path) as package:
        return Told(lines=(package.summary(),), document=status_document(package.status))


def verify(path: Path, given: Mapping[str, Any]) -> Told:
    """Every model of a package against the outputs in it. Failed if one is wrong, or nothing could be checked."""
    found = verify_package(path)
    lines = [f"{each.key}: {each.outcome}{_behind(each)}" for each in found]
    outcomes = {each.outcome for each in found}
    if not outcomes & {"valid", "invalid"}:
        lines.append("nothing of this package could be checked here")
    failed = "invalid" in outcomes or "valid" not in outcomes
    return Told(lines=tuple(lines), document=[each.to_dict() for each in found], failed=failed)


def reproduce(path: Path, given: Mapping[str, Any]) -> Told:
    """What a package claims, measured again. Failed if something was not reproduced."""
    found = reproduce_package(path, every=bool(given.get("all")))
    return Told(
        lines=tuple(f"{each.key}, batch {each.batch_size}: {each.outcome}: {_compared(each)}" for each in found),
        document=[each.to_dict() for each in found],
        failed=any(each.outcome != "reproduced" for each in found),
    )


STEPS: Mapping[str, Callable[[Path, Mapping[str, Any]], Told]] = {
    each.__name__: each for each in (optimize, profile, select, save, serve, show, verify, reproduce)
}
"""By the name of the action."""


def strategy_of(given: Mapping[str, Any]) -> Strategy | None:
    """The goal that was named; None for the default ones in turn. Raises UsageError for a budget beside another."""
    name, budget = given.get("strategy"), given.get("latency_budget")
    if budget is not None:
        if name not in (None, "max-throughput"):
            raise UsageError(f"a latency budget bounds the throughput, not {name}", remedy="--latency-budget alone")
        return MaxThroughputWithLatencyBudgetStrategy(budget)
    return None if name is None else _STRATEGIES[name]()


def _again(path: Path, given: Mapping[str, Any]) -> Told:
    """A package optimised again, in its workspace; that of a file is made, and stays."""
    for name in ("plan", "sample_count", *(["workspace"] if path.is_dir() else [])):
        if given.get(name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} is for recipes, not for a package that is there", evidence=str(path))
    sizes = given.get("batch_sizes")
    if path.is_dir():
        package = packages.load_from_workspace(path)
    else:
        package = packages.load(path, workspace=given.get("workspace"))
    found = packages.optimize(
        package,
        target_formats=given.get("target_formats"),
        target_device=given.get("target_device"),
        runners=given.get("runners"),
        profiler_config=None if sizes is None else ProfilerConfig(batch_sizes=list(sizes)),
        threads=given.get("threads"),
        effort=given.get("effort"),
    )
    return _packaged(found, given)


def _changed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with what the command line says in place of its own."""
    names = ("target_formats", "target_device", "runners", "sample_count", "threads", "effort")
    changes = {name: given.get(name) for name in names}
    if given.get("workspace"):
        changes["workspace"] = str(Path(given["workspace"]).absolute())
    if given.get("batch_sizes") is not None:
        known = recipe.arguments.get("profiler_config") or {}
        changes["profiler_config"] = {**known, "batch_sizes": list(given["batch_sizes"])}
    return recipe.with_arguments(**changes)


def _packaged(package: Package, given: Mapping[str, Any]) -> Told:
    """What a package has; written to a file where one is named."""
    lines = [package.summary()]
    if given.get("output"):
        packages.save(package, given["output"], override=bool(given.get("override")))
        lines.append(f"saved: {given['output']}")
    else:
        lines.append(f"workspace: {package.workspace}")
    document = {"workspace": str(package.workspace), "output": given.get("output"), "summary": lines[0].splitlines()}
    return Told(lines=tuple(lines), document=document, failed=package.is_empty())


def _refuse_existing(given: Mapping[str, Any]) -> None:
    """Say at once what would be said after minutes of work. Raises InputError for an output that is there."""
    output = given.get("output")
    if output and Path(output).exists() and not given.get("override"):
        raise InputError("the output exists already, and stays as it is", evidence=output, remedy="--override")


def _needed(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    if not value:
        raise UsageError(f"--{name} is needed", remedy=f"turnkey package … --{name} PATH")
    return value


def _profiled(rung: Mapping[str, Any]) -> str:
    """A result with what speaks against it."""
    low, high = rung["ci_low"], rung["ci_high"]
    interval = f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else ""
    doubts = ["unstable"] * (not rung["stable"]) + [rung["validity"]] * (rung["validity"] != "VALID")
    return f"batch {rung['batch_size']}: p50 {rung['p50_latency']:.4g} ms{interval}, {rung['throughput']:.4g}/s" + (
        f" ({', '.join(doubts)})" if doubts else ""
    )


def _behind(each: Verified) -> str:
    words = "" if each.max_abs is None else f", largest difference {each.max_abs:.2g}"
    if each.limits:
        limits = (
            f"{name} {'any' if pair is None else f'{pair[0]:.2g} + {pair[1]:.2g} |r|'}"
            for name, pair in each.limits.items()
        )
        words += f" (allowed: {', '.join(limits)})"
    return f"{words}: {each.reason}" if each.reason else words


def _compared(each: Remeasured) -> str:
    def text(latency: Latency) -> str:
        middle, low, high = latency
        return f"{middle:.4g} ms" + (f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else "")

    words = f"recorded {text(each.recorded)}"
    if each.found is not None:
        words = f"{text(each.found)}, {words}"
    return f"{words}; {each.reason}" if each.reason else words
