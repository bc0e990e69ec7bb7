"""``sys.path`` as it was: onnxruntime's tools append their own directory when they are imported.

Their modules (``benchmark``, ``metrics``) would shadow the user's. They also import each other through it, some of
them late: inside, the directory is there in any case.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def import_path_kept() -> Iterator[None]:
    """Import and use ``onnxruntime.transformers`` and ``onnxruntime.quantization`` inside."""
    before = list(sys.path)
    spec = importlib.util.find_spec("onnxruntime")
    if spec is not None and spec.origin is not None:
        sys.path.append(str(Path(spec.origin).parent / "transformers"))
    try:
        yield
    finally:
        sys.path[:] = before
