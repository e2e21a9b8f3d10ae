"""Kernels that move memory, in Triton's interpreter, against the same elements in plain PyTorch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netdsl.devices import DEVICES
from netdsl.ops import Op
from netdsl.ops.join import Concat
from netdsl.ops.normalisation import LRN
from netdsl.passes.fused import (
    Absorbing,
    Channels,
    FusedMean,
    FusedPool,
    Head,
    Pointwise,
    Step,
    Steps,
)
from netdsl.passes.recipe import Parameter
from netdsl.prove import Prover
from netdsl.types import TensorType
from netdsl_triton import reference
from netdsl_triton.kernels import KERNELS
from netdsl_triton.kernels.base import Config, Kernel
from netdsl_triton.task import Task, View

pytest.importorskip("triton", reason="triton is missing")

H200 = DEVICES["h200"]
TORCH = {"fp32": torch.float32, "fp16": torch.float16}
BY_NAME = {kernel.name: kernel for kernel in KERNELS}
UNARY = ("relu", "relu6", "silu", "hard_swish", "sigmoid", "tanh", "gelu")

few = settings(max_examples=12)


def vector(name: str, channels: int) -> Parameter:
    return Parameter(name, (channels,))


def norm(channels: int, name: str = "bn") -> Step:
    return Step("affine", weights=(vector(f"{name}.s", channels), vector(f"{name}.t", channels)))


def buffer(view: View, value: float | None = None) -> tuple[Tensor, Tensor]:
    """A buffer N x … x pitch, of random numbers or of one, and the slice N x C x … of it."""
    size = (view.batch, *view.spatial, view.pitch)
    wide = torch.randn(size) if value is None else torch.full(size, value)
    wide = wide.to(TORCH[view.dtype])
    return wide, wide.movedim(-1, 1).narrow(1, view.offset, view.channels)


def made(op: Op, shapes: list[tuple[int, ...]], batch: int, dtype: str, gaps: tuple[int, int] = (0, 0)) -> Task:
    """The task on slices of buffers, so many channels before and after."""
    types = tuple([TensorType(shape) for shape in shapes])
    out = op.infer(types, Prover()).plain().shape
    views = [View(batch, tuple(s), int(s[0]) + sum(gaps), gaps[0], dtype) for s in (*shapes, out)]  # type: ignore[misc]
    return Task(op, tuple(views[:-1]), views[-1])


def weights_of(op: Op) -> dict[str, Tensor]:
    if not isinstance(op, Absorbing):
        return {}
    return {name: torch.randn(recipe.dims) for name, recipe in op.weight_recipes().items()}


def run(kernel: Kernel, config: Config, task: Task, inputs: list[Tensor], weights: dict[str, Tensor]) -> Tensor:
    """The output; all of it was written, and nothing around it."""
    wide, y = buffer(task.output, math.inf)
    kernel.bind(task, config, inputs, y, kernel.pack(task, config, weights))()
    first, last = task.output.offset, task.output.offset + task.output.channels
    around = torch.cat([wide[..., :first], wide[..., last:]], -1)
    assert bool((around == math.inf).all()), "neighbours of the slice were written"
    return y


def check(name: str, task: Task, inputs: list[Tensor] | None = None, configs: slice = slice(None)) -> None:
    """Every configuration gives what PyTorch computes in fp32."""
    kernel = BY_NAME[name]
    assert kernel.claims(task, H200) == ""
    inputs = inputs or [buffer(view)[1] for view in task.inputs]
    weights = weights_of(task.op)
    expected = reference.run(task.op, [x.float() for x in inputs], weights)
    near = {"rtol": 1e-5, "atol": 2e-5} if task.output.dtype == "fp32" else {"rtol": 1e-2, "atol": 1e-2}
    for config in list(kernel.configs(task, H200))[configs]:
        found = run(kernel, config, task, inputs, weights)
        assert found.dtype == TORCH[task.output.dtype]
        torch.testing.assert_close(found.float(), expected, equal_nan=True, **near)


dtypes = st.sampled_from(["fp32", "fp16"])
gaps = st.sampled_from([(0, 0), (0, 3), (8, 8), (1, 4)])
channels = st.sampled_from([1, 3, 8, 20, 33])


@st.composite
def steps(draw: st.DrawFn, c: int, operands: int, most: int = 3) -> tuple[Steps, list[str]]:
    """Steps on c channels, and what the operands from number 1 on are: `map` or `gate`."""
    found: list[Step] = []
    kinds: list[str] = []
    for i in range(draw(st.integers(0, most))):
        choices = ["affine", "prelu", "scale", "leaky_relu", *UNARY] + ["add", "mul", "gate"] * (len(kinds) < operands)
        kind = draw(st.sampled_from(choices))
        if kind == "affine":
            found.append(norm(c, f"bn{i}"))
        elif kind == "prelu":
            found.append(Step(kind, weights=(vector(f"prelu{i}", c),)))
        elif kind in ("scale", "leaky_relu"):
            found.append(Step(kind, 0.3))
        elif kind in ("add", "mul", "gate"):
            kinds.append("gate" if kind == "gate" else "map")
            found.append(Step(kind, input=len(kinds)))
        else:
            found.append(Step(kind))
    return tuple(found), kinds


def operand_shapes(kinds: list[str], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [shape if kind == "map" else shape[:1] for kind in kinds]


@st.composite
def pools(draw: st.DrawFn) -> tuple[FusedPool, tuple[int, ...]]:
    axes = draw(st.sampled_from([1, 2, 2]))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(axes))
    op = FusedPool(
        kernel=kernel,
        stride=tuple(draw(st.integers(1, 3)) for _ in range(axes)),
        padding=tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel),
        dilation=(1,) * axes,
        rounding=draw(st.sampled_from(["floor", "ceil"])),
        kind=draw(st.sampled_from(["max", "avg"])),
        count_pad=draw(st.booleans()),
    )
    return op, (draw(channels), *(draw(st.integers(4, 9)) for _ in range(axes)))


@few
@given(pools(), st.integers(1, 3), dtypes, gaps, st.data())
def test_pools(
    drawn: tuple[FusedPool, tuple[int, ...]], batch: int, dtype: str, around: tuple[int, int], data: st.DataObject
) -> None:
    op, shape = drawn
    first, _ = data.draw(steps(shape[0], 0, 2))
    last, kinds = data.draw(steps(shape[0], 2, 2))
    op = op.replace(prologue=first, epilogue=last)
    slid = op.replace(epilogue=()).infer((TensorType(shape),), Prover()).plain().shape
    shapes = [shape, *operand_shapes(kinds, slid)]  # type: ignore[arg-type]
    check("pool", made(op, shapes, batch, dtype, around), configs=slice(None, None, 2))


def test_a_dilated_pool() -> None:
    op = FusedPool(
        kernel=(2, 3), stride=(1, 2), padding=((0, 0), (1, 1)), dilation=(3, 2), rounding="floor", kind="max"
    )
    x = torch.randn(2, 5, 9, 8)
    padded = torch.nn.functional.pad(x, (1, 1, 0, 0), value=-math.inf)
    expected = torch.nn.functional.max_pool2d(padded, (2, 3), (1, 2), 0, (3, 2))
    task = made(op, [(5, 9, 8)], 2, "fp32")
    source = buffer(task.inputs[0])[1].copy_(x)
    for config in BY_NAME["pool"].configs(task, H200):
        torch.testing.assert_close(run(BY_NAME["pool"], config, task, [source], {}), expected)


@few
@given(st.integers(1, 6), st.sampled_from([0.75, 0.5, 1.0, 0.6]), channels, dtypes, gaps)
def test_lrn(n: int, beta: float, c: int, dtype: str, around: tuple[int, int]) -> None:
    check("lrn", made(LRN(n, 1.5, 0.3, beta), [(c, 3, 5)], 2, dtype, around))


@few
@given(st.sampled_from(["max", "avg"]), channels, dtypes, gaps, st.data())
def test_means(kind: str, c: int, dtype: str, around: tuple[int, int], data: st.DataObject) -> None:
    first, _ = data.draw(steps(c, 0))
    last, kinds = data.draw(steps(c, 2))
    op = FusedMean(kind=kind, prologue=first, epilogue=last)
    spatial = data.draw(st.sampled_from([(1,), (7, 5), (2, 3, 3)]))
    check("mean", made(op, [(c, *spatial), *operand_shapes(kinds, (c,))], 3, dtype, around), configs=slice(2))


@few
@given(channels, st.sampled_from([1, 10, 37]), st.booleans(), dtypes, gaps, st.data())
def test_heads(c: int, features: int, bias: bool, dtype: str, around: tuple[int, int], data: st.DataObject) -> None:
    first, _ = data.draw(steps(c, 0))
    last, kinds = data.draw(steps(features, 1))
    weight = Parameter("fc.weight", (features, c))
    op = Head(features, weight, vector("fc.bias", features) if bias else None, first, last)
    task = made(op, [(c, 3, 4), *operand_shapes(kinds, (features,))], 2, dtype, around)
    forms = [config.get("form", "one") for config in BY_NAME["head"].configs(task, H200)]
    assert {"one", "two"} == set(forms)
    check("head", task, configs=slice(forms.index("one"), None, 3))
    check("head", task, configs=slice(forms.index("two"), forms.index("two") + 1))


def test_many_samples_share_the_weights_of_a_head() -> None:
    op = Head(out_features=10, weight=Parameter("w", (10, 8)))
    task = made(op, [(8, 2, 2)], 32, "fp16")
    assert all(config.get("form") == "two" for config in BY_NAME["head"].configs(task, H200))


@few
@given(channels, dtypes, gaps, st.data())
def test_pointwise(c: int, dtype: str, around: tuple[int, int], data: st.DataObject) -> None:
    chain, kinds = data.draw(steps(c, 4, 6))
    spatial = data.draw(st.sampled_from([(), (5,), (3, 4)]))
    op = Pointwise(epilogue=chain)
    shapes = [(c, *spatial), *operand_shapes(kinds, (c, *spatial))]
    check("pointwise", made(op, shapes, 2, dtype, around), configs=slice(1))


def test_more_operands_than_a_kernel_takes_are_several_launches() -> None:
    op = Pointwise(epilogue=(*(Step("add", input=i) for i in range(1, 6)), Step("scale", 0.25), norm(4)))
    task = made(op, [(4, 3, 3)] * 6, 2, "fp32", (1, 2))
    assert BY_NAME["pointwise"].launches(task, {}) == 3
    check("pointwise", task)


@few
@given(st.lists(channels, min_size=1, max_size=4), dtypes, gaps)
def test_concatenations(parts: list[int], dtype: str, around: tuple[int, int]) -> None:
    check("copy", made(Concat(), [(c, 3, 5) for c in parts], 2, dtype, around))


def test_an_input_that_lies_in_its_place_stays() -> None:
    task = made(Concat(), [(4, 3, 3), (8, 3, 3)], 2, "fp32")
    _, y = buffer(task.output)
    first, second = y[:, :4], buffer(task.inputs[1])[1]
    task = task.replace(inputs=(task.inputs[0].replace(pitch=12), task.inputs[1]))
    before = first.clone()
    BY_NAME["copy"].bind(task, BY_NAME["copy"].configs(task, H200)[0], [first, second], y, ())()
    assert torch.equal(y[:, :4], before) and torch.equal(y[:, 4:], second)


@few
@given(channels, dtypes, gaps, st.data())
def test_channels(c: int, dtype: str, around: tuple[int, int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, c - 1))
    count = data.draw(st.integers(1, c - start))
    check("copy", made(Channels(start, count), [(c, 3, 5)], 2, dtype, around))


# --- what is not finite ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("name", "op"),
    [
        (
            "pool",
            FusedPool(
                kernel=(3, 3),
                stride=(2, 2),
                padding=((1, 1), (1, 1)),
                dilation=(1, 1),
                rounding="floor",
                kind=kind,
                epilogue=(Step("relu"),),
            ),
        )
        for kind in ("max", "avg")
    ]
    + [("mean", FusedMean(kind=kind, epilogue=(Step("relu"),))) for kind in ("max", "avg")]
    + [
        ("lrn", LRN()),
        ("pointwise", Pointwise(epilogue=(Step("relu"),))),
        ("copy", Channels(0, 4)),
        ("head", Head(out_features=3, weight=Parameter("w", (3, 4)))),
    ],
)
def test_what_is_not_finite_is_handed_on(name: str, op: Op, value: float) -> None:
    """NaN stays NaN, through a ReLU and through a maximum; infinities as in PyTorch."""
    task = made(op, [(4, 5, 5)], 1, "fp32")
    x = buffer(task.inputs[0])[1]
    x[0, 1, 2, 3] = value
    check(name, task, [x])


# --- what is not claimed, what runs all the same, what it costs -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "op", "shape", "reason"),
    [
        ("pool", Pointwise(epilogue=()), (4, 3, 3), "not a pool"),
        (
            "pool",
            FusedPool(
                kernel=(2, 2, 2),
                stride=(2, 2, 2),
                padding=((0, 0),) * 3,
                dilation=(1, 1, 1),
                rounding="floor",
                kind="max",
            ),
            (4, 4, 4, 4),
            "more than two axes",
        ),
        (
            "pool",
            FusedPool(
                kernel=(9, 9), stride=(1, 1), padding=((0, 0),) * 2, dilation=(1, 1), rounding="floor", kind="max"
            ),
            (4, 9, 9),
            "a window of more than 64 places",
        ),
        ("lrn", LRN(n=65), (4, 3, 3), "more than 64 neighbours"),
        ("copy", Concat(axis="H"), (4, 3, 3), "it does not just move channels"),
    ],
)
def test_what_is_not_claimed_runs_all_the_same(name: str, op: Op, shape: tuple[int, ...], reason: str) -> None:
    task = made(op, [shape], 1, "fp32")
    assert BY_NAME[name].claims(task, H200) == reason
    check("fallback", task)


def test_a_fallback_has_the_weights_it_is_given() -> None:
    op = Head(out_features=3, weight=Parameter("w", (3, 4)), bias=vector("b", 3), prologue=(norm(4), Step("relu")))
    check("fallback", made(op, [(4, 3, 3)], 2, "fp32", (2, 1)))


@pytest.mark.parametrize("name", ["pool", "lrn", "mean", "head", "pointwise", "copy"])
def test_costs_follow_the_bytes(name: str) -> None:
    """Four times the pixels of a large map take four times as long, a tiny one what a launch takes."""
    ops: dict[str, Op] = {
        "pool": FusedPool(
            kernel=(2, 2), stride=(2, 2), padding=((0, 0),) * 2, dilation=(1, 1), rounding="floor", kind="max"
        ),
        "lrn": LRN(),
        "mean": FusedMean(kind="avg"),
        "head": Head(out_features=8, weight=Parameter("w", (8, 64))),
        "pointwise": Pointwise(epilogue=(Step("relu"),)),
        "copy": Channels(0, 64),
    }
    kernel, seconds = BY_NAME[name], []
    for size in (2, 512, 1024):
        task = made(ops[name], [(64, size, size)], 16, "fp16")
        seconds.append(kernel.seconds(task, kernel.configs(task, H200)[0], H200))
    assert seconds[0] < 1e-5
    assert 3.8 < seconds[2] / seconds[1] < 4.1
