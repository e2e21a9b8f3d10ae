"""Inference on a CPU by the fused graph: every program against the module of the PyTorch backend."""

from __future__ import annotations

import copy
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netdsl
from netdsl.devices import DEVICES
from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.passes import Context, inline, optimise, retype

sys.path.append(str(Path(__file__).resolve().parent.parent / "benchmarks"))

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from modules import randomised  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from netdsl_triton.cpu import CpuProgram, plan  # noqa: E402
from netdsl_triton.dtypes import NAMES  # noqa: E402


def loads(text: str, **options: Any) -> Net:
    return netdsl.loads(textwrap.dedent(text), name="test.net", **options)


def shapes_of(net: Net) -> list[tuple[int, ...]]:
    return [tuple(int(str(n)) for n in shape) for shape in net.inputs.values()]


def program_of(net: Net, module: nn.Module, batch: int = 2, dtype: Any = torch.float32, **options: Any) -> CpuProgram:
    context = Context(batch, NAMES[dtype], DEVICES["cpu"])
    return CpuProgram(optimise(retype(inline(net.graph), shapes_of(net)), context), module, batch, dtype, **options)


def inputs_of(net: Net, batch: int = 2) -> list[Tensor]:
    torch.manual_seed(4)
    return [torch.randn(batch, *shape) for shape in shapes_of(net)]


def wanted(module: nn.Module, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    with torch.no_grad():
        found = module(*inputs)
    return tuple(found) if isinstance(found, tuple) else (found,)


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], tolerance: float = 2e-5) -> None:
    assert [y.shape for y in found] == [y.shape for y in expected]
    for a, b in zip(found, expected, strict=True):
        scale = float(b[b.isfinite()].abs().max()) if b.isfinite().any() else 1.0
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance * scale + 1e-30, equal_nan=True)


def check(net: Net, batch: int = 2, **options: Any) -> CpuProgram:
    """The program gives what the module gives, and leaves its input alone."""
    module, inputs = randomised(net.compile(), signs=True).eval(), inputs_of(net, batch)
    program = program_of(net, module, batch, **options)
    before = [x.clone() for x in inputs]
    assert_same(program(*inputs), wanted(module, inputs))
    assert all(map(torch.equal, inputs, before))
    return program


def ops_of(program: CpuProgram) -> list[str]:
    return [node.op.name for node in program.graph.nodes]


# --- whole networks ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("densenet121", "3x64x64"),
        ("preact_resnet164", "3x32x36"),
        ("googlenet", "3x80x80"),
        ("resnet18", "3x70x61"),
        ("squeezenet1_1", "3x67x64"),
        ("mobilenet_v3_large", "3x64x64"),
        ("fractalnet", "3x32x32"),
        ("unet_padded", "1x32x32"),
        ("convnext_tiny", "3x64x64"),
    ],
)
def test_networks_in_parts_of_the_batch(name: str, size: str) -> None:
    """With little cache, early layers take one sample at a time; the last part has fewer where the batch is odd."""
    program = check(netdsl.load(name, input=size), 3, cache=1 << 18)
    assert program.segments[0].samples == 1


def test_a_batch_of_another_size_than_planned() -> None:
    net = netdsl.load("squeezenet1_1", input="3x64x64")
    module = randomised(net.compile(), signs=True).eval()
    program = program_of(net, module, batch=4, cache=1 << 20)
    assert len(program.segments) > 1
    for batch in (1, 3, 7):
        inputs = inputs_of(net, batch)
        assert_same(program(*inputs), wanted(module, inputs))


def test_bf16_is_near_fp32() -> None:
    net = netdsl.load("resnet18", input="3x64x64")
    module, inputs = randomised(net.compile(), signs=True).eval(), inputs_of(net)
    expected = wanted(module, inputs)
    found = program_of(net, copy.deepcopy(module).bfloat16(), dtype=torch.bfloat16)(inputs[0].bfloat16())
    assert found[0].dtype == torch.bfloat16
    assert_same(tuple(y.float() for y in found), expected, 0.05)


def test_without_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on machines whose PyTorch has none: PyTorch's own convolutions on folded weights."""
    monkeypatch.setattr("netdsl_triton.cpu.convolution.has_onednn", lambda: False)
    for name in ("resnet18", "densenet121", "squeezenet1_1"):
        check(netdsl.load(name, input="3x64x64"))


