"""Where things stand in pictures: nothing overlaps, every text fits, every line ends where it should."""

from __future__ import annotations

import runpy
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from commands import Run
from hypothesis import given
from hypothesis import strategies as st

import netdsl
from netdsl.draw import sheet
from netdsl.draw.formats import FORMATS, draw
from netdsl.draw.metrics import BOLD, clipped, text_width
from netdsl.draw.picture import Picture, Shape, Wire, Words
from netdsl.draw.pieces import RISE, STACK
from netdsl.draw.sheet import PAGES, boxes_at, picture
from netdsl.draw.structure import levels, structure
from netdsl.draw.svg import svg
from netdsl.draw.ushape import u_of
from netdsl.options import UsageError
from tests.strategies import Program, programs, share

SPECS = sorted(path.stem for path in (Path(__file__).parents[1] / "specs").glob("*.net"))
SVG = "{http://www.w3.org/2000/svg}"
SLACK = 0.05

Box = tuple[float, float, float, float]


# --- laws of the layout ----------------------------------------------------------------------------------------


def corners(shape: Shape) -> Box:
    return shape.x, shape.y, shape.x + shape.width, shape.y + shape.height


def extent(words: Words) -> Box:
    width = text_width(words.text, words.size, bold=words.style in ("strong", "size", "head"))
    left = words.x - {"start": 0.0, "middle": width / 2, "end": width}[words.anchor]
    return left, words.y - 0.75 * words.size, left + width, words.y + 0.2 * words.size


def apart(a: Box, b: Box) -> bool:
    return a[2] <= b[0] + SLACK or b[2] <= a[0] + SLACK or a[3] <= b[1] + SLACK or b[3] <= a[1] + SLACK


def inside(a: Box, b: Box) -> bool:
    return a[0] >= b[0] - SLACK and a[1] >= b[1] - SLACK and a[2] <= b[2] + SLACK and a[3] <= b[3] + SLACK


def segments(drawn: Picture) -> list[tuple[Box, Wire]]:
    """The straight parts of all lines."""
    return [
        ((min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])), wire)
        for wire in drawn.wires
        for a, b in pairwise(wire.points)
    ]


def crossed(box: Box, lines: list[tuple[Box, Wire]]) -> list[Wire]:
    """The lines that run through it, deeper than a trifle."""
    x0, y0, x1, y1 = box[0] + SLACK, box[1] + SLACK, box[2] - SLACK, box[3] - SLACK
    return [wire for at, wire in lines if at[0] < x1 and at[2] > x0 and at[1] < y1 and at[3] > y0]


def overlapping(boxes: list[tuple[Box, object]]) -> list[tuple[object, object]]:
    """Pairs that overlap, found by a sweep from the top."""
    found = []
    active: list[tuple[Box, object]] = []
    for box, what in sorted(boxes, key=lambda pair: pair[0][1]):
        active = [(other, name) for other, name in active if other[3] > box[1] + SLACK]
        found += [(name, what) for other, name in active if not apart(box, other)]
        active.append((box, what))
    return found


def lies_well(drawn: Picture) -> None:
    page = (0.0, 0.0, drawn.width, drawn.height)
    shapes = {shape.path: corners(shape) for shape in drawn.shapes}
    assert len(shapes) == len(drawn.shapes)
    solid = [(corners(shape), shape.path) for shape in drawn.shapes if shape.form != "frame"]
    free = [(extent(words), words.text) for words in drawn.words if not words.owner]
    assert not overlapping([*solid, *free])
    for a, b in overlapping([(corners(shape), shape.path) for shape in drawn.shapes]):
        outer, inner = sorted((str(a), str(b)), key=len)
        assert inner.startswith(f"{outer}/") and inside(shapes[inner], shapes[outer]), (a, b)
    lines = segments(drawn)
    for words in drawn.words:
        assert inside(extent(words), page), words
        assert not crossed(extent(words), lines), words
        if words.owner:
            assert inside(extent(words), shapes[words.owner]), words
    for shape in drawn.shapes:
        assert inside(corners(shape), page)
    for box, path in solid:
        inner = (box[0] + 1, box[1] + 1, box[2] - 1, box[3] - 1)
        assert not [wire for wire in crossed(inner, lines) if path not in (wire.source, wire.target)], path
    for wire in drawn.wires:
        assert all(inside((x, y, x, y), page) for x, y in wire.points)
        assert all(min(abs(a[0] - b[0]), abs(a[1] - b[1])) < SLACK for a, b in pairwise(wire.points)), wire
        for point, path in ((wire.points[0], wire.source), (wire.points[-1], wire.target)):
            if path:
                left, top, right, bottom = shapes[path]
                assert left - SLACK <= point[0] <= right + SLACK, wire
                assert top - SLACK <= point[1] <= bottom + RISE + 2 * STACK, wire


