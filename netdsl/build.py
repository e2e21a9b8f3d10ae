"""How is a body put together?  Tensors and nodes while a graph is being built, and the freezing of it."""

from __future__ import annotations

from itertools import count

from netdsl.graph import Call, Given, Graph, Input, Node, Output, Repeat
from netdsl.ops import Op
from netdsl.size import Formula, Size, Traced, symbol, symbols
from netdsl.source import Origin
from netdsl.types import Draft, TensorType, Unknown
from netdsl.values import Num, number_of, roots


class Tensor:
    """A value while its graph is built: an input or the output of an element."""

    __slots__ = ("builder", "element", "label", "origin", "type")

    def __init__(self, builder: Builder, type: Draft, origin: Origin = (), label: str = "") -> None:
        self.builder, self.type, self.origin, self.label = builder, type, origin, label
        self.element: Element | None = None

    @property
    def failed(self) -> bool:
        return isinstance(self.type, Unknown)


class Element:
    """A node while its graph is built."""

    __slots__ = ("frozen", "group", "inputs", "label", "op", "origin", "output", "shortcut")

    def __init__(
        self, op: Op | Call[Draft] | Repeat[Draft], inputs: list[Tensor], output: Tensor, origin: Origin
    ) -> None:
        self.op, self.inputs, self.output, self.origin = op, inputs, output, origin
        self.label, self.group, self.frozen, self.shortcut = "", "", False, False


CHANNELS = "C"
"""What the channels of a body's input are called in traces, as in the text: no parameter can have that name."""
_ids = count(1)


class Builder:
    """A graph under construction.

    A path inside a block shares the `context` of the block: its numbers are traced to the block's parameters.
    What a body uses from outside becomes an input of it (a tensor) or a parameter (a number).
    """

    def __init__(self, kind: str, name: str, parent: Builder | None = None) -> None:
        self.kind, self.name, self.parent = kind, name, parent
        self.inputs: list[Tensor] = []
        self.elements: list[Element] = []
        self.captured: dict[Tensor, Tensor] = {}
        shares = kind == "path" and parent is not None
        self.home: Builder = parent.home if shares and parent is not None else self
        self.context: str = self.home.context if shares else f"@{next(_ids)}"
        self.given: dict[str, Num] = {}
        self.names = Names()
        """Those of the block's own parameters, which numbers from outside cannot take, and of these numbers."""
        self.pinned: set[str] = set()
        self.agreed: dict[tuple[Size, Size], None] = {}
        self.paths: dict[object, tuple[Graph[Draft], list[Tensor]]] = {}

    # tensors

    def add_input(self, type: Draft, origin: Origin, label: str) -> Tensor:
        tensor = Tensor(self, type, origin, label)
        self.inputs.append(tensor)
        return tensor

    def add(self, op: Op | Call[Draft] | Repeat[Draft], inputs: list[Tensor], type: Draft, origin: Origin) -> Tensor:
        output = Tensor(self, type, origin)
        output.element = Element(op, [self.local(tensor) for tensor in inputs], output, origin)
        self.elements.append(output.element)
        return output

    def local(self, tensor: Tensor) -> Tensor:
        """`tensor` as seen from here: one from outside becomes an input."""
        if tensor.builder is self or tensor.failed:
            return tensor
        if tensor not in self.captured:
            assert self.parent is not None, "a tensor of another network"
            outer = self.parent.local(tensor)
            type = tensor.type
            if isinstance(type, TensorType) and isinstance(outer.type, TensorType) and self.home is self:
                channels = self.parameter("skip_channels", number_of(outer.type.channels)).size
                type = TensorType((channels, *type.plain().spatial))
            self.captured[tensor] = self.add_input(type, outer.origin, outer.label)
        return self.captured[tensor]

    # numbers

    def parameter(self, name: str, number: Num) -> Num:
        """A number from outside as a parameter of this body: its trace here is that parameter."""
        return self.own_parameter(self.home.names.unused(name), number)

    def own_parameter(self, name: str, number: Num) -> Num:
        """A number that was given for the block's own parameter `name`."""
        home = self.home
        if not isinstance(number.value, int):
            return Num(number.value)
        home.given[name] = number
        home.names.taken.add(name)
        return Num(number.value, self.root(name))

    def root(self, name: str) -> Formula:
        return symbol(name + self.context)

    def is_own(self, number: Num) -> bool:
        return number.trace is not None and all(name.endswith(self.context) for name in roots(number))

    def pin(self, names: frozenset[str]) -> None:
        """Fixes numbers on which the structure depends: each in the body to which it belongs."""
        builder: Builder | None = self
        while builder is not None and names:
            home = builder.home
            home.pinned.update(name.removesuffix(home.context) for name in names if name.endswith(home.context))
            builder = home.parent

    def agree(self, a: Size, b: Size) -> None:
        """Two sizes have been found equal. Where their formulas differ, that holds for these numbers only."""
        if a != b:
            self.home.agreed[a, b] = None

    def settle(self) -> None:
        """At the end of a network, nobody else can know better: numbers that have to agree are fixed."""
        for a, b in self.agreed:
            self.pin(symbols(a) | symbols(b))

    def enter(self, type: Draft) -> Draft:
        """The type of the running tensor inside this body: its channels become a parameter."""
        if self.home is not self or not isinstance(type, TensorType) or not isinstance(type.channels, int):
            return type
        channels = Traced(int(type.channels), self.root(CHANNELS))
        return TensorType((channels, *type.plain().spatial))

    # freezing

    def numbers(self) -> tuple[Given, ...]:
        """The numbers that the text of this body speaks of; a path speaks of those of the block around it."""
        given = self.home.given.items()
        return tuple(Given(name, number.value) for name, number in given if isinstance(number.value, int))

    def finish(
        self, outputs: list[tuple[str, Tensor, bool]], title: str = "", keep: set[int] | None = None
    ) -> Graph[Draft]:
        """The graph, with every node named; `keep`: the indices of the elements that stay."""
        elements = [e for i, e in enumerate(self.elements) if keep is None or i in keep]
        number = {id(tensor): i for i, tensor in enumerate([*self.inputs, *(e.output for e in elements)])}
        taken = {tensor.label or f"input{i}" for i, tensor in enumerate(self.inputs)}
        names = name_elements(elements, taken)
        nodes = tuple(
            Node(
                name,
                e.op,
                tuple(number[id(x)] for x in e.inputs),
                e.output.type,
                e.origin,
                e.group,
                e.frozen,
                e.shortcut,
            )
            for name, e in zip(names, elements)
        )
        free = Names()
        labels = [free.give(tensor.label or ("x" if i == 0 else "skip")) for i, tensor in enumerate(self.inputs)]
        declared = self.kind == "net"
        inputs = tuple(
            Input(name, tensor.type, tensor.origin if declared else ()) for name, tensor in zip(labels, self.inputs)
        )
        outs = tuple(Output(name, number[id(tensor)], training) for name, tensor, training in outputs)
        return Graph(
            self.name,
            self.kind,
            inputs,
            nodes,
            outs,
            self.numbers(),
            self.context,
            pinned=frozenset(self.pinned),
            agreed=tuple(self.agreed),
            title=title or self.name,
        )


