"""What stays of a build when its artifacts are removed."""

from __future__ import annotations

from pathlib import Path

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.lean_cache import remove_artifacts

KEPT = [
    ".lock",
    ".turnkeybuild",
    "history/2026.yaml",
    "log_discover.txt",
    "m_state.yaml",
    "program.out",
    "runs/1.zip",
    "samples/samples.json",
    "turnkey_stats.yaml",
]
REMOVED = ["onnx/m.onnx", "onnx/m.onnx.data", "samples/0.npz", "openvino/m.bin", "other.zip"]


def test_exactly_the_readable_files_and_records_stay_also_the_second_time(tmp_path: Path) -> None:
    paths = BuildPaths(tmp_path, "m")
    for name in KEPT + REMOVED:
        file = paths.directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("12345")

    assert remove_artifacts(paths) == 5 * len(REMOVED)
    for _ in range(2):
        files = [file.relative_to(paths.directory).as_posix() for file in paths.directory.rglob("*") if file.is_file()]
        assert sorted(files) == KEPT
        assert not (paths.directory / "onnx").exists()
        assert remove_artifacts(paths) == 0


def test_links_are_removed_and_never_followed(tmp_path: Path) -> None:
    paths = BuildPaths(tmp_path / "cache", "m")
    paths.directory.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.onnx").write_text("x")
    (paths.directory / "folder").symlink_to(outside)
    (paths.directory / "file.txt").symlink_to(outside / "precious.onnx")

    remove_artifacts(paths)

    assert (outside / "precious.onnx").exists()
    assert list(paths.directory.iterdir()) == []
