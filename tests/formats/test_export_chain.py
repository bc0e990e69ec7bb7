"""Exports of tiny modules: real exporters, real ONNX Runtime, numbers against the module itself."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from sources import run_file, samples_of, source_of, torchvision_operators
from torch import nn

from turnkey.errors import ConversionError, ModelError, UsageError
from turnkey.formats import ConvertRequest, onnx_dynamo, onnx_file, onnx_torchscript
from turnkey.formats.onnx_export import FORMAT, OnnxExportSettings
from turnkey.formats.onnx_file import data_path_of, describe_file, load_graph
from turnkey.formats.onnx_signature import read_signature
from turnkey.formats.torch_call import call_of, outputs_of

BOTH = ["torchscript", pytest.param("dynamo", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def export(tmp_path):
    def run(source, exporter="torchscript", *, opset=20, dynamic=()):
        settings = OnnxExportSettings(opset=opset, exporter=exporter, dynamic=tuple(dynamic))
        return FORMAT.convert(ConvertRequest(source=source, path=tmp_path / "m.onnx", settings=settings))

    return run


def border(path: Path) -> tuple[dict[str, tuple], dict[str, tuple]]:
    signature = read_signature(load_graph(path))
    return {s.name: s.shape for s in signature.inputs}, {s.name: s.shape for s in signature.outputs}


def assert_agrees(path: Path, source, sample=None) -> None:
    sample = sample or source.samples.inputs[0]
    expected = outputs_of(call_of(source.module, source.samples.structure, sample), sample)
    outputs = run_file(path, sample)
    assert list(outputs) == list(expected)
    for name, array in expected.items():
        assert outputs[name].dtype == array.dtype
        np.testing.assert_allclose(outputs[name], array, rtol=1e-4, atol=1e-5)


class Network(nn.Module):
    """Layers whose training flag matters, each with a flag of its own."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)
        self.norm = nn.BatchNorm1d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.fc(x)))


@pytest.mark.parametrize("exporter", BOTH)
def test_evaluation_mode_is_exported_with_a_dynamic_batch_and_every_flag_is_put_back(export, exporter):
    module = Network()
    module.norm.eval()
    source = source_of(module, torch.randn(1, 4))
    conversion = export(source, exporter)
    assert (module.training, module.fc.training, module.norm.training, module.drop.training) == (
        True,
        True,
        False,
        True,
    )
    assert_agrees(conversion.path, source)
    assert conversion.exporter == exporter
    assert [attempt["outcome"] for attempt in conversion.attempts] == ["chosen"]
    assert border(conversion.path) == ({"x": ("batch", 4)}, {"output": ("batch", 3)})
    assert_agrees(conversion.path, source, {"x": np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)})
    assert all(weight.requires_grad for weight in module.parameters())


def test_a_model_in_evaluation_mode_stays_there_whatever_the_exporter_does_to_its_wrapper(export):
    module = Network().eval()
    export(source_of(module, torch.randn(2, 4)))
    assert not any(child.training for child in module.modules())


class Everything(nn.Module):
    """Nested arguments, keywords, None, constants; outputs that are inputs, that occur twice, that are no tensors."""

    def forward(self, x, unused, pairs, mask=None, *, scale=1.0, flags=None):
        y = x * scale + flags["bias"] + pairs[0][1]
        return {"y": y, "again": y, "given": x, "nested": (y.sum(1), [y > 0]), "none": mask, "text": "text"}


@pytest.mark.parametrize("exporter", BOTH)
def test_names_are_those_of_the_sample_whatever_the_call_looked_like(export, exporter):
    source = source_of(
        Everything(),
        torch.randn(2, 3),
        torch.randn(2, 5),
        [(1, torch.randn(2, 3))],
        None,
        scale=2.0,
        flags={"bias": torch.tensor([1, 2, 3])},
    )
    conversion = export(source, exporter)
    inputs, outputs = border(conversion.path)
    assert list(outputs) == ["y", "again", "given", "nested.0", "nested.1.0"]
    assert [name for name in inputs if name != "unused"] == ["x", "pairs.0.1", "flags.bias"]
    assert inputs["flags.bias"] == (3,)
    assert_agrees(conversion.path, source)


@dataclasses.dataclass
class Answer:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] = ()
    loss: torch.Tensor | None = None


class Indexing(nn.Module):
    def forward(self, ids, keep):
        table = torch.arange(40.0).reshape(10, 4)
        return Answer(logits=table[ids] * keep[..., None], hidden=(ids + 1,))


