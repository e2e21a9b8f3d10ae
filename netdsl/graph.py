"""What is the network?  A graph that keeps its blocks.

A node is a primitive, a call of a block whose body is a graph of its own, or a repeat. Equal calls share one body, so
cost grows with what is *different*, not with what is long: a thousand equal blocks are one body and a count.

    %0, %1 …            values: first the inputs of the graph, then the outputs of its nodes, in order
    Graph[Draft]        as elaborated: a node that failed has type Unknown
    Graph[TensorType]   as checked: only this can be given to a backend
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Generic, TypeVar, cast

from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Formula, Size, Traced, substitute, total, trace_of
from netdsl.source import Origin
from netdsl.types import Draft, TensorType

T = TypeVar("T", bound=Draft)


class Input(Record, Generic[T]):
    """A tensor that comes from outside; `origin` is the line that declares it, where a net does."""

    name: str
    type: T
    origin: Origin = ()


class Output(Record):
    """A value that goes outside; `training` ones do only in training."""

    name: str
    value: int
    training: bool = False


class Given(Record):
    """A number that a body was built with: its name there, and its value, in the terms of the caller."""

    name: str
    value: Size


class Call(Record, Generic[T]):
    """One application of a body."""

    body: Graph[T]
    args: tuple[Given, ...] = ()

    @property
    def name(self) -> str:
        return self.body.name


class Run(Record, Generic[T]):
    """`count` equal applications, one after the other, each with weights of its own.

    `captured` says which inputs of the repeat the body takes beside the running tensor.
    """

    call: Call[T]
    count: int
    captured: tuple[int, ...] = ()


class Repeat(Record, Generic[T]):
    """`f * n`, and `for`: the runs in sequence."""

    runs: tuple[Run[T], ...]

    @property
    def name(self) -> str:
        return "repeat"

    @property
    def count(self) -> int:
        return sum(run.count for run in self.runs)


class Node(Record, Generic[T]):
    """One element. `inputs` are value numbers; it makes one value, of type `type`."""

    name: str
    op: Op | Call[T] | Repeat[T]
    inputs: tuple[int, ...]
    type: T
    origin: Origin = ()
    group: str = ""
    """The label of the line it belongs to."""
    frozen: bool = False
    shortcut: bool = False
    """Whether `match` put it there."""


class Graph(Record, Generic[T]):
    """A net, the body of a block, or an unnamed path (`kind`: net, block, path)."""

    name: str
    kind: str
    inputs: tuple[Input[T], ...]
    nodes: tuple[Node[T], ...]
    outputs: tuple[Output, ...]
    arguments: tuple[Given, ...] = ()
    """The numbers that the body was built with: they are the parameters of a class made from it."""
    context: str = ""
    """The suffix of this body's symbols in traces (`c@3`); paths share that of the body around them."""
    pinned: frozenset[str] = frozenset()
    """Numbers on which the structure depends: a class made from this graph cannot take them as parameters."""
    agreed: tuple[tuple[Size, Size], ...] = ()
    """Traces that have to agree for this structure to hold: whether they always do, the caller knows."""
    title: str = ""
    """How the call was written, without the numbers: `residual(bottleneck)`."""

    def type_of(self, value: int) -> T:
        if value < len(self.inputs):
            return self.inputs[value].type
        return self.nodes[value - len(self.inputs)].type

    @property
    def is_chain(self) -> bool:
        """Whether each node takes just the value before it, and the last one is the output."""
        steps = all(node.inputs == (i,) for i, node in enumerate(self.nodes))
        return steps and len(self.inputs) == 1 and len(self.outputs) == 1 and self.outputs[0].value == len(self.nodes)

    @property
    def is_sequential(self) -> bool:
        """Whether it is written as a plain sequence of modules, whose names are then numbers.

        Unnamed paths are, where they are chains; so is a block that does nothing but call others in sequence.
        """
        if self.kind == "net" or not self.is_chain or not self.nodes:
            return False
        return self.kind == "path" or all(not isinstance(node.op, Op) for node in self.nodes)


def parts(op: Op | Call[T] | Repeat[T]) -> tuple[Run[T], ...]:
    """The bodies inside an element, with how often each is applied."""
    if isinstance(op, Call):
        return (Run(op, 1),)
    return op.runs if isinstance(op, Repeat) else ()


def in_callers_terms(call: Call[T], x: T) -> dict[str, Size]:
    """What the symbols of a body's traces are for the caller: its arguments, and `C`, the channels of `x`."""
    if call.body.kind == "path":
        return {}  # a path speaks of the numbers of the body around it
    context = call.body.context
    env: dict[str, Size] = {given.name + context: trace_of(given.value) for given in call.args}
    if isinstance(x, TensorType):
        env["C" + context] = trace_of(x.channels)
    return env


def output_of(call: Call[T], x: T) -> T:
    """The type of a call's output in the terms of the caller: traces speak of the caller's numbers, not the body's."""
    type = call.body.type_of(call.body.outputs[0].value)
    if not isinstance(type, TensorType) or not isinstance(type.channels, Traced):
        return type
    trace = substitute(type.channels.trace, in_callers_terms(call, x))
    channels = Traced(int(type.channels), trace) if isinstance(trace, Formula) else int(type.channels)
    return cast(T, TensorType((channels, *type.spatial)))


