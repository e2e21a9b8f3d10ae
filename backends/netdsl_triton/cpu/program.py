"""How is a network run on a CPU?  As a list of functions, bound once to weights and shapes, in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.graph import Graph
from netdsl.ops import Op
from netdsl.ops.normalisation import LRN
from netdsl.passes.fused import Absorbing, Channels, FusedConv, FusedMean, FusedPool, Head, Pointwise, concrete
from netdsl.passes.rewrite import Work
from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_torch.single import function_of
from netdsl_triton.cpu import clamp as clamps
from netdsl_triton.cpu import convolution, normalisation, pool, steps
from netdsl_triton.cpu.bind import Bound, Rule, Site, channels_last, empty, shape_of
from netdsl_triton.cpu.plan import CACHE, Places, Segment, Slice, places, segments
from netdsl_triton.fold import fold
from netdsl_triton.program import copied, is_channels_last, tensors_of

RULES: dict[type[Op], Rule] = {
    FusedConv: convolution.conv,
    Head: convolution.head,
    FusedPool: pool.pool,
    FusedMean: pool.mean,
    Pointwise: steps.pointwise,
    clamps.Clamp: steps.clamp,
    LRN: normalisation.lrn,
}

Step = tuple[Callable[..., Tensor], tuple[int, ...], int, tuple[int, ...]]
"""A function, the slots of its inputs, the slot of its output, and the slots that nothing reads any more."""


class Part(Record):
    """A segment that is ready to run."""

    segment: Segment
    steps: tuple[Step, ...]


class CpuProgram:
    """A fused graph for definite inputs, on the weights of a PyTorch module.

    graph     as `netdsl.passes.optimise` gives it, for inputs of definite sizes
    module    the network by the PyTorch backend: its state dict has the weights, its parts run what has no rule here
    batch     samples in each input
    dtype     of inputs and outputs: torch.float32, torch.bfloat16 …; sums are in fp32 in any case
    cache     bytes that one element may read and write: larger batches go through in parts

    Calls do not change it, and it has no memory of its own but weights: several threads may run it at the same time.
    """

    def __init__(
        self,
        graph: Graph[TensorType],
        module: nn.Module,
        batch: int = 1,
        dtype: torch.dtype = torch.float32,
        cache: int = CACHE,
    ) -> None:
        work = Work(graph)
        clamps.separate(work)
        if dtype.itemsize >= 4:  # a bound that is rounded to bf16 would leave a channel that is off a little on
            clamps.clamp(work)
        self.graph = work.to_graph()
        self.module, self.batch, self.dtype = module, batch, dtype
        self.segments = segments(self.graph, batch, dtype.itemsize, cache)
        self.refold()

    def refold(self) -> None:
        """Takes over the module's weights as they are now."""
        self.state = tensors_of(self.module)
        folded: list[Mapping[str, Tensor]] = []
        for node in self.graph.nodes:
            weights = fold(node.op, self.state) if isinstance(node.op, Absorbing) else {}
            folded.append({name: weight.to(self.dtype) for name, weight in weights.items()})
        bounds = ("low", "high")
        numbers = [weight for weights in folded for name, weight in weights.items() if name not in bounds]
        self._folded = folded
        with torch.no_grad():
            self._exact = None if all(map(is_finite, numbers)) else self._bind(exact=True)
            self._parts = self._bind(exact=False) if self._exact is None else self._exact

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, for any number of samples; `batch` of them are what it was planned for."""
        with torch.no_grad(), without_autocast():
            exact = self._exact is None and not all(map(is_finite, inputs))
            parts = self._bind(exact=True) if exact else self._parts
            values = self._run(parts, [self._taken(x) for x in inputs])
            last = is_channels_last(inputs)
            return tuple([self._given(values, out.value, last) for out in self.graph.outputs])

    def _taken(self, x: Tensor) -> Tensor:
        return channels_last(x.to(self.dtype) if x.is_floating_point() else x)

    def _given(self, values: Mapping[int, Tensor], v: int, last: bool) -> Tensor:
        """An output, laid out as the PyTorch module's would be; never memory of an input."""
        x = values[v]
        if v < len(self.graph.inputs):
            return copied(x, last)
        return x if last else x.contiguous()

    def _run(self, parts: Sequence[Part], inputs: list[Tensor]) -> dict[int, Tensor]:
        """The values that cross segments or are outputs."""
        values: dict[int, Tensor] = dict(enumerate(inputs))
        count = inputs[0].shape[0]
        for part in parts:
            segment = part.segment
            if count <= segment.samples:
                slots = {v: values[v] for v in segment.inputs}
                run(part.steps, slots)
                values.update({v: slots[v] for v in segment.outputs})
                continue
            for start in range(0, count, segment.samples):
                samples = min(segment.samples, count - start)
                slots = {v: values[v].narrow(0, start, samples) for v in segment.inputs}
                run(part.steps, slots)
                for v in segment.outputs:
                    if not start:
                        values[v] = empty((count, *slots[v].shape[1:]), slots[v].dtype)
                    values[v].narrow(0, start, samples).copy_(slots[v])
        return values

    # --- binding ---------------------------------------------------------------------------------------------------

    def _bind(self, exact: bool) -> list[Part]:
        return [Part(segment, tuple(self._steps(segment, exact))) for segment in self.segments]

    def _steps(self, segment: Segment, exact: bool) -> list[Step]:
        """The elements of a segment in order; before the first one that writes into a buffer, the buffer is made."""
        graph, offset = self.graph, len(self.graph.inputs)
        where = places(graph, segment)
        reads: list[tuple[int, tuple[int, ...]]] = []
        made = set[int]()
        for v in range(offset + segment.first, offset + segment.end):
            copied = where.copies.get(v)
            ins = graph.nodes[v - offset].inputs if copied is None else tuple([x for x, _ in copied])
            if (place := where.at.get(v)) is not None:
                slot = slot_of(place)
                if slot not in made:
                    made.add(slot)
                    reads.append((slot, segment.inputs[:1]))
                ins = (slot, *ins)
            reads.append((v, ins))
        last = {v: i for i, (_, ins) in enumerate(reads) for v in ins}
        kept = set(segment.outputs)
        owned = set[int]()
        found: list[Step] = []
        for i, (v, ins) in enumerate(reads):
            dead = tuple([x for x in dict.fromkeys(ins) if last[x] == i and x not in kept])
            if v < 0:
                found.append((partial(beside, shape_of(graph.type_of(-v - 1)), self.dtype), ins, v, dead))
                continue
            place = where.at.get(v)
            if v in where.copies:
                found.append((self._joined(v, where), ins, v, dead))
                continue
            own = ins if place is None else ins[1:]
            free = frozenset([at for at, x in enumerate(own) if x in owned and x in dead and own.count(x) == 1])
            node = graph.nodes[v - offset]
            bound = self._bound(v - offset, segment.samples, exact, free)
            if place is None and not bound.view:
                owned.add(v)
            found.append((placed(bound, place, shape_of(node.type), self.dtype), ins, v, dead))
        return found

    def _joined(self, v: int, where: Places) -> Callable[..., Tensor]:
        """What copies the inputs of a concatenation that are not yet in its buffer, and gives its channels of that."""
        place = where.at[v]
        channels = concrete(self.graph.type_of(v).channels)
        ranges = [(start, concrete(self.graph.type_of(x).channels)) for x, start in where.copies[v]]

        def function(buffer: Tensor, *parts: Tensor) -> Tensor:
            for (start, count), part in zip(ranges, parts):
                buffer.narrow(1, start, count).copy_(part)
            return buffer.narrow(1, place.start, channels)

        return function

    def _bound(self, at: int, samples: int, exact: bool, free: frozenset[int]) -> Bound:
        node = self.graph.nodes[at]
        assert isinstance(node.op, Op)
        types = tuple([self.graph.type_of(v) for v in node.inputs])
        site = Site(node.op, node.name, types, node.type, samples, self.dtype, self._folded[at], free, exact)
        rule = RULES.get(type(node.op))
        if rule is not None:
            return rule(site)
        return Bound(make=self._plain(node.op, node.name, types), view=True)

    def _plain(self, op: Op, name: str, types: tuple[TensorType, ...]) -> Callable[..., Tensor]:
        """An element without a rule: its module, or its function, as PyTorch has it."""
        if not op.weights(types):
            function = function_of(op, types)
            return lambda *inputs: channels_last(function(*inputs))
        element = self.module.get_submodule(name)
        other = {p.dtype for p in element.parameters()} - {self.dtype}

        def call(*inputs: Tensor) -> Tensor:
            with torch.autocast("cpu", self.dtype) if other else nullcontext():
                return channels_last(element(*inputs))

        return call


