"""How is an element computed?  Its formulas with their numbers, what it sees of the image, what feeds it, who uses it.

    explain_line(net, 7)             the elements of a line of the spec
    explain_label(net, "conv3")      those under a label, or at a path of the state dict

Both give an `Explanation`. What repeats is one step with a count; equal steps of a block are one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.analysis.receptive import Reach, Receptive, reaches_of
from netdsl.analysis.seen import Field
from netdsl.explain.find import Asked, Body, Element, Frame, at_column, at_line, named
from netdsl.graph import Node, Repeat, live, parts
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.ops.worked import Worked
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.source import Origin, Span, place_of
from netdsl.table import limits
from netdsl.types import TensorType

Key = tuple[Op, tuple[TensorType, ...], TensorType]
Way = tuple[tuple[int, int], ...]
"""From an element down to a primitive in it: at each level which run, and which element of its body."""


class Neighbour(Record):
    """What feeds an element or uses it: its path, its shape, and the line of the spec (0 for one of another file)."""

    name: str
    shape: str
    place: str
    line: int


class Step(Record):
    """One primitive, worked. `count` equal ones are in what was asked for; `name` is the path of the first.

    inputs, output      with the sizes of the network
    rule                the op's equation and where it comes from
    sees                what one place of the output sees of each input of the network, along each axis
    frozen, training    whether it does not learn; whether only training has it
    """

    name: str
    op: str
    what: str
    count: int
    place: str
    inputs: tuple[Neighbour, ...]
    output: TensorType
    rule: str
    worked: Worked
    params: int
    macs: Size
    sees: tuple[Reach, ...]
    frozen: bool = False
    training: bool = False


class Explanation(Record):
    """What was asked for, and how it is computed.

    lines           the lines that declare it: file, number, text
    feeds, uses     what comes in from outside of it, and who takes what goes out; empty where it stands in many places
    places          the paths of these, as of a line in a block that is called several times
    steps           each different primitive, in order of execution
    params, macs    of all of it, repeats counted
    limits          what it asks of open sizes
    whole           parameters and MACs of the network
    """

    net: str
    title: str
    lines: tuple[tuple[str, int, str], ...]
    feeds: tuple[Neighbour, ...]
    uses: tuple[Neighbour, ...]
    places: tuple[str, ...]
    output: str
    steps: tuple[Step, ...]
    params: int
    macs: Size
    limits: tuple[str, ...]
    whole: tuple[Size, Size]

    def __str__(self) -> str:
        """What `netdsl explain` prints."""
        from netdsl.explain.text import explanation_text

        return explanation_text(self)

    def __repr__(self) -> str:
        return str(self)


def explain_line(net: Net, line: int, column: int | None = None) -> Explanation:
    """The elements of a line, or those around one of its characters. Raises UsageError where there are none."""
    return explain(net, at_line(net, line) if column is None else at_column(net, line, column))


def explain_label(net: Net, name: str) -> Explanation:
    """The elements under a label, or at a path. Raises UsageError with the nearest name."""
    return explain(net, named(net, name))


def explain(net: Net, asked: Asked) -> Explanation:
    return _of_input(net, asked) if asked.input else _Explainer(net).explanation(asked)


class _Explainer:
    """Works steps of one network. Mutable: it keeps the fields of frames, and the steps of bodies."""

    def __init__(self, net: Net) -> None:
        self.net, self.receptive = net, Receptive(net.shown)
        self.fields_of: dict[int, tuple[Frame, list[Field]]] = {}
        self.steps_of: dict[int, dict[Key, tuple[Way, int]]] = {}
        self.inference = live(net.graph)

    def explanation(self, asked: Asked) -> Explanation:
        found: dict[Key, tuple[Element, int]] = {}
        for element in asked.elements:
            for key, (at, count) in self.primitives(element).items():
                first, before = found.get(key, (at, 0))
                found[key] = first, before + count
        steps = tuple(self.step(element, count) for element, count in found.values())
        frames = {id(element.frame) for element in asked.elements}
        together = len(frames) == 1
        last = asked.elements[-1]
        return Explanation(
            self.net.name,
            asked.title,
            _lines(self.net, [_whole_origin(element.frame, element.index) for element in asked.elements]),
            tuple(self.feeds(asked.elements)) if together else (),
            tuple(self.uses(asked.elements)) if together else (),
            () if together else tuple(dict.fromkeys(element.frame.path or element.name for element in asked.elements)),
            self.net.shape_text(last.node.type) if together else "",
            steps,
            sum(step.params * step.count for step in steps),
            total(step.macs * step.count for step in steps),
            tuple(self.limits([element.node.origin for element, _ in found.values()])),
            (self.net.params, self.net.macs),
        )

    # what is inside

    def primitives(self, element: Element) -> dict[Key, tuple[Element, int]]:
        """The different primitives of an element, in order: where the first one stands, and how many there are."""
        node, frame = element.node, element.frame
        if isinstance(node.op, Op):
            return {self.key(frame.body, node): (element, frame.count)}
        found = {}
        for key, (chain, count) in self.inside(node).items():
            at, index = frame, element.index
            for run, inner in chain:
                at, index = at.inner(index, run), inner
            found[key] = Element(at, index), count * frame.count
        return found

    def inside(self, node: Node[TensorType]) -> dict[Key, tuple[Way, int]]:
        """The same of a call or a repeat: the way to the first one, as pairs of a run and an index, and the count."""
        found: dict[Key, tuple[Way, int]] = {}
        for k, run in enumerate(parts(node.op)):
            for key, (chain, count) in self.of_body(run.call.body).items():
                (_, index), *rest = chain
                first, before = found.get(key, (((k, index), *rest), 0))
                found[key] = first, before + count * run.count
        return found

    def of_body(self, body: Body) -> dict[Key, tuple[Way, int]]:
        if id(body) not in self.steps_of:
            found: dict[Key, tuple[Way, int]] = {}
            for i, node in enumerate(body.nodes):
                inner: dict[Key, tuple[Way, int]]
                if isinstance(node.op, Op):
                    inner = {self.key(body, node): (((0, i),), 1)}
                else:
                    inner = {key: (((0, i), *chain), count) for key, (chain, count) in self.inside(node).items()}
                for key, (chain, count) in inner.items():
                    first, before = found.get(key, (chain, 0))
                    found[key] = first, before + count
            self.steps_of[id(body)] = found
        return self.steps_of[id(body)]

    def key(self, body: Body, node: Node[TensorType]) -> Key:
        assert isinstance(node.op, Op)
        return node.op, tuple(body.type_of(v).plain() for v in node.inputs), node.type.plain()

    # one primitive

    def step(self, element: Element, count: int) -> Step:
        node, op = element.node, element.node.op
        assert isinstance(op, Op)
        inputs, output = tuple(map(self.shown, element.input_types)), self.shown(node.type)
        outermost = element
        while outermost.frame.parent is not None:
            outermost = Element(outermost.frame.parent, outermost.frame.index)
        field = self.fields(element.frame)[len(element.frame.body.inputs) + element.index]
        return Step(
            element.name,
            op.name,
            f"{op.name} {op.details()}".strip(),
            count,
            self.place(_whole_origin(element.frame, element.index)),
            tuple(self.neighbour(*self.resolved(element.frame, v)) for v in node.inputs),
            output,
            _rule(op),
            op.worked(inputs, output),
            int(op.params(element.input_types)),
            self.net.shown(op.macs(element.input_types, node.type)),
            reaches_of(self.net, field),
            node.frozen or outermost.node.frozen,
            outermost.index not in self.inference,
        )

    def shown(self, type: TensorType) -> TensorType:
        return TensorType(tuple(self.net.shown(size) for size in type.plain().shape))

    def fields(self, frame: Frame) -> list[Field]:
        """What the values of a frame see of the network's inputs."""
        if id(frame) not in self.fields_of:
            if frame.parent is None:
                found = self.receptive.fields(frame.body)
            else:
                node = frame.parent.body.nodes[frame.index]
                above = self.fields(frame.parent)
                entries = list(self.receptive.entries(node, [above[v] for v in node.inputs]))
                found = self.receptive.inside(parts(node.op)[frame.run], *entries[frame.run], frame.step)
            self.fields_of[id(frame)] = frame, found
        return self.fields_of[id(frame)][1]

    # what is around

    def feeds(self, elements: tuple[Element, ...]) -> Iterator[Neighbour]:
        """What comes in from outside of some elements of one frame."""
        frame, own = elements[0].frame, {element.index + len(element.frame.body.inputs) for element in elements}
        values = dict.fromkeys(v for element in elements for v in element.node.inputs if v not in own)
        yield from dict.fromkeys(self.neighbour(*self.resolved(frame, v)) for v in values)

    def uses(self, elements: tuple[Element, ...]) -> Iterator[Neighbour]:
        """Who takes what some elements of one frame make."""
        frame, own = elements[0].frame, {element.index for element in elements}
        found = [(at, user) for i in own for at, user in self.users(frame, i) if at is not frame or user not in own]
        yield from dict.fromkeys(self.neighbour(at, user) for at, user in found)
        if frame.parent is None:
            values = {i + len(frame.body.inputs) for i in own}
            for output in frame.body.outputs:
                if output.value in values:
                    what = "output in training" if output.training else "output"
                    shape = self.net.shape_text(frame.body.type_of(output.value))
                    yield Neighbour(f"{what} `{output.name}`", shape, "", 0)

    def resolved(self, frame: Frame, value: int) -> tuple[Frame, int]:
        """The frame and the node that make a value; a negative number is an input of the net, -1 the first."""
        if value >= len(frame.body.inputs):
            return frame, value - len(frame.body.inputs)
        if frame.parent is None:
            return frame, -1 - value
        node = frame.parent.body.nodes[frame.index]
        if isinstance(node.op, Repeat):
            run = node.op.runs[frame.run]
            if value == 0 and frame.step > 0:
                return self.last_of(frame.parent.inner(frame.index, frame.run, frame.step - 1, alone=True))
            if value == 0 and frame.run > 0:
                before = node.op.runs[frame.run - 1].count - 1
                return self.last_of(frame.parent.inner(frame.index, frame.run - 1, before, alone=True))
            outer = 0 if value == 0 else run.captured[value - 1]
        else:
            outer = value
        return self.resolved(frame.parent, node.inputs[outer])

    def last_of(self, frame: Frame) -> tuple[Frame, int]:
        return self.resolved(frame, frame.body.outputs[0].value)

    def users(self, frame: Frame, index: int) -> Iterator[tuple[Frame, int]]:
        value = index + len(frame.body.inputs)
        yield from ((frame, i) for i, node in enumerate(frame.body.nodes) if value in node.inputs)
        if frame.parent is not None and frame.body.outputs[0].value == value:
            node = frame.parent.body.nodes[frame.index]
            inner = self.next_step(frame, node)
            if inner is not None:
                yield from ((inner, i) for i, other in enumerate(inner.body.nodes) if 0 in other.inputs)
            else:
                yield from self.users(frame.parent, frame.index)

    def next_step(self, frame: Frame, node: Node[TensorType]) -> Frame | None:
        """The step after that of a frame, in a repeat."""
        if not isinstance(node.op, Repeat):
            return None
        assert frame.parent is not None
        if frame.step + 1 < node.op.runs[frame.run].count:
            return frame.parent.inner(frame.index, frame.run, frame.step + 1, alone=True)
        if frame.run + 1 < len(node.op.runs):
            return frame.parent.inner(frame.index, frame.run + 1, 0, alone=True)
        return None

    def neighbour(self, frame: Frame, index: int) -> Neighbour:
        if index < 0:
            input = frame.body.inputs[-1 - index]
            return Neighbour(
                input.name, self.net.shape_text(input.type), self.place(input.origin), self.line(input.origin)
            )
        origin, shape = _whole_origin(frame, index), self.net.shape_text(frame.body.nodes[index].type)
        return Neighbour(frame.name(index), shape, self.place(origin), self.line(origin))

    def place(self, origin: Origin) -> str:
        return place_of(origin).place if origin else ""

    def line(self, origin: Origin) -> int:
        return _line_of(self.net, place_of(origin)) if origin else 0

    # open sizes

    def limits(self, origins: list[Origin]) -> Iterator[str]:
        """What these elements ask of open sizes."""
        spans = {span for origin in origins for span in origin[:1]}
        yield from dict.fromkeys(
            f"{fact}: {fact.reason}" for fact in self.net.derivation if fact.origin and fact.origin[0] in spans
        )


