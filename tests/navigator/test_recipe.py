"""A call as a file: equal to the Python call, and planned without being run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

import turnkey.navigator as nav
from turnkey.cli.main import main
from turnkey.errors import UsageError
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.named_place import imported
from turnkey.navigator.recipe import read_recipe, recipe_of

CODE = """
import numpy as np

CALLS = []

def double(x):
    CALLS.append(x)
    return x * 2

def samples():
    return [np.full((2, 4), i + 1, np.float32) for i in range(3)]

def accepts(outputs, references):
    return True
"""


@pytest.fixture
def recipe(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A recipe beside its code, whose module has a name of its own: modules stay imported."""
    module = f"net_{abs(hash(request.node.name)) % 10**8}"
    (tmp_path / f"{module}.py").write_text(CODE)
    text = f"""
    schema: 1
    model: {module}.py:double
    dataloader: {module}.py:samples
    sample_count: 2
    runners: [PythonRunner]
    profiler_config: {{run_profiling: false, batch_sizes: [1, 8]}}
    custom_configs: {{Torch: {{inference_mode: false}}}}
    tolerances: {{output__0: [0.5, 0.0]}}
    workspace: there
    """
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path / "recipe.yaml"


@pytest.mark.filterwarnings("ignore::turnkey.navigator.exceptions.ConfigurationWarning")
def test_a_recipe_is_the_call_that_it_says_and_the_call_is_the_recipe(recipe: Path, tmp_path: Path) -> None:
    read = read_recipe(recipe)
    model, loader, arguments = read.call()
    assert (model.__name__, len(loader)) == ("double", 3)
    wanted = CallArguments(
        sample_count=2,
        runners=["PythonRunner"],
        profiler_config=nav.ProfilerConfig(run_profiling=False, batch_sizes=[1, 8]),
        custom_configs=[nav.TorchConfig(inference_mode=False)],
        tolerances={"output__0": (0.5, 0.0)},
        workspace=tmp_path / "there",
    )
    assert arguments == wanted
    recipe_of(read.model, read.dataloader, arguments).write(tmp_path / "again.yaml")
    assert read_recipe(tmp_path / "again.yaml").call_arguments() == arguments


def test_what_optimize_does_not_take_is_refused_with_all_faults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("schema: 2\nmodel: 3\ndataloader: net.py:samples\ntarget_format: [onnx]\n")
    with pytest.raises(ConfigurationError, match="no recipe") as raised:
        read_recipe(path)
    for word in ("target_format", "schema", "model"):
        assert word in raised.value.evidence
    for wrong in ("custom_configs: {Nonsense: {}}", "custom_configs: [1]", "profiler_config: 7", "tolerances: 3"):
        path.write_text(f"schema: 1\nmodel: a.py:b\ndataloader: a.py:c\n{wrong}\n")
        with pytest.raises(UsageError):
            read_recipe(path)
    path.write_text("schema: 1\nmodel: nowhere.py:net\ndataloader: nowhere.py:samples\n")
    with pytest.raises(UsageError, match="no such object"):
        read_recipe(path).call()


@pytest.mark.filterwarnings("ignore::turnkey.navigator.exceptions.ConfigurationWarning")
def test_a_plan_says_every_step_and_what_would_be_left_out_and_runs_nothing(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "optimize", str(recipe), "--plan"]) == 0
    text = capsys.readouterr().out
    assert "python @ PythonRunner: compared with the source on 2 samples at most" in text
    assert "nothing was run" in text
    assert not (tmp_path / "there").exists()
    (tmp_path / "m.onnx").write_bytes(b"")
    loader = yaml.safe_load(recipe.read_text())["dataloader"]
    arguments: dict[str, Any] = {"schema": 1, "model": "m.onnx", "dataloader": loader}
    (tmp_path / "onnx.yaml").write_text(yaml.safe_dump({**arguments, "target_device": "cpu"}))
    assert main(["package", "optimize", str(tmp_path / "onnx.yaml"), "--plan", "--batch-sizes", "1", "4"]) == 0
    text = capsys.readouterr().out
    assert "onnx: copy of the given file" in text
    assert "trt-fp16: made from onnx by the format tensorrt-fp16; left out: " in text
    assert "profiled at batch 1, 4" in text


