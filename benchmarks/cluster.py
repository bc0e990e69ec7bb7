"""A corpus on a cluster, simulated: what queue, locks, shared file system and merge cost beside the work.

    python benchmarks/cluster.py                           # 100,000 models on 1,000 nodes, four layouts
    python benchmarks/cluster.py --models 5000 --nodes 50

Nodes work through jobs, and through the inputs of a job one after the other. What they share are servers that take one
request after the other: the lock of a cache, the metadata server of a file system, the controller that starts jobs. A
node that fails is gone with its disk, and the next free one does its job: all of it where the cache was on that disk,
else what was left. Constants marked *measured* are those of docs/scale.md; the others are assumptions.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What things take, in seconds unless said otherwise.

    Attributes:
        work: of one model, on average.
        spread: of the logarithm of the work: at 1 one model in a hundred takes six times the average.
        template: start and warm-up of prewarmed workers. Measured.
        interpreter: start of a worker without a template. Measured.
        claim: of a build's name under the lock of the cache, until a busy disk has flushed it. Measured.
        files: that one input makes, each created, flushed and renamed; and those that ``--lean-cache`` keeps.
        metadata: of one such operation on a shared file system: 5,000 a second.
        start: of one job by the controller: 20 a second.
        read: of one build for a report. Measured.
        node_hours: between two failures of one node.
    """

    work: float = 30.0
    spread: float = 1.0
    template: float = 5.0
    interpreter: float = 4.0
    claim: float = 0.017
    files: int = 20
    kept_files: int = 9
    metadata: float = 1 / 5000
    start: float = 1 / 20
    read: float = 0.0031
    node_hours: float = 1000.0


class Layout(NamedTuple):
    """How the models are handed to nodes.

    Attributes:
        inputs: per job.
        is_shared: one cache for all on a shared file system; else each job has one on its node's disk, of which text
            and records are copied at the end.
    """

    name: str
    inputs: int
    is_shared: bool


class Outcome(NamedTuple):
    """One simulated corpus.

    Attributes:
        minutes: until the last model was done.
        at_work: share of the nodes' time that was work.
        lock_wait_s: of one claim, on average.
        metadata_busy: share of the time.
        redone: models that were begun again.
    """

    minutes: float
    at_work: float
    lock_wait_s: float
    metadata_busy: float
    redone: int


@dataclass(slots=True)
class Server:
    """Serves requests one after the other; they come in the order of their time."""

    free_at: float = 0.0
    busy_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)

    def serve(self, now: float, seconds: float) -> float:
        """When a request of now is done."""
        begun = max(now, self.free_at)
        self.waits_s.append(begun - now)
        self.free_at = begun + seconds
        self.busy_s += seconds
        return self.free_at


class Cluster:
    """One run: every step of a node is an event, taken in the order of time."""

    def __init__(self, layout: Layout, *, models: int, nodes: int, constants: Constants, seed: int) -> None:
        self._layout = layout
        self._constants = constants
        self._random = random.Random(seed)
        self._nodes = nodes
        self._jobs = deque(min(layout.inputs, models - start) for start in range(0, models, layout.inputs))
        self._lock, self._metadata, self._controller = Server(), Server(), Server()
        rate = 1 / (3600 * constants.node_hours)
        self._fails_at = [self._random.expovariate(rate) for _ in range(nodes)]
        self._left = [0] * nodes
        self._done = [0] * nodes
        self._idle: list[int] = []
        self._events = [(0.0, node, "idle") for node in range(nodes)]
        self._worked_s = 0.0
        self._redone = 0

    def run(self) -> Outcome:
        end = 0.0
        while self._events:
            now, node, step = heapq.heappop(self._events)
            if now >= self._fails_at[node]:
                self._fail(now, node, was_at_work=step == "write")
                continue
            self._take(now, node, step)
            if step == "write":
                end = now
        assert not self._jobs, "every node has failed"
        end = max(end, self._metadata.free_at)
        return Outcome(
            minutes=end / 60,
            at_work=self._worked_s / (self._nodes * end),
            lock_wait_s=statistics.fmean(self._lock.waits_s or [0.0]),
            metadata_busy=self._metadata.busy_s / end,
            redone=self._redone,
        )

    def _take(self, now: float, node: int, step: str) -> None:
        constants, layout = self._constants, self._layout
        if step == "idle" and not self._jobs:
            self._idle.append(node)
        elif step == "idle":
            self._left[node], self._done[node] = self._jobs.popleft(), 0
            begin = constants.template if layout.inputs > 1 else constants.interpreter
            self._push(self._controller.serve(now, constants.start) + begin, node, "claim")
        elif step == "claim":
            is_shared = layout.is_shared
            self._push(self._lock.serve(now, constants.claim) if is_shared else now + constants.claim, node, "work")
        elif step == "work":
            spread = constants.spread
            seconds = constants.work * self._random.lognormvariate(-spread * spread / 2, spread)
            self._worked_s += seconds
            self._push(now + seconds, node, "write")
        else:
            self._left[node] -= 1
            self._done[node] += 1
            self._push(self._written(now, node), node, "claim" if self._left[node] else "idle")

    def _written(self, now: float, node: int) -> float:
        """When the files of an input that is done are where they belong."""
        constants = self._constants
        if self._layout.is_shared:
            return self._metadata.serve(now, 3 * constants.files * constants.metadata)
        if self._left[node]:
            return now
        return self._metadata.serve(now, self._done[node] * constants.kept_files * constants.metadata)

    def _fail(self, now: float, node: int, *, was_at_work: bool) -> None:
        """What the node had is done by another one; the results of a job that came to its end are copied."""
        lost = 0 if self._layout.is_shared else self._done[node]
        if self._left[node]:
            self._redone += lost + was_at_work
            self._jobs.append(self._left[node] + lost)
        if self._jobs and self._idle:
            self._push(now, self._idle.pop(), "idle")

    def _push(self, moment: float, node: int, step: str) -> None:
        heapq.heappush(self._events, (moment, node, step))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    constants, inputs = Constants(), max(1, options.models // options.nodes)
    layouts = [
        Layout(f"{options.nodes:,} shards, a cache each", inputs, is_shared=False),
        Layout(f"{10 * options.nodes:,} shards, a cache each", max(1, inputs // 10), is_shared=False),
        Layout(f"{10 * options.nodes:,} shards, one cache", max(1, inputs // 10), is_shared=True),
        Layout("a job per model, one cache", 1, is_shared=True),
    ]
    ideal = options.models * constants.work / options.nodes / 60
    print(f"{options.models:,} models of {constants.work:g} s on {options.nodes:,} nodes: {ideal:.0f} min of work")
    print("\n| layout | minutes until done | nodes at work | wait for a claim, s | metadata server busy | redone |")
    print("|---|---:|---:|---:|---:|---:|")
    for layout in layouts:
        runs = sorted(
            Cluster(layout, models=options.models, nodes=options.nodes, constants=constants, seed=seed).run()
            for seed in range(options.seeds)
        )
        middle = runs[len(runs) // 2]
        print(
            f"| {layout.name} | {runs[0].minutes:.0f} to {runs[-1].minutes:.0f} | {middle.at_work:.0%} "
            f"| {middle.lock_wait_s:.2f} | {middle.metadata_busy:.0%} | {middle.redone} |",
            flush=True,
        )
    print(f"\nreading {options.models:,} builds for one report: {options.models * constants.read / 60:.1f} min")


if __name__ == "__main__":
    main()
