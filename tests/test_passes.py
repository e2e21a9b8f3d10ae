"""Does every pass keep meaning?  Graphs before and after it are computed in fp64, with whatever weights and statistics.

Law: for every network, device, batch and fuel, the optimised graph gives what the module gives. Beside it: what each
pass does to a small network, printed (`tests/golden/passes`), and how many kernels each shipped network needs.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden import GOLDEN, check_golden
from hypothesis import given, reject
from hypothesis import strategies as st
from strategies import Program, programs, share
from torch import Tensor, nn

import netdsl
from netdsl.devices import DEVICES
from netdsl.diagnostic import SpecError
from netdsl.files import shipped
from netdsl.graph import Graph, show_graph, verify
from netdsl.net import Net
from netdsl.passes import PIPELINE, Context, Work, inline, optimise, retype
from netdsl.passes.cost import VIEWS, Cost
from netdsl.passes.epilogue import epilogue
from netdsl.passes.fold_norm import fold_norm
from netdsl.passes.fused import FusedConv
from netdsl.passes.lower import lower
from netdsl.passes.rewrite import Pass
from netdsl.passes.show import show_formulas
from netdsl.types import TensorType
from netdsl_triton.reference import run_graph

CONTEXTS = (("h200", "bf16", 256), ("h200", "bf16", 1), ("cpu", "fp32", 8))
TABLE = GOLDEN / "passes" / "kernels.txt"


def flat(net: Net, size: int = 64) -> Graph[TensorType]:
    """The network without blocks; open sizes become `size`."""
    shapes = [tuple([n if isinstance(n, int) else size for n in shape]) for shape in net.inputs.values()]
    return retype(inline(net.graph), shapes)


def context_of(device: str = "h200", dtype: str = "bf16", batch: int = 256, fuel: int | None = None) -> Context:
    return Context(batch, dtype, DEVICES[device], fuel)


def scrambled(module: nn.Module, seed: int = 0) -> nn.Module:
    """In fp64, with weights and statistics as no network has them: γ negative, tiny or zero, means far from zero."""
    module = module.eval().double()
    random = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            tensor.uniform_(0.01, 2, generator=random)
        elif name.endswith("running_mean"):
            tensor.normal_(0, 3, generator=random)
        elif tensor.dim() == 1:
            tensor.normal_(0.2, 0.7, generator=random)
            tensor[::5] = 1e-6
            tensor[3::7] = 0
    return module


def inputs_of(graph: Graph[TensorType], batch: int = 2) -> list[Tensor]:
    """Random; of words, numbers of words."""
    words = {node.inputs[0] for node in graph.nodes if getattr(node.op, "name", "") == "embedding"}
    random = torch.Generator().manual_seed(1)
    shapes: list[Any] = [(batch, *input.type.shape) for input in graph.inputs]
    drawn = [torch.randn(*shape, dtype=torch.float64, generator=random) for shape in shapes]
    return [torch.randint(0, 2, x.shape, generator=random) if i in words else x for i, x in enumerate(drawn)]


def outputs_of(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    with torch.no_grad():
        result = module(*inputs)
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(found: list[Tensor], wanted: list[Tensor], said: str = "") -> None:
    assert len(found) == len(wanted)
    for x, y in zip(found, wanted):
        room = 1e-9 * max(1.0, float(y.abs().max()) if y.numel() else 0.0)
        torch.testing.assert_close(x, y, rtol=1e-7, atol=room, equal_nan=True, msg=lambda why: f"{why}\n{said}")


def assert_keeps_meaning(net: Net, size: int = 64, fuels: tuple[int | None, ...] = (None,), **where: Any) -> None:
    graph, module = flat(net, size), scrambled(net.compile())
    inputs = inputs_of(graph)
    wanted = outputs_of(module, inputs)
    for fuel in fuels:
        context = context_of(fuel=fuel, **where)
        found = optimise(graph, context)
        verify(found)
        assert_same(run_graph(found, module, inputs), wanted, f"{show_formulas(found)}{context.events[-1:]}")


# --- laws -------------------------------------------------------------------------------------------------------------

SMALL = """
    input 3 x 12 x 12
    default CONV bn relu
    stem = CONV 8 3x3 -> MAXPOOL 3x3 /2 same
    mix = CONV 8 1x1 | CONV 16 1x1 -> CONV 8 3x3 | CONV 8 1x1 -> CONV 4 3x3 | AVGPOOL 3x3 /1 same -> CONV 8 1x1
    pre = BN -> RELU -> (CONV 8 1x1 bn linear | CONV 8 1x1 nobias nonorm linear | identity)
    shrink = BN -> RELU -> CONV 8 1x1 nonorm linear -> AVGPOOL 2x2 /2
    gated = CONV 8 1x1 -> se(2) -> CONV 8 1x1 linear -> SCALE 0.5 -> SCALE 2 -> RELU -> RELU
    sum = residual(CONV 8 1x1 -> CONV 8 3x3 linear) -> BN -> CONV 8 1x1 valid linear
    output aux = sum -> GAP -> FC 3
    DROPOUT -> GAP -> FC 5
