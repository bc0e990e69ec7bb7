import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # launch_calls.py and slurm_cluster.py
