"""Names of builds: where they come from, and that two sources never share a directory."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import ArtifactError, InputError
from turnkey.pipeline.build_name import base_name, build_names, check_name, claim, is_cache, owner


@pytest.mark.parametrize(
    ("source", "author", "model_hash", "name"),
    [
        ("linear.py", "", "", "linear"),
        ("linear.py", "google", "", "linear_google"),
        ("linear.py", "google", "479b1332", "linear_google_479b1332"),
        ("linear.py", "", "479b1332", "linear_479b1332"),
        ("my model (1).onnx", "ü&x", "", "my_model__1____x"),
        ("a.b.py", "", "", "a.b"),
        (".hidden.py", "", "", "_hidden"),
    ],
)
def test_a_build_is_named_after_stem_author_and_hash(source: str, author: str, model_hash: str, name: str) -> None:
    assert base_name(Path(source), author=author, model_hash=model_hash) == name


@given(stem=st.text(min_size=1), author=st.text(), model_hash=st.text(max_size=8))
def test_every_name_is_a_plain_directory_name(stem: str, author: str, model_hash: str) -> None:
    name = base_name(Path(f"{stem}.py"), author=author, model_hash=model_hash)

    check_name(name)
    assert len(name) < 200


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../x", "a\0b", "a b", "\n", ".x"])
def test_a_name_that_is_no_directory_name_is_refused(name: str) -> None:
    with pytest.raises(ArtifactError):
        check_name(name)


def test_the_same_stem_elsewhere_gets_another_directory_and_keeps_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = claim(cache, Path("/a/m.py"))
    second = claim(cache, Path("/b/m.py"))

    assert first.build_name == "m"
    assert re.fullmatch(r"m-[0-9a-f]{6}", second.build_name)
    assert claim(cache, Path("/a/m.py")) == first
    assert claim(cache, Path("/b/m.py")) == second
    assert owner(second) == "/b/m.py"
    assert build_names(cache) == ("m", second.build_name)
    assert is_cache(cache)


def test_a_foreign_directory_is_neither_used_nor_listed(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("precious")

    paths = claim(tmp_path, Path("/a/m.py"))

    assert paths.build_name != "m"
    assert build_names(tmp_path) == (paths.build_name,)


def test_a_cache_below_a_file_is_a_three_part_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="cannot write") as caught:
        claim(tmp_path / "file" / "cache", Path("/a/m.py"))
    assert caught.value.remedy


def test_a_marker_that_is_nonsense_belongs_to_nobody(tmp_path: Path) -> None:
    paths = claim(tmp_path, Path("/a/m.py"))
    for content in ("", "[]", "{}", '{"source": 3}', "\xff"):
        paths.marker.write_text(content)
        assert owner(paths) is None


def test_names_from_many_processes_at_once_agree(tmp_path: Path) -> None:
    import multiprocessing

    sources = [Path(f"/{folder}/m.py") for folder in "abab"]
    with multiprocessing.get_context("fork").Pool(4) as pool:
        claimed: list[Any] = pool.starmap(claim, [(tmp_path, source) for source in sources])

    assert claimed[0] == claimed[2]
    assert claimed[1] == claimed[3]
    assert claimed[0] != claimed[1]
