"""Digest and size of files that belong together."""

from __future__ import annotations

import hashlib
from pathlib import Path

from turnkey.file_digest import digest_of_files


def test_several_files_are_named_by_their_bytes_in_order(tmp_path: Path) -> None:
    parts = [b"graph", bytes(3 << 20), b""]
    paths = [tmp_path / str(index) for index in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part)
    found = digest_of_files(paths)
    assert found == (hashlib.sha256(b"".join(parts)).hexdigest(), sum(map(len, parts)))
    assert digest_of_files(reversed(paths)).sha256 != found.sha256
