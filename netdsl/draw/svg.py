"""How is a picture written as SVG?  By hand: rectangles, lines and texts, with a style sheet for both grounds.

The file says who wrote it in a comment, so that `netdsl draw` may replace it.
"""

from __future__ import annotations

from html import escape

from netdsl.draw.formats import MARK
from netdsl.draw.picture import Picture, Shape, Wire, Words
from netdsl.draw.pieces import HEAD, STACK
from netdsl.draw.theme import FONTS, THEMES, Palette

ROUND = 6.0
"""The radius at which a line turns."""


def svg(picture: Picture, theme: str = "auto", width: float | None = None) -> str:
    """The text of an SVG file. `theme` is light, dark, or auto: as the reader's system has it.

    width   in pixels; without it the picture has its own size, and is never wider than the window
    """
    size = f'width="{number(width)}"' if width else f'width="{number(picture.width)}" height="{number(picture.height)}"'
    scheme = "light dark" if theme == "auto" else theme
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {number(picture.width)} {number(picture.height)}" {size}'
        f' style="max-width:100%;height:auto;color-scheme:{scheme}" role="img" aria-labelledby="title desc">',
        f"<!-- {MARK} -->",
        f'<title id="title">{text(picture.name)}</title>',
        f'<desc id="desc">{text(picture.description)}</desc>',
        f"<style>{style(theme)}</style>",
        f'<rect class="ground" width="{number(picture.width)}" height="{number(picture.height)}"/>',
    ]
    frames = [shape for shape in picture.shapes if shape.form == "frame"]
    boxes = [shape for shape in picture.shapes if shape.form != "frame"]
    out += [shown for shape in frames for shown in rectangles(shape)]
    out += [line(wire) for wire in picture.wires]
    out += [shown for shape in boxes for shown in rectangles(shape)]
    out += [words_of(words) for words in picture.words]
    return "\n".join([*out, "</svg>\n"])


def text(value: str) -> str:
    """Text as XML can hold it: control characters have no place there."""
    kept = "".join(c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff" else "�" for c in value)
    return escape(kept)


def number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# --- parts -----------------------------------------------------------------------------------------------------


def rectangles(shape: Shape) -> list[str]:
    """A box, and those behind it where it stands for several."""
    name = f"{shape.form} {shape.kind}" + (" training" if shape.training else "")
    radius = {"pill": shape.height / 2, "frame": 7.0}.get(shape.form, 4.0)
    found = []
    for i in range(min(shape.count - 1, 2), -1, -1):
        x, y = shape.x + STACK * i, shape.y + STACK * i
        place = f'x="{number(x)}" y="{number(y)}" width="{number(shape.width)}" height="{number(shape.height)}"'
        tip = f"<title>{text(tip_of(shape))}</title>" if not i else ""
        found.append(f'<rect class="{name}" {place} rx="{number(radius)}">{tip}</rect>')
    return [*found, band(shape, radius)] if shape.form == "frame" else found


def band(shape: Shape, radius: float) -> str:
    """The band on top of a frame, within its line."""
    left, top, right, r = shape.x + 0.5, shape.y + 0.5, shape.x + shape.width - 0.5, radius - 0.5
    corners = f"Q{number(left)} {number(top)} {number(left + r)} {number(top)}H{number(right - r)}"
    corners += f"Q{number(right)} {number(top)} {number(right)} {number(top + r)}"
    bottom = number(shape.y + HEAD)
    return f'<path class="band" d="M{number(left)} {bottom}V{number(top + r)}{corners}V{bottom}Z"/>'


def tip_of(shape: Shape) -> str:
    """What is said of a box to those who point at it."""
    lines = [shape.title, shape.shape]
    if shape.params:
        lines.append(f"{shape.params:,} parameters")
    if shape.macs:
        lines.append(f"{shape.macs:,} MACs" if isinstance(shape.macs, int) else f"{shape.macs} MACs")
    if shape.training:
        lines.append("in training only")
    return "\n".join([*lines, *([shape.place] if shape.place else [])])


def line(wire: Wire) -> str:
    """A line with round corners, and its head."""
    points = wire.points
    d = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, at, after in zip(points, points[1:], points[2:]):
        turn = min(ROUND, distance(before, at) / 2, distance(at, after) / 2)
        start, end = towards(at, before, turn), towards(at, after, turn)
        d.append(
            f"L{number(start[0])} {number(start[1])}Q{number(at[0])} {number(at[1])} {number(end[0])} {number(end[1])}"
        )
    last = points[-1]
    tip = towards(last, points[-2], 4.0) if wire.arrow else last
    d.append(f"L{number(tip[0])} {number(tip[1])}")
    found = f'<path class="{wire.style}" d="{"".join(d)}"/>'
    return found + (head(points[-2], last, wire.style) if wire.arrow else "")


def head(before: tuple[float, float], at: tuple[float, float], style: str) -> str:
    base = towards(at, before, 6.0)
    across = ((at[1] - base[1]) * 0.5, (base[0] - at[0]) * 0.5)
    corners = [at, (base[0] + across[0], base[1] + across[1]), (base[0] - across[0], base[1] - across[1])]
    return f'<path class="head {style}" d="M{"L".join(f"{number(x)} {number(y)}" for x, y in corners)}Z"/>'


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def towards(a: tuple[float, float], b: tuple[float, float], far: float) -> tuple[float, float]:
    """The point on the way from `a` to `b` that is so far from `a`."""
    whole = distance(a, b)
    return (a[0] + (b[0] - a[0]) * far / whole, a[1] + (b[1] - a[1]) * far / whole) if whole else a


def words_of(words: Words) -> str:
    anchor = "" if words.anchor == "start" else f' text-anchor="{words.anchor}"'
    place = f'x="{number(words.x)}" y="{number(words.y)}"'
    return f'<text class="{words.style}" {place} font-size="{number(words.size)}"{anchor}>{text(words.text)}</text>'


# --- the style sheet -------------------------------------------------------------------------------------------


def style(theme: str) -> str:
    """The rules of one ground; for `auto` those of light, and of dark where the reader prefers it."""
    common = (
        f"text{{font-family:{fonts()}}}path{{fill:none;stroke-width:1.2}}rect{{stroke-width:1}}"
        ".strong,.size,text.head{font-weight:bold}"
        ".training{stroke-dasharray:4 3}path.head{stroke:none;stroke-dasharray:none}"
    )
    if theme != "auto":
        return common + rules(THEMES[theme])
    return f"{common}{rules(THEMES['light'])}@media (prefers-color-scheme:dark){{{rules(THEMES['dark'])}}}"


def fonts() -> str:
    return ",".join(f"'{name}'" if " " in name else name for name in FONTS)


def rules(palette: Palette) -> str:
    found = [
        f".ground{{fill:{palette.ground}}}",
        *(f".{kind}{{fill:{paint.fill};stroke:{paint.line}}}" for kind, paint in palette.kinds.items()),
        f".frame{{fill:{palette.frame};stroke:{palette.frame_line}}}",
        f".wire{{stroke:{palette.wire}}}path.skip,path.training{{stroke:{palette.skip}}}",
        f"path.head.wire{{fill:{palette.wire};stroke:none}}path.head.skip,path.head.training{{fill:{palette.skip};stroke:none}}",
        f"text{{fill:{palette.text}}}text.quiet{{fill:{palette.quiet}}}text.note{{fill:{palette.text};opacity:.75}}",
        f".quiet,.size{{paint-order:stroke;stroke:{palette.ground};stroke-width:3px;stroke-linejoin:round}}",
        f".band{{fill:{palette.kinds['block'].fill}}}",
    ]
    return "".join(found)
