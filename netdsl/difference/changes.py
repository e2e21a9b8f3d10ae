"""What changed between two networks?  A tree: elements added, removed, changed, and what changed inside them.

Elements are aligned level by level, by what they do and what they are called, never by the text. Layout, comments and
another way of writing the same graph are no changes.
"""

from __future__ import annotations

from typing import Literal

from netdsl.analysis.depth import depth
from netdsl.difference.align import align
from netdsl.difference.keys import Keys
from netdsl.difference.weights import Weights, compared
from netdsl.graph import Repeat
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.ops.base import brief
from netdsl.outline import Outline, Row
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType

Kind = Literal["added", "removed", "changed"]


class Side(Record):
    """An element in one of the networks. `count` is that of equal steps; numbers are those of all of them."""

    label: str
    path: str
    what: str
    count: int
    shape: str
    params: int
    macs: Size


class Fact(Record):
    """Something that changed of an element itself.

    of      attributes, text (how a block is called), count, name, frozen, training, wiring
    text    in a few words: `stride 1x1 → 2x2`
    """

    of: str
    text: str


class Change(Record):
    """An element that is not the same in both.

    facts        what changed of the element itself; nothing where it has another shape alone, or changed only inside
    children     what changed inside
    """

    kind: Kind
    old: Side | None
    new: Side | None
    facts: tuple[Fact, ...] = ()
    children: tuple[Change, ...] = ()

    @property
    def side(self) -> Side:
        found = self.new if self.new is not None else self.old
        assert found is not None
        return found

    @property
    def follows(self) -> bool:
        """Whether it follows from a change elsewhere: the same element, on another shape."""
        return self.kind == "changed" and not self.facts and not self.children


class Total(Record):
    """A quantity of both networks; None where it is not known."""

    name: str
    old: Size | None
    new: Size | None


class Difference(Record):
    """What changed between two networks; nothing if `same`.

    ends       inputs and outputs that changed: `input input: 3 x 224 x 224 → 3 x 299 x 299`
    changes    of elements, in order of execution
    equal      how many lines of the new network are as they were
    weights    what becomes of the old weights; None for networks too long to be listed
    """

    old: str
    new: str
    totals: tuple[Total, ...]
    ends: tuple[str, ...]
    changes: tuple[Change, ...]
    equal: int
    weights: Weights | None

    @property
    def same(self) -> bool:
        return not (self.ends or self.changes)


def difference(old: Net, new: Net) -> Difference:
    """What changed from one network to the other. Only their graphs count, not how they are written."""
    comparer = Comparer(old, new)
    same = comparer.full.body(old.graph) == comparer.full.body(new.graph)
    changes = () if same else comparer.rows(Outline(old).rows, Outline(new).rows)
    ends = () if same else tuple(comparer.ends())
    if not same and not changes and not ends:
        ends = ("the elements are in another order, or wired in another way",)
    untouched = len(Outline(new).rows) - sum(change.new is not None for change in changes)
    return Difference(*names(old, new), totals(old, new), ends, changes, untouched, compared(old, new))


def names(old: Net, new: Net) -> tuple[str, str]:
    """What the two are called: by their names, else by their files, else by which is which."""
    if old.name != new.name:
        return old.name, new.name
    if old.source.name != new.source.name:
        return old.source.name, new.source.name
    return f"{old.name} (old)", f"{new.name} (new)"


def totals(old: Net, new: Net) -> tuple[Total, ...]:
    """The costs of both. Quantities that say nothing new are left out."""
    found = [Total("parameters", old.params, new.params)]
    if (old.trainable_params, new.trainable_params) != (old.params, new.params):
        found.append(Total("trainable", old.trainable_params, new.trainable_params))
    found.append(Total("MACs", old.macs, new.macs))
    found.append(Total("depth", depth(old.graph), depth(new.graph)))
    found.append(Total("receptive field", seen(old), seen(new)))
    return tuple(found)


def seen(net: Net) -> Size | None:
    """The receptive field, on the axis where it is larger."""
    from netdsl.analysis.receptive import receptive_field

    sizes = [reach.size for reach in receptive_field(net) if reach.axis != "C"]
    known = [size for size in sizes if isinstance(size, int)]
    return max(known) if known and len(known) == len(sizes) else None


