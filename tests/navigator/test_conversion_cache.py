"""Conversions that were made once are not made again, and what is found is only believed if its bytes are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import turnkey
import turnkey.navigator as nav
from turnkey.file_digest import digest_of_files
from turnkey.navigator.conversion_cache import ConversionCache, conversion_key

JOB: dict[str, Any] = {"format": "onnx", "settings": {"opset": 17}, "output_names": ["y"], "path": "a", "title": "t"}


def made(directory: Path, content: bytes = b"model") -> dict[str, Any]:
    """What a job answers that wrote a model and a file beside it."""
    directory.mkdir(parents=True, exist_ok=True)
    files = [directory / "model.onnx", directory / "model.onnx.data"]
    files[0].write_bytes(content)
    files[1].write_bytes(b"weights")
    digest, size_bytes = digest_of_files(files)
    return {
        "path": str(files[0]),
        "exporter": "dynamo",
        "notes": ["n"],
        "sha256": digest,
        "size_bytes": size_bytes,
        "files": [str(file) for file in files],
    }


def test_everything_that_goes_into_a_conversion_names_it_and_nothing_else() -> None:
    key = conversion_key("source", JOB, parent="")
    assert key == conversion_key("source", {**JOB, "path": "b", "title": "u"}, parent="")
    others = {
        conversion_key("other", JOB, parent=""),
        conversion_key("source", JOB, parent="p"),
        *(conversion_key("source", {**JOB, **change}, parent="") for change in ({"format": "x"}, {"settings": {}})),
    }
    assert len(others | {key}) == 5


def test_a_kept_model_is_put_where_it_is_wanted_with_the_files_beside_it(tmp_path: Path) -> None:
    cache = ConversionCache(tmp_path / "cache", limit_bytes=1000)
    assert cache.recall("k", tmp_path / "w" / "model.onnx") is None
    cache.keep("k", made(tmp_path / "there"))
    assert "k" in cache
    found = cache.recall("k", tmp_path / "w" / "model.onnx")
    assert found is not None
    assert found["exporter"] == "dynamo"
    assert [Path(file).read_bytes() for file in found["files"]] == [b"model", b"weights"]
    assert Path(found["path"]).parent == tmp_path / "w"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: (entry / "model.onnx").write_bytes(b"other"),
        lambda entry: (entry / "model.onnx.data").unlink(),
        lambda entry: (entry / "answer.json").write_text("{"),
        lambda entry: (entry / "answer.json").write_text('{"files": ["../../evil"], "sha256": ""}'),
    ],
)
def test_what_is_not_what_was_kept_is_made_and_kept_again(tmp_path: Path, spoil: Any) -> None:
    cache = ConversionCache(tmp_path / "cache", limit_bytes=1000)
    cache.keep("k", made(tmp_path / "there"))
    spoil(tmp_path / "cache" / "k")
    assert cache.recall("k", tmp_path / "w" / "model.onnx") is None
    cache.keep("k", made(tmp_path / "there"))
    assert cache.recall("k", tmp_path / "w" / "model.onnx") is not None, "and kept again"


def test_the_least_recently_used_go_first_and_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    wide = ConversionCache(tmp_path / "wide", limit_bytes=1 << 20)
    wide.keep("a", made(tmp_path / "a", b"a" * 200))
    entry_bytes = sum(file.stat().st_size for file in (tmp_path / "wide" / "a").iterdir())
    cache = ConversionCache(tmp_path / "cache", limit_bytes=entry_bytes * 5 // 2)
    for name in ("a", "b"):
        cache.keep(name, made(tmp_path / name, name.encode() * 200))
    assert cache.recall("a", tmp_path / "w" / "model.onnx") is not None
    cache.keep("c", made(tmp_path / "c", b"c" * 200))
    assert [name for name in "abc" if name in cache] == ["a", "c"]
    cache.keep("large", made(tmp_path / "large", b"x" * entry_bytes))
    assert "large" not in cache
    assert "a" not in ConversionCache(tmp_path / "cache", limit_bytes=0), "switched off"


class Doubling(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def test_another_run_of_the_same_model_makes_no_conversion_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNKEY_CONVERSION_CACHE", "1")
    monkeypatch.setenv("TURNKEY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TURNKEY_MULTIPROCESSING", "0")

    def script(name: str, count: int) -> Any:
        data = [torch.full((2, 4), float(index + 1)) for index in range(3)]
        package = turnkey.optimize(
            Doubling(),
            data,
            sample_count=count,
            target_formats=["torchscript"],
            custom_configs=[nav.TorchScriptConfig(jit_type="script")],
            runners=["TorchScriptCPU"],
            workspace=tmp_path / name,
            profiler_config=nav.ProfilerConfig(run_profiling=False, max_trials=count),
        )
        found = package.status.models["torchscript-script"]
        with package.runner_of("torchscript-script", "TorchScriptCPU") as runner:
            assert (runner.infer({"input__0": np.ones((1, 4), np.float32)})["output__0"] == 2).all(), (
                "whatever names the file has"
            )
        return found

    first, second = script("one", 3), script("two", 4)
    assert not any("cache of conversions" in note for note in first.notes)
    assert any("cache of conversions" in note for note in second.notes), "only the profiler's settings differ"
    assert second.sha256 == first.sha256
    assert second.exporter == first.exporter
