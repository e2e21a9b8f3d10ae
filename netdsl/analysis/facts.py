"""What strikes one about a network's cost?  Where its parameters are, its operations, and the memory of training.

The three facts that lectures have of AlexNet: most memory is in the early convolutions, nearly all parameters are in
the FC layers, most operations in the convolutions. Each is computed, and said only where it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

from netdsl.graph import Graph, Node, fold, live, total_of
from netdsl.ops.base import Op
from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.outline import Outline, Row

KINDS = {
    "convolutions": ("conv", "conv_transpose"),
    "FC layers": ("linear",),
    "recurrent layers": ("rnn", "gru", "lstm"),
    "attention": ("attention",),
    "embeddings": ("embedding",),
}
MOST = 0.6
"""The share from which on something is most of it."""


class Fact(Record):
    """`share` of all `what` is in `where`."""

    what: str
    where: str
    share: float
    text: str


def facts(outline: Outline) -> list[Fact]:
    """What holds of parameters, MACs and the memory of training. Sizes have to be numbers for the latter two."""
    net = outline.net
    rows = [row for row in outline.rows if not row.training]
    found = []
    for what, whole, of in (("parameters", net.params_inference, params_of), ("MACs", net.macs, macs_of)):
        kind = leading(net.graph, whole, of)
        if kind is not None:
            where, share = kind
            largest = max(rows, key=lambda row: amount(row, what))
            most = amount(largest, what) / int(whole)  # type: ignore[arg-type]
            more = f", {percent(most)} in {largest.path}" if MOST <= most < 0.99 * share and len(rows) > 2 else ""
            found.append(Fact(what, where, share, f"{percent(share)} of the {what} are in {where}{more}"))
    early = early_memory(outline, rows)
    return [*found, early] if early is not None else found


def amount(row: Row, what: str) -> int:
    size = row.params if what == "parameters" else row.macs
    return int(size) if isinstance(size, int) else 0


def percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share < 0.995 else "nearly all" if share < 1 else "all"


def params_of(node: Node[TensorType], types: tuple[TensorType, ...]) -> Size:
    assert isinstance(node.op, Op)
    return int(node.op.params(types))


def macs_of(node: Node[TensorType], types: tuple[TensorType, ...]) -> Size:
    assert isinstance(node.op, Op)
    return node.op.macs(types, node.type)


def leading(
    graph: Graph[TensorType], whole: Size, of: Callable[[Node[TensorType], tuple[TensorType, ...]], Size]
) -> tuple[str, float] | None:
    """The kind of layer that has most of it, and its share."""
    if not isinstance(whole, int) or not whole:
        return None
    for kind, names in KINDS.items():

        def measure(body: Graph[TensorType], node: Node[TensorType], names: tuple[str, ...] = names) -> Size:
            assert isinstance(node.op, Op)
            return of(node, tuple([body.type_of(v) for v in node.inputs])) if node.op.name in names else 0

        totals = fold(graph, measure)
        count = sum([total_of(graph, graph.nodes[i], measure, totals) for i in live(graph)])
        if isinstance(count, int) and count >= MOST * whole:
            return kind, count / whole
    return None


def early_memory(outline: Outline, rows: list[Row]) -> Fact | None:
    """How few of the rows, from the start, have most of the memory, where they have less of the MACs than of it."""
    kept = [row.kept for row in rows]
    whole = sum(kept)
    if len(rows) < 4 or not isinstance(whole, int) or not whole:
        return None
    so_far = list(accumulate([int(size) for size in kept]))  # type: ignore[arg-type]
    n = next(n for n, size in enumerate(so_far, 1) if size >= MOST * so_far[-1])
    if n > len(rows) / 2:
        return None
    share, last = so_far[n - 1] / whole, rows[n - 1].path
    where = f"the first {n} of {len(rows)} elements (to {last})" if n > 1 else last
    return Fact("memory", where, share, f"{percent(share)} of the memory that training keeps is in {where}")
