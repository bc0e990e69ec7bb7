"""A script under discovery behaves as under plain python: output, exit code, files, process."""

from __future__ import annotations

import multiprocessing.context
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.discovery import let_go
from turnkey.discovery.script import ScriptRun, split_arguments
from turnkey.errors import InputError, UsageError

from .conftest import Script, Visited
from .scripts import PLAIN_SCRIPTS, TORCH_SCRIPTS, prepare, python


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a sibling module and a package."""
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PLAIN_SCRIPTS)
def test_output_exit_code_and_files_are_those_of_plain_python(
    script: Script,
    workplace: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    # An earlier test of this process may have started processes, which settles the method for good.
    monkeypatch.setattr(multiprocessing.context._default_context, "_actual_context", None)  # type: ignore[attr-defined]
    path = script(PLAIN_SCRIPTS[name], head=False)
    arguments = ["--a", "b c", "--d=e"]
    expected = python(path, *arguments, cwd=workplace)
    files = sorted(item.name for item in workplace.iterdir())
    (workplace / "written.txt").unlink(missing_ok=True)

    outcome = ScriptRun(path.name, arguments)
    ended = outcome.run()
    outcome.leave()

    assert (capfdbinary.readouterr().out, ended.exit_code) == expected
    assert sorted(item.name for item in workplace.iterdir() if item.name != "__pycache__") == [
        name for name in files if name != "__pycache__"
    ]


@pytest.mark.parametrize("name", TORCH_SCRIPTS)
@pytest.mark.slow
def test_what_a_script_does_with_torch_is_bit_for_bit_the_same(script: Script, workplace: Path, name: str) -> None:
    path = script(TORCH_SCRIPTS[name])
    expected = python(path, cwd=workplace)
    observed = subprocess.run(
        [sys.executable, "-c", "import sys, turnkey; turnkey.discover(sys.argv[1])", path.name],
        cwd=workplace,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
    )
    assert observed.stdout.decode() == expected[0].decode()
    assert (observed.returncode, expected[1]) == (0, 0)


def test_the_process_is_as_before_afterwards(visited: Visited, workplace: Path) -> None:
    import logging

    import numpy as np
    import torch

    def probe() -> tuple[object, ...]:
        return (
            list(sys.argv), list(sys.path), sys.modules["__main__"], os.getcwd(), dict(os.environ), sys.excepthook,
            torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(), torch.is_grad_enabled(),
            torch.get_rng_state().sum().item(), random.getstate(), np.random.get_state()[1].sum(),  # type: ignore[index]
            list(warnings.filters), signal.getsignal(signal.SIGUSR1), sys.stdout, sys.getrecursionlimit(),
            list(logging.getLogger().handlers), torch.nn.Module.__call__, set(sys.modules) & {"helper_of_script"},
            signal.getitimer(signal.ITIMER_VIRTUAL), sys.meta_path[:], os.umask(os.umask(0o22)),
            os.sched_getaffinity(0),
        )  # fmt: skip

    before = probe()
    visit = visited(
        """
        import logging, os, random, signal, sys, tempfile, warnings
        import numpy as np
        open(os.path.join(os.path.dirname(__file__), "helper_of_script.py"), "w").write("A = 1")
        import helper_of_script
        sys.argv.append("x"); sys.path = ["/nowhere"]; os.chdir(tempfile.gettempdir()); os.environ["NEW"] = "1"
        os.environ.pop("PATH"); sys.excepthook = print; torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta"); torch.set_default_device("cpu"); torch.set_num_threads(1)
        torch.set_grad_enabled(False); torch.manual_seed(9); random.seed(9); np.random.seed(9)
        warnings.simplefilter("error"); signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        sys.stdout = open(os.devnull, "w")
        sys.setrecursionlimit(4321); logging.basicConfig(level=logging.DEBUG)
        signal.setitimer(signal.ITIMER_VIRTUAL, 999)
        nn.Module.__call__ = nn.Module.__call__; os.umask(0o77); sys.meta_path.append(sys.meta_path[-1])
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        """
    )
    assert visit.outcome.exit_code == 0, visit.outcome.traceback
    let_go()
    for was, now in zip(before[3:], probe()[3:], strict=True):
        assert was == now
    assert before[:3] == probe()[:3]


def test_a_failing_script_says_so_with_the_users_lines_only(visited: Visited) -> None:
    visit = visited("net = Net(); net(x)\ndef f():\n    raise ValueError('because')\nf()")
    assert visit.outcome.exit_code == 1
    assert "ValueError: because" in visit.outcome.traceback
    assert "turnkey" not in visit.outcome.traceback
    assert [model.name for model in visit.listing.models] == ["net"]


def test_an_exception_in_a_forward_shows_no_frame_of_ours(visited: Visited) -> None:
    visit = visited("net = Net(); net(torch.ones(9, 9))")
    assert "mat1 and mat2" in visit.outcome.traceback
    assert "observer" not in visit.outcome.traceback


def test_the_users_interrupt_is_not_taken_for_a_failure_of_the_script(visited: Visited) -> None:
    import torch

    original = torch.nn.Module.__call__
    with pytest.raises(KeyboardInterrupt):
        visited("net = Net(); net(x)\nraise KeyboardInterrupt")
    assert torch.nn.Module.__call__ is original


def test_threads_and_handlers_of_others_are_left_alone(script: Script, workplace: Path) -> None:
    import threading

    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        run = ScriptRun(script("print(1)", head=False).name)
        assert run.run().exit_code == 0
        run.leave()
        assert other.is_alive()
    finally:
        stop.set()
        other.join()


def test_a_missing_script_is_bad_input(workplace: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.py"):
        ScriptRun("nothing.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("--batch_size=8 --max_seq_len=128", ["--batch_size=8", "--max_seq_len=128"]),
        ("--batch_size=8,--max_seq_len=128", ["--batch_size=8", "--max_seq_len=128"]),
        ("--a 1,--b 2", ["--a", "1", "--b", "2"]),
        ("--sizes 1,2,3", ["--sizes", "1,2,3"]),
        ("--text 'a b' \"c,d\"", ["--text", "a b", "c,d"]),
    ],
)
def test_script_arguments_are_shell_words_and_a_comma_before_dashes_separates(text: str, words: list[str]) -> None:
    assert split_arguments(text) == words


@given(st.lists(st.text(min_size=1).filter(lambda word: ",--" not in word)))
def test_quoted_words_survive_the_splitting(words: list[str]) -> None:
    import shlex

    assert split_arguments(shlex.join(words)) == words


def test_an_open_quotation_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="split"):
        split_arguments("--a 'b")


def test_a_module_is_the_scripts_own_where_its_file_really_lies(script: Script, workplace: Path) -> None:
    elsewhere = workplace / "elsewhere"
    (elsewhere / "linked").mkdir(parents=True)
    for path in ("linked/far.py", "tool.py"):
        (elsewhere / path).write_text("VALUE = 1\n")
    (workplace / "project").mkdir()
    (workplace / "project" / "near.py").write_text("VALUE = 2\n")
    (workplace / "project" / "tool.py").symlink_to(elsewhere / "tool.py")
    (workplace / "project" / "linked").symlink_to(elsewhere / "linked")
    (workplace / "alias").symlink_to(workplace / "project")
    script("import near, tool, linked.far", "project/main.py", head=False)

    run = ScriptRun("alias/main.py")
    assert run.run().exit_code == 0
    files = run.imported_files()
    run.leave()

    assert files == (str(workplace / "project" / "near.py"),)


def test_nothing_heavy_is_imported_before_the_script_imports_it(script: Script, workplace: Path) -> None:
    path = script("import sys; print([m for m in ('torch', 'numpy', 'onnx', 'yaml') if m in sys.modules])", head=False)
    command = [sys.executable, "-c", "import sys, turnkey; turnkey.discover(sys.argv[1])", path.name]
    assert subprocess.run(command, cwd=workplace, capture_output=True, text=True).stdout == "[]\n"
