"""The decorator ``Lexer``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from turnkey.errors import UsageError
from turnkey.lexer.decoration import CLASS_ATTRIBUTE, Decoration, decorate_instance
from turnkey.lexer.handle import HandleDescriptor
from turnkey.lexer.options import checked

__all__ = ["Lexer"]

Class = TypeVar("Class", bound=type)
Model = TypeVar("Model")
Names = Sequence[str]


class _Lexer:
    """Connects a class of models to the Lexer tools: ``@Lexer(input_names=[...], output_names=[...])``.

    The class stays the same object with the same constructor; its instances answer to ``.lexer`` unless the model
    has an attribute of that name itself. Both lists may be left out: names then come from ``forward`` and from the
    structure of the result. Every key of the configuration may be given too: ``@Lexer(num_iterations=100)``.
    """

    @overload
    def __call__(self, original_class: Class) -> Class: ...

    @overload
    def __call__(
        self,
        original_class: Names | None = None,
        input_names: Names | None = None,
        output_names: Names | None = None,
        **settings: Any,
    ) -> Callable[[Class], Class]: ...

    def __call__(
        self,
        original_class: Any = None,
        input_names: Names | None = None,
        output_names: Names | None = None,
        **settings: Any,
    ) -> Any:
        """Decorate a class, or return the decorator that does: ``@Lexer``, ``@Lexer()``, ``@Lexer([…], […])``.

        Raises:
            UsageError: an unknown setting, a value of the wrong type, or something that is no class.
        """
        if original_class is not None and not isinstance(original_class, type):
            if not isinstance(original_class, (list, tuple)) or output_names is not None:
                raise _no_class(original_class)
            original_class, input_names, output_names = None, original_class, input_names
        decoration = _decoration(input_names, output_names, settings)

        def decorate(cls: Class) -> Class:
            if not isinstance(cls, type):
                raise _no_class(cls)
            setattr(cls, CLASS_ATTRIBUTE, decoration)
            if not hasattr(cls, "lexer"):  # what the class calls so itself is the class's
                cls.lexer = HandleDescriptor()  # type: ignore[attr-defined]
            return cls

        return decorate if original_class is None else decorate(original_class)

    def wrap(
        self, model: Model, input_names: Names | None = None, output_names: Names | None = None, **settings: Any
    ) -> Model:
        """Give one model names and settings, as the decorator does for a class; returns the same, unchanged object.

        Raises:
            UsageError: an unknown setting, a value of the wrong type, or an object that cannot be called.
        """
        if not callable(model) or isinstance(model, type):
            raise UsageError(
                "Lexer.wrap takes a model, an object that can be called",
                evidence=repr(model)[:200],
                remedy="for a class: @Lexer(input_names=[...], output_names=[...])",
            )
        decoration = _decoration(input_names, output_names, settings)
        try:
            decorate_instance(model, decoration)
        except TypeError as error:
            raise UsageError(
                f"a {type(model).__name__} object cannot be wrapped",
                evidence=str(error),
                remedy="give the names to the call: context.benchmark(model, x, input_names=[...])",
            ) from error
        return model


def _no_class(given: object) -> UsageError:
    return UsageError(
        f"@Lexer decorates classes, not {type(given).__name__} objects",
        evidence=repr(given)[:200],
        remedy="for an instance: model = Lexer.wrap(model)",
    )


def _decoration(input_names: Any, output_names: Any, settings: dict[str, Any]) -> Decoration:
    named = {"input_names": input_names, "output_names": output_names}
    given = {**settings, **{key: value for key, value in named.items() if value is not None}}
    return checked(given, where="@Lexer")


Lexer = _Lexer()
