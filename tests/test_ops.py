"""Ops one by one: what a layer learns, costs and says of itself, and whether the repairs it offers are repairs."""

from __future__ import annotations

import math
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import netdsl
from netdsl.driver import check_source
from netdsl.files import no_files
from netdsl.graph import Layer
from netdsl.ops import OPS, Op
from netdsl.ops.base import axis_index, need_spatial, per_axis
from netdsl.ops.convolution import check_groups
from netdsl.ops.window import arithmetic, count, divides, same_padding, windows
from netdsl.prove import Prover, ShapeFault
from netdsl.size import Traced, floor_div, symbol
from netdsl.source import Source
from netdsl.types import TensorType, Unknown

H, W = symbol("H"), symbol("W")


def layer(line: str, start: str = "6 x 9 x 12") -> Layer:
    """The last layer of a network that is this line."""
    return list(netdsl.loads(f"net t\ninput {start}\n{line}\n").layers)[-1]


def fault(line: str, start: str = "6 x 9 x 12") -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
    """Code, message, notes and helps of the one fault, as its op says them: what is solved is in test_repair.py."""
    _, (one,) = check_source(Source("t.net", f"net t\ninput {start}\n{line}\n"), no_files)
    return one.code, one.message, one.notes, one.helps


# --- what a layer is -------------------------------------------------------------------------------------------------

LAYERS = [
    ("CONV 4", (4, 9, 12), {"weight": (4, 6, 3, 3), "bias": (4,)}, "3x3"),
    ("CONV 4 nobias", (4, 9, 12), {"weight": (4, 6, 3, 3)}, "3x3"),
    ("CONV 4 5x1 /3", (4, 3, 4), {"weight": (4, 6, 5, 1), "bias": (4,)}, "5x1 /3"),
    ("CONV 4 1x1 /3x2", (4, 3, 6), {"weight": (4, 6, 1, 1), "bias": (4,)}, "1x1 /3x2"),
    ("CONV 4 /1x2", (4, 9, 6), {"weight": (4, 6, 3, 3), "bias": (4,)}, "3x3 /1x2"),
    ("CONV 4 dilation 2 groups 2", (4, 9, 12), {"weight": (4, 3, 3, 3), "bias": (4,)}, "3x3 dilation 2x2 groups 2"),
    ("CONV 6 groups 6 pad 0x1", (6, 7, 12), {"weight": (6, 1, 3, 3), "bias": (6,)}, "3x3 groups 6"),
    ("DECONV 4", (4, 18, 24), {"weight": (6, 4, 2, 2), "bias": (4,)}, "2x2 up 2x2"),
    ("DECONV 4 3x3 /1x2 pad 1 nobias", (4, 9, 23), {"weight": (6, 4, 3, 3)}, "3x3 up 1x2"),
    ("DECONV 4 groups 2", (4, 18, 24), {"weight": (6, 2, 2, 2), "bias": (4,)}, "2x2 up 2x2 groups 2"),
    ("DECONV 4 3x3 dilation 2x1", (4, 21, 25), {"weight": (6, 4, 3, 3), "bias": (4,)}, "3x3 up 2x2 dilation 2x1"),
    ("DECONV 4 3x3 /2 pad 1 out_pad 1x0", (4, 18, 23), {"weight": (6, 4, 3, 3), "bias": (4,)}, "3x3 up 2x2"),
    ("DECONV 4 5x5 /3 same", (4, 27, 36), {"weight": (6, 4, 5, 5), "bias": (4,)}, "5x5 up 3x3"),
    ("DECONV depthwise", (6, 18, 24), {"weight": (6, 1, 2, 2), "bias": (6,)}, "2x2 up 2x2 groups 6"),
    ("CONV depthwise", (6, 9, 12), {"weight": (6, 1, 3, 3), "bias": (6,)}, "3x3 groups 6"),
    ("CONV 12 depthwise nobias", (12, 9, 12), {"weight": (12, 1, 3, 3)}, "3x3 groups 6"),
    ("FC 10", (10,), {"weight": (10, 648), "bias": (10,)}, ""),
    ("FC 10 nobias", (10,), {"weight": (10, 648)}, ""),
    ("FLATTEN", (648,), {}, ""),
    ("FLATTEN spatial", (6, 108), {}, "spatial"),
    ("CROP 4", (6, 4, 4), {}, "4x4"),
    ("CROP 4x5 offset 1x0", (6, 4, 5), {}, "4x5 from 1x0"),
    ("PAD 1", (6, 11, 14), {}, "1"),
    ("PAD 1x2 reflect", (6, 11, 16), {}, "1x2 reflect"),
    ("PAD after=1 replicate", (6, 10, 13), {}, "0+1 replicate"),
    ("PAD 2 before=0x1", (6, 11, 15), {}, "0+2x1+2"),
    ("SLICE 1 4", (3, 9, 12), {}, "C 1..4"),
    ("SLICE 3 W axis=W", (6, 9, 9), {}, "W 3..12"),
    ("CHANNEL_SHUFFLE 3", (6, 9, 12), {}, "groups 3"),
    ("RESHAPE 12 x 54", (12, 54), {}, "12 x 54"),
    ("RESHAPE 4 x ? x 9", (4, 18, 9), {}, "4 x ? x 9"),
    ("TRANSPOSE 2x0x1", (12, 6, 9), {}, "2x0x1"),
    ("FLATTEN spatial -> TRANSPOSE", (108, 6), {}, "1x0"),
    ("join(CONV 4, CONV 4, drop=0.25)", (4, 9, 12), {}, "drop=0.25"),
    ("product(CONV 4, CONV 4)", (4, 9, 12), {}, ""),
    ("concat(CONV 4 1x1, CONV 4 1x1 /3x1, axis=H)", (4, 12, 12), {}, "axis H"),
    ("crop(CONV 4, POOL 3x3)", (4, 3, 4), {}, ""),
    ("crop(CONV 4, POOL 3x3, offset=2x1)", (4, 3, 4), {}, "offset 2x1"),
    ("crop(CONV 4, POOL 3x3, offset=2)", (4, 3, 4), {}, "offset 2"),
    ("GAP", (6,), {}, ""),
    ("GMP", (6,), {}, ""),
    ("MAXPOOL 3x3", (6, 3, 4), {}, "3x3 /3"),
    ("MAXPOOL 3x3 /2 floor", (6, 4, 5), {}, "3x3 /2 floor"),
    ("MAXPOOL 2x2 /2x1 ceil", (6, 5, 11), {}, "2x2 /2x1 ceil"),
    ("MAXPOOL 3x4", (6, 3, 3), {}, "3x4 /3x4"),
    ("AVGPOOL 3x3 /2 same", (6, 5, 6), {}, "3x3 /2"),
    ("UPSAMPLE 3", (6, 27, 36), {}, "x3"),
    ("DROPOUT 0.25", (6, 9, 12), {}, "p=0.25"),
    (
        "BN",
        (6, 9, 12),
        {"weight": (6,), "bias": (6,), "running_mean": (6,), "running_var": (6,), "num_batches_tracked": ()},
        "",
    ),
    ("LRN", (6, 9, 12), {}, ""),
    ("RELU", (6, 9, 12), {}, ""),
    ("SCALE 0.5", (6, 9, 12), {}, "0.5"),
    ("LAYER_SCALE 0.01", (6, 9, 12), {"weight": (6,)}, "0.01"),
]
every_layer = pytest.mark.parametrize(
    ("line", "shape", "weights", "words"), LAYERS, ids=[line for line, *_ in LAYERS]
)  # fmt: skip


