"""Running a built module: named arrays in, named arrays out, through its C entry point."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes, naming
from turnkey.mlf.aligned import GuardedBlock
from turnkey.mlf.building import Build
from turnkey.mlf.failures import failure
from turnkey.mlf.library import Module
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np

_ALLOCATOR_BYTES = 1 << 20
"""For what the allocator pair keeps beside each piece, and for pieces that a foreign tarball does not state."""


class Call:
    """One call's memory: inputs, outputs, workspace, each between guard zones, and the structs that point there."""

    def __init__(self, module: Module, pool: GuardedBlock | None, *, fill: int) -> None:
        abi = module.abi
        self.inputs = [GuardedBlock(tensor.bytes) for tensor in module.inputs]
        self.outputs = [GuardedBlock(tensor.bytes, fill=fill) for tensor in module.outputs]
        size = int(abi.get("workspace_bytes", 0))
        align = int(abi.get("workspace_alignment", 16))
        external = abi.get("workspace", "external") != "internal"
        self.workspace = GuardedBlock(size if external else 0, align=max(64, align), fill=fill)
        members = [self.workspace.address] if external else []
        members += [pool.address] if pool is not None else []
        self._structs = [
            _pointers([block.address for block in self.inputs]),
            _pointers([block.address for block in self.outputs]),
            _pointers(members),
        ]
        if abi.get("workspace") == "io":
            self.arguments = [ctypes.byref(self._structs[2])]
        else:
            self.arguments = [ctypes.byref(struct) for struct in self._structs[: 3 if members else 2]]

    def blocks(self, module: Module) -> list[tuple[str, GuardedBlock]]:
        """Every block with what users call it."""
        named = [(f"input {t.name!r}", block) for t, block in zip(module.inputs, self.inputs, strict=True)]
        named += [(f"output {t.name!r}", block) for t, block in zip(module.outputs, self.outputs, strict=True)]
        return [*named, ("the workspace", self.workspace)]


def _loaded(build: Build) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(build.library))
    except OSError as error:
        raise failure(
            "mlf-bad-option",
            f"what {build.compiler.name} {build.compiler.version} makes for {build.compiler.target} cannot run here",
            evidence=str(error),
            remedy="--cc with a compiler for this machine   # the tarball itself builds with any",
        ) from error


def _pointers(addresses: list[int]) -> Any:
    return (ctypes.c_void_p * max(1, len(addresses)))(*addresses)


