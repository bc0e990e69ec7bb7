"""What tests of several rooms share: a cache, scripts, and the small tools of ``tests/plugins``."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from turnkey import plugins

PLUGINS = Path(__file__).parent / "plugins"

# Tests run side by side and measure as a means, not to learn a number: they need not wait for each other. A worker of
# xdist inherits what its parent set here, and takes a lock of its own instead.
if "PYTEST_XDIST_WORKER" in os.environ or "TURNKEY_MACHINE_LOCK" not in os.environ:
    os.environ["TURNKEY_MACHINE_LOCK"] = str(Path(tempfile.gettempdir()) / f"turnkey-test-{os.getpid()}.lock")

# What one test converts must not reach another by the cache of this user; the tests of that cache switch it on.
os.environ.setdefault("TURNKEY_CONVERSION_CACHE", "0")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: without this the
    # tests that interrupt a command would wait for ever when the suite itself was started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``nightly`` take minutes each: they run only where they are asked for, ``-m nightly``."""
    if "nightly" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("nightly")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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


@pytest.fixture
def chaotic() -> Callable[[int], Any]:
    """Makes a module that amplifies a last bit to a per cent: so many expanding maps in a row."""
    import torch

    class Chaotic(torch.nn.Module):
        def __init__(self, steps: int) -> None:
            super().__init__()
            self.steps = steps
            self.act = torch.nn.Sigmoid()

        def forward(self, x: Any) -> Any:
            x = self.act(x)
            for _ in range(self.steps):
                x = 3.99 * x * (1 - x)
            return x

    return Chaotic