@every_layer
def test_what_a_layer_is(line: str, shape: tuple[int, ...], weights: dict[str, tuple[int, ...]], words: str) -> None:
    """Its output, its weights by PyTorch's names and in PyTorch's order of axes, and its words in tables."""
    one = layer(line)
    assert one.type.shape == shape
    assert {w.name: w.shape for w in one.op.weights(one.input_types)} == weights
    assert one.op.describe() == words
    buffers = {w.name for w in one.op.weights(one.input_types) if w.buffer}
    assert buffers == ({"running_mean", "running_var", "num_batches_tracked"} if line == "BN" else set())
    assert one.params == sum(math.prod(shape) for name, shape in weights.items() if name not in buffers)


@every_layer
def test_each_weight_is_used_once_at_each_place(
    line: str, shape: tuple[int, ...], weights: dict[str, tuple[int, ...]], words: str
) -> None:
    """Multiply-accumulates: a kernel is laid on each place of the output, a transposed one on each of the input."""
    one = layer(line)
    places = {"conv": one.type.spatial, "conv_transpose": one.input_types[0].spatial, "linear": ()}
    if one.op.name in places:
        assert one.macs == math.prod(weights["weight"]) * math.prod(map(int, places[one.op.name]))
    else:
        assert one.macs == 0


def test_one_and_three_axes() -> None:
    assert layer("CONV 4 k=5 /2", "6 x 9").op.describe() == "k=5 /2"
    assert layer("MAXPOOL k=3", "6 x 9").op.describe() == "k=3 /3"
    assert layer("CONV 4 3x1x5 /1x2x1", "6 x 9 x 12 x 5").op.describe() == "3x1x5 /1x2x1"
    assert layer("DECONV 4", "6 x 2 x 3 x 4").type.shape == (4, 4, 6, 8)
    assert layer("crop(CONV 4, POOL 2x2x2, offset=1x0x1)", "6 x 4 x 6 x 8").op.describe() == "offset 1x0x1"


def test_ops_that_take_no_attributes_are_equal() -> None:
    assert layer("RELU").op == layer("RELU").op != layer("RELU6").op


def test_what_stands_in_a_default_belongs_to_one_op() -> None:
    """No spelling and no flag means two things."""
    spellings = [spelling for op in OPS for spelling in op.spellings]
    flags = [op.flag for op in OPS if op.flag]
    assert len(set(spellings)) == len(spellings) and all(s == s.upper() for s in spellings)
    assert len(set(flags)) == len(flags) and all(f == f.lower() for f in flags)
    assert all(op.slot for op in OPS if op.flag)


# --- sequences -------------------------------------------------------------------------------------------------------


def recurrent(gates: int, sizes: list[int], n: int, ends: tuple[str, ...] = ("",), bias: bool = True) -> dict[str, Any]:
    """The weights of layers of n units: W_ih and W_hh of each, stacked by gates, as PyTorch names them."""
    found: dict[str, Any] = {}
    for i, (size, end) in enumerate(product(sizes, ends)):
        where = f"_l{i // len(ends)}{end}"
        found |= {f"weight_ih{where}": (gates * n, size), f"weight_hh{where}": (gates * n, n)}
        found |= {f"bias_ih{where}": (gates * n,), f"bias_hh{where}": (gates * n,)} if bias else {}
    return found


BOTH = ("", "_reverse")
ATTENTION = {"in_proj_weight": (24, 8), "in_proj_bias": (24,), "out_proj.weight": (8, 8), "out_proj.bias": (8,)}


@pytest.mark.parametrize(
    ("line", "start", "shape", "weights", "macs", "words"),
    [
        ("RNN 5", "8 x 12", (5, 12), recurrent(1, [8], 5), 12 * 5 * (8 + 5), ""),
        ("RNN 5 relu nobias", "8 x 12", (5, 12), recurrent(1, [8], 5, bias=False), 12 * 5 * (8 + 5), ""),
        ("GRU 5 last", "8 x 12", (5,), recurrent(3, [8], 5), 12 * 3 * 5 * (8 + 5), "last"),
        ("LSTM 5 layers=2", "8 x 12", (5, 12), recurrent(4, [8, 5], 5), 12 * 4 * 5 * (8 + 5 + 5 + 5), "x2"),
        (
            "LSTM 5 layers=2 bidirectional last dropout=0.5", "8 x 12", (10,), recurrent(4, [8, 10], 5, BOTH),
            12 * 2 * 4 * 5 * (8 + 5 + 10 + 5), "x2 bidirectional last",
        ),
        ("ATTENTION 4", "8 x 12", (8, 12), ATTENTION, 12 * 4 * 8 * 8 + 2 * 8 * 12 * 12, "4 heads"),
        (
            "ATTENTION 2 causal nobias", "8 x 12", (8, 12), {"in_proj_weight": (24, 8), "out_proj.weight": (8, 8)},
            12 * 4 * 8 * 8 + 2 * 8 * 12 * 12, "2 heads causal",
        ),
        ("EMBED 100 16", "12", (16, 12), {"weight": (100, 16)}, 0, "of 100"),
        ("TOKENS", "8 x 12", (8, 13), {"weight": (8, 1)}, 0, "+1"),
        ("TOKENS 3", "8 x 12", (8, 15), {"weight": (8, 3)}, 0, "+3"),
        ("POSITIONS", "8 x 12", (8, 12), {"weight": (8, 12)}, 0, ""),
        ("POSITIONS", "8 x 3 x 4", (8, 3, 4), {"weight": (8, 3, 4)}, 0, ""),
        ("POSITIONS sinusoidal", "8 x 12", (8, 12), {}, 0, ""),
    ],
)  # fmt: skip
def test_what_a_layer_on_sequences_is(
    line: str, start: str, shape: tuple[int, ...], weights: dict[str, Any], macs: int, words: str
) -> None:
    one = layer(line, start)
    assert one.type.shape == shape
    assert {w.name: w.shape for w in one.op.weights(one.input_types)} == weights
    assert one.macs == macs
    assert one.op.describe() == words


