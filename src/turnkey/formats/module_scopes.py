"""Which submodule of the model a node of an exported ONNX file came from.

Exporters leave it in the file: the torch.export-based one as metadata of each node, the TorchScript one in the node's
name. Optimisers drop both and keep the names of values, so that the exported file tells, for every file made from
it, which values belong to which submodule.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

WRAPPER = "module."
"""The exported module is wrapped (`turnkey.formats.torch_call.PositionalCall`): its submodules carry this prefix."""
_SCOPES = "pkg.torch.onnx.name_scopes"


def values_by_submodule(model: onnx.ModelProto, known: Iterable[str]) -> dict[str, list[str]]:
    """Values of a graph by the submodule that made them, and by all submodules around it, in graph order."""
    known = set(known) - {""}
    values: dict[str, list[str]] = {}
    for node in model.graph.node:
        for scope in _scopes_of(node):
            name = scope if scope in known else scope.removeprefix(WRAPPER)
            if name in known:
                values.setdefault(name, []).extend(value for value in node.output if value)
    return values


def innermost_module(node: onnx.NodeProto) -> str:
    """Path of the submodule that made a node; empty where the file does not tell."""
    scopes = [scope for scope in _scopes_of(node) if scope not in ("", WRAPPER.rstrip("."))]
    return scopes[-1].removeprefix(WRAPPER) if scopes else ""


def _scopes_of(node: onnx.NodeProto) -> list[str]:
    """Paths of the submodules around a node, outermost first."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError):
                return []
            return [str(scope) for scope in scopes[:-1]] if isinstance(scopes, list) else []
    paths: list[str] = []
    before = ""
    for part in node.name.split("/")[1:-1]:  # "/module/blocks.0/fc/Add"
        around = paths[-1] if paths else ""
        if before and part.startswith(f"{before}."):  # "/module/blocks/blocks.0": children of a Sequential
            around = around.removesuffix(before).rstrip(".")
        paths.append(f"{around}.{part}" if around else part)
        before = part
    return paths
