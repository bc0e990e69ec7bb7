"""Member names: harmless and different, whatever a class is called."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.errors import UsageError
from turnkey.lexer.member_names import MemberNames, artifact_stem, file_stem
from turnkey.pipeline.archive_directory import fault_of_names


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.lists(st.text(max_size=100), unique=True, max_size=8))
def test_every_class_gets_a_name_that_any_reader_takes(names: list[str]) -> None:
    members = MemberNames()
    stems = [members.stem(name) for name in names]

    assert fault_of_names([f"{stem}.onnx" for stem in stems]) == ""
    assert stems == [members.stem(name) for name in names]


def test_ordinary_names_stay_and_odd_ones_are_legible() -> None:
    assert file_stem("SuperResolutionNet") == "SuperResolutionNet"
    assert file_stem("Net<int>/../é") == "Net_int_.._é"
    assert file_stem("../..") == "model"


def test_another_model_of_a_class_gets_a_number_and_the_same_one_keeps_its_name() -> None:
    members = MemberNames()

    assert [members.model_stem("Net", model) for model in "abab"] == ["Net", "Net-2", "Net", "Net-2"]
    assert members.stem("net") == "net-3"  # one file with Net on some systems


@pytest.mark.parametrize("name", ["", "a/b", "..", ".", "a\\b", "a\nb", " a", "c:x", "x" * 300, 7, None])
def test_a_name_that_is_no_file_name_is_refused(name: object) -> None:
    with pytest.raises(UsageError, match="cannot be the name of an artifact"):
        artifact_stem(name)


def test_the_suffix_may_be_given_too() -> None:
    assert artifact_stem("benchmark.lexer") == artifact_stem("benchmark") == "benchmark"
