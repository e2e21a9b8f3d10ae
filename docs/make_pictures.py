"""Draws the pictures of docs/pictures: `python docs/make_pictures.py`, with the extra `pictures` installed.

tests/test_draw_layout.py holds the SVG files against what netdsl draws today.
"""

from __future__ import annotations

from pathlib import Path

import netdsl
from netdsl.draw.formats import Asked, draw

FOLDER = Path(__file__).parent / "pictures"
PICTURES: dict[str, Asked] = {
    "googlenet": Asked(),
    "resnet50": Asked(page="wide"),
    "unet": Asked(),
}
"""The networks that are shown, and how."""
PIXELS = 1000
"""The width of the PNG files."""


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, asked in PICTURES.items():
        net = netdsl.load(name)
        for suffix, how in ((".svg", asked), (".png", asked.replace(width=PIXELS))):
            data = draw(net, suffix, how)
            (FOLDER / f"{name}{suffix}").write_bytes(data.encode() if isinstance(data, str) else data)


if __name__ == "__main__":
    main()
