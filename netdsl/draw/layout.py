"""Where does everything stand?  From boxes in series and in parallel to places on a page.

The network runs from the top down. Branches stand side by side, skips run beside the series, an opened block is a
frame. `sheet.py` makes columns of what is too tall.
"""

from __future__ import annotations

from netdsl.draw.metrics import clipped, text_width
from netdsl.draw.picture import Shape, Wire, Words
from netdsl.draw.pieces import Exit, Piece, Port, Row
from netdsl.draw.structure import ENTRY, EXIT, Box, Diagram, Link, Parallel, Series, boxes_of

TITLE, NOTE = 11.0, 9.0
"""Sizes of letters: titles, and all else."""
MAX_TITLE, MAX_LABEL = 250.0, 90.0
"""A longer text is clipped."""
PAD = 9.0
"""Between a text and the sides of its box."""
GAP, WIDE_GAP = 15.0, 25.0
"""Between boxes; where a shape is written, or a skip begins, there is more."""
ASIDE = 16.0
"""Between branches."""
FORK = 17.0
"""Between the place where branches part and the first boxes on them."""
LANE = 11.0
"""Between skips."""
RISE = 5.0
"""So far below a box its skips begin."""
STACK = 3.0
"""A box that stands for several has others behind it, each so far off."""
OUT = 20.0
"""Of the line that leaves a column."""
INSET, HEAD = 10.0, 19.0
"""Between a frame and what it holds; above that is the frame's title."""


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
        if body.shape:
            piece.entered = True
            piece.wires.append(Wire(((axis, 0), (axis, HEAD))))
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
        _Lanes(piece).run(links, vias)
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
                arrow = not isinstance(item, Parallel) and not part.entered
                piece.wires += [_into(out, axis, top, _first(item), arrow) for out in above]
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
            start = source.bottom if source else 0.0
            need = start + RISE + vias[i].height + 2 * GAP
            top = max(top, need - part.ports[link.target].middle)
        return top

    def parallel(self, parallel: Parallel, depth: int, shape: str) -> Piece:
        """Branches side by side, and below them their join."""
        piece = Piece()
        branches = [self.series(branch, depth, shape, True) for branch in parallel.branches]
        fork = 0.0 if all(_is_input(branch.items[0]) for branch in parallel.branches) else FORK
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
                points = _bent(axis, 0.0, at + branch.axis, fork, 6.0)
                piece.wires.append(Wire(points, "wire", True, "", _first(given.items[0])))
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
            points = _bent(out.x, out.y, axis, top, top - 9.0)
            piece.wires.append(Wire(points, "wire", True, out.source, parallel.join.id))
        piece.put(join, axis - join.axis, top)
        piece.width = max(piece.width, axis + join.width - join.axis)
        piece.height, piece.exits = top + join.height, join.exits_at(axis - join.axis, top)
        return piece


