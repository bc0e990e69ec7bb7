"""A module's own state, kept over a call that must leave no trace in it."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from turnkey.model.script_graph import is_scripted
from turnkey.model.torch_bridge import is_materialized


@contextmanager
def put_back(module: torch.nn.Module) -> Iterator[None]:
    """Random state, buffers and attributes of the module as before, whatever its forward does to them."""
    parts = [part for part in module.modules() if not is_scripted(part)]
    attributes = [(table, dict(table)) for part in parts for table in _tables(part)]
    buffers = [
        (buffer, buffer.clone(), buffer._version)
        for buffer in module.buffers()
        if is_materialized(buffer) and not buffer.is_inference()
    ]
    python_state = random.getstate()
    numpy_random = sys.modules.get("numpy.random")
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
        for table, content in attributes:
            if not _holds_the_same(table, content):
                table.clear()
                table.update(content)
        with torch.no_grad():
            for buffer, content, version in buffers:
                if buffer._version != version:
                    buffer.copy_(content)


def _tables(part: torch.nn.Module) -> list[dict[str, Any]]:
    return [part.__dict__, part._parameters, part._buffers, part._modules]


def _holds_the_same(table: dict[str, Any], content: dict[str, Any]) -> bool:
    missing = object()
    return len(table) == len(content) and all(table.get(name, missing) is value for name, value in content.items())
