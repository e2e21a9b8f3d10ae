"""Are convolutions and products of the libraries what PyTorch computes?  cuDNN's own, by a double that takes its place."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from elements import H200, chain, check, operand_views, random_weights, tensor, vector, view
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import netdsl
from netdsl.devices import DEVICES
from netdsl.passes import Context
from netdsl.passes.fused import FusedConv, Step
from netdsl.passes.recipe import Parameter
from netdsl_triton import reference
from netdsl_triton.aot import fused, tasks_of
from netdsl_triton.choose import candidates, choose
from netdsl_triton.kernels.cudnn import Cublas, Cudnn
from netdsl_triton.store import Machine, Result, Store
from netdsl_triton.task import Task, View

pytest.importorskip("triton", reason="triton is missing")

CUDNN, CUBLAS = Cudnn(), Cublas()


def conv(channels: int, out: int, kernel: tuple[int, ...] = (3, 3), **given: Any) -> FusedConv:
    axes, groups = len(kernel), given.get("groups", 1)
    fields: dict[str, Any] = {
        "kernel": kernel,
        "stride": (1,) * axes,
        "padding": tuple((k // 2, k // 2) for k in kernel),
        "dilation": (1,) * axes,
        "rounding": "floor",
        "out_channels": out,
        "groups": groups,
        "weight": Parameter("w", (out, channels // groups, *kernel)),
        "bias": vector(out),
    }
    return FusedConv(**{**fields, **given})


def task_of(op: FusedConv, batch: int, shape: tuple[int, ...], dtype: str = "bf16", operands: int = 0) -> Task:
    """On buffers of their own; its operands are maps like the output."""
    spatial = tuple(
        (w + sum(p) - (k - 1) * d - 1) // s + 1
        for w, k, s, p, d in zip(shape[1:], op.kernel, op.stride, op.padding, op.dilation)
    )
    y = View(batch, (op.out_channels, *(() if op.flat else spatial)), op.out_channels, 0, dtype)
    return Task(op, (View(batch, shape, shape[0], 0, dtype), *[y] * operands), y)


@st.composite
def convolutions(draw: Any) -> Task:
    sizes = draw(st.sampled_from([(6,), (4, 5), (5, 3), (3, 4, 3)]))
    kernel = tuple(draw(st.integers(1, 3)) for _ in sizes)
    groups = draw(st.sampled_from([1, 1, 2]))
    channels, out = groups * draw(st.sampled_from([1, 3, 8])), groups * draw(st.sampled_from([2, 8, 5]))
    dtype = draw(st.sampled_from(["fp32", "fp16"]))
    op = conv(
        channels,
        out,
        kernel,
        groups=groups,
        stride=tuple(draw(st.integers(1, 2)) for _ in sizes),
        padding=tuple((p, p) for p in [draw(st.integers(0, 2)) for _ in sizes]),
        dilation=tuple(draw(st.sampled_from([1, 1, 2])) for _ in sizes),
        bias=vector(out) if draw(st.booleans()) else None,
        prologue=chain(draw, channels, 0, 2),
        epilogue=chain(draw, out, 2),
    )
    whole = task_of(op, draw(st.integers(1, 2)), (channels, *sizes), dtype)
    assume(min(whole.output.spatial) >= 1)
    x, y = (
        view(draw, whole.output.batch, (channels, *sizes), dtype),
        view(draw, whole.output.batch, whole.output.shape, dtype),
    )
    task = Task(op, (x, *operand_views(draw, op.epilogue, y)), y)
    assume(not CUDNN.claims(task, H200))
    return task


@settings(max_examples=40)
@given(convolutions(), st.integers(0, 5))
def test_convolutions_are_what_pytorch_computes(task: Task, seed: int) -> None:
    check(CUDNN, task, {"form": "plain"}, seed=seed)


@st.composite
def products(draw: Any) -> Task:
    dtype = draw(st.sampled_from(["fp32", "fp16"]))
    channels, out = draw(st.sampled_from([1, 8, 13])), draw(st.sampled_from([2, 8, 10]))
    kind = draw(st.sampled_from(["linear", "map", "flat"]))
    spatial = {"linear": (), "map": (3, 2), "flat": (2, 3)}[kind]
    kernel = {"linear": (), "map": (1, 1), "flat": (2, 3)}[kind]
    op = conv(
        channels,
        out,
        kernel,
        padding=((0, 0),) * len(kernel),
        flat=kind == "flat",
        bias=vector(out) if draw(st.booleans()) else None,
        prologue=chain(draw, channels, 0, 2),
        epilogue=(*draw(st.sampled_from([(), (Step("relu"),)])), *chain(draw, out, 2)),
    )
    batch = draw(st.integers(1, 3))
    x = view(draw, batch, (channels, *spatial), dtype)
    y = view(draw, batch, (out, *(spatial if kind == "map" else ())), dtype)
    return Task(op, (x, *operand_views(draw, op.epilogue, y)), y)


@settings(max_examples=50)
@given(products(), st.integers(0, 5))
def test_products_are_what_pytorch_computes(task: Task, seed: int) -> None:
    for config in CUBLAS.configs(task, H200):
        check(CUBLAS, task, config, seed=seed)


# --- cuDNN's own epilogues ------------------------------------------------------------------------------------------


def double(seen: list[str], name: str, added: bool) -> Any:
    """What takes the place of `cudnn_convolution_relu` or `…_add_relu`: it checks what comes, and computes it plainly."""

    def call(x: Tensor, weight: Tensor, *rest: Any) -> Tensor:
        z, alpha = rest[:2] if added else (None, 0.0)
        bias, stride, padding, dilation, groups = rest[2:] if added else rest
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert x.dtype == weight.dtype == bias.dtype and bias.shape == (weight.shape[0],)
        assert [len(each) for each in (stride, padding, dilation)] == [2, 2, 2] and isinstance(groups, int)
        y = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
        if z is not None:
            assert alpha == 1.0 and z.shape == y.shape and z.is_contiguous(memory_format=torch.channels_last)
            y = y + z
        seen.append(name)
        return F.relu(y)

    return call


@pytest.mark.parametrize("library", ["cudnn", "miopen"])
@pytest.mark.parametrize("form", ["relu", "add_relu"])
@pytest.mark.parametrize("gaps", [(0, 0), (8, 0), (1, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_its_epilogues_have_the_arguments_they_want(
    library: str, form: str, gaps: tuple[int, int], bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    for each in ("relu", "add_relu"):
        name = f"{library}_convolution_{each}"
        monkeypatch.setattr(torch, name, double(seen, name, each == "add_relu"))
    monkeypatch.setattr(torch.version, "hip", "7.0" if library == "miopen" else None)
    steps = (*([Step("add", input=1)] if form == "add_relu" else []), Step("relu"))
    op = conv(8, 16, (3, 2), stride=(2, 1), padding=((1, 1), (2, 2)), dilation=(1, 2), groups=2)
    norm = Step("affine", weights=(vector(16), vector(16)))
    op = op.replace(bias=op.bias if bias else None, epilogue=(*steps, norm), prologue=(Step("relu"),))
    task = task_of(op, 2, (8, 6, 5), "fp32", operands=len(steps) - 1)
    before, after = gaps
    x, y = (v.replace(pitch=before + v.channels + after, offset=before) for v in (task.inputs[0], task.output))
    task = task.replace(inputs=(x, *task.inputs[1:]), output=y)
    assert {"form": form} in CUDNN.configs(task, H200)
    check(CUDNN, task, {"form": form})
    assert set(seen) == {f"{library}_convolution_{form}"}


def test_a_library_that_refuses_says_so_when_it_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Tensor:
        raise RuntimeError("no engine for it")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    task = task_of(conv(8, 8, epilogue=(Step("relu"),)), 1, (8, 4, 4), "fp32")
    with pytest.raises(RuntimeError, match="no engine for it"):
        check(CUDNN, task, {"form": "relu"})
    monkeypatch.delattr(torch, "cudnn_convolution_relu")
    with pytest.raises(AttributeError, match="cudnn_convolution_relu"):
        check(CUDNN, task, {"form": "relu"})


def test_the_switch_of_the_library_is_as_it_was() -> None:
    before = torch.backends.cudnn.benchmark
    check(CUDNN, task_of(conv(8, 8), 1, (8, 4, 4), "fp32"), {"form": "plain"})
    assert torch.backends.cudnn.benchmark == before


@pytest.mark.gpu
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("sliced", [False, True])
@pytest.mark.parametrize("steps", [(), ("relu",), ("add", "relu")])
def test_on_a_device(groups: int, sliced: bool, steps: tuple[str, ...]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("kernels are interpreted here: TRITON_INTERPRET=0 compiles them")
    epilogue = tuple(Step(kind, input=int(kind == "add")) for kind in steps)
    task = task_of(conv(64, 64, groups=groups, epilogue=epilogue), 4, (64, 14, 14), operands=int("add" in steps))
    if sliced:
        task = task.replace(output=task.output.replace(pitch=96, offset=32))
    weights = {name: value.cuda() for name, value in random_weights(task.op, 0).items()}
    inputs = [tensor(each, 0.0).cuda().normal_() for each in task.inputs]
    expected = reference.run(task.op, [x.float() for x in inputs], weights)
    for config in CUDNN.configs(task, H200):
        output = tensor(task.output, float("nan")).cuda()
        CUDNN.bind(task, config, inputs, output, CUDNN.pack(task, config, weights))()
        torch.testing.assert_close(output.float(), expected, rtol=3e-2, atol=3e-2)


# --- what is claimed, and what it costs -----------------------------------------------------------------------------


@cache
def tasks(name: str, batch: int = 256) -> tuple[Task, ...]:
    graph = fused(netdsl.load(name), Context(batch, "bf16"))
    assert graph is not None
    return tuple(tasks_of(graph, batch, "bf16"))


@pytest.mark.parametrize("device", ["h200", "a100", "mi300x"])
def test_every_convolution_of_shipped_networks_is_claimed_by_one(device: str) -> None:
    for name in ("alexnet", "resnet50", "densenet121", "resnext50_32x4d"):
        for task in tasks(name):
            able = [kernel for kernel in (CUDNN, CUBLAS) if not kernel.claims(task, DEVICES[device])]
            assert len(able) == int(isinstance(task.op, FusedConv))
            for kernel in able:
                configs = kernel.configs(task, DEVICES[device])
                times = [kernel.seconds(task, config, DEVICES[device]) for config in configs]
                assert times == sorted(times) and times[0] >= DEVICES[device].launch
                assert all(1 <= kernel.launches(task, config) <= 3 for config in configs)


def test_wide_groups_are_not_left_to_the_last_resort() -> None:
    """AlexNet's fourth and fifth layer: two groups of 192 channels."""
    wide = [task for task in tasks("alexnet") if getattr(task.op, "groups", 1) > 1]
    assert wide
    assert {choose(task, H200).kernel for task in wide} <= {"conv", "cudnn"}


