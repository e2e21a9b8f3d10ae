r"""How does a paper show an architecture?  The table of He et al. 2015 (table 1), for one network or several, in LaTeX.

It needs booktabs, amsmath and graphicx. A block is a `bmatrix`, with how often it stands there behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netdsl.amounts import number
from netdsl.draw.stages import Line, Matrix, Stage, Term, beside, stages
from netdsl.draw.structure import structure
from netdsl.draw.textext import breakable, escaped, size_text
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.size import Size

MAX_LINES = 400
"""A longer table is no table of a paper."""
WIDE, HIGH = 82, 46
"""So many letters fit on a line of a page, and so many lines on the page: what is larger is scaled down."""


def tex_table(nets: Sequence[Net]) -> str:
    """A `table` environment with the networks side by side. Raises UsageError where it would have too many rows."""
    tables = [stages(structure(net)) for net in nets]
    lines = beside(tables)
    high = sum(max([1, *(_height(stage.terms) for stage in line.cells if stage)]) for line in lines)
    if len(lines) > MAX_LINES or high > 4 * MAX_LINES:
        names = " and ".join(net.name for net in nets[:3])
        raise UsageError(
            f"the table of {names} has {len(lines):,} rows of {high:,} lines: at most {MAX_LINES} rows are written"
        )
    wide = 24 + sum(
        max([10, len(net.name), *(_width(stage.terms) for stage in table)]) for net, table in zip(nets, tables)
    )
    before, after = _scaled(wide, high)
    return "\n".join(
        [
            r"\begin{table}[t]",
            r"  \centering",
            rf"  \caption{{{_caption(nets)}}}",
            rf"  \label{{tab:{_key(nets)}}}",
            r"  \medskip",
            r"  \small",
            *before,
            rf"  \begin{{tabular}}{{ll{'c' * len(nets)}}}",
            r"    \toprule",
            _row("layer", "output size", [escaped(net.name) for net in nets]),
            r"    \midrule",
            *_rows(lines),
            r"    \midrule",
            *_totals(nets),
            r"    \bottomrule",
            r"  \end{tabular}" + after,
            r"\end{table}",
        ]
    )


def _scaled(wide: int, high: int) -> tuple[list[str], str]:
    """What makes a large table fit: nothing, or a box that scales it."""
    if wide <= WIDE and high <= HIGH:
        return [], ""
    if wide / WIDE >= high / HIGH:
        return [r"  \resizebox{\linewidth}{!}{%"], "}"
    return [r"  \resizebox*{!}{0.86\textheight}{%"], "}"


def _rows(lines: Sequence[Line]) -> Iterator[str]:
    last, high = "", False
    for line in lines:
        training = any(stage.training for stage in line.cells if stage)
        name = escaped(line.name) + (" (training)" if training else "")
        cells = [_cell(stage) for stage in line.cells]
        if len(cells) > 1 and len(set(cells)) == 1:
            cells = [rf"\multicolumn{{{len(cells)}}}{{c}}{{{cells[0]}}}"]
        tall = any("bmatrix" in cell or "tabular" in cell for cell in cells)
        if last and (tall or high):
            yield r"    \addlinespace"
        yield _row("" if name == last else name, size_text(line.size), cells)
        last, high = name, tall


def _row(name: str, size: str, cells: Sequence[str]) -> str:
    return "    " + " & ".join([name, size, *cells]) + r" \\"


def _totals(nets: Sequence[Net]) -> Iterator[str]:
    yield _row("parameters", "", [_power(net.params) for net in nets])
    yield _row("MACs", "", [_power(net.macs) for net in nets])


def _power(size: Size) -> str:
    r"""`$25.6\times10^{6}$`; formulas as they are."""
    if not isinstance(size, int):
        return escaped(number(size))
    value = int(size)
    for exponent in (9, 6, 3):
        if value >= 10**exponent:
            scaled = value / 10**exponent
            digits = f"{scaled:.3g}" if scaled < 999.5 else f"{scaled:.0f}"
            return rf"${digits}\times10^{{{exponent}}}$"
    return str(value)


def _cell(stage: Stage | None) -> str:
    if stage is None:
        return ""
    terms = [_term(term) for term in stage.terms]
    if len(terms) == 1:
        return terms[0]
    return r"\begin{tabular}{@{}c@{}}" + r" \\[2pt] ".join(terms) + r"\end{tabular}"


def _term(term: Term) -> str:
    return _text(term) if isinstance(term, str) else f"${_matrix(term)}$"


def _text(words: str) -> str:
    return escaped(words)


def _matrix(matrix: Matrix) -> str:
    r"""In mathematics: a `bmatrix` with a column for each branch, from the top down."""
    columns = [[_inner(term) for term in column] for column in matrix.columns]
    high = max(map(len, columns))
    rows = [" & ".join(column[i] if i < len(column) else "" for column in columns) for i in range(high)]
    times = rf" \times {matrix.count}" if matrix.count > 1 else ""
    return r"\begin{bmatrix} " + r" \\ ".join(rows) + r" \end{bmatrix}" + times


def _inner(term: Term) -> str:
    return rf"\text{{{_text(term)}}}" if isinstance(term, str) else _matrix(term)


def _height(terms: Sequence[Term]) -> int:
    return sum(1 if isinstance(term, str) else max(map(_height, term.columns)) for term in terms)


def _width(terms: Sequence[Term]) -> int:
    return max(
        (len(term) if isinstance(term, str) else 6 + sum(map(_width, term.columns)) for term in terms), default=0
    )


def _caption(nets: Sequence[Net]) -> str:
    names = [rf"\texttt{{{breakable(net.name)}}}" for net in nets]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    shapes = {", ".join(size_text(net.inputs[name]) for name in net.inputs) for net in nets}
    seen = f" for inputs of {shapes.pop()}" if len(shapes) == 1 else ""
    return (
        f"Architecture of {listed}{seen}. Brackets hold a block, branches side by side; the first block of a row may "
        "have the stride. Norms, activations, dropout and shortcuts are left out."
    )


def _key(nets: Sequence[Net]) -> str:
    """A label that LaTeX can read."""
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(net.name for net in nets)).strip("-")[:60] or "network"
