"""How is a file laid out?  The one text for a program: where its lines break, what aligns, where its comments stand.

A file's tree says what stands there, and the text between its pieces which comments and line breaks its author wrote.
Whatever fits on a line and was not broken on purpose is one line. docs/formatting.md describes the style.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from itertools import pairwise

from netdsl import format as f
from netdsl import tree as t
from netdsl.columns import GAP, Line, aligned
from netdsl.diagnostic import Diagnostic, diagnose
from netdsl.format import Place, expression
from netdsl.garbage import collection_paused
from netdsl.parse import MAX_LENGTH, parse
from netdsl.record import Record
from netdsl.recursion import deep_recursion
from netdsl.source import Source, Span

WIDTH = 120
"""Lines are at most this long where they can be broken."""
INDENT = 4


@collection_paused()
def layout(source: Source, width: int = WIDTH) -> tuple[str | None, list[Diagnostic]]:
    """The canonical text of a file; None, and why, where it cannot be read. Warnings may stand beside a text."""
    text = re.sub(r"\r\n?", "\n", source.text)
    file, faults = parse(Source(source.name, text, source.own))
    if not file.whole or any(fault.severity == "error" for fault in faults):
        return None, faults
    with deep_recursion():
        writer = Writer(text, width)
        writer.file(file)
        out = aligned(writer.lines, width)
    if len(out) > MAX_LENGTH:
        message = f"formatted, the file would have {len(out):,} characters, more than {MAX_LENGTH:,}"
        return None, [diagnose("E0403", message, (Span(source, 0, 1),))]
    return out, faults


# --- comments ---------------------------------------------------------------------------------------------------------


class Comment(Record):
    """`# …`, where it stands, and whether code stands before it on its line."""

    text: str
    start: int
    end: int
    trails: bool


_STRINGS_AND_COMMENTS = re.compile(r'"[^"\n]*"|#[^\n]*')


def comments_of(text: str) -> list[Comment]:
    """The comments of a text that can be parsed, in order."""
    found = []
    for match in _STRINGS_AND_COMMENTS.finditer(text):
        if match[0][0] == "#":
            start = match.start()
            before = start - 1
            while before >= 0 and text[before] in " \t\f\ufeff":
                before -= 1
            trails = before >= 0 and text[before] != "\n"
            found.append(Comment(re.sub(r"^#(?=\w)", "# ", match[0].rstrip()), start, match.end(), trails))
    return found


def opening(e: t.Expr) -> int:
    """The width of what stands before the first place where a group or a call can be broken; 0 of what is neither."""
    while isinstance(e, t.Product):
        e = e.items[0]
    if isinstance(e, t.Call) and not f.is_bracket(e):
        return len(e.head.id) + 1
    return int(isinstance(e, t.Group))


# --- the writer -------------------------------------------------------------------------------------------------------


class Writer:
    """Writes a file line by line. Mutable: it holds the lines so far, the last of which is being written."""

    def __init__(self, text: str, width: int) -> None:
        self.text, self.limit = text, width
        self.comments = comments_of(text)
        self.starts = [comment.start for comment in self.comments]
        self.lines: list[Line] = []
        self.bare = True
        """Whether commas may stand between bare arguments: not between the arguments of a call."""
        self.firmness: dict[int, bool] = {}

    # what the text has between the pieces of the tree

    def notes(self, begin: int, end: int) -> list[Comment]:
        """The comments from `begin` to `end`."""
        return self.comments[bisect_left(self.starts, begin) : bisect_left(self.starts, end)]

    def breaks(self, begin: int, end: int) -> bool:
        return self.text.find("\n", begin, end) >= 0

    def word(self, word: str, begin: int, end: int) -> int:
        """Where a word stands that is between `begin` and `end`, comments aside."""
        for comment in self.notes(begin, end):
            at = self.text.find(word, begin, comment.start)
            if at >= 0:
                return at
            begin = comment.end
        return self.text.index(word, begin, end)

    def firm(self, e: t.Tree) -> bool:
        """Whether an expression has several lines: for a comment, lines of its own, or a break that its author made."""
        begin, end = e.span.start, e.span.end
        if not self.breaks(begin, end):
            return False
        known = self.firmness.get(id(e))
        if known is None:
            known = self.firmness[id(e)] = bool(self.notes(begin, end)) or self.broken_on_purpose(e)
        return known

    def broken_on_purpose(self, e: t.Tree) -> bool:
        if isinstance(e, t.Call) and f.is_bracket(e):
            return len(f.rows_of(e)) > 1
        if isinstance(e, t.Seq) and e.lines:
            return True
        if isinstance(e, t.Seq | t.Concat) or (isinstance(e, t.Sum) and not f.is_arithmetic(e, "block")):
            if any(self.breaks(a.span.end, b.span.start) for a, b in pairwise(e.items)):
                return True
        if isinstance(e, t.If) and self.breaks(e.test.span.end, e.then.span.start):
            return True
        if isinstance(e, t.If) and self.breaks(e.then.span.end, e.other.span.start):
            return True
        if isinstance(e, t.For) and self.breaks(e.last.span.end, e.body.span.start):
            return True
        return any(self.firm(part) for part in t.children(e))

    def flat(self, e: t.Expr, place: Place = "block") -> str | None:
        """An expression on one line; None where it has several, or is far too long to be measured again and again."""
        begin, end = e.span.start, e.span.end
        if self.firm(e) or (
            end - begin > 2 * self.limit and len("".join(self.text[begin:end].split())) > 2 * self.limit
        ):
            return None
        return expression(e, place)

    def fits(self, e: t.Expr, place: Place, around: int) -> bool:
        """Whether an expression fits on the rest of the line, with so many columns around it."""
        flat = self.flat(e, place)
        return flat is not None and self.column + len(flat) + around <= self.limit

    # lines

    @property
    def line(self) -> Line:
        return self.lines[-1]

    @property
    def column(self) -> int:
        return self.line.width

    @property
    def base(self) -> int:
        """The indentation of the line."""
        code = self.line.code
        return len(code) - len(code.lstrip(" "))

    def turn(self, column: int) -> None:
        """A new line, unless this one is still empty."""
        if self.line.code.strip(" ") or self.line.cell or self.line.note:
            self.lines.append(Line(" " * column))
        else:
            self.line.code = " " * column

    def put(self, text: str) -> None:
        line = self.line
        if line.note:  # nothing follows a comment
            self.turn(self.base)
            self.line.code += text.lstrip(" ")
        elif line.cell:
            line.cell += text
        else:
            line.code += text

    def note(self, comments: list[Comment], column: int) -> None:
        """Comments: behind the code that they were written behind, or on lines of their own."""
        for comment in comments:
            line = self.line
            if comment.trails and line.code.strip(" ") and not line.note and not line.code.lstrip(" ").startswith("#"):
                line.note = comment.text
            else:
                self.turn(column)
                self.line.code += comment.text

    def remarked(self) -> bool:
        """Whether the line ends in a comment."""
        return bool(self.line.note) or self.line.code.lstrip(" ").startswith("#")

    # statements

    def file(self, file: t.File) -> None:
        at, indent = 1 if self.text.startswith("\ufeff") else 0, 0
        changes = False
        for s in file.statements:
            if isinstance(s, t.Net | t.NetFrom):
                changes = False
            inside = INDENT if changes and not isinstance(s, t.Block | t.Import) else 0
            self.gap(at, s.span.start, inside, indent)
            self.lines.append(Line(" " * inside))
            self.statement(s, inside)
            at, indent = self.end_of(s), inside
            if isinstance(s, t.NetFrom):
                changes = s.changes
                indent = INDENT if changes else 0
        self.gap(at, len(self.text), 0, indent)

    def gap(self, begin: int, end: int, indent: int, before: int) -> None:
        """Comments and at most one empty line at a time, between statements or between the lines of a parenthesis."""
        at = begin
        for comment in self.notes(begin, end):
            if comment.trails and at == begin and self.lines and not self.remarked():
                self.line.note = comment.text
            else:
                self.space(at, comment.start)
                start = comment.start
                inner = before > indent and self.text[start - 1 : start] in (" ", "\t")
                self.lines.append(Line(" " * (before if inner else indent) + comment.text))
            at = comment.end
        if end < len(self.text):
            self.space(at, end)

    def space(self, begin: int, end: int) -> None:
        if self.lines and self.text.count("\n", begin, end) > 1:
            self.lines.append(Line(""))

    def end_of(self, s: t.Statement) -> int:
        """Where a statement ends. The span of `net name(…)` is that of its name."""
        if isinstance(s, t.Net) and (opened := re.compile(r"[ \t\f]*\(").match(self.text, s.span.end)):
            last = s.params[-1].span.end if s.params else opened.end()
            return self.word(")", last, len(self.text)) + 1
        return s.span.end

    def statement(self, s: t.Statement, indent: int) -> None:
        if isinstance(s, t.Net):
            self.put("net ")
            self.head(s.name, s.params, 0)
        elif isinstance(s, t.NetFrom):
            self.put("net ")
            last = " with" if s.changes else ""
            self.binding(self.head(s.name, s.params, len(" =")), s.base, indent, len(last))
            self.put(last)
        elif isinstance(s, t.Block):
            self.put("block ")
            self.binding(self.head(s.name, s.params, len(" =")), s.body, indent)
        elif isinstance(s, t.Import):
            self.put("import " + self.text[s.span.start : s.span.end][len("import") :].strip(" \t\f"))
        elif isinstance(s, t.Input):
            self.put("input ")
            if s.label is not None:
                self.put(f"{s.label.id} =")
                self.note(self.notes(s.label.span.end, s.shape.span.start), indent + INDENT)
                if self.remarked():
                    self.turn(indent + INDENT)
                else:
                    self.put(" ")
            self.sizes(s.shape.sizes)
        elif isinstance(s, t.Output):
            self.names("output", s.labels, indent, ",")
        elif isinstance(s, t.Freeze):
            self.names("freeze", s.labels, indent, "")
        elif isinstance(s, t.Require):
            self.budgets(s, indent)
        elif isinstance(s, t.Default):
            self.put("default ")
            self.arguments([s.head, *s.args], s.head, f.is_shaped(t.App(s.span, s.head, s.args)), 0)
        elif isinstance(s, t.Element) and s.label is None:
            self.asserted(s.value, indent, 0, hang=False)
        else:
            label = s.label
            assert label is not None
            words = {t.TrainingOutput: "output ", t.Let: "let "}.get(type(s), "")
            self.put(f"{words}{label.id}")
            self.binding(label.span.end, s.value, indent)

    def head(self, name: t.Name, params: tuple[t.Param, ...], tail: int) -> int:
        """A name and its parameters; returns where they end in the text."""
        self.put(name.id)
        if not params:
            return name.span.end
        end = self.word(")", params[-1].span.end, len(self.text))
        flat = f"({', '.join(map(f.parameter, params))})"
        firm = self.notes(name.span.end, end) or any(map(self.firm, params))
        if not firm and self.column + len(flat) + tail <= self.limit:
            self.put(flat)
        else:
            self.listed("(", name.span.end, params, [","] * (len(params) - 1), end, "value")
        return end + 1

    def names(self, word: str, labels: tuple[t.Name, ...], indent: int, comma: str) -> None:
        self.put(word)
        at = labels[0].span.start
        for i, label in enumerate(labels):
            comments = self.notes(at, label.span.start)
            last = i + 1 == len(labels)
            if i and (comments or self.column + 1 + len(label.id) + (0 if last else 1) > self.limit):
                self.put(",")
                self.note(comments, indent + INDENT)
                self.turn(indent + INDENT)
                self.put(label.id)
            else:
                self.put(f"{comma if i else ''} {label.id}")
            at = label.span.end

    def budgets(self, s: t.Require, indent: int) -> None:
        """`require a < 1M, b < 2G`: on one line, or on a line each where that is too long, or was broken."""
        self.put("require")
        at = s.budgets[0].span.start
        firm = any(self.breaks(a.span.end, b.span.start) for a, b in pairwise(s.budgets))
        firm |= self.column + sum(len(f.budget(budget)) + 2 for budget in s.budgets) - 1 > self.limit
        for i, budget in enumerate(s.budgets):
            comments, comma = self.notes(at, budget.span.start), 0 if i + 1 == len(s.budgets) else 1
            self.put("," if i else "")
            if i and firm:
                self.note(comments, indent + INDENT)
                self.turn(indent + INDENT)
            else:
                self.put(" ")
            bound = expression(budget.bound, "number")
            self.expr(budget.quantity, "value", len(f" {budget.op} {bound}") + comma)
            self.put(f" {budget.op} ")
            self.expr(budget.bound, "number", comma)
            at = budget.span.end

    def binding(self, begin: int, value: t.Expr, indent: int, tail: int = 0) -> None:
        """`= …`. What is too long for the line hangs from the `=`, or stands on lines of its own."""
        self.put(" =")
        comments = self.notes(begin, value.span.start)
        own = bool(comments)
        lines, code = len(self.lines), self.line.code
        flat = self.flat_width(value)
        if not own and (
            not self.breaks(begin, value.span.start)
            or (flat is not None and self.column + 1 + flat + tail <= self.limit)
        ):
            self.put(" ")
            self.asserted(value, indent, tail, hang=True)
            if self.column + tail <= self.limit and all(a.width <= self.limit for a in self.lines[lines - 1 :]):
                return
            del self.lines[lines:]
            self.lines[-1] = Line(code)
        self.note(comments, indent + INDENT)
        self.turn(indent + INDENT)
        self.asserted(value, indent + INDENT, tail, hang=False)

    def flat_width(self, value: t.Expr) -> int | None:
        """How wide an element is on one line; None where it has several."""
        if isinstance(value, t.Assertion):
            flat = None if self.firm(value) else self.flat(value.inner)
            return None if flat is None else len(flat) + GAP + len(f": {f.shape(value.shape)}")
        flat = self.flat(value)
        return None if flat is None else len(flat)

    def asserted(self, value: t.Expr, indent: int, tail: int, hang: bool) -> None:
        """An element. Its assertion is aligned with those of its neighbours."""
        if not isinstance(value, t.Assertion):
            self.expr(value, "block", tail, hang)
            return
        text = f": {f.shape(value.shape)}"
        self.expr(value.inner, "block", GAP + len(text), hang)
        self.note(self.notes(value.inner.span.end, value.shape.span.start), indent + INDENT)
        if self.notes(value.shape.span.start, value.shape.span.end):
            self.open_shape(value.shape, indent + INDENT)
        elif self.remarked() or self.column + GAP + len(text) > self.limit:
            self.turn(indent + INDENT)
            self.put(text)
        elif self.line.cell:
            self.put(f" {text}")
        else:
            self.line.cell = text

    def open_shape(self, shape: t.Shape, column: int) -> None:
        """An assertion with a comment in it."""
        self.turn(column)
        self.put(": ")
        self.sizes(shape.sizes)

    def sizes(self, parts: tuple[t.Expr, ...]) -> None:
        for i, size in enumerate(parts):
            self.put(" x " if i else "")
            self.expr(size, "number", 0)

    # expressions

    def expr(self, e: t.Expr, place: Place, tail: int, hang: bool = False) -> None:
        """On this line where it fits, and `tail` more columns with it; else on several."""
        flat = self.flat(e, place)
        if flat is not None and self.column + len(flat) + tail <= self.limit:
            self.put(flat)
        else:
            self.broken(e, place, tail, hang)

    def broken(self, e: t.Expr, place: Place, tail: int, hang: bool) -> None:
        if isinstance(e, t.Seq | t.Concat | t.Sum | t.Product):
            self.chain(e, place, tail, hang)
        elif isinstance(e, t.Group):
            self.group(e, place, tail)
        elif isinstance(e, t.Call) and f.is_bracket(e):
            self.bracket(e)
        elif isinstance(e, t.Call):
            self.call(e)
        elif isinstance(e, t.App) and not f.is_word(e):
            self.arguments(f.in_order(e), e.head, f.is_shaped(e), tail)
        elif isinstance(e, t.If):
            self.choice(e, place, tail)
        elif isinstance(e, t.For):
            self.loop(e, tail)
        elif isinstance(e, t.Compare | t.Logic):
            self.condition(e, tail)
        elif isinstance(e, t.Not | t.Negative):
            self.put("not " if isinstance(e, t.Not) else "-")
            self.expr(e.inner, "number", tail)
        elif isinstance(e, t.Extent) and any(isinstance(size, t.Group | t.Call) for size in e.sizes):
            self.sizes(e.sizes)
        elif isinstance(e, t.Assertion):
            column = self.column + INDENT
            text = f": {f.shape(e.shape)}"
            self.expr(e.inner, place, tail + 1 + len(text))
            self.note(self.notes(e.inner.span.end, e.shape.span.start), column)
            if self.notes(e.shape.span.start, e.shape.span.end):
                self.open_shape(e.shape, column)
            elif self.remarked() or self.column + 1 + len(text) + tail > self.limit:
                self.turn(column)
                self.put(text)
            else:
                self.put(f" {text}")
        else:
            self.put(expression(e, place))

    def chain(self, e: t.Seq | t.Concat | t.Sum | t.Product, place: Place, tail: int, hang: bool) -> None:
        """Items with operators between them: lines start with the operator, `-` and `/` excepted, which end them."""
        start = self.column
        ops = e.ops if isinstance(e, t.Sum | t.Product) else ("|" if isinstance(e, t.Concat) else "->",) * len(e.items)
        for i, item in enumerate(e.items):
            room = tail if i + 1 == len(e.items) else 0
            inner = f.item_place(e, place, i)
            if i == 0:
                self.expr(item, inner, room)
                continue
            op = ops[i - 1]
            begin, end = e.items[i - 1].span.end, item.span.start
            comments = self.notes(begin, end)
            turns = bool(comments) or isinstance(e, t.Concat)
            if not turns and not isinstance(e, t.Product):
                turns = self.breaks(begin, end) and self.broken_on_purpose(e)
            column = start - len(op) - 1 if hang else start + INDENT
            if not turns:
                flat, around = self.flat(item, inner), len(op) + 1 + room
                if flat is None or column + around + len(flat) > self.limit:  # it will be broken: its parenthesis, here
                    turns = not opening(item) or self.column + 1 + len(op) + opening(item) >= self.limit
                else:
                    turns = self.column + 1 + around + len(flat) > self.limit
            if not turns:
                self.put(f" {op} ")
            else:
                if op in "-/":
                    self.put(f" {op}")
                self.note(comments, column)
                self.turn(column)
                if op not in "-/":
                    self.put(f"{op} ")
            self.expr(item, inner, room)

    def group(self, e: t.Group, place: Place, tail: int) -> None:
        begin, end = e.span.start + 1, e.span.end - 1
        inner = e.inner
        bare, self.bare = self.bare, True
        before, after = self.notes(begin, inner.span.start), self.notes(inner.span.end, end)
        if isinstance(inner, t.Seq) and inner.lines:
            self.paths(e, inner)
        elif isinstance(inner, t.If) and not before and not after and self.choice_fits(inner, place, tail + 1):
            self.put("(")
            self.choice(inner, place, tail + 1)
            self.put(")")
        else:
            base = self.base
            self.put("(")
            self.note(before, base + INDENT)
            self.turn(base + INDENT)
            if isinstance(inner, t.Concat) and not self.fits(inner, place, 0):
                self.put("| ")
                self.chain(inner, place, 0, hang=True)
            else:
                self.expr(inner, place, 0)
            self.note(after, base + INDENT)
            self.turn(base)
            self.put(")")
        self.bare = bare

    def paths(self, e: t.Group, inner: t.Seq) -> None:
        """A parenthesis with a path on each line. They hang from it if the first stands right behind it."""
        begin, end = e.span.start + 1, e.span.end - 1
        first, last = inner.items[0].span.start, inner.items[-1].span.end
        base, column = self.base, self.column + 1
        hangs = (
            not self.breaks(begin, first)
            and not self.notes(last, end)
            and all((wide := self.flat_width(item)) is not None and column + wide < self.limit for item in inner.items)
        )
        if not hangs:
            column = base + INDENT
        self.put("(")
        self.note(self.notes(begin, first), column)
        at = first
        for item in inner.items:
            self.gap(at, item.span.start, column, column)
            if at != first:
                self.lines.append(Line(" " * column))
            elif not hangs:
                self.turn(column)
            self.asserted(item, column, 0, hang=False)
            at = item.span.end
        self.note(self.notes(last, end), column)
        if not hangs:
            self.turn(base)
        self.put(")")

    def call(self, e: t.Call) -> None:
        self.put(e.head.id)
        bare, self.bare = self.bare, False
        place: Place = "number" if e.head.id in f.NUMERIC else "value"
        self.listed("(", e.head.span.end + 1, e.args, f.commas(e), e.span.end - 1, place)
        self.bare = bare

    def listed(
        self, opening: str, begin: int, parts: tuple[t.Tree, ...], commas: list[str], end: int, place: Place
    ) -> None:
        """What stands between the parentheses of a call or of parameters: a line for each."""
        base = self.base
        column = base + INDENT
        self.put(opening)
        for i, part in enumerate(parts):
            if i:
                self.put(",")
            self.note(self.notes(begin, part.span.start), column)
            self.turn(column)
            value = part.default if isinstance(part, t.Param) else part.value if isinstance(part, t.Keyword) else part
            if isinstance(part, t.Param | t.Keyword):
                self.put(part.name)
                if value is not None:
                    self.put("=")
                    comments = self.notes(part.span.start, value.span.start)
                    if comments:
                        self.note(comments, column + INDENT)
                        self.turn(column + INDENT)
            if value is not None:
                assert isinstance(value, t.Expr)
                self.expr(value, place, 1)
            begin = part.span.end
        self.note(self.notes(begin, end), column)
        self.turn(base)
        self.put(")")

    def arguments(self, parts: list[t.Arg], head: t.Expr | None, shaped: bool, tail: int) -> None:
        """A primitive and its bare arguments, or a row of a bracket. A comma at its end says that a line goes on."""
        base = self.base + INDENT
        for i, (before, part) in enumerate(zip([None, *parts], parts)):
            flat = expression(head) if head is not None and part is head else f.argument(part, shaped)
            comments = self.notes(before.span.end, part.span.start) if before is not None else []
            room = tail if i + 1 == len(parts) else 1
            if before is not None:
                wide = self.column + 1 + len(flat) + room > self.limit and self.bare and before is not head
                if comments or (wide and part is not head and not self.firm(part)):
                    self.put(",")
                    self.note(comments, base)
                    self.turn(base)
                else:
                    self.put(" ")
            if not self.firm(part) and self.column + len(flat) + room <= self.limit:
                self.put(flat)
                continue
            value = part.value if isinstance(part, t.Stride | t.Keyword) else part
            if isinstance(part, t.Stride | t.Keyword):
                self.put("/" if isinstance(part, t.Stride) else f"{part.name}=")
            self.expr(value, "block" if part is head else "number", room)

    def bracket(self, e: t.Call) -> None:
        """A row on each line; comments stand behind them."""
        base, column = self.base, self.column + 1
        self.put("[")
        at = e.span.start
        for i, row in enumerate(f.rows_of(e)):
            self.note(self.notes(at, row.span.start), column)
            if i or self.remarked():
                self.turn(column)
            if self.notes(row.span.start, row.span.end):
                self.arguments(f.typed(row), None, False, 0)
            else:
                self.put(f.row(row))
            at = row.span.end
        self.note(self.notes(at, e.span.end), column)
        if self.remarked():
            self.turn(base)
        self.put("]")

    def choice(self, e: t.If, place: Place, tail: int) -> None:
        """`if … then …`, and each `else` below its `if`."""
        start = self.column
        while True:
            self.put("if")
            comments = self.notes(e.span.start, e.test.span.start)
            self.note(comments, start + INDENT)
            if comments:
                self.turn(start + INDENT)
            else:
                self.put(" ")
            self.expr(e.test, "number", len(" then"))
            comments = self.notes(e.test.span.end, e.then.span.start)
            if comments and not comments[0].trails:
                self.note(comments[:1], start + INDENT)
                self.turn(start + INDENT)
                self.put("then")
                comments = comments[1:]
            else:
                self.put(" then")
            self.branch(e.then, comments, start, place, 0)
            begin, end = e.then.span.end, e.other.span.start
            middle = self.word("else", begin, end)
            self.note(self.notes(begin, middle), start)
            self.turn(start)
            self.put("else")
            comments = self.notes(middle, end)
            if not isinstance(e.other, t.If) or comments:
                break
            self.put(" ")
            e = e.other
        self.branch(e.other, comments, start, place, tail)

    def choice_fits(self, e: t.If, place: Place, tail: int) -> bool:
        """Whether a choice can be laid out with a line for each branch, from here."""
        if self.notes(e.span.start, e.span.end):
            return False
        room = self.limit - self.column - 1
        head = ""
        while True:
            test, then = self.flat(e.test, "number"), self.flat(e.then, place)
            if test is None or then is None or len(f"{head}if {test} then {then}") > room:
                return False
            head = "else "
            if not isinstance(e.other, t.If):
                last = self.flat(e.other, place)
                return last is not None and len(head + last) + tail <= room
            e = e.other

    def branch(self, e: t.Expr, comments: list[Comment], start: int, place: Place, tail: int) -> None:
        """What follows `then`, `else` or `do`: on the same line, or on lines of its own."""
        self.note(comments, start + INDENT)
        if comments:
            self.turn(start + INDENT)
        elif isinstance(e, t.Group | t.Call) or self.fits(e, place, 1 + tail):
            self.put(" ")
        else:
            self.turn(start + INDENT)
        self.expr(e, place, tail)

    def loop(self, e: t.For, tail: int) -> None:
        base = self.base
        self.put(f"for {e.var} in ")
        self.expr(e.first, "number", 2)
        self.put("..")
        self.expr(e.last, "number", len(" do"))
        self.put(" do")
        begin, end = e.last.span.end, e.body.span.start
        if self.breaks(begin, end) or self.firm(e.body):
            comments = self.notes(begin, end)
            if not comments and not self.breaks(begin, end):
                self.branch(e.body, [], base, "block", tail)
                return
            self.note(comments, base + INDENT)
            self.turn(base + INDENT)
            self.expr(e.body, "block", tail)
        else:
            self.branch(e.body, [], base, "block", tail)

    def condition(self, e: t.Compare | t.Logic, tail: int) -> None:
        start = self.column
        items = e.items if isinstance(e, t.Logic) else (e.left, e.right)
        for i, item in enumerate(items):
            room = tail if i + 1 == len(items) else 1 + len(e.op)
            if i:
                comments = self.notes(items[i - 1].span.end, item.span.start)
                self.put(f" {e.op}")
                self.note(comments, start + INDENT)
                if comments or not (self.firm(item) or self.fits(item, "number", 1 + room)):
                    self.turn(start + INDENT)
                else:
                    self.put(" ")
            self.expr(item, "number", room)
