"""A Pad in front of a window: zeros around the image, which the kernel behind adds by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.node import attribute

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class PadInFront:
    """A Pad of zeros whose result one node reads.

    Attributes:
        node: the Pad; source: what is padded.
        pads: places added behind the channels, starts then ends.
        user: the node that reads it.
    """

    node: onnx.NodeProto
    source: str
    pads: tuple[int, ...]
    user: onnx.NodeProto


def pad_in_front(node: onnx.NodeProto, graph: NodeGraph) -> PadInFront | None:
    """The node as a Pad that a window can take over; None for anything else."""
    if node.op_type != "Pad" or attribute(node, "mode", b"constant") != b"constant" or len(node.input) > 3:
        return None
    user = graph.sole_user(node.output[0])
    if user is None or user.input[0] != node.output[0]:
        return None
    pads, value = attribute(node, "pads"), attribute(node, "value", 0.0)
    if pads is None:
        if len(node.input) < 2 or node.input[1] not in graph.constants:
            return None
        pads = graph.constants[node.input[1]].tolist()
    if len(node.input) > 2 and node.input[2]:
        if node.input[2] not in graph.constants:
            return None
        value = float(graph.constants[node.input[2]].item())
    rank = len(pads) // 2
    outer = (*pads[:2], *pads[rank : rank + 2])
    if value != 0 or any(outer) or min(pads) < 0:
        return None
    return PadInFront(node=node, source=node.input[0], pads=(*pads[2:rank], *pads[rank + 2 :]), user=user)
