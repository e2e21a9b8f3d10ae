"""Does it hold for every size that is allowed?  Facts about symbolic sizes, gathered while shapes are inferred.

A concrete question is answered on the spot. A symbolic one either holds for all sizes, or for none, or narrows
the sizes that are allowed: then the narrowing is kept as a `Constraint`, with the place that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netdsl.domain import ANY, Domain, Verdict, solve_at_least, solve_divisible, solve_zero
from netdsl.record import Record
from netdsl.size import Size, symbols
from netdsl.source import Origin, place_of


class ShapeFault(Exception):
    """A shape rule is broken. Says what and why; the elaborator knows where."""

    def __init__(
        self, code: str, message: str, label: str = "", notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.label, self.notes, self.helps = code, message, label, notes, helps


class Constraint(Record):
    """`symbol` is limited to `domain`, because of `reason`, which was asked for at `origin`."""

    symbol: str
    domain: Domain
    reason: str
    origin: Origin

    def __str__(self) -> str:
        return self.domain.describe(self.symbol)


Fault = Callable[[str], ShapeFault]
"""Makes the error; its argument says what a symbolic size would have to be ("only for H = 224"), or is empty."""


class Prover:
    """What is known about each symbolic size so far. Mutable: every proof may narrow it."""

    def __init__(self) -> None:
        self.domains: dict[str, Domain] = {}
        self.constraints: list[Constraint] = []
        self.origin: Origin = ()
        self.subjects: tuple[str, ...] = ()
        """What the inputs of the current join are called in the text."""

    def declare(self, symbol: str) -> None:
        self.domains.setdefault(symbol, ANY)

    def equal(self, a: Size, b: Size, reason: str, fault: Fault) -> None:
        if isinstance(a, int) and isinstance(b, int):
            if a != b:
                raise fault("")
        elif a != b:
            self._settle(a - b, solve_zero(a - b, self.domains), reason, fault)

    def at_least(self, size: Size, bound: int, reason: str, fault: Fault) -> None:
        if isinstance(size, int):
            if size < bound:
                raise fault("")
        else:
            self._settle_among(lambda domains: solve_at_least(size, bound, domains), size, reason, fault)

    def divisible(self, size: Size, divisor: int, reason: str, fault: Fault) -> None:
        if isinstance(size, int):
            if size % divisor:
                raise fault("")
        else:
            self._settle_among(lambda domains: solve_divisible(size, divisor, domains), size, reason, fault)

    def _settle_among(
        self, solve: Callable[[Mapping[str, Domain]], Verdict], size: Size, reason: str, fault: Fault
    ) -> None:
        """Settles a limit of an open size. One that only contradicts the earlier ones is told together with them."""
        verdict = solve(self.domains)
        if verdict.kind == "never" and (alone := solve({})).kind == "when":
            name, here = alone.symbol, alone.domain.describe(alone.symbol)
            earlier = [c for c in self.constraints if c.symbol == name and solve({name: c.domain}).kind == "never"]
            if earlier:
                first, place = earlier[0], place_of(earlier[0].origin).place
                notes = (reason, f"but at {place}, {first}: {first.reason}")
                raise ShapeFault("E0309", f"no {name} satisfies every constraint", here, notes)
        self._settle(size, verdict, reason, fault)

    def _settle(self, size: Size, verdict: Verdict, reason: str, fault: Fault) -> None:
        if verdict.kind == "always":
            return
        if verdict.kind == "when" and not verdict.domain.empty:
            self.domains[verdict.symbol] = verdict.domain
            self.constraints.append(Constraint(verdict.symbol, verdict.domain, reason, self.origin))
            return
        if verdict.kind == "undecided":
            raise fault("this cannot be decided for every size: give the input concrete sizes")
        names = sorted(symbols(size))
        known = " and ".join(
            _as_fact(domain.describe(name)) for name in names if (domain := self.domains.get(name, ANY)) != ANY
        )
        if verdict.only:
            raise fault(f"this holds only for {names[0]} = {' or '.join(map(str, verdict.only[:4]))}")
        raise fault(f"this holds for no size{f' where {known}' if known else ''}")

    def admits(self, sizes: dict[str, int]) -> list[Constraint]:
        """The constraints that the given sizes break, in the order in which they arose."""
        return [c for c in self.constraints if c.symbol in sizes and not c.domain.admits(sizes[c.symbol])]


def _as_fact(requirement: str) -> str:
    """`H is a multiple of 4` for `H must be a multiple of 4`."""
    for must, fact in ((" must be ", " is "), (" must leave ", " leaves "), (" must not be ", " is not ")):
        requirement = requirement.replace(must, fact)
    return requirement.replace(" must not leave ", " does not leave ")


def nearest_sizes(domain: Domain, wanted: int) -> list[int]:
    """The admitted sizes next below and next above one that is not admitted."""
    below = range(wanted - 1, max(domain.lower, wanted - domain.modulus) - 1, -1)
    above = range(max(wanted, domain.lower), max(wanted, domain.lower) + domain.modulus + 1)
    found = [next((n for n in sizes if domain.admits(n)), None) for sizes in (below, above)]
    return [n for n in found if n is not None]


def known(size: Size, fault: Callable[[], ShapeFault]) -> int:
    """`size` as a number; a formula is refused with `fault`."""
    if symbols(size):
        raise fault()
    assert isinstance(size, int)
    return size
