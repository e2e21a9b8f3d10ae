"""What is shown of each network, in which order?  A column for each fact, its numbers, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.amounts import bytes_text, compact
from netdsl.comparison.entries import Entry, Group
from netdsl.options import need_known
from netdsl.record import Record
from netdsl.size import Formula, Size

Value = str | float | Size | None


MAX_TEXT = 44
"""Longer names are cut in tables."""


def _cut(value: Value) -> str:
    text = str(value)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


class Column(Record):
    """`best_first`: whether more is better, so that it is sorted downwards."""

    name: str
    heading: str
    doc: str
    value: Callable[[Entry], Value]
    written: Callable[[Value], str] = _cut
    best_first: bool = False

    @property
    def is_text(self) -> bool:
        return self.name in ("name", "input", "family", "file")


def short(value: Value) -> str:
    """Three digits and a suffix: `138M`, `4.09G`; a formula as it stands, if it is short."""
    if isinstance(value, Formula):
        return text if len(text := str(value)) <= 20 else "open"
    return "" if value is None else compact(value)  # type: ignore[arg-type]


def round_number(value: float) -> str:
    """As `short`, without zeros behind the point: `5M`."""
    text = compact(round(value))
    digits = text.rstrip("KMGTPE")
    return (digits.rstrip("0").rstrip(".") if "." in digits else digits) + text[len(digits) :]


def _per_cent(value: Value) -> str:
    return "" if value is None else f"{value:.2f}"


def _tenths(value: Value) -> str:
    return "" if value is None else f"{value:.1f}"


def _bytes(value: Value) -> str:
    return bytes_text(value) if isinstance(value, int) else ""


def _plain(value: Value) -> str:
    return "" if value is None else str(value)


def _inputs(entry: Entry) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in entry.inputs)


COLUMNS = (
    Column("name", "network", "the net's name", lambda entry: entry.name),
    Column("year", "year", "of the first version of the paper", lambda entry: entry.year, _plain),
    Column("family", "family", "which gives the colour in the picture", lambda entry: entry.family),
    Column("input", "input", "its sizes", _inputs),
    Column("params", "params", "parameters that inference has", lambda entry: entry.params, short),
    Column("macs", "MACs", "multiply-accumulates for one sample", lambda entry: entry.macs, short),
    Column(
        "activations",
        "acts",
        "bytes of activations that training keeps of one sample (fp32)",
        lambda entry: entry.memory.kept if entry.memory else None,
        _bytes,
    ),
    Column(
        "memory",
        "memory",
        "bytes of inference at its peak, for one sample (fp32): weights and activations",
        lambda entry: entry.memory.inference if entry.memory else None,
        _bytes,
    ),
    Column("depth", "depth", "layers with weights on the longest path", lambda entry: entry.depth, _plain),
    Column("field", "field", "receptive field of the last map, in pixels", lambda entry: entry.field, _plain),
    Column("top1", "top-1", "published accuracy in per cent", lambda entry: entry.top1, _per_cent, best_first=True),
    Column("top5", "top-5", "published accuracy in per cent", lambda entry: entry.top5, _per_cent, best_first=True),
    Column("density", "top-1/M", "top-1 per million parameters", lambda entry: entry.density, _tenths, best_first=True),
    Column("file", "file", "the spec", lambda entry: entry.file),
)
BY_NAME = {column.name: column for column in COLUMNS}
USUAL = tuple(column.name for column in COLUMNS if column.name not in ("family", "memory", "file"))


def columns_of(names: Sequence[str]) -> tuple[Column, ...]:
    """Raises UsageError with the nearest known name."""
    return tuple(column_of(name) for name in dict.fromkeys(names))


def column_of(name: str, role: str = "column") -> Column:
    known = [column.name for column in COLUMNS if role == "column" or not column.is_text]
    need_known(role, name, known)
    return BY_NAME[name]


def usual_columns(group: Group) -> tuple[Column, ...]:
    """All that say something of this group: not the input where the title has it, nor a column that is empty."""
    same = len({entry.inputs for entry in group.entries}) == 1
    return tuple(
        column
        for column in columns_of(USUAL)
        if not (column.name == "input" and same) and any(column.value(entry) is not None for entry in group.entries)
    )


def ordered(entries: Sequence[Entry], by: str, reverse: bool = False) -> tuple[Entry, ...]:
    """Sorted by a column: accuracies downwards, the rest upwards, or the other way; without a number last."""
    column = column_of(by)

    def key(entry: Entry) -> tuple[object, ...]:
        value = column.value(entry)
        return (str(value).lower(),) if column.is_text else (value, entry.name)

    other = Formula | None if column.is_text else Formula | str | None
    known = [entry for entry in entries if not isinstance(column.value(entry), other)]
    rest = [entry for entry in entries if isinstance(column.value(entry), other)]
    rest.sort(key=lambda entry: column.value(entry) is None)
    return (*sorted(known, key=key, reverse=column.best_first != reverse), *rest)
