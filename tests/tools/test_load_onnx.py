"""The tool load-onnx, run in a sequence on real files."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper, parser

from turnkey.errors import InputError, UsageError
from turnkey.model.samples import read_samples
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state import State

TEXT = """
<ir_version: 8, opset_import: ["": 17]>
embed (int64[batch,seq] ids, bool[seq] keep) => (float[batch,seq,40] y) {
  row = Gather(table, ids)
  zero = Constant<value: tensor = float {0}>()
  wide = Unsqueeze(keep, last)
  y = Where(wide, row, zero)
}
"""


@pytest.fixture
def given(tmp_path):
    model = parser.parse_model(TEXT)
    table = np.random.default_rng(0).standard_normal((9, 40)).astype(np.float32)
    model.graph.initializer.extend(
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "last")]
    )
    path = tmp_path / "given files" / "embed.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="weights.bin")
    return path


def load(path, cache, **arguments):
    state = State(cache_dir=cache, build_name="embed", environment={"seed": arguments.pop("seed", 0)})
    return Sequence([("load-onnx", {"input": str(path), **arguments})]).launch(state)


def test_the_file_is_copied_with_its_external_data_and_runs_on_its_samples_without_the_original(given, cache):
    state = load(given, cache, dim=["batch=2", "seq=5"])
    shutil.rmtree(given.parent)
    [variant] = state.variants
    assert (variant.key, variant.exporter, variant.path) == ("onnx", "loaded", "onnx/embed-op17-loaded.onnx")
    assert sorted(path.name for path in (state.build_dir / "onnx").iterdir()) == [
        "embed-op17-loaded.onnx",
        "embed-op17-loaded.onnx.data",
    ]
    samples = read_samples(BuildPaths(cache, "embed").samples)
    session = onnxruntime.InferenceSession(str(state.build_dir / variant.path))
    for sample in samples.inputs:
        assert sample["ids"].shape == (2, 5)
        assert session.run(None, sample)[0].shape == (2, 5, 40)
    assert state.model.module is None
    assert state.model.path == state.build_dir / variant.path


def test_symbolic_dimensions_stay_in_the_state_and_the_statistics_are_filled(given, cache):
    state = load(given, cache)
    assert state.expected_input_shapes == {"ids": ("batch", "seq"), "keep": ("seq",)}
    assert state.expected_input_dtypes == {"ids": "int64", "keep": "bool"}
    assert state.expected_output_names == ("y",)
    assert state.onnx_opset == 17
    found = state.statistics
    assert found["onnx_ops_counter"] == {"Constant": 1, "Gather": 1, "Unsqueeze": 1, "Where": 1}
    assert found["onnx_model_information"]["opset"] == found["opset"] == 17
    assert found["onnx_input_dimensions"] == {"ids": ["batch", "seq"], "keep": ["seq"]}
    assert found["onnx_total_flops"] == 0
    assert (found["exporter"], found["class"], found["parameters"]) == ("loaded", "embed", 360)
    assert found["hash"] == found["selected_invocation_hash"] == state.model_hash[:8]
    [variant] = state.variants
    assert any("batch, seq" in note and "--dim" in note for note in variant.notes)


def test_samples_follow_the_seed_and_the_seed_is_recorded(given, cache):
    first, again, other = (load(given, cache, seed=seed, dim=["seq=30"]).model.samples for seed in (3, 3, 4))
    assert (first.seed, other.seed) == (3, 4)
    np.testing.assert_array_equal(first.inputs[0]["ids"], again.inputs[0]["ids"])
    assert (first.inputs[0]["ids"] != other.inputs[0]["ids"]).any()


def test_missing_external_data_is_named(given, cache):
    (given.parent / "weights.bin").unlink()
    with pytest.raises(InputError, match="external data") as caught:
        load(given, cache)
    assert "weights.bin" in caught.value.evidence
    assert not (cache / "embed" / "onnx").exists()


def test_a_file_whose_inputs_do_not_fit_into_memory_leaves_nothing_behind(given, cache):
    with pytest.raises(InputError, match="do not fit into memory"):
        load(given, cache, dim=["batch=1000000000", "seq=1000000000"])
    assert not (cache / "embed" / "onnx").exists()


def test_a_file_without_outputs_is_refused(tmp_path, cache):
    onnx.save(
        parser.parse_model('<ir_version: 10, opset_import: ["": 20]> g (float[2] x) => () {y = Relu(x)}'),
        tmp_path / "g.onnx",
    )
    with pytest.raises(InputError, match="gives nothing back"):
        load(tmp_path / "g.onnx", cache)


def test_floating_weights_play_the_part_of_parameters_and_integers_do_not(tmp_path, cache):
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["": 21]>
        g (float[2] x) => (float[3,2] y) <int4[3,2] table = {1, 2, 3, 4, 5, 6}, float scale = {0.5}>
        { wide = DequantizeLinear(table, scale)  y = Add(wide, x) }"""
    )
    onnx.save(model, tmp_path / "g.onnx")
    assert load(tmp_path / "g.onnx", cache).statistics["parameters"] == 1


def test_an_unknown_dimension_and_a_hash_are_usage_errors(given, cache):
    with pytest.raises(UsageError, match="'lenght'") as caught:
        load(given, cache, dim=["lenght=4"])
    with pytest.raises(UsageError, match="dimensions 'lenght', 'bach', which") as caught:
        load(given, cache, dim=["lenght=4", "bach=2", "seq=5"])
    assert caught.value.remedy == "--dim batch=1 seq=5"
    assert "batch, seq" in caught.value.evidence
    with pytest.raises(UsageError, match="needs no hash"):
        load(given, cache, target="479b1332")


def test_a_directory_an_empty_and_a_corrupt_file_are_input_errors(tmp_path, cache):
    from turnkey.tools.load_onnx import LoadOnnx

    state = State(cache_dir=cache, build_name="bad")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "corrupt.onnx").write_bytes(b"\x08\x09corrupt")
    for name, what in (("folder", "is a directory"), ("empty", "not an ONNX model"), ("corrupt", "not an ONNX model")):
        with pytest.raises(InputError, match=what):
            LoadOnnx().run(state, input=str(tmp_path / f"{name}.onnx"))
