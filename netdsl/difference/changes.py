"""What changed between two networks?  A tree: elements added, removed, changed, and what changed inside them.

Elements are aligned level by level, by what they do and what they are called, never by the text. Layout, comments and
another way of writing the same graph are no changes.
"""

from __future__ import annotations

from typing import Literal

from netdsl.analysis.depth import depth
from netdsl.analysis.receptive import receptive_field, widest
from netdsl.difference.align import align
from netdsl.difference.keys import Keys
from netdsl.difference.rows import Item, Wiring, attributes, is_path, kind_of, likeness, named, shapes_of
from netdsl.difference.weights import Weights, compared
from netdsl.net import Net
from netdsl.ops import Op
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

    ends       inputs and outputs that changed: `input: 3 x 224 x 224 → 3 x 299 x 299`
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

    def __str__(self) -> str:
        """What `netdsl diff` prints; where that is silent, that they are the same."""
        from netdsl.difference.table import difference_table

        return difference_table(self) or f"{self.old} and {self.new} are the same network"

    def __repr__(self) -> str:
        return str(self)


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
    found.append(Total("receptive field", widest(receptive_field(old)), widest(receptive_field(new))))
    before, after = peaks(old), peaks(new)
    if before and after:
        found += [Total(name, before[name], after[name]) for name in before]
    return tuple(found)


def peaks(net: Net) -> dict[str, int]:
    """Bytes that inference and training take for one sample; nothing where sizes are open."""
    from netdsl.analysis.memory import memory

    if any(type.symbols for type in [input.type for input in net.graph.inputs]):
        return {}
    found = memory(net)
    return {"bytes, inference": found.inference, "bytes, training": found.training}


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
                found.append(f"{_end(kind, gone[0])}: {left[gone[0]]} → {come[0]}: {right[come[0]]}")
                gone, come = [], []
            found += [f"{_end(kind, name)}: {left[name]} → none" for name in gone]
            found += [f"{_end(kind, name)}: none → {right[name]}" for name in come]
            found += [
                f"{_end(kind, name)}: {left[name]} → {right[name]}"
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
        before, after = named(a) or a.label, named(b) or b.label
        if before != after and named(a) != named(b):
            found.append(Fact("name", f"{before} → {after}"))
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


def _end(kind: str, name: str) -> str:
    """`input left`; `input` where the only one has no name."""
    return kind if name == kind else f"{kind} {name}"
