from __future__ import annotations

from services.up.backoff import Backoff


def test_each_death_doubles_the_wait_up_to_five_seconds() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(lived_s=1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_steady_life_sets_it_back() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay_s(lived_s=0)
    assert backoff.delay_s(lived_s=10) == 0.2
    assert backoff.delay_s(lived_s=0) == 0.4
