"""What stands on the page?  Rectangles, lines and texts with their places, before any format.

Units are those of an SVG: 96 to the inch. y grows downwards.
"""

from __future__ import annotations

from netdsl.record import Record
from netdsl.size import Size

Point = tuple[float, float]


class Shape(Record):
    """A box on the page.

    form    `box`, `pill` (round ends: joins, inputs) or `frame` (an opened block, behind what it holds)
    kind    a key of `theme.KINDS`
    path    the ids on the way to it, joined by `/`
    title   what it is in full, for those who point at it; shape, params, macs and place belong to that
    """

    form: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    path: str
    title: str
    count: int = 1
    shape: str = ""
    params: int = 0
    macs: Size = 0
    place: str = ""
    training: bool = False


class Words(Record):
    """A line of text. `x` is where it is anchored (`start`, `middle`, `end`), `y` its base line.

    style   `title`, `note` (below a title), `head` (of a frame), `strong` (a label, a count), `quiet` (a shape),
            `size` (a shape of another extent than before)
    owner   the path of the box or frame that it has to stay in; empty for what stands free
    """

    x: float
    y: float
    text: str
    size: float
    style: str = "title"
    anchor: str = "middle"
    owner: str = ""


class Wire(Record):
    """A line through points.

    style           `wire`, `skip`, `training` (dashed)
    source, target  the paths of the boxes it leads between, where it leads to a box
    """

    points: tuple[Point, ...]
    style: str = "wire"
    arrow: bool = False
    source: str = ""
    target: str = ""


class Picture(Record):
    """A page. Frames come before what they hold."""

    name: str
    description: str
    width: float
    height: float
    shapes: tuple[Shape, ...]
    wires: tuple[Wire, ...]
    words: tuple[Words, ...]
