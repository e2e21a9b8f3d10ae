"""Are convolutions what PyTorch computes?  In Triton's interpreter."""

from __future__ import annotations

from typing import Any

import pytest
from elements import H200, chain, check, operand_views, vector, view
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netdsl.devices import DEVICES
from netdsl.passes.fused import FusedConv, Step
from netdsl.passes.recipe import Parameter
from netdsl_triton.kernels.conv import Conv, patch, span
from netdsl_triton.kernels.depthwise import Depthwise
from netdsl_triton.task import Task, View

CONV = Conv()
DEPTHWISE = Depthwise()
SMALL = {"block_m": 16, "block_n": 16, "block_k": 16, "num_warps": 4, "num_stages": 2, "group": 1, "split": 1}


def window(draw: Any, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], ...] | tuple[Any, ...]:
    """kernel, stride, padding and dilation that fit, and the size of what comes out."""
    kernel = tuple([draw(st.integers(1, 3)) for _ in sizes])
    stride = tuple([draw(st.integers(1, 2)) for _ in sizes])
    dilation = tuple([draw(st.sampled_from([1, 1, 2])) for _ in sizes])
    padding = tuple([draw(st.sampled_from([(0, 0), (1, 1), (0, 1), (2, 0)])) for _ in sizes])
    out = tuple(
        [(w + sum(p) - (k - 1) * d - 1) // s + 1 for w, k, s, d, p in zip(sizes, kernel, stride, dilation, padding)]
    )
    assume(min(out) >= 1)
    return kernel, stride, padding, dilation, out


@st.composite
def tasks(draw: Any, groups: bool = False, depthwise: bool = False) -> Task:
    batch = draw(st.integers(1, 2))
    sizes = draw(st.sampled_from([(6,), (4, 4), (3, 5), (5, 6)]))
    kernel, stride, padding, dilation, spatial = window(draw, sizes)
    count = draw(st.sampled_from([2, 3, 4, 6])) if groups else 1
    channels = count * draw(st.sampled_from([1, 2, 4, 5] if groups else [1, 3, 16, 20]))
    out = count * draw(st.sampled_from([2, 4, 7] if groups else [1, 7, 16, 24]))
    if depthwise:
        count = channels = out = draw(st.sampled_from([2, 8, 16, 20, 33]))
    dtype = draw(st.sampled_from(["fp32", "fp16"]))
    x = view(draw, batch, (channels, *sizes), dtype)
    y = view(draw, batch, (out, *spatial), dtype)
    epilogue = chain(draw, out, 2)
    op = FusedConv(
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        rounding="floor",
        out_channels=out,
        groups=count,
        weight=Parameter("w", (out, channels // count, *kernel)),
        bias=vector(out) if draw(st.booleans()) else None,
        prologue=chain(draw, channels, 0, 2),
        epilogue=epilogue,
    )
    task = Task(op, (x, *operand_views(draw, epilogue, y)), y)
    assume(not (DEPTHWISE if depthwise else CONV).claims(task, H200))
    return task


@settings(max_examples=60)
@given(tasks(), st.sampled_from(["loop", "nest", "packed"]), st.sampled_from([1, 1, 2, 3]), st.integers(0, 5))
def test_it_is_what_pytorch_computes(task: Task, form: str, split: int, seed: int) -> None:
    config = {**SMALL, "form": form, "split": 1 if form == "nest" else split, "descriptors": False}
    check(CONV, task, config, seed=seed)


@pytest.mark.parametrize(("channels", "pitch", "offset"), [(3, 4, 0), (3, 8, 4), (5, 8, 0), (1, 1, 0), (3, 6, 2)])
def test_a_pixel_of_few_channels_is_read_at_once(channels: int, pitch: int, offset: int) -> None:
    """What lies after its channels is not a number."""
    op = conv(channels, 8, stride=2).replace(prologue=(Step("softplus"),))
    x, y = View(2, (channels, 7, 5), pitch, offset, "fp32"), View(2, (8, 4, 3), 8, 0, "fp32")
    assert span(x) == {3: 3 if pitch == 6 else 4, 5: 8, 1: 1}[channels]
    check(CONV, Task(op, (x,), y), {**SMALL, "form": "packed", "descriptors": False})


@settings(max_examples=25)
@given(tasks(groups=True), st.sampled_from(["loop", "nest"]), st.integers(0, 5))
def test_groups(task: Task, form: str, seed: int) -> None:
    check(CONV, task, {**SMALL, "form": form, "descriptors": False}, seed=seed)


@settings(max_examples=30)
@given(tasks(depthwise=True), st.sampled_from([1, 2, 4]), st.sampled_from([4, 16]), st.integers(0, 5))
def test_depthwise(task: Task, across: int, block_c: int, seed: int) -> None:
    config = {"block_p": 8, "block_c": block_c, "across": across, "num_warps": 4, "num_stages": 1}
    check(DEPTHWISE, task, config, seed=seed)


@settings(max_examples=5)
@given(
    st.integers(1, 3),
    st.sampled_from([(3, 5), (4, 3), (7,)]),
    st.sampled_from([((1, 1), 1), ((0, 1), 1), ((2, 2), 2)]),
    st.booleans(),
    st.integers(0, 5),
)
def test_descriptors_read_boxes(
    batch: int, sizes: tuple[int, ...], pads: tuple[tuple[int, int], int], prologue: bool, seed: int
) -> None:
    padding, dilation = pads
    channels, out, axes = 24, 24, len(sizes)
    spatial = tuple([w + sum(padding) - 2 * dilation for w in sizes])
    x = View(batch, (channels, *sizes), channels + 8, 8, "fp16")
    y = View(batch, (out, *spatial), out + 8, 0, "fp16")
    op = FusedConv(
        kernel=(3,) * axes,
        stride=(1,) * axes,
        padding=(padding,) * axes,
        dilation=(dilation,) * axes,
        rounding="exact",
        out_channels=out,
        groups=1,
        weight=Parameter("w", (out, channels, *(3,) * axes)),
        bias=vector(out),
        prologue=(Step("affine", weights=(vector(channels), vector(channels))), Step("relu")) if prologue else (),
        epilogue=(Step("add", input=1), Step("gate", input=2), Step("silu")),
    )
    task = Task(op, (x, y, View(batch, (out,), out + 8, 8, "fp16")), y)
    check(CONV, task, {**SMALL, "form": "loop", "descriptors": True}, seed=seed)


def conv(channels: int, out: int, kernel: int = 3, groups: int = 1, stride: int = 1, padding: int = 1) -> FusedConv:
    return FusedConv(
        kernel=(kernel, kernel),
        stride=(stride, stride),
        padding=((padding, padding),) * 2,
        dilation=(1, 1),
        rounding="floor",
        out_channels=out,
        groups=groups,
        weight=Parameter("w", (out, channels // groups, kernel, kernel)),
        bias=vector(out),
    )


def task_of(op: FusedConv, batch: int, size: int, dtype: str = "bf16") -> Task:
    channels = op.weight.dims[1] * op.groups
    out = (size + sum(op.padding[0]) - op.kernel[0]) // op.stride[0] + 1
    x, y = (
        View(batch, (channels, size, size), channels, 0, dtype),
        View(batch, (op.out_channels, out, out), op.out_channels, 0, dtype),
    )
    return Task(op, (x,), y)


def test_configurations_follow_the_shape() -> None:
    few = task_of(conv(3, 64, 7, stride=2, padding=3), 32, 224)
    small = task_of(conv(512, 512), 1, 7)
    large = task_of(conv(128, 128), 256, 28)
    groups = task_of(conv(128, 128, groups=32), 32, 56)
    for name in ("a100", "h200", "b200", "mi300x"):
        device = DEVICES[name]
        for task in (few, small, large, groups):
            configs = CONV.configs(task, device)
            assert 1 <= len(configs) <= 10
            times = [CONV.seconds(task, config, device) for config in configs]
            assert times == sorted(times)
            assert times[0] >= device.launch
            # One loop over taps and channels is not for eight warps.
            assert all(config["num_warps"] == 4 for config in configs if config["form"] == "loop")
        assert {config["form"] for config in CONV.configs(few, device)} == {"packed"}
        assert any(config["split"] > 1 for config in CONV.configs(small, device))
        assert all(config["split"] == 1 for config in CONV.configs(large, device))
    assert any(config["descriptors"] for config in CONV.configs(large, H200))
    assert not any(config["descriptors"] for config in CONV.configs(large, DEVICES["a100"]))


def test_patches_lie_within_the_map() -> None:
    """56 = 7·8, 28 = 7·4, 14 = 7·2: with samples enough no pixel of a patch is wasted."""
    assert [patch(task_of(conv(64, 64), 256, size), 128) for size in (56, 28, 14, 7)] == [
        (2, 8, 8),
        (8, 4, 4),
        (32, 2, 2),
        (128, 1, 1),
    ]


def test_what_it_does_not_claim() -> None:
    assert CONV.claims(task_of(conv(64, 64, 1, padding=0), 1, 8), H200) == "a matrix product over pixels"
    assert CONV.claims(task_of(conv(64, 64, groups=64), 1, 8), H200) == "depthwise"
    assert "128 channels" in CONV.claims(task_of(conv(64, 512, groups=2), 1, 8), H200)
    assert CONV.claims(task_of(conv(64, 64), 1, 8), DEVICES["cpu"])
