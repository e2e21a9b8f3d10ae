"""Which formats are there?  Each by its suffix; a format is imported when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netdsl.options import UsageError, need_known
from netdsl.record import Record

if TYPE_CHECKING:
    from netdsl.draw.picture import Picture
    from netdsl.net import Net

MARK = "drawn by netdsl"
"""Stands at the beginning of every picture that netdsl writes."""
BEGINNING = 4_000
"""So many characters are the beginning."""


class Asked(Record):
    """What can be asked of a picture.

    depth   how many levels of blocks are opened; None: as many as can be read
    theme   light, dark, or auto: as the reader's system has it
    page    a key of `sheet.PAGES`: whose proportions the picture has
    width   in pixels
    tex     what a .tex file has: `table`, `figure` or `both`; None: both of one network, the table of several
    """

    depth: int | None = None
    theme: str = "auto"
    page: str = "portrait"
    width: int | None = None
    tex: str | None = None

    def checked(self) -> Asked:
        """Itself. Raises UsageError for a word that is not known, with the nearest, and for a number out of range."""
        from netdsl.draw.sheet import PAGES
        from netdsl.draw.theme import THEMES

        need_known("theme", self.theme, ("auto", *THEMES))
        need_known("page", self.page, PAGES)
        need_known("content of a .tex file", self.tex or "both", ("table", "figure", "both"))
        if self.depth is not None and self.depth < 0:
            raise UsageError(f"a depth is 0 or more, not {self.depth}")
        if self.width is not None and not 100 <= self.width <= 20_000:
            raise UsageError(f"a width is a whole number from 100 to 20000, not {self.width}")
        return self


class Format(Record):
    """How one suffix is written.

    render      the text or the bytes of the file, of all networks
    takes       the options that have a meaning for it, fields of `Asked`
    several     whether several networks go into one file
    """

    render: Callable[[Sequence[Net], Asked], str | bytes]
    takes: tuple[str, ...]
    several: bool = False


def draw(net: Net | Sequence[Net], suffix: str, asked: Asked) -> str | bytes:
    """The picture of a network, as the text or the bytes of a file; of several, one table. Raises UsageError."""
    nets = net if isinstance(net, Sequence) else [net]
    format = FORMATS[suffix]
    if len(nets) > 1 and not format.several:
        raise UsageError(f"a {suffix} file has one network; several stand side by side in a table: -o NAME.tex")
    for name in Asked.fields:
        if getattr(asked, name) != Asked.optional[name] and name not in format.takes:
            those = ", ".join(other for other, it in FORMATS.items() if name in it.takes)
            raise UsageError(f"{name} has no meaning for {suffix}; it goes with {those}")
    return format.render(nets, asked)


class Drawing:
    """The picture of a network, drawn when it is looked at: a notebook shows it, `save` writes it."""

    def __init__(self, net: Net, asked: Asked) -> None:
        """Raises UsageError for a theme, a page or a table that is not known."""
        self.net, self.asked = net, asked.checked()

    def __str__(self) -> str:
        """The text of the SVG."""
        return self._repr_svg_()

    def save(self, file: str | os.PathLike[str]) -> Path:
        """Writes it, over what is there; the suffix picks the format. Raises UsageError."""
        from netdsl.writing import may_write, write_atomically

        target = Path(file)
        suffix = known_suffix(target.suffix)
        may_write(target, is_drawing, force=True)
        write_atomically(target, draw(self.net, suffix, self.asked))
        return target

    def _repr_svg_(self) -> str:
        return str(draw(self.net, ".svg", self.asked.replace(tex=None)))

    def __repr__(self) -> str:
        return f"<Drawing of {self.net.name}>"


def known_suffix(suffix: str) -> str:
    """The suffix of a format, in lower case. Raises UsageError with the nearest one."""
    from netdsl.diagnostic import nearest

    if suffix.lower() in FORMATS:
        return suffix.lower()
    close = nearest(suffix, FORMATS)
    given = f"not {suffix}" if suffix else "not a file without a suffix"
    mean = f"; did you mean {close}?" if close else ""
    raise UsageError(f"pictures are {', '.join(FORMATS)}, {given}{mean}")


def is_drawing(text: str) -> bool:
    """Whether a file's text came from netdsl, so that it may be replaced. A PDF says so at its end."""
    return MARK in text[:BEGINNING] or MARK in text[-BEGINNING:]


def _picture(net: Net, asked: Asked) -> Picture:
    from netdsl.draw.sheet import picture
    from netdsl.draw.structure import structure

    return picture(structure(net), asked.depth, asked.page)


def _svg(nets: Sequence[Net], asked: Asked) -> str:
    from netdsl.draw.svg import svg

    return svg(_picture(nets[0], asked), asked.theme, asked.width)


def _png(nets: Sequence[Net], asked: Asked) -> bytes:
    from netdsl.draw.png import png

    return png(_picture(nets[0], asked), asked.theme, asked.width)


def _html(nets: Sequence[Net], asked: Asked) -> str:
    from netdsl.draw.html import html_page

    return html_page(nets[0], asked.theme, asked.depth or 0)


def _dot(nets: Sequence[Net], asked: Asked) -> str:
    from netdsl.draw.dot import dot

    return dot(nets[0], asked.depth, _ground(asked))


def _mermaid(nets: Sequence[Net], asked: Asked) -> str:
    from netdsl.draw.mermaid import mermaid

    return mermaid(nets[0], asked.depth, _ground(asked))


def _tex(nets: Sequence[Net], asked: Asked) -> str:
    from netdsl.draw.tex import tex

    wanted = asked.tex or ("both" if len(nets) == 1 else "table")
    tables = nets if wanted != "figure" else []
    pictures = [_picture(net, asked) for net in nets] if wanted != "table" else []
    return tex(tables, pictures, _ground(asked))


def _ground(asked: Asked) -> str:
    """Formats that know no reader's system are light."""
    return "light" if asked.theme == "auto" else asked.theme


FORMATS: dict[str, Format] = {
    ".svg": Format(_svg, ("depth", "theme", "page", "width")),
    ".png": Format(_png, ("depth", "theme", "page", "width")),
    ".html": Format(_html, ("depth", "theme")),
    ".dot": Format(_dot, ("depth", "theme")),
    ".mmd": Format(_mermaid, ("depth", "theme")),
    ".tex": Format(_tex, ("depth", "theme", "page", "tex"), several=True),
}
"""What writes each format."""
