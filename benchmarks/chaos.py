"""Faults on purpose: whatever is killed, filled up or raced, no result is lost or doubled, and nothing is left over.

    python benchmarks/chaos.py                # 200 faults, about 20 minutes
    python benchmarks/chaos.py --faults 4     # what the test suite runs
    python benchmarks/chaos.py --record chaos.jsonl --minutes 8    # a part; the same command again goes on

One *episode* is a corpus of small inputs worked on by ``turnkey --jobs``, into which faults fall at random moments.
The tools are those of ``tests/plugins``, so that what is tested is the launching and not torch:

    worker, warden, template     SIGKILL of that process, as soon as there is one
    call                         SIGKILL of the call itself
    full                         writes of the call and its workers fail from a random size on (RLIMIT_FSIZE)
    clock                        the wall clock seen by the processes jumps by years (a patched time.time)
    rival                        a second call on the same cache at the same time

No call may repeat an input that was finished before. After the faults the call is repeated with ``--continue`` until
it succeeds, and everything is checked: every input has exactly one result and one successful build whose files load;
no temporary file and no process is left. An episode's faults depend on the seed and its number alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.statistics import read_statistics

PLUGINS = Path(__file__).resolve().parent.parent / "tests" / "plugins"
KINDS = ("worker", "warden", "template", "call", "full", "clock", "rival")
INPUTS = 6

SCRIPT = """\
import time
with open({count!r}, "a") as file:
    file.write("{name}\\n")
time.sleep({seconds})
model_hash = "{name}".ljust(64, "0")
"""

SITE = """\
import os, time
if os.environ.get("CHAOS_CLOCK"):
    real = time.time
    jump = float(os.environ["CHAOS_CLOCK"])
    time.time = lambda: real() + (jump if int(real() * 3) % 2 else 0.0)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--record", type=Path, help="file with the faults of each episode; an older one is gone on with"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no episode after so long")
    options = parser.parse_args()
    episodes = read_record(options.record)
    injected = sum(episodes, Counter())
    until = time.monotonic() + 60 * options.minutes
    while injected.total() < options.faults and time.monotonic() < until:
        generator = random.Random(f"{options.seed} {len(episodes)}")
        with tempfile.TemporaryDirectory(prefix="turnkey-chaos-") as directory:
            found = Episode(Path(directory), generator).run(at_most=options.faults - injected.total())
        episodes.append(found)
        injected.update(found)
        if options.record is not None:
            with open(options.record, "a") as file:
                file.write(json.dumps(found) + "\n")
        print(f"episode {len(episodes)}: {dict(found)}, {injected.total()} faults so far", flush=True)
    print(
        f"{injected.total()} faults in {len(episodes)} episodes: "
        "no result lost or doubled, no file corrupt, no process left"
    )
    print(", ".join(f"{count} × {kind}" for kind, count in injected.most_common()))
    return 0


def read_record(path: Path | None) -> list[Counter[str]]:
    """Faults of the episodes that earlier parts of this run have finished; an episode cut short left no line."""
    if path is None or not path.exists():
        return []
    return [Counter(json.loads(line)) for line in path.read_text().splitlines()]


