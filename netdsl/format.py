"""How is an expression written?  On one line, in the one way that `netdsl fmt` has for it.

Numbers and names stay as they were typed, and the papers' own forms (`conv3-64`, `7x7 CONV 64`, brackets) stay what
they are. `layout.py` says where lines break.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from netdsl import tree as t
from netdsl.ops import BY_SPELLING
from netdsl.treebuilder import MAX_AXES

Place = Literal["block", "value", "number"]
"""What can stand there: a block, where a primitive is written in capitals; a block, a number or a word, in a call; a
number or a word."""

NUMERIC = frozenset(("floor", "ceil", "round", "min", "max"))
SIZES = frozenset(("C", "D", "H", "W"))
BLOCKS = frozenset(("identity", "match", "match_pad"))


def expression(e: t.Expr, place: Place = "block") -> str:
    """One expression on one line. Parentheses are in the tree, so none are added; comments are not."""
    return _FORMS[type(e)](e, place)


def argument(arg: t.Arg, spaced: bool = False) -> str:
    """A bare argument of a primitive. `spaced`: an extent is a shape, `8 x 8`."""
    if isinstance(arg, t.Stride):
        return f"/{expression(arg.value, 'number')}"
    if isinstance(arg, t.Keyword):
        return f"{arg.name}={expression(arg.value, 'number')}"
    if spaced and isinstance(arg, t.Extent):
        return sizes(arg.sizes)
    return expression(arg, "number")


def call_argument(arg: t.Arg, place: Place) -> str:
    """An argument between the parentheses of a call."""
    if isinstance(arg, t.Keyword):
        return f"{arg.name}={expression(arg.value, place)}"
    assert isinstance(arg, t.Expr)
    return expression(arg, place)


def parameter(param: t.Param) -> str:
    return param.name if param.default is None else f"{param.name}={expression(param.default, 'value')}"


def budget(b: t.Budget) -> str:
    return f"{expression(b.quantity, 'value')} {b.op} {expression(b.bound, 'number')}"


def shape(s: t.Shape) -> str:
    return sizes(s.sizes)


def sizes(parts: tuple[t.Expr, ...]) -> str:
    return " x ".join([expression(size, "number") for size in parts])


# --- what a tree was written as ---------------------------------------------------------------------------------------


def is_bracket(e: t.Call) -> bool:
    """Whether a call was written `[1x1, 64; 3x3, 64]`."""
    return e.head.span == e.span


def rows_of(e: t.Call) -> tuple[t.App, ...]:
    """The rows of a bracket."""
    (body,) = e.args
    rows = body.items if isinstance(body, t.Seq) else (body,)
    return tuple(row for row in rows if isinstance(row, t.App))


def row(e: t.App) -> str:
    """A row of a bracket, with commas as in the papers: after kernels, numbers and strides, not after words."""
    args = typed(e)
    text = "" if args else "CONV"
    for before, arg in zip([None, *args], args):
        comma = "" if isinstance(before, t.Name | t.Text) else ","
        text += argument(arg) if before is None else f"{comma} {argument(arg)}"
    return text


def typed(e: t.App) -> list[t.Arg]:
    """The arguments of a row, without the `linear` of the last one that nobody typed."""
    last = e.args[-1] if e.args else None
    silent = isinstance(last, t.Name) and last.span == e.span and last.span.text != last.id
    return list(e.args[:-1] if silent else e.args)


def is_word(e: t.App) -> bool:
    """Whether it was written `conv3-64`."""
    return bool(e.args) and isinstance(e.args[0], t.Keyword) and e.args[0].span.start == e.head.span.end


def in_order(e: t.App) -> list[t.Arg]:
    """The head and the arguments of an application as they stand in the text: `7x7 CONV 64` has its kernel first."""
    first = e.args[:1]
    if first and first[0].span.start < e.head.span.start:
        return [first[0], e.head, *e.args[1:]]
    return [e.head, *e.args]


def is_shaped(e: t.App) -> bool:
    """Whether the extents of a primitive are shapes: `RESHAPE 8 x 8`."""
    op = BY_SPELLING.get(e.head.id.upper()) if isinstance(e.head, t.Name) else None
    return op is not None and op.name == "reshape"


def commas(e: t.Call) -> list[str]:
    """What stands between the arguments of a call. `96,128` belongs together where other arguments stand apart."""
    source = [
        a.span.source.text[a.span.end : b.span.start] if isinstance(a, t.Number) and isinstance(b, t.Number) else ""
        for a, b in zip(e.args, e.args[1:])
    ]
    if "," not in source or all(_touches(a, b) for a, b in zip(e.args, e.args[1:])):
        return [", "] * len(source)
    return ["," if gap == "," else ", " for gap in source]


def _touches(a: t.Arg, b: t.Arg) -> bool:
    return a.span.source.text[a.span.end : b.span.start] == ","


# --- arithmetic or blocks ---------------------------------------------------------------------------------------------


def is_arithmetic(e: t.Sum | t.Product, place: Place) -> bool:
    """Whether operators are written close, `2*C`, or apart, as between blocks: `f * 2`.

    Which of the two it is follows from names, which the text alone does not tell: then a place that takes numbers
    decides, and in a call `c*2` is a number and `a + b` a block.
    """
    if any(map(_is_block, e.items)):
        return False
    if place == "number" or "/" in e.ops or "-" in e.ops:
        return True
    if isinstance(e, t.Product):
        return place == "value" or _is_number(e.items[0])
    return any(map(_is_number, e.items))


def _is_block(e: t.Expr) -> bool:
    if isinstance(e, t.Group | t.Assertion):
        return _is_block(e.inner)
    if isinstance(e, t.Name):
        return e.id in BLOCKS or (e.id not in SIZES and e.id.upper() in BY_SPELLING)
    if isinstance(e, t.Call):
        return e.head.id not in NUMERIC
    if isinstance(e, t.If):
        return _is_block(e.then) or _is_block(e.other)
    if isinstance(e, t.Sum | t.Product):
        return any(map(_is_block, e.items))
    return isinstance(e, t.App | t.Seq | t.Concat | t.For)


def _is_number(e: t.Expr) -> bool:
    if isinstance(e, t.Group):
        return _is_number(e.inner)
    if isinstance(e, t.Name):
        return e.id in SIZES
    if isinstance(e, t.Call):
        return e.head.id in NUMERIC
    if isinstance(e, t.If):
        return _is_number(e.then) or _is_number(e.other)
    if isinstance(e, t.Sum | t.Product):
        return any(map(_is_number, e.items)) if isinstance(e, t.Sum) else _is_number(e.items[0])
    return isinstance(e, t.Number | t.Amount | t.Negative)


def item_place(e: t.Expr, place: Place, i: int) -> Place:
    """What can stand as item i of a sum, a product, a sequence or branches."""
    if isinstance(e, t.Sum | t.Product):
        if is_arithmetic(e, place) or (i and isinstance(e, t.Product)):
            return "number"
    return "block"


def between(e: t.Sum | t.Product, place: Place, i: int, left: str, right: str) -> str:
    """The operator before item i + 1, with its spaces: `n-1` and `2*C`, but `2*C + 1`; never `conv3-1`, a word."""
    op = e.ops[i]
    if not is_arithmetic(e, place):
        return f" {op} "
    if isinstance(e, t.Sum):
        if any(isinstance(item, t.Product) for item in e.items):
            return f" {op} "
        if op == "-" and right[:1].isdecimal() and re.search(r"conv\d+$", left, re.IGNORECASE):
            return " - "
    return op


# --- forms ------------------------------------------------------------------------------------------------------------


def _verbatim(e: t.Expr, place: Place) -> str:
    return e.span.text


def _name(e: t.Name, place: Place) -> str:
    if place == "block" and (capitals := e.id.upper()) in BY_SPELLING:
        return capitals
    return e.id


def _extent(e: t.Extent, place: Place) -> str:
    texts = [expression(size, "number") for size in e.sizes]
    return ("x" if len(texts) <= MAX_AXES and all(text.isdecimal() for text in texts) else " x ").join(texts)


def _group(e: t.Group, place: Place) -> str:
    return f"({expression(e.inner, place)})"


def _app(e: t.App, place: Place) -> str:
    if is_word(e):
        return e.span.text.lower()
    shaped = is_shaped(e)
    return " ".join([expression(e.head) if arg is e.head else argument(arg, shaped) for arg in in_order(e)])


def _call(e: t.Call, place: Place) -> str:
    if is_bracket(e):
        return f"[{'; '.join(map(row, rows_of(e)))}]"
    if not e.args:
        return f"{e.head.id}()"
    inner: Place = "number" if e.head.id in NUMERIC else "value"
    text = call_argument(e.args[0], inner)
    for comma, arg in zip(commas(e), e.args[1:]):
        text += comma + call_argument(arg, inner)
    return f"{e.head.id}({text})"


def _seq(e: t.Seq, place: Place) -> str:
    return ("\n" if e.lines else " -> ").join([expression(item) for item in e.items])


def _concat(e: t.Concat, place: Place) -> str:
    return " | ".join([expression(item) for item in e.items])


def _operators(e: t.Sum | t.Product, place: Place) -> str:
    texts = [expression(item, item_place(e, place, i)) for i, item in enumerate(e.items)]
    text = texts[0]
    for i, right in enumerate(texts[1:]):
        text += between(e, place, i, texts[i], right) + right
    return text


def _if(e: t.If, place: Place) -> str:
    return f"if {expression(e.test, 'number')} then {expression(e.then, place)} else {expression(e.other, place)}"


def _for(e: t.For, place: Place) -> str:
    return f"{for_head(e)} do {expression(e.body)}"


def for_head(e: t.For) -> str:
    return f"for {e.var} in {expression(e.first, 'number')}..{expression(e.last, 'number')}"


_FORMS: dict[type[t.Expr], Callable[[Any, Place], str]] = {
    t.Number: _verbatim,
    t.Amount: _verbatim,
    t.Text: _verbatim,
    t.Anything: _verbatim,
    t.Name: _name,
    t.Extent: _extent,
    t.Group: _group,
    t.App: _app,
    t.Call: _call,
    t.Seq: _seq,
    t.Concat: _concat,
    t.Sum: _operators,
    t.Product: _operators,
    t.Negative: lambda e, place: f"-{expression(e.inner, 'number')}",
    t.If: _if,
    t.For: _for,
    t.Compare: lambda e, place: f"{expression(e.left, 'number')} {e.op} {expression(e.right, 'number')}",
    t.Logic: lambda e, place: f" {e.op} ".join([expression(item, "number") for item in e.items]),
    t.Not: lambda e, place: f"not {expression(e.inner, 'number')}",
    t.Assertion: lambda e, place: f"{expression(e.inner, place)} : {shape(e.shape)}",
}
