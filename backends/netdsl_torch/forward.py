"""How does a body compute?  The lines of a `forward`, with names a reader would choose."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.graph import Graph, Node, parts
from netdsl.ops import Op
from netdsl.types import TensorType
from netdsl.variables import Variables, is_loop
from netdsl_torch.names import LOCALS, MODULE_NAMES, unique
from netdsl_torch.rules import HELPERS, rule_of

Body = Graph[TensorType]
Comment = Callable[[Node[TensorType]], str]


class Forward:
    """Writes the statements of one body. Mutable: it knows how each value is written, as a variable or in place.

    `order` is that of execution: the nodes of inference, then those of training alone.
    """

    def __init__(
        self, body: Body, comment: Comment, attributes: dict[str, str], order: list[int], taken: frozenset[str]
    ) -> None:
        self.body, self.comment, self.attributes = body, comment, attributes
        reserved = LOCALS | MODULE_NAMES | HELPERS.keys() | taken
        self.variables = Variables(body, order, lambda name, others: unique(name, reserved.union(others)))
        self.inputs = self.variables.inputs
        self.text: dict[int, str] = dict(self.variables.name)

    def module(self, node: Node[TensorType]) -> str:
        return f"self.{self.attributes[node.name]}"

    def lines(self, which: list[int]) -> list[str]:
        """The statements for the given nodes, in order."""
        out: list[str] = []
        for i in which:
            node, v = self.body.nodes[i], self.variables.value(i)
            if is_loop(node):
                out.extend(self.loop(i, node))
                continue
            self.text[v] = expression = self.expression(node)
            if not self.variables.is_inline(i):
                self.text[v] = name = self.variables.assign(i)
                out.append(f"{name} = {expression}{self.comment(node)}")
        return out

    def expression(self, node: Node[TensorType]) -> str:
        args = [self.text[v] for v in node.inputs]
        if isinstance(node.op, Op):
            rule = rule_of(node.op)
            if rule.function is not None:
                types = tuple(self.body.type_of(v) for v in node.inputs)
                return rule.function(node.op, types, args)
        return f"{self.module(node)}({', '.join(args)})"

    def loop(self, i: int, node: Node[TensorType]) -> list[str]:
        """A repeat whose steps take more than the running tensor."""
        runs = parts(node.op)
        source, rest = self.text[node.inputs[0]], [self.text[v] for v in node.inputs]
        self.text[self.variables.value(i)] = name = self.variables.assign(i)
        out = [] if name == source else [f"{name} = {source}"]
        module, comment = self.module(node), self.comment(node)
        if len({run.captured for run in runs}) == 1:
            taken = ", ".join([name, *(rest[k] for k in runs[0].captured)])
            return [*out, f"for step in {module}:{comment}", f"    {name} = step({taken}){comment}"]
        at = 0
        for run in runs:
            taken = ", ".join([name, *(rest[k] for k in run.captured)])
            if run.count == 1:
                out.append(f"{name} = {module}[{at}]({taken}){comment}")
            else:
                out.append(f"for step in {module}[{at}:{at + run.count}]:{comment}")
                out.append(f"    {name} = step({taken}){comment}")
            at += run.count
        return out
