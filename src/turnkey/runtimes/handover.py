"""How a model in memory reaches a fresh process: a private file that the owner makes and deletes.

1. A directory that only this user can enter holds the chosen samples and, for runtimes that execute the live
   module, the module with its call structure, written with mode 0600.
2. Classes and functions that another process could not import (of ``__main__``, of the script's directory, of
   modules that are no longer on the path) are pickled by value; scripted modules are saved by TorchScript.
3. The reader is told the SHA-256 by its parent and refuses any other bytes: unpickling runs code.
4. While the reader unpickles, installed packages that the writer never loaded are hidden: libraries import optional
   packages, and a package that the script did without (or that does not load here) must not come in now.
5. The directory is removed when the measurement is over, also after an error. What a process left that was killed
   by SIGKILL, the next one removes: the directory's name tells whose it is.

Trade-offs (accepted): parameters are written once and read by every worker.
Scope: not a file format. Nothing that is kept, shipped or sent to another machine is ever pickled.
"""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

import psutil

from turnkey.errors import ArtifactError, ModelError
from turnkey.file_digest import digest_of_files
from turnkey.model.samples import SampleSet, write_samples
from turnkey.model.source import SourceModel

if TYPE_CHECKING:
    import torch

    from turnkey.model.call import CallStructure

UNREADABLE = "the model cannot be rebuilt in a fresh process"
_PREFIX = "turnkey-handover-"


class HandoverImpossible(Exception):
    """The live module cannot leave this process; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a fresh process is told.

    Attributes:
        samples: directory of the samples.
        module: ``{"path", "sha256", "kind", "search_path", "absent"}`` of the live module, plain JSON; None where
            no runtime needs it.
    """

    samples: Path
    module: Mapping[str, Any] | None


@contextmanager
def handed_over(source: SourceModel, samples: SampleSet, *, with_module: bool) -> Iterator[Handover]:
    """Files for fresh processes, there as long as the context lasts.

    Args:
        samples: what is fed and compared; any subset of the source's.
        with_module: whether a runtime executes the live module.

    Raises:
        HandoverImpossible: the module cannot be written.
    """
    _remove_orphans()
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))  # mode 0700
    try:
        # The call structure goes with the module: it may hold objects that no sample file can.
        write_samples(replace(samples, structure=None), directory / "samples")
        module = _write_module(source, directory) if with_module else None
        yield Handover(samples=directory / "samples", module=module)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def read_module(handed: Mapping[str, Any]) -> tuple[torch.nn.Module, CallStructure]:
    """The module and its call structure, in the fresh process.

    Raises:
        ArtifactError: the file is missing, is not this user's alone, or is not the one that the parent wrote.
        ModelError: an object in it cannot be rebuilt in another process; the text is `UNREADABLE`.
    """
    path = Path(handed["path"])
    try:
        status = path.stat()
        digest = digest_of_files([path]).sha256
    except OSError as error:
        raise ArtifactError("the model handed to this process cannot be read", evidence=str(error)) from error
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or digest != handed["sha256"]:
        raise ArtifactError(
            "the model handed to this process is not the one that was written for it",
            evidence=f"{path}: owner {status.st_uid}, mode {status.st_mode & 0o777:o}, SHA-256 {digest[:16]}",
            remedy="run the benchmark again; look for another program that writes to the temporary directory",
        )
    # At the end: what this interpreter finds by itself stays what it was.
    sys.path.extend(entry for entry in handed["search_path"] if entry not in sys.path)
    try:
        with path.open("rb") as file, _hidden(handed["absent"]):
            reader = _Reader(file)
            module, structure = reader.load()
    except Exception as error:  # whatever an object's own way of being rebuilt raises
        raise ModelError(UNREADABLE, evidence=f"{type(error).__name__}: {error}") from error
    if handed["kind"] == "torchscript":
        import torch

        module = torch.jit.load(str(path.with_suffix(".pt")))
    return module, structure


