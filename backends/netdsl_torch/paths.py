"""What are the elements called in the module?  As in the text, but for names that Python or PyTorch has already."""

from __future__ import annotations

from netdsl.graph import Call, Graph, Repeat, bodies
from netdsl.ops import Op
from netdsl.passes import inline
from netdsl.types import TensorType
from netdsl_torch.classes import has_class
from netdsl_torch.names import attributes

Bodies = dict[int, Graph[TensorType]]


def flat(graph: Graph[TensorType]) -> Graph[TensorType]:
    """Every primitive, under the path of its module: `<name>.weight` is its parameter in the state dict."""
    done: Bodies = {}
    for body in bodies(graph):
        called = attributes(node.name for node in body.nodes) if has_class(body) else {}
        nodes = [node.replace(name=called.get(node.name, node.name), op=within(node.op, done)) for node in body.nodes]
        done[id(body)] = body.replace(nodes=tuple(nodes))
    return inline(done[id(graph)])


def within(op: Op | Call[TensorType] | Repeat[TensorType], done: Bodies) -> Op | Call[TensorType] | Repeat[TensorType]:
    """The same, of the renamed bodies."""
    if isinstance(op, Op):
        return op
    if isinstance(op, Call):
        return renamed(op, done)
    return op.replace(runs=tuple([run.replace(call=renamed(run.call, done)) for run in op.runs]))


def renamed(call: Call[TensorType], done: Bodies) -> Call[TensorType]:
    return call.replace(body=done[id(call.body)])
