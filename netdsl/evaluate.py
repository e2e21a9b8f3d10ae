"""What is a number, a condition, a name worth?  The values of expressions, where blocks are applied.

Arithmetic is exact. What fails is reported once, has the value POISON, and stays silent from then on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netdsl import tree as t
from netdsl.bind import WORDS, Bound
from netdsl.build import Builder, Tensor
from netdsl.diagnostic import Diagnostic, Help, Label, Stop, diagnose
from netdsl.graph import Graph
from netdsl.ops import BY_CALL, BY_SPELLING, Join, Op
from netdsl.program import BUILTINS, RESERVED, unknown_name
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Formula, symbol
from netdsl.source import Origin, Span, place_of
from netdsl.types import UNKNOWN, Draft, TensorType
from netdsl.units import UNITS, exactly
from netdsl.values import (
    FUNCTIONS,
    POISON,
    Builtin,
    Function,
    NotANumber,
    Num,
    Overflow,
    Path,
    Poison,
    Primitive,
    Scope,
    Text,
    Truth,
    Value,
    Word,
    arithmetic,
    call_function,
    free_names,
    kind_of,
    number_of,
    roots,
)

MAX_FAULTS = 50


class Evaluator:
    """Evaluates expressions. Mutable: the builder of the current body, the trail of calls, what is known so far."""

    builders: type[Builder] = Builder

    def __init__(self, faults: list[Diagnostic], check_assertions: bool = True) -> None:
        self.faults = faults
        self.check_assertions = check_assertions
        self.prove = Prover()
        self.builder = self.builders("net", "net")
        self.trail: list[Span] = []
        self.base = 0
        self.defaults: dict[type[Op], Bound] = {}
        self.defaults_key: object = ()
        self.applied: dict[object, tuple[tuple[Op, TensorType], ...]] = {}
        """What arguments made of known sizes, under the defaults of now: the lines of a large network are alike."""
        self.symbols: set[str] = set()
        self.bindings: dict[str, int] = {}
        self.in_assertion = False
        self.bodies: dict[object, tuple[Graph[Draft], list[Tensor], dict[str, Num]] | None] = {}
        self.made = self.built = self.calls = self.spliced = 0
        self.free: dict[int, frozenset[str]] = {}
        self.steps: list[tuple[Span, int, str]] = []
        """The repeats around what is being built: the text, which step, and what stands for it."""

    def origin(self, span: Span) -> Origin:
        """From the text of an element out to the call that the current body stands for."""
        return (span, *self.trail[: self.base - 1 if self.base else None : -1])

    def full_origin(self, span: Span) -> Origin:
        return (span, *self.trail[::-1])

    def fail(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        *,
        helps: Iterable[Help] = (),
        notes: Iterable[str] = (),
        others: Iterable[Label] = (),
    ) -> Diagnostic:
        notes = (*notes, *(self.which_step() if code.startswith("E03") else ()))
        diagnostic = diagnose(code, message, self.full_origin(span), label, others=others, notes=notes, helps=helps)
        if all(d.code != code or d.label != diagnostic.label or d.message != message for d in self.faults):
            self.faults.append(diagnostic)
        if len(self.faults) > MAX_FAULTS:
            raise Stop(
                diagnose("E0403", f"more than {MAX_FAULTS} faults: the rest is not shown", self.full_origin(span))
            )
        return diagnostic

    def which_step(self) -> list[str]:
        """In which step of a repeat something is wrong, where the steps before it were right; the innermost first."""
        return [
            f"this is step {i + 1} of `{short_text(span.text)}`{what}: before it, all fits"
            for span, i, what in reversed(self.steps)
            if i
        ][:2]

    def failed(self) -> Tensor:
        return Tensor(self.builder, UNKNOWN)

    def shape_fault(self, fault: ShapeFault, span: Span, x: Tensor | None = None) -> None:
        """Reports a broken rule at `span`; with `x`, its input, also where that comes from."""
        others = self.comes_from(x, span) if x is not None and fault.code.startswith("E03") else ()
        self.fail(fault.code, fault.message, span, fault.label, others=others, notes=fault.notes, helps=fault.helps)

    def comes_from(self, x: Tensor, span: Span) -> tuple[Label, ...]:
        """What gave a tensor its shape, where that stands in the same text, before `span`."""
        place = place_of(x.origin)
        if place.source is not span.source or place.end > span.start or not place.source.own:
            return ()
        return (Label(place, "comes in here" if place.text.endswith(str(x.type)) else str(x.type)),)

    def evaluate(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Value:
        """The value of an expression; a block stays an expression until it is applied."""
        if isinstance(expr, t.Number):
            return Num(expr.value)
        if isinstance(expr, t.Amount):
            return Num(exactly(expr.value * UNITS[expr.unit].factor))
        if isinstance(expr, t.Text):
            return Text(expr.value)
        if isinstance(expr, t.Name):
            return self.name_value(expr, scope, x)
        if isinstance(expr, t.Group):
            return self.evaluate(expr.inner, scope, x)
        if isinstance(expr, t.If):
            if not self.is_number(expr, scope) and not free_names(expr.test).isdisjoint(RESERVED):
                return Path(expr, scope)  # a block, and which one it is depends on the input that it finds
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
            if isinstance(expr, t.Number | t.Amount | t.Negative):
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
                if self.is_built_in(item, scope) and (fault := self.given_instead(result, expr.items[0])):
                    self.fail("E0210", fault, expr.items[0].span)
                    return POISON
                right = self.operand(item, scope, x, expr)
                if isinstance(result, Poison) or isinstance(right, Poison):
                    result = POISON
                    continue
                before = roots(result) | roots(right)
                result = arithmetic(op, result, right)
                self.builder.pin(before - roots(result))
            return result
        except Overflow:
            self.fail("E0102", f"`{short(expr)}` leaves the range of sizes, ±10^18", expr.span)
        except NotANumber as fault:
            self.fail("E0102", f"`{short(expr)}` has no value: {fault}", expr.span)
        return POISON

    def operand(self, expr: t.Expr, scope: Scope, x: Tensor | None, whole: t.Expr | None = None) -> Num | Poison:
        value = self.evaluate(expr, scope, x)
        if isinstance(value, Num | Poison):
            return value
        from netdsl.edits import block_first

        self.fail(
            "E0210",
            f"a number is needed here, and `{short(expr)}` is {kind_of(value)}",
            expr.span,
            helps=(block_first(whole or expr),) if isinstance(value, Path | Function | Primitive) else (),
        )
        return POISON

    def is_built_in(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether an expression is `identity` or `match`, by that name or by that of a parameter."""
        if not isinstance(expr, t.Name):
            return False
        found = scope.find(expr.id)
        return isinstance(found[0], Builtin) if found else expr.id in BUILTINS

    def given_instead(self, value: Value, expr: t.Expr) -> str:
        """What to say where the body of a block finds a number under a parameter's name, and needs a block."""
        block = self.builder.home
        if not isinstance(value, Num) or not isinstance(expr, t.Name) or block.kind != "block":
            return ""
        return f"`{expr.id}` of `{block.name}` is the number {value}, and a block is needed"

    def function_of_numbers(self, expr: t.Call, scope: Scope, x: Tensor | None) -> Num | Poison:
        name, wanted = expr.head.id, FUNCTIONS[expr.head.id]
        args = [self.operand(arg, scope, x) for arg in expr.args if isinstance(arg, t.Expr)]
        if len(expr.args) != wanted or len(args) != wanted:
            self.fail("E0203", f"`{name}` takes {counted(wanted, 'number')}, not {len(expr.args)}", expr.span)
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
        if name in self.symbols and scope.sees_net:
            return self.open_size(name)
        if name.upper() in BY_SPELLING:
            return Primitive(BY_SPELLING[name.upper()])
        if name in BUILTINS or name in BY_CALL:
            return Builtin(name)
        if name in WORDS:
            return Word(name)
        later = self.defined_later(name)
        if later is not None:
            self.fail(
                "E0207",
                f"`{name}` is used before its definition",
                expr.span,
                "used here",
                others=(Label(later, "defined here"),),
                helps=("a network is built front to back: move the definition up",),
            )
        else:
            self.fail("E0201", f"unknown name `{name}`", expr.span, helps=unknown_name(expr, scope))
        return POISON

    def open_size(self, name: str) -> Num:
        """An open size of an input: what it was given, or a formula."""
        return Num(self.bindings[name]) if name in self.bindings else Num(symbol(name))

    def join_called(self, expr: t.Tree, scope: Scope) -> type[Join] | None:
        """The join that a call stands for: `mean(a, b)`. A block of that name comes before it."""
        if not isinstance(expr, t.Call) or scope.find(expr.head.id) is not None:
            return None
        return BY_CALL.get(expr.head.id)

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
            holds = self.compare(expr, left.value, right.value)
            if holds and expr.op == "==" and isinstance(left.value, int) and isinstance(right.value, int):
                self.builder.agree(left.trace or left.value, right.trace or right.value)
            else:
                self.builder.pin(roots(left) | roots(right))
            return holds
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
            "==": left == right,
            "!=": left != right,
            "<": left < right,
            "<=": left <= right,
            ">": left > right,
            ">=": left >= right,
        }[expr.op]
        return holds

    def own(self, value: Value, expr: t.Tree, name: str = "") -> Value:
        """A number as this body sees it: one from the text around it becomes a parameter of the body."""
        if not isinstance(value, Num) or value.trace is None or self.builder.is_own(value):
            return value
        return self.builder.parameter(name or (expr.id if isinstance(expr, t.Name) else "n"), value)


def short(tree: t.Tree) -> str:
    """The text of a piece of syntax on one line, cut where it is long."""
    return short_text(tree.span.text)


def short_text(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def counted(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def ungroup(expr: t.Expr) -> t.Expr:
    while isinstance(expr, t.Group):
        expr = expr.inner
    return expr
