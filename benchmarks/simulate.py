"""Operating characteristics of the rule: the engine, unchanged, on simulated hosts whose truth is known.

    python benchmarks/simulate.py                 # N = 400 per cell, about half an hour on one core
    python benchmarks/simulate.py --experiments 40 --host bursty

Each cell compares two variants whose true ratio is in the first column. SLOWER is the right answer wherever the
ratio is above 1; "false" is FASTER or SLOWER at 1.00 and FASTER elsewhere. Seeds are fixed: the table reproduces.
"""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from turnkey.measure import Settings, TargetDescription, run_experiment
from turnkey.measure.simulated import HOSTS, SimulatedHost, SimulatedWorkers

CALL_NS = 5_000_000.0
RATIOS = (1.00, 1.01, 1.02, 1.03, 1.05)


def compare(host: str, ratio: float, effort: str, seed: int) -> tuple[str, int]:
    """Verdict about the slower of two, and the rounds it took."""
    workers = SimulatedWorkers(SimulatedHost(HOSTS[host], seed=seed), {"a": CALL_NS, "b": CALL_NS * ratio})
    targets = [TargetDescription(key=key, factory="simulated:only") for key in ("a", "b")]
    record = run_experiment(
        targets, reference="a", settings=Settings(effort=effort, seed=seed, budget_s=1e6), workers=workers
    )
    found = record.verdict("b")
    assert found is not None
    return str(found.kind), len(record.run["rounds"])


def pick(host: str, seed: int) -> tuple[bool, int]:
    """Whether the best of six is named (its runner-up is 2.1 % slower), and all calls that it took."""
    ratios = (1.0, 1.021, 1.04, 1.08, 1.15, 1.3)
    workers = SimulatedWorkers(
        SimulatedHost(HOSTS[host], seed=seed), {f"v{i}": CALL_NS * ratio for i, ratio in enumerate(ratios)}
    )
    targets = [TargetDescription(key=f"v{i}", factory="simulated:only") for i in range(len(ratios))]
    record = run_experiment(targets, settings=Settings(effort="rigorous", seed=seed, budget_s=1e6), workers=workers)
    return record.fastest == "v0", workers.host.calls


def cell(job: tuple[str, float, str, int]) -> tuple[tuple[str, float, str], Counter[str], float]:
    host, ratio, effort, experiments = job
    outcomes = [compare(host, ratio, effort, seed) for seed in range(1, experiments + 1)]
    return (host, ratio, effort), Counter(kind for kind, _ in outcomes), sum(n for _, n in outcomes) / experiments


def pick_cell(job: tuple[str, int]) -> tuple[str, int, float]:
    host, experiments = job
    outcomes = [pick(host, seed) for seed in range(1, experiments + 1)]
    return host, sum(right for right, _ in outcomes), sum(calls for _, calls in outcomes) / experiments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=400, help="per cell")
    parser.add_argument("--host", choices=sorted(HOSTS), action="append", help="all by default")
    parser.add_argument("--effort", choices=("standard", "rigorous"), action="append", help="both by default")
    parser.add_argument("--ratio", type=float, action="append", help="1.00 to 1.05 by default")
    parser.add_argument("--pick", type=int, default=0, metavar="N", help="also pick the best of six, N times a host")
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    hosts = arguments.host or list(HOSTS)
    jobs = [
        (host, ratio, effort, arguments.experiments)
        for ratio in arguments.ratio or RATIOS
        for effort in arguments.effort or ("rigorous", "standard")
        for host in hosts
    ]
    print(
        f"{'ratio':>5}  {'effort':<9} {'host':<7} {'SLOWER':>7} {'FASTER':>7} {'SAME':>7} {'UNDEC.':>7} {'rounds':>7}"
    )
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for (host, ratio, effort), counts, rounds in pool.map(cell, jobs):
            shares = [100 * counts[kind] / arguments.experiments for kind in ("SLOWER", "FASTER", "SAME", "UNDECIDED")]
            row = " ".join(f"{share:6.1f}%" for share in shares)
            print(f"{ratio:5.2f}  {effort:<9} {host:<7} {row} {rounds:7.1f}", flush=True)
        if arguments.pick:
            print("\nbest of six, runner-up 2.1 % slower")
            for host, right, calls in pool.map(pick_cell, [(host, arguments.pick) for host in hosts]):
                print(f"{host:<7} {100 * right / arguments.pick:5.1f}% right, {calls:,.0f} calls", flush=True)


if __name__ == "__main__":
    main()
