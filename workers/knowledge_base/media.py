"""Links, images and badges in a document: found, classified and recorded. Nothing is fetched: there is no network here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from workers.knowledge_base.model import MediaItem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.knowledge_base.model import Document

#: Most links and images that are recorded for one document.
MEDIA_MAX = 300
#: Longest address, in characters; a longer one is not a link that a person follows.
URL_LENGTH_MAX = 1_000

#: What a link can be, in the order in which a page lists them.
KINDS = (
    "homepage", "documentation", "source", "issues", "changelog", "package index", "funding", "chat",
    "image", "badge", "video", "mail", "other", "relative", "unsafe",
)  # fmt: skip

_BADGE = re.compile(
    r"shields\.io|badge|badgen\.net|travis-ci|codecov\.io|coveralls\.io|/workflows/.*\.svg|app\.readthedocs\.org/projects/.*version="
    r"|pepy\.tech|snyk\.io|scorecard|isitmaintained|zenodo\.org/.*\.svg|api\.star-history",
    re.IGNORECASE,
)
_IMAGE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|avif|ico)(?:$|[?#])", re.IGNORECASE)
_VIDEO = re.compile(r"youtube\.com|youtu\.be|vimeo\.com|asciinema\.org|\.(?:mp4|webm)(?:$|[?#])", re.IGNORECASE)

#: Kind by the label a project gives its link, first match wins.
_LABELS: tuple[tuple[str, str], ...] = (
    ("changelog", r"change\s*-?log|changes|release|history|what'?s new|news"),
    ("issues", r"issue|bug|tracker"),
    ("funding", r"fund|sponsor|donat|tidelift|patreon"),
    ("chat", r"chat|discord|slack|gitter|mailing|forum|twitter|mastodon|bluesky"),
    ("documentation", r"docs?\b|documentation|manual|tutorial|guide|reference"),
    ("source", r"source|repository|github|gitlab|code\b"),
    ("homepage", r"home\s*-?page|^home$|website"),
)
#: Kind by the address.
_ADDRESSES: tuple[tuple[str, str], ...] = (
    ("issues", r"/issues(?:/|$)|bugs\."),
    ("chat", r"discord\.|gitter\.im|slack\.|t\.me/|twitter\.com|fosstodon|groups\.google"),
    ("funding", r"/sponsors/|opencollective|patreon|tidelift|buymeacoffee"),
    ("changelog", r"change-?log|changes|/releases|whats-?new|history\.(?:md|rst)"),
    ("package index", r"pypi\.org|pypi\.python\.org|anaconda\.org|conda-forge"),
    ("documentation", r"readthedocs|^https?://docs?\.|/docs?/|\.github\.io|peps\.python\.org|/documentation|/tutorial"),
    ("source", r"github\.com|gitlab\.com|codeberg\.org|bitbucket\.org|sr\.ht"),
)


def extract_media(document: Document) -> tuple[MediaItem, ...]:
    """The links, images and badges of a document, each address once, in the order of `KINDS`."""
    found: dict[str, MediaItem] = {}
    for label, url, is_image in _candidates(document):
        cleaned = re.sub(r"\s+", "", url).rstrip(".,;'\"")
        if cleaned and len(cleaned) <= URL_LENGTH_MAX and cleaned not in found and len(found) < MEDIA_MAX:
            text = re.sub(r"\s+", " ", label).strip()[:120]
            found[cleaned] = MediaItem(kind=classify(cleaned, text, is_image=is_image), url=cleaned, label=text)
    return tuple(sorted(found.values(), key=lambda item: KINDS.index(item.kind)))


def classify(url: str, label: str, *, is_image: bool) -> str:
    """What a link is, by its address and its label; one of `KINDS`."""
    scheme = _scheme(url)
    if scheme == "mailto":
        return "mail"
    if scheme not in {"http", "https", ""}:
        return "unsafe"
    if (is_image or _IMAGE.search(url)) and _BADGE.search(url):
        return "badge"
    if is_image or _IMAGE.search(url):
        return "image"
    if not scheme:
        return "relative"
    if _VIDEO.search(url):
        return "video"
    return _first_match(_LABELS, label) or _first_match(_ADDRESSES, url) or "other"


def _scheme(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        # For example an unclosed bracket in the host.
        return "invalid"
    return parts.scheme or ("http" if parts.netloc else "")


def _first_match(patterns: Iterable[tuple[str, str]], text: str) -> str | None:
    return next((kind for kind, pattern in patterns if re.search(pattern, text, re.IGNORECASE)), None)


def _candidates(document: Document) -> Iterator[tuple[str, str, bool]]:
    """Label, address and whether it is shown as an image."""
    for link in document.links:
        yield link.label, link.url, False
    text = document.description
    yield from _html_candidates(text)
    if document.description_format in {"markdown", "plain"}:
        yield from _markdown_candidates(text)
    if document.description_format in {"rst", "plain"}:
        yield from _rst_candidates(text)
    for match in re.finditer(r"(?<![\w/\"'=(<])https?://[^\s<>\"'`)\]|\\]{3,1000}", text):
        yield "", match.group(0), False


def _html_candidates(text: str) -> Iterator[tuple[str, str, bool]]:
    for match in re.finditer(r"<img\s([^<>]{1,2000})>", text, re.IGNORECASE):
        source = re.search(r"\bsrc\s*=\s*[\"']?([^\"'\s>]{1,1000})", match.group(1), re.IGNORECASE)
        alt = re.search(r"\balt\s*=\s*[\"']([^\"']{0,200})", match.group(1), re.IGNORECASE)
        if source:
            yield alt.group(1) if alt else "", source.group(1), True
    for match in re.finditer(
        r"<a\s[^<>]{0,500}?href\s*=\s*[\"']?([^\"'\s<>]{1,1000})[^<>]{0,500}>([^<]{0,200})", text, re.IGNORECASE
    ):
        yield match.group(2), match.group(1), False


def _markdown_candidates(text: str) -> Iterator[tuple[str, str, bool]]:
    for match in re.finditer(r"(!?)\[([^\[\]]{0,300})\]\(\s{0,5}<?([^\s<>()]{1,1000})", text):
        yield match.group(2), match.group(3), bool(match.group(1))
    # The outer link around a badge: `[![alt](image)](target)`.
    for match in re.finditer(r"\[!\[([^\[\]]{0,300})\]\([^()]{1,1000}\)\]\(\s{0,5}([^\s()]{1,1000})", text):
        yield match.group(1), match.group(2), False
    for match in re.finditer(r"^ {0,3}\[([^\[\]]{1,200})\]:[ \t]{1,20}<?([^\s<>]{1,1000})", text, re.MULTILINE):
        yield match.group(1), match.group(2), bool(_IMAGE.search(match.group(2)))


def _rst_candidates(text: str) -> Iterator[tuple[str, str, bool]]:
    for match in re.finditer(
        r"^[ \t]{0,20}\.\. (?:\|([^|\n]{1,100})\| )?(?:image|figure)::[ \t]{1,20}(\S{1,1000})", text, re.MULTILINE
    ):
        yield match.group(1) or "", match.group(2), True
    for match in re.finditer(r"`([^`<]{0,300}?)\s{0,5}<([^`<>\s]{1,1000})>`_", text):
        yield match.group(1), match.group(2), False
    for match in re.finditer(r"^[ \t]{0,20}\.\. _`?([^:`\n]{1,200})`?:[ \t]{1,20}(\S{1,1000})", text, re.MULTILINE):
        yield match.group(1), match.group(2), False
    for match in re.finditer(r"^[ \t]{1,20}:target:[ \t]{1,20}(\S{1,1000})", text, re.MULTILINE):
        yield "", match.group(1), False
