"""From a description's markup to headed sections of plain paragraphs.

Not a renderer: what is wanted is prose to pick sentences from and passages to search in. Code, tables, badges and
directives are dropped, the text of links is kept. The patterns are bounded and work line by line, so that a hostile
description costs time in proportion to its length and no more.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field


@dataclass
class Section:
    """A heading and the paragraphs below it. Text before the first heading has an empty heading."""

    heading: str
    paragraphs: list[str] = field(default_factory=list)
    #: Depth of the heading, 1 for the outermost; 0 for text before the first heading.
    level: int = 0


def parse_sections(text: str, markup_format: str) -> list[Section]:
    """The sections of a description in `markdown`, `rst`, `html` or `plain`; empty ones are left out."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    if markup_format == "html":
        text, markup_format = html_to_text(text), "markdown"
    lines = _markdown_lines(text) if markup_format == "markdown" else _rst_lines(text)
    return _group(lines)


#: Kind and text of a line: `text`, `entry` (of a list), `break` (a paragraph's end), or `heading1` to `heading6`.
_Line = tuple[str, str]
_ADORNMENT = re.compile(r"^([=\-~^\"'`#*+:.<>_])\1{2,}\s*$")


def _group(lines: list[_Line]) -> list[Section]:
    sections = [Section("")]
    paragraph: list[str] = []

    def end_paragraph() -> None:
        joined = re.sub(r"\s+", " ", " ".join(paragraph)).strip()
        paragraph.clear()
        if re.search(r"[^\W\d_]{2}", joined):
            sections[-1].paragraphs.append(joined)

    for kind, content in lines:
        if kind.startswith("heading"):
            end_paragraph()
            sections.append(Section(re.sub(r"\s+", " ", content).strip(), level=int(kind[-1])))
        elif kind in {"break", "entry"}:
            end_paragraph()
        if kind in {"text", "entry"}:
            paragraph.append(content)
    end_paragraph()
    return [section for section in sections if section.paragraphs or section.heading]


# ---- Markdown ----------------------------------------------------------------------------------------------------


def _markdown_lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    fence = ""
    for raw in _without_html(text).split("\n"):
        line = raw.strip()
        opened = re.match(r"(`{3,}|~{3,})", line)
        if opened and (not fence or line.startswith(fence)):
            fence = "" if fence else opened.group(1)
            lines.append(("break", ""))
        elif fence:
            continue
        elif not line or line.startswith("|") or re.fullmatch(r"[|\s:*_-]+", line):
            # A row of dashes or equals signs below a line of text makes that line a heading.
            if re.fullmatch(r"-{3,}", line):
                _promote(lines, 2)
            lines.append(("break", ""))
        elif re.fullmatch(r"={3,}", line):
            _promote(lines, 1)
        elif raw.startswith(("    ", "\t")) and (not lines or lines[-1][0] == "break"):
            continue
        else:
            lines.append(_markdown_line(line))
    return lines


def _markdown_line(line: str) -> _Line:
    heading = re.match(r"(#{1,6})\s+(.*?)\s*#*$", line)
    if heading:
        return f"heading{len(heading.group(1))}", _markdown_inline(heading.group(2))
    entry = re.match(r"(?:[-*+]|\d{1,3}[.)])\s+(.*)", line)
    if entry:
        return "entry", _markdown_inline(entry.group(1))
    # A definition of a link target, a footnote or a table-of-contents mark is no prose.
    if re.match(r"\[[^\]]{1,200}\]:", line):
        return "break", ""
    return "text", _markdown_inline(line.lstrip("> "))


def _markdown_inline(text: str) -> str:
    text = re.sub(r"!\[[^\[\]]{0,300}\](?:\([^()\s]{0,1000}(?:\s+\"[^\"]{0,200}\")?\)|\[[^\[\]]{0,200}\])", " ", text)
    text = re.sub(r"\[([^\[\]]{0,300})\]\([^()]{0,1000}(?:\([^()]{0,200}\)[^()]{0,200})?\)", r"\1", text)
    text = re.sub(r"\[([^\[\]]{1,300})\](?:\[[^\[\]]{0,200}\])?", r"\1", text)
    text = re.sub(r"<((?:https?|mailto):[^<>\s]{1,1000})>", r"\1", text)
    text = re.sub(r"`{1,3}([^`]{1,500})`{1,3}", r"\1", text)
    text = re.sub(r"(\*\*|__)(?=\S)([^*_]{1,500})\1", r"\2", text)
    text = re.sub(r"(?<![\w*])([*_])(?=\S)([^*_]{1,500})\1(?!\w)", r"\2", text)
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text)).strip()


def _promote(lines: list[_Line], level: int) -> None:
    """Turn the line just read into a heading, if it is a line of text."""
    if lines and lines[-1][0] == "text" and len(lines[-1][1]) <= 150:
        lines[-1] = (f"heading{level}", lines[-1][1])