@pytest.mark.parametrize("name", SPECS)
def test_pictures_of_published_networks_lie_well(name: str) -> None:
    drawn = structure(netdsl.load(name))
    lies_well(picture(drawn))
    lies_well(picture(drawn, depth=min(levels(drawn), 2), page="wide"))


@share(60)
@given(programs(), st.integers(0, 4), st.sampled_from(sorted(PAGES)))
def test_pictures_of_drawn_networks_lie_well(program: Program, depth: int, page: str) -> None:
    drawn = structure(netdsl.loads(program.text))
    lies_well(picture(drawn, depth, page))


def test_a_page_has_its_proportions() -> None:
    """A tall network goes on in columns until it is as wide as the page has it."""
    drawn = structure(netdsl.load("resnet152"))
    tall, portrait, wide = (picture(drawn, 2, page) for page in ("column", "portrait", "wide"))
    assert tall.height / tall.width > 4
    assert 1 < portrait.height / portrait.width < 2
    assert 0.3 < wide.height / wide.width < 0.9


def test_many_branches_stand_in_rows() -> None:
    branches = " | ".join(
        f"(CONV {i + 1} 3x3 -> RELU -> CONV {i + 2})" if i % 2 else f"CONV {i + 1}" for i in range(60)
    )
    drawn = picture(structure(netdsl.loads(f"input 3 x 32 x 32\n{branches}\nGAP -> FC 10")))
    lies_well(drawn)
    assert drawn.width < 1000 < drawn.height < 2000


U_SHAPED = """input 3 x 32 x 32
a = CONV 8
b = POOL -> CONV 16 -> CONV 20
POOL -> CONV 32
UPSAMPLE 2 -> (identity | b) -> CONV 16
UPSAMPLE 2 -> (identity | a) -> CONV 8
score = CONV 2 1x1
"""


@pytest.mark.parametrize("text", [U_SHAPED, U_SHAPED.replace("UPSAMPLE 2 ->", "UPSAMPLE 2 -> CONV 9 -> CONV 10 ->")])
def test_a_u_goes_down_on_the_left_and_up_on_the_right(text: str) -> None:
    drawn = picture(structure(netdsl.loads(text)))
    lies_well(drawn)
    place = {shape.path: shape for shape in drawn.shapes}
    assert place["a"].y < place["b.conv1"].y < place["b.conv2"].y
    assert place["concat1"].y > place["concat2"].y > place["score"].y
    assert place["concat1"].x > place["b.conv2"].x + place["b.conv2"].width
    across = [wire for wire in drawn.wires if wire.style == "skip"]
    assert {(wire.source, wire.target) for wire in across} == {("a", "concat2"), ("b.conv2", "concat1")}


def test_a_u_too_tall_for_the_page_is_in_columns() -> None:
    downs = "\n".join(f"d{i} = CONV 8" for i in range(70))
    ups = "\n".join(f"identity + d{i}" for i in reversed(range(69)))
    drawn = picture(structure(netdsl.loads(f"input 8 x 8 x 8\n{downs}\n{ups}")))
    lies_well(drawn)
    assert drawn.height < 2 * drawn.width


def test_skips_that_cross_are_no_u() -> None:
    crossing = "input 8 x 8 x 8\na = CONV 8\nb = CONV 8\nCONV 8\nidentity | a\nCONV 8\nidentity | b\nCONV 8"
    for text in (crossing, crossing.replace("| b", "| (b -> CONV 4 1x1)")):
        drawn = structure(netdsl.loads(text))
        assert u_of(drawn) is None
        lies_well(picture(drawn))


def test_blocks_are_opened_as_long_as_a_page_can_show_them() -> None:
    opened = {name: picture(structure(netdsl.load(name))) for name in ("resnet50", "densenet201", "resnet1202")}
    assert all(any(shape.form == "frame" for shape in drawn.shapes) for drawn in opened.values())
    closed = picture(structure(netdsl.load("resnet50")), depth=0)
    assert not any(shape.form == "frame" for shape in closed.shapes)


