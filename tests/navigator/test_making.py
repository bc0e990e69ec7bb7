"""Models that were not made, in one line each."""

from __future__ import annotations

from turnkey.errors import ConversionError
from turnkey.navigator.making import reason_of


def test_a_reason_is_what_happened_with_the_first_line_of_evidence_but_no_head_of_a_table() -> None:
    assert reason_of(ConversionError("no", evidence="this node\nthat node")) == "no: this node"
    assert reason_of(ConversionError("no", evidence="exporter   outcome\ntrace      failed")) == "no"
    assert reason_of(ConversionError("no")) == "no"
