"""What is there to say of a box, beside what stands in it?  What comes in, its formulas, and what it sees.

Receptive fields are those within a body, from the value that comes in: a body is drawn once, and applied in many
places. What a place sees of the network follows from them (Araujo et al. 2019, eq. 2 to 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from netdsl.analysis.receptive import Receptive
from netdsl.analysis.seen import Field, Fixed, Moving
from netdsl.draw.structure import Box, Diagram, boxes_of
from netdsl.graph import Call, Graph, Node, Repeat, Run, join_path, parts
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.types import TensorType

WHOLE = "all"
"""What sees all rows of an input."""
Sight = str | tuple[tuple[int, Fraction], ...]
"""For each axis of the input the rows that a place sees, and how many rows on the next place's are; or WHOLE."""


class Fact(Record):
    """What is known of one box.

    input       the shapes that come in
    sees        what a place of its output sees of what comes into its body; empty where that is not known
    inside      the same for the value that comes into the body of the box
    worked      its formulas with numbers put in, a line each
    """

    input: str = ""
    sees: Sight = ()
    inside: Sight = ()
    worked: str = ""


def facts(net: Net, diagram: Diagram) -> dict[tuple[int, str], Fact]:
    """By diagram (its `id`) and box: the facts of all boxes of a network that are known."""
    finder = _Finder(net)
    finder.body(net.graph, diagram)
    return finder.found


class _Finder:
    """Walks bodies and their diagrams side by side. Mutable: it remembers which it has seen."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.receptive = Receptive(net.shown)
        self.found: dict[tuple[int, str], Fact] = {}
        self.done: set[int] = set()
        self.last: tuple[tuple[int, str], object, int] = ((0, ""), None, 0)

    def body(self, body: Graph[TensorType], diagram: Diagram) -> None:
        if id(diagram) in self.done:
            return
        self.done.add(id(diagram))
        boxes = {box.id: box for box in diagram.boxes}
        self.elements(body, self.receptive.fields(body), diagram, boxes, "", len(body.inputs) == 1)

    def elements(
        self,
        body: Graph[TensorType],
        fields: Sequence[Field],
        diagram: Diagram,
        boxes: dict[str, Box],
        path: str,
        single: bool,
    ) -> None:
        """The elements of a body, or of a path that is written in place in it; `fields` are those of its values."""
        for i, node in enumerate(body.nodes):
            own = join_path(path, node.name)
            given = [fields[v] for v in node.inputs]
            if not isinstance(node.op, Op):
                self.applied(node, given, diagram, boxes, own, single)
            box = boxes.get(own)
            if box is None:
                self.again(node, fields[len(body.inputs) + i] if single else {})
                continue
            sees = self.sight(fields[len(body.inputs) + i]) if single else ()
            inside = self.sight(given[0]) if single and box.body is not None else ()
            shapes = ", ".join(self.net.shape_text(body.type_of(v)) for v in node.inputs)
            self.found[id(diagram), own] = Fact(shapes, sees, inside, worked(node, body))
            self.last = (id(diagram), own), node.op, box.count - 1

    def again(self, node: Node[TensorType], field: Field) -> None:
        """One more element of a box that stands for several: such a box sees what its last one sees."""
        key, op, left = self.last
        if left and node.op == op:
            self.found[key] = self.found[key].replace(sees=self.sight(field))
            self.last = key, op, left - 1

    def applied(
        self,
        node: Node[TensorType],
        given: list[Field],
        diagram: Diagram,
        boxes: dict[str, Box],
        own: str,
        single: bool,
    ) -> None:
        """What a call or a repeat applies: a path in place, or the diagram of its box."""
        box = boxes.get(own)
        step = 0
        for run, (entry, others) in zip(parts(node.op), self.receptive.entries(node, given)):
            inner = run.call.body
            for k in range(run.count if box is None else 0):
                at = join_path(own, str(step + k)) if isinstance(node.op, Repeat) else own
                if k and not any(id.startswith(f"{at}.") for id in boxes):
                    at = join_path(own, str(step))
                    self.elements(
                        inner, self.receptive.inside(run, entry, others, run.count - 1), diagram, boxes, at, single
                    )
                    break
                self.elements(inner, self.receptive.inside(run, entry, others, k), diagram, boxes, at, single)
            step += run.count
        if box is not None and box.body is not None:
            runs = parts(node.op)
            if isinstance(node.op, Call) or not box.holds_steps:
                self.body(runs[0].call.body, box.body)
            else:
                self.steps(node, list(runs), given, box.body, single)

    def steps(
        self, node: Node[TensorType], runs: list[Run[TensorType]], given: list[Field], diagram: Diagram, single: bool
    ) -> None:
        """The steps of a repeat that are not alike, a box for each kind; fields are those from the repeat on."""
        if id(diagram) in self.done:
            return
        self.done.add(id(diagram))
        input = runs[0].call.body.inputs[0].type
        start: list[Field] = [self.receptive.fields(runs[0].call.body)[0]]
        boxes = iter(boxes_of(diagram.series))
        box, left, inside = next(boxes), 0, ()  # type: tuple[Box, int, Sight]
        entries = list(self.receptive.entries(node.replace(inputs=node.inputs[:1]), start)) if single else []
        for k, run in enumerate(runs):
            if left == 0 and box.body is not None:
                self.body(run.call.body, box.body)
                inside = self.sight(entries[k][0]) if entries else ()
                input = run.call.body.inputs[0].type
                left = box.count
            left -= run.count
            if left == 0:
                after = self.receptive.after_run(run, *entries[k]) if entries else None
                sees = self.sight(after) if after is not None else ()
                self.found[id(diagram), box.id] = Fact(self.net.shape_text(input), sees, inside, "")
                box = next(boxes, box)

    def sight(self, field: Field) -> Sight:
        """What is seen of the one input; nothing where a place's view is not of one size, or moves across axes."""
        found: list[tuple[int, Fraction]] = []
        axes = [(axis, seen) for (k, axis), seen in sorted(field.items()) if k == 0 and axis > 0]
        if axes and all(isinstance(seen, Fixed) for _, seen in axes):
            return WHOLE
        for axis, seen in axes:
            if not isinstance(seen, Moving) or seen.axis != axis:
                return ()
            found.append((seen.window.size, seen.window.jump))
        return tuple(found)


def worked(node: Node[TensorType], body: Graph[TensorType]) -> str:
    """The formulas of a primitive; nothing for a block."""
    if not isinstance(node.op, Op):
        return ""
    by_hand = node.op.worked(tuple(body.type_of(v) for v in node.inputs), node.type)
    lines = [*by_hand.shape]
    lines += [f"parameters = {by_hand.params}"] if by_hand.params else []
    lines += [f"MACs = {by_hand.macs}"] if by_hand.macs else []
    return "\n".join([*lines, *by_hand.notes])
