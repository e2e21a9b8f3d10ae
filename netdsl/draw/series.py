"""What follows what, what stands side by side, and what skips?

A body is a graph whose edges are values. Its picture is found from the output backwards: what takes one value follows
it; where several meet, the nearest value that all of them come from (their immediate dominator, Lengauer & Tarjan
1979) is where the branches begin. A branch without a box is a skip. What does not nest so stands after the rest, and
links lead to it: any graph can be drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netdsl.draw.structure import ENTRY, EXIT, Box, Link, Parallel, Series, boxes_of
from netdsl.record import Record

TOP = -1
"""Where a region begins: above everything in it."""
LONG, SHORT = 6, 2
"""Branches of at most SHORT boxes beside one of at least LONG are drawn as links: the long one is the trunk."""

Items = list[Box | Parallel]


class Wire(Record):
    """An output of a body: the part it comes from."""

    value: int
    name: str
    training: bool = False


def decompose(
    boxes: Sequence[Box], wiring: Sequence[tuple[tuple[int, ...], bool]], outputs: Sequence[Wire], implicit: bool
) -> tuple[Series, tuple[Link, ...]]:
    """The series of a body, and what leaves it.

    wiring      of each box, in topological order: the boxes it takes, and whether `match` put it there
    implicit    whether box 0 is the one input of a block, and is not drawn
    """
    layout = _Decomposition(list(boxes), [inputs for inputs, _ in wiring], [shortcut for _, shortcut in wiring])
    if implicit:
        layout.placed.add(0)
        layout.hidden = 0
    trunk = layout.trunk(outputs[0])
    for out in outputs[1:]:
        layout.head(out)
    return trunk, tuple(layout.links)


class _Region:
    """Parts that are laid out together, with the nearest common origin of whatever meets in them."""

    def __init__(
        self, nodes: Iterable[int], inputs: list[tuple[int, ...]], above: int = TOP, loose: bool = False
    ) -> None:
        self.nodes = set(nodes)
        self.above = above
        """What TOP stands for."""
        self.loose = loose
        """Whether it begins at several places, so that links have to say where."""
        self.preds: dict[int, tuple[int, ...]] = {}
        self.idom: dict[int, int] = {TOP: TOP}
        self.depth: dict[int, int] = {TOP: 0}
        for n in sorted(self.nodes):
            preds = tuple(dict.fromkeys(p if p in self.nodes else TOP for p in inputs[n])) or (TOP,)
            self.preds[n] = preds
            self.idom[n] = self.common(preds)
            self.depth[n] = self.depth[self.idom[n]] + 1

    def common(self, values: Sequence[int]) -> int:
        """The nearest value through which every way to these leads."""
        found = values[0]
        for other in values[1:]:
            while found != other:
                if self.depth[found] < self.depth[other]:
                    other = self.idom[other]
                else:
                    found = self.idom[found]
        return found

    def between(self, top: int, exit: int) -> set[int]:
        """`exit` and what it comes from, below `top`."""
        found: set[int] = set()
        stack = [exit]
        while stack:
            v = stack.pop()
            if v not in (top, TOP) and v not in found:
                found.add(v)
                stack.extend(self.preds[v])
        return found


class _Decomposition:
    """One body on its way to a series. Mutable: it remembers what has its place."""

    def __init__(self, boxes: list[Box], inputs: list[tuple[int, ...]], shortcut: list[bool]) -> None:
        self.boxes, self.inputs, self.shortcut = boxes, inputs, shortcut
        self.placed: set[int] = set()
        self.hidden = -2
        self.links: list[Link] = []
        self.training = False

    def name(self, value: int) -> str:
        return ENTRY if value in (TOP, self.hidden) else self.boxes[value].id

    def link(self, kind: str, source: int, target: int, via: Series | None = None) -> None:
        self.links.append(Link(kind, self.name(source), self.name(target), via, "", self.training))

    def trunk(self, out: Wire) -> Series:
        if out.value in self.placed:
            return Series(())
        region = _Region(self.unplaced(out.value), self.inputs)
        return self.series(region, TOP, out.value)

    def head(self, out: Wire) -> None:
        """A further output: a side chain, or a value of the trunk that is given out."""
        nodes = self.unplaced(out.value)
        self.training = out.training
        sources = sorted({p for n in nodes for p in self.inputs[n] if p not in nodes})
        via = None
        if nodes:
            above = sources[-1] if sources else TOP
            for n in nodes:
                if self.boxes[n].label == out.name:  # it stands at the end
                    self.boxes[n] = self.boxes[n].replace(label="")
            via = self.series(_Region(nodes, self.inputs, above, loose=len(sources) > 1), TOP, out.value)
            if not sources:  # it begins at an input of its own
                via = via.replace(breaks=via.breaks | {0})
        source = self.name(sources[-1]) if sources else self.name(out.value) if not nodes else ENTRY
        self.links.append(Link("output", source, EXIT, via, out.name, out.training))
        self.training = False

    def unplaced(self, exit: int) -> set[int]:
        found: set[int] = set()
        stack = [exit]
        while stack:
            v = stack.pop()
            if v not in found and v not in self.placed:
                found.add(v)
                stack.extend(self.inputs[v])
        return found

    def put(self, value: int) -> Box:
        self.placed.add(value)
        box = self.boxes[value]
        return box.replace(training=True) if self.training else box

    def series(self, region: _Region, top: int, exit: int) -> Series:
        """What lies between two values, without the first."""
        chunks: list[tuple[Items, bool]] = []
        v = exit
        while v != top:
            preds = region.preds[v]
            if len(preds) > 1:
                top_of = region.idom[v]
                chunks.append((self.joined(region, top_of, preds, v), region.loose and top_of == TOP))
                v = top_of
                continue
            starts = region.loose and preds[0] == TOP
            if starts:
                self.link_from_outside(region, v)
            chunks.append(([self.put(v)], starts))
            v = preds[0]
        return self.assembled(reversed(chunks))

    def assembled(self, chunks: Iterable[tuple[Items, bool]]) -> Series:
        items: Items = []
        breaks: set[int] = set()
        for found, starts in chunks:
            if starts:
                breaks.add(len(items))
            items += found
        return Series(tuple(items), frozenset(breaks))

    def link_from_outside(self, region: _Region, v: int) -> None:
        for source in dict.fromkeys(self.inputs[v]):
            if source not in region.nodes:
                self.link("skip", source, v)

    def joined(self, region: _Region, top: int, exits: tuple[int, ...], target: int) -> Items:
        """The branches from `top` to `target`, and `target`: a join, or a block with several inputs."""
        branches = self.branches(region, top, exits, target)
        box = self.put(target)
        if len(branches) < 2:
            return [*(branches[0].items if branches else ()), box]
        sizes = [len(boxes_of(branch)) for branch in branches]
        main = max(range(len(branches)), key=lambda i: sizes[i])
        start = region.above if top == TOP else top
        nested = any(branch.breaks or _is_open(branch) for branch in branches)
        for i, branch in enumerate(branches):
            if i != main and not nested and self.is_projection(branch):
                self.link("projection", start, target, branch)
                del branches[i]
                break
        if len(branches) == 1:
            return [*branches[0].items, box]
        others = [size for i, size in enumerate(sizes) if i != main]
        if len(branches) == len(sizes) and not nested and sizes[main] >= LONG and max(others) <= SHORT and top != TOP:
            for i, branch in enumerate(branches):
                if i != main:
                    self.link("branch", start, target, branch)
            return [*branches[main].items, box]
        return [Parallel(tuple(branches), box)]

    def is_projection(self, branch: Series) -> bool:
        ids = {box.id for box in boxes_of(branch)}
        return all(self.shortcut[i] for i in self.placed if self.boxes[i].id in ids)

    def branches(self, region: _Region, top: int, exits: tuple[int, ...], target: int) -> list[Series]:
        """The ways from one value to several; those without a box, and those that lie on another way, become links."""
        reach = {e: region.between(top, e) for e in exits}
        ways = []
        for e in exits:
            if e == top or any(e in reach[other] for other in exits if other != e):
                self.identity(region, e, target)
            else:
                ways.append(e)
        found = []
        for group in _sharing(ways, reach):
            if len(group) == 1:
                found.append(self.series(region, top, group[0]))
                continue
            nearest = region.common(group)
            if nearest != top:
                before = self.series(region, top, nearest)
                rest = Parallel(tuple(self.branches(region, nearest, tuple(group), target)), None)
                found.append(Series((*before.items, rest), before.breaks))
            else:
                found += self.tangled(region, top, group, reach)
        return found

    def identity(self, region: _Region, source: int, target: int) -> None:
        if source == TOP and (region.loose or any(p not in region.nodes for p in self.inputs[target])):
            self.link_from_outside(region, target)
        else:
            self.link("skip", source, target)

    def tangled(self, region: _Region, top: int, group: list[int], reach: dict[int, set[int]]) -> list[Series]:
        """Ways that cross: the longest one is drawn; what the others have of their own follows, reached by links."""
        order = sorted(group, key=lambda e: (-len(reach[e]), e))
        above = region.above if top == TOP else top
        inner = _Region(reach[order[0]], self.inputs, above, loose=region.loose and top == TOP)
        found = [self.series(inner, TOP, order[0])]
        for e in order[1:]:
            nodes = reach[e] - self.placed
            found.append(self.series(_Region(nodes, self.inputs, loose=True), TOP, e))
        return found


def _is_open(branch: Series) -> bool:
    last = branch.items[-1]
    return isinstance(last, Parallel) and last.join is None


def _sharing(ways: list[int], reach: dict[int, set[int]]) -> list[list[int]]:
    """Ways in groups: those that share a part go together."""
    groups: list[tuple[list[int], set[int]]] = []
    for e in ways:
        members, parts = [e], set(reach[e])
        apart = []
        for group in groups:
            if parts.isdisjoint(group[1]):
                apart.append(group)
            else:
                members = [*group[0], *members]
                parts |= group[1]
        groups = [*apart, (members, parts)]
    order = {e: i for i, e in enumerate(ways)}
    return sorted((sorted(members, key=order.__getitem__) for members, _ in groups), key=lambda m: order[m[0]])
