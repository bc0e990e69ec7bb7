"""Modules that are loaded and yet not there: what a prewarmed process has imported in advance is seen by no script.

A forked worker inherits all that its template has loaded. A script must not notice: it may ask ``sys.modules``, and
what is imported first decides things in more than one library. So the template takes its modules out of `sys.modules`
again, and a finder in front of all others hands them back when somebody imports them, together with what such an
import would have loaded in a fresh interpreter, no more. Nothing is executed twice.

What belongs to what is learned while the template warms up (`ImportRecord`): which module imported which while it was
being executed. Where a package that is shown has a hidden submodule as its attribute, that is taken away likewise.

Trade-offs: hidden packages keep their attributes, since their code may hold on to modules and never import them again,
so ``torch._dynamo`` is an attribute as soon as torch is there. What a module did to others when it was loaded
(registrations, patches, warning filters) has happened; the warm-up is done by the very tools that work later, so it is
what they would have caused. ``--fresh`` has none of this.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class ImportRecord:
    """Notes, as long as the context lasts, which module imports which while it is executed."""

    def __init__(self) -> None:
        self.edges: dict[str, set[str]] = {}
        self._original: Any = None

    def __enter__(self) -> ImportRecord:
        self._original = builtins.__import__
        builtins.__import__ = self._import
        return self

    def __exit__(self, *_: object) -> None:
        builtins.__import__ = self._original

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        count = len(sys.modules)
        module: ModuleType = self._original(name, globals, locals, fromlist or (), level)
        absolute = _absolute(name, globals, level)
        if absolute and len(sys.modules) > count:  # also what was loaded by other means than this function
            loaded = set(list(sys.modules)[count:])
            inside = {f"{absolute}.{item}" for item in fromlist or ()} & loaded
            for cause in [absolute] if absolute in loaded else inside or [absolute]:
                self.edges.setdefault(cause, set()).update(loaded)
        spec = globals.get("__spec__") if globals else None
        if absolute and getattr(spec, "_initializing", False):
            asked = {absolute, *(f"{absolute}.{item}" for item in fromlist or ())}
            self.edges.setdefault(spec.name, set()).update(asked)  # type: ignore[union-attr]
        return module


def _absolute(name: str, globals: Mapping[str, Any] | None, level: int) -> str:
    if not level:
        return name
    package = str((globals or {}).get("__package__") or "")
    try:
        return importlib.util.resolve_name("." * level + name, package)
    except ImportError:
        return ""


class Veil:
    """Hides modules from `sys.modules` and gives them back on import.

    Args:
        shown: names of the modules that stay.
        edges: from `ImportRecord`.
        on_return: what to do when a module comes back, by name.
    """

    def __init__(
        self,
        *,
        shown: Iterable[str],
        edges: Mapping[str, set[str]],
        on_return: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._shown = frozenset(shown)
        self._edges = edges
        self._on_return = dict(on_return or {})
        self._hidden: dict[str, ModuleType] = {}
        self._children: dict[str, tuple[dict[str, Any], str, ModuleType]] = {}
        """By hidden submodule: the namespace of its package, and what it is called there."""
        self._settled: set[str] = set()
        """Modules whose needs have all come back: nothing has to be looked for behind them again."""
        self._returning = False

    def lower(self) -> None:
        """Hide everything that is not to be shown, and wait for imports."""
        self._hidden = {
            name: module for name, module in sys.modules.items() if name not in self._shown and module is not None
        }
        for name, module in self._hidden.items():
            parent_name, _, child = name.rpartition(".")
            parent = sys.modules.get(parent_name)
            fields = getattr(parent, "__dict__", {})  # what stands in sys.modules need not be a module
            if parent_name in self._shown and fields.get(child) is module:
                self._children[name] = (fields, child, module)
                del fields[child]
        for name in self._hidden:
            del sys.modules[name]
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Import protocol: a hidden module is found here, anything else elsewhere."""
        return ModuleSpec(name, _Returner(self, name)) if name in self._hidden else None  # type: ignore[arg-type]

    def module(self, name: str) -> ModuleType:
        """A hidden module, which is not hidden any more."""
        return self._hidden.pop(name)

    def come_back(self, name: str) -> None:
        """After a module has returned: what its import would have loaded follows, in the order of loading."""
        if name in self._children:
            fields, child, module = self._children.pop(name)
            fields[child] = module
        if not self._returning:
            self._returning = True
            try:
                reached = self._reached(name)
                for needed in [hidden for hidden in self._hidden if hidden in reached]:  # as the template loaded them
                    self._return(needed)
                self._settled |= reached
            finally:
                self._returning = False
        action = self._on_return.pop(name, None)
        if action is not None:
            action()

    def _return(self, name: str) -> None:
        if name not in self._hidden or name in sys.modules:
            return
        for finder in sys.meta_path[: sys.meta_path.index(self)]:
            spec = finder.find_spec(name, None, None)
            if spec is not None and spec.loader is not None:  # somebody waited for it: through the door, then
                module = importlib.util.module_from_spec(spec)
                sys.modules[name] = module
                spec.loader.exec_module(module)
                return
        sys.modules[name] = self.module(name)
        self.come_back(name)

    def _reached(self, name: str) -> set[str]:
        """All modules that loading this one would load, those excepted that are settled, and what they reach."""
        found = {name}
        pending = [name]
        while pending:
            current = pending.pop()
            parent = current.rpartition(".")[0]
            fresh = self._edges.get(current, set()) - found - self._settled
            if parent and parent not in found and parent not in self._settled:
                fresh.add(parent)
            found |= fresh
            pending.extend(fresh)
        return found


class _Returner:
    """Loader of one hidden module: it is executed already."""

    def __init__(self, veil: Veil, name: str) -> None:
        self._veil = veil
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self._veil.module(self._name)
        self._spec = getattr(module, "__spec__", None)
        return module

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__spec__"] = self._spec  # some modules refuse attributes
        self._veil.come_back(self._name)
