"""Which sequence each kind of input goes through."""

from __future__ import annotations

import pytest

from turnkey.errors import UsageError
from turnkey.launch.plan import DEFAULT_SEQUENCES, FIRST_TOOLS, sequence_for
from turnkey.model.inputs import InputKind
from turnkey.pipeline.sequence import Sequence


@pytest.mark.parametrize("kind", InputKind)
def test_without_tools_each_kind_has_its_default_sequence(kind: InputKind) -> None:
    sequence = sequence_for(kind, None)

    assert sequence.names == DEFAULT_SEQUENCES[kind]
    assert sequence.names[0] == FIRST_TOOLS[kind]


@pytest.mark.parametrize("kind", InputKind)
def test_under_discover_every_input_is_loaded_by_its_own_first_tool(kind: InputKind) -> None:
    sequence = sequence_for(
        kind, Sequence([("discover", {"max_depth": 2}), ("export-pytorch", {"opset": 17}), "verify"])
    )

    assert sequence.names == (FIRST_TOOLS[kind], "export-pytorch", "verify")
    assert sequence.steps[1][1]["opset"] == 17
    assert ("max_depth" in sequence.steps[0][1]) == (kind is InputKind.SCRIPT)


@pytest.mark.parametrize("kind", InputKind)
@pytest.mark.parametrize("first", [tool for tool in FIRST_TOOLS.values() if tool != "discover"])
def test_a_loader_takes_only_what_it_loads(kind: InputKind, first: str) -> None:
    sequence = Sequence([first, "verify"])
    if FIRST_TOOLS[kind] == first:
        assert sequence_for(kind, sequence) == sequence
        return

    with pytest.raises(UsageError, match=f"{first} does not take") as caught:
        sequence_for(kind, sequence)
    assert f"{FIRST_TOOLS[kind]} verify" in caught.value.remedy


def test_a_sequence_needs_a_first_tool() -> None:
    with pytest.raises(UsageError, match="cannot start") as caught:
        sequence_for(InputKind.ONNX, Sequence(["verify"]))
    assert "load-onnx verify" in caught.value.remedy
