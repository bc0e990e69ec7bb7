import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # sources.py, shared by the tests of formats
