"""How do parts of a picture stand to one another?  A piece has coordinates of its own until it is placed."""

from __future__ import annotations

from netdsl.draw.picture import Shape, Wire, Words
from netdsl.draw.structure import Box, Parallel
from netdsl.record import Record

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
MAX_ROW = 2000.0
"""Branches that are wider together stand in rows."""
ROWS = 0.7
"""The proportion of such rows, width to height."""
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
"""Between a frame and what it holds; above that is a band with the frame's title, where lines end and begin."""


class Exit(Record):
    """A value that goes out downwards, from the box `source` whose lower edge is at (x, y)."""

    x: float
    y: float
    source: str


class Port(Record):
    """Where a box stands: its axis and its edges."""

    axis: float
    top: float
    right: float
    bottom: float
    low: float
    """Below those behind it."""

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class Row(Record):
    """How far to the right a part of a series reaches."""

    top: float
    bottom: float
    right: float


class Piece:
    """A part of the picture. Mutable: it is built, then placed, once or more.

    axis    where the value comes in, at the top
    exits   where values go out: one, or one for each branch that is still open
    ports   the boxes of this diagram inside it, by id: links begin and end there
    rows    what stands below one another
    """

    def __init__(self) -> None:
        self.width = self.height = self.axis = 0.0
        self.exits: list[Exit] = []
        self.ports: dict[str, Port] = {}
        self.rows: list[Row] = []
        self.inside: list[tuple[float, float, Piece, str]] = []
        self.shapes: list[Shape] = []
        self.wires: list[Wire] = []
        self.words: list[Words] = []

    def put(self, piece: Piece, x: float, y: float, block: str = "") -> None:
        """Places a piece inside. `block` is the id of the block whose inside it is, where it is another diagram."""
        self.inside.append((x, y, piece, block))
        if not block:
            for id, at in piece.ports.items():
                self.ports[id] = Port(at.axis + x, at.top + y, at.right + x, at.bottom + y, at.low + y)

    def exits_at(self, x: float, y: float) -> list[Exit]:
        """The exits of a piece that is placed at x, y."""
        return [Exit(out.x + x, out.y + y, out.source) for out in self.exits]

    def flatten(self, page: Page, x: float = 0.0, y: float = 0.0, path: str = "") -> None:
        """Adds everything to a page, with final places and whole paths; frames before what they hold."""
        for shape in self.shapes:
            page.shapes.append(shape.replace(x=shape.x + x, y=shape.y + y, path=joined(path, shape.path)))
        for wire in self.wires:
            points = tuple((px + x, py + y) for px, py in wire.points)
            ends = [joined(path, end) if end else "" for end in (wire.source, wire.target)]
            page.wires.append(Wire(points, wire.style, wire.arrow, *ends))
        for words in self.words:
            owner = joined(path, words.owner) if words.owner else ""
            page.words.append(words.replace(x=words.x + x, y=words.y + y, owner=owner))
        for dx, dy, piece, block in self.inside:
            piece.flatten(page, x + dx, y + dy, joined(path, block) if block else path)


class Page:
    """Everything with its final place. Mutable: pieces are added."""

    def __init__(self) -> None:
        self.shapes: list[Shape] = []
        self.wires: list[Wire] = []
        self.words: list[Words] = []


def joined(path: str, id: str) -> str:
    return f"{path}/{id}" if path and id else path or id


def bent(x0: float, y0: float, x1: float, y1: float, bend: float) -> tuple[tuple[float, float], ...]:
    """A line down, across at the height `bend`, and down."""
    return ((x0, y0), (x1, y1)) if abs(x0 - x1) < 0.01 else ((x0, y0), (x0, bend), (x1, bend), (x1, y1))


def first_id(item: Box | Parallel) -> str:
    """The box that a wire into an item leads to; of branches none in particular."""
    return item.id if isinstance(item, Box) else ""
