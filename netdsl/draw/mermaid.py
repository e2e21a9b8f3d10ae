"""How does Mermaid read a network?  A flowchart, which GitHub and many wikis draw where Markdown has one."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.draw.arrows import Arrow, Cluster, Flow, Vertex, flow
from netdsl.draw.dot import heading, lines_of
from netdsl.draw.formats import MARK
from netdsl.draw.structure import structure
from netdsl.draw.theme import THEMES, Palette
from netdsl.net import Net
from netdsl.options import UsageError

MAX_ARROWS = 500
MAX_CHARACTERS = 50_000
"""More than these Mermaid refuses, where its settings are the usual ones: `maxEdges`, `maxTextSize`."""


def mermaid(net: Net, depth: int | None = None, theme: str = "light") -> str:
    """The text of a `.mmd` file, with blocks opened down to `depth` levels; without it, as far as can be read.

    Raises UsageError where Mermaid would refuse it.
    """
    drawn, palette = flow(structure(net), depth), THEMES[theme]
    lines = [
        f"%% {MARK}",
        "flowchart TB",
        *_contents(drawn.contents, "  "),
        *_arrows(drawn),
        *_classes(drawn, palette),
    ]
    text = "\n".join(lines) + "\n"
    if len(drawn.arrows) > MAX_ARROWS or len(text) > MAX_CHARACTERS:
        advice = "a smaller --depth shows fewer" if depth else "`.dot` has no such limit"
        raise UsageError(
            f"Mermaid draws at most {MAX_ARROWS} arrows and {MAX_CHARACTERS:,} characters, {net.name} has "
            f"{len(drawn.arrows):,} and {len(text):,}: {advice}"
        )
    return text


def _contents(contents: tuple[Vertex | Cluster, ...], indent: str) -> Iterator[str]:
    for item in contents:
        if isinstance(item, Vertex):
            yield f"{indent}n{item.number}[{quoted(lines_of(item.box))}]:::{item.box.kind}"
            continue
        yield f"{indent}subgraph c{item.number}[{quoted(heading(item.box))}]"
        yield f"{indent}  direction TB"
        yield from _contents(item.contents, indent + "  ")
        yield f"{indent}end"


def _arrows(drawn: Flow) -> Iterator[str]:
    for arrow in drawn.arrows:
        end = f"c{arrow.into}" if arrow.into >= 0 else f"n{arrow.target}"
        label = f"|{quoted(arrow.label)}|" if arrow.label else ""
        yield f"  n{arrow.source} {_line(arrow)}{label} {end}"


def _line(arrow: Arrow) -> str:
    """Dotted where only training has it, thick beside the series."""
    if arrow.training:
        return "-.->"
    return "-->" if arrow.kind == "series" else "==>"


def _classes(drawn: Flow, palette: Palette) -> Iterator[str]:
    for kind in sorted(_kinds(drawn.contents)):
        paint = palette.kinds[kind]
        yield f"  classDef {kind} fill:{paint.fill},stroke:{paint.line},color:{palette.text}"
    clusters = list(_clusters(drawn.contents))
    if clusters:
        yield f"  classDef opened fill:{palette.frame},stroke:{palette.kinds['block'].line},color:{palette.text}"
        yield f"  class {','.join(clusters)} opened"


def _kinds(contents: tuple[Vertex | Cluster, ...]) -> set[str]:
    found = set[str]()
    for item in contents:
        found |= {item.box.kind} if isinstance(item, Vertex) else _kinds(item.contents)
    return found


def _clusters(contents: tuple[Vertex | Cluster, ...]) -> Iterator[str]:
    for item in contents:
        if isinstance(item, Cluster):
            yield f"c{item.number}"
            yield from _clusters(item.contents)


def quoted(text: str) -> str:
    """A label: what Markdown, HTML or Mermaid would read is written as a code."""
    codes = {c: f"#{ord(c)};" for c in '#"&<>`*_\\~[]{}|$'}
    return '"' + "".join(codes.get(c, c) for c in text).replace("\n", "<br/>") + '"'
