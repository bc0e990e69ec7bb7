"""Several inputs at a time: all are done, measurements are alone, and a killed call goes on where it was."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from launch_calls import call_in_process, launched, wait_until

from turnkey.errors import UsageError
from turnkey.launch import Options, Result
from turnkey.launch.plan import thread_share
from turnkey.pipeline.events import Event
from turnkey.pipeline.shard import Shard
from turnkey.pipeline.state_file import load_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNKEY_MACHINE_LOCK", str(tmp_path / "machine.lock"))


SPAN = """
    import time
    began = time.monotonic()
    time.sleep(0.3)
    statistics = {"span": [began, time.monotonic()]}
    """


def spans(results: list[Result], key: str = "span") -> list[tuple[float, float]]:
    return sorted(tuple(result.state.statistics[key]) for result in results if result.state)  # type: ignore[misc]


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def test_several_inputs_run_at_a_time_and_results_stay_in_order(script: Writer, cache: Path) -> None:
    paths = [script(SPAN if name != "c" else "raise ValueError('mine')", f"{name}.py") for name in "abcdef"]

    results = launched(paths, cache, ["obey"], jobs=3)

    assert [result.input for result in results] == [str(path) for path in paths]
    assert [result.status for result in results] == ["successful"] * 2 + ["error"] + ["successful"] * 3
    found = spans([result for result in results if result.status == "successful"])
    assert any(overlap(one, other) for one, other in pairwise(found))


def test_a_measurement_never_overlaps_with_anything_also_of_another_call(script: Writer, cache: Path) -> None:
    paths = [script(SPAN, f"{name}.py") for name in "abcd"]
    events: list[Event] = []

    with ThreadPoolExecutor() as pool:
        other = pool.submit(launched, paths[:2], cache.with_name("other"), ["obey", "times"], jobs=2)
        results = launched(paths, cache, ["obey", "times"], jobs=3, events=events) + other.result()

    assert [result.status for result in results] == ["successful"] * 6
    measured, built = spans(results, "measured"), spans(results)
    assert not any(overlap(one, other) for one in measured for other in built)
    assert not any(overlap(one, other) for one, other in pairwise(measured))
    assert "tool-waiting" in {event.kind for event in events}


def test_waiting_for_a_turn_is_not_the_time_of_an_input(script: Writer, cache: Path) -> None:
    paths = [script("", f"{name}.py") for name in "abc"]

    results = launched(paths, cache, ["obey", ("times", {"seconds": 1.5})], jobs=3, timeout=3.0)

    assert [result.status for result in results] == ["successful"] * 3


def test_a_failure_stops_what_has_not_begun_when_asked_for(script: Writer, cache: Path) -> None:
    paths = [script("raise ValueError('mine')", "a.py"), *(script("", f"{name}.py") for name in "bcdef")]

    results = launched(paths, cache, ["obey"], jobs=2, fail_fast=True)

    assert results[0].status == "error"
    assert results[-1].status == "not_started"


def test_workers_share_the_threads_of_this_process(script: Writer, cache: Path) -> None:
    text = "import os\nstatistics = {'threads': os.environ.get('OMP_NUM_THREADS')}"
    (one,) = launched([script(text, "a.py")], cache, ["obey"], process_isolation=True)
    several = launched([script(text, "b.py"), script(text, "c.py")], cache, ["obey"], jobs=2)

    assert one.state is not None
    assert one.state.statistics.get("threads") == os.environ.get("OMP_NUM_THREADS")
    assert {result.state.statistics["threads"] for result in several if result.state} == set(
        thread_share(2)["OMP_NUM_THREADS"]
    )


def test_ctrl_c_ends_all_workers_and_no_result_is_missing(script: Writer, cache: Path, tmp_path: Path) -> None:
    hang = "import time, os\nopen({!r}, 'a').write('.')\ntime.sleep(600)"
    marker = tmp_path / "started"
    paths = [script("", "a.py"), *(script(hang.format(str(marker)), f"{name}.py") for name in "bcd")]
    call = call_in_process(paths, cache, jobs=2)
    wait_until(lambda: marker.exists() and marker.read_text() == "..")

    os.kill(call.pid, signal.SIGINT)
    output, _ = call.communicate(timeout=30)

    assert call.returncode == 130
    assert output.split() == ["successful", "killed", "killed", "not_started"]
    assert load_state(cache, "c").build_status == "killed"


def test_a_killed_call_is_continued_with_exactly_what_is_missing(script: Writer, cache: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    slow = f"import time\nopen({str(count)!r}, 'a').write('{{}}\\n')\ntime.sleep(0.5)\n"
    paths = [script(slow.format(name), f"{name}.py") for name in "abcdef"]
    call = call_in_process(paths, cache, jobs=2)
    wait_until(lambda: count.exists() and len(count.read_text().split()) >= 4)
    call.kill()
    call.communicate()
    time.sleep(0.5)  # what was at work ends
    before = [name for name in "abcdef" if is_finished(cache, name)]
    assert before

    results = launched(paths, cache, ["obey"], jobs=2, resume=True)

    assert [result.status for result in results] == [
        "skipped" if name in before else "successful" for name in "abcdef"
    ]
    runs = count.read_text().split()
    assert all(runs.count(name) == 1 for name in before)
    assert all(load_state(cache, name).build_status == "successful" for name in "abcdef")


def is_finished(cache: Path, name: str) -> bool:
    return (cache / name / f"{name}_state.yaml").exists() and load_state(cache, name).build_status == "successful"


def test_only_the_kinds_of_failure_that_are_named_are_retried(script: Writer, cache: Path, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    text = f"import os, time\nif not os.path.exists({str(mended)!r}):\n    {{}}\n"
    paths = [
        script("", "good.py"),
        script(text.format("raise ValueError('mine')"), "error.py"),
        script(text.format("time.sleep(600)"), "timeout.py"),
        script(text.format("os.abort()"), "crash.py"),
    ]
    first = launched(paths, cache, ["obey"], jobs=2, timeout=3)
    assert [result.status for result in first] == ["successful", "error", "timeout", "killed"]
    mended.touch()

    second = launched(paths, cache, ["obey"], process_isolation=True, timeout=3, retry=("timeout",))

    assert [result.status for result in second] == ["skipped", "error", "successful", "killed"]
    assert "failed before" in second[1].reason
    assert "--retry failed" in str(second[1].error)
    assert second[1].failure is not None
    assert second[1].failure.tool == "obey"
    third = launched(paths, cache, ["obey"], process_isolation=True, timeout=3, retry=("failed",))
    assert [result.status for result in third] == ["skipped", "successful", "skipped", "successful"]


def test_shards_on_several_machines_do_all_inputs_once(script: Writer, tmp_path: Path) -> None:
    paths = [script("", f"m{index}.py") for index in range(5)]
    done = []
    for index in (1, 2):
        results = launched(paths, tmp_path / f"cache{index}", ["obey"], shard=Shard(index, 2))
        done += [result.input for result in results]

    assert sorted(done) == [str(path) for path in paths]


def test_a_log_without_end_is_cut_off_by_ending_its_input(script: Writer, cache: Path) -> None:
    chatter = script("while True:\n    print('x' * 100_000)", "chatter.py")

    results = launched([chatter, script("", "b.py")], cache, ["obey"], process_isolation=True, output_limit=3 << 20)

    assert [result.status for result in results] == ["killed", "successful"]
    assert "output limit" in results[0].reason
    assert "--output-limit" in str(results[0].error)


def test_a_build_that_fills_the_disk_is_ended_at_its_limit(script: Writer, cache: Path) -> None:
    text = f"""
        import tempfile, time
        for place in ({str(cache / "big")!r}, tempfile.gettempdir()):  # either alone is within the limit
            open(f"{{place}}/junk.bin", "wb").write(bytes(3 << 20))
        time.sleep(60)
        """

    results = launched(
        [script(text, "big.py"), script("", "b.py")], cache, ["obey"], process_isolation=True, disk_limit=4 << 20
    )

    assert [result.status for result in results] == ["killed", "successful"]
    assert "disk limit" in results[0].reason
    assert "6.0 MiB" in str(results[0].error)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 3}, "--process-isolation"),
        ({"disk_limit": 3}, "--process-isolation"),
        ({"process_isolation": True, "use_slurm": True}, "exclude"),
        ({"retry": ("everything",)}, "failed, timeout"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Options(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)
