"""The published JSON Schema describes what the engine writes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from turnkey.measure import Settings, Shape, TargetDescription, run_experiment, run_load

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs/record.schema.json").read_text())


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_a_real_record_keeps_the_published_schema_and_one_with_a_stray_field_does_not(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    here = {"PYTHONPATH": str(Path(__file__).parent)}
    run_experiment(
        [
            TargetDescription(
                key="good",
                factory="turnkey.measure.numpy_target:load_numpy",
                arguments={"kernels": 2, "size": 5000},
            ),
            TargetDescription(
                key="bad", factory="fault_targets:load_faulty", arguments={"fault": "raise"}, environment=here
            ),
        ],
        reference="good",
        settings=Settings(min_rounds=2, max_rounds=2, passes=2),
        path=path,
    )
    with zipfile.ZipFile(path) as archive:
        run = json.loads(archive.read("run.json"))
        lines = archive.read("samples.jsonl").splitlines()
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert [error.message for error in validator.iter_errors(run)] == []
    of_slice = jsonschema.Draft202012Validator(SCHEMA["$defs"]["slice"])
    for line in lines:
        of_slice.validate(json.loads(line))
    assert list(validator.iter_errors({**run, "stray": 1}))


def test_the_record_of_a_load_shape_keeps_its_schema_too(tmp_path: Path) -> None:
    path = tmp_path / "load.zip"
    target = TargetDescription(
        key="good", factory="turnkey.measure.numpy_target:load_numpy", arguments={"kernels": 2, "size": 5000}
    )
    run_load(target, Shape(kind="concurrency", clients=(1, 2), seconds=0.1), path=path)
    with zipfile.ZipFile(path) as archive:
        run = json.loads(archive.read("run.json"))
        lines = archive.read("samples.jsonl").splitlines()
    validator = jsonschema.Draft202012Validator(SCHEMA["$defs"]["load"])
    assert [error.message for error in validator.iter_errors(run)] == []
    assert list(validator.iter_errors({**run, "stray": 1}))
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMA["$defs"]["slice"]).validate(json.loads(line))
