"""Which candidates are offered?  Those that repair the fault, first what leaves the fewest others and changes least."""

from __future__ import annotations

from netdsl.diagnostic import Diagnostic, Edit, Repair
from netdsl.record import Record
from netdsl.repair import MOST
from netdsl.repair.verify import NONE_LEFT, Left, Verifier

SHAPE_CODES = frozenset(["E0301", "E0302", "E0303", "E0304", "E0305", "E0306", "E0311"])
"""The faults whose formulas are solved."""
MAX_TRIED = 16
"""How many candidates of one fault are tried."""


class Candidate(Record):
    """A repair that was not tried yet."""

    cost: float
    title: str
    edits: tuple[Edit, ...]
    what: str


def accepted(
    fault: Diagnostic, candidates: list[Candidate], verifier: Verifier, every: bool = False
) -> tuple[Repair, ...]:
    """Those that repair the fault: first those that leave the fewest others, of these the cheapest.

    Where some bring nothing to light that the fault hid, or less than others do, these alone. One for each thing that
    is changed, unless `every` value of it counts; as many as are offered.
    """
    found: list[tuple[Left, Candidate]] = []
    tried: set[tuple[tuple[int, int, str], ...]] = set()
    for candidate in sorted(candidates, key=_rank):
        effect = tuple((e.span.start, e.span.end, e.text) for e in candidate.edits)
        best = [c for left, c in found if left == NONE_LEFT]
        if effect in tried or any(c.title == candidate.title or _same(c, candidate, every) for c in best):
            continue
        if len(tried) == MAX_TRIED or len(best) == MOST:
            break
        tried.add(effect)
        left = verifier.left_by(fault, candidate.edits)
        if left is not None:  # where one fault hides others, it says nothing how many are left
            found.append((left if fault.code in SHAPE_CODES else NONE_LEFT, candidate))
    found.sort(key=lambda pair: (pair[0], *_rank(pair[1])))
    offered: list[Candidate] = []
    for left, candidate in found:
        known = any(c.title == candidate.title or _same(c, candidate, every) for c in offered)
        if left.revealed == found[0][0].revealed and not known:
            offered.append(candidate)
    return tuple(Repair(candidate.title, candidate.edits) for candidate in offered[:MOST])


def _same(a: Candidate, b: Candidate, every: bool) -> bool:
    """Whether two are other values of one thing, of which one is offered unless `every` counts."""
    return a.what == b.what and not every


def _rank(candidate: Candidate) -> tuple[float, int]:
    return candidate.cost, candidate.edits[0].span.start
