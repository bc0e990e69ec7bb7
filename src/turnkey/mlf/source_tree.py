"""C sources of a tarball in a private directory, and the flags with which they compile there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from turnkey.mlf import naming


class SourceTree(NamedTuple):
    """The directory, and where headers and included constants lie in it."""

    root: Path
    flags: tuple[str, ...]


@contextmanager
def source_tree(files: Mapping[str, bytes], modules: Iterable[str]) -> Iterator[SourceTree]:
    """Unpack what a compiler needs of a tarball's files; the directory is gone afterwards.

    Args:
        files: content by path, each path checked (`turnkey.mlf.archive`).
        modules: names of those whose constants may be included.
    """
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-") as directory:
        root = Path(directory)
        for path, content in files.items():
            if path.startswith(("codegen/", "runtime/include/")):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        includes = (f"-I{root}/codegen/host/include", f"-I{root}/runtime/include")
        macros = (f'-D{naming.constants_macro(module)}="{root}/{naming.constants_file(module)}"' for module in modules)
        yield SourceTree(root, (*includes, *macros))
