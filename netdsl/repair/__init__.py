"""What would make it fit?  Faults → the same faults with edits of the text, each tried before it is offered.

    observe.py    where does each size come from?  the network once more, its numbers and windows as unknowns
    literals.py   which numbers does the file have?
    solve.py      which numbers give the wanted size?
    change.py     what can be written differently?
    propose.py    how is that written into the text, and what is said of it?
    choose.py     which of them are offered?
    verify.py     does the edited text check?

Faults are found without any of this; whoever shows them asks for `repaired`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netdsl.source import Source

if TYPE_CHECKING:
    from netdsl.diagnostic import Diagnostic, Edit
    from netdsl.options import Options
    from netdsl.program import Read

MOST = 3
"""How many repairs a fault is given."""


def repaired(
    faults: Sequence[Diagnostic],
    source: Source,
    read: Read,
    options: Options | None = None,
    net: str | None = None,
    sure: bool = False,
) -> list[Diagnostic]:
    """The faults that `check_source` found with these arguments, with `repairs`: three at most, the smallest first.

    A repair edits `source` alone, and was applied and checked: its fault is gone, and no other has come. The time this
    takes is bounded (`verify.BUDGET`); where it does not suffice there are fewer repairs. With `sure` it may take ten
    times as much, and a fault whose candidates were not all tried has none.
    """
    from netdsl.options import Options
    from netdsl.repair.propose import with_repairs

    return with_repairs(list(faults), source, read, options or Options(), net, sure)


def applied(source: Source, edits: Iterable[Edit]) -> Source:
    """The source with its edits made, under the same name."""
    text, end = source.text, len(source.text)
    parts: list[str] = []
    for edit in sorted(edits, key=lambda edit: (edit.span.start, edit.span.end), reverse=True):
        assert edit.span.source is source, "edits are of one file"
        assert edit.span.end <= end, "edits do not overlap"
        parts += [text[edit.span.end : end], edit.text]
        end = edit.span.start
    return source.replace(text="".join(reversed([*parts, text[:end]])))
