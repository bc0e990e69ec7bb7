"""One candidate as the measuring engine loads, calls and checks it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest

from turnkey.model.samples import SampleSet, write_samples
from turnkey.runtimes.target import load_target

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) { y = Exp (x) }'


@pytest.fixture
def files(tmp_path):
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "m.onnx")
    x = np.array([[0.0, 1.0, 2.0]], np.float32)
    samples = SampleSet(structure=None, inputs=({"x": x}, {"x": x * 0.5}), outputs=({"y": np.exp(x)}, None), seed=0)
    write_samples(samples, tmp_path / "samples")
    return tmp_path, samples


def target_of(files, **given):
    directory, _ = files
    return load_target(
        threads=1, runtime="onnxruntime", samples=str(directory / "samples"), path=str(directory / "m.onnx"), **given
    )


def test_it_runs_every_sample_and_checks_those_whose_outputs_are_known(files):
    target = target_of(files)
    target.load()
    assert target.compile() is False
    first, second = target.samples()
    outputs = target.outputs(target.run(target.prepare(first)))
    assert target.check(0, outputs) is None
    assert target.check(1, target.outputs(target.run(target.prepare(second)))) is None
    assert target.describe()["verification"] == "valid"
    assert target.describe()["fallback"] is None
    target.close()


def test_a_wrong_output_is_said_with_its_place_and_kept_in_the_facts(files):
    target = target_of(files)
    target.load()
    outputs = target.outputs(target.run(target.prepare(target.samples()[0])))
    reason = target.check(0, {"y": outputs["y"] + 1})
    assert "'y' at [0," in reason
    assert target.describe()["verification"] == "invalid"


def test_the_variants_precision_widens_what_is_right(files):
    near = {"y": np.exp(files[1].inputs[0]["x"]) * np.float32(1.003)}
    assert target_of(files).check(0, near) is not None
    assert target_of(files, precision="float16").check(0, near) is None


def test_outputs_that_prove_nothing_are_not_wrong_and_not_verified(files):
    directory, samples = files
    zeros = tuple({"y": np.zeros((1, 3), np.float32)} for _ in samples.inputs)
    write_samples(replace(samples, outputs=zeros), directory / "samples")
    target = target_of(files)
    target.load()
    assert target.check(0, zeros[0]) is None
    assert target.describe()["verification"] == "unverified"


def test_a_worker_of_onnxruntime_never_imports_torch_nor_onnx(files):
    directory, _ = files
    code = (
        "import sys; from turnkey.runtimes.target import load_target\n"
        f"t = load_target(threads=1, runtime='onnxruntime', samples={str(directory / 'samples')!r},"
        f" path={str(directory / 'm.onnx')!r})\n"
        "t.load(); t.outputs(t.run(t.prepare(t.samples()[0]))); t.describe()\n"
        "print([name for name in ('torch', 'onnx', 'cloudpickle', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
