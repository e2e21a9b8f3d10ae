"""Is the picture right?  What is in it, where names stand, the four formats, and what cannot be drawn."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import Run
from hypothesis import given
from hypothesis import strategies as st

from netdsl.comparison.chart import chart_of
from netdsl.comparison.entries import Comparison, compare
from netdsl.comparison.labels import SMALL, Disc, place
from netdsl.draw.formats import is_drawing
from netdsl.net import load
from netdsl.options import UsageError
from tests.strategies import share

ROOT = Path(__file__).resolve().parent.parent
SVG = "{http://www.w3.org/2000/svg}"
needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is missing")


def comparison(*names: str) -> Comparison:
    return compare([(name, load(name)) for name in names])


# --- names ------------------------------------------------------------------------------------------------------------

DISCS = st.builds(Disc, st.floats(0, 800), st.floats(0, 600), st.floats(2, 30), st.floats(10, 120), st.floats(8, 14))


@share(40)
@given(st.lists(DISCS, max_size=20))
def test_names_cover_neither_each_other_nor_small_discs(discs: list[Disc]) -> None:
    found = place(discs, 800, 600)
    boxes = [(disc, box) for disc, box in zip(discs, found, strict=True) if box is not None]
    for i, (own, box) in enumerate(boxes):
        assert box.width <= box.x <= 800 - box.width and box.height <= box.y <= 600 - box.height
        assert not any(box.overlap(other) for _, other in boxes[:i])
        others = [disc for disc in discs if disc is not own]
        assert all(box.distance(disc.x, disc.y) > min(disc.radius, SMALL) for disc in others)


def test_a_name_alone_stands_beside_its_disc_or_on_it() -> None:
    (beside,) = place([Disc(100, 100, 5, 40, 10)], 800, 600)
    assert beside is not None and beside.y == 100 and beside.x - beside.width == pytest.approx(105)
    (on_it,) = place([Disc(100, 100, 30, 40, 10)], 800, 600)
    assert on_it is not None and (on_it.x, on_it.y) == (100, 100)
    (at_the_edge,) = place([Disc(795, 100, 5, 40, 10)], 800, 600)
    assert at_the_edge is not None and at_the_edge.x < 795


def test_of_too_many_names_some_find_no_place() -> None:
    found = place([Disc(100, 100, 3, 90, 12)] * 300, 200, 200)
    assert None in found and any(found)


# --- what is drawn ----------------------------------------------------------------------------------------------------


def test_the_chart_is_of_the_group_that_has_most_to_show() -> None:
    chart = chart_of(comparison("resnet20", "resnet56", "wrn_28_10", "vgg16", "mixer_b_16", "vit_b_16"))
    assert [entry.name for entry, _, _ in chart.points] == ["resnet20", "resnet56", "wrn_28_10"]
    assert chart.left_out == ("3 networks with other inputs or outputs than 3 x 32 x 32 -> 10",)


def test_what_is_left_out_is_said() -> None:
    chart = chart_of(comparison("vgg16", "vgg19", "mixer_b_16", "resnet20"))
    assert chart.left_out == (
        "1 network without a published top1: mixer_b_16",
        "1 network with other inputs or outputs than 3 x 224 x 224 -> 1000",
    )
    assert [(x, y) for _, x, y in chart.points] == [(15470264320.0, 71.592), (19632062464.0, 72.376)]
    assert (
        chart_of(comparison("unet_padded", "unet"), "macs", "params")
        .left_out[0]
        .endswith("1 x 572 x 572 -> 2 x 388 x 388")
    )


def test_without_published_figures_other_axes_are_offered() -> None:
    with pytest.raises(UsageError, match="no top1 is published of them; --y params draws"):
        chart_of(comparison("mixer_b_16", "unet"))
    with pytest.raises(UsageError, match=r"none of these networks can be drawn with macs and params$"):
        chart_of(comparison("unet_padded"), "macs", "params")
    with pytest.raises(UsageError, match="both axes are macs"):
        chart_of(comparison("mixer_b_16"), "macs", "macs")


# --- how it is drawn --------------------------------------------------------------------------------------------------


def titles(svg: str) -> list[str]:
    return [title.text or "" for title in ElementTree.fromstring(svg).iter(f"{SVG}title")]


@needs_matplotlib
def test_the_pictures_of_the_docs_are_current() -> None:
    from netdsl.comparison.plot import facts

    spec = importlib.util.spec_from_file_location("make_comparison", ROOT / "docs" / "make_comparison.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = [facts(entry) for entry, _, _ in module.picture().points]
    for name in ("comparison.svg", "comparison-dark.svg"):
        found = titles((ROOT / "docs" / name).read_text())
        assert sorted(found) == sorted(wanted), "python docs/make_comparison.py"


@needs_matplotlib
@pytest.mark.parametrize("form", ["svg", "png", "pdf", "html"])
def test_the_formats(form: str, run: Run, tmp_path: Path) -> None:
    target = tmp_path / f"x.{form}"
    done = run("compare", "vgg16", "googlenet", "mixer_b_16", "-o", target)
    assert done.code == 0 and done.err == ""
    assert done.out.splitlines() == [
        f"{target}: 2 networks of 3 x 224 x 224 -> 1000",
        "left out: 1 network without a published top1: mixer_b_16",
    ]
    data = target.read_bytes()
    assert data.startswith({"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}[form])
    assert list(tmp_path.iterdir()) == [target]


@needs_matplotlib
def test_width_theme_and_force(run: Run, tmp_path: Path) -> None:
    """Options are those of `netdsl draw`: a file of its own is replaced, in every format, another only with --force."""
    for form in ("svg", "png", "pdf", "html"):
        target = tmp_path / f"x.{form}"
        target.write_bytes(b"mine")
        arguments = ("compare", "vgg16", "googlenet", "-o", target, "--theme", "dark")
        refused = run(*arguments)
        assert refused.code == 2 and "--force" in refused.err and target.read_bytes() == b"mine"
        assert run(*arguments, "--force").code == 0
        assert is_drawing(target.read_bytes().decode(errors="replace"))
    assert (tmp_path / "x.html").read_text().count("<svg") == 1
    assert run("compare", "vgg16", "googlenet", "-o", tmp_path / "x.svg", "--width", "640").code == 0
    root = ElementTree.fromstring((tmp_path / "x.svg").read_text())
    assert (root.get("width"), root.get("height")) == ("640", "409.6")
    done = run("compare", "vgg16", "googlenet", "-o", tmp_path / "x.pdf", "--width", "640")
    assert (done.code, done.err) == (2, "netdsl: --width has no meaning for .pdf; it goes with .svg, .png\n")


@needs_matplotlib
def test_a_page_needs_no_other_file_and_has_both_grounds_and_the_table(run: Run, tmp_path: Path) -> None:
    run("compare", "vgg16", "googlenet", "mixer_b_16", "-o", tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert not re.search(r'(src|href)="(?!#)(?!http://www.w3.org)', page)
    assert "#ffffff" in page and "#14171c" in page and "prefers-color-scheme: dark" in page
    assert page.count("<tr") == 4 and "<li>left out: 1 network without a published top1: mixer_b_16</li>" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


@needs_matplotlib
def test_the_same_picture_is_the_same_file(run: Run, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        run("compare", "vgg16", "googlenet", "-o", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@needs_matplotlib
def test_discs_have_areas_of_their_parameters(run: Run, tmp_path: Path) -> None:
    run("compare", "vgg16", "resnet50", "-o", tmp_path / "x.svg")
    areas = {}
    for group in ElementTree.fromstring((tmp_path / "x.svg").read_text()).iter(f"{SVG}g"):
        if group.get("id", "").startswith("network"):
            title = group.find(f"{SVG}title")
            (path,) = group.iter(f"{SVG}path")
            numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.get("d", ""))]
            assert title is not None and title.text
            areas[title.text.splitlines()[0]] = max(numbers) ** 2 * math.pi
    assert areas["vgg16"] / areas["resnet50"] == pytest.approx(138_357_544 / 25_557_032, rel=1e-3)


@needs_matplotlib
def test_names_may_have_any_letters(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a&b<c>.net", "$x^{2}$.net", "größe " + "n" * 100 + ".net"]
    for name in names:
        Path(name).write_text("net tiny\ninput 3 x 8 x 8\nCONV 8\n", encoding="utf-8")
    done = run("compare", *names, "-o", "x.svg", "--y", "params")
    assert done.code == 0, done.err
    assert sorted(title.splitlines()[0] for title in titles(Path("x.svg").read_text())) == sorted(
        f"tiny ({name})" for name in names
    )


@needs_matplotlib
@pytest.mark.parametrize("axes", [("year", "params"), ("params", "top5"), ("depth", "density"), ("top1", "macs")])
def test_every_axis_can_be_drawn(axes: tuple[str, str], run: Run, tmp_path: Path) -> None:
    chosen = ("vgg16", "resnet1202", "resnet152", "googlenet", "--x", axes[0], "--y", axes[1], "--theme", "dark")
    done = run("compare", *chosen, "-o", tmp_path / "x.svg")
    assert done.code == 0, done.err
    assert len(titles((tmp_path / "x.svg").read_text())) == 3


@needs_matplotlib
def test_one_network_without_operations_can_be_drawn(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.net").write_text("net a\ninput 3 x 8 x 8\nRELU\n")
    done = run("compare", tmp_path / "a.net", "--y", "params", "-o", tmp_path / "x.png")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "x.tiff"], "a picture is not written as .tiff: there are .svg, .png, .pdf, .html"),
        (["-o", "x.pgn"], "a picture is not written as .pgn: did you mean x.png?"),
        (["-o", "x"], "a picture is not written as 'x': there are"),
        (["-o", "missing/x.svg"], "there is no folder missing"),
        (["-o", "folder.svg"], "folder.svg is a folder"),
        (["-o", "x.svg", "--x", "mac"], "there is no axis 'mac': did you mean macs?"),
        (["-o", "x.svg", "--y", "name"], "there is no axis 'name'"),
        (["-o", "x.svg", "--set", "classes=10"], "no top1 is published of them"),
    ],
)
def test_wrong_usage_writes_nothing(
    arguments: list[str], said: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.svg").mkdir()
    done = run("compare", "vgg16", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["folder.svg"]


def test_without_matplotlib_the_command_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("compare", "vgg16", "-o", tmp_path / "x.svg")
    assert (done.code, done.out) == (2, "")
    assert done.err == 'netdsl: a picture needs matplotlib: `pip install "netdsl[pictures]"`\n'
    assert run("compare", "vgg16").code == 0
    assert not list(tmp_path.iterdir())
