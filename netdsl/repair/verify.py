"""Does the edited text check?  A candidate is applied, and the text read and checked as any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netdsl.diagnostic import Diagnostic, Edit
from netdsl.driver import check_source
from netdsl.options import Options
from netdsl.parse import MAX_ERRORS
from netdsl.program import Read
from netdsl.repair import applied
from netdsl.source import Source

BUDGET = 12_000
"""How much may be checked again for the repairs of one spec, in lines and elements: some tenths of a second."""
SEEN_LATE = ("W0501", "W0502")
"""Warnings about a whole network: nothing was said of them as long as it had faults."""
UNREAD = ("E0101", "E0102", "E0208")
"""Faults of syntax."""
LATER: dict[str, tuple[str, ...]] = {"E01": ("E02", "E03", "E04", "E06", "W"), "E02": ("E03", "E06", "W")}
"""What is seen once faults of a kind are gone: a text is read, then names are looked up, then shapes are checked."""


def lines_of(source: Source) -> int:
    """What reading a text takes, in the units of the budget: its lines, of which a long one is many."""
    return 4 * len(source.line_starts) + len(source.text) // 10


class Verifier:
    """Tries edits of one spec. Mutable: every trial takes from the budget."""

    def __init__(
        self,
        faults: Sequence[Diagnostic],
        source: Source,
        read: Read,
        options: Options,
        net: str | None = None,
        cost: int | None = None,
        budget: int = BUDGET,
    ) -> None:
        """`cost`: what one check takes, in lines and elements; by default the lines."""
        self.source, self.read, self.options, self.net = source, read, options, net
        self.before = Counter(map(place_in, faults))
        unread = [place[2] for place in self.before if place[0] in UNREAD and place[1] == source.name]
        self.read_to = max(unread) if len(unread) >= MAX_ERRORS else len(source.text)
        """How far the text was read: behind so many faults of syntax, there may be more."""
        self.cost = max(50, cost if cost is not None else lines_of(source))
        self.left = budget
        self.tried: dict[object, list[Place]] = {}

    @property
    def spent(self) -> bool:
        """Whether there is no budget for another trial."""
        return self.left < self.cost

    def accepts(self, fault: Diagnostic, edits: Sequence[Edit]) -> bool:
        """Whether `fault` is gone from the edited text and no other has come; False once the budget is spent."""
        return self.left_by(fault, edits) is not None

    def left_by(self, fault: Diagnostic, edits: Sequence[Edit]) -> int | None:
        """How many faults are left once these edits repaired `fault`; None where they do not, or bring another.

        Faults are told apart by code and place, so that one that stays may say something else. A fault of syntax, or of
        a name, hides what is wrong with shapes: what was hidden may come to light.
        """
        key = tuple((edit.span.start, edit.span.end, edit.text) for edit in edits)
        if key not in self.tried:
            if self.spent:
                return None
            self.left -= self.cost
            text = applied(self.source, edits).replace(tried=True)
            _, faults = check_source(text, self.read, self.options, self.net)
            self.tried[key] = [place_in(d, text, edits) for d in faults if d.code not in SEEN_LATE]
        late = LATER.get(fault.code[:3], ())
        shown = (place for place in self.tried[key] if not place[0].startswith(late))
        after = Counter(p for p in shown if p[0] not in UNREAD or p[1] != self.source.name or p[2] <= self.read_to)
        return None if after - (self.before - Counter([place_in(fault)])) else after.total()


Place = tuple[str, str, int]


def place_in(fault: Diagnostic, edited: Source | None = None, edits: Sequence[Edit] = ()) -> Place:
    """The code of a fault and where it is in the text as it was before the edits."""
    span = fault.label.span
    start = before_edits(span.start, edits) if span.source is edited else span.start
    return fault.code, span.source.name, start


def before_edits(at: int, edits: Sequence[Edit]) -> int:
    """Where a place of the edited text was before; inside an edit, where that begins."""
    moved = 0
    for edit in sorted(edits, key=lambda edit: edit.span.start):
        start = edit.span.start + moved
        if at < start:
            break
        if at < start + len(edit.text):
            return edit.span.start
        moved += len(edit.text) - (edit.span.end - edit.span.start)
    return at - moved
