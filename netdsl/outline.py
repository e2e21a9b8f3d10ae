"""What is a network made of, as its author wrote it?  A tree of rows, for tables, comparisons, explanations, drawings.

A row is a line of the net, an element of a block or path, or a run of equal steps of a repeat. What a row is made of
(`children`) is found when it is asked for, so a table of the first level costs no more than that; equal steps are one
row with a count, so nothing is unrolled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from netdsl.analysis.cost import Measure
from netdsl.analysis.kept import Ledger, Pieces
from netdsl.analysis.memory import setting_of
from netdsl.analysis.receptive import Reach, Receptive, reaches_of
from netdsl.analysis.seen import Field
from netdsl.graph import Call, Graph, Node, Repeat, Run, join_path, live, parts, repeat_step, step_names
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.source import Origin
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.net import Net

MAX_TEXT = 44
"""Longer texts of the author's are cut."""


class Outline:
    """The rows of a net, and what they share."""

    def __init__(self, net: Net, batch: int = 1, dtype: str = "fp32") -> None:
        """The batch and the type of number are those of `Row.kept`."""
        self.net, self.batch, self.dtype = net, batch, dtype
        self.measure = Measure(net.graph)

    @cached_property
    def pieces(self) -> Pieces:
        """What training keeps of the net."""
        return Ledger(setting_of(self.batch, self.dtype), training=True).of_net(self.net.graph)

    @cached_property
    def receptive(self) -> Receptive:
        return Receptive(self.net.shown)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The lines of the net in order of execution, then those of its heads that only training has."""
        graph = self.net.graph
        inference, training = live(graph), live(graph, training=True)
        scope = Scope(self, graph, None)
        return (
            *scope.rows(sorted(inference), ""),
            *scope.rows(sorted(training - inference), "", training=True),
        )

    def walk(self, depth: int | None = None) -> Iterator[Row]:
        """Every row down to a depth (1: the lines of the net), each before its children."""
        stack = list(reversed(self.rows))
        while stack:
            row = stack.pop()
            yield row
            if depth is None or row.level + 1 < depth:
                stack += reversed(row.children)


class Scope(Record):
    """One application of a body: where its values are, seen from the net.

    caller     the row that applies it; None for the net itself
    step       which of the caller's steps
    around     for the runs of a repeat, whose caller it is: the scope in which that stands, which is theirs
    """

    outline: Outline
    body: Graph[TensorType]
    caller: Row | None
    step: int = 0
    around: Scope | None = None

    @cached_property
    def seen(self) -> list[Field]:
        """What each of its values sees of the net's inputs."""
        if self.around is not None:
            return self.around.seen
        receptive = self.outline.receptive
        if self.caller is None:
            return receptive.fields(self.body)
        entry, others = self.caller.entry
        return receptive.inside(self.caller.applied, entry, others, self.step)

    @cached_property
    def pieces(self) -> Pieces:
        """What training keeps of it."""
        if self.around is not None:
            return self.around.pieces
        if self.caller is None:
            return self.outline.pieces
        inner = self.caller.scope.pieces.inner[self.caller.index]
        return [found for run, found in inner if run.call is self.caller.applied.call][-1]

    @cached_property
    def handed_on(self) -> bool:
        """Whether training keeps what the body gives back for somebody outside."""
        if self.around is not None:
            return self.around.handed_on
        if self.caller is None:
            return False
        around = self.caller.scope
        return around.pieces.is_kept(around.pieces.first + self.caller.index, around.handed_on)

    def rows(self, which: Iterable[int], path: str, training: bool = False) -> Iterator[Row]:
        names = step_names(self.body)
        for i in which:
            node = self.body.nodes[i]
            yield Row(self, i, names[i] or node.name, join_path(path, names[i]) or node.name, None, training)


