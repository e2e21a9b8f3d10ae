"""What does a network expect of those who call it?  Kept beside its module, for the message of a call that failed."""

from __future__ import annotations

from pathlib import PurePath

from netdsl.domain import Domain
from netdsl.graph import Graph, Input
from netdsl.net import Net
from netdsl.ops.sequence import Embedding
from netdsl.record import Record
from netdsl.source import Origin, place_of
from netdsl.types import TensorType


class Given(Record):
    """An input as the text declares it. `words`: it holds whole numbers, which are looked up in a table."""

    name: str
    type: TensorType
    place: str = ""
    words: bool = False

    def __str__(self) -> str:
        return f"N x {self.type}"


class Limit(Record):
    """What an open size has to satisfy, who asked for it, and where."""

    symbol: str
    domain: Domain
    reason: str
    place: str


class Expected(Record):
    """The inputs of a network, and the limits of their open sizes.

    `graph` says which element a submodule is; copies in other processes do without.
    """

    net: str
    spec: str
    inputs: tuple[Given, ...]
    limits: tuple[Limit, ...] = ()
    graph: Graph[TensorType] | None = None

    def __reduce__(self) -> tuple[type[Expected], tuple[object, ...]]:
        return Expected, (self.net, self.spec, self.inputs, self.limits)


def expected_of(net: Net) -> Expected:
    """What a checked network expects."""
    limits = [Limit(fact.symbol, fact.domain, fact.reason, line_of(fact.origin)) for fact in net.derivation]
    found = of_graph(net.graph)
    return found.replace(spec=PurePath(net.source.name).name, limits=tuple(limits))


def of_graph(graph: Graph[TensorType]) -> Expected:
    """The same, where there is a graph alone."""
    words = {v for node in graph.nodes if isinstance(node.op, Embedding) for v in node.inputs}
    inputs = tuple(_given(input, i in words) for i, input in enumerate(graph.inputs))
    return Expected(graph.name, "", inputs, graph=graph)


def _given(input: Input[TensorType], words: bool) -> Given:
    return Given(input.name, input.type.plain(), line_of(input.origin), words)


def line_of(origin: Origin) -> str:
    """`googlenet.net:7`: the file without its folder, and the line."""
    if not origin:
        return ""
    span = place_of(origin)
    return f"{PurePath(span.source.name).name}:{span.source.line_column(span.start)[0]}"


def sizes_of(given: Given, shape: tuple[int, ...]) -> dict[str, set[int]]:
    """The values that open sizes would have for an input of that shape: of the sizes that are a symbol alone."""
    found: dict[str, set[int]] = {}
    for size, value in zip(given.type.shape, shape):
        name = str(size)
        if not isinstance(size, int) and name.isidentifier():
            found.setdefault(name, set()).add(value)
    return found
