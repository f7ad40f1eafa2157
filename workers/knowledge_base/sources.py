"""Reading what installed distributions say about themselves, through `importlib.metadata`.

Metadata is written by strangers: headers are missing or repeated, bytes are not UTF-8, a description is a megabyte
of HTML. Reading is therefore cut in two: `fetch` finds the distributions and takes a fingerprint of each, cheap and
in bulk; `read_document` reads one in full, and only if its fingerprint is new.
"""

from __future__ import annotations

import email.parser
import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workers.knowledge_base import docstrings, names
from workers.knowledge_base.model import Document, Link

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from email.message import Message

#: Longest description that is kept, in characters; what is longer is cut.
DESCRIPTION_LENGTH_MAX = 400_000
#: Longest header that is kept (summary, licence, one link), in characters.
HEADER_LENGTH_MAX = 2_000
#: Most links, classifiers or keywords of one distribution.
HEADERS_MAX = 200
#: Raised when reading changes in a way that makes older records wrong: part of every fingerprint.
READER_VERSION = "1"


#: SPDX identifiers of what people call the commonest licences; only where the name leaves no doubt.
_COMMON_LICENSES = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd 3-clause license": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
}


class NoMetadataError(ValueError):
    """The distribution carries no readable metadata, or its metadata has no name."""


@dataclass(frozen=True)
class Source:
    """One installed distribution: found and named, not yet read in full."""

    name: str
    fingerprint: str
    headers: Message
    distribution: importlib.metadata.Distribution


class InstalledLibrary:
    """The distributions installed for this interpreter, or those in the given folders."""

    def __init__(self, path: Sequence[str] | None = None) -> None:
        self._path = path

    def find(self) -> list[importlib.metadata.Distribution]:
        """All distributions on the path, first found first. The same one may come more than once."""
        if self._path is None:
            return list(importlib.metadata.distributions())
        return list(importlib.metadata.distributions(path=list(self._path)))


def fetch(distribution: importlib.metadata.Distribution) -> Source:
    """Name and fingerprint of one distribution. Raises NoMetadataError."""
    text = _metadata_text(distribution)
    headers = email.parser.Parser().parsestr(text)
    name = _header(headers, "Name")
    if not name:
        raise NoMetadataError(f"{describe(distribution)} has no name in its metadata")
    # RECORD lists each file with its hash, so one hash over both covers the docstrings too.
    material = f"{READER_VERSION}\0{text}\0{_read_text(distribution, 'RECORD')}"
    fingerprint = hashlib.sha256(material.encode("utf-8", "surrogatepass")).hexdigest()
    return Source(name, fingerprint, headers, distribution)


def read_document(source: Source, *, with_docstrings: bool = True) -> Document:
    """The distribution's documentation in full."""
    headers = source.headers
    # The version lands on pages and in fingerprints; a distribution without one is still worth a page.
    description = _description(headers)
    return Document(
        name=source.name[:HEADER_LENGTH_MAX],
        version=_header(headers, "Version") or "unknown",
        summary=" ".join(_header(headers, "Summary").split()),
        description=description,
        description_format=_format(_header(headers, "Description-Content-Type"), description),
        license=_license(headers),
        requires_python=_header(headers, "Requires-Python"),
        links=tuple(_links(headers)),
        classifiers=tuple(_all(headers, "Classifier")),
        keywords=tuple(_keywords(_header(headers, "Keywords"))),
        requires=tuple(_requirements(headers)),
        module_docs=docstrings.read_module_docs(source.distribution) if with_docstrings else (),
        fingerprint=source.fingerprint,
    )


def describe(distribution: importlib.metadata.Distribution) -> str:
    """How to call a distribution that may not have a name: by the folder of its metadata."""
    folder = getattr(distribution, "_path", None)
    return Path(str(folder)).name if folder is not None else repr(distribution)


def _metadata_text(distribution: importlib.metadata.Distribution) -> str:
    for filename in ("METADATA", "PKG-INFO", ""):
        text = _read_text(distribution, filename)
        if text.strip():
            return text
    raise NoMetadataError(f"{describe(distribution)} carries no metadata")


