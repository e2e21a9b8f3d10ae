"""What will run, and where does each tensor lie?  The whole plan of a program, from shapes alone: no torch, no device.

Each value of the optimised graph gets a view of a buffer. Most have a buffer of their own; the parts of a
concatenation share that of the whole, where their producers write them, so that nothing is left to concatenate. It may
be a part itself, and one tensor may begin several (DenseNet): the largest is placed first, and the others are found
in it. What cannot be placed twice is copied.

A buffer lives from the first step that writes it to the last that reads it, and dead ones make room (`memory.py`).
Values that go outside are copied out after the last step: the next call overwrites the arena.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

from netdsl.devices import BYTES, Device
from netdsl.graph import Graph
from netdsl.ops import Concat, Op
from netdsl.ops.linear import Flatten
from netdsl.ops.sequence import Embedding
from netdsl.passes.fused import Channels, Pointwise
from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_triton.choose import registered, unclaimed
from netdsl_triton.kernels.base import Choice
from netdsl_triton.memory import ALIGNMENT, Layout, Lifetime, aligned, arrange, peak
from netdsl_triton.task import Task, View

Chooser = Callable[[Task, Device], Choice]


class NotPlanned(Exception):
    """Why a graph cannot run from static buffers; the PyTorch backend runs it."""


class Stage(Record):
    """One element, as it runs.

    name      of the element in the flat graph; a copy into a concatenation has that of the concatenation
    task      what is to be done, with the views of all tensors
    choice    the kernel that does it
    inputs    the values that it reads
    output    the value that it writes; of a copy, the whole of which it writes a part
    node      the index of its node
    """

    name: str
    task: Task
    choice: Choice
    inputs: tuple[int, ...]
    output: int
    node: int

    @property
    def bytes(self) -> int:
        """What it moves at least: inputs and weights once, the output once."""
        read = {value: view.bytes for value, view in zip(self.inputs, self.task.inputs)}
        return sum(read.values()) + self.task.output.bytes + self.task.weight_bytes

    @property
    def is_tunable(self) -> bool:
        """Whether kernels were asked."""
        return not self.task.has_own_weights


class Buffer(Record):
    """A range of the arena that holds values one after the other in time, or side by side as channels.

    offset          bytes from the start of the arena
    bytes           how large it is
    start, end      the first step that writes it (-1: an input) and the last that reads it
    """

    offset: int
    bytes: int
    start: int
    end: int


class Plan(Record):
    """A program for one device, batch and type.

    graph       flat and optimised, its sizes numbers
    views       of each value: inputs, then nodes, as in the graph
    homes       the buffer in which each value lies
    stages      what runs, in order
    arena       bytes of all buffers together
    bound       the most bytes that are needed at one step: no arena is smaller
    """

    graph: Graph[TensorType]
    batch: int
    dtype: str
    device: Device
    views: tuple[View, ...]
    homes: tuple[int, ...]
    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    arena: int
    bound: int

    @property
    def kernels(self) -> int:
        """Kernels that run on the device, without the copies of what comes in and goes out."""
        return sum(stage.choice.launches for stage in self.stages)

    @property
    def bytes(self) -> int:
        """What all kernels move at least."""
        return sum(stage.bytes for stage in self.stages)

    @property
    def seconds(self) -> float:
        """Predicted, or measured where kernels were."""
        return sum(stage.choice.seconds for stage in self.stages)

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {kind or 'unclaimed'}" for kind, n in self.by_kernel.items())
        what = f"{self.graph.name}, batch {self.batch}, {self.dtype}, {self.device.name}"
        size = f"{self.bytes / 1e6:.1f} MB moved, {self.arena / 1e6:.1f} MB of memory"
        return f"{what}: {self.kernels} kernels ({kinds}), {size}"

    @property
    def by_kernel(self) -> dict[str, int]:
        """How many stages each kernel has."""
        found: dict[str, int] = {}
        for stage in self.stages:
            found[stage.choice.kernel] = found.get(stage.choice.kernel, 0) + 1
        return found


def plan(
    graph: Graph[TensorType],
    batch: int,
    dtype: str,
    device: Device,
    choose: Chooser,
    tf32: tuple[bool, bool] = (False, False),
) -> Plan:
    """The plan of an optimised graph. `tf32`: whether convolutions may use it, and whether matrix products may.

    Raises NotPlanned where values have no type of number that is known.
    """
    return Planner(graph, batch, dtype, device, choose, tf32).plan()


class Planner:
    """Makes one plan. Mutable while values are placed."""

    def __init__(
        self,
        graph: Graph[TensorType],
        batch: int,
        dtype: str,
        device: Device,
        choose: Chooser,
        tf32: tuple[bool, bool],
    ) -> None:
        self.graph, self.batch, self.dtype, self.device = graph, batch, dtype, device
        self.choose, self.tf32 = choose, tf32
        self.first = len(graph.inputs)
        self.count = self.first + len(graph.nodes)
        self.types = [graph.type_of(v) for v in range(self.count)]
        self.shapes = [tuple([int(size) for size in type.shape]) for type in self.types]  # type: ignore[arg-type]
        self.dtypes = ["int64" if v in self.words else dtype for v in range(self.count)]
        self.roots: list[tuple[int, int]] = []
        self.widths: list[int] = []
        self.sites: dict[int, tuple[int, int]] = {}

    # --- values ---------------------------------------------------------------------------------------------------

    def op(self, value: int) -> Op | None:
        """What makes a value; None for an input."""
        op = self.graph.nodes[value - self.first].op if value >= self.first else None
        assert op is None or isinstance(op, Op), "a plan wants a flat graph"
        return op

    def reads(self, value: int) -> tuple[int, ...]:
        return self.graph.nodes[value - self.first].inputs if value >= self.first else ()

    @cached_property
    def words(self) -> frozenset[int]:
        """The inputs that are whole numbers: those that go into tables of words, and nowhere else."""
        found = {self.reads(v)[0] for v in range(self.first, self.count) if isinstance(self.op(v), Embedding)}
        other = {
            x for v in range(self.first, self.count) if not isinstance(self.op(v), Embedding) for x in self.reads(v)
        }
        mixed = {v for v in found if v >= self.first} | (found & other)
        if mixed:
            raise NotPlanned(f"the numbers of words come from {self.name(min(mixed))}")
        return frozenset(found)

    def name(self, value: int) -> str:
        return self.graph.inputs[value].name if value < self.first else self.graph.nodes[value - self.first].name

    def is_concat(self, value: int) -> bool:
        op = self.op(value)
        return isinstance(op, Concat) and op.axis == "C"

    def alias(self, value: int) -> tuple[int, int] | None:
        """Where an element only looks at memory: the value it looks at, and from which channel on."""
        op = self.op(value)
        if isinstance(op, Channels):
            return self.reads(value)[0], op.start
        if isinstance(op, Flatten):
            (x,) = self.reads(value)
            if op.axes == "spatial" or math.prod(self.shapes[x][1:]) == 1:
                return x, 0
        return None

    # --- places ---------------------------------------------------------------------------------------------------

    def place(self) -> None:
        """`sites`: for each value that has memory of its own, its buffer and first channel there."""
        for value in range(self.count):
            seen = self.alias(value)
            root, offset = (value, 0) if seen is None else self.roots[seen[0]]
            self.roots.append((root, offset + (seen[1] if seen else 0)))
        for whole in range(self.count - 1, self.first - 1, -1):
            if self.is_concat(whole):
                self.place_parts(whole)
        for value in range(self.count):
            self.site(value)

    def site(self, value: int) -> tuple[int, int]:
        """The buffer of a value, a new one where it has none, and its first channel there."""
        root, offset = self.roots[value]
        if root not in self.sites:
            self.sites[root] = (len(self.widths), 0)
            self.widths.append(self.shapes[root][0] if root >= self.first else width_of_input(self.shapes[root]))
        buffer, base = self.sites[root]
        return buffer, base + offset

    def place_parts(self, whole: int) -> None:
        """Finds the parts of a concatenation side by side, or places them so, as far as they are free."""
        parts = self.reads(whole)
        starts = [sum(self.shapes[p][0] for p in parts[:i]) for i in range(len(parts))]
        if whole not in self.sites and all(self.roots[p][0] in self.sites for p in parts):
            buffer, base = self.site(parts[0])
            if all(self.site(p) == (buffer, base + start) for p, start in zip(parts, starts)):
                self.sites[whole] = (buffer, base)
                return
        buffer, base = self.site(whole)
        for part, start in zip(parts, starts):
            root, offset = self.roots[part]
            if root not in self.sites and not offset and self.fills(part, root) and self.dtypes[root] == self.dtype:
                self.sites[root] = (buffer, base + start)

    def fills(self, part: int, root: int) -> bool:
        """Whether a view is of all channels, pixel by pixel, of what it looks at."""
        return self.shapes[part][0] == self.shapes[root][0]

    def view(self, value: int) -> View:
        buffer, offset = self.site(value)
        return View(self.batch, self.shapes[value], self.widths[buffer], offset, self.dtypes[value])

    # --- steps ----------------------------------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        found: list[Stage] = []
        for value in range(self.first, self.count):
            if self.alias(value) is not None:
                continue
            if self.is_concat(value):
                found.extend(self.copies(value))
                continue
            op = self.op(value)
            assert op is not None
            found.append(self.stage(value, op, self.reads(value), self.view(value)))
        return found

    def copies(self, whole: int) -> list[Stage]:
        """The parts of a concatenation that lie elsewhere."""
        out, start, found = self.view(whole), 0, []
        for part in self.reads(whole):
            channels = self.shapes[part][0]
            buffer, at = self.site(whole)
            if self.site(part) != (buffer, at + start):
                view = out.replace(shape=(channels, *out.spatial), offset=out.offset + start)
                found.append(self.stage(whole, Channels(0, channels), (part,), view))
            start += channels
        return found

    def stage(self, value: int, op: Op, inputs: tuple[int, ...], output: View) -> Stage:
        tf32 = self.tf32[0] if getattr(op, "kernel", ()) else self.tf32[1]
        task = Task(op, tuple([self.view(x) for x in inputs]), output, tf32 and self.dtype == "fp32")
        choice = unclaimed(task, self.device) if task.has_own_weights else self.choose(task, self.device)
        return Stage(self.name(value), task, choice, inputs, value, value - self.first)

    # --- memory ---------------------------------------------------------------------------------------------------

    def lifetimes(self, stages: Sequence[Stage]) -> list[Lifetime]:
        """Of each buffer: from its first write to its last read."""
        start: dict[int, int] = {}
        end: dict[int, int] = {}

        def used(value: int, step: int) -> None:
            buffer = self.site(value)[0]
            start.setdefault(buffer, step)
            end[buffer] = step

        for value in range(self.first):
            used(value, -1)
        for step, stage in enumerate(stages):
            for value in (*stage.inputs, stage.output):
                used(value, step)
        for out in self.graph.outputs:
            used(out.value, len(stages))
        sizes = self.sizes()
        return [Lifetime(sizes[b], start.get(b, 0), end.get(b, -1)) for b in range(len(self.widths))]

    def sizes(self) -> list[int]:
        found = [0] * len(self.widths)
        for value in range(self.count):
            view, buffer = self.view(value), self.site(value)[0]
            found[buffer] = max(found[buffer], view.pixels * view.pitch * BYTES[view.dtype])
        return found

    def plan(self) -> Plan:
        self.place()
        stages = self.stages()
        lives = self.lifetimes(stages)
        shared = self.in_place(stages, lives)
        groups: dict[int, list[Lifetime]] = {}
        for life, group in zip(lives, shared):
            groups.setdefault(group, []).append(life)
        merged = [
            Lifetime(max(one.bytes for one in group), min(one.start for one in group), max(one.end for one in group))
            for group in groups.values()
        ]
        layout = arrange(merged) if merged else Layout((), 0)
        number = {group: i for i, group in enumerate(groups)}
        buffers = [Buffer(at, aligned(life.bytes), life.start, life.end) for at, life in zip(layout.offsets, merged)]
        views = tuple([self.view(v) for v in range(self.count)])
        homes = tuple([number[shared[self.site(v)[0]]] for v in range(self.count)])
        return Plan(
            self.graph,
            self.batch,
            self.dtype,
            self.device,
            views,
            homes,
            tuple(buffers),
            tuple(stages),
            max(layout.bytes, ALIGNMENT),
            peak(merged) if merged else 0,
        )

    def in_place(self, stages: Sequence[Stage], lives: Sequence[Lifetime]) -> list[int]:
        """For each buffer that whose memory it takes over: where steps end a tensor as they write one of its form."""
        kernels = {kernel.name: kernel for kernel in registered()}
        shared = list(range(len(lives)))
        last = [life.end for life in lives]
        for step, stage in enumerate(stages):
            if not getattr(kernels.get(stage.choice.kernel), "in_place", False):
                continue
            new = self.site(stage.output)[0]
            for x in beside(stage.task.op):
                old = self.site(stage.inputs[x])[0]
                alone = stage.task.inputs[x] == stage.task.output and stage.inputs.count(stage.inputs[x]) == 1
                private = sum(self.site(y)[0] == old for y in stage.inputs) == 1
                whole = (
                    not stage.task.output.is_slice and lives[new].start == step and lives[old].bytes == lives[new].bytes
                )
                if alone and private and whole and last[shared[old]] == step:
                    shared[new] = shared[old]
                    last[shared[old]] = lives[new].end
                    break
        return shared


def width_of_input(shape: tuple[int, ...]) -> int:
    """Channels of its buffer: for few, a power of two, so that a convolution reads a pixel in one piece."""
    channels = shape[0]
    return 1 << (channels - 1).bit_length() if len(shape) > 1 and channels < 8 else channels


def beside(op: Op) -> list[int]:
    """The inputs of steps that are read where the output is written, and nowhere else."""
    if not isinstance(op, Pointwise):
        return []
    return [0, *(step.input for step in op.epilogue if step.kind in ("add", "mul"))]