@pytest.mark.parametrize(
    ("line", "start", "code", "words", "help"),
    [
        ("RNN 5", "8", "E0307", "RNN needs a sequence C x W, its input is 8", "`RESHAPE 1 x 8` makes a sequence"),
        ("LSTM 5", "8 x 2 x 3", "E0307", "LSTM needs a sequence C x W, its input is 8 x 2 x 3", "every position"),
        ("GRU 5", "8 x 2 x 3", "E0307", "GRU needs", "or `TRANSPOSE 0x2x1 -> RESHAPE 24 x 2`: every row becomes a step"),
        ("GRU 5", "1 x 2 x 3", "E0307", "GRU needs", "or `RESHAPE 2 x 3 -> TRANSPOSE`: every row becomes a step"),
        ("ATTENTION 4", "8", "E0307", "ATTENTION needs a sequence", "`RESHAPE 1 x 8`"),
        ("TOKENS", "8", "E0307", "TOKENS needs a sequence", "`RESHAPE 1 x 8`"),
        ("POSITIONS", "8", "E0307", "POSITIONS needs axes beside the channels", "`RESHAPE 1 x 8`"),
        ("POSITIONS sinusoidal", "8", "E0307", "POSITIONS sinusoidal needs a sequence", "`RESHAPE 1 x 8`"),
        ("POSITIONS", "8 x W", "E0308", "POSITIONS needs known sizes, its input is 8 x W", "`POSITIONS sinusoidal` fits"),
        ("POSITIONS", "8 x H x 2", "E0308", "POSITIONS needs known sizes", "give the input concrete sizes"),
        ("EMBED 9 4", "8 x 12", "E0307", "EMBED takes a vector of whole numbers, its input is 8 x 12", "`input 12`"),
        ("ATTENTION 3", "8 x 12", "E0306", "8 channels do not make 3 heads", "8 is divisible by 2 and 4"),
        ("ATTENTION 2 dropout=1", "8 x 12", "E0202", "dropout of ATTENTION must be at least 0 and less than 1", "a tenth"),
        ("RNN 5 layers=2 dropout=2", "8 x 12", "E0202", "dropout of RNN must be at least 0 and less than 1, not 2", "`dropout=0.1`"),
        ("RNN 5 dropout=0.5", "8 x 12", "E0202", "dropout of RNN is between layers, and there is one", "`RNN 5 -> DROPOUT 0.5`"),
        ("RNN 5", "C x 12", "E0308", "RNN needs a known number of channels", ""),
        ("ATTENTION 2", "C x 12", "E0308", "ATTENTION needs a known number of channels", ""),
        ("TOKENS", "C x 12", "E0308", "TOKENS needs a known number of channels", ""),
        ("POSITIONS sinusoidal", "C x 12", "E0308", "POSITIONS needs a known number of channels", ""),
    ],
)  # fmt: skip
def test_what_a_sequence_needs(line: str, start: str, code: str, words: str, help: str) -> None:
    found, message, _, helps = fault(line, start)
    assert found == code and words in message, message
    assert help in " ".join(helps), helps


def test_rows_become_steps() -> None:
    """What is offered for an image is accepted, and each step is a row."""
    assert layer("TRANSPOSE 0x2x1 -> RESHAPE 24 x 2", "8 x 2 x 3").type.shape == (24, 2)
    assert layer("RESHAPE 2 x 3 -> TRANSPOSE -> RNN 5", "1 x 2 x 3").type.shape == (5, 2)
    assert layer("FLATTEN spatial -> RNN 5", "8 x 2 x 3").type.shape == (5, 6)


# --- windows ---------------------------------------------------------------------------------------------------------

WINDOWS = [
    (size, reach, pads, stride)
    for size, reach, pads, stride in product(range(1, 12), range(1, 6), [(0, 0), (1, 1), (0, 1), (2, 2)], range(1, 5))
    if size + sum(pads) >= reach
]


def places(size: int, reach: int, pads: tuple[int, int], stride: int, ceil: bool) -> list[int]:
    """Where windows start, from the first padded row on; with `ceil` a partial one, too, before the padding behind."""
    before, after = pads
    rows = size + before + after
    whole = [i for i in range(0, rows, stride) if i + reach <= rows]
    if ceil and whole[-1] + reach < rows and whole[-1] + stride < size + before:
        return [*whole, whole[-1] + stride]
    return whole


@pytest.mark.parametrize("rounding", ["floor", "ceil"])
def test_windows_are_counted(rounding: str) -> None:
    for size, reach, pads, stride in WINDOWS:
        if rounding == "ceil" and max(pads) > reach / 2:
            continue  # pools alone round up, and their padding is at most half the window
        found = len(places(size, reach, pads, stride, rounding == "ceil"))
        assert count(size, reach, pads, stride, rounding) == found, (size, reach, pads, stride)
        assert windows(size, reach, pads, stride, 1, rounding, "H", Prover()) == found


def test_a_window_divides_its_input_if_no_row_is_left() -> None:
    for size, reach, pad, stride in product(range(1, 12), range(1, 6), range(3), range(1, 5)):
        fits = size + 2 * pad >= reach
        rest = fits and places(size, reach, (pad, pad), stride, False)[-1] + reach < size + 2 * pad
        assert divides(size, reach, pad, stride) == (fits and not rest)


