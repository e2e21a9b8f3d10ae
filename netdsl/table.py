"""How is a network shown?  Tables as plain text, at a chosen depth."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.analysis import Measure
from netdsl.graph import Call, Graph, Node, Repeat, live, parts, repeat_step, step_names
from netdsl.net import Net
from netdsl.ops import Op
from netdsl.size import Size
from netdsl.source import place_of
from netdsl.types import TensorType

Row = tuple[str, str, str, str, str]


def network_table(net: Net, depth: int = 1) -> str:
    """The network as a table: a row for each element, those of blocks down to `depth` below them."""
    measure = Measure(net.graph)
    rows: list[Row] = [("element", "what", "output", "parameters", "MACs")]
    for name, shape in net.inputs.items():
        rows.append((name, "input", str(TensorType(shape)), "", ""))
    inference, training = live(net.graph), live(net.graph, training=True)
    rows += _rows(net.graph, [i for i in range(len(net.graph.nodes)) if i in inference], 0, depth, measure)
    extra = [i for i in sorted(training) if i not in inference]
    if extra:
        rows += _rows(net.graph, extra, 0, depth, measure, ", training only")
    lines = [f"{net.name}: {_totals(net)}", "", *align(rows)]
    lines += ["", *limits(net)] if net.constraints else []
    return "\n".join(lines)


def limits(net: Net) -> list[str]:
    """What open sizes must satisfy: `valid for H >= 63, W >= 63`, then `H must be a multiple of 16: …` and why."""
    domains = net.domains
    lines = ["valid for " + ", ".join(f"{name} >= {domain.lower}" for name, domain in domains.items())]
    for name, domain in domains.items():
        if domain.modulus > 1:
            last = [fact for fact in net.derivation if fact.symbol == name and fact.domain.modulus == domain.modulus][0]
            only = type(domain)(1, domain.modulus, domain.residues).describe(name)
            lines.append(f"{only}: {last.reason} ({place_of(last.origin).place})")
    return lines


def _totals(net: Net) -> str:
    text = f"{number(net.params)} parameters"
    if net.params_inference != net.params:
        text += f" ({number(net.params_inference)} in inference)"
    if net.trainable_params != net.params:
        text += f", {number(net.trainable_params)} trainable"
    return f"{text}, {number(net.macs)} MACs"


def _rows(
    graph: Graph[TensorType], which: list[int], level: int, depth: int, measure: Measure, note: str = ""
) -> Iterator[Row]:
    names = step_names(graph)
    for i in which:
        node = graph.nodes[i]
        name = "  " * level + (names[i] or node.name)
        params, macs = measure.params(graph, node), measure.macs(graph, node)
        yield name, what(node) + note, str(node.type), number(params) if params else "", number(macs) if macs else ""
        if isinstance(node.op, Op) or level + 1 >= depth:
            continue
        step = 0
        for run in parts(node.op):
            body = run.call.body
            inner = list(range(len(body.nodes)))
            if isinstance(node.op, Repeat):
                first = repeat_step(graph, names[i], step).rpartition(".")[2]
                label = first if run.count == 1 else f"{first}…{int(first) + run.count - 1}"
                count = f" * {run.count}" if run.count > 1 else ""
                each = sum(measure.params(body, n) for n in body.nodes) * run.count
                cost = sum((measure.macs(body, n) for n in body.nodes), start=0) * run.count
                kind = body.title if body.kind == "block" else "path"
                type = body.type_of(body.outputs[0].value)
                yield (
                    "  " * (level + 1) + label,
                    kind + count,
                    str(type),
                    number(each) if each else "",
                    number(cost) if cost else "",
                )
                if level + 2 < depth:
                    yield from _rows(body, inner, level + 2, depth, measure)
            else:
                yield from _rows(body, inner, level + 1, depth, measure)
            step += run.count


def what(node: Node[TensorType]) -> str:
    """An element in its author's words; a primitive with its attributes."""
    if isinstance(node.op, Op):
        return f"{node.op.name} {node.op.describe()}".strip()
    text = " ".join(node.origin[0].text.split()) if node.origin else node.op.name
    if isinstance(node.op, Call) and node.op.body.kind == "path":
        text = f"path of {len(node.op.body.nodes)}"
    return text if len(text) <= 44 else text[:43] + "…"


def number(size: Size) -> str:
    return f"{int(size):,}" if isinstance(size, int) else str(size)


def align(rows: list[Row] | list[tuple[str, ...]], right: tuple[int, ...] = (3, 4)) -> list[str]:
    """Columns of equal width, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines
