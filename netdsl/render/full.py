"""A fault for people: a headline, the source with marked places, how it was reached, the arithmetic, the repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from netdsl.diagnostic import Diagnostic, Edit, Label
from netdsl.record import Record
from netdsl.render.edited import changes, edited_lines
from netdsl.render.text import WIDTH, Excerpt, clean, excerpt, width, wrap
from netdsl.source import Source, Span

COLOURS = {
    "error": "\x1b[1;31m",
    "warning": "\x1b[1;33m",
    "bar": "\x1b[1;34m",
    "bold": "\x1b[1m",
    "new": "\x1b[32m",
    "old": "\x1b[31m",
}
Paint = Callable[[str, str], str]


def painter(colour: bool) -> Paint:
    """paint(text, kind) → the text in the colour of its kind, or as it is."""
    return lambda text, kind: f"{COLOURS[kind]}{text}\x1b[0m" if colour and text else text


def render_all(faults: Iterable[Diagnostic], colour: bool = False) -> str:
    """Faults, one below the other. What repairs several of them is drawn once, and named where it helps again."""
    drawn: set[tuple[Edit, ...]] = set()
    return "\n\n".join(render(fault, colour, drawn) for fault in faults)


def render(diagnostic: Diagnostic, colour: bool = False, known: set[tuple[Edit, ...]] | None = None) -> str:
    """The diagnostic as text, within `WIDTH` columns; only the paths of files may be longer.

    Repairs that are `known` were drawn before; those that are drawn here are added.
    """
    known = known if known is not None else set()
    page = Page(gutter_of(diagnostic), painter(colour))
    out = headline(diagnostic, page.paint)
    primary = diagnostic.label
    labels = [primary, *diagnostic.others]
    drawn: list[Span] = []
    for source in dict.fromkeys(label.span.source for label in labels):
        here = [label for label in labels if label.span.source is source]
        arrow, first = ("-->", primary) if source is primary.span.source else (":::", here[0])
        out += [page.place(arrow, first.span.place), page.bar()]
        out += page.marked(source, here, primary, diagnostic.severity)
        drawn += [label.span for label in here]
    for span, again in groupby(diagnostic.trail):
        times = len(list(again))  # more than one: a block that calls itself
        said = f"{'called from' if span.source.own else 'inside'} {span.place}"
        out.append(page.place(":::", said + (f", {times} times" if times > 1 else "")))
        if not any(around(span, other) for other in drawn):
            out += page.marked(span.source, [Label(span)], None, "bar")
            drawn.append(span)
    helps = diagnostic.unrepaired
    if diagnostic.notes or helps or diagnostic.repairs:
        out.append(page.bar())
    for note in diagnostic.notes:
        out += page.said(note, "  ")
    for repair in diagnostic.repairs:
        if repair.edits in known:
            out += page.help(f"{repair.title} (as above)")
            continue
        known.add(repair.edits)
        out += page.help(repair.title)
        if (at := repair.edits[0].span).source is not primary.span.source:
            out.append(page.place(":::", at.place))
        for change in changes(repair.edits):
            out += edited_lines(change, page.gutter, page.paint)
    for text in helps:
        out += page.help(text)
    return "\n".join(out)


def around(span: Span, other: Span) -> bool:
    """Whether `other` stands in `span`, on the same line."""
    if span.source is not other.source or not span.start <= other.start <= other.end <= span.end:
        return False
    return span.source.line_column(span.start)[0] == span.source.line_column(other.start)[0]


def headline(diagnostic: Diagnostic, paint: Paint) -> list[str]:
    head = f"{diagnostic.severity}[{diagnostic.code}]"
    first, *more = wrap(f"{head}: {clean(diagnostic.message)}", WIDTH, "    ")
    rest = [paint(row, "bold") for row in more]
    return [paint(head, diagnostic.severity) + paint(first.removeprefix(head), "bold"), *rest]


def gutter_of(diagnostic: Diagnostic) -> int:
    """The columns of the largest line number that is shown."""
    spans = [diagnostic.label.span, *(label.span for label in diagnostic.others), *diagnostic.trail]
    spans += [edit.span for repair in diagnostic.repairs for edit in repair.edits]
    return len(str(max(span.source.line_column(span.start)[0] for span in spans)))


class Page(Record):
    """How rows are drawn: beside a gutter of so many columns."""

    gutter: int
    paint: Paint

    @property
    def room(self) -> int:
        return WIDTH - self.gutter - 3

    def bar(self) -> str:
        return self.paint(f"{' ' * self.gutter} |", "bar")

    def place(self, arrow: str, text: str) -> str:
        return self.paint(f"{' ' * self.gutter}{arrow} ", "bar") + clean(text)

    def said(self, text: str, indent: str) -> list[str]:
        """A note, in as many rows as it takes."""
        first, *more = wrap(clean(text), self.room, indent)
        return [self.paint(f"{' ' * self.gutter} = ", "bar") + first, *(f"{' ' * self.gutter}   {row}" for row in more)]

    def help(self, text: str) -> list[str]:
        first, *more = self.said(f"help: {text}", "      ")
        return [first.replace("help", self.paint("help", "bold"), 1), *more]

    def marked(self, source: Source, labels: list[Label], primary: Label | None, severity: str) -> list[str]:
        """The lines of `source` that carry a label, each with its underlines."""
        by_line: dict[int, list[Label]] = {}
        for label in labels:
            by_line.setdefault(source.line_column(label.span.start)[0], []).append(label)
        out = []
        for number, here in sorted(by_line.items()):
            waiting = sorted(here, key=lambda label: label.span.start)
            while waiting:  # a long line is drawn again where another label would be out of sight
                start = source.line_starts[number - 1]
                span = waiting[0].span
                shown = excerpt(source.line(number), span.start - start, self.room, span.end - start)
                seen = [label for label in waiting if shown.column(label.span.start - start) < max(shown.end, 1)]
                seen = seen or waiting[:1]
                waiting = [label for label in waiting if label not in seen]
                out.append(self.paint(f"{number:>{self.gutter}} | ", "bar") + shown.text)
                for label in reversed(seen):
                    mark, kind = ("^", severity) if label is primary else ("-", "bar")
                    left, length = columns(label.span, start, shown)
                    for indent, row in beside(mark * length, clean(label.text), left, self.room):
                        out.append(self.paint(f"{' ' * self.gutter} | ", "bar") + " " * indent + self.paint(row, kind))
        return out


def columns(span: Span, start: int, shown: Excerpt) -> tuple[int, int]:
    """Where the underline of `span` begins in the shown part of its line, and how long it is."""
    first = span.start - start
    left = shown.column(first)
    length = shown.column(max(first + 1, min(span.end - start, len(shown.line)))) - left
    return left, max(1, min(length, width(shown.text) - left))


def beside(marks: str, text: str, left: int, room: int) -> list[tuple[int, str]]:
    """An underline and its text, beside it or, where there is no room, below it: rows with their indents."""
    if left + len(marks) + 1 + width(text) <= room:
        return [(left, f"{marks} {text}".rstrip())]
    rows = wrap(text, room, "  ")
    indent = max(0, min(left, room - max(map(width, rows))))
    return [(left, marks), *((indent, row) for row in rows)]
