"""How does a picture become pixels?  resvg draws the SVG, with a font that is given to it.

resvg leaves out text for which it finds no font, and says nothing: so it gets DejaVu Sans, which comes with matplotlib,
and looks for other fonts where a name has letters that DejaVu lacks.
"""

from __future__ import annotations

import zlib
from pathlib import Path

from netdsl.draw.formats import MARK
from netdsl.draw.picture import Picture
from netdsl.draw.svg import svg
from netdsl.draw.theme import THEMES
from netdsl.options import UsageError

DENSITY = 2.0
"""Pixels to a unit, where no width is asked for: sharp on today's screens, 190 to the inch on paper."""
MAX_PIXELS = 100_000_000
COVERED = 0x500
"""DejaVu Sans has the letters up to here: Latin, Greek, Cyrillic."""


def png(picture: Picture, theme: str = "auto", width: int | None = None) -> bytes:
    """The bytes of a PNG file, `width` pixels wide. Paper is light: so is `auto`.

    Raises UsageError without the extra `pictures`, and for a picture too large for memory.
    """
    scale = width / picture.width if width else DENSITY
    pixels = round(picture.width * scale) * round(picture.height * scale)
    if pixels > MAX_PIXELS:
        raise UsageError(
            f"the picture would have {pixels:,} pixels, and at most {MAX_PIXELS:,} are drawn: "
            "give a smaller --width, or write .svg"
        )
    try:
        import matplotlib
        import resvg_py
    except ImportError:
        raise UsageError(
            'PNG needs the extra `pictures`: `pip install "netdsl[pictures]"`; .svg needs nothing, and browsers show it'
        ) from None
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    ground = "light" if theme == "auto" else theme
    text = svg(picture, ground)
    drawn = resvg_py.svg_to_bytes(
        svg_string=text,
        background=THEMES[ground].ground,
        width=width or round(picture.width * scale),
        font_files=[str(fonts / name) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")],
        font_family="DejaVu Sans",
        sans_serif_family="DejaVu Sans",
        skip_system_fonts=max(map(ord, text)) < COVERED,
    )
    return marked(bytes(drawn))


def marked(data: bytes) -> bytes:
    """A PNG that says who drew it, in a chunk of text behind its header (PNG specification, 11.3.3.2)."""
    header = 8 + 25
    chunk = b"tEXtSoftware\0" + MARK.encode()
    length = (len(chunk) - 4).to_bytes(4, "big")
    return data[:header] + length + chunk + zlib.crc32(chunk).to_bytes(4, "big") + data[header:]