def test_more_than_one_can_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "MAX_DRAWN", 400)
    lines = "\n".join(f"CONV {8 + i % 2}" for i in range(410))
    with pytest.raises(UsageError, match="411 boxes, and at most 400 are drawn"):
        picture(structure(netdsl.loads(f"input 3 x 8 x 8\n{lines}")))
    block = "block b(n) = if n == 0 then CONV 8 -> LRN -> CONV 16 else b(n-1) -> LRN -> b(n-1)"
    deep = structure(netdsl.loads(f"{block}\ninput 3 x 8 x 8\nb(14)"))
    assert boxes_at(deep, 30) > 30_000
    with pytest.raises(UsageError, match="a smaller --depth opens fewer blocks"):
        picture(deep, depth=30)
    assert len(picture(deep).shapes) < 400


# --- texts -----------------------------------------------------------------------------------------------------


def test_widths_are_those_of_the_font() -> None:
    """No letter is wider than the table says, in the font that it was made from."""
    matplotlib = pytest.importorskip("matplotlib")
    from fontTools.ttLib import TTFont

    for file, factor in (("DejaVuSans.ttf", 1.0), ("DejaVuSans-Bold.ttf", BOLD)):
        font = TTFont(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / file)
        names, advances, units = font.getBestCmap(), font["hmtx"], font["head"].unitsPerEm
        for code in [*range(32, 127), *map(ord, "×·–—→…")]:
            assert advances[names[code]][0] / units <= text_width(chr(code), 1.0) * factor + 1e-9, chr(code)


@given(st.text(), st.floats(10, 300))
def test_clipped_texts_fit(text: str, width: float) -> None:
    kept = clipped(text, 11.0, width)
    assert kept == text or text_width(kept, 11.0) <= max(width, text_width("…", 11.0))


# --- SVG and PNG -----------------------------------------------------------------------------------------------


NASTY = "<&>\"'\u0001\U0001f642]]>"


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_svg_is_well_formed_and_says_what_it_is(theme: str) -> None:
    drawn = picture(structure(netdsl.load("googlenet")))
    root = ET.fromstring(svg(drawn, theme))
    assert root.tag == f"{SVG}svg" and root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "googlenet"
    assert "inception" in "".join(root.itertext())
    assert ("prefers-color-scheme" in (root.findtext(f"{SVG}style") or "")) == (theme == "auto")


def test_svg_escapes_what_xml_reserves() -> None:
    drawn = picture(structure(netdsl.loads("net é_x\ninput 3 x 8 x 8\nCONV 4")))
    words = tuple(words.replace(text=NASTY) for words in drawn.words)
    shapes = tuple(shape.replace(title=NASTY, place=NASTY) for shape in drawn.shapes)
    root = ET.fromstring(svg(drawn.replace(words=words, shapes=shapes, name=NASTY)))
    assert root.findtext(f"{SVG}title") == NASTY.replace("\u0001", "�")


def test_the_pictures_of_the_docs_are_what_is_drawn() -> None:
    """The same network gives the same bytes. `python docs/make_pictures.py` draws them anew."""
    maker = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "make_pictures.py"))
    for name, asked in maker["PICTURES"].items():
        drawn = (maker["FOLDER"] / f"{name}.svg").read_text(encoding="utf-8")
        assert draw(netdsl.load(name), ".svg", asked) == drawn


def test_png_has_its_size_and_its_text(run: Run, tmp_path: Path) -> None:
    """Without a font resvg draws no letters, and says nothing: so look for dark ink within a box."""
    pytest.importorskip("resvg_py")
    spec = tmp_path / "one.net"
    target = tmp_path / "one.png"
    spec.write_text("net one\ninput 3 x 9 x 9\nCONV 64 7x7 valid\n", encoding="utf-8")
    assert run("draw", spec, "-o", target, "--width", "600").code == 0
    data = target.read_bytes()
    assert data.startswith(b"\x89PNG") and b"drawn by netdsl" in data[:100]
    from matplotlib.image import imread

    drawn = picture(structure(netdsl.load(spec)))
    pixels = imread(target)
    assert pixels.shape[1] == 600
    scale = 600 / drawn.width
    box = next(shape for shape in drawn.shapes if shape.kind == "conv")
    rows = slice(round((box.y + 4) * scale), round((box.y + box.height - 4) * scale))
    columns = slice(round((box.x + 4) * scale), round((box.x + box.width - 4) * scale))
    dark = pixels[rows, columns, :3].max(axis=2) < 0.4
    assert 0.02 < dark.mean() < 0.5


