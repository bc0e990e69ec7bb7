"""What is said of a scheme: slower is claimed where it is proven, and its reason where there is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turnkey.measure.validity import Reason
from turnkey.measure.verdict import Kind, Verdict
from turnkey.tools import quantized
from turnkey.tools.quantized import Quantized, conclusions, verdict_in_words


def told(**fields):
    attempt = Quantized(scheme="onnx-int8-dynamic", base="onnx", key="onnx-int8-dynamic", **fields)
    [line] = conclusions([attempt], measured=True)
    return line


@pytest.mark.parametrize(("has_vnni", "why"), [(False, "; no VNNI"), (True, "")])
def test_what_is_proven_slower_is_said_with_its_interval_and_what_the_processor_lacks(monkeypatch, has_vnni, why):
    monkeypatch.setattr(quantized, "has_vnni", lambda: has_vnni)
    line = told(speedup=0.71, verdict="SLOWER 0.71× [0.68, 0.74]", is_slower=True, size_bytes=10, base_bytes=39)
    assert line == (
        "onnx-int8-dynamic: not quantised: 1.4 times slower here than onnx "
        f"(SLOWER 0.71× [0.68, 0.74]{why}); 3.9 times smaller"
    )


def test_a_ratio_below_one_that_proves_nothing_is_not_called_slower():
    line = told(speedup=0.97, verdict="UNDECIDED 0.97× [0.80, 1.20]", size_bytes=10, base_bytes=39)
    assert "not proven faster here than onnx (UNDECIDED 0.97× [0.80, 1.20])" in line
    assert "slower" not in line


def test_what_pays_and_what_is_refused_say_so():
    assert "pays: FASTER 1.29× [1.18, 1.40] than onnx" in told(verdict="FASTER 1.29× [1.18, 1.40]", pays=True)
    assert told(refusal="invalid: error 0.3, allowed 0.1").endswith("refused: invalid: error 0.3, allowed 0.1")


def test_a_verdict_that_must_not_be_used_names_the_reasons_of_its_pair_alone():
    verdict = Verdict(
        key="q", reference="onnx", kind=Kind.UNDECIDED, ratio=1.15, low=1.03, high=1.25, rounds=5, level=0.05
    )
    reasons = [
        Reason(code=code, key=key, evidence="e", spoils_value=True, spoils_verdict=spoils, remedy="r")
        for code, key, spoils in [
            ("foreign-load", "q", True),
            ("foreign-load", "onnx", True),
            ("memory", "", False),
            ("wrong-output", "other", True),
        ]
    ]
    spoiled = replace(verdict, is_valid=False)
    assert verdict_in_words(spoiled, reasons) == "UNDECIDED 1.15× [1.03, 1.25] INVALID (foreign-load)"
    assert verdict_in_words(verdict, []) == "UNDECIDED 1.15× [1.03, 1.25]"
