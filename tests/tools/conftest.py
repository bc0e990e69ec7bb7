import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # model_builds.py, shared by the tests of tools

from model_builds import exponential


@pytest.fixture
def file(tmp_path):
    return exponential(tmp_path)