def test_same_padding_gives_the_input_divided_by_the_stride() -> None:
    for kernel, dilation, size, stride in product(range(1, 7), range(1, 4), range(1, 12), range(1, 4)):
        ((before, after),) = same_padding((kernel,), (dilation,))
        assert 0 <= after - before <= 1
        reach = dilation * (kernel - 1) + 1
        assert windows(size, kernel, (before, after), stride, dilation, "same", "W", Prover()) == -(-size // stride)
        assert count(size, reach, (before, after), stride, "same") == -(-size // stride)


@pytest.mark.parametrize("rounding", ["exact", "floor", "ceil"])
def test_the_arithmetic_that_is_shown_is_right(rounding: str) -> None:
    """What stands right of the equals sign is what stands left of it, and with a rounding it is the count."""
    for size, reach, pads, stride in WINDOWS:
        if rounding == "ceil" and max(pads) > reach / 2:
            continue
        shown = arithmetic(size, reach, pads, stride, rounding)
        left, right = shown.split(" = ")
        padding = f"2*{pads[0]}" if pads[0] == pads[1] else f"{pads[0]} + {pads[1]}"
        name, quotient = left.partition("(")[0], f"({size} - {reach} + {padding})/{stride}"
        assert left == (f"{name}({quotient}) + 1" if name else f"{quotient} + 1")
        assert round(eval(left, {"floor": math.floor, "ceil": math.ceil}), 3) == float(right), shown
        if rounding != "exact":
            assert int(right) == count(size, reach, pads, stride, rounding), shown
            assert bool(name) == (not divides(size + sum(pads), reach, 0, stride))
        else:
            assert name == ""


def test_the_arithmetic_of_an_open_size_has_no_value() -> None:
    assert arithmetic(H, 3, (1, 1), 2) == "(H - 3 + 2*1)/2 + 1"
    assert arithmetic(floor_div(H, 2) - 1, 3, (0, 1), 1) == "((floor(H/2) - 1) - 3 + 0 + 1)/1 + 1"


def said(size: int, kernel: int, pads: tuple[int, int], stride: int, dilation: int = 1, whole: str = "") -> ShapeFault:
    with pytest.raises(ShapeFault) as caught:
        windows(size, kernel, pads, stride, dilation, "exact", "H", Prover(), whole)
    return caught.value


@pytest.mark.parametrize("whole", ["", "GAP"])
def test_the_repairs_of_a_remainder_are_the_nearest_that_work(whole: str) -> None:
    for size, reach, pads, stride in WINDOWS:
        if pads[0] != pads[1] or divides(size, reach, pads[0], stride):
            continue
        pad = pads[0]
        told = said(size, reach, pads, stride, whole=whole)
        assert told.code == "E0303" and told.label == f"H is {size}"
        assert told.message.endswith(f"H = {size}, kernel {reach}, stride {stride}")
        assert told.notes == (f"H = {arithmetic(size, reach, pads, stride)}",)
        good = [n for n in range(1, size + stride) if divides(n, reach, pad, stride)]
        larger, smaller = min(n for n in [*good, size + stride] if n > size and divides(n, reach, pad, stride)), [
            n for n in good if n < size
        ]  # fmt: skip
        near = f"an input of H = {larger}" + (f" or {max(smaller)}" if smaller and max(smaller) > 0 else "")
        assert told.helps[0].startswith(near), (told.helps, near)
        pads_that_work = [p for p in range(reach // 2 + 1 if whole else reach) if divides(size, reach, p, stride)]
        offered = [int(n) for n in re.findall(r"`pad (\d+)` divides evenly", " ".join(told.helps))]
        assert bool(offered) == bool(pads_that_work)
        for p in offered:
            assert p in pads_that_work and abs(p - pad) == min(abs(q - pad) for q in pads_that_work)
        assert told.helps[-1].endswith("or `same`") == (pad == 0)


def test_the_repairs_of_a_window_that_does_not_fit_are_the_least_that_work() -> None:
    for size, kernel, pad, dilation in product(range(1, 5), range(1, 9), range(2), range(1, 3)):
        reach = dilation * (kernel - 1) + 1
        if size + 2 * pad >= reach:
            continue
        told = said(size, kernel, (pad, pad), 1, dilation)
        assert told.code == "E0304"
        assert told.message == f"a window of {reach} does not fit an input of H = {size}" + (
            f" with padding 2*{pad}" if pad else ""
        )
        assert told.notes[0] == f"H = {arithmetic(size, reach, (pad, pad), 1)}"
        (help,) = told.helps
        (offered,) = map(int, re.findall(r"`pad (\d+)` makes it fit", help))
        assert size + 2 * offered >= reach > size + 2 * (offered - 1)
        if dilation > 1:
            assert told.notes[1] == f"a kernel of {kernel} with dilation {dilation} reaches over {reach}"
            assert help.endswith("a smaller dilation")
        else:
            assert len(told.notes) == 1
            assert help.endswith(f"a kernel of at most {size}")


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2), st.integers(4, 9), st.integers(1, 9), st.booleans())
def test_an_asserted_size_that_is_not_there_is_worked(
    kernel: int, stride: int, pad: int, size: int, goal: int, relu: bool
) -> None:
    assume(size + 2 * pad >= kernel)
    line = f"CONV 4 k={kernel} /{stride} pad {{}} floor{' relu -> BN' if relu else ''} : 4 x {goal}"
    out = (size + 2 * pad - kernel) // stride + 1
    start = f"3 x {size}"
    if out == goal:
        assert layer(line.format(pad), start).type.shape == (4, goal)
        return
    code, message, notes, helps = fault(line.format(pad), start)
    assert (code, message) == ("E0305", f"the shape is 4 x {out}, not 4 x {goal}")
    assert notes == (f"W = {arithmetic(size, kernel, (pad, pad), stride, 'floor')}",)
    assert helps == (f"if the shape is right, write `: 4 x {out}`",)


@pytest.mark.parametrize(
    ("line", "start", "notes"),
    [
        ("CONV 4 5x5 /2 valid : 4 x 5 x 5", "4 x 9 x 9", ["H = W = (9 - 5 + 2*0)/2 + 1 = 3"]),
        ("CONV 4 5x5 valid : 4 x 9 x 8", "4 x 9 x 8", ["H = (9 - 5 + 2*0)/1 + 1 = 5", "W = (8 - 5 + 2*0)/1 + 1 = 4"]),
        ("CONV 4 5x5 valid : 4 x 9 x 9", "4 x 9 x 8", ["H = (9 - 5 + 2*0)/1 + 1 = 5", "W = (8 - 5 + 2*0)/1 + 1 = 4"]),
        ("CONV 4 5x5 same : 4 x 9 x 5", "4 x 9 x 9", ["W = (9 - 5 + 2*2)/1 + 1 = 9"]),
        # the last window that changed the size, else the last of all
        ("CONV 4 3x3 valid -> CONV 4 1x1 -> RELU : 4 x 9 x 9", "4 x 9 x 9", ["H = W = (9 - 3 + 2*0)/1 + 1 = 7"]),
        ("CONV 4 -> CONV 4 1x1 : 4 x 8 x 8", "4 x 9 x 9", ["H = W = (9 - 1 + 2*0)/1 + 1 = 9"]),
        ("CONV 4 3x3 valid -> UPSAMPLE -> RELU : 4 x 9 x 9", "4 x 9 x 9", []),
        ("RELU : 4 x 8 x 8", "4 x 9 x 9", []),
        ("(CONV 4 valid + CONV 4 valid) : 4 x 9 x 9", "4 x 9 x 9", []),
        ("GAP : 4 x 9 x 9", "4 x 9 x 9", []),
        # channels alone
        ("CONV 4 3x3 : 5 x 9 x 9", "4 x 9 x 9", []),
    ],
)  # fmt: skip
def test_which_window_is_told_of(line: str, start: str, notes: list[str]) -> None:
    code, _, found, _ = fault(line, start)
    assert code == "E0305"
    assert [note for note in found if " = " in note] == notes


def test_a_pool_that_does_not_fit_may_take_everything() -> None:
    told = said(3, 5, (0, 0), 1, whole="GAP")
    assert told.helps == ("`GAP` pools over whatever size there is", "use a kernel of at most 3")
    with pytest.raises(ShapeFault) as caught:
        windows(3, 5, (0, 0), 1, 1, "exact", "H", Prover())
    assert caught.value.helps == ("`pad 1` makes it fit, or use a kernel of at most 3",), "a convolution may not"
    told = said(3, 3, (0, 0), 1, dilation=2, whole="GMP")
    assert told.helps == ("`GMP` pools over whatever size there is", "use a smaller dilation")


def test_the_padding_of_a_pool_is_at_most_half_its_window() -> None:
    for kernel, pad in product(range(1, 7), range(5)):
        line = f"MAXPOOL k={kernel} /1 pad {pad}"
        if 2 * pad <= kernel:
            assert layer(line, "2 x 30").type.shape == (2, 30 + 2 * pad - kernel + 1)
        else:
            code, message, _, helps = fault(line, "2 x 30")
            assert (code, helps) == ("E0304", (f"`pad {kernel // 2}` is the most",))
            assert message == f"a padding of {pad} is more than half the window of {kernel}"


def test_a_transposed_convolution_leaves_something() -> None:
    for size, kernel, stride, pad in product(range(1, 4), range(1, 4), range(1, 4), range(4)):
        out = (size - 1) * stride - 2 * pad + kernel
        line, start = f"DECONV 2 k={kernel} /{stride} pad {pad}", f"3 x {size}"
        if out >= 1:
            assert layer(line, start).type.shape == (2, out)
        else:
            code, message, notes, _ = fault(line, start)
            assert (code, message) == ("E0304", "nothing is left of W: the padding takes off more than there is")
            assert notes == (f"W = ({size} - 1)*{stride} - 2*{pad} + {kernel} = {out}",)


# --- channels and axes -----------------------------------------------------------------------------------------------


def test_groups_divide_both_and_the_nearest_that_do_are_offered() -> None:
    for channels, out, groups in product((1, 4, 6, 12), (1, 4, 9, 12), range(1, 14)):
        good = [g for g in range(1, 13) if channels % g == 0 and out % g == 0]
        if groups in good:
            check_groups(channels, out, groups)
            continue
        with pytest.raises(ShapeFault) as caught:
            check_groups(channels, out, groups)
        told = caught.value
        side, number = ("input", channels) if channels % groups else ("output", out)
        assert told.code == "E0306"
        assert told.message == f"{groups} groups do not divide {number} {side} channels"
        assert told.label == f"{channels} in, {out} out, {groups} groups"
        (note,) = told.notes
        left, right = note.split(" = ")
        assert left == f"{number}/{groups}" and float(right) == round(number / groups, 3)
        (help,) = told.helps
        assert help.startswith(f"groups that divide both {channels} and {out}: ")
        offered = [int(n) for n in help.rpartition(": ")[2].split(", ")]
        assert offered == sorted(offered) and set(offered) <= set(good) and len(offered) == min(2, len(good))
        worst = max(abs(g - groups) for g in offered)
        assert all(abs(g - groups) >= worst for g in good if g not in offered)


def test_for_many_channels_one_group_is_offered() -> None:
    with pytest.raises(ShapeFault) as caught:
        check_groups(100_000, 100_000, 3)
    assert caught.value.helps == ("groups that divide both 100000 and 100000: 1",)
    with pytest.raises(ShapeFault) as caught:
        check_groups(99_999, 99_999, 2)
    assert caught.value.helps == ("groups that divide both 99999 and 99999: 1, 3",)


def test_a_number_for_each_axis() -> None:
    assert per_axis(3, 2, "kernel") == (3, 3)
    assert per_axis((1, 7), 2, "kernel") == (1, 7)
    for value, rank, message, helps in [
        ((5, 7), 1, "kernel 5x7 has 2 axes, the input has 1", ("write one number for each of H and W: `5`",)),
        ((5,), 2, "kernel 5 has 1 axis, the input has 2", ("write one number for each of H and W: `5x5`",)),
        ((5, 7), 0, "kernel 5x7 has 2 axes, the input has 0", ()),
    ]:
        with pytest.raises(ShapeFault) as caught:
            per_axis(value, rank, "kernel")
        assert caught.value.code == "E0307"
        assert (caught.value.message, caught.value.helps) == (message, helps)
        assert caught.value.label == message.partition(" has ")[0]


def test_space_is_one_to_three_axes() -> None:
    for rank in range(1, 7):
        x = TensorType(tuple(range(2, 2 + rank)))
        if 2 <= rank <= 4:
            need_spatial("CONV", x)
            continue
        with pytest.raises(ShapeFault) as caught:
            need_spatial("CONV", x)
        told = caught.value
        assert told.code == "E0307" and told.label == f"input is {x}"
        assert told.message == f"CONV needs channels and one to three spatial axes, its input is {x}"
        assert bool(told.helps) == (rank == 1)


def test_axes_by_name() -> None:
    x = TensorType((3, 4, 5))
    assert [axis_index(axis, x) for axis in x.axes] == [0, 1, 2]
    with pytest.raises(ShapeFault) as caught:
        axis_index("D", x)
    assert caught.value.code == "E0307"
    assert caught.value.message == "there is no axis D in 3 x 4 x 5"
    assert caught.value.helps == ("its axes are C, H, W",)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("BN eps=0", "E0202"),
        ("BN eps=-1", "E0202"),
        ("BN eps=1e-9", ""),
        ("BN momentum=0", ""),
        ("BN momentum=1", ""),
        ("BN momentum=1.1", "E0202"),
        ("BN momentum=-0.1", "E0202"),
        ("LRN k=0", "E0202"),
        ("LRN k=0.1 alpha=0 beta=0", ""),
        ("LRN alpha=-1", "E0202"),
        ("LRN beta=-1", "E0202"),
        ("DROPOUT 0", ""),
        ("DROPOUT 1", "E0202"),
        ("DROPOUT (0-1)", "E0202"),
        ("DROPOUT 0.999", ""),
    ],
)
def test_the_ends_of_ranges(line: str, code: str) -> None:
    if code:
        assert fault(line)[0] == code
    else:
        layer(line)


