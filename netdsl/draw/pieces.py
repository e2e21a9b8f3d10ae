"""How do parts of a picture stand to one another?  A piece has coordinates of its own until it is placed."""

from __future__ import annotations

from netdsl.draw.picture import Shape, Wire, Words
from netdsl.record import Record


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
        self.entered = False
        """Whether the line that comes in goes on to a box inside."""
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
                self.ports[id] = Port(at.axis + x, at.top + y, at.right + x, at.bottom + y)

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
