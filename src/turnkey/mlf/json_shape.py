"""What a JSON value must look like, written as a value: the border for the part of the metadata that is our own.

A kind is a type (``int`` means a count: whole, not negative, below 2**63), a list of one kind, a tuple of kinds for a
row of that length, ``{"*": kind}`` for an object under any keys, or an object of kinds by key, where a key with ``?``
in front may be missing. Further keys are allowed: newer writers add some.
"""

from __future__ import annotations

from typing import Any

Kind = Any

EXTENSION: Kind = {
    "?abi": {
        "inputs": [str],
        "outputs": [str],
        "workspace": str,
        "workspace_bytes": int,
        "workspace_alignment": int,
        "constants": str,
        "?constants_padding": int,
        "?vector_bytes": int,
        "?places": {"*": int},
    },
    "?tensors": {"*": {"shape": [int], "dtype": str}},
    "?plan": {
        "algorithm": str,
        "workspace": int,
        "lower_bound": int,
        "gap": float,
        "proven": bool,
        "peak_step": float,
        "?live_bytes": [int],
        "buffers": [(str, int, int, int, int, str)],
    },
    "?kernels": [
        {
            "function_name": str,
            "?kind": str,
            "?nodes": [str],
            "?scratch_bytes": int,
            "?stack_bytes": int,
            "?tile": {"*": int},
        }
    ],
    "?tuned": {
        "processor": str,
        "compiler": str,
        "kernels": [{"function_name": str, "tile": {"*": int}, "ratio": float, "low": float, "high": float}],
    },
    "?sections": {"text": int, "rodata": int, "data": int, "bss": int},
    "?stack": {"?static_bytes": int, "?painted_bytes": int},
    "?symbols": [str],
    "?compiler": {"name": str, "version": str},
    "?verify": {
        "reference": str,
        "version": str,
        "samples": int,
        "max_abs": float,
        "max_rel": float,
        "verdict": str,
    },
    "?notes": [str],
    "?files": {"*": {"role": str, "sha256": str}},
}
"""``turnkey`` of a module's metadata."""

_TENSORS: Kind = {"*": {"?size": int, "?dtype": str}}
SIDS: Kind = [{"?storage_id": int, "?size_bytes": int, "?input_binding": str}]
MAIN: Kind = [
    {
        "?workspace_size_bytes": int,
        "?constants_size_bytes": int,
        "?io_size_bytes": int,
        "?inputs": _TENSORS,
        "?outputs": _TENSORS,
    }
]
OPERATORS: Kind = [{"?function_name": str, "?workspace": [{"?workspace_size_bytes": int}]}]
"""The parts of ``memory``, in whatever version they were written."""


def misfit(value: object, kind: Kind, path: str) -> tuple[str, str, object] | None:
    """Where a value is not of its kind: its path, what was expected, what is there; None if it is."""
    if isinstance(kind, dict):
        return _misfit_object(value, kind, path)
    if isinstance(kind, (list, tuple)):
        if not isinstance(value, list) or (isinstance(kind, tuple) and len(value) != len(kind)):
            return path, f"a list of {len(kind)}" if isinstance(kind, tuple) else "a list", value
        kinds = kind if isinstance(kind, tuple) else kind * len(value)
        found = (misfit(item, k, f"{path}[{i}]") for i, (item, k) in enumerate(zip(value, kinds, strict=True)))
        return next(filter(None, found), None)
    return None if _is_of(value, kind) else (path, _NAMES[kind], value)


def _misfit_object(value: object, kind: dict[str, Kind], path: str) -> tuple[str, str, object] | None:
    if not isinstance(value, dict):
        return path, "an object", value
    if "*" in kind:
        return next(filter(None, (misfit(item, kind["*"], f"{path}.{key}") for key, item in value.items())), None)
    for key, inner in kind.items():
        name = key.removeprefix("?")
        if name not in value:
            if key == name:
                return f"{path}.{name}", "a value", "nothing"
            continue
        found = misfit(value[name], inner, f"{path}.{name}")
        if found is not None:
            return found
    return None


_NAMES = {str: "a text", int: "a count", float: "a number", bool: "true or false"}


def _is_of(value: object, kind: type) -> bool:
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and 0 <= value < 1 << 63
    if kind is float:
        return isinstance(value, (int, float)) and abs(value) < 1 << 63
    return isinstance(value, kind)
