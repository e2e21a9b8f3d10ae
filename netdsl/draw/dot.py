"""How does Graphviz read a network?  A digraph: a cluster for each opened block, a node for each box."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.draw.arrows import Arrow, Cluster, Flow, Vertex, flow
from netdsl.draw.formats import MARK
from netdsl.draw.structure import Box, structure
from netdsl.draw.theme import FONTS, THEMES, Palette
from netdsl.net import Net


def dot(net: Net, depth: int | None = None, theme: str = "light") -> str:
    """The text of a `.dot` file, with blocks opened down to `depth` levels; without it, as far as can be read.

    Raises UsageError where that is more than can be laid out.
    """
    drawn, palette = flow(structure(net), depth), THEMES[theme]
    first = f'fontname={quoted(FONTS[0])}, fontsize=11, fontcolor="{palette.text}"'
    lines = [
        f"// {MARK}. dot -Tsvg FILE shows it.",
        f"digraph {quoted(net.name)} {{",
        f'  graph [compound=true, newrank=true, bgcolor="{palette.ground}", nodesep=0.3, ranksep=0.3, {first}];',
        f'  node [shape=box, style="filled,rounded", margin="0.15,0.06", {first}];',
        f'  edge [color="{palette.wire}", arrowsize=0.7, weight=4, fontname={quoted(FONTS[0])}, fontsize=10];',
        *_contents(drawn.contents, palette, "  "),
        *_arrows(drawn, palette),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _contents(contents: tuple[Vertex | Cluster, ...], palette: Palette, indent: str) -> Iterator[str]:
    for item in contents:
        paint = palette.kinds[item.box.kind]
        if isinstance(item, Vertex):
            dashed = ', style="filled,rounded,dashed"' if item.box.training else ""
            colours = f'fillcolor="{paint.fill}", color="{paint.line}"'
            yield f"{indent}n{item.number} [label={quoted(lines_of(item.box))}, {colours}{dashed}];"
            continue
        yield f"{indent}subgraph cluster_{item.number} {{"
        yield f'{indent}  label={quoted(heading(item.box))}; labeljust=l; style="filled,rounded";'
        yield f'{indent}  fillcolor="{palette.frame}"; color="{paint.line}";'
        yield from _contents(item.contents, palette, indent + "  ")
        yield f"{indent}}}"


def _arrows(drawn: Flow, palette: Palette) -> Iterator[str]:
    for arrow in drawn.arrows:
        attributes = ", ".join(_attributes(arrow, palette))
        yield f"  n{arrow.source} -> n{arrow.target}" + (f" [{attributes}];" if attributes else ";")


def _attributes(arrow: Arrow, palette: Palette) -> Iterator[str]:
    if arrow.kind != "series":
        yield f'color="{palette.skip}"'
        yield "weight=1"
    if arrow.training:
        yield "style=dashed"
    if arrow.into >= 0:
        yield f"lhead=cluster_{arrow.into}"
    if arrow.label:
        yield f"label={quoted(arrow.label)}"


def heading(box: Box) -> str:
    """What a box is, in a line: `conv3: stage(bottleneck(128), 4) × 3`."""
    times = f" × {box.count:,}" if box.count > 1 else ""
    return f"{box.label}: {box.title}{times}" if box.label and box.label != box.title else box.title + times


def lines_of(box: Box) -> str:
    """What stands in a box, a line each; what comes before the element first."""
    words = [heading(box)]
    if box.subtitle:
        words.insert(0 if box.subtitle.endswith("→") else 1, box.subtitle)
    shape = [box.shape.replace(" x ", " × ")] if box.shape else []
    return "\n".join([*words, *shape])


def quoted(text: str) -> str:
    r"""A string of the DOT language: quotes and backslashes are escaped, lines end in `\n`."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
