"""Reading tarballs: every version, harmless when hostile, honest about what is inside."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import models
import numpy as np
import pytest

import turnkey.mlf as mlf
from turnkey.errors import InputError
from turnkey.mlf import archive
from turnkey.mlf.archive import Archive
from turnkey.mlf.failures import MlfArtifactError, MlfUsageError
from turnkey.mlf.graph_executor import GraphExecutor
from turnkey.mlf.library import from_archive

IMAGE = {"image": np.random.default_rng(1).standard_normal((1, 2, 8, 8)).astype(np.float32)}

GRAPH = {
    "nodes": [
        {"op": "null", "name": "x", "inputs": []},
        {"op": "null", "name": "p0", "inputs": []},
        {
            "op": "tvm_op", "name": "tvmgen_default_fused_add", "inputs": [[0, 0, 0], [1, 0, 0]],
            "attrs": {
                "num_outputs": "1", "num_inputs": "2", "flatten_data": "0", "func_name": "tvmgen_default_fused_add",
            },
        },
    ],
    "arg_nodes": [0, 1],
    "heads": [[2, 0, 0]],
    "attrs": {
        "dltype": ["list_str", ["float32", "float32", "float32"]],
        "storage_id": ["list_int", [0, 1, 2]],
        "shape": ["list_shape", [[1, 4], [1, 4], [1, 4]]],
    },
    "node_row_ptr": [0, 1, 2, 3],
}  # fmt: skip
SIDS = [{"storage_id": 0, "size_bytes": 16, "input_binding": "x"}]
MAIN = {"device": 1, "workspace_size_bytes": 32, "constants_size_bytes": 16, "io_size_bytes": 32}
FUNCTIONS = {"main": [MAIN], "operator_functions": [{"function_name": "add", "workspace": [{"device": 1}]}]}


def written(version: int) -> dict[str, bytes]:
    """Files of a tarball as that version's writers laid them out."""
    flat: dict[str, Any] = {"version": version, "model_name": "default", "export_datetime": "2022-01-01 00:00:00Z"}
    flat["memory"] = SIDS if version == 1 else {"sids": SIDS, "functions": FUNCTIONS}
    flat["target"] = ["c -keys=cpu"] if version >= 6 else {"1": "c -keys=cpu"}
    flat["runtimes" if version < 5 else "executors"] = ["graph"]
    if version >= 4:
        flat["style"] = "full-model"
    graph = "runtime-config/graph/graph.json" if version < 5 else "executor-config/graph/graph.json"
    metadata = (
        flat if version < 7 else {"version": 7, "modules": {"default": {k: flat[k] for k in flat if k != "version"}}}
    )
    name = "lib0" if version < 3 else "default_lib0"
    return {
        "metadata.json": json.dumps(metadata).encode(),
        graph if version < 7 else "executor-config/graph/default.graph": json.dumps(GRAPH).encode(),
        f"codegen/host/src/{name}.c": b"int nothing;\n",
        "parameters/default.params": mlf.save_params({"p0": np.ones((1, 4), np.float32)}),
        "relay.txt" if version < 4 else "src/relay.txt": b"def @main() {}\n",
    }


@pytest.mark.parametrize("version", range(1, 8))
def test_every_version_reads_as_the_same_module(tmp_path: Path, version: int) -> None:
    path = tmp_path / "v.tar"
    path.write_bytes(archive.pack(written(version), timestamp=0))
    library = mlf.load(path)
    module = library.module()
    assert (library.version, module.name, module.metadata.executors) == (version, "default", ("graph",))
    assert module.metadata.targets == ("c -keys=cpu",)
    assert module.memory["sids"] == SIDS
    assert module.memory["functions"]["main"] == ([] if version == 1 else [MAIN])
    assert module.graph is not None
    assert [node.name for node in module.graph.nodes][:2] == ["x", "p0"]
    assert module.parameters()["p0"].shape == (1, 4)
    assert len(module.sources()) == 1


@pytest.mark.parametrize("version", [0, 8, "7", True, None])
def test_an_unknown_version_is_refused(tmp_path: Path, version: object) -> None:
    files = {"metadata.json": json.dumps({"version": version}).encode()}
    with pytest.raises(MlfArtifactError, match="mlf-bad-version"):
        from_archive(Archive(tmp_path, files))


