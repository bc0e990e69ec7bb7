"""Arguments that input scripts share, so that one ``--script-args`` fits a whole library of models.

    from turnkey.parser import parse
    batch_size, height, width = parse(["batch_size", "height", "width"])
    model(torch.rand(batch_size, 3, height, width))

The arguments of a call are given to every script of it; those that a script does not take are named on standard
error and otherwise ignored.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnkey.errors import UsageError


@dataclass(frozen=True, slots=True)
class _Parameter:
    default: int | float | str | bool | None
    kind: type
    help: str


PARAMETERS = {
    "batch_size": _Parameter(1, int, "samples per call"),
    "max_seq_length": _Parameter(128, int, "tokens per sample"),
    "max_audio_seq_length": _Parameter(25600, int, "audio frames per sample"),
    "height": _Parameter(224, int, "pixels"),
    "width": _Parameter(224, int, "pixels"),
    "num_channels": _Parameter(3, int, "channels of an image"),
    "k": _Parameter(2, int, "neighbours or clusters"),
    "alpha": _Parameter(2.2, float, "exponent or slope"),
    "out_channels": _Parameter(1500, int, "channels that the model puts out"),
    "num_layers": _Parameter(8, int, "layers"),
    "in_channels": _Parameter(1433, int, "features that the model takes"),
    "pretrained": _Parameter(False, bool, "weights that were trained instead of random ones"),
    "model_path": _Parameter(None, str, "file or directory of the model"),
    "kvcache": _Parameter(False, bool, "run with a key-value cache"),
}


def parse(names: Iterable[str]) -> Any:
    """The named arguments from the script's command line, each with its default where it is not given.

    Args:
        names: of `PARAMETERS`.

    Returns:
        The values in the order of the names; of a single name the value itself.

    Raises:
        UsageError: a name is not among them.
        SystemExit: a value is of the wrong kind (code 2, as argparse does), or ``--help`` was asked for.
    """
    wanted = list(names)
    unknown = [name for name in wanted if name not in PARAMETERS]
    if unknown:
        raise UsageError(
            f"turnkey.parser has no argument {unknown[0]!r}",
            evidence=f"known: {', '.join(PARAMETERS)}",
            remedy="add arguments of your own with argparse",
        )
    parser = argparse.ArgumentParser()  # with abbreviations: the Tools User Guide writes --max_seq_len
    for name in wanted:
        parameter = PARAMETERS[name]
        text = f"{parameter.help} (default: {parameter.default})"
        if parameter.kind is bool:
            parser.add_argument(
                f"--{name}", nargs="?", const=True, default=parameter.default, type=_truth, metavar="BOOL", help=text
            )
        else:
            parser.add_argument(f"--{name}", default=parameter.default, type=parameter.kind, help=text)
    parsed, rest = parser.parse_known_args()
    if rest:
        print(f"{parser.prog}: not among its arguments, ignored: {' '.join(rest)}", file=sys.stderr)
    values = tuple(getattr(parsed, name) for name in wanted)
    return values[0] if len(values) == 1 else values


def _truth(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return known[text.lower()]
