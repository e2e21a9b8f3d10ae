"""What looks the same?  Equal neighbours are drawn once, with a count."""

from __future__ import annotations

from netdsl.draw.structure import Box, Diagram, Parallel, Series, boxes_of

Items = list[Box | Parallel]


def face(diagram: Diagram) -> object:
    """What one sees of a diagram, sizes apart: equal faces are drawn once."""
    known: dict[int, object] = {}
    return _Faces(known).of(diagram)


class _Faces:
    def __init__(self, known: dict[int, object]) -> None:
        self.known = known

    def of(self, diagram: Diagram) -> object:
        if id(diagram) not in self.known:
            ids = {box.id: i for i, box in enumerate(diagram.boxes)}
            links = tuple((a.kind, ids.get(a.source), ids.get(a.target), a.via is None) for a in diagram.links)
            self.known[id(diagram)] = (self.series(diagram.series), links)
        return self.known[id(diagram)]

    def series(self, series: Series) -> object:
        return tuple(self.item(item) for item in series.items), series.breaks, series.count

    def item(self, item: Box | Parallel) -> object:
        if isinstance(item, Parallel):
            return tuple(map(self.series, item.branches)), item.join and self.item(item.join)
        title = item.title.split()[0] if item.kind == "regularisation" else item.title
        return item.kind, title, item.subtitle, item.count, item.body and self.of(item.body)


def collapsed(diagram: Diagram) -> Diagram:
    """The diagram with equal neighbours drawn once: boxes in a row that look and give the same, and equal branches."""
    return _Collapse(diagram).diagram()


class _Collapse:
    def __init__(self, drawn: Diagram) -> None:
        self.drawn = drawn
        self.faces = _Faces({})
        self.sources = {link.source for link in drawn.links}
        self.targets = {link.target for link in drawn.links}
        self.moved: dict[str, str] = {}

    def diagram(self) -> Diagram:
        series = self.series(self.drawn.series)
        vias = [None if link.via is None else self.series(link.via) for link in self.drawn.links]
        links = tuple(
            link.replace(source=self.moved.get(link.source, link.source), via=via)
            for link, via in zip(self.drawn.links, vias)
        )
        return Diagram(self.drawn.name, series, links, self.drawn.shape)

    def series(self, series: Series) -> Series:
        items: Items = []
        breaks = set()
        for i, item in enumerate(series.items):
            if isinstance(item, Parallel):
                item = item.replace(branches=self.side_by_side(item.branches))
            before = items[-1] if items else None
            if i in series.breaks:
                breaks.add(len(items))
            elif isinstance(item, Box) and isinstance(before, Box) and self.equal(before, item):
                items[-1] = _with_cost(before, item).replace(count=before.count + item.count)
                self.moved[item.id] = before.id
                if item.id in self.sources:
                    self.sources.add(before.id)
                continue
            items.append(item)
        return Series(tuple(items), frozenset(breaks), series.count)

    def equal(self, a: Box, b: Box) -> bool:
        if a.id in self.sources or b.id in self.targets or (b.label and b.label != a.label):
            return False
        if a.kind in ("join", "input") or a.shape != b.shape or a.frozen != b.frozen:
            return False
        return self.faces.item(a.replace(count=1)) == self.faces.item(b.replace(count=1))

    def side_by_side(self, branches: tuple[Series, ...]) -> tuple[Series, ...]:
        found: list[Series] = []
        for branch in map(self.series, branches):
            ids = {box.id for box in boxes_of(branch)}
            linked = ids & (self.sources | self.targets)
            if found and not linked and self.look(found[-1]) == self.look(branch):
                found[-1] = _summed(found[-1], branch)
            else:
                found.append(branch)
        return tuple(found)

    def look(self, branch: Series) -> object:
        return self.faces.series(branch.replace(count=1)), [box.shape for box in boxes_of(branch)]


def _with_cost(box: Box, other: Box) -> Box:
    return box.replace(params=box.params + other.params, macs=box.macs + other.macs, values=box.values + other.values)


def _summed(a: Series, b: Series) -> Series:
    """Two branches that look the same, as one that costs as much as both."""
    items: Items = []
    for item, other in zip(a.items, b.items):
        if isinstance(item, Parallel) and isinstance(other, Parallel):
            branches = tuple(_summed(x, y) for x, y in zip(item.branches, other.branches))
            join = _with_cost(item.join, other.join) if item.join and other.join else item.join
            items.append(Parallel(branches, join))
        elif isinstance(item, Box) and isinstance(other, Box):
            items.append(_with_cost(item, other))
    return Series(tuple(items), a.breaks, a.count + b.count)