"""


@pytest.mark.parametrize("where", CONTEXTS, ids=lambda where: "-".join(map(str, where)))
def test_every_rewrite_of_a_network_keeps_meaning(where: tuple[str, str, int]) -> None:
    """With fuel 0, 1, 2 …: each graph that the passes come through, one rewrite after the other."""
    net, context = netdsl.loads(SMALL), context_of(*where)
    graph = flat(net)
    optimise(graph, context)
    rewrites = sum(event.done for event in context.events)
    assert rewrites > 30
    device, dtype, batch = where
    fuels = (*range(rewrites), None)
    assert_keeps_meaning(net, fuels=fuels, device=device, dtype=dtype, batch=batch)


TRAPS = {
    "zeros of the padding count": "input 16 x 9 x 9\nCONV 8 1x1 -> AVGPOOL 3x3 /2 same",
    "zeros of the padding do not count": "input 16 x 9 x 9\nCONV 8 1x1 -> AVGPOOL 3x3 /2 same exclude_pad",
    "a partial window": "input 16 x 8 x 8\nCONV 8 1x1 -> AVGPOOL 3x3 /2 ceil",
    "a pool and a bias after it": "input 16 x 8 x 8\nAVGPOOL 3x3 /1 same -> CONV 4 1x1 relu",
    "a ReLU between them": "input 16 x 8 x 8\nAVGPOOL 3x3 /1 same -> RELU -> CONV 4 1x1",
    "steps before a pool that goes second": "input 16 x 8 x 8\nBN -> RELU -> AVGPOOL 3x3 /1 same -> CONV 4 1x1",
    "a convolution with a stride": "input 16 x 8 x 8\nCONV 4 1x1 /2 -> AVGPOOL 2x2 /2",
    "another reader of the pool": "input 16 x 8 x 8\np = AVGPOOL 3x3 /1 same\nCONV 4 1x1\nidentity | p",
    "below zero, yet a ReLU follows": "input 4 x 6 x 6\nELU -> RELU",
    "a factor below zero": "input 4 x 6 x 6\nRELU -> SCALE (-1) -> RELU6 -> LRELU 0.2",
    "groups": "input 4 x 6 x 6\nMAXPOOL 2x2 /2 -> BN -> CONV 8 1x1 groups=2",
    "a shift and a padding": "input 4 x 6 x 6\nMAXPOOL 2x2 /2 -> BN -> CONV 8 3x3",
    "a factor and a padding": "input 4 x 6 x 6\nMAXPOOL 2x2 /2 -> SCALE 3 -> CONV 8 3x3",
    "a vector": "input 4 x 6 x 6\nGAP -> BN -> FC 5 -> BN -> RELU -> FC 3",
    "maxima, not means": "input 4 x 6 x 6\nGMP -> FC 5",
    "a pool as large as the map": "input 4 x 6 x 6\nAVGPOOL 6x6 /6 -> FC 5",
    "a pool that leaves a row": "input 4 x 6 x 6\nAVGPOOL 3x3 /3 -> FC 5",
    "a ReLU before the mean": "input 4 x 6 x 6\nCONV 8 1x1 relu -> GAP",
    "a mean of a strided convolution": "input 4 x 6 x 6\nCONV 8 1x1 /2 -> GAP",
    "means for two": "input 4 x 6 x 6\nGAP -> (FC 3 | FC 4)",
    "an operand that is normed": "input 4 x 6 x 6\na = CONV 4 3x3\nb = BN -> RELU\nc = a -> CONV 4 3x3\nb + c",
    "normed, and an output": "input 4 x 6 x 6\na = BN -> RELU\nb = CONV 4 3x3\noutput a, b",
    "folded, and an output": "input 4 x 6 x 6\na = BN\nb = CONV 4 1x1\noutput a, b",
    "folded, and an operand": "input 4 x 6 x 6\nBN -> (CONV C 1x1 + identity)",
    "a norm for two, one of them padded": "input 4 x 6 x 6\nBN -> (CONV 4 1x1 | CONV 4 3x3)",
    "windows that differ": "input 8 x 6 x 6\nCONV 8 3x3 pad=0 | CONV 8 1x1 pad=0 -> CROP 4 | CONV 8 3x3 -> CROP 4",
    "paddings that differ": "input 8 x 6 x 6\nCONV 8 3x3 pad=0 -> CONV 8 1x1 | CONV 8 3x3 pad=1 -> CROP 4",
    "siblings out of order": "input image = 8 x 6 x 6\na = image -> CONV 8 1x1\nb = image -> CONV 16 1x1\nb | a",
    "siblings apart": "input 8 x 6 x 6\nCONV 8 1x1 | MAXPOOL 3x3 /1 same | CONV 8 1x1 | CONV 8 1x1 relu",
    "a sibling without a bias": "input 8 x 6 x 6\nCONV 8 1x1 nobias relu -> POOL | CONV 8 1x1 relu -> POOL",
    "siblings and slopes": "input 8 x 6 x 6\nCONV 8 1x1 prelu -> POOL | CONV 8 1x1 -> PRELU shared -> POOL",
    "siblings, one an output": "input image = 8 x 6 x 6\na = image -> CONV 8 1x1\nb = image -> CONV 8 1x1\nc = a + b\noutput a, c",
    "parts in another order": "input 4 x 6 x 6\nSLICE 2 4 | SLICE 0 2",
    "parts of parts": "input 8 x 6 x 6\n(SLICE 2 8 -> SLICE 1 4) | (CONV 4 1x1 | CONV 4 3x3) -> SLICE 5 7",
    "one part twice": "input 4 x 6 x 6\na = CONV 4 1x1\na | a | (a | a)",
    "rows, not channels": "input image = 4 x 6 x 6\na = CONV 4 1x1\nconcat(a, concat(a, image, axis=H), axis=H) -> GAP",
    "a value added to itself": "input 4 x 6 x 6\na = CONV 4 1x1\na + a + a",
    "a product and a mean": "input 4 x 6 x 6\na = CONV 4 1x1\nproduct(CONV 4 1x1, CONV 4 3x3, a) -> SCALE 0.5",
    "more terms than an epilogue takes": "input 4 x 6 x 6\nmean(CONV 4, CONV 4, CONV 4 relu, MAXPOOL 3x3 /1 same, CONV 4)",
    "nothing but an input": "input 4 x 6 x 6\nDROPOUT -> SCALE 1",
    "the end of a gate": "input 4 x 6 x 6\nCONV 8 1x1 relu -> se(2) -> BN -> HARD_SWISH -> CONV 4 1x1",
    "a gate before a window": "input 4 x 6 x 6\nCONV 8 1x1 relu -> se(2) -> CONV 4 3x3",
}
"""Where a careless rewrite would give something else."""


@pytest.mark.parametrize("where", CONTEXTS, ids=lambda where: "-".join(map(str, where)))
@pytest.mark.parametrize("trap", TRAPS)
def test_traps(trap: str, where: tuple[str, str, int]) -> None:
    device, dtype, batch = where
    assert_keeps_meaning(netdsl.loads(TRAPS[trap]), fuels=(None, 1), device=device, dtype=dtype, batch=batch)


PIECES = (
    "CONV 8 1x1",
    "CONV 16 1x1 relu",
    "CONV 8 3x3 bn relu",
    "CONV 8 1x1 bn linear",
    "CONV 8 3x3 groups=4 nobias",
    "BN",
    "RELU",
    "BN -> RELU",
    "BN -> PRELU",
    "SCALE 0.5",
    "SCALE (-1)",
    "LAYER_SCALE 0.5",
    "RELU6 -> RELU",
    "SIGMOID",
    "DROPOUT",
    "AVGPOOL 3x3 /1 same",
    "AVGPOOL 3x3 /1 same exclude_pad",
    "MAXPOOL 3x3 /1 same",
    "AVGPOOL 2x2 /1",
    "SLICE 0 4",
    "(CONV 8 1x1 | CONV 16 1x1)",
    "(CONV 8 1x1 relu -> CONV 8 3x3 | CONV 8 1x1 relu -> CONV 4 3x3 | AVGPOOL 3x3 /1 same -> CONV 8 1x1 bn relu)",
    "(identity | BN -> RELU -> CONV 8 1x1 bn relu -> CONV 8 3x3)",
    "(identity | (identity | CONV 8 1x1))",
    "(SLICE 0 2 | SLICE 2 C)",
    "(identity + (BN -> RELU -> CONV C 1x1))",
    "(CONV 8 3x3 + CONV 8 1x1 + (AVGPOOL 3x3 /1 same -> CONV 8 1x1))",
    "mean(CONV 8 1x1, CONV 8 1x1 relu, CONV 8 3x3, identity -> CONV 8 1x1)",
    "residual(CONV C 3x3 bn relu -> CONV C 3x3 bn linear)",
    "se(2) -> CONV 8 1x1",
    "ADAPTIVE_AVGPOOL 3",
)
ENDS = ("", "GAP", "GAP -> FC 3", "AVGPOOL 2x2 /2 floor -> FC 3", "CONV 4 1x1 -> GAP", "GMP", "FC 4 -> RELU -> FC 2")


@st.composite
def pieced(draw: st.DrawFn) -> str:
    """Networks of pieces that passes look for, in whatever order they come."""
    pieces = draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
    end = draw(st.sampled_from(ENDS))
    text = "input 4 x 7 x 6\n" + " -> ".join([*pieces, *filter(None, [end])])
    try:
        netdsl.loads(text)
    except SpecError:  # its windows have come to the end of the map
        reject()
    return text


FUEL = st.none() | st.integers(0, 30)
WHERE = st.sampled_from(CONTEXTS)


@share(100)
@given(pieced(), FUEL, WHERE)
def test_networks_of_what_passes_look_for_keep_their_meaning(
    text: str, fuel: int | None, where: tuple[str, str, int]
) -> None:
    net = netdsl.loads(text)
    device, dtype, batch = where
    assert_keeps_meaning(net, fuels=(fuel,), device=device, dtype=dtype, batch=batch)


@share(60)
@given(pieced(), st.lists(st.tuples(st.sampled_from(tuple(dict.fromkeys(PIPELINE))), FUEL), max_size=8), WHERE)
def test_passes_keep_meaning_in_any_order(
    text: str, passes: list[tuple[Pass, int | None]], where: tuple[str, str, int]
) -> None:
    """Each is right by itself, whatever came before it and however far that got; it only may find less to do."""
    net = netdsl.loads(text)
    graph, module = flat(net), scrambled(net.compile())
    inputs = inputs_of(graph)
    work = Work(graph)
    for rewrite, fuel in ((PIPELINE[1], None), *passes):
        rewrite(work, context_of(*where, fuel=fuel))
        verify(work.to_graph())
    said = f"{[rewrite.__name__ for rewrite, _ in passes]}\n{show_formulas(work.to_graph())}"
    assert_same(run_graph(work.to_graph(), module, inputs), outputs_of(module, inputs), said)


def test_a_norm_is_not_folded_across_a_relu() -> None:
    """Nor where the ReLU is in the convolution's epilogue already."""
    net = netdsl.loads("input 4 x 6 x 6\nCONV 4 3x3 relu -> BN")
    graph, module = flat(net), scrambled(net.compile())
    work, context = Work(graph), context_of()
    lower(work, context)
    epilogue(work, context_of(fuel=1))
    fold_norm(work, context)
    assert [event.reason for event in context.events] == ["relu stands between it and conv1"]
    inputs = inputs_of(graph)
    assert_same(run_graph(work.to_graph(), module, inputs), outputs_of(module, inputs))


