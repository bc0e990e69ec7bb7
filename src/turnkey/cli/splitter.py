"""The grammar of the command line: tokens to sections, and back.

A pure function of the tokens and of light tables of arguments; docs/decisions/own-splitter.md says why it is our own.

    turnkey -i a.py b.py --lean-cache discover --max-depth 1 export-pytorch --opset 18
            `---- globals ----------' `- discover --------' `- export-pytorch --'

Trade-off: in the place of a value that an option must have, ``--`` is that value (``--name --``). Only where no
value is due does it make the next token a plain value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from turnkey.errors import UsageError
from turnkey.nearest import nearest
from turnkey.pipeline.tool import Argument, Arity

HELP = Argument(flags=("-h", "--help"), arity=Arity.FLAG, default=False, help="show this help")
"""Understood in the globals and after every tool."""
_NAMED_OWNERS = 3
"""Tools that are named where an option is of none in the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One argument as it was given: its row of the table and the texts of its values."""

    argument: Argument
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The globals (``tool`` is empty) or one tool with what was given to it, in order."""

    tool: str = ""
    given: tuple[Given, ...] = ()

    def has(self, key: str) -> bool:
        return any(item.argument.key == key for item in self.given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """What can be said: global arguments, names of tools, and the arguments of each, asked for when it is met.

    The first global argument is the one that plain words among the globals belong to.
    """

    global_arguments: tuple[Argument, ...]
    tool_names: Collection[str]
    arguments_of: Callable[[str], tuple[Argument, ...]]

    def table(self, tool: str) -> tuple[Argument, ...]:
        own = self.arguments_of(tool) if tool else self.global_arguments
        return (*own, HELP)


def split(tokens: Sequence[str], grammar: Grammar) -> tuple[Section, ...]:
    """The sections of a command line, the globals first; values are not parsed yet.

    Raises:
        UsageError: an unknown or misplaced option, a missing value, a word where none can stand.
    """
    sections = []
    tool, position = "", 0
    while True:
        reader = _SectionReader(tool, tokens, position, grammar)
        sections.append(reader.read())
        position = reader.position
        if position == len(tokens):
            return tuple(sections)
        tool = tokens[position]
        position += 1


def print_sections(sections: Sequence[Section], tool_names: Collection[str]) -> list[str]:
    """Tokens that `split` turns into the same sections."""
    tokens: list[str] = []
    for section in sections:
        if section.tool:
            tokens.append(section.tool)
        # Positionals first: there they take their token whatever it looks like.
        for item in sorted(section.given, key=lambda item: not item.argument.is_positional):
            tokens.extend(_print_given(item, tool_names))
    return tokens


def _print_given(item: Given, tool_names: Collection[str]) -> list[str]:
    if item.argument.is_positional:
        is_name = tool_names if item.argument.arity is Arity.MANY else ()
        pairs = (["--", text] if text.startswith("-") or text in is_name else [text] for text in item.texts)
        return [token for pair in pairs for token in pair]
    flag = max(item.argument.flags, key=len) if item.argument.arity is not Arity.MANY else item.argument.flags[0]
    if item.argument.arity is Arity.FLAG:
        return [flag]
    first, *rest = item.texts
    tokens = [f"{flag}={first}"] if first.startswith("-") else [flag, first]
    for text in rest:
        tokens.extend(["--", text] if text.startswith("-") or text in tool_names else [text])
    return tokens


class _SectionReader:
    """Reads the tokens of one section; afterwards ``position`` is at the next tool's name or at the end."""

    def __init__(self, tool: str, tokens: Sequence[str], position: int, grammar: Grammar) -> None:
        self.tool = tool
        self.tokens = tokens
        self.position = position
        self.grammar = grammar
        table = grammar.table(tool)
        self.options = {flag: argument for argument in table if not argument.is_positional for flag in argument.flags}
        self.positionals = [argument for argument in table if argument.is_positional]
        self.given: list[Given] = []

    def read(self) -> Section:
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token == "--":
                self.position += 1
                self._word(self._due("--"))
            elif self._looks_like_option(token):
                self.position += 1
                self._option(token)
            elif token in self.grammar.tool_names and not self._owes_word():
                break
            else:
                self.position += 1
                self._word(token)
        return Section(tool=self.tool, given=tuple(self.given))

    def _option(self, token: str) -> None:
        flag, equals, attached = token.partition("=")
        argument = self.options.get(flag)
        if argument is None:
            raise self._unknown_option(flag)
        if argument.arity is Arity.FLAG:
            if equals:
                raise UsageError(
                    f"{flag} takes no value",
                    evidence=token,
                    remedy=f"write {flag} alone",
                )
            self._add(argument, ())
            return
        first = attached if equals else self._value_of(flag)
        values = [first]
        if argument.arity is Arity.MANY:
            values.extend(self._further_values())
        self._add(argument, tuple(values))

    def _value_of(self, flag: str) -> str:
        """The token after an option, whatever it looks like, except an option of the same section."""
        value = self._due(flag)
        if value.partition("=")[0] in self.options:
            raise UsageError(
                f"{flag} needs a value and is followed by the option {value.partition('=')[0]}",
                evidence=f"{flag} {value}",
                remedy=f"give the value; if the value is {value} itself: {flag}={value}",
            )
        return value

    def _further_values(self) -> list[str]:
        values = []
        while self.position < len(self.tokens):
            token = self.tokens[self.position]
            if token == "--":
                self.position += 1
                token = self._due("--")
            elif self._looks_like_option(token) or token in self.grammar.tool_names:
                break
            else:
                self.position += 1
            values.append(token)
        return values

    def _due(self, after: str) -> str:
        if self.position == len(self.tokens):
            command = " ".join(["turnkey", *([self.tool] if self.tool else []), "-h"])
            raise UsageError(
                f"{after} needs a value and is the last word of the command",
                evidence=" ".join(self.tokens[-3:]),
                remedy="write the value after it" if after == "--" else f"{command}   # shows what it takes",
            )
        token = self.tokens[self.position]
        self.position += 1
        return token

    def _word(self, text: str) -> None:
        """A plain word where no value is due: a positional, an input, or a mistake."""
        if self.positionals:
            argument = self.positionals[0]
            if argument.arity is not Arity.MANY:
                del self.positionals[0]
            self._add(argument, (text,))
            return
        if not self.tool:
            self._add(self.grammar.global_arguments[0], (text,))
            return
        close = nearest(text, self.grammar.tool_names)
        raise UsageError(
            f"{text!r} is neither a tool nor a value of {self.tool}",
            evidence=f"{self.tool} … {text}",
            remedy=f"did you mean {' or '.join(close)}?" if close else f"turnkey {self.tool} -h   # its arguments",
        )

    def _owes_word(self) -> bool:
        """Whether a required positional has not got its first word yet."""
        return any(not any(item.argument is argument for item in self.given) for argument in self.positionals)

    def _add(self, argument: Argument, texts: tuple[str, ...]) -> None:
        for index, earlier in enumerate(self.given):
            if earlier.argument is not argument or argument.arity is Arity.FLAG:
                continue
            if argument.arity is Arity.MANY:
                self.given[index] = Given(argument=argument, texts=(*earlier.texts, *texts))
                return
            raise UsageError(
                f"{argument.flags[-1]} is given twice" + (f" to {self.tool}" if self.tool else ""),
                evidence=f"{earlier.texts[0]!r} and {texts[0]!r}",
                remedy="leave one of them out",
            )
        if argument.arity is not Arity.FLAG or not any(earlier.argument is argument for earlier in self.given):
            self.given.append(Given(argument=argument, texts=texts))

    def _looks_like_option(self, token: str) -> bool:
        if token.partition("=")[0] in self.options:
            return True
        return len(token) > 1 and token.startswith("-") and not _is_number(token)

    def _unknown_option(self, flag: str) -> UsageError:
        owner = self.tool or "turnkey"
        in_globals = {spelling for argument in self.grammar.global_arguments for spelling in argument.flags}
        if self.tool and flag in in_globals:
            return UsageError(
                f"{flag} is a global argument and stands after the tool {self.tool}",
                evidence=f"{self.tool} … {flag}",
                remedy=f"put it before the first tool: turnkey {flag} … {self.tool}",
            )
        close = nearest(flag, self.options)
        named = dict.fromkeys(token for token in self.tokens if token in self.grammar.tool_names)
        if others := self._tools_with(flag, named):
            remedy = f"put it after {' or '.join(others)}, which has that option"
        elif others := self._tools_with(flag, self.grammar.tool_names)[:_NAMED_OWNERS]:
            remedy = f"it is an option of {', '.join(others)}: … {others[0]} {flag}"
        elif close:
            remedy = f"did you mean {' or '.join(close)}?"
        else:
            remedy = f"turnkey {self.tool + ' ' if self.tool else ''}-h   # lists the options"
        return UsageError(f"{owner} has no option {flag}", evidence=flag, remedy=remedy)

    def _tools_with(self, flag: str, tools: Iterable[str]) -> list[str]:
        """Those of the tools that have this option, as far as they can be asked."""
        found = []
        for tool in tools:
            try:
                table = self.grammar.arguments_of(tool)
            except Exception:  # noqa: BLE001 - a plug-in may raise anything when it is imported; another mistake is told
                continue
            if any(flag in row.flags for row in table):
                found.append(tool)
        return found


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True