class _Lanes:
    """What runs beside a series: skips, chains of boxes, heads. Mutable: it remembers what is taken.

    The shortest runs closest to the series, so that what nests does not cross.
    """

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.taken: list[Row] = []
        self.ends: dict[str, int] = {}
        self.open: list[tuple[Link, list[Exit]]] = []
        """Chains whose last line is still to be drawn: where it ends may not be placed yet."""

    def run(self, links: tuple[Link, ...], vias: dict[int, Piece]) -> None:
        waiting = sorted(vias, key=lambda i: self.length(links[i], vias[i]))
        while waiting:  # one may begin on another, which then has to have its place
            ready = [i for i in waiting if links[i].source == ENTRY or links[i].source in self.piece.ports]
            for i in ready or waiting:
                self.chain(links[i], vias[i])
            waiting = [i for i in waiting if i not in ready] if ready else []
        for link, outs in self.open:
            port, y1 = self.arrival(link.target)
            for out in outs:
                points = ((out.x, out.y), (out.x, y1), (port.right, y1))
                self.piece.wires.append(Wire(points, _style(link), True, out.source, link.target))
        plain = [link for i, link in enumerate(links) if i not in vias]
        for link in sorted(plain, key=lambda link: self.length(link, None)):
            self.skip(link)

    def length(self, link: Link, via: Piece | None) -> float:
        start, end = self.span(link, via)
        return abs(end - start)

    def start(self, link: Link) -> tuple[float, float]:
        port = self.piece.ports.get(link.source)
        return (port.axis, port.bottom + RISE) if port else (self.piece.axis, 4.0)

    def span(self, link: Link, via: Piece | None) -> tuple[float, float]:
        """Between which heights a link runs."""
        y = self.start(link)[1]
        port = self.piece.ports.get(link.target) if link.target != EXIT else None
        if port is None:
            return y, y + (GAP + via.height + 28.0 if via else 4.0)
        return y, port.middle

    def lane(self, top: float, bottom: float, width: float) -> float:
        """The left end of a free strip beside the series."""
        low, high = min(top, bottom) - 3.0, max(top, bottom) + 3.0
        beside = [row.right for row in (*self.piece.rows, *self.taken) if row.top < high and row.bottom > low]
        x = max(beside, default=self.piece.axis) + LANE
        self.taken.append(Row(low, high, x + width))
        self.piece.width = max(self.piece.width, x + width + 1.0)
        self.piece.height = max(self.piece.height, high - 3.0)
        return x

    def arrival(self, id: str) -> tuple[Port, float]:
        """Where the next link that ends in a box meets it: they share its side."""
        port = self.piece.ports[id]
        before = self.ends.get(id, 0)
        self.ends[id] = before + 1
        room = (port.bottom - port.top) / 2 - 4.0
        offset = 4.5 * ((before + 1) // 2) * (-1) ** before
        return port, port.middle + max(-room, min(room, offset))

    def skip(self, link: Link) -> None:
        x0, y0 = self.start(link)
        style = _style(link)
        if link.target == EXIT:
            width = text_width(link.label, NOTE)
            x = self.lane(y0 - 5, y0 + 5, width + 18)
            self.piece.wires.append(Wire(((x0, y0), (x + 12, y0)), style, True, link.source))
            self.piece.words.append(Words(x + 16, y0 + 3, link.label, NOTE, "quiet", "start"))
            return
        port, y1 = self.arrival(link.target)
        x = self.lane(y0, y1, 0.0)
        self.piece.wires.append(
            Wire(((x0, y0), (x, y0), (x, y1), (port.right, y1)), style, True, link.source, link.target)
        )

    def chain(self, link: Link, via: Piece) -> None:
        """Boxes on a link: a projection, a short branch, an auxiliary head."""
        assert link.via is not None
        x0, y0 = self.start(link)
        top_of, bottom_of = self.span(link, via)
        style = _style(link)
        label = clipped(link.label + (", training only" if link.training else ""), NOTE, MAX_TITLE)
        half = text_width(label, NOTE) / 2 if link.target == EXIT else 0.0
        left = max(0.0, half - via.axis)
        x = self.lane(top_of, bottom_of, left + max(via.width, via.axis + half)) + left
        axis = x + via.axis
        top = y0 + GAP if link.target == EXIT else y0 + max(GAP, (bottom_of - y0 - via.height) / 2)
        if 0 not in link.via.breaks:
            points = ((x0, y0), (axis, y0), (axis, top))
            self.piece.wires.append(Wire(points, style, True, link.source, _first(link.via.items[0])))
        self.piece.put(via, x, top)
        self.piece.rows.append(Row(top, top + via.height, x + via.width))
        outs = via.exits_at(x, top)
        if link.target == EXIT and not label:
            return  # it goes on in another column
        if link.target == EXIT:
            end = top + via.height + 13.0
            self.piece.wires += [Wire(_bent(o.x, o.y, axis, end, end - 8.0), style, True, o.source) for o in outs]
            self.piece.words.append(Words(axis, end + 10, label, NOTE, "quiet"))
            return
        self.open.append((link, outs))


def _style(link: Link) -> str:
    return "training" if link.training else "skip"


def _finish(piece: Piece, box: Box, width: float, height: float, axis: float) -> None:
    behind = STACK * min(box.count - 1, 2)
    piece.width, piece.height, piece.axis = width + behind, height + behind, axis
    piece.exits = [Exit(axis, height, box.id)]
    piece.ports[box.id] = Port(axis, 0.0, width, height)


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


def _first(item: Box | Parallel) -> str:
    """The box that a wire into an item leads to; of branches none in particular."""
    return item.id if isinstance(item, Box) else ""


def _only_block(diagram: Diagram) -> Box | None:
    """The block that a diagram consists of."""
    items = diagram.series.items
    only = items[0] if len(items) == 1 and not diagram.links else None
    return only if isinstance(only, Box) and (only.count == 1 or only.holds_steps) else None


def _is_input(item: Box | Parallel) -> bool:
    return isinstance(item, Box) and item.kind == "input"


def _boxes(item: Box | Parallel) -> list[Box]:
    return boxes_of(Series((item,)))


def _bent(x0: float, y0: float, x1: float, y1: float, bend: float) -> tuple[tuple[float, float], ...]:
    """A line down, across at the height `bend`, and down."""
    return ((x0, y0), (x1, y1)) if abs(x0 - x1) < 0.01 else ((x0, y0), (x0, bend), (x1, bend), (x1, y1))


def _into(out: Exit, axis: float, top: float, target: str, arrow: bool) -> Wire:
    return Wire(_bent(out.x, out.y, axis, top, top - 9.0), "wire", arrow, out.source, target)


def _down(out: Exit, axis: float, bottom: float) -> Wire:
    return Wire(_bent(out.x, out.y, axis, bottom, bottom - 5.0), "wire", False, out.source)
