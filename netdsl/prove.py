"""Does it hold for every size that is allowed?  Facts about symbolic sizes, gathered while shapes are inferred.

A concrete question is answered on the spot. A symbolic one either holds for all sizes, or for none, or narrows
the sizes that are allowed: then the narrowing is kept as a `Constraint`, with the place that asked for it.
"""

from __future__ import annotations

from collections.abc import Callable

from netdsl.record import Record
from netdsl.size import ANY, Domain, Size, Verdict, solve_at_least, solve_divisible, solve_zero, symbols
from netdsl.source import Origin


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
            self._settle(solve_zero(a - b, self.domains), reason, fault)

    def at_least(self, size: Size, bound: int, reason: str, fault: Fault) -> None:
        if isinstance(size, int):
            if size < bound:
                raise fault("")
        else:
            self._settle(solve_at_least(size, bound, self.domains), reason, fault)

    def divisible(self, size: Size, divisor: int, reason: str, fault: Fault) -> None:
        if isinstance(size, int):
            if size % divisor:
                raise fault("")
        else:
            self._settle(solve_divisible(size, divisor, self.domains), reason, fault)

    def _settle(self, verdict: Verdict, reason: str, fault: Fault) -> None:
        if verdict.kind == "always":
            return
        if verdict.kind == "when" and not verdict.domain.empty:
            self.domains[verdict.symbol] = verdict.domain
            self.constraints.append(Constraint(verdict.symbol, verdict.domain, reason, self.origin))
            return
        if verdict.kind == "undecided":
            raise fault("this cannot be decided for every size: give the input concrete sizes")
        known = "; ".join(domain.describe(name) for name, domain in self.domains.items() if domain != ANY)
        if verdict.only:
            raise fault(f"this holds only for one size: {' or '.join(map(str, verdict.only[:4]))}")
        raise fault(f"this holds for no size{f' where {known}' if known else ''}")

    def admits(self, sizes: dict[str, int]) -> list[Constraint]:
        """The constraints that the given sizes break, in the order in which they arose."""
        return [c for c in self.constraints if c.symbol in sizes and not c.domain.admits(sizes[c.symbol])]


def known(size: Size, fault: Callable[[], ShapeFault]) -> int:
    """`size` as a number; a formula is refused with `fault`."""
    if symbols(size):
        raise fault()
    assert isinstance(size, int)
    return size
