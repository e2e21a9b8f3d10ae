"""The same network for inputs of other sizes: every type inferred anew, open sizes made numbers."""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.graph import Graph, Input
from netdsl.ops import Op
from netdsl.prove import Prover
from netdsl.types import TensorType


def retype(graph: Graph[TensorType], shapes: Sequence[tuple[int, ...]]) -> Graph[TensorType]:
    """A flat graph for inputs of these shapes (without the batch axis). Raises ShapeFault where they do not fit."""
    prove = Prover()
    inputs = tuple([Input(input.name, TensorType(shape)) for input, shape in zip(graph.inputs, shapes, strict=True)])
    types = [input.type for input in inputs]
    nodes = []
    for node in graph.nodes:
        assert isinstance(node.op, Op), "retype wants a flat graph"
        type = node.op.infer(tuple([types[v] for v in node.inputs]), prove).plain()
        types.append(type)
        nodes.append(node.replace(type=type))
    return graph.replace(inputs=inputs, nodes=tuple(nodes))
