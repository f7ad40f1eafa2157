"""Writing files so that a reader, and the next run after a kill, sees the old content or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

#: Prefix of a file that is being written; the next run removes what a killed one left.
TEMPORARY_PREFIX = ".writing-"


class OutsideFolderError(ValueError):
    """The path leads out of the folder that may be written."""


def inside(root: Path, relative: str) -> Path:
    """The path of `relative` under `root`.

    Raises OutsideFolderError if it lies elsewhere once every symbolic link on the way is followed.
    """
    path = root / relative
    if not path.parent.resolve().is_relative_to(root.resolve()) or path.name in {"", ".", ".."}:
        raise OutsideFolderError(f"{relative!r} leads out of the output folder")
    return path


def write_text(path: Path, text: str, *, force: bool = False) -> bool:
    """Write `text` (UTF-8) to `path` in one step; answers whether it wrote. Safe to repeat.

    A file that has this content already is left alone, unless `force` is set.

    Code points that UTF-8 cannot carry (lone surrogates from a badly decoded source) become question marks.
    """
    content = text.encode("utf-8", "replace")
    try:
        if path.read_bytes() == content and not force:
            return False
    except (FileNotFoundError, IsADirectoryError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            # Without this a power cut may leave a renamed but empty file.
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True


def remove_leftovers(root: Path) -> int:
    """Remove what killed runs were writing; answers how many files. Call it only while holding the folder's lock."""
    count = 0
    for folder in [root, *(entry for entry in root.iterdir() if entry.is_dir() and not entry.is_symlink())]:
        for path in [*folder.glob(f"{TEMPORARY_PREFIX}*"), *folder.glob(f"documents/{TEMPORARY_PREFIX}*")]:
            path.unlink(missing_ok=True)
            count += 1
    return count
