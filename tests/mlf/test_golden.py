"""The C text of thirty nodes stays: an update of the generator, or of what takes it apart, is seen as a difference."""

from __future__ import annotations

import pytest
from golden_nodes import DIRECTORY, NODES, text_of

pytestmark = pytest.mark.needs("emx_onnx_cgen")


@pytest.mark.parametrize("name", NODES)
def test_the_text_is_the_stored_one(name: str) -> None:
    stored = (DIRECTORY / f"{name}.c").read_text(encoding="utf-8")
    assert text_of(name) == stored, "if that is wanted: python tests/mlf/golden_nodes.py, then benchmarks/mlf_nodes.py"


def test_thirty_nodes_have_a_text_and_nothing_else_has() -> None:
    assert sorted(path.stem for path in DIRECTORY.iterdir()) == sorted(NODES)
    assert len(NODES) == 30