def _remove_orphans() -> None:
    """Directories of this user whose process is gone. A number that was given anew only delays it."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        try:
            is_ours = directory.lstat().st_uid == os.getuid() and not directory.is_symlink()
        except OSError:  # another process was faster
            continue
        if is_ours and owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(directory, ignore_errors=True)


class _Reader(pickle.Unpickler):
    """Unpickles, and gives functions that came by value the modules whose globals they have.

    TorchDynamo and others look names up in ``sys.modules[function.__globals__["__name__"]]``.
    """

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if (module, name) != ("cloudpickle.cloudpickle", "_make_function"):
            return found

        def made(*args: Any) -> Any:
            function = found(*args)
            self._functions.append(function)
            return function

        return made

    def load(self) -> Any:
        self._functions: list[Any] = []
        loaded = super().load()
        for function in self._functions:
            namespace = function.__globals__
            name_of_home = str(namespace.get("__name__", "__main__"))
            home = sys.modules.setdefault(name_of_home, ModuleType(name_of_home))
            for name, value in namespace.items():
                if not hasattr(home, name):
                    setattr(home, name, value)
        return loaded


def _write_module(source: SourceModel, directory: Path) -> Mapping[str, Any]:
    import torch

    module, path = source.module, directory / "module.pickle"
    module = getattr(module, "_orig_mod", module)
    kind = "pickle"
    try:
        if isinstance(module, torch.jit.ScriptModule):
            torch.jit.save(module, str(path.with_suffix(".pt")))
            kind, module = "torchscript", None
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, _by_value(_private_modules()):
            _writer(file).dump((module, source.samples.structure))
    except OSError:
        raise  # a full disk says nothing about the model
    except Exception as error:  # whatever an object's own __reduce__ raises
        raise HandoverImpossible(f"{type(error).__name__}: {error}") from error
    search_path = [os.path.abspath(entry) for entry in sys.path if entry]
    return {
        "path": str(path),
        "sha256": digest_of_files([path]).sha256,
        "kind": kind,
        "search_path": search_path,
        "absent": _absent_packages(),
    }


def _writer(file: IO[bytes]) -> pickle.Pickler:
    """Pickles as cloudpickle does, and parametrized modules too, which torch refuses since their class is made anew
    for each of them."""
    import cloudpickle
    from torch.nn import Module
    from torch.nn.utils import parametrize

    class Writer(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, Module) and parametrize.is_parametrized(value):
                plain = parametrize.type_before_parametrizations(value)
                return _unfilled, (plain,), value.__dict__, None, None, _parametrize
            return super().reducer_override(value)

    return Writer(file)


def _unfilled(module_class: type[torch.nn.Module]) -> torch.nn.Module:
    from torch.nn import Module

    return Module.__new__(module_class)


def _parametrize(module: torch.nn.Module, attributes: dict[str, Any]) -> None:
    """Give a module its attributes, and the class that computes its parametrized tensors at each access.

    ``register_parametrization`` would compute the original tensors anew, by an inverse that need not be exact.
    """
    from torch.nn.utils import parametrize

    module.__dict__.update(attributes)
    parametrize._inject_new_class(module)
    for name in attributes["_modules"]["parametrizations"]:
        parametrize._inject_property(module, name)


def _absent_packages() -> list[str]:
    """Installed top-level packages that this process has not loaded."""
    from importlib.metadata import packages_distributions

    return sorted(set(packages_distributions()) - {name.partition(".")[0] for name in sys.modules})


@contextmanager
def _hidden(packages: Iterable[str]) -> Iterator[None]:
    """Import these as if they were not installed; those that are loaded already stay."""
    marked = [name for name in packages if name not in sys.modules]
    try:
        for name in marked:
            sys.modules[name] = None  # type: ignore[assignment]  # the import system's mark for "there is none"
        yield
    finally:
        for name in marked:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


def _private_modules() -> list[ModuleType]:
    """Imported modules of the user that a fresh interpreter could not import by their names."""
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    script_directory = os.path.dirname(os.path.abspath(main_file)) if main_file else None
    importable = [os.path.abspath(entry) for entry in sys.path if entry]
    found = []
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        file = getattr(module, "__file__", None)
        if not isinstance(module, ModuleType) or not file or top in ("__main__", "turnkey"):
            continue
        if top in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file:
            continue
        file = os.path.abspath(file)
        of_script = script_directory is not None and file.startswith(script_directory + os.sep)
        place = os.path.join(*name.split("."))
        if of_script or not any(file.startswith(os.path.join(entry, place)) for entry in importable):
            found.append(module)
    return found


@contextmanager
def _by_value(modules: list[ModuleType]) -> Iterator[None]:
    import cloudpickle

    already = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in modules if module.__name__ not in already]
    registered: list[Any] = []
    try:
        for module in added:
            if sys.modules.get(module.__name__) is module:
                cloudpickle.register_pickle_by_value(module)
                registered.append(module)
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)
