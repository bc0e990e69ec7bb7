"""Verification catches, each by its own check, what a defect in the C code would do."""

from __future__ import annotations

from pathlib import Path

import models
import pytest
from changed_tarballs import SAMPLE, planted

import turnkey.mlf as mlf
from turnkey.mlf.archive import Archive
from turnkey.mlf.failures import MlfVerificationError
from turnkey.mlf.library import from_archive


def test_a_sound_module_verifies_and_touches_its_whole_plan(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    found = module.verify(samples=[SAMPLE])
    assert found.max_rel < 1e-5
    assert found.outputs["scores"].max_ulp is not None
    assert found.to_dict()["outputs"]["scores"]["max_ulp"] <= 64
    assert module.plan["workspace"] - 16 < found.high_water_bytes <= module.plan["workspace"]


def test_a_wrong_number_is_a_mismatch(nodewise_tar: Path) -> None:
    module = planted(nodewise_tar, "acc += ", "acc += 0.01f + ")
    with pytest.raises(MlfVerificationError, match="mlf-mismatch"):
        module.verify(models.model_of(models.CNN), samples=[SAMPLE])


def test_a_write_behind_the_workspace_is_an_overrun(cnn_tar: Path) -> None:
    size = mlf.load(cnn_tar).module().plan["workspace"]
    module = planted(cnn_tar, "  return 0;\n}", f"  workspace[{size}] = 1;\n  return 0;\n}}", unit="cnn_lib1.c")
    with pytest.raises(MlfVerificationError, match="mlf-overrun"):
        module.verify(samples=[SAMPLE])


def test_a_changed_input_is_an_overrun(cnn_tar: Path) -> None:
    module = planted(cnn_tar, "  (void)workspace;", "  (void)workspace; *(char *)input0 ^= 1;", unit="cnn_lib1.c")
    with pytest.raises(MlfVerificationError, match="mlf-overrun"):
        module.verify(samples=[SAMPLE])


def test_memory_read_before_it_is_written_is_not_repeatable(cnn_tar: Path) -> None:
    module = planted(cnn_tar, "  return 0;\n}", "  *(unsigned char *)output0 ^= start & 1;\n  return 0;\n}",
                     unit="cnn_lib1.c")  # fmt: skip
    text = "  (void)workspace;"
    files = dict(module.library.archive.files)
    path = "codegen/host/src/cnn_lib1.c"
    changed = files[path].decode().replace(text, f"{text} unsigned char start = workspace[0];", 1)
    module = from_archive(Archive(cnn_tar, {**files, path: changed.encode()})).module()
    with pytest.raises(MlfVerificationError, match="mlf-not-repeatable"):
        module.verify(samples=[SAMPLE])


def test_a_write_behind_an_output_is_an_overrun(cnn_tar: Path) -> None:
    module = planted(cnn_tar, "  return 0;\n}", "  ((char *)output0)[12] = 1;\n  return 0;\n}", unit="cnn_lib1.c")
    with pytest.raises(MlfVerificationError, match="mlf-overrun") as caught:
        module.verify(samples=[SAMPLE])
    assert "output 'scores'" in str(caught.value.what)


def test_state_that_is_kept_between_calls_is_not_repeatable(cnn_tar: Path) -> None:
    state = "  static unsigned char calls; ((unsigned char *)output0)[0] ^= calls++;\n  return 0;\n}"
    module = planted(cnn_tar, "  return 0;\n}", state, unit="cnn_lib1.c")
    with pytest.raises(MlfVerificationError, match="mlf-not-repeatable"):
        module.verify(samples=[SAMPLE])
