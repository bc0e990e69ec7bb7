"""What the reproduce scripts of a workspace do: one command again, with its result on the terminal.

``main(["correctness", WORKSPACE, KEY, RUNNER])``; commands that need the source model take ``--model module:name``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from turnkey.errors import TurnkeyError
from turnkey.host import fair_threads
from turnkey.navigator import conversion
from turnkey.navigator.checking import check_job
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.exceptions import MissingSourceModelError
from turnkey.navigator.job_runner import HereJobs, JobRunner, WorkerJobs
from turnkey.navigator.model_files import is_intact
from turnkey.navigator.named_place import built
from turnkey.navigator.package_archive import load_from_workspace
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.runner_table import runner_kind
from turnkey.navigator.status import ModelStatus
from turnkey.navigator.stored_metadata import limits_of_runner
from turnkey.navigator.stored_sets import reopened
from turnkey.navigator.workbench import Workbench
from turnkey.navigator.workspace import Workspace


def main(arguments: Sequence[str]) -> int:
    """Repeat a command; returns the exit code: 0 if it came out as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("export", "conversion", "correctness", "performance"))
    parser.add_argument("workspace", type=Path)
    parser.add_argument("key")
    parser.add_argument("runner")
    parser.add_argument("--model", default="", metavar="module:name", help="the source model, or what makes it")
    given = parser.parse_args(list(arguments))
    try:
        package = load_from_workspace(given.workspace)
        if given.model:
            package.load_source_model(built(given.model))
        if given.command == "performance":
            return _performance(package, given.key, given.runner)
        if given.command == "correctness":
            return _correctness(package, given.key, given.runner)
        return _conversion(package, given.key)
    except TurnkeyError as error:
        print(error, file=sys.stderr)
        return 1


def _jobs(package: Package, prepared: Prepared) -> JobRunner:
    """In this process where the source is at hand, since a script is a process of its own."""
    if package.model is None:
        return WorkerJobs.of_files(prepared.stored[: len(prepared.sets)])
    return HereJobs(Workbench(source=prepared.source.with_facts(prepared.sets)))


def _conversion(package: Package, key: str) -> int:
    """Make the model once more, in a scratch directory, and compare its digest."""
    workspace, prepared = reopened(package)
    model = package.status.models[key]
    config = model.model_config
    parent = package.status.models.get(config.parent_key or "")
    state = "intact" if is_intact(model, workspace) else "changed"
    if parent is None and package.model is None:
        print(f"{key}: a copy of the file that was given, {state}")
        return 0 if state == "intact" else 1
    if parent is not None and parent.model_config.format.is_source and package.model is None:
        raise MissingSourceModelError(
            f"{key} is exported from the source model, which is no part of the workspace",
            evidence=f"{workspace.path / config.path} is {state}",
            remedy="run this script with --model module:name",
        )
    with tempfile.TemporaryDirectory(prefix="turnkey-reproduce-") as scratch:
        again = Workspace(Path(scratch))
        jobs = _jobs(package, prepared)
        try:
            given = None if parent is None else _placed(parent, workspace)
            made = conversion.convert(config, given, prepared, jobs, again, log=Path(scratch) / "format.log")
        finally:
            jobs.close()
        print(Path(scratch, "format.log").read_text(errors="replace") if Path(scratch, "format.log").exists() else "")
    same = "the same bytes" if made.sha256 == model.sha256 else "other bytes, which exporters may write"
    print(f"{key}: made again, {made.size_bytes} bytes: {same}")
    return 0


def _placed(parent: ModelStatus, workspace: Workspace) -> ModelStatus:
    """The parent with its files where they lie."""
    return replace(parent, files=tuple(str(workspace.path / each) for each in parent.files))


def _correctness(package: Package, key: str, runner: str) -> int:
    workspace, prepared = reopened(package)
    model = package.status.models[key]
    if model.model_config.format.is_source and package.model is None:
        raise MissingSourceModelError(
            f"{key} @ {runner} runs the source model", remedy="run this script with --model module:name"
        )
    log = workspace.command_log(key, "reproduce", runner)
    jobs = _jobs(package, prepared)
    try:
        job = check_job(
            model,
            runner_kind(runner),
            prepared.stored,
            workspace,
            limits=limits_of_runner(package.status, model.runners_status[runner]),
            threads=fair_threads(),
            log=log,
        )
        answer = jobs.perform(job)
    finally:
        jobs.close()
    print(f"{key} @ {runner}: {'OK' if answer['ok'] else 'FAIL'} {answer['reason']}".rstrip())
    for each in answer["tolerances"]:
        print(f"  {each['output_name']}: atol {each['atol']}, rtol {each['rtol']}")
    return 0 if answer["ok"] else 1


def _performance(package: Package, key: str, runner: str) -> int:
    workspace, prepared = reopened(package)
    model = package.status.models[key]
    contestant = Contestant.of(model, runner_kind(runner), workspace)
    if contestant.path is None and package.model is None:
        raise MissingSourceModelError(
            f"{key} @ {runner} runs the source model", remedy="run this script with --model module:name"
        )
    config = ProfilerConfig.from_dict(package.config.get("profiler_config") or {})
    with tempfile.TemporaryDirectory(prefix="turnkey-reproduce-") as scratch:
        found = profile_contestants(
            prepared,
            [contestant],
            ProfilePlan(config=config, on_unstable="flag", threads=model.runners_status[runner].threads),
            records=Path(scratch),
            relative_to=Path(scratch),
            say=print,
        )[contestant.key]
    for rung in found.rungs:
        print(f"batch {rung.batch_size}: p50 {rung.p50_latency:.4g} ms, {rung.throughput:.4g}/s, {rung.validity}")
    if found.error is not None:
        raise found.error
    return 0
