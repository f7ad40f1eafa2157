"""How values become text in a terminal: escaped, short, and the same everywhere. Pure.

Names, messages and log lines come from users and from the programs they run. In a terminal such a text could move the
cursor, recolour what follows, or turn the reading direction round; so every character that is not itself visible is
drawn as a mark: ESC as ␛, a right-to-left override as its escape ``\\u202e``.
"""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

ABSENT: Final = "-"
SHORT_ID_LENGTH: Final = 8
_CONTROL_PICTURES: Final = 0x2400
_DELETE: Final = 0x7F
_DELETE_PICTURE: Final = "␡"
# Cc: control, Cf: format (bidirectional overrides, zero-width joiners), Cs: lone surrogates, Co and Cn: private or not
# assigned, Zl and Zp: separators that some terminals obey as line ends.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86400
_TENTHS_BELOW_S: Final = 10


def escape(text: str) -> str:
    """The text on one line, with every invisible character drawn as a mark. Idempotent."""
    return text if text.isascii() and text.isprintable() else "".join(map(_mark, text))


def escape_lines(text: str) -> list[str]:
    """The lines of a text whose line ends are meant as such, each escaped, with tabs as spaces. At least one line."""
    return [escape(line.expandtabs(4)) for line in text.removesuffix("\n").replace("\r\n", "\n").split("\n")]


def _mark(character: str) -> str:
    code = ord(character)
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    if code == _DELETE:
        return _DELETE_PICTURE
    if unicodedata.category(character) in _INVISIBLE:
        return character.encode("ascii", "backslashreplace").decode("ascii")
    return character


def cut(text: str, width: int) -> str:
    """At most `width` characters, the last of them "…" where something was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def short_id(task_id: str) -> str:
    """The beginning of a task's id, which commands take as well."""
    return escape(task_id[:SHORT_ID_LENGTH])


def count(value: float) -> str:
    """A count with thousands: "1,204"; a fraction keeps two digits: "0.25"."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def percent(value: float) -> str:
    """A whole number; 99 until it is truly all, so that "100 %" never stands beside work that goes on."""
    return f"{100 if value >= 100 else min(99, int(value))} %"


def quantity(done: float, total: float | None) -> str:
    """How far in words: "1,204 of 1,980", "1,204 done" when the whole is not known."""
    return f"{count(done)} done" if total is None else f"{count(done)} of {count(total)}"


def duration(seconds: float) -> str:
    """A length of time in at most two units: "0.4 s", "41 s", "3 min 12 s", "2 h 5 min", "3 d 4 h"."""
    seconds = max(0.0, seconds)
    if seconds < _TENTHS_BELOW_S - 0.05:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two_units(whole, _MINUTE_S, "min", 1, "s")
    if whole < _DAY_S:
        return _two_units(whole, _HOUR_S, "h", _MINUTE_S, "min")
    return _two_units(whole, _DAY_S, "d", _HOUR_S, "h")


def _two_units(whole: int, large_s: int, large: str, small_s: int, small: str) -> str:
    rest = whole % large_s // small_s
    return f"{whole // large_s} {large} {rest} {small}" if rest else f"{whole // large_s} {large}"


def age(seconds: float) -> str:
    """How long ago: "0.8 s ago", "4 min ago" (one unit from a minute on, as nobody needs more). Never negative."""
    seconds = max(0.0, seconds)
    if seconds < _MINUTE_S - 0.5:
        return f"{duration(seconds)} ago"
    if seconds < _HOUR_S:
        return f"{round(seconds / _MINUTE_S)} min ago"
    if seconds < _DAY_S:
        return f"{round(seconds / _HOUR_S)} h ago"
    return f"{round(seconds / _DAY_S)} d ago"


def binary_size(size_bytes: int) -> str:
    """A memory size: "512 B", "27.7 MiB"."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("KiB", "MiB"):
        value /= 1024
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GiB"


def clock_time(seconds: float) -> str:
    """A time of today, local: "14:02:11"."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%H:%M:%S")


def absolute_time(seconds: float, *, with_ms: bool = False) -> str:
    """A time that is right wherever and whenever it is read: "2026-11-23T14:02:11Z"."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds" if with_ms else "seconds") + "Z"


def step(seconds: float) -> str:
    """The time between two events of a timeline: "4 ms", from a second on as ``duration``."""
    return f"{max(0.0, seconds) * 1000:.0f} ms" if seconds < 1 else duration(seconds)


def when(seconds: float, now: float) -> str:
    """A time as an age: "4 min ago"; after a day "Tue 14:02", after a week a date, both local."""
    passed = now - seconds
    if passed < _DAY_S:
        return age(passed)
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    return moment.strftime("%a %H:%M" if passed < 7 * _DAY_S else "%Y-%m-%d")
