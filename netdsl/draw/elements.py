"""Which elements of a body share a box?  A convolution with its norm and its activation; what parentheses hold.

An unnamed path is written in place. A block keeps its box, with the diagram of its body in it; equal calls share it.
"""

from __future__ import annotations

from itertools import pairwise

from netdsl.analysis.cost import Measure
from netdsl.draw.collapse import collapsed, face
from netdsl.draw.series import Wire, decompose
from netdsl.draw.structure import Box, Diagram, Parallel, Series, boxes_of
from netdsl.draw.words import block_title, kind_of, title_of
from netdsl.graph import Call, Graph, Node, Repeat, Run, fold, join_path, total_of
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.options import UsageError
from netdsl.size import Size
from netdsl.source import Span, place_of
from netdsl.types import TensorType

MAX_ELEMENTS = 20_000
"""So many different elements one body may have: a picture of more is nothing that anyone reads."""
IN_PLACE = 8
"""Repeated parentheses of at most so many boxes in all are written in place."""

APART = ("lrn", "scale", "layer_scale", "softmax")
"""Of the kinds of FOLLOWERS, but layers of their own."""
FOLLOWERS = ("norm", "activation")
LEARNERS = ("conv", "fc", "attention", "recurrent", "embedding")


class Drawer:
    """The diagrams of a network's bodies, each made once."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.measure = Measure(net.graph)
        self.values_of = fold(net.graph, values)
        self.made: dict[int, Diagram] = {}

    def diagram(self, body: Graph[TensorType]) -> Diagram:
        if id(body) not in self.made:
            self.made[id(body)] = self.drawn(body)
        return self.made[id(body)]

    def drawn(self, body: Graph[TensorType]) -> Diagram:
        parts = [Part.of_input(input.name, self.net.shape_text(input.type)) for input in body.inputs]
        values = self.spliced(body, list(range(len(parts))), parts, "", "")
        outputs = [Wire(values[out.value], out.name, out.training) for out in body.outputs]
        parts, moved = fused(parts, [wire.value for wire in outputs])
        outputs = [wire.replace(value=moved[wire.value]) for wire in outputs]
        for before, part in reversed(list(pairwise(parts))):
            if part.label == before.label:
                part.label = ""
        implicit = len(body.inputs) == 1 and body.kind != "net"
        series, links = decompose([part.box() for part in parts], [part.wiring() for part in parts], outputs, implicit)
        shape = self.net.shape_text(body.inputs[0].type) if implicit else ""
        return collapsed(Diagram(body.name, series, links, shape))

    def spliced(
        self, body: Graph[TensorType], values: list[int], parts: list[Part], path: str, label: str
    ) -> list[int]:
        """Appends the parts of a body, and gives the part behind each of its values; paths are written in place."""
        for node in body.nodes:
            if len(parts) > MAX_ELEMENTS:
                raise UsageError(
                    f"{body.name} has more than {MAX_ELEMENTS:,} elements that are not repeats: too many for a picture"
                )
            inputs = tuple(values[v] for v in node.inputs)
            own, named = join_path(path, node.name), label or node.group
            if isinstance(node.op, Call) and node.op.body.kind == "path":
                inner = node.op.body
                before = len(parts)
                found = self.spliced(inner, list(inputs), parts, own, named)
                values.append(found[inner.outputs[0].value])
                for part in parts[before:]:
                    part.frozen |= node.frozen
                continue
            at = inputs
            for part in self.parts(body, node, own):
                part.inputs, part.label = at, named
                part.shortcut, part.frozen = node.shortcut, node.frozen
                parts.append(part)
                at = (len(parts) - 1,)
            values.append(len(parts) - 1)
        return values

    def parts(self, body: Graph[TensorType], node: Node[TensorType], own: str) -> list[Part]:
        """A primitive, a call or a repeat, as one part; short repeats of parentheses as several."""
        if isinstance(node.op, Op):
            inputs = tuple(body.type_of(v) for v in node.inputs)
            part = Part(own, title_of(node.op, inputs, node.type), kind_of(node.op))
            part.span = node.origin[0] if node.origin else None
            part.apart = node.op.name in APART
            parts = [part]
        elif isinstance(node.op, Call):
            inner = self.diagram(node.op.body)
            single = inner.series.items[0] if len(inner.series.items) == 1 and not inner.links else None
            if isinstance(single, Box) and single.body is None:  # a block of one element is that element
                return [Part.of_box(join_path(own, single.id), single, 1)]
            parts = [Part(own, block_title(node, (node.op.body,)), "block", filled(inner))]
            parts[0].ready = True
        else:
            return self.repeated(body, node, node.op, own)
        parts[0].costs(self, body, node)
        return parts

    def repeated(
        self, body: Graph[TensorType], node: Node[TensorType], repeat: Repeat[TensorType], own: str
    ) -> list[Part]:
        written = self.in_place(repeat, own)
        if written:
            for part in written:
                part.place = place_of(node.origin).place
            return written
        runs = alike([(run, self.diagram(run.call.body)) for run in repeat.runs])
        title = block_title(node, [run.call.body for run in repeat.runs])
        if len(runs) == 1:
            part = Part(own, title, "block", filled(runs[0][1]))
        else:
            boxes = [self.run_box(node, same, str(i), drawn) for i, (same, drawn) in enumerate(runs)]
            shape = self.net.shape_text(body.type_of(node.inputs[0]))
            part = Part(own, title, "block", Diagram(node.name, Series(tuple(boxes)), (), shape))
        part.count, part.ready = repeat.count, True
        part.costs(self, body, node)
        return [part]

    def run_box(self, node: Node[TensorType], runs: list[Run[TensorType]], own: str, drawn: Diagram) -> Box:
        last = runs[-1].call.body
        single = node.replace(op=Repeat(tuple(runs)))
        part = Part(own, block_title(single, [run.call.body for run in runs]), "block", filled(drawn))
        part.count = sum(run.count for run in runs)
        part.shape = self.net.shape_text(last.type_of(last.outputs[0].value))
        part.place = place_of(node.origin).place
        part.add_cost(*self.cost_of(runs))
        return part.box()

    def cost_of(self, runs: list[Run[TensorType]]) -> tuple[int, Size, Size]:
        params = 0
        for run in runs:
            each = self.measure.params_of[id(run.call.body)]
            assert isinstance(each, int)
            params += run.count * each
        macs: Size = 0
        out: Size = 0
        for run in runs:
            macs = macs + run.count * self.measure.macs_of[id(run.call.body)]
            out = out + run.count * self.values_of[id(run.call.body)]
        return params, macs, out

    def in_place(self, repeat: Repeat[TensorType], own: str) -> list[Part]:
        """The parts of `(CONV 64) * 2`, which read best one after the other; none of what is long, or has branches."""
        bodies = [(run, run.call.body) for run in repeat.runs]
        if any(body.kind != "path" or run.captured for run, body in bodies):
            return []
        drawn = [(run, self.diagram(body)) for run, body in bodies]
        if not all(is_chain(diagram) for _, diagram in drawn):
            return []
        single = all(len(diagram.series.items) == 1 for _, diagram in drawn)
        if not single and sum(run.count * len(diagram.series.items) for run, diagram in drawn) > IN_PLACE:
            return []
        parts, step = [], 0
        for run, diagram in drawn:
            for _ in range(1 if single else run.count):
                for box in boxes_of(diagram.series):
                    parts.append(Part.of_box(join_path(own, str(step), box.id), box, run.count if single else 1))
                step += run.count if single else 1
        return parts


class Part:
    """A box in the making. Mutable: what follows an element is added to it."""

    def __init__(self, id: str, title: str, kind: str, body: Diagram | None = None) -> None:
        self.id, self.title, self.kind, self.body = id, title, kind, body
        self.inputs: tuple[int, ...] = ()
        self.shape = self.label = self.place = ""
        self.before: list[str] = []
        self.after: list[str] = []
        self.subtitle = ""
        self.params, self.macs, self.values, self.count = 0, 0, 0, 1
        self.shortcut = self.frozen = False
        self.span: Span | None = None
        self.apart = False
        self.ready = body is not None
        """Whether nothing is added to it."""

    macs: Size
    values: Size

    @classmethod
    def of_input(cls, name: str, shape: str) -> Part:
        part = cls(name, name, "input")
        part.shape, part.ready = shape, True
        return part

    @classmethod
    def of_box(cls, id: str, box: Box, count: int) -> Part:
        part = cls(id, box.title, box.kind, box.body)
        part.shape, part.subtitle, part.count, part.ready = box.shape, box.subtitle, box.count * count, True
        part.params, part.macs, part.place = box.params * count, box.macs * count, box.place
        part.values = box.values * count
        return part

    def costs(self, drawer: Drawer, body: Graph[TensorType], node: Node[TensorType]) -> None:
        self.shape = drawer.net.shape_text(node.type)
        self.place = place_of(node.origin).place
        out = total_of(body, node, values, drawer.values_of)
        self.add_cost(drawer.measure.params(body, node), drawer.measure.macs(body, node), out)

    def add_cost(self, params: int, macs: Size, out: Size) -> None:
        self.params, self.macs, self.values = self.params + params, self.macs + macs, self.values + out

    def wiring(self) -> tuple[tuple[int, ...], bool]:
        return self.inputs, self.shortcut

    def box(self) -> Box:
        before, words = " · ".join(self.before), " · ".join(self.after)
        if before:
            words = f"{before} before, {words} after" if words else f"{before} before"
        return Box(
            self.id, self.title, self.kind, self.shape, self.params, self.macs, self.values, self.subtitle or words,
            self.label,
            self.count, self.body, self.place, False, self.frozen,
        )  # fmt: skip

    def takes(self, other: Part) -> bool:
        """Whether the part after this one, which nothing else uses, belongs into the same box."""
        if self.ready or other.ready or self.shortcut != other.shortcut:
            return False
        if self.span is not None and self.span == other.span and self.kind != other.kind:
            return True
        if self.apart or other.apart:
            return False
        if other.kind in FOLLOWERS:
            # after BN -> RELU -> CONV the next norm belongs to the next convolution: all are pre-activated
            after_learner = self.kind in LEARNERS and (not self.before or other.kind == "activation")
            return after_learner or self.kind in FOLLOWERS or (self.kind == "join" and other.kind == "activation")
        return self.kind in FOLLOWERS and other.kind in LEARNERS

    def add(self, other: Part) -> None:
        """Takes the part that comes after: what learns gives the box its title."""
        learns = other.kind in LEARNERS and self.kind not in LEARNERS
        if learns:
            self.before = [self.title, *self.after] if self.kind in FOLLOWERS else []
            self.id, self.title, self.kind, self.after = other.id, other.title, other.kind, []
        else:
            self.after.append(other.title)
        self.shape, self.place, self.span = other.shape, other.place, other.span
        self.add_cost(other.params, other.macs, other.values)
        self.frozen |= other.frozen


def filled(diagram: Diagram) -> Diagram | None:
    """What there is to open: nothing in a block that gives what it takes."""
    return diagram if diagram.series.items else None


def is_chain(diagram: Diagram) -> bool:
    """Whether it is boxes one after the other, and nothing else."""
    return not diagram.links and not any(isinstance(item, Parallel) for item in diagram.series.items)


def values(body: Graph[TensorType], node: Node[TensorType]) -> Size:
    """The numbers that an element puts out, for one sample."""
    return node.type.plain().elements


def fused(parts: list[Part], outputs: list[int]) -> tuple[list[Part], list[int]]:
    """Parts that share a box become one. Also gives where each part has gone."""
    users = [0] * len(parts)
    for part in parts:
        for v in part.inputs:
            users[v] += 1
    for v in outputs:
        users[v] += 1
    kept: list[Part] = []
    moved: list[int] = []
    for part in parts:
        inputs = tuple(moved[v] for v in part.inputs)
        if len(inputs) == 1 and users[part.inputs[0]] == 1 and kept[inputs[0]].takes(part):
            kept[inputs[0]].add(part)
            moved.append(inputs[0])
            continue
        part.inputs = inputs
        kept.append(part)
        moved.append(len(kept) - 1)
    return kept, moved


def alike(runs: list[tuple[Run[TensorType], Diagram]]) -> list[tuple[list[Run[TensorType]], Diagram]]:
    """Runs that differ in sizes alone are drawn once, as the first of them."""
    found: list[tuple[list[Run[TensorType]], Diagram]] = []
    faces: dict[int, object] = {}
    last: object = None
    for run, diagram in runs:
        if id(diagram) not in faces:
            faces[id(diagram)] = (run.call.body.title, face(diagram))
        if found and faces[id(diagram)] == last:
            found[-1][0].append(run)
        else:
            found.append(([run], diagram))
        last = faces[id(diagram)]
    return found
