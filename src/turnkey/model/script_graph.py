"""The graph of a scripted or traced module as canonical data: node kinds, constants, wiring and shapes."""

from __future__ import annotations

from typing import Any

import torch


def is_scripted(module: Any) -> bool:
    """Whether a module is scripted or traced as a whole: its calls are seen from outside only."""
    return isinstance(module, torch.jit.ScriptModule)


def describe_graph(module: torch.jit.ScriptModule) -> list[Any]:
    """Nodes of the inlined graph of ``forward``: kind, constants, inputs by position, blocks, weights' shapes.

    Names of values and of attributes do not count; a weight counts with shape and dtype.
    """
    graph = module.inlined_graph
    inputs = list(graph.inputs())
    references: dict[str, Any] = {value.debugName(): ["input", index] for index, value in enumerate(inputs)}
    owners: dict[str, Any] = {inputs[0].debugName(): module} if inputs else {}
    nodes = _nodes(graph, references, owners, counter=[0])
    return [nodes, [references.get(value.debugName()) for value in graph.outputs()]]


def _nodes(block: Any, references: dict[str, Any], owners: dict[str, Any], counter: list[int]) -> list[Any]:
    described = []
    for node in block.nodes():
        outputs = list(node.outputs())
        kind = node.kind()
        if kind == "prim::GetAttr":
            value = _attribute(owners.get(next(node.inputs()).debugName()), node.s("name"))
            name = outputs[0].debugName()
            if isinstance(value, torch.Tensor):
                references[name] = ["weight", list(value.shape), str(value.dtype)]
            elif isinstance(value, (bool, int, float, str, list, tuple)) or value is None:
                references[name] = ["attribute", repr(value)]
            else:
                owners[name] = value
                references[name] = ["module"]
            continue
        index = counter[0]
        counter[0] += 1
        inputs = [references.get(value.debugName(), ["unknown"]) for value in node.inputs()]
        for position, value in enumerate(outputs):
            references[value.debugName()] = ["node", index, position]
        blocks: list[Any] = []
        for inner in node.blocks():
            for position, value in enumerate(inner.inputs()):
                references[value.debugName()] = ["block", index, len(blocks), position]
            body = _nodes(inner, references, owners, counter)
            blocks.append([body, [references.get(value.debugName()) for value in inner.outputs()]])
        described.append([kind, _constants(node), inputs, len(outputs), blocks])
    return described


def _attribute(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except (AttributeError, RuntimeError):  # RuntimeError: an attribute that Python cannot represent
        return None


def _constants(node: Any) -> list[Any]:
    described = []
    for name in sorted(node.attributeNames()):
        kind = node.kindOf(name)
        value = getattr(node, kind)(name) if hasattr(node, kind) else None
        if isinstance(value, torch.Tensor):
            described.append([name, list(value.shape), str(value.dtype)])
        else:
            described.append([name, repr(value)])
    return described
