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
normal forms are equal functions, but not the converse: floor(H/2) + ceil(H/2) and H are kept apart. `solve_zero` on
the difference decides those.

A formula in one symbol that is linear in its atoms ("quasi-linear") repeats, up to a constant step, with a period P:

    f(n + P) = f(n) + k          for every integer n

Hence on each class n = n0, n0 + P, n0 + 2P, ... it is the line f(n0) + t*k, and the `solve_*` functions decide
equalities, bounds and divisibility exactly by looking at one value per class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Literal, NamedTuple, TypeAlias

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
        for monomial, coefficient in _terms(other):
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
            for right, b in _terms(other):
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
        return _sum((coefficient, _human_term(monomial, coefficient)) for monomial, coefficient in self.terms)

    def __repr__(self) -> str:
        return f"Formula({self})"


Size: TypeAlias = int | Formula
"""A tensor extent: an int where it is known, a Formula where it depends on symbols."""
Value: TypeAlias = int | Fraction | Formula


def symbol(name: str) -> Formula:
    """The formula `name`."""
    return _formula_of(Sym(name))


def _formula_of(atom: Atom) -> Formula:
    return Formula((((atom,), 1),))


def _plain(number: Number) -> Number:
    """The same number, as a plain int where it is whole (which also drops the trace of a `Traced`)."""
    return int(number) if number.denominator == 1 else number


def _terms(value: Value) -> Terms:
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
        return floor_of(quotient + 1 - Fraction(1, _denominator(quotient)))
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

    scale = _denominator(a)
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
        return whole + _formula_of(Floor(inner, scale))
    rest = inner - _formula_of(nested)
    return whole + floor_div(nested.inner + nested.divisor * rest, nested.divisor * scale)


def _only_floor(formula: Formula) -> Floor | None:
    """floor(X/s), if the formula is floor(X/s) + Y and there is no floor in Y."""
    holding = [term for term in formula.terms if any(isinstance(atom, Floor) for atom in term[0])]
    if len(holding) == 1:
        monomial, coefficient = holding[0]
        if len(monomial) == 1 and coefficient == 1 and isinstance(monomial[0], Floor):
            return monomial[0]
    return None


def _denominator(formula: Formula) -> int:
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
    for monomial, coefficient in _terms(size):
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
                factor = env.get(atom.name, _formula_of(atom))
            product = product * (factor if isinstance(factor, Formula) else _plain(factor))
        total = total + product
    return _collect(dict(_terms(total)))


# ---------------------------------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------------------------------


def _sum(terms: Iterable[tuple[Number, str]]) -> str:
    """`a + b - c` for terms (sign, text), where the text does not show the sign."""
    text = ""
    for sign, term in terms:
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


def to_python(size: Size, names: Mapping[str, str] = {}) -> str:
    """The size as a Python expression over ints, `//` its only division: `in_channels + 32`, `(H + 1) // 2`.

        N/S + W   ->   N // S + W          N, W with integer coefficients

    Its value is that of the size wherever the latter is whole, for then S divides N. `names` renames symbols; a new
    name must bind tighter than any operator, as `self.width` does.
    """
    return _python_sum(_terms(size), names)


def _python_sum(terms: Terms, names: Mapping[str, str]) -> str:
    whole = [(monomial, int(c)) for monomial, c in terms if c.denominator == 1]
    split = [(monomial, c) for monomial, c in terms if c.denominator != 1]

    pieces = [(c, _python_term(monomial, c, names)) for monomial, c in whole if monomial]
    if split:
        scale = lcm(*(c.denominator for _, c in split))
        sign = -1 if split[0][1] < 0 else 1
        numerator = tuple((monomial, int(c * scale) * sign) for monomial, c in split)
        pieces.append((sign, _python_quotient(numerator, scale, names)))
    pieces += [(c, _python_term(monomial, c, names)) for monomial, c in whole if not monomial]
    return _sum(pieces)


def _python_quotient(numerator: Terms, divisor: int, names: Mapping[str, str]) -> str:
    """`N // divisor`, for integer coefficients in N, the first of them positive."""
    if len(numerator) > 1:
        return f"({_python_sum(numerator, names)}) // {divisor}"
    monomial, coefficient = numerator[0]
    return f"{_python_term(monomial, int(coefficient), names, operand=True)} // {divisor}"


def _python_term(monomial: Monomial, coefficient: int, names: Mapping[str, str], operand: bool = False) -> str:
    """`4 * c` for 4*c and for -4*c: the caller writes the sign.

    A floor stands bare only as a whole, positive term that is no operand, for `4 * c // 2` is not `4 * (c // 2)`, nor
    is `-c // 2` the same as `-(c // 2)`.
    """
    bare = coefficient == 1 and len(monomial) == 1 and not operand
    factors = [] if abs(coefficient) == 1 and monomial else [str(abs(coefficient))]
    for atom in monomial:
        if isinstance(atom, Sym):
            factors.append(names.get(atom.name, atom.name))
        else:
            quotient = _python_quotient(atom.inner.terms, atom.divisor, names)
            factors.append(quotient if bare else f"({quotient})")
    return " * ".join(factors)


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


def _traced(value: int, trace: Size) -> int:
    return Traced(value, trace) if isinstance(trace, Formula) else value


def trace_of(n: Size) -> Size:
    """How n was computed: the trace of a Traced; a plain int or a Formula is its own."""
    return n.trace if isinstance(n, Traced) else n


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

    scaled = f * _denominator(f)

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
    starts at 0 or above.
    """

    def factor_grows(atom: Atom) -> bool:
        if isinstance(atom, Sym):
            return lowest[atom.name] >= 0
        return _grows(atom.inner, lowest) and evaluate(atom.inner, lowest) >= 0

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
    total: Size = 0
    for monomial, coefficient in size.terms:
        product: Any = coefficient
        for atom in monomial:
            product = product * _straightened(atom, domains)
        total = total + product
    return total


def _straightened(atom: Atom, domains: Mapping[str, Domain]) -> Formula:
    """The line a*n + b that the atom is on the domain of its symbol, if it is one; else the atom."""
    formula = _formula_of(atom)
    lines = _lines(formula, domains) if isinstance(atom, Floor) else None
    if lines is None or not lines.starts:
        return formula
    slope = Fraction(lines.step, lines.modulus)
    offsets = {value - slope * n for n, value in lines.starts}
    if len(offsets) > 1:
        return formula
    line = symbol(lines.symbol) * slope + offsets.pop()
    return line if isinstance(line, Formula) else formula
