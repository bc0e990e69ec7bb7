"""How deep the stack gets below a C function: the compiler's frames along its graph of calls.

gcc writes one graph per unit (``-fcallgraph-info=su``): nodes with the bytes of their frames, edges from caller to
callee. The worst case is the deepest path. Without such a graph (clang) only frames are known, and the deepest two of
each kind are added up: an estimate from above, not a proof.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LIBRARY_CALLS_BYTES = 256
"""Allowed for functions of the C library below ours, which the compiler cannot see."""

_NODE = re.compile(r'^node: \{ title: "([^"]*)" label: "((?:[^"\\]|\\.)*)"', re.M)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"', re.M)
_FRAME = re.compile(r"\\n(\d+) bytes \(")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallGraph:
    """Frames and calls of compiled units.

    Attributes:
        frames: bytes by function; those of static functions carry their unit's name in front.
        calls: callees by function; empty where the compiler tells no calls.
        red_zone_bytes: that a function which calls nothing may use beyond its frame, by the target's convention.
    """

    frames: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, Sequence[str]] = field(default_factory=dict)
    red_zone_bytes: int = 0

    def depth_bytes(self, function: str) -> int | None:
        """Bytes of the deepest path of calls from a function; None if it, or what it may call, is not known.

        Recursion has no deepest path: None.
        """
        if function not in self.frames or not self.calls:
            return None
        return self._depth(function, ())

    def _depth(self, function: str, above: tuple[str, ...]) -> int | None:
        if function in above:
            return None
        if function not in self.frames:
            return LIBRARY_CALLS_BYTES
        callees = self.calls.get(function, ())
        deepest = 0 if callees else self.red_zone_bytes
        for callee in callees:
            below = self._depth(callee, (*above, function))
            if below is None:
                return None
            deepest = max(deepest, below)
        return self.frames[function] + deepest


def read_call_graph(texts: Sequence[str], *, red_zone_bytes: int = 0) -> CallGraph:
    """The graph over the ``.ci`` files of some units."""
    frames: dict[str, int] = {}
    calls: dict[str, list[str]] = {}
    for text in texts:
        for title, label in _NODE.findall(text):
            frame = _FRAME.search(label)
            if frame:
                frames[title] = int(frame[1])
                calls.setdefault(title, [])
        for source, target in _EDGE.findall(text):
            callees = calls.setdefault(source, [])
            if target not in callees:
                callees.append(target)
    return CallGraph(frames=frames, calls=calls, red_zone_bytes=red_zone_bytes)


def worst_case_stack(graph: CallGraph, module: str) -> int | None:
    """Bytes of stack below the caller of a module's entry point; None if nothing is known."""
    prefix = f"tvmgen_{module}"
    depth = graph.depth_bytes(f"{prefix}_run")
    if depth is not None or not graph.frames:
        return depth
    names = {name.rpartition(":")[2]: size for name, size in graph.frames.items()}
    entry = sum(size for name, size in names.items() if name in (f"{prefix}_run", f"{prefix}___tvm_main__"))
    kernels = [size for name, size in names.items() if name.startswith(f"{prefix}_fused_")]
    helpers = sorted((size for name, size in names.items() if not name.startswith(prefix)), reverse=True)[:2]
    # A kernel's body may call one function of its own, whose frame is listed apart.
    return entry + sum(sorted(kernels, reverse=True)[:2]) + sum(helpers) + LIBRARY_CALLS_BYTES
