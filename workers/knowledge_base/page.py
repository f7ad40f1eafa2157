"""Small pieces of Markdown, safe for untrusted text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def escape(text: str) -> str:
    """One line of text that Markdown shows as it is: no markup, no HTML, no line breaks, no control characters."""
    flat = re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()
    escaped = re.sub(r"([\\`*\[\]<>|~])", r"\\\1", flat)
    # Underscores inside words are no markup, and would only make names hard to read.
    escaped = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", escaped)
    # What would be a heading, a quote or a list entry at the start of a line.
    escaped = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped)
    return re.sub(r"^([#+=-])", r"\\\1", escaped)


def link(label: str, url: str) -> str:
    """A link, or only its label if the address is not one that is safe to follow."""
    target = safe_url(url)
    return f"[{escape(label) or escape(url)}]({target})" if target else escape(label or url)


def safe_url(url: str) -> str | None:
    """The address for use inside a Markdown link; None unless it is http, https or mailto."""
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        return None
    return quote(url, safe=":/?#@!$&'*+,;=%~-._") if scheme in {"http", "https", "mailto"} else None


def front_matter(values: Mapping[str, object]) -> str:
    """A YAML header. JSON values are YAML as well, so that no text can break out of it."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join(["---", *(re.sub(r"[\x7f-\x9f\u2028\u2029]", " ", line) for line in lines), "---", ""])


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def first_sentence(text: str, length_max: int = 160) -> str:
    """The first sentence or line of a docstring, cut at a word."""
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    # A line of dashes makes the line above it a heading and says nothing.
    paragraph = re.sub(r"^\s*([=~^\"'*#-])\1{2,}\s*$", "", paragraph, flags=re.MULTILINE)
    flat = re.sub(r"\s+", " ", re.sub(r":[a-z:]{1,40}:`~?([^`]*)`|`{1,2}([^`]*)`{1,2}", r"\1\2", paragraph)).strip()
    sentence = re.split(r"(?<=[.!?])\s", flat, maxsplit=1)[0]
    if len(sentence) <= length_max:
        return sentence
    return sentence[:length_max].rsplit(" ", 1)[0] + " …"


def plural(count: int, word: str) -> str:
    """`1 document`, `2 documents`, `2 categories`."""
    if count == 1:
        return f"1 {word}"
    return f"{count} {word[:-1]}ies" if word.endswith("y") else f"{count} {word}s"
