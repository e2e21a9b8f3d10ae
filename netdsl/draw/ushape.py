"""Is it a U?  Networks that shrink their input and grow it again, with skips across (Ronneberger et al. 2015, fig. 1).

What goes down stands on the left, what comes up on the right, each step beside the one whose value it takes again.
"""

from __future__ import annotations

from itertools import pairwise

from netdsl.draw.layout import Builder, label_of, said_of
from netdsl.draw.metrics import text_width
from netdsl.draw.picture import Point, Wire, Words
from netdsl.draw.pieces import GAP, NOTE, OUT, RISE, WIDE_GAP, Piece, Row
from netdsl.draw.structure import Box, Diagram, Link, Series
from netdsl.record import Record

BETWEEN = 70.0
"""Between both sides of a U."""


class U(Record):
    """The trunk up to the turn, what comes up after it, and the skips by their targets."""

    down: tuple[Box, ...]
    up: tuple[Box, ...]
    skips: dict[str, Link]


def u_of(drawn: Diagram) -> U | None:
    """The two sides of a network whose skips, two or more, lie within one another; else None."""
    items = [item for item in drawn.series.items if isinstance(item, Box)]
    if len(drawn.links) < 2 or len(items) < len(drawn.series.items) or drawn.series.breaks:
        return None
    place = {box.id: i for i, box in enumerate(items)}
    if any(link.kind != "skip" or link.source not in place or link.target not in place for link in drawn.links):
        return None
    ends = sorted((place[link.source], place[link.target]) for link in drawn.links)
    nested = all(a[0] < b[0] and a[1] > b[1] for a, b in pairwise(ends))
    if not nested or ends[-1][1] - ends[-1][0] < 2:
        return None
    turn = ends[-1][1]
    return U(tuple(items[:turn]), tuple(items[turn:]), {link.target: link for link in drawn.links})


def u_shaped(builder: Builder, drawn: Diagram, u: U) -> Piece:
    """The U, with all blocks closed."""
    sources = frozenset(link.source for link in u.skips.values())
    left = builder.column(Series(u.down), (), 0, drawn.shape, nested=False, leaving=sources)
    parts = [builder.box(box, 0) for box in u.up]
    page = Piece()
    axis = left.width + BETWEEN + max(part.axis for part in parts)
    heights = tops(left, u, parts)
    above = max(0.0, OUT - heights[-1])
    page.put(left, 0.0, above)
    shape = u.down[-1].shape
    out = left.exits_at(0.0, above)[0]
    low = above + left.height + 8.0
    start: tuple[Point, ...] = ((out.x, out.y), (out.x, low), (axis, low))
    outer_first = [box.id for box in reversed(u.up) if box.id in u.skips]
    turns = {id: left.width + BETWEEN * (i + 1) / (len(u.skips) + 1) for i, id in enumerate(outer_first)}
    page.width = axis
    for box, part, top in zip(u.up, parts, heights):
        y = top + above
        page.put(part, axis - part.axis, y)
        port = page.ports[box.id]
        page.wires.append(Wire((*start, (axis, port.bottom)), "wire", True, out.source, box.id))
        if box.id in u.skips:
            page.wires.append(skip(page, u.skips[box.id], turns[box.id], 2 * port.axis - port.right))
        right = axis + part.width - part.axis
        if label := label_of(box):
            page.words.append(Words(right + 6, y + 15, label, NOTE, "strong", "start"))
            right += 8 + text_width(label, NOTE, True)
        said, style = said_of(shape, box.shape, False)
        if said:
            page.words.append(Words(axis + 5, y - 8, said, NOTE, style, "start"))
        page.width = max(page.width, right, axis + 7 + text_width(said, NOTE, style == "size"))
        page.rows.append(Row(y, y + part.height, right))
        start, out, shape = ((axis, y),), part.exits_at(0.0, 0.0)[0], box.shape
    page.wires.append(Wire(((axis, heights[-1] + above), (axis, heights[-1] + above - OUT)), "wire", True, u.up[-1].id))
    page.height = low + 1.0
    return page


def tops(left: Piece, u: U, parts: list[Piece]) -> list[float]:
    """Where what comes up stands: beside what it takes again, or as low as it can."""
    found: list[float] = []
    limit = left.height
    before = u.down[-1].shape
    for box, part in zip(u.up, parts):
        top = limit - part.height
        if box.id in u.skips:
            source = left.ports[u.skips[box.id].source]
            top = min(top, source.low + RISE - part.ports[box.id].middle)
        found.append(top)
        limit = top - (WIDE_GAP if said_of(before, box.shape, False)[0] else GAP)
        before = box.shape
    return found


def skip(page: Piece, link: Link, turn: float, edge: float) -> Wire:
    """A line across to the left edge of a box: straight where both ends are beside each other."""
    source, target = page.ports[link.source], page.ports[link.target]
    y = source.low + RISE
    points = ((source.axis, y), (turn, y), (turn, target.middle), (edge, target.middle))
    straight = abs(y - target.middle) < 0.01
    return Wire((points[0], points[-1]) if straight else points, "skip", True, link.source, link.target)
