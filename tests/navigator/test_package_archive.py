"""Packages as files: saved, loaded, verified, reproduced, and refused where they were tampered with."""

from __future__ import annotations

import hashlib
import json
import pickle
import platform
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import turnkey.navigator as nav
from turnkey.cli.main import main
from turnkey.errors import ArtifactError, InputError
from turnkey.navigator.exceptions import ConfigurationError, MissingSourceModelError, NotFoundError
from turnkey.navigator.package_archive import MANIFEST
from turnkey.navigator.remeasurement import compared, differences
from turnkey.navigator.reproduce import main as reproduce
from turnkey.navigator.self_check import verify_package
from turnkey.navigator.status import CommandStatus
from turnkey.pipeline.archive import read_archive


@pytest.fixture
def saved(package: nav.Package, tmp_path: Path) -> Path:
    nav.package.save(package, tmp_path / "exp.nav")
    return tmp_path / "exp.nav"


def rewritten(source: Path, change: Callable[[dict[str, bytes]], None], *, with_manifest: bool = True) -> Path:
    """The archive with changed members; with a manifest that fits them, where that is asked for."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    if with_manifest and MANIFEST in members:
        manifest = json.loads(members[MANIFEST])
        manifest["members"] = {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
            for name, content in members.items()
            if name != MANIFEST
        }
        members[MANIFEST] = json.dumps(manifest).encode()
    target = source.with_name("changed.nav")
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def test_an_archive_holds_status_models_samples_and_scripts_with_their_digests(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read(MANIFEST))
    assert {"status.yaml", "navigator.log", "onnx/model.onnx", "samples/samples.json"} <= names
    assert any(name.startswith("model_input/correctness/") for name in names)
    assert "onnx/reproduce_correctness-OnnxCPU.py" in names
    assert manifest["schema"] == 1
    assert set(manifest["members"]) == names - {MANIFEST}


@pytest.mark.defect("ND20")
def test_a_loaded_package_has_the_same_results_and_runs(saved: Path, package: nav.Package, tmp_path: Path) -> None:
    found = nav.package.load(saved, workspace=tmp_path / "loaded")
    assert found.status == package.status
    x = np.ones((3, 4), np.float32)
    with found.get_runner() as runner:
        assert np.allclose(runner.infer({"x": x})["y"], np.exp(x))
    assert found.get_model_path("onnx").read_bytes() == package.get_model_path("onnx").read_bytes()
    assert not list((tmp_path / "loaded").rglob("*.py")), "scripts of strangers are not unpacked"
    assert uuid.UUID(found.status.uuid).version == 4


def test_nothing_is_overwritten_unasked(saved: Path, package: nav.Package, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        nav.package.save(package, saved)
    nav.package.save(package, saved, override=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(InputError):
        nav.package.load(saved, workspace=tmp_path / "mine")
    assert (tmp_path / "mine" / "file").exists()


def test_a_workspace_that_is_gone_is_told_and_one_is_removed_only_as_asked(
    package: nav.Package, tmp_path: Path
) -> None:
    nav.package.save(package, tmp_path / "a.nav", keep_workspace=False)
    assert not package.workspace.exists()
    with pytest.raises(FileNotFoundError):
        nav.package.save(package, tmp_path / "b.nav")


def test_a_package_verifies_itself_by_the_limits_in_it_and_says_what_differs(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "verify", str(saved)]) == 0
    text = capsys.readouterr().out
    assert "onnx @ OnnxCPU: valid" in text
    assert "(allowed: y 1e-05 + 0.001 |r|)" in text, "the limits are in the package"
    with read_archive(saved) as archive:
        known = archive.sha256("onnx/model.onnx")

    def other_model(members: dict[str, bytes]) -> None:
        members["onnx/model.onnx"] = members["onnx/model.onnx"].replace(b"Exp", b"Sin")

    def other_model_of_the_same_claim(members: dict[str, bytes]) -> None:
        other_model(members)
        new = hashlib.sha256(members["onnx/model.onnx"]).hexdigest()
        members["status.yaml"] = members["status.yaml"].replace(known.encode(), new.encode())

    for change, reason in ((other_model, "not the one that was made"), (other_model_of_the_same_claim, "instead of")):
        assert main(["package", "verify", str(rewritten(saved, change))]) == 1
        text = capsys.readouterr().out
        assert "onnx @ OnnxCPU: invalid" in text
        assert reason in text


def test_a_package_without_samples_cannot_verify_itself(package: nav.Package, tmp_path: Path) -> None:
    nav.package.save(package, tmp_path / "lean.nav", save_data=False)
    with pytest.raises(NotFoundError, match="no samples"):
        verify_package(tmp_path / "lean.nav")


def test_a_workspace_is_shown_and_verified_like_its_archive_and_stays_as_it_is(
    package: nav.Package, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(package.workspace.rglob("*"))
    assert main(["package", "show", str(package.workspace)]) == 0
    assert "onnx @ OnnxCPU: " in capsys.readouterr().out
    assert main(["package", "verify", str(package.workspace)]) == 0
    assert sorted(package.workspace.rglob("*")) == before


def test_a_claim_is_measured_again_and_compared_with_the_recorded_interval(saved: Path, capsys) -> None:
    code = main(["package", "reproduce", str(saved)])
    text = capsys.readouterr().out
    assert "onnx @ OnnxCPU, batch 1: " in text
    assert "recorded" in text
    assert code == (0 if "reproduced" in text else 1)


def test_the_copy_of_a_given_file_reproduces_as_long_as_it_is_intact(
    package: nav.Package, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", str(package.workspace), "onnx", ""]
    assert (package.workspace / "onnx" / "reproduce_export.sh").is_file()
    assert reproduce(command) == 0
    package.get_model_path("onnx").write_bytes(b"other")
    assert reproduce(command) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"onnx: a copy of the file that was given, {state}" for state in ("intact", "changed")
    ]


def test_intervals_that_overlap_reproduce_and_other_hosts_are_not_compared(package: nav.Package) -> None:
    [rung] = package.status.models["onnx"].runners_status["OnnxCPU"].rungs
    base = replace(rung, p50_latency=1.0, ci_low=0.9, ci_high=1.1)
    near = replace(rung, p50_latency=1.1, ci_low=1.05, ci_high=1.2)
    far = replace(rung, p50_latency=2.0, ci_low=1.9, ci_high=2.1)
    assert compared("k", base, near, []).outcome == "reproduced"
    assert compared("k", base, far, []).outcome == "slower"
    assert compared("k", far, base, []).outcome == "faster"
    assert compared("k", base, far, ["another processor"]).outcome == "not comparable"


def test_a_package_knows_with_how_many_threads_it_was_measured_and_runs_with_as_many(package: nav.Package) -> None:
    from turnkey.host import fair_threads

    status = package.status.models["onnx"].runners_status["OnnxCPU"]
    assert status.threads == fair_threads()
    [rung] = status.rungs
    assert package.get_runner()._request.threads == rung.threads  # type: ignore[attr-defined]
    assert differences(package, rung) == []
    assert "1000 threads" in differences(package, replace(rung, threads=1000))[0]


@pytest.mark.defect("ND22")
@pytest.mark.parametrize(
    ("change", "with_manifest"),
    [
        (lambda m: m.update({"onnx/model.onnx": m["onnx/model.onnx"] + b" "}), False),
        (lambda m: m.update({"extra.txt": b"x"}), False),
        (lambda m: m.pop("samples/0.npz"), False),
        (lambda m: m.update({"payload.pkl": pickle.dumps(1)}), True),
        (lambda m: m.pop("status.yaml"), True),
        (lambda m: m.update({"status.yaml": b"format_version: 0.2.1"}), True),
        (lambda m: m.update({MANIFEST: b"{}"}), False),
        (lambda m: m.update({MANIFEST: b'{"schema": 9, "members": {}}'}), False),
        (lambda m: m.update({"../evil": b"x"}), True),
        (lambda m: m.update({"/evil": b"x"}), True),
    ],
)
def test_tampered_and_hostile_archives_are_refused_and_leave_nothing_behind(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], with_manifest: bool
) -> None:
    changed = rewritten(saved, change, with_manifest=with_manifest)
    with pytest.raises(ArtifactError):
        nav.package.load(changed, workspace=tmp_path / "loaded")
    assert not (tmp_path / "loaded").exists()
    assert not (tmp_path / "evil").exists()


def test_an_archive_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    content = saved.read_bytes()
    for share in (0.01, 0.5, 0.99):
        cut = tmp_path / "cut.nav"
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ArtifactError):
            nav.package.load(cut, workspace=tmp_path / "loaded")


def test_a_package_of_the_original_is_read_as_far_as_its_content_goes(saved: Path, tmp_path: Path) -> None:
    def foreign(members: dict[str, bytes]) -> None:
        document = yaml.safe_load(members["status.yaml"])
        del document["turnkey"]
        members["status.yaml"] = yaml.safe_dump(document).encode()
        for name in [MANIFEST, *(name for name in members if name.startswith(("samples/", "runs/")))]:
            del members[name]

    found = nav.package.load(rewritten(saved, foreign, with_manifest=False), workspace=tmp_path / "loaded")
    assert found.get_best_runtime().model_key == "onnx"
    assert found.status.models["onnx"].sha256, "digests of our own"
    assert [each.outcome for each in verify_package(tmp_path / "changed.nav")] == ["valid"], "rows became samples"


@pytest.mark.needs("openvino")
def test_optimising_a_loaded_package_again_makes_new_targets_from_its_files(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = nav.package.load(saved, workspace=tmp_path / "loaded")
    loaded.status = replace(
        loaded.status,
        config={**loaded.status.config, "sample_count": 3, "_input_names": ["x"], "runner_names": ["OnnxCPU"]},
        own={
            **loaded.status.own,
            "settings": {"tolerances": {"y": [0.5, 0.0]}, "threads": 1, "effort": "standard", "on_unstable": "flag"},
        },
    )
    config = nav.ProfilerConfig(run_profiling=False)
    with pytest.raises(ConfigurationError, match="has 1 problem"):
        nav.package.optimize(loaded, target_formats=["nonsense"], runners=["OnnxCPU"])
    found = nav.package.optimize(loaded, target_formats=["onnx", "openvino"], profiler_config=config)
    assert found.config["runner_names"] == ["OnnxCPU", "OpenVINO"], "its own, and the default ones of what is new"
    asked = found.status.own["settings"]
    assert (asked["threads"], asked["effort"], asked["on_unstable"]) == (1, "standard", "flag"), "as before"
    assert list(found.status.commands) == ["LoadMetadata", "LoadSamples"]
    assert (found.config["sample_count"], found.config["_input_names"]) == (3, ["x"]), "of the samples in it"
    assert found.status.models["openvino"].runners_status["OpenVINO"].ended("Correctness") is CommandStatus.OK
    assert found.status.models["onnx"].sha256 == loaded.status.models["onnx"].sha256
    assert found.status.models["openvino"].runners_status["OpenVINO"].ended("Performance") is CommandStatus.SKIPPED
    assert reproduce(["conversion", str(found.workspace), "openvino", ""]) == 0
    assert "openvino: made again" in capsys.readouterr().out, "from the file of its parent"


def test_marking_by_hand_is_saved_and_unknown_names_are_told(package: nav.Package) -> None:
    nav.package.set_verified(package, "onnx", "OnnxCPU")
    again = nav.package.load_from_workspace(package.workspace)
    assert again.status.models["onnx"].runners_status["OnnxCPU"].ended("VerifyModel") is CommandStatus.OK
    with pytest.raises(NotFoundError, match="OnnxCPU"):
        nav.package.set_verified(package, "onnx", "TorchCPU")


def test_a_file_that_is_gone_is_told_by_name(package: nav.Package) -> None:
    package.get_model_path("onnx").unlink()
    with pytest.raises(NotFoundError, match="has no file"):
        package.get_runner()
    with pytest.raises(NotFoundError, match="no model 'trt'"):
        package.get_model_path("trt")


def test_a_source_that_is_not_attached_is_told(tmp_path: Path) -> None:
    from navigator_statuses import model, rung, runner, status

    from turnkey.navigator.format import Format

    found = nav.Package(status(model(Format.TORCH, runner("TorchCPU", rung(1.0)))), tmp_path)
    with pytest.raises(MissingSourceModelError, match="not attached"):
        found.get_runner()


@pytest.mark.defect("ND17")
def test_a_winner_on_a_device_that_is_not_here_runs_on_the_processor(package: nav.Package) -> None:
    from turnkey.navigator.runner_table import cuda_usable

    if cuda_usable():
        pytest.skip("there is a CUDA device")
    model = package.status.models["onnx"]
    moved = replace(model.runners_status["OnnxCPU"], runner_name="OnnxCUDA")
    package.status = replace(package.status, models={"onnx": replace(model, runners_status={"OnnxCUDA": moved})})
    x = np.ones((1, 4), np.float32)
    with package.get_runner() as runner:
        assert runner.name() == "OnnxCUDA"
        assert np.allclose(runner.infer({"x": x})["y"], np.exp(x))


@pytest.mark.defect("ND20")
def test_the_environment_is_that_of_the_running_interpreter(package: nav.Package) -> None:
    environment = package.status.environment
    assert environment["python_version"] == platform.python_version()
    assert environment["python_packages"]["numpy"] == np.__version__
    assert set(environment["cpu"]) == {"name", "physical_cores", "logical_cores", "min_frequency", "max_frequency"}
