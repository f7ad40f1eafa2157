"""From markup to headed paragraphs, for every format, and for text that wants to hurt."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.knowledge_base.markup import parse_sections

MARKDOWN = """\
[![build](https://img.shields.io/b.svg)](https://ci.example/b)

Title of it
===========

It **locks** files, see the [manual](https://docs.example/a_(b)).
Even `between` processes &amp; threads.

<p align="center"><em>Small</em> <img src="logo.png"></p>

## Usage ##

- first entry
- second entry

```python
import it  # not prose
```

| a | b |
|---|---|

    literal

[ref]: https://example.com
"""

RST = """\
.. image:: https://img.shields.io/x.svg
   :target: https://ci.example

=====
Title
=====

It *locks* files, see `the manual <https://docs.example>`_ and :class:`~it.Lock`.

Usage
-----

Like this::

    not prose

.. code-block:: python

   also_not.prose()

* an entry

#### A heading in Markdown
"""


def texts(text: str, markup_format: str) -> list[tuple[str, list[str]]]:
    return [(section.heading, section.paragraphs) for section in parse_sections(text, markup_format)]


def test_markdown() -> None:
    assert texts(MARKDOWN, "markdown") == [
        ("Title of it", ["It locks files, see the manual. Even between processes & threads.", "Small"]),
        ("Usage", ["first entry", "second entry"]),
    ]


def test_restructured_text() -> None:
    assert texts(RST, "rst") == [
        ("Title", ["It locks files, see the manual and it.Lock."]),
        ("Usage", ["Like this:", "an entry"]),
        ("A heading in Markdown", []),
    ]


def test_html() -> None:
    head = "<html><HEAD><title>x</title></head><!-- hidden -->"
    page = "<h1>Title</h1><p>It locks &amp;\n unlocks.</p><pre>code</pre><script>bad()</script><ul><li>one thing</ul>"
    assert texts(head + page, "html") == [("Title", ["It locks & unlocks.", "one thing"])]


def test_plain_text_and_nothing() -> None:
    assert texts("Two lines\nof text.\n\nAnother.", "plain") == [("", ["Two lines of text.", "Another."])]
    assert texts("", "markdown") == []
    assert texts("\0\r\n---", "rst") == []


@given(st.text(max_size=400), st.sampled_from(["markdown", "rst", "html", "plain"]))
def test_any_text_is_read(text: str, markup_format: str) -> None:
    for section in parse_sections(text, markup_format):
        assert "\n" not in section.heading
        assert all(paragraph == " ".join(paragraph.split()) for paragraph in section.paragraphs)


@pytest.mark.parametrize(
    "piece", ["[", "<a ", "![](", "`", "*a ", "<!--", "[a](", "|a ", "<h1 ", ":a:`", "<p", "_a", "((", "\\"]
)
@pytest.mark.parametrize("markup_format", ["markdown", "rst", "html"])
def test_hostile_text_costs_time_in_proportion_only(piece: str, markup_format: str) -> None:
    started = time.process_time()
    parse_sections(piece * (60_000 // len(piece)), markup_format)
    # A pattern that backtracks over the whole text would take minutes.
    assert time.process_time() - started < 2
