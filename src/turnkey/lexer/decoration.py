"""What a decorator attached to a class, or `Lexer.wrap` to an instance, and where it is found again.

Nothing of it is part of an instance's state: copies and pickles of a model hold no more than the model's own.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

CLASS_ATTRIBUTE = "__lexer_decoration__"

Decoration = Mapping[str, Any]
"""Names and settings that travel with a class or an instance; checked when they were given."""

_NONE: Decoration = MappingProxyType({})
_INSTANCES: weakref.WeakKeyDictionary[Any, Decoration] = weakref.WeakKeyDictionary()


def decorate_instance(model: Any, decoration: Decoration) -> None:
    """Remember a decoration for one object, as long as that lives. Raises TypeError if it cannot be referred to."""
    _INSTANCES[model] = decoration


def decoration_of(model: Any) -> Decoration:
    """What the instance has, else what its class has (seen through ``torch.compile``), else nothing."""
    inner = unwrapped(model)
    for each in (model, inner):
        try:
            if each in _INSTANCES:
                return _INSTANCES[each]
        except TypeError:  # not hashable: it cannot have been wrapped
            continue
    found: Decoration = getattr(type(inner), CLASS_ATTRIBUTE, _NONE)
    return found


def unwrapped(model: Any) -> Any:
    """The model that ``torch.compile`` was given, or the model itself."""
    inner = getattr(model, "_orig_mod", None)
    if inner is None:
        inner = getattr(model, "_torchdynamo_orig_callable", None)
    return model if inner is None else inner
