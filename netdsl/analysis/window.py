"""Which rows does each place see?  Windows, and how they compose.

A convolution or a pool sees lo(i) = i·S - p to hi(i) = i·S - p + d·(k - 1). Where maps become larger, lo and hi are no
straight lines, but repeat with a period: two neighbouring places of a map that was doubled see the same row.
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from netdsl.ops.sight import Taps
from netdsl.record import Record

MAX_PERIOD = 4096
"""Windows whose pattern is longer are not followed."""


class Window(Record):
    """Rows lo(i) to hi(i): given for a period of i, after which both are `shift` rows on."""

    shift: int
    lo: tuple[int, ...]
    hi: tuple[int, ...]

    @property
    def period(self) -> int:
        return len(self.lo)

    @property
    def jump(self) -> Fraction:
        return Fraction(self.shift, self.period)

    @property
    def size(self) -> int:
        """The most rows that one place sees."""
        return max(0, *[hi - lo + 1 for lo, hi in zip(self.lo, self.hi)])

    def first(self, i: int) -> int:
        periods, at = divmod(i, self.period)
        return self.lo[at] + periods * self.shift

    def last(self, i: int) -> int:
        periods, at = divmod(i, self.period)
        return self.hi[at] + periods * self.shift

    def span(self, count: int) -> int:
        """The most rows that `count` neighbouring places see together."""
        return max(0, *[self.last(i + count - 1) - self.first(i) + 1 for i in range(self.period)])

    @property
    def is_point(self) -> bool:
        """Whether each place sees one row."""
        return self.lo == self.hi


HERE = Window(1, (0,), (0,))


def window(taps: Taps) -> Window | None:
    """The window of one op; None where its pattern is too long."""
    over = taps.over // gcd(taps.move, taps.over)
    if over > MAX_PERIOD:
        return None
    at = [taps.move * i for i in range(over)]
    lo = tuple([-((-x - taps.first) // taps.over) for x in at])
    hi = tuple([(x + taps.last) // taps.over for x in at])
    return reduced(taps.move * over // taps.over, lo, hi)


def reduced(shift: int, lo: tuple[int, ...], hi: tuple[int, ...]) -> Window:
    """With the shortest period."""
    n = len(lo)
    for period in range(1, n // 2 + 1):
        if n % period or (shift * period) % n:
            continue
        step = shift * period // n
        if all(rows[i] + step == rows[i + period] for rows in (lo, hi) for i in range(n - period)):
            return Window(step, lo[:period], hi[:period])
    return Window(shift, lo, hi)


def after(inner: Window, outer: Window) -> Window | None:
    """What is seen of the input of `inner` by what sees its output through `outer`."""
    periods = inner.period // gcd(inner.period, outer.shift)
    length = outer.period * periods
    if length > MAX_PERIOD:
        return None
    lo = tuple([inner.first(outer.first(i)) for i in range(length)])
    hi = tuple([inner.last(outer.last(i)) for i in range(length)])
    return reduced(inner.shift * (outer.shift * periods) // inner.period, lo, hi)


def both(a: Window, b: Window) -> Window | None:
    """What two branches see together; None where they move at different speeds."""
    length = lcm(a.period, b.period)
    if a.jump != b.jump or length > MAX_PERIOD:
        return None
    lo = tuple([min(a.first(i), b.first(i)) for i in range(length)])
    hi = tuple([max(a.last(i), b.last(i)) for i in range(length)])
    return reduced(a.shift * (length // a.period), lo, hi)
