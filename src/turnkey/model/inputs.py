"""Inputs: what the words of a user name, expanded to files, before anything runs.

Understood: ``a.py``, ``a.py::479b1332``, ``m.onnx``, ``m.tar``, ``*_state.yaml``, lists (``.txt``, nested) of inputs
and wildcards (``*``, ``?``, ``[…]``, ``**``).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from turnkey.errors import UsageError

_WILDCARDS = frozenset("*?[")
_LARGEST_LIST_BYTES = 16 * 1024 * 1024
_UNDERSTOOD = "inputs are .py, .py::hash, .onnx, _state.yaml, .tar and .txt files, and wildcards for them"


class InputKind(Enum):
    SCRIPT = "script"
    ONNX = "ONNX file"
    BUILD = "build"
    TARBALL = "tarball"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file to work on.

    Attributes:
        path: as it was named (or found by a wildcard), not made absolute: a script sees it as its ``__file__``.
        target: the model hash after ``::``, else None.
    """

    path: Path
    kind: InputKind
    target: str | None = None

    @property
    def text(self) -> str:
        """As the user would name it: ``a.py::479b1332``."""
        return f"{self.path}::{self.target}" if self.target else str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedInputs:
    """Inputs in order, each once, and what the user should know about the expansion."""

    inputs: tuple[Input, ...]
    notes: tuple[str, ...] = ()


