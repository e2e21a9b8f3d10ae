"""Which numbers give the wanted size?  One unknown at a time: a number of the text, or what one application gives.

A fault is a set of formulas that should be zero (`size - wanted`, `one branch - the other`). All unknowns but one have
the values that they have now, and the solver of `domain.py` says for which values of that one each formula is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count, islice

from netdsl.domain import ANY, Domain, solve_zero
from netdsl.record import Record
from netdsl.size import Formula, Size, evaluate, substitute, symbol, symbols

SHIFT = 1 << 14
"""Symbols are at least 1: what is added to a size may be negative, so it is looked for as t - SHIFT."""
FAR = 64
"""How far from its value a number is looked for where no formula says where."""


class Values(Record):
    """The values of one unknown for which a formula is zero: those of `domain` less `shift`, or these `only`."""

    domain: Domain = ANY
    only: tuple[int, ...] | None = None
    shift: int = 0

    def admit(self, value: int) -> bool:
        return value in self.only if self.only is not None else self.domain.admits(value + self.shift)


def values_of(formula: Size, name: str, known: Mapping[str, int]) -> Values | None:
    """For which values of `name` the formula is zero, the others being as `known`; None where that is not decided."""
    shift = SHIFT if name.startswith("@") else 1
    env: dict[str, Size] = {other: known.get(other, 0) for other in symbols(formula) if other != name}
    one = substitute(substitute(formula, env), {name: symbol("t") - shift})
    verdict = solve_zero(one, {})
    if verdict.kind == "always":
        return Values(ANY, None, shift)
    if verdict.kind == "when":
        return Values(verdict.domain, None, shift)
    if verdict.kind == "never":
        return Values(only=tuple(value - shift for value in verdict.only))
    assert isinstance(one, Formula)
    now = known.get(name, 0) + shift
    near = (n for n in nearest(now, FAR) if n > 0)
    return Values(only=tuple(n - shift for n in near if evaluate(one, {"t": n}) == 0))


def nearest(value: int, most: int) -> Iterator[int]:
    """The whole numbers around `value`, itself left out, nearest first; up to `most` away."""
    for distance in islice(count(1), most):
        yield value + distance
        yield value - distance


class Goal(Record):
    """Formulas that should be zero, by one change."""

    zeros: tuple[Size, ...]

    def broken(self, known: Mapping[str, int]) -> list[Size]:
        """Those that are not zero as things are."""
        return [zero for zero in self.zeros if value_of(zero, known) != 0]

    def unknowns(self, known: Mapping[str, int]) -> list[str]:
        """The names on which all that is broken depends, in a fixed order."""
        broken = self.broken(known)
        shared = [symbols(zero) for zero in broken]
        return sorted(frozenset.intersection(*shared)) if shared else []


def value_of(size: Size, known: Mapping[str, int]) -> int:
    return int(evaluate(size, {name: known.get(name, 0) for name in symbols(size)}))


def solutions(goal: Goal, name: str, known: Mapping[str, int]) -> list[int]:
    """The values of one number for which the goal is reached, the nearest first: at most one below, one above."""
    sets = [values_of(zero, name, known) for zero in goal.zeros if name in symbols(zero)]
    if any(values is None for values in sets) or not sets:
        return []
    now = known.get(name, 0)
    exact = [values.only for values in sets if values is not None and values.only is not None]
    ordered = sorted(exact[0], key=lambda n: (abs(n - now), n)) if exact else list(nearest(now, SHIFT // 4))
    found = [n for n in ordered if n != now and n >= 0 and all(v is not None and v.admit(n) for v in sets)]
    below, above = [n for n in found if n < now], [n for n in found if n > now]
    return sorted([*below[:1], *above[:1]], key=lambda n: (abs(n - now), -n))


def wanted_of(goal: Goal, application: str, known: Mapping[str, int]) -> dict[int, list[Values]] | None:
    """What would have to be added to each axis of what an application gives, so that the goal is reached."""
    prefix = f"{application}."
    wanted: dict[int, list[Values]] = {}
    for zero in goal.zeros:
        mine = [name for name in symbols(zero) if name.startswith(prefix)]
        broken = value_of(zero, known) != 0
        if not mine:
            if broken:
                return None
            continue
        if len(mine) > 1:
            return None
        values = values_of(zero, mine[0], known)
        if values is None or values.only == ():
            return None
        wanted.setdefault(int(mine[0][len(prefix) :]), []).append(values)
    return wanted
