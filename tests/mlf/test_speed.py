"""The benchmark against ONNX Runtime: what it concludes from the ratios of the networks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import onnx
import pytest


@pytest.fixture(scope="module")
def speed(benchmark_module: Callable[[str], Any]) -> Any:
    return benchmark_module("mlf_speed")


def _of(speed: Any, name: str, ratio: float) -> Any:
    return speed.Speed(name, 50.0, 100.0, speed.Ratio(ratio, ratio / 2, 2 * ratio, "SLOWER"), None, *[None] * 5)


def test_the_mean_is_geometric_and_its_interval_covers_where_every_interval_does(speed: Any) -> None:
    mean = speed.geometric_mean([_of(speed, name, ratio).ratio for name, ratio in (("a", 0.5), ("b", 2.0))])
    assert (mean.value, mean.low, mean.high) == pytest.approx((1.0, 0.5, 2.0))


@pytest.mark.parametrize(
    ("ratios", "code"),
    [((0.5, 1.5), 0), ((0.5, 1.6), 1), ((1.1, 1.0), 1)],
    ids=["fast", "one is too slow", "slow in the mean"],
)
def test_the_exit_code_says_whether_both_limits_hold(
    speed: Any,
    ratios: tuple[float, ...],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    left = iter(ratios)
    monkeypatch.setattr(speed, "measured", lambda name, *_, **__: _of(speed, name, next(left)))
    monkeypatch.setattr(sys, "argv", ["mlf_speed.py", "--networks", "gru", "lstm", "--no-generator"])
    assert speed.main() == code
    assert ("NO" in capsys.readouterr().out) is bool(code)


def test_there_are_at_least_eight_networks_and_the_checker_takes_them(speed: Any) -> None:
    assert len(speed.SMALL_NETWORKS) >= 8
    for name, made in speed.SMALL_NETWORKS.items():
        if name != "resnet18":  # eleven million weights: half a second
            onnx.checker.check_model(made(), full_check=True)
