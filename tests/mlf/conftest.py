"""What the tests of the Model Library Format share: a private cache, and one exported network per session."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

needs_generator = pytest.mark.skipif(
    importlib.util.find_spec("emx_onnx_cgen") is None, reason="emx-onnx-cgen is not installed (extra mlf)"
)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNKEY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "mlf-cache"))


@pytest.fixture(scope="session")
def cnn_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small CNN as a tarball with everything."""
    return _cnn(tmp_path_factory)


@pytest.fixture(scope="session")
def nodewise_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small CNN with a generated kernel for each node: nothing fused, plain loops."""
    return _cnn(tmp_path_factory, kernels="generated")


def _cnn(tmp_path_factory: pytest.TempPathFactory, **options: str) -> Path:
    pytest.importorskip("emx_onnx_cgen", reason="emx-onnx-cgen is not installed (extra mlf)")
    import models

    import turnkey.mlf as mlf

    path = tmp_path_factory.mktemp("cnn") / "cnn.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TURNKEY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "mlf-cache"))
        patch.setenv("SOURCE_DATE_EPOCH", "1740830400")
        mlf.export(models.model_of(models.CNN), path, name="cnn", **options)
    return path
