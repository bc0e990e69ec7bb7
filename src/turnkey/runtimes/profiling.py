"""Looking at a candidate while it runs: how long its calls take, and how long each of its operators.

Two loads: one that is left alone for the time of a call, one with the runtime's own profiler for the operators. ONNX
Runtime also writes the graph that it really executes, with every cast, copy and reordering that it put in.

Scope: operators of onnxruntime, openvino and torch; of any other runtime the time of a call and its threads.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import TurnkeyError
from turnkey.formats.module_scopes import innermost_module
from turnkey.model.samples import Sample
from turnkey.runtimes.lookup import find_runtime
from turnkey.runtimes.profile import LayerOf, OperatorTime, Profile
from turnkey.runtimes.runtime import LoadRequest, Runner

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort

_WARM_CALLS = 3
_FEWEST_CALLS = 5
_SECONDS = 1.0
_PROFILED_CALLS = 10
_QUANTIZED = "_quantized"
"""What ONNX Runtime's quantiser puts behind the name of a weight."""
_LAYER_MARK = "turnkey layer: "
_CALL_MARK = "turnkey call"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What to look at.

    Attributes:
        key: of the candidate.
        runtime: its name.
        request: what the runtime is told.
        exported: the file that knows the modules of the graph; None for a live module or a loaded file.
    """

    key: str
    runtime: str
    request: LoadRequest
    exported: Path | None = None


def profile_of(subject: Subject, sample: Sample) -> Profile:
    """Time calls and operators of one candidate for one sample, in this process.

    Raises:
        TurnkeyError: the runtime refuses it.
    """
    runner = find_runtime(subject.runtime).load(subject.request)
    try:
        call_ms, cpu_ms = _timed(runner, sample)
        facts = dict(runner.describe())
    finally:
        runner.close()
    layer_of = _layers_of(subject.exported)
    operators: tuple[OperatorTime, ...] = ()
    notes = tuple(str(note) for note in facts.get("notes", ()))
    try:
        if subject.runtime in _PROFILERS:
            operators = _PROFILERS[subject.runtime](subject.request, sample, layer_of)
    except TurnkeyError as error:
        notes = (*notes, f"operators not timed: {error.what}")
    return Profile(
        key=subject.key,
        operators=operators,
        call_ms=call_ms,
        cpu_ms=cpu_ms,
        threads=subject.request.threads,
        fallback=facts.get("fallback"),
        placement=facts.get("placement") or {},
        notes=notes,
    )


def _timed(runner: Runner, sample: Sample) -> tuple[float, float]:
    """Median milliseconds of a call, and mean milliseconds of processor time."""
    prepared = runner.prepare(sample)
    for _ in range(_WARM_CALLS):
        runner.run(prepared)
    times: list[int] = []
    started, cpu_started = time.perf_counter_ns(), time.process_time_ns()
    while len(times) < _FEWEST_CALLS or time.perf_counter_ns() - started < _SECONDS * 1e9:
        before = time.perf_counter_ns()
        runner.run(prepared)
        times.append(time.perf_counter_ns() - before)
    return statistics.median(times) / 1e6, (time.process_time_ns() - cpu_started) / len(times) / 1e6


def _of_onnxruntime(request: LoadRequest, sample: Sample, layer_of: LayerOf) -> tuple[OperatorTime, ...]:
    from turnkey.runtimes.onnxruntime import OnnxRuntimeRunner, open_session

    with tempfile.TemporaryDirectory(prefix="turnkey-profile-") as scratch:
        executed = Path(scratch) / "executed.onnx"

        def adjust(settings: ort.SessionOptions, *, write: bool = True) -> None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(scratch) / "profile")
            if write:
                settings.optimized_model_filepath = str(executed)
                settings.add_session_config_entry(
                    "session.optimized_model_external_initializers_file_name", "executed.weights"
                )

        try:
            opened = open_session(request, adjust=adjust)
        except TurnkeyError:  # a provider that compiles its nodes cannot write them
            opened = open_session(request, adjust=lambda settings: adjust(settings, write=False))
        runner = OnnxRuntimeRunner(opened.session, asked_for=opened.asked_for, placement=opened.placement)
        prepared = runner.prepare(sample)
        for _ in range(_WARM_CALLS + _PROFILED_CALLS):
            runner.run(prepared)
        events = json.loads(Path(opened.session.end_profiling()).read_bytes())
        runner.close()
        places = _places_of_nodes(executed, layer_of)
    return _from_events(events, places)


def _from_events(events: list[dict[str, Any]], places: Mapping[str, str]) -> tuple[OperatorTime, ...]:
    runs = sorted(event["ts"] for event in events if event.get("name") == "model_run")
    start = runs[_WARM_CALLS] if len(runs) > _WARM_CALLS else 0
    times: dict[tuple[str, str, str], list[float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith("_kernel_time") or event["ts"] < start:
            continue
        told = event.get("args", {})
        key = (name.removesuffix("_kernel_time"), str(told.get("op_name", "")), str(told.get("provider", "")))
        times.setdefault(key, []).append(float(event["dur"]))
    calls = max(1, len(runs) - _WARM_CALLS)
    return tuple(
        OperatorTime(
            operator=operator,
            node=node,
            layer=places.get(node, ""),
            provider=provider,
            # The median, since one interruption would outweigh all calls; a node of a loop runs several times in each.
            microseconds=statistics.median(durations) * len(durations) / calls,
        )
        for (node, operator, provider), durations in times.items()
    )


def _places_of_nodes(executed: Path, layer_of: LayerOf) -> dict[str, str]:
    """Module path of each node of the executed graph: by its weights, else the values that it makes, else reads.

    A fused node makes the value of its last part (an activation), and is better known by the weights of its first.
    """
    if not executed.exists():
        return {}
    from turnkey.formats.onnx_file import load_graph

    graph = load_graph(executed).graph
    weights = {tensor.name for tensor in graph.initializer}

    def names(node: onnx.NodeProto) -> list[str]:
        read = [name.removesuffix(_QUANTIZED) for name in node.input if name in weights]
        return [*read, *node.output, node.name, *node.input]

    return {node.name: next(filter(None, map(layer_of, names(node))), "") for node in graph.node}


def _of_openvino(request: LoadRequest, sample: Sample, layer_of: LayerOf) -> tuple[OperatorTime, ...]:
    from turnkey.runtimes.openvino import OpenVino

    options = {**request.options, "PERF_COUNT": "YES", "performance_hint": "latency"}
    runner = OpenVino().load(replace(request, options=options))
    try:
        prepared = runner.prepare(sample)
        for _ in range(_WARM_CALLS):
            runner.run(prepared)
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(_PROFILED_CALLS):
            runner.run(prepared)
            for node, operator, microseconds in runner.operator_times():
                times.setdefault((node, operator), []).append(microseconds)
    finally:
        runner.close()
    return tuple(
        OperatorTime(operator=operator, node=node, layer=layer_of(node), microseconds=statistics.median(durations))
        for (node, operator), durations in times.items()
    )


def _of_torch(request: LoadRequest, sample: Sample, layer_of: LayerOf) -> tuple[OperatorTime, ...]:
    import torch
    from torch.autograd.profiler import record_function

    runner = find_runtime("torch").load(request)
    prepared = runner.prepare(sample)
    marks: list[Any] = []
    handles = []

    def enter(name: str) -> None:
        marks.append(record_function(f"{_LAYER_MARK}{name}"))
        marks[-1].__enter__()

    def leave() -> None:
        marks.pop().__exit__(None, None, None)

    assert request.module is not None, "the runtime has looked"
    for path, child in request.module.named_modules():
        name = ".".join(part for part in path.split(".") if part != "_orig_mod")  # what torch.compile wraps
        if name:
            handles.append(child.register_forward_pre_hook(lambda _m, _a, name=name: enter(name)))
            handles.append(child.register_forward_hook(lambda _m, _a, _r: leave()))
    try:
        for _ in range(_WARM_CALLS):
            runner.run(prepared)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            for _ in range(_PROFILED_CALLS):
                with record_function(_CALL_MARK):
                    runner.run(prepared)
    finally:
        for handle in handles:
            handle.remove()
        runner.close()
    return _from_torch_events(profiler.events())


def _from_torch_events(events: Iterable[Any]) -> tuple[OperatorTime, ...]:
    """Operators by layer, each with the median of what it took in the calls that are marked among the events."""
    events = list(events)
    starts = sorted(event.time_range.start for event in events if event.name == _CALL_MARK)
    sums: dict[tuple[str, str], list[float]] = {}
    for event in events:
        if event.name.startswith("aten::"):
            per_call = sums.setdefault((event.name, _marked_layer(event)), [0.0] * len(starts))
            per_call[max(0, bisect_right(starts, event.time_range.start) - 1)] += float(event.self_cpu_time_total)
    return tuple(
        OperatorTime(operator=operator, node=operator, layer=layer, microseconds=statistics.median(per_call))
        for (operator, layer), per_call in sums.items()
    )


def _marked_layer(event: Any) -> str:
    """The innermost module around an event of torch's profiler."""
    while event is not None:
        if event.name.startswith(_LAYER_MARK):
            return str(event.name).removeprefix(_LAYER_MARK)
        event = event.cpu_parent
    return ""


def _layers_of(exported: Path | None) -> LayerOf:
    """Looks up the innermost module of a node or value of the exported file, by name."""
    if exported is None:
        return lambda name: ""
    from turnkey.formats.onnx_file import load_graph

    graph = load_graph(exported).graph
    weights = {tensor.name for tensor in graph.initializer}
    layers: dict[str, str] = {}
    for node in graph.node:
        layer = innermost_module(node)
        for name in (node.name, *node.output, *(name for name in node.input if name in weights)):
            if name and layer:
                layers.setdefault(name, layer)
    return lambda name: layers.get(name, "")


_PROFILERS = {"onnxruntime": _of_onnxruntime, "openvino": _of_openvino, "torch": _of_torch}
