"""What an index of the C code can reach."""

from __future__ import annotations

from pathlib import Path

import onnx.parser
import pytest

import turnkey.mlf as mlf

LARGE = """
<ir_version: 8, opset_import: ["" : 17]>
large (float[1, 32768] x) => (float[1, 1] y)
<int64[2] shape = {65536, 32768}>
{
  spread = Expand(x, shape)
  bent = Tanh(spread)
  y = ReduceMax<axes=[0, 1], keepdims=1>(bent)
}
"""


def test_a_tensor_beyond_every_index_is_refused_by_its_name(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(LARGE)
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-too-many-values") as caught:
        mlf.export(model, tmp_path / "large.tar", optimize="none", compile=False, verify=False)
    assert "'spread'" in caught.value.what
    assert "2147483648 values" in caught.value.evidence
    assert "--dim" in caught.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("emx_onnx_cgen")
def test_the_largest_tensor_that_indices_reach_is_not_refused(tmp_path: Path) -> None:
    text = LARGE.replace("65536", "65535")
    mlf.export(onnx.parser.parse_model(text), tmp_path / "large.tar", optimize="none", compile=False, verify=False)
    assert mlf.load(tmp_path / "large.tar").module().plan["workspace"] >= 4 * 65535 * 32768
