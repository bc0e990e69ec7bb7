"""The recorded figures of fixed networks: what may not grow, and what the comparison calls worse."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("emx_onnx_cgen")

LATENCY = {"ratio": 2.0, "low": 1.9, "high": 2.1}
ENTRY = {
    "compiler": "gcc 12",
    "processor": "this one",
    "seconds": 5.0,
    "networks": {"net": {"workspace": 1000, "constants": 64, "source": 9000, "text": 700, "latency": LATENCY}},
}


@pytest.fixture(scope="module")
def figures(benchmark_module: Callable[[str], Any]) -> Any:
    return benchmark_module("mlf_figures")


def _changed(**figures_of_net: Any) -> dict[str, Any]:
    entry = copy.deepcopy(ENTRY)
    entry["networks"]["net"].update(figures_of_net)  # type: ignore[index]
    return entry


def _worse(figures: Any, now: dict[str, Any]) -> list[str]:
    return [difference.text for difference in figures.differences(ENTRY, now) if difference.is_regression]


def test_equal_figures_differ_in_nothing(figures: Any) -> None:
    assert figures.differences(ENTRY, _changed()) == []


def test_one_more_byte_is_worse_and_one_less_is_only_said(figures: Any) -> None:
    assert _worse(figures, _changed(workspace=1001)) == ["net: workspace 1,000 -> 1,001 (+1)"]
    (less,) = figures.differences(ENTRY, _changed(source=8999))
    assert (less.text, less.is_regression) == ("net: source 9,000 -> 8,999 (-1)", False)


def test_what_a_compiler_makes_is_compared_for_the_recorded_compiler_alone(figures: Any) -> None:
    assert _worse(figures, _changed(text=701))
    assert not figures.differences(ENTRY, {**_changed(text=701), "compiler": "gcc 13"})


@pytest.mark.parametrize(
    ("latency", "is_worse"),
    [
        ({"ratio": 2.6, "low": 2.3, "high": 2.9}, True),
        ({"ratio": 2.6, "low": 2.05, "high": 3.2}, False),  # the intervals meet
        ({"ratio": 2.4, "low": 2.3, "high": 2.5}, False),  # less than a quarter more
        ({"ratio": 1.0, "low": 0.9, "high": 1.1}, False),
    ],
)
def test_latency_is_worse_beyond_the_interval_and_a_quarter(
    figures: Any, latency: dict[str, float], is_worse: bool
) -> None:
    assert bool(_worse(figures, _changed(latency=latency))) is is_worse
    assert not _worse(figures, {**_changed(latency=latency), "processor": "another"})


def test_experiments_join_to_their_median_and_to_the_interval_that_covers_theirs(figures: Any) -> None:
    rounds = [LATENCY, {"ratio": 2.5, "low": 2.4, "high": 2.6}, {"ratio": 2.2, "low": 1.2, "high": 2.3}]
    assert figures.joined(rounds) == {"ratio": 2.2, "low": 1.2, "high": 2.6}


def test_a_network_that_is_not_exported_any_more_and_doubled_time_are_worse(figures: Any) -> None:
    assert _worse(figures, {**_changed(), "networks": {}}) == ["net: recorded, and not exported any more"]
    assert _worse(figures, {**_changed(), "seconds": 10.1}) == ["exports: 5.0 -> 10.1 s of processor time"]


def test_the_smallest_network_needs_no_more_than_was_recorded(figures: Any, tmp_path: Path) -> None:
    recorded = json.loads(figures.RECORDED.read_text(encoding="utf-8"))[-1]["networks"]
    assert recorded.keys() == figures.NETWORKS.keys()
    now = figures.exported("smallcnn", tmp_path)
    grown = {name: (recorded["smallcnn"][name], now[name]) for name in figures.SOURCE_FIGURES}
    assert all(is_ <= was for was, is_ in grown.values()), f"{grown}; meant? python benchmarks/mlf_figures.py --record"
