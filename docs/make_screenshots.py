"""Photographs the HTML pages and the table of docs/draw.md: `python docs/make_screenshots.py`.

It needs Chromium, pdflatex, and pdftoppm of poppler. What they make depends on their fonts, so no test holds these
pictures against what is drawn today.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import netdsl
from netdsl.draw.formats import Asked, draw

FOLDER = Path(__file__).parent / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync")
QUIET = ("--disable-background-networking", "--disable-component-update")
SHOTS = (
    ("page-folded", "resnet50", Asked(theme="light"), "kind", "", (1120, 720)),
    ("page-unfolded", "resnet50", Asked(theme="dark"), "kind", "conv3/residual1/conv2", (1120, 900)),
    ("page-costs", "alexnet", Asked(theme="light"), "params", "fc6", (1120, 900)),
)
"""Name, network, how it is drawn, what it is coloured by, the box that is shown, and the size of the window."""


def coloured(page: str, by: str) -> str:
    """The page with another choice of colours checked."""
    return page.replace(" checked>", ">").replace(f'value="{by}">', f'value="{by}" checked>')


TABLE = ("resnet18", "resnet34", "resnet50")
DOCUMENT = r"""\documentclass{article}
\usepackage[paperwidth=13.6cm,paperheight=11.5cm,margin=5mm,top=2mm]{geometry}
\usepackage{textcomp,amsmath,booktabs,graphicx,xcolor,tikz}
\pagestyle{empty}
\begin{document}
%s
\end{document}
"""


def table() -> None:
    """The table of docs/draw.md as LaTeX sets it, without the page around it."""
    text = draw([netdsl.load(name) for name in TABLE], ".tex", Asked())
    assert isinstance(text, str)
    here = text.replace("{table}[t]", "{table}[!h]")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "table.tex").write_text(DOCUMENT % here, encoding="utf-8")
        subprocess.run(["pdflatex", "-interaction=batchmode", "table.tex"], cwd=folder, check=True, capture_output=True)
        picture = ["pdftoppm", "-r", "130", "-singlefile", "-png", "table.pdf", str(FOLDER / "table")]
        subprocess.run(picture, cwd=folder, check=True)
    print(FOLDER / "table.png")


def main() -> None:
    table()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no browser is installed: one of {', '.join(BROWSERS)} is needed")
    with tempfile.TemporaryDirectory() as folder:
        for name, spec, asked, colour, box, (width, height) in SHOTS:
            page = Path(folder) / f"{name}.html"
            text = draw(netdsl.load(spec), ".html", asked)
            assert isinstance(text, str)
            page.write_text(coloured(text, colour), encoding="utf-8")
            shot = [f"--screenshot={FOLDER / f'{name}.png'}", f"--window-size={width},{height}"]
            profile = f"--user-data-dir={folder}/profile"
            address = page.as_uri() + (f"#{box}" if box else "")
            subprocess.run([browser, *OPTIONS, *QUIET, profile, *shot, address], check=True, capture_output=True)
            print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
