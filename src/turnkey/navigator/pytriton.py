"""``nav.pytriton``: what a PyTriton server needs to know of a package's best runtime."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnkey.navigator.package_result import Package
from turnkey.navigator.runner import NavigatorRunner
from turnkey.navigator.strategy import Strategy, strategies_of
from turnkey.navigator.triton.batching import DynamicBatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A tensor of the served model; ``shape`` without the batch axis, −1 for any extent."""

    shape: tuple[int, ...]
    dtype: str
    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """How the server batches. ``max_batch_size`` is 1 for models without a batch axis."""

    batching: bool = True
    max_batch_size: int = 4
    batcher: DynamicBatcher = field(default_factory=DynamicBatcher)
    response_cache: bool = False


class PyTritonAdapter:
    """The best runtime of a package as PyTriton binds it.

    Args:
        strategy: None tries the default ones in turn.

    Raises:
        RuntimeAnalyzerError: no runtime matches.
    """

    def __init__(self, package: Package, strategy: Strategy | None = None) -> None:
        self._package = package
        self._best = package.get_best_runtime(strategies=strategies_of(strategy, None))
        self._runner = package.runner_of(self._best.model_key, self._best.runner_name)

    @property
    def runner(self) -> NavigatorRunner:
        """To be activated by the caller."""
        return self._runner

    @property
    def batching(self) -> bool:
        """Whether the model has a batch axis."""
        return self._package.status.config.get("batch_dim") == 0

    @property
    def inputs(self) -> list[Tensor]:
        return [
            Tensor(name=spec.name, dtype=spec.dtype, shape=spec.shape[1:] if self.batching else spec.shape)
            for spec in self._package.status.input_metadata
        ]

    @property
    def outputs(self) -> list[Tensor]:
        return [
            Tensor(name=spec.name, dtype=spec.dtype, shape=spec.shape[1:] if self.batching else spec.shape)
            for spec in self._package.status.output_metadata
        ]

    @property
    def config(self) -> ModelConfig:
        """With the largest profiled batch."""
        largest = max((rung.batch_size or 1 for rung in self._best.runner_status.rungs), default=1)
        return ModelConfig(batching=self.batching, max_batch_size=largest if self.batching else 1)
