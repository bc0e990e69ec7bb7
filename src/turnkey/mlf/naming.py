"""Names in C: of the model, its tensors, macros and structs; and the clashes that they can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from turnkey.mlf.failures import failure

_RESERVED_WORDS = """
    auto break case char const continue default do double else enum extern float for goto if inline int long
    register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while _Bool _Complex _Imaginary bool true false alignas alignof and and_eq asm bitand bitor catch class
    compl const_cast delete dynamic_cast explicit export friend mutable namespace new not not_eq operator or
    or_eq private protected public reinterpret_cast static_assert static_cast template this throw try typeid
    typename using virtual wchar_t xor xor_eq nullptr constexpr decltype noexcept thread_local typeof
    typeof_unqual char8_t char16_t char32_t concept requires co_await co_return co_yield consteval constinit
    NULL linux unix
"""
"""Of C and C++, which read the same header; and macros that are there before it."""
_RESERVED_C = frozenset(_RESERVED_WORDS.split())


def module_name(text: str) -> str:
    """``<m>``: the model's name as a C identifier in lower case.

    Raises:
        MlfUsageError: nothing of it is left.
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not name:
        raise failure("mlf-bad-option", "a model's name needs a letter or digit", evidence=f"name {text!r}")
    return name


def c_name(tensor: str) -> str:
    """A tensor's name as a struct member: every character outside [A-Za-z0-9] becomes ``_``."""
    name = re.sub(r"[^A-Za-z0-9]", "_", tensor)
    return f"_{name}" if not name or name[0].isdigit() or name in _RESERVED_C else name


def prefix(module: str) -> str:
    """``tvmgen_<m>``."""
    return f"tvmgen_{module}"


def macro_prefix(module: str) -> str:
    """``TVMGEN_<M>``."""
    return f"TVMGEN_{module.upper()}"


def constants_file(module: str) -> str:
    """Where the pool of constants lies in a tarball, where it is no text."""
    return f"codegen/host/src/{module}_constants.bin"


def constants_macro(module: str) -> str:
    """The macro by which build files tell the path of that file."""
    return f"{macro_prefix(module)}_CONSTANTS_FILE"


def tensor_macro(module: str, tensor: str) -> str:
    """``TVMGEN_<M>_<TENSOR>_SIZE``."""
    return f"{macro_prefix(module)}_{c_name(tensor).upper().lstrip('_') or '_'}_SIZE"


def check_clashes(module: str, inputs: Iterable[str], outputs: Iterable[str], *, taken: Iterable[str]) -> None:
    """Refuse tensors whose C names or macros collide with each other or with ours.

    Args:
        taken: macros that the header defines besides those of the tensors.

    Raises:
        UnsupportedInModelLibraryFormatError: naming both tensors and the ``--rename`` that solves it.
    """
    macros: dict[str, str] = {macro: f"the macro {macro}" for macro in taken}
    for side in (tuple(inputs), tuple(outputs)):
        members: dict[str, str] = {}
        for tensor in side:
            member, macro = c_name(tensor), tensor_macro(module, tensor)
            other = members.get(member) or macros.get(macro)
            if other is not None:
                raise failure(
                    "mlf-name-clash",
                    f"the tensor {tensor!r} and {other} have one name in C",
                    evidence=f"both become {member if member in members else macro}",
                    remedy=f"export-mlf --rename {tensor}=another_name",
                )
            members[member] = macros[macro] = f"the tensor {tensor!r}"


def renamed(names: Iterable[str], renames: Mapping[str, str]) -> dict[str, str]:
    """Old to new name for those of ``names`` that the user renames.

    Raises:
        MlfUsageError: a name to be replaced does not exist.
    """
    known = set(names)
    for old, new in renames.items():
        if old not in known or not new:
            raise failure(
                "mlf-bad-option",
                f"there is no input or output called {old!r} to rename",
                evidence=f"inputs and outputs: {', '.join(sorted(known))}",
                remedy="export-mlf --rename OLD=NEW with one of these names",
            )
    return dict(renames)
