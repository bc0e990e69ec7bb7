"""The settings: what may be said, and who wins."""

from __future__ import annotations

from typing import Any

import pytest

from turnkey.errors import UsageError
from turnkey.lexer.options import DOCUMENTED, KEYS, LexerSettings, checked, resolve


def test_the_later_layer_wins_and_what_was_given_is_known() -> None:
    settings = resolve({"num_iterations": 5, "enable_csv": False}, {"num_iterations": 7})

    assert (settings.num_iterations, settings.enable_csv, settings.enable_stdout) == (7, False, True)
    assert settings.given == {"num_iterations", "enable_csv"}
    assert settings.exact_iterations
    assert not resolve({"enable_csv": True}).exact_iterations


def test_the_shipped_defaults_are_the_documented_ones() -> None:
    shipped = LexerSettings()

    documented = {key: getattr(shipped, key) for keys in DOCUMENTED.values() for key in keys}
    assert documented == {
        "batch_size": None,  # inferred from the input
        "enable_export_validation": True,
        "enable_onnx_checks": True,
        "enable_onnxruntime": True,
        "enable_pytorch": True,
        "num_iterations": 1_000_000,
        "enable_csv": True,
        "enable_stdout": True,
        "input_names": None,
        "output_names": None,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", "four"),
        ("batch_size", 0),
        ("batch_size", True),
        ("num_iterations", 0),
        ("num_iterations", 2.5),
        ("enable_csv", "yes"),
        ("enable_pytorch", 1),
        ("input_names", "input"),
        ("input_names", ["a", "a"]),
        ("output_names", [1]),
        ("rtol", float("nan")),
        ("atol", -1.0),
        ("max_seconds", float("inf")),
        ("effort", "heroic"),
        ("on_validation_failure", "ignore"),
        ("engines", ["onnxruntim"]),
        ("tags", {"a": 1}),
        ("device", ""),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_what_is_allowed(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name} must be") as caught:
        checked({name: value}, where="benchmark()")
    assert "benchmark()" in caught.value.evidence


def test_a_misspelt_key_is_answered_by_the_nearest_one_and_all_that_exist() -> None:
    with pytest.raises(UsageError, match="did you mean num_iterations") as caught:
        checked({"num_iteration": 5}, where="@Lexer")
    assert all(key in caught.value.remedy for key in KEYS)


def test_engines_go_by_their_aliases_and_stand_after_the_two_with_switches() -> None:
    settings = resolve(checked({"engines": ["torch-compiled", "ort"]}, where="benchmark()"))

    assert settings.engine_names == ("onnxruntime", "torch", "torch-compile")
    assert not resolve({"enable_onnxruntime": False, "enable_onnx_checks": False}).needs_onnx
    assert resolve({"enable_onnxruntime": False}).needs_onnx
