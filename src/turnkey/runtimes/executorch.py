"""ExecuTorch: executes ``.pte`` programs with the XNNPACK backend of its Python package. No options.

Its threads are a pool of the process of its own: the pool is made anew with the threads that are asked for,
and again with those that it had when the runner is closed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file

if TYPE_CHECKING:
    from turnkey.formats.stored_call import StoredCall


class ExecuTorchRunner(StoredTorchRunner):
    """One loaded program."""

    def __init__(self, program: Any, stored: StoredCall, *, threads: int, pool: _Pool) -> None:
        self._program = program  # its memory holds the method's constants
        method = program.load_method("forward")
        super().__init__(lambda *tensors: method.execute(tensors), stored, threads=threads)
        self._pool_threads = pool.threads
        self._undo.callback(pool.give_back)

    def describe(self) -> Mapping[str, Any]:
        """As every runner, with the version of ExecuTorch and a note where the pool has other threads."""
        facts = super().describe()
        other = [] if self._pool_threads == facts["threads"] else [f"ExecuTorch has {self._pool_threads} threads"]
        return {**facts, "runtime_version": version("executorch"), "notes": [*facts["notes"], *other]}


class _Pool:
    """The process's pool of threads, made anew with ``threads``, which it may have fewer of; given back by name."""

    def __init__(self, library: Any, *, threads: int) -> None:
        self._library = library
        self._before = int(library._threadpool_get_thread_count())
        library._unsafe_reset_threadpool(threads)
        self.threads = int(library._threadpool_get_thread_count())

    def give_back(self) -> None:
        """As many threads as there were."""
        self._library._unsafe_reset_threadpool(self._before)


class ExecuTorchRuntime:
    """The runtime ``executorch``."""

    name = "executorch"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("executorch",)
    devices: tuple[str, ...] = ("cpu",)
    requires: tuple[str, ...] = ("torch", "executorch")
    install = "pip install 'turnkey[executorch]'"
    compiles = False

    def load(self, request: LoadRequest) -> ExecuTorchRunner:
        """The method ``forward`` of the program of the file.

        Raises:
            UsageError: there is no file, or an option.
            ArtifactError: it is not known how the program is called.
            ConversionError: ExecuTorch cannot load it.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="executorch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "this API is experimental", at every import
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime as Engine

        from turnkey.formats.stored_call import read_stored_call

        stored = read_stored_call(path)
        pool = _Pool(portable_lib, threads=request.threads)
        try:
            # From bytes: a program that is mapped from a file sees that file change.
            program = Engine.get().load_program(path.read_bytes())
            return ExecuTorchRunner(program, stored, threads=request.threads, pool=pool)
        except RuntimeError as error:
            pool.give_back()
            raise ConversionError(
                f"ExecuTorch cannot load {path.name}",
                evidence=str(error).strip()[:2000],
                remedy="make it again with this version: convert --to executorch",
            ) from error


RUNTIME: Runtime = ExecuTorchRuntime()