def expand_inputs(words: Sequence[str], *, suggest: Callable[[str], list[str]] | None = None) -> ExpandedInputs:
    """The files that the words name; words keep their order, the matches of a wildcard are sorted.

    Args:
        words: as given by the user.
        suggest: names of tools that a word may have meant, for the message about a word that is no file.

    Raises:
        UsageError: a missing file, a wildcard without a match or with a hash, a kind that is not understood,
            a list that contains itself.
    """
    inputs: dict[tuple[str, str | None], Input] = {}
    notes: list[str] = []
    for found in _Expansion(suggest or (lambda word: [])).words(words):
        key = (os.path.realpath(found.path), found.target)
        if key in inputs:
            notes.append(f"{found.text} is named more than once; it runs once")
        else:
            inputs[key] = found
    return ExpandedInputs(inputs=tuple(inputs.values()), notes=tuple(dict.fromkeys(notes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a word stands: on the command line, or in a list at some line."""

    list_file: Path | None = None
    line: int = 0

    def evidence(self, word: str) -> str:
        return f"{word} ({self.list_file}, line {self.line})" if self.list_file else word


class _Expansion:
    def __init__(self, suggest: Callable[[str], list[str]]) -> None:
        self._suggest = suggest
        self._open_lists: list[str] = []

    def words(self, words: Iterable[str], place: _Place | None = None) -> Iterator[Input]:
        for word in words:
            yield from self._word(word, place or _Place())

    def _word(self, word: str, place: _Place) -> Iterator[Input]:
        path = self._existing(word, place)
        if path is not None:
            yield from self._file(path, word, place)
            return
        name, separator, target = word.rpartition("::")
        if separator and _WILDCARDS & set(name):
            raise UsageError(
                "a wildcard and a model hash exclude each other",
                evidence=place.evidence(word),
                remedy=f"name the script itself: SCRIPT.py::{target}",
            )
        if separator:
            yield self._with_target(word, name, target, place)
        elif _WILDCARDS & set(word):
            for match in self._matches(word, place):
                yield from self._file(match, word, place)
        else:
            raise self._missing(word, place)

    def _with_target(self, word: str, name: str, target: str, place: _Place) -> Input:
        path = self._existing(name, place)
        if path is None:
            raise self._missing(name, place)
        if path.suffix != ".py" or not target:
            raise UsageError(
                "a model hash selects a model of a script",
                evidence=place.evidence(word),
                remedy=f"turnkey -i {name} discover   # lists the hashes" if path.suffix == ".py" else f"write {name}",
            )
        return Input(path=path, kind=InputKind.SCRIPT, target=target)

    def _file(self, path: Path, word: str, place: _Place) -> Iterator[Input]:
        if path.is_dir():
            raise UsageError(
                f"{path} is a directory",
                evidence=place.evidence(word),
                remedy=f"name files in it: '{path / '*.py'}' or '{path / '**' / '*.onnx'}'",
            )
        if path.suffix == ".txt":
            yield from self._list(path, word, place)
            return
        kind = _kind(path)
        if kind is None:
            raise UsageError(
                f"{path} is no input",
                evidence=f"{place.evidence(word)}: {_UNDERSTOOD}",
                remedy=_rename_remedy(path),
            )
        yield Input(path=path, kind=kind)

    def _list(self, path: Path, word: str, place: _Place) -> Iterator[Input]:
        real = os.path.realpath(path)
        if real in self._open_lists:
            chain = " -> ".join([*self._open_lists[self._open_lists.index(real) :], real])
            raise UsageError(
                f"the list {path} contains itself",
                evidence=f"{place.evidence(word)}\n{chain}",
                remedy=f"take {word} out of {place.list_file}",
            )
        self._open_lists.append(real)
        for number, line in enumerate(_lines(path), start=1):
            text = line.strip()
            if text and not text.startswith("#"):
                yield from self._word(text, _Place(list_file=path, line=number))
        self._open_lists.pop()

    def _existing(self, word: str, place: _Place) -> Path | None:
        """The path a word names literally: relative to the working directory, else to its list."""
        return next((path for path in self._readings(word, place) if os.path.exists(path)), None)

    def _matches(self, pattern: str, place: _Place) -> list[Path]:
        for reading in self._readings(pattern, place):
            matches = sorted(glob.glob(str(reading), recursive=True))
            if matches:
                return [Path(match) for match in matches]
        raise UsageError(
            "no file matches the wildcard",
            evidence=place.evidence(pattern),
            remedy=f"ls {pattern}   # from {os.getcwd()}",
        )

    def _readings(self, word: str, place: _Place) -> list[Path]:
        path = Path(os.path.expanduser(word))
        if place.list_file is None or path.is_absolute():
            return [path]
        return [path, place.list_file.parent / path]

    def _missing(self, word: str, place: _Place) -> UsageError:
        tools = self._suggest(word) if os.sep not in word else []
        if tools and not place.list_file:
            return UsageError(
                f"{word!r} is neither a file nor a tool",
                evidence=place.evidence(word),
                remedy=f"did you mean the tool {' or '.join(tools)}?",
            )
        from difflib import get_close_matches  # only a mistake pays for it

        path = Path(word)
        try:
            beside = [entry.name for entry in os.scandir(path.parent)]
        except OSError:  # no such directory: nothing stands beside the missing file
            beside = []
        close = get_close_matches(path.name, beside, n=2, cutoff=0.8)
        names = " or ".join(str(path.parent / name) for name in close)
        return UsageError(
            f"there is no file {word}",
            evidence=f"{place.evidence(word)}, looked for in {os.getcwd()}",
            remedy=f"did you mean {names}?" if names else f"check the path; {_UNDERSTOOD}",
        )


def _kind(path: Path) -> InputKind | None:
    if path.name.endswith("_state.yaml"):
        return InputKind.BUILD
    return {".py": InputKind.SCRIPT, ".onnx": InputKind.ONNX, ".tar": InputKind.TARBALL}.get(path.suffix)


def _rename_remedy(path: Path) -> str:
    if path.suffix in (".yaml", ".yml"):
        return "a build is named by its state file: <cache>/<build>/<build>_state.yaml"
    if path.suffix in (".pt", ".pth", ".pt2", ".safetensors", ".ckpt"):
        return f"write a script that loads {path.name} and calls the model once, and name the script"
    return "turnkey -h   # shows what inputs can be"


def _lines(path: Path) -> list[str]:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_LIST_BYTES + 1)
        if len(content) > _LARGEST_LIST_BYTES:
            raise UsageError(f"the list {path} is larger than 16 MiB", evidence=f"{path.stat().st_size} bytes")
        return content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read", evidence=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the list {path} is not text", evidence=str(error), remedy="one path per line, in UTF-8"
        ) from error
