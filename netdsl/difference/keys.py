"""When are two elements the same?  A number for each content: equal numbers are equal networks, whoever built them.

    full     everything that means something: ops, wiring, shapes, what is frozen, names of parameters
    loose    the same without names

A body is looked at once, so comparing two networks costs as much as they hold that differs.
"""

from __future__ import annotations

from netdsl.graph import Graph, Node, Output, Repeat, bodies, parts, step_names
from netdsl.ops import Op
from netdsl.types import TensorType


class Keys:
    """The contents seen so far, of any number of networks. Mutable: a new content gets the next number."""

    def __init__(self, names: bool = True) -> None:
        self.names = names
        self.numbers: dict[object, int] = {}
        self.known: dict[int, tuple[Graph[TensorType], int]] = {}

    def number(self, content: object) -> int:
        return self.numbers.setdefault(content, len(self.numbers))

    def body(self, graph: Graph[TensorType]) -> int:
        """The number of a graph's content."""
        for body in bodies(graph) if id(graph) not in self.known else ():
            if id(body) not in self.known:
                self.known[id(body)] = body, self.number(self.content(body))
        return self.known[id(graph)][1]

    def content(self, body: Graph[TensorType]) -> object:
        names = step_names(body) if self.names else [""] * len(body.nodes)
        inputs = tuple([(input.name if body.kind == "net" else "", input.type.plain()) for input in body.inputs])
        nodes = tuple([self.node(body, node, name) for node, name in zip(body.nodes, names)])
        outputs = tuple([self.output(body, out) for out in body.outputs])
        return "body", inputs, nodes, outputs

    def output(self, body: Graph[TensorType], out: Output) -> object:
        return (out.name if body.kind == "net" else "", out.value, out.training)

    def node(self, body: Graph[TensorType], node: Node[TensorType], name: str) -> int:
        """The number of an element as it stands in its body."""
        return self.number(("node", name, self.element(body, node), node.inputs))

    def element(self, body: Graph[TensorType], node: Node[TensorType]) -> int:
        """The number of an element wherever it stands: what it does, to what, and what comes out."""
        types = tuple([body.type_of(v).plain() for v in node.inputs])
        runs: object = node.op if isinstance(node.op, Op) else self.runs(node)
        return self.number(("element", runs, types, node.type.plain(), node.frozen))

    def runs(self, node: Node[TensorType]) -> object:
        applied = [(run.count, self.body(run.call.body), run.captured) for run in parts(node.op)]
        return "repeat" if isinstance(node.op, Repeat) else "call", tuple(applied)
