"""How deep is it?  Layers with products of weights, on the longest path from an input to an output.

As the papers count: convolutions and fully-connected layers, neither pools nor norms nor activations, and of branches
the longest. VGG-16 has 16, GoogLeNet 22, ResNet-50 50, DenseNet-121 121.
"""

from __future__ import annotations

from netdsl.graph import Graph, Node, Repeat, Run, bodies, fold, live, parts, total_of
from netdsl.ops import Op
from netdsl.types import TensorType

Depths = tuple[int | None, ...]
"""Of a body: the longest path from each of its inputs to its output; None where there is none."""


def depth(graph: Graph[TensorType]) -> int:
    """The depth of the inference path. What repeats is not unrolled: the work grows with what differs."""
    return sum(longest_path(graph).values())


def longest_path(graph: Graph[TensorType]) -> dict[int, int]:
    """How many layers each node on the longest path adds to it, by its index."""
    known: dict[int, Depths] = {}
    for body in bodies(graph)[:-1]:
        known[id(body)] = tuple(_from_input(body, i, known) for i in range(len(body.inputs)))
    values = _through(graph, [0] * len(graph.inputs), known)
    value = max((out.value for out in graph.outputs if not out.training), key=lambda v: values[v] or 0)
    found: dict[int, int] = {}
    while value >= len(graph.inputs):
        node = graph.nodes[value - len(graph.inputs)]
        before = node.inputs[0]
        for k, input in enumerate(node.inputs):
            alone = [values[v] if j == k else None for j, v in enumerate(node.inputs)]
            if _after(graph, node, alone, known) == values[value]:
                before = input
        found[value - len(graph.inputs)] = (values[value] or 0) - (values[before] or 0)
        value = before
    return found


def layer_counts(graph: Graph[TensorType]) -> dict[int, int]:
    """How many such layers each node has on which inference depends, on whatever path they lie, by its index."""
    totals = fold(graph, _weighs)
    counts = {i: total_of(graph, graph.nodes[i], _weighs, totals) for i in sorted(live(graph))}
    return {i: count for i, count in counts.items() if isinstance(count, int)}


def _from_input(body: Graph[TensorType], which: int, known: dict[int, Depths]) -> int | None:
    starts = [0 if i == which else None for i in range(len(body.inputs))]
    return _through(body, starts, known)[body.outputs[0].value]


def _through(body: Graph[TensorType], values: list[int | None], known: dict[int, Depths]) -> list[int | None]:
    """The depth of every value of a body, from that of its inputs."""
    values = list(values)
    for node in body.nodes:
        values.append(_after(body, node, [values[v] for v in node.inputs], known))
    return values


def _after(
    body: Graph[TensorType], node: Node[TensorType], inputs: list[int | None], known: dict[int, Depths]
) -> int | None:
    """The depth of a node's value, from that of its inputs."""
    if isinstance(node.op, Op):
        return _longest(inputs, [_weighs(body, node)] * len(inputs))
    current = inputs[0]
    for run in parts(node.op):
        taken = [inputs[k] for k in run.captured] if isinstance(node.op, Repeat) else inputs[1:]
        current = _repeated(run, current, taken, known[id(run.call.body)])
    return current


def _repeated(run: Run[TensorType], start: int | None, taken: list[int | None], each: Depths) -> int | None:
    """After `count` equal bodies: all of them from the start, or from the first that takes an outer value on."""
    if each[0] is None:
        return _longest(taken, each[1:])
    steps = each[0] * (run.count - 1)
    return _longest([start, *taken], [None if d is None else d + steps for d in each])


def _weighs(body: Graph[TensorType], node: Node[TensorType]) -> int:
    assert isinstance(node.op, Op)
    return 0 if node.op.macs(tuple(body.type_of(v) for v in node.inputs), node.type) == 0 else 1


def _longest(starts: list[int | None], lengths: list[int | None] | Depths | list[int]) -> int | None:
    return max((a + b for a, b in zip(starts, lengths) if a is not None and b is not None), default=None)
