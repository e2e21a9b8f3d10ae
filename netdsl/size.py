"""Tensor extents, concrete and symbolic, kept in an exact normal form.

    size     =  int | formula
    formula  =  c1*m1 + c2*m2 + ... + c0          each c a rational number
    m        =  product of atoms
    atom     =  symbol | floor(formula / s)

A concrete extent is a plain int and costs nothing extra. A symbolic one, as in `input 3 x H x W`, is a `Formula`.
Symbols and floors take integer values only, so every product m is an integer, and these rewrites are exact:

    floor((a*m + X) / S)         =  q*m + floor((r*m + X) / S)         where a = q*S + r, 0 <= r < S
    floor((g*X + c) / (g*S))     =  floor((X + floor(c/g)) / S)        where X is an integer
    floor((floor(X/s) + Y) / S)  =  floor((X + s*Y) / (s*S))           where Y is an integer

Applied from left to right, they bring any chain of convolutions, poolings and upsamplings in which, at each step, the
stride and the multiplier reached so far divide one another, to

    m*floor((H + c) / s) + d          0 <= c < s

where (m, c, s, d) is unique, so that equal normal forms are equal functions and the other way round. In general equal
normal forms are equal functions, but not the converse: floor(H/2) + ceil(H/2) and H are kept apart. `solve_zero`
on the difference decides those (`domain.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple, TypeAlias

# ---------------------------------------------------------------------------------------------------------------------
# Formulas
# ---------------------------------------------------------------------------------------------------------------------


class Sym(NamedTuple):
    """A named, unknown extent: an integer, at least 1 unless its `Domain` says otherwise."""

    name: str


class Floor(NamedTuple):
    """floor(inner / divisor), where no rewrite of this module applies.

    `inner` has integer coefficients c with 0 <= c < divisor, and those of its non-constant terms share no factor with
    the divisor; so the divisor is at least 2.
    """

    inner: Formula
    divisor: int


Number: TypeAlias = int | Fraction
Atom: TypeAlias = Sym | Floor
Monomial: TypeAlias = tuple[Atom, ...]
"""A product of atoms, sorted by `_atom_rank`, a power written out; () is the constant 1."""
Terms: TypeAlias = tuple[tuple[Monomial, Number], ...]


class Formula:
    """c1*m1 + c2*m2 + ... + c0: an immutable, hashable polynomial in atoms, never constant.

    The terms are sorted, of distinct monomials, and their coefficients are nonzero, as ints wherever they are whole;
    hence two formulas are equal just when their terms are.

    +, - and * take an int, a Fraction or a Formula on either side, / a nonzero number on the right. A result without
    symbols collapses to a number: `h - h` is the int 0. It is declared a `Size`, an extent; only where `/` has made
    coefficients that are not whole can it be a Fraction, and then it is not an extent of anything.
    """

    __slots__ = ("_hash", "terms")

    terms: Terms

    def __init__(self, terms: Terms) -> None:
        """For this module; others start from `symbol`. `terms` must be in normal form."""
        self.terms = terms
        self._hash = hash(terms)

    def __eq__(self, other: object) -> bool:
        return self.terms == other.terms if isinstance(other, Formula) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Formula], tuple[Terms]]:
        return Formula, (self.terms,)  # the hash is not portable: those of strings differ between processes

    def __add__(self, other: Value) -> Size:
        if not isinstance(other, (int, Fraction, Formula)):
            return NotImplemented
        total = dict(self.terms)
        for monomial, coefficient in terms_of(other):
            total[monomial] = total.get(monomial, 0) + coefficient
        return _collect(total)

    __radd__ = __add__

    def __neg__(self) -> Formula:
        return Formula(tuple((monomial, -coefficient) for monomial, coefficient in self.terms))

    def __sub__(self, other: Value) -> Size:
        if not isinstance(other, (int, Fraction, Formula)):
            return NotImplemented
        return self + -other

    def __rsub__(self, other: Value) -> Size:
        return -self + other

    def __mul__(self, other: Value) -> Size:
        if not isinstance(other, (int, Fraction, Formula)):
            return NotImplemented
        total: dict[Monomial, Number] = {}
        for left, a in self.terms:
            for right, b in terms_of(other):
                monomial = tuple(sorted(left + right, key=_atom_rank))
                total[monomial] = total.get(monomial, 0) + a * b
        return _collect(total)

    __rmul__ = __mul__

    def __truediv__(self, other: Number) -> Formula:
        if not isinstance(other, (int, Fraction)):
            return NotImplemented
        reciprocal = 1 / Fraction(other)
        return Formula(tuple((monomial, _plain(coefficient * reciprocal)) for monomial, coefficient in self.terms))

    def __str__(self) -> str:
        return joined_terms((coefficient, _human_term(monomial, coefficient)) for monomial, coefficient in self.terms)

    def __repr__(self) -> str:
        return f"Formula({self})"


Size: TypeAlias = int | Formula
"""A tensor extent: an int where it is known, a Formula where it depends on symbols."""
Value: TypeAlias = int | Fraction | Formula


def symbol(name: str) -> Formula:
    """The formula `name`."""
    return formula_of(Sym(name))


def formula_of(atom: Atom) -> Formula:
    return Formula((((atom,), 1),))


def total(sizes: Iterable[Value]) -> Size:
    """Their sum, brought into normal form once: a long sum of formulas takes time in its length, not its square."""
    known: Number = 0
    terms: dict[Monomial, Number] = {}
    for size in sizes:
        if isinstance(size, Formula):
            for monomial, coefficient in size.terms:
                terms[monomial] = terms.get(monomial, 0) + coefficient
        else:
            known = known + size
    if not terms:
        return known  # type: ignore[return-value]  # a Fraction is no extent: see the docstring of Formula
    terms[()] = terms.get((), 0) + _plain(known)
    return _collect(terms)


def _plain(number: Number) -> Number:
    """The same number, as a plain int where it is whole (which also drops the trace of a `Traced`)."""
    return int(number) if number.denominator == 1 else number


def terms_of(value: Value) -> Terms:
    """The terms of a formula or a number."""
    return value.terms if isinstance(value, Formula) else (((), _plain(value)),)


def _collect(coefficients: Mapping[Monomial, Number]) -> Size:
    """The normal form of a sum: zeros dropped, terms sorted, a constant collapsed to a number."""
    terms = [(monomial, _plain(c)) for monomial, c in coefficients.items() if c]
    if not terms:
        return 0
    if len(terms) == 1 and not terms[0][0]:
        return terms[0][1]  # type: ignore[return-value]  # a Fraction is no extent: see the docstring of Formula
    terms.sort(key=_term_rank)
    return Formula(tuple(terms))


def _term_rank(term: tuple[Monomial, Number]) -> tuple[Any, ...]:
    """Products of more atoms first, then by their atoms; hence the constant last."""
    monomial, coefficient = term
    return -len(monomial), tuple(map(_atom_rank, monomial)), coefficient


def _atom_rank(atom: Atom) -> tuple[Any, ...]:
    """Symbols by name, then floors by divisor and content."""
    if isinstance(atom, Sym):
        return 0, atom.name
    return 1, atom.divisor, tuple(map(_term_rank, atom.inner.terms))


# ---------------------------------------------------------------------------------------------------------------------
# Rounded quotients
# ---------------------------------------------------------------------------------------------------------------------


def floor_div(a: Value, divisor: int) -> Size:
    """floor(a / divisor), in normal form."""
    return floor_of(a / divisor) if isinstance(a, Formula) else a // divisor


def ceil_div(a: Value, divisor: int) -> Size:
    """ceil(a / divisor) = floor((N + S - 1) / S), where a / divisor = N / S with integer coefficients in N."""
    if isinstance(a, Formula):
        quotient = a / divisor
        return floor_of(quotient + 1 - Fraction(1, denominator(quotient)))
    if isinstance(a, Traced) and not isinstance(divisor, Traced):
        return _traced(-(-int(a) // divisor), ceil_div(a.trace, divisor))
    return -(-a // divisor)


def floor_of(a: Value) -> Size:
    """floor(a), in normal form: floor(N / S) rewritten as the module's docstring says, with integer coefficients in N.

    The three rewrites are made in their order: the multiples of S leave the floor, the rest is reduced by its common
    factor with S, and a floor within it, if it is the only one and has the coefficient 1, is merged.
    """
    if not isinstance(a, Formula):
        return a // 1

    scale = denominator(a)
    outside: dict[Monomial, Number] = {}
    inside: dict[Monomial, int] = {}
    for monomial, coefficient in a.terms:
        outside[monomial], remainder = divmod(int(coefficient * scale), scale)
        if remainder:
            inside[monomial] = remainder
    offset = inside.pop((), 0)

    whole = _collect(outside)
    if not inside:
        return whole  # 0 <= offset < scale

    common = gcd(scale, *inside.values())
    scale //= common
    inner = _collect({monomial: c // common for monomial, c in inside.items()} | {(): offset // common})
    assert isinstance(inner, Formula)

    nested = _only_floor(inner)
    if nested is None:
        return whole + formula_of(Floor(inner, scale))
    rest = inner - formula_of(nested)
    return whole + floor_div(nested.inner + nested.divisor * rest, nested.divisor * scale)


def _only_floor(formula: Formula) -> Floor | None:
    """floor(X/s), if the formula is floor(X/s) + Y and there is no floor in Y."""
    holding = [term for term in formula.terms if any(isinstance(atom, Floor) for atom in term[0])]
    if len(holding) == 1:
        monomial, coefficient = holding[0]
        if len(monomial) == 1 and coefficient == 1 and isinstance(monomial[0], Floor):
            return monomial[0]
    return None


def denominator(formula: Formula) -> int:
    """The common denominator of the coefficients."""
    return lcm(*(coefficient.denominator for _, coefficient in formula.terms))


# ---------------------------------------------------------------------------------------------------------------------
# Symbols and their values
# ---------------------------------------------------------------------------------------------------------------------


def complexity(size: Size) -> int:
    """How many terms a size has, those inside floors included; what repeats counts each time it stands."""
    if not isinstance(size, Formula):
        return 1
    inner = (atom.inner for monomial, _ in size.terms for atom in monomial if isinstance(atom, Floor))
    return len(size.terms) + sum(complexity(part) for part in inner)


def symbols(size: Size) -> frozenset[str]:
    """The names of the symbols that occur in the size."""
    return frozenset(_names(size))


def _names(size: Size) -> Iterator[str]:
    if isinstance(size, Formula):
        for monomial, _ in size.terms:
            for atom in monomial:
                if isinstance(atom, Sym):
                    yield atom.name
                else:
                    yield from _names(atom.inner)


def evaluate(size: Size, env: Mapping[str, int]) -> Number:
    """The value of the size where each symbol has the value `env` gives it: an int wherever it is whole.

    Raises KeyError for a symbol without a value.
    """
    total: Number = 0
    for monomial, coefficient in terms_of(size):
        product = coefficient
        for atom in monomial:
            if isinstance(atom, Sym):
                product *= int(env[atom.name])
            else:
                product *= evaluate(atom.inner, env) // atom.divisor
        total += product
    return _plain(total)


def substitute(size: Size, env: Mapping[str, Size]) -> Size:
    """The size with each symbol that is in `env` replaced, all of them at once; other symbols stay."""
    if not isinstance(size, Formula):
        return size
    total: Value = 0
    for monomial, coefficient in size.terms:
        product: Value = coefficient
        for atom in monomial:
            factor: Value
            if isinstance(atom, Floor):
                factor = floor_div(substitute(atom.inner, env), atom.divisor)
            else:
                factor = env.get(atom.name, formula_of(atom))
            product = product * (factor if isinstance(factor, Formula) else _plain(factor))
        total = total + product
    return _collect(dict(terms_of(total)))


# ---------------------------------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------------------------------


def joined_terms(terms: Iterable[tuple[Number, str]]) -> str:
    """`a + b - c` for terms (sign, text), the text without its sign; a minus comes first only if all have one."""
    ordered = list(terms)
    first = next((i for i, (sign, _) in enumerate(ordered) if sign > 0), 0)
    text = ""
    for sign, term in [ordered[first], *ordered[:first], *ordered[first + 1 :]] if ordered else []:
        operator = ("-" if sign < 0 else "") if not text else (" - " if sign < 0 else " + ")
        text += operator + term
    return text


def _human_term(monomial: Monomial, coefficient: Number) -> str:
    """`3*H/4` for 3/4 of H, and for -3/4: the caller writes the sign."""
    multiplier = abs(coefficient.numerator)
    factors = [] if multiplier == 1 and monomial else [str(multiplier)]
    factors += map(_human_atom, monomial)
    divided = f"/{coefficient.denominator}" if coefficient.denominator != 1 else ""
    return "*".join(factors) + divided


def _human_atom(atom: Atom) -> str:
    """`H`, `floor(H/2)`, `floor((H + 1)/4)`, and `ceil(H/4)` for floor((H + 3)/4)."""
    if isinstance(atom, Sym):
        return atom.name
    inner, divisor = atom
    monomial, coefficient = inner.terms[0]
    if coefficient == 1 and len(monomial) == 1 and isinstance(monomial[0], Sym):
        if inner.terms[1:] == (((), divisor - 1),):
            return f"ceil({monomial[0].name}/{divisor})"
    return f"floor({inner}/{divisor})" if len(inner.terms) == 1 else f"floor(({inner})/{divisor})"


def is_polynomial(formula: Formula) -> bool:
    """Whether there is no floor in it."""
    return all(isinstance(atom, Sym) for monomial, _ in formula.terms for atom in monomial)


# ---------------------------------------------------------------------------------------------------------------------
# Ints that remember where they come from
# ---------------------------------------------------------------------------------------------------------------------


class Traced(int):
    """An int that remembers how it was computed from named parameters: evaluate(trace, parameters) == the int.

        Traced(a, A) + Traced(b, B)  =  Traced(a + b, A + B)          - and * alike
        Traced(a, A) // n            =  Traced(a // n, floor(A/n))    n a plain int

    The trace of a plain int is that int. Where the trace becomes constant, and after any other operation, the result
    is a plain int. In all else a Traced is its int: equality, order, hash, text, JSON; also when it meets a Formula.
    """

    trace: Formula

    def __new__(cls, value: int, trace: Formula) -> Traced:
        self = super().__new__(cls, value)
        self.trace = trace
        return self

    def __reduce__(self) -> tuple[type[Traced], tuple[int, Formula]]:
        return Traced, (int(self), self.trace)

    def __add__(self, other: int, /) -> int:
        if not isinstance(other, int):
            return NotImplemented
        return _traced(int(self) + int(other), self.trace + trace_of(other))

    __radd__ = __add__

    def __sub__(self, other: int, /) -> int:
        if not isinstance(other, int):
            return NotImplemented
        return _traced(int(self) - int(other), self.trace - trace_of(other))

    def __rsub__(self, other: int, /) -> int:
        return -self + other

    def __mul__(self, other: int, /) -> int:
        if not isinstance(other, int):
            return NotImplemented
        return _traced(int(self) * int(other), self.trace * trace_of(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: int, /) -> int:
        if not isinstance(other, int):
            return NotImplemented
        quotient = int(self) // int(other)
        return quotient if isinstance(other, Traced) else _traced(quotient, floor_div(self.trace, other))

    def __neg__(self) -> int:
        return Traced(-int(self), -self.trace)


class TracedFloat(float):
    """A float that remembers how it was computed, for rates: `l/108` of a block's parameter l.

    It is multiplied by whole numbers (LRN's α·n); any other operation gives a plain float.
    """

    trace: Formula

    def __new__(cls, value: float, trace: Formula) -> TracedFloat:
        self = super().__new__(cls, value)
        self.trace = trace
        return self

    def __reduce__(self) -> tuple[type[TracedFloat], tuple[float, Formula]]:
        return TracedFloat, (float(self), self.trace)

    def __mul__(self, other: float, /) -> float:
        product = float(self) * float(other)
        trace = self.trace * trace_of(other) if isinstance(other, int) else None
        return TracedFloat(product, trace) if isinstance(trace, Formula) else product

    __rmul__ = __mul__


def _traced(value: int, trace: Size) -> int:
    return Traced(value, trace) if isinstance(trace, Formula) else value


def trace_of(n: Size) -> Size:
    """How n was computed: the trace of a Traced; a plain int or a Formula is its own."""
    return n.trace if isinstance(n, Traced) else n
