"""The tool verify on real exported files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from model_builds import Net, edit, export, loaded, samples_of, source, state_of

from turnkey.errors import InputError, VerificationError
from turnkey.model.samples import read_samples
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.tool import ToolSkipped
from turnkey.tools.verify import Verify


def build(tmp_path, module, *, shapes=((2, 3, 8), (2, 3, 8)), **how):
    return export(state_of(tmp_path, source(module.eval(), samples_of(*shapes))), **how)


def second_relu_becomes(operator):
    def change(model):
        [_, node] = [node for node in model.graph.node if node.op_type == "Relu"]
        node.op_type = operator

    return change


def entries(state):
    return {entry["origin"]: entry for entry in state.verification}


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_sample_and_other_batch_sizes_are_compared_and_recorded_as_data(tmp_path, dynamo):
    state = Verify().run(build(tmp_path, Net(), dynamo=dynamo))
    assert list(entries(state)) == ["captured", "batch size 1", "batch size 3"]
    captured = entries(state)["captured"]
    assert captured["samples"] == 2
    assert captured["verdict"] == "valid"
    assert captured["runtime"] == "onnxruntime"
    [output] = captured["outputs"]
    assert output["name"] == "output"
    assert 0 <= output["max_abs"] < 1e-5
    assert output["cosine"] > 0.999999
    assert state.statistics["verify_status"] == "valid"
    assert state.statistics["verify_max_abs"] < 1e-5
    assert "onnx: valid" in state.listing


def test_reference_outputs_are_kept_beside_the_samples_and_serve_when_the_model_is_gone(tmp_path):
    state = Verify().run(build(tmp_path, Net()))
    kept = read_samples(BuildPaths(state.cache_dir, state.build_name).samples)
    assert all(output["output"].shape == (2, 4) for output in kept.outputs)
    later = Verify().run(replace(state, model=None, verification=()))
    assert entries(later)["captured"]["verdict"] == "valid"
    with pytest.raises(InputError, match="no model"):
        Verify().run(State(cache_dir=tmp_path, build_name="empty", variants=state.variants))


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_planted_wrong_operator_fails_the_input_with_output_index_values_and_layer(tmp_path, dynamo):
    state = build(tmp_path, Net(), dynamo=dynamo)
    edit(state, second_relu_becomes("Softplus"))
    with pytest.raises(VerificationError, match=r"'output' at \[\d, \d\]: .* instead of") as caught:
        Verify().run(state)
    assert "first divergent layer: blocks.1 (Block) (the last that agrees: blocks.1.fc)" in caught.value.evidence
    assert f"--exporter {'torchscript' if dynamo else 'dynamo'}; or allow more" in caught.value.remedy
    left = caught.value.state
    assert left.statistics["verify_status"] == "invalid"
    assert entries(left)["captured"]["first_divergent_layer"] == "blocks.1"


def test_every_variant_is_judged_and_the_good_parent_of_a_bad_one_is_named(tmp_path):
    state = build(tmp_path, Net())
    base = state.build_dir / state.variant().path
    (base.parent / "opt.onnx").write_bytes(base.read_bytes())
    state = state.with_variant(
        Variant(key="onnx-opt", format="onnx", path="onnx/opt.onnx", sha256="", lineage=("onnx",))
    )
    edit(state, second_relu_becomes("Tanh"), key="onnx-opt")
    with pytest.raises(VerificationError, match="onnx-opt does not compute") as caught:
        Verify().run(state)
    assert "use onnx" in caught.value.remedy
    verdicts = {entry["key"]: entry["verdict"] for entry in caught.value.state.verification if entry["samples"] == 2}
    assert verdicts == {"onnx": "valid", "onnx-opt": "invalid"}


def test_a_head_of_zeros_is_verified_with_its_weights_replaced_on_both_sides_and_said(tmp_path):
    module = Net(zero_head=True)
    state = Verify().run(build(tmp_path, module))
    captured = entries(state)["captured"]
    assert captured["verdict"] == "valid"
    assert "zero everywhere, which proves nothing; with its zero weights replaced" in captured["reason"]
    assert captured["outputs"][0]["reference_max_abs"] > 0
    assert not module.head.weight.any(), "the user's weights are left alone"


def test_a_wrong_operator_before_a_head_of_zeros_is_found_all_the_same(tmp_path):
    state = build(tmp_path, Net(zero_head=True))
    edit(state, second_relu_becomes("Tanh"))
    with pytest.raises(VerificationError, match="zero weights replaced on both sides"):
        Verify().run(state)


def test_outputs_of_zero_without_zero_weights_are_verified_by_hidden_outputs(tmp_path):
    state = Verify().run(build(tmp_path, Net(output_scale=0.0)))
    assert entries(state)["captured"]["verdict"] == "valid"
    assert "hidden outputs agree, the last of head" in entries(state)["captured"]["reason"]
    broken = build(tmp_path / "broken", Net(output_scale=0.0))
    edit(broken, second_relu_becomes("Tanh"))
    with pytest.raises(VerificationError, match=r"first divergent layer: blocks\.1"):
        Verify().run(broken)


def test_zeros_of_a_file_whose_inside_is_unknown_stay_unverified_without_failing_the_input(tmp_path):
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) { y = Sub (x, x) }'
    state = Verify().run(loaded(tmp_path, text, ({"x": np.ones((1, 3), np.float32)},)))
    assert state.statistics["verify_status"] == "unverified"
    assert "zero everywhere, which proves nothing" in state.listing


def test_an_onnx_input_is_compared_with_itself_unoptimised_and_with_the_reference_evaluator(tmp_path):
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) { y = Exp (x) }'
    state = Verify().run(loaded(tmp_path, text, ({"x": np.ones((2, 3), np.float32)},)))
    assert list(entries(state)) == ["made", "batch size 1", "batch size 3"]
    assert state.statistics["verify_status"] == "valid"
    assert "against itself without optimisations, as it is the source; 1 made inputs, batch size 1" in state.listing


def test_a_batch_size_that_only_the_file_cannot_take_fails(tmp_path):
    class Flat(torch.nn.Module):
        def forward(self, x):
            return x.reshape(int(x.shape[0]) * 3, 8) + 1  # the exporter freezes the product

    state = build(tmp_path, Flat())
    with pytest.raises(VerificationError, match=r"does not run|shape") as caught:
        Verify().run(state)
    assert "batch size 1" in caught.value.evidence


def test_further_captured_shapes_are_compared_where_the_file_takes_them(tmp_path):
    model = replace(
        source(Net().eval(), samples_of((2, 3, 8))), further_samples=(samples_of((5, 3, 8)), samples_of((2, 7, 8)))
    )
    state = Verify().run(export(state_of(tmp_path, model)))
    others = [entry for entry in state.verification if entry["origin"] == "captured, other shapes"]
    assert [entry["shapes"]["x"] for entry in others] == [[5, 3, 8]]


def test_a_model_that_disagrees_with_itself_is_unverified_and_said(tmp_path):
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    state = Verify().run(build(tmp_path, Noisy()))
    assert state.statistics["verify_status"] == "unverified"
    assert "different outputs for equal inputs" in state.listing


def test_given_tolerances_replace_those_of_the_dtype(tmp_path):
    state = build(tmp_path, Net())

    def shift(model):
        [bias] = [tensor for tensor in model.graph.initializer if tensor.name.endswith("head.bias")]
        values = np.frombuffer(bias.raw_data, np.float32) + np.float32(1e-3)
        bias.raw_data = values.tobytes()

    edit(state, shift)
    with pytest.raises(VerificationError):
        Verify().run(state)
    assert Verify().run(state, atol=1e-2, rtol=0.0).statistics["verify_status"] == "valid"


def test_a_recommendation_does_not_outlive_its_verification(tmp_path):
    state = replace(build(tmp_path, Net()), measurements=({"key": "k", "variant": "onnx"},), chosen="k")
    assert Verify().run(state).chosen == "k"
    edit(state, second_relu_becomes("Tanh"))
    with pytest.raises(VerificationError) as caught:
        Verify().run(state)
    assert caught.value.state.chosen is None


def test_nothing_to_verify_is_skipped_with_the_reason(tmp_path):
    with pytest.raises(ToolSkipped, match="no variant"):
        Verify().run(state_of(tmp_path, source(Net(), samples_of((1, 3, 8)))))


def test_verifying_an_onnx_input_never_imports_torch(tmp_path):
    code = f"""
