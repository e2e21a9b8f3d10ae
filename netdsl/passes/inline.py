"""The flat view: every block and every repeat replaced by its elements, named by their paths."""

from __future__ import annotations

from netdsl.graph import Graph, Node, Output, Repeat, join_path, parts, repeat_step, step_names
from netdsl.ops import Op
from netdsl.source import Origin
from netdsl.types import TensorType

Flat = list[Node[TensorType]]


def inline(graph: Graph[TensorType]) -> Graph[TensorType]:
    """A graph of primitives alone, equal to `graph`. It is as long as the network: repeats are unrolled."""
    nodes: Flat = []
    values = list(range(len(graph.inputs)))
    _expand(graph, values, "", (), "", False, nodes, len(graph.inputs))
    outputs = tuple(Output(out.name, values[out.value], out.training) for out in graph.outputs)
    return graph.replace(nodes=tuple(nodes), outputs=outputs)


def _expand(
    body: Graph[TensorType],
    values: list[int],
    path: str,
    origin: Origin,
    group: str,
    frozen: bool,
    nodes: Flat,
    base: int,
) -> None:
    """Appends the elements of `body`. `values` maps its values to those of the flat graph, inputs at first."""
    steps = step_names(body)
    for i, node in enumerate(body.nodes):
        own = join_path(path, steps[i])
        inputs = [values[v] for v in node.inputs]
        label, holds = group or node.group, frozen or node.frozen
        if isinstance(node.op, Op):
            name = own or node.name
            type = node.type.plain()
            nodes.append(Node(name, node.op, tuple(inputs), type, node.origin + origin, label, holds, node.shortcut))
            values.append(base + len(nodes) - 1)
            continue
        current, step = inputs[0], 0
        for run in parts(node.op):
            taken = [inputs[k] for k in run.captured] if isinstance(node.op, Repeat) else inputs[1:]
            for _ in range(run.count):
                at = join_path(path, repeat_step(body, steps[i], step)) if isinstance(node.op, Repeat) else own
                inner = [current, *taken]
                _expand(run.call.body, inner, at, node.origin + origin, label, holds, nodes, base)
                current = inner[run.call.body.outputs[0].value]
                step += 1
        values.append(current)
