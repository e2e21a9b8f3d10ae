"""Where does it all go?  What each kind of layer has of the parameters, multiply-accumulates and activations.

The lecture's three facts of AlexNet are read off this: parameters in the fully connected layers, operations in the
convolutions, memory in the early ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from netdsl.analysis.cost import macs, params
from netdsl.draw.elements import values
from netdsl.draw.words import kind_of
from netdsl.graph import Graph, Node, bodies, fold, live, total_of
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType

Count = Callable[[Graph[TensorType], Node[TensorType]], Size]


class Share(Record):
    """What one kind of layer costs in all: values are outputs of its elements, for one sample."""

    kind: str
    params: Size
    macs: Size
    values: Size


def shares(net: Net) -> tuple[Share, ...]:
    """By kind: parameters of the whole network; the rest of the inference path, as in all totals."""
    graph = net.graph
    every, inference = live(graph, training=True), live(graph)
    kinds = {kind_of(node.op) for body in bodies(graph) for node in body.nodes if isinstance(node.op, Op)}
    return tuple(
        Share(
            kind,
            _of(graph, every, kind, params),
            net.shown(_of(graph, inference, kind, macs)),
            net.shown(_of(graph, inference, kind, values)),
        )
        for kind in sorted(kinds)
    )


def _of(graph: Graph[TensorType], which: Iterable[int], kind: str, count: Count) -> Size:
    def only(body: Graph[TensorType], node: Node[TensorType]) -> Size:
        assert isinstance(node.op, Op)
        return count(body, node) if kind_of(node.op) == kind else 0

    totals = fold(graph, only)
    return total(total_of(graph, graph.nodes[i], only, totals) for i in sorted(which))
