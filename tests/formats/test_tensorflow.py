"""Functions of TensorFlow: stored, and on their way to ONNX by tf2onnx."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.model.call import CallStructure, Leaf
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.runtimes.file_verifier import verify_file
from turnkey.runtimes.reference import Reference
from turnkey.verify import Tolerances, VerificationVerdict

# The import costs seconds: what is not installed must not be tried, and what is only where a test runs.
missing = [name for name in ("tensorflow", "tf2onnx") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
]

WEIGHTS = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def layer(x):
    import tensorflow as tf

    return tf.tanh(tf.matmul(x, tf.constant(WEIGHTS)))


def keras_model():
    import keras

    return keras.Sequential(
        [keras.layers.Input((3,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(2)]
    )


def layer_with_a_variable():
    import tensorflow as tf

    weights = tf.Variable(WEIGHTS)
    return lambda x: tf.matmul(x, weights)


def source_of(function):
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    return SourceModel(
        module=function,
        samples=SampleSet(structure=CallStructure(args=(Leaf("x"),), kwargs={}), inputs=({"x": x},), outputs=(None,)),
        class_name="layer",
        model_hash="0" * 64,
        hash_basis="calls",
        weights_hash="0" * 8,
        parameter_count=0,
        parameter_bytes=0,
    )


def convert(name, path, **request):
    form = find_format(name)
    return form.convert(ConvertRequest(path=path, settings=form.settings_type(), **request))


@pytest.mark.parametrize("make", [lambda: layer, keras_model, layer_with_a_variable])
def test_a_function_reaches_onnx_over_a_saved_model_and_is_verified_at_other_batch_sizes(tmp_path, make):
    source = source_of(make())
    saved = convert("tf-savedmodel", tmp_path / "model.savedmodel", source=source)
    made = convert("onnx-tensorflow", tmp_path / "model.onnx", parent=saved.path)
    found = verify_file(
        Reference(source),
        key="onnx-tensorflow",
        path=made.path,
        stored_as="onnx",
        exported=None,
        tolerances=Tolerances(),
        threads=1,
    )
    assert found.verdict is VerificationVerdict.VALID
    assert [part.origin for part in found.parts] == ["captured", "batch size 1", "batch size 5"]


def test_what_tensorflow_cannot_trace_is_an_error_with_its_words(tmp_path):
    def untraceable(x):
        return float(x.numpy().sum())

    with pytest.raises(ConversionError, match="TensorFlow cannot trace") as caught:
        convert("tf-savedmodel", tmp_path / "model.savedmodel", source=source_of(untraceable))
    assert "numpy" in caught.value.evidence
