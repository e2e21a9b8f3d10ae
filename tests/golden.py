"""The one runner of golden files: what is said now, against what was said when someone last looked."""

from __future__ import annotations

import difflib
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check_golden(path: Path, text: str, update: bool) -> None:
    """Compares `text` with the file; with `update` (pytest --update-golden) writes it there instead."""
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return
    assert path.is_file(), f"{path} is missing: pytest --update-golden writes it"
    wanted = path.read_bytes().decode()
    if text != wanted:
        lines = difflib.unified_diff(
            wanted.splitlines(), text.splitlines(), f"{path.name}, golden", "now", lineterm="", n=2
        )
        shown = "\n".join(lines) or "(only the ends of lines differ)"
        raise AssertionError(f"{path.name} differs from its golden file; pytest --update-golden accepts it\n{shown}")
