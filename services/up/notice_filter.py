"""Which notices a person is shown. A part in trouble warns without end; its log file has everything.

Pure: time comes in as an argument.
"""

from __future__ import annotations

import collections

# The same words of the same part are shown again only after so long.
REPEAT_AFTER_S = 30.0
# At most so many notices of one part within a second.
PER_SECOND_MAX = 5
_REMEMBERED_MAX = 200


class NoticeFilter:
    """Admits each notice of a part once in 30 s, and at most 5 different ones of a part in a second."""

    def __init__(self) -> None:
        self._shown: collections.OrderedDict[tuple[str, str], float] = collections.OrderedDict()
        self._recent: dict[str, collections.deque[float]] = {}

    def admit(self, part: str, text: str, now_s: float) -> bool:
        """Whether to show this notice now."""
        last = self._shown.get((part, text))
        recent = self._recent.setdefault(part, collections.deque(maxlen=PER_SECOND_MAX))
        is_flood = len(recent) == PER_SECOND_MAX and now_s - recent[0] < 1
        if is_flood or (last is not None and now_s - last < REPEAT_AFTER_S):
            return False
        self._shown[part, text] = now_s
        self._shown.move_to_end((part, text))
        if len(self._shown) > _REMEMBERED_MAX:
            self._shown.popitem(last=False)
        recent.append(now_s)
        return True
