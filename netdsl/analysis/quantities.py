"""How much of a quantity does a network have?  What budgets limit, measured, and the elements that make it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from netdsl.analysis.cost import Measure
from netdsl.analysis.depth import layer_counts, longest_path
from netdsl.analysis.receptive import Receptive, receptive_field
from netdsl.budget import Budget
from netdsl.devices import BYTES, DEVICES
from netdsl.graph import Call, Graph, Node, live
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Size, symbols, total
from netdsl.source import Origin, place_of
from netdsl.types import TensorType


class Part(Record):
    """What one element of the network costs."""

    name: str
    origin: Origin
    amount: int | float
    worked: str = ""
    """How that comes about: `128*(3*3*64 + 1) = 73,856`."""


class Measured(Record):
    """A quantity of a network, and the elements that make it up, which are looked at for an error alone."""

    value: Size | float
    parts: Callable[[], list[Part]]
    terms: Mapping[str, int] = {}
    """What it is the sum of, where the elements are not: then their parts are the sizes of what they make."""


def measured(net: Net, budget: Budget) -> Measured:
    """The quantity that a budget limits."""
    return MEASURES[budget.name](net, budget)


def whole(size: Size) -> int:
    """A size that is known to be a number."""
    assert isinstance(size, int), size
    return int(size)


# --- what costs how much ---------------------------------------------------------------------------------------


def elements(graph: Graph[TensorType], training: bool = False) -> Iterator[tuple[Graph[TensorType], Node[TensorType]]]:
    """The elements of the network's lines, those of a labelled sequence one by one, with the body they are in."""
    for i in sorted(live(graph, training)):
        yield from _opened(graph, graph.nodes[i])


def _opened(body: Graph[TensorType], node: Node[TensorType]) -> Iterator[tuple[Graph[TensorType], Node[TensorType]]]:
    if isinstance(node.op, Call) and node.op.body.kind == "path":
        for inner in node.op.body.nodes:
            yield from _opened(node.op.body, inner.replace(frozen=inner.frozen or node.frozen))
    else:
        yield body, node


def name_of(node: Node[TensorType]) -> str:
    text = " ".join(place_of(node.origin).text.split())
    return f"`{text}`" if len(text) <= 30 and "`" not in text else f"`{node.name}`"


def no_work(body: Graph[TensorType], node: Node[TensorType]) -> str:
    """For amounts that need no explanation."""
    return ""


def summed(
    graph: Graph[TensorType],
    each: Callable[[Graph[TensorType], Node[TensorType]], Size],
    training: bool = False,
    worked: Callable[[Graph[TensorType], Node[TensorType]], str] = no_work,
) -> list[Part]:
    """The part of each element, by a measure of it; what stays open has none."""
    parts = []
    for body, node in elements(graph, training):
        size = each(body, node)
        if not symbols(size) and size != 0:
            parts.append(Part(name_of(node), node.origin, whole(size), worked(body, node)))
    return parts


def worked_params(body: Graph[TensorType], node: Node[TensorType]) -> str:
    """`128*(3*3*64 + 1) = 73,856`."""
    types = tuple(body.type_of(v) for v in node.inputs)
    return node.op.worked(types, node.type).params if isinstance(node.op, Op) else ""


def worked_macs(body: Graph[TensorType], node: Node[TensorType]) -> str:
    """`(56*56*128)*(3*3*64) = 231,211,008`; nothing where sizes are open."""
    types = tuple(body.type_of(v) for v in node.inputs)
    return node.op.worked(types, node.type).macs if isinstance(node.op, Op) and not node.type.symbols else ""


def _params(net: Net, budget: Budget) -> Measured:
    measure = Measure(net.graph)
    return Measured(net.params, lambda: summed(net.graph, measure.params, True, worked_params))


def _trainable(net: Net, budget: Budget) -> Measured:
    measure = Measure(net.graph)

    def each(body: Graph[TensorType], node: Node[TensorType]) -> int:
        return 0 if node.frozen else measure.params(body, node)

    return Measured(net.trainable_params, lambda: summed(net.graph, each, True, worked_params))


def _weights(net: Net, budget: Budget) -> Measured:
    measure, width = Measure(net.graph), BYTES[str(budget.options.get("dtype", "fp32"))]

    def each(body: Graph[TensorType], node: Node[TensorType]) -> int:
        return width * measure.params(body, node)

    return Measured(width * net.params, lambda: summed(net.graph, each, True))


def _macs(net: Net, budget: Budget) -> Measured:
    measure = Measure(net.graph)
    return Measured(net.macs, lambda: summed(net.graph, measure.macs, worked=worked_macs))


