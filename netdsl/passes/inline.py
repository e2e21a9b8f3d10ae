"""The flat view: every block and every repeat replaced by its elements, named by their paths."""

from __future__ import annotations

from netdsl.graph import Graph, Output, unroll
from netdsl.types import TensorType


def inline(graph: Graph[TensorType]) -> Graph[TensorType]:
    """A graph of primitives alone, equal to `graph`. It is as long as the network: repeats are unrolled."""
    values = list(range(len(graph.inputs)))
    nodes = tuple([node for _, node in unroll(graph, values)])
    outputs = tuple(Output(out.name, values[out.value], out.training) for out in graph.outputs)
    return graph.replace(nodes=nodes, outputs=outputs)
