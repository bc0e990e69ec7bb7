"""``nav.tensorflow`` and ``nav.jax``: functions and models of these frameworks, as Python callables of arrays."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
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

    def optimize(
        self,
        model: Any,
        dataloader: SizedDataLoader,
        *args: Any,
        target_formats: Sequence[Format | str] | None = None,
        **kwargs: Any,
    ) -> Package:
        """Optimise a function or a model of the framework; arguments and errors as `turnkey.optimize`.

        Args:
            target_formats: None is all that the framework's functions become.

        Raises:
            MissingDependencyError: the framework is not installed.
        """
        if importlib.util.find_spec(self.name) is None:
            raise MissingDependencyError(
                f"{self.name} is not installed", evidence=f"no module named {self.name!r}", remedy=self.install
            )
        chosen = self.targets if target_formats is None else target_formats
        called = dispatch.of_kind(Format.PYTHON, model)
        return dispatch.optimize(called, dataloader, *args, target_formats=chosen, **kwargs)


TENSORFLOW = CallableFramework(
    name="tensorflow",
    install="pip install 'turnkey[tensorflow]'",
    targets=(Format.PYTHON, Format.TF_SAVEDMODEL, Format.ONNX),
)
JAX = CallableFramework(name="jax", install="pip install 'turnkey[jax]'", targets=(Format.PYTHON, Format.STABLEHLO))
