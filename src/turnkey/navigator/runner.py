"""Runners as users hold them: activated as a context manager, fed a dictionary of arrays.

`NavigatorRunner` is the contract that plug-ins implement; `RuntimeRunner` fulfils it with any runtime of Turnkey.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Self

import numpy as np

from turnkey.model.samples import Sample
from turnkey.navigator.exceptions import TensorTypeError, UserInputError
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.metadata import VARIES, TensorMetadata
from turnkey.navigator.output_names import under_names
from turnkey.runtimes import LoadRequest, Runner, Runtime


class TensorType(Enum):
    """In what form `infer` returns outputs."""

    NUMPY = "numpy"
    TORCH = "torch"


class NavigatorRunner(abc.ABC):
    """One way of running models of one format. A plug-in implements the class methods and the ``*_impl`` ones.

    A runner whose `is_stabilized` is true measures by itself: after one `infer` it has ``avg_latency``,
    ``std_latency``, ``p50_latency``, ``p90_latency``, ``p95_latency``, ``p99_latency`` (ms) and ``request_count``.

    Args:
        model: the live source, or the path of the model's file.
        input_metadata, output_metadata: what the model takes and gives; empty where it is not known.
        return_type: of `infer`.
    """

    def __init__(
        self,
        model: Any,
        input_metadata: Sequence[TensorMetadata] = (),
        output_metadata: Sequence[TensorMetadata] = (),
        return_type: TensorType = TensorType.NUMPY,
    ) -> None:
        self.model = model
        self.input_metadata = tuple(input_metadata)
        self.output_metadata = tuple(output_metadata)
        self.return_type = return_type
        self._is_active = False
        self._inference_s: float | None = None

    @classmethod
    @abc.abstractmethod
    def name(cls) -> str:
        """Under which it is registered."""

    @classmethod
    @abc.abstractmethod
    def format(cls) -> Format:
        """Of the models that it runs."""

    @classmethod
    @abc.abstractmethod
    def devices_kind(cls) -> list[DeviceKind]:
        """On which it runs."""

    @classmethod
    def is_stabilized(cls) -> bool:
        """Whether it delivers statistics of its own after one call."""
        return False

    def init_impl(self) -> None:  # noqa: B027  a plug-in may have nothing to prepare
        """Prepare what does not belong to loading."""

    def activate_impl(self) -> None:  # noqa: B027
        """Load the model."""

    @abc.abstractmethod
    def infer_impl(self, feed_dict: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call; ends when the outputs can be read."""

    def deactivate_impl(self) -> None:  # noqa: B027
        """Let go of the model."""

    def __enter__(self) -> Self:
        self.activate()
        return self

    def __exit__(self, *_: object) -> None:
        self.deactivate()

    def activate(self) -> None:
        """Load the model; once."""
        if not self._is_active:
            self.init_impl()
            self.activate_impl()
            self._is_active = True

    def deactivate(self) -> None:
        """Let go of the model."""
        if self._is_active:
            self.deactivate_impl()
            self._is_active = False

    def infer(self, feed_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs by name.

        Args:
            feed_dict: an array for every input of the model, by name.

        Raises:
            UserInputError: the runner is not active, or inputs are missing or unknown.
            TensorTypeError: an input of another dtype or shape than the model takes.
        """
        if not self._is_active:
            raise UserInputError(
                f"the runner {self.name()} is not active", remedy="with runner: runner.infer(feed_dict)"
            )
        check_feed(feed_dict, self.input_metadata)
        started = time.perf_counter()
        outputs = dict(self.infer_impl(feed_dict))
        self._inference_s = time.perf_counter() - started
        outputs = under_names([spec.name for spec in self.output_metadata], outputs)
        if self.return_type is TensorType.TORCH:
            from turnkey.model.torch_bridge import tensors_of

            return dict(tensors_of(outputs))
        return outputs

    def last_inference_time(self) -> float | None:
        """Seconds of the last call; None before the first."""
        return self._inference_s


class RuntimeRunner(NavigatorRunner):
    """A model on a runtime of Turnkey.

    Args:
        title: documented name of the runner (``OnnxCPU``).
        runtime: what executes it.
        request: what to load.
    """

    def __init__(
        self,
        *,
        title: str,
        kind: Format,
        device: DeviceKind,
        runtime: Runtime,
        request: LoadRequest,
        input_metadata: Sequence[TensorMetadata],
        output_metadata: Sequence[TensorMetadata],
        return_type: TensorType = TensorType.NUMPY,
    ) -> None:
        super().__init__(
            request.module if request.path is None else request.path, input_metadata, output_metadata, return_type
        )
        self._title, self._kind, self._device = title, kind, device
        self._runtime, self._request = runtime, request
        self._runner: Runner | None = None

    def name(self) -> str:  # type: ignore[override]  # one class stands for every runner of the table
        return self._title

    def format(self) -> Format:  # type: ignore[override]
        return self._kind

    def devices_kind(self) -> list[DeviceKind]:  # type: ignore[override]
        return [self._device]

    def activate_impl(self) -> None:
        self._runner = self._runtime.load(self._request)

    def infer_impl(self, feed_dict: Mapping[str, Any]) -> Sample:
        assert self._runner is not None, "infer() looks whether it is active"
        sample = {name: as_array(value) for name, value in feed_dict.items()}
        return self._runner.outputs(self._runner.run(self._runner.prepare(sample)))

    def deactivate_impl(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None


def as_array(value: Any) -> np.ndarray:
    """An input as an array; tensors of other libraries are copied."""
    if isinstance(value, np.ndarray):
        return value
    from turnkey.navigator.dataloader import array_of

    return array_of(value)


def check_feed(feed_dict: Mapping[str, Any], metadata: Sequence[TensorMetadata]) -> None:
    """Refuse inputs that the model does not take; see `NavigatorRunner.infer`."""
    if not isinstance(feed_dict, Mapping):
        raise UserInputError("a runner is fed arrays by name", evidence=f"given: a {type(feed_dict).__name__}")
    if not metadata:
        return
    wanted = {spec.name: spec for spec in metadata}
    if set(feed_dict) != set(wanted):
        missing, unknown = sorted(set(wanted) - set(feed_dict)), sorted(set(feed_dict) - set(wanted))
        parts = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"unknown: {', '.join(unknown)}"] * bool(unknown)
        raise UserInputError("the model takes other inputs", evidence="; ".join(parts))
    for name, spec in wanted.items():
        array = as_array(feed_dict[name])
        fits = len(array.shape) == len(spec.shape) and all(
            want in (VARIES, have) for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or str(array.dtype) != spec.dtype:
            raise TensorTypeError(
                f"input {name!r} must be {spec.dtype}{list(spec.shape)}",
                evidence=f"given: {array.dtype}{list(array.shape)}; -1 stands for any extent",
            )
