"""Records of a stranger's file as dataclasses: every value is of the type that its field declares, or refused.

What is checked are the fields' own annotations: texts, whole numbers, numbers, booleans, None beside one of them, and
tuples of them. A number that is null is NaN: files hold no number that is not finite.
"""

from __future__ import annotations

import math
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def typed_record(kind: type[T], item: Any) -> T:
    """An object of a dataclass from a mapping; fields that this version does not know are left out.

    Raises:
        ValueError: it is no mapping, or a value is of another type than its field.
        TypeError: a field without default is missing.
    """
    hints = get_type_hints(kind)
    return kind(
        **{str(name): typed(hints[name], value, name) for name, value in mapping(item).items() if name in hints}
    )


def typed(kind: Any, value: Any, name: str) -> Any:
    """A value of a declared type. Raises ValueError if it is of another."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [each for each in get_args(kind) if each is not type(None)]
        return None if value is None else typed(others[0], value, name)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise ValueError(f"{name} is {value!r}, not a list")
        return tuple(typed(get_args(kind)[0], each, name) for each in value)
    if kind is float and value is None:
        return math.nan
    expected = int | float if kind is float else kind
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is {value!r}, not {_WORDS[kind]}")
    return float(value) if kind is float else value


def mapping(value: Any) -> dict[str, Any]:
    """A mapping with text keys; None is an empty one. Raises ValueError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{value!r} is no mapping of names")
    return dict(value)


def sequence(value: Any) -> list[Any]:
    """A list; None is an empty one. Raises ValueError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list")
    return list(value)
