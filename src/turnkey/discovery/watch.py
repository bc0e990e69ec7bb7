"""What happens around a script's run: the observer is placed when torch arrives, and taken away at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from turnkey import host
from turnkey.discovery.arrival import Arrivals
from turnkey.discovery.options import DiscoveryOptions
from turnkey.discovery.script import ScriptRun

if TYPE_CHECKING:  # torch comes only when the script loads it
    from turnkey.discovery.finding import Finding
    from turnkey.discovery.invocation import Invocation
    from turnkey.discovery.observer import Observer


class Watch:
    """Watches one run, from `begin` to `end`; `forget` lets go of what was seen."""

    def __init__(self, script: ScriptRun, options: DiscoveryOptions) -> None:
        self._script = script
        self._options = options
        self._observer: Observer | None = None
        self._arrivals = Arrivals({"torch": self._torch_arrives, "torch._dynamo": self._dynamo_arrives})
        self._undo = ExitStack()

    def begin(self) -> None:
        """Wait for torch; to be called when all else is ready for the script."""
        self._arrivals.wait()

    def end(self) -> None:
        """Take everything away again; also to be called in a half-begun state."""
        self._arrivals.leave()
        if self._observer is not None:
            self._observer.remove()
        self._undo.close()

    def findings(self) -> list[Finding]:
        """The models that were called, replayed and described; in order of first call."""
        if self._observer is None:
            return []
        from turnkey.discovery.finding import find_models

        return find_models(self._observer.invocations)

    def failed(self) -> tuple[str, ...]:
        """Classes of modules whose every call raised."""
        return tuple(dict.fromkeys(_class_name(item) for item in self._seen() if not item.calls and item.failed))

    def forget(self) -> None:
        """Let go of the models as far as this object holds them."""
        self._observer = None

    def _seen(self) -> list[Invocation]:
        return self._observer.invocations if self._observer is not None else []

    @contextmanager
    def _torch_arrives(self) -> Iterator[None]:
        yield
        from turnkey.discovery.observer import Observer
        from turnkey.discovery.torch_defaults import TorchDefaults

        self._undo.callback(TorchDefaults().restore)
        keep_bytes = self._options.keep_bytes
        self._observer = Observer(
            max_depth=self._options.max_depth,
            sample_count=self._options.sample_count,
            sample_bytes=self._options.sample_bytes,
            keep_bytes=host.available_memory_bytes() // 4 if keep_bytes is None else keep_bytes,
            owns_file=self._script.owns_file,
            seed=self._options.seed,
        )
        self._observer.place()

    @contextmanager
    def _dynamo_arrives(self) -> Iterator[None]:
        from turnkey.discovery.compiling import CompilerWatch

        if self._observer is None:  # torch failed to load
            yield
            return
        watch = CompilerWatch(self._observer)
        self._undo.callback(watch.leave)
        with watch.arriving():
            yield
        if self._options.compiled == "eager":
            import torch

            torch.compiler.set_stance("force_eager")
            self._undo.callback(torch.compiler.set_stance, "default")


def _class_name(invocation: Invocation) -> str:
    return type(invocation.seen.module).__name__ if invocation.seen.module is not None else invocation.seen.class_name
