"""ONNX Runtime: executes ONNX files.

Options (``--rt-args``): ``provider`` (one name or a list, in order; ``CUDA`` means ``CUDAExecutionProvider``),
``graph_optimization_level`` (none, basic, extended, all; default all), ``inter_op_num_threads`` (default 1),
``execution_mode`` (sequential, parallel), ``spinning`` (on, off: whether idle threads wait in a busy loop; default
on), options of a provider under its name (``OpenVINO.device_type::CPU``), and every key of ONNX Runtime's session
configuration, which all start with ``session.``, ``optimization.`` or ``ep.``.

ONNX Runtime goes on with the CPU, in silence or with a line on stdout, when a provider is missing, cannot start, or
leaves nodes to it. Here none of that stays unseen: the runner reports which provider got how many nodes, and calls
anything but the provider that was asked for a fall-back.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.errors import ConversionError, MissingDependencyError, UsageError
from turnkey.model.samples import Sample
from turnkey.runtimes.execution_providers import execution_providers
from turnkey.runtimes.inputs import require_inputs
from turnkey.runtimes.options import chosen, refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime

if TYPE_CHECKING:
    import onnxruntime as ort

_LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_MODES = {"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"}
_SPINNING = {"on": "1", "off": "0"}
_OPTIONS = ("provider", "graph_optimization_level", "inter_op_num_threads", "execution_mode", "spinning")
_CONFIGURATION_PREFIXES = ("session.", "optimization.", "ep.")
_RECORD_PLACEMENT = "session.record_ep_graph_assignment_info"

_NUMPY_OF_ONNX = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    "string": "object",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_WITHOUT_NUMPY = {
    "bfloat16": ("bfloat16", 16),
    "float8e4m3fn": ("float8_e4m3fn", 17),
    "float8e5m2": ("float8_e5m2", 19),
}
"""Element types that pass through OrtValue: name in ml_dtypes, and number in ``onnx.TensorProto``."""


@dataclass(frozen=True, slots=True)
class _Port:
    name: str
    dtype: np.dtype[Any]
    onnx_type: int | None
    """Number in ``onnx.TensorProto`` where numpy lacks the type; else None."""


class OnnxRuntimeRunner:
    """One session. ``run`` is the session's own, bound to its output names: nothing of ours is inside the call."""

    def __init__(self, session: ort.InferenceSession, *, asked_for: tuple[str, ...], placement: Mapping[str, int]):
        self._session: ort.InferenceSession | None = session
        self._asked_for = asked_for
        self._placement = placement
        self._inputs = tuple(_port(node) for node in session.get_inputs())
        self._outputs = tuple(_port(node) for node in session.get_outputs())
        names = [port.name for port in self._outputs]
        self._through_values = any(port.onnx_type is not None for port in (*self._inputs, *self._outputs))
        call = session.run_with_ort_values if self._through_values else session.run
        self.run = partial(call, names)
        self._casts: set[str] = set()

    def prepare(self, sample: Sample) -> dict[str, Any]:
        """The feed: arrays by input name, contiguous, in the dtypes that the session declares.

        Raises:
            InputError: an input of the session is not in the sample.
        """
        require_inputs([port.name for port in self._inputs], sample, taker="the ONNX file")
        return {port.name: self._fed(port, np.asarray(sample[port.name])) for port in self._inputs}

    def _fed(self, port: _Port, array: np.ndarray) -> Any:
        import onnxruntime as ort

        if array.dtype != port.dtype and port.dtype != np.dtype(object):
            self._casts.add(f"{port.name}: {array.dtype} given as {port.dtype}")
            array = array.astype(port.dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)
        if not self._through_values:
            return array
        if port.onnx_type is None:
            return ort.OrtValue.ortvalue_from_numpy(array)
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(array, port.onnx_type)

    def outputs(self, result: Any) -> Sample:
        """Arrays by output name, in the file's order."""
        return {port.name: _array_of(value, port) for port, value in zip(self._outputs, result, strict=True)}

    def describe(self) -> Mapping[str, Any]:
        """Versions, device, providers in use, nodes by provider, and the fall-back in words if there was one."""
        import onnxruntime as ort

        assert self._session is not None
        return {
            "runtime_version": ort.__version__,
            "device": "cpu" if self._asked_for[0] == "CPUExecutionProvider" else self._asked_for[0],
            "providers": list(self._session.get_providers()),
            "placement": dict(self._placement),
            "fallback": self._fallback(),
            "notes": sorted(self._casts),
        }

    def _fallback(self) -> str | None:
        assert self._session is not None
        wanted, active = self._asked_for[0], self._session.get_providers()
        if wanted not in active:
            return f"{wanted} is not available here; {active[0]} runs the model"
        elsewhere = {name: count for name, count in self._placement.items() if name != wanted}
        if elsewhere:
            total = sum(self._placement.values())
            text = ", ".join(f"{count} on {name}" for name, count in elsewhere.items())
            return f"of {total} nodes {text} instead of {wanted}"
        return None

    def close(self) -> None:
        """Free the session with its threads and memory."""
        self._session = None
        del self.run


