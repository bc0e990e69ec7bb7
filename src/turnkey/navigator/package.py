"""``nav.package``: save, load, optimise again, profile, and ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.call_settings import check_call, default_targets, stored_configs
from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.exceptions import EmptyPackageError, MissingSourceModelError, NotFoundError
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.package_archive import load, load_from_workspace, save
from turnkey.navigator.package_profile import profile
from turnkey.navigator.package_result import Package, source_format_of
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.runner_table import runner_kinds
from turnkey.navigator.status import LOADING, VERIFY, CommandRun, CommandStatus, ModelStatus
from turnkey.navigator.stored_metadata import limits_of, threads_of
from turnkey.navigator.strategy import Strategy

_OF_THE_SAMPLES = ("sample_count", "_input_names", "_output_names")
"""What a package's configuration says of the samples in it, which optimising again does not make anew."""

__all__ = [
    "Package",
    "get_best_model_status",
    "load",
    "load_from_workspace",
    "optimize",
    "profile",
    "save",
    "set_verified",
]


def optimize(
    package: Package,
    target_formats: Sequence[Format | str] | None = None,
    target_device: DeviceKind | str | None = None,
    runners: Sequence[Any] | None = None,
    profiler_config: ProfilerConfig | None = None,
    verbose: bool = False,
    debug: bool = False,
    verify_func: Callable[..., bool] | None = None,
    custom_configs: Sequence[CustomConfig] | None = None,
    defaults: bool = True,
    *,
    threads: int | None = None,
    effort: str | None = None,
) -> Package:
    """Convert, check and profile again, from what the package already has, with what is asked for anew.

    Args:
        target_formats, runners, profiler_config, threads, effort: None takes them from the package, then from the
            framework.
        defaults: reset the parameters of stored custom configs first.

    Raises:
        EmptyPackageError: it has neither models nor a source.
        MissingSourceModelError: the source format is asked for, and no source model is attached.
        NotFoundError: it holds no samples to compare with.
        ConfigurationError: the call contradicts itself.
    """
    from turnkey.navigator.optimization import Optimization, mark_of
    from turnkey.navigator.source import fingerprint
    from turnkey.navigator.status_file import write_status
    from turnkey.navigator.stored_sets import reopened

    source = source_format_of(package)
    has_files = any(model.files for model in package.status.models.values())
    if source is None or (package.model is None and not has_files):
        raise EmptyPackageError(
            "the package has no model and no source",
            evidence=str(package.workspace),
            remedy="package.load_source_model(model)",
        )
    config = package.config
    targets = target_formats if target_formats is not None else config.get("target_formats")
    asked_source = source.value in [getattr(each, "value", each) for each in target_formats or ()]
    if asked_source and source.is_source and package.model is None:
        raise MissingSourceModelError(
            f"{source.value} is asked for, and the source model is not attached",
            remedy="package.load_source_model(model)",
        )
    given = CallArguments(
        target_formats=targets or default_targets(package.framework),
        target_device=target_device or config.get("target_device"),
        runners=_runners(runners, config, target_device, target_formats),
        verbose=verbose,
        debug=debug,
        verify_func=verify_func,
        custom_configs=[*(custom_configs or ()), *_kept(config, custom_configs, defaults=defaults)],
        batching=config.get("batch_dim") == 0,
        tolerances=limits_of(package.status),
        **_profiling(package, profiler_config, threads=threads, effort=effort),
    )
    asked = check_call(package.model, given, source=source)
    model = package.get_model_path(next(iter(package.status.models))) if source is Format.ONNX else package.model
    workspace, prepared = reopened(package, model=model)
    content = fingerprint(prepared.source, prepared.sets)
    mark = mark_of(content, asked)
    fresh = {key: _without_runners(each) for key, each in package.status.models.items()}
    as_before = {name: config[name] for name in _OF_THE_SAMPLES if name in config}
    status = replace(
        package.status,
        models=fresh,
        config={**config, **asked.to_config(), **as_before},
        commands={name: CommandRun(status=CommandStatus.OK) for name in LOADING},
        own={**package.status.own, "settings": asked.to_own(), "fingerprint": mark},
    )
    try:
        with workspace.held():
            write_status(status, workspace.status)
            run = Optimization(prepared, asked, workspace, seconds=0.0, mark=mark, content=content)
            status = run.go(records=workspace.fresh_records())
    finally:
        prepared.source.close()
    return Package(status, workspace.path, package.model)


def get_best_model_status(
    package: Package,
    strategy: Strategy | None = None,
    include_source: bool = True,
    strategies: Iterable[Strategy] | None = None,
) -> ModelStatus:
    """The best model; arguments and errors as `Package.get_best_model_status`."""
    return package.get_best_model_status(strategy, include_source, strategies)


def set_verified(package: Package, model_key: str, runner_name: str) -> None:
    """Mark a runner as verified by hand, and save that.

    Raises:
        NotFoundError: there is no such model or runner.
    """
    model = package.status.models.get(model_key)
    runner = None if model is None else model.runners_status.get(runner_name)
    if runner is None:
        known = [f"{key} @ {name}" for key, each in package.status.models.items() for name in each.runners_status]
        raise NotFoundError(
            f"the package has no runner {model_key} @ {runner_name}", evidence=f"it has: {', '.join(known)}"
        )
    done = runner.with_command(VERIFY, CommandRun(status=CommandStatus.OK, reason="set by hand"))
    package.status = package.status.with_runner(model_key, done)
    package.save_status_file()


def _profiling(package: Package, config: ProfilerConfig | None, **given: Any) -> dict[str, Any]:
    """Arguments of profiling: what is asked for anew, else what the package was profiled with."""
    stored = package.status.own.get("settings") or {}
    before = {
        "effort": stored.get("effort"),
        "on_unstable": stored.get("on_unstable"),
        "threads": threads_of(package.status),
    }
    found = {name: given.get(name) or value for name, value in before.items() if given.get(name) or value}
    later = stored.get("optimization_profile")
    if config is None and later is not None:
        return {**found, "optimization_profile": OptimizationProfile.from_dict(later)}
    known = package.config.get("profiler_config") or {}
    return {**found, "profiler_config": config or ProfilerConfig.from_dict(known)}


def _runners(
    given: Sequence[Any] | None, config: dict[str, Any], device: Any, targets: Sequence[Any] | None
) -> Sequence[Any] | None:
    """The package's own runners where they are known here and the device stays the same.

    A format that is asked for anew and that none of them runs gets the default ones.
    """
    if given is not None or device is not None:
        return given
    kinds = runner_kinds()
    known = [kinds[name] for name in config.get("runner_names") or () if name in kinds]
    if not known:
        return None
    new = {getattr(each, "value", each) for each in targets or ()} - {kind.format.value for kind in known}
    more = [
        kind
        for kind in kinds.values()
        if kind.format.value in new and kind.is_default and kind.device is known[0].device
    ]
    return [kind.name for kind in (*known, *more)]


def _kept(config: dict[str, Any], given: Sequence[CustomConfig] | None, *, defaults: bool) -> list[CustomConfig]:
    names = {each.name() for each in given or ()}
    return [each for each in stored_configs(config, defaults=defaults) if each.name() not in names]


def _without_runners(model: ModelStatus) -> ModelStatus:
    """The model with its files, before any runner was tried; what was not made is tried again."""
    kept = {name: run for name, run in model.commands.items() if run.status is CommandStatus.OK}
    return replace(model, runners_status={}, commands=kept)
