"""Links, images and badges: found in every markup, classified, never followed."""

import time

import pytest

from tests.unit.knowledge_base.documents import document
from workers.knowledge_base.media import KINDS, MEDIA_MAX, classify, extract_media
from workers.knowledge_base.model import Link

MARKDOWN = """\
[![CI](https://img.shields.io/ci.svg)](https://github.com/o/p/actions)
![diagram](docs/diagram.png) and [the guide](https://p.readthedocs.io/guide "title").
See https://github.com/o/p/issues, or write to [us](mailto:us@p.example).
<a href="https://discord.gg/x">Chat</a> <img alt="logo" src='https://p.example/logo.svg'>
[click me](javascript:alert(1)) [ref]: nothing
[changes]: https://p.example/changelog
"""
RST = """\
.. |badge| image:: https://codecov.io/x/badge.svg
   :target: https://codecov.io/x
.. figure:: https://p.example/shot.png
`Manual <https://docs.p.example>`_ and `here`_.

.. _here: https://youtube.com/watch?v=1
"""


def found(text: str, markup_format: str) -> dict[str, str]:
    media = extract_media(document(description=text, description_format=markup_format))
    return {item.url: item.kind for item in media}


def test_markdown() -> None:
    assert found(MARKDOWN, "markdown") == {
        "https://img.shields.io/ci.svg": "badge",
        "https://github.com/o/p/actions": "source",
        "docs/diagram.png": "image",
        "https://p.readthedocs.io/guide": "documentation",
        "https://github.com/o/p/issues": "issues",
        "mailto:us@p.example": "mail",
        "https://discord.gg/x": "chat",
        "https://p.example/logo.svg": "image",
        "javascript:alert": "unsafe",
        "https://p.example/changelog": "changelog",
    }


def test_restructured_text() -> None:
    assert found(RST, "rst") == {
        "https://codecov.io/x/badge.svg": "badge",
        "https://codecov.io/x": "other",
        "https://p.example/shot.png": "image",
        "https://docs.p.example": "documentation",
        "https://youtube.com/watch?v=1": "video",
    }


def test_project_links_come_with_their_labels_and_each_address_once() -> None:
    links = (Link(label="Bug Tracker", url="https://p.example/t"), Link(label="Sponsor", url="https://p.example/s"))
    media = extract_media(document(links=links, description="https://p.example/t https://p.example/t."))
    assert [(item.kind, item.label) for item in media] == [("issues", "Bug Tracker"), ("funding", "Sponsor")]


@pytest.mark.parametrize("url", ["data:text/html,x", "file:///etc/passwd", "JAVASCRIPT:x", "http://[broken"])
def test_an_address_that_must_not_be_followed_is_called_so(url: str) -> None:
    assert classify(url, "Documentation", is_image=False) == "unsafe"


def test_what_is_recorded_is_bounded_and_ordered() -> None:
    text = " ".join(f"https://p.example/{number}" for number in range(MEDIA_MAX + 50)) + " https://" + "x" * 2000
    media = extract_media(document(description=text + " ![i](a.png)"))
    assert len(media) == MEDIA_MAX
    assert [KINDS.index(item.kind) for item in media] == sorted(KINDS.index(item.kind) for item in media)


@pytest.mark.parametrize("piece", ["<img ", "<a href=", "![", "[a](", "`a<", ".. image:: ", "https://", "[![](a)]("])
@pytest.mark.parametrize("markup_format", ["markdown", "rst", "plain"])
def test_hostile_text_costs_time_in_proportion_only(piece: str, markup_format: str) -> None:
    started = time.process_time()
    extract_media(document(description=piece * (60_000 // len(piece)), description_format=markup_format))
    assert time.process_time() - started < 2
