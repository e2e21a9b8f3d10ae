"""What graph does the text mean?  Tree → Graph[Draft], front to back, so that every element sees its input.

Shapes are inferred as the graph grows, by the ops' own rules; symbolic ones narrow what the `Prover` knows. An element
that fails has type Unknown and is left out; what depends on it stays silent, so each fault is reported once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from netdsl import tree as t
from netdsl.bind import NOTHING, WORDS, Binder, Bound, Failed, complete
from netdsl.build import Builder, Tensor, given_sizes
from netdsl.diagnostic import Diagnostic, Label, Stop, diagnose
from netdsl.graph import Call, Graph, Repeat, Run, output_of
from netdsl.ops import BY_SPELLING, Add, Concat, Conv, Mean, Op
from netdsl.ops.join import JoinFault
from netdsl.program import BUILTINS, RESERVED, unknown_name
from netdsl.prove import Prover, ShapeFault
from netdsl.repair import padding_for, worked
from netdsl.size import Formula, ceil_div, symbol, symbols, trace_of
from netdsl.source import Origin, Span
from netdsl.types import UNKNOWN, Draft, TensorType
from netdsl.values import (
    FUNCTIONS,
    POISON,
    Builtin,
    Function,
    Held,
    NotANumber,
    Num,
    Overflow,
    Path,
    Poison,
    Primitive,
    Scope,
    Text,
    Thunk,
    Truth,
    Value,
    Word,
    arithmetic,
    call_function,
    free_names,
    kind_of,
    number_of,
    roots,
)  # fmt: skip

MAX_DEPTH = 200
"""How deep blocks may call one another."""
MAX_ELEMENTS = 250_000
"""How many different elements a network may have: what is repeated counts once."""
MAX_UNROLLED = 10_000_000
"""How many elements it may have with repeats counted."""
MAX_STEPS = 100_000
"""How many steps a `for` may take."""
MAX_FAULTS = 50


class Elaborator:
    """The walk over the tree. Mutable: the builder of the current body, the trail of calls, what is known so far."""

    def __init__(self, faults: list[Diagnostic], check_assertions: bool = True) -> None:
        self.faults = faults
        self.check_assertions = check_assertions
        self.prove = Prover()
        self.builder = Builder("net", "net")
        self.trail: list[Span] = []
        self.base = 0
        self.defaults: dict[type[Op], Bound] = {}
        self.symbols: set[str] = set()
        self.bindings: dict[str, int] = {}
        self.in_assertion = False
        self.bodies: dict[object, tuple[Graph[Draft], list[Tensor], dict[str, Num]] | None] = {}
        self.made = 0
        self.free: dict[int, frozenset[str]] = {}

    # --- reporting ---------------------------------------------------------------------------------------------------

    def origin(self, span: Span) -> Origin:
        """From the text of an element out to the call that the current body stands for."""
        return (span, *self.trail[: self.base - 1 if self.base else None : -1])

    def full_origin(self, span: Span) -> Origin:
        return (span, *self.trail[::-1])

    def fail(
        self, code: str, message: str, span: Span, label: str = "", *,
        helps: Iterable[str] = (), notes: Iterable[str] = (), others: Iterable[Label] = (),
    ) -> Diagnostic:  # fmt: skip
        diagnostic = diagnose(code, message, self.full_origin(span), label, others=others, notes=notes, helps=helps)
        if all(d.code != code or d.label != diagnostic.label or d.message != message for d in self.faults):
            self.faults.append(diagnostic)
        if len(self.faults) > MAX_FAULTS:
            raise Stop(
                diagnose("E0403", f"more than {MAX_FAULTS} faults: the rest is not shown", self.full_origin(span))
            )
        return diagnostic

    def failed(self) -> Tensor:
        return Tensor(self.builder, UNKNOWN)

    def shape_fault(self, fault: ShapeFault, span: Span) -> None:
        self.fail(fault.code, fault.message, span, fault.label, notes=fault.notes, helps=fault.helps)

    # --- numbers and other values --------------------------------------------------------------------------------------

    def evaluate(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Value:
        """The value of an expression; a block stays an expression until it is applied."""
        if isinstance(expr, t.Number):
            return Num(expr.value)
        if isinstance(expr, t.Text):
            return Text(expr.value)
        if isinstance(expr, t.Name):
            return self.name_value(expr, scope, x)
        if isinstance(expr, t.Group):
            return self.evaluate(expr.inner, scope, x)
        if isinstance(expr, t.If):
            holds = self.truth(expr.test, scope, x)
            return POISON if holds is None else self.evaluate(expr.then if holds else expr.other, scope, x)
        if isinstance(expr, t.Compare | t.Logic | t.Not):
            holds = self.truth(expr, scope, x)
            return POISON if holds is None else Truth(holds)
        if isinstance(expr, t.Faulty):
            return POISON
        if self.is_number(expr, scope):
            return self.number(expr, scope, x)
        return Path(expr, scope)

    def is_number(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether an expression is arithmetic: decided by its form and by what its names stand for."""
        while True:
            if isinstance(expr, t.Number | t.Negative):
                return True
            if isinstance(expr, t.Group):
                expr = expr.inner
            elif isinstance(expr, t.Sum | t.Product):
                expr = expr.items[0]
            elif isinstance(expr, t.If):
                expr = expr.then
            elif isinstance(expr, t.Call):
                return expr.head.id in FUNCTIONS
            elif isinstance(expr, t.Name):
                found = scope.find(expr.id)
                return isinstance(found[0], Num) if found else expr.id in RESERVED or expr.id in self.symbols
            else:
                return False

    def number(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Num | Poison:
        """The value of arithmetic, exactly."""
        try:
            if isinstance(expr, t.Negative):
                inner = self.operand(expr.inner, scope, x)
                return inner if isinstance(inner, Poison) else arithmetic("*", inner, Num(-1))
            if isinstance(expr, t.Call):
                return self.function_of_numbers(expr, scope, x)
            assert isinstance(expr, t.Sum | t.Product), type(expr)
            result = self.operand(expr.items[0], scope, x)
            for op, item in zip(expr.ops, expr.items[1:]):
                right = self.operand(item, scope, x)
                if isinstance(result, Poison) or isinstance(right, Poison):
                    result = POISON
                    continue
                before = roots(result) | roots(right)
                result = arithmetic(op, result, right)
                self.builder.pin(before - roots(result))
            return result
        except Overflow:
            self.fail("E0102", f"`{_short(expr)}` leaves the range of sizes, ±10^18", expr.span)
        except NotANumber as fault:
            self.fail("E0102", f"`{_short(expr)}` has no value: {fault}", expr.span)
        return POISON

    def operand(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Num | Poison:
        value = self.evaluate(expr, scope, x)
        if isinstance(value, Num | Poison):
            return value
        self.fail(
            "E0210", f"a number is needed here, and `{_short(expr)}` is {kind_of(value)}", expr.span,
            helps=("a repeat has the block first: `(CONV 64) * 2`",) if isinstance(value, Path | Function | Primitive) else (),
        )  # fmt: skip
        return POISON

    def function_of_numbers(self, expr: t.Call, scope: Scope, x: Tensor | None) -> Num | Poison:
        name, wanted = expr.head.id, FUNCTIONS[expr.head.id]
        args = [self.operand(arg, scope, x) for arg in expr.args if isinstance(arg, t.Expr)]
        if len(expr.args) != wanted or len(args) != wanted:
            self.fail("E0203", f"`{name}` takes {_count(wanted, 'number')}, not {len(expr.args)}", expr.span)
            return POISON
        numbers = [arg for arg in args if isinstance(arg, Num)]
        if len(numbers) < wanted:
            return POISON
        result = call_function(name, numbers)
        self.builder.pin(frozenset[str]().union(*map(roots, numbers)) - roots(result))
        return result

    def name_value(self, expr: t.Name, scope: Scope, x: Tensor | None) -> Value:
        name = expr.id
        if self.in_assertion and name in self.symbols and self.builder.home.kind == "net":
            return self.open_size(name)
        if name in RESERVED:
            return self.axis(expr, x)
        found = scope.find(name)
        if found is not None:
            return found[0]
        if name in self.symbols:
            return self.open_size(name)
        if name.upper() in BY_SPELLING:
            return Primitive(BY_SPELLING[name.upper()])
        if name in BUILTINS:
            return Builtin(name)
        if name in WORDS:
            return Word(name)
        later = self.defined_later(name)
        if later is not None:
            self.fail(
                "E0207", f"`{name}` is used before its definition", expr.span, "used here", others=(Label(later, "defined here"),),
                helps=("a network is built front to back: move the definition up",),
            )  # fmt: skip
        else:
            self.fail("E0201", f"unknown name `{name}`", expr.span, helps=unknown_name(name, scope))
        return POISON

    def open_size(self, name: str) -> Num:
        """An open size of an input: what it was given, or a formula."""
        return Num(self.bindings[name]) if name in self.bindings else Num(symbol(name))

    def defined_later(self, name: str) -> Span | None:
        """Where a label that does not exist yet will be defined. Networks know; blocks do not."""
        return None

    def axis(self, expr: t.Name, x: Tensor | None) -> Value:
        if x is None:
            self.fail("E0212", f"`{expr.id}` is a size of the current input, and there is none here", expr.span)
            return POISON
        if not isinstance(x.type, TensorType):
            return POISON
        if expr.id not in x.type.axes:
            self.fail(
                "E0307", f"the input here is {x.type}: it has no {RESERVED[expr.id]}", expr.span, f"input is {x.type}"
            )
            return POISON
        return number_of(x.type.shape[x.type.axes.index(expr.id)])

    def truth(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> bool | None:
        """Whether a condition holds; None where that cannot be said."""
        if isinstance(expr, t.Not):
            inner = self.truth(expr.inner, scope, x)
            return None if inner is None else not inner
        if isinstance(expr, t.Logic):
            for item in expr.items:
                holds = self.truth(item, scope, x)
                if holds is None or holds == (expr.op == "or"):
                    return holds
            return expr.op == "and"
        assert isinstance(expr, t.Compare)
        left, right = self.evaluate(expr.left, scope, x), self.evaluate(expr.right, scope, x)
        if isinstance(left, Poison) or isinstance(right, Poison):
            return None
        if isinstance(left, Num) and isinstance(right, Num):
            self.builder.pin(roots(left) | roots(right))
            return self.compare(expr, left.value, right.value)
        if expr.op in ("==", "!="):
            return (left == right) == (expr.op == "==")
        self.fail("E0210", f"`{expr.op}` compares numbers, not {kind_of(left)} and {kind_of(right)}", expr.span)
        return None

    def compare(self, expr: t.Compare, left: Any, right: Any) -> bool | None:
        if isinstance(left, Formula) or isinstance(right, Formula):
            if expr.op in ("==", "!=") and left == right:
                return expr.op == "=="
            self.fail(
                "E0308",
                f"whether {left} {expr.op} {right} depends on the size of the input",
                expr.span,
                helps=("decide by channels, which are known, or give the input concrete sizes",),
            )
            return None
        holds: bool = {
            "==": left == right, "!=": left != right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right,
        }[expr.op]  # fmt: skip
        return holds

    def own(self, value: Value, expr: t.Tree, name: str = "") -> Value:
        """A number as this body sees it: one from the text around it becomes a parameter of the body."""
        if not isinstance(value, Num) or value.trace is None or self.builder.is_own(value):
            return value
        return self.builder.parameter(name or (expr.id if isinstance(expr, t.Name) else "n"), value)

    # --- applying expressions ------------------------------------------------------------------------------------------

    def run(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        """The output of the block that `expr` is, on `x`."""
        if isinstance(expr, t.App):
            return self.run_app(expr, scope, x)
        if isinstance(expr, t.Seq):
            return self.run_seq(expr, scope, x)
        if isinstance(expr, t.Group):
            return self.run(expr.inner, scope, x)
        if isinstance(expr, t.Name):
            return self.run_name(expr, scope, x)
        if isinstance(expr, t.Call):
            return self.run_call(expr, scope, x)
        if isinstance(expr, t.Assertion):
            return self.run_assertion(expr, scope, x)
        if isinstance(expr, t.Concat):
            return self.join(Concat(), expr.items, expr, scope, x)
        if isinstance(expr, t.If):
            holds = self.truth(expr.test, scope, x)
            return self.failed() if holds is None else self.run(expr.then if holds else expr.other, scope, x)
        if isinstance(expr, t.For):
            return self.run_for(expr, scope, x)
        if isinstance(expr, t.Sum) and not self.is_number(expr, scope):
            if "-" in expr.ops:
                self.fail("E0210", "`-` is arithmetic between numbers; blocks are summed with `+`", expr.span)
                return self.failed()
            return self.join(Add(), expr.items, expr, scope, x)
        if isinstance(expr, t.Product) and not self.is_number(expr, scope):
            return self.run_repeat(expr, scope, x)
        return self.not_a_layer(self.evaluate(expr, scope, x), expr)

    def not_a_layer(self, value: Value, expr: t.Expr) -> Tensor:
        if not isinstance(value, Poison):
            helps = ("a repeat has the block first: `(CONV 64) * 2`",) if isinstance(expr, t.Product) else ()
            self.fail(
                "E0210",
                f"a layer or a block is needed here, and `{_short(expr)}` is {kind_of(value)}",
                expr.span,
                helps=helps,
            )
        return self.failed()

    def run_seq(self, expr: t.Seq, scope: Scope, x: Tensor | None) -> Tensor:
        for i, item in enumerate(expr.items):
            if i and (held := self.held(item, scope)) is not None:
                self.fail(
                    "E0211", f"`{_short(item)}` is a tensor, so the path before it would be lost", item.span,
                    "a label may start a path, not continue it",
                    helps=(f"to add it, write `+ {_short(item)}`; to join it, `| {_short(item)}`",),
                )  # fmt: skip
                x = held
            x = self.run(item, scope, x)
        assert x is not None
        return x

    def held(self, expr: t.Expr, scope: Scope) -> Tensor | None:
        """The tensor that an expression names, if it is a label."""
        while isinstance(expr, t.Group):
            expr = expr.inner
        if isinstance(expr, t.Name) and (found := scope.find(expr.id)) and isinstance(found[0], Held):
            return found[0].tensor
        return None

    def run_name(self, expr: t.Name, scope: Scope, x: Tensor | None) -> Tensor:
        value = self.name_value(expr, scope, x)
        if isinstance(value, Primitive):
            return self.primitive(value.op, expr.id, (), expr, scope, x)
        return self.apply(value, expr, scope, x)

    def apply(self, value: Value, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        """A value that is used as a layer. One that came as a block's argument is spliced in here."""
        if isinstance(value, Held):
            return self.builder.local(value.tensor)
        if isinstance(value, Builtin):
            if value.name == "identity":
                return self.need_input(x, expr)
            self.fail(
                "E0210",
                f"`{value.name}` needs something to match: use it in a sum, `f + match`"
                if value.name == "match"
                else f"`{value.name}` takes blocks: `mean(a, b)`",
                expr.span,
            )
            return self.failed()
        if isinstance(value, Function):
            return self.apply_function(value, expr, self.is_parameter(expr, scope), x)
        if isinstance(value, Path):
            if self.is_parameter(expr, scope) and (function := self.given_function(value, x)) is not None:
                return self.apply_function(function, expr, True, x)
            self.push(expr.span)
            out = self.run(value.expr, value.scope, x)
            self.trail.pop()
            return out
        if isinstance(value, Primitive):
            return self.primitive(value.op, value.op.spellings[0], (), expr, scope, x)
        return self.not_a_layer(value, expr)

    def is_parameter(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether the block that is applied came in as an argument: then its elements join those of the body."""
        head = expr.head if isinstance(expr, t.Call) else expr
        found = scope.find(head.id) if isinstance(head, t.Name) else None
        return found is not None and found[1].kind == "block"

    def need_input(self, x: Tensor | None, expr: t.Expr) -> Tensor:
        if x is not None:
            return x
        self.fail(
            "E0212", "there is no input here", expr.span, "nothing reaches this element",
            helps=("declare one before it: `input 3 x 224 x 224`", "with several inputs, start the path from one of them by its name"),
        )  # fmt: skip
        return self.failed()

    def given_function(self, value: Path, x: Tensor | None) -> Function | None:
        """The block that an argument calls, if it is nothing but a call: `bottleneck(64)`."""
        inner = _ungroup(value.expr)
        if not isinstance(inner, t.Name | t.Call) or self.is_plain(inner, value.scope):
            return None
        return self.function_of(inner, value.scope, x)

    def push(self, span: Span) -> None:
        """Enters a call. A trail that is too long ends the run: the blocks call one another without end."""
        self.trail.append(span)
        if len(self.trail) > MAX_DEPTH:
            raise Stop(
                diagnose(
                    "E0402",
                    f"blocks call one another more than {MAX_DEPTH} deep: `{_short_text(span.text)}` has no end",
                    self.trail_ends(),
                    helps=("a recursion ends by a condition: `if n == 1 then … else …`",),
                )  # fmt: skip
            )

    def trail_ends(self) -> Origin:
        """The innermost call and the outermost: the middle of an endless trail says nothing."""
        outermost = next((span for span in self.trail if span.source.own), self.trail[0])
        return (self.trail[-1], outermost) if outermost is not self.trail[-1] else (outermost,)

    # --- primitives ----------------------------------------------------------------------------------------------------

    def run_app(self, expr: t.App, scope: Scope, x: Tensor | None) -> Tensor:
        if not isinstance(expr.head, t.Name):
            self.fail(
                "E0209",
                f"`{_short(expr.args[0])}` cannot follow a call",
                expr.args[0].span,
                "expected `->` before it",
                helps=("write `->` between elements",),
            )
            return self.failed()
        name = expr.head.id
        if name.upper() in BY_SPELLING:
            return self.primitive(BY_SPELLING[name.upper()], name, expr.args, expr, scope, x)
        value = self.name_value(expr.head, scope, x)
        if isinstance(value, Primitive):
            return self.primitive(value.op, name, expr.args, expr, scope, x)
        if isinstance(value, Function):
            inside = ", ".join(arg.span.text for arg in expr.args)
            self.fail(
                "E0203",
                f"`{name}` is a block, and blocks take their arguments in parentheses",
                expr.span,
                helps=(f"`{name}({inside})`",),
            )
        elif not isinstance(value, Poison):
            helps = ("write `->` between elements",) if isinstance(value, Held | Path | Builtin) else ()
            self.fail(
                "E0209" if helps else "E0210",
                f"`{name}` is {kind_of(value)} and takes no arguments",
                expr.span,
                helps=helps,
            )
        return self.failed()

    def primitive(
        self, op: type[Op], head: str, args: tuple[t.Arg, ...], expr: t.Expr, scope: Scope, x: Tensor | None
    ) -> Tensor:
        """One application of a primitive: the op, and the norm and activation that its flags add."""
        x = self.need_input(x, expr)
        try:
            binder = Binder(op, head.upper(), expr.span, lambda e: self.own(self.evaluate(e, scope, x), e), self.fail)
            bound = binder.bind(args).over(self.defaults.get(op))
            values = complete(op, bound, head.upper(), expr.span, self.fail)
        except Failed:
            return self.failed()
        if x.failed:
            return self.failed()
        x = self.builder.local(x)
        try:
            assert isinstance(x.type, TensorType)
            for made in op.expand(values, x.type):
                x = self.add(made, [x], expr.span)
            for flag in bound.flags:
                if flag.op is not None:
                    x = self.add_default(flag.op, x, expr.span)
        except ShapeFault as fault:
            self.shape_fault(fault, expr.span)
            return self.failed()
        return x

    def add_default(self, op: type[Op], x: Tensor, span: Span) -> Tensor:
        """An op at its defaults, those of the net included."""
        values = complete(op, NOTHING.over(self.defaults.get(op)), op.spellings[0], span, self.fail)
        assert isinstance(x.type, TensorType)
        for made in op.expand(values, x.type):
            x = self.add(made, [x], span)
        return x

    def add(self, op: Op, inputs: list[Tensor], span: Span) -> Tensor:
        """A node, with the type its rule gives. Raises ShapeFault."""
        self.count(span)
        local = [self.builder.local(tensor) for tensor in inputs]
        types = tuple(tensor.type for tensor in local if isinstance(tensor.type, TensorType))
        self.prove.origin = self.full_origin(span)
        out = op.infer(types, self.prove)
        self.limit(out)
        return self.builder.add(op, local, out, self.origin(span))

    def limit(self, type: TensorType) -> None:
        for axis, size in zip(type.axes, type.shape):
            if isinstance(size, int) and size > 10**12:
                raise ShapeFault("E0403", f"{axis} = {size:,} is larger than any tensor", f"{type}")

    def count(self, span: Span) -> None:
        self.made += 1
        if self.made > MAX_ELEMENTS:
            raise Stop(
                diagnose(
                    "E0403",
                    f"the network has more than {MAX_ELEMENTS:,} different elements",
                    self.full_origin(span)[-1:],
                    "the budget ends here",
                )
            )

    # --- joins -----------------------------------------------------------------------------------------------------------

    def join(
        self, op: Add | Mean | Concat, items: tuple[t.Expr, ...], expr: t.Expr, scope: Scope, x: Tensor | None
    ) -> Tensor:
        """Branches on the same input, then the op that joins them. `match` among them takes the others' shape."""
        results: list[Tensor | None] = []
        marks: list[int] = []
        matches = [i for i, item in enumerate(items) if self.is_match(item, scope)]
        for i, item in enumerate(items):
            marks.append(len(self.builder.elements))
            results.append(None if i in matches else self.run(item, scope, x))
        if matches and x is not None:
            shape = next((r for r in results if r is not None), None)
            if shape is None or isinstance(op, Concat):
                self.fail(
                    "E0210", "`match` needs something to match: use it in a sum, `f + match`", items[matches[0]].span
                )
                return self.failed()
            for i in matches:
                results[i] = self.match(x, shape, items[i].span, marks[i])
        tensors = [r for r in results if r is not None and not r.failed]
        if len(tensors) < len(items):
            return self.need_input(x, expr) if x is None else self.failed()
        self.prove.subjects = tuple([_short(item) for item in items])
        try:
            out = self.add(op, tensors, expr.span)
            self.pin_coincidences(tensors, isinstance(op, Concat))
            return out
        except JoinFault as fault:
            self.join_fault(fault, items, tensors)
        except ShapeFault as fault:
            self.shape_fault(fault, expr.span)
        return self.failed()

    def is_match(self, expr: t.Expr, scope: Scope) -> bool:
        while isinstance(expr, t.Group):
            expr = expr.inner
        return isinstance(expr, t.Name) and expr.id == "match"

    def match(self, x: Tensor, target: Tensor, span: Span, mark: int) -> Tensor:
        """`identity` where the shapes agree, else a 1x1 projection with the stride that makes them agree.

        The projection (He et al. 2015, eq. 2, option B) takes the norm and bias that `default CONV` says, and no activation.
        """
        if x.failed or target.failed:
            return self.failed()
        x = self.builder.local(x)
        assert isinstance(x.type, TensorType) and isinstance(target.type, TensorType)
        if x.type == target.type:
            self.pin_coincidences([x, target], False)
            return x
        stride = _projection_stride(x.type, target.type)
        if stride is None:
            self.fail(
                "E0302", "`match` cannot bring the shortcut to the shape of the branch", span, f"shortcut {x.type}, branch {target.type}",
                notes=("a 1x1 projection changes channels, and divides height and width by its stride, rounded up",),
            )  # fmt: skip
            return self.failed()
        before = len(self.builder.elements)
        bound = self.defaults.get(Conv, NOTHING)
        flags = tuple(flag for flag in bound.flags if flag.slot == "norm")
        kept = {name: bound.values[name] for name in ("bias", "init", "bias_init") if name in bound.values}
        given = Bound({**kept, "out_channels": target.type.channels, "kernel": 1, "stride": stride}, {}, flags)
        try:
            for made in Conv.expand(complete(Conv, given, "CONV", span, self.fail), x.type):
                x = self.add(made, [x], span)
            for flag in flags:
                if flag.op is not None:
                    x = self.add_default(flag.op, x, span)
        except ShapeFault as fault:
            self.shape_fault(fault, span)
            return self.failed()
        elements = self.builder.elements  # execution follows the text: a match that is written first runs first
        elements[mark:] = [*elements[before:], *elements[mark:before]]
        return x

    def pin_coincidences(self, tensors: list[Tensor], concat: bool) -> None:
        """Sizes that agree by value but not by formula fix their parameters."""
        first = tensors[0].type
        assert isinstance(first, TensorType)
        for other in tensors[1:]:
            assert isinstance(other.type, TensorType)
            for a, b in list(zip(first.shape, other.type.shape))[1 if concat else 0 :]:
                if trace_of(a) != trace_of(b):
                    self.builder.pin(symbols(trace_of(a)) | symbols(trace_of(b)))

    def join_fault(self, fault: JoinFault, items: tuple[t.Expr, ...], tensors: list[Tensor]) -> None:
        i, j = fault.pair
        a, b = tensors[i].type, tensors[j].type
        assert isinstance(a, TensorType) and isinstance(b, TensorType)
        notes = [*worked(tensors[j], a), *fault.notes]
        self.fail(
            fault.code, fault.message, items[j].span, str(b),
            others=(Label(items[i].span, str(a)),), notes=notes, helps=[*padding_for(tensors[j], a), *self.sum_help(fault, a, b)],
        )  # fmt: skip

    def sum_help(self, fault: JoinFault, a: TensorType, b: TensorType) -> list[str]:
        if fault.code == "E0302" and a.rank == b.rank and _projection_stride(a, b) is not None:
            return ["`match` as the shortcut projects where shapes differ: `f + match`"]
        return []

    # --- assertions --------------------------------------------------------------------------------------------------------

    def run_assertion(self, expr: t.Assertion, scope: Scope, x: Tensor | None) -> Tensor:
        out = self.run(expr.inner, scope, x)
        if not self.check_assertions or not isinstance(out.type, TensorType):
            return out
        sizes: list[Num | None] = []
        for size in expr.shape.sizes:
            if isinstance(size, t.Anything):
                sizes.append(None)
                continue
            self.in_assertion = True
            value = self.evaluate(size, scope, x)
            self.in_assertion = False
            if isinstance(value, Poison):
                return out
            if not isinstance(value, Num):
                self.fail("E0202", f"a shape is made of numbers, and `{_short(size)}` is {kind_of(value)}", size.span)
                return out
            sizes.append(value)
        self.prove.origin = self.full_origin(expr.shape.span)
        try:
            self.compare_shape(out, sizes, expr)
        except ShapeFault as fault:
            self.fail(
                fault.code,
                fault.message,
                expr.shape.span,
                "asserted here",
                others=(Label(expr.inner.span, str(out.type)),),
                notes=fault.notes,
                helps=fault.helps,
            )
        return out

    def compare_shape(self, out: Tensor, sizes: list[Num | None], expr: t.Assertion) -> None:
        actual = out.type
        assert isinstance(actual, TensorType)
        claimed = " x ".join("?" if size is None else str(size) for size in sizes)

        def fault(limit: str) -> ShapeFault:
            wanted = TensorType(
                tuple(s if n is None or not isinstance(n.value, int) else n.value for n, s in zip(sizes, actual.shape))
            )
            helps = padding_for(out, wanted) if len(sizes) == actual.rank else []
            notes = [*worked(out, wanted), *filter(None, [limit])]
            return ShapeFault(
                "E0305",
                f"the shape is {actual}, not {claimed}",
                notes=tuple(notes),
                helps=(*helps, f"if the shape is right, write `: {actual}`"),
            )

        if len(sizes) != actual.rank:
            raise fault(f"{_count(len(sizes), 'size')} asserted, and the tensor has {actual.rank}")
        for axis, size, number in zip(actual.axes, actual.shape, sizes):
            if number is None:
                continue
            if isinstance(number.value, Fraction):
                raise fault(f"{axis} = {number} is not whole")
            self.prove.equal(
                size, number.value, f"`{expr.shape.span.text}` says {axis} = {number}, and it is {size}", fault
            )

    # --- blocks --------------------------------------------------------------------------------------------------------------

    def run_call(self, expr: t.Call, scope: Scope, x: Tensor | None) -> Tensor:
        name = expr.head.id
        if name == "mean":
            items = tuple(arg for arg in expr.args if isinstance(arg, t.Expr))
            if len(items) < 2 or len(items) < len(expr.args):
                self.fail("E0203", "`mean` takes two or more blocks: `mean(a, b)`", expr.span)
                return self.failed()
            return self.join(Mean(), items, expr, scope, x)
        if name.upper() in BY_SPELLING:
            inside = " ".join(arg.span.text for arg in expr.args)
            self.fail(
                "E0202",
                f"{name.upper()} is a primitive, and primitives take bare arguments",
                expr.span,
                helps=(f"`{name.upper()} {inside}`".replace(" `", "`"),),
            )
            return self.failed()
        function = self.function_of(expr, scope, x)
        if function is None:
            return self.failed()
        return self.apply_function(function, expr, self.is_parameter(expr, scope), x)

    def function_of(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Function | None:
        """The block that a name or a call stands for, with the arguments that it was given so far."""
        while isinstance(expr, t.Group):
            expr = expr.inner
        if isinstance(expr, t.Name):
            value = self.name_value(expr, scope, x)
        elif isinstance(expr, t.Call):
            inner = self.function_of(expr.head, scope, x)
            return None if inner is None else self.bind_call(inner, expr, scope)
        else:
            value = Path(expr, scope)
        if isinstance(value, Path) and isinstance(_ungroup(value.expr), t.Name | t.Call) and value.expr is not expr:
            return self.function_of(_ungroup(value.expr), value.scope, x)
        if isinstance(value, Function):
            return value
        if not isinstance(value, Poison):
            self.fail(
                "E0203", f"`{_short(expr)}` is {kind_of(value)} without parameters, so it takes no arguments", expr.span,
                helps=("give it as the call of a block: `f = bottleneck(64)` takes `f(stride=2)`",) if isinstance(value, Path) else (),
            )  # fmt: skip
        return None

    def bind_call(self, function: Function, expr: t.Call, scope: Scope) -> Function | None:
        """The block with the call's arguments added; a named one replaces what was given before."""
        params = [param.name for param in function.block.params]
        bound = dict(function.bound)
        named = {arg.name for arg in expr.args if isinstance(arg, t.Keyword)}
        free = [name for name in params if name not in bound and name not in named]
        fresh: set[str] = set()
        name, ok = function.block.name.id, True
        for arg in expr.args:
            if isinstance(arg, t.Keyword):
                if arg.name not in params:
                    self.fail(
                        "E0204",
                        f"`{name}` has no parameter `{arg.name}`",
                        arg.span,
                        helps=(f"it has {_list(params)}",) if params else ("it has none",),
                    )
                    ok = False
                elif arg.name in fresh:
                    self.fail("E0204", f"`{arg.name}` is given twice", arg.span)
                    ok = False
                fresh.add(arg.name)
                bound[arg.name] = Thunk(arg.value, scope)
            elif isinstance(arg, t.Expr):
                if not free:
                    self.fail(
                        "E0203",
                        f"`{name}` takes {_count(len(params), 'argument')}, and `{_short(arg)}` is one more",
                        arg.span,
                        helps=(f"its parameters are {_list(params)}",) if params else (),
                    )
                    return None
                bound[free.pop(0)] = Thunk(arg, scope)
        return function.replace(bound=tuple(bound.items())) if ok else None

    def apply_function(self, function: Function, expr: t.Expr, splice: bool, x: Tensor | None) -> Tensor:
        x = self.need_input(x, expr)
        if splice:
            return self.splice(function, expr, x)
        made = self.call(function, expr, x)
        if made is None:
            return self.failed()
        call, captured, type = made
        return self.builder.add(call, [self.builder.local(x), *captured], type, self.origin(expr.span))

    def arguments(self, function: Function, x: Tensor, expr: t.Expr) -> dict[str, Value] | None:
        """What was given, evaluated where the block is applied; None where something failed."""
        values: dict[str, Value] = {}
        for name, given in function.bound:
            value = self.evaluate(given.expr, given.scope, x) if isinstance(given, Thunk) else given
            if isinstance(value, Poison):
                return None
            values[name] = value
        missing = [p.name for p in function.block.params if p.default is None and p.name not in values]
        if missing:
            self.fail(
                "E0203",
                f"`{function.block.name.id}` needs {_list(missing)}",
                expr.span,
                helps=(f"`{_signature(function.block)}`",),
            )
            return None
        return values

    def enter_scope(self, function: Function, values: dict[str, Value], x: Tensor) -> Scope | None:
        """The names of the block's body: its arguments, then its defaults, which see the input and what stands before."""
        scope = Scope("block", function.scope)
        for param in function.block.params:
            if param.name in values:
                scope.names[param.name] = values[param.name]
                continue
            assert param.default is not None
            value = self.evaluate(param.default, scope, x)
            if isinstance(value, Poison):
                return None
            scope.names[param.name] = value
        return scope

    def splice(self, function: Function, expr: t.Expr, x: Tensor) -> Tensor:
        """The block's elements become elements of the body that received the block as an argument."""
        values = self.arguments(function, x, expr)
        if values is None:
            return self.failed()
        for name, value in values.items():
            if isinstance(value, Num) and not self.builder.is_own(value):
                values[name] = self.builder.parameter(name, value)
        self.push(expr.span)
        scope = self.enter_scope(function, values, x)
        out = self.failed() if scope is None else self.run(function.block.body, scope, x)
        self.trail.pop()
        return out

    def call(self, function: Function, expr: t.Expr, x: Tensor) -> tuple[Call[Draft], list[Tensor], Draft] | None:
        """The body of the block at these arguments and this input, built once; None where it fails."""
        values = self.arguments(function, x, expr)
        if values is None:
            return None
        key = (
            id(function.block),
            tuple((name, self.key(value, False)) for name, value in values.items()),
            x.type,
            id(self.defaults),
        )
        self.push(expr.span)
        if key not in self.bodies:
            self.bodies[key] = None  # a body that fails is reported once
            self.bodies[key] = self.build_body(function, values, x)
        self.trail.pop()
        made = self.bodies[key]
        if made is None:
            return None
        body, captured, given = made
        numbers = {name: self.own_given(name, values, given) for name in given}
        call = Call(body, given_sizes(numbers))
        return call, [self.builder.local(tensor) for tensor in captured], output_of(call, x.type)

    def own_given(self, name: str, values: dict[str, Value], given: dict[str, Num]) -> Num:
        value = values.get(name)
        number = value if isinstance(value, Num) else given[name]
        if number.trace is None or self.builder.is_own(number):
            return number
        return self.builder.parameter(name, number)

    def build_body(
        self, function: Function, values: dict[str, Value], x: Tensor
    ) -> tuple[Graph[Draft], list[Tensor], dict[str, Num]] | None:
        outer, base = self.builder, self.base
        builder = Builder("block", function.block.name.id, outer)
        self.builder, self.base = builder, len(self.trail)
        try:
            inner = builder.add_input(builder.enter(x.type), x.origin, "x")
            for name, value in values.items():
                if isinstance(value, Num):
                    values = {**values, name: builder.parameter(name, value)}
            scope = self.enter_scope(function, values, inner)
            out = self.failed() if scope is None else self.run(function.block.body, scope, inner)
            if out.failed:
                return None
            body = builder.finish([("out", builder.local(out), False)], title_of(function, values))
            return body, list(builder.captured), builder.given
        finally:
            self.builder, self.base = outer, base

    # --- telling equal arguments apart -----------------------------------------------------------------------------------

    def key(self, value: Value, traced: bool) -> object:
        """Equal keys mean equal bodies. `traced`: whether the number's formula counts, too."""
        if isinstance(value, Num):
            return ("number", value.value, value.trace if traced else None)
        if isinstance(value, Held):
            return ("tensor", id(value.tensor))
        if isinstance(value, Path | Thunk):
            return ("path", id(value.expr), self.scope_key(value.expr, value.scope))
        if isinstance(value, Function):
            return ("block", id(value.block), tuple((name, self.key(given, True)) for name, given in value.bound))
        return value

    def scope_key(self, expr: t.Expr, scope: Scope) -> object:
        if id(expr) not in self.free:
            self.free[id(expr)] = frozenset(free_names(expr))
        found = [(name, scope.find(name)) for name in sorted(self.free[id(expr)])]
        return tuple(
            (name, self.key(hit[0], True)) for name, hit in found if hit and hit[1].kind not in ("file", "prelude")
        )

    # --- repeats -----------------------------------------------------------------------------------------------------------

    def run_repeat(self, expr: t.Product, scope: Scope, x: Tensor | None) -> Tensor:
        """`f * n`: n copies in sequence, each with weights of its own."""
        if "/" in expr.ops:
            self.fail("E0210", "`/` divides numbers; a stride is written `CONV 64 /2`", expr.span)
            return self.failed()
        n = Num(1)
        for item in expr.items[1:]:
            value = self.evaluate(item, scope, x)
            if isinstance(value, Poison):
                return self.failed()
            if not isinstance(value, Num) or not isinstance(value.value, int):
                whole = isinstance(value, Num) and not isinstance(value.value, Formula)
                code = "E0308" if isinstance(value, Num) and not whole else "E0202"
                shown = f"{value}" if isinstance(value, Num) else kind_of(value)
                self.fail(code, f"a repeat needs a whole number, and `{_short(item)}` is {shown}", item.span)
                return self.failed()
            if value.value < 1:
                self.fail(
                    "E0401",
                    f"a repeat of {value}: at least 1 is needed",
                    item.span,
                    f"`{_short(item)}` is {value}",
                    helps=("leave the element out where it should not be: `if n > 0 then … else identity`",),
                )
                return self.failed()
            self.builder.pin(roots(value))
            n = arithmetic("*", n, value)
        times = n.value
        assert isinstance(times, int)
        if times > MAX_UNROLLED:
            raise Stop(
                diagnose("E0403", f"a repeat of {times:,} is more than {MAX_UNROLLED:,}", self.full_origin(expr.span))
            )
        return self.repeat(
            lambda i, at: self.step(expr.items[0], scope, at), times, expr, self.need_input(x, expr), True
        )

    def run_for(self, expr: t.For, scope: Scope, x: Tensor | None) -> Tensor:
        """`for i in a..b do f`: f at i = a, then at a + 1, … then at b."""
        bounds = []
        for item in (expr.first, expr.last):
            value = self.operand(item, scope, x)
            if isinstance(value, Poison):
                return self.failed()
            if not isinstance(value.value, int):
                self.fail("E0202", f"`for` counts in whole numbers, and `{_short(item)}` is {value}", item.span)
                return self.failed()
            self.builder.pin(roots(value))
            bounds.append(value.value)
        first, last = bounds
        if last < first:
            self.fail("E0401", f"`for` from {first} to {last} has no step", expr.first.span.to(expr.last.span))
            return self.failed()
        if last - first >= MAX_STEPS:
            raise Stop(
                diagnose(
                    "E0403",
                    f"a `for` of {last - first + 1:,} steps is more than {MAX_STEPS:,}",
                    self.full_origin(expr.span),
                )
            )

        def step(i: int, at: Tensor) -> tuple[Call[Draft], list[Tensor], Draft] | None:
            return self.step(expr.body, Scope("path", scope, {expr.var: Num(first + i)}), at)

        return self.repeat(step, last - first + 1, expr, self.need_input(x, expr), False)

    def repeat(
        self,
        step: Callable[[int, Tensor], tuple[Call[Draft], list[Tensor], Draft] | None],
        times: int,
        expr: t.Expr,
        x: Tensor,
        alike: bool,
    ) -> Tensor:
        """The steps in sequence. Once a step of equal ones leaves the type as it is, so do all that follow."""
        if x.failed:
            return self.failed()
        running = self.builder.local(x)
        inputs = [running]
        runs: list[Run[Draft]] = []
        i = 0
        while i < times:
            made = step(i, running)
            if made is None:
                return self.failed()
            call, captured, type = made
            for tensor in captured:
                if tensor not in inputs:
                    inputs.append(tensor)
            settled = alike and _same_traced(type, running.type)
            count = times - i if settled else 1
            if runs and runs[-1].call == call:
                count += runs.pop().count
            runs.append(Run(call, count, tuple(inputs.index(tensor) for tensor in captured)))
            running = Tensor(self.builder, type, self.origin(expr.span))
            i = times if settled else i + 1
            self.count(expr.span)
        out = running.type
        return self.builder.add(Repeat(tuple(runs)), inputs, out, self.origin(expr.span))

    def step(self, expr: t.Expr, scope: Scope, x: Tensor) -> tuple[Call[Draft], list[Tensor], Draft] | None:
        """One copy: the body of the block that is called, or a path of its own."""
        inner = _ungroup(expr)
        if isinstance(inner, t.Name | t.Call) and not (isinstance(inner, t.Call) and inner.head.id == "mean"):
            function = self.given_function(Path(inner, scope), x)
            if function is not None:
                return self.call(function, inner, x)
        return self.path(expr, scope, x)

    def is_plain(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether following names leads to a primitive or a tensor, not to a block."""
        for _ in range(MAX_DEPTH):
            expr = _ungroup(expr)
            head = expr.head if isinstance(expr, t.Call) else expr
            found = scope.find(head.id) if isinstance(head, t.Name) else None
            if found is None or isinstance(found[0], Primitive | Held | Builtin | Num):
                return True
            if isinstance(found[0], Function):
                return False
            if not isinstance(found[0], Path):
                return True
            expr, scope = found[0].expr, found[0].scope
            if not isinstance(_ungroup(expr), t.Name | t.Call):
                return True
        return True

    def path(self, expr: t.Expr, scope: Scope, x: Tensor) -> tuple[Call[Draft], list[Tensor], Draft] | None:
        """An unnamed body: part of the block around it, so its numbers are that block's."""
        assert isinstance(x.type, TensorType)
        key = (id(expr), self.scope_key(expr, scope), x.type, tuple(map(trace_of, x.type.shape)), id(self.defaults))
        kept = self.builder.home.paths
        if key not in kept:
            outer = self.builder
            self.builder = Builder("path", outer.name, outer)
            try:
                inner = self.builder.add_input(x.type, x.origin, "x")
                out = self.run(expr, scope, inner)
                if out.failed:
                    return None
                kept[key] = self.builder.finish([("out", self.builder.local(out), False)]), list(self.builder.captured)
            finally:
                self.builder = outer
        body, captured = kept[key]
        return Call(body), [self.builder.local(tensor) for tensor in captured], body.type_of(body.outputs[0].value)


# --- small helpers -------------------------------------------------------------------------------------------------------


def _same_traced(a: Draft, b: Draft) -> bool:
    return (
        a == b
        and isinstance(a, TensorType)
        and isinstance(b, TensorType)
        and list(map(trace_of, a.shape)) == list(map(trace_of, b.shape))
    )


def _projection_stride(x: TensorType, target: TensorType) -> tuple[int, ...] | int | None:
    """The smallest stride on each axis with ceil(W/S) = W', or None."""
    if x.rank != target.rank or x.rank < 2:
        return None
    strides = []
    for size, wanted in zip(x.spatial, target.spatial):
        top = 64 if isinstance(size, Formula) else min(size, 1024)
        stride = next((s for s in range(1, top + 1) if ceil_div(size, s) == wanted), None)
        if stride is None:
            return None
        strides.append(stride)
    return strides[0] if len(set(strides)) == 1 else tuple(strides)


def title_of(function: Function, values: dict[str, Value]) -> str:
    """`residual(bottleneck)`: the block and the blocks it was given, for names of classes."""
    inner = [name for value in values.values() if (name := _block_name(value))]
    name = function.block.name.id
    return f"{name}({', '.join(inner)})" if inner else name


def _block_name(value: Value) -> str:
    """The block that a value stands for, through names that were passed on."""
    while isinstance(value, Path):
        expr = _ungroup(value.expr)
        head = expr.head if isinstance(expr, t.Call) else expr
        found = value.scope.find(head.id) if isinstance(head, t.Name) else None
        if found is None:
            return head.id.lower() if isinstance(head, t.Name) else ""
        value = found[0]
    if isinstance(value, Primitive):
        return value.op.spellings[0].lower()
    return value.block.name.id if isinstance(value, Function) else ""


def _ungroup(expr: t.Expr) -> t.Expr:
    while isinstance(expr, t.Group):
        expr = expr.inner
    return expr


def _short(tree: t.Tree) -> str:
    return _short_text(tree.span.text)


def _short_text(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _list(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"


def _signature(block: t.Block) -> str:
    return f"{block.name.id}({', '.join(param.span.text for param in block.params)})"


def unlimited_recursion() -> Callable[[], None]:
    """Python's own limit counts frames, ours counts calls of blocks: room for ours. Returns what restores it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 40_000))
    return lambda: sys.setrecursionlimit(before)
