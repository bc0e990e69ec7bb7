"""The settings file ``.lexer_config.toml``, and ``[tool.turnkey.lexer]`` of a project: found, read, checked by line.

The file is the one that ``$LEXER_CONFIG_PATH`` names (a directory or a file), else the nearest one in the working
directory or above it, else the one in the home directory. The variable is read when a context is made.
"""

from __future__ import annotations

import logging
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, UsageError
from turnkey.lexer.options import KEYS, TABLES, check_value, checked, unknown_key
from turnkey.settings import absolute_path

FILE_NAME = ".lexer_config.toml"
VARIABLE = "LEXER_CONFIG_PATH"
_SECTION = "tool.turnkey.lexer"
_LIMIT_BYTES = 1 << 20
_LOG = logging.getLogger("turnkey.lexer")


def find_settings_file(*, start: Path | None = None, environment: Mapping[str, str] | None = None) -> Path | None:
    """Where the settings are; None if nowhere.

    Args:
        start: the directory to look in and above of; by default the working directory.
        environment: by default that of this process.
    """
    named = (os.environ if environment is None else environment).get(VARIABLE)
    if named:
        place = absolute_path(named)
        return next((file for file in (place / FILE_NAME, place) if file.is_file()), None)
    above = _upwards(start or Path.cwd(), FILE_NAME)
    home = Path(os.path.expanduser("~")) / FILE_NAME  # of who has none no such file is there
    return above or (home if home.is_file() else None)


def user_settings(config: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """Checked settings by key of what a context was given: a file or its directory, or the settings themselves.

    Args:
        config: None is the file that is found.

    Raises:
        UsageError: there is no file where it was said to be; else as `read_user_settings`.
    """
    if isinstance(config, Mapping):
        return checked(config, where="LexerContext(config=…)")
    if config is None:
        return read_user_settings(find_settings_file())
    path = find_settings_file(environment={VARIABLE: str(config)})
    if path is None:
        raise UsageError(
            "there is no settings file where the context was told to look",
            evidence=f"config={str(config)!r}",
            remedy="name the file, or the directory of a .lexer_config.toml",
        )
    return read_user_settings(path)


def read_user_settings(path: Path | None) -> dict[str, Any]:
    """Checked values of a settings file by key; without a file there are none, and one line of the log says so.

    Raises:
        InputError: it cannot be read.
        UsageError: malformed TOML, an unknown table or key, or a wrong value; the evidence has file and line.
    """
    if path is None:
        _LOG.info("no %s found: shipped defaults are used", FILE_NAME)
        return {}
    text, document = _parsed(path)
    return _values(document, path, text, section="")


def read_project_settings(*, start: Path | None = None) -> dict[str, Any]:
    """Checked values of ``[tool.turnkey.lexer]`` in the nearest ``pyproject.toml``; none if it has no such table.

    Raises:
        UsageError: as `read_user_settings`.
    """
    path = _upwards(start or Path.cwd(), "pyproject.toml")
    if path is None:
        return {}
    text, document = _parsed(path)
    section: Any = document
    for name in _SECTION.split("."):
        section = section.get(name) if isinstance(section, dict) else None
    return _values(section, path, text, section=_SECTION) if isinstance(section, dict) else {}


def _values(document: Mapping[str, Any], path: Path, text: str, *, section: str) -> dict[str, Any]:
    """All keys of the tables; a project may also have them without tables."""
    found: dict[str, Any] = {}
    for name, content in document.items():
        place = f"{section}.{name}" if section else name
        if name in TABLES and isinstance(content, dict):
            known = [key for key, row in KEYS.items() if row.table == name]
            for key, value in content.items():
                where = _where(path, text, place, key)
                if key not in known:
                    raise _misplaced(key, known, where)
                found[key] = check_value(key, value, where=where)
        elif section and name in KEYS:
            found[name] = check_value(name, content, where=_where(path, text, section, name))
        elif name in TABLES or name in KEYS:
            table = name if name in TABLES else KEYS[name].table or "…"
            raise UsageError(
                f"{name} is not where it belongs",
                evidence=_where(path, text, section, name),
                remedy=f"[{table}] is a table, and settings stand in it",
            )
        else:
            raise unknown_key(
                name, TABLES if not section else [*TABLES, *KEYS], where=_where(path, text, section, name)
            )
    return found


def _misplaced(key: str, known: list[str], where: str) -> UsageError:
    if key in KEYS and KEYS[key].table:
        return UsageError(
            f"{key} belongs into another table", evidence=where, remedy=f"put it under [{KEYS[key].table}]"
        )
    return unknown_key(key, known, where=where)


def _parsed(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        if path.stat().st_size > _LIMIT_BYTES:
            raise UsageError(f"{path.name} is larger than a settings file may be", evidence=str(path))
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise InputError(f"cannot read {path.name}", evidence=f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # malformed TOML, or bytes that are no UTF-8
        if isinstance(error, UsageError):
            raise
        line = re.search(r"line (\d+)", str(error))
        place = f"{path}:{line[1]}" if line else str(path)
        raise UsageError(f"{path.name} is not a TOML file", evidence=f"{place}: {error}") from error


def _where(path: Path, text: str, table: str, key: str) -> str:
    """``file:line``, as far as the text tells: TOML's reader keeps no positions."""
    header = ""
    pattern = re.compile(rf"""^\s*["']?{re.escape(key)}["']?\s*[=.]""")
    dotted = re.compile(rf"""^\s*["']?{re.escape(table.rpartition(".")[2])}["']?\s*\.\s*["']?{re.escape(key)}\b""")
    for number, line in enumerate(text.splitlines(), start=1):
        opened = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if opened:
            header = opened[1].replace('"', "").replace(" ", "")
            if header == (f"{table}.{key}" if table else key):
                return f"{path}:{number}"
        elif (header == table and pattern.match(line)) or (table and not header and dotted.match(line)):
            return f"{path}:{number}"
    return f"{path}: {table}.{key}" if table else f"{path}: {key}"


def _upwards(start: Path, name: str) -> Path | None:
    start = start.absolute()
    return next((each / name for each in (start, *start.parents) if (each / name).is_file()), None)
