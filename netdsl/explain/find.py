"""Which elements are meant?  Those of a line, of a place in it, under a label, or at a path such as `conv3.0.conv1`.

A network is walked by `Frame`s: a body at one place of the network. Repeated steps are one frame and a count, and only
bodies that hold what is looked for are entered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property

from netdsl.diagnostic import nearest
from netdsl.graph import Call, Graph, Node, Repeat, bodies, join_path, parts, repeat_step, step_names
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl.source import Span
from netdsl.types import TensorType

Body = Graph[TensorType]
Matches = Callable[[Node[TensorType]], bool]


class Frame(Record):
    """A body at one place: element `index` of `parent` calls it, as step `step` of run `run`. The net has no parent.

    `count` equal copies follow one another there, with those of the frames around it.
    """

    body: Body
    path: str = ""
    count: int = 1
    parent: Frame | None = None
    index: int = 0
    run: int = 0
    step: int = 0

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @cached_property
    def names(self) -> list[str]:
        return step_names(self.body)

    def name(self, index: int) -> str:
        """The path of an element: that of its parameters."""
        return join_path(self.path, self.names[index]) or self.body.nodes[index].name

    def inner(self, index: int, run: int, step: int = 0, alone: bool = False) -> Frame:
        """The body of a run of element `index`: at one step `alone`, or standing for all of its steps."""
        key = index, run, step, alone
        if key not in self.known:
            self.known[key] = self.made(*key)
        return self.known[key]

    @cached_property
    def known(self) -> dict[tuple[int, int, int, bool], Frame]:
        return {}

    def made(self, index: int, run: int, step: int, alone: bool) -> Frame:
        node = self.body.nodes[index]
        if isinstance(node.op, Call):
            return Frame(node.op.body, join_path(self.path, self.names[index]), self.count, self, index)
        assert isinstance(node.op, Repeat)
        which = node.op.runs[run]
        before = sum(other.count for other in node.op.runs[:run])
        path = join_path(self.path, repeat_step(self.body, self.names[index], before + step))
        return Frame(which.call.body, path, self.count * (1 if alone else which.count), self, index, run, step)


class Element(Record):
    """One element at one place."""

    frame: Frame
    index: int

    @property
    def node(self) -> Node[TensorType]:
        return self.frame.body.nodes[self.index]

    @property
    def name(self) -> str:
        return self.frame.name(self.index)

    @property
    def input_types(self) -> tuple[TensorType, ...]:
        return tuple(self.frame.body.type_of(v).plain() for v in self.node.inputs)


class Asked(Record):
    """What somebody asked for: elements, or an input or output of the network by name."""

    title: str
    elements: tuple[Element, ...] = ()
    input: str = ""


# --- by place --------------------------------------------------------------------------------------------------------


def at_line(net: Net, line: int) -> Asked:
    """The elements that start on a line of the spec. Raises UsageError where there is none, and says where one is."""
    source = net.source
    last = len(source.line_starts) - (source.text.endswith(("\n", "\r")) and len(source.line_starts) > 1)
    if not 1 <= line <= last:
        raise UsageError(f"{source.name} has {last:,} line{'s' if last > 1 else ''}, and no line {line:,}")
    title = f"{source.name}:{line}"
    for input in net.graph.inputs:
        if any(_line(net, span) == line for span in input.origin):
            return Asked(title, input=input.name)
    found = matching(net.graph, lambda node: any(_line(net, span) == line for span in node.origin))
    if not found:
        raise UsageError(_nothing_here(net, line))
    return Asked(title, tuple(found))


def at_column(net: Net, line: int, column: int) -> Asked:
    """The innermost elements around a character of the spec."""
    source = net.source
    asked = at_line(net, line)  # the line exists
    text = source.line(line)
    if not 1 <= column <= max(1, len(text)):
        raise UsageError(f"line {line} of {source.name} has {len(text)} columns, and no column {column:,}")
    if asked.input:
        return asked
    offset = source.line_starts[line - 1] + column - 1

    def around(node: Node[TensorType]) -> int:
        lengths = [s.end - s.start for s in node.origin if s.source is source and s.start <= offset < s.end]
        return min(lengths, default=0)

    sizes = {size for body in bodies(net.graph) for node in body.nodes if (size := around(node))}
    if not sizes:
        return asked.replace(title=f"{asked.title}:{column}")
    found = matching(net.graph, lambda node: around(node) == min(sizes))
    return Asked(f"{source.name}:{line}:{column}", tuple(found))


def matching(net: Body, matches: Matches) -> list[Element]:
    """The outermost elements that match; of a path of which a part matches, that part. Equal steps are found once."""
    holds: dict[int, str] = {}
    for body in bodies(net):  # callees first
        inside = {holds[id(run.call.body)] for node in body.nodes for run in parts(node.op)}
        own = {matches(node) for node in body.nodes}
        some = "some" if True in own or inside - {""} else ""
        holds[id(body)] = "all" if own == {True} and "some" not in inside else some
    return list(_matching(Frame(net), matches, holds))


def _matching(frame: Frame, matches: Matches, holds: dict[int, str]) -> Iterator[Element]:
    for i, node in enumerate(frame.body.nodes):
        runs = parts(node.op)
        deeper = [k for k, run in enumerate(runs) if holds[id(run.call.body)]]
        is_part = any(run.call.body.kind == "path" and holds[id(run.call.body)] == "some" for run in runs)
        if matches(node) and not is_part:
            yield Element(frame, i)
            continue
        seen: set[int] = set()
        for k in deeper:
            if id(runs[k].call.body) not in seen:
                seen.add(id(runs[k].call.body))
                yield from _matching(frame.inner(i, k), matches, holds)


def _line(net: Net, span: Span) -> int:
    """The line on which a span of the spec starts; 0 for one of another file."""
    return net.source.line_column(span.start)[0] if span.source is net.source else 0


def _nothing_here(net: Net, line: int) -> str:
    """Why there is no element on a line, and where the nearest is."""
    source = net.source
    spans = [span for body in bodies(net.graph) for node in body.nodes for span in node.origin if span.source is source]
    spans += [span for input in net.graph.inputs for span in input.origin if span.source is source]
    text = source.line(line).strip()
    what = "is empty" if not text else "is a comment" if text.startswith("#") else "has no element of the network"
    said = f"line {line} of {source.name} {what}"
    for name, definition in net._checked.program.nets.items():
        own = [definition.header.span, *(statement.span for statement in definition.statements)]
        if name != net.name and any(_line(net, span) == line for span in own):
            return f"{said} {net.name}: it is of `{name}`, so ask with `--net {name}`"
    if not spans:
        return f"{said}: all of {net.name} stands in the files that it is made from; ask for a label"
    near = min(spans, key=lambda span: (abs(_line(net, span) - line), _line(net, span) < line, span.start))
    element = " ".join(near.text.split())
    shown = element if len(element) <= 40 else element[:39] + "…"
    return f"{said}: the nearest is in line {_line(net, near)}, `{shown}`"


# --- by name ---------------------------------------------------------------------------------------------------------


def named(net: Net, name: str) -> Asked:
    """The elements under a label, or the one at a path of the state dict. Raises UsageError with the nearest name."""
    graph = net.graph
    frame = Frame(graph)
    of_label = [Element(frame, i) for i, node in enumerate(graph.nodes) if name in (node.name, node.group)]
    if name and of_label:
        return Asked(name, tuple(of_label))
    if any(input.name == name for input in graph.inputs):
        return Asked(name, input=name)
    for output in graph.outputs:
        if output.name == name and output.value >= len(graph.inputs):
            return Asked(name, (Element(frame, output.value - len(graph.inputs)),))
    if elements := at_path(frame, name) or _of_parameter(frame, name):
        return Asked(elements[0].name if len(elements) == 1 else name, elements)
    raise UsageError(_unknown(net, name))


def at_path(frame: Frame, path: str) -> tuple[Element, ...]:
    """The element at a path such as `conv3.0.conv1`; of a single step of a repeat, all that it has."""
    for i, node in enumerate(frame.body.nodes):
        own = frame.names[i]
        if own and path == own and not (isinstance(node.op, Repeat) and frame.body.is_sequential):
            return (Element(frame, i),)
        for inner, rest in _below(frame, i, node, path):
            if not rest:
                return tuple(Element(inner, k) for k in range(len(inner.body.nodes)))
            if found := at_path(inner, rest):
                return found
    return ()


def _below(frame: Frame, i: int, node: Node[TensorType], path: str) -> Iterator[tuple[Frame, str]]:
    """The frames inside an element into which a path leads, with what is left of the path."""
    if isinstance(node.op, Call):
        rest = _after(path, frame.names[i]) if frame.names[i] else path
        if rest is not None:
            yield frame.inner(i, 0), rest
    elif isinstance(node.op, Repeat):
        first = int(repeat_step(frame.body, frame.names[i], 0).rpartition(".")[2])
        head = "" if frame.body.is_sequential else frame.names[i]
        rest = path if not head else _after(path, head)
        number, _, rest = (rest or "").partition(".")
        if not re.fullmatch(r"[0-9]{1,9}", number):
            return
        step = int(number) - first
        for k, run in enumerate(node.op.runs):
            if 0 <= step < run.count:
                yield frame.inner(i, k, step, alone=True), rest
            step -= run.count


def _after(path: str, name: str) -> str | None:
    """What follows a name at the beginning of a path; None where the path starts otherwise."""
    if path == name:
        return ""
    return path[len(name) + 1 :] if path.startswith(f"{name}.") else None


def _of_parameter(frame: Frame, name: str) -> tuple[Element, ...]:
    """The element whose parameter has that name in a state dict: `conv1.weight`."""
    for cut in (1, 2):  # out_proj.weight
        pieces = name.rsplit(".", cut)
        for element in at_path(frame, pieces[0]) if len(pieces) > cut else ():
            op, inputs = element.node.op, element.input_types
            if isinstance(op, Op) and any(weight.name == ".".join(pieces[1:]) for weight in op.weights(inputs)):
                return (element,)
    return ()


def _unknown(net: Net, name: str) -> str:
    """That there is no such element, and what there is."""
    labels = dict.fromkeys(label for node in net.graph.nodes for label in (node.group, node.name) if label)
    names = [*(input.name for input in net.graph.inputs), *labels]
    said = f"{net.name} has no element {name if len(name) <= 60 else name[:59] + '…'!r}"
    deepest = net.graph.name
    head, dot, _ = name.rpartition(".")
    while dot:
        if found := at_path(Frame(net.graph), head):
            inner = _inside(found[0]) if len(found) == 1 else [e.name.rpartition(".")[2] for e in found]
            names = [f"{head}.{name}" for name in inner] if inner else [head]
            deepest = head if inner else deepest
            break
        head, dot, _ = head.rpartition(".")
    close = nearest(name, names)
    if close:
        return f"{said}: did you mean {close}?"
    some = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"{said}: in {deepest} there is {some}" if names else said


def _inside(element: Element) -> list[str]:
    """The names just below an element."""
    node = element.node
    if isinstance(node.op, Call):
        return [name for name in step_names(node.op.body) if name]
    return [str(step) for step in range(min(node.op.count, 100))] if isinstance(node.op, Repeat) else []
