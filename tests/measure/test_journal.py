"""Files of the record: cut anywhere, hostile, of another time."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.errors import ArtifactError, InputError
from turnkey.measure import Record, Settings, TargetDescription, journal, run_experiment
from turnkey.measure.crew import WorkerFactory
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorkers

TIMES = {"a": 5e6, "b": 5.6e6}
PLAN = Settings(seed=5, min_rounds=3, max_rounds=4, passes=4)


class Interrupting:
    """Workers that raise KeyboardInterrupt when a round is to start."""

    def __init__(self, inner: WorkerFactory, at_round: int) -> None:
        self._inner = inner
        self._at = at_round

    def __call__(self, description: TargetDescription, **arguments: Any) -> Any:
        if arguments["round_"] == self._at:
            raise KeyboardInterrupt
        return self._inner(description, **arguments)


def simulate(path: Path | None, *, at_round: int = 0, told: list[str] | None = None) -> Record:
    workers: WorkerFactory = SimulatedWorkers(SimulatedHost(QUIET, seed=1), TIMES)
    if at_round:
        workers = Interrupting(workers, at_round)
    targets = [TargetDescription(key=key, factory="simulated:only") for key in TIMES]
    listen = told.append if told is not None else None
    return run_experiment(targets, reference="a", settings=PLAN, path=path, workers=workers, listen=listen)


def unfinished(path: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        simulate(path, at_round=3)
    return journal.growing_directory(path)


def test_an_interrupted_record_is_readable_and_is_continued_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    unfinished(path)
    partial = Record.load(path)
    assert partial.run["state"] == "interrupted"
    assert partial.summary("a").rounds == 2
    assert partial.verdict("b") is not None
    told: list[str] = []
    finished = simulate(path, told=told)
    assert "continuing" in told[0]
    assert not any("calibrating" in text for text in told)
    assert finished.summary("a").rounds >= 3
    assert [entry["r"] for entry in finished.run["rounds"]] == list(range(1, len(finished.run["rounds"]) + 1))
    assert Record.load(path).run["state"] == "finished"


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unfinished(tmp_path_factory.mktemp("begun") / "run.zip")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1))
def test_samples_cut_at_any_byte_resume(begun: Path, tmp_path: Path, cut: float) -> None:
    path = tmp_path / f"{cut}.zip"
    samples = shutil.copytree(begun, journal.growing_directory(path)) / journal.SAMPLES
    whole = samples.read_bytes()
    samples.write_bytes(whole[: int(cut * len(whole))])
    assert Record.load(path).keys == ("a", "b")
    finished = simulate(path)
    assert finished.summary("b").rounds >= 3
    counts = {entry["r"]: entry["slices"] for entry in finished.run["rounds"]}
    for number, count in counts.items():
        assert sum(item.r == number for item in finished.slices) == count


def test_a_run_file_cut_by_a_dying_disk_starts_anew_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    run = unfinished(path) / journal.RUN
    run.write_bytes(run.read_bytes()[:100])
    told: list[str] = []
    assert simulate(path, told=told).run["state"] == "finished"
    assert "starting anew" in told[0]


def test_the_slices_of_an_interrupted_round_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    directory = unfinished(path)
    before = Record.load(path)
    samples = directory / journal.SAMPLES
    begun = next(json.loads(line) for line in samples.read_text().splitlines() if '"kind":"timed"' in line)
    with samples.open("a") as file:
        file.write(json.dumps({**begun, "r": 3, "ns": [1]}) + "\n")
    after = Record.load(path)
    assert len(after.slices) == len(before.slices) + 1
    assert after.summary("a") == before.summary("a")
    assert after.verdict("b") == before.verdict("b")


def test_another_plan_does_not_continue_an_unfinished_record(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    unfinished(path)
    workers = SimulatedWorkers(SimulatedHost(QUIET, seed=1), TIMES)
    targets = [TargetDescription(key=key, factory="simulated:only") for key in TIMES]
    record = run_experiment(targets, reference="b", settings=PLAN, path=path, workers=workers)
    assert record.run["reference"] == "b"
    assert record.summary("a").rounds >= 3


def test_a_foreign_directory_in_the_records_place_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    directory = journal.growing_directory(path)
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="other files"):
        simulate(path)
    assert (directory / "thesis.txt").read_text() == "precious"


def test_what_a_killed_write_left_in_the_records_place_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    directory = unfinished(path)
    (directory / f".{journal.RUN}.0badcafe.tmp").write_text("{")
    other = run_experiment(
        [TargetDescription(key="a", factory="simulated:only")],
        settings=PLAN,
        path=path,
        workers=SimulatedWorkers(SimulatedHost(QUIET, seed=1), TIMES),
    )
    assert other.run["state"] == "finished"
    assert [place.name for place in tmp_path.iterdir()] == ["run.zip"]


def test_equal_content_makes_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        journal.write_zip(tmp_path / name, {"b": b"2", "a": b"1"})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_every_number_is_the_same_when_recomputed_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    record = simulate(path)
    again = Record.load(path)
    assert again.verdicts_json() == record.run["verdicts"] == again.run["verdicts"]
    for key in record.keys:
        assert again.summary(key) == record.summary(key)
    assert again.sentence() == record.sentence()
    assert again.noise_floor == record.noise_floor
    forged = Record({**again.run, "verdicts": [], "validity": [{"code": "steal"}]}, again.slices)
    assert forged.verdicts_json() == record.run["verdicts"]
    assert forged.reasons == record.reasons


@pytest.mark.parametrize(
    ("member", "content", "said"),
    [
        ("run.json", b"{", "cannot be read"),
        ("run.json", b'{"schema": 99}', "another schema"),
        ("run.json", b'{"schema": 1}', "load shape"),
        ("run.json", b'{"schema": 1, "seed": NaN}', "cannot be read"),
        ("samples.jsonl", b"not json\n", "no JSON"),
        ("samples.jsonl", b'{"v": "a"}\n', "not a slice"),
    ],
)
def test_a_corrupt_record_is_refused_with_the_place(tmp_path: Path, member: str, content: bytes, said: str) -> None:
    path = tmp_path / "run.zip"
    members = {"run.json": json.dumps({"schema": 1, "variants": [], "rounds": []}).encode(), "samples.jsonl": b""}
    journal.write_zip(path, {**members, member: content})
    with pytest.raises(ArtifactError, match=said):
        Record.load(path)


def test_a_negative_duration_in_a_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    simulate(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    lines = members["samples.jsonl"].split(b"\n")
    fields = json.loads(lines[3])
    fields["ns"][0] = -5
    lines[3] = json.dumps(fields).encode()
    journal.write_zip(path, {**members, "samples.jsonl": b"\n".join(lines)})
    with pytest.raises(ArtifactError, match="no slice has") as caught:
        Record.load(path)
    assert "line 4" in caught.value.evidence


def test_what_is_no_record_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record"):
        Record.load(tmp_path / "absent.zip")
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(ArtifactError, match="no record"):
        Record.load(tmp_path / "text.zip")


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: run.pop("environment"),
        lambda run: run.update(looks=None),
        lambda run: run.update(rounds=[1]),
        lambda run: run["variants"][0].pop("key"),
    ],
    ids=["environment", "looks", "rounds", "variants"],
)
def test_a_record_that_lacks_a_part_is_refused_when_it_is_read(tmp_path: Path, damage: Any) -> None:
    source = Path(__file__).parent / "records" / "schema-2.zip"
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(tmp_path / "damaged.zip", "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "run.json":
                run = json.loads(content)
                damage(run)
                content = json.dumps(run).encode()
            damaged.writestr(name, content)
    with pytest.raises(ArtifactError, match="damaged"):
        Record.load(tmp_path / "damaged.zip")
