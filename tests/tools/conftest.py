import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # model_builds.py, shared by the tests of tools
