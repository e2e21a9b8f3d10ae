"""How is a chart drawn?  By matplotlib, as SVG, PNG or PDF."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from netdsl.comparison.chart import Chart, axis_title
from netdsl.comparison.columns import Column, round_number, short
from netdsl.comparison.entries import Entry
from netdsl.comparison.labels import LINE, Box, Disc, place
from netdsl.draw.formats import MARK
from netdsl.draw.theme import FONTS, THEMES, Palette
from netdsl.options import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf", "html")
SIZES = (5e6, 50e6, 100e6, 150e6)
"""Parameters of the discs in the legend."""
RADIUS = 28.0
"""Pixels of the largest disc."""
INCHES = (10.0, 6.4)
DPI = 100
LOGARITHMIC = 30
"""An axis whose largest value is more than so many times its smallest one is logarithmic."""


FAMILIES = {
    "AlexNet": "#d55e00",
    "VGG": "#0072b2",
    "Inception": "#e69f00",
    "ResNet": "#009e73",
    "After ResNet": "#8fd175",
    "DenseNet": "#cc79a7",
    "Mobile": "#56b4e9",
    "ViT and after": "#7a5fc0",
}
"""Okabe & Ito (2008) and two between, told apart by people who see fewer colours; and names stand beside the discs."""
OTHERS = "#8a9099"


def drawn(chart: Chart, form: str, theme: str = "auto", width: int | None = None) -> bytes:
    """The file's bytes. `auto` is light, but a page has both, and shows the reader's.

    width   in pixels, of .svg and .png; 1000 and 2000 if nothing is said

    Raises UsageError where matplotlib is missing.
    """
    if width and form not in ("svg", "png"):
        raise UsageError(f"--width has no meaning for .{form}; it goes with .svg, .png")
    if form == "html":
        from netdsl.comparison.page import page

        return page(chart, theme).encode()
    ground = "light" if theme == "auto" else theme
    if form == "svg":
        return as_svg(chart, ground, width).encode()
    file = io.BytesIO()
    metadata: dict[str, Any] = {"Software": MARK} if form == "png" else {"Creator": MARK, "CreationDate": None}
    dpi = DPI if form == "pdf" else (width or 2 * INCHES[0] * DPI) / INCHES[0]
    with _settings():
        _figure(chart, ground).savefig(file, format=form, dpi=dpi, metadata=metadata)
    return file.getvalue()


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib's defaults, whatever the user's own are, but letters as letters, and the same file each time."""
    try:
        import matplotlib
    except ImportError:
        raise UsageError('a picture needs matplotlib: `pip install "netdsl[pictures]"`') from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.family": FONTS[0], "font.size": 9})
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "netdsl", "pdf.fonttype": 42})
        yield


def as_svg(chart: Chart, theme: str, width: int | None = None) -> str:
    """With a title for each disc, which browsers show when it is pointed at."""
    file = io.StringIO()
    with _settings():
        _figure(chart, theme).savefig(file, format="svg", metadata={"Creator": MARK, "Date": None})
    text = file.getvalue().replace(f"'{FONTS[0]}'", ", ".join(f"'{font}'" for font in FONTS[:-1]) + f", {FONTS[-1]}")
    for i, (entry, _, _) in enumerate(chart.points):
        group = f'<g id="network{i}">'
        text = text.replace(group, f"{group}\n    <title>{escape(facts(entry))}</title>", 1)
    text = text[text.index("<svg") :]
    if width is None:
        return text
    height = width * INCHES[1] / INCHES[0]
    return re.sub(r' width="[^"]*" height="[^"]*"', f' width="{width}" height="{height:g}"', text, count=1)


def facts(entry: Entry) -> str:
    """What is shown where a network is pointed at."""
    lines = [entry.name, f"{short(entry.params)} parameters, {short(entry.macs)} MACs, depth {entry.depth}"]
    if entry.accuracy:
        figures = [("top-1", entry.top1), ("top-5", entry.top5)]
        lines.append(", ".join(f"{name} {value:.2f} %" for name, value in figures if value is not None))
        lines.append(entry.accuracy.said)
    return "\n".join(lines)


# --- the figure -------------------------------------------------------------------------------------------------------


def _figure(chart: Chart, theme: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colours = THEMES[theme]
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor=colours.ground)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.062, 0.085, 0.80, 0.87), facecolor=colours.ground)
    _axes(axes, chart, colours)
    points = sorted(enumerate(chart.points), key=lambda point: -point[1][0].params)
    for i, (entry, x, y) in points:
        colour = FAMILIES.get(entry.family, OTHERS)
        size = (2 * _radius(entry.params) * 72 / DPI) ** 2
        axes.scatter([x], [y], s=size, c=colour, alpha=0.55, linewidths=0, gid=f"network{i}", zorder=2)
        axes.scatter([x], [y], s=size, facecolors="none", edgecolors=colour, linewidths=1, zorder=3)
    _names(axes, chart, colours)
    _legend(figure, chart, colours)
    return figure


def _radius(params: float) -> float:
    """In pixels: the area is proportional to the parameters, but a disc stays visible."""
    return max(RADIUS * math.sqrt(params / SIZES[-1]), 2.0)


