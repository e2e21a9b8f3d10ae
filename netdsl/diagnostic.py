"""What went wrong, where, and what repairs it?  Errors are data; `render` is the only place that draws them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence

from netdsl.record import Record
from netdsl.source import Origin, Source, Span, place_of

CODES = {
    "E0101": "syntax error",
    "E0102": "bad number",
    "E0103": "nested too deeply",
    "E0104": "ambiguous operator after bare arguments",
    "E0105": "not a text file",
    "E0106": "no network in the file",
    "E0201": "unknown name",
    "E0202": "wrong kind of argument",
    "E0203": "wrong number of arguments",
    "E0204": "unknown or repeated argument",
    "E0205": "duplicate name",
    "E0206": "unknown label",
    "E0207": "used before its definition",
    "E0208": "reserved name",
    "E0209": "missing `->` between elements",
    "E0210": "a value of another kind is needed here",
    "E0211": "the path before it would be lost",
    "E0212": "no input here",
    "E0213": "a line outside any network",
    "E0301": "concat inputs differ",
    "E0302": "sum inputs differ",
    "E0303": "the window does not divide its input evenly",
    "E0304": "the window is larger than its input, or a cut goes beyond it",
    "E0305": "the shape is not the one asserted",
    "E0306": "groups do not divide the channels",
    "E0307": "the input has the wrong number of axes",
    "E0308": "a known size is needed here",
    "E0309": "no input size satisfies every constraint",
    "E0310": "the input given does not fit the network's input",
    "E0311": "the new shape has another number of values",
    "E0401": "a repeat of less than one",
    "E0402": "recursion without end",
    "E0403": "budget exceeded",
    "E0404": "import cycle",
    "E0405": "import not found",
    "E0406": "import outside the spec's folder",
    "W0501": "never used",
    "W0502": "no non-linearity",
    "W0503": "the line continues the last branch only",
    "W0504": "an indented line after a block is not part of it",
    "W0505": "the channels of the input seem to stand last",
}
"""Every code with its meaning. Codes are stable: a retired one is never given to something else."""


MAX_SAID = 500
"""Characters of a message, a note or a help. What is longer quotes something endless."""


class Label(Record):
    """A place and what is to be said of it."""

    span: Span
    text: str = ""


class Edit(Record):
    """A change of the text: what stands in `span` becomes `text`. An empty span inserts, an empty text deletes."""

    span: Span
    text: str


class Repair(Record):
    """A way out that was tried: with these edits, the fault is gone and no other has come.

    `title` is one clause (`pad 2 keeps 28 x 28`); edits are in order and do not overlap. They are in one file.
    """

    title: str
    edits: tuple[Edit, ...]


class Diagnostic(Record):
    """One fault: a stable code, one sentence, the place, other places, the arithmetic, and ways out."""

    code: str
    message: str
    label: Label
    others: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    trail: Origin = ()
    repairs: tuple[Repair, ...] = ()
    """The smallest change first, at most three. Whoever needs them asks for them: finding them takes checks."""

    @property
    def severity(self) -> str:
        return "warning" if self.code.startswith("W") else "error"

    @property
    def place(self) -> str:
        return self.label.span.place


class SpecError(Exception):
    """A spec has faults. `diagnostics` holds them; the message is their rendered text."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n\n".join(render(d) for d in self.diagnostics))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Diagnostic, ...]]]:
        return SpecError, (self.diagnostics,)


