"""A graph through the generator as a whole, where its inner shapes or bodies are known to the generator only."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from turnkey.mlf.lowering import emx
from turnkey.mlf.lowering.emx_text import take_apart
from turnkey.mlf.lowering.generated import INPUT, OUTPUT, rename, steps_of
from turnkey.mlf.prepare import Prepared
from turnkey.mlf.program import Step
from turnkey.mlf.tensor import Tensor
from turnkey.mlf.weights import SMALL_BYTES, with_constants


def region_steps(prepared: Prepared) -> tuple[Prepared, list[Step]]:
    """The whole graph through the generator at once; its temporaries become tensors that our planner places."""
    import onnx

    whole = with_constants(prepared.model, prepared.constants, limit=SMALL_BYTES)
    embedded = {tensor.name for tensor in whole.graph.initializer}
    names: dict[str, str] = {}
    for index, value in enumerate(whole.graph.input):
        names[value.name] = f"{INPUT}{index}"
    for index, value in enumerate(whole.graph.output):
        if value.name in names or value.name in embedded:
            raise emx.Refused(f"the output {value.name!r} is an input or a constant")
        names[value.name] = f"{OUTPUT}{index}"
    for index, name in enumerate(sorted(embedded)):
        names[name] = f"turnkey_w{index}"
    for index, name in enumerate(dict.fromkeys(o for node in whole.graph.node for o in node.output if o)):
        names.setdefault(name, f"turnkey_t{index}")
    renamed = onnx.ModelProto()
    renamed.CopyFrom(whole)
    for node in renamed.graph.node:
        node.name = node.doc_string = ""
        rename(node, names)
    for group in (renamed.graph.input, renamed.graph.output, renamed.graph.initializer, renamed.graph.value_info):
        for value in group:
            value.name = names.get(value.name, value.name)
    generated = take_apart(emx.generate(renamed))
    known = dict(prepared.tensors)
    back = {ours: name for name, ours in names.items()}
    for name, temporary in generated.temporaries.items():
        known[name] = Tensor(name=name, dtype=temporary.dtype, shape=temporary.shape)
        back[name] = name
    steps = steps_of(generated, back, known, None)
    digest = hashlib.sha256(whole.SerializeToString(deterministic=True)).hexdigest()[:8]
    note = f"lowered as one region ({digest}): node by node was not possible"
    return replace(prepared, tensors=known, notes=(*prepared.notes, note)), steps
