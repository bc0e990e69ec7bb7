"""The generator's text taken apart: helpers, constants, node functions, and the calls of its entry function.

The text is regular: top-level chunks, then one entry ``void m(inputs, outputs)`` that declares temporaries (on the
stack, or by malloc above 1 KB) and calls the node functions in order. Each call becomes a step of ours, each
temporary a tensor of ours, so that all memory is planned. A statement that is neither is refused, never kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from turnkey.mlf.failures import failure
from turnkey.mlf.program import Kernel

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
_INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]\s*$', re.M)
_PRELUDE = re.compile(r"^#ifndef (idx_t|EMX_\w+)\n(?:#if.*?#endif\n|#define[^\n]*\n)*?#endif\n", re.M | re.S)
_TYPE = r"(?:unsigned\s+)?\w+(?:\([^)]*\))?"
_PARAMETER = re.compile(rf"^(const\s+)?({_TYPE})\s*(\*?)\s*(\w+)((?:\[[^\]]*\])*)$")
_STACK = re.compile(rf"^({_TYPE})\s+(\w+)((?:\[\d+\])+)$")
_HEAP = re.compile(
    rf"^({_TYPE})\s*(?:\*(\w+)|\(\*(\w+)\)((?:\[\d+\])+))\s*=\s*malloc\(sizeof\(\*\w+\)\s*\*\s*(\d+)\)$"
)
_FREE = re.compile(r"^free\(\w+\)$")
_CALL = re.compile(r"^(\w+)\((.*)\)$", re.S)
_WEIGHT = re.compile(r"^(?:static )?const (?:EMX_UNUSED )?.*?\b(weight\d+_\w*)\s*(?:\[|=)", re.S)
_FUNCTION = re.compile(r"^EMX_NODE_FN void (\w+)\((.*?)\)\s*\{", re.S)

_ELEMENT_OF_C = {
    "float": "float32",
    "double": "float64",
    "_Float16": "float16",
    "__bf16": "bfloat16",
    "bool": "bool",
    "_Bool": "bool",
    **{f"{u}int{n}_t": f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)},
    "emx_float8e4m3fn_t": "float8_e4m3fn",
    "emx_float8e4m3fnuz_t": "float8_e4m3fnuz",
    "emx_float8e5m2_t": "float8_e5m2",
    "emx_float8e5m2fnuz_t": "float8_e5m2fnuz",
    "emx_float8e8m0_t": "float8_e8m0fnu",
    "emx_float8e8m0fnu_t": "float8_e8m0fnu",
    "emx_float4e2m1_t": "float4_e2m1fn",
    "emx_float4e2m1fn_t": "float4_e2m1fn",
}


@dataclass(frozen=True, slots=True)
class Temporary:
    """A tensor between two calls of one generated text."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A node function and the names of its arguments: parameters of the entry, or temporaries."""

    kernel: Kernel
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated text, taken apart. Arguments of calls that are constants of the text are part of the kernels."""

    parameters: tuple[str, ...]
    temporaries: Mapping[str, Temporary]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class _Parameter:
    is_input: bool
    c_type: str
    name: str
    dims: str

    def cast(self, expression: str) -> str:
        """The flat pointer as this parameter's type; arrays of arrays need the cast, flat ones do not."""
        inner = self.dims[self.dims.index("]") + 1 :] if self.dims else ""
        const = "const " if self.is_input else ""
        return f"({const}{self.c_type} (*){inner})({const}void *){expression}" if inner else expression


