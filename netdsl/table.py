"""How is a network shown?  Tables as plain text, at a chosen depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.analysis.cost import Measure
from netdsl.domain import Domain
from netdsl.graph import Call, Graph, Node, Repeat, live, repeat_step, step_names
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.size import Formula, Size, total
from netdsl.source import place_of
from netdsl.types import TensorType

Row = tuple[str, str, str, str, str]


def network_table(net: Net, depth: int = 1) -> str:
    """The network as a table: a row for each element, those of blocks down to `depth` below them."""
    table = _Table(net, depth)
    rows: list[Row] = [("element", "what", "output", "parameters", "MACs")]
    rows += [(name, "input", str(TensorType(shape)), "", "") for name, shape in net.inputs.items()]
    inference, training = live(net.graph), live(net.graph, training=True)
    rows += table.elements(net.graph, sorted(inference), 0)
    rows += table.elements(net.graph, sorted(training - inference), 0, ", training only")
    lines = [f"{net.name}: {_totals(net)}", "", *align(rows)]
    lines += ["", *limits(net)] if net.constraints else []
    return "\n".join(lines)


def limits(net: Net) -> list[str]:
    """What open sizes must satisfy: `valid for H >= 63, W >= 63`, then `H must be a multiple of 16: …` and why."""
    domains = net.domains
    lines = ["valid for " + ", ".join(f"{name} >= {domain.lower}" for name, domain in domains.items())]
    for name, domain in domains.items():
        if domain.modulus > 1:
            narrowings = (fact for fact in net.derivation if fact.symbol == name)
            decisive = next(fact for fact in narrowings if fact.domain.modulus == domain.modulus)
            only = Domain(1, domain.modulus, domain.residues).describe(name)
            lines.append(f"{only}: {decisive.reason} ({place_of(decisive.origin).place})")
    return lines


def _totals(net: Net) -> str:
    text = f"{number(net.params)} parameters"
    if net.params_inference != net.params:
        text += f" ({number(net.params_inference)} in inference)"
    if net.trainable_params != net.params:
        text += f", {number(net.trainable_params)} trainable"
    return f"{text}, {number(net.macs)} MACs"


class _Table:
    """The rows of a network, with what each costs."""

    def __init__(self, net: Net, depth: int) -> None:
        self.net, self.depth = net, depth
        self.measure = Measure(net.graph)

    def row(self, level: int, name: str, what: str, type: TensorType, params: int, macs: Size) -> Row:
        macs = self.net.shown(macs)
        cost = (number(params) if params else "", number(macs) if macs else "")
        return ("  " * level + name, what, self.net.shape_text(type), *cost)

    def elements(self, body: Graph[TensorType], which: Iterable[int], level: int, note: str = "") -> Iterator[Row]:
        """A row for each element of a body, and below it those of what it calls."""
        names = step_names(body)
        for i in which:
            node = body.nodes[i]
            params, macs = self.measure.params(body, node), self.measure.macs(body, node)
            yield self.row(level, names[i] or node.name, what(node) + note, node.type, params, macs)
            if level + 1 >= self.depth or isinstance(node.op, Op):
                continue
            if isinstance(node.op, Call):
                inner = node.op.body
                yield from self.elements(inner, range(len(inner.nodes)), level + 1)
            else:
                yield from self.steps(body, names[i], node.op, level + 1)

    def steps(self, body: Graph[TensorType], name: str, repeat: Repeat[TensorType], level: int) -> Iterator[Row]:
        """The steps of a repeat, equal ones in one row."""
        step = 0
        for run in repeat.runs:
            inner = run.call.body
            first = int(repeat_step(body, name, step).rpartition(".")[2])
            label = str(first) if run.count == 1 else f"{first}…{first + run.count - 1}"
            kind = inner.title if inner.kind == "block" else f"path of {len(inner.nodes)}"
            said = kind if run.count == 1 else f"{kind} * {run.count}"
            params = run.count * sum(self.measure.params(inner, node) for node in inner.nodes)
            macs = run.count * total(self.measure.macs(inner, node) for node in inner.nodes)
            yield self.row(level, label, said, inner.type_of(inner.outputs[0].value), params, macs)
            if level + 1 < self.depth:
                yield from self.elements(inner, range(len(inner.nodes)), level + 1)
            step += run.count


def what(node: Node[TensorType]) -> str:
    """An element in its author's words; a primitive with its attributes."""
    if isinstance(node.op, Op):
        return f"{node.op.name} {node.op.describe()}".strip()
    text = " ".join(node.origin[0].text.split()) if node.origin else node.op.name
    if isinstance(node.op, Call) and node.op.body.kind == "path":
        text = f"path of {len(node.op.body.nodes)}"
    return text if len(text) <= 44 else text[:43] + "…"


LONG = 40
"""Formulas of more terms than this are not written out."""


def number(size: Size) -> str:
    if isinstance(size, Formula) and len(size.terms) > LONG:
        return f"a formula of {len(size.terms):,} terms"
    return f"{int(size):,}" if isinstance(size, int) else str(size)


def align(rows: list[Row] | list[tuple[str, ...]], right: tuple[int, ...] = (3, 4)) -> list[str]:
    """Columns of equal width, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
