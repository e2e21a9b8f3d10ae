"""How is a network shown?  Tables as plain text, at a chosen depth."""

from __future__ import annotations

from netdsl.domain import Domain
from netdsl.net import Net
from netdsl.outline import Outline, Row
from netdsl.size import Formula, Size
from netdsl.source import place_of
from netdsl.types import TensorType

Cells = tuple[str, str, str, str, str]


def network_table(net: Net, depth: int = 1) -> str:
    """The network as a table: a row for each element, those of blocks down to `depth` below them."""
    rows: list[Cells] = [("element", "what", "output", "parameters", "MACs")]
    rows += [(name, "input", str(TensorType(shape)), "", "") for name, shape in net.inputs.items()]
    rows += [cells(net, row) for row in Outline(net).walk(depth)]
    lines = [f"{net.name}: {_totals(net)}", "", *align(rows)]
    lines += ["", *limits(net)] if net.constraints else []
    return "\n".join(lines)


def cells(net: Net, row: Row) -> Cells:
    macs = net.shown(row.macs)
    what = row.what + (", training only" if row.training and row.level == 0 else "")
    cost = (number(row.params) if row.params else "", number(macs) if macs else "")
    return ("  " * row.level + row.label, what, net.shape_text(row.type), *cost)


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


LONG = 40
"""Formulas of more terms than this are not written out."""


def number(size: Size) -> str:
    if isinstance(size, Formula) and len(size.terms) > LONG:
        return f"a formula of {len(size.terms):,} terms"
    return f"{int(size):,}" if isinstance(size, int) else str(size)


def align(rows: list[Cells] | list[tuple[str, ...]], right: tuple[int, ...] = (3, 4)) -> list[str]:
    """Columns of equal width, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