def test_a_local_response_norm_has_neighbours_in_space() -> None:
    layer("LRN", "3 x 4")
    code, message, _, _ = fault("LRN", "3")
    assert (code, message) == ("E0307", "LRN needs channels and spatial axes, its input is 3")


@pytest.mark.parametrize(
    ("line", "start", "code", "words"),
    [
        # who speaks, and of what
        ("GAP", "6", "E0307", "GAP needs channels and one to three spatial axes, its input is 6"),
        ("GMP", "6", "E0307", "GMP needs"),
        ("MAXPOOL", "6", "E0307", "MAXPOOL needs"),
        ("AVGPOOL", "6", "E0307", "AVGPOOL needs"),
        ("CONV 4", "6", "E0307", "CONV needs"),
        ("DECONV 4", "6", "E0307", "DECONV needs"),
        ("UPSAMPLE", "6", "E0307", "UPSAMPLE needs"),
        ("CROP 4", "6", "E0307", "CROP needs"),
        ("PAD 1", "6", "E0307", "PAD needs"),
        ("FLATTEN spatial", "6", "E0307", "FLATTEN spatial needs"),
        ("CHANNEL_SHUFFLE 2", "6", "E0307", "CHANNEL_SHUFFLE needs"),
        ("CONV 4 pad 1x2x3", "6 x 9 x 12", "E0307", "pad 1x2x3 has 3 axes, the input has 2"),
        ("CONV 4 3x3x3", "6 x 9 x 12", "E0307", "kernel 3x3x3 has 3 axes"),
        ("CONV 4 /2x2x2", "6 x 9 x 12", "E0307", "stride 2x2x2 has 3 axes"),
        ("MAXPOOL 3x3x3", "6 x 9 x 12", "E0307", "kernel 3x3x3 has 3 axes"),
        ("MAXPOOL /2x2x2", "6 x 9 x 12", "E0307", "stride 2x2x2 has 3 axes"),
        ("CROP 4x4x4", "6 x 9 x 12", "E0307", "size 4x4x4 has 3 axes"),
        ("CROP 4 offset 1x1x1", "6 x 9 x 12", "E0307", "offset 1x1x1 has 3 axes"),
        ("PAD 1x1x1", "6 x 9 x 12", "E0307", "size 1x1x1 has 3 axes"),
        ("PAD before=1x1x1", "6 x 9 x 12", "E0307", "before 1x1x1 has 3 axes"),
        ("crop(CONV 4, POOL 3x3, offset=1x1x1)", "6 x 9 x 12", "E0307", "offset 1x1x1 has 3 axes"),
        ("CONV 4", "C x 9 x 12", "E0308", "CONV needs a known number of channels, its input has C"),
        ("DECONV 4", "C x 9 x 12", "E0308", "DECONV needs a known number of channels"),
        ("BN", "C x 9 x 12", "E0308", "BN needs a known number of channels"),
        ("LAYER_SCALE", "C x 9 x 12", "E0308", "LAYER_SCALE needs a known number of channels"),
        ("FC 4", "3 x H x 2", "E0308", "FC needs a known number of inputs, but 6*H depends on the size of the input"),
        # depthwise, transposed
        ("CONV 10 depthwise", "6 x 9 x 12", "E0306", "a depthwise CONV makes equally many channels of each of 6, so 10"),
        ("DECONV 4 4x4 /1 same", "6 x 9 x 12", "E0304", "an even window with stride 1 has no middle"),
        ("DECONV 4 out_pad 2", "6 x 9 x 12", "E0304", "an out_pad of 2 is not less than the stride of 2"),
        (
            "DECONV 4 dilation 3 out_pad 3", "6 x 9 x 12", "E0304",
            "an out_pad of 3 is not less than the stride of 2 or the dilation of 3",
        ),
        # cuts
        ("CROP 4x13", "6 x 9 x 12", "E0304", "CROP to W = 13 is more than there is: W = 12"),
        ("CROP 4 offset 6x0", "6 x 9 x 12", "E0304", "CROP to H = 4 from 6 on is more than there is: H = 9"),
        ("SLICE 2 7", "6 x 9 x 12", "E0304", "SLICE 2 7 goes beyond the end: C = 6"),
        ("SLICE 3 3", "6 x 9 x 12", "E0202", "SLICE from 3 up to 3 is empty"),
        ("SLICE 0 2 axis=D", "6 x 9 x 12", "E0307", "there is no axis D in 6 x 9 x 12"),
        ("PAD 9x1 reflect", "6 x 9 x 12", "E0304", "a mirror image of 9 rows is more than there is: H = 9"),
        ("PAD", "6 x 9 x 12", "E0203", "PAD needs how much"),
        ("PAD 1 channels=8", "6 x 9 x 12", "E0204", "`channels` of PAD stands alone"),
        ("CHANNEL_SHUFFLE 4", "6 x 9 x 12", "E0306", "6 channels do not make 4 groups"),
        ("RESHAPE 5 x 5", "6 x 9 x 12", "E0311", "RESHAPE keeps all values: 6 x 9 x 12 has 648, and 5 x 5 has 25"),
        ("RESHAPE 5 x ?", "6 x 9 x 12", "E0311", "6 x 9 x 12 has 648, and 5 x ? takes multiples of 5"),
        ("RESHAPE ? x ?", "6 x 9 x 12", "E0203", "one size of RESHAPE may be `?`"),
        ("TRANSPOSE", "6 x 9 x 12", "E0307", "TRANSPOSE swaps the two axes of C x W, and its input is 6 x 9 x 12"),
        ("TRANSPOSE 0x1x1", "6 x 9 x 12", "E0307", "0x1x1 is no order of 3 axes"),
        # joins
        ("join(CONV 4, CONV 4, drop=1)", "6 x 9 x 12", "E0202", "`drop` of join must be at least 0 and less than 1, not 1"),
        ("gate(CONV 4, CONV 4 -> FLATTEN spatial)", "6 x 9 x 12", "E0302", "a gate of 4 x 108 does not fit 4 x 9 x 12"),
        ("gate(CONV 4, CONV 2)", "6 x 9 x 12", "E0302", "C is 2, neither 4 nor 1"),
        ("gate(CONV 4, POOL 3x3)", "4 x 9 x 12", "E0302", "H is 3, neither 9 nor 1"),
        ("crop(CONV 4, GAP)", "6 x 9 x 12", "E0302", "crop inputs have different numbers of axes: 4 x 9 x 12 and 6"),
        ("crop(FC 4, FC 3)", "6 x 9 x 12", "E0307", "crop cuts height and width, and 4 has none"),
        ("crop(POOL 3x3, CONV 4)", "6 x 9 x 12", "E0304", "a crop to H = 9 is more than there is: H = 3"),
        ("crop(CONV 4, POOL 3x3, offset=7x0)", "6 x 9 x 12", "E0304", "a crop to H = 3 from 7 on is more than there is: H = 9"),
    ],
)  # fmt: skip
def test_who_speaks_and_of_what(line: str, start: str, code: str, words: str) -> None:
    found, message, _, _ = fault(line, start)
    assert found == code and words in message, message


