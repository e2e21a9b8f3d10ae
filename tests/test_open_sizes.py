"""Can sizes be left open: by the caller (`--input 3xHxW`), and where ops take sizes (adaptive pools, RESHAPE)?"""

from __future__ import annotations

import re
import warnings

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


# --- ops that take sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "shape", "code"),
    [
        ("input 2 x H x W\nADAPTIVE_AVGPOOL 1 x W", "2 x 1 x W", "nn.AdaptiveAvgPool2d((1, None))"),
        ("input 2 x H x W\nADAPTIVE_AVGPOOL 3 x ?", "2 x 3 x W", "nn.AdaptiveAvgPool2d((3, None))"),
        ("input 2 x H x W\nADAPTIVE_MAXPOOL ? x 2", "2 x H x 2", "nn.AdaptiveMaxPool2d((None, 2))"),
        (
            "input 2 x H x W\nPOOL floor -> ADAPTIVE_AVGPOOL 1 x W",
            "2 x 1 x floor(W/2)",
            "nn.AdaptiveAvgPool2d((1, None))",
        ),
        ("input 2 x D x H x W\nADAPTIVE_AVGPOOL 1 x H x 2", "2 x 1 x H x 2", "nn.AdaptiveAvgPool3d((1, None, 2))"),
        ("input 2 x W\nADAPTIVE_AVGPOOL W", "2 x W", "nn.Identity()"),
        ("input 2 x 8 x 9\nADAPTIVE_AVGPOOL 1 x W", "2 x 1 x 9", "nn.AdaptiveAvgPool2d((1, 9))"),
        ("input 16 x H x W\nRESHAPE 16 x (H*W)", "16 x H*W", "Reshape(16, -1)"),
        ("input 16 x H x W\nRESHAPE 8 x (2*H*W)", "8 x 2*H*W", "Reshape(8, -1)"),
    ],
)
def test_an_op_keeps_what_is_open(lines: str, shape: str, code: str) -> None:
    torch = pytest.importorskip("torch")
    net = loads(f"{lines}\nRELU\n")
    verify(net.graph)
    assert net.shape_text(net.graph.nodes[-1].type) == shape
    assert code in net.emit()
    sizes = {"D": 3, "H": 8, "W": 9}
    given = [sizes.get(str(size), size) for size in next(iter(net.inputs.values()))]
    wanted = next(iter(loads(f"{lines}\nRELU\n", input=given).outputs.values()))
    for backend in ("torch", "triton"):
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("error")
            assert net.compile(backend).eval()(torch.ones(2, *given)).shape[1:] == wanted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ADAPTIVE_AVGPOOL 1 x H", "W of ADAPTIVE_AVGPOOL must be known, or stay as it is, and it is H"),
        ("ADAPTIVE_AVGPOOL 1 x floor(W/2)", "and it is floor(W/2)"),
        ("ADAPTIVE_MAXPOOL H", "W of ADAPTIVE_MAXPOOL must be known, or stay as it is, and it is H"),
        ("RESHAPE H x W x 2", "one size of RESHAPE may be open, and here are 2"),
    ],
)
def test_another_open_size_is_refused(line: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        loads(f"input 2 x H x W\n{line}\n")
    (fault,) = caught.value.diagnostics
    assert fault.code == "E0308" and said in fault.message and fault.helps
