"""How deep may Python go?  Its own limit counts frames; ours count parentheses and calls of blocks, and need room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

FRAMES = 40_000


@contextmanager
def deep_recursion() -> Iterator[None]:
    """With room for the deepest text that our own limits let through."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
