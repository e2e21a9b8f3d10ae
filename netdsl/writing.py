"""How does a file reach the disk?  Whole or not at all, and never over what is not ours.

What cannot be written is a UsageError: a sentence for the user.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from netdsl.options import UsageError


def may_write(target: Path, is_generated: Callable[[str], bool], force: bool) -> None:
    """Refuses a target that is not a file of ours, before anything is computed."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    if target.exists() and not force:
        try:
            ours = is_generated(target.read_bytes().decode(errors="replace"))
        except OSError:
            ours = False
        if not ours:
            raise UsageError(
                f"{target} exists and is not netdsl's, or was edited: --force replaces it, -o NAME writes elsewhere"
            )


def write_atomically(target: Path, data: str | bytes) -> None:
    """Writes beside the target, then renames: a reader sees the old file or the new one, never half of it.

    A file that is replaced leaves its permissions to the new one; a symbolic link stays, and leads to the new file.
    """
    target = Path(os.path.realpath(target)) if target.is_symlink() else target
    try:
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"{target} cannot be written: {error.strerror}") from None
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