import sys
from dataclasses import replace
import numpy as np, onnx
from pathlib import Path
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.pipeline.state import State, Variant
from turnkey.tools.verify import Verify
from turnkey.tools.benchmark import Benchmark
folder = Path({str(tmp_path)!r}) / "b"
folder.mkdir()
text = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) {{ y = Exp (x) }}'
onnx.save(onnx.parser.parse_model(text), folder / "m.onnx")
samples = SampleSet(structure=None, inputs=({{"x": np.ones((1, 3), np.float32)}},), outputs=(None,), seed=0)
model = SourceModel(module=None, path=folder / "m.onnx", samples=samples, class_name="g", model_hash="",
                    hash_basis="graph", weights_hash="", parameter_count=0, parameter_bytes=0)
state = State({str(tmp_path)!r}, "b", model=model)
state = state.with_variant(Variant(key="onnx", format="onnx", path="m.onnx", sha256="", exporter="loaded"))
state = Verify().run(state)
Benchmark().run(state, effort="quick", iterations=2)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


DEEP = """<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3] x) => (float[N,3] y) {
    a = Exp (x)
    b = Tanh (a)
    c = Sin (b)
    zero = Constant <value_float = %s> ()
    y = Mul (c, zero)
}"""


def with_edited_copy(state, change):
    """The state with an optimised variant, which is a changed copy of the loaded file."""
    path = state.build_dir / state.variant("onnx").path
    (path.parent / "opt.onnx").write_bytes(path.read_bytes())
    made = Variant(key="onnx-opt", format="onnx", path="onnx/opt.onnx", sha256="", lineage=("onnx",))
    state = state.with_variant(made)
    edit(state, change, key="onnx-opt")
    return state


