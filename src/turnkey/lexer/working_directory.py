"""The private directory of a context: there as long as the context or a result of it lives, unless closed before."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class WorkingDirectory:
    """A new directory that only this user can enter.

    Args:
        kept_in: an existing directory to make it in; then it stays. By default the system's temporary one.
    """

    def __init__(self, kept_in: Path | None = None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="turnkey-lexer-", dir=kept_in))  # mode 0700
        self._removal = None if kept_in else weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def close(self) -> None:
        """Remove it now, unless it is to stay."""
        if self._removal is not None:
            self._removal()
