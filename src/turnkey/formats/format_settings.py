"""Settings of a format, given as text: ``--set torchscript-script.strict::false``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args, get_type_hints

from turnkey.errors import UsageError
from turnkey.formats import Format


def settings_of(form: Format, given: Mapping[str, Any]) -> Any:
    """The settings of a format: its defaults, but for what is given as text (a list as texts).

    Raises:
        UsageError: a setting that it does not have, or a text that is no value of its type.
    """
    defaults = form.settings_type()
    known = getattr(form.settings_type, "__dataclass_fields__", {})
    values = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"the format {form.name} has no setting called {name!r}",
                evidence=f"known: {', '.join(known) or 'none'}",
                remedy=f"turnkey ... convert --to {form.name}",
            )
        values[name] = _as_kind(_kind_of(form, name, getattr(defaults, name)), value, setting=f"{form.name}.{name}")
    return replace(defaults, **values) if values else defaults


def _kind_of(form: Format, name: str, default: Any) -> type:
    """What a setting's text is to be: by its annotation where None is its default, else by the default."""
    if default is not None:
        return type(default)
    hint = get_type_hints(form.settings_type)[name]
    kinds = [kind for kind in get_args(hint) if isinstance(kind, type) and kind is not type(None)]
    return kinds[0] if kinds else str


def _as_kind(kind: type, value: Any, *, setting: str) -> Any:
    if kind is tuple:
        return tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not isinstance(value, str):
        return value
    try:
        if kind is bool:
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        return kind(value) if kind in (int, float) else value
    except (KeyError, ValueError) as error:
        raise UsageError(f"{setting} cannot be {value!r}", evidence=f"it is a {kind.__name__}") from error
