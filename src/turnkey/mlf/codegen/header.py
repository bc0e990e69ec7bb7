"""``tvmgen_<m>.h``: the file that a user's program includes. Its wording is interface; people search for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from turnkey.mlf import naming
from turnkey.mlf.tensor import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What the header declares.

    Attributes:
        module: ``<m>``.
        inputs, outputs: in struct order.
        workspace: ``external``, ``internal`` or ``io``.
        workspace_bytes, alignment: of the workspace.
        constants_pool_bytes: size of the pool that the caller gives; None unless constants mode ``pool``.
    """

    module: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    workspace: str
    workspace_bytes: int
    alignment: int
    constants_pool_bytes: int | None = None

    @property
    def has_pools(self) -> bool:
        """Whether ``run`` takes a struct of pools."""
        return self.workspace != "internal" or self.constants_pool_bytes is not None

    @property
    def takes_tensors(self) -> bool:
        """Whether ``run`` takes structs of inputs and outputs."""
        return self.workspace != "io"

    def parameters(self) -> list[tuple[str, str]]:
        """(declaration, text) of ``run``'s parameters."""
        name = naming.prefix(self.module)
        found = []
        if self.takes_tensors:
            found.append((f"struct {name}_inputs* inputs", "inputs Input tensors for the module "))
            found.append((f"struct {name}_outputs* outputs", "outputs Output tensors for the module "))
        if self.has_pools:
            found.append(
                (
                    f"struct {name}_workspace_pools* workspace_pools",
                    "workspace_pools Workspace memory pool pointers for the module ",
                )
            )
        return found


def header_text(interface: Interface) -> str:
    """The whole header."""
    return "\n".join(_lines(interface)) + "\n"


def macros(interface: Interface) -> tuple[str, ...]:
    """Macros that the header defines besides the sizes of the tensors."""
    base = naming.macro_prefix(interface.module)
    return (
        f"{base}_H_",
        f"{base}_WORKSPACE_SIZE",
        f"{base}_WORKSPACE_WORKSPACE_POOL_SIZE",
        f"{base}_CONSTANTS_CONSTANT_POOL_SIZE",
        f"{base}_WORKSPACE_ALIGNMENT",
    )


def _lines(interface: Interface) -> Iterator[str]:
    name, base = naming.prefix(interface.module), naming.macro_prefix(interface.module)
    brief = f'for TVM module "{interface.module}"'
    yield from (f"#ifndef {base}_H_", f"#define {base}_H_", "#include <stdint.h>", "")
    yield from ("#ifdef __cplusplus", 'extern "C" {', "#endif", "")
    for side, tensors in (("Input", interface.inputs), ("Output", interface.outputs)):
        for tensor in tensors:
            yield from _comment(f"{side} tensor {naming.c_name(tensor.name)} size (in bytes) {brief} ")
            yield f"#define {naming.tensor_macro(interface.module, tensor.name)} {tensor.bytes}"
    for side, tensors in (("input", interface.inputs), ("output", interface.outputs)):
        yield from _comment(f"{side.capitalize()} tensor pointers {brief} ")
        yield from _struct(f"{name}_{side}s", [f"void* {naming.c_name(tensor.name)}" for tensor in tensors])
    if interface.has_pools:
        members = ["void* workspace"] if interface.workspace != "internal" else []
        members += ["const void* constants"] if interface.constants_pool_bytes is not None else []
        yield from _comment(f"Workspace pool pointers {brief} ")
        yield from _struct(f"{name}_workspace_pools", members)
    if not interface.takes_tensors:
        for side in ("inputs", "outputs"):
            yield from _comment(f"Maps I/O inside the workspace pools {brief} ")
            if side == "inputs":
                yield "/* Inputs share the workspace with everything else: a run overwrites them. */"
            yield f"struct {name}_{side} {name}_map_{side}("
            yield f"  struct {name}_workspace_pools* workspace_pools"
            yield ");"
    yield from ("/*!", f' * \\brief entrypoint function for TVM module "{interface.module}"')
    parameters = interface.parameters()
    yield from (f" * \\param {text}" for _, text in parameters)
    yield " */"
    yield f"int32_t {name}_run("
    if parameters:
        yield ",\n".join(f"  {declaration}" for declaration, _ in parameters)
    else:
        yield "  void"
    yield ");"
    yield from _comment(f"Workspace size {brief} ")
    yield f"#define {base}_WORKSPACE_SIZE {interface.workspace_bytes}"
    if interface.workspace != "internal":
        yield from _comment(f"workspace size {brief} ")
        yield f"#define {base}_WORKSPACE_WORKSPACE_POOL_SIZE {interface.workspace_bytes}"
    if interface.constants_pool_bytes is not None:
        yield from _comment(f"constants size {brief} ")
        yield f"#define {base}_CONSTANTS_CONSTANT_POOL_SIZE {interface.constants_pool_bytes}"
    yield from _comment(f"Workspace alignment (in bytes) {brief} ")
    yield f"#define {base}_WORKSPACE_ALIGNMENT {interface.alignment}"
    for side, tensors in (("input", interface.inputs), ("output", interface.outputs)):
        for tensor in tensors:
            shape = "".join(f"[{extent}]" for extent in tensor.shape)
            yield f"/* {side} {naming.c_name(tensor.name)}: {tensor.dtype}{shape} */"
    yield from ("", "#ifdef __cplusplus", "}", "#endif", "", f"#endif // {base}_H_")


def _comment(text: str) -> Sequence[str]:
    return ("/*!", f" * \\brief {text}", " */")


def _struct(name: str, members: Sequence[str]) -> Iterator[str]:
    yield f"struct {name} {{"
    # C has no empty structs; a model without inputs gets a member that nobody reads.
    yield from (f"  {member};" for member in members or ["char unused_"])
    yield "};"
    yield ""