# --- the command -----------------------------------------------------------------------------------------------


def test_the_command_writes_a_file_and_replaces_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("draw", "lenet5").out == "wrote lenet5.svg\n"
    assert run("draw", "lenet5", "-o", "lenet5.svg", "--theme", "dark").code == 0
    Path("mine.svg").write_text("<svg/>", encoding="utf-8")
    done = run("draw", "lenet5", "-o", "mine.svg")
    assert done.code == 2 and "--force replaces it" in done.err
    assert run("draw", "lenet5", "-o", "mine.svg", "--force").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"lenet5.svg", "mine.svg"}


def test_a_link_to_a_file_stays_a_link(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link.svg").symlink_to("real.svg")
    for _ in range(2):
        assert run("draw", "lenet5", "-o", tmp_path / "link.svg").code == 0
    assert (tmp_path / "link.svg").is_symlink() and not (tmp_path / "real.svg").is_symlink()
    (tmp_path / "link.svg").unlink()
    (tmp_path / "link.svg").symlink_to(tmp_path / "nowhere" / "x.svg")
    assert run("draw", "lenet5", "-o", tmp_path / "link.svg").code == 2


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_replaces_its_own_file(run: Run, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"x{suffix}"
    first = run("draw", "lenet5", "-o", target)
    written = target.read_bytes()
    assert (first.code, run("draw", "lenet5", "-o", target).code) == (0, 0)
    assert target.read_bytes() == written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("lenet5", "-o", "x.html", "--page", "wide"),
            "page has no meaning for .html; it goes with .svg, .png, .tex",
        ),
        (("lenet5", "-o", "x.dot", "--width", "800"), "width has no meaning for .dot; it goes with .svg, .png"),
        (("lenet5", "-o", "x.sgv"), "did you mean .svg?"),
        (("lenet5", "-o", "x"), "not a file without a suffix"),
        (("lenet5", "-o", "nowhere/x.svg"), "there is no folder nowhere"),
        (("lenet55",), "lenet5"),
        (("lenet5", "--width", "7"), "a width is a whole number from 100"),
        (("lenet5", "--page", "letter"), "portrait"),
    ],
)
def test_wrong_usage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("draw", *arguments)
    assert done.code == 2 and says in done.err
    assert not list(tmp_path.iterdir())


def test_png_without_its_extra_names_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    done = run("draw", "lenet5", "-o", "x.png")
    assert done.code == 2 and 'pip install "netdsl[pictures]"' in done.err and ".svg" in done.err
    assert not list(tmp_path.iterdir())


def test_a_picture_too_large_for_memory_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("draw", "resnet152", "-o", tmp_path / "x.png", "--page", "column", "--width", "20000")
    assert done.code == 2 and "give a smaller --width" in done.err


def test_a_spec_with_faults_draws_nothing(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "bad.net"
    spec.write_text("input 3 x 8 x 8\nCONVV 8\n", encoding="utf-8")
    assert run("draw", spec, "-o", tmp_path / "bad.svg").code == 1
    assert not (tmp_path / "bad.svg").exists()


@pytest.mark.parametrize(
    "text",
    [
        "input 3 x H x W\n(CONV 8 relu -> POOL) * 3\nCONV 5 1x1",
        "input 8 x T\nCONV 8 k=3 -> LSTM 16 last -> FC 5",
        "input 7\nFC 5",
        "input a = 3 x 8 x 8\ninput b = 3 x 8 x 8\na -> CONV 4\nidentity | (b -> CONV 4)",
        "input 3 x 8 x 8\n(CONV 8) * 1000000",
        "input 3 x 8 x 8\ngrößte_schicht_" + "x" * 300 + " = CONV 8\nFC 10",
        "input 3 x 8 x 8\nmid = CONV 8\noutput a = mid -> FC 3\noutput b = mid -> FC 4\noutput c = mid",
    ],
)
def test_all_sorts_of_networks(text: str) -> None:
    lies_well(picture(structure(netdsl.loads(text))))
