"""Documents are executed: every command and Python block runs, every link leads somewhere, pages made by a script are
what the script makes.

The ``bash`` and ``python`` blocks of a page run in order, in one directory that has the repository's models and
examples. A block after ``<!-- not run: reason -->`` is not run; ``text`` blocks are output.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted(path for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md") for path in REPOSITORY.glob(pattern))
_BLOCK = re.compile(
    r"(?P<skip><!-- not run: (?P<reason>.*?) -->\s*)?^```(?P<language>bash|python)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    code: str
    reason: str | None
    """Why it is not run; None if it is."""


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def blocks_of(page: Path) -> Iterator[Block]:
    for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        yield Block(match["language"], match["code"], match["reason"])


def without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


PAGES_THAT_RUN = [page for page in PAGES if any(block.reason is None for block in blocks_of(page))]


def test_the_first_pages_have_commands_that_run() -> None:
    assert {"README.md", "docs/getting-started.md"} <= set(map(name_of, PAGES_THAT_RUN))


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("page", PAGES_THAT_RUN, ids=name_of)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    for name in ("models", "examples"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TURNKEY_CACHE_DIR": str(tmp_path / "cache"),
    }
    for block in blocks_of(page):
        if block.reason is not None:
            continue
        interpreter = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*interpreter, block.code], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = [match["target"] for match in _LINK.finditer(without_blocks(page.read_text(encoding="utf-8")))]
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_heading_that_is_linked_is_there(page: Path) -> None:
    for match in _LINK.finditer(without_blocks(page.read_text(encoding="utf-8"))):
        place, _, anchor = match["target"].partition("#")
        if anchor and not re.match(r"[a-z]+:", place):
            other = page if not place else page.parent / place
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            known = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in known, f"{match['target']}: {known}"


def test_every_benchmark_is_listed_with_its_question() -> None:
    scripts = [path for path in REPOSITORY.glob("benchmarks/*.py") if "__main__" in path.read_text(encoding="utf-8")]
    listed = (REPOSITORY / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in sorted(scripts) if f"`{path.name}`" not in listed] == []


def test_every_extra_that_users_want_is_explained_in_getting_started() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = (REPOSITORY / "docs" / "getting-started.md").read_text(encoding="utf-8")
    ours = {"dev", "docs", "triton"}  # for building, testing and writing
    assert [name for name in project["optional-dependencies"] if name not in ours and f"`{name}`" not in told] == []


def test_the_command_line_reference_is_what_the_tools_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TURNKEY_")]:
        monkeypatch.delenv(name)
    made = runpy.run_path(str(REPOSITORY / "docs" / "make_cli_reference.py"))["page"]()
    stored = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    assert stored == made, "run: python docs/make_cli_reference.py"


def test_the_onnx_examples_are_what_their_script_makes(tmp_path: Path) -> None:
    script = REPOSITORY / "examples" / "cli" / "onnx" / "make_samples.py"
    copy = tmp_path / "make_samples.py"
    copy.write_text(script.read_text(encoding="utf-8"))
    runpy.run_path(str(copy), run_name="__main__")
    made = {path.name: path.read_bytes() for path in tmp_path.glob("*.onnx*")}
    assert made == {path.name: path.read_bytes() for path in script.parent.glob("*.onnx*")}
