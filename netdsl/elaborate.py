"""What graph does the text mean?  Tree → Graph[Draft], front to back, so that every element sees its input.

Shapes are inferred as the graph grows, by the ops' own rules; symbolic ones narrow what the `Prover` knows. An element
that fails has type Unknown and is left out; what depends on it stays silent, so each fault is reported once.
"""

from __future__ import annotations

from fractions import Fraction

from netdsl import tree as t
from netdsl.apply import Runs
from netdsl.bind import NOTHING, Binder, Failed, complete, says_all
from netdsl.build import Tensor
from netdsl.diagnostic import Label, Repair
from netdsl.evaluate import counted, short
from netdsl.joins import Joiner, matching
from netdsl.ops import BY_SPELLING, Add, Concat, Op
from netdsl.prove import ShapeFault
from netdsl.repair.formula import worked
from netdsl.size import complexity
from netdsl.source import Span
from netdsl.types import TensorType
from netdsl.values import Builtin, Function, Held, Num, Path, Poison, Primitive, Scope, kind_of

MAX_FORMULA = 200
"""How many terms the formula of an open size may have, those inside floors included. U-Net's have two."""


MAX_EXTENT = 10**12
"""Of one axis of a tensor."""


class Elaborator(Joiner):
    """Applies expressions: sequences, primitives, joins, assertions."""

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
            return self.join(Concat, expr.items, expr, scope, x)
        if isinstance(expr, t.If):
            holds = self.truth(expr.test, scope, x)
            return self.failed() if holds is None else self.run(expr.then if holds else expr.other, scope, x)
        if isinstance(expr, t.For):
            return self.run_for(expr, scope, x)
        if isinstance(expr, t.Sum) and not self.is_number(expr, scope):
            if "-" in expr.ops:
                negative = self.is_number(expr.items[1], scope)
                from netdsl.edits import in_parentheses

                helps = (in_parentheses(expr),) if negative else ()
                self.fail(
                    "E0210", "`-` is arithmetic between numbers; blocks are summed with `+`", expr.span, helps=helps
                )
                return self.failed()
            return self.join(Add, expr.items, expr, scope, x)
        if isinstance(expr, t.Product) and not self.is_number(expr, scope):
            return self.run_repeat(expr, scope, x)
        return self.not_a_layer(self.evaluate(expr, scope, x), expr)

    def run_seq(self, expr: t.Seq, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        last = len(expr.items) - 1
        if word := matching(expr.items[0], scope):
            from netdsl.edits import sum_first

            self.fail(
                "E0210",
                f"`{word}` starts a path here, and stands in no sum",
                expr.items[0].span,
                helps=(sum_first(expr, word, short(expr.items[1])),),
            )
            return self.failed()
        for i, item in enumerate(expr.items):
            if i and (held := self.held(item, scope)) is not None:
                from netdsl.edits import joined_with

                self.fail(
                    "E0211",
                    f"`{short(item)}` is a tensor, so the path before it would be lost",
                    item.span,
                    "a label may start a path, not continue it",
                    helps=joined_with(expr.items[0].span, expr.items[i - 1].span, item.span),
                )
                x = held
            x = end(item, scope, x) if end is not None and i == last else self.run(item, scope, x)
        assert x is not None
        return x

    def held(self, expr: t.Expr, scope: Scope) -> Tensor | None:
        """The tensor with which an expression starts, if that is a label: `a`, `(a -> RELU)`."""
        while isinstance(expr, t.Group | t.Seq):
            expr = expr.inner if isinstance(expr, t.Group) else expr.items[0]
        if isinstance(expr, t.Name) and (found := scope.find(expr.id)) and isinstance(found[0], Held):
            return found[0].tensor
        return None

    def run_name(self, expr: t.Name, scope: Scope, x: Tensor | None) -> Tensor:
        value = self.name_value(expr, scope, x)
        if isinstance(value, Primitive) and scope.find(expr.id) is None:
            return self.primitive(value.op, expr.id, (), expr, scope, x)
        return self.apply(value, expr, scope, x)

    def run_app(self, expr: t.App, scope: Scope, x: Tensor | None) -> Tensor:
        if not isinstance(expr.head, t.Name):
            from netdsl.edits import arrow_before

            self.fail(
                "E0209",
                f"`{short(expr.args[0])}` cannot follow a call",
                expr.args[0].span,
                "expected `->` before it",
                helps=(arrow_before(expr.args[0].span),),
            )
            return self.failed()
        name = expr.head.id
        if name.upper() in BY_SPELLING:
            return self.primitive(BY_SPELLING[name.upper()], name, expr.args, expr, scope, x)
        value = self.name_value(expr.head, scope, x)
        if isinstance(value, Primitive):
            return self.primitive(value.op, value.op.spellings[0], expr.args, expr, scope, x)
        if isinstance(value, Function):
            inside = ", ".join(arg.span.text for arg in expr.args)
            self.fail(
                "E0203",
                f"`{name}` is a block, and blocks take their arguments in parentheses",
                expr.span,
                helps=(Repair.of(f"`{name}({inside})`", (expr.span, f"{name}({inside})")),),
            )
        elif not isinstance(value, Poison):
            from netdsl.edits import arrow_before

            helps = (arrow_before(expr.args[0].span),) if isinstance(value, Held | Path | Builtin) else ()
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
        key = same = None
        if isinstance(x.type, TensorType) and all(size.__class__ is int for size in x.type.shape):
            key = (op, expr.span.source.text[args[0].span.start : args[-1].span.end] if args else "", x.type.shape)
            same = self.applied.get(key)
        if same is not None:
            x = self.builder.local(x)
            for made, type in same:
                self.count(expr.span)
                x = self.builder.add(made, [x], type, self.origin(expr.span))
            return x
        try:
            binder = Binder(
                op, head.upper(), expr.span, scope, lambda e: self.own(self.evaluate(e, scope, x), e), self.fail
            )
            bound = binder.bind(args).over(self.defaults.get(op), op)
            self.builder.pin(binder.rounded)
            values = complete(op, bound, head.upper(), expr.span, self.fail)
        except Failed:
            return self.failed()
        if x.failed:
            return self.failed()
        before = x = self.builder.local(x)
        self.pin_geometry(op, values)
        try:
            assert isinstance(x.type, TensorType)
            for made in op.expand(values, x.type):
                x = self.add(made, [x], expr.span)
            for flag in bound.flags:
                if flag.op is not None:
                    x = self.add_default(flag.op, x, expr.span)
        except ShapeFault as fault:
            self.shape_fault(fault, expr.span, before)
            return self.failed()
        if key is not None and says_all(op, args):
            self.applied[key] = steps_between(before, x)
        return x

    def add_default(self, op: type[Op], x: Tensor, span: Span) -> Tensor:
        """An op at its defaults, those of the net included."""
        values = complete(op, NOTHING.over(self.defaults.get(op), op), op.spellings[0], span, self.fail)
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
        """Refuses sizes that no tensor has. Raises ShapeFault."""
        for i, size in enumerate(type.shape):
            if isinstance(size, int):
                if size > MAX_EXTENT:
                    raise ShapeFault("E0403", f"{type.axes[i]} = {size:,} is larger than any tensor", f"{type}")
            elif complexity(size) > MAX_FORMULA:
                message = f"the formula of {type.axes[i]} has more than {MAX_FORMULA} terms"
                raise ShapeFault("E0403", message, helps=("give the input concrete sizes: `input 3 x 224 x 224`",))

    def run_assertion(self, expr: t.Assertion, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        out = (end or self.run)(expr.inner, scope, x)
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
                self.fail("E0202", f"a shape is made of numbers, and `{short(size)}` is {kind_of(value)}", size.span)
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
            notes = [*worked(out, wanted), *filter(None, [limit])]
            return ShapeFault(
                "E0305",
                f"the shape is {actual}, not {claimed}",
                notes=tuple(notes),
                helps=(f"if the shape is right, write `: {actual}`",),
            )

        if len(sizes) != actual.rank:
            raise fault(f"{counted(len(sizes), 'size')} asserted, and the tensor has {actual.rank}")
        for axis, size, number in zip(actual.axes, actual.shape, sizes):
            if number is None:
                continue
            if isinstance(number.value, Fraction):
                raise fault(f"{axis} = {number} is not whole")
            self.prove.equal(
                size, number.value, f"`{expr.shape.span.text}` says {axis} = {number}, and it is {size}", fault
            )

    def run_call(self, expr: t.Call, scope: Scope, x: Tensor | None) -> Tensor:
        name = expr.head.id
        join = self.join_called(expr, scope)
        if join is not None:
            return self.run_join(join, expr, scope, x)
        if name.upper() in BY_SPELLING:
            message = f"{name.upper()} is a primitive, and primitives take bare arguments"
            bare = _bare(expr, BY_SPELLING[name.upper()])
            self.fail("E0202", message, expr.span, helps=(Repair.of(f"`{bare}`", (expr.span, bare)),))
            return self.failed()
        function = self.function_of(expr, scope, x)
        if function is None:
            return self.failed()
        return self.apply_function(function, expr, self.is_parameter(expr, scope), x)


def steps_between(before: Tensor, after: Tensor) -> tuple[tuple[Op, TensorType], ...]:
    """The primitives that lead from one tensor to another in a chain, each with the type that it gives."""
    steps: list[tuple[Op, TensorType]] = []
    while after is not before:
        assert after.element is not None
        assert isinstance(after.element.op, Op)
        assert isinstance(after.type, TensorType)
        steps.append((after.element.op, after.type))
        (after,) = after.element.inputs
    return tuple(reversed(steps))


def _bare(expr: t.Call, op: type[Op]) -> str:
    """`CONV(64, 3)` as netdsl writes it: `CONV 64 3x3`. What the op does not count is a kernel, then a stride."""
    counts = sum(argument.form == "positional" for argument in op.arguments)
    forms = ["{0}"] * counts + ["{0}x{0}", "/{0}"] * any(argument.form == "kernel" for argument in op.arguments)
    words = [expr.head.id.upper()]
    for arg in expr.args:
        number = isinstance(arg, t.Number | t.Name)
        words.append(forms.pop(0).format(arg.span.text) if number and forms else arg.span.text)
    return " ".join(words)
