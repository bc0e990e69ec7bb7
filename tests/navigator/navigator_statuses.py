"""Values of packages for tests of what is pure: statuses with runners and rungs."""

from __future__ import annotations

from typing import Any

from turnkey.navigator.format import Format
from turnkey.navigator.metadata import TensorMetadata
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.status import (
    CommandRun,
    CommandStatus,
    ModelStatus,
    OutputTolerance,
    Rung,
    RunnerStatus,
    Status,
)

OK = CommandRun(status=CommandStatus.OK)


def rung(latency: float, batch: int | None = 1, **fields: Any) -> Rung:
    """A rung whose latencies are all the same."""
    names = ("avg_latency", "p50_latency", "p90_latency", "p95_latency", "p99_latency")
    return Rung(
        batch_size=batch,
        **dict.fromkeys(names, latency),
        std_latency=0.0,
        throughput=1000 * (batch or 1) / latency,
        request_count=150,
        **fields,
    )


def runner(name: str, *rungs: Rung, atol: float = 0.0, **commands: CommandStatus) -> RunnerStatus:
    """A runner that is right and profiled, unless commands say otherwise."""
    runs = {"Correctness": OK, "Performance": OK}
    runs |= {key: CommandRun(status=status, reason="because") for key, status in commands.items()}
    return RunnerStatus(
        runner_name=name,
        commands=runs,
        rungs=rungs,
        tolerances=(OutputTolerance(output_name="y", atol=atol, rtol=atol),),
    )


def model(kind: Format, *runners: RunnerStatus, size: int = 0, key: str = "") -> ModelStatus:
    """A model that was made."""
    key = key or kind.value
    return ModelStatus(
        model_config=ModelConfig(
            format=kind, key=key, path=f"{key}/{'----' if kind.is_source else 'model' + kind.suffix}"
        ),
        runners_status={each.runner_name: each for each in runners},
        size_bytes=size,
        files=() if kind.is_source else (f"{key}/model{kind.suffix}",),
    )


def status(*models: ModelStatus, **fields: Any) -> Status:
    """A package of these models."""
    return Status(
        uuid="00000000-0000-4000-8000-000000000000",
        format_version="0.2.1",
        model_navigator_version="1",
        environment={},
        config={"framework": "torch", "batch_dim": 0, **fields.pop("config", {})},
        models={each.model_config.key: each for each in models},
        input_metadata=(TensorMetadata(name="x", shape=(-1, 4), dtype="float32"),),
        output_metadata=(TensorMetadata(name="y", shape=(-1, 3), dtype="float32"),),
        dataloader_trt_profile={"x": {"min": [1, 4], "opt": [2, 4], "max": [2, 4]}},
        **fields,
    )
