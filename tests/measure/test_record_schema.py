"""The published JSON Schema describes what the engine writes."""

from __future__ import annotations

import json
import zipfile
from dataclasses import fields
from pathlib import Path

import jsonschema

from turnkey.measure import Settings, Shape, TargetDescription, journal, run_experiment, run_load
from turnkey.measure.crew import LoadReport
from turnkey.measure.environment import Span
from turnkey.measure.load_result import Trial
from turnkey.measure.slices import KINDS, Slice
from turnkey.measure.validity import Reason

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/record.schema.json").read_text())


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_what_is_published_has_the_fields_of_the_code() -> None:
    published = SCHEMA["$defs"]
    load = published["load"]["properties"]
    of_code = [
        (published["slice"], Slice),
        (published["span"], Span),
        (published["reason"], Reason),
        (load["shape"], Shape),
        (load["trials"]["items"], Trial),
    ]
    for schema, kind in of_code:
        assert set(schema["properties"]) == {field.name for field in fields(kind)}, kind
    assert {field.name for field in fields(LoadReport)} <= set(published["process"]["properties"])
    assert SCHEMA["$defs"]["slice"]["properties"]["kind"]["enum"] == list(KINDS)
    assert SCHEMA["properties"]["schema"]["enum"] == list(range(1, journal.SCHEMA + 1))


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
    validator = jsonschema.Draft202012Validator({"$ref": "#/$defs/load", "$defs": SCHEMA["$defs"]})
    assert [error.message for error in validator.iter_errors(run)] == []
    assert list(validator.iter_errors({**run, "stray": 1}))
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMA["$defs"]["slice"]).validate(json.loads(line))
