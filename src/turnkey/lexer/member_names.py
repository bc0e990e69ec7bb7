"""Names of an artifact's members from names of classes, whatever characters those have."""

from __future__ import annotations

import re
import unicodedata

from turnkey.errors import UsageError

_LONGEST_BYTES = 120
_ODD = re.compile(r"[^\w.+-]+")


class MemberNames:
    """Gives each class a stem of its own, and each further model of a class a suffix: ``Net``, ``Net-2``."""

    def __init__(self) -> None:
        self._stems: dict[str, str] = {}
        self._models: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def stem(self, class_name: str) -> str:
        """For ``<Class>.csv``; the same for the same class name."""
        if class_name not in self._stems:
            self._stems[class_name] = self._unused(file_stem(class_name))
        return self._stems[class_name]

    def model_stem(self, class_name: str, model: str) -> str:
        """For ``<Class>.onnx``.

        Args:
            model: what tells one model from another of its class.
        """
        key = (class_name, model)
        if key not in self._models:
            first = self.stem(class_name)
            is_first = not any(name == class_name for name, _ in self._models)
            self._models[key] = first if is_first else self._unused(first)
        return self._models[key]

    def _unused(self, wanted: str) -> str:
        name, count = wanted, 1
        while name.casefold() in self._taken:  # one file on some systems
            count += 1
            name = f"{wanted}-{count}"
        self._taken.add(name.casefold())
        return name


def file_stem(class_name: str) -> str:
    """The class name as the stem of a file: letters and digits of any language, ``_``, ``.``, ``+`` and ``-``."""
    text = _ODD.sub("_", unicodedata.normalize("NFC", class_name))
    short = text.encode()[:_LONGEST_BYTES].decode(errors="ignore")
    return short.strip("_.") or "model"


def artifact_stem(name: object) -> str:
    """The name of an artifact, without the suffix that it may have been given with.

    Raises:
        UsageError: it is no text, is empty, or could not be the name of one file.
    """
    text = name.removesuffix(".lexer") if isinstance(name, str) else ""
    bad = [c for c in text if c in '/\\:*?"<>|' or not c.isprintable()]
    if not text or bad or text.strip(". ") != text or len(text.encode("utf-8", "replace")) > 200:
        raise UsageError(
            "this cannot be the name of an artifact",
            evidence=f"name={name!r}" + (f"; not allowed: {' '.join(map(repr, dict.fromkeys(bad)))}" if bad else ""),
            remedy="context.flush(name='benchmark', target_directory='some/where')",
        )
    return text
