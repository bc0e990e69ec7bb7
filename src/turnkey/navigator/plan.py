"""What a call of `optimize` would do: every model with how it is made, every runner, the batch sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from turnkey.host import fair_threads
from turnkey.measure.ladder import sizes
from turnkey.navigator import conversion
from turnkey.navigator.call_settings import CallSettings
from turnkey.navigator.format import Format
from turnkey.navigator.model_config import ModelConfig, plan_models
from turnkey.navigator.runner_table import obstacle

_SHOWN_SIZES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step: what it is about, what is done, and why it would be left out (empty if it would not)."""

    subject: str
    action: str
    obstacle: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.action}" + (f"; left out: {self.obstacle}" if self.obstacle else "")

    def to_dict(self) -> dict[str, Any]:
        return {"subject": self.subject, "action": self.action, "obstacle": self.obstacle}


def planned_steps(asked: CallSettings) -> list[PlannedStep]:
    """The steps of a checked call, in their order; a model that cannot be made leaves out what needs it."""
    models = plan_models(asked.source, asked.targets, asked.configs)
    missing: dict[str, str] = {}
    steps = []
    for config in models:
        reason = conversion.obstacle_of(config)
        if config.parent_key in missing:
            reason = f"{config.parent_key} is not made"
        if reason:
            missing[config.key] = reason
        steps.append(PlannedStep(subject=config.key, action=_origin(config), obstacle=reason))
    runs = [(config, kind) for config in models for kind in asked.kinds_of(config.format)]
    for config, kind in runs:
        reason = obstacle(kind) or (f"{config.key} is not made" if config.key in missing else "")
        action = f"compared with the source on {asked.sample_count} samples at most"
        if asked.profile.config.run_profiling:
            action += f", profiled at {_sizes(asked)} with {asked.profile.threads or fair_threads()} threads"
        if asked.verify_func is not None:
            action += ", judged by verify_func"
        steps.append(PlannedStep(subject=f"{config.key} @ {kind.name}", action=action, obstacle=reason))
    return steps


def _origin(config: ModelConfig) -> str:
    if config.parameters.get("model_path"):
        return conversion.COPY
    if config.parent_key is None:
        return conversion.COPY if config.format is Format.ONNX else "the source model"
    return f"made from {config.parent_key} by the format {conversion.plugin_of(config)}"


def _sizes(asked: CallSettings) -> str:
    if not asked.batching or asked.profile.config.is_as_given:
        return "the samples' own batch"
    found = [str(size) for size in islice(sizes(asked.profile.rule(batched=True)), _SHOWN_SIZES + 1)]
    more = ", … until throughput stops growing" if len(found) > _SHOWN_SIZES else ""
    return f"batch {', '.join(found[:_SHOWN_SIZES])}{more}"
