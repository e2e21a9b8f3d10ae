"""Can the caller leave sizes open that the text gives?  `--input 3xHxW`, `load(…, input="3xHxW")`."""

from __future__ import annotations

import re

import pytest
from commands import Run

from netdsl.diagnostic import SpecError
from netdsl.files import shipped
from netdsl.graph import show_graph, verify
from netdsl.net import load, loads
from netdsl.options import UsageError

SMALL = "net small\ninput 3 x 8 x 8\nCONV 8 relu -> POOL : 8 x 4 x 4\nGAP -> FC 2\n"


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "inception_v3", "mobilenet_v2", "unet", "xception"])
def test_it_is_as_if_the_text_left_them_open(name: str) -> None:
    text = re.sub(r"^(input \d+) x \d+ x \d+", r"\1 x H x W", shipped()[name].read_text(), flags=re.MULTILINE)
    text = re.sub(r" +: [^#\n]*?(?=\)?$|\)? *#)", "", text, flags=re.MULTILINE)  # what it asserts is of the sizes given
    channels = next(iter(load(name).inputs.values()))[0]
    opened, written = load(name, input=f"{channels}xHxW"), loads(text)
    verify(opened.graph)
    assert show_graph(opened.graph) == show_graph(written.graph)
    assert opened.constraints == written.constraints and opened.macs == written.macs


@pytest.mark.parametrize("sizes", ["3xHxW", "3 x H x W", "3XHXW", "3×H×W", (3, "H", "W"), {"input": (3, "H", "W")}])
def test_how_it_is_written(sizes: object) -> None:
    assert list(map(str, loads(SMALL, input=sizes).inputs["input"])) == ["3", "H", "W"]  # type: ignore[arg-type]


def test_some_may_stay_numbers_and_one_name_is_one_size() -> None:
    assert list(loads(SMALL, input="3x8xW").constraints) == ["W"]
    square = loads(SMALL, input="3xside_1xside_1")
    assert list(square.constraints) == ["side_1"]
    assert [str(size) for size in square.inputs["input"]] == ["3", "side_1", "side_1"]


def test_what_is_open_in_the_text_stays_open_under_its_name() -> None:
    text = SMALL.replace("8 x 8", "H x W").replace(": 8 x 4 x 4", ": 8 x H/2 x W/2")
    assert loads(text, input="3xHxW").constraints == loads(text).constraints
    assert list(loads(text, input="3x8xW").constraints) == ["W"]
    with pytest.raises(UsageError, match="H of 'input' is open: give it a number, or leave it H, not N"):
        loads(text, input="3xNxW")


def test_the_text_does_not_see_the_names() -> None:
    """`N` in the text is not the caller's N."""
    text = "input 3 x 8 x 8\nCONV 8\nSLICE 0 N axis=W\n"
    with pytest.raises(SpecError) as caught:
        loads(text, input="3x8xN")
    assert {fault.code for fault in caught.value.diagnostics} == {"E0201"}


def test_several_inputs() -> None:
    text = "input left = 3 x H x 8\ninput right = 3 x 8 x 8\nleft -> CONV 8 -> GAP | right -> CONV 8 -> GAP\n"
    both = loads(text, input={"left": "3xHx8", "right": "3xHxW"})
    assert sorted(both.constraints) == ["H", "W"]
    for given in ({"left": "3x4x8", "right": "3xHxW"}, {"left": "3x4x8", "right": "3x8xH"}):
        with pytest.raises(UsageError, match="H cannot be both 4 and open"):
            loads(text, input=given)
    turned = "input right = 3 x 8 x 8\ninput left = 3 x H x 8\nleft -> CONV 8 -> GAP | right -> CONV 8 -> GAP\n"
    with pytest.raises(UsageError, match="H cannot be both 4 and open"):
        loads(turned, input={"left": "3x4x8", "right": "3xHxW"})


@pytest.mark.parametrize(
    "sizes", ["3xx8", "3xHxmax", "3x-Hx8", "3xH.x8", "3xH x", "x", "3x1Hx8", "3xHé x8", "3x_x", ""]
)
def test_what_is_no_size(sizes: str) -> None:
    with pytest.raises(UsageError, match="3x224x224, or 3xHxW if they are open"):
        loads(SMALL, input=sizes)


def test_the_command(run: Run) -> None:
    done = run("check", "densenet121", "--input", "3xHxW")
    assert done.code == 0 and done.out.startswith("densenet121: valid for H >= 29, W >= 29\n")
    fault = run("check", "vgg16", "--input", "3xHxW")
    assert fault.code == 1 and "E0308" in fault.err and "`GAP` before it" in fault.err
    assert run("check", "vgg16", "--input", "HxW").code == 2


def test_a_module_of_open_sizes_runs_at_any() -> None:
    torch = pytest.importorskip("torch")
    module = loads(SMALL, input="3xHxW").compile().eval()
    for height, width in ((8, 8), (10, 32)):
        assert module(torch.zeros(1, 3, height, width)).shape == (1, 2)