class Row(Record):
    """One element, or a run of equal steps.

    scope      the body it stands in, and how that is applied
    index      the number of its node there
    label      its name in its body; `0…2` for a run of three steps
    path       its name from the net's own, as its parameters have it (of a run, that of the first step)
    run        for the steps of a repeat, which; None for an element
    training   whether only training has it
    first      of a run, the number of its first step
    """

    scope: Scope
    index: int
    label: str
    path: str
    run: Run[TensorType] | None = None
    training: bool = False
    first: int = 0

    @property
    def node(self) -> Node[TensorType]:
        return self.scope.body.nodes[self.index]

    @property
    def level(self) -> int:
        """How many rows are around it."""
        return 0 if self.scope.caller is None else self.scope.caller.level + 1

    @property
    def count(self) -> int:
        """How many steps it stands for; 1 for an element."""
        return self.run.count if self.run else 1

    @property
    def times(self) -> int:
        """How often the network has it: the counts of all the rows around it, multiplied."""
        caller = self.scope.caller
        return 1 if caller is None else caller.count * caller.times

    @property
    def body(self) -> Graph[TensorType] | None:
        """What it applies; None for a primitive and for a repeat, whose runs are its children."""
        if self.run:
            return self.run.call.body
        return self.node.op.body if isinstance(self.node.op, Call) else None

    @property
    def applied(self) -> Run[TensorType]:
        """The run of its body; a call is a run of one step."""
        if self.run:
            return self.run
        (run,) = parts(self.node.op)
        return run

    @property
    def what(self) -> str:
        """An element in its author's words; a primitive with its attributes."""
        if self.run:
            inner = self.run.call.body
            kind = inner.title if inner.kind == "block" else path_of(inner)
            return kind if self.count == 1 else f"{kind} * {self.count}"
        op = self.node.op
        if isinstance(op, Op):
            return f"{op.name} {op.details(weights=False)}".strip()
        if isinstance(op, Call) and op.body.kind == "path":
            return path_of(op.body)
        text = " ".join(self.node.origin[0].text.split()) if self.node.origin else op.name
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"

    @property
    def type(self) -> TensorType:
        """Of its output."""
        if self.run:
            inner = self.run.call.body
            return inner.type_of(inner.outputs[0].value)
        return self.node.type

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        if self.run:
            return tuple([input.type for input in self.run.call.body.inputs])
        return tuple([self.scope.body.type_of(v) for v in self.node.inputs])

    @property
    def origin(self) -> Origin:
        """Where it was written, from the element's own text out to the line of the net."""
        caller = self.scope.caller
        own = () if self.run else self.node.origin
        return own if caller is None else own + caller.origin

    @property
    def frozen(self) -> bool:
        caller = self.scope.caller
        return self.node.frozen or (caller is not None and caller.frozen)

    @cached_property
    def params(self) -> int:
        """Of all its steps; `times` says how often the network has it."""
        measure = self.scope.outline.measure
        if self.run:
            inner = self.run.call.body
            return self.count * sum(measure.params(inner, node) for node in inner.nodes)
        return measure.params(self.scope.body, self.node)

    @cached_property
    def macs(self) -> Size:
        """Multiply-accumulates of all its steps, for one sample."""
        measure = self.scope.outline.measure
        if self.run:
            inner = self.run.call.body
            return self.count * total([measure.macs(inner, node) for node in inner.nodes])
        return measure.macs(self.scope.body, self.node)

    @cached_property
    def kept(self) -> Size:
        """The bytes that training keeps of what it makes until the backward pass, for all its steps."""
        pieces = self.scope.pieces
        if self.run is None:
            return pieces.kept_of(self.index, self.scope.handed_on)
        kept: Size = 0
        for run, inner in pieces.inner[self.index]:
            if run.call is self.run.call:
                given = inner.size[inner.out] if inner.keeps_output or 0 in inner.keeper else 0
                kept = kept + run.count * (inner.inside + given)
        return kept

    @cached_property
    def field(self) -> Field:
        """What its output sees of the inputs of the net (`netdsl.analysis.receptive`); of a run, its last step's."""
        if self.run:
            entry, others = self.entry
            return self.scope.outline.receptive.after_run(self.run, entry, others)
        return self.scope.seen[len(self.scope.body.inputs) + self.index]

    @property
    def receptive(self) -> tuple[Reach, ...]:
        """The same, for each axis of each input that it sees."""
        return reaches_of(self.scope.outline.net, self.field)

    @cached_property
    def entry(self) -> tuple[Field, list[Field]]:
        """What the inputs of its body see at its first step: the running tensor, and the others."""
        fields = [self.scope.seen[v] for v in self.node.inputs]
        for run, entry in zip(parts(self.node.op), self.scope.outline.receptive.entries(self.node, fields)):
            if self.run is None or run is self.run:
                return entry
        raise AssertionError(f"{self.path} has no such run")

    @cached_property
    def children(self) -> tuple[Row, ...]:
        """What it is made of. Those of a run are the elements of one step, the last."""
        op = self.node.op
        if self.body is not None:
            inner = Scope(self.scope.outline, self.body, self, self.count - 1)
            return tuple(inner.rows(range(len(self.body.nodes)), self.path, self.training))
        if not isinstance(op, Repeat):
            return ()
        return tuple(self.steps(op))

    def steps(self, repeat: Repeat[TensorType]) -> Iterator[Row]:
        """The runs of a repeat, a row for each."""
        at = 0
        body, name = self.scope.body, step_names(self.scope.body)[self.index]
        around = self.scope.caller.path if self.scope.caller is not None else ""
        inside = Scope(self.scope.outline, body, self, 0, self.scope)
        for run in repeat.runs:
            path = join_path(around, repeat_step(body, name, at))
            first = path.rpartition(".")[2]
            label = first if run.count == 1 else f"{first}…{int(first) + run.count - 1}"
            yield Row(inside, self.index, label, path, run, self.training, at)
            at += run.count


def path_of(body: Graph[TensorType]) -> str:
    return f"path of {len(body.nodes)}"
