"""Where does everything stand?  From boxes in series and in parallel to places on a page.

The network runs from the top down. Branches stand side by side, skips run beside the series, an opened block is a
frame. `sheet.py` makes columns of what is too tall.
"""

from __future__ import annotations

from netdsl.draw.lanes import Lanes
from netdsl.draw.metrics import clipped, text_width
from netdsl.draw.picture import Shape, Wire, Words
from netdsl.draw.pieces import (
    ASIDE,
    FORK,
    GAP,
    HEAD,
    INSET,
    MAX_LABEL,
    MAX_ROW,
    MAX_TITLE,
    NOTE,
    OUT,
    PAD,
    RISE,
    ROWS,
    STACK,
    TITLE,
    WIDE_GAP,
    Exit,
    Piece,
    Port,
    Row,
    bent,
    first_id,
)
from netdsl.draw.structure import ENTRY, EXIT, Box, Diagram, Link, Parallel, Series, boxes_of


class Builder:
    """Pieces of diagrams, opened down to a depth. Equal blocks share what is inside."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[int, int], Piece] = {}
        self.items: dict[tuple[int, int, str], Piece] = {}

    # --- boxes -------------------------------------------------------------------------------------------------

    def box(self, box: Box, depth: int) -> Piece:
        if box.body is not None and depth > 0:
            return self.frame(box, box.body, depth)
        pill = box.kind in ("join", "input", "output")
        text = f"{box.title}  {box.subtitle}" if pill and box.subtitle else box.title
        title, times = clipped(text, TITLE, MAX_TITLE), _times(box)
        note = "" if pill else clipped(box.subtitle, NOTE, MAX_TITLE)
        wide = text_width(title, TITLE) + (text_width(times, TITLE, True) + 8 if times else 0)
        width = max(wide, text_width(note, NOTE)) + 2 * PAD
        width, height = (max(width, 30.0), 20.0) if pill else (max(width, 66.0), 37.0 if note else 25.0)
        piece = Piece()
        piece.shapes.append(_shape("pill" if pill else "box", box, width, height))
        base = 14.0 if pill else 15.5 if note else 16.5
        start = (width - wide) / 2
        if times:
            piece.words.append(Words(start, base, title, TITLE, "title", "start", box.id))
            piece.words.append(Words(start + wide, base, times, TITLE, "strong", "end", box.id))
        else:
            piece.words.append(Words(width / 2, base, title, TITLE, "title", "middle", box.id))
        if note:
            piece.words.append(Words(width / 2, base + 13, note, NOTE, "note", "middle", box.id))
        _finish(piece, box, width, height, width / 2)
        return piece

    def frame(self, box: Box, body: Diagram, depth: int) -> Piece:
        """A block that is opened."""
        path = box.id
        while (only := _only_block(body)) is not None and only.body is not None:
            path, body = f"{path}/{only.id}", only.body  # a block that is nothing but a call of another
        inner = self.body(body, depth - 1)
        if box.holds_steps:  # they say themselves how many they are
            box = box.replace(title=f"{box.title} * {box.count}", count=1)
        times = _times(box)
        title = clipped(box.title, NOTE, max(MAX_TITLE, inner.width), bold=True)
        wide = text_width(title, NOTE, True) + (text_width(times, TITLE, True) + 10 if times else 0)
        width = max(inner.width, wide) + 2 * INSET
        left, height = (width - inner.width) / 2, HEAD + inner.height
        axis = left + inner.axis
        piece = Piece()
        piece.shapes.append(_shape("frame", box, width, height))
        piece.words.append(Words(INSET, 13, title, NOTE, "head", "start", box.id))
        if times:
            piece.words.append(Words(width - INSET, 13.5, times, TITLE, "head", "end", box.id))
        piece.put(inner, left, HEAD, path)
        _finish(piece, box, width, height, axis)
        return piece

    def body(self, diagram: Diagram, depth: int) -> Piece:
        """The inside of a block: the value comes in and goes out on the axis."""
        key = id(diagram), depth
        if key not in self.bodies:
            piece = self.column(diagram.series, diagram.links, depth, diagram.shape, nested=True)
            piece.height += INSET
            piece.wires += [_down(out, piece.axis, piece.height) for out in piece.exits]
            self.bodies[key] = piece
        return self.bodies[key]

    # --- series and branches -----------------------------------------------------------------------------------

    def item(self, item: Box | Parallel, depth: int, shape: str) -> Piece:
        key = id(item), depth, shape
        if key not in self.items:
            self.items[key] = self.box(item, depth) if isinstance(item, Box) else self.parallel(item, depth, shape)
        return self.items[key]

    def column(
        self,
        series: Series,
        links: tuple[Link, ...],
        depth: int,
        shape: str,
        nested: bool,
        leaving: frozenset[str] = frozenset(),
    ) -> Piece:
        """A series, and beside it its links. `leaving` are boxes where others begin, which are drawn elsewhere."""
        vias = {i: self.series(link.via, depth, "", True) for i, link in enumerate(links) if link.via is not None}
        lead = 0.0
        if shape and nested:
            skips = any(link.source == ENTRY for link in links)
            lead = 11.0 if skips or isinstance(series.items[0], Box) else 1.0
        leaving |= {link.source for link in links}
        piece = self.series(series, depth, shape, nested, links, vias, lead, leaving)
        Lanes(piece).run(links, vias)
        return piece

    def series(
        self,
        series: Series,
        depth: int,
        shape: str,
        nested: bool,
        links: tuple[Link, ...] = (),
        vias: dict[int, Piece] | None = None,
        lead: float = 0.0,
        leaving: frozenset[str] = frozenset(),
    ) -> Piece:
        """Items below one another, on one axis. `shape` is that of the value that comes in."""
        shapes = [shape]
        for item in series.items:
            shapes.append(_shape_of(item) or shapes[-1])
        parts = [self.item(item, depth, before) for item, before in zip(series.items, shapes)]
        labels = [label_of(item) for item in series.items]
        piece = Piece()
        reach = [part.axis + (text_width(label, NOTE, True) + 8 if label else 0) for label, part in zip(labels, parts)]
        piece.axis = axis = right = max(reach, default=0.0)
        y, above = 0.0, [Exit(axis, 0.0, "")]
        for i, (item, part, label) in enumerate(zip(series.items, parts, labels)):
            top = y if i else lead
            top = self.below_vias(piece, part, top, links, vias or {})
            if i not in series.breaks and (i or lead):
                arrow = not isinstance(item, Parallel)
                piece.wires += [_into(out, axis, top, first_id(item), arrow) for out in above]
            x = axis - part.axis
            piece.put(part, x, top)
            if label:
                piece.words.append(Words(x - 6, top + 15, label, NOTE, "strong", "end"))
            above, y = part.exits_at(x, top), top + part.height
            reaches = x + part.width
            last = i + 1 == len(parts)
            said, style = said_of(shapes[i], shapes[i + 1], nested) if not (nested and last) else ("", "")
            if said and len(above) == 1:
                piece.words.append(Words(axis + 5, y + 16, said, NOTE, style, "start"))
                reaches = max(reaches, axis + 7 + text_width(said, NOTE, style == "size"))
            wide = said or any(box.id in leaving for box in _boxes(item))
            y += (WIDE_GAP if wide else GAP) if not last else 0.0 if nested else OUT
            piece.rows.append(Row(top, y, reaches))
            right = max(right, reaches)
        piece.width, piece.height, piece.exits = right, y, above
        return piece

    def below_vias(
        self, piece: Piece, part: Piece, top: float, links: tuple[Link, ...], vias: dict[int, Piece]
    ) -> float:
        """How far down an item has to stand for the boxes on links that end in it to have room."""
        for i, link in enumerate(links):
            if i not in vias or link.target == EXIT or link.target not in part.ports:
                continue
            source = piece.ports.get(link.source)
            start = source.low if source else 0.0
            need = start + RISE + vias[i].height + 2 * GAP
            top = max(top, need - part.ports[link.target].middle)
        return top

    def parallel(self, parallel: Parallel, depth: int, shape: str) -> Piece:
        """Branches side by side, and below them their join."""
        piece = Piece()
        branches = [self.series(branch, depth, shape, True) for branch in parallel.branches]
        fork = 0.0 if all(_is_input(branch.items[0]) for branch in parallel.branches) else FORK
        if fork and parallel.join is not None and sum(branch.width + ASIDE for branch in branches) > MAX_ROW:
            if not any(0 in branch.breaks for branch in parallel.branches):
                return self.in_rows(parallel, branches, self.box(parallel.join, depth))
        lefts, x = [], 0.0
        for branch in branches:
            lefts.append(x)
            x += branch.width + ASIDE
        axes = [left + branch.axis for left, branch in zip(lefts, branches)]
        middle = (axes[0] + axes[-1]) / 2
        join = self.box(parallel.join, depth) if parallel.join is not None else None
        shift = max(0.0, join.axis - middle) if join is not None else 0.0
        piece.axis = axis = middle + shift
        bottom = fork + max(branch.height for branch in branches)
        outs: list[Exit] = []
        for branch, left, given in zip(branches, lefts, parallel.branches):
            at = left + shift
            if 0 not in given.breaks and not _is_input(given.items[0]):
                points = bent(axis, 0.0, at + branch.axis, fork, 6.0)
                piece.wires.append(Wire(points, "wire", True, "", first_id(given.items[0])))
            if given.count > 1:
                piece.words.append(Words(at + branch.axis - 6, 14, f"× {given.count}", NOTE, "strong", "end"))
            piece.put(branch, at, fork)
            outs += branch.exits_at(at, fork)
        piece.width = max(x - ASIDE + shift, axis)
        if join is None or parallel.join is None:
            piece.height, piece.exits = bottom, outs
            return piece
        top = bottom + FORK
        for out in outs:
            points = bent(out.x, out.y, axis, top, top - 9.0)
            piece.wires.append(Wire(points, "wire", True, out.source, parallel.join.id))
        piece.put(join, axis - join.axis, top)
        piece.width = max(piece.width, axis + join.width - join.axis)
        piece.height, piece.exits = top + join.height, join.exits_at(axis - join.axis, top)
        return piece

    def in_rows(self, parallel: Parallel, branches: list[Piece], join: Piece) -> Piece:
        """Many branches in rows: lines lead to them on the left, and from them to their join on the right."""
        area = sum(branch.width + ASIDE for branch in branches) * (max(b.height for b in branches) + 2 * FORK)
        room = max(*(branch.width for branch in branches), join.width, (ROWS * area) ** 0.5)
        rows: list[list[int]] = [[]]
        x, lefts = ASIDE, []
        for i, branch in enumerate(branches):
            if rows[-1] and x + branch.width > room:
                rows.append([])
                x = ASIDE
            rows[-1].append(i)
            lefts.append(x)
            x += branch.width + ASIDE
        right = max(left + branch.width for left, branch in zip(lefts, branches)) + ASIDE
        piece = Piece()
        piece.axis, piece.width = right / 2, right + 1.0
        axis, top = piece.axis, 0.0
        target = first_id(parallel.join) if parallel.join is not None else ""
        ways: list[tuple[Exit, float]] = []
        for n, row in enumerate(rows):
            low = top + FORK + max(branches[i].height for i in row) + 8.0
            for i in row:
                branch, given, x = branches[i], parallel.branches[i], lefts[i] + branches[i].axis
                across = ((axis, 0.0), (axis, 6.0), (0.0, 6.0), (0.0, top + 6.0), (x, top + 6.0), (x, top + FORK))
                points = across if n else bent(axis, 0.0, x, FORK, 6.0)
                piece.wires.append(Wire(points, "wire", True, "", first_id(given.items[0])))
                if given.count > 1:
                    piece.words.append(Words(x - 6, top + 14, f"× {given.count}", NOTE, "strong", "end"))
                piece.put(branch, lefts[i], top + FORK)
                ways += [(out, low) for out in branch.exits_at(lefts[i], top + FORK)]
            top = low + 6.0
        top += FORK - 6.0
        for out, low in ways:
            down = ((out.x, out.y), (out.x, low), (right, low), (right, top - 9.0), (axis, top - 9.0), (axis, top))
            points = down if low < top - FORK else bent(out.x, out.y, axis, top, top - 9.0)
            piece.wires.append(Wire(points, "wire", True, out.source, target))
        piece.put(join, axis - join.axis, top)
        piece.height, piece.exits = top + join.height, join.exits_at(axis - join.axis, top)
        return piece


def _finish(piece: Piece, box: Box, width: float, height: float, axis: float) -> None:
    behind = STACK * min(box.count - 1, 2)
    piece.width, piece.height, piece.axis = width + behind, height + behind, axis
    piece.exits = [Exit(axis, height, box.id)]
    piece.ports[box.id] = Port(axis, 0.0, width, height, height + behind)


def _shape(form: str, box: Box, width: float, height: float) -> Shape:
    title = f"{box.title} × {box.count}" if box.count > 1 else box.title
    title = f"{title}, {box.subtitle}" if box.subtitle else title
    return Shape(
        form, box.kind, 0.0, 0.0, width, height, box.id, title, box.count, compact(box.shape), box.params, box.macs,
        box.place, box.training,
    )  # fmt: skip


def _times(box: Box) -> str:
    return f"× {box.count:,}" if box.count > 1 else ""


def compact(shape: str) -> str:
    """`64 × 56 × 56` as pictures have it: 64×56×56."""
    return shape.replace(" x ", "×")


def said_of(before: str, shape: str, nested: bool) -> tuple[str, str]:
    """What is written below an element, and how: the shape where it changes; inside of blocks only another extent."""
    if shape == before:
        return "", ""
    resized = before.split(" x ")[1:] != shape.split(" x ")[1:]
    if nested and not (resized and before):
        return "", ""
    return clipped(compact(shape), NOTE, MAX_TITLE), "size" if resized else "quiet"


def label_of(item: Box | Parallel) -> str:
    first = item if isinstance(item, Box) else None
    return clipped(first.label, NOTE, MAX_LABEL, bold=True) if first is not None else ""


def _shape_of(item: Box | Parallel) -> str:
    box = item if isinstance(item, Box) else item.join
    return box.shape if box is not None else ""


def _only_block(diagram: Diagram) -> Box | None:
    """The block that a diagram consists of."""
    items = diagram.series.items
    only = items[0] if len(items) == 1 and not diagram.links else None
    return only if isinstance(only, Box) and (only.count == 1 or only.holds_steps) else None


def _is_input(item: Box | Parallel) -> bool:
    return isinstance(item, Box) and item.kind == "input"


def _boxes(item: Box | Parallel) -> list[Box]:
    return boxes_of(Series((item,)))


def _into(out: Exit, axis: float, top: float, target: str, arrow: bool) -> Wire:
    return Wire(bent(out.x, out.y, axis, top, top - 9.0), "wire", arrow, out.source, target)


def _down(out: Exit, axis: float, bottom: float) -> Wire:
    return Wire(bent(out.x, out.y, axis, bottom, bottom - 5.0), "wire", False, out.source)
