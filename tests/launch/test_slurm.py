"""Slurm: what is submitted and asked, and a corpus with every kind of ending on a real cluster."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launch_calls import call_in_process, launched, wait_until
from slurm_cluster import SlurmCluster, missing

from turnkey.errors import InputError, MissingDependencyError, UsageError
from turnkey.launch import Options, Result, exit_code
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.slurm_probe import check_nodes
from turnkey.launch.slurm_queue import QueueUnreachable, ask_accounting, ask_queue, largest_array
from turnkey.launch.slurm_submission import arrays, minutes, parameters
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Event
from turnkey.pipeline.state_file import load_state

Writer = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("small_tools")

on_a_cluster = pytest.mark.skipif(bool(missing()), reason=f"no Slurm: {missing()}")


# ---- without a cluster: what we say to Slurm, and how we read it --------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "whole"), [(None, 1), (1, 1), (40, 1), (41, 2), (3600, 61), (10 * 24 * 3600, 10 * 24 * 60 + 1)]
)
def test_limits_are_rounded_up_to_minutes_and_may_be_days(seconds: float | None, whole: int) -> None:
    assert minutes(seconds) == whole


def test_parameters_are_passed_on_under_slurm_s_names() -> None:
    given = (
        "partition=gpu",
        "account=lab",
        "constraint=avx512",
        "cpus=4",
        "mem=8G",
        "nice=100",
        "array_parallelism=7",
    )

    found = parameters(Options(use_slurm=True, slurm=given, timeout=90))

    assert found == {
        "job_name": "turnkey",
        "partition": "gpu",
        "account": "lab",
        "constraint": "avx512",
        "cpus_per_task": 4,
        "mem": "8G",
        "nice": 100,
        "array_parallelism": 7,
        "time": 2,
    }


@pytest.mark.parametrize("text", ["time=5", "--array=1-3", "nonsense", "array_parallelism=0", "array_parallelism=few"])
def test_what_is_turnkey_s_own_or_no_parameter_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parameters(Options(use_slurm=True, slurm=(text,)))


def test_what_is_too_much_for_one_array_becomes_several_that_share_the_jobs_at_a_time() -> None:
    found = arrays(range(2500), largest=1001, at_once=50)

    assert sorted(item for part, _ in found for item in part) == list(range(2500))
    assert [(len(part), share) for part, share in found] == [(834, 16), (833, 17), (833, 17)]
    assert arrays("abc", largest=1001, at_once=50) == [("abc", 50)]
    assert arrays("abc", largest=1, at_once=2) == [("a", 1), ("b", 1), ("c", 1)]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a program of that name and text in front of the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, text: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


def test_the_queue_is_read_job_by_job_and_others_are_not_ours(commands: Callable[[str, str], None]) -> None:
    commands("squeue", "printf '7_0|RUNNING|None\\n7_1|PENDING|Resources\\n9|RUNNING|None\\n7_2|TIMEOUT|TimeLimit\\n'")

    found = ask_queue(["7_0", "7_1", "7_2", "7_3"])

    assert {job: (status.state, status.reason) for job, status in found.items()} == {
        "7_0": ("RUNNING", ""),
        "7_1": ("PENDING", "Resources"),
        "7_2": ("TIMEOUT", "TimeLimit"),
    }
    assert [job for job, status in found.items() if status.is_active] == ["7_0", "7_1"]


def test_forgotten_jobs_are_no_error_and_a_silent_controller_is_one(commands: Callable[[str, str], None]) -> None:
    commands("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")
    assert ask_queue(["7"]) == {}

    commands("squeue", "echo 'Unable to contact slurm controller' >&2; exit 1")
    with pytest.raises(QueueUnreachable, match="controller"):
        ask_queue(["7"])


def test_the_cluster_says_how_large_an_array_may_be(commands: Callable[[str, str], None]) -> None:
    commands("scontrol", "printf 'MaxArraySize            = 501\\nMaxBatchRequeue         = 5\\n'")
    assert largest_array() == 501

    commands("scontrol", "exit 1")
    assert largest_array() == 1001


def test_accounting_is_asked_where_it_works(commands: Callable[[str, str], None]) -> None:
    commands("sacct", "printf '7_0|CANCELLED by 0|0:15\\n7_0.batch|CANCELLED|0:15\\n'")
    found = ask_accounting("7_0")
    assert found is not None
    assert found.state == "CANCELLED"

    commands("sacct", "echo 'Slurm accounting storage is disabled' >&2; exit 1")
    assert ask_accounting("7_0") is None


def test_a_job_that_asks_for_the_cache_says_why_it_has_to_wait(
    commands: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands("squeue", "echo '7|PENDING|PartitionDown'")
    monkeypatch.setattr("turnkey.launch.slurm_probe.submit_probe", lambda **_: "7")
    monkeypatch.setattr("turnkey.launch.slurm_probe._LOOK_SECONDS", 0.01)
    call, told = CallFolder(directory=tmp_path / "call"), []

    def listen(event: Event) -> None:
        told.append(event.text)
        if "PartitionDown" in event.text:
            call.slurm.mkdir(parents=True)
            (call.slurm / "probe.json").write_text("{}")

    item = WorkItem(
        number=1, input="a.py", path="a.py", steps=(), cache_dir="c", build_name="a", working_directory="/"
    )
    check_nodes(item, call=call, options=Options(cache_dir=tmp_path, use_slurm=True), listen=listen)

    assert told[1:] == ["job 7 waits in the queue: PartitionDown"]


def test_without_slurm_the_call_says_what_is_missing(
    script: Writer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingDependencyError, match="no Slurm on this machine"):
        launched([script()], cache, use_slurm=True)
    assert not cache.exists()


# ---- on a real cluster --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> Iterator[SlurmCluster]:
    need("submitit")
    started = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    yield started
    started.stop()


@pytest.fixture
def on_slurm(cluster: SlurmCluster, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Result]]:
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)

    def run(paths: list[Path], *, steps: list[object] | None = None, **how: object) -> list[Result]:
        return launched(paths, cache, steps or ["obey", "store"], use_slurm=True, **how)

    return run


def call_on_slurm(
    paths: list[Path], cache: Path, cluster: SlurmCluster, steps: list[Any], **options: Any
) -> subprocess.Popen[str]:
    return call_in_process(paths, cache, steps, variables=cluster.variables, use_slurm=True, **options)


def call_folder(cache: Path) -> Path:
    return max((path for path in (cache / ".calls").iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)


def wait_for(condition: Callable[[], bool]) -> None:
    wait_until(condition, seconds=120.0)


@on_a_cluster
@pytest.mark.slow
def test_success_failure_crash_and_timeout_come_home_with_their_logs(
    on_slurm: Callable[..., list[Result]], script: Writer, cache: Path
) -> None:
    paths = [
        script("print('fine')", "good.py"),
        script("raise ValueError('mine')", "bad.py"),
        script("import os; os.abort()", "crash.py"),
        script("import time; time.sleep(600)", "hang.py"),
    ]
    events: list[Event] = []

    results = on_slurm(paths, timeout=5, events=events)

    assert [result.status for result in results] == ["successful", "error", "killed", "timeout"]
    assert exit_code(results) == 1
    assert "mine" in str(results[1].error)
    assert "SIGABRT" in str(results[2].error)
    assert "not finished after 5 s" in results[3].reason
    assert load_state(cache, "hang").build_status == "timeout"
    assert results[0].state is not None
    assert results[0].state.statistics["stored"] == "text"
    assert (cache / results[0].state.statistics["slurm_log"]).is_file(), "the job's log is found from the build"
    folder = call_folder(cache)
    assert len(list((folder / "slurm").glob("*_0_log.out"))) == 5  # with that of the probe
    assert [event.kind for event in events].count("input-finished") == 4
    of_one = [event for event in events if event.build_name == "good" and event.kind != "note"]
    told = [(event.kind, event.tool, event.status) for event in of_one]
    assert told[0][0] == "input-started"
    assert ("tool-finished", "obey", "successful") in told, "the call sees what each job is at"
    assert told[-1] == ("input-finished", "", "successful")
    assert any("logs in" in event.text for event in events if event.kind == "note")


@on_a_cluster
@pytest.mark.slow
def test_a_pre_empted_job_comes_back_and_goes_on_after_its_finished_tools(
    on_slurm: Callable[..., list[Result]], cluster: SlurmCluster, script: Writer, cache: Path, tmp_path: Path
) -> None:
    count, started = tmp_path / "count", tmp_path / "started"
    wait = f"import os, time\nopen({str(started)!r}, 'a').write('.')\n" + (
        "time.sleep(600 if os.environ.get('SLURM_RESTART_COUNT', '0') == '0' else 0)"
    )
    steps = ["obey", ("store", {"count": str(count)}), ("store", {"script": wait, "opset": 18})]
    blocker = tmp_path / "blocker.sh"
    blocker.write_text(f"#!/bin/sh\n#SBATCH --output={tmp_path}/blocker.out\nsleep 3\n")
    call = call_on_slurm([script("", "model.py")], cache, cluster, steps, slurm=("exclusive=user",))
    wait_for(started.exists)

    for node in ("n1", "n2"):
        cluster.command("sbatch", "--partition=high", f"--nodelist={node}", "--exclusive", str(blocker))
    wait_for(lambda: "PENDING" in cluster.command("squeue", "--noheader", "--partition=low", "--format=%T"))
    release(cluster)
    output, _ = call.communicate(timeout=200)

    assert output.split() == ["successful"], output
    assert count.read_text() == "run\n", "what was finished before is not run again"
    assert started.read_text() == ".."
    assert load_state(cache, "model").build_status == "successful"


def release(cluster: SlurmCluster) -> None:
    """Slurm holds a job that was put back for two minutes; a test does not wait for that."""
    for line in cluster.command("squeue", "--noheader", "--array", "--partition=low", "--format=%i").split():
        cluster.command("scontrol", "update", f"JobId={line}", "StartTime=now")


@on_a_cluster
@pytest.mark.slow
def test_ctrl_c_cancels_our_jobs_and_no_others(
    cluster: SlurmCluster, script: Writer, cache: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.sh"
    other.write_text(f"#!/bin/sh\n#SBATCH --output={tmp_path}/other.out\nsleep 60\n")
    cluster.command("sbatch", "--partition=low", "--job-name=other", str(other))
    started = tmp_path / "started"
    hang = f"import time\nopen({str(started)!r}, 'a').write('.')\ntime.sleep(600)"
    call = call_on_slurm([script(hang, "a.py"), script(hang, "b.py")], cache, cluster, ["obey"])
    wait_for(started.exists)

    call.send_signal(signal.SIGINT)
    output, _ = call.communicate(timeout=100)

    assert call.returncode == 130
    assert output.split() == ["killed", "killed"]
    wait_for(lambda: "turnkey" not in cluster.command("squeue", "--noheader", "--format=%j"))
    assert "other" in cluster.command("squeue", "--noheader", "--format=%j")
    cluster.command("scancel", "--name=other")


@on_a_cluster
@pytest.mark.slow
def test_a_failure_stops_what_has_not_begun_and_leaves_no_build_open(
    on_slurm: Callable[..., list[Result]], cluster: SlurmCluster, script: Writer, cache: Path
) -> None:
    texts = ["raise ValueError('mine')", *["import time; time.sleep(8)"] * 4]
    paths = [script(text, f"m{index}.py") for index, text in enumerate(texts)]

    results = on_slurm(paths, fail_fast=True, slurm=("array_parallelism=2",))

    assert [result.status for result in results[:2]] == ["error", "successful"]
    assert [result.status for result in results[3:]] == ["not_started"] * 2, "one more may have begun"
    built = [result for result in results if result.status != "not_started"]
    assert [load_state(cache, result.build_name).build_status for result in built] == [r.status for r in built]
    wait_for(lambda: "turnkey" not in cluster.command("squeue", "--noheader", "--format=%j"))


@on_a_cluster
@pytest.mark.slow
def test_a_call_that_does_not_wait_is_collected_by_one_that_resumes_also_from_several_arrays(
    on_slurm: Callable[..., list[Result]], script: Writer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnkey.launch.slurm_submission.largest_array", lambda: 2)
    count = tmp_path / "count"
    text = f"import time\nopen({str(count)!r}, 'a').write('.')\ntime.sleep(3)"
    paths = [script(text, "a.py"), script(text, "b.py"), script(text, "c.py")]

    first = on_slurm(paths, wait=False)
    assert [result.status for result in first] == ["incomplete"] * 3
    assert exit_code(first) == 0
    assert "--resume" in first[0].reason
    second = on_slurm(paths, resume=True)

    assert [result.status for result in second] == ["successful"] * 3
    assert count.read_text() == "...", "nothing was submitted twice"
    third = on_slurm(paths, resume=True)
    assert [result.status for result in third] == ["skipped"] * 3


@on_a_cluster
@pytest.mark.slow
def test_a_parameter_that_slurm_refuses_is_told_in_its_words(
    on_slurm: Callable[..., list[Result]], script: Writer
) -> None:
    with pytest.raises(UsageError, match="refused") as caught:
        on_slurm([script()], slurm=("partition=nowhere",))
    assert "nowhere" in str(caught.value) or "partition" in str(caught.value)


@on_a_cluster
@pytest.mark.slow
def test_a_cache_that_nodes_cannot_use_is_found_before_anything_is_queued(
    on_slurm: Callable[..., list[Result]], script: Writer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    path = script(f"open({str(count)!r}, 'a').write('.')")
    monkeypatch.setattr("turnkey.launch.slurm_probe.VISIBLE_SECONDS", 2.0)
    monkeypatch.setattr("turnkey.launch.slurm_job.probe.__code__", (lambda call_directory: None).__code__)
    monkeypatch.setattr("turnkey.launch.slurm_submission.probe", print)  # runs on the node, leaves no file

    with pytest.raises(InputError, match="cannot work with this cache"):
        on_slurm([path])

    assert not count.exists()


@on_a_cluster
@pytest.mark.nightly
def test_jobs_of_a_call_that_was_killed_are_collected_by_one_that_resumes(
    on_slurm: Callable[..., list[Result]], cluster: SlurmCluster, script: Writer, cache: Path, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    text = f"import time\nopen({str(count)!r}, 'a').write('.')\ntime.sleep(5)"
    paths = [script(text, "a.py"), script(text, "b.py")]
    call = call_on_slurm(paths, cache, cluster, ["obey"])
    wait_for(count.exists)

    call.kill()
    call.communicate()
    results = on_slurm(paths, steps=["obey"], resume=True)

    assert [result.status for result in results] == ["successful", "successful"]
    assert count.read_text() == "..", "nothing was submitted twice"


@on_a_cluster
@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_sixty_inputs_run_at_most_fifty_at_a_time(
    on_slurm: Callable[..., list[Result]], script: Writer, cluster: SlurmCluster, cache: Path
) -> None:
    paths = [script("", f"m{index}.py") for index in range(60)]

    results = on_slurm(paths)

    assert [result.status for result in results] == ["successful"] * 60
    submitted = [path.read_text() for path in (call_folder(cache) / "slurm").glob("*_submission.sh")]
    assert any("--array=0-59%50" in text for text in submitted), submitted
