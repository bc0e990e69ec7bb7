"""What tests of several rooms share: a cache, scripts, and the small tools of ``tests/plugins``."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from turnkey import plugins

PLUGINS = Path(__file__).parent / "plugins"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: without this the
    # tests that interrupt a command would wait for ever when the suite itself was started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def small_tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tools of ``tests/plugins`` as an installed plug-in, for this process and for workers."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH")])))
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()
    sys.modules.pop("turnkey_test_tools", None)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Writes a script and returns its path."""

    def write(text: str = "", name: str = "model.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write
