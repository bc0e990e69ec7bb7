"""One model on its way into a tarball: prepared, lowered, laid out, emitted. No compiler is called here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes, metadata, naming
from turnkey.mlf.codegen import Sources, emit
from turnkey.mlf.earlier_plan import earlier_plan
from turnkey.mlf.failures import failure
from turnkey.mlf.graph_json import Graph, make_graph
from turnkey.mlf.kernels.claim import Template
from turnkey.mlf.layout import Layout, lay_out
from turnkey.mlf.lowering import Program, lower
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.order import least_peak_order
from turnkey.mlf.params import save_params
from turnkey.mlf.prepare import Prepared, fix_dimensions, prepare, refuse_non_tensors
from turnkey.mlf.source_model import EXTERNAL_BYTES, onnx_bytes, onnx_text
from turnkey.mlf.stages import Stages, lowered_text, planned_text, prepared_text

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleParts:
    """Everything of one module that does not depend on a compiler.

    Attributes:
        name: ``<m>``; ``model_name`` as the user gave it.
        model: the user's model, dimensions fixed: what a reference evaluates.
        files: content by path.
    """

    name: str
    model_name: str
    model: onnx.ModelProto
    prepared: Prepared
    program: Program
    layout: Layout
    sources: Sources
    graph: Graph | None
    vector_bytes: int
    order: str
    files: Mapping[str, bytes]

    def memory(self, style: str) -> dict[str, Any]:
        """``memory`` of the metadata."""
        inputs = [self.program.tensors[name] for name in self.program.inputs]
        outputs = [self.program.tensors[name] for name in self.program.outputs]
        if style == "operator":
            return metadata.operator_memory(next(iter(self.sources.names.values())), inputs, outputs)
        functions = {
            "main": metadata.memory_main(
                inputs,
                outputs,
                workspace=self.layout.plan.workspace,
                constants=self.sources.constants_bytes,
            ),
            "operator_functions": metadata.operator_functions(
                {name: kernel.scratch_bytes for kernel, name in self.sources.names.items()}
            ),
        }
        return {"functions": functions, **({"sids": self.graph.storages()} if self.graph else {})}


def make_parts(
    source: onnx.ModelProto, *, model_name: str, options: ExportOptions, stages: Stages | None = None
) -> ModuleParts:
    """Prepare, lower, lay out and emit one model, which stays as it was.

    Raises:
        UnsupportedInModelLibraryFormatError: it cannot become C, or not within the budgets.
        MlfUsageError: an option does not fit the model.
    """
    heard = stages or Stages()
    module = naming.module_name(model_name)
    refuse_non_tensors(source)
    model = fix_dimensions(_renamed(source, options.renames), options.dims)
    prepared = prepare(model, optimize=options.optimize)
    if options.style == "operator" and len(prepared.model.graph.node) != 1:
        raise failure(
            "mlf-multiple-operators",
            "operator style holds exactly one operator",
            evidence=f"the model has {len(prepared.model.graph.node)} nodes",
            remedy="export-mlf --style full-model",
        )
    heard.done("prepare", prepared_text(len(model.graph.node), prepared))
    program = lower(
        prepared,
        templates=_templates(options),
        vector_bytes=options.widest_vector_bytes,
        tiles=options.tiles.get(module),
    )
    heard.done("lower", lowered_text(prepared, program))
    program, layout = _laid_out(program, module, options)
    heard.done("plan", planned_text(layout.plan, len(layout.called)))
    sources = _emitted(module, program, layout, options)
    _check_budgets(program, layout, sources, options)
    graph = make_graph(program, sources.names) if "graph" in options.executors else None
    files = {**sources.files, **_model_files(module, model_name, prepared, program, graph, options)}
    return ModuleParts(
        name=module,
        model_name=model_name,
        model=model,
        prepared=prepared,
        program=program,
        layout=layout,
        sources=sources,
        graph=graph,
        vector_bytes=options.widest_vector_bytes,
        order=options.order,
        files=files,
    )


def _templates(options: ExportOptions) -> tuple[Template, ...]:
    """Operator style holds a function over the operator's own inputs: nothing packed, nothing fused."""
    from turnkey.mlf.kernels.templates import TEMPLATES

    return TEMPLATES if options.kernels == "templates" and options.style != "operator" else ()


