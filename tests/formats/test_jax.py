"""Functions that JAX can trace as StableHLO: the way of a source that is no torch module."""

from __future__ import annotations

import numpy as np
import pytest
from source_models import samples_of_x, source_model

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.stored_call import read_stored_call
from turnkey.model.call import CallStructure, Leaf
from turnkey.runtimes import LoadRequest, find_runtime
from turnkey.runtimes.file_verifier import verify_file
from turnkey.runtimes.reference import Reference
from turnkey.verify import Tolerances, VerificationVerdict

pytestmark = pytest.mark.needs("jax")

WEIGHTS = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)


def layer(x, scale):
    import jax.numpy as jnp

    return {"activations": jnp.tanh(x @ WEIGHTS) * scale, "norm": jnp.sqrt((x * x).sum())}


def source_of(function):
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    structure = CallStructure(args=(Leaf("x"),), kwargs={"scale": 2.0})
    return source_model(function, samples_of_x(x, structure=structure), class_name="layer")


def convert(source, path):
    form = find_format("jax")
    return form.convert(ConvertRequest(source=source, path=path, settings=form.settings_type()))


def test_a_function_is_stored_with_a_free_batch_and_verified_like_any_other_variant(tmp_path):
    source = source_of(layer)
    conversion = convert(source, tmp_path / "model.stablehlo")
    signature = read_stored_call(conversion.path).signature
    assert signature.inputs[0].shape == ("batch", 3)
    assert [spec.name for spec in signature.outputs] == ["activations", "norm"]
    found = verify_file(
        Reference(source),
        key="jax",
        path=conversion.path,
        stored_as="jax",
        exported=None,
        tolerances=Tolerances(),
        threads=1,
    )
    assert found.verdict is VerificationVerdict.VALID
    assert [part.origin for part in found.parts] == ["captured", "batch size 1", "batch size 5"]


def test_a_function_that_asks_for_its_batch_size_gets_that_of_its_sample(tmp_path):
    def sized(x, scale):
        return x * scale if x.shape[0] > 3 else x

    conversion = convert(source_of(sized), tmp_path / "model.stablehlo")
    assert read_stored_call(conversion.path).signature.inputs[0].shape == (4, 3)
    assert "free batch axis refused" in conversion.notes[0]


def test_a_function_that_cannot_be_traced_and_a_file_that_cannot_be_read_are_errors_with_the_reason(tmp_path):
    def branching(x, scale):
        return x if x.sum() > 0 else -x

    with pytest.raises(ConversionError, match="cannot trace") as caught:
        convert(source_of(branching), tmp_path / "model.stablehlo")
    assert "Tracer" in caught.value.evidence
    conversion = convert(source_of(layer), tmp_path / "model.stablehlo")
    conversion.path.write_bytes(b"not StableHLO")
    with pytest.raises(ConversionError, match="JAX cannot read"):
        find_runtime("jax").load(LoadRequest(path=conversion.path, threads=1))
