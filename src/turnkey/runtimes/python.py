"""Python: executes any live callable that takes and returns numpy arrays. No options.

What it uses inside is its own business: so are its threads, which this runtime cannot set.
"""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.errors import ModelError, UsageError
from turnkey.model.call import CallStructure, flatten_result
from turnkey.model.samples import Sample
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime

if TYPE_CHECKING:
    from turnkey.runtimes.runtime import Runner


def is_array(value: Any) -> bool:
    """Whether a value of a callable's result counts as an array: arrays, numbers, and what converts itself."""
    return isinstance(value, (np.ndarray, np.generic, bool, int, float)) or hasattr(value, "__array__")


def python_outputs(function: Callable[..., Any], structure: CallStructure, sample: Sample) -> Sample:
    """One call as named arrays, on copies: a function that writes into its arguments does not change the sample."""
    args, kwargs = structure.bind({name: array.copy() for name, array in sample.items()})
    return _named(function(*args, **kwargs))


def _named(result: Any) -> Sample:
    return {name: np.asarray(value) for name, value in flatten_result(result, is_tensor=is_array).items()}


class PythonRunner:
    """A function bound to the structure of its calls."""

    def __init__(self, function: Callable[..., Any], structure: CallStructure, *, threads: int) -> None:
        self._function = function
        self._structure = structure
        self._threads = threads

    def prepare(self, sample: Sample) -> Any:
        """``(args, kwargs)`` of the call, on arrays of its own."""
        bound = self._structure.bind({name: np.array(array) for name, array in sample.items()})
        return bound if self._structure.is_portable else copy.deepcopy(bound)

    def run(self, prepared: Any) -> Any:
        """The call."""
        args, kwargs = prepared
        return self._function(*args, **kwargs)

    def outputs(self, result: Any) -> Sample:
        """Arrays by name, in the order of the result."""
        return _named(result)

    def describe(self) -> Mapping[str, Any]:
        """Version of Python; the threads of a function are unknown."""
        return {
            "runtime_version": platform.python_version(),
            "device": "cpu",
            "placement": {},
            "fallback": None,
            "notes": [f"the function's threads are its own; {self._threads} were meant"],
        }

    def close(self) -> None:
        """Let go of the function."""
        del self._function


class PythonRuntime:
    """The runtime ``python``."""

    name = "python"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("python",)
    devices: tuple[str, ...] = ("cpu",)
    requires: tuple[str, ...] = ("numpy",)
    install = "pip install numpy"
    compiles = False

    def load(self, request: LoadRequest) -> Runner:
        """The callable of the request.

        Raises:
            UsageError: there is no live callable, or an option.
            ModelError: its samples do not tell how it is called.
        """
        refuse_unknown(self.name, request.options, ())
        if request.module is None:
            raise UsageError(
                "the runtime python executes a live callable; this input has none",
                remedy="turnkey.optimize(FUNCTION, samples)   # in Python",
            )
        if request.structure is None:
            raise ModelError("nothing tells how the function is called: its samples have no call structure")
        return PythonRunner(request.module, request.structure, threads=request.threads)


RUNTIME: Runtime = PythonRuntime()
