"""How is an op's formula read with its numbers put in?  Equations in plain text, the value last.

H = W = (28 - 5 + 2*2)/1 + 1 = 28           of each axis that is computed
256*(5*5*48 + 1) = 307,456                  parameters, multiply-accumulates
"""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.record import Record
from netdsl.size import Formula, Size


class Worked(Record):
    """The formulas of an op with its numbers put in.

    shape       an equation for each axis that is computed; axes with the same arithmetic share one
    params      of the learned values; empty where nothing is learned
    macs        of the multiply-accumulates for one sample; empty where there are none
    notes       what the numbers stand for
    """

    shape: tuple[str, ...] = ()
    params: str = ""
    macs: str = ""
    notes: tuple[str, ...] = ()


def factor(size: Size) -> str:
    """A size as a factor of a product: a sum or a fraction in parentheses."""
    if not isinstance(size, Formula):
        return str(size)
    fraction = any(not isinstance(number, int) for _, number in size.terms)
    return f"({size})" if fraction or len(size.terms) > 1 else str(size)


def product(sizes: Iterable[Size]) -> str:
    """`3*11*11`."""
    return "*".join(map(factor, sizes)) or "1"


def equation(text: str, value: Size) -> str:
    """`96*(11*11*3 + 1) = 34,944`; the value alone where there is nothing to work."""
    shown = f"{int(value):,}" if isinstance(value, int) else str(value)
    return shown if text.replace(",", "") == shown.replace(",", "") else f"{text} = {shown}"


def by_axis(rows: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """(axis, arithmetic) as equations: `H = W = …` where both have the same."""
    found: dict[str, list[str]] = {}
    for axis, text in rows:
        found.setdefault(text, []).append(axis)
    return tuple(f"{' = '.join(axes)} = {text}" for text, axes in found.items())
