"""How does a pass change a graph?  A flat graph while it is rewritten, and the log of what was done.

A value is a node that knows its inputs and its users; the order of execution is found at the end. So a pass replaces
values, and neither numbers them nor removes what is no longer used.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from netdsl.devices import BYTES, DEVICES, Device
from netdsl.graph import Graph, Input, Node, Output
from netdsl.ops import Op
from netdsl.passes.cost import Cost, arithmetic, moved
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

    def also(self, rule: str, element: str, into: str, reason: str) -> None:
        """Logs another element that takes part in the rewrite that was just allowed."""
        self.events.append(Event(rule, element, into, reason))

    def left(self, rule: str, element: str, reason: str) -> None:
        """Logs that an element was left as it is, and why."""
        self.events.append(Event(rule, element, "", reason))

    def settle(self, names: Collection[str]) -> None:
        """Forgets why elements were left that another pass has taken since, and what was said twice.

        `names` are those of the elements that are still there.
        """
        kept = [event for event in self.events if event.done or event.element in names]
        self.events = list(dict.fromkeys(kept))

    def cost(self, op: Op, inputs: Sequence[TensorType], output: TensorType) -> Cost:
        """The floor of one element on the device: what it computes, and what it reads and writes; 0 for a view."""
        values = moved(op, inputs, output, self.batch, self.device.slices)
        if not values:
            return Cost()
        macs, steps = arithmetic(op, inputs, output)
        work = self.device.busy(macs * self.batch, values * BYTES[self.dtype], self.dtype, steps * self.batch)
        return Cost(max(work, self.device.launch), work)


class Value:
    """A node under change, or an input of the graph (then `op` is None).

    users    the nodes that read it, once for each time
    rank     where it stood in the graph, or what it was made from: of two values that may, the first is computed first
    """

    __slots__ = ("frozen", "group", "inputs", "name", "op", "origin", "rank", "type", "users")

    def __init__(
        self,
        name: str,
        op: Op | None,
        inputs: list[Value],
        type: TensorType,
        origin: Origin = (),
        group: str = "",
        frozen: bool = False,
        rank: int = -1,
    ) -> None:
        self.name, self.op, self.type, self.origin, self.group, self.frozen = name, op, type, origin, group, frozen
        self.rank = rank
        self.inputs: list[Value] = inputs
        self.users: list[Value] = []
        for x in inputs:
            x.users.append(self)

    def __repr__(self) -> str:
        return f"%{self.name}"


class Work:
    """A flat graph under change. `nodes` are in no order: a value knows its rank."""

    def __init__(self, graph: Graph[TensorType]) -> None:
        """Takes a flat graph: `inline` makes one. Outputs that only training has are dropped."""
        self.graph = graph
        self.prove = Prover()
        self.inputs = [Value(input.name, None, [], input.type) for input in graph.inputs]
        self.nodes: list[Value] = []
        values = list(self.inputs)
        for rank, node in enumerate(graph.nodes):
            assert isinstance(node.op, Op), "passes want a flat graph"
            inputs = [values[v] for v in node.inputs]
            value = Value(node.name, node.op, inputs, node.type, node.origin, node.group, node.frozen, rank)
            self.nodes.append(value)
            values.append(value)
        self.outputs = [(out.name, values[out.value]) for out in graph.outputs if not out.training]

    def is_output(self, value: Value) -> bool:
        return any(out is value for _, out in self.outputs)

    def only_user(self, value: Value) -> Value | None:
        """The node that alone reads `value`, once, where nothing else does and it is no output."""
        return value.users[0] if len(value.users) == 1 and not self.is_output(value) else None

    def readers(self, value: Value) -> list[Value] | None:
        """Its users, each once, if all read it as their first input alone, and it is no output."""
        readers = list(dict.fromkeys(value.users))
        if not readers or len(readers) < len(value.users) or self.is_output(value):
            return None
        return readers if all(user.inputs[0] is value for user in readers) else None

    def infer(self, op: Op, inputs: list[Value]) -> TensorType:
        return op.infer(tuple([x.type for x in inputs]), self.prove).plain()

    def add(self, name: str, op: Op, inputs: list[Value], like: Value) -> Value:
        """A new node; its type is inferred, the rest is as in `like`."""
        type = self.infer(op, inputs)
        value = Value(name, op, inputs, type, like.origin, like.group, like.frozen, like.rank)
        self.nodes.append(value)
        return value

    def change(self, value: Value, op: Op, inputs: list[Value], type: TensorType | None = None) -> None:
        """Another op and other inputs for a node, in its place. Its type stays what it was, unless one is given."""
        value.op, value.type = op, type or value.type
        if inputs is not value.inputs:
            for x in value.inputs:
                x.users.remove(value)
            value.inputs = list(inputs)
            for x in inputs:
                x.users.append(value)

    def replace(self, old: Value, new: Value) -> None:
        """Whatever read `old` reads `new`; `old` itself is left without users, and forgotten."""
        for user in dict.fromkeys(old.users):
            user.inputs = [new if x is old else x for x in user.inputs]
        new.users.extend(old.users)
        old.users = []
        self.outputs = [(name, new if value is old else value) for name, value in self.outputs]
        self.forget(old)

    def forget(self, value: Value) -> None:
        """Drops a node that nothing reads, and then those that only it read."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if value.users or value.op is None or self.is_output(value):
                continue
            inputs, value.inputs, value.op = value.inputs, [], None
            for x in inputs:
                x.users.remove(value)
            waiting.extend(inputs)

    def drop(self, value: Value) -> None:
        """Drops a node that nothing reads; what it read stays."""
        assert not value.users
        for x in value.inputs:
            x.users.remove(value)
        value.inputs, value.op = [], None

    def exchange(self, first: Value, second: Value) -> None:
        """Each takes the other's name and place in the text: of two nodes that swap what they do."""
        for field in ("name", "origin", "group", "frozen"):
            one, other = getattr(first, field), getattr(second, field)
            setattr(first, field, other)
            setattr(second, field, one)

    def live(self) -> Iterator[Value]:
        """The nodes as they are now; those that a pass forgets on the way are passed over."""
        for value in list(self.nodes):
            if value.op is not None:
                yield value

    def live_backwards(self) -> Iterator[Value]:
        """The same, from the last to the first."""
        for value in self.nodes[::-1]:
            if value.op is not None:
                yield value

    def to_graph(self) -> Graph[TensorType]:
        """The graph of what the outputs need, in an order of execution that keeps the old one where it can."""
        order: list[Value] = []
        done: set[int] = {id(value) for value in self.inputs}
        for root in sorted((value for _, value in self.outputs), key=lambda v: v.rank):
            stack = [root]
            while stack:
                value = stack[-1]
                if id(value) in done:
                    stack.pop()
                    continue
                waiting = [x for x in value.inputs if id(x) not in done]
                if waiting:
                    stack.extend(sorted(waiting, key=lambda v: -v.rank))
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
