"""What runs beside a series?  Skips, chains of boxes, heads."""

from __future__ import annotations

from netdsl.draw.metrics import clipped, text_width
from netdsl.draw.picture import Wire, Words
from netdsl.draw.pieces import GAP, LANE, MAX_TITLE, NOTE, RISE, Exit, Piece, Port, Row, bent, first_id
from netdsl.draw.structure import EXIT, Link


class Lanes:
    """What runs beside a series: skips, chains of boxes, heads. Mutable: it remembers what is taken.

    The shortest runs closest to the series, so that what nests does not cross; what does not come back, outside of all,
    the lowest first. Boxes stand where no line of another link passes.
    """

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.taken: list[Row] = []
        self.ends: dict[str, int] = {}
        self.passing: list[float] = []
        """The heights at which links leave the series and come back to it."""
        self.open: list[tuple[Link, list[Exit]]] = []
        """Chains whose last line is still to be drawn: where it ends may not be placed yet."""

    def run(self, links: tuple[Link, ...], vias: dict[int, Piece]) -> None:
        self.passing = [y for link in links for y in self.ends_of(link)]
        order = sorted(range(len(links)), key=lambda i: self.rank(links[i], vias.get(i)))
        while order:  # one may begin or end on another, which then has to have its place
            ready = [i for i in order if self.is_placed(links[i], vias.get(i))] or order
            for i in ready:
                if i in vias:
                    self.chain(links[i], vias[i])
                else:
                    self.skip(links[i])
            order = [i for i in order if i not in ready]
        for link, outs in self.open:
            port, y1 = self.arrival(link.target)
            for out in outs:
                points = ((out.x, out.y), (out.x, y1), (port.right, y1))
                self.piece.wires.append(Wire(points, _style(link), True, out.source, link.target))

    def rank(self, link: Link, via: Piece | None) -> tuple[bool, float, bool]:
        """In which order links are placed, from the series outwards."""
        start, end = self.span(link, via)
        return (True, -start, via is None) if link.target == EXIT else (False, abs(end - start), via is None)

    def is_placed(self, link: Link, via: Piece | None) -> bool:
        ends = (link.source,) if via else (link.source, link.target)
        return all(id in self.piece.ports for id in ends if id)

    def ends_of(self, link: Link) -> list[float]:
        target = self.piece.ports.get(link.target)
        return [self.start(link)[1], *([target.middle] if target else [])]

    def clear(self, via: Piece, low: float, high: float) -> float:
        """Where the boxes of a link stand: in the middle between two heights, or where no line passes through one."""
        middle = (low + high - via.height) / 2
        steps = [middle + sign * 4.0 * k for k in range(int((high - low - via.height) / 8) + 1) for sign in (1, -1)]
        inside = [y for y in self.passing if low < y < high]
        boxes = [(port.top - 5.0, port.low + 5.0) for port in via.ports.values()]
        free = (top for top in steps if not any(a < y - top < b for a, b in boxes for y in inside))
        return next(free, middle)

    def start(self, link: Link) -> tuple[float, float]:
        port = self.piece.ports.get(link.source)
        return (port.axis, port.low + RISE) if port else (self.piece.axis, 4.0)

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
        top = y0 + GAP if link.target == EXIT else max(y0 + GAP, self.clear(via, y0, bottom_of))
        if 0 not in link.via.breaks:
            points = ((x0, y0), (axis, y0), (axis, top))
            self.piece.wires.append(Wire(points, style, True, link.source, first_id(link.via.items[0])))
        self.piece.put(via, x, top)
        self.piece.rows.append(Row(top, top + via.height, x + via.width))
        outs = via.exits_at(x, top)
        if link.target == EXIT and not label:
            return  # it goes on in another column
        if link.target == EXIT:
            end = top + via.height + 13.0
            self.piece.wires += [Wire(bent(o.x, o.y, axis, end, end - 8.0), style, True, o.source) for o in outs]
            self.piece.words.append(Words(axis, end + 10, label, NOTE, "quiet"))
            return
        self.open.append((link, outs))


def _style(link: Link) -> str:
    return "training" if link.training else "skip"
