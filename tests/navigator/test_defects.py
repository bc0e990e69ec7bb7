"""The defects of Triton Model Navigator that this door does not repeat: each has a test that would fail on it.

Tests say which one they are for: ``@pytest.mark.defect("ND8")``. This is the list, and it is complete.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HERE = Path(__file__).parent

DEFECTS = {
    "ND1": "statistics of windows are averaged, and so are percentiles and counts",
    "ND2": "deviation and percentiles are those of window statistics",
    "ND3": "cold calls are measured, always with the same input",
    "ND4": "noise excludes the fastest runner, and nobody is told",
    "ND5": "the automatic ladder of batch sizes goes on until memory ends",
    "ND6": "a killed run loses all results",
    "ND7": "self-stabilised runners fail without batching; senseless values are accepted",
    "ND8": "a model that is wrong by any amount may be selected",
    "ND9": "NaN hides a difference, or wins",
    "ND10": "booleans cannot be compared, unsigned differences wrap",
    "ND11": "correctness is looked at for one row at batch 1 only",
    "ND12": "a comparison of nothing is a success",
    "ND13": "inputs and outputs are paired by the order of a directory",
    "ND14": "what a verify function refused may be selected; numpy's True counts as a failure",
    "ND15": "a directory of the user is deleted",
    "ND16": "targets and configurations are dropped in silence; functions must be called and return in one style",
    "ND17": "nothing runs without CUDA",
    "ND18": "an exported program is static and missing from packages",
    "ND19": "another exporter runs than the one that is named",
    "ND20": "package-level results and versions are lost on loading; another interpreter's packages are listed",
    "ND21": "NaN in the status file",
    "ND22": "archives without checksums, and with pickles",
    "ND23": "TensorRT and CUDA libraries are needed on processors",
    "ND24": "importing changes logging, warnings, start method or random state",
    "ND25": "every command starts a process that imports everything again",
    "ND26": "model repositories lack external data, idle times, instance groups; versions are overwritten",
    "ND27": "unbatched models are served as batched",
    "ND28": "bundles ignore the cache directory that is set",
    "ND29": "wrong inputs are only warned about",
    "ND30": "profiling costs more than the call",
}


def marked() -> dict[str, list[str]]:
    """Tests of this room by the defect that they are for."""
    found: dict[str, list[str]] = {}
    for file in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.defect":
                    for argument in mark.args:
                        found.setdefault(ast.literal_eval(argument), []).append(f"{file.name}::{node.name}")
    return found


def test_every_defect_has_a_test_that_runs_in_the_suite() -> None:
    assert set(marked()) == set(DEFECTS)


@pytest.mark.defect("ND23")
def test_the_core_needs_nothing_that_is_for_gpus_alone_and_takes_the_present_numpy() -> None:
    project = tomllib.loads((HERE.parents[1] / "pyproject.toml").read_text())["project"]
    needed = {each.name: each for each in map(Requirement, project["dependencies"])}
    assert not [name for name in needed if "tensorrt" in name or "cuda" in name or "nvidia" in name]
    assert "2.3" in needed["numpy"].specifier
