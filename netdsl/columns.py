"""What stands below what?  The assertions and comments of lines that follow one another.

Lines are aligned once they are complete; those with an empty line between them do not see each other.
"""

from __future__ import annotations

COLUMN = 57
"""So many columns stand before an assertion: the same in all files, so that they can be laid side by side, and changed
without moving what stands beside the change."""
STOP = 4
"""Where lines are longer, the column moves by so much at a time; of comments alone it is a multiple of this."""
GAP = 2
"""At least so many spaces stand before an assertion or a comment."""


class Line:
    """A line in the making: its code, then, aligned with its neighbours', an assertion and a comment."""

    __slots__ = ("cell", "code", "note")

    def __init__(self, code: str) -> None:
        self.code, self.cell, self.note = code, "", ""

    @property
    def width(self) -> int:
        return len(self.code) + (GAP + len(self.cell) if self.cell else 0)


def aligned(lines: list[Line], width: int) -> str:
    """The text of lines. Those without an empty line between them align their assertions and comments."""
    out: list[str] = []
    run: list[Line] = []
    for line in [*lines, Line("")]:
        if line.code:
            run.append(line)
            continue
        first = column_of([(len(a.code), len(a.cell or a.note), not a.cell) for a in run if a.cell or a.note], width)
        texts = [placed(a.code, a.cell or a.note, first, width) for a in run]
        both = [(text, a.note) for a, text in zip(run, texts) if a.cell and a.note]
        second = column_of([(len(text), len(note), True) for text, note in both], width)
        out += [placed(text, a.note if a.cell else "", second, width) for a, text in zip(run, texts)]
        out.append("")
        run = []
    while out and not out[-1]:
        del out[-1]
    return "".join([f"{line}\n" for line in out])


def column_of(marks: list[tuple[int, int, bool]], width: int) -> int:
    """Where marks stand that follow codes of some lengths: behind the longest that leaves room for all assertions.

    A mark is the length of its code, its own, and whether it is a comment. Lines that are longer stand aside.
    """
    asserted = not all(comment for _, _, comment in marks)
    column = room = 0
    for code, mark, comment in sorted(marks):
        if not comment and code + GAP + mark <= width:
            room = max(room, mark)
        stop = -(-(code + GAP) // STOP) * STOP
        if asserted:
            stop = max(COLUMN, -(-(code + GAP - COLUMN) // STOP) * STOP + COLUMN)
        if stop + room > width:
            break
        column = stop
    return column


def placed(code: str, mark: str, column: int, width: int) -> str:
    """A mark behind a code: at the column, unless the code is longer, or the mark fits only closer to it."""
    if not mark:
        return code
    near = len(code) + GAP
    far = near <= column and (column + len(mark) <= width or near + len(mark) > width)
    return code.ljust(column if far else near) + mark
