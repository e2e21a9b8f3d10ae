"""What does the page say?  One file that unfolds blocks, shows what each costs, and needs nothing else.

The page holds the structure as JSON, each body once, and a program of its own (`page/page.js`) that lays it out as
nested boxes. It asks nothing of the internet: its policy forbids that, and allows no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from typing import Any

from netdsl.amounts import number
from netdsl.draw.facts import Fact, Sight, facts
from netdsl.draw.formats import MARK
from netdsl.draw.shares import shares
from netdsl.draw.structure import Box, Diagram, Link, Parallel, Series, structure
from netdsl.draw.theme import DARK, KINDS, LIGHT, Palette
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.recursion import deep_recursion
from netdsl.size import Size, total
from netdsl.table import limits

MAX_BOXES = 20_000
"""Different boxes that a page holds: with more, a browser is slow to read it."""


def html_page(net: Net, theme: str = "auto", depth: int = 0) -> str:
    """The page of a network, with `depth` levels of blocks open at first; `theme` is light, dark or auto.

    Raises UsageError where it has more different elements than a page holds.
    """
    from netdsl import __version__

    style = f"\n{_variables()}\n\n{_asset('page.css')}"
    script = f"\n{_asset('page.js')}"
    with deep_recursion():
        data = _json({**page_data(net), "depth": depth})
    parts = {
        "POLICY": f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'",
        "MARK": MARK,
        "THEME": theme,
        "VERSION": __version__,
        "TITLE": escape(net.name),
        "TOTALS": escape(_totals(net)),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": data,
    }
    text = "".join(parts.get(piece, piece) for piece in _asset("page.html").split("@@"))
    return text.encode("utf-8", "replace").decode("utf-8")  # a file's name may hold what is no character


def page_data(net: Net) -> dict[str, Any]:
    """What the page draws: the head of `page/page.js` says how to read it."""
    diagram = structure(net)
    diagrams = _diagrams(diagram)
    count = sum(len(each.boxes) for each in diagrams)
    if count > MAX_BOXES:
        raise UsageError(
            f"{net.name} has {count:,} different boxes, and a page holds at most {MAX_BOXES:,}: "
            "`netdsl show --depth 2` is a table of it"
        )
    index = {id(each): i for i, each in enumerate(diagrams)}
    kinds, maker = shares(net), _Maker(net, diagram, index)
    return {
        "name": net.name,
        "totals": {"params": net.params, "macs": _cost(net.macs), "values": _cost(total(k.values for k in kinds))},
        "shares": [
            {"kind": k.kind, "params": _cost(k.params), "macs": _cost(k.macs), "values": _cost(k.values)} for k in kinds
        ],
        "kinds": KINDS,
        "notes": limits(net) if net.constraints else [],
        "bodies": [maker.body(each) for each in diagrams],
        "root": index[id(diagram)],
    }


def _diagrams(diagram: Diagram) -> list[Diagram]:
    """Every different diagram, inner ones first."""
    done: dict[int, Diagram] = {}
    stack = [(diagram, False)]
    while stack:
        each, ready = stack.pop()
        if id(each) in done:
            continue
        if ready:
            done[id(each)] = each
            continue
        stack.append((each, True))
        stack.extend((box.body, False) for box in reversed(each.boxes) if box.body is not None)
    return list(done.values())


class _Maker:
    """What the page says of bodies: `index` has the place of each diagram."""

    def __init__(self, net: Net, diagram: Diagram, index: dict[int, int]) -> None:
        self.net, self.index = net, index
        self.facts = facts(net, diagram)

    def body(self, diagram: Diagram) -> dict[str, Any]:
        body: dict[str, Any] = {"name": diagram.name, **self.series(diagram, diagram.series)}
        if diagram.links:
            body["links"] = [self.link(diagram, link) for link in diagram.links]
        return body

    def series(self, diagram: Diagram, series: Series) -> dict[str, Any]:
        items = [
            self.box(diagram, item) if isinstance(item, Box) else self.parallel(diagram, item) for item in series.items
        ]
        given: dict[str, Any] = {"items": items, "breaks": sorted(series.breaks), "count": series.count}
        return _without(given, {"breaks": [], "count": 1})

    def parallel(self, diagram: Diagram, item: Parallel) -> dict[str, Any]:
        branches = [self.series(diagram, branch) for branch in item.branches]
        return {"branches": branches, "join": self.box(diagram, item.join) if item.join is not None else None}

    def link(self, diagram: Diagram, link: Link) -> dict[str, Any]:
        given = {
            "kind": link.kind,
            "from": link.source,
            "to": link.target,
            "via": self.series(diagram, link.via) if link.via is not None else None,
            "label": link.label,
            "training": link.training,
        }
        return _without(given, {"via": None, "label": "", "training": False})

    def box(self, diagram: Diagram, box: Box) -> dict[str, Any]:
        fact = self.facts.get((id(diagram), box.id), Fact())
        given = {
            "id": box.id,
            "label": box.label,
            "title": box.title,
            "sub": box.subtitle,
            "kind": box.kind,
            "shape": _times(box.shape),
            "input": _times(fact.input),
            "params": box.params,
            "macs": _cost(self.net.shown(box.macs)),
            "values": _cost(self.net.shown(box.values)),
            "count": box.count,
            "steps": box.holds_steps,
            "body": self.index[id(box.body)] if box.body is not None else None,
            "sees": _sight(fact.sees),
            "inside": _sight(fact.inside),
            "worked": fact.worked,
            "at": box.place,
            "training": box.training,
            "frozen": box.frozen,
        }
        usual = {"count": 1, "body": None, "training": False, "frozen": False, "steps": False}
        bare = dict.fromkeys(("label", "sub", "input", "worked", "at"), "")
        return _without(
            given, {**usual, **bare, **dict.fromkeys(("params", "macs", "values"), 0), "sees": [], "inside": []}
        )


def _sight(sight: Sight) -> str | list[list[float]]:
    """Rows and stride of each axis."""
    return sight if isinstance(sight, str) else [[size, float(jump) if jump % 1 else int(jump)] for size, jump in sight]


def _without(given: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What goes without saying is left out."""
    return {key: value for key, value in given.items() if key not in usual or value != usual[key]}


