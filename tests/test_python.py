"""Does Python give what the command line says?  `net.show()`, `net.draw()`, `netdsl.check()` and the others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import netdsl
from netdsl.cli import main

TINY = "net tiny\ninput 3 x 8 x 8\nCONV 4 3x3 relu -> GAP -> FC 2\n"
FAULTY = TINY.replace("CONV 4 3x3", "CONV 4 3x3 /2 valid")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    Path("tiny.net").write_text(TINY)
    return Path("tiny.net")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(arguments)
    return capsys.readouterr().out.rstrip("\n")


def test_results_print_what_the_command_line_prints(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = netdsl.load("tiny.net")
    other = netdsl.loads(TINY.replace("CONV 4", "CONV 8"), name="other.net")
    Path("other.net").write_text(other.source.text)
    assert net.show(2, batch=4, training=True) == said(
        capsys, "show", "tiny.net", "--depth", "2", "--batch", "4", "--training"
    )
    assert str(net.explain("conv1")) == said(capsys, "explain", "tiny.net", "conv1")
    assert str(net.explain(3)) == said(capsys, "explain", "tiny.net:3")
    assert str(netdsl.diff(net, other)) == said(capsys, "diff", "tiny.net", "other.net")
    assert str(netdsl.compare([tiny, "other.net"])) == said(capsys, "compare", "tiny.net", "other.net")
    for result in (net.show(), net.explain(3), netdsl.diff(net, other), netdsl.compare([net])):
        assert repr(result) == str(result)
    assert str(netdsl.diff(net, tiny)) == "tiny (old) and tiny (new) are the same network"


def test_the_numbers_of_a_network(tiny: Path) -> None:
    net = netdsl.load(tiny)
    assert net.receptive_field == (3, 3)
    assert netdsl.loads("net v\ninput 8\nFC 2\n").receptive_field == ()
    assert netdsl.load("unet_padded").receptive_field == (204, 204)
    one, many = net.memory(), net.memory(batch=32, optimiser="adam")
    assert many.inputs == 32 * one.inputs == 32 * 4 * 3 * 8 * 8
    assert many.state == 2 * 4 * net.params


def test_check_gives_what_is_wrong_with_repairs(tiny: Path) -> None:
    assert netdsl.check(TINY) == netdsl.check(tiny) == ()
    assert [fault.code for fault in netdsl.check("net t\ninput 8\nFC 4\nFC 2\n")] == ["W0502"]
    (fault,) = netdsl.check(FAULTY)
    assert repr(fault).startswith("<E0303 <text>:3:1: the window does not divide")
    assert len(str(fault).splitlines()) > 5
    (edit,) = fault.repairs[0].edits
    assert len(repr(fault.repairs)) < 500
    assert netdsl.check(FAULTY[: edit.span.start] + edit.text + FAULTY[edit.span.end :]) == ()
    tiny.write_text(FAULTY)
    assert [fault.code for fault in netdsl.check(tiny)] == ["E0303"]


def test_a_notebook_shows_the_picture(tiny: Path) -> None:
    net = netdsl.load(tiny)
    drawing = net.draw("tiny.tex", tex="table")
    assert "\\begin{tabular}" in Path("tiny.tex").read_text()
    assert repr(drawing) == "<Drawing of tiny>"
    assert net._repr_svg_() == drawing._repr_svg_() == str(net.draw("tiny.svg"))
    assert Path("tiny.svg").read_text() == str(drawing)
    Path("tiny.html").write_text("somebody's")
    assert net.draw(theme="dark").save("tiny.html") == Path("tiny.html")
    assert "tiny" in Path("tiny.html").read_text()


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda net: net.draw("x.sgv"), "not .sgv; did you mean .svg?"),
        (lambda net: net.draw("x.dot", width=800), "width has no meaning for .dot; it goes with .svg, .png"),
        (lambda net: net.draw("nowhere/x.svg"), "there is no folder nowhere"),
        (lambda net: net.draw(theme="drak"), "there is no theme 'drak': known are auto, light, dark"),
        (lambda net: net.draw(page="A0"), "there is no page 'A0': known are portrait, wide, column"),
        (lambda net: net.draw(width=5), "a width is a whole number from 100 to 20000, not 5"),
        (lambda net: net.draw(depth=-1), "a depth is 0 or more, not -1"),
        (lambda net: net.explain("con1"), "did you mean conv1?"),
        (lambda net: net.explain(99), "has 3 lines"),
        (lambda net: net.memory(dtype="f32"), "there is no type 'f32' to hold tensors: known are fp32"),
        (lambda net: net.memory(0), "a batch has at least one sample, not 0"),
        (lambda net: net.show(optimiser="adma"), "known are sgd, adam, none"),
        (lambda net: netdsl.load("unet_padded").memory(), "takes any 1 x H x W"),
    ],
)
def test_what_is_not_there_is_said(tiny: Path, ask: Callable[[netdsl.Net], object], answer: str) -> None:
    with pytest.raises(netdsl.UsageError) as error:
        ask(netdsl.load(tiny))
    assert answer in str(error.value)
    assert not list(Path().glob("x.*"))


def test_no_module_hides_a_function() -> None:
    """`import netdsl.check` would put a module in the place of `netdsl.check`."""
    for name in netdsl.__all__:
        getattr(netdsl, name)
        assert f"netdsl.{name}" not in sys.modules
        assert not list(Path(netdsl.__file__).parent.glob(f"{name}.py"))
        assert not (Path(netdsl.__file__).parent / name / "__init__.py").exists()
