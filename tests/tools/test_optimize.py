"""The tool optimize: all forms, gated by verification, one experiment, the best for a goal."""

from __future__ import annotations

import numpy as np
import pytest
from model_builds import Net, edit, export, loaded, samples_of, source, state_of

from turnkey.errors import UsageError
from turnkey.pipeline.events import progress_told_to
from turnkey.pipeline.state import State
from turnkey.runtimes.verification import SignatureVerification, VariantVerification
from turnkey.tools.contenders import made, wanted_formats, wanted_runtimes
from turnkey.tools.optimize import Optimize, _finished, _sound
from turnkey.tools.recommendation import Recommendation
from turnkey.tools.results import Results
from turnkey.verify import VerificationVerdict


def build(tmp_path):
    return export(state_of(tmp_path, source(Net(), samples_of((2, 3, 8), (2, 3, 8)))))


@pytest.mark.slow
def test_the_smallest_of_the_valid_ones_is_chosen_and_what_failed_is_listed(tmp_path):
    state = Optimize().run(
        build(tmp_path),
        goal="size",
        to=["onnx-opt", "onnx-fp16", "onnx-int4"],
        runtimes=["onnxruntime"],
        effort="quick",
        threads=1,
    )
    sizes = {entry["variant"]: entry["size_bytes"] for entry in state.measurements}
    assert {"onnx", "onnx-opt", "onnx-fp16"} <= set(sizes)
    smaller = [entry["key"] for entry in state.measurements if 0 < entry["size_bytes"] < sizes[state.results]]
    refused = state.statistics["recommendation"].partition("not considered: ")[2]
    assert all(f"{key}: " in refused for key in smaller)  # a noisy host spoils a measurement, and says so
    assert state.listing.splitlines()[-1].startswith("best for size: ")
    assert state.statistics["optimized_for"] == "size"
    assert {entry["key"] for entry in state.verification} >= set(sizes)


def test_a_wrong_file_is_never_a_candidate(tmp_path):
    def spoil(model):
        node = next(node for node in model.graph.node if node.op_type == "Relu")
        node.op_type = "Neg"

    state = build(tmp_path)
    edit(state, spoil)
    with pytest.raises(UsageError, match="no variant is valid") as caught:
        Optimize().run(state, to=["onnx-opt"], runtimes=["onnxruntime"], effort="quick")
    assert "onnx: invalid" in caught.value.evidence


def test_exact_leaves_out_every_form_of_lower_precision():
    runtimes = wanted_runtimes(["onnxruntime"])
    every, exact = (wanted_formats((), runtimes=runtimes, exact=choice) for choice in (False, True))
    assert {"onnx-fp16", "onnx-int8-static"} <= set(every)
    assert not {name for name in exact if "fp16" in name or "int" in name}
    assert "onnx-opt" in exact
    assert "onnx-torchscript" in exact
    assert "onnx-dynamo" not in every, "onnx is its file, where it makes one that is right"


def test_what_takes_a_compiler_is_made_last_unless_formats_are_named():
    runtimes = wanted_runtimes(["onnxruntime", "torchscript", "torch-aoti"])
    formats = wanted_formats((), runtimes=runtimes, exact=False)
    compiled = [name.startswith("torch-aoti") for name in formats]
    assert {"onnx", "onnx-opt", "torchscript-trace", "torch-aoti"} <= set(formats)
    assert compiled == sorted(compiled)
    assert formats.index("onnx") < formats.index("onnx-opt")
    named = ["torch-aoti", "onnx"]
    assert list(wanted_formats(named, runtimes=runtimes, exact=False)) == named


def test_each_form_is_told_before_it_is_made(tmp_path):
    state, told = build(tmp_path), []
    with progress_told_to(told.append):
        made(state, state.model, ["onnx", "onnx-fp16", "onnx-int8-dynamic"])
    assert told == ["making onnx-fp16, form 2 of 3", "making onnx-int8-dynamic, form 3 of 3"]  # onnx is there


