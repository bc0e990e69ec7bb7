"""`optimize` for the models of one framework; ``nav.torch``, ``nav.onnx``, ``nav.python``, ``nav.jax`` … have it.

TensorFlow and JAX bring functions and models that are called with arrays and return arrays: Python callables here.
"""

from __future__ import annotations

import importlib.util
import inspect
from dataclasses import dataclass
from typing import Any

from turnkey.errors import MissingDependencyError
from turnkey.navigator import dispatch
from turnkey.navigator.dataloader import SizedDataLoader
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import Format
from turnkey.navigator.model_config import CALLABLE_TARGETS, source_format
from turnkey.navigator.package_result import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Framework:
    """A framework with its own `optimize`.

    Attributes:
        kind: of its models.
        library: of callables, that must be installed and says what they become; empty for other frameworks.
    """

    kind: Format
    library: str = ""

    def optimize(self, model: Any, dataloader: SizedDataLoader, *args: Any, **kwargs: Any) -> Package:
        """Optimise a model of this framework; arguments and errors as `turnkey.optimize`.

        Without ``target_formats`` a callable of a library becomes all that functions of it can become.

        Raises:
            ConfigurationError: the model is of another kind.
            MissingDependencyError: the library is not installed.
        """
        call = inspect.signature(dispatch.optimize).bind(model, dataloader, *args, **kwargs)
        if self.library:
            if importlib.util.find_spec(self.library) is None:
                raise MissingDependencyError(
                    f"{self.library} is not installed",
                    evidence=f"no module named {self.library!r}",
                    remedy=f"pip install 'turnkey[{self.library}]'",
                )
            if call.arguments.get("target_formats") is None:
                call.arguments["target_formats"] = CALLABLE_TARGETS[self.library]
        if source_format(model) is not self.kind:
            raise ConfigurationError(
                f"{self.library or self.kind.value}.optimize takes another kind of model",
                evidence=f"it was given a {type(model).__name__}",
                remedy="turnkey.optimize(model, dataloader) takes every kind",
            )
        return dispatch.optimize(*call.args, **call.kwargs)


TORCH = Framework(kind=Format.TORCH)
ONNX = Framework(kind=Format.ONNX)
PYTHON = Framework(kind=Format.PYTHON)
TENSORFLOW = Framework(kind=Format.PYTHON, library="tensorflow")
JAX = Framework(kind=Format.PYTHON, library="jax")
