"""Where does each size come from?  The network elaborated once more, its numbers and windows as unknowns.

Every whole number of the user's file becomes a `Traced` one, whose trace is a symbol of its own; elaboration carries
the traces along, as it does for the parameters of blocks. What leaves an application of a primitive carries one more
symbol for each axis, worth nothing: what would have to be added here. So a size somewhere is a formula that names
all that it depends on:

    W  =  floor((W0 + d1 - 11)/4) + 1 + d2        W0: the number in `input`; d1, d2: two applications on the way

`solve.py` asks which value of one of them gives the size that is wanted.
"""

from __future__ import annotations

from typing import Any

from netdsl import tree as t
from netdsl.bind import Bound
from netdsl.build import Builder, Tensor
from netdsl.diagnostic import Diagnostic, Stop
from netdsl.network import Network
from netdsl.ops import Concat, Join, Op
from netdsl.ops.join import JoinFault
from netdsl.ops.window import Window, count
from netdsl.options import Options
from netdsl.program import Program
from netdsl.prove import ShapeFault
from netdsl.record import Record
from netdsl.recursion import deep_recursion
from netdsl.repair.literals import Literal, literals_of
from netdsl.repair.verify import lines_of
from netdsl.size import Formula, Size, Traced, complexity, symbol, trace_of
from netdsl.source import Span
from netdsl.types import Draft, TensorType, Unknown
from netdsl.values import Function, Num, Scope, Value

MAX_TERMS = 40
"""How many terms a trace may have: beyond that it starts anew, and knows only of what is near."""
MAX_MADE = 2_000
"""Elements after which nothing more is observed: trying a change of such a network takes too long."""
AS_EXTENT = ("extent", "pad", "sizes")


class Application(Record):
    """A primitive on a tensor: what it was given, and what came out (None where its rule was broken)."""

    name: str
    """Of its symbols: `@7.1` is what would have to be added to axis 1 of what the seventh gives."""
    op: type[Op]
    expr: t.Expr
    args: tuple[t.Arg, ...]
    given: dict[str, Any]
    """The attributes, with their traces."""
    x: TensorType
    out: TensorType | None


class Meeting(Record):
    """Branches that meet in a join, and do not fit."""

    kind: type[Join]
    items: tuple[t.Expr, ...]
    types: tuple[TensorType, ...]


class Claim(Record):
    """An assertion that does not hold: what is there, and what is said (None for `?`)."""

    expr: t.Assertion
    type: TensorType
    sizes: tuple[int | None, ...]


Situation = Application | Meeting | Claim


class Observed(Record):
    """What one walk over the network has shown."""

    situations: dict[object, Situation]
    """By `key_of` their faults."""
    literals: dict[str, Literal]
    applications: dict[str, Application]
    program: Program
    cost: int
    """Elements and lines: what one more check takes."""
    unseen: tuple[Span, ...]
    """What stands behind a fault: nothing was said of it, for nothing was known of what comes in."""
    unmet: frozenset[tuple[str, int]]
    """Where branches begin, by file, that were not compared as one of them has a fault."""


def key_of(fault: Diagnostic) -> object:
    span = fault.label.span
    return fault.code, fault.message, span.source.name, span.start, span.end


def observe(program: Program, net: str, options: Options) -> Observed | None:
    """The network walked over with its numbers traced; None where it is too large to try changes."""
    watcher = Watcher(program, options)
    with deep_recursion():
        try:
            watcher.walk(net)
        except TooLarge:
            return None
        except Stop:
            pass
    literals = {literal.name: literal for literal in watcher.literals.values()}
    applications = {a.name: a for a in watcher.applications}
    cost = watcher.made + lines_of(program.source)
    seen = tuple(watcher.unseen), frozenset(watcher.unmet)
    return Observed(watcher.situations, literals, applications, program, cost, *seen)


class TooLarge(Exception):
    """Trying changes of this network would take too long."""