@pytest.mark.parametrize(
    ("line", "helps"),
    [
        ("CONV 10 depthwise", "write a multiple of 6, or no number for 6"),
        ("DECONV 4 out_pad 2", "`out_pad 1` is the most"),
        ("DECONV 4 dilation 3 out_pad 3", "`out_pad 2` is the most"),
        ("DECONV 4 /1 out_pad 1", "leave `out_pad` out"),
        ("CROP 4x13", "at most 12 fit"),
        ("CROP 4 offset 6x0", "at most 3 fit from 6 on"),
        ("SLICE 2 7", "`SLICE 2 C` goes to the end"),
        ("SLICE 2 70 axis=W", "`SLICE 2 W axis=W` goes to the end"),
        ("SLICE 3 3", "the second number is the index after the last: `SLICE 3 4` keeps one"),
        ("PAD 9x1 reflect", "`reflect` can add 8 at most"),
        ("CHANNEL_SHUFFLE 4", "6 is divisible by 3 and 6"),
        ("RESHAPE 5 x ?", "648 is divisible by 4 and 6"),
        ("RESHAPE 6 x 100", "`RESHAPE 6 x 108`"),
        ("RESHAPE 5 x 5", "the product of the sizes must be 648, as in `6 x 108`"),
        ("RESHAPE 2 x 6 x 9", "`RESHAPE 12 x 6 x 9` or `RESHAPE 2 x 36 x 9` or `RESHAPE 2 x 6 x 54`"),
        ("TRANSPOSE", "say the order of the axes: `TRANSPOSE 1x0x2`"),
        ("TRANSPOSE 0x1x1", "the axes are numbered from 0: C is 0, H is 1, W is 2"),
        ("gate(CONV 4, CONV 4 -> FLATTEN spatial)", "a gate is C, or has 3 axes"),
    ],
)
def test_what_is_offered(line: str, helps: str) -> None:
    """And what is offered in place of the whole line is accepted."""
    assert helps in fault(line)[3]
    for way in re.findall(r"`([A-Z]+ [^`]+)`", helps):
        layer(way)


