"""What each form of the language means, told by the numbers that come out."""

from __future__ import annotations

from pathlib import Path

import pytest

import netdsl
from netdsl import SpecError
from netdsl.graph import show_graph

INPUT = "net t\ninput 3 x 32 x 32\n"


def ops(text: str) -> list[str]:
    return [layer.op.name for layer in netdsl.loads(INPUT + text).layers]


def output(text: str, start: str = INPUT) -> tuple[object, ...]:
    return next(iter(netdsl.loads(start + text).outputs.values()))


def codes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        netdsl.loads(text)
    return [d.code for d in caught.value.diagnostics]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CONV 64", "conv 64 3x3 /1 same"),
        ("7x7 conv, 64, /2", "CONV 64 7x7 /2"),
        ("conv3-64", "CONV 64 3x3"),
        ("CONV 96 11x11, /4, valid floor", "CONV 96 valid /4 floor 11x11"),
        ("CONV 8 pad 2 5x5", "CONV 8 k=5 pad=2"),
        ("[3x3, 8; 3x3, 8]", "residual(CONV 8 -> CONV 8 linear)"),
        ("CONV 8 -> CONV 8 | CONV 4", "(CONV 8 -> CONV 8) | (CONV 4)"),
        ("CONV 8 + CONV 8 | CONV 4", "(CONV 8 + CONV 8) | CONV 4"),
        ("CONV 8 -> RELU * 2", "CONV 8 -> (RELU * 2)"),
        ("CONV 8\nRELU | TANH", "CONV 8 -> (RELU | TANH)"),
        ("CONV 8 ->\n  RELU", "CONV 8\n  -> RELU"),
        ("CONV 8 bn relu", "CONV 8 nobias -> BN -> RELU"),
        ("CONV 8 bn bias", "CONV 8 -> BN"),
        ("bottleneck(4)", "bottleneck(c=4)"),
    ],
)
def test_two_ways_to_say_one_thing(one: str, other: str) -> None:
    def said(text: str) -> list[tuple[object, ...]]:
        net = netdsl.loads(INPUT + text)
        return [(layer.op, layer.type.plain(), layer.params) for layer in net.layers]

    assert said(one) == said(other)


def test_default_fills_what_is_not_said() -> None:
    assert ops("default CONV bn relu\nCONV 8 -> CONV 8 linear -> CONV 8 nonorm tanh") == [
        "conv", "batchnorm", "relu", "conv", "batchnorm", "conv", "tanh",
    ]  # fmt: skip


def test_blocks_take_numbers_words_blocks_and_tensors() -> None:
    blocks = """
        block sized(k, how, act=RELU) = CONV 8 k x k how act
        block both(f) = f | f
        block joined(skip, c=2*C) = (identity | skip) -> CONV c
    """
    assert output("sized(5, valid)", blocks + INPUT) == (8, 28, 28)
    assert output("both(sized(3, same, TANH))", blocks + INPUT) == (16, 32, 32)
    assert output("a = CONV 4 relu\nCONV 5 relu -> joined(a)", blocks + INPUT) == (10, 32, 32)


def test_defaults_see_the_input_and_what_stands_before() -> None:
    block = "block b(c=2*C, d=c+1) = CONV c -> CONV d\n"
    assert output("b", block + INPUT) == (7, 32, 32)
    assert output("b(d=1)", block + INPUT) == (1, 32, 32)


def test_a_named_argument_replaces_what_a_block_was_given() -> None:
    blocks = "block down(f) = f(stride=2) -> f\nblock c(n, stride=1) = CONV n /stride relu\n"
    assert output("down(c(8))", blocks + INPUT) == (8, 16, 16)


def test_for_counts_and_recursion_ends() -> None:
    assert output("for i in 1..3 do CONV (8*i) relu") == (24, 32, 32)
    tower = "block tower(n) = if n == 0 then identity else POOL -> tower(n-1)\n"
    assert output("tower(3)", tower + INPUT) == (3, 4, 4)


def test_a_label_is_a_tensor_and_let_does_not_move_the_path() -> None:
    text = "a = CONV 8 relu\nlet side = a -> CONV 4\nlet n = 2\nlet f = CONV 8 relu\nf * n -> f\n(identity | side) + (a -> CONV 12)"
    assert output(text) == (12, 32, 32)
    assert ops(text).count("conv") == 6


