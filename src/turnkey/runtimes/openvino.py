"""OpenVINO: executes its own files (``.xml`` with ``.bin``) and ONNX files.

Options (``--rt-args``): ``performance_hint`` (latency, throughput, cumulative_throughput; default latency),
``inference_precision`` (f32, bf16, f16, or ``default`` for what the processor prefers), ``num_streams``, and every
property of OpenVINO under its own name in capitals (``ENABLE_CPU_PINNING::NO``).

The precision is pinned: left alone OpenVINO computes float32 files in bfloat16 where the processor can, a thousand
times less exact, and whoever compares runtimes would compare two precisions. A file that our converter wrote says in
itself in which precision it wants to be computed; any other is computed in float32.

Trade-offs: one call at a time with the hint ``latency``. With ``throughput`` calls of several clients overlap in
several streams, so that one client alone sees the latency of one stream.
"""

from __future__ import annotations

import queue
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.errors import ConversionError, UsageError
from turnkey.formats.openvino import PRECISION_PLACE, port_name
from turnkey.model.samples import Sample
from turnkey.runtimes.inputs import require_inputs
from turnkey.runtimes.options import chosen, refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime

if TYPE_CHECKING:
    import openvino as ov

_DEVICES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
_PRECISION = "INFERENCE_PRECISION_HINT"
_HINTS = ("latency", "throughput", "cumulative_throughput")
_PRECISIONS = ("f32", "bf16", "f16", "default")
_OPTIONS = ("performance_hint", "inference_precision", "num_streams")


class OpenVinoRunner:
    """One compiled model. ``run`` is OpenVINO's own call; what it returns is the caller's to keep."""

    def __init__(self, compiled: ov.CompiledModel, *, device: str, precision: str, hint: str) -> None:
        self._compiled: ov.CompiledModel | None = compiled
        self._device = device
        self._precision = precision
        self._hint = hint
        self._inputs = tuple(
            (port_name(port, f"input.{i}"), _dtype_of(port)) for i, port in enumerate(compiled.inputs)
        )
        self._outputs = tuple(port_name(port, f"output.{i}") for i, port in enumerate(compiled.outputs))
        self._casts: set[str] = set()
        self._request: Any = None
        if hint == "latency":
            self._request = compiled.create_infer_request()
            # Inputs are read where they lie; outputs are copied, since a request writes over them at its next call.
            self.run = partial(self._request.infer, share_inputs=True, share_outputs=False)
        else:
            self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
            for _ in range(int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))):
                self._idle.put(compiled.create_infer_request())
            self.run = self._run_idle  # type: ignore[assignment]  # both are called with prepared inputs

    def _run_idle(self, prepared: Any) -> Any:
        """The call on a request that no other client uses; waits for one where all are busy."""
        request = self._idle.get()
        try:
            return request.infer(prepared, share_inputs=True, share_outputs=False)
        finally:
            self._idle.put(request)

    def prepare(self, sample: Sample) -> dict[int, np.ndarray]:
        """Arrays by position of the input, contiguous, in the dtypes that the model declares.

        Raises:
            InputError: an input of the model is not in the sample.
        """
        require_inputs([name for name, _ in self._inputs], sample, taker="the model")
        return {index: self._fed(name, dtype, sample[name]) for index, (name, dtype) in enumerate(self._inputs)}

    def _fed(self, name: str, dtype: np.dtype[Any], array: np.ndarray) -> np.ndarray:
        array = np.asarray(array)
        if array.dtype != dtype:
            self._casts.add(f"{name}: {array.dtype} given as {dtype}")
            array = array.astype(dtype)
        return np.ascontiguousarray(array).reshape(array.shape)

    def outputs(self, result: Any) -> Sample:
        """Arrays by output name, in the model's order."""
        return {name: np.asarray(result[index]) for index, name in enumerate(self._outputs)}

    def describe(self) -> Mapping[str, Any]:
        """Version, devices that execute, precision, streams and threads as OpenVINO decided them."""
        import openvino as ov

        assert self._compiled is not None
        devices = [str(name) for name in self._compiled.get_property("EXECUTION_DEVICES")]
        elsewhere = [name for name in devices if not name.startswith(self._device)]
        facts: dict[str, Any] = {
            "runtime_version": ov.__version__,
            "device": "cpu" if self._device == "CPU" else ", ".join(devices),
            "placement": {},
            "fallback": f"{', '.join(elsewhere)} instead of {self._device}" if elsewhere else None,
            "precision": self._precision,
            "notes": [f"hint: {self._hint}", f"inference precision: {self._precision}", *sorted(self._casts)],
        }
        known = set(self._compiled.get_property("SUPPORTED_PROPERTIES"))
        for fact, key in (("threads", "INFERENCE_NUM_THREADS"), ("streams", "NUM_STREAMS")):
            if key in known:
                facts[fact] = int(str(self._compiled.get_property(key)))
        return facts

    def operator_times(self) -> list[tuple[str, str, float]]:
        """Node, operator and microseconds of each node that the last call executed.

        Known with the hint ``latency`` and the property ``PERF_COUNT::YES``; else empty.
        """
        if self._request is None:
            return []
        return [
            (str(each.node_name), str(each.node_type), each.real_time.total_seconds() * 1e6)
            for each in self._request.get_profiling_info()
            if each.status == each.Status.EXECUTED
        ]

    def close(self) -> None:
        """Free the model with its requests and threads."""
        self._compiled = None
        self._request = None
        del self.run
        if self._hint != "latency":
            del self._idle