# --- gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", ["GAP -> FC 6", "CONV 6", "CONV 1", "CONV 6 9x12 valid", "CONV 1 9x1 valid"])
def test_a_gate_keeps_the_shape(gate: str) -> None:
    """One factor for each value, each channel, each place, each column, or for all."""
    assert layer(f"gate({gate})").type.shape == (6, 9, 12)


# --- joins -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["{} + {}", "mean({}, {})"])
def test_summands_are_alike_in_every_axis(join: str) -> None:
    assert layer(join.format("CONV 4", "CONV 4")).type.shape == (4, 9, 12)
    for other, words in [
        ("CONV 5", "channels"),
        ("CONV 4 /3", "height and width"),
        ("CONV 5 /3", "channels, height and width"),
        ("CONV 4 /1x2", "width"),
        ("CONV 4 /3x1", "height"),
    ]:
        code, message, _, _ = fault(join.format("CONV 4", other))
        assert code == "E0302" and message.endswith(f"inputs differ in {words}"), message
    code, message, _, _ = fault(join.format("CONV 4", "GAP"))
    assert code == "E0302" and message.endswith("different numbers of axes: 4 x 9 x 12 and 6")


def test_a_concatenation_adds_channels() -> None:
    assert layer("CONV 4 | CONV 5 | POOL 3x3 /1 same").type.shape == (15, 9, 12)
    assert layer("GAP | GMP").type.shape == (12,)
    for other, words in [("CONV 4 /3", "height and width"), ("CONV 4 /1x2", "width"), ("CONV 4 /3x1", "height")]:
        code, message, _, _ = fault(f"CONV 4 | {other}")
        assert (code, message) == ("E0301", f"concat inputs differ in {words}")
    code, message, _, _ = fault("CONV 4 | GAP")
    assert (code, message) == ("E0301", "concat inputs have different numbers of axes: 4 x 9 x 12 and 6")


@pytest.mark.parametrize("join", ["{} + {}", "{} | {}"])
def test_a_fault_between_branches_of_three_axes_names_the_depth(join: str) -> None:
    _, message, _, _ = fault(join.format("CONV 4 1x1x1", "CONV 4 1x1x1 /2x1x1"), "6 x 4 x 9 x 12")
    assert message.endswith("inputs differ in depth")


SECOND = "H = W = (28 - 5 + 2*0)/1 + 1 = 24"
FIRST = f"`CONV 4 k=5` has {SECOND}"
MATCH = "`match` as the shortcut projects where shapes differ: `f + match`"


@pytest.mark.parametrize(
    ("line", "notes", "helps"),
    [
        ("identity + CONV 4 k=5", (SECOND,), ()),
        ("CONV 4 k=5 + identity", (FIRST,), ()),
        ("CONV 4 k=5 + RELU", (FIRST,), ()),
        ("CONV 4 k=5 | CONV 4 3x3 same", (FIRST,), ()),
        ("CONV 4 3x3 same | CONV 4 k=5", (SECOND,), ()),
        ("mean(CONV 4 k=5, RELU, TANH)", (FIRST,), ()),
        ("CONV 4 1x1 /2 floor + RELU", ("`CONV 4 1x1 /2 floor` has H = W = floor((28 - 1 + 2*0)/2) + 1 = 14",), (MATCH,)),
        ("RELU + CONV 4 1x1 /2 floor", ("H = W = floor((28 - 1 + 2*0)/2) + 1 = 14",), (MATCH,)),
        ("RELU + GAP", (), ()),
        ("CONV 5 1x1 + identity", (), (MATCH,)),
    ],
)  # fmt: skip
def test_the_branch_that_changed_is_worked(line: str, notes: tuple[str, ...], helps: tuple[str, ...]) -> None:
    """Whichever comes first; what stands before the branches is none of them."""
    _, _, said, told = fault(f"default CONV valid\nCONV 4 3x3\n{line}", "3 x 30 x 30")
    assert (said, tuple(h for h in told if line[:4] == "CONV" or h != MATCH or MATCH in helps)) == (notes, helps)


