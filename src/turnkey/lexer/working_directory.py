"""The private directory of a context: there as long as the context or a result of it lives, unless closed before."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from turnkey.errors import InputError


class WorkingDirectory:
    """A new directory that only this user can enter.

    Args:
        kept_in: an existing directory to make it in; then it stays. By default the system's temporary one.

    Raises:
        InputError: there is no such directory, or it cannot be written.
    """

    def __init__(self, kept_in: Path | None = None) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix="turnkey-lexer-", dir=kept_in))  # mode 0700
        except OSError as error:
            raise InputError(
                "there is no directory for the files of a context",
                evidence=f"{kept_in or tempfile.gettempdir()}: {error.strerror or error}",
                remedy="LexerContext(workdir='an/existing/directory')",
            ) from error
        self._removal = None if kept_in else weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def close(self) -> None:
        """Remove it now, unless it is to stay."""
        if self._removal is not None:
            self._removal()
