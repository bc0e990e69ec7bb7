"""The HTML report as a file: what it holds and what it escapes. How it behaves is in test_page_in_browser.py."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.measure import Shape, TargetDescription, run_load
from turnkey.pipeline.state import Variant
from turnkey.report import write_record_page, write_report

from .conftest import MEASUREMENT, MakeBuild

pytestmark = pytest.mark.needs("jinja2")

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


class Tags(HTMLParser):
    """All start tags with their attributes, and the text outside of style and script."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skips = 0
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._skips += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._skips -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._skips:
            self.text += data


def page_of(cache: Path, out: Path) -> str:
    return write_report([cache], out, formats=("html",)).files["html"].read_text(encoding="utf-8")


def measured_build(make_build: MakeBuild, cache: Path, name: str = "net") -> None:
    """A build with two candidates, a record of them, verification and a recommendation."""
    record = "runs/1.zip"
    torch = {
        **MEASUREMENT,
        "key": "torch",
        "variant": None,
        "runtime": "torch",
        "latency_ms": 2.5,
        "latency_low_ms": 2.4,
        "latency_high_ms": 2.6,
        "import_ms": 900.0,
        "load_ms": 20.0,
        "first_call_ms": 7.0,
        "record": record,
    }
    onnx = {**MEASUREMENT, "record": record, "import_ms": 150.0, "load_ms": 30.0, "first_call_ms": 2.0}
    paths = make_build(
        name,
        measurements=[torch, onnx],
        chosen=onnx["key"],
        recommendation=f"recommended: {onnx['key']}",
        parameters=123456,
        verification=[
            {
                "key": "onnx-opt",
                "origin": "captured",
                "samples": 1,
                "verdict": "valid",
                "reason": "",
                "outputs": [{"name": "y", "max_abs": 1e-6, "max_rel": 2e-6, "relative_l2": 3e-7}],
            }
        ],
        variants=[Variant(key="onnx-opt", format="onnx", path="onnx/x.onnx", sha256="0", size_bytes=44 << 20)],
        **{"tool_status:verify": "successful", "tool_status:benchmark": "successful"},
    )
    simulated_record(
        {"torch": 2.5, str(onnx["key"]): 1.25}, paths.directory / record, reference="torch", effort="standard"
    )