class Comparer:
    """Compares rows level by level. Mutable: it knows the contents it has seen, and pairs of bodies it has compared."""

    def __init__(self, old: Net, new: Net) -> None:
        self.old, self.new = old, new
        self.full, self.loose = Keys(), Keys(names=False)
        self.inside: dict[tuple[int, int], tuple[Change, ...]] = {}

    def ends(self) -> list[str]:
        """Inputs and outputs that are not the same."""
        found = []
        for kind, before, after in (
            ("input", self.old.inputs, self.new.inputs),
            ("output", self.old.outputs, self.new.outputs),
            ("training output", self.old.training_outputs, self.new.training_outputs),
        ):
            left = {name: str(TensorType(shape)) for name, shape in before.items()}
            right = {name: str(TensorType(shape)) for name, shape in after.items()}
            gone = [name for name in left if name not in right]
            come = [name for name in right if name not in left]
            if len(gone) == len(come) == 1:  # another name, in its place
                found.append(f"{kind} {gone[0]}: {left[gone[0]]} → {come[0]}: {right[come[0]]}")
                gone, come = [], []
            found += [f"{kind} {name}: {left[name]} → none" for name in gone]
            found += [f"{kind} {name}: none → {right[name]}" for name in come]
            found += [
                f"{kind} {name}: {left[name]} → {right[name]}"
                for name in left
                if name in right and left[name] != right[name]
            ]
        return found

    # --- rows ---------------------------------------------------------------------------------------------------

    def rows(self, old: tuple[Row, ...], new: tuple[Row, ...]) -> tuple[Change, ...]:
        """The changes between two lists of rows, in the order of the new one."""
        a, b = [self.item(row) for row in old], [self.item(row) for row in new]
        if all(item.row.run is not None for item in (*a, *b)):
            return self.steps(a, b)
        pairs = align(a, b, likeness, lambda item: (item.row.label, item.full))
        wiring = Wiring(a, b, [(i, j) for i, j in pairs if i is not None and j is not None])
        found = []
        for i, j in pairs:
            if i is None and j is not None:
                found.append(Change("added", None, side(b[j].row)))
            elif j is None and i is not None:
                found.append(Change("removed", side(a[i].row), None))
            elif i is not None and j is not None:
                change = self.pair(a[i], b[j], wiring.moved(i, j))
                if change is not None:
                    found.append(change)
        return tuple(found)

    def steps(self, a: list[Item], b: list[Item]) -> tuple[Change, ...]:
        """The changes between the runs of two repeats: by number, as their parameters are called; then what is left."""
        common = min(len(a), len(b))
        found = [self.pair(one, other, "") for one, other in zip(a, b)]
        more = [Change("added", None, run_of(b[common:]))] if len(b) > common else []
        less = [Change("removed", run_of(a[common:]), None)] if len(a) > common else []
        return (*[change for change in found if change is not None], *less, *more)

    def item(self, row: Row) -> Item:
        if row.run is not None:
            applied = (row.count, row.run.captured)
            body = row.run.call.body
            return Item(row, hash((*applied, self.full.body(body))), hash((*applied, self.loose.body(body))))
        return Item(row, self.full.element(row.scope.body, row.node), self.loose.element(row.scope.body, row.node))

    def pair(self, a: Item, b: Item, moved: str) -> Change | None:
        """What changed of an element that both have; None if nothing did."""
        facts = self.facts(a, b)
        if moved:
            facts.append(Fact("wiring", moved))
        children: tuple[Change, ...] = ()
        if a.full != b.full:
            children = self.below(a.row, b.row)
            if not facts and not children and a.row.children and shapes_of(a.row) == shapes_of(b.row):
                facts.append(Fact("wiring", "wired in another way inside"))
        if not facts and not children and a.full == b.full:
            return None
        return Change("changed", side(a.row), side(b.row), tuple(facts), children)

    def below(self, a: Row, b: Row) -> tuple[Change, ...]:
        """What changed inside: bodies that occur again and again are compared once."""
        if not (a.children and b.children):
            return ()
        key = None
        if a.body is not None and b.body is not None:
            key = self.full.body(a.body), self.full.body(b.body)
            if key in self.inside:
                return self.inside[key]
        found = self.rows(a.children, b.children)
        if key is not None:
            self.inside[key] = found
        return found

    def facts(self, one: Item, other: Item) -> list[Fact]:
        """What changed of an element itself."""
        a, b, found = one.row, other.row, list[Fact]()
        if named(a) != named(b):
            found.append(Fact("name", f"{named(a) or a.label} → {named(b) or b.label}"))
        if a.count != b.count:
            found.append(Fact("count", f"× {a.count:,} → × {b.count:,}"))
        if not a.run and not b.run and isinstance(a.node.op, Op) and isinstance(b.node.op, Op):
            found += [Fact("attributes", text) for text in attributes(a.node.op, b.node.op)]
        elif one.loose != other.loose and a.what != b.what and not (kind_of(a) == kind_of(b) and (a.run or is_path(a))):
            found.append(Fact("text", f"{a.what} → {b.what}"))
        if a.frozen != b.frozen:
            found.append(Fact("frozen", "frozen" if b.frozen else "no longer frozen"))
        if a.training != b.training:
            found.append(Fact("training", "in training only" if b.training else "no longer in training only"))
        return found


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


def side(row: Row) -> Side:
    return Side(
        row.label, row.path, row.what, row.count, row.scope.outline.net.shape_text(row.type), row.params, row.macs
    )


def run_of(items: list[Item]) -> Side:
    """Steps that follow one another, as one."""
    sides = [side(item.row) for item in items]
    first, last, count = sides[0], sides[-1], sum(step.count for step in sides)
    label = f"{first.label.partition('…')[0]}…{last.label.rpartition('…')[2]}" if count > 1 else first.label
    what = items[0].row.what.removesuffix(f" * {first.count}")
    params, macs = sum(step.params for step in sides), total([step.macs for step in sides])
    return Side(label, first.path, f"{what} * {count}" if count > 1 else what, count, last.shape, params, macs)


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
