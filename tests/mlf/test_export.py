"""From an ONNX model to a tarball, and back to the same numbers."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import models
import numpy as np
import onnx
import pytest

import turnkey.mlf as mlf
from turnkey.errors import InputError, TurnkeyError
from turnkey.mlf.failures import MlfUsageError, MlfVerificationError
from turnkey.pipeline.state import State, Variant

pytestmark = pytest.mark.needs("emx_onnx_cgen")

IMAGE = {"image": np.random.default_rng(1).standard_normal((1, 2, 8, 8)).astype(np.float32)}


def test_a_cnn_comes_back_with_the_outputs_of_onnxruntime(cnn_tar: Path) -> None:
    expected = models.outputs_of(models.model_of(models.CNN), IMAGE)
    module = mlf.load(cnn_tar).module()
    np.testing.assert_allclose(module.run(IMAGE)["scores"], expected["scores"], rtol=1e-5, atol=1e-7)
    assert module.plan["workspace"] == module.plan["lower_bound"]
    assert module.metadata.turnkey["compiler"]["warnings"] == 0


def test_two_exports_are_equal_to_the_byte(cnn_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1740830400")
    again = mlf.export(models.model_of(models.CNN), tmp_path / "again.tar", name="cnn")
    assert (tmp_path / "again.tar").read_bytes() == cnn_tar.read_bytes()
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    later = mlf.export(models.model_of(models.CNN), tmp_path / "later.tar", name="cnn")
    assert later.digest == again.digest


def test_the_metadata_states_true_utc_and_the_keys_of_the_format(
    cnn_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    library = mlf.load(cnn_tar)
    fields = json.loads(library.archive.content("metadata.json"))
    module = fields["modules"]["cnn"]
    assert fields["version"] == 7
    assert module["export_datetime"] == "2025-03-01 12:00:00Z"
    assert set(module) == {
        "model_name", "export_datetime", "style", "target", "executors", "runtimes", "external_dependencies",
        "memory", "turnkey",
    }  # fmt: skip
    assert module["executors"] == module["runtimes"] == ["aot", "graph"]
    (main,) = module["memory"]["functions"]["main"]
    assert main["io_size_bytes"] == 4 * (1 * 2 * 8 * 8) + 4 * 3
    assert main["inputs"] == {"image": {"size": 512, "dtype": "float32"}}
    assert main["constants_size_bytes"] == 64 + 16 * (9 * 2 + 4) * 4  # b, padded; w and v in blocks of 16 outputs


def test_a_tarball_of_the_default_layout_has_every_documented_path(cnn_tar: Path) -> None:
    files = set(mlf.load(cnn_tar).files)
    assert {
        "metadata.json",
        "codegen/host/src/cnn_lib0.c",
        "codegen/host/src/cnn_lib1.c",
        "codegen/host/include/tvmgen_cnn.h",
        "executor-config/graph/cnn.graph",
        "executor-config/graph/graph.json",
        "parameters/cnn.params",
        "src/cnn.onnx",
        "src/cnn.relay",
        "src/relay.txt",
        "samples/cnn/0/in0.bin",
        "samples/cnn/0/out0.bin",
        "runtime/include/turnkey_mlf.h",
        "runtime/src/turnkey_mlf.c",
        "templates/host/Makefile",
        "templates/host/CMakeLists.txt",
        "templates/host/main.c",
        "templates/baremetal/main.c",
        "templates/platform.c.template",
    } <= files


@pytest.mark.parametrize(
    ("options", "there", "absent"),
    [
        ({"executor": "aot"}, ["codegen/host/include/tvmgen_m.h", "templates/host/main.c"], ["m.graph", "graph.json"]),
        ({"executor": "graph"}, ["executor-config/graph/m.graph"], ["tvmgen_m.h", "main.c"]),
        ({"constants": "pool"}, ["codegen/host/src/m_constants.bin"], []),
        ({"constants": "incbin"}, ["codegen/host/src/m_constants.bin"], []),
        ({"constants": "words"}, ["codegen/host/src/m_lib2.c"], ["m_constants.bin"]),
        ({"version": 5}, ["codegen/host/src/lib1.c", "src/relay.txt"], ["m.graph", "m.relay", "m_lib0.c"]),
        ({"style": "operator"}, ["codegen/host/src/lib0.c"], [".h", ".params", ".graph", "graph.json"]),
    ],
    ids=str,
)
def test_each_option_has_its_members(
    tmp_path: Path, options: dict[str, object], there: list[str], absent: list[str]
) -> None:
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="m", compile=False, **options)
    files = mlf.load(tmp_path / "m.tar").files
    assert set(there) <= set(files)
    own = [path for path in files if not path.startswith("runtime/")]
    assert not [path for path in own if path.endswith(tuple(absent))]


def test_version_5_and_operator_style_are_flat(tmp_path: Path) -> None:
    mlf.export(models.model_of(models.CNN), tmp_path / "5.tar", name="CNN", version=5, verify=False)
    library = mlf.load(tmp_path / "5.tar")
    assert {"codegen/host/src/lib0.c", "parameters/CNN.params", "src/relay.txt"} <= set(library.files)
    assert not any("cnn_lib" in path or path.endswith((".graph", ".relay")) for path in library.files)
    fields = json.loads(library.archive.content("metadata.json"))
    assert fields["target"] == {"1": "c -keys=cpu -model=host"}
    assert fields["model_name"] == "CNN"
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "op.tar", name="mm", style="operator")
    operator = mlf.load(tmp_path / "op.tar").module()
    assert operator.metadata.style == "operator"
    assert not operator.parameters()
    ((name, tensors),) = operator.memory.items()
    assert name == "tvmgen_mm_fused_matmul"
    assert [tensor["size_bytes"] for tensor in tensors] == [24, 32]
    with pytest.raises(MlfUsageError, match="mlf-multiple-operators"):
        mlf.export(models.model_of(models.CNN), tmp_path / "no.tar", style="operator")
    assert not (tmp_path / "no.tar").exists()


@pytest.mark.parametrize("constants", ["embed", "incbin", "words", "pool"])
def test_constants_reach_the_program_in_every_mode(tmp_path: Path, constants: str) -> None:
    mlf.export(models.model_of(models.CNN), tmp_path / "c.tar", name="cnn", constants=constants, verify=False)
    module = mlf.load(tmp_path / "c.tar").module()
    expected = models.outputs_of(models.model_of(models.CNN), IMAGE)
    np.testing.assert_allclose(module.run(IMAGE)["scores"], expected["scores"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("workspace", ["external", "internal", "io"])
def test_every_owner_of_the_workspace_gives_the_same_outputs(tmp_path: Path, workspace: str) -> None:
    model = models.model_of(models.BRANCHES)
    mlf.export(model, tmp_path / "b.tar", name="b", workspace=workspace)
    generator = np.random.default_rng(2)
    sample = {name: generator.standard_normal((1, 4, 4)).astype(np.float32) for name in ("x", "y")}
    outputs = mlf.load(tmp_path / "b.tar").module().run(sample)
    for name, expected in models.outputs_of(model, sample).items():
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-6)


def test_outputs_that_join_others_are_written_in_place(tmp_path: Path) -> None:
    made = mlf.export(models.model_of(models.BRANCHES), tmp_path / "b.tar", name="b")
    names = {row[0] for row in made.plan["buffers"]}
    assert not names & {"a", "joined", "sum"}  # they lie in the caller's outputs; only b, which c takes over, is ours
    assert made.plan["workspace"] <= 128


def test_weights_never_pass_through_generated_text(tmp_path: Path) -> None:
    text = models.MULTIPLY.replace("float[3,4] w", "float[3,65536] w").replace("float[2,4]", "float[2,65536]")
    mlf.export(models.model_of(text), tmp_path / "big.tar", name="big", constants="incbin", compile=False)
    sources = mlf.load(tmp_path / "big.tar").module().sources()
    assert sum(map(len, sources.values())) < 100_000


def test_the_onnx_model_inside_is_whole_when_both_files_lie_together(cnn_tar: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    library = mlf.load(cnn_tar)
    for path in ("src/cnn.onnx", "parameters/cnn.params"):
        (tmp_path / path.rpartition("/")[2]).write_bytes(library.archive.content(path))
    onnx.checker.check_model(str(tmp_path / "cnn.onnx"))
    (found,) = ort.InferenceSession(str(tmp_path / "cnn.onnx")).run(None, IMAGE)
    np.testing.assert_allclose(found, models.outputs_of(models.model_of(models.CNN), IMAGE)["scores"], rtol=1e-5)
    assert onnx.checker.check_model(library.module().onnx()) is None


def test_two_modules_link_into_one_program_and_merge_equals_add(cnn_tar: Path, tmp_path: Path) -> None:
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="mm")
    merged = mlf.merge([cnn_tar, tmp_path / "m.tar"], tmp_path / "both.tar")
    assert [module.name for module in merged.modules] == ["cnn", "mm"]
    assert "codegen/host/src/system_lib0.c" in merged.files
    subprocess.run(["tar", "xf", str(tmp_path / "both.tar"), "--one-top-level=both"], cwd=tmp_path, check=True)
    host = tmp_path / "both/templates/host"
    result = subprocess.run(
        ["make", "-s", "check", "CFLAGS=-O1"], cwd=host, capture_output=True, text=True, check=True
    )
    assert re.findall(r"(\w+): 5 samples", result.stdout) == ["cnn", "mm"]
    with pytest.raises(MlfUsageError, match="unique names"):
        mlf.merge([cnn_tar, cnn_tar], tmp_path / "twice.tar")


def test_a_symbolic_dimension_needs_a_number(tmp_path: Path) -> None:
    text = models.MULTIPLY.replace("float[2,3] x", "float[batch,3] x").replace("float[2,4] y", "float[batch,4] y")
    with pytest.raises(mlf.NonStaticShapeError, match="mlf-dynamic-shape") as caught:
        mlf.export(models.model_of(text), tmp_path / "d.tar")
    assert "--dim batch=1" in caught.value.remedy
    several = text.replace("float[batch,3] x", "float[batch,width] x")
    with pytest.raises(mlf.NonStaticShapeError) as caught:
        mlf.export(models.model_of(several), tmp_path / "d.tar")
    assert caught.value.remedy == "export-mlf --dim batch=1 width=1"
    mlf.export(models.model_of(text), tmp_path / "d.tar", name="d", dims={"batch": 5})
    assert mlf.load(tmp_path / "d.tar").module().inputs[0].shape == (5, 3)


def test_budgets_name_the_step_and_the_bytes(tmp_path: Path) -> None:
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-over-budget") as caught:
        mlf.export(models.model_of(models.CNN), tmp_path / "x.tar", max_workspace=100)
    assert "Conv(a)" in caught.value.evidence
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="the stack needs"):
        mlf.export(models.model_of(models.CNN), tmp_path / "x.tar", max_stack=10)
    assert not (tmp_path / "x.tar").exists()


def test_names_that_clash_in_c_are_solved_by_a_renaming(tmp_path: Path) -> None:
    model = models.model_of(models.BRANCHES)
    for graph_input, name in zip(model.graph.input, ("in.1", "in_1"), strict=True):
        for node in model.graph.node:
            node.input[:] = [name if old == graph_input.name else old for old in node.input]
        graph_input.name = name
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-name-clash") as caught:
        mlf.export(model, tmp_path / "n.tar")
    assert "--rename" in caught.value.remedy
    mlf.export(model, tmp_path / "n.tar", name="n", renames={"in.1": "first"}, verify=False)
    assert [tensor.name for tensor in mlf.load(tmp_path / "n.tar").module().inputs] == ["first", "in_1"]


def test_names_that_are_words_of_c_macros_or_comments_compile_and_run(tmp_path: Path) -> None:
    names = ["NULL", "linux", "INPUTS", "OUTPUTS", "requires", "@run@", "größe", "0", 'a%s"b']
    inputs = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2]) for name in names]
    sums = [onnx.helper.make_node("Sum", names, ["int"], name="x/*y*/z\n*/")]
    outputs = [onnx.helper.make_tensor_value_info("int", onnx.TensorProto.FLOAT, [2])]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(sums, "names", inputs, outputs),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    made = mlf.export(model, tmp_path / "n.tar", name="while", sanitize=True, samples=1, cflags=("-O1", "-pedantic"))
    module = made.library.module()
    assert module.metadata.turnkey["compiler"]["warnings"] == 0
    assert [tensor.name for tensor in module.inputs] == names
    assert made.verify["while"].samples == 1


def test_values_wider_than_the_wanted_alignment_lie_at_multiples_of_their_width(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    wide (float[3] x, double[3] z) => (double[3] y)
    {
      a = Exp(x)
      b = Softmax(a)
      c = Cast<to=11>(b)
      d = Softmax(c)
      e = Softmax(z)
      y = Sub(d, e)
    }
    """
    options = {"align": 4, "compile": False, "optimize": "none", "kernels": "generated"}
    made = mlf.export(models.model_of(text), tmp_path / "w.tar", **options)
    facts = made.library.module().metadata.turnkey
    assert facts["abi"]["workspace_alignment"] == 8
    assert not [row for row in made.plan["buffers"] if row[2] % 8]
    narrow = mlf.export(models.model_of(models.CNN), tmp_path / "n.tar", align=4, compile=False)
    assert narrow.library.module().abi["workspace_alignment"] == 4