def test_exact_arithmetic() -> None:
    assert output("CONV floor(0.5*(C+2)) -> CONV ceil(7/2) -> CONV (max(3, 5) - min(1, 2)) -> CONV round(2.5)") == (
        3,
        32,
        32,
    )
    assert codes(INPUT + "CONV (C/2)") == ["E0202"]


def test_several_inputs_and_outputs() -> None:
    net = netdsl.loads(
        "net t\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\n"
        "a = left -> CONV 4 relu\nb = right -> CONV 4 relu\nsum = a + b\ncat = a | b\noutput sum, cat\noutput aux = sum -> GAP"
    )
    assert net.inputs == {"left": (3, 8, 8), "right": (3, 8, 8)}
    assert net.outputs == {"sum": (4, 8, 8), "cat": (8, 8, 8)}
    assert net.training_outputs == {"aux": (4,)}


def test_a_net_from_a_net(tmp_path: Path) -> None:
    (tmp_path / "parts.net").write_text("block cell(c) = CONV c relu -> POOL\n", encoding="utf-8")
    (tmp_path / "base.net").write_text(
        'import "parts.net"\nnet base(classes=10)\ninput 3 x 16 x 16\nbody = cell(8) -> cell(16)\nhead = FC classes\n',
        encoding="utf-8",
    )
    (tmp_path / "tuned.net").write_text(
        'import "base.net"\nnet tuned = base with\n    freeze body\n    head = FC 3\n', encoding="utf-8"
    )
    base, tuned = netdsl.load(tmp_path / "base.net"), netdsl.load(tmp_path / "tuned.net")
    assert base.params == base.trainable_params == 224 + 1168 + 2570
    assert (tuned.params, tuned.trainable_params) == (224 + 1168 + 771, 771)
    assert netdsl.load(tmp_path / "base.net", classes=3).params == tuned.params


def test_a_shipped_net_with_another_head() -> None:
    net = netdsl.loads("net pets = vgg16 with\n    freeze features\n    fc8 = FC 3")
    assert net.params - net.trainable_params == 14_714_688
    assert net.outputs == {"fc8": (3,)}
    assert netdsl.loads("net small(n=7) = vgg16(classes=n)", n=5).outputs == {"fc8": (5,)}


def test_a_new_input_leaves_the_assertions_of_the_base_aside() -> None:
    """They speak of the old one; those of the new lines are proven, and without a new input all are."""
    base = "net base\ninput 3 x 32 x 32\na = CONV 8 /2 relu : 8 x 16 x 16\nb = CONV 4 : 4 x 16 x 16\n"
    made = "net made = base with\n"
    assert netdsl.loads(base + made + "    input 3 x H x 40\n", net="made").inputs["input"][2] == 40
    with pytest.raises(SpecError, match="E0305"):
        netdsl.loads(base + made + "    input 3 x 64 x 64\n    b = CONV 4 : 4 x 16 x 16\n", net="made")
    with pytest.raises(SpecError, match="E0305"):
        netdsl.loads(base + made + "    default CONV /2\n", net="made")


