"""What is known of a tensor?  Its sizes, without the batch axis."""

from __future__ import annotations

from netdsl.record import Record
from netdsl.size import Formula, Size, Traced, symbols

AXES: dict[int, tuple[str, ...]] = {
    1: ("C",),
    2: ("C", "W"),
    3: ("C", "H", "W"),
    4: ("C", "D", "H", "W"),
}
"""The names of the axes by rank: a vector, 1-, 2- and 3-d data. The batch axis is never written."""

AXIS_NAMES = AXES[4]


class TensorType(Record):
    """A tensor of floats: `64 x 112 x 112` is `TensorType((64, 112, 112))`. Sizes may be formulas."""

    shape: tuple[Size, ...]

    def __str__(self) -> str:
        return " x ".join(_factor(size) for size in self.shape)

    @property
    def channels(self) -> Size:
        return self.shape[0]

    @property
    def spatial(self) -> tuple[Size, ...]:
        return self.shape[1:]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def axes(self) -> tuple[str, ...]:
        return AXES.get(len(self.shape)) or tuple(f"axis {i}" for i in range(len(self.shape)))

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset[str]().union(*(symbols(size) for size in self.shape))

    @property
    def elements(self) -> Size:
        """The product of the sizes."""
        product: Size = 1
        for size in self.shape:
            product = product * size
        return product

    def plain(self) -> TensorType:
        """The same sizes, without the memory of how they were computed."""
        return TensorType(tuple(int(s) if isinstance(s, Traced) else s for s in self.shape))


def _factor(size: Size) -> str:
    return f"({size})" if isinstance(size, Formula) and len(size.terms) > 1 else str(size)


class Unknown(Record):
    """The type of an element that failed. Rules that meet it stay silent, so a fault is reported once."""

    def __str__(self) -> str:
        return "?"


UNKNOWN = Unknown()

Draft = TensorType | Unknown
"""What an unchecked graph knows of a value. A checked graph has a `TensorType` everywhere."""
