"""How fast can a network be at all?  The floor of its inference on a device, element by element.

Whatever a kernel does, it multiplies no faster than the device's matrix rate and moves no more bytes than its memory
does. An element therefore takes at least max(2·MACs/rate, bytes/bandwidth), and a network the sum of its elements.
Two floors, which differ in what an element is:

    library   a convolution, a pool … of a library; after it, one fused pointwise kernel (bias, sum, activation), which
              reads again what was just written. Batch norms that follow a convolution are folded into it, and
              concatenations cost nothing: what the best general compiler does
    fused     every pointwise step runs inside an element that computes, before it or after; a concatenation is a
              buffer into which its parts are written; global average pooling and the classifier are one element

What is counted: each input once for each element that reads it (of a 1x1 convolution with stride 2, a quarter of the
pixels), each output once, the weights once for a call. What is not: the time of a launch, the arithmetic of pointwise
steps and pools, and what a cache keeps from one element to the next. Merged siblings and pools that are moved change
what is computed, and are not in it either, so a backend that has them can come below the floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from netdsl.devices import BYTES, Device
from netdsl.graph import Graph, Node
from netdsl.ops.base import Op
from netdsl.options import UsageError
from netdsl.passes.cost import VIEWS, pixels_needed, size, weights
from netdsl.passes.fold_norm import fold_norm
from netdsl.passes.fused import Channels, FusedConv, FusedMean, Pointwise, concrete
from netdsl.passes.inline import inline
from netdsl.passes.lower import lower
from netdsl.passes.retype import retype
from netdsl.passes.rewrite import Context, Work
from netdsl.record import Record
from netdsl.size import Size
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.net import Net

KINDS = ("library", "fused")


class Element(Record):
    """One kernel of the floor.

    macs       multiply-accumulates
    moved      bytes of its inputs, weights and outputs
    seconds    max(2·macs/rate, moved/bandwidth)
    """

    name: str
    op: str
    macs: int
    moved: int
    seconds: float


class Floor(Record):
    """The floor of a network, for a batch in one type of number, on one device."""

    kind: str
    device: Device
    dtype: str
    batch: int
    elements: tuple[Element, ...]

    @property
    def seconds(self) -> float:
        return sum(element.seconds for element in self.elements)

    @property
    def kernels(self) -> int:
        return len(self.elements)

    @property
    def macs(self) -> int:
        return sum(element.macs for element in self.elements)

    @property
    def moved(self) -> int:
        """Bytes."""
        return sum(element.moved for element in self.elements)


def floor_of(net: Net, kind: str, device: Device, dtype: str, batch: int) -> Floor:
    """The floor of a network whose sizes are numbers. Raises UsageError where some are open."""
    shapes = [sizes_of(net, name, shape) for name, shape in net.inputs.items()]
    return floor(retype(inline(net.graph), shapes), kind, device, dtype, batch)


def sizes_of(net: Net, name: str, shape: Sequence[Size]) -> tuple[int, ...]:
    """The sizes of an input as numbers. Raises UsageError where some are open."""
    if not all(isinstance(size, int) for size in shape):
        example = "x".join(str(size) if isinstance(size, int) else "224" for size in shape)
        raise UsageError(f"{net.name} takes any {TensorType(tuple(shape))}: say which, --input {name}={example}")
    return tuple([concrete(size) for size in shape])


def floor(graph: Graph[TensorType], kind: str, device: Device, dtype: str, batch: int) -> Floor:
    """The floor of a flat graph (`passes.inline`) whose sizes are numbers (`passes.retype`); `kind` as above."""
    assert kind in KINDS, kind
    work, context = Work(graph), Context(batch, dtype, device)
    lower(work, context)
    fold_norm(work, context)
    kernels = Kernels(work.to_graph(), fused=kind == "fused").all()
    return Floor(kind, device, dtype, batch, tuple([kernel.element(device, dtype, batch) for kernel in kernels]))


class Kernel:
    """One element while its neighbours' steps are added to it. Sizes are numbers of values, for one sample.

    reads     what it needs of each value in memory
    writes    the values that it leaves in memory
    """

    def __init__(self, name: str, op: str, at: int) -> None:
        self.name, self.op, self.at = name, op, at
        self.macs = self.weights = 0
        self.reads: dict[int, int] = {}
        self.writes: dict[int, int] = {}

    def element(self, device: Device, dtype: str, batch: int) -> Element:
        macs = self.macs * batch
        values = (sum(self.reads.values()) + sum(self.writes.values())) * batch + self.weights
        moved = values * BYTES[dtype]
        return Element(self.name, self.op, macs, moved, device.busy(macs, moved, dtype))


Reads = dict[int, int]
"""How many values have to be read of which value in memory."""


class Kernels:
    """Who reads and writes what, in a lowered graph, whose pointwise steps stand by themselves."""

    def __init__(self, graph: Graph[TensorType], fused: bool) -> None:
        self.graph, self.fused = graph, fused
        self.users: dict[int, list[int]] = {}
        first = len(graph.inputs)
        for at, node in enumerate(graph.nodes, first):
            for value in node.inputs:
                self.users.setdefault(value, []).append(at)
        self.outputs = {out.value for out in graph.outputs}
        self.needs: dict[int, Reads] = {v: {v: size(graph.type_of(v))} for v in range(first)}
        """For each value, what of the memory has to be read to have it."""
        self.maker: dict[int, Kernel] = {}
        """The kernel that leaves a value in memory."""

    def all(self) -> list[Kernel]:
        found = []
        for at, node in enumerate(self.graph.nodes, len(self.graph.inputs)):
            own = {at: size(node.type)}
            if isinstance(node.op, VIEWS):
                self.needs[at] = self.viewed(node)
                continue
            self.needs[at] = own
            if isinstance(node.op, Pointwise):
                kernel = self.host(at, node)
                if kernel is None and self.fused and self.is_prologue(at, node):
                    self.needs[at] = self.needed(node.inputs)
                    continue
            elif self.fused and self.in_head(at, node):
                self.needs[at] = self.needed(node.inputs)
                continue
            else:
                kernel = None
            if kernel is None:
                kernel = Kernel(node.name, node.op.name, at)
                found.append(kernel)
            self.add(kernel, at, node)
        return found

    def add(self, kernel: Kernel, at: int, node: Node[TensorType]) -> None:
        """Does a node within a kernel; what only this node reads of the kernel's values stays in registers."""
        op = node.op
        assert isinstance(op, Op)
        types = tuple([self.graph.type_of(v) for v in node.inputs])
        share = pixels_needed(op)
        for value, count in self.needed(node.inputs).items():
            if value in kernel.writes:
                if self.only_user(value) == at:
                    del kernel.writes[value]
            else:
                kernel.reads[value] = max(kernel.reads.get(value, 0), math.ceil(count * share))
        kernel.writes[at] = size(node.type)
        kernel.macs += concrete(op.macs(types, node.type))
        kernel.weights += weights(op, types)
        self.maker[at] = kernel

    def needed(self, values: Iterable[int]) -> Reads:
        found: Reads = {}
        for value in values:
            for source, count in self.needs[value].items():
                found[source] = max(found.get(source, 0), count)
        return found

    def viewed(self, node: Node[TensorType]) -> Reads:
        """What a view needs: of a range of channels, its share."""
        needs = self.needed(node.inputs)
        if not isinstance(node.op, Channels):
            return needs
        share = node.op.count / concrete(self.graph.type_of(node.inputs[0]).channels)
        return {value: math.ceil(count * share) for value, count in needs.items()}

    def only_user(self, value: int) -> int | None:
        users = self.users.get(value, [])
        return users[0] if len(users) == 1 and value not in self.outputs else None

    def host(self, at: int, node: Node[TensorType]) -> Kernel | None:
        """The kernel in which a pointwise node runs as an epilogue, or after other pointwise nodes."""
        hosts = []
        for value in node.inputs:
            kernel = self.maker.get(value)
            if kernel is None:
                continue
            if self.fused:
                able = self.only_user(value) == at
            else:  # of a library, only pointwise kernels take more steps; what they give may be read by others, too
                able = kernel.op == Pointwise.name
            others = [source for source in self.needed(node.inputs) if source not in kernel.writes]
            able = able and all(self.made_at(source) < kernel.at for source in others)
            if able:
                hosts.append(kernel)
        return max(hosts, key=lambda kernel: kernel.at, default=None)

    def made_at(self, value: int) -> int:
        return self.maker[value].at if value in self.maker else -1

    def is_prologue(self, at: int, node: Node[TensorType]) -> bool:
        """Whether those that read it may as well compute it: nothing more is read so than if it lay in memory."""
        users = self.users.get(at, [])
        return at not in self.outputs and (len(users) == 1 or len(self.needed(node.inputs)) == 1)

    def in_head(self, at: int, node: Node[TensorType]) -> bool:
        """Whether it is global average pooling right before the classifier."""
        if not isinstance(node.op, FusedMean) or node.op.kind != "avg":
            return False
        user = self.only_user(at)
        after = None if user is None else self.graph.nodes[user - len(self.graph.inputs)].op
        return isinstance(after, FusedConv) and not after.kernel
