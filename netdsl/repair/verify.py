"""Does the edited text check?  A candidate is applied, and the text read and checked as any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from netdsl.diagnostic import Diagnostic, Edit
from netdsl.driver import check_source
from netdsl.options import Options, UsageError
from netdsl.parse import MAX_ERRORS
from netdsl.program import Read
from netdsl.repair import applied
from netdsl.source import Source, Span

BUDGET = 12_000
"""How much may be checked again for the repairs of one spec, in lines and elements: some tenths of a second."""
SEEN_LATE = ("W0501", "W0502")
"""Warnings about a whole network: nothing was said of them as long as it had faults."""
UNREAD = ("E0101", "E0102", "E0208")
"""Faults of syntax."""
LATER: dict[str, tuple[str, ...]] = {
    "E01": ("E02", "E03", "E04", "E06", "W"),
    "E02": ("E03", "E06", "W"),
    "E03": ("E06",),
}
"""What is seen once faults of a kind are gone: a text is read, then come names, then shapes, then budgets."""
MEETING = ("E0301", "E0302")


class Left(NamedTuple):
    """How many faults are left by a repair: those that it brings to light, and all; the least is the best.

    `nearest` is minus the place of the first that comes to light: what repairs more of the network shows later ones.
    """

    revealed: int
    all: int
    nearest: int


NONE_LEFT = Left(0, 0, 0)


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
        unseen: Sequence[Span] = (),
        unmet: Collection[tuple[str, int]] = (),
    ) -> None:
        """`cost`: what one check takes, in lines and elements; by default the lines. `unseen` and `unmet`: of what
        nothing was said, for it stands behind a fault (`observe.Observed`).
        """
        self.unseen, self.unmet = unseen, unmet
        self.source, self.read, self.options, self.net = source, read, options, net
        self.before = Counter(map(place_in, faults))
        unread = [place[2] for place in self.before if place[0] in UNREAD and place[1] == source.name]
        self.read_to = max(unread) if len(unread) >= MAX_ERRORS else len(source.text)
        """How far the text was read: behind so many faults of syntax, there may be more."""
        self.cost = max(50, cost if cost is not None else lines_of(source))
        self.left = budget
        self.tried: dict[object, list[tuple[Place, bool]] | None] = {}
        """By the edits: which faults there are then, and of which nothing could be said before."""

    @property
    def spent(self) -> bool:
        """Whether there is no budget for another trial."""
        return self.left < self.cost

    def accepts(self, fault: Diagnostic, edits: Sequence[Edit]) -> bool:
        """Whether `fault` is gone from the edited text and no other has come; False once the budget is spent."""
        return self.left_by(fault, edits) is not None

    def left_by(self, fault: Diagnostic, edits: Sequence[Edit]) -> Left | None:
        """Which faults are left once these edits repaired `fault`; None where they do not, or bring another.

        Faults are told apart by code and place, so that one that stays may say something else. A fault of syntax hides
        those of names, these what is wrong with shapes, and a shape that is wrong all that comes behind it: what was
        hidden may come to light.
        """
        key = tuple((edit.span.start, edit.span.end, edit.text) for edit in edits)
        if key not in self.tried:
            if self.spent:
                return None
            self.left -= self.cost
            text = applied(self.source, edits).replace(tried=True)
            self.tried[key] = self.faults_of(text, edits)
        faults = self.tried[key]
        if faults is None:
            return None
        here = place_in(fault)
        shown = [(place, hidden) for place, hidden in faults if not self.is_later(place, here)]
        after = Counter(place for place, hidden in shown if not hidden or place[1:] == here[1:])
        if after - (self.before - Counter([here])):
            return None
        revealed = [place for place, hidden in shown if hidden]
        return Left(len(revealed), len(shown), -min((place[2] for place in revealed), default=0))

    def faults_of(self, text: Source, edits: Sequence[Edit]) -> list[tuple[Place, bool]] | None:
        """The places of the faults of an edited text, and whether they were hidden; None where the options of the
        caller fit it no more: its input has gone, say."""
        try:
            _, faults = check_source(text, self.read, self.options, self.net)
        except UsageError:
            return None
        return [(place_in(d, text, edits), self.was_hidden(d, text, edits)) for d in faults if d.code not in SEEN_LATE]

    def is_later(self, place: Place, fault: Place) -> bool:
        """Whether a fault of another kind, or in what was not read for this one, can only be seen once that is gone."""
        code, name, start = place
        if code.startswith(LATER.get(fault[0][:3], ())) or (
            code in UNREAD and name == self.source.name and start > self.read_to
        ):
            return True
        if not (code.startswith("E02") and fault[0].startswith("E02") and name == fault[1] == self.source.name):
            return False
        lines = (self.source.line_column(at)[0] for at in (start, fault[2]))
        return start > fault[2] and len(set(lines)) == 1  # the arguments of a name that nothing had

    def was_hidden(self, fault: Diagnostic, edited: Source, edits: Sequence[Edit]) -> bool:
        """Whether what this fault is about, or one of the calls that lead there, was not looked at before the edits."""
        if not fault.code.startswith("E03"):
            return False
        places = [place_of_span(span, edited, edits) for span in (fault.label.span, *fault.trail)]
        if any(edit.span.start <= places[0][1] <= edit.span.end for edit in edits if edit.span.source is self.source):
            return False
        if fault.code in MEETING and places[0] in self.unmet:
            return True
        return any(s.source.name == name and s.start <= at < s.end for name, at in places for s in self.unseen)


Place = tuple[str, str, int]


def place_in(fault: Diagnostic, edited: Source | None = None, edits: Sequence[Edit] = ()) -> Place:
    """The code of a fault and where it is in the text as it was before the edits."""
    return fault.code, *place_of_span(fault.label.span, edited, edits)


def place_of_span(span: Span, edited: Source | None = None, edits: Sequence[Edit] = ()) -> tuple[str, int]:
    """In which file, and where in it, as the text was before the edits."""
    return span.source.name, before_edits(span.start, edits) if span.source is edited else span.start


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
