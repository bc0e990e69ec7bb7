"""A live model reaches a fresh process, and nobody else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from source_models import CALL_OF_X, samples_of_x, source_model

from turnkey.errors import ArtifactError
from turnkey.model.call import CallStructure, Leaf, Opaque
from turnkey.runtimes.handover import HandoverImpossible, handed_over, read_module


def source_of(module, structure=CALL_OF_X):
    return source_model(module, samples_of_x(np.ones((2, 3), np.float32), structure=structure))


@pytest.fixture
def linear():
    return source_of(torch.nn.Linear(3, 2))


def test_the_files_are_private_and_gone_afterwards_also_after_an_error(linear):
    with handed_over(linear, linear.samples, with_module=True) as handover:
        path = Path(handover.module["path"])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()
    seen = []

    def fail_inside():
        with handed_over(linear, linear.samples, with_module=True) as handover:
            seen.append(handover.samples.parent)
            raise KeyError("planted")

    with pytest.raises(KeyError):
        fail_inside()
    assert not seen[0].exists()


def test_what_a_killed_process_left_is_removed_by_the_next_one_and_what_a_living_one_has_is_not(
    linear, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, living = (tmp_path / f"turnkey-handover-{pid}-abc" for pid in (ended.pid, os.getppid()))
    stranger = tmp_path / "turnkey-handover-notes-abc"
    for directory in (left, living, stranger):
        directory.mkdir()
        (directory / "module.pkl").write_bytes(b"model")
    with handed_over(linear, linear.samples, with_module=False):
        assert sorted(path.name for path in tmp_path.glob("turnkey-handover-*-abc")) == sorted(
            [living.name, stranger.name]
        )


def test_a_file_that_others_may_write_or_that_was_changed_is_refused_before_it_is_unpickled(linear):
    with handed_over(linear, linear.samples, with_module=True) as handover:
        path = Path(handover.module["path"])
        path.chmod(0o644)
        with pytest.raises(ArtifactError, match="not the one"):
            read_module(handover.module)
        path.chmod(0o600)
        path.write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
        with pytest.raises(ArtifactError, match="not the one"):
            read_module(handover.module)


def test_no_module_is_written_where_no_runtime_needs_it(linear):
    with handed_over(linear, linear.samples, with_module=False) as handover:
        assert handover.module is None
        assert sorted(path.name for path in handover.samples.parent.iterdir()) == ["samples"]


def test_a_module_that_cannot_be_pickled_says_why():
    module = torch.nn.Linear(3, 2)
    module.lock = threading.Lock()
    source = source_of(module)
    with pytest.raises(HandoverImpossible, match="lock"), handed_over(source, source.samples, with_module=True):
        pass


def test_objects_of_the_call_travel_with_the_module_and_not_with_the_samples():
    structure = CallStructure(args=(Leaf("x"), Opaque(slice(0, 2))), kwargs={})
    source = source_of(torch.nn.Linear(3, 2), structure)
    with handed_over(source, source.samples, with_module=True) as handover:
        _, read = read_module(handover.module)
        assert read.bind({"x": 1}) == ((1, slice(0, 2)), {})


def test_parametrized_modules_arrive_as_they_are_and_go_on_computing_their_weights():
    parametrizations = torch.nn.utils.parametrizations
    module = torch.nn.Sequential(
        parametrizations.weight_norm(torch.nn.Conv1d(3, 4, 2), dim=2),
        parametrizations.orthogonal(torch.nn.Linear(2, 2)),
    ).eval()
    x = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    source = source_of(module)
    with handed_over(source, source.samples, with_module=True) as handover, torch.no_grad():
        read, _ = read_module(handover.module)
        assert torch.equal(read(x), module(x))
        assert {name: tuple(value.shape) for name, value in read.state_dict().items()} == {
            name: tuple(value.shape) for name, value in module.state_dict().items()
        }
        read[0].parametrizations.weight.original0.mul_(2)
        assert not torch.equal(read(x), module(x))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_scripted_module_is_saved_by_torchscript():
    module = torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(2, 3))
    source = source_of(module)
    with handed_over(source, source.samples, with_module=True) as handover:
        assert handover.module["kind"] == "torchscript"
        read, _ = read_module(handover.module)
        torch.testing.assert_close(read(torch.ones(2, 3)), module(torch.ones(2, 3)))


SCRIPT = """
    import json, sys, torch, numpy as np
    import helper
    from turnkey.model.call import CallStructure, Leaf
    from turnkey.model.samples import SampleSet
    from turnkey.model.source import SourceModel
    from turnkey.runtimes.handover import handed_over
    from turnkey.measure import Settings, TargetDescription, run_experiment

    SCALE = 3.0

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = helper.Inner()
        def forward(self, x):
            return self.inner(x) * SCALE

    net = Net().eval()
    samples = SampleSet(
        structure=CallStructure(args=(Leaf("x"),), kwargs={}),
        inputs=({"x": np.ones((1, 4), np.float32)},), outputs=({"output": np.full((1, 4), 6.0, np.float32)},),
    )
    source = SourceModel(module=net, samples=samples, class_name="Net", model_hash="", hash_basis="", weights_hash="",
                         parameter_count=0, parameter_bytes=0)
    if __name__ == "__main__":
        sys.path.remove(sys.path[0])  # as after a script has run: its directory is no longer on the path
        with handed_over(source, samples, with_module=True) as handover:
            given = {"samples": str(handover.samples), "module": handover.module}
            factory = "turnkey.runtimes.target:load_target"
            targets = [
                TargetDescription(key="eager", factory=factory, arguments={"runtime": "torch", **given}),
                TargetDescription(key="compiled", factory=factory, arguments={
                    "runtime": "torch-compile", "options": {"backend": "aot_eager"}, **given}),
            ]
            record = run_experiment(targets, settings=Settings(effort="quick", iterations=5))
        for key in ("eager", "compiled"):
            summary = record.summary(key)
            print(json.dumps({"calls": summary.timed_calls, "error": summary.error, "facts": summary.facts}))
"""


@pytest.mark.slow
def test_classes_of_the_script_and_of_its_neighbours_reach_a_worker_and_are_compiled_there(tmp_path):
    (tmp_path / "helper.py").write_text(
        "import torch\nclass Inner(torch.nn.Module):\n    def forward(self, x):\n        return x + 1\n"
    )
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        cwd=os.sep,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines()[-2:]:
        found = json.loads(line)
        assert found["error"] is None
        assert found["calls"] == 5
        assert found["facts"]["verification"] == "valid"
