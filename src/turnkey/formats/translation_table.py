"""torch's table of translations to ONNX, built once per process instead of once per export.

Building it reads the source of five hundred functions and derives their signatures, with the same result every time:
half of what the export of a small network costs. `kept_table` stands around our own exports only, and each of them
gets a table of its own, since an export may add translations.

Trade-offs: it takes the place of a private function of torch meanwhile; where torch has none of that name, nothing is
kept. Translations that somebody has registered with onnxscript since then make the table anew.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class _Kept(NamedTuple):
    table: Any
    registered: int


_kept: dict[int | None, _Kept] = {}
"""By opset; None is torch's own default."""


@contextmanager
def kept_table() -> Iterator[None]:
    """While this lasts, torch takes its table from memory where it was built for the same opset before."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        original = vars(ONNXRegistry)["from_torchlib"]
    except (ImportError, KeyError):  # another version of torch
        yield
        return

    def from_torchlib(cls: type[Any], opset_version: int | None = None) -> Any:
        kept = _kept.get(opset_version)
        if kept is None or kept.registered != _registered():
            arguments = {} if opset_version is None else {"opset_version": opset_version}
            built = original.__get__(None, cls)(**arguments)
            kept = _kept[opset_version] = _Kept(built, _registered())
        table = copy.copy(kept.table)
        table.functions = {target: list(found) for target, found in kept.table.functions.items()}
        return table

    ONNXRegistry.from_torchlib = classmethod(from_torchlib)
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = original


def _registered() -> int:
    """How many translations onnxscript has, which is where anybody adds more."""
    from onnxscript.function_libs.torch_lib.registration import default_registry

    return sum(len(function.overloads) + len(function.complex) for function in default_registry.values())
