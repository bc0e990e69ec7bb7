"""Workers that crash, hang, lie, leak or print: the others' results stand, the record tells, nothing is left alive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from turnkey.errors import MeasurementInvalid, ModelError
from turnkey.measure import Record, Settings, TargetDescription, run_experiment
from turnkey.measure.crew import LoadReport, WorkerLost
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorker

HERE = str(Path(__file__).parent)
BRIEF = Settings(effort="quick", passes=3, step_timeout_s=120)


def good(key: str = "good") -> TargetDescription:
    return TargetDescription(
        key=key,
        factory="turnkey.measure.numpy_target:load_numpy",
        arguments={"kernels": 2, "size": 100_000},
    )


def faulty(fault: str, *, key: str = "faulty", **arguments: Any) -> TargetDescription:
    return TargetDescription(
        key=key,
        factory="fault_targets:load_faulty",
        arguments={"fault": fault, **arguments},
        environment={"PYTHONPATH": HERE},
    )


def measure(bad: TargetDescription, settings: Settings = BRIEF, path: Path | None = None) -> Record:
    record = run_experiment([good(), bad], reference="good", settings=settings, path=path)
    assert not workers_alive()
    return record


def workers_alive() -> list[int]:
    mine = psutil.Process().children(recursive=True)
    return [child.pid for child in mine if "turnkey.measure.worker" in " ".join(cmdline(child))]


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # whoever adopted it may not have reaped it
    except psutil.NoSuchProcess:
        return False


def cmdline(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else process.cmdline()
    except psutil.NoSuchProcess:
        return []


LOST = {
    "crash": "SIGSEGV",
    "exit": "exit code 0",
    "leak": "SIGKILL",
    "garbage": "makes no sense",
    "raise": "shape mismatch in node 7",
    "raise-in-load": "cannot read the model",
    "nan-fact": "cannot be written as JSON",
}


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """One good worker among all kinds of bad ones, in one round."""
    path = tmp_path_factory.mktemp("troubled") / "run.zip"
    bad = [faulty(fault, key=fault, after=20) for fault in (*LOST, "wrong", "nan", "fallback", "missing")]
    bad.append(faulty("print", key="print", after=5))
    record = run_experiment([good(), *bad], reference="good", settings=BRIEF, path=path)
    assert not workers_alive()
    return record


@pytest.mark.parametrize("fault", LOST)
def test_a_worker_that_is_lost_leaves_the_others_standing_and_says_why(troubled: Record, fault: str) -> None:
    assert troubled.summary("good").latency_ms is not None
    assert fault not in troubled.measured
    lost = troubled.summary(fault)
    assert lost.error is not None
    assert LOST[fault] in lost.error["what"]
    assert lost.validity == "INVALID"
    assert fault in troubled.sentence()
    attempts = [p for p in troubled.run["rounds"][0]["processes"] if p["v"] == fault]
    assert len(attempts) == 2  # tried again once


def test_the_log_tail_of_a_crash_is_kept_as_evidence(tmp_path: Path) -> None:
    import zipfile

    record = measure(faulty("crash", after=20), path=tmp_path / "run.zip")
    error = record.summary("faulty").error
    assert error is not None
    assert "about to die" in error["evidence"]
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        assert [name for name in archive.namelist() if name.startswith("logs/")] == ["logs/faulty-1.txt"]


@pytest.mark.parametrize("after", [3, 75])
def test_a_crash_by_chance_is_replaced_and_the_round_goes_on(tmp_path: Path, after: int) -> None:
    record = measure(faulty("crash", after=after, once=str(tmp_path / "crashed")))
    assert record.measured == ("good", "faulty")
    assert record.summary("faulty").error is None
    assert record.verdict("faulty") is not None
    losses = [p["lost"] for p in record.run["rounds"][0]["processes"] if p["lost"]]
    assert [loss["cause"] for loss in losses] == ["crashed"]


@pytest.mark.slow
def test_a_worker_lost_in_a_later_round_keeps_the_rounds_before_it_and_the_others_go_on(tmp_path: Path) -> None:
    lost = ("crash", "raise", "raise-in-load")  # all others end as the first does
    bad = [faulty(fault, key=fault, processes=str(tmp_path / fault)) for fault in (*lost, "wrong")]
    bad.append(faulty("exit", key="never calibrated"))
    settings = Settings(min_rounds=3, max_rounds=3, passes=2, step_timeout_s=120)
    record = run_experiment([good(), *bad], reference="good", settings=settings)
    assert not workers_alive()
    assert record.summary("good").rounds == 3
    for fault in lost:
        found = record.summary(fault)
        assert found.rounds == 1, fault
        assert found.latency_ms is not None
        assert found.error is not None
        assert LOST[fault] in found.error["what"]
        assert found.validity == "INVALID"
    never = record.summary("never calibrated")
    assert never.latency_ms is None
    assert never.error is not None
    assert LOST["exit"] in never.error["what"]
    assert all(fault in record.sentence() for fault in (*lost, "never calibrated"))
    # A wrong output that appears late spoils the early rounds too, and never wins.
    assert any("wrong-output" in reason for reason in record.summary("wrong").reasons)
    assert record.fastest == "good"


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_after_its_awake_time_and_the_others_go_on(tmp_path: Path) -> None:
    settings = Settings(min_rounds=3, max_rounds=3, passes=2, step_timeout_s=12)
    record = measure(faulty("hang", processes=str(tmp_path / "processes")), settings)
    assert record.summary("good").rounds == 3
    assert record.summary("faulty").rounds == 1
    error = record.summary("faulty").error
    assert error is not None
    assert "no answer within 12 s" in error["what"]


def test_a_mistake_that_a_retry_cannot_mend_is_not_retried(troubled: Record) -> None:
    error = troubled.summary("missing").error
    assert error is not None
    assert error["type"] == "missing dependency"
    assert error["remedy"] == "pip install openfoo"
    assert len([p for p in troubled.run["rounds"][0]["processes"] if p["v"] == "missing"]) == 1


@pytest.mark.parametrize(("fault", "said"), [("wrong", "max abs error 0.5"), ("nan", "not finite")])
def test_a_worker_with_a_wrong_output_is_timed_but_neither_wins_nor_is_valid(
    troubled: Record, fault: str, said: str
) -> None:
    found = troubled.summary(fault)
    assert found.latency_ms is not None
    assert found.validity == "INVALID"
    assert any("wrong-output" in reason and said in reason for reason in found.reasons)
    assert troubled.fastest not in ("wrong", "nan")
    verdict = troubled.verdict(fault)
    assert verdict is not None
    assert not verdict.is_valid


def test_a_fall_back_to_another_device_invalidates(troubled: Record) -> None:
    found = troubled.summary("fallback")
    assert any("provider-fallback" in reason and "Conv_3" in reason for reason in found.reasons)


def test_what_a_model_prints_is_never_read_as_a_reply(troubled: Record) -> None:
    assert troubled.summary("print").error is None
    assert troubled.summary("print").latency_ms is not None


def test_children_of_a_worker_are_ended_with_it(tmp_path: Path) -> None:
    child = tmp_path / "forked"
    measure(faulty("child", after=10, once=str(child)))
    deadline = time.monotonic() + 10
    while is_running(int(child.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(child.read_text()))


def test_strict_turns_invalid_into_an_error() -> None:
    with pytest.raises(MeasurementInvalid, match="must not be used") as caught:
        run_experiment([faulty("wrong")], settings=Settings(effort="quick", passes=2, strict=True))
    assert "wrong-output" in caught.value.evidence
    assert isinstance(caught.value, RuntimeError)


def test_a_baseline_that_is_lost_leaves_the_others_compared_and_the_twin_doubles_the_leader() -> None:
    times = {"base": 5e6, "near": 6e6, "far": 7e6}
    simulated = SimulatedHost(QUIET, seed=1)

    class Dying(SimulatedWorker):
        def load(self) -> LoadReport:
            raise WorkerLost("crashed", ModelError("the worker ended: killed by SIGKILL"))

    def start(description: TargetDescription, *, round_: int, **_: Any) -> SimulatedWorker:
        kind = Dying if description.key == "base" and round_ >= 3 else SimulatedWorker
        return kind(simulated, base=times[description.key], decay=5, peak_bytes=None, load_ns=1)

    record = run_experiment(
        [TargetDescription(key=key, factory="simulated:only") for key in times],
        reference="base",
        settings=Settings(seed=1, budget_s=1e6),
        workers=start,
    )
    assert record.summary("base").rounds == 2
    assert record.summary("near").rounds >= 5
    assert "near~twin" in {process["v"] for process in record.run["rounds"][-1]["processes"]}
    verdict = record.verdict("far", against="near")
    assert verdict is not None
    assert verdict.kind == "SLOWER"
    assert verdict.is_valid
    assert "base failed" in record.sentence()


_PARENT = """
import sys
from pathlib import Path
from turnkey.measure import Settings, TargetDescription, run_experiment
targets = [
    TargetDescription(key=key, factory="turnkey.measure.numpy_target:load_numpy", arguments={"kernels": 20})
    for key in ("a", "b")
]
run_experiment(
    targets,
    settings=Settings(effort="rigorous", passes=8),
    path=Path(sys.argv[1]),
    listen=lambda text: print(text, flush=True),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_is_left_stopped_or_alive_after_the_parent_ends(tmp_path: Path, how: signal.Signals) -> None:
    path = tmp_path / "run.zip"
    command = [sys.executable, "-c", _PARENT, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        for line in parent.stdout:
            if line.startswith("round 2"):
                break
        workers: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while len(workers) < 2 and time.monotonic() < deadline:  # some sleep, one works
            workers = psutil.Process(parent.pid).children(recursive=True)
            time.sleep(0.01)
        assert workers
        os.kill(parent.pid, how)
        parent.stdout.read()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    record = Record.load(path)  # what is there is a result
    assert len(record.run["rounds"]) >= 1
    assert record.summary("a").latency_ms is not None
