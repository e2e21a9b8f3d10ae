"""How is an amount written?  Counts, bytes, seconds and shares, with three digits, alike in all tables and messages."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from netdsl.size import Formula, Size

LONG = 40
"""Formulas of more terms than this are not written out."""


def number(size: Size) -> str:
    if isinstance(size, Formula) and len(size.terms) > LONG:
        return f"a formula of {len(size.terms):,} terms"
    return f"{int(size):,}" if isinstance(size, int) else str(size)


def compact(size: Size) -> str:
    """`4.09G`, `442K`, `320`: three digits."""
    return scaled(size, ("", "K", "M", "G", "T", "P", "E")) if isinstance(size, int) else number(size)


def bytes_text(size: Size | float | Fraction) -> str:
    """`61.0 MB`, of a million bytes each."""
    if isinstance(size, Formula):
        return number(size)
    return scaled(size, (" B", " kB", " MB", " GB", " TB", " PB", " EB"))


def scaled(value: int | float | Fraction, units: Sequence[str]) -> str:
    step = 0
    value = float(value)
    while value >= 999.5 and step < len(units) - 1:
        value, step = value / 1000, step + 1
    digits = 0 if step == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{units[step]}"


def signed(size: Size) -> str:
    """A difference, with three digits: `+3.71G`."""
    return compact(size) if not isinstance(size, int) else f"{'+' if size > 0 else '-'}{compact(abs(int(size)))}"


def time_text(seconds: float | Fraction) -> str:
    """`1.25 ms`."""
    return scaled(seconds * 10**9, (" ns", " µs", " ms", " s"))


def percent(value: Size, whole: Size) -> str:
    if not isinstance(value, int) or not isinstance(whole, int) or not value or not whole:
        return ""
    share = 100 * value / whole
    return "<1" if share <= 0.5 else f"{share:.0f}"
