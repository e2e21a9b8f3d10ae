"""How is a comparison written?  As a table for people, as CSV, as fields for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netdsl.comparison.columns import COLUMNS, Column, ordered, usual_columns
from netdsl.comparison.entries import Comparison, Entry
from netdsl.size import Formula
from netdsl.table import align


def sorted_by(comparison: Comparison, column: str, reverse: bool = False) -> Comparison:
    groups = (group.replace(entries=ordered(group.entries, column, reverse)) for group in comparison.groups)
    return comparison.replace(groups=tuple(groups))


def comparison_table(comparison: Comparison, columns: Sequence[Column] = ()) -> str:
    """A table for each group, then the notes. Without `columns`, those that say something."""
    parts = []
    for group in comparison.groups:
        shown = columns or usual_columns(group)
        rows = [tuple(column.heading for column in shown)]
        rows += [tuple(column.written(column.value(entry)) for column in shown) for entry in group.entries]
        right = tuple(i for i, column in enumerate(shown) if not column.is_text)
        title = group.title + (f"    accuracy: {group.data_set}" if group.data_set else "")
        parts.append("\n".join([title, *align(rows, right)]))
    return "\n\n".join([*parts, *filter(None, ["\n".join(_wrapped(note) for note in comparison.notes)])])


def _wrapped(note: str) -> str:
    import textwrap

    return textwrap.fill(f"note: {note}", 100, subsequent_indent="      ", break_long_words=False)


def comparison_csv(comparison: Comparison, columns: Sequence[Column] = ()) -> str:
    """One table with a heading, for spreadsheets: every column, the group first."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", *(column.name for column in columns or COLUMNS)])
    for group in comparison.groups:
        for entry in group.entries:
            values = [_plain(column.value(entry)) for column in columns or COLUMNS]
            writer.writerow([group.title, *("" if value is None else value for value in values)])
    return text.getvalue().rstrip("\n")


def comparison_fields(comparison: Comparison, columns: Sequence[Column] = ()) -> dict[str, Any]:
    """What `--json` prints: `networks`, one object for each, and `notes`."""
    rows = []
    for group in comparison.groups:
        for entry in group.entries:
            row: dict[str, Any] = {"group": group.title}
            row |= {column.name: _plain(column.value(entry)) for column in columns or COLUMNS}
            rows.append(row if columns else row | _sources(entry))
    return {"networks": rows, "notes": list(comparison.notes)}


def _sources(entry: Entry) -> dict[str, Any]:
    """Where the published facts stand."""
    if entry.published is None:
        return {"paper": None, "accuracy": []}
    figures = []
    for figure in entry.published.accuracy:
        figures.append({name: getattr(figure, name) for name in figure.fields if getattr(figure, name)})
    return {"paper": entry.published.paper.citation, "accuracy": figures}


def _plain(value: Any) -> Any:
    """A number that JSON and CSV can say; a formula as text."""
    if isinstance(value, Formula):
        return str(value)
    if isinstance(value, int):
        return int(value)
    return round(value, 4) if isinstance(value, float) else value
