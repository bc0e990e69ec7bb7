"""What ``benchmarks/corpus.py`` says of a call that was stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]

KILLS_THE_CALL = """\
import os, pathlib, signal, psutil
seen = pathlib.Path({seen!r})
if not seen.exists():
    seen.touch()
    warden = psutil.Process().parent()
    os.kill(warden.ppid(), signal.SIGKILL)
    __import__("time").sleep(60)
"""


@pytest.fixture
def corpus(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("corpus")


def test_a_call_that_was_killed_goes_on_and_its_row_sums_both_parts(
    corpus: ModuleType, script: Writer, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    good = script(f"open({str(count)!r}, 'a').write('good ')", "good.py")
    kills = script(KILLS_THE_CALL.format(seen=str(tmp_path / "seen")), "kills.py")
    bad = script(f"open({str(count)!r}, 'a').write('bad ')\nraise ValueError('mine')", "bad.py")

    def row() -> object:
        return corpus.Row(
            call=corpus.WatchedCall(tmp_path / "row"),
            paths=(good, bad, kills),
            workers="fresh",
            exporter="torchscript",
            jobs=1,
            tools=("obey",),
            published=corpus.EXPORTED,
        )

    first = row()
    first.work([])
    assert [ending.status for ending in first.endings()] == ["successful", "error", "missing"]
    assert not first.is_as_asked()
    second = row()
    second.work([])

    assert [part.is_whole for part in second.call.parts] == [False, True]
    assert second.call.cpu_s == sum(part.cpu_s for part in second.call.parts)
    assert all(part.cpu_s > 0 and part.wall_s > 0 for part in second.call.parts)
    assert [(ending.status, ending.reason) for ending in second.endings()][:2] == [
        ("successful", ""),
        ("error", "obey ended with ValueError"),
    ]
    assert second.endings()[2].status == "successful"
    assert count.read_text() == "good bad ", "neither what finished nor what failed is run again"
    table = "\n".join(corpus.small_inputs_table([second]))
    assert "2 successful, 1 error" in table
    assert "in 2 parts" in table
    assert "1 × error: obey ended with ValueError (bad)" in table
    assert not second.is_as_asked(), "a small input failed"

    second.work([])
    assert len(second.call.parts) == 2, "a finished row is not run again"


def test_an_input_without_an_end_is_lost_and_one_that_failed_is_not(
    corpus: ModuleType, script: Writer, tmp_path: Path
) -> None:
    call = corpus.WatchedCall(tmp_path / "row")
    paths = (script("raise ValueError('mine')", "bad.py"), script("", "never.py"))
    row = corpus.Row(
        call=call, paths=paths, workers="fresh", exporter="dynamo", jobs=1, tools=("obey",), may_fail=True
    )
    call.run(["-i", str(paths[0]), "-d", str(call.cache), "--process-isolation", "obey"])

    assert [ending.status for ending in row.endings()] == ["error", "lost"]
    assert not row.is_as_asked()
    assert "| 2 | 0 | 1 | 1 |" in "\n".join(corpus.architectures_table(row))
