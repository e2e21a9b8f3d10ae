"""What can be kept between runs?  Built grammars, parsed files, choices of kernels, in a folder of the user's own.

Some are pickles, so a folder that belongs to somebody else is never read. Whatever is torn, foreign or unreadable there
is built again; a folder that cannot be written costs time, not the answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

KEEP = 400
"""How many entries stay; beyond it those go that were not used for longest."""


def folder() -> str:
    """$NETDSL_CACHE, else `netdsl` in the user's cache folder."""
    if own := os.environ.get("NETDSL_CACHE"):
        return own
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "netdsl")


def fetch(name: str, read: Callable[[IO[bytes]], Any]) -> Any:
    """What `read` makes of the entry, or None where there is none that can be trusted and read."""
    path = os.path.join(folder(), name)
    try:
        with open(path, "rb") as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            found = read(file)
        with suppress(OSError):  # a cache that cannot be written still serves
            os.utime(path)  # what is used stays: the tables, however many texts come after them
        return found
    except Exception:  # a pickle can fail in any way; all of them mean that the entry is of no use
        return None


def keep(name: str, write: Callable[[IO[bytes]], Any], most: int | None = None) -> bool:
    """Stores an entry: written beside its place, then renamed, so that nobody reads half of it.

    A name can begin with a folder, which has at most `most` entries (KEEP). Gives whether it could be written.
    """
    import tempfile

    place, name = os.path.split(os.path.join(folder(), name))
    temporary = None
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(temporary, os.path.join(place, name))
        temporary = None
        with suppress(OSError):  # another process clears up as well
            _prune(place, KEEP if most is None else most)
        return True
    except (OSError, RecursionError):
        return False
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


def _prune(place: str, most: int) -> None:
    entries = [entry for entry in os.scandir(place) if entry.is_file()]
    if len(entries) > most:
        entries.sort(key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: len(entries) - most * 3 // 4]:
            os.unlink(entry.path)
