"""Pictures: what is drawn is what the network is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netdsl
from netdsl.draw import elements
from netdsl.draw.series import Wire, decompose
from netdsl.draw.structure import ENTRY, Box, Diagram, Link, Parallel, Series, levels, structure
from netdsl.draw.theme import KINDS, THEMES, contrast
from netdsl.draw.words import KIND_OF
from netdsl.net import Net
from netdsl.ops import OPS
from netdsl.options import UsageError
from tests.golden import check_golden
from tests.strategies import Program, programs, share

GOLDEN = Path(__file__).parent / "golden" / "draw"
SPECS = sorted(path.stem for path in (Path(__file__).parents[1] / "specs").glob("*.net"))
PICTURED = ("googlenet", "resnet50", "vgg16", "densenet121", "unet", "fcn8s", "fractalnet", "vit_b_16")


# --- the structure ---------------------------------------------------------------------------------------------


def outline(diagram: Diagram, depth: int, indent: str = "") -> list[str]:
    """A structure as text: `|` begins a branch, `=>` is a join, `~` takes nothing from above."""
    lines = series_lines(diagram.series, depth, indent)
    for link in diagram.links:
        lines.append(f"{indent}{link.kind}: {link.source or 'entry'} -> {link.target or link.label}")
        lines += series_lines(link.via, depth, indent + "    ") if link.via else []
    return lines


def series_lines(series: Series, depth: int, indent: str) -> list[str]:
    lines = []
    for i, item in enumerate(series.items):
        start = indent + ("~ " if i in series.breaks else "")
        if isinstance(item, Box):
            lines += box_lines(item, depth, start)
            continue
        for branch in item.branches:
            lines.append(f"{start}|" + (f" × {branch.count}" if branch.count > 1 else ""))
            lines += series_lines(branch, depth, indent + "    ")
        lines += box_lines(item.join, depth, f"{indent}=> ") if item.join else []
    return lines


def box_lines(box: Box, depth: int, start: str) -> list[str]:
    times = f" × {box.count}" if box.count > 1 else ""
    notes = f" ({box.subtitle})" if box.subtitle else ""
    training = ", training only" if box.training else ""
    line = f"{start}{box.id}: {box.title}{times}{notes} [{box.kind}] {box.shape}{training}"
    return [line, *(outline(box.body, depth - 1, " " * len(start) + "    ") if box.body and depth else [])]


@pytest.mark.parametrize("name", PICTURED)
def test_the_structure_of_published_networks(name: str, update_golden: bool) -> None:
    drawn = structure(netdsl.load(name))
    check_golden(GOLDEN / f"{name}.txt", "\n".join(outline(drawn, 3)) + "\n", update_golden)


def adds_up(net: Net) -> None:
    drawn = structure(net)
    assert sum(box.params for box in drawn.boxes) == net.params
    macs = sum((box.macs for box in drawn.boxes if not box.training), start=0)
    assert net.shown(macs) == net.macs
    every_diagram(drawn, set())


def every_diagram(drawn: Diagram, seen: set[int]) -> None:
    """Ids are unique, links end at boxes, kinds have colours, and repeated bodies add up."""
    if id(drawn) in seen:
        return
    seen.add(id(drawn))
    ids = [box.id for box in drawn.boxes]
    assert len(set(ids)) == len(ids)
    for link in drawn.links:
        assert {link.source, link.target} <= {ENTRY, *ids}
    for box in drawn.boxes:
        assert box.kind in KINDS and box.title and box.shape and box.count >= 1
        if box.body is not None:
            every_diagram(box.body, seen)


@pytest.mark.parametrize("name", SPECS)
def test_every_parameter_is_in_one_box(name: str) -> None:
    adds_up(netdsl.load(name))


@share(50)
@given(programs())
def test_every_parameter_of_a_drawn_network_is_in_one_box(program: Program) -> None:
    adds_up(netdsl.loads(program.text))


Wiring = list[tuple[tuple[int, ...], bool]]


@st.composite
def wirings(draw: st.DrawFn) -> Wiring:
    """Any acyclic graph of boxes, each with what it takes; box 0 comes from outside."""
    count = draw(st.integers(2, 14))
    inputs = [
        tuple(draw(st.lists(st.integers(max(0, i - draw(st.integers(1, 6))), i - 1), min_size=1, max_size=4)))
        for i in range(1, count)
    ]
    return [((), False), *((taken, draw(st.booleans())) for taken in inputs)]


def ways(series: Series, sources: set[str], found: set[tuple[str, str]]) -> set[str]:
    """Adds the edges that a series shows, and gives the boxes at its end."""
    for i, item in enumerate(series.items):
        if i in series.breaks:
            sources = set()
        if isinstance(item, Box):
            found |= {(source, item.id) for source in sources}
            sources = {item.id}
            continue
        ends = set().union(*(ways(branch, sources, found) for branch in item.branches))
        if item.join is not None:
            found |= {(end, item.join.id) for end in ends}
        sources = {item.join.id} if item.join else ends
    return sources


@given(wirings(), st.booleans(), st.data())
def test_what_is_drawn_has_the_edges_of_the_graph(wiring: Wiring, implicit: bool, data: st.DataObject) -> None:
    last = len(wiring) - 1
    heads = data.draw(st.lists(st.integers(1, last), max_size=2, unique=True))
    outputs = [Wire(last, "out"), *(Wire(head, f"aux{head}", True) for head in heads)]
    boxes = [Box(str(i), f"box {i}", "conv", "1") for i in range(len(wiring))]
    series, links = decompose(boxes, wiring, outputs, implicit)
    live = {last, *heads}
    for i in range(last, -1, -1):
        if i in live:
            live.update(wiring[i][0])
    name = {i: ENTRY if implicit and i == 0 else str(i) for i in range(len(wiring))}
    expected = {(name[v], name[i]) for i in live for v in wiring[i][0]}
    assert shown_edges(series, links, {ENTRY} if implicit else set()) == expected
    drawn = [box.id for box in Diagram("", series, links).boxes]
    assert sorted(drawn) == sorted(name[i] for i in live if name[i] != ENTRY)


def shown_edges(series: Series, links: tuple[Link, ...], sources: set[str]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    ways(series, sources, found)
    for link in links:
        ends = ways(link.via, {link.source}, found) if link.via is not None else {link.source}
        if link.kind != "output":
            found |= {(end, link.target) for end in ends}
    return found


def test_equal_neighbours_are_one_box() -> None:
    net = netdsl.loads("input 3 x 8 x 8\nCONV 8\nCONV 8\nCONV 8\n(CONV 8) * 2 | CONV 8 | CONV 8\nFC 10")
    items = structure(net).series.items
    assert isinstance(items[1], Box) and (items[1].title, items[1].count) == ("CONV 8 3x3", 3)
    parallel = items[2]
    assert isinstance(parallel, Parallel)
    assert [branch.count for branch in parallel.branches] == [1, 2]


def test_a_block_that_is_given_a_path_shows_its_name_alone() -> None:
    """What the path took from around it is no argument of the call."""
    half = "block half(n) = split(identity, CONV n -> CONV (C/2)) -> CONV n"
    drawn = structure(netdsl.loads(f"{half}\nnet a\ninput 8 x 9 x 9\nhalf(6)"))
    (outer,) = (box for box in drawn.boxes if box.body is not None)
    assert outer.body is not None
    assert "split" in [box.title for box in outer.body.boxes]


def test_a_thousand_blocks_are_few_boxes() -> None:
    drawn = structure(netdsl.load("resnet1202"))
    assert len(drawn.boxes) < 10 and levels(drawn) == 2
    assert sum(box.count for box in drawn.boxes) > 200


def test_too_much_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elements, "MAX_ELEMENTS", 100)
    lines = "\n".join(f"CONV {8 + i % 2}" for i in range(110))
    with pytest.raises(UsageError, match="more than 100 elements that are not repeats: too many for a picture"):
        structure(netdsl.loads(f"input 3 x 8 x 8\n{lines}"))


def test_a_deep_nest_is_drawn() -> None:
    downs = "\n".join(f"d{i} = CONV 8" for i in range(400))
    ups = "\n".join(f"identity + d{i}" for i in reversed(range(399)))
    drawn = structure(netdsl.loads(f"input 8 x 8 x 8\n{downs}\n{ups}"))
    assert sum(link.kind == "skip" for link in drawn.links) == 399


# --- the theme -------------------------------------------------------------------------------------------------


def test_every_op_has_a_kind_and_every_kind_a_colour() -> None:
    assert {op.name for op in OPS} == set(KIND_OF)
    assert set(KIND_OF.values()) <= set(KINDS)
    for palette in THEMES.values():
        assert set(palette.kinds) == set(KINDS)


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_lines_have_contrast(theme: str) -> None:
    palette = THEMES[theme]
    for paint in palette.kinds.values():
        assert contrast(palette.text, paint.fill) >= 7
        assert contrast(paint.line, palette.ground) >= 3
    for ground in (palette.ground, palette.frame):
        assert contrast(palette.quiet, ground) >= 4.5
        assert contrast(palette.skip, ground) >= 4.5