class OpenVino:
    """The runtime ``openvino``."""

    name = "openvino"
    aliases: tuple[str, ...] = ("ov",)
    executes: tuple[str, ...] = ("openvino", "onnx")
    devices: tuple[str, ...] = ("cpu", "gpu", "npu")
    requires: tuple[str, ...] = ("openvino",)
    install = "pip install 'openvino>=2025,<2027'"
    compiles = False

    def load(self, request: LoadRequest) -> OpenVinoRunner:
        """The model of the request, compiled for its device.

        Raises:
            UsageError: an option that does not exist, a value that it cannot have, or a device that is not there.
            ConversionError: OpenVINO refuses the file.
        """
        import openvino as ov

        if request.path is None:
            raise UsageError(
                "the runtime openvino executes files; there is none",
                remedy="turnkey -i INPUT discover export-pytorch benchmark --runtime openvino",
            )
        own = {key: str(value) for key, value in request.options.items() if key.isupper()}
        options = {key: value for key, value in request.options.items() if key not in own}
        refuse_unknown(self.name, options, _OPTIONS)
        hint = chosen("performance_hint", str(options.get("performance_hint", "latency")).lower(), _HINTS)
        core = ov.Core()
        device = _device(core, request.device)
        try:
            model = core.read_model(str(request.path))
            precision = own.get(_PRECISION) or _precision(options.get("inference_precision"), model)
            _with_plain_border(model)
            properties = {
                "PERFORMANCE_HINT": hint.upper(),
                **({_PRECISION: precision} if precision != "default" else {}),
                **({"INFERENCE_NUM_THREADS": str(request.threads)} if device == "CPU" else {}),
                **({"NUM_STREAMS": str(options["num_streams"])} if "num_streams" in options else {}),
                **own,
            }
            compiled = core.compile_model(model, device, properties)
        except RuntimeError as error:  # the one type that OpenVINO raises
            raise ConversionError(
                f"OpenVINO cannot load {Path(request.path).name}",
                evidence=_last_words(error),
                remedy="benchmark --runtime onnxruntime, or export with another --opset",
            ) from error
        return OpenVinoRunner(compiled, device=device, precision=precision, hint=hint)


def _device(core: ov.Core, asked_for: str) -> str:
    name = _DEVICES.get(asked_for.partition(":")[0], asked_for.upper())
    if not any(known.partition(".")[0] == name for known in core.available_devices):
        raise UsageError(
            f"OpenVINO has no device {asked_for!r} here",
            evidence=f"it has: {', '.join(core.available_devices)}",
            remedy="benchmark --runtime openvino --device cpu",
        )
    return name


def _precision(given: Any, model: ov.Model) -> str:
    """What the user wants, else what the file says, else float32."""
    if given is not None:
        return chosen("inference_precision", str(given), _PRECISIONS)
    if model.has_rt_info(list(PRECISION_PLACE)):
        told = str(model.get_rt_info(list(PRECISION_PLACE)).value)
        if told in _PRECISIONS:
            return told
    return "f32"


def _with_plain_border(model: ov.Model) -> None:
    """Inputs and outputs that numpy has no dtype for become float32, in place."""
    from openvino import Type
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    odd = [index for index, port in enumerate(model.inputs) if port.get_element_type() == Type.bf16]
    for index in odd:
        steps.input(index).tensor().set_element_type(Type.f32)
    odd_outputs = [index for index, port in enumerate(model.outputs) if port.get_element_type() == Type.bf16]
    for index in odd_outputs:
        steps.output(index).tensor().set_element_type(Type.f32)
    if odd or odd_outputs:
        steps.build()


def _dtype_of(port: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(port.get_element_type().to_dtype())
    return dtype


def _last_words(error: BaseException, limit: int = 400) -> str:
    """OpenVINO puts C++ places before the message: its last lines say what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))] or lines
    return "\n".join(told[-3:])[-limit:] or type(error).__name__


RUNTIME: Runtime = OpenVino()
