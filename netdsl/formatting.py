"""What does `netdsl fmt` do to which files?  It lays them out, and rewrites those that this changes.

Every file is looked at, whatever became of the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from netdsl.diagnostic import Diagnostic
from netdsl.files import Unreadable, decoded, read_source
from netdsl.layout import layout
from netdsl.options import UsageError
from netdsl.parse import MAX_LENGTH
from netdsl.source import Source
from netdsl.writing import write_atomically

STANDARD_INPUT = "-"


def format_files(
    names: Sequence[str], check: bool, diff: bool, colour: bool, report: Callable[[Sequence[Diagnostic]], None]
) -> int:
    """Formats files and the .net files of folders; returns the worst of their exit codes.

    1 is for faults, 2 for what is not there or cannot be written. With `check`, a file that would change is a fault.
    """
    code = 0
    for name in dict.fromkeys(names):
        try:
            for path in paths_of(name):
                code = max(code, _guarded(path, check, diff, colour, report))
        except UsageError as error:
            code = _complain(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            code = _complain(f"{error.filename}: {error.strerror}")
    return code


def paths_of(name: str) -> list[Path | None]:
    """The files that a name means, standard input as None. Raises UsageError where there are none."""
    if name == STANDARD_INPUT:
        return [None]
    path = Path(name)
    if not path.is_dir():
        return [path]
    found: list[Path | None] = []
    for folder, folders, files in os.walk(path, onerror=_raise):
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        found += [Path(folder, file) for file in sorted(files) if file.endswith(".net")]
    if not found:
        raise UsageError(f"there is no .net file in {name}")
    return found


def _guarded(
    path: Path | None, check: bool, diff: bool, colour: bool, report: Callable[[Sequence[Diagnostic]], None]
) -> int:
    """Formats one file; what goes wrong is said, and is its exit code."""
    try:
        return format_file(path, check, diff, colour)
    except Unreadable as error:
        report([error.diagnostic])
        return 1
    except Faulty as error:
        report(error.faults)
        return 1
    except UsageError as error:
        return _complain(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _complain(f"{path}: {error.strerror or error}")


class Faulty(Exception):
    """A file has faults of syntax; it stays as it is."""

    def __init__(self, faults: list[Diagnostic]) -> None:
        super().__init__(faults[0].message)
        self.faults = faults


def format_file(path: Path | None, check: bool, diff: bool, colour: bool) -> int:
    """Formats one file, or standard input to standard output. Raises Faulty, Unreadable, OSError, UsageError."""
    source = read_source(path) if path is not None else decoded(sys.stdin.buffer.read(4 * MAX_LENGTH + 1), "<stdin>")
    text, faults = layout(source)
    if text is None:
        raise Faulty([fault for fault in faults if fault.severity == "error"])
    changed = text != source.text
    if changed and diff:
        print(difference(source, text, colour), end="")
    elif changed and check:
        print(source.name)
    elif path is None and not check and not diff:
        write_out(text)
    elif changed and path is not None:
        rewrite(path, text)
        print(f"formatted {source.name}")
    return int(changed and check)


def write_out(text: str) -> None:
    """A file's text on standard output: in UTF-8, whatever the terminal has."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8"))
    sys.stdout.buffer.flush()


def rewrite(path: Path, text: str) -> None:
    """Replaces the text of a file, of the one that is meant where the path is a link."""
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} cannot be written: it is read-only")
    write_atomically(path.resolve(), text)


def difference(source: Source, text: str, colour: bool) -> str:
    """A unified diff; in colours, what goes is red and what comes is green."""
    from difflib import unified_diff

    rows = unified_diff(_lines(source.text), _lines(text), source.name, source.name)
    shown = (row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)
    return "".join(_paint(row) if colour else row for row in shown)


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [line for line in text.split("\n")[-1:] if line]


_COLOURS = {"---": "\x1b[1m", "+++": "\x1b[1m", "-": "\x1b[31m", "+": "\x1b[32m", "@": "\x1b[36m"}


def _paint(row: str) -> str:
    start = _COLOURS.get(row[:3]) or _COLOURS.get(row[:1])
    return f"{start}{row[:-1]}\x1b[0m\n" if start else row


def _raise(error: OSError) -> None:
    raise error


def _complain(sentence: str) -> int:
    print(f"netdsl: {sentence}", file=sys.stderr)
    return 2
