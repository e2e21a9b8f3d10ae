"""How wide is a text on a terminal, where does it wrap, and which part of a long line is shown?

A column is a cell of the terminal. East Asian wide characters take two, combining marks none (Unicode Standard Annex
11, UAX 44 for the categories), and a tab goes on to the next multiple of four.
"""

from __future__ import annotations

import re

from netdsl.record import Record

WIDTH = 80
"""A line is drawn within this many columns; what is cut away shows as an ellipsis."""
TAB = 4


def width(text: str) -> int:
    """The columns that a text takes."""
    if text.isascii() and "\t" not in text:
        return len(text)
    column = 0
    for char in text:
        column += char_width(char, column)
    return column


def char_width(char: str, column: int = 0) -> int:
    """The columns that a character takes at `column`."""
    if char == "\t":
        return TAB - column % TAB
    if char < "\u0300":
        return 1
    from unicodedata import category, east_asian_width

    if category(char) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(char) in ("W", "F") else 1


def clean(text: str) -> str:
    """A text without what a terminal would obey: control characters, and those that turn the direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


def fitted(text: str, room: int) -> str:
    """The beginning of a text, within `room` columns."""
    taken = 0
    for i, char in enumerate(text):
        taken += char_width(char)
        if taken > room:
            return text[:i]
    return text


def wrap(text: str, room: int, indent: str) -> list[str]:
    """`text` in rows of at most `room` columns, all but the first indented; quoted code stays whole where it fits."""
    rows, row = [], ""
    for piece in re.findall(r"[^\s`]*`[^`]*`[^\s`]*|\S+", text):
        for word in [piece] if width(piece) <= room - len(indent) else piece.split():
            if row.strip() and width(row) + 1 + width(word) > room:
                rows.append(row)
                row = indent
            row = f"{row} {word}" if row.strip() else row + word
            while width(row) > room:
                head = fitted(row, room)
                rows.append(head)
                row = indent + row[len(head) :]
    return [*rows, row]


class Excerpt(Record):
    """The part of a line that is shown. `shift` columns were cut away in front, where an ellipsis stands instead."""

    text: str
    line: str
    shift: int
    whole: bool

    def column(self, index: int) -> int:
        """At which column of the excerpt character `index` of the line stands; it may lie outside."""
        return width(self.line[:index]) - self.shift

    @property
    def end(self) -> int:
        """The first column that no longer shows the line."""
        return width(self.text) - (0 if self.whole or not self.text.endswith("…") else 1)


def excerpt(text: str, first: int, room: int, last: int | None = None) -> Excerpt:
    """`text` within `room` columns, with character `first` in sight; from its beginning, if `last` is in sight then."""
    line = clean(text[: first + 4 * room])
    if len(line) == len(text) and width(line) <= room:
        return Excerpt(line.expandtabs(TAB) if line.isascii() else _expanded(line), line, 0, True)
    cells = _cells(line)
    start = max(0, width(line[:first]) - min(20, room // 3))
    if last is not None and width(line[:last]) < room:
        start = 0
    if start == 0:
        return Excerpt(_between(cells, 0, room - 1) + "…", line, 0, False)
    goes_on = len(line) < len(text) or sum(cell[1] for cell in cells) > start + room - 2
    shown = _between(cells, start, start + room - 2)
    return Excerpt("…" + shown + ("…" if goes_on else ""), line, start - 1, not goes_on)


def _cells(line: str) -> list[tuple[str, int]]:
    """Each character as it is drawn, with its columns; marks belong to the character that they stand on."""
    cells: list[tuple[str, int]] = []
    column = 0
    for char in line:
        wide = char_width(char, column)
        if wide == 0 and cells:
            cells[-1] = (cells[-1][0] + char, cells[-1][1])
        else:
            cells.append((" " * wide if char == "\t" else char, wide))
        column += wide
    return cells


def _expanded(line: str) -> str:
    return "".join(text for text, _ in _cells(line))


def _between(cells: list[tuple[str, int]], start: int, end: int) -> str:
    """What stands in the columns from `start` to `end`; of a character that is cut in two, spaces."""
    out, column = [], 0
    for text, wide in cells:
        if column >= end:
            break
        if column + wide > start:
            whole = column >= start and column + wide <= end
            out.append(text if whole else " " * (min(column + wide, end) - max(column, start)))
        column += wide
    return "".join(out)
