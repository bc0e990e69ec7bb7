"""Where in the user's code a model is called, and what it is called there."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

import torch

from turnkey.discovery.invocation import Place

_TORCH = os.path.dirname(os.path.abspath(torch.__file__))
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
_MACHINERY = tuple(
    os.path.join(_TORCH, *part.split("/"))
    for part in (
        "jit/_trace.py",
        "jit/_check.py",
        "onnx/",
        "export/_trace.py",
        "export/exported_program.py",
        "_export/",
        "_dynamo/convert_frame.py",
        "_dynamo/functional_export.py",
        "_dynamo/backends/",
        "_functorch/_aot_autograd/",
        "_functorch/aot_autograd.py",
        "_inductor/",
        "fx/_symbolic_trace.py",
        "fx/experimental/",
    )
)
"""Parts of torch that call a module for their own ends: to trace it or to check what they traced."""

_FRAMES = 64
"""Frames looked at from a call outwards."""
_ITEMS = 1000
"""Entries of one container looked at for a name."""


def find_place(module: Any, frame: FrameType | None, *, owns_file: Callable[[str], bool]) -> Place | None:
    """Place of the call that a frame is making.

    Args:
        frame: the immediate caller's.
        owns_file: whether a source file is the user's.

    Returns:
        The innermost frame of the user's code, or the immediate caller if there is none, with the name that the
        model has there, else in a library's frame on the way; None if torch's own machinery calls.
    """
    caller = frame
    name = ""
    for _ in range(_FRAMES):
        if frame is None:
            break
        file = frame.f_code.co_filename
        if owns_file(file):
            own = _name_in(frame.f_locals, frame.f_globals, module)
            return Place(file=file, line=frame.f_lineno, name=own or name)
        if file.startswith(_MACHINERY):
            return None
        if not file.startswith((_TORCH, _STANDARD_LIBRARY)):
            name = name or _name_in(frame.f_locals, frame.f_globals, module)
        frame = frame.f_back
    main = vars(sys.modules["__main__"])
    name = _name_in(main, main, module) or name  # called from a thread, whose frames do not lead to the user's code
    if caller is None:
        return Place(file="", line=0, name=name)
    return Place(file=caller.f_code.co_filename, line=caller.f_lineno, name=name)


def _name_in(local: Mapping[str, Any], glob: Mapping[str, Any], module: Any) -> str:
    """``net``, ``self.net``, ``nets[0]``, ``nets['a']``; empty if nothing there is the model."""
    scopes = (local,) if local is glob else (local, glob)
    for scope in scopes:
        for name, value in list(scope.items()):
            if value is module:
                return name
    for scope in scopes:
        for name, value in list(scope.items()):
            inside = _inside(value, module)
            if inside and not name.startswith("__"):
                return f"{name}{inside}"
    return ""


def _inside(value: Any, module: Any) -> str:
    if type(value) is dict:
        for index, (key, item) in enumerate(list(value.items())):
            if item is module:
                return f"[{key!r}]"
            if index >= _ITEMS:
                break
    elif type(value) in (list, tuple):
        for position, item in enumerate(value[:_ITEMS]):
            if item is module:
                return f"[{position}]"
    else:
        # The instance's own dictionary: getattr would run the user's properties.
        fields = getattr(type(value), "__dictoffset__", 0) and not isinstance(value, type) and _own_fields(value)
        for name, item in list(fields.items()) if fields else ():
            if item is module:
                return f".{name}"
    return ""


def _own_fields(value: Any) -> dict[str, Any]:
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    parts = fields.get("_modules")
    return {**fields, **parts} if isinstance(parts, dict) else dict(fields)