def test_it_is_predicted_for_deep_convolutions_not_for_those_that_memory_limits() -> None:
    relu = (Step("relu"),)
    deep, wide = (task_of(conv(c, c, epilogue=relu), 256, (c, w, w)) for c, w in ((512, 7), (64, 56)))
    assert candidates(deep, H200)[0].kernel == "cudnn" and candidates(wide, H200)[0].kernel == "conv"
    narrow = task_of(conv(64, 256, (1, 1), epilogue=(Step("add", input=1), *relu)), 256, (64, 56, 56), operands=1)
    assert candidates(narrow, H200)[0].kernel == "matmul"


def test_more_launches_are_taken_when_they_were_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prediction alone is too rough for them, unless nothing but the last resort is left."""
    task = task_of(conv(512, 512, epilogue=(Step("relu"),)), 256, (512, 7, 7))
    guessed = choose(task, H200)
    assert (guessed.kernel, guessed.launches) == ("conv", 1)
    assert guessed.reason == "the fastest predicted, of those with fewer launches"
    assert candidates(task, H200)[0].predicted < guessed.predicted
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    store = Store(Machine("NVIDIA H200", "sm_90", "570.1 12.8", "0.1", "2.13", "3.7", "abc"))
    store.remember(task, [Result("cudnn", {"form": "plain"}, 1e-4, 0.0), Result("conv", guessed.config, 2e-4, 0.0)])
    assert choose(task, H200, store).kernel == "cudnn"
    grouped = task_of(conv(384, 384, groups=2), 32, (384, 13, 13))
    assert choose(grouped, H200).kernel == "cudnn"


def test_slices_and_prologues_are_launches_of_their_own() -> None:
    task = task_of(conv(64, 64), 32, (64, 28, 28))
    sliced = task.replace(inputs=(task.inputs[0].replace(pitch=128),))
    before = task.replace(op=task.op.replace(prologue=(Step("relu"),)))
    bare = task.replace(op=task.op.replace(bias=None))
    plain = {"form": "plain"}
    assert [CUDNN.launches(one, plain) for one in (bare, task, sliced, before)] == [1, 2, 3, 3]
    times = [CUDNN.seconds(one, plain, H200) for one in (bare, task, sliced, before)]
    assert times[0] < times[1] < times[2] == times[3]
    into = bare.replace(output=task.output.replace(pitch=128, offset=64))
    assert CUDNN.launches(into, plain) == 2
    rows = task_of(conv(64, 64, (1, 1), epilogue=(Step("relu"),)), 32, (64, 28, 28))
    assert [CUBLAS.launches(one, CUBLAS.configs(one, H200)[0]) for one in (rows, rows.replace(output=into.output))] == [
        1,
        2,
    ]
    assert CUBLAS.launches(rows.replace(inputs=sliced.inputs), {"form": "relu"}) == 1


def test_what_they_do_not_claim() -> None:
    task = task_of(conv(8, 8), 1, (8, 4, 4))
    uneven = task.replace(op=task.op.replace(padding=((1, 1), (0, 1))))
    assert CUDNN.claims(uneven, H200) == "its padding differs from side to side"
    assert CUDNN.claims(task, DEVICES["cpu"]) == "no library for cpu"
    assert CUBLAS.claims(task, H200) == "not a matrix product over pixels"
    assert CUDNN.claims(task_of(conv(8, 8, (1, 1)), 1, (8, 4, 4)), H200) == "a matrix product over pixels"
