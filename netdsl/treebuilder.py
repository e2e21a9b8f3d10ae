"""Lark's tree → ours. Refuses what the grammar lets through only so that it can be explained better."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Help, Label, Repair, diagnose
from netdsl.ops import BY_FLAG, BY_SPELLING
from netdsl.source import Source, Span
from netdsl.units import UNITS

MAX_DIGITS = 18
"""Numbers may have this many digits, before and after the point together."""


MAX_AXES = 10
"""Sizes in a word such as `3x3x3`. Tensors have four axes at most; what is wrong with a fifth, its use says."""


class TreeBuilder:
    """One method for each rule of the grammar, by its name. Mutable: it gathers faults."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Diagnostic] = []

    def __call__(self, node: Any) -> Any:
        method: Callable[[Any], Any] = getattr(self, node.data)
        return method(node.children)

    def span(self, first: Any, last: Any) -> Span:
        return Span(self.source, self.start(first), self.end(last))

    def start(self, node: Any) -> int:
        if isinstance(node, t.Tree):
            return node.span.start
        return int(node.start_pos)

    def end(self, node: Any) -> int:
        if isinstance(node, t.Tree):
            return node.span.end
        return int(node.end_pos)

    def fault(
        self,
        code: str,
        message: str,
        span: Span,
        text: str = "",
        helps: tuple[Help, ...] = (),
        others: tuple[Label, ...] = (),
    ) -> None:
        self.faults.append(diagnose(code, message, (span,), text, helps=helps, others=others))

    # atoms

    def name(self, c: list[Any]) -> t.Name:
        return t.Name(self.span(c[0], c[0]), str(c[0]))

    def token_name(self, token: Any) -> t.Name:
        if "." in token:
            self.fault(
                "E0208",
                f"a name has no dots: `{token}`",
                self.span(token, token),
                helps=(Repair.of(f"`{token.replace('.', '_')}`", (self.span(token, token), token.replace(".", "_"))),),
            )
        return t.Name(self.span(token, token), str(token))

    def number(self, c: list[Any]) -> t.Number:
        span = self.span(c[0], c[0])
        return t.Number(span, self.value(str(c[0]), span))

    def value(self, text: str, span: Span) -> int | Fraction:
        if text.isdecimal() and len(text) <= MAX_DIGITS:
            return int(text)
        mantissa, _, exponent = text.lower().partition("e")
        if (
            len(mantissa) > MAX_DIGITS + 1
            or len(exponent.lstrip("+-")) > 2
            or (exponent and abs(int(exponent)) > MAX_DIGITS)
        ):
            self.fault(
                "E0102",
                "the number is too large or too fine to be a size, a rate or a count",
                span,
                f"more than {MAX_DIGITS} digits",
            )
            return 1
        value = Fraction(text)
        return int(value) if value.denominator == 1 else value

    def kernel(self, c: list[Any]) -> t.Extent | t.Faulty:
        return self.extent_of(c[0])

    def extent_of(self, token: Any) -> t.Extent | t.Faulty:
        span = self.span(token, token)
        sizes, at = [], span.start
        parts = str(token).replace("×", "x").split("x")
        if len(parts) > MAX_AXES:
            self.fault("E0307", f"{len(parts):,} sizes: no tensor has so many axes", span)
            return t.Faulty(span)
        for part in parts:
            here = Span(self.source, at, at + len(part))
            sizes.append(t.Number(here, self.value(part, here)))
            at += len(part) + 1
        return t.Extent(span, tuple(sizes))

    def amount(self, c: list[Any]) -> t.Amount:
        span = self.span(c[0], c[0])
        digits = str(c[0]).rstrip("".join(UNITS))
        return t.Amount(span, self.value(digits.replace("_", ""), span), str(c[0])[len(digits) :])

    def string(self, c: list[Any]) -> t.Text:
        return t.Text(self.span(c[0], c[0]), str(c[0])[1:-1])

    def any(self, c: list[Any]) -> t.Anything:
        return t.Anything(self.span(c[0], c[0]))

    def group(self, c: list[Any]) -> t.Group:
        return t.Group(self.span(c[0], c[-1]), self(c[1]))

    amount_group = group

    # application

    def app(self, c: list[Any]) -> t.App:
        head, *args = [self(x) for x in c]
        return t.App(self.span(head, args[-1]), head, tuple(args))

    def call(self, c: list[Any]) -> t.Call:
        head = self(c[0])
        args = tuple(self(x) for x in c[2:-1])
        return t.Call(self.span(head, c[-1]), head, args)

    def kernel_app(self, c: list[Any]) -> t.App:
        kernel, head, *args = self.extent_of(c[0]), self(c[1]), *[self(x) for x in c[2:]]
        return t.App(self.span(kernel, args[-1] if args else head), head, (kernel, *args))

    def vgg(self, c: list[Any]) -> t.App:
        span = self.span(c[0], c[0])
        kernel, filters = str(c[0])[4:].split("-")
        middle = span.start + 4 + len(kernel)
        here, there = Span(self.source, span.start + 4, middle), Span(self.source, middle + 1, span.end)
        size = t.Keyword(here, "kernel", t.Number(here, self.value(kernel, here)))
        return t.App(
            span,
            t.Name(Span(self.source, span.start, span.start + 4), "CONV"),
            (size, t.Number(there, self.value(filters, there))),
        )

    def bracket(self, c: list[Any]) -> t.Call:
        """`[1x1, 64; 3x3, 64]` is residual(CONV 64 1x1 -> CONV 64 3x3 linear): the last row has no activation."""
        span = self.span(c[0], c[-1])
        rows: list[t.Expr] = []
        for row in c[1:-1]:
            args = [self(x) for x in row.children]
            here = self.span(args[0], args[-1])
            words = {arg.id for arg in args if isinstance(arg, t.Name)}
            args = [arg for arg in args if not (isinstance(arg, t.Name) and arg.id.lower() == "conv")]
            if row is c[-2] and not words & {*BY_FLAG, "linear"}:
                args.append(t.Name(here, "linear"))
            rows.append(t.App(here, t.Name(here, "CONV"), tuple(args)))
        return t.Call(span, t.Name(span, "residual"), (rows[0] if len(rows) == 1 else t.Seq(span, tuple(rows)),))

    def extent(self, c: list[Any]) -> t.Extent:
        sizes: list[t.Expr] = []
        for part in (self(x) for x in c):
            sizes.extend(part.sizes if isinstance(part, t.Extent) else [part])
        return t.Extent(self.span(sizes[0], sizes[-1]), tuple(sizes))

    def stride(self, c: list[Any]) -> t.Stride:
        value = self(c[1])
        return t.Stride(self.span(c[0], value), value)

    def keyword(self, c: list[Any]) -> t.Keyword:
        value = self(c[-1])
        if len(c) == 3:  # name, minus, atom
            value = t.Negative(self.span(c[1], value), value)
        return t.Keyword(self.span(c[0], value), str(c[0]), value)

    # operators

    def lines(self, c: list[Any]) -> t.Seq:
        items = tuple(self(x) for x in c)
        return t.Seq(self.span(items[0], items[-1]), items, True)

    def seq(self, c: list[Any]) -> t.Seq:
        items = tuple(self(x) for x in c)
        return t.Seq(self.span(items[0], items[-1]), items)

    def concat(self, c: list[Any]) -> t.Concat:
        items = tuple(self(x) for x in c)
        self.warn_of_continued_branch(items)
        return t.Concat(self.span(items[0], items[-1]), items)

    def warn_of_continued_branch(self, items: tuple[t.Expr, ...]) -> None:
        """`a | b`, then a line that starts with `->`: it continues b, and may have been meant for both."""
        last = items[-1]
        if not isinstance(last, t.Seq):
            return
        for before, after in pairwise(last.items):
            between = self.source.text[before.span.end : after.span.start]
            if "\n" in between or "\r" in between:
                arrow = before.span.end + between.index("->")
                self.fault(
                    "W0503",
                    "this line continues the last branch only",
                    Span(self.source, arrow, after.span.end),
                    others=(Label(before.span, "the branch that goes on"),),
                    helps=(
                        Repair.of(
                            "parentheses say which is meant: `(a | b) -> c`",
                            (Span(self.source, items[0].span.start, items[0].span.start), "("),
                            (Span(self.source, before.span.end, before.span.end), ")"),
                        ),
                        Repair.of(
                            "parentheses say which is meant: `a | (b -> c)`",
                            (Span(self.source, last.span.start, last.span.start), "("),
                            (Span(self.source, last.span.end, last.span.end), ")"),
                        ),
                    ),
                )
                return

    def sum_(self, c: list[Any]) -> t.Expr:
        items, ops = self.operands(c)
        span = self.span(items[0], items[-1])
        refused = [op == "-" and self.refuse_bare(items[i], op, items[i + 1]) for i, op in enumerate(ops)]
        return t.Faulty(span) if any(refused) else t.Sum(span, items, ops)

    def product(self, c: list[Any]) -> t.Expr:
        items, ops = self.operands(c)
        span = self.span(items[0], items[-1])
        refused = [self.refuse_bare(items[i], op, items[i + 1]) for i, op in enumerate(ops)]
        return t.Faulty(span) if any(refused) else t.Product(span, items, ops)

    def operands(self, c: list[Any]) -> tuple[tuple[t.Expr, ...], tuple[str, ...]]:
        return tuple(self(x) for x in c[::2]), tuple(str(op) for op in c[1::2])

    def refuse_bare(self, left: t.Expr, op: str, right: t.Expr) -> bool:
        """`CONV 64 * 2` could be (CONV 64) * 2 or CONV (64*2): nothing silently means the other thing."""
        while isinstance(left, t.Seq):
            left = left.items[-1]
        if not isinstance(left, t.App) or (
            left.span.text.lower().startswith("conv") and "-" in left.span.text.split()[0]
        ):
            return False
        last, first = left.args[-1], first_atom(right)
        head = self.source.text[left.span.start : last.span.start]
        rest = self.source.text[first.span.end : right.span.end]
        ways: list[tuple[str, str]] = []
        flag = BY_SPELLING.get(f"{last.span.text}_{first.span.text}".upper())
        strided = any(isinstance(arg, t.Stride) for arg in left.args)
        if isinstance(last, t.Keyword):
            head += self.source.text[last.span.start : last.value.span.start]
        square = op == "*" and last.span.text == right.span.text and right.span.text in ("1", "3", "5", "7", "11")
        if op == "*" and square:
            ways.append((f"{head}{last.span.text}x{right.span.text}", " (a kernel)"))
        elif op == "*" and not rest:
            ways.append((f"({left.span.text}) * {right.span.text}", ""))
        if op == "-" and flag is not None and flag.flag:  # h-swish
            ways.append((f"{head}{flag.flag}{rest}", ""))
        elif not isinstance(last, t.Stride | t.Extent):
            value = last.value if isinstance(last, t.Keyword) else last
            ways.append((f"{head}({value.span.text}{op}{first.span.text}){rest}", ""))
        if op == "/" and isinstance(left.head, t.Name) and takes_stride(left.head.id) and not strided:
            ways.append((f"{left.span.text} /{right.span.text}", " (a stride)"))
        self.fault(
            "E0104",
            f"`{op}` after bare arguments can be read in two ways",
            left.span.to(right.span),
            "parentheses decide",
            tuple(Repair.of(f"write `{text}`{what}", (left.span.to(right.span), text)) for text, what in ways),
        )
        return True

    def negative(self, c: list[Any]) -> t.Negative:
        inner = self(c[1])
        return t.Negative(self.span(c[0], inner), inner)

    def if_(self, c: list[Any]) -> t.If:
        test, then, other = self(c[1]), self(c[3]), self(c[5])
        return t.If(self.span(c[0], other), test, then, other)

    def for_(self, c: list[Any]) -> t.For:
        var, body = self.token_name(c[1]), self(c[7])
        return t.For(self.span(c[0], body), var.id, self(c[3]), self(c[5]), body)

    def compare(self, c: list[Any]) -> t.Compare:
        left, right = self(c[0]), self(c[2])
        return t.Compare(self.span(left, right), str(c[1]), left, right)

    def or_(self, c: list[Any]) -> t.Logic:
        items = tuple(self(x) for x in c[::2])
        return t.Logic(self.span(items[0], items[-1]), "or", items)

    def and_(self, c: list[Any]) -> t.Logic:
        items = tuple(self(x) for x in c[::2])
        return t.Logic(self.span(items[0], items[-1]), "and", items)

    def negation(self, c: list[Any]) -> t.Not:
        inner = self(c[1])
        return t.Not(self.span(c[0], inner), inner)

    def shape(self, c: list[Any]) -> t.Shape:
        sizes: list[t.Expr] = []
        for part in (self(x) for x in c):
            sizes.extend(part.sizes if isinstance(part, t.Extent) else [part])
        return t.Shape(self.span(sizes[0], sizes[-1]), tuple(sizes))

    def assertion(self, c: list[Any]) -> t.Assertion:
        inner, shape = self(c[0]), self(c[1])
        return t.Assertion(self.span(inner, shape), inner, shape)

    # statements

    def param(self, c: list[Any]) -> t.Param:
        name = self.token_name(c[0])
        default = self(c[1]) if c[1] is not None else None
        return t.Param(self.span(name, default or name), name.id, default)

    def params_of(self, node: Any) -> tuple[t.Param, ...]:
        if node is None:
            return ()
        return tuple(self(x) for x in node.children[1:-1] if x is not None)

    def net(self, c: list[Any]) -> t.Net:
        name = self.token_name(c[1])
        return t.Net(self.span(c[0], name), name, self.params_of(c[2]))

    def base(self, c: list[Any]) -> Any:
        return self(c[0])

    def net_from(self, c: list[Any]) -> t.NetFrom:
        name, base = self.token_name(c[1]), self(c[3])
        return t.NetFrom(self.span(c[0], c[4] or base), name, self.params_of(c[2]), base, c[4] is not None)

    def block(self, c: list[Any]) -> t.Block:
        name, body = self.token_name(c[1]), self(c[3])
        return t.Block(self.span(c[0], body), name, self.params_of(c[2]), body)

    def import_(self, c: list[Any]) -> t.Import:
        return t.Import(self.span(c[0], c[1]), str(c[1])[1:-1])

    def input_(self, c: list[Any]) -> t.Input:
        shape = self(c[2])
        return t.Input(self.span(c[0], shape), self.token_name(c[1]) if c[1] is not None else None, shape)

    def output_(self, c: list[Any]) -> t.Output:
        labels = tuple(self(x) for x in c[1:])
        return t.Output(self.span(c[0], labels[-1]), labels)

    def output_training(self, c: list[Any]) -> t.TrainingOutput:
        value = self(c[2])
        return t.TrainingOutput(self.span(c[0], value), self.token_name(c[1]), value)

    def default_(self, c: list[Any]) -> t.Default:
        head, *args = [self(x) for x in c[1:]]
        return t.Default(self.span(c[0], args[-1]), head, tuple(args))

    def freeze_(self, c: list[Any]) -> t.Freeze:
        labels = tuple(self(x) for x in c[1:])
        return t.Freeze(self.span(c[0], labels[-1]), labels)

    def let_(self, c: list[Any]) -> t.Let:
        value = self(c[2])
        return t.Let(self.span(c[0], value), self.token_name(c[1]), value)

    def require_(self, c: list[Any]) -> t.Require:
        budgets = tuple(self(x) for x in c[1:])
        return t.Require(self.span(c[0], budgets[-1]), budgets)

    def budget(self, c: list[Any]) -> t.Budget:
        quantity, bound = self(c[0]), self(c[2])
        return t.Budget(self.span(quantity, bound), quantity, str(c[1]), bound)

    def element(self, c: list[Any]) -> t.Element:
        value = self(c[1])
        label = self.token_name(c[0]) if c[0] is not None else None
        return t.Element(self.span(label or value, value), label, value)


def first_atom(expr: t.Expr) -> t.Expr:
    """What an expression begins with: `n` of `n 3x3 -> POOL`."""
    while isinstance(expr, t.Seq | t.Sum | t.Product):
        expr = expr.items[0]
    return expr.head if isinstance(expr, t.App) else expr


def takes_stride(name: str) -> bool:
    op = BY_SPELLING.get(name.upper())
    return op is not None and any(argument.form == "stride" for argument in op.arguments)
