"""The emitted source and the printed graphs, whole: any change to them is seen in review.

`pytest --update-golden` accepts what is emitted now.
"""

from __future__ import annotations

import pytest
from golden import GOLDEN, check_golden

import netdsl
from netdsl.graph import show_graph

SOURCES = ("resnet18", "googlenet", "densenet121", "alexnet", "lenet5")
GRAPHS = ("googlenet", "resnet18", "fractalnet", "vgg16")
DECODER = """\
# A bit of everything that has no shipped network: two inputs, skips as arguments, a repeat over a label, open sizes.
block up(skip, c) = UPSAMPLE -> (identity | skip) -> CONV c bn relu
net decoder(width=8, classes=3)
input image = 3 x H x W
input hint = 1 x H x W
s = image -> CONV width 3x3 bn relu
t = POOL -> residual(CONV (2*width) bn relu)
u = CONV (4*width) /2 bn relu -> (CONV (4*width) relu) * 3
output aux = GAP -> FC classes
up(t, 2*width)
up(s, width)
(identity + (s -> CONV width relu)) * 2
identity | hint
score = CONV classes 2x2
class = mean(GAP -> FC classes, GMP -> FC classes)
freeze s
output score, class
"""


@pytest.mark.parametrize("name", SOURCES)
def test_source(name: str, update_golden: bool) -> None:
    check_golden(GOLDEN / "source" / f"{name}.py", netdsl.load(name).emit(), update_golden)


@pytest.mark.parametrize("name", GRAPHS)
def test_graph(name: str, update_golden: bool) -> None:
    check_golden(GOLDEN / "graph" / f"{name}.txt", show_graph(netdsl.load(name).graph), update_golden)


def test_source_of_a_decoder(update_golden: bool) -> None:
    net = netdsl.loads(DECODER, name="decoder.net")
    check_golden(GOLDEN / "source" / "decoder.py", net.emit(), update_golden)


def test_graph_of_a_decoder(update_golden: bool) -> None:
    net = netdsl.loads(DECODER, name="decoder.net")
    check_golden(GOLDEN / "graph" / "decoder.txt", show_graph(net.graph), update_golden)


def test_every_golden_file_is_checked() -> None:
    assert {path.stem for path in (GOLDEN / "source").glob("*")} == {*SOURCES, "decoder"}
    assert {path.stem for path in (GOLDEN / "graph").glob("*")} == {*GRAPHS, "decoder"}


def test_a_golden_file_that_differs_is_shown(tmp_path) -> None:
    check_golden(tmp_path / "new" / "a.txt", "one\ntwo\n", update=True)
    check_golden(tmp_path / "new" / "a.txt", "one\ntwo\n", update=False)
    for now, said in (("one\n2\n", r"-two\n\+2"), ("one\r\ntwo\n", "only the ends of lines")):
        with pytest.raises(AssertionError, match=said):
            check_golden(tmp_path / "new" / "a.txt", now, update=False)
    with pytest.raises(AssertionError, match="missing"):
        check_golden(tmp_path / "b.txt", "", update=False)
