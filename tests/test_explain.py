"""Is what `netdsl explain SPEC:LINE` tells of an element true: its sums, its neighbours, what it sees?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from commands import Run

import netdsl
from netdsl import UsageError
from netdsl.explain.element import Explanation, explain_label, explain_line
from netdsl.explain.json import explanation_fields
from netdsl.explain.text import explanation_text
from netdsl.net import Net
from netdsl.ops import OPS, Op
from netdsl.size import evaluate

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted((ROOT / "specs").glob("*.net"))

FIRE = """\
# SqueezeNet in small
block fire2(s, e) =
    CONV s 1x1 relu -> (CONV e 1x1 relu | CONV e 3x3 relu)
net small(classes=10)
input 3 x 64 x 64

CONV 64 7x7 /2 relu
fire2(16, 64) -> POOL    # the first
fire2(32, 128)
late = (fire2(32, 128) * 2
    # halved
    POOL -> RELU)
output aux = late -> GAP -> FC 3
late -> GAP -> FC classes
"""


@pytest.fixture(scope="module")
def fire() -> Net:
    return netdsl.loads(FIRE, name="fire.net")


def names(found: Explanation) -> list[str]:
    return [f"{step.name} x{step.count}" for step in found.steps]


# --- which elements --------------------------------------------------------------------------------------------------


def test_a_line_has_its_elements_in_order(fire: Net) -> None:
    found = explain_line(fire, 7)
    assert [step.name for step in found.steps] == ["conv1", "relu1"]
    assert [(other.name, other.shape, other.line) for other in found.feeds] == [("input", "3 x 64 x 64", 5)]
    assert [(other.name, other.line) for other in found.uses] == [("fire2_1", 8)]
    assert found.lines == (("fire.net", 7, "CONV 64 7x7 /2 relu"),)
    assert found.title == "fire.net:7"


def test_a_line_of_a_block_stands_in_every_place_where_it_is_called(fire: Net) -> None:
    found = explain_line(fire, 3)
    assert found.places == ("fire2_1", "fire2_2", "late.0")
    assert found.feeds == ()
    assert {step.count for step in found.steps if step.op == "conv"} == {1, 3, 2}
    assert found.params == sum(layer.params for layer in fire.layers if ".conv" in layer.name)


def test_a_repeat_is_told_once_with_its_count(fire: Net) -> None:
    found = explain_line(fire, 10)
    assert names(found)[:3] == ["late.0.conv1 x2", "late.0.relu1 x2", "late.0.conv2 x2"]
    assert [other.name for other in found.feeds] == ["fire2_2"]
    assert [other.name for other in found.uses] == ["late_pool"]


def test_the_lines_of_a_labelled_path_are_its_parts(fire: Net) -> None:
    assert names(explain_line(fire, 12)) == ["late_pool x1", "late_relu x1"]
    assert len(explain_label(fire, "late").steps) == len(explain_line(fire, 10).steps) + 2


def test_training_only_elements_say_so(fire: Net) -> None:
    found = explain_line(fire, 13)
    assert all(step.training for step in found.steps)
    assert [other.name for other in found.uses] == ["output in training `aux`"]
    assert not any(step.training for step in explain_line(fire, 14).steps)


def test_a_column_picks_the_innermost_element(fire: Net) -> None:
    text = FIRE.splitlines()[2]
    found = explain_line(fire, 3, text.index("CONV e 3x3") + 3)
    assert {step.op for step in found.steps} == {"conv", "relu"}
    assert all(step.what == "conv 3x3" for step in found.steps if step.op == "conv")
    assert [step.name for step in explain_line(fire, 8, FIRE.splitlines()[7].index("POOL") + 1).steps] == ["pool1"]
    assert [step.name for step in explain_line(fire, 8, 35).steps][-1] == "pool1"  # the comment: the whole line


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("conv1", "conv1"),
        ("conv1.weight", "conv1"),
        ("fire2_1.conv3.bias", "fire2_1.conv3"),
        ("late.1.conv2", "late.1.conv2"),
        ("late.0", "late.0.conv1"),
        ("output", "fc1"),
        ("aux", "aux_gap"),
    ],
)
def test_a_path_of_the_state_dict(fire: Net, name: str, step: str) -> None:
    assert explain_label(fire, name).steps[0].name == step


def test_one_step_of_a_repeat(fire: Net) -> None:
    found = explain_label(fire, "late.1")
    assert {step.count for step in found.steps} == {1, 2}  # two branches end in equal ReLUs
    assert [other.name for other in found.feeds] == ["late.0.concat1"]
    assert [other.name for other in found.uses] == ["late_pool"]


def test_neighbours_of_the_steps_of_a_repeat() -> None:
    net = netdsl.load("resnet50")
    middle = explain_label(net, "conv3.2.conv1")
    assert [other.name for other in middle.feeds] == ["conv3.1.relu3"]
    assert [other.name for other in explain_label(net, "conv3.0.conv1").feeds] == ["conv2"]
    assert [other.name for other in explain_label(net, "conv3.1.conv1").feeds] == ["conv3.0"]
    assert [other.name for other in explain_label(net, "conv3.3.relu3").uses] == ["conv4"]
    assert {other.name for other in explain_label(net, "conv3.1.relu3").uses} == {"conv3.2.conv1", "conv3.2.add1"}


@pytest.mark.parametrize("spec", ["alexnet", "googlenet", "resnet50", "densenet121", "unet", "vgg16", "mobilenet_v2"])
def test_every_layer_is_found_by_its_name(spec: str) -> None:
    """And has the inputs, parameters and MACs of the unrolled network."""
    net = netdsl.load(spec)
    for layer in net.layers[:: 1 + len(net.layers) // 20]:
        step = next(step for step in explain_label(net, layer.name).steps if step.name == layer.name)
        assert (step.name, step.params, step.macs, step.count) == (layer.name, layer.params, layer.macs, 1)
        assert [other.shape for other in step.inputs] == [net.shape_text(type) for type in layer.input_types]


# --- wrong questions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (1, "line 1 of fire.net is a comment: the nearest is in line 3, `CONV s 1x1 relu`"),
        (6, "line 6 of fire.net is empty: the nearest is in line 7, `CONV 64 7x7 /2 relu`"),
        (4, "line 4 of fire.net has no element of the network: the nearest is in line 5, `input 3 x 64 x 64`"),
        (11, "line 11 of fire.net is a comment: the nearest is in line 12, `POOL`"),
        (0, "fire.net has 14 lines, and no line 0"),
        (15, "fire.net has 14 lines, and no line 15"),
        (99999999, "fire.net has 14 lines, and no line 99,999,999"),
    ],
)
def test_a_line_without_an_element_says_where_the_nearest_is(fire: Net, line: int, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain_line(fire, line)
    assert str(caught.value) == said


def test_a_line_of_another_network_says_how_to_ask() -> None:
    net = netdsl.loads("net a\ninput 3\nFC 2\n\nnet b\ninput 4\nFC 3\n", name="two.net")
    with pytest.raises(UsageError, match="of the network b: it is of `a`, so ask with `--net a`"):
        explain_line(net, 3)
    assert explain_line(net, 7).net == "b"


def test_a_column_beyond_the_line(fire: Net) -> None:
    with pytest.raises(UsageError, match="has 19 columns, and no column 20"):
        explain_line(fire, 7, 20)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conv11", "did you mean conv1?"),
        ("late.7", "did you mean late."),
        ("fire2_1.conv9", "did you mean fire2_1.conv"),
        ("conv1.wait", "did you mean conv1?"),
        ("zzz", "in small there is input, conv1, relu1, fire2_1, pool1, fire2_2, late"),
        ("", "has no element ''"),
        ("x" * 5000, "…'"),
        ("é.\U0001f600.\x1b[31m", "has no element"),
        ("late." + "9" * 400, "has no element"),
        (".".join(["late"] * 500), "has no element"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(fire: Net, name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain_label(fire, name)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 400


# --- what it says ----------------------------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_network() -> None:
    """The lines of a network together have its parameters and MACs: each element is on one of them."""
    for spec in ("alexnet", "vgg16", "googlenet", "resnet50", "densenet121", "squeezenet1_1"):
        net = netdsl.load(spec)
        found = []
        for line in range(1, net.source.text.count("\n") + 1):
            try:
                found.append(explain_line(net, line))
            except UsageError:
                continue
        assert sum(each.params for each in found) == net.params, spec
        inference = [each for each in found if not any(step.training for step in each.steps)]
        assert sum(int(str(each.macs)) for each in inference) == net.macs, spec


def test_the_lectures_alexnet() -> None:
    net = netdsl.load("alexnet")
    text = explanation_text(explain_line(net, 7))
    for line in (
        "H = W       (227 - 11 + 2*0)/4 + 1 = 55",
        "parameters  96*(11*11*3 + 1) = 34,944",
        "output      96 x 55 x 55",
        "H = W       (55 - 3 + 2*0)/2 + 1 = 27",
        "sees        11 x 11 of `input`, stride 4",
        "place (27, 27) sees rows 108 to 118, columns 108 to 118",
        "W' = (W - k + 2p)/S + 1, with k = 11, p = 0, S = 4",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("spec", "name", "size"),
    [("vgg16", "features.17", 212), ("alexnet", "conv5_pool", 195), ("alexnet", "fc6_flatten", 195)],
)
def test_receptive_fields_of_the_lectures(spec: str, name: str, size: int) -> None:
    """VGG-16's pool5 sees 212, AlexNet's 195."""
    (step,) = explain_label(netdsl.load(spec), name).steps
    assert [reach.size for reach in step.sees] == [size, size]


def test_the_inception_branch_of_the_lecture() -> None:
    """28 x 28 x 192, 32 filters of 5 x 5: 120 million multiplications; a tenth after a 1 x 1 of 16."""
    plain = netdsl.loads("net a\ninput 192 x 28 x 28\nCONV 32 5x5\n")
    assert "(28*28*32)*(5*5*192) = 120,422,400" in explanation_text(explain_line(plain, 3))
    bottleneck = netdsl.loads("net a\ninput 192 x 28 x 28\nCONV 16 1x1 -> CONV 32 5x5\n")
    assert explain_line(bottleneck, 3).macs == 12_443_648


def test_open_sizes_are_formulas_with_what_they_ask() -> None:
    net = netdsl.loads("net a\ninput 3 x H x W\nCONV 8 3x3 /2\nPOOL\nGAP -> FC 3\n")
    found = explain_line(net, 4)
    (step,) = found.steps
    assert step.worked.shape[0] == "H = (ceil(H/2) - 2 + 2*0)/2 + 1 = floor((H + 1)/4)"
    assert any(limit.startswith("H must leave 0 or 3 when divided by 4") for limit in found.limits)
    assert evaluate(found.macs, {"H": 64, "W": 64}) == 0
    conv = explain_line(net, 3).steps[0]
    assert conv.worked.macs == "(ceil(H/2)*ceil(W/2)*8)*(3*3*3) = 216*ceil(H/2)*ceil(W/2)"
    assert "valid for H >= 3, W >= 3" in explain_line(net, 2).limits


def test_an_input_line_tells_who_takes_it(fire: Net) -> None:
    found = explain_line(fire, 5)
    assert (found.output, found.steps, found.limits) == ("3 x 64 x 64", (), ())
    assert [other.name for other in found.uses] == ["conv1"]
    assert found == explain_label(fire, "input").replace(title="fire.net:5")


def test_several_inputs_are_told_apart() -> None:
    net = netdsl.loads(
        "net two\ninput a = 3 x 8 x 8\ninput b = 5 x 16 x 16\na -> CONV 4 | b -> CONV 4 3x3 /2\nGAP -> FC 2\n"
    )
    assert explain_line(net, 3).output == "5 x 16 x 16"
    text = explanation_text(explain_line(net, 4))
    assert "3 x 3 of `a`, stride 1" in text
    assert "3 x 3 of `b`, stride 2" in text


def test_sequences_and_vectors() -> None:
    text = "net s\ninput words = 40\nEMBED 1000 64 -> TOKENS\nLSTM 32 bidirectional\nATTENTION 4\nGAP -> FC 3\n"
    net = netdsl.loads(text)
    assert "1000*64 = 64,000" in explanation_text(explain_line(net, 3))
    assert "2*4*32*(64 + 32 + 2) = 25,088" in explanation_text(explain_line(net, 4))
    assert "41*(4*64*64) + 2*(41*41*64) = 886,912" in explanation_text(explain_line(net, 5))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_line_of_every_spec_is_told_in_80_columns(path: Path) -> None:
    net = netdsl.load(path)
    told = 0
    for line in range(1, net.source.text.count("\n") + 1):
        try:
            found = explain_line(net, line)
        except UsageError:
            continue
        told += 1
        text = explanation_text(found)
        assert max(map(len, text.splitlines())) <= 80, text
        assert len(text.splitlines()) < 130
        json.dumps(explanation_fields(found))
    assert told >= 2 or " with\n" in net.source.text or " = " in net.source.text.split("input")[0], "a net of another"


def test_a_thousand_layers_cost_no_more_than_a_few() -> None:
    net = netdsl.loads("net deep\ninput 3 x 32 x 32\nCONV 16\n(CONV 16 -> BN -> RELU) * 1000000\nGAP -> FC 10\n")
    found = explain_line(net, 4)
    assert {step.count for step in found.steps} == {1000000}
    assert found.params == 1000000 * (16 * (9 * 16 + 1) + 32)
    assert explain_label(net, "conv2.765432.1").steps[0].op == "batchnorm"


def test_bodies_that_double_at_every_level_are_not_walked_twice() -> None:
    text = "block f(n) = if n == 0 then CONV 8 else f(n-1) -> f(n-1)\nnet wide\ninput 8 x 8 x 8\nf(18)\nGAP -> FC 3\n"
    net = netdsl.loads(text)
    assert explain_line(net, 4).steps[0].count == 2**18
    assert explain_line(net, 1).steps[0].count >= 1


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fire.net"
    path.write_text(FIRE, encoding="utf-8")
    return path


def test_the_command_takes_a_line_a_column_and_a_label(run: Run, file: Path) -> None:
    for arguments in ((f"{file}:7",), (f"{file}:7:3",), (file, "conv1"), ("alexnet:7",), ("resnet50", "conv3.0.conv1")):
        done = run("explain", *arguments)
        assert (done.code, done.err) == (0, ""), arguments
        assert "conv1: conv" in done.out


def test_the_command_as_json(run: Run) -> None:
    fields = json.loads(run("explain", "alexnet:7", "--json").out)
    conv = fields["steps"][0]
    assert conv["worked"]["shape"] == ["H = W = (227 - 11 + 2*0)/4 + 1 = 55"]
    assert (conv["params"], conv["macs"], conv["shape"]) == (34944, 105415200, [96, 55, 55])
    assert conv["sees"][0] == {"input": "input", "axis": "H", "size": 11, "stride": 4.0, "offset": 0, "all": False}
    assert fields["from"][0]["name"] == "input"


def test_the_command_takes_numbers_and_sizes(run: Run) -> None:
    assert "10*(4096 + 1) = 40,970" in run("explain", "alexnet", "fc8", "--set", "classes=10").out
    assert "(7 - 1 + 2*0)/1 + 1 = 7" in run("explain", "resnet50", "conv5.0.conv3", "--input", "3x224x224").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alexnet",), "Name a line, `netdsl explain alexnet:7`, or a label, `netdsl explain alexnet conv1`"),
        (("resnet1202",), "which element? Name a label, `netdsl explain resnet1202 "),
        (("alexnet:7", "conv1"), "a line and a label"),
        (("alexnet:400",), "no line 400"),
        (("alexnet:1",), "is a comment"),
        (("alexnet", "conv9"), "did you mean conv"),
        (("nothing.net:3",), "there is no file nothing.net"),
        (("alexnett:3",), "did you mean alexnet?"),
        (("alexnet:7:500",), "columns, and no column 500"),
    ],
)
def test_wrong_questions_to_the_command(run: Run, arguments: tuple[str, ...], said: str) -> None:
    done = run("explain", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_spec_with_faults_is_answered_with_them(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.net"
    bad.write_text("net a\ninput 3 x 224 x 224\nCONV 96 11x11 /4 valid\n", encoding="utf-8")
    done = run("explain", f"{bad}:3")
    assert done.code == 1
    assert "E0303" in done.err
    assert re.search(r"224 - 11 \+ 2\*0\)/4 \+ 1 = 54.25", done.err)


def test_a_file_whose_name_looks_like_a_place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.net:3").write_text("net a\ninput 3 x 8 x 8\nCONV 4\n", encoding="utf-8")
    assert "conv1: conv" in run("explain", "a.net:3", "conv1").out
    assert "conv1: conv" in run("explain", "a.net:3:3").out


@pytest.mark.parametrize("op", [op for op in OPS if op.spellings], ids=lambda op: op.name)
def test_a_primitive_is_told_in_80_columns(op: type[Op], run: Run) -> None:
    done = run("explain", op.spellings[-1].lower())
    assert done.code == 0 and done.out.startswith(op.spellings[0])
    assert "    written " in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())
    fields = json.loads(run("explain", op.spellings[0], "--json").out)
    assert [argument["name"] for argument in fields["arguments"]] == [argument.name for argument in op.arguments]


def test_a_file_that_is_called_as_a_primitive_wins(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("conv").write_text("input 3 x 8 x 8\na = CONV 4\n")
    assert "a of conv" in run("explain", "conv", "a").out
