"""Does FractalNet's join drop paths as its paper says?  Laws over many draws (Larsson et al. 2016, section 3.1)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netdsl

# Every value of column k is 10^(k-1), so the mean tells which columns were kept.
NET = """net columns
input 1 x 2 x 2
block f(n) = if n == 1 then CONV 1 1x1 else join(CONV 1 1x1, f(n-1) -> f(n-1), drop={drop})
f(3)
"""


def network(drop: float = 0.15) -> nn.Module:
    return netdsl.loads(NET.format(drop=drop), name="columns.net").compile().train()


def joins(module: nn.Module) -> list[Any]:
    return [part for part in module.modules() if type(part).__name__ == "FractalJoin"]


def kept(join: Any) -> list[bool]:
    """Which inputs a join took this time."""
    columns = [torch.tensor([10.0**k]) for k in range(join.columns)]
    mean = join(*columns).item()
    for code in range(1, 2**join.columns):
        chosen = [c.item() for k, c in enumerate(columns) if code >> k & 1]
        if mean == pytest.approx(sum(chosen) / len(chosen)):
            return [bool(code >> k & 1) for k in range(join.columns)]
    raise AssertionError(f"{mean} is the mean of no columns")


def test_a_join_of_joins_is_one_join() -> None:
    assert sorted(join.columns for join in joins(network())) == [2, 3]
    net = netdsl.loads(
        "net j\ninput 1 x 2 x 2\njoin(CONV 1, join(CONV 1, RELU -> join(CONV 1, CONV 1)))\n", name="j.net"
    )
    assert [join.columns for join in joins(net.compile())] == [4]


ENDS = {
    "a block that ends in a block": ("block j(c) = join(CONV c, CONV c)\nblock k(c) = CONV c -> j(c)", "k(1)", [3]),
    "a repeat": ("block j(c) = join(CONV c, CONV c)", "j(1) * 3", [2, 2, 3]),
    "a repeat of a path": ("", "join(identity, CONV 1) * 2", [2, 3]),
    "a for": ("", "for i in 1..2 do join(identity, CONV i -> CONV 1)", [2, 3]),
    "an assertion": ("block j(c) = join(CONV c, CONV c)", "(CONV 1 -> j(1) : 1 x 2 x 2)", [3]),
    "a name for a path": ("block j(c) = join(CONV c, CONV c)\nlet f = CONV 1 -> j(1)", "f", [3]),
    "a condition": ("", "if C == 1 then join(CONV 1, RELU) * 2 else CONV 1", [2, 3]),
    "something else": ("", "join(CONV 1, CONV 1) -> RELU", [2, 2]),
}


@pytest.mark.parametrize(("before", "branch", "sizes"), ENDS.values(), ids=ENDS)
def test_a_join_at_the_end_of_a_branch_merges_however_it_is_written(before: str, branch: str, sizes: list[int]) -> None:
    """`f * 2` is `f -> f`, and a block is what it says: neither hides that the branch ends in a join."""
    text = f"net j\ninput 1 x 2 x 2\n{before}\njoin({branch}, CONV 1)\n"
    assert sorted(join.columns for join in joins(netdsl.loads(text, name="j.net").compile())) == sizes


def test_fractals_by_a_repeat_are_fractals() -> None:
    """FractalNet's rule with `f * 2` for `f -> f`: the same joins, and as many weights."""
    doubled = NET.replace("f(n-1) -> f(n-1)", "f(n-1) * 2").format(drop=0.15)
    module, other = network(), netdsl.loads(doubled, name="columns.net").compile()
    assert sorted(join.columns for join in joins(other)) == sorted(join.columns for join in joins(module))
    assert sum(p.numel() for p in other.parameters()) == sum(p.numel() for p in module.parameters())


def test_a_branch_does_not_lose_the_path_before_a_label() -> None:
    with pytest.raises(netdsl.SpecError, match="the path before it would be lost"):
        netdsl.loads("net j\ninput 1 x 2 x 2\na = CONV 1\njoin(CONV 1 -> a, CONV 1)\n", name="j.net")


def test_a_join_with_another_probability_stays() -> None:
    net = netdsl.loads("net j\ninput 1 x 2 x 2\njoin(CONV 1, join(CONV 1, CONV 1, drop=0.5), drop=0.1)\n", name="j.net")
    assert [(join.columns, join.drop) for join in joins(net.compile())] == [(2, 0.5), (2, 0.1)]


def test_a_join_that_is_used_elsewhere_stays() -> None:
    """A label is a tensor: what it names is not taken apart."""
    net = netdsl.loads("net j\ninput 1 x 2 x 2\na = join(CONV 1, CONV 1)\njoin(a, CONV 1) + a\n", name="j.net")
    assert [join.columns for join in joins(net.compile())] == [2, 2]


def test_locally_each_input_is_dropped_with_its_probability_but_never_all() -> None:
    torch.manual_seed(0)
    (join,) = (join for join in joins(network(drop=0.4)) if join.columns == 3)
    draws = [kept(join) for _ in range(3000)]
    assert all(map(any, draws))
    # One that would be alone with nothing is drawn in 0.4^3 of the cases, each equally often.
    expected = 0.6 + 0.4**3 / 3
    for column in zip(*draws, strict=True):
        assert sum(column) / len(draws) == pytest.approx(expected, abs=0.03)


def test_globally_one_column_of_the_whole_network_is_kept() -> None:
    torch.manual_seed(0)
    module = network()
    found = {tuple(join.columns for join in joins(module)): set[int]()}
    (seen,) = found.values()
    lone = 0
    for _ in range(600):
        module(torch.zeros(1, 1, 2, 2))
        columns = {int(join.column) for join in joins(module)}
        assert len(columns) == 1, "the joins of one network keep different columns"
        (column,) = columns
        seen.add(column)
        lone += column >= 0
        if column < 0:
            continue
        for join in joins(module):
            if column < join.columns:
                assert kept(join) == [k == join.columns - 1 - column for k in range(join.columns)]
    assert seen == {-1, 0, 1, 2}
    assert lone / 600 == pytest.approx(0.5, abs=0.08)


def test_the_mean_of_what_is_kept_is_taken() -> None:
    join = joins(network(drop=0.0))[0]
    x: list[Tensor] = [torch.randn(2, 1, 3, 3) for _ in range(join.columns)]
    torch.testing.assert_close(join(*x), torch.stack(x).mean(0))


def test_inference_drops_nothing() -> None:
    module = network(drop=0.9).eval()
    x = torch.randn(2, 1, 2, 2)
    assert torch.equal(module(x), module(x))
    convs = {name: part for name, part in module.named_modules() if isinstance(part, nn.Conv2d)}
    assert len(convs) == 7  # 2^n - 1
    first, *_ = convs.values()
    whole = network(drop=0.9)
    whole.load_state_dict(module.state_dict())
    torch.testing.assert_close(whole.eval()(x), module(x))
    assert not torch.allclose(module(x), first(x))


def test_a_block_alone_drops_locally() -> None:
    """Without the network around it nobody draws a column."""
    module = network()
    block = next(part for part in module.children())
    block(torch.zeros(1, 1, 2, 2))
    assert {int(join.column) for join in joins(block)} == {-1}


def test_training_is_one_graph() -> None:
    module = torch.compile(network(), fullgraph=True, backend="eager")
    assert module(torch.zeros(1, 1, 2, 2)).shape == (1, 1, 2, 2)
