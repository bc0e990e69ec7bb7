"""The steps of the Navigator door as the tool ``package`` does them: optimise, profile, select, save, serve.

Each returns what is told, as lines and as a document. Arguments have the names of the Python functions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.errors import UsageError
from turnkey.navigator import package as packages
from turnkey.navigator.call_settings import check_call
from turnkey.navigator.dispatch import optimized
from turnkey.navigator.package_result import Package
from turnkey.navigator.plan import planned_steps
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.recipe import Recipe, read_recipe
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
    sizes = given.get("batch_sizes")
    if path.suffix not in _RECIPES:
        if given.get("plan"):
            raise UsageError("a plan is made of a recipe", evidence=str(path))
        with _opened(path, workspace=given.get("workspace")) as package:
            found = packages.optimize(
                package,
                target_formats=given.get("target_formats"),
                target_device=given.get("target_device"),
                runners=given.get("runners"),
                profiler_config=None if sizes is None else ProfilerConfig(batch_sizes=list(sizes)),
            )
            return _packaged(found, given)
    recipe = _changed(read_recipe(path), given)
    model, dataloader, arguments = recipe.call()
    asked = check_call(model, arguments)
    if given.get("plan"):
        steps = planned_steps(asked)
        return Told(lines=(*map(str, steps), "nothing was run"), document=[each.to_dict() for each in steps])
    return _packaged(optimized(model, dataloader, asked), given)


def profile(path: Path, given: Mapping[str, Any]) -> Told:
    """Profile the runners of a package again, each of its samples at every batch size."""
    with _opened(path) as package:
        found = packages.profile(
            package,
            target_formats=given.get("target_formats"),
            target_device=given.get("target_device"),
            runners=given.get("runners"),
            batch_sizes=None if given.get("batch_sizes") is None else list(given["batch_sizes"]),
            max_batch_size=given.get("max_batch_size"),
        )
        if given.get("output"):
            found.to_file(given["output"])
        lines = [
            f"{key} @ {name}, sample {index}, batch {rung['batch_size']}: p50 {rung['p50_latency']:.4g} ms, "
            f"{rung['throughput']:.4g}/s"
            for key, model in found.models.items()
            for name, runner in model.runners.items()
            for index, rungs in runner.detailed.items()
            for rung in rungs
        ]
        nothing = ("nothing of this package could be profiled here",)
        return Told(lines=tuple(lines) or nothing, document=found.to_dict(), failed=not lines)


def select(path: Path, given: Mapping[str, Any]) -> Told:
    """The best runtime by a strategy, with those that tie with it, and why the others were left out.

    Raises:
        RuntimeAnalyzerError: none matches.
    """
    with _opened(path) as package:
        strategy = strategy_of(given)
        best = package.get_best_runtime(strategy)
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
    with _opened(path) as package:
        return _packaged(package, {"output": _needed(given, "output"), "override": given.get("override")})


def serve(path: Path, given: Mapping[str, Any]) -> Told:
    """Write the best model that Triton can execute into a model repository."""
    with _opened(path) as package:
        directory = add_model_from_package(
            _needed(given, "repository"),
            given.get("model_name") or path.stem,
            package,
            strategy=strategy_of(given),
            warmup=bool(given.get("warmup")),
            override=bool(given.get("override")),
        )
        return Told(lines=(str(directory),), document={"model": str(directory)})


def strategy_of(given: Mapping[str, Any]) -> Strategy | None:
    """The goal that was named; None for the default ones in turn. Raises UsageError for a budget beside another."""
    name, budget = given.get("strategy"), given.get("latency_budget")
    if budget is not None:
        if name not in (None, "max-throughput"):
            raise UsageError(f"a latency budget bounds the throughput, not {name}", remedy="--latency-budget alone")
        return MaxThroughputWithLatencyBudgetStrategy(budget)
    return None if name is None else _STRATEGIES[name]()


def _changed(recipe: Recipe, given: Mapping[str, Any]) -> Recipe:
    """The recipe with what the command line says in place of its own."""
    changes = {
        name: given.get(name) for name in ("target_formats", "target_device", "runners", "sample_count", "threads")
    }
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


@contextmanager
def _opened(path: Path, *, workspace: Any = None) -> Iterator[Package]:
    """The package of a file or of a workspace; a file's lies in a scratch directory unless a workspace is named."""
    if path.is_dir():
        yield packages.load_from_workspace(path)
        return
    with tempfile.TemporaryDirectory(prefix="turnkey-package-") as scratch:
        yield packages.load(path, workspace=workspace or Path(scratch) / "package")


def _needed(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    if not value:
        raise UsageError(f"--{name} is needed", remedy=f"turnkey package … --{name} PATH")
    return value
