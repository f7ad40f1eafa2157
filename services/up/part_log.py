"""The log file of one part: bounded, with the newest lines at hand and each line shown to whoever listens."""

from __future__ import annotations

import collections
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

FILE_BYTES_MAX = 5 * 1024 * 1024
LINE_BYTES_MAX = 16 * 1024
_TAIL_LINES = 20


class PartLog:
    """Appends a part's output to `<name>.log`; the former file (of the last start, or a full one) is `<name>.log.1`.

    So a part never keeps more than twice 5 MiB. A line longer than 16 KiB is listened to in pieces.
    """

    def __init__(self, path: Path, on_line: Callable[[str], None], file_bytes_max: int = FILE_BYTES_MAX) -> None:
        self.path = path
        self.tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._on_line = on_line
        self._bytes_max = file_bytes_max
        self._unfinished = b""
        self._file = self._rotated()

    def write(self, output: bytes) -> None:
        """Take a piece of output as it came from the pipe.

        Writes to the page cache without buffering of our own: after a crash of `up` the last words are on disk.
        """
        if self._size + len(output) > self._bytes_max:
            self._file.close()
            self._file = self._rotated()
        self._file.write(output)
        self._size += len(output)
        *lines, self._unfinished = (self._unfinished + output).split(b"\n")
        if len(self._unfinished) > LINE_BYTES_MAX:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            text = line[:LINE_BYTES_MAX].decode(errors="replace")
            self.tail.append(text)
            self._on_line(text)

    def last_words(self) -> str:
        """The newest line that is not empty, for a message about the part's end."""
        lines = [*self.tail, self._unfinished.decode(errors="replace")]
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotated(self) -> BinaryIO:
        if self.path.exists():
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._size = 0
        return self.path.open("ab", buffering=0)
