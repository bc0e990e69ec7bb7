"""``load-build``: a build is continued where it lies, appended to, and left alone where the policy says so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import turnkey
from turnkey.errors import TurnkeyError
from turnkey.launch import Result
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.toolbox import TOOLS

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


@pytest.fixture
def build(script: Writer, cache: Path, small_tools: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state file of a successful build that has stored something; ``discover`` obeys the script."""
    monkeypatch.setitem(TOOLS.builtin, "discover", "turnkey_test_tools:Discovers")  # type: ignore[index]
    path = script("#labels task::a author::b\nstatistics = {'found': 1}")
    (result,) = turnkey.evaluate_files(path, ["discover", "store"], cache)
    assert result.status == "successful"
    return cache / "model_b" / "model_b_state.yaml"


def continued(state_file: Path, *steps: Any, policy: str = "attempted", **options: Any) -> Result:
    first = ("load-build", {"skip_policy": policy})
    (result,) = turnkey.evaluate_files(state_file, [first, *steps], state_file.parent.parent, **options)
    return result


def files_of(build: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in build.parent.rglob("*") if file.is_file()}


def test_tools_are_appended_to_the_same_build(build: Path, tmp_path: Path) -> None:
    (result,) = turnkey.evaluate_files(build, ["load-build", ("store", {"text": "b"})], tmp_path / "another cache")

    assert result.status == "successful"
    assert result.build_dir == build.parent
    state = load_state(state_path=build)
    assert [tool for tool, _, _ in state.sequence] == ["discover", "store", "load-build", "store"]
    assert [variant.key for variant in state.variants] == ["stored", "stored-1"]
    assert state.statistics["found"] == 1
    assert state.statistics["tool_status:discover"] == "successful"
    assert state.statistics["tool_status:load-build"] == "successful"
    assert state.labels == {"task": ("a",), "author": ("b",)}
    assert [entry["status"] for entry in state.history] == ["successful", "successful"]
    assert list(build.parent.parent.glob("model*")) == [build.parent]
    assert not list((tmp_path / "another cache").glob("model*"))


def test_a_continuation_that_was_done_is_skipped_and_nothing_is_touched(build: Path) -> None:
    assert continued(build, "pass-over").status == "successful"
    before = files_of(build)

    result = continued(build, "pass-over")

    assert result.status == "skipped"
    assert "skip-policy" in result.reason
    assert files_of(build) == before
    assert turnkey.exit_code([result]) == 0
    assert continued(build, "pass-over", policy="none").status == "successful"
    assert continued(build, ("store", {"text": "new"})).status == "successful"


def test_a_failed_continuation_runs_again_when_asked(build: Path, tmp_path: Path) -> None:
    unless = tmp_path / "unless"
    step = ("fail", {"unless": str(unless)})
    assert continued(build, step).status == "error"
    assert load_state(state_path=build).statistics["build_status"] == "error"
    unless.touch()

    assert continued(build, step).status == "skipped"
    assert continued(build, step, policy="failed").status == "skipped"
    assert continued(build, step, policy="successful").status == "successful"

    statistics = load_state(state_path=build).statistics
    assert "error_log" not in statistics
    assert statistics["build_status"] == "successful"


def test_a_build_that_failed_is_continued_only_with_a_warning(build: Path) -> None:
    assert continued(build, "fail").status == "error"
    notes: list[str] = []

    assert continued(build, "pass-over").status == "skipped"
    result = continued(build, "pass-over", policy="none", listen=lambda event: notes.append(event.text))

    assert result.status == "successful"
    assert any("not successful" in note for note in notes)


