"""A part of the inputs: ``--shard i/n`` gives each of n calls, on whatever machines, its own inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Every ``count``-th input from the ``index``-th on; ``index`` counts from 1.

    Neighbours in a sorted list tend to be of one family and of one size; taking turns spreads them.
    """

    index: int
    count: int

    def of(self, inputs: Sequence[T]) -> list[T]:
        """The inputs of this shard; the shards of all indexes are a partition."""
        return list(inputs[self.index - 1 :: self.count])

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard(1, 1)


def parse_shard(text: str) -> Shard:
    """``2/8``. Raises ValueError with a readable reason."""
    index, separator, count = text.partition("/")
    if not separator or not index.isdecimal() or not count.isdecimal() or not 1 <= int(index) <= int(count):
        raise ValueError("it must be I/N with 1 <= I <= N, such as 2/8")
    return Shard(int(index), int(count))
