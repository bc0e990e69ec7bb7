"""Plug-ins of other distributions: found through metadata, imported only when used, harmless when broken."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnkey import plugins
from turnkey.cli.main import main
from turnkey.errors import UsageError
from turnkey.pipeline.toolbox import TOOLS

GREETING = """
from turnkey.pipeline.tool import Argument, Tool, ToolKind

print("greeting was imported")

class Greet(Tool):
    \"\"\"Greet somebody by name.\"\"\"

    name = "greet"
    kind = ToolKind.MANAGEMENT
    arguments = (Argument(flags=("who",), help="Whom to greet"),)

    def manage(self, context, who):
        print(f"hello {who}")
        return 0
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on the path into which distributions can be installed."""
    directory = tmp_path / "site"
    directory.mkdir()
    monkeypatch.syspath_prepend(str(directory))
    yield directory
    for name in ("greeting", "broken"):
        sys.modules.pop(name, None)


def install(site: Path, distribution: str, entry_points: str, *, module: str = "", text: str = "") -> None:
    """Lay a distribution out as pip does, and let what was scanned before be forgotten."""
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    if module:
        (site / f"{module}.py").write_text(text)
    plugins._entry_points.cache_clear()


@pytest.mark.slow
def test_a_tool_of_an_installed_distribution_is_used_like_our_own(tmp_path: Path) -> None:
    wheel = tmp_path / "sample_greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "sample_greeting-1.0.dist-info"
        archive.writestr("greeting.py", GREETING)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sample-greeting\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[turnkey.tools]\ngreet = greeting:Greet\n")
        archive.writestr(f"{info}/RECORD", "")
    target = tmp_path / "installed"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)

    def turnkey(*words: str) -> str:
        command = [sys.executable, "-m", "turnkey.cli.main", *words]
        environment = {"PYTHONPATH": str(target), "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    assert turnkey("greet", "report") == "greeting was imported\nhello report\n"
    assert "Greet somebody by name" in turnkey("-h")
    assert "Whom to greet" in turnkey("greet", "-h")
    assert "greeting was imported" not in turnkey("version")


def test_a_broken_plug_in_is_one_line_in_the_help_and_an_error_where_it_is_used(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "raise OSError('no such device')"
    install(site, "broken_tools", "[turnkey.tools]\nmend = broken:Mend\n", module="broken", text=text)
    assert main(["-h"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "broken_tools" in line]
    assert len(lines) == 1
    assert lines[0].split()[0] == "mend"
    assert "no such device" in lines[0]
    assert main(["mend"]) == 2
    assert "'mend' of broken_tools cannot be imported" in capsys.readouterr().err
    assert main(["version"]) == 0


def test_a_plug_in_that_is_no_tool_is_refused(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "odd", "[turnkey.tools]\nodd = json:loads\n")
    assert main(["odd"]) == 2
    assert "'odd' of odd is not a tool" in capsys.readouterr().err
    assert main(["-h"]) == 0
    assert "odd" in capsys.readouterr().out


def test_two_plug_ins_of_one_name_are_an_error_that_names_both(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "first_tools", "[turnkey.tools]\ngreet = greeting:Greet\n", module="greeting", text=GREETING)
    install(site, "second_tools", "[turnkey.tools]\ngreet = greeting:Greet\nreport = greeting:Greet\n")
    assert main(["greet", "you"]) == 2
    assert "provided by first_tools and by second_tools" in capsys.readouterr().err
    assert main(["report"]) == 2
    assert "provided by turnkey and by second_tools" in capsys.readouterr().err
    assert main(["version"]) == 0


def test_names_come_from_the_metadata_without_any_import(site: Path) -> None:
    install(
        site,
        "many",
        "[console_scripts]\nx = y:z\n\n[turnkey.tools]\n# a comment\nb = nowhere:B [extra]\na= nowhere:A\n"
        "[turnkey.formats]\nf = nowhere:F\n",
    )
    assert TOOLS.names()[-2:] == ("a", "b")
    assert TOOLS.distributions("b") == ("many",)
    with pytest.raises(UsageError, match="nowhere:B: ModuleNotFoundError"):
        TOOLS.load("b")


def test_of_one_distribution_installed_twice_the_first_on_the_path_counts(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "Same.Tools", "[turnkey.tools]\na = nowhere:A\n")
    nearer = tmp_path / "nearer"
    nearer.mkdir()
    monkeypatch.syspath_prepend(str(nearer))
    install(nearer, "same_tools", "[turnkey.tools]\nb = nowhere:B\n")
    assert set(TOOLS.names()) - set(TOOLS.builtin) == {"b"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"(?s)no tool called 'discovr'.*discover"):
        TOOLS.load("discovr")


def test_a_mistyped_name_is_told_what_it_may_have_meant() -> None:
    from turnkey.formats import find_format
    from turnkey.runtimes import find_runtime

    with pytest.raises(UsageError) as caught:
        find_format("onnxx")
    assert caught.value.remedy.startswith("did you mean onnx or ")
    with pytest.raises(UsageError) as caught:
        find_runtime("onnxruntim")
    assert caught.value.remedy == "did you mean onnxruntime?"
    with pytest.raises(UsageError) as caught:
        find_format("zzz")
    assert caught.value.remedy == ""


def test_the_plug_in_that_the_page_shows_is_the_example() -> None:
    """Installing and running it is what the page's own commands do."""
    repository = Path(__file__).parents[1]
    page = (repository / "docs" / "plugins.md").read_text(encoding="utf-8")
    _, _, shown = page.partition("```python\n")
    example = repository / "examples" / "plugin" / "turnkey_onnx_json.py"
    assert shown.partition("```")[0] == example.read_text(encoding="utf-8")
