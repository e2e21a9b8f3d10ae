"""What is repeated?  `f * n` and `for`: steps in sequence, equal ones built once and counted."""

from __future__ import annotations

from collections.abc import Callable

from netdsl import tree as t
from netdsl.apply import MAX_STEPS, MAX_UNROLLED, Applier, Made, Runs
from netdsl.build import Tensor
from netdsl.diagnostic import Stop, diagnose
from netdsl.evaluate import short, ungroup
from netdsl.graph import Call, Repeat, Run
from netdsl.size import Formula, trace_of
from netdsl.types import Draft, TensorType
from netdsl.values import Num, Overflow, Path, Poison, Scope, Word, arithmetic, kind_of, roots


class Repeater(Applier):
    """Applies a block several times in sequence."""

    def run_repeat(self, expr: t.Product, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        """`f * n`: n copies in sequence, each with weights of its own; `end` runs the last one, by itself."""
        if "/" in expr.ops:
            from netdsl.edits import strided

            self.fail("E0210", "`/` divides numbers; a stride is written `CONV 64 /2`", expr.span, helps=strided(expr))
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
                block = not isinstance(value, Num | Word)
                from netdsl.edits import multiplied, rounded

                helps = multiplied(expr) if block else (rounded(item.span) if whole else ())
                message = f"a repeat needs a whole number, and `{short(item)}` is {shown}"
                self.fail(code, message, item.span, helps=helps)
                return self.failed()
            if value.value < 1:
                self.fail(
                    "E0401",
                    f"a repeat of {value}: at least 1 is needed",
                    item.span,
                    f"`{short(item)}` is {value}",
                    helps=("leave the element out where it should not be: `if n > 0 then … else identity`",),
                )
                return self.failed()
            self.builder.pin(roots(value))
            try:
                n = arithmetic("*", n, value)
            except Overflow:
                self.fail("E0102", f"`{short(expr)}`: so many copies leave the range of sizes, ±10^18", item.span)
                return self.failed()
        times = n.value
        assert isinstance(times, int)
        if times > MAX_UNROLLED:
            raise Stop(
                diagnose("E0403", f"a repeat of {times:,} is more than {MAX_UNROLLED:,}", self.full_origin(expr.span))
            )
        x = self.need_input(x, expr)
        times -= end is not None
        if times:
            x = self.repeat(lambda i, at: self.step(expr.items[0], scope, at), times, expr, x, True)
        return end(expr.items[0], scope, x) if end is not None else x

    def run_for(self, expr: t.For, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        """`for i in a..b do f`: f at i = a, then at a + 1, … then at b; `end` runs the last one, by itself."""
        bounds = []
        for item in (expr.first, expr.last):
            value = self.operand(item, scope, x)
            if isinstance(value, Poison):
                return self.failed()
            if not isinstance(value.value, int):
                self.fail("E0202", f"`for` counts in whole numbers, and `{short(item)}` is {value}", item.span)
                return self.failed()
            self.builder.pin(roots(value))
            bounds.append(value.value)
        first, last = bounds
        if last < first:
            leave_out = "leave it out where there is nothing to do: `if n > 0 then (for i in 1..n do …) else identity`"
            count_down = f"it counts up: `{last}..{first}`, and down with `{first + last} - i` in its body"
            self.fail(
                "E0401",
                f"`for` from {first} to {last} has no step",
                expr.first.span.to(expr.last.span),
                helps=(leave_out if last == first - 1 else count_down,),
            )
            return self.failed()
        if last - first >= MAX_STEPS:
            raise Stop(
                diagnose(
                    "E0403",
                    f"a `for` of {last - first + 1:,} steps is more than {MAX_STEPS:,}",
                    self.full_origin(expr.span),
                )
            )

        def inside(i: int) -> Scope:
            return Scope("path", scope, {expr.var: Num(i)})

        def step(i: int, at: Tensor) -> Made | None:
            return self.step(expr.body, inside(first + i), at)

        x = self.need_input(x, expr)
        times = last - first + (end is None)
        if times:
            x = self.repeat(step, times, expr, x, False)
        return end(expr.body, inside(last), x) if end is not None else x

    def repeat(
        self,
        step: Callable[[int, Tensor], Made | None],
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
        where: dict[Tensor, int] = {}  # the running tensor may be captured, too: it stays apart
        runs: list[Run[Draft]] = []
        i = 0
        while i < times:
            self.steps.append((expr.span, i, ""))
            made = step(i, running)
            self.steps.pop()
            if made is None:
                return self.failed()
            call, captured, type = made
            for tensor in captured:
                if tensor not in where:
                    where[tensor] = len(inputs)
                    inputs.append(tensor)
            settled = alike and self.settled(type, running.type)
            count = times - i if settled else 1
            if runs and runs[-1].call == call:
                count += runs.pop().count
            runs.append(Run(call, count, tuple(where[tensor] for tensor in captured)))
            running = Tensor(self.builder, type, self.origin(expr.span))
            i = times if settled else i + 1
            self.count(expr.span)
        out = running.type
        return self.builder.add(Repeat(tuple(runs)), inputs, out, self.origin(expr.span))

    def settled(self, after: Draft, before: Draft) -> bool:
        """Whether a step left the type as it was, and how its sizes were computed, too."""
        if after != before or not isinstance(after, TensorType) or not isinstance(before, TensorType):
            return False
        return list(map(trace_of, after.shape)) == list(map(trace_of, before.shape))

    def step(self, expr: t.Expr, scope: Scope, x: Tensor) -> Made | None:
        """One copy: the body of the block that is called, or a path of its own."""
        inner = ungroup(expr)
        if isinstance(inner, t.Name | t.Call) and self.join_called(inner, scope) is None:
            function = self.given_function(Path(inner, scope), x)
            if function is not None:
                return self.call(function, inner, x)
        return self.path(expr, scope, x)

    def path(self, expr: t.Expr, scope: Scope, x: Tensor) -> Made | None:
        """An unnamed body: part of the block around it, so its numbers are that block's."""
        assert isinstance(x.type, TensorType)
        key = (id(expr), self.scope_key(expr, scope), x.type, tuple(map(trace_of, x.type.shape)), self.defaults_key)
        kept = self.builder.home.paths
        if key not in kept:
            self.new_body(expr.span)
            outer = self.builder
            self.builder = self.builders("path", outer.name, outer)
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
