"""How is a block applied?  Calls, whose bodies are built once; repeats; blocks spliced into blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from netdsl import tree as t
from netdsl.build import Tensor, given_sizes
from netdsl.diagnostic import Help, Repair, Stop, diagnose, nearest
from netdsl.evaluate import Evaluator, counted, short, short_text, ungroup
from netdsl.graph import Call, Graph, in_callers_terms, output_of
from netdsl.ops import Op
from netdsl.program import MATCHES
from netdsl.size import substitute, symbols, trace_of
from netdsl.source import Origin, Span, named
from netdsl.types import Draft, TensorType
from netdsl.values import (
    Builtin,
    Function,
    Held,
    Num,
    Path,
    Poison,
    Primitive,
    Scope,
    Thunk,
    Value,
    free_names,
    kind_of,
    roots,
)

MAX_DEPTH = 200
"""How deep blocks may call one another."""
MAX_ELEMENTS = 250_000
"""How many different elements a network may have: what is repeated counts once."""
MAX_BODIES = 5_000
"""How many different bodies: calls of blocks with different arguments or inputs, and steps that differ."""
MAX_UNROLLED = 10_000_000
"""How many elements it may have with repeats counted."""
MAX_CALLS = 50_000
"""How many times blocks may be applied, those passed into others included."""
MAX_SPLICED = 10_000
"""How many times those passed into others may be, whose elements are made anew each time."""
MAX_STEPS = 10_000
"""How many steps a `for` may take."""

Made = tuple[Call[Draft], list[Tensor], Draft]
"""A call, the tensors from outside that its body takes, and the type that comes out."""
Runs = Callable[[t.Expr, Scope, Tensor | None], Tensor]
"""What applies an expression, as `run` does."""


UNDER_WAY: Any = "under way"
"""Stands for a body that is being built: whoever meets it calls itself without end."""


class Applier(Evaluator):
    """Applies blocks. `run` applies an expression; what expressions there are is the Elaborator's matter."""

    def run(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        """The output of the block that `expr` is, on `x`."""
        raise NotImplementedError

    def primitive(
        self, op: type[Op], head: str, args: tuple[t.Arg, ...], expr: t.Expr, scope: Scope, x: Tensor | None
    ) -> Tensor:
        """One application of a primitive."""
        raise NotImplementedError

    def not_a_layer(self, value: Value, expr: t.Expr) -> Tensor:
        if not isinstance(value, Poison):
            from netdsl.edits import block_first

            helps = (block_first(expr),) if isinstance(expr, t.Product) else ()
            self.fail(
                "E0210",
                self.given_instead(value, expr)
                or f"a layer or a block is needed here, and `{short(expr)}` is {kind_of(value)}",
                expr.span,
                helps=helps,
            )
        return self.failed()

    def apply(self, value: Value, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        """A value that is used as a layer. One that came as a block's argument is spliced in here."""
        if isinstance(value, Held):
            return self.builder.local(value.tensor)
        if isinstance(value, Builtin):
            if value.name == "identity":
                return self.need_input(x, expr)
            self.fail(
                "E0210",
                f"`{value.name}` needs something to match: use it in a sum, `f + {value.name}`"
                if value.name in MATCHES
                else f"`{value.name}` takes blocks: `{value.name}(a, b)`",
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
            "E0212",
            "there is no input here",
            expr.span,
            "nothing reaches this element",
            helps=("declare one before it: `input 3 x 224 x 224`", *self.from_an_input(expr)),
        )
        return self.failed()

    def from_an_input(self, expr: t.Expr) -> tuple[Help, ...]:
        """How a path gets an input, where it could be one of several."""
        return ("with several inputs, start the path from one by its name",)

    def given_function(self, value: Path, x: Tensor | None) -> Function | None:
        """The block that an argument calls, if it is nothing but a call: `bottleneck(64)`."""
        inner = ungroup(value.expr)
        if not isinstance(inner, t.Name | t.Call) or self.is_plain(inner, value.scope):
            return None
        return self.function_of(inner, value.scope, x)

    def is_plain(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether following names leads to a primitive or a tensor, not to a block."""
        for _ in range(MAX_DEPTH):
            expr = ungroup(expr)
            head = expr.head if isinstance(expr, t.Call) else expr
            found = scope.find(head.id) if isinstance(head, t.Name) else None
            if found is None or isinstance(found[0], Primitive | Held | Builtin | Num):
                return True
            if isinstance(found[0], Function):
                return False
            if not isinstance(found[0], Path):
                return True
            expr, scope = found[0].expr, found[0].scope
            if not isinstance(ungroup(expr), t.Name | t.Call):
                return True
        return True

    def push(self, span: Span) -> None:
        """Enters a call. A trail that is too long ends the run: the blocks call one another without end."""
        self.trail.append(span)
        self.calls += 1
        if self.calls > MAX_CALLS:
            raise Stop(
                diagnose("E0403", f"more than {MAX_CALLS:,} calls of blocks", self.trail_ends(), "the budget ends here")
            )
        if len(self.trail) > MAX_DEPTH:
            self.no_end(span, f"blocks call one another more than {MAX_DEPTH} deep: ")

    def no_end(self, span: Span, why: str = "the block calls itself as it was called: ") -> NoReturn:
        """Ends the run where a recursion does not end."""
        raise Stop(
            diagnose(
                "E0402",
                f"{why}`{short_text(span.text)}` has no end",
                self.trail_ends(),
                helps=("a recursion ends by a condition: `if n == 1 then … else …`",),
            )
        )

    def trail_ends(self) -> Origin:
        """The innermost call and the outermost: the middle of an endless trail says nothing."""
        outermost = next((span for span in self.trail if span.source.own), self.trail[0])
        return (self.trail[-1], outermost) if outermost is not self.trail[-1] else (outermost,)

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
        if isinstance(value, Path) and isinstance(ungroup(value.expr), t.Name | t.Call) and value.expr is not expr:
            return self.function_of(ungroup(value.expr), value.scope, x)
        if isinstance(value, Function):
            return value
        if not isinstance(value, Poison):
            self.fail(
                "E0203",
                f"`{short(expr)}` is {kind_of(value)} without parameters, so it takes no arguments",
                expr.span,
                helps=("give it as a call: with `f = bottleneck(64)`, `f(stride=2)` works",)
                if isinstance(value, Path)
                else (),
            )
        return None

    def bind_call(self, function: Function, expr: t.Call, scope: Scope) -> Function | None:
        """The block with the call's arguments added; a named one replaces what was given before."""
        params = [param.name for param in function.block.params]
        bound = dict(function.bound)
        by_name = {arg.name for arg in expr.args if isinstance(arg, t.Keyword)}
        free = [name for name in params if name not in bound and name not in by_name]
        fresh: set[str] = set()
        name, ok = function.block.name.id, True
        for arg in expr.args:
            if isinstance(arg, t.Keyword):
                if arg.name not in params:
                    close = nearest(arg.name, params)
                    from netdsl.edits import meant

                    self.fail(
                        "E0204",
                        f"`{name}` has no parameter `{arg.name}`",
                        arg.span,
                        helps=(meant(close, named(arg.span)) if close else f"it has {_list(params) or 'none'}",),
                    )
                    ok = False
                elif arg.name in fresh:
                    first = next(a for a in expr.args if isinstance(a, t.Keyword) and a.name == arg.name)
                    from netdsl.edits import keep_one

                    self.fail("E0204", f"`{arg.name}` is given twice", arg.span, helps=keep_one(first.span, arg.span))
                    ok = False
                fresh.add(arg.name)
                bound[arg.name] = Thunk(arg.value, scope)
            elif isinstance(arg, t.Expr):
                if not free:
                    self.fail(
                        "E0203",
                        f"`{name}` takes {counted(len(params), 'argument')}, and `{short(arg)}` is one more"
                        if params
                        else f"`{name}` takes no arguments",
                        arg.span,
                        helps=(f"its parameters are {_list(params)}",)
                        if params
                        else (Repair.of(f"write `{name}`", (expr.span, name)),),
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
        """The names of the block's body: its arguments, then its defaults, which see the input and one another."""
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

    def splice(self, function: Function, expr: t.Expr, x: Tensor, end: Runs | None = None) -> Tensor:
        """The block's elements become elements of the body that received the block as an argument; `end` runs them."""
        values = self.arguments(function, x, expr)
        if values is None:
            return self.failed()
        for name, value in values.items():
            if isinstance(value, Num) and not self.builder.is_own(value):
                values[name] = self.builder.parameter(name, value)
        self.push(expr.span)
        self.spliced += 1
        if self.spliced > MAX_SPLICED:
            what = f"more than {MAX_SPLICED:,} applications of blocks that were passed to blocks"
            raise Stop(diagnose("E0403", what, self.trail_ends(), "the budget ends here"))
        scope = self.enter_scope(function, values, x)
        out = self.failed() if scope is None else (end or self.run)(function.block.body, scope, x)
        self.trail.pop()
        return out

    def call(self, function: Function, expr: t.Expr, x: Tensor) -> Made | None:
        """The body of the block at these arguments and this input, built once; None where it fails."""
        values = self.arguments(function, x, expr)
        if values is None:
            return None
        key = self.body_key(function, values, x)
        self.push(expr.span)
        if key not in self.bodies:
            self.new_body(expr.span)
            self.bodies[key] = UNDER_WAY
            self.bodies[key] = self.build_body(function, values, x)
        if self.bodies[key] is UNDER_WAY:
            self.no_end(expr.span)
        self.trail.pop()
        made = self.bodies[key]
        if made is None:
            return None
        body, captured, given = made
        numbers = {name: self.own_given(name, values, given) for name in given}
        for name in body.pinned:  # what the body's structure depends on, the caller's depends on, too
            self.builder.pin(roots(numbers[name]) if name in numbers else self.channel_roots(x))
        call = Call(body, given_sizes(numbers))
        env = in_callers_terms(call, x.type) if body.agreed else {}
        for a, b in body.agreed:
            self.builder.agree(substitute(a, env), substitute(b, env))
        return call, [self.builder.local(tensor) for tensor in captured], output_of(call, x.type)

    def body_key(self, function: Function, values: dict[str, Value], x: Tensor) -> object:
        """Equal keys mean equal bodies of a block."""
        given = tuple((name, self.key(value, False)) for name, value in values.items())
        return id(function.block), given, x.type, self.defaults_key, self.check_assertions

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

    def new_body(self, span: Span) -> None:
        """Counts a body that is about to be built."""
        self.built += 1
        if self.built > MAX_BODIES:
            what = f"more than {MAX_BODIES:,} different bodies: each call with other arguments or another input is one"
            raise Stop(diagnose("E0403", what, self.trail_ends() if self.trail else (span,), "the budget ends here"))

    def channel_roots(self, x: Tensor) -> frozenset[str]:
        return symbols(trace_of(x.type.channels)) if isinstance(x.type, TensorType) else frozenset()

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
        builder = self.builders("block", function.block.name.id, outer)
        builder.names.taken.update(param.name for param in function.block.params)
        self.builder, self.base = builder, len(self.trail)
        try:
            inner = builder.add_input(builder.enter(x.type), x.origin, "x")
            values = {
                name: builder.own_parameter(name, value) if isinstance(value, Num) else value
                for name, value in values.items()
            }
            scope = self.enter_scope(function, values, inner)
            out = self.failed() if scope is None else self.run(function.block.body, scope, inner)
            if out.failed:
                return None
            body = builder.finish([("out", builder.local(out), False)], title_of(function, values))
            return body, list(builder.captured), builder.given
        finally:
            self.builder, self.base = outer, base

    def key(self, value: Value | Thunk, traced: bool) -> object:
        """Equal keys mean equal bodies. `traced`: whether the number's formula counts, too."""
        if isinstance(value, Num):
            return ("number", value.value, value.trace if traced else None)
        if isinstance(value, Held):
            return ("tensor", id(value.tensor))
        if isinstance(value, Path | Thunk):
            return self.path_key(ungroup(value.expr), value.scope)
        if isinstance(value, Function):
            return ("block", id(value.block), tuple((name, self.key(given, True)) for name, given in value.bound))
        return value

    def path_key(self, expr: t.Expr, scope: Scope) -> object:
        """A call such as `basic(16)` is what it says, wherever it stands; any other path is itself alone."""
        if not _is_bare_call(expr):
            return ("path", id(expr), self.scope_key(expr, scope))
        names = [(name, scope.find(name)) for name in sorted(free_names(expr))]
        return ("call", t.content(expr), tuple((name, self.key(hit[0], True)) for name, hit in names if hit))

    def scope_key(self, expr: t.Expr, scope: Scope) -> object:
        if id(expr) not in self.free:
            self.free[id(expr)] = frozenset(free_names(expr))
        found = [(name, scope.find(name)) for name in sorted(self.free[id(expr)])]
        return tuple(
            (name, self.key(hit[0], True)) for name, hit in found if hit and hit[1].kind not in ("file", "prelude")
        )


def _is_bare_call(expr: t.Expr) -> bool:
    """Whether an expression is the call of a block with numbers and names alone."""
    if not isinstance(expr, t.Call | t.Name):
        return False
    stack: list[t.Tree] = t.children(expr)
    while stack:
        tree = stack.pop()
        if not isinstance(tree, t.Name | t.Number | t.Keyword | t.Group | t.Sum | t.Product | t.Negative | t.Call):
            return False
        stack.extend(t.children(tree))
    return True


def title_of(function: Function, values: dict[str, Value]) -> str:
    """`residual(bottleneck)`: the block and the blocks it was given, for names of classes."""
    inner = [name for value in values.values() if (name := _block_name(value))]
    name = function.block.name.id
    return f"{name}({', '.join(inner)})" if inner else name


def _block_name(value: Value) -> str:
    """The block that a value stands for, through names that were passed on."""
    while isinstance(value, Path):
        expr = ungroup(value.expr)
        head = expr.head if isinstance(expr, t.Call) else expr
        found = value.scope.find(head.id) if isinstance(head, t.Name) else None
        if found is None:
            return head.id.lower() if isinstance(head, t.Name) else ""
        value = found[0]
    if isinstance(value, Primitive):
        return value.op.spellings[0].lower()
    return value.block.name.id if isinstance(value, Function) else ""


def _list(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return "".join(quoted) if len(quoted) < 2 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"


def _signature(block: t.Block) -> str:
    return f"{block.name.id}({', '.join(param.span.text for param in block.params)})"
