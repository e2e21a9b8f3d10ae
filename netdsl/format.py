"""How is a tree written?  The text of a syntax tree, in one way: parsing it gives the same network.

Comments are not in the tree, so this is for programs that are made, moved or compared, not yet for people's files.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from netdsl import tree as t

INDENT = "    "


def unparse(file: t.File) -> str:
    """The text of a file, a statement to a line."""
    return "".join(f"{statement(s)}\n" for s in file.statements)


def statement(s: t.Statement) -> str:
    if isinstance(s, t.Net):
        return f"net {s.name.id}{_params(s.params)}"
    if isinstance(s, t.NetFrom):
        return f"net {s.name.id}{_params(s.params)} = {expression(s.base)}{' with' if s.changes else ''}"
    if isinstance(s, t.Block):
        return f"block {s.name.id}{_params(s.params)} = {expression(s.body)}"
    if isinstance(s, t.Import):
        return f'import "{s.path}"'
    if isinstance(s, t.Input):
        return f"input {_label(s.label)}{shape(s.shape)}"
    if isinstance(s, t.Output):
        return f"output {', '.join(label.id for label in s.labels)}"
    if isinstance(s, t.TrainingOutput):
        return f"output {s.label.id} = {expression(s.value)}"
    if isinstance(s, t.Default):
        return " ".join(["default", s.head.id, *map(argument, s.args)])
    if isinstance(s, t.Freeze):
        return f"freeze {' '.join(label.id for label in s.labels)}"
    if isinstance(s, t.Let):
        return f"let {s.label.id} = {expression(s.value)}"
    return f"{_label(s.label)}{expression(s.value)}"


def _label(label: t.Name | None) -> str:
    return f"{label.id} = " if label is not None else ""


def _params(params: tuple[t.Param, ...]) -> str:
    inside = [p.name if p.default is None else f"{p.name}={expression(p.default)}" for p in params]
    return f"({', '.join(inside)})" if params else ""


def shape(s: t.Shape) -> str:
    return " x ".join(expression(size) for size in s.sizes)


def argument(arg: t.Arg) -> str:
    if isinstance(arg, t.Stride):
        return f"/{expression(arg.value)}"
    if isinstance(arg, t.Keyword):
        return f"{arg.name}={expression(arg.value)}"
    return expression(arg)


def expression(e: t.Expr, depth: int = 0) -> str:
    """One expression. Parentheses are in the tree, so none are added."""

    def inner(part: t.Expr) -> str:
        return expression(part, depth)

    if isinstance(e, t.Number):
        return number(e.value)
    if isinstance(e, t.Name):
        return e.id
    if isinstance(e, t.Text):
        return f'"{e.value}"'
    if isinstance(e, t.Anything):
        return "?"
    if isinstance(e, t.Extent):
        plain = all(isinstance(size, t.Number) and isinstance(size.value, int) for size in e.sizes)
        return ("x" if plain else " x ").join(map(inner, e.sizes))
    if isinstance(e, t.Group):
        return _group(e, depth)
    if isinstance(e, t.App):
        return " ".join([inner(e.head), *(_in(arg, depth) for arg in e.args)])
    if isinstance(e, t.Call):
        return f"{e.head.id}({', '.join(_in(arg, depth) for arg in e.args)})"
    if isinstance(e, t.Seq):
        return " -> ".join(map(inner, e.items))
    if isinstance(e, t.Concat):
        return " | ".join(map(inner, e.items))
    if isinstance(e, t.Product) and isinstance(e.items[0], t.App):  # `conv3-64 * 2`, a word that is written out here
        return expression(e.replace(items=(t.Group(e.items[0].span, e.items[0]), *e.items[1:])), depth)
    if isinstance(e, t.Sum | t.Product):
        return inner(e.items[0]) + "".join(f" {op} {inner(item)}" for op, item in zip(e.ops, e.items[1:]))
    if isinstance(e, t.Negative):
        return f"-{inner(e.inner)}"
    if isinstance(e, t.If):
        return f"if {inner(e.test)} then {inner(e.then)} else {inner(e.other)}"
    if isinstance(e, t.For):
        return f"for {e.var} in {inner(e.first)}..{inner(e.last)} do {inner(e.body)}"
    if isinstance(e, t.Compare):
        return f"{inner(e.left)} {e.op} {inner(e.right)}"
    if isinstance(e, t.Logic):
        return f" {e.op} ".join(map(inner, e.items))
    if isinstance(e, t.Not):
        return f"not {inner(e.inner)}"
    if isinstance(e, t.Assertion):
        return f"{inner(e.inner)} : {shape(e.shape)}"
    raise AssertionError(f"no form for {type(e).__name__}")


def _in(arg: t.Arg, depth: int) -> str:
    return expression(arg, depth) if isinstance(arg, t.Expr) else argument(arg)


def _group(e: t.Group, depth: int) -> str:
    if not isinstance(e.inner, t.Seq) or not e.inner.lines:
        return f"({expression(e.inner, depth)})"
    pad = INDENT * (depth + 1)
    lines = "\n".join(f"{pad}{expression(item, depth + 1)}" for item in e.inner.items)
    return f"(\n{lines}\n{INDENT * depth})"


def number(value: int | Fraction) -> str:
    """Exactly, in decimals."""
    if isinstance(value, int):
        return str(value)
    return format(Decimal(value.numerator) / Decimal(value.denominator), "f")