def _cost(size: Size) -> int | str:
    """A number, or a formula of open sizes."""
    return int(size) if isinstance(size, int) else number(size)


def _times(shape: str) -> str:
    return shape.replace(" x ", " × ")


def _totals(net: Net) -> str:
    ins = ", ".join(_times(net.shape_text(input.type)) for input in net.graph.inputs)
    return f"{ins}  ·  {number(net.params)} parameters  ·  {number(net.macs)} MACs"


# --- the file ----------------------------------------------------------------------------------------------------


def _asset(name: str) -> str:
    return files("netdsl.draw").joinpath("page", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """The source expression of an inline style or script (Content Security Policy 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(data: dict[str, Any]) -> str:
    """JSON for a script element, where `<!--` and `</script` would be read as HTML. A line for each body."""
    lines = []
    for key, value in data.items():
        if key == "bodies":
            inner = ",\n".join(json.dumps(body, ensure_ascii=False, separators=(",", ":")) for body in value)
            lines.append(f'"bodies": [\n{inner}\n]')
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    text = "{\n" + ",\n".join(lines) + "\n}"
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _variables() -> str:
    """The theme as CSS: each colour for light and for dark ground."""
    both = [(name, light, dark) for (name, light), (_, dark) in zip(_named(LIGHT), _named(DARK))]
    lines = [f"  --{name}: light-dark({light}, {dark});" for name, light, dark in both]
    return "\n".join([":root {", *lines, "}"])


def _named(palette: Palette) -> list[tuple[str, str]]:
    names = ("ground", "text", "quiet", "wire", "skip", "frame", "frame_line")
    plain = [(name.replace("_", "-"), getattr(palette, name)) for name in names]
    for kind, paint in palette.kinds.items():
        plain += [(f"{kind}-fill", paint.fill), (f"{kind}-line", paint.line)]
    return plain
