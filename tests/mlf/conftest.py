"""What the tests of the Model Library Format share: one exported network per session."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def cnn_tar(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> Path:
    """The small CNN as a tarball with everything."""
    need("emx_onnx_cgen")
    return _cnn(tmp_path_factory)


@pytest.fixture(scope="session")
def nodewise_tar(tmp_path_factory: pytest.TempPathFactory, need: Callable[..., None]) -> Path:
    """The small CNN with a generated kernel for each node: nothing fused, plain loops."""
    need("emx_onnx_cgen")
    return _cnn(tmp_path_factory, kernels="generated")


def _cnn(tmp_path_factory: pytest.TempPathFactory, **options: str) -> Path:
    import models

    import turnkey.mlf as mlf

    path = tmp_path_factory.mktemp("cnn") / "cnn.tar"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1740830400")
        mlf.export(models.model_of(models.CNN), path, name="cnn", **options)
    return path
