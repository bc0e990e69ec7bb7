"""Every command, path and file of TurnkeyML's Tools User Guide, as written there, run in the repository.

Where the guide names a place of its reader's (INPUT_FILES, my_script.py, TIMEOUT), a test puts one in. Wildcards over
``models/*/*.py`` are run over a small copy of that tree, since the real one would be benchmarked for half an hour.
"""

from __future__ import annotations

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from turnkey.pipeline.toolbox import TOOLS

REPOSITORY = Path(__file__).parents[1]
EXECUTABLES = Path(sys.executable).parent

LINEAR = "models/selftest/linear.py"


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


Turnkey = Callable[..., Outcome]


@pytest.fixture
def turnkey(cache: Path) -> Turnkey:
    """Run a line as the guide prints it, by a shell in the repository; results go to a cache of the test's own."""

    def in_repository(command: str, directory: Path = REPOSITORY, **environment: str) -> Outcome:
        variables = {
            **os.environ,
            "PATH": f"{EXECUTABLES}{os.pathsep}{os.environ['PATH']}",
            "TURNKEY_CACHE_DIR": str(cache),
            **environment,
        }
        done = subprocess.run(
            ["bash", "-c", command], cwd=directory, env=variables, capture_output=True, text=True, check=False
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return in_repository


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A working directory with a small ``models/*/*.py``: one vision model by label, one without, and a list."""
    directory = tmp_path / "work"
    (directory / "models" / "selftest").mkdir(parents=True)
    for name in ("linear", "convolution"):
        shutil.copy(REPOSITORY / "models" / "selftest" / f"{name}.py", directory / "models" / "selftest")
        shutil.copy(REPOSITORY / "models" / "selftest" / f"{name}.py", directory)
    shutil.copy(REPOSITORY / "examples" / "cli" / "onnx" / "sample.onnx", directory)
    (directory / "selected_models.txt").write_text("models/selftest/linear.py\n\n# one line is enough\n")
    return directory


def statistics(cache: Path, build: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((cache / build / "turnkey_stats.yaml").read_text())
    return content


def state(cache: Path, build: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((cache / build / f"{build}_state.yaml").read_text())
    return content


# Learning the tools


def test_the_help_page_has_the_two_main_sections_and_names_every_tool(turnkey: Turnkey) -> None:
    shown = turnkey("turnkey -h")
    assert shown.code == 0
    first, second = shown.stdout.index("Tool Positional Arguments"), shown.stdout.index("Optional Arguments")
    assert first < second
    assert all(re.search(rf"^ +{name} ", shown.stdout[first:second], re.MULTILINE) for name in TOOLS.builtin)
    assert "-i, --input-files, --inputs-files" in shown.stdout[second:]


def test_a_tool_has_a_help_page_of_its_own(turnkey: Turnkey) -> None:
    shown = turnkey("turnkey discover -h")
    assert shown.code == 0
    assert shown.stdout.startswith("usage: turnkey -i INPUT discover")


def test_a_management_tool_prints_the_version_alone(turnkey: Turnkey) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", turnkey("turnkey version").stdout)


# Running the tools


@pytest.mark.slow
def test_the_concrete_example_of_the_syntax(turnkey: Turnkey, cache: Path) -> None:
    done = turnkey(
        "turnkey -i models/transformers/bert.py models/timm/resnet50.py"
        ' discover --script-args="--batch_size 8" export-pytorch --opset 18'
    )
    assert done.code == 0, done.text
    for build in ("bert_google", "resnet50_timm"):
        assert (cache / build / "onnx" / f"{build}-op18-base.onnx").is_file()
        assert statistics(cache, build)["opset"] == 18
        shapes = state(cache, build)["expected_input_shapes"]
        assert all(shape[0] == 8 for shape in shapes.values())
    assert state(cache, "resnet50_timm")["expected_input_shapes"]["x"] == [8, 3, 224, 224]


def test_both_spellings_of_the_input_option_and_a_global_cache_dir(turnkey: Turnkey, tmp_path: Path) -> None:
    for option in ("--inputs-files", "--input-files", "-i"):
        shown = turnkey(
            f"turnkey {option} {LINEAR} --cache-dir ~/my_turnkey_cache --dry-run discover", HOME=str(tmp_path)
        )
        assert shown.code == 0, shown.text
        assert str(tmp_path / "my_turnkey_cache") in shown.stdout


# Model hashes


def test_a_model_is_selected_by_its_hash(turnkey: Turnkey, cache: Path) -> None:
    script = "models/selftest/two_models.py"
    listed = turnkey(f"turnkey -i {script} discover")
    hashes = re.findall(r"^ +hash +([0-9a-f]{8})", listed.text, re.MULTILINE)
    assert len(set(hashes)) == 2
    chosen = statistics(cache, "two_models_turnkey")["hash"]
    [other] = set(hashes) - {chosen}
    done = turnkey(f"turnkey -i {script}::{other} discover")
    assert done.code == 0, done.text
    assert statistics(cache, f"two_models_turnkey_{other}")["hash"] == other

    unknown = turnkey(f"turnkey -i {script}::479b1332 discover")
    assert unknown.code == 1
    assert all(known in unknown.text for known in hashes)


def test_script_arguments_come_apart_at_spaces_and_commas(turnkey: Turnkey, cache: Path) -> None:
    for text in ("--batch_size=8 --max_seq_len=7", "--batch_size=8,--max_seq_length=7"):
        done = turnkey(f'turnkey -i models/selftest/encoder.py discover --script-args="{text}"')
        assert done.code == 0, done.text
        assert state(cache, "encoder_turnkey")["expected_input_shapes"]["input_ids"] == [8, 7]


def test_the_depth_of_the_analysis(turnkey: Turnkey) -> None:
    flat, deep = (
        turnkey(f"turnkey -i models/selftest/twolayer.py discover --max-depth {depth}").text for depth in (0, 1)
    )
    assert "Linear" not in flat
    assert deep.count("(Linear)") == 2


# Providing input files


@pytest.mark.slow
@pytest.mark.timeout(1000)  # a measurement of standard effort, on whatever machine this is
def test_inputs_alone_go_through_the_default_sequence(turnkey: Turnkey, cache: Path) -> None:
    done = turnkey(f"turnkey -i {LINEAR}")
    assert done.code == 0, done.text
    found = statistics(cache, "linear_turnkey")
    assert found["verify_status"] == "valid"
    assert found["mean_latency"] > 0
    assert "discover export-pytorch verify benchmark" in done.text


def test_each_kind_of_input_has_a_default_sequence(turnkey: Turnkey) -> None:
    planned = turnkey(f"turnkey -i {LINEAR} models/selftest/twolayer.py examples/cli/onnx/sample.onnx --dry-run")
    assert planned.code == 0, planned.text
    assert "each script goes through: discover export-pytorch verify benchmark" in planned.stderr
    assert "each ONNX file goes through: load-onnx verify benchmark" in planned.stderr
    assert len(re.findall(r"turnkey -i \S+py discover .*export-pytorch .*verify .*benchmark", planned.stdout)) == 2
    assert re.search(r"turnkey -i \S+sample\.onnx load-onnx .*verify .*benchmark", planned.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "inputs"),
    [
        ("*.py", ["convolution.py", "linear.py"]),
        ("models/*/*.py", ["models/selftest/convolution.py", "models/selftest/linear.py"]),
        ("*.onnx", ["sample.onnx"]),
        ("selected_models.txt", ["models/selftest/linear.py"]),
    ],
)
def test_wildcards_and_lists(turnkey: Turnkey, corpus: Path, words: str, inputs: list[str]) -> None:
    tools = "load-onnx" if words == "*.onnx" else "discover"
    for given in (words, shlex.quote(words)):  # expanded by the shell, and by us
        planned = turnkey(f"turnkey {given} --dry-run", corpus)
        assert planned.code == 0, planned.text
        places = [planned.stdout.index(name) for name in inputs]
        assert places == sorted(places)
    done = turnkey(f"turnkey {words} {tools}", corpus)
    assert done.code == 0, done.text
    assert f"{len(inputs)} input" in done.stdout
    assert done.stdout.count("successful") >= len(inputs)


