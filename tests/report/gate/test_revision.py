"""Revisions in directories of their own, in a real repository."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_command import git

from turnkey.errors import UsageError
from turnkey.report.gate.revision import checked_out, repository_of

from .conftest import chain


def test_a_revision_has_its_own_files_and_leaves_nothing_behind(repository: Path) -> None:
    before = git(repository, "status", "--porcelain", "--branch")
    with checked_out("old", option="--base", repository=repository, here=repository) as checkout:
        found = checkout.file(repository / "models" / "net.onnx", repository=repository)
        assert found.read_bytes() == chain(2)
        assert checkout.commit == git(repository, "rev-parse", "old")
        assert checkout.title == f"old ({checkout.commit[:8]})"
        place = checkout.directory
    assert not place.parent.exists()
    assert git(repository, "worktree", "list").count("\n") == 0
    assert git(repository, "status", "--porcelain", "--branch") == before


def test_it_is_removed_after_an_error_too(repository: Path) -> None:
    places = []

    def build() -> None:
        with checked_out("old", option="--base", repository=repository, here=repository) as checkout:
            places.append(checkout.directory)
            (checkout.directory / "made.txt").write_text("by a build")
            raise RuntimeError("the build failed")

    with pytest.raises(RuntimeError, match="the build failed"):
        build()
    assert not places[0].exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_hooks_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    with checked_out("old", option="--base", repository=repository, here=repository):
        assert not (tmp_path / "ran").exists()


def test_a_directory_is_taken_as_it_is(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "models"
    other.mkdir(parents=True)
    (other / "net.onnx").write_bytes(chain(5))
    with checked_out("../other", option="--base", repository=repository, here=repository) as checkout:
        path = checkout.file(repository / "models" / "net.onnx", repository=repository)
        assert path.read_bytes() == chain(5)
    assert path.exists()
    with checked_out(".", option="--base", repository=repository, here=repository / "models") as checkout:
        assert checkout.directory == repository
        assert checkout.title == "the working tree"


@pytest.mark.parametrize("name", ["nowhere", "--upload-pack=x", "-h", ""])
def test_an_unknown_revision_is_named_with_its_option_and_gits_own_words(repository: Path, name: str) -> None:
    with (
        pytest.raises(UsageError) as caught,
        checked_out(name, option="--base", repository=repository, here=repository),
    ):
        pass
    assert f"--base {name!r}" in caught.value.what
    assert "fatal" in caught.value.evidence
    assert "git fetch" in caught.value.remedy


def test_a_file_of_no_revision_is_refused(repository: Path, tmp_path: Path) -> None:
    with checked_out("old", option="--base", repository=repository, here=repository) as checkout:
        with pytest.raises(UsageError, match="not in the repository"):
            checkout.file(tmp_path / "x.onnx", repository=repository)
        with pytest.raises(UsageError, match=r"has no models/later\.onnx"):
            checkout.file(repository / "models" / "later.onnx", repository=repository)


def test_outside_of_a_repository_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git cannot"):
        repository_of(tmp_path)