def take_apart(text: str) -> Generated:
    """The parts of a generated text.

    Raises:
        UnsupportedInModelLibraryFormatError: memory or state in it that no plan covers.
    """
    includes = tuple(dict.fromkeys(_INCLUDE.findall(text)))
    body = _PRELUDE.sub("", _INCLUDE.sub("", _COMMENT.sub("", text)))
    helpers: list[str] = []
    weights: dict[str, str] = {}
    functions: dict[str, str] = {}
    entry = ""
    for chunk in _chunks(body):
        if chunk.startswith("extern ") or chunk.startswith("_Bool m_load("):
            continue
        weight = _WEIGHT.match(chunk)
        function = _FUNCTION.match(chunk)
        if weight:
            weights[weight[1]] = re.sub(r"^(static )?const (EMX_UNUSED )?", "static const ", chunk)
        elif function:
            functions[function[1]] = chunk
        elif chunk.startswith("void m("):
            entry = chunk
        else:
            helpers.append(chunk)
    for chunk in (*helpers, *functions.values()):
        _refuse_hidden_memory(chunk)
    parameters = _parameters(entry[entry.index("(") + 1 : entry.index("{")].rstrip().rstrip(")"))
    temporaries, calls = _statements(entry[entry.index("{") + 1 : entry.rindex("}")])
    made = tuple(_call(name, arguments, functions, weights, tuple(helpers), includes) for name, arguments in calls)
    return Generated(tuple(parameter.name for parameter in parameters), temporaries, made)


def _chunks(text: str) -> Iterator[str]:
    """Top-level declarations and functions, comments already gone."""
    start = depth = 0
    quote = ""
    position = 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character == "#" and depth == 0 and not text[start:position].strip():
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            yield text[position:end].strip()
            start = position = end
            continue
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            head = text[start:position].lstrip()
            if (
                depth == 0
                and not head.startswith(("typedef", "struct", "enum", "union"))
                and "=" not in (head[: head.index("{")])
            ):
                yield text[start : position + 1].strip()
                start = position + 1
        elif character == ";" and depth == 0:
            chunk = text[start : position + 1].strip()
            if chunk != ";":
                yield chunk
            start = position + 1
        position += 1


def _refuse_hidden_memory(chunk: str) -> None:
    head = chunk.partition("{")[0]
    is_state = chunk.startswith("static ") and "(" not in head and "const" not in head
    if (
        is_state
        or re.search(r"\b(malloc|calloc|realloc|alloca|fopen)\s*\(", chunk)
        or re.search(r"\n\s+static (?!const\b)", chunk)
    ):
        raise failure(
            "mlf-unplanned-memory",
            "the generated code would keep memory of its own",
            evidence=head.strip()[:200],
            remedy="replace that operator in the model",
        )


def _parameters(text: str) -> tuple[_Parameter, ...]:
    found = []
    for part in _split(text):
        match = _PARAMETER.match(part)
        if match is None:
            raise failure(
                "mlf-unsupported-op",
                "the generated code takes an argument that is no tensor",
                evidence=part[:200],
                remedy="replace that operator, or give every dimension a number (--dim)",
            )
        found.append(_Parameter(bool(match[1]), match[2], match[4], match[5]))
    return tuple(found)


def _split(text: str) -> list[str]:
    """Arguments at depth 0; brackets of dimensions and ``_BitInt(4)`` hold no comma."""
    return [part.strip() for part in text.split(",") if part.strip() and part.strip() != "void"]


def _statements(text: str) -> tuple[dict[str, Temporary], list[tuple[str, tuple[str, ...]]]]:
    temporaries: dict[str, Temporary] = {}
    calls: list[tuple[str, tuple[str, ...]]] = []
    # ``if (x == NULL) { return; }`` holds the only inner semicolon; taken out first.
    plain = re.sub(r"if \(\w+ == NULL\) \{\s*return;\s*\}", "", text)
    for statement in (part.strip() for part in plain.split(";")):
        if not statement or _FREE.match(statement) or statement.startswith("(void)"):
            continue
        stack, heap, call = _STACK.match(statement), _HEAP.match(statement), _CALL.match(statement)
        if stack:
            temporaries[stack[2]] = _temporary(stack[1], stack[3])
        elif heap:
            temporaries[heap[2] or heap[3]] = _temporary(heap[1], f"[{heap[5]}]{heap[4] or ''}")
        elif call:
            calls.append((call[1], tuple(_split(call[2]))))
        else:
            raise failure(
                "mlf-unplanned-memory",
                "the generated code has a statement that no plan covers",
                evidence=statement[:200],
                remedy="replace that operator in the model",
            )
    return temporaries, calls