class Stop(Exception):
    """A fault after which nothing sensible can be said (budget, recursion): it ends the run with its diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def diagnose(
    code: str,
    message: str,
    origin: Origin,
    text: str = "",
    *,
    others: Iterable[Label] = (),
    notes: Iterable[str] = (),
    helps: Iterable[str] = (),
) -> Diagnostic:
    """A diagnostic at the innermost place of `origin` that the user wrote.

    Inside the prelude, the prelude's own lines are shown below as the trail that leads to the fault.
    """
    assert code in CODES, code
    primary = place_of(origin)
    trail = tuple(span for span in origin if span is not primary and span.source is not Span.NOWHERE.source)
    labels = []
    for other in others:  # a label inside a block stands for the user's line when the block is not the user's
        if other.span.source.own or not primary.source.own:
            labels.append(other)
    notes, helps = tuple(map(_said, notes)), tuple(map(_said, helps))
    return Diagnostic(code, _said(message), Label(primary, _said(text)), tuple(labels), notes, helps, trail)


def _said(text: str) -> str:
    """A sentence, cut where a name in it is a text of its own."""
    return text if len(text) <= MAX_SAID else f"{text[: MAX_SAID - 1]}…"


# --- rendering -------------------------------------------------------------------------------------------------

WIDTH = 80
"""A line is drawn within this many columns; what is cut away shows as an ellipsis."""

_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "bar": "\x1b[1;34m", "bold": "\x1b[1m"}


def use_colour(is_terminal: bool) -> bool:
    """Colours only on a terminal, and never under NO_COLOR (no-color.org)."""
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def render(diagnostic: Diagnostic, colour: bool = False) -> str:
    """The diagnostic as text: a headline, the source with underlined places, the arithmetic, the repairs."""

    def paint(text: str, kind: str) -> str:
        return f"{_COLOURS[kind]}{text}\x1b[0m" if colour and text else text

    severity = diagnostic.severity
    primary = diagnostic.label
    labels = [primary, *diagnostic.others]
    sources = list(dict.fromkeys(label.span.source for label in labels))
    trail_lines = [span.source.line_column(span.start)[0] for span in diagnostic.trail]
    lines = [label.span.source.line_column(label.span.start)[0] for label in labels]
    drawn = {(label.span.source, line) for label, line in zip(labels, lines)}
    gutter = " " * len(str(max(lines + trail_lines)))
    bar = paint(f"{gutter} |", "bar")

    head = f"{severity}[{diagnostic.code}]"
    first, *more = _wrap(f"{head}: {diagnostic.message}", WIDTH, "    ")
    out = [paint(head, severity) + paint(first.removeprefix(head), "bold"), *(paint(row, "bold") for row in more)]
    for source in sources:
        here = [label for label in labels if label.span.source is source]
        arrow = "-->" if source is primary.span.source else ":::"
        out.append(
            paint(f"{gutter}{arrow} ", "bar") + (primary if source is primary.span.source else here[0]).span.place
        )
        out.append(bar)
        out.extend(_excerpt(source, here, primary, gutter, severity, paint))
    for span, line in zip(diagnostic.trail, trail_lines):
        before = "called from" if span.source.own else "inside"
        out.append(paint(f"{gutter}::: ", "bar") + f"{before} {span.place}")
        if (span.source, line) not in drawn:
            out.append(paint(f"{line:>{len(gutter)}} | ", "bar") + _cut(span.source.line(line), 0, WIDTH - 8)[0])
        drawn.add((span.source, line))
    if diagnostic.notes or diagnostic.helps:
        out.append(bar)
    room, equals, under = WIDTH - len(gutter) - 3, paint(f"{gutter} = ", "bar"), f"{gutter}   "
    for note in diagnostic.notes:
        first, *more = _wrap(note, room, "  ")
        out.extend([equals + first, *(under + row for row in more)])
    for text in diagnostic.helps:
        first, *more = _wrap(f"help: {text}", room, "      ")
        out.extend([equals + paint("help", "bold") + first.removeprefix("help"), *(under + row for row in more)])
    return "\n".join(out)


def _excerpt(
    source: Source, labels: list[Label], primary: Label, gutter: str, severity: str, paint: Callable[[str, str], str]
) -> list[str]:
    """The lines of `source` that carry a label, each with its underlines."""
    by_line: dict[int, list[Label]] = {}
    for label in labels:
        by_line.setdefault(source.line_column(label.span.start)[0], []).append(label)
    out = []
    room = WIDTH - len(gutter) - 3
    for number, here in sorted(by_line.items()):
        text, start = source.line(number), source.line_starts[number - 1]
        waiting = sorted(here, key=lambda label: label.span.start)
        while waiting:  # a long line is drawn again where another label would be out of sight
            shown, shift = _cut(text, waiting[0].span.start - start, room)
            end = len(shown) - 1 if shown.endswith("…") else WIDTH
            seen = [label for label in waiting if _width(text[: label.span.start - start]) - shift < end]
            waiting = [label for label in waiting if label not in seen]
            out.append(paint(f"{number:>{len(gutter)}} | ", "bar") + shown)
            for label in reversed(seen):
                mark, kind = ("^", severity) if label is primary else ("-", "bar")
                left, length = _columns(label.span, text, start, shown, shift)
                for indent, row in _marks(mark * length, label.text, left, room):
                    out.append(paint(f"{gutter} | ", "bar") + " " * indent + paint(row, kind))
    return out


def _columns(span: Span, text: str, start: int, shown: str, shift: int) -> tuple[int, int]:
    """Where the underline of `span` begins in the shown part of its line, and how long it is."""
    column = span.start - start
    length = max(1, min(span.end - span.start, len(text) - column))
    left = _width(text[:column]) - shift
    return left, max(1, min(_width(text[column : column + length]), _width(shown) - left))


def _marks(marks: str, text: str, left: int, room: int) -> list[tuple[int, str]]:
    """An underline and its text, beside it or, where there is no room, below it: rows with their indents."""
    if left + len(marks) + 1 + len(text) <= room:
        return [(left, f"{marks} {text}".rstrip())]
    rows = _wrap(text, room, "  ")
    indent = max(0, min(left, room - max(map(len, rows))))
    return [(left, marks), *((indent, row) for row in rows)]


def _wrap(text: str, width: int, indent: str) -> list[str]:
    """`text` in rows of at most `width` columns, all but the first indented; quoted code stays whole where it fits."""
    rows, row = [], ""
    for piece in re.findall(r"[^\s`]*`[^`]*`[^\s`]*|\S+", text):
        for word in [piece] if len(piece) <= width - len(indent) else piece.split():
            if row.strip() and len(row) + 1 + len(word) > width:
                rows.append(row)
                row = indent
            row = f"{row} {word}" if row.strip() else row + word
            while len(row) > width:
                rows.append(row[:width])
                row = indent + row[width:]
    return [*rows, row]


def _width(text: str) -> int:
    return len(text.expandtabs(4))


def _cut(text: str, first: int, width: int) -> tuple[str, int]:
    """`text` within `width` columns with column `first` in sight, and by how much it moved to the left."""
    clean = "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text[: first + 4 * width])
    whole = clean.expandtabs(4)
    if len(whole) <= width and len(clean) == len(text):
        return whole, 0
    start = max(0, _width(clean[:first]) - 20)
    if start == 0:
        return whole[: width - 1] + "…", 0
    piece = whole[start : start + width - 2]
    return "…" + piece + ("…" if start + width - 2 < len(whole) else ""), start - 1


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    from difflib import get_close_matches

    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(candidate.lower(), candidate)
    if len(name) > MAX_COMPARED:
        return None
    if len(by_lower) > MAX_COMPARED:  # comparing takes microseconds each, and there may be many faults
        by_lower = {key: by_lower[key] for key in sorted(by_lower, key=lambda key: _unlike(key, name))[:MAX_COMPARED]}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


MAX_COMPARED = 300


def _unlike(key: str, name: str) -> int:
    """How little two names have in common, at a glance."""
    return abs(len(key) - len(name)) - sum(a == b for a, b in zip(key, name.lower()))
