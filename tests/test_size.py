"""Sizes: the laws of the normal form, and decisions checked against brute force."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeAlias, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netdsl.domain import (
    ANY,
    MAX_CLASSES,
    Domain,
    Verdict,
    period,
    simplified,
    solve_at_least,
    solve_divisible,
    solve_zero,
)
from netdsl.size import (
    Formula,
    Size,
    Traced,
    Value,
    ceil_div,
    evaluate,
    floor_div,
    floor_of,
    is_polynomial,
    substitute,
    symbol,
    symbols,
    total,
    trace_of,
)
from netdsl_torch.formula import to_python, to_python_rate

H, W, C = symbol("H"), symbol("W"), symbol("C")

# ---------------------------------------------------------------------------------------------------------------------
# Chains: what a network does to one spatial extent. A step (m, c, s, d) is x -> floor((m*x + c) / s) + d.
# ---------------------------------------------------------------------------------------------------------------------

Step: TypeAlias = tuple[int, int, int, int]


def run(chain: list[Step], x: Size) -> Size:
    for m, c, s, d in chain:
        x = floor_div(m * x + c, s) + d
    return x


@st.composite
def windows(draw: st.DrawFn, strides: st.SearchStrategy[int]) -> Step:
    """A convolution or a pooling: floor((W + 2p - k) / S) + 1, or rounded up."""
    k, p, s = draw(st.integers(1, 7)), draw(st.integers(0, 3)), draw(strides)
    return 1, 2 * p - k + draw(st.sampled_from([0, s - 1])), s, 1


def upsamplings(factors: st.SearchStrategy[int]) -> st.SearchStrategy[Step]:
    """An upsampling, or a transposed convolution: m*W + d."""
    return st.builds(lambda m, d: (m, 0, 1, d), factors, st.integers(-3, 3))


def chains_of(numbers: list[int], most: int = 6) -> st.SearchStrategy[list[Step]]:
    of = st.sampled_from(numbers)
    return st.lists(windows(of) | upsamplings(of), max_size=most)


binary_chains = chains_of([1, 2, 4])
"""Here strides and multipliers always divide one another, as in the networks there are."""
chains = chains_of([1, 2, 3, 4], 4)


def values(size: Size, ns: range = range(1, 301)) -> list[int | Fraction]:
    return [evaluate(size, {"H": n}) for n in ns]


@given(chains, st.integers(-50, 500))
def test_evaluate_commutes_with_a_chain(chain: list[Step], n: int) -> None:
    assert evaluate(run(chain, H), {"H": n}) == run(chain, n)


@given(binary_chains)
def test_a_chain_ends_in_one_floor(chain: list[Step]) -> None:
    out = run(chain, H)
    assert isinstance(out, Formula)
    p = period(out)
    m = evaluate(out, {"H": p}) - evaluate(out, {"H": 0})
    candidates = [m * floor_div(H + c, p) for c in range(p)]
    assert any(not isinstance(out - candidate, Formula) for candidate in candidates)


@given(binary_chains, binary_chains)
def test_equal_normal_forms_are_equal_functions(one: list[Step], other: list[Step]) -> None:
    a, b = run(one, H), run(other, H)
    assert (a == b) == (values(a) == values(b))
    if a == b:
        assert hash(a) == hash(b) and str(a) == str(b)


@given(binary_chains, st.data())
def test_another_way_to_the_same_function_has_the_same_normal_form(chain: list[Step], data: st.DataObject) -> None:
    """A stride s*t is a stride s and then t; a factor s and then a stride s do nothing."""
    other: list[Step] = []
    for m, c, s, d in chain:
        if data.draw(st.booleans()):
            t = data.draw(st.sampled_from([1, 2, 4]))
            other += [(t, data.draw(st.integers(0, t - 1)), 1, 0), (1, 0, t, 0)]
        if s == 4:
            other += [(m, c, 2, 0), (1, 0, 2, d)]
        else:
            other += [(m, c, s, d)]
    assert run(chain, H) == run(other, H)


@given(chains, chains)
def test_solve_zero_decides_equality_where_normal_forms_do_not(one: list[Step], other: list[Step]) -> None:
    a, b = run(one, H), run(other, H)
    difference = a - b
    assume(period(difference) <= 300)
    assert (solve_zero(difference, {}).kind == "always") == (values(a) == values(b))


def test_functions_that_only_solve_zero_tells_equal() -> None:
    halves = floor_div(H, 2) + ceil_div(H, 2)
    assert halves != H
    assert solve_zero(halves - H, {}) == Verdict("always")


def test_identities_of_architectures() -> None:
    def conv(x: Size, k: int, s: int, p: int) -> Size:
        return floor_div(x + 2 * p - k, s) + 1

    assert conv(H, 3, 1, 1) == conv(H, 5, 1, 2) == conv(H, 1, 1, 0) == H  # "same"
    assert conv(2 * H, 2, 2, 0) == H  # upsample, then pool
    assert conv(H, 7, 2, 3) == conv(H, 3, 2, 1) == conv(H, 1, 2, 0) == ceil_div(H, 2)  # the ResNet shortcut fits

    resnet: Size = H
    for k, s, p in [(7, 2, 3), (3, 2, 1), (3, 2, 1), (3, 2, 1), (3, 2, 1)]:
        resnet = conv(resnet, k, s, p)
    assert str(resnet) == "ceil(H/32)"
    assert evaluate(resnet, {"H": 224}) == 7

    unet: Size = H
    for _ in range(4):
        unet = conv(unet, 2, 2, 0)
    for _ in range(4):
        unet = 2 * unet
    assert str(unet) == "16*floor(H/16)"
    assert solve_zero(unet - H, {}) == Verdict("when", "H", Domain(1, 16, {0}))
    assert substitute(unet, {"H": 16 * W}) == 16 * W

    alexnet = conv(conv(conv(conv(H, 11, 4, 2), 3, 2, 0), 3, 2, 0), 3, 2, 0)
    assert str(alexnet) == "floor((H + 1)/32) - 1" and evaluate(alexnet, {"H": 224}) == 6
    assert solve_at_least(alexnet, 1, {}) == Verdict("when", "H", Domain(63, 1, {0}))


# ---------------------------------------------------------------------------------------------------------------------
# Arithmetic
# ---------------------------------------------------------------------------------------------------------------------

fractions = st.builds(Fraction, st.integers(-6, 6), st.integers(1, 6))
divisors = st.integers(1, 6)
env = st.fixed_dictionaries({"H": st.integers(1, 100), "W": st.integers(1, 100)})


def _larger(parts: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    return st.one_of(
        st.builds(lambda a, b: a + b, parts, parts),
        st.builds(lambda a, b: a - b, parts, parts),
        st.builds(lambda a, b: a * b, parts, parts),
        st.builds(lambda a, q: a * q, parts, fractions),
        st.builds(floor_div, parts, divisors),
    )


leaves: st.SearchStrategy[Value] = st.one_of(st.sampled_from([H, W]), st.integers(-9, 9), fractions)
formulas = cast("st.SearchStrategy[Size]", st.recursive(leaves, _larger, max_leaves=6))


@given(formulas, formulas, env)
def test_evaluate_commutes_with_arithmetic(a: Size, b: Size, env: dict[str, int]) -> None:
    x, y = evaluate(a, env), evaluate(b, env)
    assert evaluate(a + b, env) == x + y
    assert evaluate(a - b, env) == x - y
    assert evaluate(a * b, env) == x * y
    assert evaluate(-a, env) == -x


@given(formulas, fractions, st.integers(1, 12), env)
def test_evaluate_commutes_with_division(a: Size, q: Fraction, divisor: int, env: dict[str, int]) -> None:
    x = evaluate(a, env)
    assert evaluate(floor_div(a, divisor), env) == x // divisor
    assert evaluate(floor_div(a, -divisor), env) == x // -divisor
    assert evaluate(ceil_div(a, divisor), env) == -(-x // divisor)
    assert evaluate(ceil_div(a, -divisor), env) == -(-x // -divisor)
    assert evaluate(floor_of(a), env) == math.floor(x)
    if q and isinstance(a, Formula):
        assert evaluate(a / q, env) == x / q


@given(formulas, formulas, formulas)
def test_ring_laws_hold_for_normal_forms(a: Size, b: Size, c: Size) -> None:
    assert a + b == b + a and a * b == b * a
    assert (a + b) + c == a + (b + c) and (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a - a == 0 and (type(a - a) is int or not isinstance(a, Formula))
    assert a + 0 == a and a * 1 == a and a * 0 == 0


@given(formulas, st.integers(-9, 9), divisors)
def test_floor_lets_whole_multiples_out(a: Size, n: int, s: int) -> None:
    """Also of a formula b that is itself an integer: floor(b + a/s) = b + floor(a/s)."""
    b = floor_of(a)
    assert floor_div(s * n + a, s) == n + floor_div(a, s)
    assert floor_div(s * b, s) == b
    assert floor_of(b) == b


@given(formulas)
def test_normal_form_is_kept(a: Size) -> None:
    if isinstance(a, Formula):
        coefficients = [c for _, c in a.terms]
        assert 0 not in coefficients
        assert all(type(c) is int or (type(c) is Fraction and c.denominator > 1) for c in coefficients)
        assert symbols(a)
        rebuilt = substitute(a, {})
        assert rebuilt == a and hash(rebuilt) == hash(a)


@given(formulas, formulas, formulas, env)
def test_substitute(a: Size, h: Size, w: Size, env: dict[str, int]) -> None:
    h, w = floor_of(h), floor_of(w)
    there = {"H": int(evaluate(h, env)), "W": int(evaluate(w, env))}
    assert evaluate(substitute(a, {"H": h, "W": w}), env) == evaluate(a, there)
    assert evaluate(substitute(a, {"H": h}), env) == evaluate(a, {**env, "H": there["H"]})
    assert substitute(a, env) == evaluate(a, env)
    assert symbols(a) <= {"H", "W"} and "H" not in symbols(substitute(a, {"H": w})) - symbols(w)


@given(st.lists(formulas, max_size=6))
def test_a_sum_at_once_is_the_sum_one_by_one(sizes: list[Size]) -> None:
    assert total(sizes) == sum(sizes, start=0)
    assert str(total(sizes)) == str(sum(sizes, start=0))


@given(formulas, env)
def test_to_python_has_the_value_of_the_size(a: Size, env: dict[str, int]) -> None:
    value = evaluate(a, env)
    assume(value == math.floor(value))
    assert eval(to_python(a), dict(env)) == value
    assert eval(to_python(a, {"H": "x.h"}), {"x": _Box(env["H"]), "W": env["W"]}) == value


@given(formulas, env)
def test_to_python_of_a_whole_formula(a: Size, env: dict[str, int]) -> None:
    assert eval(to_python(floor_of(a)), dict(env)) == math.floor(evaluate(a, env))


class _Box:
    def __init__(self, h: int) -> None:
        self.h = h


@given(formulas, env)
def test_str_is_the_formula(a: Size, env: dict[str, int]) -> None:
    """Read back with exact numbers, the text has the value of the formula."""
    exact = re.sub(r"\d+", r"Fraction(\g<0>)", str(a))
    names = {"Fraction": Fraction, "floor": math.floor, "ceil": math.ceil}
    assert eval(exact, {**names, **env}) == evaluate(a, env)


@pytest.mark.parametrize(
    ("size", "text", "python"),
    [
        (3, "3", "3"),
        (H, "H", "H"),
        (2 * H + 1, "2*H + 1", "2 * H + 1"),
        (1 - H, "1 - H", "1 - H"),
        (W - H - 2, "W - H - 2", "W - H - 2"),
        (H * W, "H*W", "H * W"),
        (H * H, "H*H", "H * H"),
        (1 + W + H * W * 3, "3*H*W + W + 1", "3 * H * W + W + 1"),
        (H / 2, "H/2", "H // 2"),
        (H * 3 / 4, "3*H/4", "3 * H // 4"),
        (-H / 4 + 32, "32 - H/4", "32 - H // 4"),
        (C / 4 + H / 2 + W, "C/4 + H/2 + W", "W + (C + 2 * H) // 4"),
        (H / 2 + Fraction(1, 2), "H/2 + 1/2", "(H + 1) // 2"),
        (floor_div(H, 2), "floor(H/2)", "H // 2"),
        (floor_div(H + 1, 2), "ceil(H/2)", "(H + 1) // 2"),
        (ceil_div(H, 32), "ceil(H/32)", "(H + 31) // 32"),
        (floor_div(H + 1, 4), "floor((H + 1)/4)", "(H + 1) // 4"),
        (floor_div(3 * H, 4), "floor(3*H/4)", "3 * H // 4"),
        (floor_div(3 * H + 3, 4), "floor((3*H + 3)/4)", "(3 * H + 3) // 4"),
        (floor_div(H * W, 2), "floor(H*W/2)", "H * W // 2"),
        (16 * floor_div(H, 16), "16*floor(H/16)", "16 * (H // 16)"),
        (3 - floor_div(H, 2), "3 - floor(H/2)", "3 - (H // 2)"),
        (floor_div(H, 2) / 3, "floor(H/2)/3", "(H // 2) // 3"),
        (floor_div(2 * floor_div(H, 2) + 1, 3), "floor((2*floor(H/2) + 1)/3)", "(2 * (H // 2) + 1) // 3"),
        (floor_div(H, 2) * floor_div(W, 2), "floor(H/2)*floor(W/2)", "(H // 2) * (W // 2)"),
        (floor_div(H + W, 2) * H, "H*floor((H + W)/2)", "H * ((H + W) // 2)"),
    ],
)
def test_text(size: Size, text: str, python: str) -> None:
    assert str(size) == text
    assert to_python(size) == python


@given(
    st.lists(
        st.tuples(st.fractions(max_denominator=108), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=4
    ),
    st.fixed_dictionaries({"H": st.integers(1, 99), "W": st.integers(1, 99)}),
)
def test_a_rate_in_python_has_the_value_of_its_formula(
    terms: list[tuple[Fraction, int, int]], env: dict[str, int]
) -> None:
    """True division, so that the value need not be whole."""
    formula: Any = 0
    for c, h, w in terms:
        product: Any = c
        for factor in [H] * h + [W] * w:
            product = product * factor
        formula = formula + product
    if isinstance(formula, Formula):
        assert is_polynomial(formula)
        assert eval(to_python_rate(formula), dict(env)) == pytest.approx(float(evaluate(formula, env)))


def test_rates_read_like_the_text() -> None:
    assert to_python_rate(H / 108) == "H / 108"
    assert to_python_rate(Fraction(1, 2) - 3 * H / 4) == "0.5 - 3 * H / 4"
    assert to_python_rate(H * W / 10, {"H": "share"}) == "share * W / 10"
    assert not is_polynomial(floor_div(H, 2))


def test_to_python_renames() -> None:
    growth, before = symbol("growth"), symbol("in")
    names = {"growth": "growth", "in": "in_channels"}
    assert to_python(before + 32, names) == "in_channels + 32"
    assert to_python(4 * growth + before, names) == "4 * growth + in_channels"
    assert to_python(before / 4, names) == "in_channels // 4"


def test_constants_collapse() -> None:
    assert type(H - H) is int and H - H == 0
    assert type(H / 2 * 2 - H) is int
    assert (H / 2 + Fraction(1, 2)) - H / 2 == Fraction(1, 2)
    assert floor_div(7, 2) == 3 and ceil_div(7, 2) == 4 and floor_of(Fraction(7, 2)) == 3
    assert ceil_div(Fraction(7, 2), 2) == 2
    assert evaluate(H / 2, {"H": 3}) == Fraction(3, 2)
    assert type(evaluate(H / 2, {"H": 4})) is int
    assert type(substitute(H / 2, {"H": 4})) is int


def test_floors_merge_and_split() -> None:
    assert floor_div(floor_div(H + 1, 2) + 1, 2) == floor_div(H + 3, 4)
    assert floor_div(floor_div(H, 2) + W, 2) == floor_div(H + 2 * W, 4)
    assert floor_div(5 * H + 7, 4) == H + 1 + floor_div(H + 3, 4)
    assert floor_div(2 * H + 1, 4) == floor_div(H, 2)
    assert floor_div(4 * H * W + 3, 4) == H * W
    assert floor_of(H / 2 + H / 3) == floor_div(5 * H, 6)
    assert str(floor_div(-H, 2)) == "floor(H/2) - H"


def test_formulas_are_values() -> None:
    assert symbol("H") == H and hash(H) == hash(symbol("H")) and symbol("H") != W
    assert H != 1 and H != "H" and H is not None
    assert len({H + 1, 1 + H, floor_div(2 * H, 2) + 1}) == 1
    size = Fraction(1, 3) * H * floor_div(W, 2)
    for same in (copy.deepcopy(size), pickle.loads(pickle.dumps(size))):
        assert same == size and hash(same) == hash(size)
    assert repr(H + 1) == "Formula(H + 1)"
    assert symbols(size) == {"H", "W"} and symbols(3) == frozenset()


@pytest.mark.parametrize("other", ["x", 1.5, None, [1]])
def test_arithmetic_with_anything_else_is_refused(other: object) -> None:
    operations: list[Callable[[Formula], object]] = [
        lambda f: f + other,  # type: ignore[operator]
        lambda f: f - other,  # type: ignore[operator]
        lambda f: other - f,  # type: ignore[operator]
        lambda f: f * other,  # type: ignore[operator]
        lambda f: f / other,  # type: ignore[operator]
        lambda f: 1 / f,  # type: ignore[operator]
    ]
    for operation in operations:
        with pytest.raises(TypeError):
            operation(H)


def test_division_by_zero_and_missing_values() -> None:
    quotients: list[Callable[[], Size]] = [lambda: H / 0, lambda: floor_div(H, 0), lambda: ceil_div(1, 0)]
    for quotient in quotients:
        with pytest.raises(ZeroDivisionError):
            quotient()
    with pytest.raises(KeyError):
        evaluate(H + W, {"H": 1})


# ---------------------------------------------------------------------------------------------------------------------
# Traced ints
# ---------------------------------------------------------------------------------------------------------------------

parameters = {"a": 5, "b": 12, "c": 64}
traced: st.SearchStrategy[int] = st.sampled_from([Traced(n, symbol(name)) for name, n in parameters.items()])


def _computed(parts: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    nonzero = st.integers(-7, 7).filter(bool)
    return st.one_of(
        st.builds(lambda a, b: a + b, parts, parts),
        st.builds(lambda a, b: a - b, parts, parts),
        st.builds(lambda a, b: a * b, parts, parts),
        st.builds(lambda a, n: a // n, parts, nonzero),
        st.builds(lambda a, n: a * n, parts, nonzero),
        st.builds(lambda a: -a, parts),
        st.builds(lambda a, n: ceil_div(a, n), parts, nonzero),
    )


computed: st.SearchStrategy[int] = st.recursive(traced | st.integers(-9, 9), _computed, max_leaves=8)


@given(computed)
def test_the_trace_computes_the_int(n: int) -> None:
    assert evaluate(trace_of(n), parameters) == n
    assert type(n) is int or isinstance(trace_of(n), Formula)


@given(computed, computed)
def test_a_traced_int_is_its_int(n: int, other: int) -> None:
    plain = int(n)
    assert type(plain) is int
    assert n == plain and hash(n) == hash(plain) and {plain: 0}[n] == 0
    assert str(n) == str(plain) and f"{n:>5}" == f"{plain:>5}" and json.dumps([n]) == json.dumps([plain])
    assert (n < other) == (plain < int(other))
    assert n + other == plain + int(other) and n - other == plain - int(other) and n * other == plain * int(other)
    if other:
        assert n // other == plain // int(other) and n % other == plain % int(other) and n / other == plain / int(other)


@given(st.lists(computed, max_size=5))
def test_sum_and_prod_trace(ns: list[int]) -> None:
    total, product = sum(ns), math.prod(ns)
    assert total == sum(map(int, ns)) and product == math.prod(map(int, ns))
    assert evaluate(trace_of(total), parameters) == total
    assert evaluate(trace_of(product), parameters) == product


def test_traces() -> None:
    c, k = Traced(64, symbol("c")), Traced(3, symbol("k"))
    assert str(trace_of(4 * c + 32)) == "4*c + 32"
    assert str(trace_of(c * k * k)) == "c*k*k"
    assert str(trace_of(c // 4)) == "floor(c/4)"
    assert str(trace_of(ceil_div(c, 4))) == "ceil(c/4)"
    assert str(trace_of(sum([c, 32, 32]))) == "c + 64"
    assert str(trace_of(math.prod([c, k, 2]))) == "2*c*k"
    assert str(trace_of(10 - c)) == "10 - c"
    for plain in (c - c, c * 0, c // k, 7 // k, c % 2, c**2, abs(c), c - c + 1):
        assert type(plain) is int
    assert trace_of(5) == 5 and trace_of(H) is H


def test_traced_among_other_types() -> None:
    c = Traced(4, symbol("c"))
    assert c + 0.5 == 4.5 and 0.5 - c == -3.5 and c * 0.5 == 2.0 and c // 0.5 == 8.0 and c / 8 == 0.5
    assert c * Fraction(1, 2) == 2 and [0] * c == [0] * 4 and c * "x" == "xxxx"
    for same in (copy.deepcopy(c), pickle.loads(pickle.dumps(c))):
        assert same == c and same.trace == c.trace
    with pytest.raises(TypeError):
        c + "x"  # type: ignore[operator]


def test_traced_is_a_plain_int_to_a_formula() -> None:
    c = Traced(4, symbol("c"))
    for size, expected in [(c + H, H + 4), (H - c, H - 4), (c - H, 4 - H), (c * H, 4 * H), (H / c, H / 4)]:
        assert size == expected and str(size) == str(expected)
        assert all(not isinstance(n, Traced) for _, n in size.terms)  # type: ignore[union-attr]
    assert floor_div(H, c) == floor_div(H, 4) and ceil_div(H, c) == ceil_div(H, 4)
    assert type(substitute(H, {"H": c})) is int and type(evaluate(H, {"H": c})) is int
    assert type(floor_div(c, c)) is int and type(ceil_div(c, c)) is int
    assert to_python(c) == "4"


# ---------------------------------------------------------------------------------------------------------------------
# Domains
# ---------------------------------------------------------------------------------------------------------------------


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    modulus = draw(st.sampled_from([1, 1, 2, 3, 4, 6, 8, 12]))
    residues = draw(st.sets(st.integers(0, modulus - 1), min_size=1))
    return Domain(draw(st.integers(1, 40)), modulus, residues)


@given(st.integers(-5, 40), st.integers(1, 24), st.data())
def test_domain_is_the_set_it_is_made_of(lower: int, modulus: int, data: st.DataObject) -> None:
    residues = data.draw(st.sets(st.integers(-modulus, 2 * modulus)))
    domain = Domain(lower, modulus, residues)
    wanted = {r % modulus for r in residues}
    members = [n for n in range(-10, 100) if n >= lower and n % modulus in wanted]
    assert [n for n in range(-10, 100) if domain.admits(n)] == members
    assert domain.empty == (not residues)
    if residues:
        assert domain.lower == members[0]
    # no smaller modulus describes the set
    smaller = (m for m in range(1, domain.modulus) if domain.modulus % m == 0)
    assert not any({(r + m) % domain.modulus for r in domain.residues} == domain.residues for m in smaller)
    # the same set, made otherwise
    k = data.draw(st.integers(1, 3))
    lifted = {r + modulus * i for r in residues for i in range(k)}
    other = Domain(lower, modulus * k, lifted)
    assert other == domain and hash(other) == hash(domain) and repr(other) == repr(domain)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (ANY, "H >= 1"),
        (Domain(63, 1, {0}), "H >= 63"),
        (Domain(1, 16, {0}), "H must be a multiple of 16"),
        (Domain(32, 32, {0}), "H must be a multiple of 32"),
        (Domain(33, 32, {0}), "H >= 64 and H must be a multiple of 32"),
        (Domain(1, 8, {3, 7, 4}), "H must leave 3, 4 or 7 when divided by 8"),
        (Domain(1, 10, {3, 7}), "H must leave 3 or 7 when divided by 10"),
        (Domain(9, 10, {3, 7}), "H >= 13 and H must leave 3 or 7 when divided by 10"),
        (Domain(1, 32, set(range(16))), "H must leave 0 to 15 when divided by 32"),
        (Domain(1, 2, {1}), "H must leave 1 when divided by 2"),
        (Domain(1, 4, {1, 2, 3}), "H must not be a multiple of 4"),
        (Domain(1, 4, {0, 1, 3}), "H must not leave 2 when divided by 4"),
        (Domain(1, 1, set()), "no H is possible"),
        (
            Domain(1, 101, {n * n for n in range(50)}),
            "H must leave one of 50 remainders (0, 1, 4 to 6, ...) when divided by 101",
        ),
    ],
)
def test_describe(domain: Domain, text: str) -> None:
    assert domain.describe("H") == text


def test_domain_is_a_value() -> None:
    assert Domain(1, 8, {3, 7}) == Domain(3, 4, {3})
    assert repr(Domain(1, 8, {3, 6})) == "Domain(3, 8, {3, 6})"
    assert Domain(2, 1, {0}) != ANY and Domain(1, 1, {5}) == ANY and ANY != 1


# ---------------------------------------------------------------------------------------------------------------------
# Decisions against brute force
# ---------------------------------------------------------------------------------------------------------------------

NS = range(1, 301)


def check(verdict: Verdict, domain: Domain, holds: Callable[[int], bool]) -> None:
    """A decided verdict says, within the domain, for exactly which n in NS the condition holds."""
    admitted = [n for n in NS if domain.admits(n)]
    truth = [n for n in admitted if holds(n)]
    if verdict.kind == "always":
        assert truth == admitted
    elif verdict.kind == "never":
        assert truth == [n for n in verdict.only if n in NS]
        assert all(domain.admits(n) and holds(n) for n in verdict.only)
    else:
        assert verdict.kind == "when" and verdict.symbol == "H"
        assert truth == [n for n in NS if verdict.domain.admits(n)]
        assert verdict.domain != domain and not verdict.domain.empty


@given(chains, chains | st.integers(-2, 40), domains())
def test_solve_zero(one: list[Step], other: list[Step] | int, domain: Domain) -> None:
    f = run(one, H) - (run(other, H) if isinstance(other, list) else other)
    assume(period(f) * domain.modulus <= 300)
    check(solve_zero(f, {"H": domain}), domain, lambda n: evaluate(f, {"H": n}) == 0)


@given(chains, st.integers(-3, 40), domains())
def test_solve_at_least_is_exact_for_a_chain(chain: list[Step], bound: int, domain: Domain) -> None:
    f = run(chain, H)
    verdict = solve_at_least(f, bound, {"H": domain})
    check(verdict, domain, lambda n: evaluate(f, {"H": n}) >= bound)


@given(chains, chains, st.integers(-10, 10), domains())
def test_solve_at_least_for_any_formula(one: list[Step], other: list[Step], bound: int, domain: Domain) -> None:
    f = run(one, H) - run(other, H)
    p = period(f)
    assume(p * domain.modulus <= 100)

    def holds(n: int) -> bool:
        return evaluate(f, {"H": n}) >= bound

    verdict = solve_at_least(f, bound, {"H": domain})
    slope = evaluate(f, {"H": p}) - evaluate(f, {"H": 0})
    admitted = [n for n in range(1, 2000) if domain.admits(n)]
    if slope == 0:
        check(verdict, domain, holds)
    elif slope < 0:
        assert verdict == Verdict("undecided" if any(map(holds, admitted)) else "never")
    elif verdict.kind == "always":
        assert all(map(holds, admitted))
    else:
        least = verdict.domain.lower
        assert verdict.domain == Domain(least, domain.modulus, domain.residues) != domain
        assert all(holds(n) for n in admitted if n >= least)
        assert not holds(max(n for n in admitted if n < least))


@given(chains, st.integers(1, 12), domains())
def test_solve_divisible(chain: list[Step], divisor: int, domain: Domain) -> None:
    f = run(chain, H)
    verdict = solve_divisible(f, divisor, {"H": domain})
    assume(period(f) * divisor * domain.modulus <= 300)
    check(verdict, domain, lambda n: evaluate(f, {"H": n}) % divisor == 0)


@given(formulas, st.integers(-9, 9), st.integers(1, 6), env)
def test_decisions_are_sound_for_all_formulas(f: Size, bound: int, divisor: int, env: dict[str, int]) -> None:
    value = evaluate(f, env)
    for verdict, holds in [
        (solve_zero(f, {}), value == 0),
        (solve_at_least(f, bound, {}), value >= bound),
        (solve_divisible(f, divisor, {}), value % divisor == 0),
    ]:
        if verdict.kind == "always":
            assert holds
        elif verdict.kind == "never":
            assert not holds or any(n in verdict.only for n in env.values())
        elif verdict.kind == "when" and verdict.domain.admits(env[verdict.symbol]):
            assert holds


@given(chains)
def test_period(chain: list[Step]) -> None:
    f = run(chain, H)
    p = period(f)
    steps = {evaluate(f, {"H": n + p}) - evaluate(f, {"H": n}) for n in range(2 * p)}
    assert len(steps) == 1


def test_period_examples() -> None:
    assert period(7) == period(H) == period(H / 2) == 1
    assert period(16 * floor_div(H, 16) - H) == 16
    assert period(floor_div(H, 4) + floor_div(H, 6)) == 12
    assert period(floor_div(2 * floor_div(3 * H, 4), 3)) == 4
    for irregular in (H * H, H + W, floor_div(H * H, 2)):
        with pytest.raises(ValueError, match="quasi-linear"):
            period(irregular)


def test_solve_zero_examples() -> None:
    u = 16 * floor_div(H, 16) - H
    assert solve_zero(0, {}) == Verdict("always") and solve_zero(3, {}) == Verdict("never")
    assert solve_zero(u, {"H": Domain(1, 4, {2})}) == Verdict("never")
    assert solve_zero(u, {"H": Domain(1, 32, {0})}) == Verdict("always")
    assert solve_zero(u, {"H": Domain(17, 12, {0})}) == Verdict("when", "H", Domain(48, 48, {0}))
    assert solve_zero(H - 224, {}) == Verdict("never", only=(224,))
    assert solve_zero(H / 2 - 112, {}) == Verdict("never", only=(224,))
    assert solve_zero(floor_div(H, 32) - 7, {}) == Verdict("never", only=tuple(range(224, 256)))
    assert solve_zero(H - 224, {"H": Domain(225, 1, {0})}) == Verdict("never")
    for unknown in (H - W, H * H - 4, H * floor_div(H, 2)):
        assert solve_zero(unknown, {}) == Verdict("undecided")


def test_solve_at_least_examples() -> None:
    assert solve_at_least(3, 3, {}) == Verdict("always") and solve_at_least(2, 3, {}) == Verdict("never")
    assert solve_at_least(floor_div(H - 11, 4) + 1, 1, {}) == Verdict("when", "H", Domain(11, 1, {0}))
    assert solve_at_least(H, 33, {"H": Domain(1, 32, {0})}) == Verdict("when", "H", Domain(64, 32, {0}))
    assert solve_at_least(H, 32, {"H": Domain(1, 32, {0})}) == Verdict("always")
    assert solve_at_least(5 - H, 0, {}) == Verdict("undecided")
    assert solve_at_least(-H, 0, {}) == Verdict("never")
    # several symbols, or products of them: only what the lowest values show
    assert solve_at_least(H * W + W, 2, {}) == Verdict("always")
    assert solve_at_least(H * W - 1, 1, {}) == Verdict("undecided")
    assert solve_at_least(H * W - 1, 1, {"W": Domain(2, 1, {0})}) == Verdict("always")
    assert solve_at_least(H * floor_div(W, 16), 1, {"W": Domain(1, 16, {0})}) == Verdict("always")
    assert solve_at_least(H - W, -100, {}) == Verdict("undecided")
    assert solve_at_least(H * (W - 5), -4, {}) == Verdict("undecided")


def test_solve_divisible_examples() -> None:
    assert solve_divisible(12, 4, {}) == Verdict("always") and solve_divisible(13, 4, {}) == Verdict("never")
    assert solve_divisible(H, 4, {}) == Verdict("when", "H", Domain(1, 4, {0}))
    assert solve_divisible(H + 1, 4, {"H": Domain(1, 2, {1})}) == Verdict("when", "H", Domain(1, 4, {3}))
    assert solve_divisible(H, 4, {"H": Domain(1, 2, {1})}) == Verdict("never")
    assert solve_divisible(C / 4, 1, {}) == Verdict("when", "C", Domain(1, 4, {0}))
    # several symbols: what every term shows
    assert solve_divisible(16 * H * W + 8, 8, {}) == Verdict("always")
    assert solve_divisible(16 * H * W + 3, 8, {}) == Verdict("never")
    assert solve_divisible(16 * H * W + 8 * C + 4 * H, 8, {}) == Verdict("when", "H", Domain(1, 2, {0}))
    assert solve_divisible(H * W, 8, {}) == Verdict("undecided")


def test_an_empty_domain_admits_nothing() -> None:
    nothing = {"H": Domain(1, 2, set())}
    for verdict in (solve_zero(H - 1, nothing), solve_at_least(H, 0, nothing), solve_divisible(H, 2, nothing)):
        assert verdict == Verdict("never")


def test_work_is_capped() -> None:
    large = 2 * MAX_CLASSES
    f = large * floor_div(H, large) - H
    assert solve_zero(f, {}) == Verdict("undecided")
    assert solve_divisible(H, large, {}) == Verdict("undecided")
    # what counts is the residues that the domain allows
    assert solve_zero(f, {"H": Domain(1, large, {0})}) == Verdict("always")
    assert solve_zero(f, {"H": Domain(1, 1024, {0})}) == Verdict("when", "H", Domain(1, large, {0}))
    # a bound may still be evident
    assert solve_at_least(floor_div(H, large), 0, {}) == Verdict("always")


@given(formulas, domains(), st.integers(1, 300))
def test_a_simplified_size_is_the_same_on_its_domain(f: Size, domain: Domain, n: int) -> None:
    assume(domain.admits(n))
    short = simplified(f, {"H": domain, "W": domain})
    assert evaluate(short, {"H": n, "W": n}) == evaluate(f, {"H": n, "W": n})


def test_simplified_examples() -> None:
    eighth = {"H": Domain(1, 8, {0})}
    assert simplified(7, eighth) == 7
    assert simplified(8 * floor_div(H, 8), eighth) == H
    assert simplified(8 * floor_div(H, 8) - H, eighth) == 0
    assert simplified(floor_div(H, 8) * W + 1, eighth) == H * W / 8 + 1
    assert simplified(floor_div(H, 8) * floor_div(H, 4), eighth) == H * H / 32
    assert simplified(floor_div(H + 3, 8) + floor_div(W, 8), eighth) == H / 8 + floor_div(W, 8)
    # not one line on all that is allowed, or of several symbols: as it was
    assert simplified(floor_div(H, 16), eighth) == floor_div(H, 16)
    assert simplified(floor_div(H * W, 8), eighth) == floor_div(H * W, 8)
    assert simplified(floor_div(H, 2), {}) == floor_div(H, 2)
    assert simplified(floor_div(H, 2), {"H": Domain(1, 2, set())}) == floor_div(H, 2)


def test_growth_is_seen_from_the_lowest_values() -> None:
    assert solve_at_least(floor_div(W * floor_div(H, 16), 3) * C, 0, {}) == Verdict("always")
    assert solve_at_least(floor_div(W * floor_div(H, 16), 3) * C, 1, {}) == Verdict("undecided")
    assert solve_at_least(floor_div(W * (H - 2), 3) * C, 0, {}) == Verdict("undecided")
    assert solve_at_least(H * W, 2, {}) == Verdict("undecided")
    assert solve_at_least(H * W, 2, {"H": Domain(2, 1, {0})}) == Verdict("always")
