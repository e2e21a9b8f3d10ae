"""Rewrites of a checked graph: one to a file. Each keeps meaning, and its result is verified in the tests.

`optimise` runs those of `PIPELINE` in order, for inference: the graph is made flat, and ends in the wide ops of
`fused.py`. The log says what became of every element.
"""

from __future__ import annotations

from netdsl.graph import Graph
from netdsl.passes.epilogue import epilogue
from netdsl.passes.fold_norm import fold_norm
from netdsl.passes.inline import inline
from netdsl.passes.lower import lower
from netdsl.passes.retype import retype
from netdsl.passes.rewrite import Context, Event, Pass, Work
from netdsl.types import TensorType

PIPELINE: tuple[Pass, ...] = (
    lower,
    fold_norm,
    epilogue,
)


def optimise(graph: Graph[TensorType], context: Context) -> Graph[TensorType]:
    """The flat graph of inference, fused for `context`. `graph` is flat, and its sizes are numbers."""
    work = Work(graph)
    for rewrite in PIPELINE:
        rewrite(work, context)
    return work.to_graph()


__all__ = ["PIPELINE", "Context", "Event", "Work", "inline", "optimise", "retype"]
