"""`turnkey.optimize`: from a model and a dataloader to the best verified runtime and a package that can be shipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.call_settings import CallSettings, check_call
from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.dataloader import SizedDataLoader
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.package_result import Package
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.tolerances import Limits


def optimize(
    model: Any,
    dataloader: SizedDataLoader,
    sample_count: int = 100,
    batching: bool | None = True,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    target_formats: Sequence[Format | str] | None = None,
    target_device: DeviceKind | str | None = None,
    runners: Sequence[Any] | None = None,
    profiler_config: ProfilerConfig | None = None,
    workspace: str | Path | None = None,
    verbose: bool = False,
    debug: bool = False,
    verify_func: Callable[..., bool] | None = None,
    custom_configs: Sequence[CustomConfig] | None = None,
    *,
    optimization_profile: OptimizationProfile | None = None,
    tolerances: Limits | None = None,
    effort: str = "quick",
    on_unstable: str = "error",
    threads: int | None = None,
    budget_s: float | None = None,
    override_workspace: bool = False,
) -> Package:
    """Export, convert, check, profile and choose.

    Args:
        model: a ``torch.nn.Module``, the path of an ONNX file, or a Python callable of numpy arrays.
        dataloader: sized iterable of samples: tensors, tuples, dictionaries or nested trees of them.
        sample_count: how many samples are compared; limited to the dataloader's length.
        batching: axis 0 is a batch axis.
        input_names, output_names: by default the file's names, mapping keys, else ``input__0``, ``output__0`` …
        target_formats: what to make; by default everything that fits the model.
        target_device: by default CUDA if it is usable, else the processor.
        runners: names or classes; by default all of the device.
        profiler_config: of profiling; ``optimization_profile`` is its later form.
        workspace: directory of the run, by default ``./navigator_workspace``; a killed run continues in it.
        verify_func: judges outputs of a runner beside the source's.
        custom_configs: per format.
        tolerances: output name to (atol, rtol), or None to record differences without judging them.
        effort: of the measuring engine at each batch size: quick, standard or rigorous.
        on_unstable: what an unstable batch size means: ``error`` (documented) or ``flag``.
        threads: of every runner; None is the cores that this process may use.
        budget_s: wall time after which no larger batch size is begun.
        override_workspace: replace a workspace of ours that holds another run.

    Raises:
        ConfigurationError: the call contradicts itself; nothing was run.
        ModelError: the source model fails on the dataloader's samples.
    """
    given = CallArguments(
        sample_count=sample_count,
        batching=batching,
        input_names=input_names,
        output_names=output_names,
        target_formats=target_formats,
        target_device=target_device,
        runners=runners,
        profiler_config=profiler_config,
        optimization_profile=optimization_profile,
        workspace=workspace,
        verbose=verbose,
        debug=debug,
        verify_func=verify_func,
        custom_configs=custom_configs,
        tolerances=tolerances,
        effort=effort,
        on_unstable=on_unstable,
        threads=threads,
        budget_s=budget_s,
        override_workspace=override_workspace,
    )
    return optimized(model, dataloader, check_call(model, given))


def optimized(model: Any, dataloader: Any, asked: CallSettings) -> Package:
    """The package of a checked call."""
    from turnkey.navigator.optimization import run_optimization  # torch and onnx are loaded by who optimises

    return run_optimization(model, dataloader, asked)
