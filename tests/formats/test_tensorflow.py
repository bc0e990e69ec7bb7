"""Functions of TensorFlow: stored, and on their way to ONNX by tf2onnx."""

from __future__ import annotations

import numpy as np
import pytest
from source_models import samples_of_x, source_model

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.runtimes.file_verifier import verify_file
from turnkey.runtimes.reference import Reference
from turnkey.verify import Tolerances, VerificationVerdict

# The import costs seconds: only where a test runs.
pytestmark = [pytest.mark.slow, pytest.mark.needs("tensorflow", "tf2onnx")]

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
    return source_model(function, samples_of_x(x), class_name="layer")


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
