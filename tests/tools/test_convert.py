"""The tool convert: over the formats in between, with a log and an entry per step, around what fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from model_builds import Net, export, samples_of, source, state_of

from turnkey.errors import ConversionError, MissingDependencyError, UsageError
from turnkey.formats import find_format
from turnkey.pipeline.state import Variant
from turnkey.tools import Convert
from turnkey.tools.conversion import key_of

TRACED = ["onnx.exporter::torchscript"]
"""The quicker exporter, where it does not matter which."""


@pytest.fixture
def state(tmp_path):
    return state_of(tmp_path, source(Net().eval(), samples_of((2, 3, 8), (2, 3, 8))))


def outcomes(state):
    return {entry["key"]: entry["outcome"] for entry in state.conversions}


class Unscriptable(Net):
    def forward(self, x):
        return super().forward(x) * (lambda: 1.0)()


def test_several_formats_are_made_each_with_its_log_and_what_they_share_once(state):
    found = Convert().run(state, to=["torchscript,torch-exportedprogram"])
    assert [variant.key for variant in found.variants] == [
        "torchscript-trace",
        "torchscript-script",
        "torch-exportedprogram",
    ]
    for entry in found.conversions:
        assert entry["parent"] == "torch"
        assert entry["seconds"] >= 0
        assert "torch ->" in (state.build_dir / entry["log"]).read_text()
    for variant in found.variants:
        assert (state.build_dir / variant.path).is_file()
        assert variant.path.startswith(f"{variant.key}/model")
        assert len(variant.sha256) == 64
    assert "torchscript-trace: torchscript-trace/model.pt" in found.listing


def test_a_way_over_another_format_keeps_both_and_names_the_lineage(state):
    found = Convert().run(state, to=["onnx-opt"], settings=TRACED)
    assert outcomes(found) == {"onnx": "made", "onnx-opt": "made"}
    assert found.variant().lineage == ("onnx",)
    assert "onnx -> onnx-opt:" in found.listing
    again = Convert().run(found, to=["onnx-fp16"])
    assert again.variant().key == "onnx-opt-fp16"  # from the newest
    assert again.downcast_applied
    assert Convert().run(found, to=["onnx-fp16"], start="onnx").variant().key == "onnx-fp16"


def test_an_export_by_a_named_exporter_is_a_variant_of_its_own_and_others_start_from_it_where_they_must(state):
    found = Convert().run(state, to=["onnx-torchscript"])
    assert found.variant("onnx-torchscript").exporter == "torchscript"
    narrow = Convert().run(found, to=["onnx-fp16"]).variant()
    assert (narrow.key, narrow.lineage) == ("onnx-torchscript-fp16", ("onnx-torchscript",))
    both = replace(found, variants=(replace(found.variant(), key="onnx"), *found.variants))
    assert Convert().run(both, to=["onnx-fp16"]).variant().lineage == ("onnx",)
    named = Convert().run(both, to=["onnx-fp16"], start="onnx-torchscript").variant()
    assert named.lineage == ("onnx-torchscript",)


def test_formats_of_one_call_do_not_start_from_each_other_unless_they_must(state):
    found = Convert().run(state, to=["onnx-opt,onnx-fp16"], settings=TRACED)
    assert found.variant("onnx-fp16").lineage == ("onnx",)


def test_what_cannot_be_made_is_said_and_does_not_stop_the_others(state):
    state = replace(state, model=replace(state.model, module=Unscriptable().eval()))
    found = Convert().run(state, to=["torchscript-script", "torchscript-trace"])
    assert outcomes(found) == {"torchscript-script": "failed", "torchscript-trace": "made"}
    assert "torchscript-script: not made: Net cannot be exported by torch.jit.script" in found.listing
    [entry] = [entry for entry in found.conversions if entry["outcome"] == "failed"]
    assert entry["error"]["type"] == "conversion failed"


def test_where_nothing_could_be_made_the_error_carries_what_is_known(state):
    state = replace(state, model=replace(state.model, module=Unscriptable().eval()))
    with pytest.raises(ConversionError, match=r"torch\.jit\.script") as caught:
        Convert().run(state, to=["torchscript-script"])
    assert outcomes(caught.value.state) == {"torchscript-script": "failed"}


def test_what_a_format_lacks_is_its_error(state, monkeypatch):
    monkeypatch.setattr(type(find_format("executorch")), "requires", ("no_such_module",))
    with pytest.raises(MissingDependencyError, match="executorch needs no_such_module"):
        Convert().run(state, to=["executorch"])


def test_a_converter_that_raises_anything_is_an_entry_with_its_words(state, monkeypatch):
    def explode(self, request):
        print("halfway there")
        raise ZeroDivisionError("a library's own")

    monkeypatch.setattr(type(find_format("torchscript-trace")), "convert", explode)
    with pytest.raises(ConversionError) as caught:
        Convert().run(state, to=["torchscript-trace"])
    [entry] = caught.value.state.conversions
    assert "ZeroDivisionError: a library's own" in entry["error"]["evidence"]
    assert "halfway there" in (state.build_dir / entry["log"]).read_text()


def test_a_dry_run_shows_the_steps_and_makes_nothing(state):
    found = Convert().run(state, to=["torch-aoti"], dry_run=True)
    assert found.listing == "torch-aoti: torch -> torch-exportedprogram -> torch-aoti"
    assert found.variants == ()
    assert not list(state.build_dir.glob("**/model*"))


def test_a_stored_build_needs_its_script_again_only_where_no_file_leads_there(state):
    exported = replace(export(state), model=None)
    assert not Convert.needs_live_model(exported, to=["onnx-fp16"])
    assert Convert.needs_live_model(exported, to=["onnx-fp16", "torchscript-trace"])


def test_a_variant_known_to_be_wrong_is_no_parent(state):
    exported = export(state)
    wrong = replace(exported, verification=({"key": "onnx", "verdict": "invalid", "reason": "wrong"},), model=None)
    assert Convert.needs_live_model(wrong, to=["onnx-fp16"])


def test_what_was_proven_of_an_older_file_does_not_hold_for_the_new_one(state):
    found = Convert().run(state, to=["torchscript-trace"])
    proven = replace(found, verification=({"key": "torchscript-trace", "verdict": "valid", "reason": ""},))
    assert Convert().run(proven, to=["torchscript-trace"]).verification == ()


def test_settings_of_a_format_that_was_not_made_are_said_to_be_unused(state):
    given = ["torchscript-trace.freeze::false", "torchscript-script.freeze::false"]
    lines = Convert().run(state, to=["torchscript-trace"], settings=given).listing.splitlines()
    assert lines[1:] == ["--set torchscript-script: not used, since nothing was converted to torchscript-script"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs to know what to convert to"),
        ({"to": ["torchscrip"]}, "no format called"),
        ({"to": ["onnx-opt"], "start": "onnx-nope"}, "no variant 'onnx-nope'"),
        ({"to": ["torchscript-trace"], "settings": ["strict::false"]}, "of which format"),
        ({"to": ["torchscript-trace"], "settings": ["torchscript-trace.stric::false"]}, "no setting called 'stric'"),
        ({"to": ["torchscript-trace"], "settings": ["torchscript-trace.strict::maybe"]}, "cannot be 'maybe'"),
    ],
)
def test_a_wrong_word_is_a_usage_error(state, arguments, message):
    with pytest.raises(UsageError, match=message):
        Convert().run(state, **arguments)


@pytest.mark.parametrize(
    ("form", "parent", "key"),
    [
        ("onnx", None, "onnx"),
        ("onnx-fp16", ("onnx", "onnx/a.onnx", "onnx"), "onnx-fp16"),
        ("onnx-fp16", ("onnx-opt", "onnx/a.onnx", "onnx"), "onnx-opt-fp16"),
        ("torch-aoti", ("torch-exportedprogram", "a.pt2", "torch-exportedprogram"), "torch-aoti"),
        (
            "torch-aoti-int8-static",
            ("torch-exportedprogram-int8-static", "a.pt2", "torch-exportedprogram-int8-static"),
            "torch-aoti-int8-static",
        ),
        ("openvino", ("onnx", "onnx/a.onnx", "onnx"), "openvino"),
        ("openvino", ("onnx-fp16", "onnx/a.onnx", "onnx"), "openvino-of-onnx-fp16"),
    ],
)
def test_a_key_tells_the_lineage_and_means_one_thing(form, parent, key):
    variant = None if parent is None else Variant(key=parent[0], path=parent[1], format=parent[2], sha256="")
    assert key_of(find_format(form), variant) == key


def test_the_module_is_given_back_as_it_came(state):
    state.model.module.train()
    Convert().run(state, to=["torchscript-trace", "torch-exportedprogram"])
    assert state.model.module.training
    assert all(weight.requires_grad for weight in state.model.module.parameters())
    assert torch.is_grad_enabled()
