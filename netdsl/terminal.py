"""How wide is the screen?"""

from __future__ import annotations

import os
import sys

WIDTH, LEAST = 100, 60


def width() -> int:
    """Columns for a table: `COLUMNS` where it is set, those of the terminal, and 100 where there is none."""
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return max(LEAST, int(given))
    try:
        return max(LEAST, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return WIDTH
