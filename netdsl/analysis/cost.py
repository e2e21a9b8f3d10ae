"""What does it cost?  Parameters and multiply-accumulates, without unrolling what repeats."""

from __future__ import annotations

from netdsl.graph import Graph, Node, fold, live, total_of
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType


class Cost(Record):
    """The totals of a network.

    params              all of them, training-only heads included
    params_inference    without what only training uses
    trainable_params    without what is frozen
    macs                multiply-accumulates of convolutions and linear layers, inference path, batch 1
    """

    params: int
    params_inference: int
    trainable_params: int
    macs: Size


class Measure:
    """Parameters and MACs of every body, computed once."""

    def __init__(self, graph: Graph[TensorType]) -> None:
        self.params_of = fold(graph, params)
        self.macs_of = fold(graph, macs)

    def params(self, body: Graph[TensorType], node: Node[TensorType]) -> int:
        total = total_of(body, node, params, self.params_of)
        assert isinstance(total, int)
        return total

    def macs(self, body: Graph[TensorType], node: Node[TensorType]) -> Size:
        return total_of(body, node, macs, self.macs_of)


def params(body: Graph[TensorType], node: Node[TensorType]) -> Size:
    assert isinstance(node.op, Op)
    return int(node.op.params(tuple(body.type_of(v) for v in node.inputs)))


def macs(body: Graph[TensorType], node: Node[TensorType]) -> Size:
    assert isinstance(node.op, Op)
    count = node.op.macs(tuple(body.type_of(v) for v in node.inputs), node.type)
    return int(count) if isinstance(count, int) else count


def cost(graph: Graph[TensorType]) -> Cost:
    measure = Measure(graph)
    training, inference = live(graph, training=True), live(graph)
    each = {i: measure.params(graph, graph.nodes[i]) for i in training}
    return Cost(
        sum(each.values()),
        sum(n for i, n in each.items() if i in inference),
        sum(n for i, n in each.items() if not graph.nodes[i].frozen),
        total(measure.macs(graph, graph.nodes[i]) for i in sorted(inference)),
    )
