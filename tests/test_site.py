"""The documentation site: it builds without a warning, has a Python reference, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .test_docs import blocks_of

pytestmark = pytest.mark.needs("mkdocs")
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(place)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


DOORS = {
    "getting-started": r"^turnkey -i ",
    "lexer": r"\bLexerContext\(\)",
    "optimize": r"\bturnkey\.optimize\(",
    "mlf": r"^turnkey .* export-mlf ",
}
"""Page of each door's tutorial, and what its reader types."""


@pytest.mark.parametrize("page", DOORS)
def test_each_door_has_a_tutorial_whose_commands_run(page: str) -> None:
    navigation = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    [tutorials] = [entry["Tutorials"] for entry in navigation if "Tutorials" in entry]
    assert f"{page}.md" in [name for entry in tutorials for name in entry.values()]
    run = [block.code for block in blocks_of(REPOSITORY / "docs" / f"{page}.md") if block.reason is None]
    assert any(re.search(DOORS[page], code, re.MULTILINE) for code in run)


@pytest.mark.slow
def test_it_builds_strictly_with_every_page_in_the_navigation(site: Path) -> None:
    front = (site / "index.html").read_text(encoding="utf-8")
    for page in ("getting-started", "gate", "reports", "how-to/figures-jump", "reference/python"):
        assert f'href="{page}/' in front


@pytest.mark.slow
def test_the_python_reference_has_public_names_with_their_contracts(site: Path) -> None:
    text = (site / "reference" / "python" / "index.html").read_text(encoding="utf-8")
    for name in ("turnkey.evaluate_files", "turnkey.report.get_dict", "turnkey.measure.run_experiment"):
        assert f"<code>{name}</code>" in text
    assert "UsageError: before anything runs" in text


@pytest.mark.slow
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loading = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?:https?:)?//", re.IGNORECASE)
    pages = [path for path in site.rglob("*.html") if path.parent.name != "examples"]
    assert len(pages) > 15
    assert [page.name for page in pages if loading.search(page.read_text(encoding="utf-8"))] == []
