"""The tool ``convert``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import ConversionError, MissingDependencyError, TurnkeyError, UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from turnkey.formats.route import Step
    from turnkey.model.source import SourceModel
    from turnkey.pipeline.state import State
    from turnkey.tools.conversion import Wish


def parse_formats(text: str) -> str:
    """``torchscript,onnx-fp16``, as it was written; every name is a format's or a family's."""
    from turnkey.formats.route import formats_named  # finds plug-ins: only when the option is given

    for word in filter(None, text.split(",")):
        try:
            formats_named(word)
        except UsageError as error:
            raise ValueError(f"{error.what}; {error.evidence}") from error
    return text


class Convert(Tool):
    """Convert the model to other formats, over the formats in between.

    The shortest way from what the build has is taken: the live model of the script, or a variant that is there
    already, the newest first. Every step's time, log and failure are kept; where a step fails another way is tried. A
    format that cannot be made is said and does not stop the others. What is made is not verified yet: put verify after
    it. The name of a family stands for all of it: torchscript is torchscript-trace and torchscript-script.
    """

    name = "convert"
    kind = ToolKind.SEQUENCE
    progress = "Converting the model"
    reads = "the live model or the variants of the build; the samples, for conversions that calibrate"
    writes = "<variant>/model.<suffix>, ONNX files in onnx/; log_convert-<variant>.txt; conversions in the state"
    example = "turnkey -i model.py discover convert --to torchscript,torch-exportedprogram verify"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--to",),
            arity=Arity.MANY,
            parse=parse_formats,
            metavar="FORMAT",
            help="Formats to make, parted by commas or blanks; turnkey system-info lists them.",
        ),
        Argument(
            flags=("--from",),
            dest="start",
            metavar="KEY",
            default_text="whatever leads there soonest, the newest first",
            help="The variant to start from.",
        ),
        Argument(
            flags=("--set",),
            dest="settings",
            arity=Arity.MANY,
            default=(),
            metavar="FORMAT.NAME::VALUE",
            help="Settings of a format, such as torchscript-script.strict::false.",
        ),
        Argument(
            flags=("--dry-run",),
            arity=Arity.FLAG,
            default=False,
            help="Show the steps and make nothing.",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Where no variant of the build leads to a format that is wanted."""
        from turnkey.tools.conversion import planned

        for wish in _wishes(arguments):
            try:
                planned(state, wish, source=None)
            except MissingDependencyError:
                continue  # `run` says so, and needs no model for it
            except ConversionError:
                return True
        return False

    @classmethod
    def plan(cls, statistics: Mapping[str, Any], **arguments: Any) -> str:
        """The ways from a live module, else from an ONNX file."""
        from turnkey.formats.route import find_route

        lines = []
        for wish in _wishes(arguments):
            try:
                try:
                    route = find_route(wish.format, available=("torch",))
                except ConversionError:
                    route = find_route(wish.format, available=("onnx",))
                lines.append(_words(route))
            except TurnkeyError as error:
                lines.append(f"{wish.format}: {error.what}")
        return "\n".join(lines)

    def run(self, state: State, **arguments: Any) -> State:
        """Convert.

        Raises:
            UsageError: no format is named, or there is no such format, variant or setting.
            ConversionError: none of the formats could be made.
        """
        from turnkey.pipeline.stored_source import source_of
        from turnkey.tools.conversion import reached

        wishes = _wishes(arguments)
        source = source_of(state)
        if arguments.get("dry_run"):
            return replace(state, listing="\n".join(_shown(state, wish, source) for wish in wishes))
        lines, errors = [], []
        earlier = state.conversions
        before = tuple(variant.key for variant in state.variants)
        for wish in wishes:
            # What one format leaves must not be what the next starts from because it happens to be the newest.
            found = reached(state, replace(wish, before=before), source=source)
            state = found.state
            lines.append(found.sentence)
            errors += [found.error] if found.error is not None else []
        if len(errors) == len(wishes):
            raise _nothing_made(wishes, errors, state)
        tried = {entry["format"] for entry in state.conversions if entry not in earlier}
        idle = [name for name in wishes[0].settings if name not in tried]
        lines += [f"--set {name}: not used, since nothing was converted to {name}" for name in idle]
        return replace(state, listing="\n".join(lines))


def _wishes(arguments: dict[str, Any]) -> list[Wish]:
    """One per format that is named, each once, in that order."""
    from turnkey.formats.route import formats_named
    from turnkey.tools.conversion import Wish

    words = [word for text in arguments.get("to") or () for word in text.split(",") if word]
    if not words:
        raise UsageError(
            "convert needs to know what to convert to", remedy="turnkey ... convert --to torchscript,onnx-fp16"
        )
    settings = _settings(arguments.get("settings") or ())
    names = dict.fromkeys(name for word in words for name in formats_named(word))
    return [Wish(format=name, start=str(arguments.get("start") or ""), settings=settings) for name in names]


def _settings(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    from turnkey.formats import find_format
    from turnkey.runtimes.options import parse_runtime_arguments

    settings: dict[str, dict[str, Any]] = {}
    for key, value in parse_runtime_arguments(texts, flag="--set").items():
        owner, dot, name = key.partition(".")
        if not dot:
            raise UsageError(f"--set {key}: of which format?", remedy="convert --set torchscript-script.strict::false")
        find_format(owner)  # raises with the list of formats
        settings.setdefault(owner, {})[name] = value
    return settings


def _shown(state: State, wish: Wish, source: SourceModel) -> str:
    from turnkey.tools.conversion import planned

    try:
        route = planned(state, wish, source=source)
    except UsageError:
        raise
    except TurnkeyError as error:
        return f"{wish.format}: {error.what}" + (f"; {error.remedy}" if error.remedy else "")
    return _words(route)


def _words(route: Sequence[Step]) -> str:
    return f"{route[-1].format}: {' -> '.join([route[0].parent, *(step.format for step in route)])}"


def _nothing_made(wishes: list[Wish], errors: list[TurnkeyError], state: State) -> TurnkeyError:
    if len(errors) == 1:
        error = errors[0]
    else:
        error = ConversionError(
            f"none of the {len(wishes)} formats could be made",
            evidence="\n".join(f"{wish.format}: {error.what}" for wish, error in zip(wishes, errors, strict=True)),
            remedy="the logs log_convert-*.txt of the build tell more",
        )
    error.state = state
    return error
