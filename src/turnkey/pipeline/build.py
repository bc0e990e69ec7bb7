"""One build directory: the only place that knows the names of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BuildPaths:
    """Names of the files of one build."""

    cache_dir: Path
    build_name: str

    @property
    def directory(self) -> Path:
        return self.cache_dir / self.build_name

    @property
    def marker(self) -> Path:
        return self.directory / ".turnkeybuild"

    @property
    def lock(self) -> Path:
        return self.directory / ".lock"

    @property
    def state(self) -> Path:
        return self.directory / f"{self.build_name}_state.yaml"

    @property
    def statistics(self) -> Path:
        return self.directory / "turnkey_stats.yaml"

    @property
    def history(self) -> Path:
        return self.directory / "history"

    @property
    def samples(self) -> Path:
        return self.directory / "samples"

    @property
    def records(self) -> Path:
        return self.directory / "runs"

    @property
    def explanations(self) -> Path:
        return self.directory / "explain"

    def log(self, tool: str) -> Path:
        """Log of a tool under its name in the sequence (``benchmark-2``)."""
        return self.directory / f"log_{tool}.txt"

    def onnx(self, opset: int, stage: str) -> Path:
        """ONNX file; stage is ``base``, ``loaded``, ``opt``, ``f16`` or ``opt-f16``."""
        return self.directory / "onnx" / f"{self.build_name}-op{opset}-{stage}.onnx"

    def variant(self, key: str, suffix: str) -> Path:
        """File of a variant in any other format: ``torchscript-trace/model.pt``."""
        return self.directory / key / f"model{suffix}"

    def relative(self, path: Path) -> str:
        """As stored in the state: relative to the build directory, with forward slashes."""
        return path.relative_to(self.directory).as_posix()
