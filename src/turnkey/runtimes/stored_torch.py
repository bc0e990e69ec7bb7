"""What the runtimes of stored torch variants share: tensors in by name, arrays out by name, threads given back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import UsageError
from turnkey.model.samples import Sample
from turnkey.runtimes.inputs import require_inputs
from turnkey.runtimes.runtime import LoadRequest
from turnkey.runtimes.torch_facts import require_device, torch_facts

if TYPE_CHECKING:
    from turnkey.formats.stored_call import StoredCall


class StoredTorchRunner:
    """One loaded file that takes tensors.

    Args:
        call: what is called with the arguments; runs in inference mode.
        stored: how it is called.
        threads: of torch, given back by `close`.
        device: where inputs are copied to and outputs from, inside of the call.
        facts: for `describe`, over the general ones.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        stored: StoredCall,
        *,
        threads: int,
        device: str = "cpu",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        import torch

        self._call = call
        self._stored = stored
        self._names = tuple(spec.name for spec in stored.signature.inputs)
        self._output_names = tuple(spec.name for spec in stored.signature.outputs)
        self._device = device
        self._facts = dict(facts or {})
        self._undo = ExitStack()
        self._undo.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        self._inference_mode = torch.inference_mode

    def prepare(self, sample: Sample) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """``(args, kwargs)`` of the call, as tensors in host memory.

        Raises:
            InputError: an input of the variant is not in the sample.
        """
        from turnkey.model.torch_bridge import tensors_of

        require_inputs(self._names, sample, taker="the variant")
        tensors = tensors_of({name: sample[name] for name in self._names})
        if self._stored.structure is None:
            return tuple(tensors[name] for name in self._names), {}
        return self._stored.structure.bind(tensors)

    def run(self, prepared: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        """One call in inference mode; on another device with the copies there and back."""
        args, kwargs = prepared
        with self._inference_mode():
            if self._device == "cpu":
                return self._call(*args, **kwargs)
            from turnkey.runtimes.torch_eager import moved

            args, kwargs = moved((args, kwargs), self._device)
            return moved(self._call(*args, **kwargs), "cpu")

    def outputs(self, result: Any) -> Sample:
        """Arrays under the names of the source model's outputs, in their order."""
        from turnkey.model.torch_bridge import array_of, arrays_of_result

        if self._stored.structure is not None:
            return arrays_of_result(result)
        flat = result if isinstance(result, (tuple, list)) else (result,)
        return {name: array_of(tensor) for name, tensor in zip(self._output_names, flat, strict=True)}

    def describe(self) -> Mapping[str, Any]:
        """Version, device and threads."""
        return {**torch_facts(self._device), **self._facts}

    def close(self) -> None:
        """Give the threads back and let go of the file."""
        self._undo.close()
        del self._call


def stored_file(runtime: str, request: LoadRequest, *, made_by: str) -> Path:
    """The file of a request.

    Raises:
        UsageError: there is none, or torch does not have the device.
    """
    if request.path is None:
        raise UsageError(
            f"the runtime {runtime} executes files; there is none",
            remedy=f"turnkey -i SCRIPT.py discover convert --to {made_by} verify benchmark --runtime {runtime}",
        )
    require_device(request.device)
    return request.path
