"""Does it keep its budgets?  What was built is measured; an error shows what costs the most."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor

from netdsl.amounts import bytes_text, time_text
from netdsl.analysis.quantities import Measured, Part, measured, whole
from netdsl.budget import Budget, impossible
from netdsl.checking import check
from netdsl.diagnostic import Diagnostic, Label, Repair, diagnose
from netdsl.domain import ANY, solve_at_least
from netdsl.driver import Checked
from netdsl.graph import size_unrolled
from netdsl.net import Net
from netdsl.network import Elaborated, elaborate
from netdsl.options import Options
from netdsl.prove import nearest_sizes
from netdsl.size import Size, substitute, symbols
from netdsl.source import Span, place_of

MAX_TIMED = 20_000
"""So many elements have a floor computed: that takes seconds."""
SHOWN = 3
"""So many of the elements that cost the most are shown."""


def over_budget(checked: Checked) -> list[Diagnostic]:
    """The budgets that the network does not keep, and those that nothing can."""
    found = []
    hopeless: set[Span] = set()
    for budget, why, others in impossible(list(checked.elaborated.budgets)):
        found.append(diagnose("E0605", why, (budget.span,), others=others))
        hopeless.update((budget.span, *[other.span for other in others]))
    for budget in checked.elaborated.budgets:
        if budget.span not in hopeless:
            fault = broken(checked, budget)
            if fault is not None:
                found.append(fault)
    return found


def broken(checked: Checked, budget: Budget) -> Diagnostic | None:
    """What is to be said of a budget; None where the network keeps it."""
    net = Net(checked)
    if budget.sizes:
        misfit = unfit(checked.elaborated, budget)
        if misfit is not None:
            return misfit
        net = at_sizes(checked, budget) or net
    elements = size_unrolled(net.graph)
    if budget.name == "time" and elements > MAX_TIMED:
        message = f"the network unrolls to {elements:,} elements, and at most {MAX_TIMED:,} are timed"
        return diagnose("E0403", message, (budget.span,))
    known = measured(net, budget)
    value = known.value
    if not isinstance(value, float) and symbols(value):
        return undecided(checked.elaborated, budget, value)
    number = value if isinstance(value, float) else whole(value)
    return None if budget.admits(number) else overspent(net, budget, number, known)


def at_sizes(checked: Checked, budget: Budget) -> Net | None:
    """The network for the sizes that a budget speaks of; None where they do not fit."""
    inputs: dict[str, tuple[int, ...]] = {}
    for input in checked.graph.inputs:
        shape = [substitute(size, dict(budget.sizes)) for size in input.type.plain().shape]
        if any(symbols(size) for size in shape):
            return None
        inputs[input.name] = tuple([whole(size) for size in shape])
    options = Options(checked.options.params, inputs)
    elaborated, faults = elaborate(checked.program, checked.graph.name, options, check_assertions=False)
    graph = check(elaborated, faults)
    if graph is None or elaborated is None:
        return None
    return Net(checked.replace(graph=graph, elaborated=elaborated, options=options))


def undecided(elaborated: Elaborated, budget: Budget, value: Size) -> Diagnostic | None:
    """What is to be said of a quantity that depends on open sizes; None where the budget holds for all of them."""
    if holds_for_all(elaborated, budget, value):
        return None
    names = sorted(symbols(value) - budget.sizes.keys())
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
            Repair.of(
                f"say for which sizes: `{inside} {budget.op} {budget.asked}`",
                (budget.span, f"{inside} {budget.op} {budget.asked}"),
            ),
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


def overspent(net: Net, budget: Budget, value: int | float, known: Measured) -> Diagnostic:
    """The fault: by how much the budget is missed, and the elements that make up the most."""
    quantity, parts = budget.quantity, known.parts()
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
    message = f"`{net.name}` {quantity.said.format(amount(value, quantity.of))}{at}, and {allowed}"
    whole = sum(part.amount for part in parts)
    parts = sorted(by_place(parts, added=not known.terms), key=lambda part: -part.amount)
    largest = [part for part in parts[:SHOWN] if part.amount * 50 >= whole > 0]
    others = [
        Label(
            place_of(part.origin),
            f"output of {amount(part.amount, quantity.of)}"
            if known.terms
            else amount(part.amount, quantity.of) + share_of(part, whole),
        )
        for part in largest
    ]
    helps = [f"a budget of `{budget.name}` in `{net.name}` takes the place of its base's"] if budget.inherited else []
    return diagnose("E0601", message, (budget.span,), by, others=others, notes=notes(largest, known), helps=helps)


def by_place(parts: list[Part], added: bool) -> list[Part]:
    """One part for each piece of text: the sum of those that it stands for, or the largest of them."""
    found: dict[Span, list[Part]] = {}
    for part in parts:
        found.setdefault(place_of(part.origin), []).append(part)
    merged = []
    for some in found.values():
        most = max(some, key=lambda part: part.amount)
        amounts = sum(part.amount for part in some)
        merged.append(most.replace(amount=amounts) if added else most)
    return merged


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


def notes(largest: list[Part], known: Measured) -> Iterator[str]:
    """How the most expensive element comes to its cost, or which terms the whole has."""
    if known.terms:
        terms = [f"{name} {amount(size, 'bytes')}" for name, size in known.terms.items()]
        yield f"{' + '.join(terms)} = {amount(sum(known.terms.values()), 'bytes')}"
    for part in largest[:1]:
        if part.worked:
            yield f"{part.name}: {part.worked}"


def amount(value: int | float | Fraction, of: str) -> str:
    """`1,248,424`; `4.99 MB`; `1.20 ms`."""
    if of == "bytes":
        return bytes_text(value)
    if of == "seconds":
        return time_text(value)
    return f"{int(value):,}" if value == int(value) else f"{float(value):,.1f}"
