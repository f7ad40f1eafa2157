from __future__ import annotations

from services.up.notice_filter import NoticeFilter


def test_the_same_words_are_shown_once_in_half_a_minute() -> None:
    notices = NoticeFilter()
    assert [notices.admit("gateway", "no broker", second) for second in (0, 1, 29.9, 30, 31)] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert notices.admit("workers", "no broker", 31)


def test_a_flood_of_different_words_is_cut() -> None:
    notices = NoticeFilter()
    shown = sum(notices.admit("gateway", f"task {number} failed", number / 1000) for number in range(1000))
    assert shown == 5
    assert notices.admit("gateway", "another", 1.5)


def test_memory_stays_bounded() -> None:
    notices = NoticeFilter()
    for number in range(10_000):
        notices.admit("gateway", f"{number}", float(number))
    assert len(notices._shown) <= 200
