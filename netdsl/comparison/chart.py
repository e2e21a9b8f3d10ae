"""What is in the picture?  Of one group, the networks that both axes know, and why the others are not there.

After Canziani, Paszke, Culurciello 2016, "An analysis of deep neural network models for practical applications",
figure 2: operations to the right, accuracy upwards, parameters as the area of a disc.
"""

from __future__ import annotations

from netdsl.comparison.columns import Column, column_of
from netdsl.comparison.entries import Comparison, Entry, Group
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl.size import Formula


class Chart(Record):
    """Networks, each with the values of both axes, and what was left out, in sentences."""

    group: Group
    x: Column
    y: Column
    points: tuple[tuple[Entry, float, float], ...]
    left_out: tuple[str, ...] = ()


AXES = {
    "year": "year of the paper",
    "params": "parameters",
    "macs": "operations for one input (multiply-accumulates)",
    "activations": "activations that training keeps of one sample, bytes",
    "memory": "memory of inference at its peak, one sample, bytes",
    "field": "receptive field of the last map, pixels",
    "depth": "layers with weights, on the longest path",
    "top1": "top-1 accuracy, {}, %",
    "top5": "top-5 accuracy, {}, %",
    "density": "top-1 accuracy ({}) per million parameters, %",
}


def chart_of(comparison: Comparison, x: str = "macs", y: str = "top1") -> Chart:
    """The chart of the group that has most to show. Raises UsageError where no network has both values."""
    across, up = column_of(x, "axis"), column_of(y, "axis")
    if across is up:
        raise UsageError(f"both axes are {x}: choose another --x or --y")
    shown = {id(group): [e for e in group.entries if _drawable(e, group, across, up)] for group in comparison.groups}
    group = max(comparison.groups, key=lambda group: len(shown[id(group)]))
    entries = shown[id(group)]
    if not entries:
        published = " or ".join(c.name for c in (across, up) if c.best_first)
        help_ = f": no {published} is published of them; --y params draws what is known of every one" * bool(published)
        raise UsageError(f"none of these networks can be drawn with {x} and {y}{help_}")
    points = tuple((entry, _number(across, entry), _number(up, entry)) for entry in entries)
    return Chart(group, across, up, points, tuple(_left_out(comparison, group, entries, across, up)))


def axis_title(chart: Chart, column: Column) -> str:
    return AXES[column.name].format(chart.group.data_set)


def _number(column: Column, entry: Entry) -> float:
    value = column.value(entry)
    assert isinstance(value, int | float)
    return float(value)


def _known(entry: Entry, *columns: Column) -> bool:
    return not any(isinstance(column.value(entry), Formula | str | None) for column in columns)


def _measured_elsewhere(entry: Entry, group: Group, *columns: Column) -> bool:
    """Whether an axis shows an accuracy, and that of this network is on other data than the others'."""
    accuracies = any(column.best_first for column in columns)
    return accuracies and entry.accuracy is not None and entry.accuracy.on != group.data_set


def _drawable(entry: Entry, group: Group, *columns: Column) -> bool:
    return _known(entry, *columns) and not _measured_elsewhere(entry, group, *columns)


def _left_out(comparison: Comparison, group: Group, entries: list[Entry], *columns: Column) -> list[str]:
    """A sentence for each reason."""
    rest = [entry for entry in group.entries if entry not in entries]
    elsewhere = [entry for entry in rest if _known(entry, *columns)]
    sentences = []
    for column in columns:
        unknown = [entry.name for entry in rest if not _known(entry, column)]
        if unknown:
            why = "published" if column.best_first or column.name == "year" else "definite"
            sentences.append(f"{counted(len(unknown))} without a {why} {column.name}: {', '.join(unknown)}")
    if elsewhere:
        sentences.append(f"{counted(len(elsewhere))} measured on other data: {', '.join(e.name for e in elsewhere)}")
    others = len(comparison.entries) - len(group.entries)
    if others:
        sentences.append(f"{counted(others)} with other inputs or outputs than {group.title}")
    return sentences


def counted(count: int) -> str:
    return "1 network" if count == 1 else f"{count} networks"
