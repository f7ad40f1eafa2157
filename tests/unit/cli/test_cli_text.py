"""Values become the text that the design of the terminal asks for, and hostile text stays text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from taskstate.cli import text

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


@given(ANY_TEXT)
@example("\x1b[2J\x1b]0;title\x07")
@example("a\u202eb\u2066c\u200b")
@example("\ud800\x00\x7f\x9b31m\u2028")
def test_escaped_text_holds_nothing_that_acts_on_a_terminal(hostile):
    escaped = text.escape(hostile)
    assert not [c for c in escaped if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    assert text.escape(escaped) == escaped


@given(ANY_TEXT)
def test_escaped_lines_hold_no_line_end_and_lose_no_line(hostile):
    lines = text.escape_lines(hostile)
    assert lines
    assert not [c for line in lines for c in line if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert len(lines) == len(hostile.removesuffix("\n").replace("\r\n", "\n").split("\n"))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_is_left_as_it_is(plain):
    assert text.escape(plain) == plain


def test_marks_are_recognizable():
    assert text.escape("a\x1b[0m\x00\x7f") == "a␛[0m␀␡"
    assert text.escape("ok\u202eevil") == "ok\\u202eevil"
    assert text.escape("Grüße, 東京 ✓") == "Grüße, 東京 ✓"
    assert text.escape_lines("one\n\ttwo\r\nthree\rfour\n") == ["one", "    two", "three␍four"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0.0 s"), (0.42, "0.4 s"), (1.2, "1.2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (41.4, "41 s"), (59.7, "1 min"),
        (60, "1 min"), (192, "3 min 12 s"), (3599.6, "1 h"), (7500, "2 h 5 min"), (86399.9, "1 d"), (273600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_have_at_most_two_units(seconds, expected):
    assert text.duration(seconds) == expected


@given(st.floats(min_value=-1e6, max_value=1e9))
def test_a_duration_never_shows_a_full_next_unit_or_a_minus(seconds):
    shown = text.duration(seconds)
    assert "-" not in shown
    assert not shown.startswith("60 ")
    assert " 60 " not in shown
    assert not shown.startswith("24 h")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "0.0 s ago"), (0.8, "0.8 s ago"), (41, "41 s ago"), (59.4, "59 s ago"), (60, "1 min ago"), (250, "4 min ago"),
     (7300, "2 h ago"), (3 * 86400, "3 d ago")],
)  # fmt: skip
def test_ages_have_one_unit_and_are_never_negative(seconds, expected):
    assert text.age(seconds) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0 %"), (60.9, "60 %"), (99.99, "99 %"), (100, "100 %"), (101, "100 %")]
)
def test_percent_is_whole_and_99_until_all_is_done(value, expected):
    assert text.percent(value) == expected


def test_counts_have_thousands_and_an_unknown_whole_is_not_invented():
    assert text.quantity(1204, 1980) == "1,204 of 1,980"
    assert text.quantity(1204, None) == "1,204 done"
    assert text.quantity(0.25, 1) == "0.25 of 1"


def test_cut_says_that_something_is_missing():
    assert text.cut("abcdef", 6) == "abcdef"
    assert text.cut("abcdefg", 6) == "abcde…"


@pytest.mark.parametrize(
    ("size", "expected"), [(512, "512 B"), (28364, "27.7 KiB"), (4 * 2**20, "4.0 MiB"), (4_187_593_114, "3.9 GiB")]
)
def test_memory_is_in_binary_units(size, expected):
    assert text.binary_size(size) == expected


def test_times_turn_into_dates_when_an_age_says_little():
    now = 1_790_000_000.0
    assert text.when(now - 250, now) == "4 min ago"
    assert len(text.when(now - 2 * 86400, now).split()) == 2
    assert text.when(now - 9 * 86400, now).count("-") == 2
    assert text.absolute_time(0) == "1970-01-01T00:00:00Z"