def _laid_out(program: Program, module: str, options: ExportOptions) -> tuple[Program, Layout]:
    """The program with its layout; in another order of its steps where that is wanted and needs less."""
    earlier = earlier_plan(options.plan_from, module) if options.plan_from is not None else None
    align = _alignment(program, options.align)
    orders = [program]
    if options.order == "memory":
        reordered = least_peak_order(program)
        orders = [reordered] if earlier is not None or reordered is program else [program, reordered]
    made = [
        lay_out(
            order,
            align=align,
            algorithm=options.plan,
            budget=options.search_budget,
            earlier=earlier,
            io_in_pool=options.workspace == "io",
            share=options.share,
        )
        for order in orders
    ]
    best = min(range(len(made)), key=lambda index: made[index].plan.workspace)
    return orders[best], made[best]


def _alignment(program: Program, wanted: int) -> int:
    """Of the buffers, in bytes: as wanted, but at least that of the widest value in them, on which C insists."""
    return max((wanted, *(dtypes.of_name(tensor.dtype).bytes for tensor in program.tensors.values())))


def _emitted(module: str, program: Program, layout: Layout, options: ExportOptions) -> Sources:
    operator = options.style == "operator"
    return emit(
        module,
        program,
        layout,
        workspace=options.workspace,
        constants=options.constants,
        aot="aot" in options.executors,
        graph="graph" in options.executors or operator,
        unit_name="lib" if options.version == 5 or operator else "",
    )


def _model_files(
    module: str,
    model_name: str,
    prepared: Prepared,
    program: Program,
    graph: Graph | None,
    options: ExportOptions,
) -> dict[str, bytes]:
    """Graph, parameters and sources of the model by path."""
    parameters: dict[str, np.ndarray] = dict(program.constants)
    parameters.update(
        {
            name: array
            for name, array in prepared.constants.items()
            if name not in parameters and array.nbytes >= EXTERNAL_BYTES
        }
    )
    files: dict[str, bytes] = {}
    stored = module if options.version == 7 else model_name
    if options.style == "operator":
        parameters = {}
    else:
        files[f"parameters/{stored}.params"] = save_params(parameters)
    if graph is not None:
        text = graph.to_json().encode()
        files["executor-config/graph/graph.json"] = text
        if options.version == 7:
            files[f"executor-config/graph/{module}.graph"] = text
    text = onnx_text(prepared.model)
    files["src/relay.txt"] = text
    if options.version == 7:
        files[f"src/{module}.relay"] = text
    files[f"src/{module}.onnx"] = onnx_bytes(
        prepared.model, prepared.constants, parameters, location=f"{stored}.params"
    )
    return files


def _renamed(model: onnx.ModelProto, renames: Mapping[str, str]) -> onnx.ModelProto:
    """The model with other names for some inputs and outputs, everywhere they occur."""
    import onnx

    if not renames:
        return model
    names = naming.renamed((value.name for value in (*model.graph.input, *model.graph.output)), renames)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)

    def rename(graph: onnx.GraphProto) -> None:
        for group in (graph.input, graph.output, graph.value_info, graph.initializer):
            for value in group:
                value.name = names.get(value.name, value.name)
        for node in graph.node:
            for side in (node.input, node.output):
                side[:] = [names.get(name, name) for name in side]
            for attribute in node.attribute:
                for inner in (attribute.g, *attribute.graphs):
                    rename(inner)

    rename(changed.graph)
    return changed


def _check_budgets(program: Program, layout: Layout, sources: Sources, options: ExportOptions) -> None:
    plan = layout.plan
    if options.max_workspace is not None and plan.workspace > options.max_workspace:
        step = program.steps[layout.called[plan.peak_step]]
        live = [b for b in plan.buffers if b.first <= plan.peak_step <= b.last]
        raise failure(
            "mlf-over-budget",
            f"the workspace needs {plan.workspace} bytes, {plan.workspace - options.max_workspace} more than allowed",
            evidence=f"peak at step {plan.peak_step}, {', '.join(step.nodes)}; alive there: "
            + ", ".join(f"{b.name} {b.bytes}" for b in sorted(live, key=lambda b: -b.bytes)),
            remedy="a smaller input, or a larger --max-workspace",
        )
    if options.max_constants is not None and sources.constants_bytes > options.max_constants:
        largest = sorted(program.pool.items(), key=lambda item: -item[1].nbytes)[:5]
        raise failure(
            "mlf-over-budget",
            f"the constants need {sources.constants_bytes} bytes, "
            f"{sources.constants_bytes - options.max_constants} more than allowed",
            evidence="largest: " + ", ".join(f"{name} {array.nbytes}" for name, array in largest),
            remedy="a smaller or quantised model, or a larger --max-constants",
        )
