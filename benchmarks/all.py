"""Turnkey's own overheads, one benchmark after the other: what ``make bench`` prints.

Each is a script that can be run alone; the exit code is 1 if one of them missed its target or failed. The
others, which ask something else or take longer, are listed in README.md.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = {
    "Start of the command line": "startup.py",
    "Discovery": "discovery_overhead.py",
    "Timed loop of the benchmark": "loop_overhead.py",
    "Comparison of four runtimes": "four_runtimes.py",
}


def main() -> int:
    failed = []
    for title, script in SCRIPTS.items():
        print(f"\n{title} (benchmarks/{script})", flush=True)
        if subprocess.run([sys.executable, str(HERE / script)], check=False).returncode:
            failed.append(script)
    print(f"\nmissed or failed: {', '.join(failed)}" if failed else "\nall within their targets")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
