"""Does it keep its budgets?  What was built is measured; an error shows what costs the most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil, floor

from netdsl.analysis.cost import Measure, cost
from netdsl.analysis.depth import layer_counts, longest_path
from netdsl.analysis.receptive import Reach, Receptive, last_map
from netdsl.analysis.seen import Seen
from netdsl.budget import Budget, impossible
from netdsl.devices import BYTES
from netdsl.diagnostic import Diagnostic, Label, diagnose
from netdsl.domain import ANY, solve_at_least
from netdsl.graph import Call, Graph, Node, live
from netdsl.network import Elaborated
from netdsl.ops import Op
from netdsl.prove import nearest_sizes
from netdsl.record import Record
from netdsl.size import Size, substitute, symbols, total
from netdsl.source import Origin, Span, place_of
from netdsl.types import TensorType

SHOWN = 3
"""So many of the elements that cost the most are shown."""


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


def over_budget(graph: Graph[TensorType], elaborated: Elaborated) -> list[Diagnostic]:
    """The budgets that the network does not keep, and those that nothing can."""
    found = []
    hopeless: set[Span] = set()
    for budget, why, others in impossible(list(elaborated.budgets)):
        found.append(diagnose("E0605", why, (budget.span,), others=others))
        hopeless.update((budget.span, *[other.span for other in others]))
    for budget in elaborated.budgets:
        if budget.span not in hopeless:
            fault = broken(graph, elaborated, budget)
            if fault is not None:
                found.append(fault)
    return found


def broken(graph: Graph[TensorType], elaborated: Elaborated, budget: Budget) -> Diagnostic | None:
    """What is to be said of a budget; None where the network keeps it."""
    measured = MEASURES[budget.name](graph, budget)
    value = measured.value
    open_ = symbols(value) if not isinstance(value, float) else frozenset()
    if budget.sizes and open_ and not isinstance(value, float):
        misfit = unfit(elaborated, budget)
        if misfit is not None:
            return misfit
        value = substitute(value, dict(budget.sizes))
        open_ = symbols(value)
    if open_ and not isinstance(value, float):
        return undecided(elaborated, budget, value)
    assert not isinstance(value, float) or value >= 0
    number = value if isinstance(value, float) else int(value)  # type: ignore[arg-type]
    return None if budget.admits(number) else overspent(graph, budget, number, measured.parts())


def undecided(elaborated: Elaborated, budget: Budget, value: Size) -> Diagnostic | None:
    """What is to be said of a quantity that depends on open sizes; None where the budget holds for all of them."""
    if holds_for_all(elaborated, budget, value):
        return None
    names = sorted(symbols(value))
    sizes = ", ".join(f"{name}={fitting(elaborated, name, 224)}" for name in names)
    text = str(value) if len(str(value)) <= 100 else "a formula"
    asked = budget.span.text.partition(budget.op)[0].strip()
    inside = f"{asked[:-1]}, {sizes})" if asked.endswith(")") else f"{asked}({sizes})"
    return diagnose(
        "E0604",
        f"whether this budget is kept depends on {' and '.join(names)}",
        (budget.span,),
        f"{budget.name} = {text}" if text != "a formula" and budget.quantity.of == "count" else "",
        helps=(
            f"say for which sizes: `{inside} {budget.op} {budget.asked}`",
            "or give the input sizes when it is checked: `netdsl check --input SIZES`",
        ),
    )


def fitting(elaborated: Elaborated, name: str, wanted: int) -> int:
    """The admitted size next to one that is wanted."""
    domain = elaborated.prove.domains[name]
    return wanted if domain.admits(wanted) else nearest_sizes(domain, wanted)[-1]


def unfit(elaborated: Elaborated, budget: Budget) -> Diagnostic | None:
    """What is to be said where a budget speaks of a size that the network does not take."""
    for name, size in budget.sizes.items():
        domain = elaborated.prove.domains.get(name, ANY)
        if not domain.admits(size):
            reason = domain.describe(name)
            message = f"this budget speaks of {name} = {size}, which does not fit: {reason}"
            fits = " or ".join(map(str, nearest_sizes(domain, size)))
            return diagnose("E0310", message, (budget.span,), helps=(f"{name} = {fits} fits",))
    return None


def holds_for_all(elaborated: Elaborated, budget: Budget, value: Size) -> bool:
    """Whether a budget is kept whatever the open sizes are."""
    domains = elaborated.prove.domains
    if budget.op in (">", ">="):
        least = floor(budget.bound) + 1 if budget.op == ">" else ceil(budget.bound)
        return solve_at_least(value, least, domains).kind == "always"
    if budget.op in ("<", "<="):
        most = ceil(budget.bound) - 1 if budget.op == "<" else floor(budget.bound)
        return solve_at_least(most - value, 0, domains).kind == "always"
    return False


def overspent(graph: Graph[TensorType], budget: Budget, value: int | float, parts: list[Part]) -> Diagnostic:
    """The fault: by how much the budget is missed, and the elements that make up the most."""
    quantity = budget.quantity
    short = value < budget.bound
    difference = abs(Fraction(value) - budget.bound)
    if difference:
        share = in_proportion(Fraction(value), difference, budget.bound)
        by = f"{amount(difference, quantity.of)} {'too little' if short else 'too much'}{share}"
        if quantity.of in ("count", "pixels"):
            by = by.replace("too little", "too few").replace("too much", "too many")
    else:
        by = "just that, which this budget excludes"
    allowed = ALLOWED[budget.op].format(budget.asked)
    at = "".join(f" {'at' if i == 0 else 'and'} {name} = {size}" for i, (name, size) in enumerate(budget.sizes.items()))
    message = f"`{graph.name}` {quantity.said.format(amount(value, quantity.of))}{at}, and {allowed}"
    whole = sum(part.amount for part in parts)
    largest = [part for part in sorted(parts, key=lambda part: -part.amount)[:SHOWN] if part.amount * 50 >= whole > 0]
    others = [
        Label(place_of(part.origin), amount(part.amount, quantity.of) + share_of(part, whole)) for part in largest
    ]
    helps = [f"a budget of `{budget.name}` in `{graph.name}` takes the place of its base's"] if budget.inherited else []
    return diagnose("E0601", message, (budget.span,), by, others=others, notes=notes(largest), helps=helps)


def in_proportion(value: Fraction, difference: Fraction, bound: int | Fraction) -> str:
    """` (24.8 %)`; ` (17 times)` of what is far beyond its bound."""
    if bound <= 0:
        return ""
    return (
        f" ({float(value / bound):,.0f} times)"
        if value >= 10 * bound
        else f" ({float(100 * difference / bound):.1f} %)"
    )


ALLOWED = {
    "<": "less than {} is required",
    "<=": "at most {} is required",
    ">": "more than {} is required",
    ">=": "at least {} is required",
    "==": "just {} is required",
    "!=": "anything but {} is required",
}


def share_of(part: Part, total: int | float) -> str:
    """` (74 %)`; nothing for small counts, which can be compared by eye."""
    return f" ({100 * part.amount / total:.0f} %)" if total > 1000 or isinstance(total, float) else ""


def notes(largest: list[Part]) -> Iterator[str]:
    """How the most expensive element comes to its cost."""
    for part in largest[:1]:
        if part.worked:
            yield f"{part.name}: {part.worked}"


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
        if not symbols(size) and int(size):  # type: ignore[arg-type]
            parts.append(Part(name_of(node), node.origin, int(size), worked(body, node)))  # type: ignore[arg-type]
    return parts


def worked_params(body: Graph[TensorType], node: Node[TensorType]) -> str:
    """`128*(3*3*64 + 1) = 73,856`."""
    types = tuple(body.type_of(v) for v in node.inputs)
    return node.op.worked(types, node.type).params if isinstance(node.op, Op) else ""


def worked_macs(body: Graph[TensorType], node: Node[TensorType]) -> str:
    """`(56*56*128)*(3*3*64) = 231,211,008`; nothing where sizes are open."""
    types = tuple(body.type_of(v) for v in node.inputs)
    return node.op.worked(types, node.type).macs if isinstance(node.op, Op) and not node.type.symbols else ""


def _params(graph: Graph[TensorType], budget: Budget) -> Measured:
    measure = Measure(graph)
    return Measured(cost(graph).params, lambda: summed(graph, measure.params, True, worked_params))


def _trainable(graph: Graph[TensorType], budget: Budget) -> Measured:
    measure = Measure(graph)

    def each(body: Graph[TensorType], node: Node[TensorType]) -> int:
        return 0 if node.frozen else measure.params(body, node)

    return Measured(cost(graph).trainable_params, lambda: summed(graph, each, True, worked_params))


def _weights(graph: Graph[TensorType], budget: Budget) -> Measured:
    measure, width = Measure(graph), BYTES[str(budget.options.get("dtype", "fp32"))]
    return Measured(
        width * cost(graph).params, lambda: summed(graph, lambda body, node: width * measure.params(body, node), True)
    )


def _macs(graph: Graph[TensorType], budget: Budget) -> Measured:
    return _multiplied(graph, budget, 1)


def _flops(graph: Graph[TensorType], budget: Budget) -> Measured:
    return _multiplied(graph, budget, 2)


def _multiplied(graph: Graph[TensorType], budget: Budget, times: int) -> Measured:
    measure = Measure(graph)

    def each(body: Graph[TensorType], node: Node[TensorType]) -> Size:
        return substitute(times * measure.macs(body, node), dict(budget.sizes))

    return Measured(
        times * cost(graph).macs, lambda: summed(graph, each, worked=worked_macs if times == 1 else no_work)
    )


def _counted(graph: Graph[TensorType], counts: dict[int, int]) -> Measured:
    nodes = [(graph.nodes[i], n) for i, n in counts.items() if n]
    return Measured(sum(counts.values()), lambda: [Part(name_of(node), node.origin, n) for node, n in nodes])


def _layers(graph: Graph[TensorType], budget: Budget) -> Measured:
    return _counted(graph, layer_counts(graph))


def _depth(graph: Graph[TensorType], budget: Budget) -> Measured:
    return _counted(graph, longest_path(graph))


def _receptive(graph: Graph[TensorType], budget: Budget) -> Measured:
    """What a place of the last map sees of the input, on the axis where that is nearest to breaking the budget."""
    receptive = Receptive()
    fields = receptive.fields(graph)
    field = last_map(receptive, graph, fields, live(graph)) or {}
    extreme = min if budget.op in (">", ">=") else max
    rows = {seen: seen_rows(graph, seen, field[seen]) for seen in field if seen[1] > 0}
    open_ = [size for size in rows.values() if not isinstance(size, int)]
    if open_ or not rows:
        return Measured(open_[0] if open_ else 0, list)
    axis = extreme(rows, key=lambda seen: int(str(rows[seen])))

    def parts() -> list[Part]:
        found = []
        known = [seen_rows(graph, axis, at[axis]) if axis in at else 0 for at in fields]
        for i, node in enumerate(graph.nodes):
            before = max([size for v in node.inputs if isinstance(size := known[v], int)], default=0)
            after = known[len(graph.inputs) + i]
            if isinstance(after, int) and before < after <= rows[axis]:  # type: ignore[operator]
                found.append(Part(name_of(node), node.origin, after - before))
        return found

    return Measured(rows[axis], parts)


def seen_rows(graph: Graph[TensorType], axis: tuple[int, int], seen: Seen) -> Size:
    """How many rows of an axis of an input a place sees; all there are, where it is not known to see fewer."""
    whole = graph.inputs[axis[0]].type.plain().shape[axis[1]]
    return whole if (size := Reach("", "", whole, seen).size) is None else size


def _time(graph: Graph[TensorType], budget: Budget) -> Measured:
    """The floor on a device (`roofline.py`): a network can be slower, and no network is faster."""
    from netdsl.devices import DEVICES
    from netdsl.passes.inline import inline
    from netdsl.passes.retype import retype
    from netdsl.roofline import floor as floor_of

    shapes = [[substitute(size, dict(budget.sizes)) for size in input.type.plain().shape] for input in graph.inputs]
    open_ = [size for shape in shapes for size in shape if not isinstance(size, int)]
    if open_:
        return Measured(total(open_), list)
    flat = retype(inline(graph), [tuple([int(size) for size in shape if isinstance(size, int)]) for shape in shapes])
    options = budget.options
    device, batch = DEVICES[str(options.get("device", "h200"))], int(options.get("batch", 1))
    found = floor_of(flat, "fused", device, str(options.get("dtype", "bf16")), batch)
    origins = {node.name: node.origin for node in flat.nodes}

    def parts() -> list[Part]:
        seconds: dict[Origin, float] = {}
        for element in found.elements:
            place = origins.get(element.name, ())[-1:]
            seconds[place] = seconds.get(place, 0) + element.seconds
        return [Part("", place, spent) for place, spent in seconds.items() if place]

    return Measured(found.seconds, parts)


MEASURES: dict[str, Callable[[Graph[TensorType], Budget], Measured]] = {
    "params": _params,
    "trainable_params": _trainable,
    "weights": _weights,
    "macs": _macs,
    "flops": _flops,
    "layers": _layers,
    "depth": _depth,
    "receptive_field": _receptive,
    "time": _time,
}


# --- amounts in words ------------------------------------------------------------------------------------------


def amount(value: int | float | Fraction, of: str) -> str:
    """`1,248,424`; `4.99 MB`; `1.2 ms`."""
    if of == "bytes":
        return shown(value, (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)), "bytes")
    if of == "seconds":
        return shown(value * 10**6, (("s", 10**6), ("ms", 10**3)), "us")
    return f"{int(value):,}" if value == int(value) else f"{float(value):,.1f}"


def shown(value: int | float | Fraction, units: tuple[tuple[str, int], ...], least: str) -> str:
    for unit, factor in units:
        if value >= factor:
            return (
                f"{float(value / factor):,.3g} {unit}"
                if value < 1000 * factor
                else f"{float(value / factor):,.0f} {unit}"
            )
    return f"{float(value):,.3g} {least}"
