"""Which arrow leads from which box to which?  The structure as a graph, for programs that lay it out themselves.

Blocks are opened down to a depth: their boxes then stand in a cluster, and arrows lead to the boxes in it.
"""

from __future__ import annotations

from netdsl.draw.sheet import boxes_at
from netdsl.draw.structure import ENTRY, EXIT, Box, Diagram, Link, Parallel, Series, levels
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl.recursion import deep_recursion

READABLE = 100
"""So many boxes are read at a glance, where nobody asks for more."""
MAX_VERTICES = 2000
"""Boxes that such a program lays out in reasonable time."""


class Vertex(Record):
    """A box that is drawn as one."""

    number: int
    box: Box


class Cluster(Record):
    """A box that is opened, with what is in it."""

    number: int
    box: Box
    contents: tuple[Vertex | Cluster, ...]


class Arrow(Record):
    """From one vertex to another, by number. `kind` is that of a link, or `series`.

    into    the cluster at whose border it ends, where a block has several inputs; -1 elsewhere
    """

    source: int
    target: int
    kind: str = "series"
    label: str = ""
    training: bool = False
    into: int = -1


class Flow(Record):
    """The whole graph; arrows in the order of the boxes they come from."""

    name: str
    contents: tuple[Vertex | Cluster, ...]
    arrows: tuple[Arrow, ...]


def flow(diagram: Diagram, depth: int | None) -> Flow:
    """The graph of a diagram, with blocks opened down to `depth` levels below it: 0 leaves all closed.

    Without `depth`, as many levels as READABLE boxes allow.

    Raises UsageError where it has more than MAX_VERTICES boxes.
    """
    if depth is None:
        depth = max((d for d in range(1, levels(diagram) + 1) if boxes_at(diagram, d) <= READABLE), default=0)
    maker = _Maker(diagram.name)
    with deep_recursion():
        contents, _ = maker.diagram(diagram, [], depth)
    return Flow(diagram.name, tuple(contents), tuple(sorted(set(maker.arrows), key=lambda a: (a.source, a.target))))


class _Ends(Record):
    """Where arrows to a box end and from it begin. `cluster` is its number if they have to end at its border."""

    ins: tuple[int, ...]
    outs: tuple[int, ...]
    cluster: int = -1


class _Maker:
    """The graph in the making. Mutable: it counts."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrows: list[Arrow] = []
        self.count = 0

    def number(self) -> int:
        self.count += 1
        if self.count > MAX_VERTICES:
            raise UsageError(
                f"{self.name} has more than {MAX_VERTICES:,} boxes, opened so far: a smaller --depth shows fewer"
            )
        return self.count - 1

    def diagram(self, diagram: Diagram, sources: list[int], depth: int) -> tuple[list[Vertex | Cluster], list[int]]:
        """What stands in it, and the vertices whose values go out."""
        contents: list[Vertex | Cluster] = []
        places: dict[str, _Ends] = {}
        outs = self.series(diagram.series, sources, contents, places, depth)
        for link in diagram.links:
            self.link(link, sources, contents, places, depth)
        return contents, outs

    def link(
        self,
        link: Link,
        sources: list[int],
        contents: list[Vertex | Cluster],
        places: dict[str, _Ends],
        depth: int,
    ) -> None:
        begin = list(places[link.source].outs) if link.source != ENTRY else sources
        if link.via is not None:
            begin = self.series(link.via, begin, contents, places, depth, link)
        if link.target != EXIT:
            self.join(begin, places[link.target], Arrow(0, 0, link.kind, "", link.training))
            return
        out = Vertex(self.number(), Box(f"output {link.label}", link.label, "output", "", training=link.training))
        contents.append(out)
        self.join(begin, _Ends((out.number,), ()), Arrow(0, 0, link.kind, "", link.training))

    def join(self, sources: list[int], ends: _Ends, arrow: Arrow) -> None:
        for source in sources:
            for target in ends.ins:
                self.arrows.append(arrow.replace(source=source, target=target, into=ends.cluster))

    def series(
        self,
        series: Series,
        sources: list[int],
        contents: list[Vertex | Cluster],
        places: dict[str, _Ends],
        depth: int,
        link: Link | None = None,
    ) -> list[int]:
        """Appends what stands in a series, and gives the vertices that its value comes from."""
        at = Arrow(0, 0, *((link.kind, "", link.training) if link else ()))
        if series.count > 1:
            at = at.replace(label=f"× {series.count}")
        for i, item in enumerate(series.items):
            taken = [] if i in series.breaks else sources
            if isinstance(item, Parallel):
                sources = self.parallel(item, taken, contents, places, depth, link)
            else:
                sources = self.box(item, taken, contents, places, depth, at)
            at = at.replace(label="")
        return sources

    def parallel(
        self,
        item: Parallel,
        sources: list[int],
        contents: list[Vertex | Cluster],
        places: dict[str, _Ends],
        depth: int,
        link: Link | None,
    ) -> list[int]:
        outs: list[int] = []
        for branch in item.branches:
            outs += self.series(branch, sources, contents, places, depth, link)
        if item.join is None:
            return outs
        return self.box(item.join, list(dict.fromkeys(outs)), contents, places, depth, Arrow(0, 0))

    def box(
        self,
        box: Box,
        sources: list[int],
        contents: list[Vertex | Cluster],
        places: dict[str, _Ends],
        depth: int,
        arrow: Arrow,
    ) -> list[int]:
        number = self.number()
        if box.kind == "input":
            sources = []  # which of a block's inputs an arrow ends in, is not said: it ends at the border
        if box.body is None or depth == 0:
            contents.append(Vertex(number, box))
            places[box.id] = _Ends((number,), (number,))
            self.join(sources, places[box.id], arrow)
            return [number]
        before = len(self.arrows)
        inner, outs = self.diagram(box.body, [ENTERING], depth - 1)
        entering = [a for a in self.arrows[before:] if a.source == ENTERING]
        self.arrows[before:] = [a for a in self.arrows[before:] if a.source != ENTERING]
        ins = tuple(dict.fromkeys(a.target for a in entering))
        outs = [v for v in outs if v != ENTERING] + (sources if ENTERING in outs else [])
        contents.append(Cluster(number, box, tuple(inner)))
        places[box.id] = _Ends(ins or (_first(inner),), tuple(dict.fromkeys(outs)), -1 if ins else number)
        if not ins:
            self.join(sources, places[box.id], arrow)
        for inside in entering:
            self.arrows += [inside.replace(source=source, label=inside.label or arrow.label) for source in sources]
        return list(places[box.id].outs)


ENTERING = -1
"""Stands for what comes into a block, while its boxes are numbered."""


def _first(contents: list[Vertex | Cluster]) -> int:
    first = contents[0]
    return first.number if isinstance(first, Vertex) else _first(list(first.contents))