def _axes(axes: Axes, chart: Chart, colours: Palette) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    for side, column, which in (("x", chart.x, 1), ("y", chart.y, 2)):
        values = [float(point[which]) for point in chart.points]  # type: ignore[arg-type]
        axis = axes.xaxis if side == "x" else axes.yaxis
        low, high = _limits(values, column)
        getattr(axes, f"set_{side}lim")(low, high)
        if _logarithmic(values):
            getattr(axes, f"set_{side}scale")("log")
            axis.set_major_locator(_steps(low, high))
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_major_locator(MaxNLocator(8, integer=column.name in ("year", "depth")))
        plain = column.name in ("year", "top1", "top5", "density")
        axis.set_major_formatter(
            FuncFormatter(lambda value, _, plain=plain: f"{value:g}" if plain else round_number(value))
        )
    axes.set_xlabel(axis_title(chart, chart.x), color=colours.text)
    axes.text(0, 1.015, axis_title(chart, chart.y), transform=axes.transAxes, color=colours.text)
    axes.grid(color=colours.frame_line, alpha=0.55, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(colors=colours.quiet, which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _logarithmic(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) > LOGARITHMIC * min(values)


def _limits(values: Sequence[float], column: Column) -> tuple[float, float]:
    """With room for discs and names at the edges; accuracies end at 100."""
    low, high = min(values), max(values)
    if _logarithmic(values):
        room = (high / low) ** 0.08
        return low / room, high * room
    room = 0.09 * (high - low) or abs(high) * 0.1 or 1
    top = high + room
    return (low - room if low - room > 0 or low < 0 else 0), (
        min(top, 100) if column.name in ("top1", "top5") and high < 99 else top
    )


def _steps(low: float, high: float) -> Any:
    """Ticks at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import FixedLocator

    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    wide = len(powers) > 6
    return FixedLocator(
        [m * 10.0**p for p in powers for m in ((1,) if wide else (1, 2, 5)) if low <= m * 10.0**p <= high]
    )


def _names(axes: Axes, chart: Chart, colours: Palette) -> None:
    figure = axes.figure
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame = axes.get_window_extent(renderer)
    texts = [axes.text(0, 0, _name(entry), fontsize=7.5, color=colours.text, zorder=5) for entry, _, _ in chart.points]
    spots = axes.transData.transform([(x, y) for _, x, y in chart.points])
    discs = []
    for text, (entry, _, _), (x, y) in zip(texts, chart.points, spots):
        size = text.get_window_extent(renderer)
        discs.append(Disc(x - frame.x0, y - frame.y0, _radius(entry.params), size.width + 7, size.height + 2))
    back = axes.transAxes.inverted()
    for text, disc, box in zip(texts, discs, place(discs, frame.width, frame.height)):
        if box is None:
            text.remove()
            continue
        x, y = back.transform((frame.x0 + box.x, frame.y0 + box.y))
        text.set(x=x, y=y, transform=axes.transAxes, ha="center", va="center")
        if box.gap >= LINE:
            ends = [(frame.x0 + px, frame.y0 + py) for px, py in _line(disc, box)]
            (x0, y0), (x1, y1) = back.transform(ends)
            axes.plot([x0, x1], [y0, y1], transform=axes.transAxes, color=colours.quiet, linewidth=0.6, zorder=1)


def _name(entry: Entry) -> str:
    name = entry.name if len(entry.name) <= 28 else entry.name[:27] + "…"
    return name.replace("$", r"\$")


def _line(disc: Disc, box: Box) -> tuple[tuple[float, float], tuple[float, float]]:
    """From the edge of a disc to the nearest point of its name."""
    x = min(max(disc.x, box.x - box.width), box.x + box.width)
    y = min(max(disc.y, box.y - box.height), box.y + box.height)
    far = math.hypot(x - disc.x, y - disc.y) or 1
    start = disc.x + (x - disc.x) * disc.radius / far, disc.y + (y - disc.y) * disc.radius / far
    return start, (x, y)


def _legend(figure: Figure, chart: Chart, colours: Palette) -> None:
    """To the right: families as they are coloured, and discs of known sizes, in one another."""
    width, height = figure.get_size_inches() * DPI
    side = figure.add_axes((0.875, 0, 0.125, 1), facecolor="none")
    side.set(xlim=(0, 0.125 * width), ylim=(0, height))
    side.axis("off")
    y = 0.955 * height - 8
    families = dict.fromkeys(entry.family for entry, _, _ in chart.points)
    known = [name for name in FAMILIES if name in families]
    others = [name for name in families if name not in FAMILIES]
    rows = [(name, FAMILIES[name]) for name in known] + ([("others", OTHERS)] if others else [])
    for name, colour in rows:
        side.scatter([8], [y], s=48, c=colour, alpha=0.7, linewidths=0)
        side.text(20, y, name, va="center", color=colours.text, fontsize=8.5)
        y -= 20
    y -= 24
    side.text(2, y, "parameters", va="center", color=colours.text, fontsize=8.5)
    bottom = y - 16 - 2 * RADIUS
    for size in SIZES:
        radius = _radius(size)
        diameter = (2 * radius * 72 / DPI) ** 2
        side.scatter(
            [2 + RADIUS], [bottom + radius], s=diameter, facecolors="none", edgecolors=colours.quiet, linewidths=0.8
        )
        top = bottom + 2 * radius
        side.plot([2 + RADIUS, 2 * RADIUS + 10], [top, top], color=colours.quiet, linewidth=0.5)
        side.text(2 * RADIUS + 13, top, round_number(size), va="center", color=colours.text, fontsize=7.5)
