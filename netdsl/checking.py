"""Does every shape fit?  Graph[Draft] → Graph[TensorType], or the faults.

Elaboration inferred the shapes, because the text needs them (`CONV (2*C)`); checking is the gate behind it. It lets a
graph through only if no fault was found and no node is Unknown: what it returns can be given to a backend.
"""

from __future__ import annotations

from typing import TypeGuard

from netdsl.diagnostic import Diagnostic
from netdsl.graph import Graph, bodies
from netdsl.network import Elaborated
from netdsl.types import Draft, TensorType


def check(elaborated: Elaborated | None, faults: list[Diagnostic]) -> Graph[TensorType] | None:
    """The graph as one whose every type is known; None where there are errors. Warnings do not stop it."""
    if elaborated is None or any(fault.severity == "error" for fault in faults):
        return None
    graph = elaborated.graph
    return graph if is_typed(graph) else None


def is_typed(graph: Graph[Draft]) -> TypeGuard[Graph[TensorType]]:
    """Whether every value of every body has a type."""
    every = bodies(graph)
    types = [input.type for body in every for input in body.inputs]
    types += [node.type for body in every for node in body.nodes]
    return all(isinstance(type, TensorType) for type in types)
