"""``nav.tensorflow`` and ``nav.jax``: functions and models of these frameworks, as Python callables of arrays."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from turnkey.errors import MissingDependencyError
from turnkey.navigator import dispatch
from turnkey.navigator.dataloader import SizedDataLoader
from turnkey.navigator.format import Format
from turnkey.navigator.package_result import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class CallableFramework:
    """A framework whose models are called with arrays and return arrays.

    Attributes:
        name: of the package.
        install: the command that installs it.
        targets: formats that its functions become, beside the callable itself.
    """

    name: str
    install: str
    targets: tuple[Format, ...]

    def optimize(self, model: Any, dataloader: SizedDataLoader, **arguments: Any) -> Package:
        """Optimise a function or a model of the framework; arguments and errors as `turnkey.optimize`.

        Without ``target_formats`` it becomes all that functions of the framework can become.

        Raises:
            MissingDependencyError: the framework is not installed.
        """
        if importlib.util.find_spec(self.name) is None:
            raise MissingDependencyError(
                f"{self.name} is not installed", evidence=f"no module named {self.name!r}", remedy=self.install
            )
        if arguments.get("target_formats") is None:
            arguments["target_formats"] = self.targets
        return dispatch.optimize(dispatch.of_kind(Format.PYTHON, model), dataloader, **arguments)


TENSORFLOW = CallableFramework(
    name="tensorflow",
    install="pip install 'turnkey[tensorflow]'",
    targets=(Format.PYTHON, Format.TF_SAVEDMODEL, Format.ONNX),
)
JAX = CallableFramework(name="jax", install="pip install 'turnkey[jax]'", targets=(Format.PYTHON, Format.STABLEHLO))