@share(60)
@given(programs(), FUEL, WHERE)
def test_drawn_networks_keep_their_meaning(program: Program, fuel: int | None, where: tuple[str, str, int]) -> None:
    device, dtype, batch = where
    assert_keeps_meaning(netdsl.loads(program.text), fuels=(fuel,), device=device, dtype=dtype, batch=batch)


@pytest.mark.parametrize("where", CONTEXTS[:1] + CONTEXTS[2:], ids=lambda where: where[0])
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("densenet_40_12", {}),
        ("preact_resnet164", {"n": 2}),
        ("resnet20", {}),
        ("fractalnet", {}),
        ("squeezenet1_1", {}),
        ("inception_bottleneck", {}),
        ("lenet5", {}),
        ("lstm_digits", {}),
        ("nin_cifar10", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_shipped_networks_keep_their_meaning(name: str, params: dict[str, int], where: tuple[str, str, int]) -> None:
    device, dtype, batch = where
    assert_keeps_meaning(netdsl.load(name, **params), size=32, device=device, dtype=dtype, batch=batch)


@pytest.mark.parametrize("name", shipped())
def test_shipped_networks_are_well_formed_after_every_pass(name: str) -> None:
    graph = flat(netdsl.load(name))
    for where in CONTEXTS[:: 2 if graph.nodes[1000:] else 1]:
        work, context = Work(graph), context_of(*where)
        before = graph
        for rewrite in PIPELINE:
            rewrite(work, context)
            verify(after := work.to_graph())
            assert [out.name for out in after.outputs] == [out.name for out in before.outputs if not out.training]
            before = after


# --- fuel, and what is said -------------------------------------------------------------------------------------------


def events_of(text: str, *where: Any, fuel: int | None = None) -> list[tuple[str, str, str, str]]:
    context = context_of(*where, fuel=fuel)
    optimise(flat(netdsl.loads(text)), context)
    return [(event.rule, event.element, event.into, event.reason) for event in context.events]


@pytest.mark.parametrize("fuel", [0, 1, 7, 30])
def test_fuel_is_counted_exactly(fuel: int) -> None:
    context = context_of(fuel=fuel)
    rewrites: list[bool] = []
    may = context.may
    context.may = lambda *said: rewrites.append(may(*said)) or rewrites[-1]  # type: ignore[method-assign,func-returns-value]
    optimise(flat(netdsl.loads(SMALL)), context)
    assert sum(rewrites) == fuel
    assert context.fuel == 0


def test_without_fuel_nothing_is_rewritten() -> None:
    graph = optimise(flat(netdsl.loads(SMALL)), context_of(fuel=0))
    assert not any(getattr(node.op, "prologue", ()) for node in graph.nodes)
    assert {len(node.op.epilogue) for node in graph.nodes if isinstance(node.op, FusedConv)} == {0}


def test_what_is_left_is_said_with_its_reason() -> None:
    text = "input 8 x 8 x 8\nRELU -> BN -> CONV 8 3x3 relu -> BN -> CONV 4 3x3"
    said = events_of(text)
    assert ("fold_forward", "relu1", "", "conv1 pads with zeros") in events_of(text, "cpu", "fp32", 8)
    assert ("epilogue", "bn2", "conv1", "affine in its epilogue") in said
    assert ("prologue", "relu1", "conv1", "relu, affine in the prologue of conv1") in said
    assert not [event for event in said if event[1] == "relu1" and not event[2]], "it was left at first, and then taken"


def test_a_device_without_prologues_gets_none() -> None:
    text = "input 8 x 8 x 8\nBN -> RELU -> CONV 8 3x3"
    reason = "convolutions of this device compute nothing on what they read"
    assert ("prologue", "bn1", "", reason) in events_of(text, "cpu", "fp32", 8)
    assert not [event for event in events_of(text) if not event[2]]


# --- what pays --------------------------------------------------------------------------------------------------------


def optimised(text: str, *where: Any) -> Graph[TensorType]:
    return optimise(flat(netdsl.loads(text)), context_of(*where))


def formulas(text: str, *where: Any) -> list[str]:
    return [line.partition("  : ")[0] for line in show_formulas(optimised(text, *where)).splitlines()[1:]]


def test_costs_are_compared_by_time_then_by_work() -> None:
    assert Cost(1.0, 5.0) < Cost(2.0, 1.0)
    assert Cost(1.0, 1.0) < Cost(1.001, 2.0)
    assert not Cost(1.001, 1.001) < Cost(1.0, 1.0)
    assert not Cost(1.0, 1.0) < Cost(1.001, 1.001)


def test_cost_is_the_floor() -> None:
    """A 1x1 convolution of 64 to 128 channels on 56 x 56 pixels, 32 samples: by hand."""
    graph, device = optimised("input 64 x 56 x 56\nCONV 128 1x1 nobias"), DEVICES["h200"]
    (node,) = graph.nodes
    context = context_of(batch=32)
    pixels = 32 * 56 * 56
    bytes = 2 * (pixels * (64 + 128) + 64 * 128)
    assert isinstance(node.op, FusedConv)
    cost = context.cost(node.op, [graph.inputs[0].type], node.type)
    assert cost.seconds == cost.work == pytest.approx(bytes / device.bandwidth)
    half = node.op.replace(stride=(2, 2))
    cost = context.cost(half, [graph.inputs[0].type], TensorType((128, 28, 28)))
    assert cost.work == pytest.approx(2 * (pixels / 4 * (64 + 128) + 64 * 128) / device.bandwidth)


def test_pools_go_where_there_is_less_to_do() -> None:
    transition = "input 64 x 56 x 56\nBN -> RELU -> CONV 32 1x1 nobias -> AVGPOOL 2x2 /2"
    assert formulas(transition) == [
        "pool1 = avgpool 2x2 /2(relu(bn1.s·input + bn1.t))",
        "conv1 = conv 1x1(pool1; conv1.weight)",
        "output output = conv1",
    ]
    branch = "input 64 x 28 x 28\nAVGPOOL 3x3 /1 same -> CONV 32 1x1 relu"
    assert formulas(branch)[1] == "pool1 = relu(1·avgpool 3x3 pad 1(conv1) + conv1.bias)"
    assert formulas(branch.replace("CONV 32", "CONV 128"))[0].startswith("pool1 = avgpool")


def test_siblings_that_are_read_one_by_one_are_one_where_views_cost_nothing() -> None:
    text = "input 64 x 28 x 28\nCONV 32 1x1 relu | CONV 48 1x1 relu -> CONV 32 3x3 | CONV 16 1x1 relu -> CONV 8 5x5"
    found = formulas(text)
    assert found[1].startswith("conv2+conv4 = relu(conv 1x1(input; [conv2.weight, conv4.weight]")
    assert found[-2].startswith("concat1 = concat(conv1, conv3, conv5)"), "conv1 is written where it belongs"
    assert not [line for line in formulas(text, "cpu", "fp32", 8) if "+" in line.partition(" = ")[0]]
    neighbours = "input 64 x 28 x 28\nCONV 32 1x1 | CONV 16 1x1 | MAXPOOL 3x3 /1 same"
    assert formulas(neighbours)[-2] == "concat1 = concat(conv1+conv2, pool1)"
    odd = "input 64 x 28 x 28\nCONV 30 1x1 -> POOL | CONV 16 1x1 -> POOL"
    assert ("siblings", "conv1", "", "its 30 channels are no multiple of 8") in events_of(odd)


def test_a_wide_window_does_not_compute_its_prologue_again_and_again() -> None:
    """An exponential for each of 9 reads and 8 blocks of channels costs more than to write and read the map."""
    assert formulas("input 64 x 28 x 28\nBN -> RELU -> CONV 64 3x3")[0].startswith("conv1 = conv 3x3 pad 1(relu(")
    assert formulas("input 64 x 28 x 28\nSILU -> CONV 2048 1x1")[0].startswith("conv1 = conv 1x1(silu(")
    assert formulas("input 64 x 28 x 28\nSILU -> CONV 2048 3x3")[0] == "silu1 = silu(input)"


def test_a_gate_goes_before_a_product_but_not_before_a_window() -> None:
    gated = "input 64 x 28 x 28\nCONV 64 3x3 relu -> se(4) -> CONV {}"
    assert "conv2 = conv 1x1(conv1·se1.fc2;" in formulas(gated.format("32 1x1"))[-2]
    assert "conv2 = conv 3x3 pad 1(se1.gate1;" in formulas(gated.format("32 3x3"))[-2]


# --- printed forms and counts -----------------------------------------------------------------------------------------

EXAMPLES = {
    "dead_code": "input 4 x 8 x 8\na = CONV 4 3x3\noutput aux = GAP -> FC 2\na -> GAP",
    "lower": "input 4 x 8 x 8\nCONV 4 3x3 bn relu -> DROPOUT -> MAXPOOL 2x2 /2 -> SLICE 0 2 -> FC 5",
    "simplify": "input 4 x 8 x 8\nMAXPOOL 2x2 /2 -> SCALE 2 -> SCALE 0.5 -> BN -> RELU -> RELU6 -> RELU",
    "concat": "input 4 x 8 x 8\n(SLICE 0 2 | SLICE 2 4) | ((CONV 4 1x1 | CONV 4 3x3) | MAXPOOL 3x3 /1 same)",
    "fold_norm": "input 4 x 8 x 8\nCONV 4 3x3 bn relu -> CONV 8 3x3 -> SCALE 0.3 -> BN",
    "fold_forward": "input 4 x 8 x 8\nMAXPOOL 2x2 /2 -> BN -> (CONV 4 1x1 | CONV 8 1x1 nobias)",
    "epilogue": "input 4 x 8 x 8\nresidual(CONV 4 3x3 bn relu -> CONV 4 3x3 bn linear)",
    "head": "input 4 x 8 x 8\nCONV 8 3x3 relu -> GAP -> FC 5",
    "commute": "input 16 x 8 x 8\nCONV 8 1x1 -> AVGPOOL 2x2 /2 -> AVGPOOL 3x3 /1 same -> CONV 4 1x1 relu",
    "siblings": "input 16 x 8 x 8\nCONV 8 1x1 relu -> CONV 8 3x3 | CONV 16 1x1 relu -> CONV 8 3x3 | CONV 8 1x1 relu",
    "prologue": "input 16 x 8 x 8\nidentity | (BN -> RELU -> CONV 16 1x1 bn relu -> CONV 8 3x3)",
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_pass_by_itself(name: str, update_golden: bool) -> None:
    """The graph that comes to the pass, and the one that it leaves."""
    work, context = Work(flat(netdsl.loads(EXAMPLES[name]))), context_of()
    names = [rewrite.__name__ for rewrite in PIPELINE]
    at = len(names) - 1 - names[::-1].index(name) if name == "simplify" else names.index(name)
    for rewrite in PIPELINE[:at]:
        rewrite(work, context)
    before, context = show_graph(work.to_graph()), context_of()
    PIPELINE[at](work, context)
    said = "".join(f"{event.element}: {event.into or 'left'}, {event.reason}\n" for event in context.events)
    assert any(event.done for event in context.events)
    text = f"{EXAMPLES[name]}\n\n{before}\n{show_graph(work.to_graph())}\n{said}"
    check_golden(GOLDEN / "passes" / f"{name}.txt", text, update_golden)


def test_every_pass_has_an_example() -> None:
    assert set(EXAMPLES) == {rewrite.__name__ for rewrite in PIPELINE}
    assert {path.stem for path in (GOLDEN / "passes").glob("*")} == {*EXAMPLES, TABLE.stem}


def kernels(graph: Graph[TensorType]) -> int:
    """Elements that are no views: each is one kernel at least."""
    return sum(not isinstance(node.op, VIEWS) for node in graph.nodes)


def test_kernels_of_shipped_networks(update_golden: bool) -> None:
    """How many elements compute, at batch 256, at batch 1, and on a CPU. Fewer is an update of the table, more fails."""
    rows = []
    for name in shipped():
        graph = flat(netdsl.load(name))
        counts = [kernels(optimise(graph, context_of(*where))) for where in CONTEXTS]
        rows.append(f"{name:<28}{''.join(f'{count:>6}' for count in counts)}\n")
    if not update_golden:
        stored = {line.split()[0]: line.split()[1:] for line in TABLE.read_text().splitlines()}
        more = [row for row in rows if any(int(a) > int(b) for a, b in zip(row.split()[1:], stored[row.split()[0]]))]
        assert not more, f"more kernels than there were:\n{''.join(more)}"
    check_golden(TABLE, "".join(rows), update_golden)


# The floors of an independent count (docs/benchmarks.md) have so many kernels with every prologue and epilogue fused.
FLOORS = {"resnet50": 55, "vgg16": 23, "googlenet_bn": 71, "densenet121": 125, "squeezenet1_1": 30, "inception_v4": 168}


@pytest.mark.parametrize("name", FLOORS)
def test_no_network_needs_more_kernels_than_its_floor(name: str) -> None:
    for where in CONTEXTS[:2]:
        assert kernels(optimise(flat(netdsl.load(name)), context_of(*where))) <= FLOORS[name]
