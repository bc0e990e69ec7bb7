"""The table of translations that exports take from memory is the one that torch would have built."""

from __future__ import annotations

from typing import Any

import pytest

from turnkey.formats.translation_table import kept_table

registration = pytest.importorskip("torch.onnx._internal.exporter._registration")
torchlib = pytest.importorskip("onnxscript.function_libs.torch_lib.registration")


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnkey.formats.translation_table._kept", {})


def table(opset: int) -> Any:
    return registration.ONNXRegistry().from_torchlib(opset_version=opset)


def test_every_export_gets_an_equal_table_of_its_own() -> None:
    expected = table(20)

    with kept_table():
        first = table(20)
        first.functions.pop("aten::relu")
        first.functions["aten::add.Tensor"].clear()
        second = table(20)

    assert second.opset_version == 20
    assert second.functions == expected.functions


def test_a_table_is_built_once_per_opset_and_anew_when_somebody_adds_a_translation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []

    def empty(cls: type[Any], opset_version: int) -> Any:
        built.append(opset_version)
        return cls()

    original = classmethod(empty)
    monkeypatch.setattr(registration.ONNXRegistry, "from_torchlib", original)

    for opset in (20, 18, 20):
        with kept_table():
            table(opset)
    assert built == [20, 18]
    assert vars(registration.ONNXRegistry)["from_torchlib"] is original, "torch has its own back"

    mine = torchlib.OverloadedFunction("mine::relu")
    mine.overloads.append(len)
    monkeypatch.setitem(torchlib.default_registry._registry, "mine::relu", mine)
    with kept_table():
        table(20)
    assert built == [20, 18, 20]
