"""Is a receptive field what a place really sees?  Rows of NaN are put in, and looked for in the output."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import pytest
from hypothesis import assume, given
from strategies import Program, programs, share

import netdsl
from netdsl import Net
from netdsl.analysis.receptive import Moving, Reach, receptive_field, receptive_fields
from netdsl.graph import bodies
from netdsl.ops import OPS, Op


def field(text: str, start: str = "1 x 64 x 64") -> tuple[Reach, ...]:
    """What the output of some lines sees."""
    return receptive_fields(netdsl.loads(f"net t\ninput {start}\n{text}\n"))[-1]


def sizes(reaches: tuple[Reach, ...]) -> list[Any]:
    return [reach.size for reach in reaches]


def of_node(name: str, node: str) -> Reach:
    """The field along H of an element of a shipped network."""
    net = netdsl.load(name)
    at = [node.name for node in net.graph.nodes].index(node)
    return receptive_fields(net)[len(net.graph.inputs) + at][0]


# --- published numbers ------------------------------------------------------------------------------------------------


def test_three_windows_of_three_see_as_far_as_one_of_seven() -> None:
    """Simonyan & Zisserman 2014, §2.3."""
    assert sizes(field("(CONV 1)*3")) == sizes(field("CONV 1 7x7")) == [7, 7]


@pytest.mark.parametrize(
    ("name", "node", "size", "jump"),
    [("vgg16", "features", 212, 32), ("alexnet", "conv5_pool", 195, 32), ("vgg16", "fc1", 404, None)],
)
def test_fields_of_the_lectures(name: str, node: str, size: int, jump: int | None) -> None:
    reach = of_node(name, node)
    assert (reach.size, reach.jump) == (size, jump)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vgg16", 212),
        ("alexnet", 195),
        ("resnet50_v1", 483),
        ("resnet101", 971),
        ("inception_v3", 1311),
        ("lenet5", 16),
    ],
)
def test_fields_of_networks(name: str, size: int) -> None:
    """Araujo et al. 2019, "Computing receptive fields of convolutional neural networks", table 1, has 483 for
    ResNet-50 with the stride where He et al. have it, and 1311 for Inception-v3."""
    assert sizes(receptive_field(netdsl.load(name))) == [size, size]


# --- rules ------------------------------------------------------------------------------------------------------------


def test_windows_compose() -> None:
    (reach, _) = field("CONV 4 7x7 /2 -> MAXPOOL 3x3 /2 same -> CONV 4 3x3 dilation 2")
    assert (reach.size, reach.jump, reach.offset) == (7 + 2 * 2 + 4 * 4, 4, -3 - 2 - 8)
    assert reach.span(0) == (0, reach.offset + reach.size - 1)
    assert reach.span(8) == (32 + reach.offset, 32 + reach.offset + reach.size - 1)


def test_a_larger_map_moves_by_fractions_of_a_row() -> None:
    (reach, _) = field("UPSAMPLE 3")
    assert (reach.size, reach.jump) == (1, Fraction(1, 3))
    assert [reach.span(i) for i in range(4)] == [(0, 0), (0, 0), (0, 0), (1, 1)]
    (reach, _) = field("DECONV 1 4x4 /2 pad 1")
    assert (reach.size, reach.jump) == (2, Fraction(1, 2))
    assert [reach.span(i) for i in range(4)] == [(0, 0), (0, 1), (0, 1), (1, 2)]
    (reach, _) = field("POOL -> UPSAMPLE bilinear")
    assert (reach.size, reach.jump, reach.span(1)) == (4, 1, (0, 3))


def test_branches_see_the_union() -> None:
    (h, w) = field("CONV 4 1x7 | CONV 4 5x1")
    assert (h.size, w.size) == (5, 7)


@pytest.mark.parametrize("line", ["GAP", "FC 3", "IN", "gate(GAP -> FC 1)", "FLATTEN spatial -> ATTENTION 1"])
def test_everything_is_seen_from_everywhere(line: str) -> None:
    for reach in field(line):
        assert reach.whole
        assert (reach.size, reach.jump, reach.span(5)) == (64, None, (0, 63))


def test_what_is_cut_off_is_not_seen() -> None:
    (reach, _) = field("CROP 10 -> GAP")
    assert not reach.whole
    assert (reach.size, reach.span(0)) == (10, (27, 36))


def test_a_patch_is_seen_until_attention() -> None:
    net = netdsl.loads("net t\ninput 3 x 32 x 32\nCONV 8 4x4 /4\nFLATTEN spatial\nTOKENS\nCONV 8 k=1\nATTENTION 2\n")
    found = receptive_fields(net)
    assert [sizes(reaches) for reaches in found[1:]] == [[4, 4]] * 4 + [[32, 32]]
    assert [reach.jump for reach in found[2]] == [None, None]


def test_what_depends_on_the_place_is_not_guessed() -> None:
    unclear = field("FLATTEN spatial -> CONV 2 k=3")
    assert [(reach.size, reach.jump, reach.whole, reach.span(0)) for reach in unclear] == [
        (None, None, False, None)
    ] * 2
    assert sizes(field("concat(CONV 1, CONV 1 5x5, axis=H)")) == [None, 5]


def test_several_inputs_are_told_apart() -> None:
    net = netdsl.loads(
        "net t\ninput a = 1 x 8 x 8\ninput b = 1 x 8 x 8\nleft = a -> CONV 2\nright = b -> CONV 2 5x5\nleft + right\n"
    )
    found = receptive_fields(net)[-1]
    assert [(reach.input, reach.axis, reach.size) for reach in found] == [
        ("a", "H", 3), ("a", "W", 3), ("b", "H", 5), ("b", "W", 5),
    ]  # fmt: skip


def test_open_sizes() -> None:
    assert sizes(receptive_field(netdsl.load("unet_padded"))) == [204, 204]
    (reach, _) = field("CONV 4 -> GAP", "3 x H x W")
    assert reach.whole
    assert str(reach.size) == "H + 2"


def test_a_long_repeat_is_not_unrolled() -> None:
    (reach, _) = field("(CONV 1)*1000000")
    assert (reach.size, reach.offset) == (2_000_001, -1_000_000)
    (reach, _) = field("((CONV 1 | CONV 1 5x5) -> CONV 1)*5000")
    assert reach.size == 1 + 5000 * 6


def test_every_op_says_what_it_sees() -> None:
    assert [op.name for op in OPS if op.sees is Op.sees] == []


# --- against PyTorch --------------------------------------------------------------------------------------------------

UNLIKE = {"embedding", "upsample", "resize_to", "slice", "pad_channels"}
"""Of words, none is NaN; PyTorch multiplies what lies beside a row by zero; of channels nothing is said."""
CUTS = {"crop", "crop_to", "pad", "slice", "conv_transpose"}
"""A field that reaches over what was cut off is larger than what is seen."""


def compare(net: Net, exact: bool) -> None:
    """Each row of an input in turn is NaN, in a batch; that row is seen where the middle of the output is NaN."""
    import torch

    module = net.compile().double().eval()
    fields = receptive_fields(net)
    outputs = [out for out in net.graph.outputs if not out.training]
    for name, shape in net.inputs.items():
        for axis in range(min(1, len(shape) - 1), len(shape)):
            rows = int(shape[axis])  # type: ignore[arg-type]
            batch = {other: torch.rand(rows, *map(int, size), dtype=torch.double) for other, size in net.inputs.items()}  # type: ignore[arg-type]
            for row in range(rows):
                batch[name][row].select(axis, row).fill_(torch.nan)
            with torch.no_grad():
                results = module(*batch.values())
            for out, result in zip(outputs, results if isinstance(results, tuple) else (results,)):
                reaches = [r for r in fields[out.value] if (r.input, r.axis) == (name, axis_name(shape, axis))]
                check(result, rows, reaches[0] if reaches else None, exact)


def axis_name(shape: Any, axis: int) -> str:
    return netdsl.types.TensorType(shape).axes[axis]


def check(result: Any, rows: int, reach: Reach | None, exact: bool) -> None:
    """The place in the middle: all its channels count."""
    middle = tuple(size // 2 for size in result.shape[2:])
    at = result[(slice(None), slice(None), *middle)] if middle else result
    seen = at.isnan().reshape(rows, -1).any(1).nonzero().flatten().tolist()
    if reach is None:
        assert seen == []
        return
    moves = isinstance(reach.seen, Moving)
    if moves and reach.along == 0:
        return
    span = reach.span(middle[reach.along - 1] if moves else 0)
    if span is None or not seen:
        return
    first, last = span
    assert first <= seen[0] and seen[-1] <= last, (reach, middle, seen)
    inside = moves and reach.seen.window.first(middle[reach.along - 1]) >= 0 and last < rows - 1
    if exact and inside:
        assert (seen[0], seen[-1]) == (first, last), (reach, middle, seen)


@share(60)
@given(programs())
def test_drawn_networks_see_what_is_said(program: Program) -> None:
    net = netdsl.loads(program.text)
    ops = {node.op.name for body in bodies(net.graph) for node in body.nodes}
    assume(not ops & UNLIKE and sum(prod(shape) for shape in program.inputs) < 4000)
    compare(net, exact=not ops & CUTS)


@pytest.mark.parametrize(
    ("name", "input"), [("lenet5", "1x32x32"), ("resnet20", "3x32x32"), ("mobilenet_v2", "3x32x32")]
)
def test_shipped_networks_see_what_is_said(name: str, input: str) -> None:
    compare(netdsl.load(name, input=input), exact=True)


@pytest.mark.parametrize(
    "lines",
    [
        """CONV 2 4x4 /4
           FLATTEN spatial
           POSITIONS
           (identity + (LN -> ATTENTION 2))*2
           SLICE 0 1 axis=W""",
        """down = CONV 2 5x5
           POOL -> CONV 2 -> DECONV 2 2x2 | down
           CONV 2""",
    ],
)
def test_patches_and_skips_see_what_is_said(lines: str) -> None:
    compare(netdsl.loads(f"net t\ninput 1 x 32 x 32\n{lines}\n"), exact=True)
