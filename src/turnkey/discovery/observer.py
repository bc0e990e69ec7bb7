"""The observer: sees every call of every module, from one place and without a trace.

`torch.nn.Module.__call__` is replaced once by a function with a nesting counter per thread, and put back at the end.
Nothing is attached to models or classes, so copies, pickles, scripts, traces, exports and compiled graphs stay as
they are. Nested calls beyond the depth of interest cost one look at the counter; an observed call looks up (module,
signature), counts and times, and now and then copies its inputs.

While `torch.compile` traces, the original is back in its place (`compiling`), since Dynamo would otherwise find a
function that it does not know. Calls made by tracing, exporting or fake tensors are not the script's: they pass.

Trade-offs (accepted): while one thread compiles, calls of other threads pass unseen; counts rely on the
interpreter's lock. Dicts are keyed by `id`: every entry holds its module or, once let go, a weak reference to it.
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from turnkey.discovery import arguments
from turnkey.discovery.invocation import Budget, Invocation, Reservoir, SeenModel
from turnkey.discovery.place import find_place
from turnkey.model.samples import Sample

SIGNATURES_PER_MODEL = 256
"""Signatures of one model that are kept apart; a longer tail (a growing sequence) is only counted."""

_UNSEEN_DEPTH = 1 << 30


class _Frame:
    """How deep one thread is in observed calls, and in which; one attribute of a thread-local is read per call."""

    __slots__ = ("depth", "parent")

    def __init__(self) -> None:
        self.depth = 0
        self.parent: Invocation | None = None


class _Nesting(threading.local):
    def __init__(self) -> None:
        self.frame = _Frame()


class Observer:
    """Observes from `place` to `remove`.

    Args:
        max_depth: module calls nested at most that deep are recorded; 0 means top-level calls only.
        sample_count, sample_bytes: samples kept per signature, and bytes of all of them.
        keep_bytes: parameters and buffers of models that are kept alive; beyond it the oldest are let go.
        owns_file: whether a source file is the user's, for the place of a call.
        seed: of the choice of samples.
    """

    def __init__(
        self,
        *,
        max_depth: int,
        sample_count: int,
        sample_bytes: int,
        keep_bytes: int,
        owns_file: Callable[[str], bool],
        seed: int = 0,
    ) -> None:
        self.invocations: list[Invocation] = []
        self._models: dict[int, SeenModel] = {}
        self._kept_bytes = 0
        self._max_depth = max_depth
        self._sample_count = sample_count
        self._budget = Budget(sample_bytes)
        self._keep_bytes = keep_bytes
        self._owns_file = owns_file
        self._seed = seed
        self._lock = threading.Lock()  # of the tables, when a pair is seen first: threads may share a model
        self._original: Any = None
        self._replacement: Any = None
        self._stop: Callable[[], None] = lambda: None

    def place(self) -> None:
        """Put the observer in the place of `torch.nn.Module.__call__`."""
        self._original = torch.nn.Module.__call__
        self._replacement, self._stop = self._make(self._original)
        torch.nn.Module.__call__ = self._replacement

    def step_aside(self) -> None:
        """Put the original back for a while, if the observer is in its place."""
        if self._replacement is not None and torch.nn.Module.__dict__.get("__call__") is self._replacement:
            torch.nn.Module.__call__ = self._original

    def step_back(self) -> None:
        """Return after `step_aside`."""
        if self._replacement is not None and torch.nn.Module.__dict__.get("__call__") is self._original:
            torch.nn.Module.__call__ = self._replacement

    def remove(self) -> None:
        """Put the original object back; bound methods that somebody kept pass calls on from now on."""
        if self._replacement is None:
            return
        self._stop()
        self._replacement = None
        torch.nn.Module.__call__ = self._original

    def _make(self, original: Any) -> tuple[Any, Callable[[], None]]:
        """The replacement, and a function that makes it pass all calls on."""
        nesting = _Nesting()
        deepest = self._max_depth
        models, unseen, unnoticed = self._models, _pass_unseen, arguments.unnoticed
        invocation_of, finish = unnoticed(self._invocation_of), unnoticed(self._finish)
        # What torch's own `__call__` does, without its frame: ours takes that frame's place, so that `warnings` and
        # `inspect` count as many frames as ever, and a nested call costs less.
        is_plain = original.__code__.co_names == ("_compiled_call_impl", "_call_impl")
        clock = time.perf_counter_ns
        key_of, capture, unnoticed_key = arguments.key_of, arguments.capture, unnoticed(arguments.key_of)
        Tensor = torch.Tensor
        tracing_state = torch._C._get_tracing_state
        function_modes = torch._C._len_torch_function_stack

        def _wrapped_call_impl(self: Any, *args: Any, **kwargs: Any) -> Any:
            frame = nesting.frame
            depth = frame.depth
            if depth > deepest:
                if is_plain and self._compiled_call_impl is None:
                    return self._call_impl(*args, **kwargs)
                return original(self, *args, **kwargs)
            if tracing_state() is not None:  # before anything is read of the tensors: a tracer would write it down
                return unseen(frame, original, self, args, kwargs)
            parent = frame.parent
            if function_modes():
                key = (id(parent), unnoticed_key(args, kwargs))
            elif parent is None and not kwargs and len(args) == 1 and type(args[0]) is Tensor:
                tensor = args[0]  # most calls look like this, and like the one before
                key = (tensor.shape, tensor.dtype)
            else:
                key = (id(parent), key_of(args, kwargs))
            seen = models.get(id(self))
            if seen is None or seen.module is not self:
                invocation = None
            else:
                latest_key, invocation = seen.latest  # one value: another thread may replace it
                if key != latest_key:
                    invocation = seen.by_key.get(key)
                    seen.latest = (key, invocation) if invocation is not None else seen.latest
            if invocation is None:
                invocation = invocation_of(self, key, args, kwargs, depth, parent)
                if invocation is None:
                    return unseen(frame, original, self, args, kwargs)
            if self.training:
                invocation.training_seen = True
            is_due = invocation.calls == invocation.next_capture
            sample = capture(invocation, args, kwargs) if is_due else None
            frame.depth = depth + 1
            if deepest:
                frame.parent = invocation
            start = clock()
            try:
                if is_plain and self._compiled_call_impl is None:
                    result = self._call_impl(*args, **kwargs)
                else:
                    result = original(self, *args, **kwargs)
            except BaseException:
                invocation.failed += 1
                raise
            finally:
                frame.depth = depth
                frame.parent = parent
            invocation.nanoseconds += clock() - start
            invocation.calls += 1
            if is_due:
                finish(self, invocation, sample)
            return result

        def stop() -> None:
            nonlocal deepest
            deepest = -1

        # Dynamo treats a first frame of this name as the module's own call and does not wrap it once more.
        _wrapped_call_impl.__qualname__ = "Module._wrapped_call_impl"
        _wrapped_call_impl.__module__ = original.__module__
        return _wrapped_call_impl, stop

    def _invocation_of(
        self,
        module: Any,
        key: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        depth: int,
        parent: Invocation | None,
    ) -> Invocation | None:
        """The invocation of a call that was not seen in this form; None if it is not to be recorded."""
        if arguments.is_symbolic(args, kwargs):
            return None
        with self._lock:
            seen = self._seen_model(module)
            seen = seen.inside or seen
            invocation = seen.by_key.get(key)
            if invocation is not None:
                return invocation
            names = arguments.parameter_names(seen.module)
            signature = (id(parent), arguments.canonical_key(args, kwargs, names))
            invocation = seen.by_signature.get(signature)
            if invocation is None:
                if len(seen.by_signature) >= SIGNATURES_PER_MODEL:
                    seen.surplus_calls += 1
                    return None
                place = find_place(module, sys._getframe(3), owns_file=self._owns_file)
                if place is None:
                    return None
                call = arguments.describe(args, kwargs, names)
                invocation = Invocation(
                    seen=seen,
                    order=len(self.invocations),
                    depth=depth,
                    parent=parent,
                    place=place,
                    structure=call.structure,
                    shapes=call.shapes,
                    dtypes=call.dtypes,
                    opaque=call.opaque,
                    reservoir=Reservoir(self._sample_count, self._budget, seed=self._seed),
                )
                seen.by_signature[signature] = invocation
                self.invocations.append(invocation)
            seen.by_key[key] = invocation
            return invocation

    def _seen_model(self, module: Any) -> SeenModel:
        seen = self._models.get(id(module))
        if seen is not None and seen.reference() is module:
            return seen
        inner = getattr(module, "_orig_mod", None)
        if isinstance(inner, torch.nn.Module):  # what torch.compile(module) returns: the same model, called faster
            original = self._seen_model(inner)
            seen = replace(original, module=module, reference=weakref.ref(module), inside=original)
            self._models[id(inner)] = original
        else:
            seen = SeenModel(module=module, reference=weakref.ref(module))
        self._models[id(module)] = seen
        return seen

    def _finish(self, module: Any, invocation: Invocation, sample: Sample | None) -> None:
        """After a call that was captured: keep the sample, plan the next one."""
        if sample is not None:
            invocation.reservoir.offer(sample)
        invocation.next_capture = invocation.reservoir.next_call if sample is not None else -1
        if not invocation.seen.class_name:
            self._settle(module, invocation)

    def _settle(self, module: Any, invocation: Invocation) -> None:
        """After a model's first call, when lazy parameters have their shapes: note sizes, let the oldest go."""
        seen = invocation.seen
        kept = seen.module if seen.module is not None else module
        seen.class_name = getattr(kept, "original_name", type(kept).__name__)  # of what was scripted, where it was
        if invocation.depth > 0:
            return  # parts live as long as their model
        with self._lock:
            seen.kept_bytes = sum(arguments.size_bytes(tensor) for tensor in weights_of(seen.module))
            self._kept_bytes += seen.kept_bytes
            for older in list(self._models.values()):
                if self._kept_bytes <= self._keep_bytes:
                    break
                if older is not seen and older.module is not None and older.kept_bytes:
                    self._kept_bytes -= older.kept_bytes
                    older.module = None


def _pass_unseen(frame: _Frame, original: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call that is not the script's own, with all calls inside it."""
    depth = frame.depth
    frame.depth = _UNSEEN_DEPTH
    try:
        return original(module, *args, **kwargs)
    finally:
        frame.depth = depth


def weights_of(module: torch.nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers, shared ones once."""
    return [*module.parameters(), *module.buffers()]
