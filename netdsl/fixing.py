"""What does `netdsl check --fix` do to a file?  It makes the obvious repairs, shows a diff, and says what is left."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from netdsl.files import FileReader, Unreadable, find, read_source, shipped_folder
from netdsl.formatting import difference, rewrite
from netdsl.options import Number, Sizes, UsageError, options_of
from netdsl.repair.fix import Fixed, fixed


def fix_file(
    spec: str,
    input: Sizes | None,
    net: str | None,
    params: Mapping[str, Number],
    dry_run: bool = False,
    colour: bool = False,
    out: TextIO | None = None,
) -> None:
    """Repairs a file and says what was done; with `dry_run` what would be. Its faults are shown elsewhere.

    Raises UsageError for a file that is not to be touched, FileNotFoundError.
    """
    path = find(spec)
    may_rewrite(spec, path)
    before = path.read_bytes()
    try:
        source = read_source(path)
    except Unreadable:
        return
    reader = FileReader(path)
    reader.paths[source.name] = path
    done = fixed(source, reader, options_of(input, params), net)
    if done.made and not dry_run:
        if path.read_bytes() != before or source.text.encode() != before:
            raise UsageError(f"{source.name} was changed meanwhile: nothing is written")
        rewrite(path, done.source.text)
    print(difference(source, done.source.text, colour) + said(done, dry_run), end="", file=out or sys.stdout)


def may_rewrite(spec: str, path: Path) -> None:
    """Refuses what is not the user's: networks that ship with netdsl, and files that cannot be written."""
    inside = path.resolve()
    package = Path(__file__).resolve().parent
    if path.parent == shipped_folder() and not Path(spec).is_file():
        raise UsageError(f"{spec} is a shipped network, which stays as it is: --fix takes a file of yours")
    if inside.is_relative_to(package):
        raise UsageError(f"{path} is a file of netdsl itself, which stays as it is")
    if not os.access(inside, os.W_OK):
        raise UsageError(f"{path} cannot be written: it is read-only")


def said(done: Fixed, dry_run: bool) -> str:
    """What was repaired, a line each; and what is left, of which the faults themselves are shown elsewhere."""
    if not done.made:
        return "" if done.well else f"{done.source.name}: no fault has one obvious repair\n"
    rows = [f"{fault.place}: {fault.code}: {repair.title}" for fault, repair in done.made]
    name, count = done.source.name, f"{len(done.made)} fault{'s' if len(done.made) != 1 else ''}"
    rows.append(f"{name}: {count} {'would be repaired' if dry_run else 'repaired'}, {remaining(done)}")
    return "\n".join(rows) + "\n"


def remaining(done: Fixed) -> str:
    errors = sum(fault.severity == "error" for fault in done.left)
    several = sum(len(fault.repairs) > 1 for fault in done.left if fault.severity == "error")
    if not errors:
        return "none left"
    choice = f", {several} of them with several repairs to choose from" if several else ""
    return f"{errors} left{choice}"
