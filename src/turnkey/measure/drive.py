"""The clients of a load shape: threads in the worker process around one loaded target.

Trade-off: clients share the worker's interpreter, so calls that hold it wait for each other; Little's law and the
late sends show when the client, not the target, is what was measured.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from turnkey.measure.load import LATE_SEND_NS

Run = Callable[[Any], Any]


def concurrency(run: Run, prepared: Sequence[Any], *, clients: int, seconds: float) -> dict[str, Any]:
    """Closed loop: each client calls again as soon as it has its answer.

    Returns:
        ``starts`` and ``durations`` of each client's calls, nanoseconds on the worker's clock.
    """
    gate = threading.Barrier(clients + 1)
    starts: list[list[int]] = [[] for _ in range(clients)]
    durations: list[list[int]] = [[] for _ in range(clients)]
    failures: list[BaseException] = []

    def client(number: int) -> None:
        clock = time.perf_counter_ns
        mine, took = starts[number], durations[number]
        position = number
        gate.wait()
        end = clock() + int(seconds * 1e9)
        try:
            while True:
                begin = clock()
                run(prepared[position % len(prepared)])
                took.append(clock() - begin)
                mine.append(begin)
                position += clients
                if begin + took[-1] >= end:
                    return
        except Exception as error:  # noqa: BLE001 - whatever a model raises is told to the engine by the caller
            failures.append(error)

    threads = [threading.Thread(target=client, args=(number,), daemon=True) for number in range(clients)]
    for thread in threads:
        thread.start()
    gate.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {"starts": starts, "durations": durations}


def server(run: Run, prepared: Sequence[Any], *, offsets: Sequence[int], service_threads: int) -> dict[str, Any]:
    """Open loop: queries arrive when they are scheduled, whether or not earlier ones are answered.

    Returns:
        ``latencies`` from the scheduled arrival (nanoseconds, in order of arrival) and the number of ``late_sends``.
    """
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done = [0] * len(offsets)
    sent = [0] * len(offsets)
    failures: list[BaseException] = []
    clock = time.perf_counter_ns

    def serve() -> None:
        try:
            while (query := waiting.get()) is not None:
                run(prepared[query % len(prepared)])
                done[query] = clock()
        except Exception as error:  # noqa: BLE001 - told to the engine by the caller
            failures.append(error)

    threads = [threading.Thread(target=serve, daemon=True) for _ in range(service_threads)]
    for thread in threads:
        thread.start()
    begin = clock()
    for query, offset in enumerate(offsets):
        wait = begin + offset - clock()
        if wait > 0:
            time.sleep(wait / 1e9)
        sent[query] = clock()
        waiting.put(query)
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return {
        "latencies": [finish - begin - offset for finish, offset in zip(done, offsets, strict=True)],
        "late_sends": sum(at - begin - offset > LATE_SEND_NS for at, offset in zip(sent, offsets, strict=True)),
    }


def offline(run: Run, prepared: Sequence[Any], *, seconds: float) -> dict[str, Any]:
    """All samples at once, again and again until the time is over: items and the time they took."""
    clock = time.perf_counter_ns
    begin = clock()
    items = 0
    while True:
        for item in prepared:
            run(item)
        items += len(prepared)
        elapsed = clock() - begin
        if elapsed >= seconds * 1e9:
            return {"items": items, "elapsed": elapsed}


KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "concurrency": concurrency,
    "server": server,
    "offline": offline,
}
