"""How does a comparison look in a browser?  One file that needs nothing else: the chart, and the table below it."""

from __future__ import annotations

import re
from html import escape

from netdsl.comparison.chart import Chart, counted
from netdsl.comparison.columns import Column, usual_columns
from netdsl.comparison.plot import as_svg, facts
from netdsl.draw.formats import MARK
from netdsl.draw.theme import DARK, LIGHT

BOTH = """
.dark { display: none; }
@media screen and (prefers-color-scheme: dark) { .light { display: none; } .dark { display: block; } }
"""


def style(theme: str) -> str:
    return f"""
:root {{ color-scheme: {"light dark" if theme == "auto" else theme}; }}
body {{ margin: 2rem auto; max-width: 62rem; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif;
  background: light-dark({LIGHT.ground}, {DARK.ground}); color: light-dark({LIGHT.text}, {DARK.text}); }}
h1 {{ font-size: 1.3rem; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #8884; }}
.text {{ text-align: left; }}
li {{ color: light-dark({LIGHT.quiet}, {DARK.quiet}); }}
{BOTH if theme == "auto" else ""}"""


def page(chart: Chart, theme: str = "auto") -> str:
    """The chart for light and dark ground, of which a browser shows one, and the whole group as a table.

    theme   light, dark, or auto: as the reader's system is
    """
    grounds = ("light", "dark") if theme == "auto" else (theme,)
    columns = usual_columns(chart.group)
    heads = "".join(f'<th{_class(c)} title="{escape(c.doc)}">{escape(c.heading)}</th>' for c in columns)
    rows = []
    for entry in chart.group.entries:
        cells = "".join(f"<td{_class(c)}>{escape(c.written(c.value(entry)))}</td>" for c in columns)
        rows.append(f'<tr title="{escape(facts(entry))}">{cells}</tr>')
    title = escape(f"{counted(len(chart.points))}, {chart.group.title.replace('->', '→')}")
    parts = [
        f'<!DOCTYPE html>\n<!-- {MARK} -->\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>{style(theme)}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        *(f'<div class="{ground}">{_renamed(as_svg(chart, ground), ground)}</div>' for ground in grounds),
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>",
        *rows,
        "</tbody>\n</table>\n<ul>",
        *(f"<li>left out: {escape(why)}</li>" for why in chart.left_out),
        "</ul>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _class(column: Column) -> str:
    return ' class="text"' if column.is_text else ""


def _renamed(svg: str, ground: str) -> str:
    """One drawing of a page with ids of its own, as ids are the page's."""
    return re.sub(r'(href="#|url\(#)', rf"\1{ground}-", re.sub(r'\bid="', f'id="{ground}-', svg))
