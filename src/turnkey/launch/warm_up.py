"""What a template does before it serves: the sequence itself, once, on the smallest model there is.

Whatever the tools of the sequence import lazily, build once per process or look up for the first time is then done:
the first export through torch.export costs seconds, later ones tenths. Tools that measure start processes of their
own and gain nothing; tools of plug-ins may do anything, so they are not run in advance.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from turnkey.errors import TurnkeyError
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import silent
from turnkey.pipeline.tool import Steps

_REHEARSED = ("export-pytorch", "optimize-ort", "convert-fp16", "verify", "verify-exporter")
"""Tools that are safe to run in advance: they read and write only the build."""

_MODULES: Mapping[str, tuple[str, ...]] = {
    "benchmark": ("turnkey.measure.bench", "turnkey.runtimes.target", "turnkey.tools.candidates"),
}
"""Imported in advance for tools that are not run in advance."""

_TORCH_SEED = 67280421310721
"""With which older versions of torch begin in every process; newer ones draw one from the system."""

_SCRIPT = """\
import torch

model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
model(torch.ones(2, 4))
"""


def warm_up(steps: Steps, directory: Path) -> dict[str, Callable[[], None]]:
    """Import what the tools of a sequence need, and run those that can be, without ever starting a second thread.

    Args:
        directory: an empty one to work in.

    Returns:
        What has to happen in a worker when a module comes to its script, by the module's name, so that the script
        finds it as in a fresh interpreter.

    Raises:
        TurnkeyError: the rehearsal failed, so that a fresh interpreter is the better place.
    """
    names = [tool for tool, _ in steps]
    actions: dict[str, Callable[[], None]] = {}
    if {"discover", "export-pytorch"} & set(names):
        actions["torch"] = _torch_at_one_thread()
    for tool in names:
        for module in _MODULES.get(tool, ()):
            importlib.import_module(module)
    with _one_processor():
        _rehearse(names, steps, directory)
    tempfile.tempdir = None  # each worker has a directory of its own
    _end_progress_monitor()
    if "numpy.random" in sys.modules:
        actions["numpy.random"] = _seed_numpy
    return actions


def _torch_at_one_thread() -> Callable[[], None]:
    """Load torch with all processors in sight (its libraries count them then), and give back how it began."""
    import torch

    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    begins_alike = torch.initial_seed() == _TORCH_SEED
    torch.set_num_threads(1)

    def begin_anew() -> None:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or threads))
        if begins_alike:
            torch.set_rng_state(generator)
        else:
            torch.seed()

    return begin_anew


def _end_progress_monitor() -> None:
    """Stop the thread that tqdm starts with its first progress bar; the next bar starts another."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is not None and tqdm.monitor is not None:
        tqdm.monitor.exit()
        tqdm.monitor = None


def _seed_numpy() -> None:
    """A fresh interpreter seeds numpy's global generator from the system; a forked one must too."""
    sys.modules["numpy.random"].seed()


@contextmanager
def _one_processor() -> Iterator[None]:
    """Whoever counts processors meanwhile, to start as many threads, counts one."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _rehearse(names: list[str], steps: Steps, directory: Path) -> None:
    from turnkey.launch.execution import run_item

    first = names[0]
    known = tuple((tool, arguments) for tool, arguments in steps if tool in _REHEARSED)
    if first == "discover":
        path = directory / "rehearsal.py"
        path.write_text(_SCRIPT, encoding="utf-8")
        steps = (("discover", {}), *known)
    elif first == "load-onnx":
        path = directory / "rehearsal.onnx"
        path.write_bytes(smallest_onnx())
        steps = (("load-onnx", {}), *known)
    else:
        return
    item = WorkItem(
        number=0,
        input=path.name,
        path=str(path),
        steps=steps,
        cache_dir=str(directory / "cache"),
        build_name="rehearsal",
        working_directory=str(directory),
    )
    result = run_item(item, listen=silent)
    if result.status != "successful":
        raise result.error or TurnkeyError(f"the rehearsal was {result.status}")


def smallest_onnx() -> bytes:
    """A model of one operator: ``y = Relu(x)``, float32 of shape 1 × 4."""
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "rehearsal", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
