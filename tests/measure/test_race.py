"""Who is still measured: looks, those who leave, and whom the twin doubles."""

from __future__ import annotations

from turnkey.measure import race
from turnkey.measure.plan import Settings
from turnkey.measure.race import Race
from turnkey.measure.slices import TWIN_SUFFIX, Slice

SETTINGS = Settings()


def units(**values: list[float]) -> dict[str, dict[int, float]]:
    return {key: dict(enumerate(items, 1)) for key, items in values.items()}


def spread(center: float, width: float = 0.001) -> list[float]:
    return [center + width * step for step in (-2, -1, 0, 1, 2)]


def test_a_look_drops_the_slow_keeps_the_doubtful_and_names_the_best() -> None:
    found = race.look(
        units(fast=spread(0.0), near=[0.01, -0.02, 0.03, -0.01, 0.02], slow=spread(0.7)),
        live=["fast", "near", "slow"],
        variants=3,
        reference=None,
        twin=[],
        k=1,
        settings=SETTINGS,
    )
    assert found.best == "fast"
    assert found.leaves == ("slow",)
    assert found.pending == (("near", "fast"),)


def test_a_slow_baseline_stays_until_its_own_pairs_are_decided() -> None:
    noisy = [0.5, 0.9, 0.6, 0.8, 0.7]
    given_units = units(best=spread(0.0), baseline=spread(0.7), doubtful=noisy)
    arguments = {"variants": 3, "twin": [], "k": 1, "settings": SETTINGS}
    found = race.look(given_units, live=list(given_units), reference="baseline", **arguments)
    assert found.leaves == ()
    assert ("doubtful", "baseline") in found.pending
    without = race.look(given_units, live=list(given_units), reference=None, **arguments)
    assert set(without.leaves) == {"baseline", "doubtful"}


def test_a_pair_in_doubt_is_counted_once_whoever_leads() -> None:
    noisy = [0.01, -0.02, 0.03, -0.01, 0.02]
    for leader, baseline in (("a", "b"), ("b", "a")):
        found = race.look(
            units(**{leader: spread(0.0), baseline: noisy}),
            live=["a", "b"],
            variants=2,
            reference="b",
            twin=[],
            k=1,
            settings=SETTINGS,
        )
        assert found.best == leader
        assert found.pending == ((baseline, leader),)


def test_one_variant_alone_is_pending_until_its_interval_is_narrow() -> None:
    arguments = {"live": ["a"], "variants": 1, "reference": None, "twin": [], "k": 1, "settings": SETTINGS}
    assert race.look(units(a=spread(10.0, 0.05)), **arguments).pending
    assert not race.look(units(a=spread(10.0, 0.001)), **arguments).pending


def timed(key: str, r: int, ms: float) -> list[Slice]:
    """One round of passes that differ a little, as real ones do."""
    wobble = (0.999, 1.0, 1.001)
    return [
        Slice(
            v=key, r=r, p=p, pos=0, kind="timed", t0=0, settle=1, ns=(round(ms * 1e6 * part * (1 + 0.001 * (r % 3))),)
        )
        for p, part in enumerate(wobble)
    ]


def raced(**ms: float) -> Race:
    """Five rounds of these call durations, with `a` for the baseline."""
    found = Race([key for key in ms if not key.endswith(TWIN_SUFFIX)], reference="a", settings=SETTINGS)
    for r in range(1, 6):
        found.note_slices([item for key, duration in ms.items() for item in timed(key, r, duration)])
    return found


def test_the_twin_doubles_the_baseline_and_once_that_has_left_the_leader() -> None:
    found = raced(a=20.0, b=5.0, c=10.0)
    assert found.twin_of == "a"
    look = found.look(1, yardstick=None)
    assert look is not None
    assert set(look.leaves) == {"a", "c"}
    assert found.live == ["b"]
    assert found.reference is None
    assert found.twin_of == "b"


def test_a_candidate_with_wrong_outputs_cannot_lead_and_leaves_whatever_its_speed() -> None:
    found = raced(a=10.0, b=1.0, c=10.0)
    found.note_outputs([{"v": "b" + TWIN_SUFFIX, "wrong": "max abs error 0.5"}, {"v": "a", "wrong": None}])
    look = found.look(1, yardstick=None)
    assert look is not None
    assert look.best != "b"
    assert look.leaves == ("b",)


def test_before_two_rounds_there_is_nothing_to_look_at() -> None:
    found = Race(["a", "b"], reference="a", settings=SETTINGS)
    found.note_slices([*timed("a", 1, 5.0), *timed("b", 1, 9.0)])
    assert found.look(1, yardstick=None) is None
    assert found.live == ["a", "b"]
