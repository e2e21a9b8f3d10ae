"""Where does a piece of text stand?  Sources, spans, lines and columns (both counted from 1)."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from typing import ClassVar

from netdsl.record import Record


class Source(Record):
    """A text and the name people know it by.

    `own` is true for what the user wrote, false for the prelude: an error inside the prelude is reported
    at the user's line that called it.
    """

    name: str
    text: str
    own: bool = True
    tried: bool = False
    """Whether it is a text that is tried and dropped, of which nothing is kept between runs."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Source {self.name}>"

    @cached_property
    def line_starts(self) -> list[int]:
        """Offsets at which lines begin. Lines end in LF, CRLF or a lone CR."""
        return [0, *(end.end() for end in re.finditer(r"\r\n|\r|\n", self.text))]

    def line_column(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self.line_starts, offset) - 1
        return line + 1, offset - self.line_starts[line] + 1

    def line(self, number: int) -> str:
        """The text of line `number`, without its end."""
        starts = self.line_starts
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")


class Span(Record):
    """The characters `start` to `end` (exclusive) of a source. Half of a tree is spans, so they are small."""

    __slots__ = ("end", "source", "start")
    source: Source
    start: int
    end: int

    NOWHERE: ClassVar[Span]

    def __init__(self, source: Source, start: int, end: int) -> None:
        _set_source(self, source)
        _set_start(self, start)
        _set_end(self, end)

    def _values(self) -> tuple[Source, int, int]:
        return self.source, self.start, self.end

    def __reduce__(self) -> tuple[type[Span], tuple[Source, int, int]]:
        return Span, self._values()

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def place(self) -> str:
        """`file:line:column`."""
        line, column = self.source.line_column(self.start)
        return f"{self.source.name}:{line}:{column}"

    def to(self, other: Span) -> Span:
        return Span(self.source, self.start, other.end)


_set_source, _set_start, _set_end = (vars(Span)[name].__set__ for name in ("source", "start", "end"))
Span.NOWHERE = Span(Source("<netdsl>", "", own=False), 0, 0)

Origin = tuple[Span, ...]
"""Where an element came from: its own text first, then each place that called for it."""


def place_of(origin: Origin) -> Span:
    """The innermost span that the user wrote; the outermost one where all of it is the prelude's."""
    return next((span for span in origin if span.source.own), origin[-1] if origin else Span.NOWHERE)


def named(span: Span) -> Span:
    """The name with which a piece of text begins: `stride` of `stride=2`."""
    found = re.match(r"\w+", span.text)
    return Span(span.source, span.start, span.start + (len(found[0]) if found else 0))
