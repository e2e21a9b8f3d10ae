"""What can a name stand for?  Numbers, words, texts, tensors, and blocks: the values of the language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from netdsl import tree as t
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Formula, Size, Traced, floor_of, symbols, trace_of

if TYPE_CHECKING:
    from netdsl.build import Tensor


class Num(Record):
    """A number. `trace` is how it follows from the parameters of the blocks around it, or None for a plain one."""

    value: int | Fraction | Formula
    trace: Formula | None = None

    @property
    def size(self) -> Size:
        """As a size: with its trace where it has one."""
        assert isinstance(self.value, int | Formula)
        return Traced(self.value, self.trace) if self.trace is not None and isinstance(self.value, int) else self.value

    def __str__(self) -> str:
        return show_number(self.value)


class Word(Record):
    """A word of a primitive's arguments that was passed on: `same`, `floor`, `nobias`."""

    text: str


class Text(Record):
    """A text in quotes."""

    text: str


class Truth(Record):
    """What a condition comes to."""

    holds: bool


class Primitive(Record):
    """A primitive by its name alone: at its defaults where they suffice."""

    op: type[Op]


class Builtin(Record):
    """`identity`, and `match`, which sees what it is added to."""

    name: str


class Thunk(Record):
    """An argument that is evaluated where the block is applied, because there it sees the block's input."""

    expr: t.Expr
    scope: Scope


class Function(Record):
    """A block, with the arguments it has so far."""

    block: t.Block
    scope: Scope
    bound: tuple[tuple[str, Thunk | Value], ...] = ()


class Path(Record):
    """An unnamed block: an expression and the names it sees."""

    expr: t.Expr
    scope: Scope


class Held(Record):
    """A label: a tensor that is there already."""

    tensor: Tensor


class Poison(Record):
    """The value of something that failed; whatever meets it stays silent."""


POISON = Poison()

Value = Num | Word | Text | Truth | Primitive | Builtin | Function | Path | Held | Poison


class Scope:
    """Names, and the scope around. Mutable: a network's labels join it one after the other.

    `kind` is `prelude`, `file`, `net` or `block`; a block passed into a block is spliced in where it is used.
    """

    def __init__(self, kind: str, parent: Scope | None = None, names: dict[str, Value] | None = None) -> None:
        self.kind, self.parent = kind, parent
        self.names: dict[str, Value] = names if names is not None else {}

    def find(self, name: str) -> tuple[Value, Scope] | None:
        scope: Scope | None = self
        while scope is not None:
            value = scope.get(name)
            if value is not None:
                return value, scope
            scope = scope.parent
        return None

    def get(self, name: str) -> Value | None:
        return self.names.get(name)

    @property
    def sees_net(self) -> bool:
        """Whether the names of a network, its open sizes among them, are seen from here. From a block they are not."""
        scope: Scope | None = self
        while scope is not None and scope.kind != "net":
            scope = scope.parent
        return scope is not None

    def known(self) -> Iterator[str]:
        scope: Scope | None = self
        while scope is not None:
            yield from scope.own()
            scope = scope.parent

    def own(self) -> Iterable[str]:
        """The names that this scope itself has."""
        return self.names


KINDS = {
    Num: "a number",
    Word: "a word",
    Text: "a text",
    Truth: "a condition",
    Primitive: "a layer",
    Builtin: "a layer",
    Function: "a block",
    Path: "a block",
    Held: "a tensor",
    Poison: "nothing",
}


def kind_of(value: Value) -> str:
    return KINDS[type(value)]


def show_number(value: int | Fraction | Formula) -> str:
    if isinstance(value, Fraction):
        return str(float(value)) if value.denominator in (2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 1000) else str(value)
    return str(value)


def number_of(size: Size) -> Num:
    """A size of a tensor as a number."""
    trace = trace_of(size)
    if isinstance(size, Traced):
        return Num(int(size), trace if isinstance(trace, Formula) else None)
    return Num(size)


# --- arithmetic, exact -----------------------------------------------------------------------------------------

LIMIT = 10**18


class Overflow(Exception):
    """A number left the range in which sizes live."""


class NotANumber(Exception):
    """Division by zero, or a formula where only a number can be divided by."""


def arithmetic(op: str, a: Num, b: Num) -> Num:
    """a op b. The trace goes along where it can; where it cannot, it is lost."""
    value = _apply(op, a.value, b.value)
    if not isinstance(value, Formula) and (abs(value.numerator) > LIMIT or value.denominator > LIMIT):
        raise Overflow
    if a.trace is None and b.trace is None:
        return Num(value)
    left = a.trace if a.trace is not None else a.value
    right = b.trace if b.trace is not None else b.value
    try:
        trace = _apply(op, left, right)
    except NotANumber:
        return Num(value)
    return Num(value, trace if isinstance(trace, Formula) else None)


def _apply(op: str, a: int | Fraction | Formula, b: int | Fraction | Formula) -> int | Fraction | Formula:
    if op == "+":
        result = a + b
    elif op == "-":
        result = a - b
    elif op == "*":
        result = a * b
    elif isinstance(b, Formula):
        raise NotANumber("only a number can be divided by")
    elif b == 0:
        raise NotANumber("division by zero")
    else:
        result = a / b if isinstance(a, Formula) else Fraction(a) / Fraction(b)
    return int(result) if isinstance(result, Fraction) and result.denominator == 1 else result


def roots(number: Num) -> frozenset[str]:
    """The parameters from which a number was computed."""
    return symbols(number.trace) if number.trace is not None else frozenset()


def _floor(a: Num) -> Num:
    trace = floor_of(a.trace) if a.trace is not None else None
    value = floor_of(a.value) if isinstance(a.value, Formula) else a.value.__floor__()
    return Num(value, trace if isinstance(trace, Formula) else None)


def _ceil(a: Num) -> Num:
    down = _floor(arithmetic("*", a, Num(-1)))
    return arithmetic("*", down, Num(-1))


def _round(a: Num) -> Num:
    return _floor(arithmetic("+", a, Num(Fraction(1, 2))))


def _extreme(name: str, a: Num, b: Num) -> Num:
    if isinstance(a.value, Formula) or isinstance(b.value, Formula):
        raise NotANumber(f"{name} of a size that is not known")
    larger = a if a.value >= b.value else b
    return Num(larger.value if name == "max" else (b if larger is a else a).value)


FUNCTIONS = {"floor": 1, "ceil": 1, "round": 1, "min": 2, "max": 2}
"""The functions between numbers, with how many arguments they take. `round` rounds a half up."""


def call_function(name: str, args: list[Num]) -> Num:
    if name in ("min", "max"):
        return _extreme(name, *args)
    return {"floor": _floor, "ceil": _ceil, "round": _round}[name](*args)


# --- free names, for telling equal arguments apart -------------------------------------------------------------


def free_names(expr: t.Tree, found: set[str] | None = None) -> set[str]:
    """Every name in `expr`."""
    names: set[str] = set() if found is None else found
    stack: list[t.Tree] = [expr]
    while stack:
        tree = stack.pop()
        if isinstance(tree, t.Name):
            names.add(tree.id)
        stack.extend(t.children(tree))
    return names
