"""Scripts as text, run by discovery in this process with descriptors 1 and 2 in a file."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turnkey.discovery import DiscoveryOptions, Visit, let_go, visit

from .scripts import HEAD

Script = Callable[..., Path]
Visited = Callable[..., Visit]


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    yield
    let_go()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a script; the common head imports torch and defines a small model."""

    def write(body: str, name: str = "script.py", *, head: bool = True) -> Path:
        path = tmp_path / name
        path.write_text((HEAD if head else "") + textwrap.dedent(body))
        return path

    return write


@pytest.fixture
def visited(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visited:
    """Run a script that is given as text and return the visit."""

    def run(body: str, *, script_args: str = "", head: bool = True, **options: object) -> Visit:
        path = script(body, head=head)
        monkeypatch.chdir(tmp_path)
        return visit(path.name, script_args=script_args, options=DiscoveryOptions(**options))  # type: ignore[arg-type]

    return run
