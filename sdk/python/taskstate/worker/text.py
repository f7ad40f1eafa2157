"""Texts that came from a task, made fit to be stored: bounded, and without what a database refuses."""

from __future__ import annotations

import re
from typing import Final

NUL_SHOWN: Final = "\u2400"
"""What a NUL is shown as; PostgreSQL holds none."""
SURROGATE_SHOWN: Final = "\ufffd"
"""What a lone surrogate is shown as; UTF-8 holds none."""
CUT_MARK: Final = "…"

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CUT_MARK_BYTES: Final = len(CUT_MARK.encode())


def fit_text(text: str, bytes_max: int) -> str:
    """The text as it can be stored, at most ``bytes_max`` bytes of UTF-8. A text that was cut ends with an ellipsis."""
    if len(text) > bytes_max:
        # One character is at least one byte, so nothing beyond can fit; a huge text is not encoded whole.
        text, was_cut = text[:bytes_max], True
    else:
        was_cut = False
    text = clean_text(text)
    encoded = text.encode()
    if len(encoded) <= bytes_max and not was_cut:
        return text
    return encoded[: max(0, bytes_max - _CUT_MARK_BYTES)].decode("utf-8", "ignore") + CUT_MARK


def fit_label(text: str, characters_max: int) -> str:
    """The text as a name of one line, at most ``characters_max`` characters; control characters become spaces."""
    shown = "".join(c if c >= " " and c != "\x7f" else " " for c in clean_text(text[: characters_max + 1]))
    return shown if len(shown) <= characters_max else shown[: characters_max - 1] + CUT_MARK


def clean_text(text: str) -> str:
    """The text without NUL characters and lone surrogates, which are replaced by visible stand-ins."""
    if "\0" in text:
        text = text.replace("\0", NUL_SHOWN)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _LONE_SURROGATE.sub(SURROGATE_SHOWN, text)
    return text
