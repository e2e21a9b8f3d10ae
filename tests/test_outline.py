"""The tree of rows: what tables, comparisons and drawings show of a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from strategies import Program, programs, share

import netdsl
from netdsl.graph import layers
from netdsl.ops import Op
from netdsl.outline import Outline, Row


def leaves(rows: tuple[Row, ...]) -> list[Row]:
    return [leaf for row in rows for leaf in (leaves(row.children) if row.children else [row])]


def rows(text: str) -> tuple[Row, ...]:
    return Outline(netdsl.loads(f"net t\ninput 3 x 32 x 32\n{text}\n")).rows


def test_rows_are_what_the_author_wrote() -> None:
    (a, b) = rows("a = CONV 8\nb = residual(basic(8))*3")
    assert (a.path, a.label, a.what, a.count, a.level, str(a.type)) == ("a", "a", "conv 3x3", 1, 0, "8 x 32 x 32")
    assert (b.path, b.what, [str(type) for type in b.input_types]) == ("b", "residual(basic(8))*3", ["8 x 32 x 32"])
    (run,) = b.children
    assert (run.path, run.label, run.count, run.times, run.level) == ("b.0", "0…2", 3, 1, 1)
    assert (run.params, run.macs) == (b.params, b.macs)
    inner = run.children[0]
    assert (inner.path, inner.times, inner.level) == ("b.0.conv1", 3, 2)
    assert inner.origin[-1].text == "residual(basic(8))*3"


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "fractalnet", "vit_b_16", "unet", "densenet121", "vgg16"])
def test_rows_add_up_and_know_their_layer(name: str) -> None:
    net = netdsl.load(name)
    outline = Outline(net)
    found = leaves(outline.rows)
    assert sum(row.params * row.times for row in found) == sum(row.params for row in outline.rows) == net.params
    assert sum(row.macs * row.times for row in found if not row.training) == net.macs
    known = {layer.name: layer for layer in layers(net.graph, training=True)}
    for row in found:
        layer = known[row.path]
        assert (row.node.op, row.type.plain(), row.origin) == (layer.op, layer.type, layer.origin)
        assert isinstance(row.node.op, Op)


@share(50)
@given(programs())
def test_rows_of_drawn_networks_add_up(program: Program) -> None:
    net = netdsl.loads(program.text)
    found = list(Outline(net).walk())
    assert sum(row.params for row in found if row.level == 0) == net.params
    assert sum(row.params * row.times for row in found if not row.children) == net.params
    for row in found:
        assert row.what and row.label and row.path and (not row.receptive or row.receptive[0].rows)


def test_a_field_inside_a_block_is_seen_from_the_image() -> None:
    (_, c) = rows("CONV 8 /2\nb = (CONV 8 -> RELU)*3")
    (run,) = c.children
    assert [row.receptive[0].size for row in (c, run, run.children[0])] == [3 + 3 * 4] * 3
    (run, _) = rows("((CONV 8 -> CONV 8)*2 -> CONV 8)*2\nRELU")
    sizes = [(row.path, row.receptive[0].size) for row in Outline(run.scope.outline.net).walk()]
    assert sizes[-1][1] == 21


def test_what_repeats_is_not_unrolled() -> None:
    (row,) = rows("(CONV 3)*1000000")
    assert row.children[0].label == "0…999999"
    assert row.receptive[0].size == 2_000_001
