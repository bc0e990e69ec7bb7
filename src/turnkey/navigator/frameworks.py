"""Frameworks whose models this Turnkey does not convert: their names exist, and using them says what to do."""

from __future__ import annotations

import importlib.util
from typing import Any, NoReturn

from turnkey.errors import ConversionError, MissingDependencyError


class ForeignFramework:
    """``nav.tensorflow`` and ``nav.jax``.

    Args:
        name: of the package.
        remedy: how to bring such a model here.
    """

    def __init__(self, name: str, remedy: str) -> None:
        self._name = name
        self._remedy = remedy

    def optimize(self, model: Any, dataloader: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse, with the way over.

        Raises:
            MissingDependencyError: the framework is not installed.
            ConversionError: it is, and no plug-in converts its models.
        """
        if importlib.util.find_spec(self._name) is None:
            raise MissingDependencyError(
                f"{self._name} is not installed", evidence=f"no module named {self._name!r}", remedy=self._remedy
            )
        raise ConversionError(
            f"{self._name} models are not converted here",
            evidence=f"no plug-in of the group turnkey.formats reads {type(model).__name__}",
            remedy=self._remedy,
        )


TENSORFLOW = ForeignFramework(
    "tensorflow", "python -m tf2onnx.convert --saved-model DIR --output model.onnx   # then optimise model.onnx"
)
JAX = ForeignFramework(
    "jax", "turnkey.optimize(lambda **inputs: jitted(**inputs), samples)   # as a Python callable of arrays"
)