class Open(Builder):
    """A builder for whom all numbers have one meaning everywhere: that of the user's file."""

    def enter(self, type: Any) -> Any:
        return type

    def local(self, tensor: Tensor) -> Tensor:
        if tensor.builder is self or tensor.failed:
            return tensor
        if tensor not in self.captured:
            assert self.parent is not None, "a tensor of another network"
            outer = self.parent.local(tensor)
            self.captured[tensor] = self.add_input(tensor.type, outer.origin, outer.label)
        return self.captured[tensor]

    def parameter(self, name: str, number: Num) -> Num:
        return number

    def own_parameter(self, name: str, number: Num) -> Num:
        return number

    def is_own(self, number: Num) -> bool:
        return True

    def pin(self, names: frozenset[str]) -> None:
        pass

    def agree(self, a: Size, b: Size) -> None:
        pass


class Forgetful(dict[Any, Any]):
    """Keeps nothing: each application is looked at by itself."""

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


class Watcher(Network):
    """The walk, which takes notes. Mutable, as the walk is."""

    builders = Open

    def __init__(self, program: Program, options: Options) -> None:
        super().__init__(program, [], options, True)
        self.own_source = program.source
        self.applied = Forgetful()
        self.literals = literals_of(program)
        self.applications: list[Application] = []
        self.situations: dict[object, Situation] = {}
        self.now: Situation | None = None
        self.given: dict[str, Any] = {}
        self.unseen: list[Span] = []
        self.unmet: set[tuple[str, int]] = set()

    def walk(self, name: str) -> None:
        """As `build`, without an end: a graph is not needed."""
        definition = self.program.nets[name]
        self.builder.name = name
        for line in self.plan(definition, {}, []):
            self.check_assertions = line.asserts
            self.line(line.statement, line.scope)

    def count(self, span: Span) -> None:
        super().count(span)
        if self.made > MAX_MADE:
            raise TooLarge

    def run(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        out = super().run(expr, scope, x)
        if x is not None and x.failed:
            self.unseen.append(expr.span)
        elif out.failed and isinstance(expr, t.Assertion):
            self.unseen.append(expr.shape.span)
        elif out.failed and isinstance(expr, t.Sum | t.Concat | t.Call):
            items = expr.args if isinstance(expr, t.Call) else expr.items
            self.unmet |= {(item.span.source.name, item.span.start) for item in items}
        return out

    # --- numbers

    def evaluate(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Value:
        if isinstance(expr, t.Number) and expr.span.source is self.own_source and not self.in_assertion:
            literal = self.literals.get(expr.span.start)
            if literal is not None:
                return Num(literal.value, symbol(literal.name))
        return super().evaluate(expr, scope, x)

    def fixed(self, bound: Bound) -> Bound:
        return bound

    def default(self, statement: t.Default, scope: Scope) -> None:
        super().default(statement, scope)
        self.applied = Forgetful()

    def key(self, value: Any, traced: bool) -> object:
        return super().key(value, True)

    def body_key(self, function: Function, values: dict[str, Value], x: Tensor) -> object:
        shape = x.type.shape if isinstance(x.type, TensorType) else ()
        return super().body_key(function, values, x), tuple(map(trace_of, shape))

    # --- applications

    def pin_geometry(self, op: type[Op], values: dict[str, object]) -> None:
        self.given = dict(values)
        for argument in op.arguments:
            if not argument.scales:  # what a window does to a size is said by the symbols of its application
                values[argument.name] = plain(values[argument.name])

    def primitive(
        self, op: type[Op], head: str, args: tuple[t.Arg, ...], expr: t.Expr, scope: Scope, x: Tensor | None
    ) -> Tensor:
        before, self.now = self.now, None
        type = x.type if x is not None else None
        self.given = {}
        name = f"@{len(self.applications)}"
        if isinstance(type, TensorType):
            self.now = Application(name, op, expr, args, {}, type, None)
        out = super().primitive(op, head, args, expr, scope, x)
        self.now = before
        if out.failed or not isinstance(type, TensorType) or not isinstance(out.type, TensorType):
            return out
        own = expr.span.source is self.own_source
        if any(a.kind in AS_EXTENT for a in op.arguments) and (own or any(map(traced, self.given.values()))):
            shape = [_marked(size, f"{name}.{i}") if i else size for i, size in enumerate(out.type.shape)]
            self.applications.append(Application(name, op, expr, args, self.given, type, out.type))
            out.type = TensorType(tuple(shape))
        return out

    def run_repeat(self, expr: t.Product, scope: Scope, x: Tensor | None, end: Any = None) -> Tensor:
        """One copy more changes a size by as much as each of those that are there, where all do alike."""
        before = x.type if x is not None else None
        out = super().run_repeat(expr, scope, x, end)
        if len(expr.items) != 2 or not isinstance(out.type, TensorType) or not isinstance(before, TensorType):
            return out
        n = self.evaluate(expr.items[1], scope, x)
        if not isinstance(n, Num) or not isinstance(n.value, int) or n.trace is None or before.rank != out.type.rank:
            return out
        more, shape = n.trace - n.value, []
        for old, new in zip(before.shape, out.type.shape):
            if isinstance(old, int) and isinstance(new, int) and (new - old) % n.value == 0 and new != old:
                trace = trace_of(new) + more * int((int(new) - int(old)) // n.value)
                new = Traced(int(new), trace) if isinstance(trace, Formula) else new
            shape.append(new)
        out.type = TensorType(tuple(shape))
        return out

    def settled(self, after: Draft, before: Draft) -> bool:
        return after == before and not isinstance(after, Unknown)

    def add(self, op: Op, inputs: list[Tensor], span: Span) -> Tensor:
        """A node. The formula of a window is made in one step here, for it has many terms."""
        x = self.builder.local(inputs[0])
        type = x.type
        if not isinstance(op, Window) or not isinstance(type, TensorType):
            return super().add(op, inputs, span)
        x.type = TensorType((type.channels, *type.plain().spatial))
        try:
            out = super().add(op, [x], span)
        finally:
            x.type = type
        assert isinstance(out.type, TensorType)
        shape = [out.type.channels]
        for i, (old, new) in enumerate(zip(type.spatial, out.type.spatial)):
            trace = count(trace_of(old), op.reach(i), op.padding[i], op.stride[i], op.rounding)
            shape.append(Traced(new, trace) if isinstance(new, int) and isinstance(trace, Formula) else new)
        out.type = TensorType(tuple(shape))
        return out

    # --- faults

    def fail(self, code: str, message: str, span: Span, label: str = "", **more: Any) -> Diagnostic:
        fault = super().fail(code, message, span, label, **more)
        if self.now is not None:
            now = self.now.replace(given=self.given) if isinstance(self.now, Application) else self.now
            self.situations.setdefault(key_of(fault), now)
        return fault

    def join_fault(
        self, kind: type[Join], fault: JoinFault, items: tuple[t.Expr, ...], tensors: list[Tensor], x: Tensor | None
    ) -> None:
        types = tuple(tensor.type for tensor in tensors if isinstance(tensor.type, TensorType))
        before, self.now = self.now, Meeting(kind, items, types)
        super().join_fault(kind, fault, items, tensors, x)
        self.now = before

    def match(self, x: Tensor, target: Tensor, word: str, span: Span, mark: int) -> Tensor:
        """What `match` cannot bring together are two branches of other heights and widths."""
        before = self.now
        if isinstance(x.type, TensorType) and isinstance(target.type, TensorType):
            self.now = Meeting(Concat, (), (x.type, target.type))
        out = super().match(x, target, word, span, mark)
        self.now = before
        return out

    def run_assertion(self, expr: t.Assertion, scope: Scope, x: Tensor | None, end: Any = None) -> Tensor:
        before = self.now
        out = super().run_assertion(expr, scope, x, end)
        self.now = before
        return out

    def compare_shape(self, out: Tensor, sizes: list[Num | None], expr: t.Assertion) -> None:
        assert isinstance(out.type, TensorType)
        wanted = tuple(n.value if n is not None and isinstance(n.value, int) else None for n in sizes)
        try:
            super().compare_shape(out, sizes, expr)
        except ShapeFault:
            self.now = Claim(expr, out.type, wanted)
            raise


def traced(value: object) -> bool:
    """Whether a number, or one of several, follows from numbers of the user's file."""
    parts = value if isinstance(value, tuple) else (value,)
    return any(isinstance(part, Traced) for part in parts)


def plain(value: object) -> object:
    """The same numbers, without the memory of how they were computed."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return int(value) if isinstance(value, Traced) else value


def _marked(size: Size, name: str) -> Size:
    """The size with a symbol of its own added; a formula of open sizes stays as it is."""
    if not isinstance(size, int):
        return size
    trace = trace_of(size) if complexity(trace_of(size)) < MAX_TERMS else int(size)
    marked = trace + symbol(name)
    return Traced(int(size), marked) if isinstance(marked, Formula) else size
