"""Steps of a series."""

from __future__ import annotations

import numpy as np
import pytest

from turnkey.measure.trend import steps


def series(*levels: tuple[int, float], seed: int = 0, jitter: float = 0.01) -> list[float]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return [level * float(np.exp(generator.normal(0, jitter))) for count, level in levels for _ in range(count)]


def test_a_level_that_changes_is_found_where_it_changes() -> None:
    [step] = steps(series((12, 1.0), (12, 1.2)))
    assert step.index == 12
    assert step.ratio.low < 1.2 < step.ratio.high
    assert step.ratio.low > 1.1


def test_two_steps_are_told_apart() -> None:
    first, second = steps(series((15, 1.0), (15, 0.7), (15, 1.0)))
    assert (first.index, second.index) == (15, 30)
    assert first.ratio.mean < 1 < second.ratio.mean


@pytest.mark.parametrize("seed", range(40))
def test_noise_alone_is_no_step(seed: int) -> None:
    assert steps(series((40, 3.0), seed=seed, jitter=0.03)) == ()


def test_too_few_points_say_nothing() -> None:
    assert steps([1.0, 1.0, 1.0, 2.0, 2.0, 2.0]) == ()
    assert steps([]) == ()


def test_the_unit_does_not_matter() -> None:
    values = series((12, 1.0), (12, 1.2))
    assert [step.index for step in steps([1000 * value for value in values])] == [12]
