"""The picture of a plan: complete, self-contained, and deaf to what a model's names contain."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from changed_tarballs import files_without_sums

import turnkey.mlf as mlf
from turnkey.mlf.archive import Archive
from turnkey.mlf.library import from_archive
from turnkey.mlf.picture import plan_page, plan_svg, write_picture


def test_each_buffer_is_a_rectangle_within_the_workspace(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    root = ElementTree.fromstring(plan_svg(module))
    rectangles = [element for element in root if element.tag.endswith("rect")]
    assert len(rectangles) == len(module.plan["buffers"])
    assert all(float(r.get("y", "-1")) >= 24 - 0.1 for r in rectangles)
    assert all(float(r.get("y", "0")) + float(r.get("height", "0")) <= 24 + 420 + 0.6 for r in rectangles)


def test_a_page_holds_the_picture_and_the_table_and_loads_nothing(cnn_tar: Path, tmp_path: Path) -> None:
    library = mlf.load(cnn_tar)
    write_picture(library, tmp_path / "plan.html")
    page = (tmp_path / "plan.html").read_text()
    assert "<svg" in page
    assert "&lt;- peak" in page
    assert not re.search(r"(src|href)=", page)
    write_picture(library, tmp_path / "plan.svg")
    assert (tmp_path / "plan.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", 'a"onmouseover="x', "]]>&"])
def test_names_of_a_model_never_become_markup(cnn_tar: Path, name: str) -> None:
    files = files_without_sums(cnn_tar)
    text = files["metadata.json"].decode()
    buffer = mlf.load(cnn_tar).module().plan["buffers"][0][0]
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    changed = text.replace(f'            "{buffer}",', f'            "{escaped}",')
    assert changed != text
    library = from_archive(Archive(Path("x.tar"), {**files, "metadata.json": changed.encode()}))
    assert name not in plan_page(library)
    ElementTree.fromstring(plan_svg(library.module()))