def test_a_file_that_is_no_valid_model_is_refused_before_anything_else(tmp_path: Path) -> None:
    model = models.model_of(models.MULTIPLY)
    del model.graph.node[0].input[:]
    onnx.save(model, tmp_path / "m.onnx")
    for wrong in (tmp_path / "m.onnx", tmp_path, tmp_path / "gone.onnx"):
        with pytest.raises(InputError):
            mlf.export(wrong, tmp_path / "m.tar")
    assert not (tmp_path / "m.tar").exists()


def test_a_dimension_below_zero_is_one_without_a_number(tmp_path: Path) -> None:
    model = models.model_of(models.MULTIPLY)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    with pytest.raises(mlf.NonStaticShapeError, match="mlf-dynamic-shape") as caught:
        mlf.export(model, tmp_path / "m.tar")
    assert "axis 0 has no number" in caught.value.evidence


def test_an_output_that_is_a_constant_gets_a_copy_of_it_whatever_else_has_that_name(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    constant (float[2] x) => (float[2] y, float[2] w)
    <float[2] w = {1, 2}>
    {
      t = Exp(x)
      y = Add(t, w)
    }
    """
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:  # which no text can say
        for side in (node.input, node.output):
            side[:] = ["w.constant" if name == "t" else name for name in side]
    mlf.export(model, tmp_path / "c.tar", name="c", kernels="generated")
    outputs = mlf.load(tmp_path / "c.tar").module().run({"x": np.zeros(2, np.float32)})
    assert {name: array.tolist() for name, array in outputs.items()} == {"y": [2, 3], "w": [1, 2]}


def test_strings_and_sequences_are_refused_by_name(tmp_path: Path) -> None:
    text = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.STRING, [1])
    copy = onnx.helper.make_node("Identity", ["x"], ["y"])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.STRING, [1])
    model = onnx.helper.make_model(onnx.helper.make_graph([copy], "g", [text], [result]))
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-unsupported-dtype"):
        mlf.export(model, tmp_path / "s.tar")


def test_a_wrong_expectation_is_a_mismatch_and_leaves_no_file(tmp_path: Path) -> None:
    wrong = {"scores": np.zeros((1, 3), np.float32) + 0.5}
    with pytest.raises(MlfVerificationError, match="mlf-mismatch"):
        mlf.export(models.model_of(models.CNN), tmp_path / "w.tar", samples=[(IMAGE, wrong)])
    assert list(tmp_path.iterdir()) == []


def test_options_that_do_not_exist_are_usage_errors() -> None:
    for wrong in ({"version": 6}, {"executor": "vm"}, {"align": 24}, {"samples": 0}, {"max_stack": -1}):
        with pytest.raises(MlfUsageError, match="mlf-bad-option"):
            mlf.ExportOptions(**wrong)


def test_every_error_code_keeps_its_code_across_processes() -> None:
    import pickle

    from turnkey.mlf.failures import codes, failure

    for code in codes():
        error = pickle.loads(pickle.dumps(failure(code, "what", evidence="why", remedy="do")))
        assert isinstance(error, TurnkeyError)
        assert (error.code, error.evidence, error.remedy) == (code, "why", "do")


def test_a_build_gives_its_newest_onnx_file_and_says_if_it_has_none(cnn_tar: Path, tmp_path: Path) -> None:
    build = tmp_path / "net"
    build.mkdir()
    onnx.save(models.model_of(models.CNN), build / "net.onnx")
    stored = Variant(key="onnx", format="onnx", path="net.onnx", sha256="")
    script = Variant(key="torchscript", format="torchscript", path="net.pt", sha256="")
    state = State(tmp_path, "net", variants=(stored, script))
    made = mlf.export(state, tmp_path / "net.tar")
    assert made.library.module().name == "net"
    np.testing.assert_array_equal(
        made.library.module().run(IMAGE)["scores"], mlf.load(cnn_tar).module().run(IMAGE)["scores"]
    )
    with pytest.raises(TurnkeyError, match="no ONNX file"):
        mlf.export(State(tmp_path, "net", variants=(script,)), tmp_path / "none.tar")