# --- open sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "start", "reasons"),
    [
        ("CROP 4", "6 x H x 9", {"H": "CROP to H = 4 needs H of at least 4"}),
        ("CROP 4x5 offset 1x2", "6 x 9 x W", {"W": "CROP to W = 5 from 2 on needs W of at least 7"}),
        ("PAD 3x2 reflect", "6 x H x W", {"H": "a mirror image of 3 rows needs H of at least 4",
                                          "W": "a mirror image of 2 rows needs W of at least 3"}),
        ("SLICE 1 4 axis=H", "6 x H x 9", {"H": "SLICE 1 4 needs H of at least 4"}),
        ("SLICE 3 W axis=W", "6 x 9 x W", {"W": "SLICE 3 W needs W of at least 4"}),
        ("CHANNEL_SHUFFLE 2", "c x 8 x 8", {"c": "CHANNEL_SHUFFLE 2 needs channels divisible by 2"}),
        ("RESHAPE 6 x ? x 27", "6 x H x 9", {"H": "RESHAPE of 6 x H x 9 to 6 x ? x 27"}),
        ("POOL 3x3 /3", "6 x H x 9", {"H": "(W - k + 2p) must be divisible by 3: H = (H - 3 + 2*0)/3 + 1"}),
        ("CONV 4 5x5 valid", "6 x H x 9", {"H": "a window of 5 must fit H"}),
        ("crop(identity, CROP 3)", "6 x H x 9", {"H": "CROP to H = 3 needs H of at least 3"}),
        ("CONV 6 /1x2 + match", "6 x H x W", {"W": "the shortcut would be an identity where W = W is ceil(W/2)"}),
        ("CONV 6 /2x1 + match", "6 x H x W", {"H": "the shortcut would be an identity where H = H is ceil(H/2)"}),
        ("CONV 7 /2 + match", "6 x H x W", {}),
        ("POOL 2x2 /2 floor -> UPSAMPLE + identity", "6 x H x 8",
         {"H": "`POOL 2x2 /2 floor -> UPSAMPLE` is 2*floor(H/2), `identity` is H"}),
    ],
)  # fmt: skip
def test_why_an_open_size_is_limited(line: str, start: str, reasons: dict[str, str]) -> None:
    net = netdsl.loads(f"net t\ninput {start}\n{line}\n")
    found = {c.symbol: c.reason for c in net._checked.elaborated.prove.constraints}
    assert found == reasons


@pytest.mark.parametrize(
    "line",
    [
        *("CONV 4", "CONV depthwise", "DECONV 4", "BN", "GN 2", "LN", "IN affine", "PRELU", "LAYER_SCALE 0.1"),
        *("GRU 4", "LSTM 4", "RNN 4 relu", "ATTENTION 2"),
    ],
)
def test_weights_need_known_channels(line: str) -> None:
    name = line.split()[0]
    start = "c x 8" if name in ("GRU", "LSTM", "RNN", "ATTENTION") else "c x 8 x 8"
    code, message, _, helps = fault(line, start)
    assert (code, message) == ("E0308", f"{name} needs a known number of channels, its input has c")
    assert helps == ("give the channels of the input as a number, and leave only H and W open",)


@pytest.mark.parametrize(
    ("line", "start", "divides"),
    [
        ("CONV 8 3x3 /4 pad 2", "6 x 1 x 1", ("an input of H = 3 divides evenly", "`pad 1` divides evenly", "")),
        ("CONV 8 3x3 /4 valid", "6 x 6 x 7", ("an input of H = 7 or 3 divides evenly", ", or `same`")),
        ("CONV 8 3x3 /3 pad 1", "6 x 8 x 8", ("an input of H = 10 or 7 divides evenly", "`pad 2` divides evenly", "")),
    ],
)
def test_what_would_divide_evenly(line: str, start: str, divides: tuple[str, ...]) -> None:
    """Sizes that there are, and the other ways out."""
    code, _, _, helps = fault(line, start)
    *first, last = divides
    ways = "write `floor` to drop the last rows, or `ceil` (pools) to keep a partial window"
    assert (code, helps) == ("E0303", (*first, ways + last))


def test_words_are_switches() -> None:
    """Each says one thing of the layer, and without it the other holds."""
    assert layer("PRELU").op == type(layer("PRELU").op)(0.25, False)
    assert layer("PRELU 0.1 shared").op == type(layer("PRELU").op)(0.1, True)
    assert layer("RESHAPE 648").type.shape == (648,)
    assert layer("RNN 4 relu", "3 x 8").op != layer("RNN 4", "3 x 8").op
    assert (layer("IN affine").op.describe(), layer("IN").op.describe()) == ("affine", "")


# --- types -----------------------------------------------------------------------------------------------------------


def test_a_type_prints_as_it_is_written() -> None:
    """A size with several terms stands in parentheses, so that the text can be asserted."""
    assert str(TensorType((64, 7, 7))) == "64 x 7 x 7"
    assert str(TensorType((64, H, floor_div(H, 2)))) == "64 x H x floor(H/2)"
    assert str(TensorType((2, H + 1, floor_div(H + 1, 4) - 1))) == "2 x (H + 1) x (floor((H + 1)/4) - 1)"
    assert str(Unknown()) == "?"


def test_a_plain_type_forgets_how_its_sizes_were_computed() -> None:
    traced = TensorType((Traced(64, symbol("c")), H, 7))
    assert [type(size) for size in traced.plain().shape] == [int, type(H), int]
    assert traced.plain() == traced


# --- attributes in tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("CONV 8", "3x3"),
        ("CONV 8 1x1 init=he bias_init=0.5", "1x1 init=he bias_init=0.5"),
        ("UPSAMPLE 2", "x2"),
        ("UPSAMPLE 2 bilinear align_corners", "x2 bilinear align_corners"),
        ("AVGPOOL 3x3 /1 same exclude_pad", "3x3 /1 exclude_pad"),
        ("PRELU", ""),
        ("PRELU 0.5", "initial=0.5"),
        ("PRELU shared 0.1", "shared initial=0.1"),
        ("LEAKY_RELU 0.2", "slope=0.2"),
        ("BN eps=1e-3 momentum=0.01", "eps=0.001 momentum=0.01"),
        ("IN affine eps=1e-3", "affine eps=0.001"),
        ("LRN n=3 k=1", "n=3 k=1"),
        ("DROPOUT", "p=0.5"),
        ("PAD 1 reflect", "1 reflect"),
        ("FLATTEN spatial -> RNN 8 relu nobias", "nobias relu"),
        ("FLATTEN spatial -> LSTM 8 layers=2 bidirectional dropout=0.1 last", "x2 bidirectional last dropout=0.1"),
        ("FLATTEN spatial -> ATTENTION 2 causal nobias dropout=0.1", "2 heads causal dropout=0.1 nobias"),
    ],
)
def test_tables_show_what_is_not_as_by_default(line: str, said: str) -> None:
    op = netdsl.loads(f"input 8 x 16 x 16\n{line}\n").graph.nodes[-1].op
    assert isinstance(op, Op)
    assert op.details() == said
