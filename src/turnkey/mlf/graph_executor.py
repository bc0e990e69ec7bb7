"""The graph executor on the host: packed kernels node by node, every intermediate kept.

It runs what any graph executor would run: the functions that the graph names, over the parameters of the ``.params``
file. Its outputs equal the ahead-of-time entry's bit for bit, and a wrong kernel can be told by its first wrong node.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.graph_json import VIEW, Graph, Node
from turnkey.mlf.library import Module
from turnkey.mlf.runner import ModuleRunner, checked
from turnkey.mlf.tensor import CHANNEL_LAST, Tensor

if TYPE_CHECKING:
    import numpy as np

_TENSOR_HANDLE = 7


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class GraphExecutor:
    """Runs a module's graph.

    Raises:
        MlfArtifactError: the tarball has no graph, or the library lacks a function that the graph names.
    """

    def __init__(self, module: Module, runner: ModuleRunner) -> None:
        graph = module.graph
        if graph is None:
            raise failure(
                "mlf-missing-part",
                f"the module {module.name!r} has no graph",
                evidence="no executor-config/graph in the tarball",
                remedy="export with --executor graph or both",
            )
        self._graph: Graph = graph
        self._module = module
        self._library = runner.library
        for node in graph.nodes:
            if node.function not in (None, VIEW) and not hasattr(self._library, str(node.function)):
                raise failure(
                    "mlf-missing-part", "the graph names a function that the sources lack", evidence=str(node.function)
                )

    def run(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All tensors of the graph by name, in their order: those of the model, where the graph says them.

        Channel-last tensors are turned into ONNX's layout.

        In graphs of others they are arguments and nodes; a further output of a node is ``name:index``.

        Raises:
            MlfUsageError: the sample does not fit.
        """
        import numpy as np

        graph = self._graph
        parameters = self._module.parameters()
        inputs = {tensor.name: tensor for tensor in self._module.inputs}
        told = self._module.metadata.turnkey.get("tensors", {})  # nothing, in tarballs of others
        layouts = {name: fields.get("layout") for name, fields in told.items()}
        values: list[np.ndarray] = []
        named: dict[str, np.ndarray] = {}
        for index, node in enumerate(graph.nodes):
            first = graph.first_entry[index]
            entries = graph.entries[first : first + node.outputs]
            if node.function is None:
                entry = entries[0]
                given = sample if node.name in inputs else parameters
                tensor = Tensor(name=node.name, dtype=entry.dtype, shape=entry.shape)
                made = [checked(tensor, given)]
            elif node.function == VIEW:
                source, output = node.inputs[0]
                made = [values[graph.first_entry[source] + output].reshape(entries[0].shape)]
            else:
                made = [np.zeros(entry.shape, dtypes.of_name(entry.dtype).numpy()) for entry in entries]
                self._call(node, [values[graph.first_entry[s] + o] for s, o in node.inputs], made)
            values += made
            for output, array in enumerate(made):
                label = _label(node, output)
                named[label] = np.moveaxis(array, -1, 1) if layouts.get(label) == CHANNEL_LAST else array
        return named

    def origins(self) -> dict[str, str]:
        """By tensor, as `run` names them, the model's nodes that compute it: ``op(name)``."""
        return {_label(node, output): node.origin for node in self._graph.nodes for output in range(node.outputs)}

    def outputs(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's heads under the names of the module's outputs."""
        named = self.run(sample)
        found = {}
        for tensor, head in zip(self._module.outputs, self._graph.heads, strict=True):
            entry = self._graph.entries[head]
            index = head - self._graph.first_entry[entry.node]
            found[tensor.name] = named[_label(self._graph.nodes[entry.node], index)]
        return found

    def _call(self, node: Node, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> None:
        call = KernelCall(self._library, node, [*inputs, *outputs])
        if call.function(call.values, call.codes, call.count, None, None, None) != 0:
            raise failure("mlf-bad-sample", f"the kernel {node.function} returned an error", evidence=node.name)


class KernelCall:
    """One packed function with the structures that its arguments stand in.

    Args:
        arrays: inputs, then outputs; kept as long as this.
    """

    def __init__(self, library: ctypes.CDLL, node: Node, arrays: list[np.ndarray]) -> None:
        self._kept = (arrays, [_tensor_of(array) for array in arrays])
        self.count = len(arrays)
        self.values = (ctypes.c_uint64 * self.count)(*(ctypes.addressof(tensor) for tensor in self._kept[1]))
        self.codes = (ctypes.c_int * self.count)(*([_TENSOR_HANDLE] * self.count))
        self.function = getattr(library, str(node.function))
        self.function.restype = ctypes.c_int32


def _label(node: Node, output: int) -> str:
    if node.tensors:
        return node.tensors[output]
    return node.name if output == 0 else f"{node.name}:{output}"


def _tensor_of(array: np.ndarray) -> Any:
    kind = dtypes.of_name(array.dtype.name)
    shape = (ctypes.c_int64 * max(1, array.ndim))(*array.shape)
    tensor = _Tensor(array.ctypes.data, _Device(1, 0), array.ndim, _DataType(kind.code, kind.bits, 1), shape, None, 0)
    tensor.keep = shape  # the structure holds only its address
    return tensor
