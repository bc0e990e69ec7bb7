"""By which precision a tarball is judged: its key tells."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest

import turnkey.mlf as mlf
from turnkey.pipeline.state import Variant
from turnkey.tools.tarball_variant import tarball_variant
from turnkey.verify import precision_of

pytestmark = pytest.mark.needs("emx_onnx_cgen")

BYTES = """
<ir_version: 8, opset_import: ["" : 17]>
tiny (float[4] x) => (float[4] y)
<float s = {0.1}, uint8 z = {100}>
{
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  r = Sigmoid(d)
  c = QuantizeLinear(r, s, z)
  y = DequantizeLinear(c, s, z)
}
"""
FLOATS = '<ir_version: 8, opset_import: ["" : 17]> tiny (float[4] x) => (float[4] y) { y = Sigmoid(x) }'


@pytest.mark.parametrize(
    ("text", "parent", "key"),
    [
        (FLOATS, "onnx", "onnx-mlf"),
        (BYTES, "onnx", "onnx-int8-mlf"),
        (BYTES, "onnx-opt-int8", "onnx-opt-int8-mlf"),
        (FLOATS, "onnx-fp16", "onnx-fp16-mlf"),
    ],
)
def test_a_tarball_that_computes_on_bytes_is_judged_as_such(text: str, parent: str, key: str, tmp_path: Path) -> None:
    path = tmp_path / "mlf" / "tiny.tar"
    path.parent.mkdir()
    made = mlf.export(onnx.parser.parse_model(text), path, name="tiny", optimize="none", compile=False, verify=False)
    source = Variant(key=parent, format="onnx", path="tiny.onnx", sha256="")
    variant = tarball_variant(made.library, path, parent=source, build_dir=tmp_path, exporter="turnkey-mlf")
    assert (variant.key, variant.path, variant.lineage) == (key, "mlf/tiny.tar", (parent,))
    assert precision_of(variant.key) == (precision_of("int8") if text == BYTES else precision_of(parent))
