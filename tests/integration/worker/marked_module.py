"""What hostile messages name: importing it, and calling what is in it, leaves a mark."""

from __future__ import annotations

import os
from pathlib import Path

_MARK = Path(os.environ["TASKSTATE_TEST_MARK"])


def leave_mark(*_: object, **__: object) -> None:
    """Leave the mark."""
    _MARK.write_text("ran")


leave_mark()


class Marked:
    """Leaves a mark when it is unpickled, and when its method is called."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return leave_mark, ()

    def method(self) -> None:
        """Leave the mark."""
        leave_mark()