def test_imports_stay_in_their_folder(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.net").write_text("block b = RELU\n", encoding="utf-8")
    spec = inner / "a.net"
    for path, code in [
        ("../secret.net", "E0406"),
        ("/etc/hosts", "E0406"),
        ("missing.net", "E0405"),
        ("a.net", "E0404"),
    ]:
        spec.write_text(f'import "{path}"\n{INPUT}RELU\n', encoding="utf-8")
        with pytest.raises(SpecError) as caught:
            netdsl.load(spec)
        assert [d.code for d in caught.value.diagnostics] == [code]


def test_equal_calls_share_a_body() -> None:
    net = netdsl.loads(
        INPUT + "default CONV bn relu\nCONV 16\nresidual(basic(16)) * 1200\nresidual(basic(16)) * 2\nGAP -> FC 10"
    )
    assert show_graph(net.graph).count("block residual") == 1
    assert len(net.layers) == 3 + 1202 * 7 + 2


def test_another_input_is_proven_anew() -> None:
    assert netdsl.load("vgg16", input="3x64x64").params == 138_357_544 - 4096 * 512 * (49 - 4)
    with pytest.raises(SpecError, match="E0304"):
        netdsl.load("vgg16", input="3x16x16")
    with pytest.raises(netdsl.UsageError, match="did you mean 'classes'"):
        netdsl.load("vgg16", clases=10)


def test_open_sizes_are_limited_by_what_the_text_needs() -> None:
    unet = """
        net t
        input 1 x H x W
        block double(c) = CONV c relu -> CONV c relu
        block unet(n, c) = if n == 0 then double(c)
            else double(c) -> (identity | (POOL floor -> unet(n-1, 2*c) -> DECONV c)) -> double(c)
        unet(4, 4) : 4 x H x W
    """
    net = netdsl.loads(unet)
    assert net.constraints == {"H": "H must be a multiple of 16", "W": "W must be a multiple of 16"}
    assert netdsl.loads(unet, input="1x32x48").outputs == {"output": (4, 32, 48)}
    with pytest.raises(SpecError, match="E0310"):
        netdsl.loads(unet, input="1x40x48")


def test_a_fault_is_reported_once_and_others_beside_it() -> None:
    text = INPUT + "a = CNV 8\nb = a -> CONV 9 groups=2\nCONV 7 groups=2\nRELU -> FOO"
    assert codes(text) == ["E0201", "E0201"]


def test_with_replaces_what_it_says(tmp_path: Path) -> None:
    base = "net base(c=4)\ninput 3 x 8 x 8\nlet k = 4\na = CONV c relu\nb = CONV k\n"
    assert netdsl.loads(base + "net d(c=6) = base with\n b = CONV c", c=5).layers[0].op.out_channels == 4  # type: ignore[attr-defined]
    assert netdsl.loads(base + "net d = base with\n let m = 7\n b = CONV m").outputs == {"b": (7, 8, 8)}
    assert netdsl.loads(base + "net d = base with\n let k = 9").outputs == {"b": (9, 8, 8)}
    assert netdsl.loads(base + "net d = base with\n input 5 x 9 x 9").inputs == {"input": (5, 9, 9)}
    assert netdsl.loads(base + "output a\nnet d = base with\n output b").outputs == {"b": (4, 8, 8)}
    assert codes(base + "net d = base with\n b = CONV 7\n b = CONV 9") == ["E0205"]
    assert codes(base + "net d = base with\n k = CONV 7") == ["E0206"]
    assert codes("net base\ndefault CONV relu\nnet d = base with\n input 3 x 8 x 8") == ["E0206"]
    two = "net base\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\nleft + right\n"
    assert codes(two + "net d = base with\n input 3 x 9 x 9") == ["E0206"]


def test_a_size_that_is_needed_may_be_given(tmp_path: Path) -> None:
    text = "net t\ninput 3 x H x W\nCONV 4 -> FC 10"
    assert codes(text) == ["E0308"]
    assert netdsl.loads(text, input="3x8x8").outputs == {"output": (10,)}


def test_open_sizes_are_names_of_the_net_alone() -> None:
    assert codes("block b() = CONV N\nnet t\ninput 3 x N x N\nb") == ["E0201"]


def test_a_path_that_would_be_lost_is_refused() -> None:
    assert codes(INPUT + "a = CONV 4\nCONV 8 -> a") == ["E0211"]
    assert codes(INPUT + "a = CONV 4\nCONV 8 -> (a -> RELU)") == ["E0211"]
    assert output("a = CONV 4\nCONV 4 -> (identity + (a -> RELU))") == (4, 32, 32)


def test_a_block_that_the_input_chooses_is_chosen_where_it_is_used() -> None:
    """Not where it is named: there the input is another."""
    assert output("let f = if C == 3 then CONV 8 else CONV 5\nf -> f") == (5, 32, 32)
    assert output("block twice(f) = f -> f\ntwice(if C == 3 then CONV 8 else CONV 5)") == (5, 32, 32)
    assert output("let k = if C == 3 then 8 else 5\nCONV 4 -> CONV k") == (8, 32, 32)


def test_a_let_from_a_label_of_the_base_is_a_side_path() -> None:
    """It follows the base's lines, and so does one that starts from it; the base's rest goes unused without a word."""
    base = "net base\ninput 3 x 8 x 8\ndefault CONV relu\na = CONV 4 /2\nb = CONV 8 /2\nFC 10\n"
    net = netdsl.loads(
        base + "net d = base with\n let s = b -> CONV 5\n let t = (s -> UPSAMPLE) | a\n let k = 6\n"
        " b = CONV k /2\n output s, t"
    )
    assert net.outputs == {"s": (5, 2, 2), "t": (9, 4, 4)}
    assert net.warnings == ()
    assert "fc1" not in net.emit()


TWO = "net t\ninput a = 3 x 8 x 8\ninput b = 3 x 8 x 8\n"
OPEN = "net t\ninput 3 x H x 32\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (INPUT + "CONV (1000000000000*1000000000000)",
         ("E0102", "`1000000000000*1000000000000` leaves the range of sizes, ±10^18", "3:7", "")),
        ("net t\ninput 0 x 3 x 3\nRELU",
         ("E0202", "a size is a whole number of at least 1, or a name, not `0`", "2:7", "")),
        ("net t\ninput 3 x 2.5 x 3\nRELU",
         ("E0202", "a size is a whole number of at least 1, or a name, not `2.5`", "2:11", "")),
        ("net t\ninput 3 x 1000000001 x 1\nRELU", ("E0102", "a size of more than 1,000,000,000", "2:11", "")),
        (TWO + "RELU + a", ("E0212", "there is no input here", "4:1", "nothing reaches this element")),
        (TWO + "identity | a", ("E0212", "there is no input here", "4:1", "nothing reaches this element")),
        (TWO + "match + a", ("E0212", "there is no input here", "4:1", "nothing reaches this element")),
        (TWO + "join(f(3), a)\nblock f(n) = join(CONV n, RELU)",
         ("E0212", "there is no input here", "4:6", "nothing reaches this element")),
        (INPUT + "let f = (CONV 4 -> RELU)\nf(stride=2)",
         ("E0203", "`f` is a block without parameters, so it takes no arguments", "4:1", "")),
        ("block p(how) = CONV 8 padding=how\n" + INPUT + "p(3)",
         ("E0202", "`padding` of CONV is `same` or `valid`", "1:31", "")),
        (INPUT + 'CONV 8 padding="left"', ("E0202", "`padding` of CONV is `same` or `valid`", "3:16", "")),
        (OPEN + "CONV 4 /2 : 4 x 8 x ?",
         ("E0305", "the shape is 4 x ceil(H/2) x 16, not 4 x 8 x ?", "3:13", "asserted here")),
        ("block b(f) = f 8 foo=1\n" + INPUT + "b(CONV)", ("E0204", "CONV has no argument `foo`", "1:18", "")),
        ("block b(f) = RELU -> f\n" + INPUT + "b(CONV)", ("E0203", "CONV needs the number of filters", "1:22", "")),
        (INPUT + "RELU -> H", ("E0210", "a layer or a block is needed here, and `H` is a number", "3:9", "")),
        (INPUT + "mean(RELU)", ("E0203", "`mean` takes two or more blocks: `mean(a, b)`", "3:1", "")),
        (INPUT + "gate(RELU, RELU, RELU)",
         ("E0203", "`gate` takes one or two blocks: `gate(a)`, `gate(a, b)`", "3:1", "")),
        (INPUT + "bottleneck 64", ("E0203", "`bottleneck` is a block, and blocks take their arguments in parentheses", "3:1", "")),
        (INPUT + "a = RELU\na 3", ("E0209", "`a` is a tensor and takes no arguments", "4:1", "")),
        (INPUT + "RELU * 0", ("E0401", "a repeat of 0: at least 1 is needed", "3:8", "`0` is 0")),
        (INPUT + "for i in 3..1 do CONV i", ("E0401", "`for` from 3 to 1 has no step", "3:10", "")),
        (INPUT + "for i in 1..10001 do RELU", ("E0403", "a `for` of 10,001 steps is more than 10,000", "3:1", "")),
        (INPUT + "RELU * 10000001", ("E0403", "a repeat of 10,000,001 is more than 10,000,000", "3:1", "")),
    ],
)  # fmt: skip
def test_what_is_said_and_where(text: str, said: tuple[str, str, str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        netdsl.loads(text)
    one = caught.value.diagnostics[0]
    place = one.label.span.place.partition(":")[2]
    assert (one.code, one.message, place, one.label.text) == said


def test_the_largest_that_there_may_be() -> None:
    """Each bound is itself allowed."""
    assert netdsl.loads("net t\ninput 1000000000 x 1 x 1\nRELU").outputs == {"output": (10**9, 1, 1)}
    assert len(netdsl.loads(INPUT + "for i in 1..10000 do RELU").layers) == 10_000
    upsampled = "net t\ninput 1 x 1000000000 x 1\nUPSAMPLE 1000x1"
    assert netdsl.loads(upsampled).outputs == {"output": (1, 10**12, 1)}
    assert codes(upsampled + " -> PAD after=1x0") == ["E0403"]


@pytest.mark.parametrize("left", range(3))
@pytest.mark.parametrize("right", range(3))
def test_conditions(left: int, right: int) -> None:
    """Each comparison and its `not`, and each combination of two: as Python has them."""
    for op in ("==", "!=", "<", "<=", ">", ">="):
        holds = eval(f"{left} {op} {right}")
        for test, value in [
            (f"n {op} {right}", holds),
            (f"not n {op} {right}", not holds),
            (f"n {op} {right} and n == {left}", holds),
            (f"n == {left} and n {op} {right}", holds),
            (f"n {op} {right} or n == 9", holds),
            (f"n == 9 or n {op} {right}", holds),
            (f"n == 9 and n {op} {right}", False),
            (f"n == {left} or n {op} {right}", True),
        ]:
            chosen = f"block b(n) = if {test} then CONV 4 else CONV 5\n{INPUT}b({left})"
            assert netdsl.loads(chosen).outputs["output"][0] == (4 if value else 5), test


def test_words_may_be_quoted_or_passed_on() -> None:
    for text in ('CONV 8 padding="valid"', "CONV 8 padding=valid", "CONV 8 valid"):
        assert output(text) == (8, 30, 30)
    assert output("p(valid)", "block p(how) = CONV 8 padding=how\n" + INPUT) == (8, 30, 30)
    assert output("p", "block p(how=valid) = CONV 8 padding=how\n" + INPUT) == (8, 30, 30)


def test_what_no_output_needs_is_no_part_of_the_network() -> None:
    net = netdsl.loads(INPUT + "a = CONV 4\nb = CONV 5\noutput a")
    assert [layer.op.name for layer in net.layers] == ["conv"]
    assert [d.code for d in net.warnings] == ["W0501"]
    assert (net.params, net.outputs) == (112, {"a": (4, 32, 32)})


def test_a_trained_head_costs_nothing_at_inference() -> None:
    plain = netdsl.loads(INPUT + "CONV 4 -> GAP -> FC 3")
    with_head = netdsl.loads(INPUT + "CONV 4\noutput aux = GAP -> FC 9\nGAP -> FC 3")
    assert with_head.params == plain.params + 5 * 9
    assert with_head.macs == plain.macs


def test_why_an_asserted_size_limits_an_open_one() -> None:
    with pytest.raises(SpecError) as caught:
        netdsl.loads(OPEN + "CONV 4 /2 : 4 x 8 x ?")
    (one,) = caught.value.diagnostics
    assert one.notes == ("H = (H - 3 + 2*1)/2 + 1", "this holds only for H = 15 or 16")
    assert [way.title for way in one.repairs] == ["if the shape is right, write `: 4 x ceil(H/2) x 16`"]


def test_a_name_from_around_is_read_each_time() -> None:
    """Lines that are alike in text differ where a name or a choice in them does."""
    assert output("for i in 1..3 do CONV (i) relu") == (3, 32, 32)
    assert output("for i in 1..3 do CONV 4 k=(2*i-1) valid relu") == (4, 26, 26)
    text = "block b(s) = CONV 4 stride=(s) relu\n"
    assert output("b(1) -> b(2) -> b(4)", text + INPUT) == (4, 4, 4)
    assert output("k(3) -> k(5) -> k(3)", "block k(n) = CONV 4 n x n valid\n" + INPUT) == (4, 24, 24)
    assert output("k(3) -> k(5)", "block k(n) = CONV 4 k=n valid\n" + INPUT) == (4, 26, 26)
