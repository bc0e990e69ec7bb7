"""One kernel of a tarball alone: called again and again from C on memory of its own, so that it can be timed.

`KernelLoop` has the methods of ``turnkey.measure.target.Target``; a fresh process makes one by `load_kernel`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.graph_executor import KernelCall
from turnkey.mlf.helper_library import helper_library
from turnkey.mlf.library import Module, load
from turnkey.mlf.toolchain import find_compiler

if TYPE_CHECKING:
    import numpy as np

_REPEAT = """\
#include <stddef.h>
#include <stdint.h>
typedef int32_t (*packed_t)(void *, int *, int, void *, int *, void *);
int32_t turnkey_repeat(packed_t kernel, void *values, int *codes, int count, int64_t repeats);
int32_t turnkey_repeat(packed_t kernel, void *values, int *codes, int count, int64_t repeats) {
  int32_t status = 0;
  while (status == 0 && repeats-- > 0) status = kernel(values, codes, count, NULL, NULL, NULL);
  return status;
}
"""
"""A call through Python takes as long as a small kernel: the loop over calls has to be in C."""


_LOOP_NS = 200_000
_MACS_PER_NS = 20


def repeats_for(macs: int) -> int:
    """How many calls of a kernel take about a fifth of a millisecond, so that reading the clock costs nothing."""
    return max(1, _LOOP_NS * _MACS_PER_NS // max(macs, 10_000))


class KernelLoop:
    """One packed kernel on arguments of its own: seeded normal numbers, small integers.

    Args:
        function: its name, as the graph and the metadata say it.
        repeats: calls of the kernel in one `run`.

    Raises:
        MlfArtifactError: the tarball has no graph, or no kernel of that name in it.
    """

    def __init__(self, module: Module, function: str, *, repeats: int) -> None:
        self._module = module
        self._function = function
        self._repeats = repeats

    def load(self) -> None:
        """Build the module (or take an equal earlier build) and lay out the kernel's memory."""
        import numpy as np

        graph = self._module.graph
        node = next((node for node in graph.nodes if node.function == self._function), None) if graph else None
        if graph is None or node is None:
            raise failure(
                "mlf-missing-part",
                "the graph of the tarball does not call this kernel",
                evidence=self._function,
                remedy="export with --executor both",
            )
        generator = np.random.default_rng(0)
        index = graph.nodes.index(node)
        first = graph.first_entry[index]
        inputs = [graph.entries[graph.first_entry[source] + output] for source, output in node.inputs]
        made = [_values(entry.shape, entry.dtype, generator) for entry in inputs]
        made += [_zeros(entry.shape, entry.dtype) for entry in graph.entries[first : first + node.outputs]]
        self._runner = self._module.build()
        self._call = KernelCall(self._runner.library, node, made)
        self._repeat = _repeating()

    def compile(self) -> bool:
        """Loading compiles: False."""
        return False

    def samples(self) -> list[dict[str, np.ndarray]]:
        """One sample without arrays: the arguments stay where they are."""
        return [{}]

    def check(self, index: int, outputs: Mapping[str, np.ndarray]) -> str | None:
        """Always None: what a kernel computes is checked with its network."""
        return None

    def prepare(self, sample: Mapping[str, np.ndarray]) -> int:
        return self._repeats

    def run(self, prepared: int) -> int:
        """The timed call: so many calls of the kernel.

        Raises:
            MlfUsageError: the kernel returned an error.
        """
        call = self._call
        return int(self._repeat(call.function, call.values, call.codes, call.count, prepared))

    def outputs(self, result: int) -> dict[str, np.ndarray]:
        """No arrays; what the kernel returned is judged here, outside of the timed call."""
        if result != 0:
            raise failure("mlf-bad-sample", f"the kernel {self._function} returned an error", evidence=str(result))
        return {}

    def describe(self) -> Mapping[str, Any]:
        return {"kernel": self._function, "repeats": self._repeats}

    def close(self) -> None:
        """Nothing to give back: the library stays loaded until the process ends."""


def load_kernel(*, threads: int, tarball: str, module: str, function: str, repeats: int) -> KernelLoop:
    """A kernel in a fresh process; the factory that ``measure`` is told. Its code runs on one thread."""
    return KernelLoop(load(tarball).module(module), function, repeats=repeats)


def _values(shape: tuple[int, ...], dtype: str, generator: np.random.Generator) -> np.ndarray:
    """Aligned as the entry point aligns its constants and buffers; numbers that neither overflow nor vanish."""
    array = _zeros(shape, dtype)
    if array.dtype.kind in "iu":
        array[...] = generator.integers(0, 2, shape)
    elif array.dtype.kind == "f":
        array[...] = generator.standard_normal(shape)
    return array


def _zeros(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    import numpy as np

    kind = dtypes.of_name(dtype)
    size = dtypes.size_bytes(kind, shape)
    block = np.zeros(size + 64, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size].view(kind.numpy()).reshape(shape)


@cache
def _repeating() -> Any:
    """The C function that calls a kernel again and again, compiled once for this compiler."""
    function = helper_library("repeat", _REPEAT, find_compiler(), flags=("-O2",)).turnkey_repeat
    function.restype = ctypes.c_int32
    function.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
    return function
