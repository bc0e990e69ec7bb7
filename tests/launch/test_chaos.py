"""A small sample of ``benchmarks/chaos.py``, which injects hundreds of faults."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_result_is_lost_or_doubled_and_nothing_is_left_over_whatever_fails() -> None:
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--faults", "4", "--seed", "3"], capture_output=True, text=True, timeout=850
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 faults in" in done.stdout


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_two_hundred_faults() -> None:
    done = subprocess.run([sys.executable, str(CHAOS), "--faults", "200"], capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
