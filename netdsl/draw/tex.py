r"""What does a paper get?  A table of the architecture and a figure, as LaTeX to include with `\input`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netdsl.draw.formats import MARK
from netdsl.draw.picture import Picture, Shape, Wire, Words
from netdsl.draw.pieces import HEAD, STACK
from netdsl.draw.textable import tex_table
from netdsl.draw.textext import breakable, escaped
from netdsl.draw.theme import THEMES, Palette
from netdsl.net import Net
from netdsl.options import UsageError

PREAMBLE = rf"""% {MARK}, to include with \input. The preamble of your document needs:
%   \usepackage{{textcomp,amsmath,booktabs,graphicx,xcolor,tikz}}
"""
WIDTH, HEIGHT = 345.0, 520.0
"""Of a figure in points: an article of LaTeX has 345 to a line, and a caption below."""
MAX_SHAPES = 1500
"""What TeX draws in its memory."""


def tex(nets: Sequence[Net], pictures: Sequence[Picture] = (), theme: str = "light") -> str:
    """A file with the table of all networks, and a figure of each picture.

    Raises UsageError where a table or a figure would be more than LaTeX can set.
    """
    parts = [tex_table(nets)] if nets else []
    parts += [tex_figure(picture, theme) for picture in pictures]
    return "\n".join([PREAMBLE, *[f"{part}\n" for part in parts]])


def tex_figure(picture: Picture, theme: str = "light") -> str:
    """A `figure` environment with the picture in TikZ, scaled to the width of the text or the height of the page."""
    if len(picture.shapes) > MAX_SHAPES:
        raise UsageError(
            f"the figure of {picture.name} has {len(picture.shapes):,} boxes, and TeX draws at most {MAX_SHAPES:,}: "
            "a smaller --depth shows fewer"
        )
    palette = THEMES[theme]
    scale = min(1.0, WIDTH / picture.width, HEIGHT / picture.height)
    return "\n".join(
        [
            r"\begin{figure}[t]",
            r"  \centering",
            *_colours(picture, palette),
            rf"  \begin{{tikzpicture}}[x={scale:.4f}pt, y=-{scale:.4f}pt, line width=0.5pt]",
            *[f"    {line}" for line in _drawn(picture, scale)],
            r"  \end{tikzpicture}",
            rf"  \caption{{\texttt{{{breakable(picture.name)}}}.}}",
            rf"  \label{{fig:{_key(picture.name)}}}",
            r"\end{figure}",
        ]
    )


def _key(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name).strip("-")[:60] or "network"


def _colours(picture: Picture, palette: Palette) -> Iterator[str]:
    for name in ("text", "quiet", "wire", "skip", "frame", "frame_line"):
        yield _colour(name.replace("_", ""), getattr(palette, name))
    yield _colour("band", palette.kinds["block"].fill)
    for kind in sorted({shape.kind for shape in picture.shapes}):
        yield _colour(f"{kind}fill", palette.kinds[kind].fill)
        yield _colour(f"{kind}line", palette.kinds[kind].line)


def _colour(name: str, value: str) -> str:
    return rf"  \definecolor{{net{name}}}{{HTML}}{{{value[1:].upper()}}}"


def _drawn(picture: Picture, scale: float) -> Iterator[str]:
    """Frames, then lines, boxes, texts: what comes later lies above."""
    for shape in picture.shapes:
        if shape.form == "frame":
            yield from _shape(shape, scale)
    for wire in picture.wires:
        yield _wire(wire, scale)
    for shape in picture.shapes:
        if shape.form != "frame":
            yield from _shape(shape, scale)
    for words in picture.words:
        yield _words(words, scale)


def _shape(shape: Shape, scale: float) -> Iterator[str]:
    round_ = min(shape.height, shape.width) / 2 if shape.form == "pill" else 4.0
    fill, line = f"net{shape.kind}fill", f"net{shape.kind}line"
    if shape.form == "frame":
        fill, line = "netframe", "netframeline"
    dashed = ", dashed" if shape.training else ""
    options = f"draw={line}, fill={fill}, rounded corners={round_ * scale:.2f}pt{dashed}"
    behind = min(shape.count - 1, 2)
    for i in range(behind, -1, -1):
        x, y = shape.x + STACK * i, shape.y + STACK * i
        yield rf"\draw[{options}] {_rectangle(x, y, shape.width, shape.height)};"
    if shape.form == "frame":
        edge = _rectangle(shape.x, shape.y, shape.width, shape.height)
        clip = rf"\clip[rounded corners={round_ * scale:.2f}pt] {edge};"
        yield rf"\begin{{scope}}{clip}\fill[netband] {_rectangle(shape.x, shape.y, shape.width, HEAD)};\end{{scope}}"


def _rectangle(x: float, y: float, width: float, height: float) -> str:
    return f"({x:.1f},{y:.1f}) rectangle ({x + width:.1f},{y + height:.1f})"


def _wire(wire: Wire, scale: float) -> str:
    colour = "netwire" if wire.style == "wire" else "netskip"
    options = [colour, f"line width={max(scale, 0.35):.2f}pt", f"rounded corners={4 * scale:.2f}pt"]
    options += ["dashed"] if wire.style == "training" else []
    options += ["->", ">=stealth"] if wire.arrow else []
    points = " -- ".join(f"({x:.1f},{y:.1f})" for x, y in wire.points)
    return rf"\draw[{', '.join(options)}] {points};"


ANCHORS = {"start": "base west", "middle": "base", "end": "base east"}


STYLES = {"strong": r"\bfseries", "size": r"\bfseries", "quiet": r"\color{netquiet}"}


def _words(words: Words, scale: float) -> str:
    style = STYLES.get(words.style, "")
    font = rf"\fontsize{{10}}{{12}}\selectfont\sffamily{style}"
    size = words.size * scale / 10  # scaled as a picture: few fonts have letters of 4.3 points
    text = escaped(words.text)
    at = f"({words.x:.1f},{words.y:.1f})"
    options = f"anchor={ANCHORS[words.anchor]}, inner sep=0pt, scale={size:.3f}, text=nettext, font={{{font}}}"
    return rf"\node[{options}] at {at} {{{text}}};"