def _flops(net: Net, budget: Budget) -> Measured:
    measure = Measure(net.graph)
    return Measured(2 * net.macs, lambda: summed(net.graph, lambda body, node: 2 * measure.macs(body, node)))


def _counted(net: Net, counts: dict[int, int]) -> Measured:
    nodes = [(net.graph.nodes[i], n) for i, n in counts.items() if n]
    return Measured(sum(counts.values()), lambda: [Part(name_of(node), node.origin, n) for node, n in nodes])


def _layers(net: Net, budget: Budget) -> Measured:
    return _counted(net, layer_counts(net.graph))


def _depth(net: Net, budget: Budget) -> Measured:
    return _counted(net, longest_path(net.graph))


def _receptive(net: Net, budget: Budget) -> Measured:
    """What a place of the last map sees of the input, on the axis where that is nearest to breaking the budget."""
    reaches = [reach for reach in receptive_field(net) if reach.axis != "C"]
    sizes = [reach.rows if reach.size is None else reach.size for reach in reaches]
    open_ = [size for size in sizes if not isinstance(size, int)]
    if open_ or not sizes:
        return Measured(open_[0] if open_ else 0, list)
    extreme = min if budget.op in (">", ">=") else max
    rows, reach = extreme([(whole(size), reach) for size, reach in zip(sizes, reaches)], key=lambda pair: pair[0])

    def parts() -> list[Part]:
        """How much further each element sees than what it reads."""
        from netdsl.analysis.receptive import reaches_of

        fields = [reaches_of(net, field) for field in Receptive(net.shown).fields(net.graph)]
        known = [
            next((r.size for r in field if (r.input, r.axis) == (reach.input, reach.axis)), 0) or 0 for field in fields
        ]
        found = []
        for i, node in enumerate(net.graph.nodes):
            before = max([size for v in node.inputs if isinstance(size := known[v], int)], default=0)
            after = known[len(net.graph.inputs) + i]
            if isinstance(after, int) and before < after <= rows:
                found.append(Part(name_of(node), node.origin, after - before))
        return found

    return Measured(rows, parts)


def open_sizes(net: Net) -> Size:
    """Something that depends on all the open sizes of the inputs; 0 where there are none."""
    return total([size for shape in net.inputs.values() for size in shape if symbols(size)])


def _memory(net: Net, budget: Budget) -> Measured:
    """The peak of inference, or of a step of training, as `analysis/memory.py` schedules it."""
    from netdsl.analysis.memory import memory

    if symbols(open_sizes(net)):
        return Measured(open_sizes(net), list)
    options = budget.options
    batch, dtype = int(options.get("batch", 1)), str(options.get("dtype", "fp32")).replace("tf32", "fp32")
    found = memory(net, batch, dtype, str(options.get("optimiser", "sgd")))
    training = "training" in options

    def each(body: Graph[TensorType], node: Node[TensorType]) -> Size:
        return BYTES[dtype] * batch * node.type.elements

    if training:
        terms = {
            "parameters": found.parameters,
            "running statistics": found.buffers,
            "input": found.inputs,
            "state of the optimiser": found.state,
            "activations and gradients": max(found.backward, found.gradients),
        }
    else:
        terms = {
            "parameters": found.parameters,
            "running statistics": found.buffers,
            "input": found.inputs,
            "activations": found.activations,
        }
    return Measured(
        found.training if training else found.inference,
        lambda: summed(net.graph, each),
        {name: size for name, size in terms.items() if size},
    )


def _time(net: Net, budget: Budget) -> Measured:
    """The floor on a device (`roofline.py`): a network can be slower, and no network is faster."""
    from netdsl.passes.inline import inline
    from netdsl.roofline import floor_of

    if symbols(open_sizes(net)):
        return Measured(open_sizes(net), list)
    options = budget.options
    device, batch = DEVICES[str(options.get("device", "h200"))], int(options.get("batch", 1))
    found = floor_of(net, "fused", device, str(options.get("dtype", "bf16")), batch)

    def parts() -> list[Part]:
        origins = {node.name: node.origin for node in inline(net.graph).nodes}
        seconds: dict[Origin, float] = {}
        for element in found.elements:
            place = origins.get(element.name, ())[-1:]
            seconds[place] = seconds.get(place, 0) + element.seconds
        return [Part("", place, spent) for place, spent in seconds.items() if place]

    return Measured(found.seconds, parts)


MEASURES: dict[str, Callable[[Net, Budget], Measured]] = {
    "params": _params,
    "trainable_params": _trainable,
    "weights": _weights,
    "macs": _macs,
    "flops": _flops,
    "layers": _layers,
    "depth": _depth,
    "receptive_field": _receptive,
    "memory": _memory,
    "time": _time,
}
