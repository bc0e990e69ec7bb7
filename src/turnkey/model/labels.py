"""Labels: key-value pairs on the first line of a script, and the filter that selects inputs by them.

    #labels domain::nlp author::google task::question_answering,translation

Also read: ``# labels``, a colon after the word, and the spelling ``#lables`` of the guide (with a warning). A filter
``task::translation`` keeps an input only if, for every key asked for, it has every value asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turnkey.errors import InputError, UsageError

Labels = Mapping[str, tuple[str, ...]]
"""Values by key, in the order of the file."""

ONNX_PROPERTY = "turnkey_labels"
"""Key of the metadata property of an ONNX file that holds its labels, written like the rest of a script's line."""

_PRAGMA = re.compile(r"#\s*(labels|lables)\s*(?::(?!:)\s*|\s+|$)(.*)", re.DOTALL)
_TOKEN = re.compile(r"(?P<key>[^:,\s]+)::(?P<values>[^:,\s]+(?:,[^:,\s]+)*)")
_LONGEST_LINE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelReading:
    """What a file says about itself; a malformed token is a warning, the others count."""

    labels: Labels = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_script_labels(path: Path) -> LabelReading:
    """Labels of a Python file: of its first line only.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            first_line = file.readline(_LONGEST_LINE_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}", evidence=error.strerror or str(error)) from error
    match = _PRAGMA.fullmatch(first_line.decode("utf-8-sig", errors="replace").strip())
    if match is None:
        return LabelReading()
    place = f"{path}, line 1"
    reading = parse_labels(match.group(2), place=place)
    if match.group(1) == "lables":
        warning = f"{place}: the pragma is spelt #lables; read as #labels"
        return LabelReading(labels=reading.labels, warnings=(warning, *reading.warnings))
    return reading


def read_onnx_labels(path: Path) -> LabelReading:
    """Labels of an ONNX file: of its metadata property ``turnkey_labels``.

    Raises:
        InputError: the file is not an ONNX model.
    """
    import onnx  # only inputs that are ONNX files pay for it
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError) as error:
        raise InputError(f"{path} cannot be read as an ONNX model", evidence=str(error)) from error
    text = next((item.value for item in model.metadata_props if item.key == ONNX_PROPERTY), "")
    return parse_labels(text, place=f"{path}, metadata {ONNX_PROPERTY}")


def parse_labels(text: str, *, place: str) -> LabelReading:
    """Labels from ``key::value[,value] …``; ``place`` names the source in warnings."""
    labels: dict[str, tuple[str, ...]] = {}
    warnings = []
    for token in text.split():
        match = _TOKEN.fullmatch(token)
        if match is None:
            warnings.append(f"{place}: label {token!r} is not key::value[,value]; it does not count")
            continue
        _merge(labels, match)
    return LabelReading(labels=labels, warnings=tuple(warnings))


def parse_filter(texts: Iterable[str]) -> Labels:
    """The labels that are asked for.

    Raises:
        UsageError: a text is not ``key::value[,value]``: a filter that is not understood must not let all pass.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for text in texts:
        match = _TOKEN.fullmatch(text)
        if match is None:
            raise UsageError(
                f"the label {text!r} is not KEY::VALUE",
                evidence=f"--labels {text}",
                remedy="turnkey -i INPUTS --labels task::translation,summarization author::google TOOL",
            )
        _merge(wanted, match)
    return wanted


def has_labels(labels: Labels, wanted: Labels) -> bool:
    """Whether every requested key has every requested value; spelling is exact, further values do not matter."""
    return all(set(values) <= set(labels.get(key, ())) for key, values in wanted.items())


def has_labels_but_for_case(labels: Labels, wanted: Labels) -> bool:
    """Whether `has_labels` would hold if upper and lower case were the same."""
    folded: dict[str, set[str]] = {}
    for key, values in labels.items():
        folded.setdefault(key.casefold(), set()).update(value.casefold() for value in values)
    return all(
        {value.casefold() for value in values} <= folded.get(key.casefold(), set()) for key, values in wanted.items()
    )


def label_text(labels: Labels) -> str:
    """As on the first line of a script, without the pragma."""
    return " ".join(f"{key}::{','.join(values)}" for key, values in labels.items())


def _merge(labels: dict[str, tuple[str, ...]], match: re.Match[str]) -> None:
    key, values = match.group("key"), match.group("values").split(",")
    labels[key] = tuple(dict.fromkeys((*labels.get(key, ()), *values)))