def test_the_whole_library_is_found_by_the_guides_wildcard(turnkey: Turnkey) -> None:
    planned = turnkey("turnkey models/*/*.py --dry-run")
    assert planned.code == 0
    for script in sorted(REPOSITORY.glob("models/*/*.py")):
        assert str(script.relative_to(REPOSITORY)) in planned.stdout


def test_wildcards_and_hashes_are_mutually_exclusive(turnkey: Turnkey) -> None:
    refused = turnkey("turnkey -i 'models/*/*.py::479b1332' discover")
    assert refused.code == 2
    assert "usage error" in refused.stderr


# File labels


def test_inputs_without_the_label_are_filtered_out(turnkey: Turnkey, corpus: Path, cache: Path) -> None:
    planned = turnkey("turnkey -i models/*/*.py --labels task::Computer_Vision --dry-run", corpus)
    assert planned.code == 0, planned.text
    assert "convolution.py" in planned.stdout
    assert "linear.py" not in planned.stdout
    done = turnkey("turnkey -i models/*/*.py --labels task::Computer_Vision discover", corpus)
    assert done.code == 0, done.text
    found = statistics(cache, "convolution_turnkey")
    assert found["labels"]["domain"] == ["selftest"]
    assert (found["author"], found["task"]) == ("turnkey", "test Computer_Vision")
    assert not (cache / "linear_turnkey").exists()


# Cache directory


