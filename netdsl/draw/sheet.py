"""How does a network fill a page?  In columns of the page's proportions, with as many blocks opened as can be read."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from netdsl.draw.layout import Builder
from netdsl.draw.picture import Picture, Wire
from netdsl.draw.pieces import LANE, OUT, RISE, Page, Piece
from netdsl.draw.structure import ENTRY, EXIT, Box, Diagram, Link, Parallel, Series, boxes_of, levels
from netdsl.draw.ushape import u_of, u_shaped
from netdsl.options import UsageError
from netdsl.record import Record

PAGES = {"portrait": (794.0, 1123.0), "wide": (1280.0, 720.0), "column": (794.0, float("inf"))}
"""Sizes of pages: A4, a slide of 16:9, and one column of any height."""
LEGIBLE = 0.5
"""Without being asked, blocks are opened as long as letters keep so much of their size on the page: 4 points on A4."""
MAX_DRAWN = 4_000
"""A picture of more boxes is refused; of a tenth of that blocks are not opened without being asked."""
MARGIN = 20.0
MAX_COLUMNS = 8
CHANNEL = 34.0
"""Between columns: the line that goes on in the next one runs there."""
TRACK = 6.0
"""Between links that run from one column to another, above both."""


class Split(Record):
    """The trunk in columns: from which item to which each has, and the links that stay in it; and those that do not."""

    columns: tuple[tuple[int, int, tuple[Link, ...]], ...]
    across: tuple[Link, ...]


def picture(drawn: Diagram, depth: int | None = None, page: str = "portrait") -> Picture:
    """The page of a network. `depth` says how many levels of blocks are opened; without it, as many as can be read.

    Raises UsageError where more is to be drawn than anyone can read.
    """
    builder = Builder()
    if depth is not None:
        depth = min(depth, levels(drawn))
        need_few(drawn, depth)
        u = as_u(builder, drawn, page) if depth == 0 else None
        return finished(drawn, u or fitted(builder, drawn, depth, PAGES[page]))
    need_few(drawn, 0)
    u = as_u(builder, drawn, page)
    if u is not None:
        return finished(drawn, u)
    best = fitted(builder, drawn, 0, PAGES[page])
    for deeper in range(1, levels(drawn) + 1):
        if boxes_at(drawn, deeper) > MAX_DRAWN / 10:
            break
        found = fitted(builder, drawn, deeper, PAGES[page])
        if scale(found, PAGES[page]) < LEGIBLE:
            break
        best = found
    return finished(drawn, best)


def as_u(builder: Builder, drawn: Diagram, page: str) -> Piece | None:
    """The network as a U, where it is one that can be read on this page."""
    u = u_of(drawn) if page != "column" else None
    piece = u_shaped(builder, drawn, u) if u is not None else None
    return piece if piece is not None and scale(piece, PAGES[page]) >= LEGIBLE else None


def boxes_at(drawn: Diagram, depth: int) -> int:
    """How many boxes and frames there are with so many levels opened."""
    known: dict[tuple[int, int], int] = {}

    def of(diagram: Diagram, depth: int) -> int:
        key = id(diagram), depth
        if key not in known:
            boxes = diagram.boxes
            inside = (of(box.body, depth - 1) for box in boxes if box.body is not None) if depth else ()
            known[key] = len(boxes) + sum(inside)
        return known[key]

    return of(drawn, depth)


def need_few(drawn: Diagram, depth: int) -> None:
    count = boxes_at(drawn, depth)
    if count <= MAX_DRAWN:
        return
    advice = "; a smaller --depth opens fewer blocks" if depth else "; what is written as a block is one box"
    raise UsageError(
        f"a picture of {drawn.name} would have {count:,} boxes, and at most {MAX_DRAWN:,} are drawn{advice}"
    )


def scale(piece: Piece, page: tuple[float, float]) -> float:
    """By how much a piece is made smaller for a page; never larger."""
    return min(1.0, page[0] / (piece.width + 2 * MARGIN), page[1] / (piece.height + 2 * MARGIN))


def finished(drawn: Diagram, piece: Piece) -> Picture:
    page = Page()
    piece.flatten(page, MARGIN, MARGIN)
    boxes = len(drawn.boxes)
    first = drawn.series.items[0]
    begins = f" from {first.shape}" if isinstance(first, Box) else ""
    description = f"The network {drawn.name}{begins}: {boxes} boxes in series and in parallel, drawn from the top down"
    return Picture(
        drawn.name, description, round(piece.width + 2 * MARGIN, 1), round(piece.height + 2 * MARGIN, 1),
        tuple(page.shapes), tuple(page.wires), tuple(page.words),
    )  # fmt: skip


# --- columns ---------------------------------------------------------------------------------------------------


def fitted(builder: Builder, drawn: Diagram, depth: int, page: tuple[float, float]) -> Piece:
    """The network in the number of columns that leaves it largest on the page."""
    whole = builder.column(drawn.series, drawn.links, depth, drawn.shape, nested=False)
    leave(whole, whole, 0.0, 0.0)
    best, most = whole, scale(whole, page)
    heights = [row.bottom - row.top for row in whole.rows[: len(drawn.series.items)]]
    for columns in range(2, min(MAX_COLUMNS, len(heights)) + 1):
        if most == 1.0 or whole.height / columns < page[1] / 4:
            break
        found = in_columns(builder, drawn, depth, balanced(heights, columns))
        size = scale(found, page)
        if size > most * 1.1:
            best, most = found, size
    return best


def balanced(heights: list[float], columns: int) -> list[int]:
    """Where columns begin, so that the tallest is as short as can be."""
    low, high = max(heights), sum(heights)
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if len(starts_of(heights, middle)) <= columns else (middle, high)
    return starts_of(heights, high)


def starts_of(heights: list[float], limit: float) -> list[int]:
    starts, filled = [0], 0.0
    for i, height in enumerate(heights):
        if filled and filled + height > limit:
            starts.append(i)
            filled = 0.0
        filled += height
    return starts


def split(drawn: Diagram, starts: list[int]) -> Split:
    items = drawn.series.items
    ends = [*starts[1:], len(items)]
    column_of = {ENTRY: 0}
    for k, (start, end) in enumerate(zip(starts, ends)):
        column_of.update((box.id, k) for box in boxes_of(Series(items[start:end])))
    waiting = [link for link in drawn.links if link.via is not None]
    while waiting:  # boxes on links stand in the column where their link begins, which may be on another one
        known = [link for link in waiting if link.source in column_of] or waiting
        for link in known:
            column_of.update((box.id, column_of.get(link.source, 0)) for box in boxes_of(link.via or Series(())))
        waiting = [link for link in waiting if link not in known]
    inside: list[list[Link]] = [[] for _ in starts]
    across = []
    for link in drawn.links:
        k = column_of.get(link.source, 0)
        if link.target == EXIT or column_of.get(link.target, 0) == k:
            inside[k].append(link)
        elif link.via is None:
            across.append(link)
        else:  # its boxes stay beside where it begins
            inside[k].append(link.replace(target=EXIT))
            last = boxes_of(link.via)[-1].id
            across.append(link.replace(source=last, via=None))
    columns = tuple((start, end, tuple(links)) for start, end, links in zip(starts, ends, inside))
    return Split(columns, tuple(across))


def in_columns(builder: Builder, drawn: Diagram, depth: int, starts: list[int]) -> Piece:
    """The network in columns side by side, the lines between them, and the links from one to another above all."""
    parts = split(drawn, starts)
    above = TRACK * (len(parts.across) + 1) + 12.0 if parts.across else 12.0
    page = Piece()
    x, placed = 0.0, []
    shape = drawn.shape
    sources = frozenset(link.source for link in parts.across)
    for start, end, links in parts.columns:
        breaks = frozenset(i - start for i in drawn.series.breaks if start <= i < end)
        part = builder.column(Series(drawn.series.items[start:end], breaks), links, depth, shape, False, sources)
        shape = last_shape(drawn.series.items[:end]) or shape
        page.put(part, x, above)
        placed.append((x, part, start in drawn.series.breaks))
        lanes = LANE * sum(link.source in part.ports or link.target in part.ports for link in parts.across)
        x += part.width + lanes + CHANNEL
        page.height = max(page.height, above + part.height)
    page.width = x - CHANNEL
    page.height += 14.0
    for (left, part, _), (right, following, apart) in pairwise(placed):
        if not apart:
            page.wires += carried(part, left, following, right, above)
    run_across(page, parts.across, placed, above)
    leave(page, placed[-1][1], placed[-1][0], above)
    return page


def leave(page: Piece, part: Piece, x: float, y: float) -> None:
    """The arrow at the end of the trunk."""
    for out in part.exits_at(x, y):
        page.wires.append(Wire(((out.x, out.y), (out.x, out.y + OUT)), "wire", True, out.source))


def last_shape(items: Iterable[Box | Parallel]) -> str:
    found = ""
    for item in items:
        box = item if isinstance(item, Box) else item.join
        found = box.shape if box is not None else found
    return found


def carried(part: Piece, left: float, following: Piece, right: float, above: float) -> list[Wire]:
    """The line from the end of a column to the beginning of the next."""
    channel = right - 12.0
    axis = right + following.axis
    wires = []
    for out in part.exits_at(left, above):
        low = above + part.height + 8.0
        points = (
            (out.x, out.y),
            (out.x, low),
            (channel, low),
            (channel, above - 10.0),
            (axis, above - 10.0),
            (axis, above),
        )
        wires.append(Wire(points, "wire", True, out.source, ""))
    return wires


def run_across(page: Piece, links: tuple[Link, ...], placed: list[tuple[float, Piece, bool]], above: float) -> None:
    """Links from one column to another: up beside the one, across above all, and down beside the other."""
    used = [0] * len(placed)

    def lane(id: str) -> float:
        k = next((k for k, (_, part, _) in enumerate(placed) if id in part.ports), 0)
        used[k] += 1
        return placed[k][0] + placed[k][1].width + LANE * used[k]

    for n, link in enumerate(links):
        source = page.ports.get(link.source)
        target = page.ports[link.target]
        x0, y0 = (source.axis, source.low + RISE) if source else (placed[0][0] + placed[0][1].axis, above + 4.0)
        track = TRACK * n
        up, down = lane(link.source), lane(link.target)
        style = "training" if link.training else "skip"
        if source and link.kind != "skip":  # it comes from a box beside the trunk, which has no line of its own
            page.wires.append(Wire(((x0, source.bottom), (x0, y0)), style, False, link.source))
        points = ((x0, y0), (up, y0), (up, track), (down, track), (down, target.middle), (target.right, target.middle))
        page.wires.append(Wire(points, style, True, link.source, link.target))
