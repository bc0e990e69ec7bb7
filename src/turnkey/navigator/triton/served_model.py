"""A model as a server must know it, whatever it comes from: a package or a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.metadata import VARIES, TensorMetadata
from turnkey.navigator.triton.batching import DynamicBatcher
from turnkey.navigator.triton.model_config import ModelConfig
from turnkey.navigator.triton.parts import (
    DeviceKind,
    InputTensorSpec,
    InstanceGroup,
    ModelWarmup,
    ModelWarmupInput,
    ModelWarmupInputDataType,
    OutputTensorSpec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """Tensors, batching and device of a model.

    Attributes:
        inputs, outputs: with the batch axis, where there is one.
        batched: whether axis 0 of all tensors is the batch.
        largest_batch: what the server may batch.
        usual_shapes: of inputs, with the batch axis: what warm-up requests have where an axis varies; 1 where unknown.
        on_gpu: where instances run.
    """

    inputs: Sequence[TensorMetadata]
    outputs: Sequence[TensorMetadata]
    batched: bool
    largest_batch: int = 1
    usual_shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    on_gpu: bool = False

    def config(
        self,
        kind: type[ModelConfig],
        *,
        warmup: bool,
        response_cache: bool = False,
        batcher: DynamicBatcher | None = None,
        instances: int | None = None,
    ) -> ModelConfig:
        """The configuration of a backend: tensors without the batch axis, instances on the device.

        Args:
            warmup: requests of random values at batch 1 and at the largest one, before the model is ready.
            instances: None leaves the count to the server.

        Raises:
            ConfigurationError: warm-up requests would need texts.
            WrongParameterError: a value that a configuration cannot have.
        """
        device = DeviceKind.KIND_GPU if self.on_gpu else DeviceKind.KIND_CPU
        inputs = [InputTensorSpec(name=each.name, shape=self._extents(each), dtype=each.dtype) for each in self.inputs]
        return kind(
            max_batch_size=self.largest_batch,
            batching=self.batched,
            batcher=batcher or DynamicBatcher(),
            response_cache=response_cache,
            inputs=inputs,
            outputs=[
                OutputTensorSpec(name=each.name, shape=self._extents(each), dtype=each.dtype) for each in self.outputs
            ],
            instance_groups=[InstanceGroup(kind=device, count=instances)],
            warmup=self._warmup(inputs) if warmup else {},
        )

    def _extents(self, tensor: TensorMetadata) -> tuple[int, ...]:
        return tuple(tensor.shape[1:] if self.batched else tensor.shape)

    def _warmup(self, inputs: Sequence[InputTensorSpec]) -> dict[str, ModelWarmup]:
        if any(str(spec.dtype).startswith(("<U", "|S")) or spec.dtype == "object" for spec in inputs):
            raise ConfigurationError("texts cannot be made up for warm-up requests", remedy="warmup=False")
        filled: dict[str, Any] = {
            spec.name: ModelWarmupInput(
                shape=self._usual(spec), dtype=spec.dtype, input_data_type=ModelWarmupInputDataType.RANDOM
            )
            for spec in inputs
        }
        sizes = sorted({1, self.largest_batch}) if self.batched else [1]
        return {f"batch_{size}": ModelWarmup(inputs=filled, batch_size=size) for size in sizes}

    def _usual(self, spec: InputTensorSpec) -> tuple[int, ...]:
        known = list(self.usual_shapes.get(spec.name, ()))[1 if self.batched else 0 :]
        known += [1] * (len(spec.shape) - len(known))
        return tuple(
            max(1, usual) if extent == VARIES else extent for extent, usual in zip(spec.shape, known, strict=False)
        )