def bodies(graph: Graph[T]) -> list[Graph[T]]:
    """Every different body inside `graph`, callees first, `graph` itself last."""
    done: dict[int, Graph[T]] = {}
    stack: list[tuple[Graph[T], bool]] = [(graph, False)]
    while stack:
        body, ready = stack.pop()
        if id(body) in done:
            continue
        if ready:
            done[id(body)] = body
            continue
        stack.append((body, True))
        for node in [node for node in reversed(body.nodes) if not isinstance(node.op, Op)]:
            stack.extend((run.call.body, False) for run in reversed(parts(node.op)) if id(run.call.body) not in done)
    return list(done.values())


def fold(graph: Graph[T], measure: Callable[[Graph[T], Node[T]], Size]) -> dict[int, Size]:
    """The sum of `measure` over all primitives of each body (by id), repeats counted: work grows with what differs."""
    totals: dict[int, Size] = {}
    for body in bodies(graph):
        totals[id(body)] = total(total_of(body, node, measure, totals) for node in body.nodes)
    return totals


def size_unrolled(graph: Graph[T]) -> int:
    """How many elements the network has with repeats counted."""
    total = fold(graph, lambda body, node: 1)[id(graph)]
    assert isinstance(total, int)
    return total


def total_of(
    body: Graph[T], node: Node[T], measure: Callable[[Graph[T], Node[T]], Size], totals: dict[int, Size]
) -> Size:
    if isinstance(node.op, Op):
        return measure(body, node)
    return total(run.count * totals[id(run.call.body)] for run in parts(node.op))


def live(graph: Graph[T], training: bool = False) -> frozenset[int]:
    """The indices of the nodes on which the outputs depend; without `training`, those of inference."""
    needed = {out.value for out in graph.outputs if training or not out.training}
    for i in range(len(graph.nodes) - 1, -1, -1):
        if len(graph.inputs) + i in needed:
            needed.update(graph.nodes[i].inputs)
    return frozenset(v - len(graph.inputs) for v in needed if v >= len(graph.inputs))


# --- the flat view ---------------------------------------------------------------------------------------------