def test_where_the_model_itself_is_best_the_build_goes_on_with_a_form_that_is_right(tmp_path):
    state = State(tmp_path, "m", results="onnx-int4", measurements=({"key": "torch"},), listing="table")
    found = Results(state=state, record=None, choice=Recommendation(key="torch", refused={}))
    verdicts = {
        key: VariantVerification(
            key=key,
            runtime="onnxruntime",
            runtime_version="1",
            parts=(SignatureVerification(origin="captured", shapes={}, samples=1, verdict=verdict),),
        )
        for key, verdict in {
            "onnx-fp16": VerificationVerdict.VALID,
            "onnx": VerificationVerdict.VALID,
            "onnx-int4": VerificationVerdict.INVALID,
        }.items()
    }
    assert _sound("onnx-fp16", verdicts) == "onnx-fp16"
    assert _sound("onnx-int4", verdicts) == _sound(None, verdicts) == "onnx"
    assert _finished(found, goal="latency", told=[], otherwise="onnx").results == "onnx"


def test_exact_leaves_out_the_model_under_autocast(tmp_path):
    from turnkey.tools.contenders import contenders

    state, runtimes = build(tmp_path), wanted_runtimes(["torch", "torch-bf16"])
    every, exact = (contenders(state, state.model, runtimes, {}, exact=choice) for choice in (False, True))
    assert [candidate.key for candidate in every] == ["torch", "torch-bf16"]
    assert [candidate.key for candidate in exact] == ["torch"]


def test_formats_that_no_wanted_runtime_executes_are_not_made():
    assert not any(
        name.startswith("openvino") for name in wanted_formats((), runtimes=wanted_runtimes(["ort"]), exact=True)
    )
    with pytest.raises(UsageError):
        wanted_formats(["openvino"], runtimes=wanted_runtimes(["onnxruntime"]), exact=False)


def test_an_optimiser_that_changed_nothing_is_valid_and_not_raced(tmp_path):
    from turnkey.tools.contenders import contenders, made
    from turnkey.tools.race import verified

    text = '<ir_version: 9, opset_import: ["": 18]> g (float[N,8] x) => (float[N,8] y) { y = Exp(x) }'
    state = loaded(tmp_path, text, ({"x": np.ones((2, 8), np.float32)},))
    state, failures = made(state, state.model, ["onnx-opt", "onnx-onnxscript"])
    assert failures == []
    state, verdicts = verified(state, state.model, ["onnx", "onnx-opt", "onnx-onnxscript"])
    assert verdicts["onnx-onnxscript"].verdict is VerificationVerdict.VALID
    names = [c.key for c in contenders(state, state.model, wanted_runtimes(["onnxruntime"]), verdicts, exact=True)]
    assert names == ["onnx @ onnxruntime", "onnx-opt @ onnxruntime"]


def test_the_file_of_an_exporter_is_made_once(tmp_path):
    from turnkey.tools.contenders import made

    state = build(tmp_path)
    same, failures = made(state, state.model, ["onnx-torchscript"])
    assert (same.variants, failures) == (state.variants, [])


@pytest.mark.needs("openvino")
def test_bfloat16_is_verified_and_raced_where_a_runtime_has_kernels_for_it(tmp_path):
    from turnkey.tools.contenders import contenders, made
    from turnkey.tools.race import verified

    state = build(tmp_path)
    state, failures = made(state, state.model, ["onnx-bf16"])
    assert failures == []
    state, verdicts = verified(state, state.model, ["onnx", "onnx-bf16"])
    seen = verdicts["onnx-bf16"]
    assert (seen.verdict, seen.runtime) == (VerificationVerdict.VALID, "openvino")
    assert 1e-6 < seen.worst("relative_l2") < 4e-2, "the file is narrow, and right within what that explains"
    runtimes = wanted_runtimes(["onnxruntime", "openvino"])
    names = [c.key for c in contenders(state, state.model, runtimes, verdicts, exact=False)]
    assert names == ["onnx @ onnxruntime", "onnx-bf16 @ openvino"]


@pytest.mark.needs("openvino")
def test_bfloat16_is_not_tried_unasked_where_the_processor_has_no_instructions_for_it(monkeypatch, capsys):
    from turnkey.tools import contenders

    runtimes = wanted_runtimes(["openvino"])
    monkeypatch.setattr(contenders, "has_bfloat16", lambda: False)
    assert not {"onnx-bf16", "openvino-bf16"} & set(wanted_formats((), runtimes=runtimes, exact=False))
    assert "onnx-bf16: not tried: this processor has no bfloat16 instructions" in capsys.readouterr().out
    assert wanted_formats(["onnx-bf16"], runtimes=runtimes, exact=False) == ("onnx-bf16",)
    monkeypatch.setattr(contenders, "has_bfloat16", lambda: True)
    assert "onnx-bf16" in wanted_formats((), runtimes=runtimes, exact=False)
