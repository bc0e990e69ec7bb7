"""What a tool is: one step of a sequence, or one management function.

A tool's module must import nothing heavy (the command line reads the argument tables of all tools to split one
command): torch, onnx, numpy and our own rooms that need them are imported inside `Tool.run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


Steps = tuple[tuple[str, Mapping[str, Any]], ...]
"""(tool, arguments) in the order in which they run."""


class ToolKind(Enum):
    FIRST = "first"
    SEQUENCE = "sequence"
    MANAGEMENT = "management"


class Arity(Enum):
    """How many values an option takes."""

    FLAG = 0
    ONE = 1
    MANY = "one or more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One option or positional of a tool, or a global argument; a row of a light table.

    Attributes:
        flags: ``("--opset",)``, ``("-b", "--build-names")``; a single word without dashes is a required positional.
        parse: text to value; raises ValueError with a readable reason. ``str`` by default.
        default: value when absent, or a function that computes it when used (environment variables).
        default_text: what help shows when ``default`` is a function or None needs words.
        choices: closed set of texts.
        help: one sentence.
        dest: keyword of `Tool.run`; by default the first long flag with underscores.
        hidden: read, but not shown (spellings of the original).
    """

    flags: tuple[str, ...]
    help: str
    arity: Arity = Arity.ONE
    parse: Any = str
    default: Any = None
    default_text: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""
    dest: str = ""
    hidden: bool = False

    @property
    def key(self) -> str:
        """Keyword under which the value reaches ``run``."""
        if self.dest:
            return self.dest
        long_flags = [flag for flag in self.flags if flag.startswith("--")]
        return (long_flags or list(self.flags))[0].lstrip("-").replace("-", "_")

    @property
    def is_positional(self) -> bool:
        return not self.flags[0].startswith("-")


class Tool:
    """Base of all tools. The docstring of the subclass is the tool's help text.

    A sequence tool takes a state and returns a new one; a management tool overrides `manage` instead.
    """

    name: ClassVar[str]
    kind: ClassVar[ToolKind]
    arguments: ClassVar[tuple[Argument, ...]] = ()
    progress: ClassVar[str] = ""
    """What the monitor and the first line of the log say while it works: ``Exporting PyTorch to ONNX``."""
    reads: ClassVar[str] = ""
    writes: ClassVar[str] = ""
    example: ClassVar[str] = ""
    closing: ClassVar[bool] = False
    """A management tool that may also end a sequence (report, compare, gate)."""
    continues: ClassVar[bool] = False
    """A first tool that goes on with an existing build instead of making one."""
    reusable: ClassVar[bool] = False
    """Whether equal inputs, arguments and versions give an equal result, so that an earlier one is as good
    (`turnkey.pipeline.reuse`). Not for what runs the user's program, and not for what measures."""
    measures: ClassVar[bool] = False
    """Whether it times calls: then nothing else of ours may run beside it, the monitor does not redraw."""

    def begin(self, state: State, *, following: Steps, **arguments: Any) -> State:
        """For the first tool of a sequence: the state to go on from, before anything of this run is written.

        A tool that starts a new build returns the state as it is. One that continues a build returns what that build
        knows, or raises `ToolSkipped`: then every file stays untouched.

        Args:
            following: the steps after this one, with effective arguments.
        """
        return state

    @classmethod
    def needs_turn(cls, **arguments: Any) -> bool:
        """For the first tool of a sequence: False where a look at its input says that `run` will refuse it at once.

        Then it runs without waiting for its turn on this machine.
        """
        return True

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Whether this step calls the source module itself, not only files of the build.

        Asked when a build is continued whose model is not in memory; if so, its script is run again first.
        """
        return False

    @classmethod
    def plan(cls, statistics: Mapping[str, Any], **arguments: Any) -> str:
        """What a dry run says about this step beside its command line; empty for nothing.

        Args:
            statistics: of the build as it stands; empty where there is none.
        """
        return ""

    def run(self, state: State, **arguments: Any) -> State:
        """Do the step. Raises a TurnkeyError when it failed; may raise `ToolSkipped`."""
        raise TypeError(f"{self.name} is not a sequence tool")

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do the management function; returns the exit code."""
        raise TypeError(f"{self.name} is not a management tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementContext:
    """What a management tool may use.

    Attributes:
        cache_dir: of this call.
        as_json: print one JSON document and nothing else on the standard output.
        build_names: for a closing tool, the builds of this call; else None.
        cache_dirs: where those builds lie: builds that were loaded stay in their own caches.
        globals: global arguments that were given, by key.
    """

    cache_dir: str
    as_json: bool = False
    build_names: tuple[str, ...] | None = None
    cache_dirs: tuple[str, ...] = ()
    globals: Mapping[str, Any]
    quiet: bool = False


class ToolSkipped(Exception):
    """Raised by a tool that has nothing to do for this state; the reason is shown, the sequence goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
