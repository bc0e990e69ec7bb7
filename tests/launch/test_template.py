"""Prewarmed workers: nothing of one input reaches another, and a script cannot tell that it was forked."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from launch_calls import call_in_process, launched, numbers_in, wait_until

from turnkey.launch import Result
from turnkey.launch.template import can_be_forked
from turnkey.launch.veil import ImportRecord
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Event

pytestmark = [
    pytest.mark.usefixtures("small_tools"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="templates need descriptors of processes"),
]

Writer = Callable[..., Path]


def run(paths: list[Path], cache: Path, **how: Any) -> list[Result]:
    return launched(paths, cache, process_isolation=True, timeout=120, **how)


def log_of(result: Result, tool: str = "obey") -> list[str]:
    assert result.build_dir is not None
    return (result.build_dir / f"log_{tool}.txt").read_text().splitlines()[1:]


def item(path: Path, **fields: object) -> WorkItem:
    values = {"number": 1, "input": path.name, "path": str(path), "steps": (), "cache_dir": "c", "build_name": "b"}
    return WorkItem(working_directory="/", **{**values, **fields})  # type: ignore[arg-type]


SPOILER = """
    import os, random, sys, json, tempfile
    print(getattr(json, "spoiled", "clean"), os.environ.get("SPOILED"), os.getcwd(), "spoiled" in sys.modules)
    print(random.random())
    print(tempfile.gettempdir())
    json.spoiled = os.environ["SPOILED"] = "spoiled"
    sys.modules["spoiled"] = json
    os.chdir("/")
    sys.path.insert(0, "/nowhere")
    """


def test_nothing_of_one_input_reaches_another(script: Writer, cache: Path) -> None:
    paths = [script(SPOILER, f"{name}.py") for name in "abc"]

    results = run(paths, cache, prewarm=1)

    assert [result.status for result in results] == ["successful"] * 3
    assert [log_of(result)[0] for result in results] == [f"clean None {os.getcwd()} False"] * 3
    assert len({log_of(result)[1] for result in results}) == 3, "each has its own random numbers"
    assert len({log_of(result)[2] for result in results}) == 3, "and its own directory for temporary files"


def test_a_template_that_dies_is_replaced_by_fresh_interpreters_and_nothing_is_lost(
    script: Writer, cache: Path, tmp_path: Path
) -> None:
    killer = script(
        f"""
        import os, signal, psutil
        template = psutil.Process(os.getppid()).parent()
        open({str(tmp_path / "killed")!r}, "w").write(str(template.pid))
        template.kill()
        """,
        "killer.py",
    )
    events: list[Event] = []

    results = run([killer, script("", "b.py"), script("", "c.py")], cache, prewarm=1, events=events)

    assert [result.status for result in results] == ["successful"] * 3
    assert not psutil.pid_exists(int((tmp_path / "killed").read_text()))
    assert [event.kind for event in events].count("input-finished") == 3
    notes = [event.text for event in events if event.kind == "note"]
    assert len(notes) <= 1
    assert all("new interpreter" in text for text in notes)


def test_a_template_that_cannot_warm_up_is_replaced_and_says_why(
    script: Writer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('this torch is broken')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(broken), os.environ["PYTHONPATH"]]))
    events: list[Event] = []

    results = run(
        [script("print('fine')", f"{name}.py") for name in "ab"], cache, steps=["discover"], prewarm=1, events=events
    )

    assert [result.status for result in results] == ["skipped"] * 2  # the small tools have no discover of their own
    (note,) = {event.text for event in events if event.kind == "note"}
    assert "this torch is broken" in note


def test_few_inputs_are_not_worth_a_template(script: Writer, cache: Path) -> None:
    run([script("", "a.py")], cache)

    (call,) = (path for path in (cache / ".calls").iterdir() if path.is_dir())
    assert not (call / "template.txt").exists()


def test_nothing_is_warmed_for_inputs_that_were_finished_before(script: Writer, cache: Path) -> None:
    paths = [script("", f"{name}.py") for name in "ab"]
    launched(paths, cache)

    results = run(paths, cache, prewarm=1, resume=True)

    assert [(result.status, result.seconds) for result in results] == [("skipped", 0.0)] * 2
    assert not list(cache.glob(".calls/*/template.txt"))


def test_the_template_ends_with_its_call(script: Writer, cache: Path, tmp_path: Path) -> None:
    marker = tmp_path / "template"
    path = script(
        f"""
        import os, time, psutil
        open({str(marker)!r}, "w").write(f"{{psutil.Process(os.getppid()).ppid()}}\\n")
        time.sleep(600)
        """
    )
    call = call_in_process([path], cache, process_isolation=True, prewarm=1)
    (pid,) = numbers_in(marker)
    template = psutil.Process(pid)
    below = template.children(recursive=True)
    assert len(below) >= 2

    call.send_signal(signal.SIGKILL)
    call.wait()

    _, alive = psutil.wait_procs([template, *below], timeout=15)
    assert alive == []


def test_an_interrupt_waits_for_no_template_that_is_still_warming_up(
    script: Writer, cache: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    paths = [script("", "a.py"), script("", "b.py")]
    variables = {"TMPDIR": str(temporary)}
    call = call_in_process(paths, cache, ["discover"], variables=variables, process_isolation=True, prewarm=1)
    wait_until(lambda: bool(list(cache.glob(".calls/*/items/1.json"))))
    (template,) = psutil.Process(call.pid).children()
    template.suspend()  # it will never be ready

    call.send_signal(signal.SIGINT)
    output, _ = call.communicate(timeout=30)

    assert (call.returncode, output) == (130, "killed not_started\n")
    assert not template.is_running()
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "forked"),
    [
        ("import torch", True),
        ("import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport torch", False),
        ("import os\nos.environ.setdefault('CUDA_VISIBLE_DEVICES', '')", False),
        ("from os import putenv\nputenv('MKL_NUM_THREADS', '2')", False),
        ("import os\nos.environ['HOME_OF_MINE'] = 'x'", True),
        ("# OMP_NUM_THREADS is of no interest here", True),
    ],
)
def test_a_script_that_sets_variables_for_libraries_gets_a_fresh_interpreter(
    text: str, forked: bool, script: Writer
) -> None:
    assert can_be_forked(item(script(text))) is forked


def test_an_input_without_source_can_be_forked_and_one_that_is_gone_cannot(tmp_path: Path) -> None:
    assert can_be_forked(item(tmp_path / "model.onnx"))
    assert not can_be_forked(item(tmp_path / "missing.py"))


def test_what_a_submodule_loads_is_not_laid_to_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "veiled_package").mkdir()
    for name, text in {"__init__": "", "part": "import veiled_need"}.items():
        (tmp_path / "veiled_package" / f"{name}.py").write_text(text)
    (tmp_path / "veiled_need.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    with ImportRecord() as record:
        exec("import veiled_package\nfrom veiled_package import part")

    assert record.edges["veiled_package.part"] == {"veiled_package.part", "veiled_need"}
    assert "veiled_need" not in record.edges["veiled_package"]


MODULES = """
    import sys
    def show():
        names = {name.partition(".")[0] for name in sys.modules}
        print(sorted(name for name in names if not name.startswith("_")))
    show()
    import numpy
    show()
    print(sorted(name for name in sys.modules if name.startswith("numpy.")))
    """

LIBRARIES = """
    import sys, torch
    print(torch.get_num_threads(), torch.is_grad_enabled(), torch.rand(3).shape, torch.__spec__.name)
    open("seeds", "a").write(f"{torch.initial_seed()}\\n")
    import torch._dynamo
    print(torch._dynamo is sys.modules["torch._dynamo"], torch._dynamo.__spec__.name)
    import onnx, onnxruntime, numpy.random as random
    print(onnx.__version__, onnxruntime.get_available_providers(), onnx.__spec__.name, random.rand(4).shape)
    """

SEED = """
    import torch
    open("seeds", "a").write(f"{torch.initial_seed()}\\n")
    """


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_script_finds_the_modules_threads_and_numbers_of_a_fresh_interpreter(
    script: Writer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [MODULES, LIBRARIES, SEED]
    paths = [script(text, f"s{index}.py") for index, text in enumerate(texts)]

    monkeypatch.chdir(tmp_path)
    told = {}
    for how in ({"fresh": True}, {"prewarm": 1}):
        results = run(paths, cache, steps=["discover", "export-pytorch"], **how)
        told[str(how)] = [log_of(result, "discover")[:3] for result in results]

    fresh, prewarmed = told.values()
    for text, one, other in zip(texts, fresh, prewarmed, strict=True):
        assert one == other, text
    seeds = (tmp_path / "seeds").read_text().split()
    assert (seeds[0] == seeds[1]) is (seeds[2] == seeds[3]), "drawn anew by each process, or by none"


NETWORK = """
    import torch
    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x) + {constant}
    Net()(torch.ones(2, 3))
    """


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_forked_workers_export_by_both_exporters_one_after_the_other(script: Writer, cache: Path) -> None:
    paths = [script(NETWORK.format(constant=index), f"net{index}.py") for index in range(2)]
    exports = [("export-pytorch", {"exporter": exporter}) for exporter in ("dynamo", "torchscript")]
    events: list[Event] = []

    results = run(paths, cache, steps=["discover", *exports, "optimize-ort"], events=events, prewarm=1)

    assert [result.status for result in results] == ["successful"] * 2, [str(result.error) for result in results]
    assert len({result.model_hash for result in results}) == 2
    assert not [event.text for event in events if "prewarmed" in event.text], "the template served"
