"""The table on the terminal."""

from __future__ import annotations

from turnkey.report.overview import overview, remedies
from turnkey.report.source import collect

from .conftest import MEASUREMENT, MakeBuild


def test_a_figure_with_too_few_calls_behind_it_is_a_dash_and_the_choice_is_marked(make_build: MakeBuild) -> None:
    invalid = {
        **MEASUREMENT,
        "key": "torch",
        "validity": "INVALID",
        "reasons": ["steal: 30 % (use a quiet host)"],
        "p99_ms": 2.0,
    }
    paths = make_build("net", measurements=[MEASUREMENT, invalid], chosen=MEASUREMENT["key"])
    builds = collect([paths.cache_dir]).builds
    first, second = overview(builds).rows
    assert first[2:] == (
        "onnx-opt @ onnxruntime",
        "1.23",
        "1.5",
        "–",
        "810",
        "200 MiB",
        "44.0 MiB",
        "valid",
        "recommended",
    )
    assert second[-1] == "INVALID (steal)"
    assert remedies(builds) == ("INVALID (steal): use a dedicated machine: the hypervisor takes CPU time away",)


def test_a_build_without_measurements_says_how_far_it_came(make_build: MakeBuild) -> None:
    paths = make_build("net", "error", reason="no model was called\nmore")
    [row] = overview(collect([paths.cache_dir]).builds).rows
    assert (row[0], row[1], row[-1]) == ("net", "error", "no model was called")
