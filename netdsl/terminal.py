"""How wide is the screen, and how does it show what it has no characters for?"""

from __future__ import annotations

import os
import sys

WIDTH, LEAST = 100, 60
LETTERS = """…~ ·. ×x ⋆* −- –- —- ‘' ’' “" ”" µu →-> ²^2 ₁_1 ₂_2 √sqrt ±+- ≥>= ≤<= αalpha βbeta γgamma εeps μmu σsigma
Σsum Πprod ΦPhi"""
PLAIN = {pair[0]: pair[1:] for pair in LETTERS.split()}
"""What a terminal without these characters shows; what stands in tables is as wide."""


def width() -> int:
    """Columns for a table: `COLUMNS` where it is set, those of the terminal, and 100 where there is none."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return max(LEAST, int(given))
    try:
        return max(LEAST, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return WIDTH


def encode_plainly(error: UnicodeError) -> tuple[str, int]:
    """A handler for `codecs`: a character in plain letters, or `?`."""
    assert isinstance(error, UnicodeEncodeError)
    return PLAIN.get(error.object[error.start], "?"), error.start + 1
