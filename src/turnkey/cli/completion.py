"""Shell completion, generated from what exists: a small script per shell that asks ``turnkey`` for candidates.

The shell's script calls ``turnkey completion-answer WORD …`` with the words up to the cursor, the unfinished one
last; the answer is one candidate per line, and ``:files`` where file names fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from turnkey.cli.splitter import Grammar, Section, split
from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

FILES = ":files"
"""The candidate that stands for all file names."""

_CURSOR = "\0cursor"
_TAKES_FILES = ("FILE", "DIR", "INPUT")

SCRIPTS = {
    "bash": """\
_turnkey() {
    local IFS=$'\\n' word="${COMP_WORDS[COMP_CWORD]}"
    local candidates=($(turnkey completion-answer "${COMP_WORDS[@]:1:COMP_CWORD-1}" "$word" 2>/dev/null))
    COMPREPLY=()
    local candidate
    for candidate in "${candidates[@]}"; do
        if [[ $candidate == :files ]]; then
            compopt -o filenames 2>/dev/null
            COMPREPLY+=($(compgen -f -- "$word"))
        else
            COMPREPLY+=("$candidate")
        fi
    done
}
complete -F _turnkey turnkey
""",
    "zsh": """\
#compdef turnkey
_turnkey() {
    local -a candidates
    candidates=("${(@f)$(turnkey completion-answer "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2>/dev/null)}")
    candidates=("${(@)candidates:#}")
    if (( ${candidates[(Ie):files]} )); then
        _files
        candidates=("${(@)candidates:#:files}")
    fi
    compadd -Q -- "${(@)candidates}"
}
compdef _turnkey turnkey
""",
    "fish": """\
function __turnkey_candidates
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -e words[1]
    for candidate in (turnkey completion-answer $words "$current" 2>/dev/null)
        if test "$candidate" = :files
            __fish_complete_path "$current"
        else
            echo $candidate
        end
    end
end
complete -c turnkey -f -a "(__turnkey_candidates)"
""",
}


class Completion(Tool):
    """Print the script that completes turnkey's command line in your shell.

    Tools, options and values are asked for when the key is pressed, so plug-ins are completed too.
    """

    name = "completion"
    kind = ToolKind.MANAGEMENT
    arguments = (Argument(flags=("shell",), choices=tuple(SCRIPTS), help="the shell to complete in"),)
    example = (
        'eval "$(turnkey completion bash)"                                      # in ~/.bashrc\n'
        'eval "$(turnkey completion zsh)"                                       # in ~/.zshrc, after compinit\n'
        "turnkey completion fish > ~/.config/fish/completions/turnkey.fish"
    )

    def manage(self, context: ManagementContext, shell: str = "bash", **arguments: Any) -> int:
        if context.as_json:
            import json

            print(json.dumps({"shell": shell, "script": SCRIPTS[shell]}))
        else:
            print(SCRIPTS[shell], end="")
        return 0


def answer(words: Sequence[str], grammar: Grammar) -> list[str]:
    """Candidates for the last word, sorted by kind: values, else options and tools; empty after a mistake."""
    before, current = list(words[:-1]), words[-1] if words else ""
    if current == "=":  # bash takes --option=value apart into three words
        current = ""
    elif before[-1:] == ["="]:
        before.pop()
    flag, equals, value = current.partition("=")
    if equals and flag.startswith("-"):
        return [f"{flag}={text}" for text in answer([*before, flag, value], grammar) if text != FILES]
    return [text for text in _candidates(before, grammar) if text == FILES or text.startswith(current)]


def _candidates(before: list[str], grammar: Grammar) -> list[str]:
    try:
        section = split([*before, _CURSOR], grammar)[-1]
    except UsageError:
        return _free_place(before, grammar)
    argument = next(item.argument for item in section.given if item.texts[-1:] == (_CURSOR,))
    values = [*argument.choices, *([FILES] if argument.metavar in _TAKES_FILES else [])]
    if argument.arity is Arity.MANY and not _is_first_value(argument, before):
        return [*values, *_options(section, grammar), *grammar.tool_names]
    return values


def _free_place(before: list[str], grammar: Grammar) -> list[str]:
    """After a complete tool section no plain word may stand: options and tools may."""
    try:
        section = split(before, grammar)[-1]
    except UsageError:
        return []
    return [*_options(section, grammar), *grammar.tool_names]


def _options(section: Section, grammar: Grammar) -> list[str]:
    table = grammar.table(section.tool)
    return list(_long_flags(argument for argument in table if not argument.is_positional and not argument.hidden))


def _long_flags(arguments: Iterable[Argument]) -> Iterable[str]:
    for argument in arguments:
        yield from (flag for flag in argument.flags if flag.startswith("--"))


def _is_first_value(argument: Argument, before: list[str]) -> bool:
    """Whether the word directly before the cursor is the option itself, which must have a value."""
    return bool(before) and before[-1] in argument.flags