def test_integer_and_bool_inputs_zero_parameters_and_a_dataclass_as_result(export):
    source = source_of(Indexing(), torch.tensor([[1, 2, 9]]), torch.tensor([[True, False, True]]))
    conversion = export(source)
    assert border(conversion.path) == (
        {"ids": ("batch", 3), "keep": ("batch", 3)},
        {"logits": ("batch", 3, 4), "hidden.0": ("batch", 3)},
    )
    assert_agrees(conversion.path, source)


def test_a_file_no_farther_from_the_float64_result_than_the_module_itself_is_taken_and_says_so(export, chaotic):
    conversion = export(source_of(chaotic(15), torch.randn(8, 16)))
    assert [attempt["outcome"] for attempt in conversion.attempts] == ["chosen"]
    assert any("ill-conditioned: the model in float32 is" in note for note in conversion.notes)


def test_where_every_file_disagrees_the_first_difference_is_what_happened(export, chaotic):
    said = "no file that an exporter wrote agrees with 'Chaotic': torchscript: output 'output' at"
    with pytest.raises(ConversionError, match=said):
        export(source_of(chaotic(40), torch.randn(8, 16)))


class FixedBatch(nn.Module):
    def forward(self, x):
        return x.reshape(2, 12)


def test_a_module_that_refuses_another_batch_is_exported_static_with_its_own_words(export):
    conversion = export(source_of(FixedBatch(), torch.randn(2, 3, 4)))
    assert border(conversion.path) == ({"x": (2, 3, 4)}, {"output": (2, 12)})
    assert any("dynamic batch axis refused" in note and "[2, 12]" in note for note in conversion.notes)


class BatchAsNumber(nn.Module):
    """A trace takes the batch size for a constant, which only another size shows."""

    def forward(self, x):
        return x.mean(1, keepdim=True) + float(len(x))


def test_a_trace_that_froze_the_batch_size_is_found_out_at_another_size(export):
    source = source_of(BatchAsNumber(), torch.randn(3, 4))
    conversion = export(source)
    assert [(a["axes"], a["outcome"]) for a in conversion.attempts] == [
        ("batch = x:0", "disagreed"),
        ("static", "chosen"),
    ]
    assert "at batch=6" in conversion.attempts[0]["reason"]
    assert border(conversion.path)[0] == {"x": (3, 4)}
    assert_agrees(conversion.path, source)


class Lengths(nn.Module):
    def forward(self, ids, mask):
        return (ids * mask).cumsum(1).float()


def test_axes_that_the_script_varied_or_the_user_named_are_dynamic_too(export):
    module = Lengths()
    short, long = (torch.randint(0, 9, (2, length)) for length in (6, 10))
    further = (samples_of(module, long, torch.ones_like(long)),)
    varied = export(source_of(module, short, torch.ones_like(short), further=further))
    assert border(varied.path)[0] == {"ids": ("batch", "ids_1"), "mask": ("batch", "ids_1")}
    source = source_of(module, short, torch.ones_like(short))
    assert border(export(source).path)[0] == {"ids": ("batch", 6), "mask": ("batch", 6)}
    named = export(source, dynamic=[("ids", 1), ("mask", 1)])
    assert border(named.path) == (
        {"ids": ("batch", "ids_1"), "mask": ("batch", "ids_1")},
        {"output": ("batch", "ids_1")},
    )
    assert_agrees(named.path, source, {"ids": np.ones((3, 11), np.int64), "mask": np.ones((3, 11), np.int64)})
    with pytest.raises(UsageError, match="'idz'"):
        export(source, dynamic=[("idz", 1)])


@pytest.mark.slow
@pytest.mark.parametrize("opset", [16, 18])
def test_the_opset_asked_for_is_in_the_file_below_18_by_conversion(export, opset):
    source = source_of(Network(), torch.randn(2, 4))
    conversion = export(source, "auto", opset=opset)
    assert onnx_file.opset_of(load_graph(conversion.path)) == opset
    assert conversion.exporter == "dynamo"
    assert any("version conversion" in note for note in conversion.notes) is (opset < 18)
    assert_agrees(conversion.path, source)


def test_torchscript_knows_opsets_up_to_20_and_others_do_not_exist(export):
    source = source_of(Network(), torch.randn(2, 4))
    assert onnx_file.opset_of(load_graph(export(source, opset=16).path)) == 16
    with pytest.raises(ConversionError) as caught:
        export(source, opset=21)
    assert "opsets up to 20" in caught.value.evidence
    with pytest.raises(UsageError, match="no opset 999"):
        export(source, opset=999)


class Difference(nn.Module):
    """An operator that the TorchScript exporter does not know."""

    def forward(self, x):
        return torch.diff(x, dim=1)


