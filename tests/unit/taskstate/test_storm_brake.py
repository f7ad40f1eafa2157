"""The storm brake: many streams that break at once are no deaths."""

from __future__ import annotations

from services.taskstate.clockwork import StormBrake


def breaks(brake: StormBrake[int], count: int, total: int, every_s: float) -> list[list[int]]:
    """What the brake answers when so many of so many streams break, one after the other."""
    return [brake.broke(number, total - number - 1, number * every_s) for number in range(count)]


def test_three_are_deaths_and_the_fourth_makes_a_storm_of_all():
    assert breaks(StormBrake(), 5, 12, 0.1) == [[], [], [], [0, 1, 2, 3], [4]]


def test_a_quarter_or_less_is_no_storm():
    assert breaks(StormBrake(), 5, 20, 0.1) == [[]] * 5
    assert breaks(StormBrake(), 5, 19, 0.1) == [[]] * 4 + [[0, 1, 2, 3, 4]]


def test_slow_deaths_are_no_storm():
    assert breaks(StormBrake(), 20, 20, 0.7) == [[]] * 20


def test_each_stream_is_spared_once_however_many_break():
    # Else a thousand streams would be spared half a million times, each time with an event for each attempt.
    spared = [number for answer in breaks(StormBrake(), 1000, 1000, 0.001) for number in answer]
    assert sorted(spared) == list(range(1000))
