"""What libraries raise, in one line and as evidence."""

from __future__ import annotations

import pytest

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import evidence_of, one_line, reason_of


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n  first\nsecond"), "ValueError: first"),
        (ValueError(), "ValueError"),
        ("already words", "already words"),
        (ConversionError("it wrote opset 18"), "it wrote opset 18"),
        (ConversionError("not valid", evidence="m.onnx: an edge is missing\nmore"), "m.onnx: an edge is missing"),
        (
            RuntimeError(
                "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/graph.cc:42 "
                "void Graph::Check(const Node&) [ShapeInferenceError] the shapes differ"
            ),
            "RuntimeError: the shapes differ",
        ),
        (
            RuntimeError(
                "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript:\n"
                "  ~~~ <--- HERE\nRuntimeError: Expected 2 elements\n"
            ),
            "RuntimeError: Expected 2 elements",
        ),
    ],
)
def test_the_line_is_the_first_that_says_something_without_places_in_the_librarys_source(error, line):
    assert one_line(error) == line


def test_a_line_is_cut_and_evidence_keeps_all_lines_up_to_a_limit():
    assert one_line("x" * 400) == "x" * 299 + "…"
    assert one_line("x" * 400, limit=10) == "x" * 9 + "…"
    assert evidence_of(KeyError("a\nb")) == "KeyError: 'a\\nb'"
    assert evidence_of(RuntimeError("a\nb")) == "RuntimeError: a\nb"
    assert len(evidence_of(RuntimeError("x" * 5000))) == 2000


def test_a_reason_is_what_happened_with_the_first_line_of_evidence_but_no_head_of_a_table() -> None:
    assert reason_of(ConversionError("no", evidence="this node\nthat node")) == "no: this node"
    assert reason_of(ConversionError("no", evidence="exporter   outcome\ntrace      failed")) == "no"
    assert reason_of(ConversionError("no: this node", evidence="this node\nthat node")) == "no: this node"
    assert reason_of(ConversionError("no")) == "no"
