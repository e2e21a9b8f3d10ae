"""How many samples go through at a time, and which values are slices of a concatenation?

Early layers of a batch write maps that no cache holds. So the network is cut into segments, each of which is run for
a part of the batch that fits: few samples where maps are large, all of them where weights are.

A concatenation is a buffer, into whose channels its inputs are written; one that is part of a larger one (DenseNet's
grow by a slice in each layer) is a slice of that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdsl.graph import Graph, Node
from netdsl.ops import Op
from netdsl.ops.join import Concat
from netdsl.passes.fused import Channels, FusedMean, FusedPool, Head, Pointwise, concrete
from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_triton.cpu.clamp import Clamp

CACHE = 16 << 20
"""Bytes that the inputs and outputs of one element may have."""
READS_SLICES = (Clamp, Pointwise, FusedPool, FusedMean, Head, Concat, Channels)
"""Ops that read a slice of channels as fast as a tensor of its own. Convolutions copy it first."""


class Segment(Record):
    """Elements that are run together for `samples` samples at a time.

    first, end    of the graph's nodes
    inputs        values from before that they read
    outputs       values that are read later, or given back
    """

    first: int
    end: int
    samples: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Slice(Record):
    """The place of a value: the channels from `start` on of the buffer of the concatenation `buffer` (a value)."""

    buffer: int
    start: int


class Places(Record):
    """Where values of a segment lie, and what each concatenation has yet to copy: values, and their first channels."""

    at: dict[int, Slice]
    copies: dict[int, tuple[tuple[int, int], ...]]


def users_of(graph: Graph[TensorType]) -> list[list[int]]:
    """For each value, the nodes (by their number as a value) that read it."""
    users: list[list[int]] = [[] for _ in range(len(graph.inputs) + len(graph.nodes))]
    for i, node in enumerate(graph.nodes, len(graph.inputs)):
        for v in dict.fromkeys(node.inputs):
            users[v].append(i)
    return users


def elements(type: TensorType) -> int:
    return math.prod(concrete(size) for size in type.shape)


def samples_at_a_time(graph: Graph[TensorType], node: Node[TensorType], batch: int, width: int, cache: int) -> int:
    """As many samples as fit, and divide the batch; all, where weights are what is moved."""
    if node.type.rank == 1:
        return batch
    moved = elements(node.type) + sum(elements(graph.type_of(v)) for v in node.inputs)
    fitting = [n for n in range(1, batch + 1) if batch % n == 0 and n * moved * width <= cache]
    return max(fitting, default=1)


def segments(graph: Graph[TensorType], batch: int, width: int, cache: int = CACHE) -> list[Segment]:
    """The graph cut where one value alone crosses, in parts with ever more samples at a time. `width`: bytes."""
    wanted = [samples_at_a_time(graph, node, batch, width, cache) for node in graph.nodes]
    for i in range(len(wanted) - 1, 0, -1):
        wanted[i - 1] = min(wanted[i - 1], wanted[i])
    users, offset = users_of(graph), len(graph.inputs)
    last = [max(found, default=-1) for found in users]
    starts = [0]
    now = wanted[0] if wanted else batch
    sizes = [now]
    for i in range(1, len(wanted)):
        crossing = sum(last[v] >= offset + i for v in range(offset + i))
        if wanted[i] > now and crossing == 1:
            starts.append(i)
            sizes.append(now := wanted[i])
    given = {out.value for out in graph.outputs}
    found = []
    for first, end, samples in zip(starts, [*starts[1:], len(wanted)], sizes):
        read = dict.fromkeys(v for node in graph.nodes[first:end] for v in node.inputs if v < offset + first)
        kept = [v for v in range(offset + first, offset + end) if v in given or last[v] >= offset + end]
        found.append(Segment(first, end, samples, tuple(read), tuple(kept)))
    return found


def is_concat(op: object) -> bool:
    return isinstance(op, Concat) and op.axis == "C"


def places(graph: Graph[TensorType], segment: Segment) -> Places:
    """Which values of a segment are slices, and of which buffer. Every concatenation of channels has a place."""
    offset, users = len(graph.inputs), users_of(graph)
    inside = range(offset + segment.first, offset + segment.end)

    def op_of(v: int) -> Op:
        op = graph.nodes[v - offset].op
        assert isinstance(op, Op)
        return op

    def shared(v: int) -> bool:
        """Whether all that reads it takes a slice as well as a whole tensor."""
        return all(isinstance(op_of(user), READS_SLICES) for user in users[v])

    def leaves(v: int) -> list[int]:
        parts: list[int] = []
        for x in graph.nodes[v - offset].inputs:
            parts.extend(leaves(x) if x in inside and is_concat(op_of(x)) and shared(x) else [x])
        return parts

    concats = [v for v in inside if is_concat(op_of(v))]
    parts = {v: leaves(v) for v in concats}
    starts = {v: channel_starts(graph, parts[v]) for v in concats}
    at: dict[int, Slice] = {}
    for v in sorted(concats, key=lambda v: -concrete(graph.type_of(v).channels)):
        if v in at:
            continue
        at[v] = Slice(v, 0)
        for w in concats:
            if w not in at and shared(w) and (first := position(parts[w], parts[v])) is not None:
                at[w] = Slice(v, starts[v][first])
        for x, start in zip(parts[v], starts[v]):
            alone = (
                parts[v].count(x) == 1 and x not in at and not isinstance(op_of(x), Channels) if x in inside else False
            )
            if alone and shared(x):
                at[x] = Slice(v, start)
    copies: dict[int, tuple[tuple[int, int], ...]] = {}
    filled = set[Slice]()
    for w in concats:
        place = at[w]
        wanted = [
            (x, place.start + start, Slice(place.buffer, place.start + start)) for x, start in zip(parts[w], starts[w])
        ]
        copies[w] = tuple([(x, start) for x, start, slot in wanted if at.get(x) != slot and slot not in filled])
        filled.update(slot for _, _, slot in wanted)
    return Places(at, copies)


def channel_starts(graph: Graph[TensorType], values: Sequence[int]) -> list[int]:
    """Where each of them starts, one after the other."""
    starts, at = [], 0
    for v in values:
        starts.append(at)
        at += concrete(graph.type_of(v).channels)
    return starts


def position(part: Sequence[int], whole: Sequence[int]) -> int | None:
    """Where `part` stands in `whole`; None if it does not."""
    for at in range(len(whole) - len(part) + 1):
        if list(whole[at : at + len(part)]) == list(part):
            return at
    return None
