"""A revision of the user's repository in a directory of its own, for as long as it is needed.

A revision is what git calls one, or a directory: ``.`` is the working tree as it is. For the former a worktree is
added in a private temporary place (detached, without running the repository's hooks) and removed again; the user's
own checkout, index and branches are not touched.

Trade-offs (accepted): submodules and files of Git LFS are not fetched; a repository that needs them is checked out by
the caller, twice, and given as two directories. A process killed by SIGKILL leaves its worktree behind, which
``git worktree prune`` forgets once the temporary directory is gone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import MissingDependencyError, TurnkeyError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Where the files of a revision lie.

    Attributes:
        name: as the user wrote it.
        directory: root of the tree.
        commit: full hash; empty for a directory.
    """

    name: str
    directory: Path
    commit: str = ""

    @property
    def title(self) -> str:
        """``main (3f2c91ab)``."""
        return f"{self.name} ({self.commit[:8]})" if self.commit else self.name

    @property
    def import_path(self) -> tuple[Path, ...]:
        """Directories whose modules are this revision's."""
        return tuple(path for path in (self.directory / "src", self.directory) if path.is_dir())

    def file(self, path: Path, *, repository: Path) -> Path:
        """The file of this revision that lies at ``path`` in the repository.

        Raises:
            UsageError: it lies outside of the repository, or this revision has no such file.
        """
        resolved = path.resolve()
        if not resolved.is_relative_to(repository.resolve()):
            raise UsageError(
                f"{path.name} is not in the repository whose revisions are compared",
                evidence=f"{path} is outside of {repository}",
                remedy="name files of the repository; for two files that are not, use compare",
            )
        found = self.directory / resolved.relative_to(repository.resolve())
        if not found.exists():
            raise UsageError(f"{self.title} has no {resolved.relative_to(repository.resolve())}", evidence=str(found))
        return found


def repository_of(directory: Path) -> Path:
    """Root of the git repository around a directory.

    Raises:
        UsageError: there is none.
        MissingDependencyError: git is not installed.
    """
    return Path(_git(directory, "rev-parse", "--show-toplevel"))


@contextmanager
def checked_out(name: str, *, option: str, repository: Path, here: Path) -> Iterator[Checkout]:
    """The files of a revision while the context lasts.

    Args:
        name: a revision that git knows, or a directory; ``.`` is the repository's working tree.
        option: where it was given: ``--base``.
        here: what a directory is relative to.

    Raises:
        UsageError: git knows no such revision.
    """
    as_directory = repository if name == "." else (here / name).resolve()
    if name and as_directory.is_dir() and not _knows(repository, name):
        yield Checkout(name="the working tree" if name == "." else name, directory=as_directory)
        return
    try:
        commit = _git(repository, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    except UsageError as error:
        raise UsageError(
            f"{option} {name!r} is neither a revision that git knows in {repository} nor a directory",
            evidence=error.evidence,
            remedy="git branch --all; git tag   # what there is; what is not fetched yet: git fetch --tags origin",
        ) from error
    place = Path(tempfile.mkdtemp(prefix="turnkey-gate-"))
    tree = place / "tree"
    try:
        _git(repository, "worktree", "add", "--detach", "--quiet", str(tree), commit)
        yield Checkout(name=name, directory=tree, commit=commit)
    finally:
        if tree.exists():
            _git(repository, "worktree", "remove", "--force", str(tree))
        shutil.rmtree(place, ignore_errors=True)


def _knows(repository: Path, name: str) -> bool:
    try:
        _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except TurnkeyError:
        return False
    return True


def _git(directory: Path, *arguments: str) -> str:
    # Hooks belong to the user's own checkouts: none of them runs for a worktree that lives for some minutes.
    command = ["git", "-C", str(directory), "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise MissingDependencyError(
            "comparing revisions needs git", evidence=str(error), remedy="install git, or give two directories"
        ) from error
    if done.returncode:
        raise UsageError(
            f"git cannot {' '.join(arguments[:2])} here",
            evidence=(done.stderr or done.stdout).strip() or f"exit code {done.returncode}",
            remedy="git fetch --tags origin   # in a workflow: fetch-depth: 0",
        )
    return done.stdout.strip()
