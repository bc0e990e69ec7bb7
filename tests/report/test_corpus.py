"""A report in sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turnkey.report.candidate_row import candidate_rows
from turnkey.report.corpus import sentences
from turnkey.report.model_section import model_section
from turnkey.report.source import read_build

from .conftest import MEASUREMENT, MakeBuild


@pytest.mark.parametrize(
    ("validity", "valid", "said"),
    [
        ("VALID", True, "not INVALID: 1 of 1, by at least 2.5×."),
        ("INVALID", True, "not INVALID: 1 of 1, by at least 2.5× (1 with value INVALID)."),
        ("INVALID", False, ""),
    ],
)
def test_no_more_is_claimed_than_the_lower_end_of_an_interval_and_nothing_of_a_spoilt_verdict(
    validity: str, valid: bool, said: str, make_build: MakeBuild
) -> None:
    verdict = {"kind": "FASTER", "ratio": 75.17, "low": 2.5, "high": 3459.39, "reference": "torch", "valid": valid}
    key = str(MEASUREMENT["key"])
    build, _ = read_build(make_build("net", measurements=[{**MEASUREMENT, "validity": validity}], chosen=key))
    section = model_section(build, title="net", anchor="a", with_samples=False)
    section = replace(section, candidates=candidate_rows(build, {key: verdict}))

    last = sentences([build], [section])[-1]

    assert last.endswith(said) if said else "Faster" not in last
