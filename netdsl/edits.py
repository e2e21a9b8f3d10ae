"""Which edit carries out what a help says?  Ideas for faults of names, arguments and form; netdsl/repair tries them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from netdsl import tree as t
from netdsl.diagnostic import Help, Repair
from netdsl.source import Span


def meant(name: str, span: Span) -> Repair:
    """The name that was probably meant, in the place of one that nothing has."""
    return Repair.of(f"did you mean `{name}`?", (span, name))


def without(span: Span) -> Span:
    """What goes so that an item of a list is left out: with the comma or the space that parts it from the others."""
    text = span.source.text
    if found := re.compile(r"\s*,\s*").match(text, span.end):
        before = re.search(r"\(\s*$", text[max(0, span.start - 80) : span.start])
        if before:
            return Span(span.source, span.start, found.end())
    part = re.search(r"\s*,\s*$|[ \t]+$", text[max(0, span.start - 80) : span.start])
    return Span(span.source, span.start - (len(part[0]) if part else 0), span.end)


def keep_one(first: Span, second: Span) -> list[Help]:
    """Of two things that cannot both stand, one goes: the author knows which."""
    return [
        Repair.of(f"leave out `{second.text}`", (without(second), "")),
        Repair.of(f"leave out `{first.text}`, and keep `{second.text}`", (without(first), "")),
    ]


def renamed(title: str, name: Span, taken: Iterable[str] = ()) -> Help:
    """Another name for what is defined at `name`; no edit where the text has uses of it, which could mean either."""
    text = name.source.text
    words = re.findall(r"\w+", text)
    stem = name.text.rstrip("0123456789") or name.text
    fresh = next(f"{stem}{i}" for i in range(1, len(words) + 2) if f"{stem}{i}" not in {*words, *taken})
    later = re.compile(rf"\b{re.escape(name.text)}\b").search(text, name.end)
    return title if later or len(name.text) > 60 else Repair.of(title, (name, fresh))


def block_first(expr: t.Expr) -> Help:
    """What to say of `3 * f`."""
    title = "a repeat has the block first: `(CONV 64) * 2`"
    if not isinstance(expr, t.Product) or expr.ops != ("*",):
        return title
    number, block = (item.span.text for item in expr.items)
    return Repair.of(title, (expr.span, f"{block} * {number}"))


def lost_line(block: t.Block, line: t.Element) -> tuple[Repair, Repair]:
    """The block takes the indented lines below it in, or this one is not indented."""
    source, start, begin = line.span.source, line.span.start, block.body.span.start
    indented = re.compile(r"[^\r\n]*((\r\n?|\n)[ \t]+[^\s#][^\r\n]*)*").match(source.text, start)
    assert indented is not None
    margin = source.line_starts[source.line_column(start)[0] - 1]
    return (
        Repair.of(
            f"several lines need parentheses: `block {block.name.id}(…) = ( … )`",
            (Span(source, begin, begin), "("),
            (Span(source, indented.end(), indented.end()), ")"),
        ),
        Repair.of("take its indent away", (Span(source, margin, start), "")),
    )


def another_name(name: t.Name, inside: bool) -> Help:
    """A name that can be given instead; with the uses of a parameter, which end with its statement."""
    new = f"{name.id.lower()}1"
    title = f"`{new}`, or a name that says what it is for"
    if not inside:
        return renamed(title, name.span) if name.id.islower() else title
    text = name.span.source.text
    end = re.compile(r"(\r\n?|\n)(?=[^\s)|+-])|\Z").search(text, name.span.end)
    stop = end.start() if end else len(text)
    pattern = rf'#[^\r\n]*|"[^"\r\n]*"|(?P<it>(?<![\w.]){name.id}(?![\w.]))'
    uses = re.compile(pattern).finditer(text, name.span.start, stop)
    source = name.span.source
    changes = [(Span(source, use.start(), use.end()), new) for use in uses if use["it"] is not None]
    return Repair.of(title, *changes) if changes else title


def without_batch(shape: t.Shape) -> Repair:
    """`input 16 x 3 x 8 x 112 x 112`: the first size goes."""
    first, second = shape.sizes[:2]
    return Repair.of(
        "the batch axis is never written", (Span(shape.span.source, first.span.start, second.span.start), "")
    )


def channels_first(shape: t.Shape) -> Repair:
    """`32 x 32 x 3`, as Keras writes it."""
    height, width, channels = (size.span.text for size in shape.sizes)
    text = f"{channels} x {height} x {width}"
    return Repair.of(f"the channels stand first: `{text}`", (shape.span, text))


def open_sizes(shape: t.Shape) -> tuple[Repair, ...]:
    """`3 x ? x ?`: the open sizes by the names of their axes; channels are never open."""
    axes = dict(enumerate({2: "CW", 3: "CHW", 4: "CDHW"}.get(len(shape.sizes), "")))
    names = [axes.get(i, "C") if isinstance(size, t.Anything) else size.span.text for i, size in enumerate(shape.sizes)]
    if not axes or isinstance(shape.sizes[0], t.Anything):
        return ()
    text = " x ".join(names)
    return (Repair.of(f"write `{text}`", (shape.span, text)),)


def whole_lines(span: Span) -> Span:
    """The lines of a statement, with their end."""
    starts, text = span.source.line_starts, span.source.text
    first, last = span.source.line_column(span.start)[0], span.source.line_column(max(span.start, span.end - 1))[0]
    return Span(span.source, starts[first - 1], starts[last] if last < len(starts) else len(text))


def multiplied(expr: t.Product) -> tuple[Help, ...]:
    """`identity * g` and `f * g`, where g is a block."""
    title = "outputs are multiplied by `product(f, g)`; `gate(g)` scales the input by what g gives"
    if len(expr.items) != 2:
        return (title,)
    f, g = (_inside(item).span.text for item in expr.items)
    return (Repair.of(title, (expr.span, f"gate({g})" if f == "identity" else f"product({f}, {g})")),)


def rounded(span: Span) -> tuple[Help, ...]:
    """A number that is not whole: down or up."""
    inner = span.text[1:-1] if span.text.startswith("(") and span.text.endswith(")") else span.text
    return tuple(Repair.of(f"write `{name}({inner})`", (span, f"{name}({inner})")) for name in ("floor", "ceil"))


def strided(expr: t.Product) -> tuple[Help, ...]:
    """`(CONV 64)/2`."""
    inner = _inside(expr.items[0])
    if not isinstance(inner, t.App) or len(expr.items) != 2:
        return ()
    text = f"{inner.span.text} /{expr.items[1].span.text}"
    return (Repair.of(f"write `{text}`", (expr.span, text)),)


def in_parentheses(expr: t.Sum) -> Repair:
    """`SCALE -1`, read as a difference; `FC-4096`, as the tables of papers have it."""
    first, second = expr.items[0], expr.items[1]
    if isinstance(first, t.Name) and expr.span.text == f"{first.id}-{second.span.text}":
        text = f"{first.id} {second.span.text}"
        return Repair.of(f"`{expr.span.text}` is written `{text}`", (expr.span, text))
    at = expr.span.source.text.find("-", expr.items[0].span.end)
    number = Span(expr.span.source, at, expr.items[1].span.end)
    return Repair.of("a negative number stands in parentheses: `SCALE (-1)`", (number, f"({number.text})"))


def joined_with(first: Span, before: Span, label: Span) -> tuple[Help, ...]:
    """`a -> b -> label`: the path up to there is added to the label, or joined with it."""
    source = label.source
    ways = (("+", "to add it, write"), ("|", "to join it, write"))
    return tuple(
        Repair.of(
            f"{what} `{sign} {label.text}`" if len(label.text) < 60 else what,
            (Span(source, first.start, first.start), "("),
            (Span(source, before.end, label.start), f" {sign} "),
            (Span(source, label.end, label.end), ")"),
        )
        for sign, what in ways
    )


def arrow_before(span: Span) -> Repair:
    return Repair.of("write `->` between elements", (Span(span.source, span.start, span.start), "-> "))


def sum_first(expr: t.Seq, word: str, after: str) -> Help:
    """`f + match -> RELU`, where the path begins with the word: the sum before the `->` is meant."""
    title = f"`->` binds tighter than `+`: write `(f + {word}) -> {after}`"
    source, start, end = expr.span.source, expr.items[0].span.start, expr.items[0].span.end
    depth = 0
    for at in range(start - 1, -1, -1):  # back to where the sum begins: a bracket, a branch, a label, a line
        char = source.text[at]
        depth += {")": 1, "(": -1}.get(char, 0)
        if depth < 0 or (depth == 0 and char in "=|,\r\n"):
            begin = at + 1 + len(source.text[at + 1 : start]) - len(source.text[at + 1 : start].lstrip())
            return Repair.of(title, (Span(source, begin, begin), "("), (Span(source, end, end), ")"))
    return title


def _inside(expr: t.Expr) -> t.Expr:
    while isinstance(expr, t.Group):
        expr = expr.inner
    return expr
