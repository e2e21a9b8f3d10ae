"""Are 1x1 convolutions and linear layers what PyTorch computes?  In Triton's interpreter."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from elements import H200, chain, check, operand_views, random_weights, tensor, vector, view
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.devices import DEVICES
from netdsl.passes.fused import FusedConv, Step
from netdsl.passes.recipe import Parameter
from netdsl_triton.choose import registered
from netdsl_triton.kernels.common import clamp_form
from netdsl_triton.kernels.matmul import Matmul
from netdsl_triton.task import Task, View

MATMUL = Matmul()
SMALL = {"block_m": 16, "block_n": 16, "block_k": 16, "num_warps": 4, "num_stages": 2}


@st.composite
def tasks(draw: Any) -> Task:
    """Linear layers, on vectors or on maps, and 1x1 convolutions with any stride."""
    batch = draw(st.integers(1, 3))
    channels, out = draw(st.sampled_from([3, 8, 16, 20, 33])), draw(st.sampled_from([1, 7, 16, 24, 40]))
    dtype = draw(st.sampled_from(["fp32", "fp16"]))
    kind = draw(st.sampled_from(["conv", "conv", "strided", "linear", "flat"]))
    size = () if kind == "linear" else draw(st.sampled_from([(5,), (4, 4), (3, 5), (7, 6)]))
    x = view(draw, batch, (channels, *size), dtype)
    kernel, stride = (1,) * len(size), (1,) * len(size)
    spatial: tuple[int, ...] = size
    if kind == "flat":
        kernel, spatial = size, ()
        x = View(batch, x.shape, channels, 0, dtype)
    if kind == "strided":
        stride = tuple([draw(st.integers(1, 3)) for _ in size])
        spatial = tuple([(w - 1) // s + 1 for w, s in zip(size, stride)])
    y = view(draw, batch, (out, *spatial), dtype)
    epilogue = chain(draw, out, 2)
    op = FusedConv(
        kernel=kernel,
        stride=stride,
        padding=((0, 0),) * len(size),
        dilation=(1,) * len(size),
        rounding="floor",
        out_channels=out,
        groups=1,
        weight=Parameter("w", (out, channels, *kernel)),
        bias=vector(out) if draw(st.booleans()) else None,
        prologue=draw(st.sampled_from([(), clamped(channels), chain(draw, channels, 0, 2)])),
        epilogue=epilogue,
        flat=kind == "flat",
    )
    return Task(op, (x, *operand_views(draw, epilogue, y)), y)


def clamped(channels: int) -> tuple[Step, ...]:
    return Step("affine", weights=(vector(channels), vector(channels))), Step("relu")


@settings(max_examples=60)
@given(tasks(), st.sampled_from([1, 2, 8]), st.sampled_from([1, 1, 2, 3]), st.integers(0, 5))
def test_it_is_what_pytorch_computes(task: Task, group: int, split: int, seed: int) -> None:
    clamp = MATMUL.configs(task, H200)[0]["clamp"]
    config = {**SMALL, "group": group, "split": split, "descriptors": False, "clamp": clamp}
    check(MATMUL, task, config, seed=seed)


@settings(max_examples=8)
@given(
    st.integers(1, 3),
    st.sampled_from([8, 24, 40]),
    st.sampled_from([16, 24, 72]),
    st.sampled_from([(), "clamp", "relu"]),
    st.sampled_from([1, 2]),
    st.integers(0, 5),
)
def test_descriptors_read_and_write_within_the_edges(
    batch: int, channels: int, out: int, prologue: Any, group: int, seed: int
) -> None:
    x = View(batch, (channels, 5, 3), channels + 24, 8, "fp16")
    y = View(batch, (out, 5, 3), out + 16, 16, "fp16")
    steps = {"clamp": clamped(channels), "relu": (Step("relu"),)}.get(prologue, ())
    task = Task(conv(channels, out, steps, (Step("add", input=1), Step("relu"))), (x, y), y)
    config = {**SMALL, "group": group, "split": 1, "descriptors": True, "clamp": prologue == "clamp"}
    check(MATMUL, task, config, seed=seed)


@settings(max_examples=12)
@given(
    st.integers(1, 3),
    st.sampled_from([8, 20, 33]),
    st.sampled_from([(4, 4), (3, 5)]),
    st.sampled_from([1, 2]),
    st.integers(0, 8),
    st.booleans(),
)
def test_gates_in_the_prologue(
    batch: int, channels: int, size: tuple[int, int], split: int, room: int, added: bool
) -> None:
    """Squeeze and excitation: a factor for each sample and channel of what is read, perhaps a slice."""
    x = View(batch, (channels, *size), channels + room, room, "fp32")
    factors = View(batch, (channels,), channels + 3, 1, "fp32")
    y = View(batch, (24, *size), 24, 0, "fp32")
    epilogue = (Step("add", input=2),) if added else ()
    task = Task(conv(channels, 24, (Step("hard_swish"), Step("gate", input=1)), epilogue), (x, factors, y), y)
    assert MATMUL.claims(task, H200) == ""
    assert not any(config["descriptors"] for config in MATMUL.configs(task, H200))
    check(MATMUL, task, {**SMALL, "group": 1, "split": split, "descriptors": False, "clamp": False}, seed=batch)


def test_kernels_without_operands_in_their_prologue_claim_no_gates() -> None:
    x, factors, y = View(1, (8, 4, 4), 8, 0, "bf16"), View(1, (8,), 8, 0, "bf16"), View(1, (8, 4, 4), 8, 0, "bf16")
    task = Task(conv(8, 8, (Step("gate", input=1),)), (x, factors), y)
    assert [kernel.name for kernel in registered() if not kernel.claims(task, H200)] == ["matmul", "fallback"]


def conv(channels: int, out: int, prologue: tuple[Step, ...] = (), epilogue: tuple[Step, ...] = ()) -> FusedConv:
    return FusedConv(
        kernel=(1, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        rounding="exact",
        out_channels=out,
        groups=1,
        weight=Parameter("w", (out, channels, 1, 1)),
        bias=vector(out),
        prologue=prologue,
        epilogue=epilogue,
    )


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16"])
def test_bounds_are_another_form_of_relu(dtype: str) -> None:
    """Scales of either sign, of zero, and so small that the bound is beyond the range of the type."""
    s = torch.tensor([1.0, -1.0, 0.5, -2.0, 0.0, 0.0, 1e-30, 1e-30, -1e-30, -1e-30, 3.0, -0.0])
    t = torch.tensor([0.5, 0.5, -3.0, -1.0, 2.0, -2.0, 3.0, -3.0, 3e9, -3e9, 0.0, 1.0])
    x = torch.linspace(-8, 8, 129)[:, None]
    low, high, f, c, d = clamp_form(s, t, dtype)
    assert not any(bound.isnan().any() for bound in (low, high, f, c, d))
    found = f * (torch.minimum(torch.maximum(x, low), high) - c) + d
    expected = torch.relu(s * x + t)
    rounding = {"fp32": 1e-6, "fp16": 2**-11, "bf16": 2**-8}[dtype]
    torch.testing.assert_close(found, expected, rtol=rounding, atol=4 * rounding)
    assert (found[expected == 0] == 0).all()


@pytest.mark.parametrize("clamp", [False, True])
def test_nan_passes_through(clamp: bool) -> None:
    x = View(1, (8, 2, 2), 8, 0, "fp32")
    y = View(1, (4, 2, 2), 4, 0, "fp32")
    task = Task(conv(8, 4, clamped(8), (Step("relu"),)), (x,), y)
    config = {**SMALL, "group": 1, "split": 1, "descriptors": False, "clamp": clamp}
    weights = random_weights(task.op, 1)
    given_x, out = tensor(x, 0.0), tensor(y, 0.0)
    given_x[0, 3, 1, 0] = math.nan
    MATMUL.bind(task, config, [given_x], out, MATMUL.pack(task, config, weights))()
    assert out.isnan().sum() == 4
    assert out[0, :, 1, 0].isnan().all()


def test_what_it_does_not_claim() -> None:
    x, y = View(2, (8, 4, 4), 16, 0, "fp32"), View(2, (4,), 4, 0, "fp32")
    flat = conv(8, 4).replace(kernel=(4, 4), flat=True)
    assert "slice" in MATMUL.claims(Task(flat, (x,), y), H200)
    wide = View(2, (4, 4, 4), 4, 0, "fp32")
    many = conv(8, 4, epilogue=tuple([Step("add", input=i) for i in (1, 2, 3)]))
    assert MATMUL.claims(Task(many, (x, wide, wide, wide), wide), H200) == "more than 2 operands"
    assert MATMUL.claims(Task(conv(8, 4), (x,), wide), DEVICES["cpu"])
    assert MATMUL.claims(Task(conv(8, 4).replace(kernel=(3, 3)), (x,), wide), H200)


def test_configurations_are_few_and_split_where_there_are_few_tiles() -> None:
    def views(batch: int, size: int, channels: int) -> View:
        return View(batch, (channels, size, size), channels, 0, "bf16")

    large = Task(conv(256, 64), (views(256, 56, 256),), views(256, 56, 64))
    small = Task(conv(2048, 512), (views(1, 7, 2048),), views(1, 7, 512))
    for device in (DEVICES[name] for name in ("a100", "h200", "b200", "mi300x")):
        for task in (large, small):
            configs = MATMUL.configs(task, device)
            assert 1 <= len(configs) <= 8
            times = [MATMUL.seconds(task, config, device) for config in configs]
            assert times == sorted(times)
            assert times[0] >= device.launch
        assert all(config["split"] == 1 for config in MATMUL.configs(large, device))
        assert any(config["split"] > 1 for config in MATMUL.configs(small, device))
