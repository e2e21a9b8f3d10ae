"""How are faults shown?  For people in full or in a line each, for programs as JSON, for GitHub, and as SARIF.

Functions of faults that give a text. What goes where, and in which colours, is decided by who prints it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from netdsl.diagnostic import Diagnostic
from netdsl.render.full import render, render_all

FORMATS = ("full", "concise", "json", "github", "sarif")

__all__ = ["FORMATS", "render", "render_all", "rendered", "use_colour"]


def rendered(faults: Sequence[Diagnostic], form: str, colour: bool = False) -> str:
    """The faults in one of `FORMATS`, without a last line end; "" where a format says nothing of no faults."""
    if form == "json":
        from netdsl.render.json import as_json

        return as_json(faults)
    if form == "sarif":
        from netdsl.render.sarif import as_sarif

        return as_sarif(faults)
    if form == "github":
        from netdsl.render.github import as_commands

        return as_commands(faults)
    if form == "concise":
        from netdsl.render.concise import in_a_line

        return "\n".join(in_a_line(fault, colour) for fault in faults)
    return render_all(faults, colour)


def use_colour(is_terminal: bool, wanted: str = "auto") -> bool:
    """Colours only on a terminal, and never under NO_COLOR (no-color.org); `always` and `never` say it themselves."""
    if wanted != "auto":
        return wanted == "always"
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
