"""Which formats are there?  Each by its suffix; a format is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from netdsl.options import UsageError
from netdsl.record import Record

if TYPE_CHECKING:
    from netdsl.draw.picture import Picture
    from netdsl.net import Net

MARK = "drawn by netdsl"
"""Stands at the beginning of every file that `netdsl draw` writes."""
BEGINNING = 4_000
"""So many characters are the beginning."""


class Asked(Record):
    """What can be asked of a picture.

    depth   how many levels of blocks are opened; None: as many as can be read
    theme   light, dark, or auto: as the reader's system has it
    page    a key of `sheet.PAGES`: whose proportions the picture has
    width   in pixels
    """

    depth: int | None = None
    theme: str = "auto"
    page: str = "portrait"
    width: int | None = None


class Format(Record):
    """How one suffix is written.

    render      the text or the bytes of the file
    takes       the options that have a meaning for it, fields of `Asked`
    comment     how a line says who wrote it, `%s` for what it says; empty where `render` sees to that
    """

    render: Callable[[Net, Asked], str | bytes]
    takes: tuple[str, ...]
    comment: str = ""


def draw(net: Net, suffix: str, asked: Asked) -> str | bytes:
    """The picture of a network, as the text or the bytes of a file. Raises UsageError."""
    format = FORMATS[suffix]
    for name in Asked.fields:
        if getattr(asked, name) != Asked.optional[name] and name not in format.takes:
            those = ", ".join(other for other, it in FORMATS.items() if name in it.takes)
            raise UsageError(f"--{name} has no meaning for {suffix}; it goes with {those}")
    found = format.render(net, asked)
    return f"{format.comment % MARK}\n{found}" if format.comment and isinstance(found, str) else found


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
    """Whether a file's text came from `netdsl draw`, so that it may be replaced."""
    return MARK in text[:BEGINNING]


def _picture(net: Net, asked: Asked) -> Picture:
    from netdsl.draw.sheet import picture
    from netdsl.draw.structure import structure

    return picture(structure(net), asked.depth, asked.page)


def _svg(net: Net, asked: Asked) -> str:
    from netdsl.draw.svg import svg

    return svg(_picture(net, asked), asked.theme, asked.width)


def _png(net: Net, asked: Asked) -> bytes:
    from netdsl.draw.png import png

    return png(_picture(net, asked), asked.theme, asked.width)


def _html(net: Net, asked: Asked) -> str:
    from netdsl.draw.html import html_page

    start, end, rest = html_page(net).partition("<head>")
    return f"{start}{end}\n<!-- {MARK} -->{rest}"


def _dot(net: Net, asked: Asked) -> str:
    from netdsl.draw.dot import dot

    return dot(net, asked.depth or 0, _ground(asked))


def _mermaid(net: Net, asked: Asked) -> str:
    from netdsl.draw.mermaid import mermaid

    return mermaid(net, asked.depth or 0, _ground(asked))


def _ground(asked: Asked) -> str:
    return "light" if asked.theme == "auto" else asked.theme


FORMATS: dict[str, Format] = {
    ".svg": Format(_svg, ("depth", "theme", "page", "width")),
    ".png": Format(_png, ("depth", "theme", "page", "width")),
    ".html": Format(_html, ()),
    ".dot": Format(_dot, ("depth", "theme")),
    ".mmd": Format(_mermaid, ("depth", "theme"), "%%%% %s"),
}
"""What writes each format."""
