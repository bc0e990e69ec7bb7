"""The private directory of a context: there as long as the context or a result of it lives, unless closed before."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from turnkey.errors import InputError, UsageError


class WorkingDirectory:
    """A new directory that only this user can enter.

    Args:
        kept_in: an existing directory to make it in; then it stays. By default the system's temporary one.

    Raises:
        InputError: there is no such directory, or it cannot be written.
    """

    def __init__(self, kept_in: Path | None = None) -> None:
        try:
            self._path = Path(tempfile.mkdtemp(prefix="turnkey-lexer-", dir=kept_in))  # mode 0700
        except OSError as error:
            raise InputError(
                "there is no directory for the files of a context",
                evidence=f"{kept_in or tempfile.gettempdir()}: {error.strerror or error}",
                remedy="LexerContext(workdir='an/existing/directory')",
            ) from error
        self._removal = None if kept_in else weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        self._is_closed = False

    @property
    def path(self) -> Path:
        """Where it is. Raises UsageError once it is closed: nobody would remove what is written then."""
        self.require_open()
        return self._path

    def require_open(self) -> None:
        """Raise UsageError if it is closed."""
        if self._is_closed:
            raise UsageError(
                "this LexerContext is closed",
                evidence=f"its directory {self._path} was given back by close() or at the end of its with block",
                remedy="make another LexerContext(), or do this before close()",
            )

    def close(self) -> None:
        """Remove it now, unless it is to stay. May be called again."""
        self._is_closed = True
        if self._removal is not None:
            self._removal()