class OnnxRuntime:
    """The runtime ``onnxruntime``, called ``ort`` by the original."""

    name = "onnxruntime"
    aliases: tuple[str, ...] = ("ort",)
    executes: tuple[str, ...] = ("onnx",)
    devices: tuple[str, ...] = ("cpu", "cuda")
    requires: tuple[str, ...] = ("onnxruntime",)
    install = "pip install onnxruntime"
    compiles = False

    def load(self, request: LoadRequest) -> OnnxRuntimeRunner:
        """A session over the file of the request.

        Raises:
            UsageError: an option that does not exist, or a value that it cannot have.
            MissingDependencyError: it has no kernel for an operator in the dtype of the file.
            ConversionError: ONNX Runtime refuses the file.
        """
        opened = open_session(request)
        return OnnxRuntimeRunner(opened.session, asked_for=opened.asked_for, placement=opened.placement)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session, the providers that were asked for in order, and its nodes by provider where that is in question."""

    session: ort.InferenceSession
    asked_for: tuple[str, ...]
    placement: Mapping[str, int]


def open_session(
    request: LoadRequest, *, adjust: Callable[[ort.SessionOptions], None] = lambda settings: None
) -> OpenedSession:
    """A session as the request wants it.

    Args:
        adjust: told the settings before the file is loaded, for who looks into a session.

    Raises:
        UsageError: an option that does not exist, or a value that it cannot have.
        MissingDependencyError: it has no kernel for an operator in the dtype of the file.
        ConversionError: ONNX Runtime refuses the file.
    """
    import onnxruntime as ort
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented

    if request.path is None:
        raise UsageError("the runtime onnxruntime executes ONNX files; there is none", remedy=_EXPORT_FIRST)
    configuration = {k: v for k, v in request.options.items() if k.startswith(_CONFIGURATION_PREFIXES)}
    wanted = execution_providers(request.options, request.device)
    options = {k: v for k, v in request.options.items() if k not in configuration and k not in wanted.option_keys}
    refuse_unknown("onnxruntime", options, _OPTIONS)

    settings = ort.SessionOptions()
    settings.log_severity_level = 3  # warnings of the optimiser about the file are not for the user
    settings.intra_op_num_threads = request.threads
    inter_op = str(options.get("inter_op_num_threads", 1))
    if not inter_op.isdecimal():
        raise UsageError(f"inter_op_num_threads cannot be {inter_op!r}", evidence="a whole number from 0")
    settings.inter_op_num_threads = int(inter_op)
    level = chosen("graph_optimization_level", options.get("graph_optimization_level", "all"), _LEVELS)
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, _LEVELS[level])
    mode = chosen("execution_mode", options.get("execution_mode", "sequential"), _MODES)
    settings.execution_mode = getattr(ort.ExecutionMode, _MODES[mode])
    if "spinning" in options:
        allowed = _SPINNING[chosen("spinning", options["spinning"], _SPINNING)]
        for pool in ("intra_op", "inter_op"):
            settings.add_session_config_entry(f"session.{pool}.allow_spinning", allowed)
    records_placement = wanted.names != ("CPUExecutionProvider",)
    if records_placement:
        settings.add_session_config_entry(_RECORD_PLACEMENT, "1")
    for key, value in configuration.items():
        settings.add_session_config_entry(key, "1" if value is True else str(value))
    adjust(settings)

    available = wanted.available(ort.get_available_providers())
    try:
        session = ort.InferenceSession(str(request.path), settings, providers=available or None)
    except NotImplemented as error:
        raise MissingDependencyError(
            f"ONNX Runtime has no kernel here for an operator of {Path(request.path).name}",
            evidence=str(error).strip(),
            remedy="benchmark --runtime openvino, or a build of ONNX Runtime for another device",
        ) from error
    except Exception as error:  # its exceptions have no common base below Exception
        raise ConversionError(
            f"ONNX Runtime cannot load {Path(request.path).name}",
            evidence=str(error).strip(),
            remedy=f"python -c \"import onnx; onnx.checker.check_model('{request.path}', full_check=True)\"",
        ) from error
    session.disable_fallback()  # a provider that fails inside a call is an error, not a silent change of device
    return OpenedSession(
        session=session, asked_for=wanted.names, placement=_placement(session) if records_placement else {}
    )


_EXPORT_FIRST = "turnkey -i INPUT discover export-pytorch benchmark --runtime onnxruntime"


def _placement(session: ort.InferenceSession) -> dict[str, int]:
    """Number of nodes by provider, as ONNX Runtime assigned them."""
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _port(node: Any) -> _Port:
    """Name and dtype of an input or output, from ONNX Runtime's text (``tensor(float16)``)."""
    kind = str(node.type)
    element = kind.removeprefix("tensor(").removesuffix(")")
    if kind.startswith("tensor(") and element in _NUMPY_OF_ONNX:
        return _Port(node.name, np.dtype(_NUMPY_OF_ONNX[element]), None)
    if kind.startswith("tensor(") and element in _WITHOUT_NUMPY:
        import ml_dtypes

        name, number = _WITHOUT_NUMPY[element]
        return _Port(node.name, np.dtype(getattr(ml_dtypes, name)), number)
    raise ConversionError(
        f"the ONNX file's {node.name!r} is of type {kind}, which is not measured or verified here",
        evidence=f"tensors of: {', '.join((*_NUMPY_OF_ONNX, *_WITHOUT_NUMPY))}",
    )


def _array_of(value: Any, port: _Port) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if port.onnx_type is None:
        return np.asarray(value.numpy())
    shape = tuple(value.shape())
    array = np.empty(shape, port.dtype)
    # OrtValue.numpy() refuses types that numpy lacks; the bytes are the same.
    ctypes.memmove(array.ctypes.data, value.data_ptr(), array.nbytes)
    return array


RUNTIME: Runtime = OnnxRuntime()
