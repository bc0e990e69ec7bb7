"""Stepping aside for `torch.compile`: while Dynamo traces, it must find the modules as they are without us.

Three places where Dynamo would notice: it compares `Module.__call__` with the object that it met at its own import;
it would inline a function it does not know into its graphs; and after a graph break it would try to compile our
frames. So the original is back while Dynamo is imported and while it traces, our files are among those that it never
compiles, and what the observer does beside the call runs `unnoticed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from turnkey.discovery.observer import Observer


class _KeptList(list[Any]):
    """A list of callbacks in which one stays: scripts call `torch._dynamo.reset`, which clears it."""

    def __init__(self, others: list[Any], kept: Any) -> None:
        super().__init__([*others, kept])
        self._kept = kept

    def clear(self) -> None:
        self[:] = [self._kept]


class CompilerWatch:
    """Keeps an observer away from Dynamo. Use `arriving` as the surround of `torch._dynamo`'s import."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._undo: list[Callable[[], None]] = []

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Import Dynamo without the observer, then be told of every compilation."""
        self._observer.step_aside()
        try:
            yield
        finally:
            self._observer.step_back()
        self._listen()

    def leave(self) -> None:
        """Take the callbacks away again."""
        for undo in self._undo:
            undo()
        self._undo.clear()

    def _listen(self) -> None:
        from torch._dynamo import convert_frame, trace_rules
        from torch._dynamo.callback import callback_handler

        if "turnkey.discovery" not in _SKIPPED:
            trace_rules.add("turnkey.discovery")
            _SKIPPED.add("turnkey.discovery")
        for name, callback in (
            ("start_callbacks", lambda *_: self._observer.step_aside()),
            ("end_callbacks", lambda *_: self._observer.step_back()),
        ):
            before: list[Any] = getattr(callback_handler, name)
            kept = _KeptList(before, callback)
            setattr(callback_handler, name, kept)
            self._undo.append(_restore(callback_handler, name, kept, callback))
        for name in _SILENT_CAPTURES:
            if hasattr(convert_frame, name):
                self._surround(convert_frame, name)

    def _surround(self, owner: Any, name: str) -> None:
        """Step aside for the time of one function of torch."""
        original = getattr(owner, name)

        @wraps(original)
        def without_observer(*args: Any, **kwargs: Any) -> Any:
            self._observer.step_aside()
            try:
                return original(*args, **kwargs)
            finally:
                self._observer.step_back()

        setattr(owner, name, without_observer)
        self._undo.append(lambda: setattr(owner, name, original))


_SKIPPED: set[str] = set()

_SILENT_CAPTURES = ("get_traced_fn", "_fullgraph_capture_frame")
"""Of ``torch._dynamo.convert_frame``: strict export traces through these and tells no callback (torch 2.13)."""


def _restore(handler: Any, name: str, kept: _KeptList, callback: Any) -> Callable[[], None]:
    def restore() -> None:
        setattr(handler, name, [entry for entry in kept if entry is not callback])

    return restore
