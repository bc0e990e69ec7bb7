"""``torch.compile``: executes the live module through TorchDynamo and a backend.

Options (``--rt-args``): ``backend`` (default inductor), ``mode`` (default, reduce-overhead, max-autotune, …),
``fullgraph``, ``dynamic``, ``freezing`` (of inductor: weights become constants that are folded and packed), and
``autocast`` (bf16, fp16). The first call compiles; it is a step of its own and never part of a latency.
``torch-compile-max-autotune`` and ``torch-compile-freezing`` are this runtime with an option set, under other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of
from turnkey.runtimes.options import chosen, refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.torch_eager import TorchRunner, autocast_of, live_module

if TYPE_CHECKING:
    import torch

    from turnkey.model.call import CallStructure

_OPTIONS = ("backend", "mode", "fullgraph", "dynamic", "freezing", "autocast")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class TorchCompileRunner(TorchRunner):
    """A compiled module. What it compiles to is told by `describe`: graphs, and reasons where it had to break."""

    def __init__(
        self,
        module: torch.nn.Module,
        structure: CallStructure,
        *,
        device: str,
        threads: int,
        options: Mapping[str, Any],
    ) -> None:
        import torch

        # Before anything of the process is changed: an option that is refused leaves nothing behind.
        freezing, fullgraph = (_is_true(name, options.get(name, False)) for name in ("freezing", "fullgraph"))
        dynamic = _is_true("dynamic", options["dynamic"]) if "dynamic" in options else None
        super().__init__(module, structure, device=device, threads=threads, autocast=autocast_of(options))
        self._backend = str(options.get("backend", "inductor"))
        mode, configuration = options.get("mode"), None
        if freezing:  # torch takes a mode or options, and a mode is only options
            configuration = {**(torch._inductor.list_mode_options(mode) if mode else {}), "freezing": True}
            mode = None
        # A function around the module: compiling the module itself would attach an attribute to the user's object.
        uncompiled = self._call
        self._call = torch.compile(
            lambda *args, **kwargs: uncompiled(*args, **kwargs),
            backend=self._backend,
            mode=mode,
            options=configuration,
            fullgraph=fullgraph,
            dynamic=dynamic,
        )

    def compile(self, prepared: Any) -> None:
        """Compile for inputs of these shapes by one call.

        Raises:
            ConversionError: the backend cannot compile the model.
        """
        try:
            self.run(prepared)
        except Exception as error:  # backends raise whatever they like
            raise ConversionError(
                f"torch.compile with backend {self._backend} cannot compile the model",
                evidence=evidence_of(error),
                remedy="turnkey ... benchmark --runtime torch   # or: --rt-args backend::aot_eager",
            ) from error

    def describe(self) -> Mapping[str, Any]:
        """As `TorchRunner.describe`, with the graphs and graph breaks of TorchDynamo."""
        from torch._dynamo.utils import counters

        breaks = {str(reason).strip().splitlines()[0]: int(n) for reason, n in counters["graph_break"].items()}
        graphs = int(counters["stats"].get("unique_graphs", 0))
        facts = super().describe()
        notes = [f"{graphs} graphs, {sum(breaks.values())} graph breaks: {', '.join(breaks)}"] if breaks else []
        return {**facts, "backend": self._backend, "graphs": graphs, "notes": [*facts["notes"], *notes]}


class TorchCompile:
    """The runtime ``torch-compile``, called ``torch-compiled`` by the original; and it with ``preset`` options."""

    executes: tuple[str, ...] = ("torch",)
    devices: tuple[str, ...] = ("cpu", "cuda")
    requires: tuple[str, ...] = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    compiles = True
    preloads = ("torch._dynamo", "torch._inductor.compile_fx")
    """Imported with torch: seconds that belong to neither loading nor compiling."""

    def __init__(self, *, name: str, aliases: tuple[str, ...] = (), preset: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.aliases = aliases
        self.preset = dict(preset or {})

    def load(self, request: LoadRequest) -> TorchCompileRunner:
        """The module of the request, to be compiled.

        Raises:
            UsageError: there is no live module, an unknown option, or a device that is not there.
        """
        refuse_unknown(self.name, request.options, [name for name in _OPTIONS if name not in self.preset])
        module, structure = live_module(self.name, request)
        options = {**request.options, **self.preset}
        return TorchCompileRunner(module, structure, device=request.device, threads=request.threads, options=options)


def _is_true(option: str, value: Any) -> bool:
    return chosen(option, str(value).lower(), (*_TRUE, *_FALSE)) in _TRUE


RUNTIME: Runtime = TorchCompile(name="torch-compile", aliases=("torch-compiled",))
MAX_AUTOTUNE: Runtime = TorchCompile(name="torch-compile-max-autotune", preset={"mode": "max-autotune"})
FREEZING: Runtime = TorchCompile(name="torch-compile-freezing", preset={"freezing": True})
