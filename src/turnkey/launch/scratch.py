"""The temporary directory that one isolated input has for itself, gone with the last of its processes.

The call chooses the name, the input's warden makes the directory and removes it at the end; so a call that is killed
leaves none behind, and where a warden is killed the call knows what to remove. Only who kills both at once has to
clean up after them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "turnkey-"


def scratch_name() -> Path:
    """A name that nobody can guess, beside the other temporary files of this machine; nothing is made."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"


def make_scratch(directory: Path) -> None:
    """Make it, for this user alone. Raises OSError, also if something of that name is there already."""
    directory.mkdir(mode=0o700)


def remove_scratch(directory: Path) -> None:
    """Remove it with all that is in it, also below what was made read-only; nothing happens if it is not there."""
    for folder, names, _ in os.walk(directory):
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.islink(path):
                with suppress(OSError):  # another user's: then it stays
                    os.chmod(path, 0o700)
    shutil.rmtree(directory, ignore_errors=True)