class Layer(Record):
    """One primitive of the unrolled network: its path (that of its parameters), its types, where it came from."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    type: TensorType
    origin: Origin
    frozen: bool = False
    training: bool = False

    @property
    def params(self) -> int:
        return self.op.params(self.input_types)

    @property
    def macs(self) -> Size:
        return self.op.macs(self.input_types, self.type)


def join_path(*names: str) -> str:
    return ".".join(name for name in names if name)


def step_names(body: Graph[T]) -> list[str]:
    """The name of each node's module within `body`; those of a repeat's steps follow from `repeat_step`.

    In a sequential body the names count modules from 0, and a repeat takes as many numbers as it has steps.
    """
    if not body.is_sequential:
        return [node.name for node in body.nodes]
    if len(body.nodes) == 1 and not isinstance(body.nodes[0].op, Repeat) and body.kind == "path":
        return [""]  # a path of one element is that element
    names, at = [], 0
    for node in body.nodes:
        names.append(str(at))
        at += node.op.count if isinstance(node.op, Repeat) else 1
    return names


def repeat_step(body: Graph[T], name: str, step: int) -> str:
    """The module name of step `step` of the repeat called `name` in `body`."""
    return str(int(name) + step) if body.is_sequential else f"{name}.{step}"


def layers(graph: Graph[TensorType], training: bool = False) -> Iterator[Layer]:
    """Every primitive in order of execution, on the inference path; with `training`, on the training path too."""
    wanted, inference = live(graph, training), live(graph)
    names = [input.name for input in graph.inputs]
    types = [input.type.plain() for input in graph.inputs]
    for i, node in unroll(graph, list(range(len(names))), wanted):
        assert isinstance(node.op, Op)
        inputs, of = tuple(names[v] for v in node.inputs), tuple(types[v] for v in node.inputs)
        yield Layer(node.name, node.op, inputs, of, node.type, node.origin, node.frozen, i not in inference)
        names.append(node.name)
        types.append(node.type)


def unroll(
    body: Graph[TensorType],
    values: list[int],
    wanted: frozenset[int] | None = None,
    fresh: Iterator[int] | None = None,
    path: str = "",
    origin: Origin = (),
    group: str = "",
    frozen: bool = False,
) -> Iterator[tuple[int, Node[TensorType]]]:
    """Every primitive, as a node of the flat graph that is named by its path, with the index of the node it came from.

    `values` maps the body's values to those of the flat graph: it holds the inputs, and is extended by the nodes.
    `wanted` leaves out other nodes of the body itself.
    """
    fresh = fresh or count(len(values))
    steps = step_names(body)
    for i, node in enumerate(body.nodes):
        if wanted is not None and i not in wanted:
            values.append(-1)
            continue
        own = join_path(path, steps[i])
        inputs = [values[v] for v in node.inputs]
        where, label, holds = node.origin + origin, group or node.group, frozen or node.frozen
        if isinstance(node.op, Op):
            yield i, Node(own or node.name, node.op, tuple(inputs), node.type.plain(), where, label, holds)
            values.append(next(fresh))
            continue
        current, step = inputs[0], 0
        for run in parts(node.op):
            taken = [inputs[k] for k in run.captured] if isinstance(node.op, Repeat) else inputs[1:]
            for _ in range(run.count):
                at = join_path(path, repeat_step(body, steps[i], step)) if isinstance(node.op, Repeat) else own
                inner = [current, *taken]
                for _, flat in unroll(run.call.body, inner, None, fresh, at, where, label, holds):
                    yield i, flat
                current = inner[run.call.body.outputs[0].value]
                step += 1
        values.append(current)


# --- verification and the printed form -------------------------------------------------------------------------


def verify(graph: Graph[TensorType]) -> None:
    """Re-derives every type from the ops and checks the wiring; raises AssertionError on a bug of ours.

    The tests run it on every network and after every pass: it trusts nothing that they stored.
    """
    from netdsl.prove import Prover

    for body in bodies(graph):
        prove = Prover()
        for symbol in frozenset[str]().union(*(input.type.symbols for input in body.inputs)):
            prove.declare(symbol)
        names = [node.name for node in body.nodes]
        assert len(set(names)) == len(names), f"{body.name}: two nodes have one name"
        for i, node in enumerate(body.nodes):
            assert isinstance(node.type, TensorType), f"{body.name}.{node.name} has no type"
            assert all(0 <= v < len(body.inputs) + i for v in node.inputs), (
                f"{body.name}.{node.name} reads a later value"
            )
            types = tuple(body.type_of(v) for v in node.inputs)
            assert _derived(node, types, prove) == node.type, (
                f"{body.name}.{node.name}: {node.type} is not what its op gives"
            )
        assert all(0 <= out.value < len(body.inputs) + len(body.nodes) for out in body.outputs), body.name


def _derived(node: Node[TensorType], types: tuple[TensorType, ...], prove: object) -> TensorType:
    from netdsl.prove import Prover

    assert isinstance(prove, Prover)
    if isinstance(node.op, Op):
        return node.op.infer(types, prove)
    current = types[0] if types else None
    for run in parts(node.op):
        taken = tuple(types[k] for k in run.captured) if isinstance(node.op, Repeat) else types[1:]
        body = run.call.body
        assert tuple(input.type for input in body.inputs) == (current, *taken), f"{body.name}: called with other types"
        current = body.type_of(body.outputs[0].value)
        assert run.count == 1 or body.inputs[0].type == current, f"{body.name}: repeated, but its type changes"
    assert current is not None
    return current


def show_graph(graph: Graph[T]) -> str:
    """The printed form: every body once, callees after the graph that uses them."""
    every = bodies(graph)[::-1]
    tags = {
        id(body): f"{body.title or body.name}#{i}" if i else body.title or body.name for i, body in enumerate(every)
    }
    return "\n\n".join(_show_body(body, tags) for body in every) + "\n"


def _show_body(body: Graph[T], tags: dict[int, str]) -> str:
    heads = ", ".join(f"%{input.name} : {input.type}" for input in body.inputs)
    lines = [f"{body.kind} {tags[id(body)]}({heads})"]
    values = [f"%{input.name}" for input in body.inputs] + [f"%{node.name}" for node in body.nodes]
    for node in body.nodes:
        args = ", ".join(values[v] for v in node.inputs)
        lines.append(
            f"  %{node.name} = {_show_op(node.op, tags)}({args}) : {node.type}" + ("  frozen" if node.frozen else "")
        )
    for out in body.outputs:
        lines.append(
            f"  {'training ' if out.training else ''}return {out.name} {values[out.value]}".replace("  ", "  ")
        )
    return "\n".join(lines)


def _show_op(op: Op | Call[T] | Repeat[T], tags: dict[int, str]) -> str:
    if isinstance(op, Op):
        attributes = ", ".join(
            f"{name}={_show_value(getattr(op, name))}"
            for name in op.fields
            if getattr(op, name) != op.optional.get(name)
        )
        return f"{op.name}[{attributes}]" if attributes else op.name
    inside = " -> ".join(
        f"{tags[id(run.call.body)]}{_show_args(run.call)}" + (f" * {run.count}" if run.count > 1 else "")
        for run in parts(op)
    )
    return f"call {inside}" if isinstance(op, Call) else f"repeat[{inside}]"


def _show_value(value: object) -> str:
    """Records say themselves what they are, in tuples too."""
    if isinstance(value, tuple) and value and all(isinstance(part, Record) for part in value):
        return f"({' -> '.join(map(str, value))})"
    return str(value)


def _show_args(call: Call[T]) -> str:
    return f"[{', '.join(f'{given.name}={given.value}' for given in call.args)}]" if call.args else ""