def test_it_shows_figures_with_intervals_verdict_verification_and_environment(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    measured_build(make_build, cache)
    tags = Tags(page_of(cache, tmp_path))
    assert "1.25 [1.2, 1.3]" in tags.text
    assert re.search(r"FASTER (1\.9|2\.0)\d× \[\d", tags.text)
    assert "Recommended: onnx-opt @ onnxruntime." in tags.text
    assert "3.0e-07" in tags.text
    assert "noise floor" in tags.text
    titles = {attributes.get("aria-label") for tag, attributes in tags.found if tag == "svg"}
    assert {
        "Latency of each candidate with its interval",
        "Cold start of each candidate",
        "Total time over calls",
        "Timed slices in time order",
        "Warm-up calls",
    } <= titles


def test_a_build_that_was_verified_and_not_measured_says_so(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    make_build("net", verify_status="valid")
    assert "<td>valid</td>" in page_of(cache, tmp_path)


def test_many_models_have_pass_rates_by_label_and_by_family(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    for index, status in enumerate(("error", "successful", "successful", "skipped")):
        make_build(
            f"resnet{index}", status, labels={"library": ["timm"], "number": [str(index)]}, **{"class": "ResNet"}
        )
    make_build("bert", labels={"library": ["transformers"]}, **{"class": "Bert"})

    tags = Tags(page_of(cache, tmp_path))

    titles = {str(attributes.get("aria-label")) for tag, attributes in tags.found if tag == "svg"}
    assert {title for title in titles if title.startswith("Pass rates by")} == {
        "Pass rates by library",
        "Pass rates by class",
    }, "the number says nothing of a group"
    for said in ("timm: 2 of 3", "transformers: 1 of 1", "ResNet: 2 of 3", "Bert: 1 of 1"):
        assert said in tags.text


def test_rates_are_a_sentence_where_everything_passed_and_few_ratios_have_their_names(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    long = "a-model-with-a-name-that-is-longer-than-any-line-of-a-drawing-can-be"
    for name in ("net", long):
        measured_build(make_build, cache, name)

    tags = Tags(page_of(cache, tmp_path))

    titles = {str(attributes.get("aria-label")) for tag, attributes in tags.found if tag == "svg"}
    assert not any(title.startswith("Pass rate") for title in titles)
    assert "Everything passed: verify, benchmark." in tags.text
    assert re.search(r"net, onnx-opt @ onnxruntime: (1\.9|2)\S* \[", tags.text)
    assert re.search(r"a-model-with-a-name\S*…: (1\.9|2)\S* \[", tags.text)


def test_it_asks_for_nothing_and_runs_only_its_own_script(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    measured_build(make_build, cache)
    tags = Tags(page_of(cache, tmp_path))
    loading = [(tag, value) for tag, attributes in tags.found for name, value in attributes.items() if name == "src"]
    assert loading == []
    links = [attributes["href"] for tag, attributes in tags.found if "href" in attributes]
    assert all(str(link).startswith(("#", "data:,")) for link in links)
    [policy] = [attributes["content"] for tag, attributes in tags.found if "http-equiv" in attributes]
    assert str(policy).startswith("default-src 'none';")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", str(policy))
    assert sum(tag == "script" for tag, _ in tags.found) == 1


def test_names_labels_and_messages_from_outside_are_text(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    hostile = {**MEASUREMENT, "key": HOSTILE, "runtime": HOSTILE, "verification": HOSTILE, "notes": [HOSTILE]}
    make_build(
        "net",
        "error",
        measurements=[hostile, MEASUREMENT],
        labels={HOSTILE: (HOSTILE,)},
        reason=HOSTILE,
        error_log=HOSTILE,
        **{"class": HOSTILE, "tool_status:verify": "error"},
    )
    make_build("other", "error", reason=HOSTILE, **{"tool_status:verify": "error"})
    tags = Tags(page_of(cache, tmp_path))
    assert HOSTILE in tags.text
    assert sum(tag == "script" for tag, _ in tags.found) == 1
    assert not any(tag == "img" for tag, _ in tags.found)
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)


def test_failures_stand_together_with_links_to_their_models(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        make_build(name, "error", reason="no kernel for Foo", **{"tool_status:export-pytorch": "error"})
    make_build("fine", **{"tool_status:export-pytorch": "successful"})
    markup = page_of(cache, tmp_path)
    assert "export-pytorch: 1 of 3" in markup
    assert "Not everything passed: export-pytorch 1 of 3." in markup
    assert re.search(r"no kernel for Foo</td><td class=\"n\">2</td>.*#model-0.*#model-1", markup)


def test_conversions_that_failed_stand_together_though_their_builds_are_successful(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    made = {"key": "openvino", "format": "openvino", "outcome": "made", "seconds": 1.5}
    failed = {"key": "executorch", "format": "executorch", "outcome": "failed", "error": {"what": "no operator Foo"}}
    for name in ("a", "b"):
        make_build(name, conversions=[made, failed])
    text = Tags(page_of(cache, tmp_path)).text
    assert "to openvino: 2 of 2" in text
    assert "to executorch: 0 of 2" in text
    assert "convert --to executorchno operator Foo2a b" in text


def test_builds_of_one_name_are_told_apart_by_their_caches(make_build: MakeBuild, tmp_path: Path) -> None:
    for name in ("first", "second"):
        make_build("any", cache_dir=tmp_path / name)
    files = write_report([tmp_path / "first", tmp_path / "second"], tmp_path / "out", formats=("html",)).files
    text = Tags(files["html"].read_text()).text
    assert "first/any" in text
    assert "second/any" in text


def test_a_record_that_cannot_be_read_is_said_and_the_rest_shown(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    make_build("net", measurements=[{**MEASUREMENT, "record": "runs/gone.zip"}])
    text = Tags(page_of(cache, tmp_path)).text
    assert "record not readable: runs/gone.zip: there is no record" in text
    assert "1.25 [1.2, 1.3]" in text


def test_batch_sizes_give_a_curve(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    rungs = [{"batch_size": batch, "items_per_second": 500.0 * batch, "latency_ms": 2.0} for batch in (1, 2, 4)]
    curve = {"rungs": rungs, "reason": "all batch sizes were measured"}
    make_build("net", measurements=[{**MEASUREMENT, "batches": curve}])
    text = page_of(cache, tmp_path)
    assert "Latency and throughput over batch sizes" in text
    assert "2,000 items per second at batch 4; all batch sizes were measured." in text


def test_numbers_of_clients_give_a_curve_and_a_sentence(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    paths = make_build("net", measurements=[MEASUREMENT])
    paths.records.mkdir()
    target = TargetDescription(
        key="numpy", factory="turnkey.measure.numpy_target:load_numpy", arguments={"kernels": 2, "size": 5000}
    )
    run_load(target, Shape(kind="concurrency", clients=(1, 2), seconds=0.2), path=paths.records / "load.zip")
    text = page_of(cache, tmp_path)
    assert "Latency and throughput over clients" in text
    assert "numpy peaks at" in text


def test_a_record_alone_has_a_page_with_every_number_from_its_samples(tmp_path: Path) -> None:
    simulated_record({"torch": 2.0, "onnx": 1.0}, tmp_path / "run.zip", reference="torch")
    text = Tags(write_record_page([tmp_path / "run.zip"], tmp_path / "out").read_text(encoding="utf-8")).text
    assert re.search(r"onnx: FASTER (1\.9|2\.0)\d×", text)
    assert "run.zip" in text
    assert "calls to steady" in text


def test_an_empty_cache_gives_a_page_too(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    make_build("gone")
    assert "Nothing was measured." in Tags(page_of(cache, tmp_path)).text
