"""The house stands: imports only go down, rooms keep their private names, start-up stays light.

docs/architecture.md shows the same floors; the last test here holds the two together.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turnkey.pipeline.toolbox import TOOLS

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "turnkey"

FLOORS = (
    ("errors", "version", "settings", "host", "plugins", "parser", "whole_file", "file_digest", "nearest"),
    ("model",),
    ("verify",),
    ("formats",),
    ("runtimes",),
    ("measure",),
    ("mlf",),
    ("discovery",),
    ("pipeline",),
    ("report",),
    ("tools",),
    ("launch",),
    ("navigator", "lexer"),
    ("cli",),
)
"""From the ground up. A module imports from lower floors or from its own room."""

LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's name: ``from turnkey.model.call import Leaf`` is (``turnkey.model.call``, ``Leaf``)."""

    file: Path
    line: int
    module: str
    name: str
    is_at_top: bool

    @property
    def room(self) -> str:
        """First word below ``turnkey``; empty for other packages and for ``turnkey`` itself."""
        parts = [*self.module.split("."), self.name]
        return parts[1] if parts[0] == "turnkey" and len(parts) > 1 else ""

    def __str__(self) -> str:
        return f"{self.file.relative_to(REPOSITORY)}:{self.line} imports {self.module}.{self.name}".rstrip(".")


def room_of(file: Path) -> str:
    first = file.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of a module, also those inside functions; ``is_at_top`` are those that importing it runs."""
    tree = ast.parse(file.read_text(encoding="utf-8"))

    def walk(node: ast.AST, *, at_top: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(file, child.lineno, alias.name, "", at_top)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{file}:{child.lineno}: relative import; write the whole name"
                for alias in child.names:
                    yield Import(file, child.lineno, child.module or "", alias.name, at_top)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                yield from walk(child, at_top=False)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                yield from walk(child, at_top=at_top and not inside)

    return walk(tree, at_top=True)


FILES = sorted(SOURCE.rglob("*.py"))
INNER_FILES = [file for file in FILES if room_of(file) in LEVEL]


def test_every_room_has_a_floor() -> None:
    # __init__ is the front of the house, common only holds a constant under a documented name.
    assert {room_of(file) for file in FILES} - set(LEVEL) <= {"__init__", "common", "__main__"}


def test_imports_only_go_down() -> None:
    climbing = [
        str(found)
        for file in INNER_FILES
        for found in imports_of(file)
        if found.room in LEVEL and found.room != room_of(file) and LEVEL[found.room] > LEVEL[room_of(file)]
    ]
    assert climbing == []


def test_no_room_takes_a_private_name_of_another() -> None:
    taken = [
        str(found)
        for file in FILES
        for found in imports_of(file)
        if found.room
        and found.room != room_of(file)
        and any(re.match(r"_(?!_)", part) for part in [*found.module.split("."), found.name])
    ]
    assert taken == []


def test_measuring_knows_nothing_of_models() -> None:
    allowed = {"errors", "settings", "host", "plugins", "version", "whole_file", "measure", ""}
    heavy = {"torch", "onnx", "onnxruntime", "onnxscript", "openvino"}
    wrong = [
        str(found)
        for file in sorted((SOURCE / "measure").rglob("*.py"))
        for found in imports_of(file)
        if found.room not in allowed or found.module.split(".")[0] in heavy
    ]
    assert wrong == []


def file_of(module: str) -> Path | None:
    place = SOURCE.parent.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def loaded_by(*starts: str) -> dict[str, str]:
    """Packages outside of turnkey that importing these modules loads, with who imports them."""
    found: dict[str, str] = {}
    seen: set[Path] = set()
    waiting = [file for start in starts if (file := file_of(start))]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for item in imports_of(file):
            if not item.is_at_top:
                continue
            if item.module.split(".")[0] != "turnkey":
                found.setdefault(item.module.split(".")[0], str(item))
                continue
            names = item.module.split(".")
            candidates = [".".join(names[:count]) for count in range(1, len(names) + 1)] + [
                f"{item.module}.{item.name}"
            ]
            waiting += [found_file for module in candidates if (found_file := file_of(module))]
    return found


def test_what_benchmarks_take_from_turnkey_is_there() -> None:
    def is_there(found: Import) -> bool:
        if not found.name or file_of(f"{found.module}.{found.name}"):
            return file_of(found.module) is not None
        return file_of(found.module) is not None and hasattr(importlib.import_module(found.module), found.name)

    taken = [
        found
        for file in sorted((REPOSITORY / "benchmarks").glob("*.py"))
        for found in imports_of(file)
        if found.module.partition(".")[0] == "turnkey"
    ]
    assert len(taken) > 50
    assert [str(found) for found in taken if not is_there(found)] == []


def test_the_command_line_and_the_tables_of_all_tools_load_nothing_heavy() -> None:
    loaded = loaded_by("turnkey.cli.main", *(place.partition(":")[0] for place in TOOLS.builtin.values()))
    heavy = {"torch", "onnx", "onnxruntime", "onnxscript", "numpy", "scipy", "yaml", "rich", "psutil", "transformers"}
    assert {package: who for package, who in loaded.items() if package in heavy} == {}


def test_the_picture_of_the_house_shows_these_floors() -> None:
    picture = re.search(r"```text\n(.*?)```", (REPOSITORY / "docs" / "architecture.md").read_text("utf-8"), re.DOTALL)
    assert picture
    drawn = [re.findall(r"[a-z_]+(?=/|\.py)", line.split("  ")[0]) for line in picture[1].splitlines() if line.strip()]
    rooms = {room for floor in drawn for room in floor}
    assert {room_of(file) for file in INNER_FILES} <= rooms
    assert [sorted(floor) for floor in reversed(drawn)] == [
        sorted(set(floor) & rooms) for floor in FLOORS if set(floor) & rooms
    ]


def test_the_modules_that_the_architecture_names_are_there() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    inside = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text.partition("## Inside the rooms")[2], re.MULTILINE))
    assert set(inside) == {path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists()} - {"common"}
    named = [f"{room}/{name}" for room, said in inside.items() for name in re.findall(r"`(\w+)`", said)]
    named += re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py)?)/?`", text.partition("## Where to change what")[2])
    places = [SOURCE / name.removesuffix(".py") for name in named]
    assert [str(place) for place in places if not place.is_dir() and not place.with_suffix(".py").is_file()] == []
