"""When is garbage collected?  Not while a network is made: it keeps what it makes.

Python's collector looks at all that is alive again and again as objects are added; of a hundred thousand lines that is
half of the time. Reference counts free most of what is dropped meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Iterator[None]:
    """Without the cyclic collector, if it was on."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
