"""torch, uncompiled: executes the live module as its script would, in inference mode.

Options (``--rt-args``): ``autocast`` (bf16, fp16): torch's own mixed precision, which computes matrix products and
convolutions in the narrow type and leaves the rest. The runtimes ``torch-bf16`` and ``torch-fp16`` are torch with it,
under names of their own, so that one experiment can compare them.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from turnkey.errors import ModelError, UsageError
from turnkey.model.samples import Sample
from turnkey.runtimes.options import chosen, refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.torch_facts import require_device, torch_facts

if TYPE_CHECKING:
    import torch

    from turnkey.model.call import CallStructure
    from turnkey.runtimes.cuda_timer import CudaTimer

AUTOCAST_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
_OPTIONS = ("autocast",)


class TorchRunner:
    """A module on a device, in evaluation mode until it is closed.

    On the CPU the call is the module's own, with its arguments made beforehand. On another device a call is what a
    client sees: arguments copied from host memory, outputs copied back.

    Args:
        autocast: a key of `AUTOCAST_DTYPES`; None computes in the module's own dtypes.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        structure: CallStructure,
        *,
        device: str,
        threads: int,
        autocast: str | None = None,
    ) -> None:
        import torch

        from turnkey.model.torch_bridge import evaluation_flags

        self._structure = structure
        self._binds_each_call = structure.holds_cache
        self._device = device
        self._undo = ExitStack()
        # Each of these is the process's or the model's state: the user's own process may be this one.
        self._undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        self._module = module
        if device != "cpu":
            home = next((str(weight.device) for weight in module.parameters()), "cpu")
            self._undo.callback(module.to, home)
            module.to(device)
        self._undo.enter_context(evaluation_flags(module))
        self._inference_mode = torch.inference_mode
        self._call: Callable[..., Any] = module
        self.device_timer: CudaTimer | None = None
        if device != "cpu":
            from turnkey.runtimes.cuda_timer import CudaTimer

            self.device_timer = CudaTimer(
                to_device=self._to_device, compute=self._compute, to_host=self._to_host, device=device
            )
        if autocast is not None:
            self._call = _under_autocast(module, autocast, device=device)

    def prepare(self, sample: Sample) -> Any:
        """``(args, kwargs)`` of the call, as tensors in host memory; with a cache the named tensors alone."""
        from turnkey.model.torch_bridge import tensors_of

        tensors = tensors_of(sample)
        if self._binds_each_call:
            return tensors
        bound = self._structure.bind(tensors)
        # Objects that are no tensors: what a call does to them must reach neither the user nor another sample.
        return bound if self._structure.is_portable else copy.deepcopy(bound)

    def run(self, prepared: Any) -> Any:
        """One call in inference mode. A key-value cache is built inside: the model appends to the one it gets."""
        if self._device != "cpu":
            return self._to_host(self._compute(self._to_device(prepared)))
        args, kwargs = self._structure.bind(prepared) if self._binds_each_call else prepared
        with self._inference_mode():
            return self._call(*args, **kwargs)

    def _to_device(self, prepared: Any) -> Any:
        bound = self._structure.bind(prepared) if self._binds_each_call else prepared
        with self._inference_mode():
            return moved(bound, self._device)

    def _compute(self, bound: Any) -> Any:
        args, kwargs = bound
        with self._inference_mode():
            return self._call(*args, **kwargs)

    def _to_host(self, result: Any) -> Any:
        with self._inference_mode():
            return moved(result, "cpu")

    def outputs(self, result: Any) -> Sample:
        """Named arrays, in the order of the result."""
        from turnkey.model.torch_bridge import arrays_of_result

        return arrays_of_result(result)

    def describe(self) -> Mapping[str, Any]:
        """Version, device and threads."""
        return {**torch_facts(self._device), "notes": list(self._notes())}

    def _notes(self) -> Iterator[str]:
        if not self._structure.is_portable:
            yield "the call takes objects that are no tensors; if it changes them, later calls see the change"

    def close(self) -> None:
        """Give the module its flags and device back."""
        self._undo.close()


def _under_autocast(module: Callable[..., Any], autocast: str, *, device: str) -> Callable[..., Any]:
    """The module's call with matrix products and convolutions in a narrow type."""
    import torch

    kind, dtype = device.partition(":")[0], getattr(torch, AUTOCAST_DTYPES[autocast])

    def call(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(kind, dtype=dtype):
            return module(*args, **kwargs)

    return call


@contextmanager
def left_as_it_was(module: Any) -> Iterator[None]:
    """Flags of a module and threads of this process as before, however many runners came and went inside."""
    if "torch" not in sys.modules:  # then the module is none of torch, and its threads are not set yet
        yield
        return
    import torch

    from turnkey.model.torch_bridge import evaluation_mode

    threads = torch.get_num_threads()
    try:
        with evaluation_mode(module) if isinstance(module, torch.nn.Module) else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


class TorchEager:
    """The runtime ``torch``, called ``torch-eager`` by the original; and torch with ``preset`` options."""

    executes: tuple[str, ...] = ("torch",)
    devices: tuple[str, ...] = ("cpu", "cuda")
    requires: tuple[str, ...] = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    compiles = False

    def __init__(self, *, name: str, aliases: tuple[str, ...] = (), preset: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.aliases = aliases
        self.preset = dict(preset or {})

    def load(self, request: LoadRequest) -> TorchRunner:
        """The module of the request, on its device.

        Raises:
            UsageError: there is no live module, an unknown option, or a device that is not there.
        """
        refuse_unknown(self.name, request.options, () if self.preset else _OPTIONS)
        module, structure = live_module(self.name, request)
        autocast = autocast_of({**request.options, **self.preset})
        return TorchRunner(module, structure, device=request.device, threads=request.threads, autocast=autocast)


def autocast_of(options: Mapping[str, Any]) -> str | None:
    """The option ``autocast``. Raises UsageError for a type that torch does not autocast to."""
    autocast = options.get("autocast")
    return None if autocast is None else chosen("autocast", autocast, AUTOCAST_DTYPES)


def live_module(runtime: str, request: LoadRequest) -> tuple[torch.nn.Module, CallStructure]:
    """The module of a request and how it is called.

    Raises:
        UsageError: there is no module, or the device is not there.
        ModelError: its samples do not tell how it is called.
    """
    if request.module is None:
        raise UsageError(
            f"the runtime {runtime} executes a live PyTorch model; this input has none",
            remedy="turnkey ... benchmark --runtime onnxruntime",
        )
    if request.structure is None:
        raise ModelError("nothing tells how the model is called: its samples have no call structure")
    require_device(request.device)
    # A module that the script compiled itself is measured as what it was before: compiling is another runtime.
    return getattr(request.module, "_orig_mod", request.module), request.structure


def moved(value: Any, device: str) -> Any:
    """The tensors of nested arguments or results on a device."""
    from torch.utils import _pytree as pytree  # the walk that torch.compile and torch.export use themselves

    return pytree.tree_map(lambda leaf: leaf.to(device) if hasattr(leaf, "to") else leaf, value)


RUNTIME: Runtime = TorchEager(name="torch", aliases=("torch-eager",))
BF16: Runtime = TorchEager(name="torch-bf16", preset={"autocast": "bf16"})
FP16: Runtime = TorchEager(name="torch-fp16", preset={"autocast": "fp16"})
