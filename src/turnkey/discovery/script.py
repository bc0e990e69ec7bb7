"""A script, run in this process as ``python script.py`` would run it.

`ScriptRun.run` executes the script, and everything it changed of the process is put back at once, except ``__main__``
and the modules from the script's directory, which the model needs as long as it is in use (pickle, source look-up,
sibling modules). `ScriptRun.leave` removes those too.

The whole script runs, with the user's rights: nothing here is a sandbox.

Trade-offs (accepted): standard output is buffered in blocks where it is no terminal, as Python does it, so a script
that is killed loses its last lines; user code sees our frames below its own (``inspect.stack()``); modules that the
script loaded from elsewhere stay loaded for the next input; `os._exit` and crashes end this process.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import io
import os
import shlex
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, ModuleType

from turnkey.discovery.ending import Ending
from turnkey.discovery.script_outcome import ScriptOutcome, chain, outcome_of, without_our_frames
from turnkey.discovery.surroundings import Surroundings
from turnkey.errors import InputError, UsageError

_OWN_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


def split_arguments(text: str) -> list[str]:
    """Script arguments as the shell would split them; a comma directly before ``--`` separates too.

    Raises:
        UsageError: a quotation is not closed.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            "the script arguments cannot be split into words",
            evidence=f"--script-args {text!r}: {error}",
            remedy="close the quotation, or put a backslash before a quote that is meant as such",
        ) from error
    return [part for word in words for part in _split_at_commas(word)]


def _split_at_commas(word: str) -> Iterable[str]:
    first, *rest = word.split(",--")
    return (part for part in (first, *(f"--{part}" for part in rest)) if part)