@pytest.mark.filterwarnings("ignore::turnkey.navigator.exceptions.ConfigurationWarning")
def test_a_recipe_becomes_a_package_and_the_command_line_has_the_last_word(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNKEY_MULTIPROCESSING", "0")
    code = main(["package", "optimize", str(recipe), "--workspace", str(tmp_path / "w"), "--sample-count", "1"])
    assert code == 1, "a package with nothing but its source is empty"
    package = nav.package.load_from_workspace(tmp_path / "w")
    assert package.config["sample_count"] == 1
    assert package.status.models["python"].runners_status["PythonRunner"].ended("Correctness").value == "OK"
    assert "workspace: " in capsys.readouterr().out


def test_a_package_is_selected_from_saved_and_served_by_the_command_line(
    package: nav.Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = str(package.workspace)
    assert main(["package", "save", workspace, "--output", str(tmp_path / "exp.nav")]) == 0
    before = (tmp_path / "exp.nav").read_bytes()
    assert main(["package", "save", workspace, "--output", str(tmp_path / "exp.nav")]) != 0
    told = capsys.readouterr().err
    assert "--override" in told
    assert "Traceback" not in told
    assert (tmp_path / "exp.nav").read_bytes() == before
    capsys.readouterr()
    assert main(["package", "select", str(tmp_path / "exp.nav"), "--strategy", "min-latency"]) == 0
    assert "onnx @ OnnxCPU: " in capsys.readouterr().out
    assert main(["package", "select", workspace, "--latency-budget", "0.0000001"]) == 1, "nothing is so fast"
    assert "does not match" in capsys.readouterr().err
    arguments = ["--repository", str(tmp_path / "repo"), "--model-name", "exp"]
    assert main(["package", "serve", str(tmp_path / "exp.nav"), *arguments]) == 0
    assert (tmp_path / "repo" / "exp" / "1" / "model.onnx").is_file()
    assert main(["package", "serve", str(tmp_path / "exp.nav")]) != 0, "without a repository"


def test_an_option_that_an_action_does_not_act_on_is_refused(
    package: nav.Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = str(package.workspace)
    for words in (["verify", workspace, "--output", "x"], ["optimize", workspace, "--sample-count", "3"]):
        assert main(["package", *words]) != 0
        assert words[2] in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_every_argument_of_optimize_may_stand_in_a_recipe() -> None:
    from turnkey.navigator import recipe as module

    assert set(module._NAMES) == {each.name for each in fields(CallArguments)}
    bare = recipe_of("a", "b", CallArguments()).to_dict()
    assert bare == {"schema": 1, "model": "a", "dataloader": "b"}, "defaults are left out"


def test_a_file_whose_module_name_is_taken_is_refused_and_not_mistaken_for_the_other(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net_of_two_recipes.py").write_text(f"NAME = {folder!r}\n")
    assert imported("net_of_two_recipes.py:NAME", directory=tmp_path / "first") == "first"
    with pytest.raises(UsageError, match="no such object") as raised:
        imported("net_of_two_recipes.py:NAME", directory=tmp_path / "second")
    assert "give the file another name" in raised.value.evidence


FAILING = """
import numpy as np

NUMBER = 5

def double(x):
    return x * 2

def samples():
    return [np.ones((2, 4), np.float32)]

def fails():
    raise RuntimeError("boom")

class Broken:
    def __len__(self):
        return 1

    def __iter__(self):
        raise RuntimeError("disk gone")
        yield
"""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataloader": "NUMBER"}, "must be iterable and have a length"),
        ({"dataloader": "fails"}, "RuntimeError: boom"),
        ({"dataloader": "Broken"}, "RuntimeError: disk gone"),
        ({"model": "fails"}, "RuntimeError: boom"),
        ({"model": "raises_on_import.py:net"}, "NameError"),
        ({"runners": [5]}, "runners: [5]"),
        ({"verify_func": 5}, "verify_func"),
        ({"workspace": [1]}, "workspace"),
        ({"tolerances": {"y": 3}}, "a tolerance is a pair"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_fails_of_the_users_code_or_recipe_is_told_as_theirs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], told: str
) -> None:
    module = f"failing_{abs(hash(str(changes))) % 10**8}"
    (tmp_path / f"{module}.py").write_text(FAILING)
    (tmp_path / "raises_on_import.py").write_text("net = undefined\n")
    changes = {key: f"{module}.py:{value}" if str(value).isidentifier() else value for key, value in changes.items()}
    recipe = {"schema": 1, "model": f"{module}.py:double", "dataloader": f"{module}.py:samples", **changes}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["package", "optimize", str(tmp_path / "recipe.yaml"), "--workspace", str(tmp_path / "w")]) != 0
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err
    assert "defect of Turnkey" not in captured.err
