"""How does a pass change a graph?  A flat graph while it is rewritten, and the log of what was done.

A value is a node that knows its inputs and its users; the order of execution is found at the end. So a pass replaces
values, and neither numbers them nor removes what is no longer used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from netdsl.devices import DEVICES, Device
from netdsl.graph import Graph, Input, Node, Output
from netdsl.ops import Op
from netdsl.prove import Prover
from netdsl.record import Record
from netdsl.source import Origin
from netdsl.types import TensorType


class Event(Record):
    """What a pass did with one element, or why it did nothing.

    element    its name in the flat graph
    into       the element that does its work now; empty where nothing was done
    reason     what was done, or why not, in a few words
    """

    rule: str
    element: str
    into: str
    reason: str

    @property
    def done(self) -> bool:
        return bool(self.into)


class Context:
    """For what is optimised, how far, and what came of it.

    batch     samples
    dtype     fp32, tf32, fp16 or bf16
    device    its rates, for rewrites that pay only sometimes
    fuel      how many rewrites may happen; None for all. Halving it finds the one that breaks a network
    """

    def __init__(
        self, batch: int = 1, dtype: str = "fp32", device: Device = DEVICES["h200"], fuel: int | None = None
    ) -> None:
        self.batch, self.dtype, self.device, self.fuel = batch, dtype, device, fuel
        self.events: list[Event] = []

    def may(self, rule: str, element: str, into: str, reason: str) -> bool:
        """Whether one more rewrite may happen; if so, it is logged as done."""
        if self.fuel is not None:
            if self.fuel <= 0:
                return False
            self.fuel -= 1
        self.events.append(Event(rule, element, into, reason))
        return True

    def left(self, rule: str, element: str, reason: str) -> None:
        """Logs that an element was left as it is, and why."""
        self.events.append(Event(rule, element, "", reason))


class Value:
    """A node under change, or an input of the graph (then `op` is None)."""

    __slots__ = ("frozen", "group", "inputs", "name", "op", "origin", "type", "users")

    def __init__(
        self,
        name: str,
        op: Op | None,
        inputs: list[Value],
        type: TensorType,
        origin: Origin = (),
        group: str = "",
        frozen: bool = False,
    ) -> None:
        self.name, self.op, self.type, self.origin, self.group, self.frozen = name, op, type, origin, group, frozen
        self.inputs: list[Value] = inputs
        self.users: list[Value] = []
        for x in inputs:
            x.users.append(self)

    def __repr__(self) -> str:
        return f"%{self.name}"


class Work:
    """A flat graph under change. `nodes` are in an order of execution; new ones are appended anywhere."""

    def __init__(self, graph: Graph[TensorType]) -> None:
        """Takes a flat graph: `inline` makes one. Outputs that only training has are dropped."""
        self.graph = graph
        self.inputs = [Value(input.name, None, [], input.type) for input in graph.inputs]
        self.nodes: list[Value] = []
        values = list(self.inputs)
        for node in graph.nodes:
            assert isinstance(node.op, Op), "passes want a flat graph"
            inputs = [values[v] for v in node.inputs]
            value = Value(node.name, node.op, inputs, node.type, node.origin, node.group, node.frozen)
            self.nodes.append(value)
            values.append(value)
        self.outputs = [(out.name, values[out.value]) for out in graph.outputs if not out.training]

    def is_output(self, value: Value) -> bool:
        return any(out is value for _, out in self.outputs)

    def only_user(self, value: Value) -> Value | None:
        """The node that alone reads `value`, once, where nothing else does and it is no output."""
        return value.users[0] if len(value.users) == 1 and not self.is_output(value) else None

    def add(self, name: str, op: Op, inputs: list[Value], like: Value) -> Value:
        """A new node; its type is inferred, the rest is as in `like`."""
        type = op.infer(tuple([x.type for x in inputs]), Prover())
        value = Value(name, op, inputs, type.plain(), like.origin, like.group, like.frozen)
        self.nodes.append(value)
        return value

    def change(self, value: Value, op: Op, inputs: list[Value]) -> None:
        """Another op and other inputs for a node, in its place."""
        for x in value.inputs:
            x.users.remove(value)
        value.op, value.inputs = op, inputs
        for x in inputs:
            x.users.append(value)
        value.type = op.infer(tuple([x.type for x in inputs]), Prover()).plain()

    def replace(self, old: Value, new: Value) -> None:
        """Whatever read `old` reads `new`; `old` itself is left without users, and forgotten."""
        for user in list(dict.fromkeys(old.users)):
            if user is new:
                continue
            user.inputs = [new if x is old else x for x in user.inputs]
            moved = [u for u in old.users if u is user]
            old.users = [u for u in old.users if u is not user]
            new.users.extend(moved)
        self.outputs = [(name, new if value is old else value) for name, value in self.outputs]
        self.forget(old)

    def forget(self, value: Value) -> None:
        """Drops a node that nothing reads, and then those that only it read."""
        if value.users or self.is_output(value) or value.op is None:
            return
        inputs, value.inputs = value.inputs, []
        for x in inputs:
            if value in x.users:
                x.users.remove(value)
        value.op = None
        for x in inputs:
            self.forget(x)

    def live(self) -> Iterator[Value]:
        """The nodes as they are now; those that a pass forgets on the way are passed over."""
        for value in list(self.nodes):
            if value.op is not None:
                yield value

    def to_graph(self) -> Graph[TensorType]:
        """The graph of what the outputs need, in an order of execution that keeps the old one where it can."""
        rank = {id(value): i for i, value in enumerate(self.nodes)}
        order: list[Value] = []
        done: set[int] = {id(value) for value in self.inputs}
        for root in sorted((value for _, value in self.outputs), key=lambda v: rank.get(id(v), -1)):
            stack = [root]
            while stack:
                value = stack[-1]
                if id(value) in done:
                    stack.pop()
                    continue
                waiting = [x for x in value.inputs if id(x) not in done]
                if waiting:
                    stack.extend(sorted(waiting, key=lambda v: -rank.get(id(v), -1)))
                    continue
                done.add(id(value))
                order.append(stack.pop())
        number = {id(value): i for i, value in enumerate([*self.inputs, *order])}
        nodes = []
        for value in order:
            assert value.op is not None
            inputs = tuple([number[id(x)] for x in value.inputs])
            nodes.append(Node(value.name, value.op, inputs, value.type, value.origin, value.group, value.frozen))
        outputs = tuple([Output(name, number[id(value)]) for name, value in self.outputs])
        return self.graph.replace(inputs=self._inputs(), nodes=tuple(nodes), outputs=outputs)

    def _inputs(self) -> tuple[Input[TensorType], ...]:
        return tuple([Input(value.name, value.type) for value in self.inputs])


Pass = Callable[[Work, Context], None]
"""One pass: changes the graph in place, asks `context.may` before each rewrite, and says what it left."""
