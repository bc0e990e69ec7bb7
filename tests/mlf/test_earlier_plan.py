"""``--plan-from``: the same buffers keep their places, other ones are refused."""

from __future__ import annotations

import json
from pathlib import Path

import models
import pytest
from changed_tarballs import files_without_sums

import turnkey.mlf as mlf
from turnkey.mlf.archive import pack
from turnkey.mlf.earlier_plan import earlier_plan, placed_as_before
from turnkey.mlf.failures import MlfArtifactError, MlfUsageError
from turnkey.mlf.memory_plan import Buffer, check, plan


def test_a_second_export_takes_the_first_ones_places(cnn_tar: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.tar"
    mlf.export(models.model_of(models.CNN, seed=5), path, name="cnn", plan_from=cnn_tar, compile=False)
    assert mlf.load(path).module().plan["buffers"] == mlf.load(cnn_tar).module().plan["buffers"]


def test_a_plan_of_another_model_is_refused_with_the_buffer_that_differs(cnn_tar: Path, tmp_path: Path) -> None:
    with pytest.raises(MlfUsageError, match="another model") as caught:
        mlf.export(models.model_of(models.BRANCHES), tmp_path / "b.tar", plan_from=cnn_tar, compile=False)
    assert "is none of ours" in caught.value.evidence
    assert not (tmp_path / "b.tar").exists()


def test_a_read_plan_holds_for_its_own_buffers_only(cnn_tar: Path) -> None:
    earlier = earlier_plan(cnn_tar, "cnn")
    again = placed_as_before(earlier, earlier.buffers, align=earlier.align)
    assert again is not None
    check(again)
    assert again == earlier
    assert placed_as_before(earlier, earlier.buffers[1:], align=earlier.align) is None
    assert placed_as_before(earlier, earlier.buffers, align=64) is None


def test_a_recorded_plan_that_overlaps_is_refused(cnn_tar: Path, tmp_path: Path) -> None:
    files = files_without_sums(cnn_tar)
    fields = json.loads(files["metadata.json"])
    for row in fields["modules"]["cnn"]["turnkey"]["plan"]["buffers"]:
        row[2] = 0
    (tmp_path / "bad.tar").write_bytes(pack({**files, "metadata.json": json.dumps(fields).encode()}, timestamp=0))
    with pytest.raises(MlfArtifactError, match="mlf-bad-metadata") as caught:
        earlier_plan(tmp_path / "bad.tar", "cnn")
    assert "overlap" in caught.value.evidence


def test_seconds_of_search_are_counted_in_placements(tmp_path: Path) -> None:
    options = mlf.ExportOptions(plan_seconds=0.5)
    assert options.search_budget == 10_000
    with pytest.raises(MlfUsageError, match="plan-seconds"):
        mlf.ExportOptions(plan_seconds=float("nan"))
    buffers = [Buffer(f"b{i}", 16 * (i * 7 % 5 + 1), i % 6, i % 6 + i % 3) for i in range(20)]
    assert plan(buffers, algorithm="exact", budget=0).workspace >= plan(buffers, algorithm="exact").workspace
