"""The arguments of an export, checked once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey.mlf.failures import failure
from turnkey.mlf.memory_plan import PLACEMENTS_PER_SECOND
from turnkey.mlf.program import Tile

EXECUTORS = {"both": ("aot", "graph"), "aot": ("aot",), "graph": ("graph",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export; each field is the argument of `export-mlf` of that name.

    Attributes:
        version: of the format, 7 or 5.
        executor: ``both``, ``aot`` or ``graph``.
        style: ``full-model`` or ``operator``.
        workspace: ``external``, ``internal`` or ``io``.
        constants: ``auto``, ``embed``, ``incbin``, ``words`` or ``pool``.
        dims: numbers for symbolic dimensions; renames: new names of inputs and outputs.
        optimize: ``basic`` or ``none``.
        kernels: ``templates`` takes kernels of ours, fused, where there are some; ``generated`` none: node by node.
        order: of the steps: ``given``, or ``memory`` for the order of least peak.
        align: of buffers in the workspace, bytes; at least that of the widest value in it.
        plan: ``auto``, ``best-fit`` or ``exact``.
        plan_seconds: how long the exact search goes on, at 20,000 placements a second whatever the host.
        plan_from: a tarball whose plan is used again.
        vector_bytes: the widest vector that the code is compiled for; None: 64 for ``host``, else 0.
        target: ``host``, ``generic``, or a compiler triple.
        cc, cflags: the toolchain; objects: also pack ``.o`` files.
        max_workspace, max_stack, max_constants: budgets in bytes; None for none.
        compile, verify, sanitize, samples: what to check.
        tiles: by module, of some nodes (``op(name)``), where `tune` chose them.
        recorded: by module, further keys for ``turnkey`` of its metadata.
        share: False keeps every tensor apart and calls every node: for telling nodes apart.
    """

    version: int = 7
    executor: str = "both"
    style: str = "full-model"
    workspace: str = "external"
    constants: str = "auto"
    dims: Mapping[str, int] = field(default_factory=dict)
    renames: Mapping[str, str] = field(default_factory=dict)
    optimize: str = "basic"
    kernels: str = "templates"
    order: str = "given"
    align: int = 16
    plan: str = "auto"
    plan_seconds: float = 10.0
    plan_from: Path | None = None
    vector_bytes: int | None = None
    target: str = "host"
    cc: str | None = None
    cflags: tuple[str, ...] | None = None
    objects: bool = False
    max_workspace: int | None = None
    max_stack: int | None = None
    max_constants: int | None = None
    compile: bool = True
    verify: bool = True
    sanitize: bool = False
    samples: int = 5
    tiles: Mapping[str, Mapping[str, Tile]] = field(default_factory=dict)
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    share: bool = True

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad(name, getattr(self, name), f"one of {', '.join(map(str, allowed))}")
        if self.samples < 1:
            raise _bad("samples", self.samples, "a positive number")
        if not 0 <= self.plan_seconds < math.inf:
            raise _bad("plan_seconds", self.plan_seconds, "a number of seconds")
        for name in ("max_workspace", "max_stack", "max_constants"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise _bad(name, value, "a number of bytes")

    @property
    def executors(self) -> tuple[str, ...]:
        """As the metadata lists them; operators have none."""
        return () if self.style == "operator" else EXECUTORS[self.executor]

    @property
    def search_budget(self) -> int:
        """Placements of the exact search."""
        return int(self.plan_seconds * PLACEMENTS_PER_SECOND)

    @property
    def widest_vector_bytes(self) -> int:
        """The widest vector of the code, in bytes; 0 for none."""
        return self.vector_bytes if self.vector_bytes is not None else 64 if self.target == "host" else 0

    @property
    def target_text(self) -> str:
        """As the metadata writes it."""
        if self.target in ("host", "generic"):
            return f"c -keys=cpu -model={self.target}"
        return f"c -keys=cpu -mtriple={self.target}"


_CHOICES: Mapping[str, tuple[object, ...]] = {
    "version": (7, 5),
    "executor": tuple(EXECUTORS),
    "style": ("full-model", "operator"),
    "workspace": ("external", "internal", "io"),
    "constants": ("auto", "embed", "incbin", "words", "pool"),
    "optimize": ("basic", "none"),
    "kernels": ("templates", "generated"),
    "order": ("given", "memory"),
    "align": (4, 8, 16, 32, 64),
    "plan": ("auto", "best-fit", "exact"),
    "vector_bytes": (None, 0, 16, 32, 64),
}


def _bad(name: str, value: object, expected: str) -> Exception:
    flag = {"version": "mlf-version"}.get(name, name).replace("_", "-")
    return failure(
        "mlf-bad-option",
        f"--{flag} cannot be {value!r}",
        evidence=f"it takes {expected}",
        remedy="turnkey export-mlf -h",
    )