def test_a_file_made_from_an_onnx_input_is_compared_inside_by_the_names_of_values(tmp_path):
    def wrong(model):
        model.graph.node[1].op_type = "Atan"

    state = with_edited_copy(loaded(tmp_path, DEEP % 1.0, ({"x": np.ones((1, 3), np.float32)},)), wrong)
    with pytest.raises(VerificationError, match="onnx-opt does not compute") as caught:
        Verify().run(state)
    assert "first divergent layer: b (Tanh) (the last that agrees: a)" in caught.value.evidence


def test_hidden_values_prove_what_a_zero_output_of_a_file_cannot(tmp_path):
    state = with_edited_copy(loaded(tmp_path, DEEP % 0.0, ({"x": np.ones((1, 3), np.float32)},)), lambda model: None)
    verdicts = {
        entry["key"]: entry["verdict"] for entry in Verify().run(state).verification if entry["origin"] == "made"
    }
    assert verdicts == {"onnx": "unverified", "onnx-opt": "valid"}


def test_a_wrong_file_of_a_build_without_its_model_fails_by_the_outputs_that_were_kept(tmp_path):
    state = replace(Verify().run(build(tmp_path, Net())), model=None)
    edit(state, second_relu_becomes("Tanh"))
    with pytest.raises(VerificationError, match="'output' at"):
        Verify().run(state)


def test_rounding_that_the_model_itself_makes_large_is_told_from_a_difference(tmp_path, chaotic):
    state = Verify().run(build(tmp_path, chaotic(15)))
    captured = entries(state)["captured"]
    assert captured["verdict"] == "valid"
    assert "ill-conditioned: the model in float32 is" in captured["reason"]
    assert "ill-conditioned" in state.listing


def test_a_wrong_operator_in_an_ill_conditioned_model_is_still_found(tmp_path, chaotic):
    state = build(tmp_path, chaotic(12))

    def change(model):
        next(node for node in model.graph.node if node.op_type == "Sigmoid").op_type = "HardSigmoid"

    edit(state, change)
    with pytest.raises(VerificationError, match="instead of"):
        Verify().run(state)