# --- layers -----------------------------------------------------------------------------------------------------------

LAYERS = [
    "CONV 8 3x3 same -> GN 4 -> RELU",
    "CONV 8 3x3 pad_before=1 pad_after=0 -> BN -> RELU",
    "CONV 8 3x3 same groups=2 -> BN",
    "CONV 6 3x3 /2 same dilation=2",
    "BN -> RELU -> CONV 8 1x1 /2",
    "BN -> RELU -> CONV 8 1x1 groups=2",
    "BN -> RELU -> CONV 8 3x3 valid -> BN -> RELU -> CONV 4 3x3 same",
    "BN -> RELU -> FC 5",
    "BN -> LEAKY_RELU 0.1 -> CONV 8 1x1",
    "GAP -> FC 5 relu -> FC 3",
    "FC 7 relu -> FC 3 sigmoid",
    "MAXPOOL 3x3 /2 ceil -> AVGPOOL 2x2 /2 floor",
    "AVGPOOL 3x3 /1 same -> CONV 5 1x1",
    "CONV 8 1x1 -> CROP 1 -> RELU",
    "RELU -> BN -> TANH",
    "DECONV 6 2x2 /2 -> RELU",
    "CONV 8 1x1 relu -> SOFTMAX",
]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("size", ["6 x 11 x 9", "4 x 40 x 41"])
def test_layers(layers: str, size: str) -> None:
    check(loads(f"input {size}\n{layers}\n"))


UNARY = "relu relu6 leaky_relu elu gelu silu hard_swish mish sigmoid hard_sigmoid tanh softplus prelu"


@pytest.mark.parametrize("name", UNARY.split())
def test_activations_after_a_convolution_a_product_and_alone(name: str) -> None:
    word = name.upper()
    check(loads(f"input 5 x 24 x 24\nCONV 8 3x3 same -> {word} -> CONV 8 1x1 -> {word} -> MAXPOOL 2x2 -> {word}\n"))
    check(loads(f"input 4 x 6 x 6\nBN -> {word} -> FC 3 -> {word}\n"))


def test_sums_and_products_in_epilogues() -> None:
    check(loads("input 8 x 12 x 12\nstem = CONV 8 3x3 same -> BN\n(CONV 8 3x3 same -> BN) + stem -> RELU\n"))
    check(loads("input 8 x 12 x 12\nCONV 8 3x3 same relu\nadd(CONV 8 1x1, CONV 8 3x3 same, identity) -> SILU\n"))
    check(loads("input 8 x 12 x 12\nproduct(CONV 8 3x3 same, CONV 8 1x1 -> SIGMOID)\n"))
    check(loads("input 8 x 12 x 12\nCONV 8 3x3 same\ngate(identity, GAP -> FC 8 sigmoid)\n"))


# --- pre-activation as a clamp ----------------------------------------------------------------------------------------


def test_pre_activations_before_layers_without_padding_are_clamps() -> None:
    net = loads("input 8 x 9 x 9\nBN -> RELU -> CONV 8 1x1\n")
    assert ops_of(check(net)) == ["clamp", "fused_conv"]
    assert "clamp" not in ops_of(check(loads("input 8 x 9 x 9\nBN -> RELU -> CONV 8 3x3 same\n")))
    assert "clamp" not in ops_of(
        program_of(net, randomised(net.compile(), signs=True).eval().bfloat16(), dtype=torch.bfloat16)
    )


@pytest.mark.parametrize("gamma", [0.0, 1e-38, -1e-38, 1e-20, -3.0, float("nan")])
def test_any_factor_of_a_pre_activation(gamma: float) -> None:
    net = loads("input 4 x 5 x 5\nBN -> RELU -> CONV 3 1x1\n")
    module = randomised(net.compile(), signs=True).eval()
    with torch.no_grad():
        module.get_parameter(next(name for name, _ in module.named_parameters() if name.endswith("bn1.weight"))).fill_(
            gamma
        )
    inputs = inputs_of(net)
    assert_same(program_of(net, module)(*inputs), wanted(module, inputs))


