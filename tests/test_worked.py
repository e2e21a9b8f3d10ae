"""Is the arithmetic that `netdsl explain` shows right?  Every equation is computed as it stands, for every op and spec."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from strategies import Program, programs, symbolic_programs

import netdsl
from netdsl import SpecError, UsageError
from netdsl.domain import Domain
from netdsl.explain.element import explain_line
from netdsl.explain.text import explanation_text
from netdsl.graph import Graph, Node, bodies
from netdsl.ops import OPS, Op
from netdsl.ops.worked import Worked, equation, product
from netdsl.size import evaluate, symbol
from netdsl.types import TensorType

ROOT = Path(__file__).resolve().parent.parent


def computed(text: str, sizes: dict[str, int]) -> list[Fraction]:
    """The value of each side of an equation; names of axes on the left are left out."""
    sides = [side.replace(",", "") for side in text.split(" = ")]
    known: dict[str, Any] = {"floor": math.floor, "ceil": math.ceil, "min": min, "__builtins__": {}}
    known |= {name: Fraction(size) for name, size in sizes.items()}
    while len(sides) > 1 and re.fullmatch("[CDHW]", sides[0]):
        del sides[0]  # what stands there is computed
    return [
        Fraction(eval(re.sub(r"\b(\d+)\b", r"Fraction(\1)", side), {**known, "Fraction": Fraction})) for side in sides
    ]


def holds(worked: Worked, op: Op, inputs: tuple[TensorType, ...], output: TensorType, sizes: dict[str, int]) -> None:
    """Both sides of every equation are equal, and are what the op itself says."""
    for text in worked.shape:
        axes = re.match(r"((?:[CDHW] = )+)", text)
        assert axes is not None, text
        for axis in axes[1].split(" = ")[:-1]:
            real = evaluate(output.shape[output.axes.index(axis)], sizes)
            assert set(computed(text, sizes)) == {real}, (op, text)
    params, macs = op.params(inputs), evaluate(op.macs(inputs, output), sizes)
    assert set(computed(worked.params, sizes) if worked.params else [0]) == {params}, (op, worked.params)
    assert set(computed(worked.macs, sizes) if worked.macs else [0]) == {macs}, (op, worked.macs)
    for note in worked.notes:
        cut = re.findall(r"the cut starts at (.*)", note)
        for part in cut or ([] if sizes else re.findall(r"(?:floor\(+)?\d[\d*/+() -]* = [\d,]+", note)):
            assert len(set(computed(part, sizes))) == 1, note


def nodes(graph: Graph[TensorType]) -> Iterator[tuple[Op, tuple[TensorType, ...], TensorType]]:
    for body in bodies(graph):
        for node in body.nodes:
            if isinstance(node.op, Op):
                yield node.op, types(body, node), node.type.plain()


def types(body: Graph[TensorType], node: Node[TensorType]) -> tuple[TensorType, ...]:
    return tuple(body.type_of(v).plain() for v in node.inputs)


def check(text: str, sizes: dict[str, int]) -> set[type[Op]]:
    """Every element of a network, as written and with other sizes put in; the ops that were seen."""
    found = set()
    for op, inputs, output in set(nodes(netdsl.loads(text).graph)):
        holds(op.worked(inputs, output), op, inputs, output, sizes)
        found.add(type(op))
    return found


PIECES = {
    "6 x 9 x 12": [
        "CONV 4", "CONV 4 nobias", "CONV 4 5x1 /3", "CONV 4 dilation 2 groups 2", "CONV 4 3x3 /2 valid floor",
        "CONV 12 depthwise nobias", "CONV 4 pad_before 1", "CONV 4 4x4 /3 same",
        "DECONV 4", "DECONV 4 3x3 /2 pad 1 out_pad 1x0 nobias", "DECONV 4 3x3 groups=2 dilation=2", "DECONV depthwise",
        "MAXPOOL 3x3", "MAXPOOL 2x2 /2 ceil", "POOL 3x3 /2 ceil pad 1", "AVGPOOL 3x3 /2 same", "MAXPOOL 2x2 /5 ceil",
        "GAP", "GMP", "ADAPTIVE_AVGPOOL 4x5", "ADAPTIVE_MAXPOOL 2",
        "FC 10", "FC 10 nobias", "FLATTEN", "FLATTEN spatial", "RESHAPE 12 x 54", "RESHAPE 4 x ? x 9",
        "TRANSPOSE 2x0x1", "SLICE 1 4", "SLICE 3 W axis=W", "CROP 4x5", "CROP 4 offset 1", "PAD 1x2", "PAD after=1",
        "PAD channels=3", "CHANNEL_SHUFFLE 3", "BN", "LN", "GN 3", "IN affine", "IN", "LRN", "PRELU", "PRELU shared",
        "LAYER_SCALE", "SCALE 0.5", "DROPOUT", "SPATIAL_DROPOUT", "STOCHASTIC_DEPTH 0.1", "DROP_PATH 0.1",
        "UPSAMPLE 3", "UPSAMPLE 2x1 bilinear", "POSITIONS", "identity + CONV 6", "mean(CONV 4, CONV 4)",
        "product(CONV 4, CONV 4)", "join(CONV 4, CONV 4)", "gate(GAP -> FC 6 -> SIGMOID)", "CONV 4 | CONV 7 | identity",
        "concat(CONV 6, MAXPOOL 3x1, axis=H)", "crop(POOL 3x3)", "crop(CONV 4, POOL 3x3, offset=2)", "resize(POOL 3x3)",
        *["RELU", "RELU6", "LEAKY_RELU", "ELU", "GELU", "SILU", "HARD_SWISH", "MISH", "SIGMOID", "HARD_SIGMOID"],
        *["TANH", "SOFTPLUS", "SOFTMAX"],
    ],
    "16 x 32": [
        "RNN 8", "GRU 8 layers=3", "LSTM 8 bidirectional layers=2 nobias", "LSTM 5 bidirectional last", "ATTENTION 4",
        "ATTENTION 4 nobias", "TOKENS 2", "POSITIONS", "POSITIONS sinusoidal", "CONV 4 k=5", "DECONV 4 k=2",
    ],
    "32": ["EMBED 1000 64", "FC 4"],
    "2 x 4 x 9 x 12": ["CONV 4 2x3x3", "POOL 2x3x3"],
    "3 x H x W": [
        "CONV 4 7x7 /2 same", "CONV 4 3x3 /2 valid floor", "CONV 4 3x3 /3 valid", "POOL 3x3 /2 ceil", "POOL", "POOL 2x2 /5 ceil",
        "POOL 2x2 /5 ceil pad 1", "UPSAMPLE", "DECONV 4", "FLATTEN spatial -> ATTENTION 1", "CROP 4", "crop(POOL 3x3 floor)",
        "POOL floor -> CONV 8 -> POOL floor -> (DECONV 4 3x3 | DECONV 5 3x3)", "CONV 4 valid -> SLICE 2 H axis=H", "PAD 2 -> POOL",
        "FLATTEN spatial -> RNN 4", "FLATTEN spatial -> TOKENS", "RESHAPE 1 x ?",
    ],
}  # fmt: skip


@pytest.mark.parametrize("start", PIECES)
def test_every_equation_holds(start: str) -> None:
    for line in PIECES[start]:
        check(f"net t\ninput {start}\n{line}\n", {"H": 60, "W": 90})


def test_every_op_is_among_them() -> None:
    lines = [f"net t\ninput {start}\n{line}\n" for start, some in PIECES.items() for line in some]
    seen = set[type[Op]]().union(*(check(text, {"H": 60, "W": 90}) for text in lines))
    assert set(OPS) - seen == set()


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.net")), ids=lambda path: path.stem)
def test_every_element_of_the_shipped_networks(path: Path) -> None:
    net = netdsl.load(path)
    sizes = dict.fromkeys(net.constraints, 32 * 15)
    for op, inputs, output in set(nodes(net.graph)):
        holds(op.worked(inputs, output), op, inputs, output, sizes)


def opened(program: Program) -> str:
    """The text for open heights and widths."""
    return program.with_inputs(*(" x ".join((str(shape[0]), *"DHW"[4 - len(shape) :])) for shape in program.inputs))


@settings(max_examples=40)
@given(programs().map(lambda program: program.text) | symbolic_programs().map(opened))
def test_every_element_of_drawn_networks(text: str) -> None:
    """Worked, and told line by line in 80 columns."""
    try:
        net = netdsl.loads(text)
    except SpecError:
        assume("x H x" not in text)  # not every network fits open sizes
        raise
    sizes = {name: admitted(domain) for name, domain in net.domains.items()}
    for op, inputs, output in set(nodes(net.graph)):
        holds(op.worked(inputs, output), op, inputs, output, sizes)
    for line in range(1, text.count("\n") + 1):
        try:
            found = explain_line(net, line)
        except UsageError:
            continue
        assert max(map(len, explanation_text(found).splitlines())) <= 80


def admitted(domain: Domain) -> int:
    """A size that fits, well above the smallest."""
    return next(n for n in range(domain.lower + 20, domain.lower + 21 + domain.modulus) if domain.admits(n))


def test_an_equation_that_does_not_hold_is_seen() -> None:
    conv, inputs, output = next(nodes(netdsl.loads("net t\ninput 3 x 8 x 8\nCONV 4\n").graph))
    good = conv.worked(inputs, output)
    for bad in (
        good.replace(shape=("H = W = (8 - 3 + 2*1)/1 + 1 = 7",)),
        good.replace(params="4*(3*3*3) = 112"),
        good.replace(macs="8*8*4*27 = 6,911"),
        good.replace(notes=("2 groups: 96/2 = 47 channels",)),
    ):
        with pytest.raises(AssertionError):
            holds(bad, conv, inputs, output, {})


def test_what_equations_look_like() -> None:
    assert equation("96*(11*11*3 + 1)", 34944) == "96*(11*11*3 + 1) = 34,944"
    assert equation("4096", 4096) == "4,096"
    assert product([symbol("H") + 1, 3, symbol("W")]) == "(H + 1)*3*W"


LECTURES = [  # CS231n 2017, lecture 9; the second row of each is what the slide says
    ("net a\ninput 3 x 227 x 227\nCONV 96 11x11 /4 valid", "H = W = (227 - 11 + 2*0)/4 + 1 = 55", "34,944"),
    ("net a\ninput 96 x 55 x 55\nPOOL 3x3 /2", "H = W = (55 - 3 + 2*0)/2 + 1 = 27", ""),
    ("net a\ninput 192 x 28 x 28\nCONV 32 5x5", "H = W = (28 - 5 + 2*2)/1 + 1 = 28", "153,632"),
]


@pytest.mark.parametrize(("text", "shape", "params"), LECTURES)
def test_the_lectures_arithmetic(text: str, shape: str, params: str) -> None:
    op, inputs, output = next(nodes(netdsl.loads(text).graph))
    worked = op.worked(inputs, output)
    assert worked.shape == (shape,)
    assert worked.params.endswith(params)


def test_the_inception_branch_of_the_lecture() -> None:
    """28x28x192, 32 filters of 5x5: 120 million multiplications."""
    op, inputs, output = next(nodes(netdsl.loads("net a\ninput 192 x 28 x 28\nCONV 32 5x5").graph))
    assert op.worked(inputs, output).macs == "(28*28*32)*(5*5*192) = 120,422,400"