def _temporary(c_type: str, dims: str) -> Temporary:
    if c_type not in _ELEMENT_OF_C:
        raise failure(
            "mlf-unsupported-dtype",
            f"the generated code has a temporary of type {c_type}",
            evidence=f"{c_type}{dims}",
            remedy="replace that operator in the model",
        )
    return Temporary(_ELEMENT_OF_C[c_type], tuple(int(extent) for extent in re.findall(r"\[(\d+)\]", dims)))


def _call(
    name: str,
    arguments: tuple[str, ...],
    functions: Mapping[str, str],
    weights: Mapping[str, str],
    helpers: tuple[str, ...],
    includes: tuple[str, ...],
) -> Call:
    if name not in functions:
        raise failure(
            "mlf-unplanned-memory", "the generated code calls something that it does not define", evidence=name
        )
    head = _FUNCTION.match(functions[name])
    assert head is not None  # it is in `functions` because it matched
    parameters = _parameters(head[2])
    inputs = [a for a, p in zip(arguments, parameters, strict=True) if p.is_input and a not in weights]
    outputs = [a for a, p in zip(arguments, parameters, strict=True) if not p.is_input]
    operator = re.sub(r"^node\d+_", "", name)
    expressions: list[str] = []
    seen_in = seen_out = 0
    for argument, parameter in zip(arguments, parameters, strict=True):
        if argument in weights:
            expressions.append(f"@{argument.partition('_')[0]}")
        elif parameter.is_input:
            expressions.append(parameter.cast(f"in{seen_in}"))
            seen_in += 1
        else:
            expressions.append(parameter.cast(f"out{seen_out}"))
            seen_out += 1
    used = [weights[argument] for argument in arguments if argument in weights]
    code = "\n\n".join((*dict.fromkeys(used), functions[name].replace("EMX_NODE_FN", "static", 1)))
    code = re.sub(rf"\b{re.escape(name)}\b", f"@{operator}", code)
    code = re.sub(r"\b(weight\d+)_\w*", r"@\1", code)
    needed = _needed(code, helpers)
    kernel = Kernel(
        operators=(operator.lower(),),
        inputs=tuple(p.c_type for a, p in zip(arguments, parameters, strict=True) if p.is_input and a not in weights),
        outputs=tuple(p.c_type for p in parameters if not p.is_input),
        helpers=needed,
        code=code,
        statement=f"@{operator}({', '.join(expressions)});",
        includes=includes,
    )
    return Call(kernel, tuple(inputs), tuple(outputs))


def _needed(code: str, helpers: tuple[str, ...]) -> tuple[str, ...]:
    """The helpers that a text uses, directly or through others, in their order."""
    names = [_helper_name(helper) for helper in helpers]
    wanted: set[int] = set()
    frontier = [code]
    while frontier:
        words = set(re.findall(r"\w+", frontier.pop()))
        for index, name in enumerate(names):
            if index not in wanted and (not name or name in words):
                wanted.add(index)
                frontier.append(helpers[index])
    return tuple(helper for index, helper in enumerate(helpers) if index in wanted)


def _helper_name(helper: str) -> str:
    """What a helper defines; empty for preprocessor lines, which are always kept."""
    if helper.startswith("#"):
        return ""
    if helper.startswith("typedef"):
        return str(re.findall(r"\w+", helper)[-1])
    head = helper.partition("{")[0].partition("=")[0]
    match = re.search(r"(\w+)\s*\(", head) or re.search(r"(\w+)\s*(?:\[|$)", head.strip())
    return str(match[1]) if match else ""
