"""Live modules as TorchScript, ExportedProgram, AOTInductor package, int8 program and program for ExecuTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sources import source_of

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.stored_call import read_stored_call
from turnkey.host import has_vnni
from turnkey.runtimes import LoadRequest, default_runtime, find_runtime

TORCH_FORMATS = ("torchscript-trace", "torchscript-script", "torch-exportedprogram")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(6, 16)
        self.second = torch.nn.Linear(16, 3)

    def forward(self, x, scale: float = 1.0):
        hidden = torch.relu(self.first(x))
        return {"logits": self.second(hidden) * scale, "hidden": hidden}


class SizeMatters(torch.nn.Module):
    """Its Python branch looks at the batch size."""

    def forward(self, x):
        return x + 1 if x.shape[0] > 2 else x - 1


def convert(name, source, path, *, parent=None, samples=(), **settings):
    form = find_format(name)
    request = ConvertRequest(
        source=source, parent=parent, path=path, settings=form.settings_type(**settings), samples=samples
    )
    return form.convert(request)


def run(name, path, sample, threads=1):
    form = find_format(name)
    runner = find_runtime(default_runtime(form.stored_as)).load(LoadRequest(path=path, threads=threads))
    try:
        return runner.outputs(runner.run(runner.prepare(sample)))
    finally:
        runner.close()


def expected(module, sample, **kwargs):
    with torch.no_grad():
        return {name: value.numpy() for name, value in module(torch.from_numpy(sample["x"]), **kwargs).items()}


@pytest.mark.parametrize("name", TORCH_FORMATS)
def test_the_file_computes_what_the_module_does_under_its_names_at_other_batch_sizes(name, tmp_path):
    module = Net().eval()
    source = source_of(module, torch.randn(2, 6), scale=2.0)
    conversion = convert(name, source, tmp_path / f"model{find_format(name).suffix}")
    signature = read_stored_call(conversion.path).signature
    assert signature.inputs[0].shape == ("batch", 6)
    assert [spec.name for spec in signature.outputs] == ["logits", "hidden"]
    assert signature.outputs[0].shape == ("batch", 3)
    for size in (1, 2, 5):
        sample = {"x": np.random.default_rng(size).standard_normal((size, 6)).astype(np.float32)}
        outputs = run(name, conversion.path, sample)
        for key, array in expected(module, sample, scale=2.0).items():
            np.testing.assert_allclose(outputs[key], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TORCH_FORMATS)
def test_flags_of_the_module_are_given_back(name, tmp_path):
    module = Net().train()
    module.first.eval()
    convert(name, source_of(module, torch.randn(2, 6)), tmp_path / f"model{find_format(name).suffix}")
    assert module.training
    assert not module.first.training


def test_an_axis_on_which_a_branch_depends_is_not_free_in_a_trace_and_free_in_a_script(tmp_path):
    source = source_of(SizeMatters(), torch.randn(2, 3))
    trace = convert("torchscript-trace", source, tmp_path / "trace.pt")
    assert read_stored_call(trace.path).signature.inputs[0].shape == (2, 3)
    assert any("disagreed: at batch=4" in note for note in trace.notes)
    script = convert("torchscript-script", source, tmp_path / "script.pt")
    assert read_stored_call(script.path).signature.inputs[0].shape == ("batch", 3)


def test_what_torchscript_cannot_hold_is_an_error_with_the_reason_and_leaves_no_file(tmp_path):
    class Unscriptable(torch.nn.Module):
        def forward(self, x):
            return x * sum(value for value in {"a": 1}.values() if (lambda: True)())

    source = source_of(Unscriptable(), torch.randn(2, 3))
    with pytest.raises(ConversionError, match=r"Unscriptable cannot be exported by torch\.jit\.script") as caught:
        convert("torchscript-script", source, tmp_path / "model.pt")
    assert "return x * sum(value for value in" in caught.value.evidence
    assert list(tmp_path.iterdir()) == []


class Numpy(torch.nn.Module):
    """Runs, also at other batch sizes, and does not compile."""

    def forward(self, x):
        return x + torch.from_numpy(x.numpy())


class AroundNumpy(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Numpy()

    def forward(self, x):
        return 2 * self.inner(x)


def test_torchscript_gives_its_true_reason_also_for_a_class_that_failed_before_in_this_process(tmp_path):
    for module in (Numpy(), Numpy(), AroundNumpy()):
        with pytest.raises(ConversionError, match="'numpy'") as caught:
            convert("torchscript-script", source_of(module, torch.randn(2, 3)), tmp_path / "model.pt")
        assert "redefine" not in str(caught.value)
        assert "torch.from_numpy(x.numpy())" in caught.value.evidence
    good = convert("torchscript-script", source_of(Net().eval(), torch.randn(2, 6)), tmp_path / "model.pt")
    assert read_stored_call(good.path).signature.inputs[0].shape == ("batch", 6)


def test_a_file_that_is_cut_off_is_an_error_of_its_runtime(tmp_path):
    conversion = convert("torchscript-trace", source_of(Net().eval(), torch.randn(2, 6)), tmp_path / "model.pt")
    conversion.path.write_bytes(conversion.path.read_bytes()[:200])
    with pytest.raises(ConversionError, match=r"torch cannot read model\.pt"):
        run("torchscript-trace", conversion.path, {"x": np.zeros((2, 6), np.float32)})


@pytest.mark.nightly
def test_a_program_is_compiled_ahead_of_time_for_every_batch_size(tmp_path):
    module = Net().eval()
    program = convert("torch-exportedprogram", source_of(module, torch.randn(4, 6)), tmp_path / "program.pt2")
    package = convert("torch-aoti", None, tmp_path / "package.pt2", parent=program.path)
    for size in (3, 4):
        sample = {"x": np.random.default_rng(9).standard_normal((size, 6)).astype(np.float32)}
        wanted = expected(module, sample)["logits"]
        np.testing.assert_allclose(run("torch-aoti", package.path, sample)["logits"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.needs("torchao")
def test_a_program_is_quantised_by_torchao_and_stays_near(tmp_path):
    module = Net().eval()
    program = convert("torch-exportedprogram", source_of(module, torch.randn(4, 6)), tmp_path / "program.pt2")
    samples = tuple({"x": np.random.default_rng(k).standard_normal((4, 6)).astype(np.float32)} for k in range(4))
    narrow = convert(
        "torch-exportedprogram-int8-static", None, tmp_path / "int8.pt2", parent=program.path, samples=samples
    )
    assert narrow.facts["quantised_operators"] == 2
    assert ("7 bits" in " ".join(narrow.notes)) is (not has_vnni())
    for size in (3, 4):
        sample = {"x": np.random.default_rng(9).standard_normal((size, 6)).astype(np.float32)}
        wanted = expected(module, sample)["logits"]
        outputs = run("torch-exportedprogram-int8-static", narrow.path, sample)["logits"]
        error = np.linalg.norm(outputs - wanted) / np.linalg.norm(wanted)
        assert 1e-5 < error < 0.1


@pytest.mark.needs("torchao")
def test_quantising_without_a_sample_is_refused(tmp_path):
    program = convert("torch-exportedprogram", source_of(Net().eval(), torch.randn(4, 6)), tmp_path / "program.pt2")
    with pytest.raises(ConversionError, match="no samples to calibrate with"):
        convert("torch-exportedprogram-int8-static", None, tmp_path / "int8.pt2", parent=program.path)


@pytest.mark.slow
@pytest.mark.needs("executorch")
@pytest.mark.parametrize("name", ["executorch", pytest.param("executorch-int8", marks=pytest.mark.nightly)])
def test_a_program_for_executorch_is_delegated_and_says_what_is_not(name, tmp_path):
    module = Net().eval()
    source = source_of(module, torch.randn(4, 6))
    conversion = convert(name, source, tmp_path / "model.pte", samples=source.samples.inputs)
    assert read_stored_call(conversion.path).signature.inputs[0].shape == (4, 6)
    assert conversion.exporter == "executorch-xnnpack"
    assert all("::" not in name and " " not in name for name in conversion.facts["portable_operators"])
    sample = source.samples.inputs[0]
    wanted, outputs = expected(module, sample)["logits"], run(name, conversion.path, sample)["logits"]
    error = np.linalg.norm(outputs - wanted) / np.linalg.norm(wanted)
    assert error < (0.1 if name.endswith("int8") else 1e-5)
    from executorch.extension.pybindings import portable_lib

    before = portable_lib._threadpool_get_thread_count()
    runner = find_runtime("executorch").load(LoadRequest(path=conversion.path, threads=before + 1))
    assert portable_lib._threadpool_get_thread_count() == before + 1
    runner.close()
    assert portable_lib._threadpool_get_thread_count() == before, "the process's pool is given back"