class ModuleRunner:
    """A loaded module. Calls from several threads are fine, each with a `Call` of its own.

    Raises:
        MlfArtifactError: the library has no entry point of that name.
        MlfUsageError: the compiler makes code for another machine.
    """

    def __init__(self, module: Module, build: Build) -> None:
        self.module = module
        self.build = build
        self._library = _loaded(build)
        name = f"tvmgen_{module.name}_run"
        if not hasattr(self._library, name):
            raise failure(
                "mlf-missing-part",
                f"the module {module.name!r} has no ahead-of-time entry point",
                evidence=f"{name} is not in the compiled library",
                remedy="export with --executor aot or both",
            )
        self._entry = getattr(self._library, name)
        self._entry.restype = ctypes.c_int32
        self._pool = self._constants()
        self._shared = self._shared_workspace()

    @property
    def serves_one_thread(self) -> bool:
        """Whether its code takes memory from one block of the whole program: not re-entrant."""
        return self._shared is not None and not self.module.abi

    def _shared_workspace(self) -> GuardedBlock | None:
        """The block that the allocator pair serves from; None where the code does without it."""
        if not hasattr(self._library, "turnkey_mlf_set_workspace"):
            return None
        entries = [*self.module.metadata.main, *self.module.metadata.operator_functions]
        needed = sum(_workspace_bytes(entry) for entry in entries)
        block = GuardedBlock(2 * needed + _ALLOCATOR_BYTES)
        give = self._library.turnkey_mlf_set_workspace
        give.restype, give.argtypes = None, (ctypes.c_void_p, ctypes.c_size_t)
        give(block.address, block.bytes.size)
        return block

    def _constants(self) -> GuardedBlock | None:
        if self.module.abi.get("constants") != "pool":
            return None
        import numpy as np

        content = self.module.library.archive.content(naming.constants_file(self.module.name))
        block = GuardedBlock(len(content))
        block.bytes[:] = np.frombuffer(content, np.uint8)
        return block

    @property
    def library(self) -> ctypes.CDLL:
        """The loaded shared library, for its packed functions."""
        return self._library

    @property
    def address(self) -> int:
        """Of the entry point in memory."""
        return int(ctypes.cast(self._entry, ctypes.c_void_p).value or 0)

    def prepare(self, sample: Mapping[str, np.ndarray], *, fill: int = 0) -> Call:
        """Memory for one call, inputs written; outputs and workspace filled with that byte.

        Raises:
            MlfUsageError: a name, dtype or shape that the module does not have.
        """
        call = Call(self.module, self._pool, fill=fill)
        arrays = [checked(tensor, sample) for tensor in self.module.inputs]
        unknown = sorted(set(sample) - {tensor.name for tensor in self.module.inputs})
        if unknown:
            raise failure(
                "mlf-bad-sample",
                f"the module has no input {unknown[0]!r}",
                evidence=f"its inputs: {', '.join(tensor.name for tensor in self.module.inputs)}",
            )
        for block, array in zip(call.inputs, arrays, strict=True):
            block.bytes[:] = _raw(array)
        if self.module.abi.get("workspace") == "io":
            for tensor, block in zip(self.module.inputs, call.inputs, strict=True):
                start = self._place(tensor)
                call.workspace.bytes[start : start + tensor.bytes] = block.bytes
        return call

    def call(self, prepared: Call) -> None:
        """The C call alone: what is timed.

        Raises:
            ConversionError's rung: the program returned an error.
        """
        if self._entry(*prepared.arguments) != 0:
            raise failure(
                "mlf-bad-sample",
                f"tvmgen_{self.module.name}_run returned an error",
                evidence="a pointer is NULL, or the workspace is not aligned",
            )

    def outputs(self, prepared: Call) -> dict[str, np.ndarray]:
        """Fresh arrays by name."""
        results = {}
        for tensor, block in zip(self.module.outputs, prepared.outputs, strict=True):
            content = block.bytes
            if self.module.abi.get("workspace") == "io":
                start = self._place(tensor)
                content = prepared.workspace.bytes[start : start + tensor.bytes]
            results[tensor.name] = content.copy().view(dtypes.of_name(tensor.dtype).numpy()).reshape(tensor.shape)
        return results

    def run(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs of one sample."""
        prepared = self.prepare(sample)
        self.call(prepared)
        return self.outputs(prepared)

    def _place(self, tensor: Tensor) -> int:
        """Where a tensor lies in the workspace."""
        abi = self.module.abi
        place, size = abi.get("places", {}).get(tensor.name), int(abi.get("workspace_bytes", 0))
        if place is None or place + tensor.bytes > size:
            raise failure(
                "mlf-bad-metadata",
                f"the metadata does not place {tensor.name!r} in the workspace",
                evidence=f"turnkey.abi.places: {place} of {size} bytes, the tensor has {tensor.bytes}",
                remedy="export the model again, or fetch the tarball again",
            )
        return int(place)


def _workspace_bytes(entry: Mapping[str, Any]) -> int:
    """What one entry of ``memory.functions`` states, in either of its forms."""
    return sum(int(part.get("workspace_size_bytes", 0)) for part in entry.get("workspace", [entry]))


def checked(tensor: Tensor, sample: Mapping[str, np.ndarray]) -> np.ndarray:
    """A sample's array for one input, contiguous.

    Raises:
        MlfUsageError: it is missing, or of another dtype or shape.
    """
    import numpy as np

    if tensor.name not in sample:
        raise failure(
            "mlf-bad-sample", f"the sample lacks the input {tensor.name!r}", evidence=f"it has {sorted(sample)}"
        )
    array = np.asarray(sample[tensor.name])
    if array.dtype.name != tensor.dtype or array.shape != tensor.shape:
        raise failure(
            "mlf-bad-sample",
            f"the input {tensor.name!r} is not what the module was compiled for",
            evidence=f"{array.dtype.name}{list(array.shape)} given, {tensor.dtype}{list(tensor.shape)} needed",
        )
    return np.ascontiguousarray(array).reshape(array.shape)


def _raw(array: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.frombuffer(array.tobytes(), np.uint8)
