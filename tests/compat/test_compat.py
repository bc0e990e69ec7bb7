"""``turnkey-compat`` in environments of its own: the documented imports unchanged, and no original overwritten.

The environments borrow this one's packages (torch, turnkey, setuptools) through a path file and get nothing from a
network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

COMPAT = Path(__file__).parents[2] / "compat"


def environment_at(directory: Path) -> Path:
    """A fresh virtual environment that sees this one's packages; returns its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(directory)], check=True)
    python = directory / "bin" / "python"
    ours = [sysconfig.get_path("purelib"), str(Path(__file__).parents[2] / "src")]
    (site_of(python) / "borrowed.pth").write_text("\n".join(ours))
    return python


def site_of(python: Path) -> Path:
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())


def install(python: Path, source: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(source)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def run(python: Path, program: str, *, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the distribution: building leaves files beside the sources."""
    import shutil

    copy = tmp_path_factory.mktemp("source") / "compat"
    shutil.copytree(COMPAT, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    return copy


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    """An environment with turnkey-compat."""
    found = environment_at(tmp_path_factory.mktemp("environment") / "venv")
    done = install(found, source)
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def make_original(python: Path, root: str) -> Path:
    """Something that looks like an installed original; returns its module."""
    module = site_of(python) / root / "__init__.py"
    module.parent.mkdir(parents=True)
    module.write_text("whose = 'original'\n")
    information = site_of(python) / f"original_{root}-0.0.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: original-{root}\nVersion: 0.0.2\n")
    (information / "RECORD").write_text(f"{root}/__init__.py,,\noriginal_{root}-0.0.2.dist-info/METADATA,,\n")
    return module


def test_a_lexer_script_runs_with_its_own_import_lines(python: Path, tmp_path: Path) -> None:
    program = """
        # Lexer imports
        from lexer.api.lexer_context import LexerContext
        from lexer.decorators.lexer import Lexer

        import torch
        from torch import nn
        import lexer
        import turnkey

        lexer_context = LexerContext()

        @Lexer(input_names=["input"], output_names=["output"])
        class AmazingNet(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(4, 2)
            def forward(self, x):
                return self.linear(x)

        report = lexer_context.benchmark(AmazingNet(), torch.randn(1, 4), num_iterations=5, exporter="torchscript")
        lexer_context.flush(name="your_artifact_name", target_directory=".")
        assert [row.num_samples for row in report] == [5, 5]
        assert LexerContext is turnkey.LexerContext is lexer.LexerContext
        assert LexerContext.__module__ == "turnkey.lexer.api.lexer_context"
        import turnkey.lexer.api.lexer_context as room
        assert room.__spec__.name == "turnkey.lexer.api.lexer_context"
    """
    done = run(python, program, cwd=tmp_path, HOME=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "your_artifact_name.lexer").is_file()


def test_the_navigator_is_turnkeys_under_its_own_name_and_nothing_heavy_is_imported_for_it(
    python: Path, tmp_path: Path
) -> None:
    program = """
        import sys
        import model_navigator as nav
        assert "turnkey.navigator" not in sys.modules and "torch" not in sys.modules
        import turnkey.navigator
        assert nav.optimize is turnkey.navigator.optimize
        assert set(dir(turnkey.navigator)) <= set(dir(nav))
        from model_navigator.api.config import Format
        import turnkey.navigator.api.config
        assert Format is turnkey.navigator.api.config.Format
        import model_navigator.api.config
        assert model_navigator.api.config is turnkey.navigator.api.config
        try:
            import model_navigator.nonsense
        except ModuleNotFoundError as error:
            print(error)
    """
    done = run(python, program, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "No module named 'model_navigator.nonsense'\n"


def test_installing_over_originals_is_refused_and_changes_nothing_unless_it_is_meant(
    source: Path, tmp_path: Path
) -> None:
    python = environment_at(tmp_path / "venv")
    originals = {root: make_original(python, root) for root in ("lexer", "model_navigator")}

    refused = install(python, source)
    assert refused.returncode != 0
    for root, module in originals.items():
        assert f"{root} belongs to original-{root} 0.0.2" in refused.stdout + refused.stderr
        assert module.read_text() == "whose = 'original'\n"

    meant = install(python, source, TURNKEY_COMPAT_OVER_ORIGINALS="1")
    assert meant.returncode == 0, meant.stderr
    for root in originals:
        told = run(python, f"import {root}", cwd=tmp_path)
        assert told.returncode != 0
        assert f"'{root}' is claimed by original-{root} as well as by turnkey-compat" in told.stderr
    warned = run(python, "import lexer", cwd=tmp_path, TURNKEY_COMPAT_OVER_ORIGINALS="1")
    assert warned.returncode == 0
    assert "turnkey-compat answers" in warned.stderr
