"""The prover: what it lets through, what it remembers of it, and what it says of the rest. Brute force is the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdsl.domain import ANY, Domain
from netdsl.prove import Prover, ShapeFault, known, nearest_sizes
from netdsl.size import Size, ceil_div, evaluate, floor_div, symbol
from netdsl.source import Source, Span

H, W = symbol("H"), symbol("W")
NS = range(1, 201)

Question: TypeAlias = tuple[str, Size, int]
"""`("at least", f, 3)`: f >= 3; `("divisible", f, 3)`: 3 divides f; `("equal", f, 3)`: f = 3."""


def ask(prover: Prover, question: Question, reason: str = "why") -> None:
    kind, size, n = question
    method = {"at least": prover.at_least, "divisible": prover.divisible, "equal": prover.equal}[kind]
    method(size, n, reason, lambda limit: ShapeFault("E0303", "it does not hold", notes=(limit,)))


def holds(question: Question, n: int) -> bool:
    kind, size, number = question
    value = evaluate(size, {"H": n})
    return bool({"at least": value >= number, "divisible": value % number == 0, "equal": value == number}[kind])


sizes = st.one_of(
    st.integers(-5, 30),
    st.builds(
        lambda m, c, s, d: floor_div(m * H + c, s) + d,
        st.integers(1, 3), st.integers(-6, 6), st.integers(1, 6), st.integers(-5, 5),
    ),
    st.builds(lambda s: s * floor_div(H, s) - H, st.integers(1, 6)),
)  # fmt: skip
questions = st.one_of(
    st.tuples(st.just("at least"), sizes, st.integers(-5, 10)),
    st.tuples(st.just("divisible"), sizes, st.integers(1, 8)),
    st.tuples(st.just("equal"), sizes, st.integers(-5, 10)),
)


@given(st.lists(questions, max_size=5))
def test_what_is_admitted_is_what_holds(asked: list[Question]) -> None:
    """After each answer the domain is the set of sizes for which all that was let through holds."""
    prover = Prover()
    prover.declare("H")
    accepted: list[Question] = []
    for question in asked:
        before = [n for n in NS if all(holds(q, n) for q in accepted)]
        assert [n for n in NS if prover.domains["H"].admits(n)] == before
        try:
            ask(prover, question)
        except ShapeFault as fault:
            good = [n for n in before if holds(question, n)]
            (limit,) = fault.notes if fault.code == "E0303" else ("",)
            if limit.startswith("this holds only for H = "):
                assert good and limit == f"this holds only for H = {' or '.join(map(str, good[:4]))}"
            elif "this cannot be decided" in limit:
                assert good, "none is told from some"
            else:
                assert not good or question[1] == len(good)  # for no size
            continue
        accepted.append(question)
        assert prover.domains["H"] == ANY or prover.constraints


def test_what_holds_for_all_leaves_no_trace() -> None:
    prover = Prover()
    prover.declare("H")
    for question in [
        ("at least", H, 1),
        ("divisible", 4 * H, 2),
        ("equal", floor_div(2 * H, 2) + 3, 3),
        ("equal", 3, 3),
    ]:
        kind, size, n = question
        if kind == "equal" and size != 3:
            prover.equal(size, H + n, "why", lambda limit: ShapeFault("E0303", limit))
        else:
            ask(prover, (kind, size, n))
    assert prover.domains == {"H": ANY} and prover.constraints == []


def test_a_narrowing_is_remembered_with_its_reason_and_place() -> None:
    prover = Prover()
    prover.declare("H")
    ask(prover, ("divisible", H, 4), "four parts")
    prover.origin = (Span(Source("a.net", "POOL"), 0, 4),)
    ask(prover, ("at least", floor_div(H, 4), 3), "three rows")
    first, second = prover.constraints
    assert (first.symbol, first.domain, first.reason) == ("H", Domain(4, 4, {0}), "four parts")
    assert first.origin == () and [span.place for span in second.origin] == ["a.net:1:1"]
    assert str(first) == "H must be a multiple of 4"
    assert str(second) == "H >= 12 and H must be a multiple of 4"
    assert prover.domains == {"H": Domain(12, 4, {0})}
    prover.declare("H")
    assert prover.domains == {"H": Domain(12, 4, {0})}, "what is declared again keeps what is known"


def test_the_constraints_that_sizes_break() -> None:
    prover = Prover()
    for name in ("H", "W"):
        prover.declare(name)
    ask(prover, ("divisible", H, 2), "two")
    ask(prover, ("divisible", W, 3), "three")
    ask(prover, ("divisible", H, 4), "four")

    def broken(**sizes: int) -> list[str]:
        return [constraint.reason for constraint in prover.admits(sizes)]

    assert broken(H=4, W=3) == broken(H=8) == broken(W=6) == broken(D=1) == []
    assert broken(H=2) == ["four"]
    assert broken(H=3, W=4) == ["two", "three", "four"]


def limit(question: Question | tuple[Size, Size]) -> tuple[str, ...]:
    """What the fault of a question says, or of an equality of two sizes."""
    if len(question) == 3:
        with pytest.raises(ShapeFault) as caught:
            ask(Prover(), question)
    else:
        with pytest.raises(ShapeFault) as caught:
            Prover().equal(*question, "why", lambda limit: ShapeFault("E0302", "they differ", notes=(limit,)))
    return caught.value.notes


@pytest.mark.parametrize(
    ("before", "known"),
    [
        ([("divisible", H, 4)], "H is a multiple of 4"),
        ([("divisible", H - 1, 4)], "H leaves 1 when divided by 4"),
        ([("at least", 4 * ceil_div(H, 4) - H, 1)], "H is not a multiple of 4"),
        ([("equal", floor_div(H + 3, 4), ceil_div(H, 4))], ""),
        ([("at least", 5 * floor_div(H + 2, 5) - H, -1)], "H does not leave 2 when divided by 5"),
        ([("at least", H, 7)], "H >= 7"),
    ],
)  # fmt: skip
def test_what_is_known_is_told_with_what_cannot_be(before: list[tuple[str, Size, Size]], known: str) -> None:
    prover = Prover()
    for kind, size, n in before:
        if isinstance(n, int):
            ask(prover, (kind, size, n))
        else:
            prover.equal(size, n, "why", lambda limit: ShapeFault("E0302", limit))
    with pytest.raises(ShapeFault) as caught:
        prover.equal(8 * floor_div(H, 8) - H, 1, "why", lambda limit: ShapeFault("E0302", "no", notes=(limit,)))
    assert caught.value.notes == (f"this holds for no size{f' where {known}' if known else ''}",)


def test_facts_of_several_symbols() -> None:
    prover = Prover()
    ask(prover, ("at least", W, 3))
    ask(prover, ("divisible", H, 2))
    with pytest.raises(ShapeFault) as caught:
        ask(prover, ("divisible", 4 * H + 4 * W + 1, 4))
    assert caught.value.notes == ("this holds for no size where H is a multiple of 2 and W >= 3",)


def test_facts_are_those_of_what_does_not_hold() -> None:
    prover = Prover()
    ask(prover, ("at least", W, 3))
    with pytest.raises(ShapeFault) as caught:
        prover.equal(8 * floor_div(H, 8) + W, H + W + 1, "why", lambda limit: ShapeFault("E0302", "", notes=(limit,)))
    assert caught.value.notes == ("this holds for no size",), "nothing is said of W, which is on both sides"
    for question in [("at least", -W, 0), ("divisible", 2 * W + 1, 2)]:
        with pytest.raises(ShapeFault) as caught:
            ask(prover, question)
        assert caught.value.notes == ("this holds for no size where W >= 3",)


def test_what_is_said_of_a_question() -> None:
    assert limit(("at least", 3, 4)) == limit(("divisible", 3, 2)) == limit(("equal", 3, 4)) == ("",)
    assert limit((H, 224)) == ("this holds only for H = 224",)
    assert limit((floor_div(H, 8), 2)) == ("this holds only for H = 16 or 17 or 18 or 19",)
    undecided = ("this cannot be decided for every size: give the input concrete sizes",)
    assert limit((H, W)) == limit(("at least", 5 - H, 1)) == limit(("divisible", H * W, 8)) == undecided
    assert limit(("at least", -H, 0)) == ("this holds for no size",)


def contradiction(*asked: Question) -> tuple[str, str, str, tuple[str, ...]]:
    prover = Prover()
    text = "\n".join("POOL" for _ in asked)
    for i, question in enumerate(asked[:-1]):
        prover.origin = (Span(Source("a.net", text), 5 * i, 5 * i + 4),)
        ask(prover, question, f"reason {i}")
    with pytest.raises(ShapeFault) as caught:
        ask(prover, asked[-1], "the last")
    fault = caught.value
    return fault.code, fault.message, fault.label, fault.notes


def test_a_contradiction_shows_both_sides() -> None:
    """A limit that some size satisfies, but none that satisfies the earlier ones, is told with the first of these."""
    assert contradiction(("at least", H, 3), ("divisible", H - 1, 4), ("divisible", H, 2)) == (
        "E0309",
        "no H satisfies every constraint",
        "H must be a multiple of 2",
        ("the last", "but at a.net:2:1, H >= 5 and H must leave 1 when divided by 4: reason 1"),
    )
    code, message, label, notes = contradiction(("divisible", H, 2), ("divisible", H - 1, 2))
    assert (code, message, label) == ("E0309", "no H satisfies every constraint", "H must leave 1 when divided by 2")
    assert notes == ("the last", "but at a.net:1:1, H must be a multiple of 2: reason 0")


def test_what_holds_nowhere_contradicts_nothing() -> None:
    assert contradiction(("divisible", H, 2), ("at least", -H, 0))[:2] == ("E0303", "it does not hold")


@given(st.integers(1, 30), st.integers(1, 12), st.data())
def test_nearest_sizes(lower: int, modulus: int, data: st.DataObject) -> None:
    domain = Domain(lower, modulus, data.draw(st.sets(st.integers(0, modulus - 1), min_size=1)))
    wanted = data.draw(st.integers(1, 60).filter(lambda n: not domain.admits(n)))
    admitted = [n for n in range(1, 120) if domain.admits(n)]
    below, above = [n for n in admitted if n < wanted], [n for n in admitted if n > wanted]
    assert nearest_sizes(domain, wanted) == below[-1:] + above[:1]


def test_a_number_is_known_and_a_formula_is_not() -> None:
    fault: Callable[[], ShapeFault] = lambda: ShapeFault("E0308", "open")  # noqa: E731
    assert known(64, fault) == 64
    with pytest.raises(ShapeFault, match="open"):
        known(2 * H, fault)


def test_a_fault_is_an_exception_that_says_its_message() -> None:
    fault = ShapeFault("E0304", "too small")
    assert (str(fault), fault.code, fault.message, fault.label, fault.notes, fault.helps) == (
        "too small", "E0304", "too small", "", (), (),
    )  # fmt: skip
