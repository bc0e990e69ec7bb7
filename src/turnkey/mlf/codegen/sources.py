"""All C files of one module, by their place in the tarball."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turnkey.mlf import naming
from turnkey.mlf.codegen.constants import chosen_mode, constants_text, pool_bytes
from turnkey.mlf.codegen.entry import entry_text, registry_text
from turnkey.mlf.codegen.header import Interface, header_text, macros
from turnkey.mlf.codegen.kernels import kernel_units
from turnkey.mlf.codegen.names import kernel_names
from turnkey.mlf.layout import Layout, constant_offsets
from turnkey.mlf.program import Kernel, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What `emit` made.

    Attributes:
        files: content by path in the tarball.
        interface: of the header.
        names: C names of the kernels, in the order of first use.
        functions: names that the registry holds (executor ``graph``).
        constants_mode: ``embed``, ``incbin``, ``words`` or ``pool``.
        constants_bytes, constants_padding: of the pool.
    """

    files: Mapping[str, bytes]
    interface: Interface
    names: Mapping[Kernel, str]
    functions: tuple[str, ...]
    constants_mode: str
    constants_bytes: int
    constants_padding: int


def emit(
    module: str,
    program: Program,
    layout: Layout,
    *,
    workspace: str,
    constants: str,
    aot: bool = True,
    graph: bool = True,
    header: bool = True,
    unit_name: str = "",
) -> Sources:
    """C sources, header and constants of one module.

    Args:
        workspace: ``external``, ``internal`` or ``io``.
        constants: ``auto``, ``embed``, ``incbin``, ``words`` or ``pool``.
        aot, graph: which executors the code serves; without ``aot`` there is no entry point and no header.
        unit_name: of the C files before their number; ``<m>_lib`` by default.
    """
    offsets, size, padding = constant_offsets(program)
    mode = chosen_mode(constants, size)
    interface = Interface(
        module=module,
        inputs=tuple(program.tensors[name] for name in program.inputs),
        outputs=tuple(program.tensors[name] for name in program.outputs),
        workspace=workspace,
        workspace_bytes=layout.plan.workspace,
        alignment=layout.plan.align,
        constants_pool_bytes=size if mode == "pool" else None,
    )
    naming.check_clashes(module, program.inputs, program.outputs, taken=macros(interface))
    names = kernel_names(module, program)
    called = {program.steps[index].kernel for index in layout.called}
    only_graph = frozenset(kernel for kernel in names if kernel not in called)
    if not graph:
        names = {kernel: name for kernel, name in names.items() if kernel in called}
    units = kernel_units(module, program, names, graph=graph, only_graph=only_graph)
    functions = tuple(names.values()) if graph else ()
    joined = ""
    if aot:
        joined += entry_text(interface, program, layout, names, offsets)
    if graph:
        joined += "\n" + registry_text(functions, comment=f'TVM module "{module}".')
    constants_pool = program.pool
    pool = pool_bytes(constants_pool, offsets, size)
    texts = [units[0] if units else "", joined, *units[1:]]
    constants_unit = constants_text(module, pool, mode) if aot and constants_pool else ""
    if constants_unit:
        texts.append(constants_unit)
    base = f"codegen/host/src/{unit_name or f'{module}_lib'}"
    files = {f"{base}{number}.c": text.encode() for number, text in enumerate(texts) if text}
    if aot and header:
        files[f"codegen/host/include/{naming.prefix(module)}.h"] = header_text(interface).encode()
    if size and aot and mode in ("incbin", "pool"):
        files[naming.constants_file(module)] = pool
    return Sources(
        files=files,
        interface=interface,
        names=names,
        functions=functions,
        constants_mode=mode,
        constants_bytes=size,
        constants_padding=padding,
    )
