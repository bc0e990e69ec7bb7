"""``nav.python.optimize``: `turnkey.optimize` for Python callables."""

from __future__ import annotations

from typing import Any

from turnkey.navigator import dispatch
from turnkey.navigator.dataloader import SizedDataLoader
from turnkey.navigator.format import Format
from turnkey.navigator.package_result import Package


def optimize(model: Any, dataloader: SizedDataLoader, *args: Any, **kwargs: Any) -> Package:
    """Optimise one of the Python callables; arguments and errors as `turnkey.optimize`.

    Raises:
        ConfigurationError: the model is of another kind.
    """
    return dispatch.optimize(dispatch.of_kind(Format.PYTHON, model), dataloader, *args, **kwargs)
