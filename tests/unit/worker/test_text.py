"""Texts from tasks: whatever they hold, what is stored fits and can be stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taskstate.worker.text import fit_label, fit_text

anything = st.text(st.characters())


@given(anything, st.integers(3, 60))
def test_a_text_fits_and_can_be_stored(text: str, bytes_max: int) -> None:
    fitted = fit_text(text, bytes_max)
    assert len(fitted.encode()) <= bytes_max
    assert "\0" not in fitted


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20))
def test_a_text_that_fits_is_left_alone(text: str) -> None:
    assert fit_text(text, 80) == text


@pytest.mark.parametrize(
    ("text", "bytes_max", "fitted"),
    [
        ("a\0b", 10, "a\u2400b"),
        ("a\ud800b", 10, "a\ufffdb"),
        ("abcdef", 5, "ab…"),
        ("äöü", 6, "äöü"),
        ("äöü!", 6, "ä…"),
        ("x" * 1_000_000, 6, "xxx…"),
    ],
)
def test_what_becomes_of_odd_texts(text: str, bytes_max: int, fitted: str) -> None:
    assert fit_text(text, bytes_max) == fitted


@given(anything, st.integers(1, 30))
def test_a_label_is_one_line_of_bounded_length(text: str, characters_max: int) -> None:
    label = fit_label(text, characters_max)
    assert len(label) <= characters_max
    assert not any(c < " " or c == "\x7f" for c in label)
    label.encode()