# --- concatenations ---------------------------------------------------------------------------------------------------


def test_a_dense_block_is_one_buffer() -> None:
    net = netdsl.load("densenet121", input="3x64x64")
    program = program_of(net, net.compile())
    (segment,) = program.segments
    found = plan.places(program.graph, segment)
    assert len({place.buffer for place in found.at.values()}) == 4
    assert not any(found.copies.values())


CONCATENATIONS = [
    "concat(identity, identity)",
    "concat(RELU, CONV 4 1x1, MAXPOOL 3x3 /1 same)",
    "concat(CONV 4 3x3 same, concat(CONV 4 1x1, RELU)) -> BN -> RELU",
    "concat(CONV 4 3x3 same, CONV 5 1x1) -> CONV 3 3x3 same",
    "CONV 4 1x1\nconcat(RELU, TANH, axis=H)",
    "GAP\nconcat(FC 4, FC 3 relu)",
]


@pytest.mark.parametrize("lines", CONCATENATIONS)
def test_concatenations(lines: str) -> None:
    check(loads(f"input 6 x 12 x 12\n{lines}\n"), 3)


def test_a_concatenation_in_two_others() -> None:
    check(
        loads(
            """
            input 6 x 12 x 12
            a = concat(RELU, CONV 4 1x1)
            b = concat(a, CONV 4 1x1)
            c = a -> concat(identity, TANH)
            concat(b, c) -> BN
            """
        )
    )


# --- pools and LRN ----------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.data())
def test_max_pools(data: st.DataObject) -> None:
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pad = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    c, h, w = draw(st.sampled_from([(64, 16, 17), (32, 23, 24), (3, 90, 91), (1, 4, 5)]))
    rounding = draw(st.sampled_from(["floor", "ceil"]))
    k, s, p = ("x".join(map(str, pair)) for pair in (kernel, stride, pad))
    net = loads(f"input {c} x {h} x {w}\nMAXPOOL {k} /{s} pad={p} {rounding}\n")
    (x,) = inputs_of(net, 1)
    x[0, 0, h // 2, w // 2] = torch.nan
    expected = F.max_pool2d(x, kernel, stride, pad, ceil_mode=rounding == "ceil")
    assert_same(program_of(net, net.compile(), 1)(x), (expected,), 0)


@pytest.mark.parametrize("options", ["", "n=3 k=1 alpha=0.1 beta=0.5", "n=4 beta=1", "n=7 beta=0.6", "n=1", "n=9"])
def test_lrn(options: str) -> None:
    check(loads(f"input 6 x 7 x 5\nLRN {options}\n"))
    check(loads(f"input 20 x 7 x 5\nCONV 12 1x1 -> LRN {options} -> RELU\n"))


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "layers", ["CONV 4 3x3 same relu -> CONV 4 3x3 same", "CONV 4 3x3 same -> RELU6", "FC 300 relu"]
)
def test_what_is_no_number_passes_through(value: float, layers: str) -> None:
    net = loads(f"input 3 x 60 x 60\n{layers}\n")
    module, inputs = randomised(net.compile(), signs=True).eval(), inputs_of(net)
    inputs[0][1, 2, 30, 30] = value
    expected = wanted(module, inputs)
    program = program_of(net, module)
    (found,) = program(*inputs)
    assert torch.equal(found.isnan(), expected[0].isnan())
    assert not found[0].isnan().any()
    assert_same(program(*inputs_of(net)), wanted(module, inputs_of(net)))


def test_a_weight_that_is_no_number_passes_through() -> None:
    net = loads("input 3 x 9 x 9\nCONV 4 3x3 same relu -> CONV 4 3x3 same relu\n")
    module, inputs = randomised(net.compile(), signs=True).eval(), inputs_of(net)
    with torch.no_grad():
        next(module.parameters())[0, 0, 0, 0] = torch.nan
    assert program_of(net, module)(*inputs)[0].isnan().any()
    assert_same(program_of(net, module)(*inputs), wanted(module, inputs))