def _read_text(distribution: importlib.metadata.Distribution, filename: str) -> str:
    try:
        return distribution.read_text(filename) or ""
    except UnicodeDecodeError:
        # `read_text` insists on UTF-8. The path is private to the standard library's class, but the only way to the
        # bytes of a file that is not; most of such a file is readable.
        folder = getattr(distribution, "_path", None)
        if folder is None:
            raise
        return str(Path(str(folder), filename).read_bytes().decode("utf-8", "replace"))


def _header(headers: Message, name: str) -> str:
    value = str(headers.get(name) or "").strip()[:HEADER_LENGTH_MAX]
    return "" if value == "UNKNOWN" else value


def _all(headers: Message, name: str) -> list[str]:
    values = [str(value).strip()[:HEADER_LENGTH_MAX] for value in headers.get_all(name) or []]
    return [value for value in values if value][:HEADERS_MAX]


def _description(headers: Message) -> str:
    body = headers.get_payload()
    text = body if isinstance(body, str) and body.strip() else ""
    if not text and headers.get("Description"):
        # Old metadata folds the description into a header, each further line indented by eight columns.
        text = re.sub(r"\n(?: {8}|\t| {7}\|)", "\n", str(headers["Description"]))
    text = text.strip("\r\n")
    return "" if text.strip() == "UNKNOWN" else text[:DESCRIPTION_LENGTH_MAX]


def _format(content_type: str, description: str) -> str:
    lowered = content_type.lower()
    for word, result in (("markdown", "markdown"), ("rst", "rst"), ("html", "html")):
        if word in lowered:
            return _html_if_mostly_tags(description, result)
    if lowered.startswith("text/plain"):
        return "plain"
    return _html_if_mostly_tags(description, _guess_format(description))


def _guess_format(description: str) -> str:
    """Format of a description that does not say. The old default is reStructuredText."""
    sample = description[:20_000]
    markdown = len(re.findall(r"^#{1,6} |^```|\]\(https?:", sample, re.MULTILINE))
    rst = len(re.findall(r"^\.\. |^[=~^*-]{4,}\s*$|`_|::\s*$", sample, re.MULTILINE))
    if markdown > rst:
        return "markdown"
    return "rst" if rst else "plain"


def _html_if_mostly_tags(description: str, otherwise: str) -> str:
    """Some descriptions are an HTML page whatever their content type says."""
    start = description[:2_000].lstrip().lower()
    return "html" if start.startswith(("<!doctype html", "<html")) else otherwise


def _license(headers: Message) -> str:
    """The licence in a few words: an SPDX expression, else the classifiers, else the first line of the text."""
    expression = _header(headers, "License-Expression")
    if expression:
        return expression[:200]
    classified = [
        value.rsplit(" :: ", 1)[-1] for value in _all(headers, "Classifier") if value.startswith("License :: ")
    ]
    text = _header(headers, "License")
    first_line = text.splitlines()[0].strip() if text else ""
    # A short text ("MIT") is more exact than a classifier; a long one is the licence itself.
    if first_line and len(text) <= 60:
        return _COMMON_LICENSES.get(first_line.lower(), first_line)
    named = [_COMMON_LICENSES.get(value.lower(), value) for value in classified]
    return ", ".join(named) or first_line[:80] or "not stated"


def _links(headers: Message) -> Iterator[Link]:
    homepage = _header(headers, "Home-page")
    if homepage:
        yield Link(label="Homepage", url=homepage)
    for value in _all(headers, "Project-URL"):
        label, _, url = value.partition(",")
        if url.strip() and url.strip() != homepage:
            yield Link(label=label.strip() or "Link", url=url.strip())


def _keywords(text: str) -> list[str]:
    # Commas where there are any, else blanks: both are in use.
    parts = text.split(",") if "," in text else text.split()
    return [part.strip() for part in parts if part.strip()][:HEADERS_MAX]


def _requirements(headers: Message) -> list[str]:
    found: dict[str, None] = {}
    for value in _all(headers, "Requires-Dist"):
        requirement, _, marker = value.partition(";")
        match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
        if match and "extra" not in marker:
            found[names.canonical(match.group(1))] = None
    return list(found)
