"""Rewrites of a checked graph: one to a file. Each keeps meaning, and its result is verified in the tests.

`optimise` runs those of `PIPELINE` in order, for inference: the graph is made flat, and ends in the wide ops of
`fused.py`. The log says what became of every element.
"""

from __future__ import annotations

from netdsl.graph import Graph
from netdsl.passes.commute import commute
from netdsl.passes.concat import concat
from netdsl.passes.dead_code import dead_code
from netdsl.passes.epilogue import epilogue
from netdsl.passes.fold_forward import fold_forward
from netdsl.passes.fold_norm import fold_norm
from netdsl.passes.head import head
from netdsl.passes.inline import inline
from netdsl.passes.lower import lower
from netdsl.passes.prologue import prologue
from netdsl.passes.retype import retype
from netdsl.passes.rewrite import Context, Event, Pass, Work
from netdsl.passes.siblings import siblings
from netdsl.passes.simplify import simplify
from netdsl.types import TensorType

PIPELINE: tuple[Pass, ...] = (
    dead_code,
    lower,
    simplify,
    concat,
    fold_norm,
    fold_forward,  # before epilogues: what goes into weights costs nothing
    epilogue,
    simplify,  # steps that have met in an epilogue
    head,
    commute,
    siblings,  # after `commute`: a convolution that came before its pool reads what the others read
    concat,
    prologue,  # last, as it decides by what the readers have become
    fold_forward,
)


def optimise(graph: Graph[TensorType], context: Context) -> Graph[TensorType]:
    """The flat graph of inference, fused for `context`. `graph` is flat, and its sizes are numbers."""
    work = Work(graph)
    for rewrite in PIPELINE:
        rewrite(work, context)
    found = work.to_graph()
    context.settle({node.name for node in found.nodes})
    return found


__all__ = ["PIPELINE", "Context", "Event", "Work", "inline", "optimise", "retype"]