def test_new_weights_after_refold() -> None:
    net = netdsl.load("preact_resnet164", input="3x32x32")
    module, inputs = randomised(net.compile(), signs=True).eval(), inputs_of(net)
    program = program_of(net, module)
    old = program(*inputs)
    module.load_state_dict({name: value + 0.01 for name, value in module.state_dict().items()})
    assert torch.equal(program(*inputs)[0], old[0])
    program.refold()
    assert not torch.equal(program(*inputs)[0], old[0])
    assert_same(program(*inputs), wanted(module, inputs))


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.repeat(1, 2, 1, 1)[:, : x.shape[1]],
        lambda x: x.repeat_interleave(2, 3)[..., ::2],
        lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        lambda x: x[:1].expand(2, -1, -1, -1),
    ],
)
def test_inputs_however_they_lie_in_memory(layout: Any) -> None:
    net = loads("input 5 x 16 x 18\nRELU -> BN -> RELU -> CONV 8 1x1 -> BN -> RELU -> MAXPOOL 2x2\n")
    module = randomised(net.compile(), signs=True).eval()
    x = layout(inputs_of(net)[0])
    before = x.clone()
    expected = wanted(module, [x])
    found = program_of(net, module)(x)
    assert_same(found, expected)
    assert torch.equal(x, before)
    last = x.is_contiguous(memory_format=torch.channels_last)
    assert found[0].is_contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def test_outputs_are_no_memory_of_the_input_nor_of_a_call() -> None:
    net = loads("input 4 x 8 x 8\na = RELU\nb = CONV 4 1x1\nc = concat(a, b)\noutput a, b, c\n")
    module, (x,) = randomised(net.compile(), signs=True).eval(), inputs_of(net)
    program = program_of(net, module)
    first = program(x)
    kept = [y.clone() for y in first]
    program(-x)
    x.zero_()
    assert all(map(torch.equal, first, kept))
    assert not any(y.is_inference() or y.requires_grad for y in first)


def test_calls_from_several_threads() -> None:
    net = netdsl.load("squeezenet1_1", input="3x64x64")
    module = randomised(net.compile(), signs=True).eval()
    program = program_of(net, module, cache=1 << 18)
    batches = [[x * (i + 1) for x in inputs_of(net)] for i in range(6)]
    expected = [program(*inputs) for inputs in batches]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda inputs: program(*inputs), batches))
    for a, b in zip(found, expected, strict=True):
        assert_same(a, b, 1e-6)


def test_what_has_no_rule_runs_as_pytorch_has_it() -> None:
    check(loads("input 8 x 10\nLSTM 6 -> RELU\n"))
    check(loads("input 8 x 6 x 6\nCONV 8 3x3 same -> IN affine -> UPSAMPLE 2 -> CONV 4 1x1\n"))
    check(loads("input 4 x 5 x 6 x 7\nCONV 4 3x3x3 same relu -> MAXPOOL 2x2x2 floor\n"))


# --- the benchmark's page ---------------------------------------------------------------------------------------------


def case(network: str, **ms: float | None) -> dict[str, Any]:
    rows = [
        {"backend": name, "status": "timed", "median_ms": value, "prepare_s": value}
        if value is not None
        else {"backend": name, "status": "failed"}
        for name, value in ms.items()
    ]
    return {"network": network, "batch": 1, "results": rows}


def test_the_table_of_the_page() -> None:
    from cpu_inference import summary

    lines = summary(
        [
            case("a", torch=30.0, folded=20.0, compile=12.0, triton=10.0),
            case("b", torch=30.0, folded=8.0, compile=None, triton=10.0),
            case("c", torch=30.0, folded=8.0, compile=9.0, triton=None),
        ]
    ).splitlines()
    assert lines[1].split() == ["a", "1", "30.0", "20.0", "12.0", "10.0", "1.20", "3.00", "1"]
    assert lines[2].split() == ["b", "1", "30.0", "8.0", "failed", "10.0", "0.80", "3.00", "-"]
    assert lines[3].split() == ["c", "1", "30.0", "8.0", "9.0", "failed", "-", "-", "-"]
    assert lines[4].split() == ["median", "1.00", "3.00", "1"]


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    from cpu_inference import write_page

    (tmp_path / "a.json").write_text("{}")
    for name in ("a.json", "missing.json"):
        with pytest.raises(UsageError, match=f"{name} is no result of this script"):
            write_page([str(tmp_path / name)])
