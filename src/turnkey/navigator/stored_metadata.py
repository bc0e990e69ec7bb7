"""What a package stores of its run, as the steps know it: metadata and limits, from ``status.yaml`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnkey.formats.dynamic_axes import BATCH, DynamicAxes
from turnkey.host import fair_threads
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.metadata import VARIES, Metadata, TensorMetadata
from turnkey.navigator.status import RunnerStatus, Status
from turnkey.navigator.tensorrt_profile import TensorRTProfile
from turnkey.navigator.tolerances import Limits, limits_from


def metadata_of(status: Status) -> Metadata:
    """What a run wrote down; of foreign packages what their metadata tell (first axis of extent −1 is the batch)."""
    batch_dim = status.config.get("batch_dim")
    axes = _axes(status.own.get("dynamic_axes"), status.input_metadata, batched=batch_dim == 0)
    profile: Mapping[str, Any] = status.dataloader_trt_profile
    try:
        ranges = TensorRTProfile.from_dict(profile)
    except ConfigurationError:  # another layout of older versions; nothing here needs it
        ranges = TensorRTProfile()
    return Metadata(
        inputs=status.input_metadata,
        outputs=status.output_metadata,
        axes=axes,
        profile=ranges,
        batch_dim=None if batch_dim is None else 0,
        largest_batch=status.dataloader_max_batch_size if batch_dim == 0 else None,
    )


def limits_of(status: Status) -> Limits:
    """The limits that the call named; empty where it took the defaults."""
    stored: Mapping[str, Any] = (status.own.get("settings") or {}).get("tolerances") or {}
    return limits_from(stored)


def threads_of(status: Status) -> int | None:
    """How many threads of every runner the call asked for; None if it did not, or this process may not use so many."""
    asked = (status.own.get("settings") or {}).get("threads")
    return asked if asked is not None and asked <= fair_threads() else None


def limits_of_runner(status: Status, runner: RunnerStatus) -> Limits:
    """By which limits the outputs of a runner were judged: whoever checks it again judges by the same."""
    written = {
        each.output_name: (each.limit_atol, each.limit_rtol)
        for each in runner.tolerances
        if each.limit_atol is not None and each.limit_rtol is not None
    }
    return {**written, **limits_of(status)}


def _axes(stored: Any, inputs: tuple[TensorMetadata, ...], *, batched: bool) -> DynamicAxes:
    if isinstance(stored, dict):
        return DynamicAxes(
            {str(name): {int(axis): str(symbol) for axis, symbol in axes.items()} for name, axes in stored.items()}
        )
    found: dict[str, dict[int, str]] = {}
    for spec in inputs:
        for axis, extent in enumerate(spec.shape):
            if extent == VARIES:
                symbol = BATCH if batched and axis == 0 else f"{spec.name}_{axis}"
                found.setdefault(spec.name, {})[axis] = symbol
    return DynamicAxes(found)
