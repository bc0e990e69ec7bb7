"""What every instance of a decorated class answers to as ``model.lexer``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, overload

from turnkey.lexer.decoration import Decoration, decoration_of

if TYPE_CHECKING:
    from turnkey.lexer.api.lexer_context import LexerContext
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.report import BenchmarkReport

_REGISTRARS = frozenset({"register_parameter", "register_buffer", "add_module", "register_module"})


class Handle:
    """A model seen through the Lexer tools. Made anew at each access; holds nothing but the model."""

    __slots__ = ("model",)

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def decoration(self) -> Decoration:
        """Names and settings that the decorator was given."""
        return decoration_of(self.model)

    def export_model(self, input: Any, *, context: LexerContext | None = None, **settings: Any) -> ExportResult:
        """``context.export(model, input, …)``; without a context in one of its own: the file lives with the result."""
        return (context or _new_context()).export(self.model, input, **settings)

    def benchmark_model(self, input: Any, *, context: LexerContext | None = None, **settings: Any) -> BenchmarkReport:
        """``context.benchmark(model, input, …)``; as `export_model`."""
        return (context or _new_context()).benchmark(self.model, input, **settings)

    def __repr__(self) -> str:
        return f"<Lexer handle of {type(self.model).__name__}>"


def handle_of(model: Any) -> Handle:
    """The handle of any model, decorated or not, also of one whose own attribute is called ``lexer``."""
    return Handle(model)


def _new_context() -> LexerContext:
    from turnkey.lexer.api.lexer_context import LexerContext  # which need not be there to decorate a class

    return LexerContext()


class HandleDescriptor:
    """``model.lexer``, as long as the model has nothing of that name itself.

    Not a data descriptor: an attribute of the instance wins by the rules of the language. Parameters, buffers and
    submodules lie in tables of torch's, which are looked at here.
    """

    @overload
    def __get__(self, instance: None, owner: type) -> HandleDescriptor: ...

    @overload
    def __get__(self, instance: Any, owner: type) -> Handle: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        for table in ("_parameters", "_buffers", "_modules"):
            own = instance.__dict__.get(table, {})
            if "lexer" in own:
                return own["lexer"]
        # torch refuses to register a name that an object has already: to those who ask for that reason there is none.
        if sys._getframe(1).f_code.co_name in _REGISTRARS:
            raise AttributeError("lexer")
        return Handle(instance)
