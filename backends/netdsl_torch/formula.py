"""How is a formula written in Python?  Sizes with whole division, rates with true division."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm

from netdsl.size import Formula, Monomial, Size, Sym, Terms, joined_terms, terms_of


def to_python(size: Size, names: Mapping[str, str] = {}) -> str:
    """The size as a Python expression over ints, `//` its only division: `in_channels + 32`, `(H + 1) // 2`.

        N/S + W   ->   N // S + W          N, W with integer coefficients

    Its value is that of the size wherever the latter is whole, for then S divides N. `names` renames symbols; a new
    name must bind tighter than any operator, as `self.width` does.
    """
    return _python_sum(terms_of(size), names)


def to_python_rate(formula: Formula, names: Mapping[str, str] = {}) -> str:
    """A formula without floors as a Python expression over floats: `l / 108`, `0.5 + 3 * l / 4`."""
    pieces = []
    for monomial, c in formula.terms:
        if not monomial:
            pieces.append((c, repr(abs(float(c)))))
            continue
        symbols = [names.get(atom.name, atom.name) for atom in monomial if isinstance(atom, Sym)]
        product = " * ".join([str(abs(c.numerator)), *symbols] if abs(c.numerator) != 1 else symbols)
        pieces.append((c, product if c.denominator == 1 else f"{product} / {c.denominator}"))
    return joined_terms(pieces)


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
    return joined_terms(pieces)


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
