"""Rows with aligned columns, cut at the right edge only.

A table of rich shares a lack of width among all columns, so that in a narrow terminal states and ids become unreadable
for the sake of a long message. Here every column but the last keeps what it needs, and the row's end is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

GAP: Final = "  "


def aligned(
    rows: Sequence[Sequence[Text]],
    *,
    indent: str = "",
    right: Collection[int] = (),
    width_max: Mapping[int, int] | None = None,
) -> list[Text]:
    """One line for each row; rows have the same number of cells.

    ``right``: columns set to the right. ``width_max``: terminal cells a column may take at most; longer ones are cut.
    """
    cells = [[cell.copy() for cell in row] for row in rows]
    for column, width in (width_max or {}).items():
        for row in cells:
            row[column].truncate(width, overflow="ellipsis")
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    return [_joined(row, widths, indent, right) for row in cells]


def _joined(row: Sequence[Text], widths: Sequence[int], indent: str, right: Collection[int]) -> Text:
    line = Text(indent, no_wrap=True, overflow="ellipsis")
    last = len(row) - 1
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        padding = " " * (width - cell.cell_len)
        if column in right:
            line.append(padding)
        line.append_text(cell)
        if column != last:
            line.append(("" if column in right else padding) + GAP)
    line.rstrip()
    return line


def bar(share: float, width: int) -> Text:
    """A bar of `width` cells with `share`, from 0 to 1, of it filled. It is full only when all is done."""
    halves = min(int(share * width * 2), width * 2 if share >= 1 else width * 2 - 1)
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    return Text.assemble((filled, "blue"), ("─" * (width - len(filled)), "bright_black"))