def test_a_build_directory_has_the_documented_files(turnkey: Turnkey, cache: Path) -> None:
    done = turnkey(f"turnkey -i {LINEAR} discover export-pytorch --exporter torchscript")
    assert done.code == 0, done.text
    build = cache / "linear_turnkey"  # input name and author label
    assert (build / "linear_turnkey_state.yaml").is_file()
    assert (build / "turnkey_stats.yaml").is_file()
    assert (build / "log_discover.txt").is_file()
    assert (build / "log_export-pytorch.txt").is_file()
    assert list((build / "onnx").glob("*.onnx"))

    continued = turnkey(f"turnkey -i {build}/linear_turnkey_state.yaml load-build optimize-ort")
    assert continued.code == 0, continued.text
    assert list((build / "onnx").glob("*-opt.onnx"))

    listed = turnkey("turnkey cache --list")
    assert "linear_turnkey" in listed.stdout
    report = turnkey("turnkey report", cache.parent)
    assert report.code == 0, report.text
    [path] = [path for path in cache.parent.glob("*.csv") if re.fullmatch(r"\d{4}-\d\d-\d\d", path.stem)]
    [row] = csv.DictReader(path.open(newline=""))
    assert row["build_name"] == "linear_turnkey"
    assert row["author"] == "turnkey"

    deleted = turnkey("turnkey cache --delete -b linear_turnkey")
    assert deleted.code == 0, deleted.text
    assert not build.exists()


def test_a_lean_cache_keeps_logs_and_yaml_and_json_files(turnkey: Turnkey, cache: Path) -> None:
    done = turnkey(f"turnkey -i {LINEAR} --lean-cache discover export-pytorch --exporter torchscript")
    assert done.code == 0, done.text
    kept = {path.suffix for path in (cache / "linear_turnkey").rglob("*") if path.is_file() and path.name[0] != "."}
    assert ".yaml" in kept
    assert ".txt" in kept
    assert kept <= {".yaml", ".txt", ".json", ".out"}


# Process isolation, Slurm


@pytest.mark.slow
def test_process_isolation_with_a_timeout(turnkey: Turnkey, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "hang.py").write_text("import time\ntime.sleep(600)\n")
    (tmp_path / "sibling.py").write_text("WIDTH = 3\n")
    (tmp_path / "uses_sibling.py").write_text(
        "import torch\nfrom sibling import WIDTH\ntorch.nn.Linear(WIDTH, 2)(torch.ones(1, WIDTH))\n"
    )
    scripts = f"{tmp_path}/hang.py {tmp_path}/uses_sibling.py"
    done = turnkey(f"turnkey -i {scripts} --process-isolation --timeout 15 discover")
    assert done.code == 1
    assert "timeout" in done.stdout
    assert statistics(cache, "uses_sibling")["build_status"] == "successful"


def test_isolation_and_slurm_are_mutually_exclusive(turnkey: Turnkey, cache: Path) -> None:
    refused = turnkey(f"turnkey -i {LINEAR} --process-isolation --use-slurm discover")
    assert refused.code == 2
    assert not cache.exists()


# Environment variables


def test_the_cache_location(turnkey: Turnkey, tmp_path: Path) -> None:
    place = "export TURNKEY_CACHE_DIR=~/a_different_cache_dir"
    done = turnkey(f"{place}; turnkey -i {LINEAR} discover", HOME=str(tmp_path))
    assert done.code == 0, done.text
    assert (tmp_path / "a_different_cache_dir" / "linear_turnkey").is_dir()
    planned = turnkey(
        f"{place}; turnkey -i {LINEAR} --cache-dir {tmp_path}/flag --dry-run discover", HOME=str(tmp_path)
    )
    assert str(tmp_path / "flag") in planned.stdout


def test_a_script_that_fails_shows_its_traceback_unless_switched_off(turnkey: Turnkey, tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("def load():\n    raise KeyError('weights')\n\n\nload()\n")
    shown = turnkey(f"turnkey -i {script} discover")
    assert shown.code == 1
    assert "Traceback" in shown.text
    assert "raise KeyError('weights')" in shown.text
    short = turnkey(f"export TURNKEY_TRACEBACK=False; turnkey -i {script} discover")
    assert short.code == 1
    assert "Status: " in short.text
    assert "Traceback" not in short.text


def test_the_default_opset(turnkey: Turnkey, cache: Path) -> None:
    done = turnkey(f"export TURNKEY_ONNX_OPSET=16; turnkey -i {LINEAR} discover export-pytorch --exporter torchscript")
    assert done.code == 0, done.text
    assert (cache / "linear_turnkey" / "onnx" / "linear_turnkey-op16-base.onnx").is_file()


def test_the_documented_constants_follow_their_variables(turnkey: Turnkey) -> None:
    code = (
        "import sys, turnkey.common.build, turnkey.cli.spawn;"
        "print(turnkey.common.build.DEFAULT_ONNX_OPSET, turnkey.cli.spawn.DEFAULT_TIMEOUT_SECONDS,"
        " 'torch' in sys.modules)"
    )
    assert turnkey(f'python -c "{code}"').stdout.split() == ["20", "3600", "False"]
    exports = "export TURNKEY_ONNX_OPSET=16; export TURNKEY_TIMEOUT_SECONDS=1800"
    assert turnkey(f'{exports}; python -c "{code}"').stdout.split() == ["16", "1800.0", "False"]


def test_the_build_status_monitor_is_switched_off(turnkey: Turnkey) -> None:
    done = turnkey(f'export TURNKEY_BUILD_MONITOR="False"; turnkey -i {LINEAR} discover')
    assert done.code == 0, done.text
    assert "\x1b" not in done.text