def _heading_mark(tag: re.Match[str]) -> str:
    return f"\n\n{'#' * int(tag.group(1))} "


def _without_html(text: str) -> str:
    text = _without_spans(text, "<!--", "-->")
    text = re.sub(r"<h([1-6])(?:\s[^<>]{0,500})?>", _heading_mark, text, flags=re.IGNORECASE)
    text = re.sub(
        r"</h[1-6]>|</?(?:p|div|ul|ol|tr|table|details|summary)(?:\s[^<>]{0,500})?>", "\n\n", text, flags=re.IGNORECASE
    )
    text = re.sub(r"<li(?:\s[^<>]{0,500})?>", "\n- ", text, flags=re.IGNORECASE)
    return re.sub(r"</?[a-zA-Z][a-zA-Z0-9]{0,15}(?:\s[^<>]{0,1000})?/?>", " ", text)


# ---- reStructuredText and plain text ------------------------------------------------------------------------------


def _rst_lines(text: str) -> list[_Line]:
    lines: list[_Line] = []
    skip_below: int | None = None
    #: The characters below headings, outermost first: a document uses them in the order of its levels.
    adornments: list[str] = []
    for raw in text.split("\n"):
        line = raw.strip()
        indent = len(raw) - len(raw.lstrip())
        if skip_below is not None:
            if not line or indent > skip_below:
                continue
            skip_below = None
        if not line:
            lines.append(("break", ""))
        elif _ADORNMENT.match(line):
            if lines and lines[-1][0] == "text" and line[0] not in adornments:
                adornments.append(line[0])
            _promote(lines, min(6, adornments.index(line[0]) + 1) if line[0] in adornments else 1)
            lines.append(("break", ""))
        elif line.startswith(".."):
            # A directive, a comment or a link target, with everything indented below it.
            skip_below = indent
            lines.append(("break", ""))
        elif line.startswith((">>>", "$ ", "+-", "|", ":")) or re.match(r"#{1,6} ", line):
            lines.append(_rst_special(line))
        else:
            if line.endswith("::"):
                # What follows, indented, is literal text.
                skip_below, line = indent, line[:-1] if len(line) > 2 else ""
            lines.append(_rst_line(line))
    return lines


def _rst_special(line: str) -> _Line:
    # Some descriptions declare reStructuredText and contain Markdown headings; code, tables and fields are no prose.
    if line.startswith("#"):
        return f"heading{len(line) - len(line.lstrip('#'))}", line.lstrip("# ")
    return "break", ""


def _rst_line(line: str) -> _Line:
    entry = re.match(r"(?:[-*+•]|\d{1,3}[.)]|#\.)\s+(.*)", line)
    return ("entry", _rst_inline(entry.group(1))) if entry else ("text", _rst_inline(line))


def _rst_inline(text: str) -> str:
    text = re.sub(r"\|[^|\s][^|]{0,100}\|_{0,2}", " ", text)
    text = re.sub(r":[a-z]{1,20}(?::[a-z]{1,20})?:`~?([^`<]{1,300}?)\s*(?:<[^`>]{1,500}>)?`", r"\1", text)
    text = re.sub(r"`([^`<]{1,300}?)\s*<[^`>]{1,1000}>`_{0,2}", r"\1", text)
    text = re.sub(r"`{1,2}([^`]{1,500})`{1,2}_{0,2}", r"\1", text)
    text = re.sub(r"\[([^\[\]]{1,300})\]\([^()\s]{1,1000}\)", r"\1", text)
    text = re.sub(r"(\*{1,2})(?=\S)([^*]{1,500})\1", r"\2", text)
    return re.sub(r"(\w)_{1,2}(?=[\s.,;:)]|$)", r"\1", text).strip()


# ---- HTML ----------------------------------------------------------------------------------------------------------

#: Elements whose content is no prose.
_SILENT = ("script", "style", "head", "pre", "svg", "template")


def html_to_text(text: str) -> str:
    """The visible text of an HTML page, with headings and list entries marked as in Markdown.

    Not by the standard library's parser: an unclosed tag, repeated, costs it quadratic time.
    """
    for element in _SILENT:
        text = _without_spans(text, f"<{element}", f"</{element}>")
    # Line breaks mean nothing in HTML; the tags make the lines.
    return _without_html(re.sub(r"\s+", " ", text))


def _without_spans(text: str, opening: str, closing: str) -> str:
    """The text without what stands between two marks, in time linear in its length. Case does not matter."""
    lowered = text.lower()
    if len(lowered) != len(text):
        # Some letters change their length in lower case; then positions would not match.
        lowered = text
    kept: list[str] = []
    position = 0
    while (start := lowered.find(opening, position)) >= 0:
        end = lowered.find(closing, start)
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len(closing)
    return " ".join([*kept, text[position:]])
