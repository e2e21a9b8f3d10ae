"""What becomes of a text when every fault with one obvious repair is repaired?  Nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from netdsl.diagnostic import Diagnostic, Edit, Repair
from netdsl.driver import check_source
from netdsl.options import Options
from netdsl.program import Read
from netdsl.record import Record
from netdsl.repair import applied, repaired
from netdsl.repair.choose import SHAPE_CODES
from netdsl.repair.verify import place_in
from netdsl.source import Source

MAX_ROUNDS = 20
"""A repair may bring to light what it hid: so often the text is checked again."""

Made = tuple[Diagnostic, Repair]


class Fixed(Record):
    """What came of it: the new text, which faults were repaired, in the order of the rounds, and what is left."""

    source: Source
    made: tuple[Made, ...]
    left: tuple[Diagnostic, ...]
    well: bool
    """Whether the network checks now."""


def obvious(fault: Diagnostic) -> Repair | None:
    """The repair of an error that has exactly one, among at most one idea of whoever found it.

    Two readings of a text are never decided, not even where only one of them checks. Warnings are left alone: what is
    warned of may be meant. So are assertions: they are there to say what is meant.
    """
    if fault.severity != "error" or len(fault.repairs) != 1 or len(fault.ideas) > 1:
        return None
    (way,) = fault.repairs
    here = fault.label.span
    asserted = fault.code == "E0305" and all(here.start <= edit.span.start < here.end for edit in way.edits)
    return None if asserted else way


def fixed(source: Source, read: Read, options: Options | None = None, net: str | None = None) -> Fixed:
    """Repairs what is obvious and checks again, until nothing more is. Raises UsageError as `check_source` does."""
    made: list[Made] = []
    seen = {source.text}
    while True:
        checked, faults = check_source(source, read, options, net)
        faults = repaired(faults, source, read, options, net, sure=True)
        turned = any(fault.code == "W0505" for fault in faults)  # then every shape follows from a mistake
        unsure = SHAPE_CODES if turned else ()
        ways = [(f, way) for f in faults if f.code not in unsure and (way := obvious(f)) is not None]
        chosen = _apart(ways)
        after = _edited(source, chosen)
        if not chosen or after.text in seen or len(seen) > MAX_ROUNDS:
            return Fixed(source, tuple(made), tuple(faults), checked is not None)
        if len(chosen) > 1 and _any_left(chosen, after, check_source(after, read, options, net)[1]):
            chosen = chosen[:1]  # each of them was tried by itself, not all together
            after = _edited(source, chosen)
        made += chosen
        seen.add(after.text)
        source = after


def _apart(ways: Sequence[Made]) -> list[Made]:
    """Repairs that do not touch one another, the first ones first."""
    chosen: list[Made] = []
    taken: list[tuple[int, int]] = []
    for fault, way in ways:
        reach = (way.edits[0].span.start, way.edits[-1].span.end)
        if all(reach[1] < start or end < reach[0] for start, end in taken):
            chosen.append((fault, way))
            taken.append(reach)
    return chosen


def _edited(source: Source, chosen: Sequence[Made]) -> Source:
    """The text with repairs made; new lines end as those of the text do."""
    end = re.search(r"\r\n|\r|\n", source.text)
    edits = [edit for _, way in chosen for edit in way.edits]
    if end is not None and end[0] != "\n":
        edits = [Edit(edit.span, edit.text.replace("\n", end[0])) for edit in edits]
    return applied(source, edits)


def _any_left(chosen: Sequence[Made], after: Source, faults: Sequence[Diagnostic]) -> bool:
    """Whether a fault that was repaired is still where it was."""
    edits = [edit for _, way in chosen for edit in way.edits]
    still = {place_in(fault, after, edits) for fault in faults}
    return any(place_in(fault) in still for fault, _ in chosen)