def _of_input(net: Net, asked: Asked) -> Explanation:
    """An input of the network: nothing is computed, but open sizes have limits."""
    k = next(k for k, input in enumerate(net.graph.inputs) if input.name == asked.input)
    input, explainer, frame = net.graph.inputs[k], _Explainer(net), Frame(net.graph)
    users = [(frame, i) for i, node in enumerate(net.graph.nodes) if k in node.inputs]
    return Explanation(
        net.name,
        asked.title,
        _lines(net, [input.origin]),
        (),
        tuple(dict.fromkeys(explainer.neighbour(*user) for user in users)),
        (),
        net.shape_text(input.type),
        (),
        0,
        0,
        tuple(limits(net)) if input.type.symbols else (),
        (net.params, net.macs),
    )


def _whole_origin(frame: Frame, index: int) -> Origin:
    """The chain of places of an element, out to the line of the net."""
    origin, at = frame.body.nodes[index].origin, frame
    while at.parent is not None:
        origin, at = (*origin, *at.parent.body.nodes[at.index].origin), at.parent
    return origin


def _rule(op: Op) -> str:
    """The op's equation: the first sentence that its class says of itself."""
    return " ".join((type(op).__doc__ or "").split("\n\n")[0].split())


def _lines(net: Net, origins: Iterable[Origin]) -> tuple[tuple[str, int, str], ...]:
    """The lines on which elements start, those of the spec first; a net made from another has lines of that."""
    spans = [span for origin in origins for span in origin if span.source.own]
    found = dict.fromkeys((span.source, span.source.line_column(span.start)[0]) for span in spans)
    some = sorted(found, key=lambda line: (line[0] is not net.source, line[0].name, line[1]))
    return tuple((source.name, number, source.line(number)) for source, number in some)


def _line_of(net: Net, span: Span) -> int:
    return net.source.line_column(span.start)[0] if span.source is net.source else 0
