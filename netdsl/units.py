"""What is behind the letters of an amount?  `5M`, `2GB`, `512KiB`, `3ms`."""

from __future__ import annotations

from fractions import Fraction

from netdsl.record import Record


class Unit(Record):
    """What stands behind the digits of an amount: of what it is, and how many of the base unit."""

    of: str
    """count, bytes or seconds"""
    factor: int | Fraction


UNITS = {
    "": Unit("count", 1),
    **{prefix: Unit("count", 1000**i) for i, prefix in enumerate("KMGT", 1)},
    "k": Unit("count", 1000),
    "B": Unit("bytes", 1),
    **{f"{prefix}B": Unit("bytes", 1000**i) for i, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}iB": Unit("bytes", 1024**i) for i, prefix in enumerate("KMGT", 1)},
    "kB": Unit("bytes", 1000),
    "kiB": Unit("bytes", 1024),
    "s": Unit("seconds", 1),
    "ms": Unit("seconds", Fraction(1, 1000)),
    **dict.fromkeys(("us", "µs"), Unit("seconds", Fraction(1, 1_000_000))),
}
"""K, M, G and T are powers of 1000, also of bytes; Ki, Mi, Gi and Ti are powers of 1024 (IEC 80000-13)."""


def exactly(value: int | Fraction) -> int | Fraction:
    """A whole number as an int."""
    return int(value) if value.denominator == 1 else value