def test_when_nothing_works_the_table_says_who_failed_where(export, tmp_path):
    with pytest.raises(
        ConversionError, match=r"no exporter could write 'Difference' as ONNX: torchscript: .*aten::diff"
    ) as caught:
        export(source_of(Difference(), torch.randn(2, 4)))
    header, row = caught.value.evidence.splitlines()  # an unknown operator is tried once, whatever the axes
    assert header.split() == ["exporter", "outcome", "seconds", "axes", "reason"]
    assert row.split()[:2] == ["torchscript", "failed"]
    assert "batch = x:0" in row
    assert "aten::diff" in row
    assert "--exporter auto" in caught.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_fast_goes_on_with_dynamo_where_tracing_fails_and_records_both(export):
    source = source_of(Difference(), torch.randn(2, 4))
    conversion = export(source, "fast")
    outcomes = [(a["exporter"], a["axes"], a["outcome"]) for a in conversion.attempts]
    assert outcomes == [("torchscript", "static", "failed"), ("dynamo", "batch = x:0", "chosen")]
    assert any("torchscript" in note and "aten::diff" in note for note in conversion.notes)
    assert_agrees(conversion.path, source)


def test_fast_traces_statically_where_that_is_sound(export):
    conversion = export(source_of(Network(), torch.randn(2, 4)), "fast")
    assert conversion.exporter == "torchscript"
    assert border(conversion.path)[0] == {"x": (2, 4)}


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


@pytest.mark.slow
def test_auto_falls_back_to_a_trace_that_every_captured_input_must_confirm(export):
    positive, negative = torch.ones(2, 3), torch.full((2, 3), -2.0)
    source = source_of(Branching(), positive, data_dependent=True)
    conversion = export(source, "fast")
    assert {a["exporter"]: a["outcome"] for a in conversion.attempts} == {"dynamo": "failed", "torchscript": "chosen"}
    assert any("tracing refused" in note for note in conversion.notes)
    assert any("branches of the captured inputs alone" in note for note in conversion.notes)
    assert any("the trace froze values" in note for note in conversion.notes)

    inputs = tuple(samples_of(source.module, x).inputs[0] for x in (positive, positive, negative))
    both = dataclasses.replace(source, samples=dataclasses.replace(source.samples, inputs=inputs, outputs=(None,) * 3))
    with pytest.raises(ConversionError) as caught:
        export(both, "torchscript")
    assert "disagreed" in caught.value.evidence


def test_a_file_that_disagrees_counts_as_failed_and_the_other_exporter_is_taken(export, monkeypatch):
    def wrong(job):
        spoilt = Network().eval()
        spoilt.load_state_dict({key: value + 1 for key, value in job.call.module.state_dict().items()})
        call = call_of(spoilt, job.call.structure, {"x": None})
        return onnx_torchscript.export(dataclasses.replace(job, call=call))

    monkeypatch.setattr(onnx_dynamo, "export", wrong)
    source = source_of(Network().eval(), torch.randn(2, 4))
    conversion = export(source, "auto")
    outcomes = [(a["exporter"], a["outcome"]) for a in conversion.attempts]
    assert outcomes == [("dynamo", "disagreed"), ("dynamo", "disagreed"), ("torchscript", "chosen")]
    assert "instead of" in conversion.attempts[0]["reason"]
    assert any(note.startswith("dynamo") and "disagreed" in note for note in conversion.notes)
    assert_agrees(conversion.path, source)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def test_a_module_that_contradicts_itself_is_exported_and_said_to_be_unproven(export):
    notes = export(source_of(Noise(), torch.randn(2, 4))).notes
    assert any(note == "not proven: two runs of the module itself differ" for note in notes)


def test_bfloat16_that_no_kernel_runs_is_exported_and_said_to_be_unproven(export):
    conversion = export(source_of(nn.Linear(4, 3).bfloat16(), torch.randn(2, 4).bfloat16()))
    assert read_signature(load_graph(conversion.path)).inputs[0].dtype == "bfloat16"
    [note] = [note for note in conversion.notes if note.startswith("not proven")]
    assert note.startswith(
        "not proven: ONNX Runtime cannot run it: NotImplemented: Could not find an implementation for"
    )


class Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError("only in training" if not self.training else "never")


def test_a_module_that_fails_in_evaluation_mode_is_the_models_failure(export):
    with pytest.raises(ModelError, match="Broken fails on its own captured inputs") as caught:
        export(source_of(Broken(), torch.randn(2, 4)))
    assert "only in training" in caught.value.evidence


class Silent(nn.Module):
    def forward(self, x):
        return None


