"""Converted models by the content of everything that went into them: what was made once is not made again.

``<cache>/conversions/<key>/``: the files of one model, and ``answer.json`` with who made them and their SHA-256. The
key is SHA-256 over the source (model, weights, samples with their outputs), the format with its settings, the parent
file's digest, the installed versions and the processor. What is found is believed only after its bytes were compared.

Bounded: the least recently used models go when all together exceed `settings.conversion_cache_bytes`; a model larger
than a quarter of that is not kept. Two processes may keep the same model: an entry appears whole, by one rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.file_digest import digest_of_files
from turnkey.host import processor
from turnkey.navigator.typed_record import mapping, sequence, typed
from turnkey.pipeline.environment import versions
from turnkey.version import __version__

_ANSWER = "answer.json"
_LARGEST_SHARE = 4


def conversion_key(content: str, job: Mapping[str, Any], *, parent: str) -> str:
    """What names a conversion.

    Args:
        content: digest of the source with its samples.
        job: of the workbench; its paths and titles do not count.
        parent: SHA-256 of the parent's file; empty for a source in memory.
    """
    counted = {name: job[name] for name in ("format", "settings", "output_names")}
    text = json.dumps(
        [content, counted, parent, {**versions(), "turnkey": __version__}, processor()], sort_keys=True, default=str
    )
    return hashlib.sha256(text.encode()).hexdigest()


class ConversionCache:
    """The converted models of one user.

    Args:
        root: of all of them.
        limit_bytes: of all together; 0 neither finds nor keeps.
    """

    def __init__(self, root: Path | None = None, *, limit_bytes: int | None = None) -> None:
        self._root = root or settings.cache_dir() / "conversions"
        self._limit = settings.conversion_cache_bytes() if limit_bytes is None else limit_bytes

    def recall(self, key: str, path: Path) -> dict[str, Any] | None:
        """Put the model of a key at ``path``, its further files beside it; the answer of the job that made it.

        None if there is none, or what is there is not what was kept: that is removed, so that it is kept anew.
        """
        entry = self._root / key
        if not self._limit or not (entry / _ANSWER).is_file():
            return None
        try:
            answer = mapping(json.loads((entry / _ANSWER).read_bytes()))
            names = [_plain(name) for name in sequence(answer["files"])]
            if digest_of_files([entry / name for name in names]).sha256 != typed(str, answer["sha256"], "sha256"):
                raise ValueError("other bytes than were kept")
            path.parent.mkdir(parents=True, exist_ok=True)
            for name in names:
                shutil.copyfile(entry / name, path.parent / name)
            os.utime(entry / _ANSWER)
        except (OSError, ValueError, KeyError):
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return {**answer, "path": str(path), "files": [str(path.parent / name) for name in names]}

    def keep(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep what a job made, where it fits. What cannot be written is not kept."""
        files = [Path(each) for each in answer["files"]]
        size_bytes = int(answer["size_bytes"])
        is_beside = all(file.parent == files[0].parent for file in files)
        if size_bytes > self._limit // _LARGEST_SHARE or not is_beside or (self._root / key).exists():
            return
        with suppress(OSError):  # a full or foreign cache is no failure of the conversion
            self._root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._root, prefix=".keeping-") as scratch:
                entry = Path(scratch) / key
                entry.mkdir()
                for file in files:
                    shutil.copyfile(file, entry / file.name)
                stored = {**answer, "files": [file.name for file in files]}
                (entry / _ANSWER).write_text(json.dumps(stored), encoding="utf-8")
                entry.rename(self._root / key)
            self._shrink()

    def __contains__(self, key: str) -> bool:
        return bool(self._limit) and (self._root / key / _ANSWER).is_file()

    def _shrink(self) -> None:
        """Remove the least recently used models until the rest fits."""
        found = []
        for answer in self._root.glob(f"*/{_ANSWER}"):
            size_bytes = sum(file.stat().st_size for file in answer.parent.iterdir())
            found.append((answer.stat().st_mtime, size_bytes, answer.parent))
        total = sum(size_bytes for _, size_bytes, _ in found)
        for _, size_bytes, entry in sorted(found):
            if total <= self._limit:
                return
            shutil.rmtree(entry, ignore_errors=True)
            total -= size_bytes


def _plain(name: Any) -> str:
    """A file name of an entry. Raises ValueError for one that leads out of it."""
    if not isinstance(name, str) or name != Path(name).name or name in ("", ".", "..", _ANSWER):
        raise ValueError(f"a file name {name!r}")
    return name
