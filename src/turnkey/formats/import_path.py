"""``sys.path`` as it was: some libraries append their own directories when they are imported.

``onnxruntime.transformers``, and whatever imports it, does: its modules ``benchmark`` and ``metrics`` would shadow
the user's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def import_path_kept() -> Iterator[None]:
    """Import inside; the path is restored afterwards."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before
