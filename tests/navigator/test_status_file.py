"""status.yaml: the documented keys for others, everything for ourselves, and nothing believed that is read."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from navigator_statuses import model, rung, runner, status

import turnkey.navigator as nav
from turnkey.errors import ArtifactError, TurnkeyError
from turnkey.navigator.exceptions import BackwardCompatibilityError
from turnkey.navigator.format import Format
from turnkey.navigator.remeasurement import differences
from turnkey.navigator.status import CommandRun, CommandStatus
from turnkey.navigator.status_file import read_status, status_document, write_status
from turnkey.navigator.stored_metadata import limits_of_runner, metadata_of, threads_of
from turnkey.pipeline import plain_yaml

ROOT_KEYS = [
    *("format_version", "model_navigator_version", "uuid", "environment", "config", "models_status"),
    *("input_metadata", "output_metadata", "dataloader_trt_profile", "dataloader_max_batch_size"),
    *("status", "result", "timestamp", "turnkey"),
]


def full() -> Any:
    return status(
        model(Format.TORCH, runner("TorchCPU", rung(2.0), rung(3.0, 4, ties=("a @ b",), record="runs/batch-4.zip"))),
        model(Format.ONNX, runner("OnnxCPU", rung(1.0), atol=1e-6), size=3),
        model(Format.OPENVINO, runner("OpenVINO", rung(9.0))),
        commands={"InferInputMetadata": CommandRun(status=CommandStatus.OK, seconds=0.5)},
        own={"fingerprint": "f", "structure": None},
        timestamp="2026-01-01T00:00:00+00:00",
    )


def test_what_is_written_is_read_back_whole(tmp_path: Path) -> None:
    write_status(full(), tmp_path / "status.yaml")
    assert read_status(tmp_path / "status.yaml") == full()


def test_the_documented_part_has_the_documented_keys_in_order_and_no_other() -> None:
    document = status_document(full())
    assert list(document) == ROOT_KEYS
    assert list(document["models_status"]) == ["torch", "onnx"], "version 0.5 knows no openvino"
    entry = document["models_status"]["torch"]
    assert list(entry) == ["model_config", "runners_status", "status", "result"]
    assert list(entry["model_config"]) == ["format", "key", "path", "parent_path", "parent_key", "log_path"]
    found = entry["runners_status"]["TorchCPU"]
    assert list(found) == ["runner_name", "status", "result"]
    assert found["result"]["Correctness"] == {"per_output_tolerance": [{"output_name": "y", "atol": 0.0, "rtol": 0.0}]}
    assert list(found["result"]["Performance"]["profiling_results"][0]) == [
        *("batch_size", "avg_latency", "std_latency", "p50_latency", "p90_latency", "p95_latency", "p99_latency"),
        *("throughput", "request_count"),
    ]


@pytest.mark.defect("ND20")
def test_a_package_of_the_original_is_read_from_its_documented_part_and_keeps_its_versions(tmp_path: Path) -> None:
    document = status_document(full())
    del document["turnkey"]
    document |= {"format_version": "0.1.4", "model_navigator_version": "0.4.2"}
    (tmp_path / "status.yaml").write_text(yaml.safe_dump(document))
    found = read_status(tmp_path / "status.yaml")
    assert (found.format_version, found.model_navigator_version) == ("0.1.4", "0.4.2")
    assert [each.p50_latency for each in found.models["torch"].runners_status["TorchCPU"].rungs] == [2.0, 3.0]
    assert found.commands["InferInputMetadata"].status is CommandStatus.OK, "its own results are not lost"
    write_status(found, tmp_path / "again.yaml")
    assert read_status(tmp_path / "again.yaml").format_version == "0.1.4"


def test_the_later_form_of_the_profilers_configuration_is_read_in_the_pages_names(tmp_path: Path) -> None:
    document = status_document(full())
    document["format_version"] = "0.3.1"
    document["config"]["optimization_profile"] = {"window_size": 7, "max_trials": 4, "throughput_backoff_limit": 2}
    (tmp_path / "status.yaml").write_text(yaml.safe_dump(document))
    found = read_status(tmp_path / "status.yaml")
    assert found.config["profiler_config"] == {"measurement_request_count": 7, "max_trials": 4}


@pytest.mark.defect("ND21")
def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    document = status_document(status(model(Format.TORCH, runner("TorchCPU", rung(math.nan)))))
    entry = document["models_status"]["torch"]["runners_status"]["TorchCPU"]
    assert entry["result"]["Performance"]["profiling_results"][0]["avg_latency"] is None


@pytest.mark.parametrize("version", ["", "0.0.9", "0.4.0", "new"])
def test_versions_that_cannot_be_read_are_refused(tmp_path: Path, version: str) -> None:
    (tmp_path / "status.yaml").write_text(yaml.safe_dump({**status_document(full()), "format_version": version}))
    with pytest.raises(BackwardCompatibilityError):
        read_status(tmp_path / "status.yaml")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda own: own["models"]["onnx"]["model_config"].update(path="../../etc/passwd"),
        lambda own: own["models"]["onnx"]["model_config"].update(key="/etc"),
        lambda own: own["models"]["onnx"]["model_config"].update(key="torch"),
        lambda own: own["models"].update({"../up": own["models"].pop("onnx")}),
        lambda own: own["models"]["onnx"].update(commands={"x/../../up": next(iter(own["commands"].values()))}),
        lambda own: own["models"]["onnx"]["runners"]["OnnxCPU"].update(runner_name='a"""\nimport os\n"""'),
        lambda own: own["models"]["onnx"].update(files=["a\\..\\b"]),
        lambda own: own["models"]["onnx"]["runners"]["OnnxCPU"]["rungs"][0].update(record="../x"),
        lambda own: own["models"]["onnx"]["model_config"].update(format="exe"),
        lambda own: own.update(models=[]),
        lambda own: own.update(schema=99),
        lambda own: own["models"]["onnx"].pop("sha256"),
    ],
)
def test_paths_and_names_that_leave_the_package_and_wrong_forms_are_refused(tmp_path: Path, spoil: Any) -> None:
    document = status_document(full())
    spoil(document["turnkey"])
    (tmp_path / "status.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ArtifactError):
        read_status(tmp_path / "status.yaml")


@pytest.mark.parametrize("dtype", ["spaghetti", "", "float3"])
def test_a_type_that_numpy_does_not_know_is_refused(tmp_path: Path, dtype: str) -> None:
    document = status_document(full())
    document["output_metadata"][0]["dtype"] = dtype
    (tmp_path / "status.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ArtifactError):
        read_status(tmp_path / "status.yaml")


def test_a_file_that_makes_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "status.yaml").write_text("format_version: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ArtifactError):
        read_status(tmp_path / "status.yaml")


def places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, the containers too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, *path, key)


RICH = status_document(
    status(
        model(Format.ONNX, runner("OnnxCPU", rung(1.0, ties=("a @ b",), means_ms=(1.0,), threads=2)), size=3),
        commands={"InferInputMetadata": CommandRun(status=CommandStatus.OK, seconds=0.5)},
        config={"profiler_config": {"batch_sizes": [1]}, "custom_configs": {"Onnx": {"opset": 17}}},
        own={
            "fingerprint": "f",
            "structure": {"args": [{"tensor": "x"}], "kwargs": {}},
            "dynamic_axes": {"x": {"0": "batch"}},
            "settings": {
                "threads": 2,
                "effort": "quick",
                "on_unstable": "flag",
                "optimization_profile": nav.OptimizationProfile().to_dict(parse=True),
                "tolerances": {"y": [0.1, 0.1]},
            },
        },
    )
)


del RICH["models_status"]  # read from packages of others alone


@pytest.mark.parametrize("wrong", [["x"], {"x": "x"}, None], ids=repr)
def test_a_value_of_another_type_is_a_clear_error_or_harmless_wherever_it_stands(tmp_path: Path, wrong: Any) -> None:
    """A package is a stranger's: what was read whole must not fail later in ways that nobody can understand."""
    for path in places(RICH):
        document = copy.deepcopy(RICH)
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = copy.deepcopy(wrong)
        (tmp_path / "status.yaml").write_text(plain_yaml.dump(document))
        try:
            found = nav.Package(read_status(tmp_path / "status.yaml"), tmp_path)
        except TurnkeyError:
            continue
        try:
            found.summary()
            assert found.structure is None or found.structure.names
            metadata_of(found.status)
            for each in found.status.models.values():
                for one in each.runners_status.values():
                    limits_of_runner(found.status, one)
            threads_of(found.status)
            differences(found, rung(1.0, threads=2))
            write_status(found.status, tmp_path / "again.yaml")
            found.get_best_runtime()
        except TurnkeyError:
            pass
        except Exception as error:
            raise AssertionError(f"{path} = {wrong!r} was read, and then: {error!r}") from error
