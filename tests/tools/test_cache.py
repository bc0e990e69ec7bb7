"""The tool cache: lists, shows, cleans and deletes builds, and nothing that is not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnkey.cli.main import main
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.build_name import claim
from turnkey.pipeline.statistics import write_statistics


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with the builds ``bert`` and ``resnet``, with logs, statistics, a record and an artifact each."""
    directory = tmp_path / "cache"
    for name, status in (("bert", "successful"), ("resnet", "incomplete")):
        paths = claim(directory, tmp_path / f"{name}.py")
        write_statistics(paths, {"build_name": name, "build_status": status})
        paths.log("discover").write_text("log")
        for artifact in (paths.onnx(20, "base"), paths.records / "1.zip"):
            artifact.parent.mkdir()
            artifact.write_bytes(b"x" * 2000)
    (directory / "not ours").mkdir()
    return directory


def files(cache: Path, name: str) -> set[str]:
    paths = BuildPaths(cache, name)
    return {path.relative_to(paths.directory).as_posix() for path in paths.directory.rglob("*") if path.is_file()}


def run(cache: Path, *words: str) -> int:
    return main(["-d", str(cache), "cache", *words])


@pytest.mark.parametrize("words", [[], ["--list"], ["-l", "-a"], ["-l", "-b", "bert", "resnet"]], ids=" ".join)
def test_builds_are_listed_with_status_and_size(
    cache: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cache, *words) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows[:2]] == [["bert", "successful"], ["resnet", "killed"]]
    assert len(rows) == 3


def test_a_build_that_is_worked_on_is_not_said_to_be_killed(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(BuildPaths(cache, "resnet")):
        run(cache)
    assert "resnet  incomplete" in capsys.readouterr().out


def test_statistics_are_shown_for_the_named_builds(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cache, "--stats", "-b", "bert") == 0
    out = capsys.readouterr().out
    assert "build_status: successful" in out
    assert "resnet" not in out
    assert main(["--json", "-d", str(cache), "cache", "-s", "-a"]) == 0
    fields = json.loads(capsys.readouterr().out)["tools"]["cache"]
    assert fields["builds"]["resnet"] == {"build_name": "resnet", "build_status": "incomplete"}


def test_statistics_that_cannot_be_read_do_not_hide_the_others(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BuildPaths(cache, "bert").statistics.write_text("!!python/object:os.system {}")
    assert run(cache, "--stats") == 1
    out = capsys.readouterr().out
    assert "corrupt or hostile artifact" in out
    assert "build_status: incomplete" in out
    assert run(cache) == 0
    assert "unreadable" in capsys.readouterr().out


def test_cleaning_keeps_logs_statistics_and_records(cache: Path) -> None:
    assert run(cache, "--clean", "-b", "bert") == 0
    kept = files(cache, "bert") - {".lock"}
    assert kept == {".turnkeybuild", "log_discover.txt", "runs/1.zip", "turnkey_stats.yaml"}
    assert "onnx/resnet-op20-base.onnx" in files(cache, "resnet")


def test_deleting_takes_whole_builds_and_only_builds(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cache, "--delete", "--all") == 0
    assert sorted(path.name for path in cache.iterdir() if not path.name.startswith(".")) == ["not ours"]
    assert "deleted bert" in capsys.readouterr().out


def test_a_link_in_a_build_is_removed_and_not_followed(cache: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    (cache / "bert" / "link").symlink_to(precious)
    assert run(cache, "--delete", "-b", "bert") == 0
    assert (precious / "file").exists()
    assert not (cache / "bert").exists()


@pytest.mark.parametrize("name", ["not ours", "../outside", ".", "", "nothing", ".calls"])
def test_what_is_no_build_cannot_be_named(
    cache: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outside").mkdir()
    assert run(cache, "--delete", "-b", name) == 1
    assert "there is no build" in capsys.readouterr().err
    assert (tmp_path / "outside").exists()
    assert (cache / "bert").exists()


def test_a_directory_that_is_no_cache_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "homework").mkdir()
    (tmp_path / "homework" / "essay.txt").write_text("")
    assert run(tmp_path / "homework", "--delete", "--all") == 1
    assert "is not a cache of Turnkey's" in capsys.readouterr().err
    assert (tmp_path / "homework" / "essay.txt").exists()


def test_a_build_that_another_process_works_on_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hold(BuildPaths(cache, "bert")):
        assert run(cache, "--delete", "--all") == 1
    out = capsys.readouterr().out
    assert "not deleted: bert: another process works on it" in out
    assert "deleted resnet" in out
    assert (cache / "bert").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--delete"], "--delete needs the builds"),
        (["--clean"], "--clean needs the builds"),
        (["--list", "--stats"], "--list and --stats exclude each other"),
        (["--clean", "--delete", "-a"], "exclude each other"),
        (["-a", "-b", "bert", "-l"], "--build-names and --all exclude each other"),
    ],
)
def test_wrong_combinations_are_usage_errors(
    cache: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(cache, *words) == 2
    assert message in capsys.readouterr().err
    assert (cache / "bert").exists()


def test_a_cache_that_holds_only_compiled_libraries_has_no_builds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new" / "mlf-builds").mkdir(parents=True)
    assert run(tmp_path / "new") == 0
    assert "0 builds" in capsys.readouterr().out


def test_a_cache_that_does_not_exist_has_no_builds_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "never") == 0
    assert "0 builds" in capsys.readouterr().out
    assert not (tmp_path / "never").exists()
