"""What a measuring tool is asked to measure: the arguments that name candidates, and the candidates that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity

if TYPE_CHECKING:
    from turnkey.model.source import SourceModel
    from turnkey.pipeline.state import State
    from turnkey.tools.candidates import Candidate

_DEVICES = {"x86": "cpu"}


def parse_device(text: str) -> str:
    """``cpu``, ``cuda``, ``cuda:1``; the original's ``x86`` is the processor."""
    return _DEVICES.get(text, text)


def parse_runtime(text: str) -> str:
    """A runtime by its name or alias."""
    from turnkey.runtimes.lookup import known_runtime  # finds plug-ins: only when the option is given

    return known_runtime(text)


def parse_runtime_option(text: str) -> str:
    """One word of ``--rt-args``, checked."""
    from turnkey.runtimes.options import parse_runtime_arguments

    try:
        parse_runtime_arguments([text])
    except UsageError as error:
        raise ValueError(error.evidence) from None
    return text


CANDIDATES = (
    Argument(
        flags=("--device",),
        parse=parse_device,
        default="cpu",
        metavar="DEVICE",
        help="Where the model runs: cpu (also called x86), cuda.",
    ),
    Argument(
        flags=("--runtime",),
        parse=parse_runtime,
        metavar="NAME",
        default_text="the first that executes the newest variant",
        help="What executes the model: torch, torch-compile, onnxruntime; see turnkey system-info.",
    ),
    Argument(
        flags=("--runtimes",),
        arity=Arity.MANY,
        parse=parse_runtime,
        metavar="NAME",
        help="Several runtimes, measured in one experiment and compared.",
    ),
    Argument(
        flags=("--variants",),
        arity=Arity.MANY,
        metavar="KEY",
        default_text="the newest that a runtime executes",
        help="Variants to measure, such as onnx onnx-opt.",
    ),
    Argument(
        flags=("--rt-args",),
        arity=Arity.MANY,
        parse=parse_runtime_option,
        metavar="KEY::VALUE",
        help="Options of the runtime: key::value, key::[a,b] or a word; RUNTIME.key::value for one of several.",
    ),
)


def refuse_both(arguments: Mapping[str, Any], one: str, other: str) -> None:
    """Refuse two arguments, by their keys, that say the same thing. Raises UsageError if both are given."""
    if arguments.get(one) and arguments.get(other):
        first, second = (f"--{name.replace('_', '-')}" for name in (one, other))
        raise UsageError(f"{first} and {second} say the same thing; give one of them")


def asked_candidates(state: State, source: SourceModel, arguments: Mapping[str, Any]) -> list[Candidate]:
    """The candidates that `CANDIDATES` ask for.

    Raises:
        UsageError: as `turnkey.tools.candidates.candidates_of`.
        MissingDependencyError: a runtime is not installed.
    """
    from turnkey.runtimes import parse_runtime_arguments
    from turnkey.tools.candidates import candidates_of

    return candidates_of(
        state,
        source,
        runtimes=arguments.get("runtimes") or list(filter(None, [arguments.get("runtime")])),
        variants=arguments.get("variants") or (),
        device=parse_device(str(arguments.get("device") or "cpu")),
        options=parse_runtime_arguments(arguments.get("rt_args") or ()),
    )
