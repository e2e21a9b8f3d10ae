"""For which sizes does it hold?  What is known of an open size, and exact decisions over all of them.

A formula in one symbol that is linear in its atoms ("quasi-linear") repeats, up to a constant step, with a period P:

    f(n + P) = f(n) + k          for every integer n

Hence on each class n = n0, n0 + P, n0 + 2P, ... it is the line f(n0) + t*k, and the `solve_*` functions decide
equalities, bounds and divisibility exactly by looking at one value per class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Literal, NamedTuple

from netdsl.size import (
    Atom,
    Floor,
    Formula,
    Number,
    Size,
    Sym,
    Value,
    denominator,
    evaluate,
    floor_div,
    formula_of,
    symbol,
    symbols,
    total,
)

# ---------------------------------------------------------------------------------------------------------------------
# Domains
# ---------------------------------------------------------------------------------------------------------------------


class Domain:
    """{ n : n >= lower and n mod modulus in residues }: what is known about one symbol.

    Immutable, and normalised when made: the modulus is the smallest that describes the same set, and lower is the first
    member. So two domains are equal just when they are the same set. The empty domain has no residues.
    """

    __slots__ = ("lower", "modulus", "residues")

    lower: int
    modulus: int
    residues: frozenset[int]

    def __init__(self, lower: int, modulus: int, residues: AbstractSet[int]) -> None:
        self.modulus, self.residues = _smallest_modulus(modulus, frozenset(r % modulus for r in residues))
        self.lower = min((_first_from(lower, r, self.modulus) for r in self.residues), default=1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Domain):
            return NotImplemented
        return (self.lower, self.modulus, self.residues) == (other.lower, other.modulus, other.residues)

    def __hash__(self) -> int:
        return hash((self.lower, self.modulus, self.residues))

    def __repr__(self) -> str:
        return f"Domain({self.lower}, {self.modulus}, {{{', '.join(map(str, sorted(self.residues)))}}})"

    @property
    def empty(self) -> bool:
        return not self.residues

    def admits(self, n: int) -> bool:
        return n >= self.lower and n % self.modulus in self.residues

    def describe(self, name: str) -> str:
        """The domain as a requirement: "H >= 64 and H must be a multiple of 32".

        The bound is left out where the remainder implies it, for an extent is at least 1 anyway.
        """
        if self.empty:
            return f"no {name} is possible"
        implied = self.modulus > 1 and self.lower == Domain(1, self.modulus, self.residues).lower
        parts = [] if implied else [f"{name} >= {self.lower}"]
        if self.modulus > 1:
            parts.append(f"{name} must {_remainder_clause(self.modulus, self.residues)}")
        return " and ".join(parts)


def _first_from(lower: int, residue: int, modulus: int) -> int:
    """The least n >= lower with n = residue mod modulus."""
    return lower + (residue - lower) % modulus


def _smallest_modulus(modulus: int, residues: frozenset[int]) -> tuple[int, frozenset[int]]:
    """The same set of integers by the smallest modulus.

    It can be divided by a prime p just when the residues are invariant under a shift by modulus / p; they then fall
    into cycles of p, so p divides their number too.
    """
    if not residues:
        return 1, residues
    p, candidates = 2, gcd(modulus, len(residues))
    while candidates > 1:
        if candidates % p:
            p += 1
            continue
        candidates //= p
        shift = modulus // p
        if all((r + shift) % modulus in residues for r in residues):
            modulus, residues = shift, frozenset(r % shift for r in residues)
    return modulus, residues


def _remainder_clause(modulus: int, residues: frozenset[int]) -> str:
    """What `H must` do: "be a multiple of 16", "leave 3 or 7 when divided by 8", "not be a multiple of 4"."""
    negation = ""
    if len(residues) == modulus - 1 > 1:
        negation, residues = "not ", frozenset(range(modulus)) - residues
    if residues == {0}:
        return f"{negation}be a multiple of {modulus}"
    spans = _spans(sorted(residues))
    if len(spans) > 8:
        return f"leave one of {len(residues)} remainders ({', '.join(spans[:3])}, ...) when divided by {modulus}"
    listed = " or ".join(filter(None, [", ".join(spans[:-1]), spans[-1]]))
    return f"{negation}leave {listed} when divided by {modulus}"


def _spans(numbers: list[int]) -> list[str]:
    """["0 to 2", "5", "6"] for [0, 1, 2, 5, 6]."""
    spans: list[str] = []
    start = 0
    for i, number in enumerate(numbers):
        if i + 1 < len(numbers) and numbers[i + 1] == number + 1:
            continue
        run = numbers[start : i + 1]
        spans += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
        start = i + 1
    return spans


ANY = Domain(1, 1, {0})
"""Nothing is known but that an extent is at least 1."""


# ---------------------------------------------------------------------------------------------------------------------
# Decisions
# ---------------------------------------------------------------------------------------------------------------------

MAX_CLASSES = 4096
"""The most residue classes that a decision looks at; where there are more it is "undecided"."""


class Verdict(NamedTuple):
    """For which values of the symbols, each within its domain, a condition holds.

        always      for all
        never       for none; or, for an equation, for the finitely many values `only` of its one symbol
        when        for those values of `symbol` that are in `domain`, a part of its old domain
        undecided   not known

    `symbol` and `domain` belong to "when", `only` to "never".
    """

    kind: Literal["always", "never", "when", "undecided"]
    symbol: str = ""
    domain: Domain = ANY
    only: tuple[int, ...] = ()


_ALWAYS = Verdict("always")
_NEVER = Verdict("never")
_UNDECIDED = Verdict("undecided")


def period(f: Size) -> int:
    """A P >= 1 with f(n + P) = f(n) + k for all n, where f is quasi-linear in one symbol (or constant).

    symbol: P = 1. floor(g/s), where g has the period p with step k: P = p * s / gcd(s, k). Sum: the least common
    multiple. Raises ValueError for any other formula.
    """
    if not isinstance(f, Formula):
        return 1
    if not _quasi_linear(f) or len(symbols(f)) != 1:
        raise ValueError(f"{f} is not quasi-linear in one symbol, so it need not have a period")
    result = 1
    for monomial, _ in f.terms:
        for atom in monomial:
            if isinstance(atom, Floor):
                inner = period(atom.inner)
                step = int(_at(atom.inner, inner) - _at(atom.inner, 0))
                result = lcm(result, inner * (atom.divisor // gcd(atom.divisor, step)))
    return result


def _quasi_linear(f: Formula) -> bool:
    """Whether f is linear in its atoms, and so is what is inside its floors."""
    return all(
        len(monomial) <= 1 and all(isinstance(atom, Sym) or _quasi_linear(atom.inner) for atom in monomial)
        for monomial, _ in f.terms
    )


def _at(f: Formula, n: int) -> Number:
    """f(n), for f in one symbol."""
    (name,) = symbols(f)
    return evaluate(f, {name: n})


class _Lines(NamedTuple):
    """f on its symbol's domain, cut into residue classes: f(n + t*modulus) = value + t*step for (n, value) in starts.

    Each n is the first member of its class that is in the domain. f is scaled to integer coefficients by a positive
    factor, which leaves the sign of its values.
    """

    symbol: str
    domain: Domain
    modulus: int
    step: int
    starts: list[tuple[int, int]]

    def keep(self, condition: Callable[[int], bool]) -> Verdict:
        """The verdict on a condition that holds on all of a class if it holds for its first value."""
        kept = {n % self.modulus for n, value in self.starts if condition(value)}
        if not kept:
            return _NEVER
        if len(kept) == len(self.starts):
            return _ALWAYS
        return Verdict("when", self.symbol, Domain(self.domain.lower, self.modulus, kept))


def _lines(f: Formula, domains: Mapping[str, Domain]) -> _Lines | None:
    """f by residue classes; None if f is not quasi-linear in one symbol, or has more than MAX_CLASSES of them.

    The modulus is a common multiple of the period and that of the domain, and only those residues are made that the
    domain allows.
    """
    names = symbols(f)
    if len(names) != 1 or not _quasi_linear(f):
        return None
    (name,) = names
    domain = domains.get(name, ANY)
    modulus = lcm(domain.modulus, period(f))
    if len(domain.residues) * (modulus // domain.modulus) > MAX_CLASSES:
        return None

    scaled = f * denominator(f)

    def value(n: int) -> int:
        return int(evaluate(scaled, {name: n}))

    residues = (r for residue in domain.residues for r in range(residue, modulus, domain.modulus))
    members = (_first_from(domain.lower, r, modulus) for r in residues)
    return _Lines(name, domain, modulus, value(modulus) - value(0), [(n, value(n)) for n in members])


def solve_zero(f: Size, domains: Mapping[str, Domain]) -> Verdict:
    """Where f = 0.

    On a class: v + t*k = 0. If k = 0, all of the class or none; otherwise at t = -v/k alone, if that is a whole
    number >= 0, and then the verdict is "never" with all these solutions in `only`.
    """
    if not isinstance(f, Formula):
        return _ALWAYS if f == 0 else _NEVER
    lines = _lines(f, domains)
    if lines is None:
        return _UNDECIDED
    step = lines.step
    if step == 0:
        return lines.keep(lambda value: value == 0)
    starts = ((n, -value // step) for n, value in lines.starts if value % step == 0)
    solutions = [n + t * lines.modulus for n, t in starts if t >= 0]
    return Verdict("never", only=tuple(sorted(solutions)))


def solve_at_least(f: Size, bound: int, domains: Mapping[str, Domain]) -> Verdict:
    """Where f >= bound.

    On a class: v + t*k >= 0, with v and k those of f - bound. If k = 0, all of the class or none. If k > 0, from
    t = ceil(-v/k) on: the new lower bound is the first admitted value beyond every failure, so it is exact for a
    monotone f and sound for any. If k < 0, "never" or, as it holds for finitely many values, "undecided".

    Where f is not quasi-linear in one symbol, "always" if f grows with each symbol and f(lowest values) >= bound.
    """
    margin = f - bound
    if not isinstance(margin, Formula):
        return _ALWAYS if margin >= 0 else _NEVER
    lines = _lines(margin, domains)
    if lines is None:
        lowest = {name: domains.get(name, ANY).lower for name in symbols(margin)}
        grows = _grows(margin, lowest) and evaluate(margin, lowest) >= 0
        return _ALWAYS if grows else _UNDECIDED
    step = lines.step
    if step <= 0:
        verdict = lines.keep(lambda value: value >= 0)
        return verdict if step == 0 or verdict.kind == "never" else _UNDECIDED
    if not lines.starts:
        return _NEVER
    # The failures on a class are t = 0, 1, ..., ceil(-value/step) - 1, and ceil(-value/step) is -(value // step).
    failures = [n + lines.modulus * (-(value // step) - 1) for n, value in lines.starts if value < 0]
    if not failures:
        return _ALWAYS
    domain = lines.domain
    return Verdict("when", lines.symbol, Domain(max(failures) + 1, domain.modulus, domain.residues))


def _grows(f: Formula, lowest: Mapping[str, int]) -> bool:
    """Whether f surely never falls as its symbols rise from their lowest values.

    So it is where, the constant aside, f is a sum of products with positive coefficients, and each factor grows too and
    starts at 0 or above. A floor does if its content grows, for the constant in it is not negative.
    """

    def factor_grows(atom: Atom) -> bool:
        return lowest[atom.name] >= 0 if isinstance(atom, Sym) else _grows(atom.inner, lowest)

    return all(c > 0 and all(map(factor_grows, monomial)) for monomial, c in f.terms if monomial)


def solve_divisible(f: Size, divisor: int, domains: Mapping[str, Domain]) -> Verdict:
    """Where f is a whole multiple of the divisor: f - divisor * floor(f / divisor) = 0.

    The normal form cancels every multiple of the divisor, so this also decides formulas in several symbols, or not
    linear, all of whose coefficients but the constant are such multiples.
    """
    return solve_zero(f - divisor * floor_div(f, divisor), domains)


def simplified(size: Size, domains: Mapping[str, Domain]) -> Size:
    """The size with every floor that is a straight line on the domain written as one: 8*floor(H/8) is H where 8 | H.

    The coefficients may be fractions (`H/8`), so the result is for reading and evaluating, not for further shapes.
    """
    if not isinstance(size, Formula):
        return size
    straight: dict[Atom, Value] = {}
    products: list[Value] = []
    for monomial, coefficient in size.terms:
        product: Any = coefficient
        for atom in monomial:
            if atom not in straight:
                straight[atom] = _straightened(atom, domains)
            product = product * straight[atom]
        products.append(product)
    return total(products)


def _straightened(atom: Atom, domains: Mapping[str, Domain]) -> Value:
    """The line a*n + b that the atom is on the domain of its symbol, if it is one; else the atom."""
    formula = formula_of(atom)
    lines = _lines(formula, domains) if isinstance(atom, Floor) else None
    if lines is None or not lines.starts:
        return formula
    slope = Fraction(lines.step, lines.modulus)
    offsets = {value - slope * n for n, value in lines.starts}
    return symbol(lines.symbol) * slope + offsets.pop() if len(offsets) == 1 else formula
