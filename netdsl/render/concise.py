"""A fault in a line, as compilers write it and editors read it: `file:line:column: error[E0301]: message`."""

from __future__ import annotations

from netdsl.diagnostic import Diagnostic
from netdsl.render.full import painter
from netdsl.render.text import clean


def in_a_line(diagnostic: Diagnostic, colour: bool = False) -> str:
    """One line, as long as it is."""
    paint = painter(colour)
    head = paint(f"{diagnostic.severity}[{diagnostic.code}]", diagnostic.severity)
    return f"{clean(diagnostic.place)}: {head}: {clean(diagnostic.message)}"
