"""A metric of the user's: a function in a script, ``metric.py:accuracy``.

It is called as ``function(outputs, references)`` with two lists of samples (named arrays), those of a variant and
those of the source model, in the same order, and returns a number, of which more is better, or a verdict (True: good
enough). The source model's own value is ``function(references, references)``.

The script is the user's code and runs with the user's rights.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import InputError, ModelError

if TYPE_CHECKING:
    from turnkey.model.samples import Sample

_CALLED = "--metric script.py:function, called with the outputs of a variant and those of the source model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A function of the user's with its name."""

    name: str
    function: Callable[[Sequence[Sample], Sequence[Sample]], Any]

    def value(self, outputs: Sequence[Sample], references: Sequence[Sample]) -> float:
        """The number that the function gives; a verdict is 1 or 0.

        Raises:
            ModelError: it raises, or returns no finite number.
        """
        import math

        try:
            found = float(self.function(list(outputs), list(references)))
        except Exception as error:
            raise ModelError(
                f"the metric {self.name} fails", evidence=f"{type(error).__name__}: {error}", remedy=_CALLED
            ) from error
        if not math.isfinite(found):
            raise ModelError(
                f"the metric {self.name} is not a finite number", evidence=f"it returned {found}", remedy=_CALLED
            )
        return found


def load_metric(text: str) -> Metric:
    """The metric that ``script.py:function`` names.

    Raises:
        InputError: there is no such script or function, or the script fails while it is imported.
    """
    place, _, name = text.rpartition(":")
    path = Path(place).expanduser()
    if not name or not path.is_file():
        raise InputError(f"there is no script for the metric {text!r}", evidence=str(path), remedy=_CALLED)
    spec = importlib.util.spec_from_file_location(f"turnkey_metric_{path.stem}", path)
    assert spec is not None, "a file that ends in .py has a loader"
    assert spec.loader is not None, "a file that ends in .py has a loader"
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(
            f"the script of the metric {text!r} fails", evidence=f"{type(error).__name__}: {error}", remedy=_CALLED
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        known = sorted(each for each, value in vars(module).items() if callable(value) and not each.startswith("_"))
        raise InputError(
            f"{path.name} has no function {name!r}", evidence=f"it has: {', '.join(known) or 'none'}", remedy=_CALLED
        )
    return Metric(name=name, function=function)


def parse_metric(text: str) -> str:
    """``script.py:function``, checked for its form; the script is run when it is needed."""
    place, separator, name = text.rpartition(":")
    if not separator or not place.endswith(".py") or not name.isidentifier():
        raise ValueError("a metric is given as script.py:function")
    return text
