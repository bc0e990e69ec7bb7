"""A built-in target of numpy kernels: what ``doctor`` and the engine's own tests measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from turnkey.measure.target import Arrays, Target


class NumpyTarget:
    """``kernels`` element-wise kernels one after another over ``size`` float64 values; about 50 µs each at 20,000."""

    def __init__(self, *, kernels: int = 20, size: int = 20_000, seed: int = 0) -> None:
        self._kernels = kernels
        self._size = size
        self._seed = seed

    def load(self) -> None:
        self._scale = np.linspace(0.5, 1.5, self._size)

    def compile(self) -> bool:
        return False

    def samples(self) -> list[Arrays]:
        generator = np.random.Generator(np.random.PCG64(self._seed))
        return [{"x": generator.standard_normal(self._size)} for _ in range(8)]

    def check(self, index: int, outputs: Arrays) -> str | None:
        return None if np.isfinite(outputs["y"]).all() else f"output y of sample {index} is not finite"

    def prepare(self, sample: Arrays) -> Any:
        return sample["x"]

    def run(self, prepared: Any) -> Any:
        value = prepared
        for _ in range(self._kernels):
            value = np.tanh(value * self._scale)
        return value

    def outputs(self, result: Any) -> Arrays:
        return {"y": result}

    def describe(self) -> Mapping[str, Any]:
        return {"runtime_version": np.__version__, "kernels": self._kernels}

    def close(self) -> None:
        return None


def load_numpy(*, threads: int, kernels: int = 20, size: int = 20_000, seed: int = 0) -> Target:
    """Factory: ``turnkey.measure.numpy_target:load_numpy``. The kernels use one thread whatever ``threads`` is."""
    return NumpyTarget(kernels=kernels, size=size, seed=seed)