def test_a_module_that_returns_no_tensor_has_nothing_to_export(export):
    with pytest.raises(ConversionError, match="Silent returns no tensor"):
        export(source_of(Silent(), torch.randn(2, 4)))


@pytest.mark.parametrize("kind", ["scripted", "traced", "compiled", "fx"])
def test_modules_that_torch_has_made_of_others_are_exported_too(export, kind):
    module, x = Network().eval(), torch.randn(2, 4)
    made = {
        "scripted": torch.jit.script,
        "traced": lambda module: torch.jit.trace(module, x),
        "compiled": torch.compile,
        "fx": torch.fx.symbolic_trace,
    }[kind](module)
    source = dataclasses.replace(source_of(module, x), module=made)
    conversion = export(source)
    assert border(conversion.path) == ({"x": ("batch", 4)}, {"output": ("batch", 3)})
    assert_agrees(conversion.path, source_of(module, x), source.samples.inputs[0])


def test_the_encoder_layer_that_torchscript_alone_refuses_is_mended(export):
    source = source_of(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), torch.randn(2, 3, 8))
    conversion = export(source)
    assert conversion.exporter == "torchscript"
    assert torch.backends.mha.get_fastpath_enabled()
    assert_agrees(conversion.path, source)


def test_large_weights_lie_beside_the_file_and_belong_to_its_digest(export, monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_file, "EXTERNAL_FROM_BYTES", 1000)
    source = source_of(nn.Linear(64, 64), torch.randn(2, 64))
    conversion = export(source)
    file = describe_file(conversion.path)
    assert file.external == (data_path_of(conversion.path),)
    assert file.size_bytes > 64 * 64 * 4
    assert conversion.path.stat().st_size < 2000
    assert_agrees(conversion.path, source)
    onnx.checker.check_model(str(conversion.path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]


@pytest.mark.slow
@pytest.mark.needs("transformers")
@pytest.mark.parametrize("exporter", ["auto", "torchscript"])
def test_a_decoder_takes_and_returns_its_key_value_cache(export, exporter):
    with torchvision_operators():
        transformers = importlib.import_module("transformers.models.gpt2.modeling_gpt2")
    config = transformers.GPT2Config(
        vocab_size=99, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    ids = torch.randint(0, 99, (2, 6))
    with torch.no_grad():
        past = model(ids).past_key_values
    source = source_of(model, input_ids=ids[:, :1], past_key_values=past)
    conversion = export(source, exporter)
    inputs, outputs = border(conversion.path)
    assert inputs["past_key_values.0.key"] == ("batch", 2, 6, 8)
    assert outputs["past_key_values.0.key.out"] == ("batch", 2, 7, 8)
    assert past.get_seq_length() == 6
    sample = source.samples.inputs[0]
    expected = outputs_of(call_of(model, source.samples.structure, sample), sample)
    np.testing.assert_allclose(run_file(conversion.path, sample)["logits"], expected["logits"], rtol=1e-4, atol=1e-5)


def test_the_exporter_that_writes_an_old_opset_itself_may_be_asked_first_but_not_where_tracing_is_unsound(
    export, monkeypatch
):
    from turnkey.formats import export_chain

    tried = []

    def failing(exporter, plan, *given):
        tried.append((exporter, plan.may_trace))
        return "failed", "UnsupportedOperatorError", ()

    monkeypatch.setattr(export_chain, "_try", failing)
    for opset, first in ((17, "torchscript"), (18, "dynamo")):
        tried.clear()
        with pytest.raises(ConversionError):
            export(source_of(Network(), torch.randn(2, 4)), "native", opset=opset)
        assert tried[0] == (first, True)

    tried.clear()
    branching = dataclasses.replace(source_of(Network(), torch.ones(2, 4)), data_dependent=True)
    with pytest.raises(ConversionError):
        export(branching, "native", opset=17)
    assert tried[0] == ("dynamo", False)


def test_an_exporter_that_writes_another_opset_is_not_tried_again_with_other_axes(export, monkeypatch):
    from turnkey.formats import export_chain

    real, tried = export_chain._try, []

    def counting(exporter, *given):
        tried.append(exporter)
        if exporter == onnx_dynamo.NAME:
            return "failed", "it wrote opset 18 instead of 17", ()
        return real(exporter, *given)

    monkeypatch.setattr(export_chain, "_try", counting)
    conversion = export(source_of(Network(), torch.randn(2, 4)), "auto", opset=17)
    assert conversion.exporter == "torchscript"
    assert tried.count(onnx_dynamo.NAME) == 1, "fewer dynamic axes would not mend it"
