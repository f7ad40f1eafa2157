"""File names from untrusted names: never outside the folder, never the same for two documents.

A distribution's name is whatever its metadata says: `../../etc/passwd`, `CON`, 4,000 letters, an empty string. A slug
consists of `a-z0-9-` only, is at most 72 characters long, and is no name that a file system or this knowledge base
treats in a special way. A name that cannot be kept as it is gets a part of its hash, so that two such names differ.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Longest slug, in characters. File names may have 255 bytes; temporary names and suffixes must fit in too.
SLUG_LENGTH_MAX = 72
_HASH_LENGTH = 10

_RESERVED = frozenset(
    ["readme", "index", "con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))]
)


def canonical(name: str) -> str:
    """The name by which distributions are the same (as package indexes compare them)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def slug(name: str) -> str:
    """A safe file name stem for `name`; equal for names that are canonically equal."""
    wanted = canonical(name)
    safe = re.sub(r"[^a-z0-9]+", "-", wanted).strip("-")
    if safe == wanted and safe and safe not in _RESERVED and len(safe) <= SLUG_LENGTH_MAX:
        return safe
    return with_hash(safe, wanted)


def with_hash(stem: str, name: str) -> str:
    """`stem`, cut, with a part of the hash of `name` behind it."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    return f"{stem[: SLUG_LENGTH_MAX - _HASH_LENGTH - 1].strip('-') or 'item'}-{digest}"


def unique_slugs(names: Iterable[str]) -> dict[str, str]:
    """A slug for each name; names that are canonically equal share one, all others differ.

    A plain name keeps its slug whatever the others are called (`foo-1234567890` could look like a hashed one), so the
    names whose slug is their own are served first.
    """
    taken: dict[str, str] = {}
    result: dict[str, str] = {}
    for name in sorted(set(names), key=lambda each: (slug(each) != canonical(each), canonical(each), each)):
        wanted, identity = slug(name), canonical(name)
        while taken.setdefault(wanted, identity) != identity:
            wanted = with_hash(wanted, f"{wanted}/{identity}")
        result[name] = wanted
    return result
