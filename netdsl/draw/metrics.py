"""How wide is a text?  By the letters of DejaVu Sans; the other fonts of `theme.FONTS` are not wider.

A picture is laid out where no font can be asked, and shown with whatever font there is: so the widest one counts.
"""

from __future__ import annotations

import unicodedata
from functools import cache

_BY_WIDTH = {
    278: "'ijl",
    318: "IJ ,.·",
    337: "/:;\\|",
    393: "f-()[]t",
    412: "!r",
    500: '"*_`–',
    531: "sz?",
    580: "cLFk",
    616: "vxyPTYoae",
    637: "EhnuSbdgpq$0123456789{}",
    699: "KAVXZBRC",
    752: "UNH",
    788: "DG&OQ",
    838: "w#+<=>^~×→",
    1000: "M%mW@…—",
}
"""Advance widths of DejaVu Sans, in thousandths of the font's size, rounded up."""
_WIDTHS = {letter: width for width, letters in _BY_WIDTH.items() for letter in letters}
BOLD = 1.27
"""No letter of DejaVu Sans Bold is wider than so much of the regular one."""
UNKNOWN = 1000
"""Of a letter that is not in the table: hardly one is wider, and those of East Asia are as wide."""


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text, at least."""
    width = sum(map(_letter, text)) * size / 1000
    return width * BOLD if bold else width


@cache
def _letter(letter: str) -> int:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    return 0 if unicodedata.combining(letter) else UNKNOWN


def clipped(text: str, size: float, width: float, bold: bool = False) -> str:
    """The text, or as much of it as fits, with an ellipsis."""
    if text_width(text, size, bold) <= width:
        return text
    room = width - text_width("…", size, bold)
    kept = 0
    for letter in text:
        room -= text_width(letter, size, bold)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"