def given_sizes(given: dict[str, Num]) -> tuple[Given, ...]:
    return tuple(Given(name, number.size) for name, number in given.items() if isinstance(number.value, int))


class Names:
    """Names, none of them twice: `skip`, `skip2`, `skip3` … Mutable: it knows those that are taken."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.next: dict[str, int] = {}

    def unused(self, name: str) -> str:
        """`name`, or `name2`, `name3` … if it is taken."""
        if name not in self.taken:
            return name
        number = self.next.get(name, 2)
        while f"{name}{number}" in self.taken:
            number += 1
        self.next[name] = number
        return f"{name}{number}"

    def give(self, name: str) -> str:
        """An unused name, which is taken from now on."""
        name = self.unused(name)
        self.taken.add(name)
        return name


def stem_of(op: Op | Call[Draft] | Repeat[Draft]) -> str:
    """What an unlabelled element is called before its number; a repeat is called as what it repeats."""
    while isinstance(op, Repeat) or (isinstance(op, Call) and op.body.kind == "path"):
        body = op.runs[0].call.body if isinstance(op, Repeat) else op.body
        if body.kind == "block":
            return body.name
        if not body.nodes:
            return "path"
        learned = [node for node in body.nodes if not isinstance(node.op, Op) or node.op.learns]
        op = (learned or list(body.nodes))[0].op
    return (isinstance(op, Op) and op.stem) or op.name


def name_elements(elements: list[Element], taken: set[str]) -> list[str]:
    """Labels, and for the rest kind and number: conv1, bn1, conv2 … A label is never given to another element."""
    used = taken | {e.label for e in elements if e.label}
    counts: dict[str, int] = {}
    names = []
    for e in elements:
        if e.label:
            names.append(e.label)
            continue
        stem = f"{e.group}_{stem_of(e.op)}" if e.group else stem_of(e.op)
        while True:
            counts[stem] = counts.get(stem, 0) + 1
            number = f"_{counts[stem]}" if stem[-1].isdigit() else str(counts[stem])
            name = stem if e.group and counts[stem] == 1 else f"{stem}{number}"
            if name not in used:
                break
        used.add(name)
        names.append(name)
    return names