class ScriptRun:
    """One run of one script.

    Args:
        path: the script, as the user named it; it becomes ``sys.argv[0]``.
        arguments: further words of ``sys.argv``.

    Raises:
        InputError: the script cannot be read.
    """

    def __init__(self, path: str, arguments: Iterable[str] = ()) -> None:
        self.path = path
        self.arguments = tuple(arguments)
        try:
            self._source = Path(path).read_bytes()
        except OSError as error:
            raise InputError(
                f"{path} cannot be read",
                evidence=str(error),
                remedy="name a Python script: turnkey -i SCRIPT.py discover",
            ) from error
        self.file = os.path.join(os.getcwd(), path)  # neither resolved nor normalised, as Python does it
        self.directory = os.path.dirname(os.path.realpath(path))
        self._resolved_directories: dict[str, str] = {}
        self._modules_before = set(sys.modules)
        self._main_before = sys.modules.get("__main__")
        self._error: BaseException | None = None

    def leave(self) -> None:
        """Remove what belongs to the script from `sys.modules`, and the frames of the exception that ended it."""
        for link in chain(self._error):
            link.__traceback__ = None  # its frames hold all that the script had in memory
        for name in set(sys.modules) - self._modules_before:
            module = sys.modules.get(name)
            if isinstance(module, ModuleType) and self.owns_module(module):
                del sys.modules[name]
        if self._main_before is not None:
            sys.modules["__main__"] = self._main_before

    def owns_file(self, file: str) -> bool:
        """Whether a source file is the script or lies in its directory, installed packages excepted."""
        if not file or file.startswith("<"):
            return False
        path = self._resolved(file)
        return path.startswith(self.directory.rstrip(os.sep) + os.sep) and not _is_installed(path)

    def _resolved(self, file: str) -> str:
        """``os.path.realpath``, each directory only once: of a thousand modules most lie in a few directories."""
        directory, name = os.path.split(file)
        if not os.path.isabs(file) or name in ("", os.curdir, os.pardir) or os.path.islink(file):
            return os.path.realpath(file)
        if directory not in self._resolved_directories:
            self._resolved_directories[directory] = os.path.realpath(directory)
        return os.path.join(self._resolved_directories[directory], name)

    def owns_module(self, module: ModuleType) -> bool:
        """Whether a module was imported from the script's directory."""
        fields = vars(module)  # not getattr: some modules answer every name with an object of their own
        if isinstance(fields.get("__file__"), str):
            return self.owns_file(fields["__file__"])
        return any(self.owns_file(str(place)) for place in list(fields.get("__path__") or ()))

    def imported_files(self) -> tuple[str, ...]:
        """Source files of the modules that the script imported from its own directory, sorted."""
        modules = [sys.modules[name] for name in set(sys.modules) - self._modules_before]
        files = {vars(module).get("__file__") for module in modules if isinstance(module, ModuleType)}
        return tuple(
            sorted(os.path.realpath(file) for file in files if isinstance(file, str) and self.owns_file(file))
        )

    def run(
        self, *, before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None
    ) -> ScriptOutcome:
        """Execute the script to its end, its threads and exit handlers included.

        Args:
            before: called when everything is in place, just before the first line.
            after: called as soon as the script has ended, also by an exception, before anything is put back.

        Raises:
            KeyboardInterrupt: the user interrupted; the process is put back first.
        """
        owner = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        surroundings = Surroundings()
        ending = Ending(lambda name, file: name == "__main__" or self.owns_file(file))
        empty = os.open(os.devnull, os.O_RDONLY)
        standard = {descriptor: _duplicate(descriptor) for descriptor in (0, 1, 2)}
        try:
            os.dup2(empty, 0, inheritable=True)
            self._set_up()
            before()
            outcome = self._execute(owner, ending)
        finally:
            if os.getpid() != owner:
                os._exit(1)  # a forked child that an exception of ours drove out of the script
            after()
            ending.release()
            surroundings.restore()
            os.close(empty)
            for descriptor, copy in standard.items():
                if copy is not None:
                    os.dup2(copy, descriptor)
                    os.close(copy)
        return outcome

    def _set_up(self) -> None:
        main = ModuleType("__main__")
        loader = importlib.machinery.SourceFileLoader("__main__", self.file)
        main.__dict__.update(
            __file__=self.file, __builtins__=builtins, __loader__=loader, __cached__=None, __annotations__={}
        )
        sys.modules["__main__"] = main
        sys.argv = [self.path, *self.arguments]
        if not os.environ.get("PYTHONSAFEPATH"):
            # The first entry is the directory of whatever started this process; the script's takes its place. A
            # process that was started with -P (`top_level`) has no such entry.
            sys.path[: 0 if sys.flags.safe_path else 1] = [self.directory]
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb", closefd=False)), encoding="utf-8")
        sys.stdout, sys.stderr = _stream(1, sys.__stdout__, errors="strict"), _stream(2, sys.__stderr__)

    def _execute(self, owner: int, ending: Ending) -> ScriptOutcome:
        error: BaseException | None = None
        exit_code = 1
        try:
            try:
                exec(self._compile(), sys.modules["__main__"].__dict__)
            except BaseException as raised:  # noqa: BLE001 - the script's end, whatever it is
                error = self._error = without_our_frames(raised)
            if isinstance(error, KeyboardInterrupt) and os.getpid() == owner:
                raise error
            outcome = outcome_of(error)
            exit_code = outcome.exit_code
            ending.perform()
        finally:
            _flush(sys.stdout)
            _flush(sys.stderr)
            if os.getpid() != owner:  # a child that the script forked, and that ends here as the script does
                os._exit(exit_code)
        return outcome

    def _compile(self) -> CodeType:
        return compile(self._source, self.file, "exec", dont_inherit=True)


def _stream(descriptor: int, model: io.TextIOBase | object, errors: str = "backslashreplace") -> io.TextIOWrapper:
    """A fresh standard stream as a new interpreter makes it; the script may close it."""
    raw = io.FileIO(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(model, "encoding", None) or "utf-8",
        errors=getattr(model, "errors", None) or errors,
        line_buffering=descriptor == 2 or raw.isatty(),
        write_through=bool(os.environ.get("PYTHONUNBUFFERED")),
    )


def _flush(stream: object) -> None:
    try:
        stream.flush()  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return  # closed or replaced by the script, or a full disk: what was written so far counts


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed by whoever started us
        return None


def _is_installed(path: str) -> bool:
    parts = path.split(os.sep)
    return (
        "site-packages" in parts
        or "dist-packages" in parts
        or path.startswith(sysconfig.get_paths()["stdlib"] + os.sep)
        or path.startswith(os.path.dirname(_OWN_DIRECTORY) + os.sep)
    )
