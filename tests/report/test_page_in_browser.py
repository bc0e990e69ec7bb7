"""The HTML report in a real Chromium: no console error, no request, sorting, dark, phone, a thousand models."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.report import write_report

from .browser import Browser, browser
from .conftest import MEASUREMENT, MakeBuild

pytestmark = [pytest.mark.slow, pytest.mark.needs("jinja2", "chromium")]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def report(cache: Path, make_build: MakeBuild, tmp_path: Path) -> Path:
    """Three models: two measured, of one a record and a hostile candidate; one failed before it was measured."""
    paths = make_build(
        "swift",
        measurements=[
            {
                **MEASUREMENT,
                "key": "torch",
                "variant": None,
                "runtime": "torch",
                "latency_ms": 9.0,
                "record": "runs/1.zip",
            },
            {**MEASUREMENT, "latency_ms": 10.5, "record": "runs/1.zip", "load_ms": 3.0},
        ],
        chosen="torch",
    )
    simulated_record({"torch": 9.0, "onnx-opt @ onnxruntime": 10.5}, paths.directory / "runs/1.zip", reference="torch")
    make_build(
        "hostile", measurements=[{**MEASUREMENT, "key": HOSTILE, "latency_ms": 100.0}], labels={HOSTILE: ("=cmd()",)}
    )
    make_build("broken", "error", reason="no such operator", **{"tool_status:export-pytorch": "error"})
    return write_report([cache], tmp_path, formats=("html",)).files["html"]


COLUMN = (
    "Array.from(document.querySelectorAll('#candidates tbody tr:not([hidden])'), row => row.cells[{}].textContent)"
)
SORT = (
    "Array.from(document.querySelectorAll('#candidates th button')).find(b => b.textContent.startsWith('{}')).click()"
)


def test_it_logs_no_problem_and_asks_for_nothing(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.problems == []
    assert page.requests == [report.as_uri()]


def test_a_hostile_name_is_shown_and_not_executed(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    assert HOSTILE in page.evaluate("document.getElementById('candidates').textContent")
    assert page.evaluate("document.scripts.length") == 1
    assert page.problems == []


def test_a_script_that_is_not_the_pages_own_does_not_run(chromium: Browser, report: Path) -> None:
    spoilt = report.with_name("spoilt.html")
    spoilt.write_text(report.read_text().replace("</main>", "<script>document.title = 'taken'</script></main>"))
    page = chromium.open(spoilt)
    assert page.evaluate("document.title") != "taken"
    assert any("Content Security Policy" in problem for problem in page.problems)


def test_a_click_sorts_by_number_and_what_was_not_measured_stays_last(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    page.evaluate(SORT.format("latency"))
    ascending = page.evaluate(COLUMN.format(0))
    assert ascending == ["swift", "swift", "hostile", "broken"]
    page.evaluate(SORT.format("latency"))
    assert page.evaluate(COLUMN.format(0)) == ["hostile", "swift", "swift", "broken"]
    heading = "document.querySelector('#candidates th[aria-sort]').textContent"
    assert page.evaluate(heading).startswith("latency")
    page.evaluate(SORT.format("model"))
    assert page.evaluate(COLUMN.format(0))[0] == "broken"


def test_words_filter_rows_and_the_count_says_so(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    page.evaluate(
        "(i => {i.value = 'SWIFT onnxruntime'; i.dispatchEvent(new Event('input'))})(document.querySelector('input'))"
    )
    shown = page.evaluate(
        "new Promise(done => setTimeout(() => done(document.querySelector('.shown').textContent), 300))"
    )
    assert shown == "1 of 4 rows"
    assert page.evaluate(COLUMN.format(0)) == ["swift"]


def test_a_link_opens_the_section_of_its_model(chromium: Browser, report: Path) -> None:
    page = chromium.open(report)
    page.evaluate(
        "Array.from(document.querySelectorAll('#candidates a')).find(a => a.textContent === 'swift').click()"
    )
    opened = (
        "new Promise(done => setTimeout(() => done(document.querySelector('details[open] .name').textContent), 200))"
    )
    assert page.evaluate(opened) == "swift"
    assert page.evaluate("document.querySelectorAll('details[open] svg').length") >= 4


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_nothing_sticks_out_and_text_stands_off_its_background(
    chromium: Browser, report: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    page = chromium.open(report, width=width, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    colours = "(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))"
    text, background = (sum(map(int, value[4:-1].split(","))) for value in page.evaluate(colours))
    assert (text > background) == dark
    assert abs(text - background) > 450
    page.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_on_paper_everything_is_black_on_white_without_controls(chromium: Browser, report: Path) -> None:
    page = chromium.open(report, dark=True, media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.controls')).display") == "none"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("models", [210, pytest.param(1000, marks=pytest.mark.nightly)])
def test_a_thousand_models_load_sort_and_open(
    models: int, chromium: Browser, make_build: MakeBuild, cache: Path, tmp_path: Path
) -> None:
    simulated_record({"torch": 2.0, "onnx-opt @ onnxruntime": 1.0}, tmp_path / "one.zip", reference="torch")
    for number in range(models):
        torch = {**MEASUREMENT, "key": "torch", "variant": None, "runtime": "torch", "latency_ms": 1.0 + number % 97}
        onnx = {**MEASUREMENT, "latency_ms": 0.5 + number % 89, "record": "runs/one.zip"}
        paths = make_build(f"net-{number:04}", measurements=[torch, onnx], chosen=onnx["key"])
        paths.records.mkdir()
        shutil.copy(tmp_path / "one.zip", paths.records)
    path = write_report([cache], tmp_path, formats=("html",)).files["html"]
    assert path.stat().st_size < models * 16 << 10
    page = chromium.open(path)
    page.evaluate(SORT.format("latency"))
    values = page.evaluate("Array.from(document.querySelectorAll('#candidates tbody tr'), r => +r.cells[2].dataset.v)")
    assert len(values) == 2 * models
    assert values == sorted(values)
    assert page.evaluate("document.querySelector('.shown').textContent") == f"{2 * models} rows"
    page.evaluate("location.hash = '#model-177'")
    opened = (
        "new Promise(done => setTimeout(() => done(document.querySelectorAll('#model-177[open] svg').length), 200))"
    )
    assert page.evaluate(opened) >= 3
    assert page.evaluate("document.getElementsByTagName('*').length") < 60 * models  # the others are not made
    page.evaluate("document.querySelector('#model-3 summary').click()")
    assert page.evaluate(opened.replace("177", "3")) >= 3
    assert page.problems == []
