"""When is a row of one network that of another?  What it is called, what it does, what feeds it; and what differs."""

from __future__ import annotations

from netdsl.graph import Repeat
from netdsl.ops import Op
from netdsl.ops.base import brief
from netdsl.outline import Row
from netdsl.record import Record
from netdsl.types import TensorType


class Item(Record):
    """A row with the numbers of its contents."""

    row: Row
    full: int
    loose: int


class Wiring:
    """From which elements others take their input, seen through those that have no partner."""

    def __init__(self, a: list[Item], b: list[Item], pairs: list[tuple[int, int]]) -> None:
        self.a, self.b = (
            _Sources(a, {i: k for k, (i, _) in enumerate(pairs)}),
            _Sources(b, {j: k for k, (_, j) in enumerate(pairs)}),
        )

    def moved(self, i: int, j: int) -> str:
        """What to say of a pair whose inputs are not partners; "" where they are."""
        before, after = self.a.of(i), self.b.of(j)
        if [key for key, _ in before] == [key for key, _ in after]:
            return ""
        return f"from {', '.join(name for _, name in before)} → from {', '.join(name for _, name in after)}"


class _Sources:
    def __init__(self, items: list[Item], partner: dict[int, int]) -> None:
        self.items, self.partner = items, partner
        self.at = {item.row.index: k for k, item in enumerate(items) if item.row.run is None}

    def of(self, k: int) -> list[tuple[object, str]]:
        """The elements that one takes its input from: a number that its partner's have, too, and their names."""
        row = self.items[k].row
        if row.run is not None:
            return []
        return [self.source(v) for v in row.node.inputs]

    def source(self, value: int) -> tuple[object, str]:
        row = self.items[0].row
        while True:
            inputs = row.scope.body.inputs
            if value < len(inputs):
                return ("input", value), inputs[value].name
            k = self.at.get(value - len(inputs))
            if k is None:
                return ("unused", value), "an element that is not used"
            if k in self.partner:
                return self.partner[k], self.items[k].row.label
            value = self.items[k].row.node.inputs[0]


def shapes_of(row: Row) -> list[TensorType]:
    """What goes in and what comes out."""
    return [type.plain() for type in (*row.input_types, row.type)]


def named(row: Row) -> str:
    """The author's label; "" for a name that was given by number."""
    return row.node.group if row.run is None and row.scope.caller is None else ""


def kind_of(row: Row) -> str:
    """What sort of element it is: the op, the block, `path`; a repeat is what it repeats."""
    op = row.node.op
    if row.run is None and isinstance(op, Op):
        return op.name
    runs = [row.run] if row.run is not None else list(op.runs) if isinstance(op, Repeat) else []
    body = runs[-1].call.body if runs else row.body
    return body.name if body is not None and body.kind == "block" else "path"


def is_path(row: Row) -> bool:
    """Whether its text is no name of anything: `path of 4`."""
    return row.body is not None and row.body.kind == "path"


def likeness(a: Item, b: Item) -> float:
    """How surely two elements are the same one: 0 where they have nothing in common."""
    if a.full == b.full:
        return 10.0 + (a.row.label == b.row.label)
    if a.loose == b.loose:
        return 9.0 + (a.row.label == b.row.label)
    score = 0.0
    if kind_of(a.row) == kind_of(b.row):
        score = 3.0 + (a.row.what == b.row.what) + (a.row.type.plain() == b.row.type.plain())
        score += 0.5 * (a.row.params == b.row.params)
    elif isinstance(a.row.node.op, Op) or isinstance(b.row.node.op, Op):
        return 4.0 if named(a.row) and named(a.row) == named(b.row) and is_main(a.row) and is_main(b.row) else 0.0
    if named(a.row) and named(a.row) == named(b.row):
        score += 4.0
    return score + 0.25 * (score > 0 and a.row.label == b.row.label)


def is_main(row: Row) -> bool:
    """Whether it is what its line is called after."""
    return row.label == named(row)


def attributes(a: Op, b: Op) -> list[str]:
    """What differs between two ops: `kernel 7x7 → 3x3` where they are of one kind."""
    if a == b:
        return []
    if type(a) is not type(b):
        return [f"{said(a)} → {said(b)}"]
    return [
        f"{name.replace('_', ' ')} {written(getattr(a, name))} → {written(getattr(b, name))}"
        for name in a.fields
        if getattr(a, name) != getattr(b, name)
    ]


def said(op: Op) -> str:
    return f"{op.name} {op.describe()}".strip()


def written(value: object) -> str:
    if isinstance(value, tuple) and value and all(isinstance(part, int) for part in value):
        return brief(value)
    if isinstance(value, tuple) and value and all(isinstance(part, tuple) and len(part) == 2 for part in value):
        before, after = brief(tuple([p for p, _ in value])), brief(tuple([q for _, q in value]))
        return before if before == after else f"{before} before, {after} after"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if value is not None and value != "" else "none"
