"""How does a comparison look in a browser?  One file that needs nothing else: the chart, and the table below it."""

from __future__ import annotations

import re
from html import escape

from netdsl.comparison.chart import Chart, counted
from netdsl.comparison.columns import Column, usual_columns
from netdsl.comparison.plot import as_svg, facts
from netdsl.draw.theme import DARK, LIGHT

STYLE = f"""
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem auto; max-width: 62rem; padding: 0 1rem; font: 15px/1.45 system-ui, sans-serif;
  background: {LIGHT.ground}; color: {LIGHT.text}; }}
h1 {{ font-size: 1.3rem; }}
svg {{ width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #8884; }}
.text {{ text-align: left; }}
li {{ color: {LIGHT.quiet}; }}
.dark {{ display: none; }}
@media screen and (prefers-color-scheme: dark) {{
  body {{ background: {DARK.ground}; color: {DARK.text}; }}
  li {{ color: {DARK.quiet}; }}
  .light {{ display: none; }}
  .dark {{ display: block; }}
}}
"""


def page(chart: Chart) -> str:
    """The chart for light and dark ground, of which a browser shows one, and the whole group as a table."""
    columns = usual_columns(chart.group)
    heads = "".join(f'<th{_class(c)} title="{escape(c.doc)}">{escape(c.heading)}</th>' for c in columns)
    rows = []
    for entry in chart.group.entries:
        cells = "".join(f"<td{_class(c)}>{escape(c.written(c.value(entry)))}</td>" for c in columns)
        rows.append(f'<tr title="{escape(facts(entry))}">{cells}</tr>')
    title = escape(f"{counted(len(chart.points))}, {chart.group.title.replace('->', '→')}")
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>",
        f'<div class="light">{as_svg(chart, "light")}</div>',
        f'<div class="dark">{_renamed(as_svg(chart, "dark"))}</div>',
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>",
        *rows,
        "</tbody>\n</table>\n<ul>",
        *(f"<li>left out: {escape(why)}</li>" for why in chart.left_out),
        "</ul>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _class(column: Column) -> str:
    return ' class="text"' if column.is_text else ""


def _renamed(svg: str) -> str:
    """The second drawing of a page: its ids are others, as ids are the page's."""
    return re.sub(r'(href="#|url\(#)', r"\1dark-", re.sub(r'\bid="', 'id="dark-', svg))
