"""Tarballs that are changed behind their exporter's back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import turnkey.mlf as mlf
from turnkey.mlf.archive import Archive
from turnkey.mlf.library import Module, from_archive

SAMPLE = {"image": np.random.default_rng(3).standard_normal((1, 2, 8, 8)).astype(np.float32)}
"""For the small CNN."""


def files_without_sums(tar: Path) -> dict[str, bytes]:
    """The files as if their author had recorded no sums: else every change were noticed at once."""
    files = dict(mlf.load(tar).archive.files)
    return {**files, "metadata.json": files["metadata.json"].replace(b'"files":', b'"former_files":')}


def planted(tar: Path, old: str, new: str, *, unit: str = "cnn_lib0.c") -> Module:
    """The module with one change in its C code, as if its exporter had made it."""
    files = files_without_sums(tar)
    path = f"codegen/host/src/{unit}"
    text = files[path].decode()
    assert old in text
    files[path] = text.replace(old, new, 1).encode()
    return from_archive(Archive(tar, files)).module()