def slot_of(place: Slice) -> int:
    """The slot of a buffer: below zero, where values have none."""
    return -place.buffer - 1


def beside(shape: tuple[int, ...], dtype: torch.dtype, x: Tensor, *others: Tensor) -> Tensor:
    """Memory for a value with as many samples as `x` has."""
    return empty((x.shape[0], *shape), dtype)


def placed(bound: Bound, place: Slice | None, shape: tuple[int, ...], dtype: torch.dtype) -> Callable[..., Tensor]:
    """How an element is run whose output lies there: in a tensor of its own, or in a slice of a buffer."""
    make, write = bound.make, bound.write
    if place is None:
        if make is not None:
            return make
        assert write is not None

        def fresh(x: Tensor, *others: Tensor) -> Tensor:
            out = empty((x.shape[0], *shape), dtype)
            write(out, x, *others)
            return out

        return fresh
    start, channels = place.start, shape[0]

    def into(buffer: Tensor, *inputs: Tensor) -> Tensor:
        out = buffer.narrow(1, start, channels)
        if write is not None:
            write(out, *inputs)
        else:
            assert make is not None
            out.copy_(make(*inputs))
        return out

    return into


def without_autocast() -> AbstractContextManager[Any]:
    """The type of every value is settled."""
    return torch.autocast("cpu", enabled=False) if torch.is_autocast_enabled("cpu") else nullcontext()


def run(steps: Sequence[Step], slots: dict[int, Tensor]) -> None:
    """Every step in order; a value is let go after the last step that reads it."""
    for function, ins, out, dead in steps:
        slots[out] = function(*[slots[v] for v in ins])
        for v in dead:
            del slots[v]


def is_finite(x: Tensor) -> bool:
    """Whether all of its values are; a sum that overflows counts as not."""
    return not x.is_floating_point() or bool(x.sum().isfinite())


def channels(site: Site) -> Bound:
    op = site.op
    assert isinstance(op, Channels)
    return Bound(make=lambda x: x.narrow(1, op.start, op.count), view=True)


RULES[Channels] = channels