def test_the_page_s_form_of_the_memory_summary_is_read(tmp_path: Path) -> None:
    files = written(5)
    fields = json.loads(files["metadata.json"])
    fields["memory"] = {"main": [MAIN], "operator_functions": {"add": [{"device": 1}]}}
    module = from_archive(Archive(tmp_path, {**files, "metadata.json": json.dumps(fields).encode()})).module()
    assert module.memory["functions"]["main"] == [MAIN]
    assert module.memory["functions"]["operator_functions"][0]["function_name"] == "add"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda g: g["nodes"][2]["inputs"].__setitem__(0, [2, 0, 0]), "does not come before"),
        (lambda g: g["nodes"][2]["inputs"].__setitem__(0, [0, 1, 0]), "reads output 1"),
        (lambda g: g["nodes"][2]["attrs"].pop("func_name"), "lack func_name"),
        (lambda g: g["nodes"][2].__setitem__("op", "magic"), "neither null nor tvm_op"),
        (lambda g: g["heads"].__setitem__(0, [9, 0, 0]), "no output 0 of node 9"),
        (lambda g: g["node_row_ptr"].__setitem__(3, 4), "node_row_ptr"),
        (lambda g: g["attrs"]["shape"][1].pop(), "values for 3 entries"),
        (lambda g: g["attrs"]["dltype"][1].__setitem__(0, "quux"), "unknown element type"),
        (lambda g: g["attrs"]["shape"][1].__setitem__(0, [1 << 40, 4]), "bytes, at most"),
        (lambda g: g["arg_nodes"].append(2), "arg_nodes"),
        (lambda g: g["nodes"][2]["attrs"].update(func_name="__nop", num_inputs="2"), "a view must share"),
    ],
)
def test_a_wrong_graph_names_node_and_rule(tmp_path: Path, change: Any, rule: str) -> None:
    graph = json.loads(json.dumps(GRAPH))
    change(graph)
    files = {**written(7), "executor-config/graph/default.graph": json.dumps(graph).encode()}
    with pytest.raises(MlfArtifactError, match="mlf-bad-graph") as caught:
        _ = from_archive(Archive(tmp_path, files)).module().graph
    assert rule in caught.value.evidence


def test_the_older_spelling_of_attributes_is_read(tmp_path: Path) -> None:
    graph = json.loads(json.dumps(GRAPH))
    graph["nodes"][2]["attr"] = graph["nodes"][2].pop("attrs")
    graph["nodes"][2]["control_deps"] = []
    graph["metadata"] = {}
    files = {**written(7), "executor-config/graph/default.graph": json.dumps(graph).encode()}
    assert from_archive(Archive(tmp_path, files)).module().graph is not None


def test_the_graph_run_equals_the_entry_bit_for_bit_and_keeps_every_tensor(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    runner = module.build()
    executor = GraphExecutor(module, runner)
    expected = runner.run(IMAGE)
    assert {name: array.tobytes() for name, array in executor.outputs(IMAGE).items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    assert {"image", "w", "r", "scores"} <= set(module.debug(IMAGE)), "a is part of the kernel that makes r"


def test_a_changed_file_and_a_missing_one_are_told_apart(cnn_tar: Path, tmp_path: Path) -> None:
    files = dict(mlf.load(cnn_tar).archive.files)
    changed = {**files, "codegen/host/src/cnn_lib0.c": files["codegen/host/src/cnn_lib0.c"] + b" "}
    with pytest.raises(MlfArtifactError, match="mlf-changed"):
        from_archive(Archive(tmp_path, changed))
    with pytest.raises(MlfArtifactError, match="mlf-missing-part"):
        from_archive(Archive(tmp_path, {k: v for k, v in files.items() if k != "parameters/cnn.params"}))


def test_a_tarball_whose_c_does_not_compile_still_loads(tmp_path: Path) -> None:
    files = {**written(7), "codegen/host/src/default_lib0.c": b"this is not C\n"}
    module = from_archive(Archive(tmp_path, files)).module()
    assert module.parameters()
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-compile-failed"):
        module.build()


def test_a_second_build_calls_no_compiler_and_other_flags_do(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    module.build()
    assert module.build().build.from_cache
    assert not module.build(cflags=("-O1", "-DOTHER")).build.from_cache


def test_samples_that_do_not_fit_are_refused(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    image = IMAGE["image"]
    for wrong in ({}, {"image": image.astype(np.float64)}, {"image": image[:, :1]}, {**IMAGE, "more": image}):
        with pytest.raises(MlfUsageError, match="mlf-bad-sample"):
            module.run(wrong)
    np.testing.assert_array_equal(
        module.run({"image": np.asfortranarray(image)})["scores"], module.run(IMAGE)["scores"]
    )


def test_an_unpacked_directory_is_a_library_too(cnn_tar: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "xf", str(cnn_tar), "-C", str(tmp_path)], check=True)
    library = mlf.load(tmp_path)
    assert library.digest == mlf.load(cnn_tar).digest
    (tmp_path / "src/link").symlink_to("/etc/passwd")
    with pytest.raises(MlfArtifactError, match="mlf-unsafe-path"):
        mlf.load(tmp_path)


def test_a_file_that_is_no_tar_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_bytes(b"PK\x03\x04" * 300)
    with pytest.raises(MlfArtifactError, match="mlf-bad-archive"):
        mlf.load(tmp_path / "no.tar")
    with pytest.raises(InputError, match="no such tarball") as caught:
        mlf.load(tmp_path / "gone.tar")
    assert caught.value.remedy


@pytest.mark.needs("emx_onnx_cgen")
def test_the_oracle_of_memory_for_a_chain_with_reuse(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    chain (float[64] x) => (float[2] y)
    <float[64,2] w>
    {
      a = Exp(x)
      b = Exp(a)
      c = Exp(b)
      y = MatMul(c, w)
    }
    """
    options = {"verify": False, "optimize": "none", "kernels": "generated"}  # the chain must not become one kernel
    mlf.export(models.model_of(text), tmp_path / "c.tar", name="c", **options)
    sizes = [entry["size_bytes"] for entry in mlf.load(tmp_path / "c.tar").module().memory["sids"]]
    assert sorted(sizes) == [256, 256, 256, 512]  # x, two for the chain and y by turns, w
