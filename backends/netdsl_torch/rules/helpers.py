"""Which classes does a generated file bring along?  Those of `library.py` that it mentions, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

VARIANTS = {"2d": ("1d", "3d"), "LSTM": ("RNN", "GRU")}
"""A class whose name has this in it stands for others, which have that."""


def _read() -> dict[str, str]:
    """The classes and functions of the library by name."""
    text = (Path(__file__).parent.parent / "library.py").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for source in re.split(r"\n\n\n(?=class |def )", text)[1:]:
        name = re.split(r"\W", source, maxsplit=2)[1]
        found[name] = source.rstrip() + "\n"
        for part, others in VARIANTS.items():
            if part in name:
                found |= {name.replace(part, other): found[name].replace(part, other) for other in others}
    return found


HELPERS: dict[str, str] = _read()
"""The source of each class and function by its name. A file has those that it mentions; nothing else is called so."""


def brought_along(code: str) -> list[str]:
    """The sources of what some code mentions, and of what those mention, in the order of the library."""
    wanted: set[str] = set()
    fresh = [code]
    while fresh:
        named = {name for text in fresh for name in re.findall(r"\b\w+(?=\()", text)} & HELPERS.keys() - wanted
        wanted |= named
        fresh = [HELPERS[name] for name in named]
    return [source for name, source in HELPERS.items() if name in wanted]
