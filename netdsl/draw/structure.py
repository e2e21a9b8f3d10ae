"""What is there to draw?  Boxes in series and in parallel, and what leaves the trunk: skips, side chains, heads.

Every format draws this. It is data: nothing here knows of sizes on paper, of files, or of colours.

    Diagram     the picture of one body: a net, or the body of a block; equal bodies share one diagram
    Series      boxes and parallels, one after the other
    Parallel    branches side by side, and the box that joins them
    Box         an element with what belongs to it (convolution, norm, activation), or a block that can be opened
    Link        what leaves the trunk at one box and comes back at another, or ends in an output

A box's `id` is unique in its diagram; ids along the way to a box, joined by `/`, are its path in the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.record import Record
from netdsl.size import Size

if TYPE_CHECKING:
    from netdsl.net import Net

ENTRY = ""
"""The `source` of a link that begins where the diagram does: at the value that comes in."""
EXIT = ""
"""The `target` of a link that ends in an output of the network."""


class Box(Record):
    """One element, or one call of a block.

    title       in the author's words, with numbers for names: `CONV 64 7x7 /2`, `inception(64, 96, 128, 16, 32, 32)`
    subtitle    what else the box holds: `BN · RELU`, which follow; `BN · RELU before`; `LN before, GELU after`
    label       the author's label of the line, on the first box of it: `conv4`
    kind        a key of `theme.KINDS`
    shape       of the output, without the batch axis: `64 x 56 x 56`
    params      learned parameters, of all `count` applications, and of all equal branches
    macs        multiply-accumulates for one sample, of as many
    count       equal ones in a row, each with weights of its own, drawn as one box
    body        what is inside, of one application (`holds_steps`: of all of them); None for a primitive
    place       where the text says so: `file:line:column`
    training    whether only training has it
    frozen      whether its weights stay as they are
    """

    id: str
    title: str
    kind: str
    shape: str
    params: int = 0
    macs: Size = 0
    values: Size = 0
    """The numbers that its elements put out, for one sample: with their sizes, what activations take."""
    subtitle: str = ""
    label: str = ""
    count: int = 1
    body: Diagram | None = None
    place: str = ""
    training: bool = False
    frozen: bool = False

    @property
    def holds_steps(self) -> bool:
        """Whether `body` has all steps of a repeat, which are not alike, and not one application."""
        steps = self.body.series.items if self.body is not None else ()
        return len(steps) > 1 and all(isinstance(step, Box) and step.id == str(i) for i, step in enumerate(steps))


class Series(Record):
    """Each item takes the value of the item before it, but those in `breaks`: links lead to them."""

    items: tuple[Box | Parallel, ...]
    breaks: frozenset[int] = frozenset()
    count: int = 1
    """Of a branch: so many equal ones, side by side."""


class Parallel(Record):
    """Branches that start from one value. `join` is the box that takes them all.

    It is None where branches meet further on, at the join around this one, and where each ends in an output.
    """

    branches: tuple[Series, ...]
    join: Box | None


class Link(Record):
    """From one box to another, beside the series.

    kind    `skip`        an identity: `f(x) + x`, or a value used again further on
            `projection`  a shortcut that changes the shape
            `branch`      a short way beside a long one
            `output`      a further output of the network: an auxiliary head
    via     the boxes on its way, in order; None if there are none
    label   of an output its name
    """

    kind: str
    source: str
    target: str
    via: Series | None = None
    label: str = ""
    training: bool = False


class Diagram(Record):
    """The picture of one body."""

    name: str
    series: Series
    links: tuple[Link, ...] = ()
    shape: str = ""
    """Of the value that comes in, where there is one."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """All of this level, those on links too, in order."""
        sides = [box for link in self.links if link.via is not None for box in boxes_of(link.via)]
        return (*boxes_of(self.series), *sides)


def boxes_of(series: Series) -> list[Box]:
    """The boxes of a series, those of branches and joins too, in order."""
    found: list[Box] = []
    for item in series.items:
        if isinstance(item, Box):
            found.append(item)
            continue
        for branch in item.branches:
            found += boxes_of(branch)
        if item.join is not None:
            found.append(item.join)
    return found


def levels(diagram: Diagram) -> int:
    """How deep blocks lie within one another."""
    known: dict[int, int] = {}

    def of(inner: Diagram) -> int:
        if id(inner) not in known:
            known[id(inner)] = max((1 + of(box.body) for box in inner.boxes if box.body is not None), default=0)
        return known[id(inner)]

    return of(diagram)


def structure(net: Net) -> Diagram:
    """What there is to draw of a network.

    The work grows with what is different in it. Raises UsageError where a body has more elements than a picture holds.
    """
    from netdsl.draw.elements import Drawer
    from netdsl.recursion import deep_recursion

    with deep_recursion():
        return Drawer(net).diagram(net.graph)
