"""What a library raised, in words: the one line that says something, or enough of it to be evidence."""

from __future__ import annotations

import re

from turnkey.errors import TurnkeyError

_EVIDENCE_CHARACTERS = 2000
_REASON_CHARACTERS = 1000
_ORT_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_TORCHSCRIPT_HEAD = "The following operation failed in the TorchScript interpreter."
"""Of a traceback, which ends with what happened."""
_CPP_PLACE = re.compile(r"^.*[\])] (?=[^\])]*$)")


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """The first line that says something, for tables and notes; of an error of ours its evidence."""
    if isinstance(error, TurnkeyError):
        error = error.evidence or error.what
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if lines and lines[0].startswith(_TORCHSCRIPT_HEAD):
        lines = lines[-1:]
    first = _without_source_places(lines[0]) if lines else type(error).__name__
    if not isinstance(error, str) and not first.startswith(type(error).__name__):
        first = f"{type(error).__name__}: {first}"
    return first if len(first) <= limit else first[: limit - 1] + "…"


def evidence_of(error: BaseException) -> str:
    """Type and text, all lines of it, for the evidence of an error of ours."""
    return f"{type(error).__name__}: {error}".strip()[:_EVIDENCE_CHARACTERS]


def reason_of(error: TurnkeyError) -> str:
    """An error of ours in one line: what happened, with the first line of evidence if it says more.

    The head of a table says nothing, nor does what was said already.
    """
    first = error.evidence.splitlines()[0].strip() if error.evidence else ""
    return error.what if "   " in first or first in error.what else f"{error.what}: {first}"[:_REASON_CHARACTERS]


def _without_source_places(text: str) -> str:
    """ONNX Runtime puts codes and C++ signatures before its message, which is what the last ``]`` or ``)`` ends."""
    text = _ORT_CODE.sub("", text)
    before, place, after = text.partition("/onnxruntime_src/")
    return before + _CPP_PLACE.sub("", after) if place else text