def test_a_moved_cache_is_continued_where_it_is_now(build: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.move(build.parent.parent, moved)

    result = continued(moved / "model_b" / "model_b_state.yaml", "pass-over")

    assert result.status == "successful"
    assert result.build_dir == moved / "model_b"
    assert not build.parent.exists()


def test_a_way_round_over_dots_and_links_leads_to_the_same_build(build: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to(build.parent.parent)
    within = build.relative_to(build.parent.parent)

    for number, way in enumerate([tmp_path / "inner" / ".." / "link", tmp_path / "link"]):
        (result,) = turnkey.evaluate_files(way / within, ["load-build", ("store", {"text": str(number)})], tmp_path)
        assert result.status == "successful", result.reason

    assert [variant.key for variant in load_state(state_path=build).variants] == ["stored", "stored-1", "stored-2"]


def test_another_build_than_the_states_is_refused_by_name_with_the_command_for_it(build: Path, tmp_path: Path) -> None:
    state = State(tmp_path, "another")
    state.build_dir.mkdir()
    (state.build_dir / "another_state.yaml").touch()

    outcome = Sequence([("load-build", {"input": str(build)}), "pass-over"]).run(state)

    assert outcome.failure is not None
    assert outcome.failure.tool == "load-build"
    assert f"turnkey -i {build} load-build" in outcome.failure.error.remedy


def test_a_build_with_stored_files_does_not_run_its_script(build: Path) -> None:
    script_path = Path(str(load_state(state_path=build).input["path"]))
    script_path.unlink()

    assert continued(build, "pass-over").status == "successful"


def test_a_build_with_only_a_model_in_memory_runs_its_script_again(
    script: Writer, cache: Path, tmp_path: Path, build: Path
) -> None:
    count = tmp_path / "runs"
    path = script(
        f"open({str(count)!r}, 'a').write('run ')\nstatistics = {{'args': arguments.get('script_args')}}", "live.py"
    )
    turnkey.evaluate_files(path, [("discover", {"script_args": "--n 3"})], cache)
    state_file = cache / "live" / "live_state.yaml"

    assert continued(state_file, "store").status == "successful"

    state = load_state(state_path=state_file)
    assert count.read_text() == "run run "
    assert state.statistics["args"] == "--n 3"
    assert "target" not in state.statistics
    assert state.input["script_args"] == "--n 3"
    log = (cache / "live" / "log_load-build.txt").read_text()
    assert log.startswith("Loading build\n")


def test_a_hash_that_the_user_gave_is_asked_for_again(script: Writer, cache: Path, build: Path) -> None:
    path = script("statistics = {}", "live.py")
    turnkey.evaluate_files(f"{path}::abababab.2", ["discover"], cache)

    assert continued(cache / "live_abababab.2" / "live_abababab.2_state.yaml", "store").status == "successful"
    assert load_state(cache, "live_abababab.2").statistics["target"] == "abababab.2"


def test_a_model_that_is_no_longer_the_automatic_choice_is_asked_for_by_its_hash(
    script: Writer, cache: Path, build: Path
) -> None:
    path = script("statistics = {}", "live.py")
    turnkey.evaluate_files(path, ["discover"], cache)
    path.write_text("model_hash = ('ab' if arguments.get('target') else 'cd') * 32")

    assert continued(cache / "live" / "live_state.yaml", "store").status == "successful"
    state = load_state(cache, "live")
    assert state.model_hash == "ab" * 32
    assert state.statistics["target"] == "abababab"


def test_changed_files_are_named_first(script: Writer, cache: Path, build: Path) -> None:
    path = script("statistics = {}", "live.py")
    turnkey.evaluate_files(path, ["discover"], cache)
    path.write_text("statistics = {'new': 1}")
    notes: list[str] = []

    result = continued(cache / "live" / "live_state.yaml", "store", listen=lambda event: notes.append(event.text))

    assert result.status == "successful"
    assert any("changed since" in note and "live.py" in note for note in notes)


def test_a_missing_script_is_a_named_error(script: Writer, cache: Path, build: Path) -> None:
    path = script("statistics = {}", "live.py")
    turnkey.evaluate_files(path, ["discover"], cache)
    path.unlink()

    result = continued(cache / "live" / "live_state.yaml", "store")

    assert result.status == "error"
    assert "script of this build is gone" in result.reason
    assert str(path) in str(result.error)


def test_a_tool_that_needs_the_live_model_has_the_script_run_again(build: Path) -> None:
    result = continued(build, "needs-model")

    assert result.status == "successful"
    assert "running its script again" in (build.parent / "log_needs-model.txt").read_text()


@pytest.mark.parametrize("isolation", [False, True])
def test_a_hostile_state_file_fails_its_input_only(build: Path, script: Writer, cache: Path, isolation: bool) -> None:
    hostile = cache / "hostile" / "hostile_state.yaml"
    hostile.parent.mkdir()
    hostile.write_text("state_version: 1\nbuild_name: ../x\n")

    results = turnkey.evaluate_files(
        [hostile, script("", "good.py")], ["discover", "pass-over"], cache, process_isolation=isolation
    )

    assert results[0].status == "error"
    assert results[1].status == ("skipped" if isolation else "successful")  # a worker has the real discover
    assert "corrupt or hostile" in str(results[0].error)
    assert [entry.name for entry in hostile.parent.iterdir()] in (
        ["hostile_state.yaml"],
        [".lock", "hostile_state.yaml"],
        ["hostile_state.yaml", ".lock"],
    )
    assert not (cache.parent / "x").exists()


def test_a_state_file_outside_of_its_build_is_refused(build: Path, tmp_path: Path, cache: Path) -> None:
    stray = tmp_path / "stray" / "model_b_state.yaml"
    stray.parent.mkdir()
    shutil.copy(build, stray)

    (result,) = turnkey.evaluate_files(stray, ["load-build", "pass-over"], cache)

    assert result.status == "error"
    assert "does not lie in its build directory" in result.reason


def test_a_python_user_continues_a_build_by_its_state(build: Path) -> None:
    steps = [("load-build", {"input": str(build)}), "pass-over"]

    state = Sequence(steps).launch(State(build.parent.parent, "model_b"))

    assert state.build_status == "successful"
    with pytest.raises(TurnkeyError, match="no such build"):
        Sequence(steps).launch(State(build.parent.parent, "typo"))
    assert not (build.parent.parent / "typo").exists()
