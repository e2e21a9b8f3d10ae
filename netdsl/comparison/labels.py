"""Where do the names stand beside their discs?  So that none covers another, each as near to its disc as can be.

A name may stand at sixteen angles and at growing distances. It never covers another name, leaves the frame, or hides a
small disc; it stands on a large one, or nearer to another than to its own, only where there is nothing better. They
choose one after the other, and then again, knowing where the others are; of several orders the best one counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdsl.record import Record

GAPS = (0, 3, 9, 14, 20, 28, 38, 50, 64, 80, 100, 125, 155)
"""Between a disc and its name, in pixels; from `LINE` on, a line joins them."""
LINE = 9
ANGLES = tuple(math.tau * i / 16 for i in (0, 8, 4, 12, 1, 15, 7, 9, 2, 14, 6, 10, 3, 13, 5, 11))
"""Beside is best, then above and below."""
SMALL = 9.0
"""A disc of at most so many pixels in radius must not be hidden."""
ROUNDS = 4
MISSING = 1000.0
"""How bad it is to have no name; a place that is far away costs some hundred."""


class Disc(Record):
    """A disc, and the size of its name, in pixels."""

    x: float
    y: float
    radius: float
    width: float
    height: float


class Box(Record):
    """Where a name stands: its centre and half its size. `gap` is its distance from the disc, -1 on it."""

    x: float
    y: float
    width: float
    height: float
    gap: float

    def overlap(self, other: Box) -> bool:
        return abs(self.x - other.x) < self.width + other.width and abs(self.y - other.y) < self.height + other.height

    def distance(self, x: float, y: float) -> float:
        """From a point to the nearest edge; 0 inside."""
        return math.hypot(max(abs(self.x - x) - self.width, 0), max(abs(self.y - y) - self.height, 0))


def place(discs: Sequence[Disc], width: float, height: float) -> list[Box | None]:
    """A place in the frame for each name; None for one that finds none."""
    options = [_options(disc, discs, width, height) for disc in discs]
    crowd = [sum(math.hypot(a.x - b.x, a.y - b.y) < 60 for b in discs) for a in discs]
    every = range(len(discs))
    orders = [
        sorted(every, key=lambda i: (-crowd[i], discs[i].x)),
        *(sorted(every, key=lambda i: sign * discs[i].x) for sign in (1, -1)),
        *(sorted(every, key=lambda i: sign * discs[i].y) for sign in (1, -1)),
    ]
    return min((_placed(options, order) for order in orders), key=lambda found: found[0])[1]


Options = list[list[tuple[float, Box]]]


def _placed(options: Options, order: Sequence[int]) -> tuple[float, list[Box | None]]:
    """All names choose in this order, again and again while that changes something. Also how bad it is."""
    found: list[tuple[float, Box] | None] = [None] * len(options)
    for _ in range(ROUNDS):
        before = list(found)
        for i in order:
            others = [place[1] for j, place in enumerate(found) if place is not None and j != i]
            free = (place for place in options[i] if not any(place[1].overlap(other) for other in others))
            found[i] = next(free, None)
        if found == before:
            break
    cost = sum(MISSING if place is None else place[0] for place in found)
    return cost, [None if place is None else place[1] for place in found]


def _options(disc: Disc, discs: Sequence[Disc], width: float, height: float) -> list[tuple[float, Box]]:
    """All places that are not ruled out by discs or the frame, the best first."""
    boxes = [
        box
        for box in _candidates(disc)
        if box.width <= box.x <= width - box.width and box.height <= box.y <= height - box.height
    ]
    costs = []
    for rank, box in enumerate(boxes):
        cost = _cost(box, disc, discs)
        if cost is not None:
            costs.append((cost + rank % len(ANGLES) / 10, box))
    return sorted(costs, key=lambda option: option[0])


def _candidates(disc: Disc) -> list[Box]:
    half, high = disc.width / 2, disc.height / 2
    boxes = [Box(disc.x, disc.y, half, high, -1)] if math.hypot(half, high) <= disc.radius else []
    for gap in GAPS:
        for angle in ANGLES:
            along, up = math.cos(angle), math.sin(angle)
            x = disc.x + along * (disc.radius + gap) + half * _side(along)
            y = disc.y + up * (disc.radius + gap) + high * _side(up)
            boxes.append(Box(x, y, half, high, gap))
    return boxes


def _side(part: float) -> float:
    """To which side of its point a box stands: -1 to 1, 0 where it is centred."""
    return max(-1.0, min(1.0, 2 * part))


def _cost(box: Box, own: Disc, discs: Sequence[Disc]) -> float | None:
    """How bad a place is; None where it hides a small disc."""
    cost = 1.5 * max(box.gap, 0)
    away = box.distance(own.x, own.y) - own.radius
    for disc in discs:
        if disc is own:
            continue
        distance = box.distance(disc.x, disc.y)
        if distance < min(disc.radius, SMALL) + 1:
            return None
        if distance < disc.radius:
            cost += 12 * (1 - distance / disc.radius)
        if distance - disc.radius < away + 2:  # it looks like the name of that one
            cost += 4 if box.gap >= LINE else 25
        if box.gap >= LINE and _between(own, box, disc):
            cost += 6
    return cost


def _between(own: Disc, box: Box, other: Disc) -> bool:
    """Whether the line from a disc to its name passes over another small disc."""
    dx, dy = box.x - own.x, box.y - own.y
    t = ((other.x - own.x) * dx + (other.y - own.y) * dy) / (dx * dx + dy * dy)
    return 0 < t < 1 and math.hypot(own.x + t * dx - other.x, own.y + t * dy - other.y) < min(other.radius, SMALL)
