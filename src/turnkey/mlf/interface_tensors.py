"""A module's inputs and outputs in the order of its structs, from what its tarball says.

Ours says it in ``turnkey.abi``. In tarballs of others the metadata is sorted by name, so that the order comes from the
header's structs, and shapes from the graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes, naming
from turnkey.mlf.archive import TOTAL_LIMIT_BYTES
from turnkey.mlf.failures import MlfError, failure
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    from turnkey.mlf.library import Module


def interface_tensors(module: Module, side: str) -> tuple[Tensor, ...]:
    """The tensors of ``inputs`` or ``outputs``.

    Raises:
        MlfArtifactError: the metadata states them, and not as the format says.
    """
    table, names = module.metadata.turnkey.get("tensors"), module.abi.get(side)
    if isinstance(table, dict) and names is not None:
        if not isinstance(names, list):
            raise _wrong(f"turnkey.abi.{side}", "a list", names)
        return _within_limit(_recorded(str(name), table.get(str(name))) for name in names)
    main: Mapping[str, Any] = module.metadata.main[0] if module.metadata.main else {}
    stated = main.get(side, {})
    if not isinstance(stated, dict):
        raise _wrong(f"memory.functions.main.{side}", "an object", stated)
    if not stated:
        return ()
    order = _header_order(module, side)
    members = {name: naming.c_name(name) for name in stated}
    ranked = sorted(stated, key=lambda name: order.index(members[name]) if members[name] in order else len(order))
    shapes = _shapes(module)
    return _within_limit(_stated(name, stated[name], shapes.get(name), side) for name in ranked)


def _within_limit(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """The tensors, unless a call would have to take more memory for them than any tarball may hold."""
    found = tuple(tensors)
    total = sum(tensor.bytes for tensor in found)
    if total > TOTAL_LIMIT_BYTES:
        raise failure(
            "mlf-too-large",
            "the inputs or outputs of the module are too large",
            evidence=f"{', '.join(repr(tensor.name) for tensor in found)}: {total} bytes, at most {TOTAL_LIMIT_BYTES}",
            remedy="export the model again for smaller inputs, or fetch the tarball again",
        )
    return found


def _recorded(name: str, fields: object) -> Tensor:
    try:
        assert isinstance(fields, dict)
        shape = tuple(int(extent) for extent in fields["shape"])
        if any(extent < 0 or extent >= 1 << 48 for extent in shape):
            raise ValueError("an extent is out of range")
        return Tensor(name=name, dtype=dtypes.of_name(fields["dtype"]).name, shape=shape)
    except (AssertionError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"turnkey.tensors.{name}", "shape and dtype", fields) from error


def _stated(name: str, fields: object, shape: tuple[int, ...] | None, side: str) -> Tensor:
    """A tensor of which the metadata gives size and type; without a graph it is a vector."""
    try:
        assert isinstance(fields, dict)
        kind = dtypes.of_name(str(fields.get("dtype", "uint8")))
        size = int(fields.get("size", 0))
        if size < 0:
            raise ValueError("a size is negative")
    except (AssertionError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise _wrong(f"memory.functions.main.{side}.{name}", "size and dtype", fields) from error
    return Tensor(name=name, dtype=kind.name, shape=shape if shape is not None else (size // kind.bytes,))


def _shapes(module: Module) -> dict[str, tuple[int, ...]]:
    graph = module.graph
    if graph is None:
        return {}
    return {node.name: graph.entries[graph.first_entry[index]].shape for index, node in enumerate(graph.nodes)}


def _header_order(module: Module, side: str) -> list[str]:
    """Members of the header's struct."""
    path = f"codegen/host/include/tvmgen_{module.name}.h"
    if path not in module.library.archive.files:
        return []
    text = module.library.archive.text(path)
    match = re.search(rf"struct tvmgen_{re.escape(module.name)}_{side} \{{(.*?)\}};", text, re.S)
    return re.findall(r"void\* (\w+);", match[1]) if match else []


def _wrong(part: str, expected: str, found: object) -> MlfError:
    return failure(
        "mlf-bad-metadata",
        "metadata.json is not what the format says",
        evidence=f"{repr(part)[1:-1]}: expected {expected}, found {found!r:.80}",
        remedy="export the model again, or fetch the tarball again",
    )
