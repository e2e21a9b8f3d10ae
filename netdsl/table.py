"""How is a network shown?  Tables as plain text, at a chosen depth, as wide as there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netdsl.amounts import bytes_text, compact, number, percent
from netdsl.analysis.facts import facts
from netdsl.analysis.memory import Memory, memory
from netdsl.domain import Domain
from netdsl.net import Net
from netdsl.outline import Outline, Row
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.source import place_of
from netdsl.terminal import WIDTH
from netdsl.types import TensorType

NARROW = 13
"""So much is left of a column of words at least, before another column is left out."""


class Column(Record):
    """One column: its head, its cells, on which side they stand.

    rank     columns of the highest rank are left out first; those of rank 0 stay
    words    whether it may be cut
    """

    head: str
    cells: tuple[str, ...]
    right: bool = True
    rank: int = 0
    words: bool = False

    @property
    def width(self) -> int:
        return max(map(len, (self.head, *self.cells)))

    @property
    def least(self) -> int:
        return min(self.width, NARROW) if self.words else self.width


def network_table(net: Net, depth: int = 1, width: int = WIDTH) -> str:
    """The network as a table: a row for each element, those of blocks down to `depth` below them."""
    return "\n".join(table_lines(Outline(net), depth, width))


def cost_table(
    net: Net,
    depth: int = 1,
    width: int = WIDTH,
    batch: int | None = None,
    dtype: str = "fp32",
    optimiser: str = "sgd",
    training: bool = False,
) -> str:
    """The same, with what strikes one about it, and the memory of inference and training by the size of the batch.

    With `training`, of what the memory of training consists.
    """
    outline = Outline(net, batch or 1, dtype)
    lines = table_lines(outline, depth, width)
    if open_sizes(net):
        return "\n".join([*lines, "", *wrapped(f"Memory needs sizes: {sizes_example(net)}.", width)])
    found = [fact.text for fact in facts(outline)]
    if found:
        lines += ["", *wrapped(f"{'; '.join(found)}.", width)]
    batches = BATCHES if batch is None else (batch,)
    entries = [memory(net, size, dtype, optimiser) for size in batches]
    return "\n".join([*lines, "", *memory_lines(entries, training)])


BATCHES = (1, 32, 256)
STATE = {"sgd": "SGD with momentum", "adam": "Adam", "none": "SGD without momentum"}


def memory_lines(entries: Sequence[Memory], training: bool) -> list[str]:
    """A row for inference and one for training, a column for each batch."""
    first = entries[0]
    rows = [(f"memory, {first.dtype}", *[f"batch {entry.batch:,}" for entry in entries])]
    rows.append(("inference", *[bytes_text(entry.inference) for entry in entries]))
    rows.append((f"training, {STATE[first.optimiser]}", *[bytes_text(entry.training) for entry in entries]))
    if training:
        parts = {
            "parameters and buffers": [entry.parameters + entry.buffers for entry in entries],
            "gradients of parameters": [entry.gradients for entry in entries],
            "state of the optimiser": [entry.state for entry in entries],
            "kept for the backward pass": [entry.kept for entry in entries],
            "most in the backward pass": [entry.backward for entry in entries],
        }
        rows += [(f"  {name}", *map(bytes_text, sizes)) for name, sizes in parts.items()]
    return align(rows, range(1, len(rows[0])))


def wrapped(text: str, width: int) -> list[str]:
    """Whole words, in lines of at most that width."""
    lines = [""]
    for word in text.replace(" %", "\N{NO-BREAK SPACE}%").split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def sizes_example(net: Net) -> str:
    open_ones = {name: shape for name, shape in net.inputs.items() if TensorType(shape).symbols}
    example = [
        f"{name}={'x'.join(str(n) if isinstance(n, int) else '224' for n in s)}" for name, s in open_ones.items()
    ]
    return " ".join(f"--input {text}" for text in example)


def table_lines(outline: Outline, depth: int, width: int) -> list[str]:
    net = outline.net
    rows = list(outline.walk(depth))
    lines = [f"{net.name}: {totals(net)}", "", *fitted(columns(outline, rows), width)]
    return [*lines, "", *limits(net)] if net.constraints else lines


def columns(outline: Outline, rows: Sequence[Row]) -> list[Column]:
    """What is known of each row: inputs first, the totals last."""
    net = outline.net
    inputs = [input.name for input in net.graph.inputs]
    n = len(inputs)
    end = "total" if len(rows) > 1 else None
    params = [*[0] * n, *[row.params for row in rows]]
    macs = [*[0] * n, *[net.shown(row.macs) for row in rows]]
    names = [*inputs, *["  " * row.level + row.label for row in rows]]
    whats = [
        *["input"] * n,
        *[row.what + (", training only" if row.training and not row.level else "") for row in rows],
    ]
    shapes = [*[net.shape_text(input.type) for input in net.graph.inputs], *[net.shape_text(row.type) for row in rows]]
    fields = [*[("", "")] * n, *[field_of(row) for row in rows]]
    last = [""] if end else []
    found = [
        Column("element", (*names, *([end] if end else [])), right=False),
        Column("what", (*whats, *last), right=False, words=True),
        Column("output", (*shapes, *last), right=False, words=True),
        counted("parameters", params, net.params, bool(end), number, 0),
        share(params, net.params, bool(end)),
    ]
    if open_sizes(net):
        found.append(counted("MACs", macs, net.macs, bool(end), number, 0))
    else:
        pieces = outline.pieces
        kept: list[Size] = [pieces.size[v] if v in pieces.keeper else 0 for v in range(n)]
        whole = total([*kept, *[row.kept for row in rows if row.level == 0]])
        kept += [row.kept for row in rows]
        found += [
            counted("MACs", macs, net.macs, bool(end), compact, 0),
            share(macs, net.macs, bool(end)),
            counted("memory", kept, whole, bool(end), bytes_text, 1),
            share(kept, whole, bool(end)),
        ]
    if any(field for field, _ in fields):
        found.append(Column("field", (*[field for field, _ in fields], *last), rank=2))
        found.append(Column("stride", (*[stride for _, stride in fields], *last), rank=4))
    return found


def counted(head: str, values: Sequence[Size], whole: Size, end: bool, text: object, rank: int) -> Column:
    assert callable(text)
    cells = [text(value) if value else "" for value in values]
    return Column(head, (*cells, *([text(whole)] if end else [])), rank=rank)


def share(values: Sequence[Size], whole: Size, end: bool) -> Column:
    """Of the whole network, in per cent."""
    return Column("%", (*[percent(value, whole) for value in values], *([""] if end else [])), rank=3)


def open_sizes(net: Net) -> bool:
    return any(input.type.symbols for input in net.graph.inputs)


def field_of(row: Row) -> tuple[str, str]:
    """The receptive field and the stride of a row, on the first input that it sees; of vectors there is none."""
    reaches = [reach for reach in row.receptive if reach.input == row.receptive[0].input]
    if not reaches or reaches[0].axis == "C":
        return "", ""
    if all(reach.whole for reach in reaches):
        return "all", ""
    sizes = ["all" if reach.whole else "?" if reach.size is None else str(reach.size) for reach in reaches]
    jumps = ["-" if reach.jump is None else str(reach.jump) for reach in reaches]
    return alike(sizes), "" if set(jumps) == {"-"} else alike(jumps)


def alike(parts: list[str]) -> str:
    return "x".join(parts if len(set(parts)) > 1 else parts[:1])


def fitted(found: list[Column], width: int) -> list[str]:
    """The lines of a table of at most that width, where that can be: columns of words are cut, others left out."""
    while len(found) > 2 and sum(c.least for c in found) + gaps(found) > width and any(c.rank for c in found):
        last = max(column.rank for column in found)
        found = [column for column in found if column.rank != last]
    room = width - gaps(found) - sum(column.width for column in found if not column.words)
    found = [cut(column, room, found) if column.words else column for column in found]
    lines = []
    for i in range(-1, len(found[0].cells)):
        line = ""
        for column in found:
            cell = column.head if i < 0 else column.cells[i]
            line += gap(column) if column is not found[0] else ""
            line += cell.rjust(column.width) if column.right else cell.ljust(column.width)
        lines.append(line.rstrip())
    return lines


def gap(column: Column) -> str:
    """A share stands close to what it is a share of."""
    return " " if column.head == "%" else "  "


def gaps(found: list[Column]) -> int:
    return sum(len(gap(column)) for column in found[1:])


def cut(column: Column, room: int, found: list[Column]) -> Column:
    """With its cells cut so that all columns of words share the room; the first gives way to the others."""
    words = [other for other in found if other.words]
    others = sum(other.width for other in words if other is not column)
    if sum(other.width for other in words) <= room:
        return column
    if column is words[0]:
        most = max(column.least, room - others)
    else:
        most = max(column.least, room - sum(other.least for other in words if other is not column))
    return column.replace(cells=tuple([c if len(c) <= most else c[: most - 1] + "…" for c in column.cells]))


def limits(net: Net) -> list[str]:
    """What open sizes must satisfy: `valid for H >= 63, W >= 63`, then `H must be a multiple of 16: …` and why."""
    domains = net.domains
    lines = ["valid for " + ", ".join(f"{name} >= {domain.lower}" for name, domain in domains.items())]
    for name, domain in domains.items():
        if domain.modulus > 1:
            narrowings = (fact for fact in net.derivation if fact.symbol == name)
            decisive = next(fact for fact in narrowings if fact.domain.modulus == domain.modulus)
            only = Domain(1, domain.modulus, domain.residues).describe(name)
            lines.append(f"{only}: {decisive.reason} ({place_of(decisive.origin).place})")
    return lines


def totals(net: Net) -> str:
    text = f"{number(net.params)} parameters"
    if net.params_inference != net.params:
        text += f" ({number(net.params_inference)} in inference)"
    if net.trainable_params != net.params:
        text += f", {number(net.trainable_params)} trainable"
    return f"{text}, {number(net.macs)} MACs"


def align(rows: Sequence[Sequence[str]], right: Iterable[int] = (3, 4)) -> list[str]:
    """Columns of equal width, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
