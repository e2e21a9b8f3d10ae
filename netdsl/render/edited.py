"""How is a repair drawn?  The line as it would be, with what changed marked below it; before and after, where lines go.

  = help: `pad 2` keeps 28                      = help: keep one
6 | CONV 16 1x1 -> CONV 32 5x5 pad 2          3 - CONV 16 3x3 /2 same pad_after=1 relu
  |                                ~          3 + CONV 16 3x3 /2 pad_after=1 relu
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from netdsl.diagnostic import Edit
from netdsl.record import Record
from netdsl.render.text import WIDTH, excerpt
from netdsl.source import Source, Span

MAX_WORDS = 200
"""An edit of more words is marked as a whole."""
ALIKE = 0.5
"""So much of an edit stays the same where it is marked word by word."""
MAX_ROWS = 6
"""So many lines of a change are shown, of those that go and of those that come."""


class Change(Record):
    """Lines of a source, `first` to `last`, and what they become."""

    source: Source
    first: int
    last: int
    edits: tuple[Edit, ...]

    @property
    def old(self) -> list[str]:
        return [self.source.line(number) for number in range(self.first, self.last + 1)]

    @property
    def new(self) -> list[str]:
        """The lines after the edits; none where they are deleted whole."""
        return self._pieces()[0].splitlines()

    def _pieces(self) -> tuple[str, list[tuple[int, int, str]]]:
        """The text of the lines after the edits, and what is new in it: from where to where, and `+` or `~`."""
        starts = self.source.line_starts
        at = starts[self.first - 1]
        end = starts[self.last] if self.last < len(starts) else len(self.source.text)
        out: list[str] = []
        length = 0
        marks = []
        for edit in self.edits:
            kept = self.source.text[at : edit.span.start]
            length += len(kept)
            marks.append((length, length + len(edit.text), "~" if edit.span.end > edit.span.start else "+"))
            out += [kept, edit.text]
            length += len(edit.text)
            at = edit.span.end
        return "".join([*out, self.source.text[at:end]]), marks

    @property
    def marks(self) -> list[tuple[int, int, str]]:
        return self._pieces()[1]


def changes(edits: Sequence[Edit]) -> list[Change]:
    """The edits of a repair by the lines that they touch; those of one line or of lines that meet stand together."""
    found: list[Change] = []
    for edit in (finer for whole in edits for finer in parts(whole)):
        source = edit.span.source
        first, last = (source.line_column(offset)[0] for offset in (edit.span.start, edit.span.end))
        if found and first <= found[-1].last:
            before = found.pop()
            found.append(before.replace(last=max(before.last, last), edits=(*before.edits, edit)))
        else:
            found.append(Change(source, first, last, (edit,)))
    return found


def parts(edit: Edit) -> list[Edit]:
    """What an edit changes, word by word: of `CONV 4*c`, which becomes `CONV (4*c)`, the parentheses."""
    from difflib import SequenceMatcher

    old, new = (re.findall(r"\w+|\s+|[()\[\],]|[^\w\s()\[\],]+", text) for text in (edit.span.text, edit.text))
    if not old or not new or len(old) + len(new) > MAX_WORDS:
        return [edit]
    same = SequenceMatcher(None, old, new, autojunk=False)
    found = []
    for what, a, b, c, d in same.get_opcodes():
        if what != "equal":
            start = edit.span.start + sum(map(len, old[:a]))
            span = Span(edit.span.source, start, start + sum(map(len, old[a:b])))
            found.append(Edit(span, "".join(new[c:d])))
    inserted = all(what in ("equal", "insert") for what, *_ in same.get_opcodes())
    return found if inserted or same.ratio() >= ALIKE else [edit]


def takes_away(edit: Edit) -> bool:
    """Whether an edit leaves nothing that could be marked, and more than a space goes."""
    return not edit.text.strip() and bool(edit.span.text.strip())


def edited_lines(change: Change, gutter: int, paint: Callable[[str, str], str]) -> list[str]:
    """The rows of one change."""
    room = WIDTH - gutter - 3
    new = change.new
    if (
        change.first == change.last
        and len(new) == 1
        and not any(map(takes_away, change.edits))
        and any(e.text.strip() for e in change.edits)
    ):
        shown = excerpt(new[0], change.marks[0][0], room, change.marks[-1][1])
        row, column = "", 0
        for start, end, mark in change.marks:
            left = min(shown.column(start), shown.end)
            right = min(shown.column(min(end, len(shown.line))), shown.end)
            mark = mark if new[0][start:end].strip() else " "
            row += " " * (left - column) + mark * (right - left)
            column = max(column, right)
        bar = paint(f"{' ' * gutter} | ", "bar")
        return [paint(f"{change.first:>{gutter}} | ", "bar") + shown.text, bar + paint(row.rstrip(), "new")]
    old, number = change.old, change.first
    while old and new and old[0] == new[0]:
        old, new, number = old[1:], new[1:], number + 1
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    out = []
    for sign, lines, kind in (("-", old, "old"), ("+", new, "new")):
        for i, line in enumerate(lines[:MAX_ROWS]):
            text = excerpt(line, 0, room).text
            out.append(paint(f"{number + i:>{gutter}} {sign} ", "bar") + paint(text, kind))
        if len(lines) > MAX_ROWS:
            out.append(f"{' ' * gutter} {sign} … {len(lines) - MAX_ROWS} more lines")
    return out
