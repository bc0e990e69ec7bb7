"""What tests of several rooms share: a place of their own, what they need of this machine, scripts and small tools."""

from __future__ import annotations

import gc
import getpass
import importlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from turnkey import plugins

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
sys.path.insert(0, str(HERE / "shared"))
BENCHMARKS = HERE.parent / "benchmarks"

# A test that kills a process leaves its temporary files: all go into one place, which goes with this process. pytest's
# own directories, which one reads after a failure, and torch's compiled kernels stay where they are without us. A
# worker of xdist inherits what its parent sets here, and has its place inside.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/torchinductor_{getpass.getuser()}")
PLACE = Path(tempfile.mkdtemp(prefix="turnkey-test-"))
tempfile.tempdir = os.environ["TMPDIR"] = str(PLACE)

for variable in [name for name in os.environ if name.startswith("TURNKEY_")]:
    del os.environ[variable]  # settings of whoever runs the tests, or of xdist's parent
os.environ["TURNKEY_CACHE_DIR"] = str(PLACE / "cache")
# Tests run side by side and measure as a means, not to learn a number: they need not wait for each other.
os.environ["TURNKEY_MACHINE_LOCK"] = str(PLACE / "machine.lock")
# What one test converts must not reach another; the tests of that cache switch it on.
os.environ["TURNKEY_CONVERSION_CACHE"] = "0"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that: without this the
    # tests that interrupt a command would wait for ever when the suite itself was started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PACKAGES = {
    "emx_onnx_cgen": "mlf",
    "executorch": "executorch",
    "jax": "jax",
    "jinja2": "report",
    "mkdocs": "docs",
    "nncf": "openvino",
    "onnxslim": "quantize",
    "openvino": "openvino",
    "pandas": "report",
    "submitit": "slurm",
    "tensorflow": "tensorflow",
    "tf2onnx": "tensorflow",
    "timm": "models",
    "torchao": "quantize",
    "transformers": "models",
    "tritonclient": "triton",
}
"""What tests need beyond Turnkey's own dependencies, as it is imported: the extra that brings it."""

PROGRAMS = {
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "bash": "bash",
    "chromium": "chromium",
    "clang": "clang",
    "cmake": "cmake",
    "fish": "fish",
    "g++": "g++",
    "gcc": "gcc",
    "qemu-arm": "qemu-user",
    "qemu-system-arm": "qemu-system-arm",
    "zsh": "zsh",
}
"""Programs that tests start: the package of Debian that brings them."""


def pytest_unconfigure() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``nightly`` take minutes each: they run only where they are asked for, ``-m nightly``."""
    if "nightly" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("nightly")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    keep_for_good()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        keep_for_good()


def keep_for_good() -> None:
    """Take what is alive out of the sight of the garbage collector.

    Test modules and the libraries that they load are a million objects, which every collection would visit; a script
    that is run in this process asks for two.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        skip_without(*marker.args)


def skip_without(*names: str) -> None:
    """Skip the present test unless all of these are installed; every summary of pytest says which were missing."""
    for name in names:
        if name in PROGRAMS:
            if shutil.which(name) is None:
                pytest.skip(f"{name} is not installed: apt-get install {PROGRAMS[name]}")
        elif importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install 'turnkey[{PACKAGES[name]}]'")


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """`skip_without`, for fixtures and for what only a part of a test's parameters needs."""
    return skip_without


@pytest.fixture
def small_tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The tools of ``tests/plugins`` as an installed plug-in, for this process and for workers."""
    monkeypatch.syspath_prepend(str(PLUGINS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLUGINS), os.environ.get("PYTHONPATH")])))
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()
    sys.modules.pop("turnkey_test_tools", None)


@pytest.fixture(scope="session")
def benchmark_module() -> Callable[[str], ModuleType]:
    """Imports a module of ``benchmarks/``, whose modules import each other by their bare names."""

    def load(name: str) -> ModuleType:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(BENCHMARKS))
            return importlib.import_module(name)

    return load


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