class Episode:
    """One corpus, its faults, and the check afterwards."""

    def __init__(self, folder: Path, generator: random.Random) -> None:
        self._folder = folder
        self._random = generator
        self._cache = folder / "cache"
        self._count = folder / "count"
        self._injected: Counter[str] = Counter()
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITE)
        self._inputs = [folder / f"m{index}.py" for index in range(INPUTS)]
        for path in self._inputs:
            seconds = round(generator.uniform(0.05, 0.6), 2)
            path.write_text(SCRIPT.format(count=str(self._count), name=path.stem, seconds=seconds))

    def run(self, *, at_most: int) -> Counter[str]:
        """Faults by kind.

        Raises:
            AssertionError: something was lost, doubled, corrupt or left over.
        """
        while self._injected.total() < min(at_most, self._random.randint(3, 8)):
            self._disturbed_call()
        for _ in range(5):
            call = self._start()
            output, _ = call.communicate(timeout=300)
            if call.returncode == 0:
                break
        else:
            raise AssertionError(f"--continue does not complete:\n{output}")
        self._check(json.loads(output))
        return self._injected

    def _disturbed_call(self) -> None:
        """A call with one or two faults in it."""
        kind = self._random.choice(KINDS)
        environment, limit, rival = {}, None, None
        if kind == "clock":
            environment["CHAOS_CLOCK"] = str(self._random.choice([-3e8, 3e8, 86400.0, -3600.0]))
        elif kind == "full":
            limit = self._random.randint(0, 6000)
        finished = {path.stem for path in self._inputs if self._is_finished(path.stem)}
        runs = self._runs()
        call = self._start(environment=environment, limit=limit)
        if kind == "rival":
            rival = self._start()
        processes = self._below(call.pid)
        if kind in ("worker", "warden", "template", "call"):
            time.sleep(self._random.uniform(0.2, 2.5))
            victim = None
            while victim is None and call.poll() is None:
                time.sleep(0.01)
                victim = self._victim(kind, call.pid)
            processes = self._below(call.pid)
            try:
                if victim is None:  # the call was faster: no fault
                    kind = ""
                else:
                    os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:  # it had ended a moment before
                kind = ""
        if kind:
            self._injected[kind] += 1
        for process in (call, rival):
            if process is not None:
                process.communicate(timeout=300)
        self._wait_until_gone(processes)
        again = [name for name in finished if self._runs()[name] != runs[name]]
        assert not again, f"finished before, and run again: {again}"

    def _is_finished(self, name: str) -> bool:
        if not (self._cache / name / f"{name}_state.yaml").exists():
            return False
        return load_state(self._cache, name).build_status == "successful"

    def _runs(self) -> Counter[str]:
        return Counter(self._count.read_text().split()) if self._count.exists() else Counter()

    def _start(self, *, environment: dict[str, str] | None = None, limit: int | None = None) -> subprocess.Popen[str]:
        words = ["-i", *map(str, self._inputs), "-d", str(self._cache), "--jobs", "2", "--json", "--timeout", "120"]
        words.append("--continue")

        def limited() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return subprocess.Popen(
            [sys.executable, "-m", "turnkey.cli.main", *words, "obey", "store"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=limited,
            env={
                **os.environ,
                "PYTHONPATH": self._python_path(),
                "TMPDIR": str(self._temporary),
                "TURNKEY_MACHINE_LOCK": str(self._folder / "machine.lock"),
                **(environment or {}),
            },
        )

    def _python_path(self) -> str:
        return os.pathsep.join(filter(None, [str(self._folder / "site"), str(PLUGINS), os.environ.get("PYTHONPATH")]))

    def _below(self, process: int) -> list[psutil.Process]:
        try:
            return psutil.Process(process).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _victim(self, kind: str, call: int) -> int | None:
        if kind == "call":
            return call
        try:
            direct = psutil.Process(call).children()
            template = [child for child in direct if any("template_process" in word for word in child.cmdline())]
            wardens = [child for child in direct if child not in template]
            wardens += [warden for child in template for warden in child.children()]
            workers = [worker for warden in wardens for worker in warden.children()]
        except psutil.Error:
            return None
        chosen = {"template": template, "warden": wardens, "worker": workers}[kind]
        return self._random.choice(chosen).pid if chosen else None

    def _wait_until_gone(self, processes: list[psutil.Process]) -> None:
        _, alive = psutil.wait_procs(processes, timeout=30)
        left = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
        assert not left, f"left over: {left}"

    def _check(self, document: dict[str, object]) -> None:
        results = document["results"]
        assert isinstance(results, list)
        assert [result["input"] for result in results] == [str(path) for path in self._inputs]
        assert {result["status"] for result in results} <= {"successful", "skipped"}, results
        builds = sorted(path.name for path in self._cache.iterdir() if not path.name.startswith("."))
        assert builds == sorted(path.stem for path in self._inputs), builds
        for path in self._inputs:
            state = load_state(self._cache, path.stem)
            assert state.build_status == "successful", state.build_status
            assert (self._cache / path.stem / state.variant("stored").path).read_text() == "text"
            assert read_statistics_of(self._cache, path.stem)["build_status"] == state.build_status
        leftovers = [path for path in self._cache.rglob(".*.tmp") if "/.calls/" not in str(path)]
        leftovers += list(self._temporary.iterdir())
        assert not leftovers, leftovers
        assert set(self._runs()) == {path.stem for path in self._inputs}


def read_statistics_of(cache: Path, name: str) -> dict[str, object]:
    """The statistics file of a build, which must load."""
    from turnkey.pipeline.build import BuildPaths

    return read_statistics(BuildPaths(cache, name))


if __name__ == "__main__":
    sys.exit(main())
