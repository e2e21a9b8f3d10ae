"""The PyTorch backend: the module computes what the graph says, its source is good Python, and PyTorch likes it.

`Reading` is a second opinion on numbers: it computes a network straight from its graph, op by op, from the formulas.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import netdsl
from netdsl.backend import load_backend
from netdsl.files import shipped
from netdsl.graph import Call, Graph, layers, parts
from netdsl.net import Net
from netdsl.ops import Op

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from modules import without_dropout  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

SHIPPED = tuple(shipped())
COMPUTED = {
    "alexnet": "3x67x67",
    "densenet121": "3x64x64",
    "fractalnet": "3x32x32",
    "googlenet": "3x80x80",
    "lenet5": "1x32x32",
    "nin_cifar10": "3x32x32",
    "preact_resnet164": "3x32x32",
    "resnet18": "3x64x64",
    "resnet50": "3x64x64",
    "squeezenet1_1": "3x64x64",
    "unet_padded": "1x32x32",
    "vgg16": "3x32x32",
}
"""One network of each family, with an input small enough to compute with. test_peers.py computes with all of them."""

OPEN = {"unet_padded": "1x64x64"}
"""Networks whose text leaves the size of the input open, and a size."""
MODULES = {"inception_naive", "inception_bottleneck"}
"""Parts of networks, without classes."""


@cache
def full(name: str) -> Net:
    return netdsl.load(name, input=OPEN.get(name))


@cache
def small(name: str) -> Net:
    return netdsl.load(name, input=COMPUTED[name])


@cache
def shared_module(name: str) -> nn.Module:
    """A shipped network at its small size, for tests that leave it as it is."""
    torch.manual_seed(0)
    return small(name).compile()


def fresh_module(name: str) -> nn.Module:
    return copy.deepcopy(shared_module(name))


@cache
def on_meta(name: str) -> nn.Module:
    """A shipped network at full size, without memory."""
    with torch.device("meta"):
        return full(name).compile()


def loads(text: str, **options: Any) -> Net:
    return netdsl.loads(textwrap.dedent(text), name="test.net", **options)


def compiled(text: str, **options: Any) -> nn.Module:
    return loads(text, **options).compile()


def inputs_of(net: Net, batch: int = 2, size: int = 8, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Random inputs; open sizes become `size`. What goes into a table of words is numbers of words."""
    shapes = [[n if isinstance(n, int) else size for n in shape] for shape in net.inputs.values()]
    words = {node.inputs[0]: node.op.vocabulary for node in net.graph.nodes if node.op.name == "embedding"}
    return [
        torch.randint(words[i], (batch, *shape)) if i in words else torch.randn(batch, *shape, dtype=dtype)
        for i, shape in enumerate(shapes)
    ]


def tensors(result: Any) -> tuple[Tensor, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def weight_names(net: Net) -> list[str]:
    every = layers(net.graph, training=True)
    return [f"{layer.name}.{weight.name}" for layer in every for weight in layer.op.weights(layer.input_types)]


def python(code: str, *arguments: str, flags: tuple[str, ...] = (), **environment: str) -> str:
    """What a fresh process prints. It must end well."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, *flags, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- a second opinion -------------------------------------------------------------------------------------------------


Weights = dict[str, Tensor]


def sides(pairs: Any) -> list[int]:
    """As F.pad takes them: the last axis first."""
    return [n for before, after in reversed(tuple(pairs)) for n in (before, after)]


def windows_of(x: Tensor, op: Any, padding: float, beyond: float) -> Tensor:
    """All windows of a pool, their own axes last, with values for the padding and for what lies beyond it."""
    tails = []
    for size, k, s, (before, after) in zip(x.shape[2:], op.kernel, op.stride, op.padding, strict=True):
        total = size + before + after
        starts = range(0, total - k + 1, s)
        last = starts[-1]
        if op.rounding == "ceil" and last + k < total and last + s < size + before:
            last += s
        tails.append((0, max(0, last + k - total)))
    x = F.pad(F.pad(x, sides(op.padding), value=padding), sides(tails), value=beyond)
    for axis, (k, s) in enumerate(zip(op.kernel, op.stride, strict=True), 2):
        x = x.unfold(axis, k, s)
    return x


def average(op: Any, x: Tensor) -> Tensor:
    axes = tuple(range(x.dim(), 2 * x.dim() - 2))
    inside = torch.ones_like(x[:1, :1])
    count = windows_of(inside, op, float(op.count_pad), 0.0).sum(axes)
    return windows_of(x, op, 0.0, 0.0).sum(axes) / count


def convolution(op: Any, x: Tensor, w: Weights) -> Tensor:
    conv = (F.conv1d, F.conv2d, F.conv3d)[x.dim() - 3]
    return conv(F.pad(x, sides(op.padding)), w["weight"], w.get("bias"), op.stride, 0, op.dilation, op.groups)


def transposed(op: Any, x: Tensor, w: Weights) -> Tensor:
    """By the definition: each value lays a window down, the windows are summed, and the padding is taken off."""
    rank, each = x.dim() - 2, w["weight"].shape[1]
    reach = [d * (k - 1) + 1 for d, k in zip(op.dilation, op.kernel, strict=True)]
    sizes = [(n - 1) * s + r for n, s, r in zip(x.shape[2:], op.stride, reach, strict=True)]
    out = x.new_zeros(len(x), op.out_channels, *(n + more for n, more in zip(sizes, op.out_padding, strict=True)))
    share = x.shape[1] // op.groups
    for at in itertools.product(*(range(k) for k in op.kernel)):
        tap = w["weight"][(slice(None), slice(None), *at)]
        place = tuple(
            slice(a * d, a * d + (n - 1) * s + 1, s) for a, d, n, s in zip(at, op.dilation, x.shape[2:], op.stride)
        )
        for g in range(op.groups):
            came = torch.einsum("ni...,io->no...", x[:, g * share : (g + 1) * share], tap[g * share : (g + 1) * share])
            out[(slice(None), slice(g * each, (g + 1) * each), *place)] += came
    out = out[(..., *(slice(p, n - p) for p, n in zip(op.padding, out.shape[2:], strict=True)))]
    return out + w["bias"].view(-1, *[1] * rank) if op.bias else out


def batch_norm(op: Any, x: Tensor, w: Weights, training: bool) -> Tensor:
    if training:
        w["num_batches_tracked"] += 1
    return F.batch_norm(
        x, w["running_mean"], w["running_var"], w["weight"], w["bias"], training, float(op.momentum), float(op.eps)
    )


def local_response(op: Any, x: Tensor) -> Tensor:
    channels = x.shape[1]
    squares = [x[:, max(0, c - op.n // 2) : c + (op.n - 1) // 2 + 1].square().sum(1) for c in range(channels)]
    return x / (float(op.k) + float(op.alpha) * torch.stack(squares, 1)) ** float(op.beta)


def resized(x: Tensor, sizes: Sequence[int], mode: str, align_corners: bool = False) -> Tensor:
    for axis, size in enumerate(sizes, 2):
        n = x.shape[axis]
        weights = x.new_zeros(size, n)
        for i, row in enumerate(weights):
            at = (i + 0.5) * n / size - 0.5
            if align_corners:
                at = i * (n - 1) / max(1, size - 1)
            low = i * n // size if mode == "nearest" else min(int(max(at, 0)), n - 1)
            share = 0.0 if mode == "nearest" else max(at, 0) - low
            row[low] += 1 - share
            row[min(low + 1, n - 1)] += share
        x = torch.tensordot(x, weights, ([axis], [1])).movedim(-1, axis)
    return x


def adaptive(op: Any, x: Tensor, reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    for axis, n in enumerate(op.size, 2):
        size = x.shape[axis]
        parts = [x.narrow(axis, i * size // n, -(-(i + 1) * size // n) - i * size // n) for i in range(n)]
        x = torch.stack([reduce(part, axis) for part in parts], axis)
    return x


def standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    apart = x - x.mean(axes, keepdim=True)
    return apart / (apart.square().mean(axes, keepdim=True) + eps).sqrt()


def normalised(op: Any, x: Tensor, w: Weights) -> Tensor:
    """Layer, group and instance norm."""
    if op.name == "layernorm":
        y = standardised(x, (1,), op.eps)
    else:
        groups = op.groups if op.name == "groupnorm" else x.shape[1]
        apart = x.reshape(len(x), groups, -1)
        y = standardised(apart, (2,), op.eps).reshape(x.shape)
    return torch.einsum("nc...,c->nc...", y, w["weight"]) + channels(w["bias"], x) if op.affine else y


def channels(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.dim() - 2))


def kept(op: Any, x: Tensor) -> Tensor:
    for axis, size in enumerate(op.size, 2):
        before = math.floor((x.shape[axis] - size) / 2) if op.offset is None else op.offset[axis - 2]
        x = torch.stack([row for i, row in enumerate(x.unbind(axis)) if before <= i < before + size], axis)
    return x


def padded(op: Any, x: Tensor) -> Tensor:
    """Row by row: where each comes from."""
    for axis, (before, after) in enumerate(op.padding, 2):
        rows, last = x.unbind(axis), x.shape[axis] - 1
        out = []
        for i in range(-before, last + 1 + after):
            edge = min(max(i, 0), last)
            found = {"zeros": edge, "replicate": edge, "reflect": 2 * edge - i}[op.mode]
            out.append(rows[found] * (op.mode != "zeros" or i == edge))
        x = torch.stack(out, axis)
    return x


def sliced(op: Any, x: Tensor) -> Tensor:
    axis = 1 + {2: "C", 3: "CW", 4: "CHW", 5: "CDHW"}[x.dim()].index(op.axis)
    rows = x.unbind(axis)
    return torch.stack(rows[op.start : len(rows) if op.stop is None else op.stop], axis)


def shuffled(x: Tensor, groups: int) -> Tensor:
    n = x.shape[1] // groups
    return torch.stack([x[:, j * n + i] for i in range(n) for j in range(groups)], 1)


def reshaped(op: Any, x: Tensor) -> Tensor:
    sizes = [-1 if size is None or not isinstance(size, int) else int(size) for size in op.shape]
    return torch.stack([torch.from_numpy(sample.numpy().copy().reshape(sizes)) for sample in x])


def cells(op: Any, x: Tensor, w: Weights, end: str) -> Tensor:
    """The states of one layer in one direction, a list of steps x_t by a list of steps."""
    n = op.hidden
    h = c = x.new_zeros(len(x), n)
    states = []
    for x_t in x.unbind(2):
        a = x_t @ w[f"weight_ih_{end}"].T + (w[f"bias_ih_{end}"] if op.bias else 0)
        b = h @ w[f"weight_hh_{end}"].T + (w[f"bias_hh_{end}"] if op.bias else 0)
        if op.name == "rnn":
            h = (a + b).clamp(min=0) if op.activation == "relu" else torch.tanh(a + b)
        elif op.name == "gru":
            r, z = (1 / (1 + torch.exp(-part)) for part in (a + b)[:, : 2 * n].split(n, 1))
            h = (1 - z) * torch.tanh(a[:, 2 * n :] + r * b[:, 2 * n :]) + z * h
        else:
            i, f, g, o = (a + b).split(n, 1)
            c = c / (1 + torch.exp(-f)) + torch.tanh(g) / (1 + torch.exp(-i))
            h = torch.tanh(c) / (1 + torch.exp(-o))
        states.append(h)
    return torch.stack(states, 2)


def recurrent(op: Any, x: Tensor, w: Weights) -> Tensor:
    for layer in range(op.layers):
        forward = cells(op, x, w, f"l{layer}")
        last = forward[:, :, -1]
        if op.bidirectional:
            back = cells(op, x.flip(2), w, f"l{layer}_reverse")
            last = torch.cat([last, back[:, :, -1]], 1)
            forward = torch.cat([forward, back.flip(2)], 1)
        x = forward
    return last if op.last else x


def attention(op: Any, x: Tensor, w: Weights) -> Tensor:
    """Head by head, step by step."""
    c, d = x.shape[1], x.shape[1] // op.heads
    into, out = w["in_proj_weight"], w["out_proj.weight"]
    q, k, v = (torch.einsum("oc,nct->not", into[i * c : (i + 1) * c], x) for i in range(3))
    if op.bias:
        q, k, v = (y + w["in_proj_bias"][i * c : (i + 1) * c, None] for i, y in enumerate((q, k, v)))
    heads = []
    for h in range(op.heads):
        part = slice(h * d, (h + 1) * d)
        scores = torch.einsum("nct,ncs->nts", q[:, part], k[:, part]) / math.sqrt(d)
        share = torch.exp(scores - scores.amax(2, keepdim=True))
        if op.causal:
            share = share * torch.ones_like(share).tril()
        heads.append(torch.einsum("nts,ncs->nct", share / share.sum(2, keepdim=True), v[:, part]))
    y = torch.einsum("oc,nct->not", out, torch.cat(heads, 1))
    return y + w["out_proj.bias"][:, None] if op.bias else y


def waves(x: Tensor) -> Tensor:
    c = x.shape[1]
    rows = [
        [(math.cos if i % 2 else math.sin)(t / 10000 ** (2 * (i // 2) / c)) for t in range(x.shape[2])]
        for i in range(c)
    ]
    return torch.tensor(rows, dtype=x.dtype)


def space(x: Tensor) -> tuple[int, ...]:
    return tuple(range(2, x.dim()))


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """Every value times the factor at its place; a gate without an axis, or with one value on it, has the same all along."""
    factors = gate.reshape(*gate.shape, *[1] * (x.dim() - gate.dim()))
    for axis in range(1, x.dim()):
        if factors.shape[axis] == 1:
            factors = factors.repeat_interleave(x.shape[axis], axis)
    assert factors.shape == x.shape
    return x * factors


def cropped(op: Any, x: Tensor, like: Tensor) -> Tensor:
    for axis, size in enumerate(like.shape[2:], 2):
        start = (x.shape[axis] - size) // 2 if op.offset is None else op.offset[axis - 2]
        x = x.index_select(axis, torch.arange(start, start + size))
    return x


FORMULAS: dict[str, Callable[[Any, list[Tensor], Weights, bool], Tensor]] = {
    "conv": lambda op, xs, w, training: convolution(op, xs[0], w),
    "conv_transpose": lambda op, xs, w, training: transposed(op, xs[0], w),
    "linear": lambda op, xs, w, training: xs[0] @ w["weight"].T + (w["bias"] if op.bias else 0),
    "batchnorm": lambda op, xs, w, training: batch_norm(op, xs[0], w, training),
    "maxpool": lambda op, xs, w, training: windows_of(xs[0], op, -math.inf, -math.inf).flatten(xs[0].dim()).amax(-1),
    "avgpool": lambda op, xs, w, training: average(op, xs[0]),
    "adaptive_avgpool": lambda op, xs, w, training: adaptive(op, xs[0], lambda part, axis: part.mean(axis)),
    "adaptive_maxpool": lambda op, xs, w, training: adaptive(op, xs[0], lambda part, axis: part.amax(axis)),
    "layernorm": lambda op, xs, w, training: normalised(op, xs[0], w),
    "groupnorm": lambda op, xs, w, training: normalised(op, xs[0], w),
    "instancenorm": lambda op, xs, w, training: normalised(op, xs[0], w),
    "globalavgpool": lambda op, xs, w, training: xs[0].mean(space(xs[0])),
    "globalmaxpool": lambda op, xs, w, training: xs[0].amax(space(xs[0])),
    "flatten": lambda op, xs, w, training: xs[0].reshape(*xs[0].shape[: 1 + (op.axes == "spatial")], -1),
    "crop": lambda op, xs, w, training: kept(op, xs[0]),
    "pad": lambda op, xs, w, training: padded(op, xs[0]),
    "slice": lambda op, xs, w, training: sliced(op, xs[0]),
    "channel_shuffle": lambda op, xs, w, training: shuffled(xs[0], op.groups),
    "reshape": lambda op, xs, w, training: reshaped(op, xs[0]),
    "rnn": lambda op, xs, w, training: recurrent(op, xs[0], w),
    "gru": lambda op, xs, w, training: recurrent(op, xs[0], w),
    "lstm": lambda op, xs, w, training: recurrent(op, xs[0], w),
    "attention": lambda op, xs, w, training: attention(op, xs[0], w),
    "embedding": lambda op, xs, w, training: torch.stack([w["weight"][row.int()].T for row in xs[0]]),
    "tokens": lambda op, xs, w, training: torch.cat([torch.stack([w["weight"]] * len(xs[0])), xs[0]], 2),
    "positions": lambda op, xs, w, training: torch.stack([x + w["weight"] for x in xs[0]]),
    "sinusoidal_positions": lambda op, xs, w, training: xs[0] + waves(xs[0]),
    "transpose": lambda op, xs, w, training: xs[0].movedim(
        [1 + axis for axis in op.order], list(range(1, xs[0].dim()))
    ),
    "lrn": lambda op, xs, w, training: local_response(op, xs[0]),
    "relu": lambda op, xs, w, training: xs[0].clamp(min=0),
    "relu6": lambda op, xs, w, training: xs[0].clamp(0, 6),
    "leaky_relu": lambda op, xs, w, training: torch.where(xs[0] > 0, xs[0], float(op.slope) * xs[0]),
    "prelu": lambda op, xs, w, training: torch.where(xs[0] > 0, xs[0], channels(w["weight"], xs[0]) * xs[0]),
    "hard_swish": lambda op, xs, w, training: xs[0] * (xs[0] + 3).clamp(0, 6) / 6,
    "hard_sigmoid": lambda op, xs, w, training: (xs[0] + 3).clamp(0, 6) / 6,
    "mish": lambda op, xs, w, training: xs[0] * (1 - 2 / ((1 + torch.exp(xs[0])) ** 2 + 1)),
    "softplus": lambda op, xs, w, training: xs[0].clamp(min=0) + torch.log1p(torch.exp(-xs[0].abs())),
    "elu": lambda op, xs, w, training: torch.where(xs[0] > 0, xs[0], torch.expm1(xs[0])),
    "gelu": lambda op, xs, w, training: xs[0] * (1 + torch.erf(xs[0] / math.sqrt(2))) / 2,
    "silu": lambda op, xs, w, training: xs[0] / (1 + torch.exp(-xs[0])),
    "sigmoid": lambda op, xs, w, training: 1 / (1 + torch.exp(-xs[0])),
    "tanh": lambda op, xs, w, training: (torch.exp(2 * xs[0]) - 1) / (torch.exp(2 * xs[0]) + 1),
    "softmax": lambda op, xs, w, training: torch.exp(xs[0]) / torch.exp(xs[0]).sum(1, keepdim=True),
    "scale": lambda op, xs, w, training: op.factor * xs[0],
    "layer_scale": lambda op, xs, w, training: torch.einsum("nc...,c->nc...", xs[0], w["weight"]),
    "dropout": lambda op, xs, w, training: xs[0],  # in training, tests set p = 0
    "spatial_dropout": lambda op, xs, w, training: xs[0],
    "stochastic_depth": lambda op, xs, w, training: xs[0] if training else xs[0] - op.p * xs[0],
    "drop_path": lambda op, xs, w, training: xs[0],
    "upsample": lambda op, xs, w, training: resized(
        xs[0], [n * f for n, f in zip(xs[0].shape[2:], op.factor)], op.mode, op.align_corners
    ),
    "resize_to": lambda op, xs, w, training: resized(xs[0], xs[1].shape[2:], op.mode),
    "add": lambda op, xs, w, training: torch.stack(xs).sum(0),
    "mean": lambda op, xs, w, training: torch.stack(xs).mean(0),
    "product": lambda op, xs, w, training: torch.stack(xs).prod(0),
    "gate": lambda op, xs, w, training: gated(*xs),
    "join": lambda op, xs, w, training: torch.stack(xs).mean(0),  # its drop-path is tested apart
    "concat": lambda op, xs, w, training: torch.cat(
        xs,
        "CDHW".index(op.axis) + 1
        if xs[0].dim() == 5
        else {"C": 1, "W": xs[0].dim() - 1, "H": xs[0].dim() - 2}[op.axis],
    ),
    "crop_to": lambda op, xs, w, training: cropped(op, *xs),
    "pad_channels": lambda op, xs, w, training: torch.cat(
        [xs[0], xs[0].new_zeros(len(xs[0]), op.channels, *xs[0].shape[2:])], 1
    ),
}


class Reading:
    """A network computed from its graph. Weights are taken from a state in order of execution; buffers are written."""

    def __init__(self, net: Net, state: dict[str, Tensor], training: bool) -> None:
        self.net, self.state, self.training = net, state, training
        self.names = iter(state)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values = self.body(self.net.graph, list(inputs))
        assert next(self.names, None) is None, "the module has more weights than the graph"
        return tuple(values[out.value] for out in self.net.graph.outputs if self.training or not out.training)

    def body(self, body: Graph[Any], values: list[Tensor]) -> list[Tensor]:
        for node in body.nodes:
            xs = [values[v] for v in node.inputs]
            if isinstance(node.op, Op):
                types = tuple(body.type_of(v) for v in node.inputs)
                w = {weight.name: self.state[next(self.names)] for weight in node.op.weights(types)}
                values.append(FORMULAS[node.op.name](node.op, xs, w, self.training))
                continue
            current = xs[0]
            for run in parts(node.op):
                taken = xs[1:] if isinstance(node.op, Call) else [xs[k] for k in run.captured]
                for _ in range(run.count):
                    inner = self.body(run.call.body, [current, *taken])
                    current = inner[run.call.body.outputs[0].value]
            values.append(current)
        return values


def assert_means_its_graph(net: Net, module: nn.Module, **sizes: int) -> None:
    """Outputs, and in training the running statistics, are those of the graph."""
    module.double()
    for training in (False, True):
        module.train(training)
        if training:
            without_dropout(module)
        state = {name: value.clone() for name, value in module.state_dict().items()}
        inputs = inputs_of(net, batch=3, dtype=torch.float64, **sizes)
        with torch.no_grad():
            found, wanted = tensors(module(*inputs)), Reading(net, state, training)(*inputs)
        assert len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert a.shape == b.shape
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)
        torch.testing.assert_close(dict(module.state_dict()), state, rtol=1e-8, atol=1e-9)


# --- the shipped networks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_parameters_are_those_of_the_network(name: str) -> None:
    net, module = full(name), on_meta(name)
    assert sum(p.numel() for p in module.parameters()) == net.params
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == net.trainable_params


@pytest.mark.parametrize("name", SHIPPED)
def test_state_is_named_like_the_layers_in_order_of_execution(name: str) -> None:
    net, state = full(name), on_meta(name).state_dict()
    assert list(state) == weight_names(net)
    shapes = [w.shape for layer in layers(net.graph, training=True) for w in layer.op.weights(layer.input_types)]
    assert [tuple(value.shape) for value in state.values()] == shapes


LEARNED = {
    "conv": nn.Conv1d | nn.Conv2d,
    "conv_transpose": nn.ConvTranspose2d,
    "linear": nn.Linear,
    "batchnorm": nn.BatchNorm2d,
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "attention": nn.MultiheadAttention,
    "layernorm": nn.LayerNorm,
    "tokens": nn.Module,
    "positions": nn.Module,
    "layer_scale": nn.Module,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_modules_are_found_under_the_names_of_the_layers(name: str) -> None:
    module = on_meta(name)
    learned = [layer for layer in full(name).layers if layer.params]
    assert learned
    for layer in learned:
        assert isinstance(module.get_submodule(layer.name), LEARNED[layer.op.name]), layer.name


@pytest.mark.parametrize("name", SHIPPED)
def test_output_shapes(name: str) -> None:
    net, module = full(name), on_meta(name)
    x = torch.empty(2, *next(iter(net.inputs.values())), device="meta")
    final = [tuple(shape) for shape in net.outputs.values()]
    heads = [tuple(shape) for shape in net.training_outputs.values()]
    assert [tuple(y.shape[1:]) for y in tensors(module.eval()(x))] == final
    assert [tuple(y.shape[1:]) for y in tensors(module.train()(x))] == final + heads


@pytest.mark.parametrize("name", COMPUTED)
def test_a_shipped_network_means_its_graph(name: str) -> None:
    assert_means_its_graph(small(name), fresh_module(name))


def test_googlenet_returns_a_tensor_or_in_training_a_named_tuple() -> None:
    module = fresh_module("googlenet")
    (x,) = inputs_of(small("googlenet"))
    assert isinstance(module.eval()(x), Tensor)
    result = module.train()(x)
    assert result._fields == ("logits", "aux1", "aux2")
    assert result.logits is result[0]
    assert [tuple(y.shape) for y in result] == [(2, 1000)] * 3


# --- what a text means ------------------------------------------------------------------------------------------------


MEANINGS = {
    "defaults that change between equal calls": """
        block b(c) = CONV c
        net t
        input 8 x 8 x 8
        default CONV tanh
        b(8)
        default CONV relu
        b(8)
        default FC relu
        default CONV gelu
        b(8)
        b(8)
        default CONV tanh
        b(8)
    """,
    "a norm and its activation on lines apart": """
        net t
        input 3 x 8 x 8
        a = CONV 4
        n = a -> BN
        m = a -> CONV 4
        r = n -> RELU
        m + r
    """,
    "a path in a block that speaks of its input": """
        block b() = CONV (2*C) 1x1 -> (identity + CONV C) * 2
        net t
        input 3 x 8 x 8
        CONV 8 -> b -> CONV 6 -> b
    """,
    "a loop in a loop": """
        net t
        input 3 x 8 x 8
        CONV 15
        for i in 0..2 do (for j in 0..3 do CONV (6 + 10*i + 3*j) relu)
    """,
    "a name that is a number and a rate": """
        block g(c) = CONV c
        block r(f, c) = f -> (identity + CONV C) -> LEAKY_RELU c
        net t
        input 8 x 8 x 8
        r(g(16), 0.5) -> r(g(32), 0.5)
    """,
    "a training output from the middle": """
        net t
        input 3 x 8 x 8
        CONV 8 relu
        output aux = GAP -> FC 3
        CONV 16 relu
        GAP -> FC 5
    """,
    "a training output that is a label": """
        net t
        input 3 x 8 x 8
        a = CONV 8 relu
        output aux = a
        b = CONV 16 relu -> POOL
        CONV 4
        output aux2 = b -> BN
        GAP -> FC 5
    """,
    "a training output that is the output": """
        net t
        input 3 x 8 x 8
        a = CONV 4
        output aux = a
    """,
    "training outputs beside several outputs": """
        net t
        input 3 x 8 x 8
        a = CONV 8 bn relu
        output aux = GAP -> FC 3
        b = CONV 4
        output b, a
    """,
    "several inputs and outputs": """
        net t
        input left = 3 x 8 x 8
        input right = 4 x 8 x 8
        a = left -> CONV 6 relu
        b = right -> CONV 6 relu
        c = (a + b) -> CONV 5
        d = a | b
        output c, d, a
    """,
    "an input that is an output": """
        net t
        input left = 3 x 8 x 8
        a = left -> CONV 4
        output a, left
    """,
    "an output used further on": """
        net t
        input 3 x 8 x 8
        a = CONV 4
        b = RELU
        CONV 5
        output a, b
    """,
    "a skip as an argument": """
        block up1(skip, c) = UPSAMPLE -> (identity | skip) -> CONV c relu
        net t
        input 3 x 8 x 8
        s1 = CONV 4 relu
        s2 = POOL -> CONV 8 relu
        POOL -> CONV 8 relu
        up1(s2, 6)
        up1(s1, 5)
        CONV 2 1x1
    """,
    "two skips as arguments": """
        block both(a, b, c) = ((CONV c | a) + (CONV c | b)) -> CONV c
        net t
        input 3 x 8 x 8
        p = CONV 4
        q = CONV 4 relu
        CONV 3
        both(p, q, 5)
        both(q, p, 6)
    """,
    "a repeat whose body uses a label": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        RELU
        (identity + (s -> CONV 4 relu)) * 3
    """,
    "a repeat that is the last to use a label": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        a = RELU
        (identity + (s -> CONV 4 relu)) * 3
        identity + a
    """,
    "a repeat that starts from the label it uses": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        (identity + (s -> CONV 4 relu)) * 3
    """,
    "a repeat over two labels": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        r = CONV 4 relu
        TANH
        (identity + (s -> CONV 4 relu) + r) * 2
        identity + r
    """,
    "a label called as the loop's variable": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        step = RELU
        CONV 4
        (identity + (s -> CONV 4 relu)) * 3
        identity + step
    """,
    "a repeat that grows over a label": """
        net t
        input 4 x 8 x 8
        s = CONV 4
        RELU
        (identity | (s -> CONV 3 relu)) * 3
        CONV 2
    """,
    "a repeat inside a repeat": """
        block inner = (CONV C relu) * 2 + identity
        net t
        input 4 x 8 x 8
        (inner * 3 -> BN) * 2
    """,
    "growth by the block's own number": """
        block layer(k) = identity | CONV (k+1) relu
        block g(k) = RELU -> layer(k) * 4 -> TANH
        net t
        input 3 x 8 x 8
        g(4) -> g(5)
    """,
    "growth by twice the block's own number": """
        block layer(k) = identity | (CONV (2*k) relu | CONV k)
        block g(k) = RELU -> layer(k) * 3 -> TANH
        net t
        input 3 x 8 x 8
        g(2) -> g(3) -> g(4)
    """,
    "growth by halves": """
        block grow = CONV floor(C*3/2) 1x1
        block g = RELU -> grow * 3 -> TANH
        net t
        input 2 x 8 x 8
        g -> g -> g
    """,
    "for": """
        net t
        input 3 x 8 x 8
        for i in 1..5 do CONV (8*i) relu
        for i in 1..4 do identity | CONV (2*i) relu
        for i in 1..3 do TANH
    """,
    "for inside a block": """
        block g(k) = RELU -> (for i in 1..4 do identity | CONV (k*i) relu) -> TANH
        net t
        input 3 x 8 x 8
        g(3) -> g(5)
    """,
    "blocks with equal numbers by chance": """
        block b(c, d, stride=1) = (CONV c /stride relu -> CONV d) + CONV d 1x1 /stride
        net t
        input 2 x 16 x 16
        b(2, 4, stride=2) -> b(4, 8, stride=2) -> b(1, 2, stride=1)
    """,
    "blocks with blocks": """
        block twice(f) = f + f
        net t
        input 4 x 8 x 8
        twice(CONV 4 relu) -> twice(twice(BN)) -> twice((CONV C -> TANH) * 2)
    """,
    "dense blocks inside a block": """
        block d(n, k) = identity | (dense_block(n, k) -> CONV k relu)
        net t
        input 3 x 8 x 8
        d(3, 4) -> d(3, 6) -> d(2, 4)
    """,
    "a table of residual blocks": """
        net t
        input 8 x 8 x 8
        default CONV bn relu
        [1x1, 4; 3x3, 4; 1x1, 8] * 3
        [1x1, 4; 3x3, 4; 1x1, 16] * 2
    """,
    "means": """
        net t
        input 4 x 8 x 8
        mean(CONV 4 + CONV 4, identity) + identity
        mean(CONV 4, CONV 4, identity) -> RELU
        mean(CONV 4, BN) -> GAP -> FC 3
    """,
    "the same tensor twice": """
        net t
        input 3 x 8 x 8
        a = CONV 3
        a + a
        identity | a | identity
    """,
    "all activations": """
        net t
        input 4 x 8 x 8
        CONV 4 -> RELU -> CONV 4 relu6 -> CONV 4 -> LEAKY_RELU 0.2
        (CONV 4 -> ELU | CONV 4 gelu | CONV 4 -> SILU) -> CONV 4 bn sigmoid
        (RELU | RELU6 | LEAKY_RELU | ELU | GELU | SILU | SIGMOID | TANH | SOFTMAX) -> CONV 4 -> SOFTMAX
        GMP -> FC 5 bn tanh -> FC 3 -> SOFTMAX
    """,
    "more activations": """
        block act(c, slope) = CONV c -> PRELU slope
        net t
        input 4 x 8 x 8
        CONV 4 prelu -> PRELU shared -> act(6, 0.1) -> act(8, 0.2) -> CONV 4 hard_swish -> CONV 4 bn mish -> CONV 4 hard_sigmoid
        SCALE 5 -> (HARD_SWISH | HARD_SIGMOID | MISH | SOFTPLUS | PRELU 0.5 | PRELU 0.1 shared)
        GAP -> PRELU -> FC 3 prelu -> SOFTPLUS
    """,
    "norms of each sample": """
        block step(c, g) = CONV c -> GN g -> RELU
        net t
        input 4 x 8 x 8
        default GN 2
        CONV 6 ln relu -> CONV 8 gn relu -> step(6, 3) -> step(8, 4) -> LN eps=0.01 -> GN 1 eps=0.1
        (CONV 4 -> IN affine | CONV 4 -> IN eps=0.5 | GN C) -> POOL -> AVGPOOL k=4 -> GN 4
        GAP -> LN -> FC 6 ln relu -> GN 3 -> FC 4 gn
    """,
    "norms of sequences and volumes": """
        net t
        input words = 6 x 5
        input scan = 4 x 3 x 2 x 5
        default GN 2
        a = words -> CONV 6 k=1 ln gelu -> IN -> GN 2 -> LN
        b = scan -> CONV 4 gn relu -> IN affine -> LN
        output a, b
    """,
    "adaptive pools": """
        net t
        input 3 x 9 x 10
        ADAPTIVE_AVGPOOL 4 | ADAPTIVE_MAXPOOL 4x4
        (ADAPTIVE_AVGPOOL 7x5 | ADAPTIVE_MAXPOOL 7x5) -> RELU -> ADAPTIVE_MAXPOOL size=2x3 -> ADAPTIVE_AVGPOOL 1
        FC 3
    """,
    "adaptive pools on other axes": """
        net t
        input a = 3 x 9
        input b = 2 x 4 x 5 x 6
        p = a -> ADAPTIVE_AVGPOOL 4 -> ADAPTIVE_MAXPOOL 3
        q = b -> ADAPTIVE_AVGPOOL 3x2x4 -> ADAPTIVE_MAXPOOL 2
        output p, q
    """,
    "upsampling": """
        net t
        input 3 x 4 x 5
        UPSAMPLE 2x1 -> UPSAMPLE 1x3 bilinear -> UPSAMPLE bilinear align_corners
        UPSAMPLE 2x3 bilinear
    """,
    "upsampling of other axes": """
        net t
        input a = 3 x 5
        input b = 2 x 1 x 3 x 2
        p = a -> UPSAMPLE 3 bilinear -> UPSAMPLE align_corners bilinear
        q = b -> UPSAMPLE 2x1x3 bilinear -> UPSAMPLE 1x2x2 bilinear align_corners -> UPSAMPLE 1x2x1
        output p, q
    """,
    "activations in repeats": """
        net t
        input 4 x 8 x 8
        (CONV 4 -> LEAKY_RELU 0.2 -> DROPOUT 0.3) * 2 -> (BN -> SOFTMAX) * 2
        (FC 6 -> GELU) * 2
    """,
    "scaled branches": """
        net t
        input 4 x 8 x 8
        (identity + (CONV 4 relu -> SCALE 0.17)) * 2
        (identity + (CONV 4 relu -> LAYER_SCALE 0.5)) * 2 -> SCALE (-2)
        FLATTEN -> SCALE 0.5 -> LAYER_SCALE -> FC 3
    """,
    "branches that are dropped": """
        block step(p) = identity + (CONV C bn relu -> CONV C bn -> STOCHASTIC_DEPTH p)
        net t
        input 4 x 8 x 8
        step(0.1) -> step(0.2) -> step(0.3)
        identity + (CONV 4 -> DROP_PATH 0.2)
        SPATIAL_DROPOUT -> SPATIAL_DROPOUT 0.2
        (CONV 4 relu -> STOCHASTIC_DEPTH 0.5) * 2
        GAP -> DROP_PATH 0.1 -> STOCHASTIC_DEPTH 0.4 -> FC 3
    """,
    "one axis": """
        net t
        input 4 x 32
        CONV 8 bn relu -> MAXPOOL k=3 /2 same
        CONV 8 k=4 relu -> AVGPOOL -> LRN n=3 -> UPSAMPLE 2 -> DECONV 4
        residual(CONV 6 /2) -> GAP -> FC 3
    """,
    "three axes": """
        net t
        input 2 x 8 x 8 x 8
        CONV 4 bn relu -> MAXPOOL k=3 /2 same
        CONV 4 2x4x2 relu -> AVGPOOL same -> LRN -> UPSAMPLE 2 -> DECONV 4
        GMP -> FC 3
    """,
    "no axes": """
        net t
        input 10
        FC 20 bn relu -> DROPOUT -> (FC 20 relu) * 2
        identity + FC 20
        identity | FC 4
    """,
    "small volumes": """
        net t
        input 2 x 1 x 2 x 5
        AVGPOOL k=3 /1 same -> MAXPOOL k=3 /2 same
    """,
    "kernels that are not square": """
        net t
        input 4 x 9 x 12
        CONV 4 1x7 pad 0x3 -> CONV 4 7x1 -> CONV 6 3x5 /1x2 -> POOL 1x2 /1x2
        CONV 4 2x3 /3x1 same dilation=2x1 -> AVGPOOL 3x2 /1x2 same exclude_pad
    """,
    "uneven padding": """
        net t
        input 4 x 9 x 10
        (CONV 4 2x2 relu) * 2 -> CONV 6 4x4 /2 groups=2 nobias -> MAXPOOL 2x2 /1 same
        AVGPOOL 4x4 /1 same -> AVGPOOL 2x2 /1 same exclude_pad
    """,
    "transposed convolutions": """
        net t
        input 4 x 5 x 6
        DECONV 4 3x3 /2 pad 1 relu -> DECONV 6 groups=2 bn relu -> DECONV 2 4x4 /2 pad 1 nobias
    """,
    "dilated transposed convolutions": """
        net t
        input 4 x 5 x 6
        DECONV 4 3x3 /2 pad 1 out_pad 1 relu -> DECONV 6 2x3 /1 dilation=3x2 groups=2 out_pad 2x0 pad 0x1
        DECONV depthwise 3x2 /3x1 pad=1x0 out_pad=2x0 -> DECONV 3 k=3 /1 same -> DECONV 2 k=3 /2 same -> DECONV 2 1x1 /2 same
    """,
    "transposed convolutions with other axes": """
        block up(c) = DECONV c k=3 /2 same relu
        net t
        input 3 x 4
        up(4) -> DECONV 4 k=5 /3 same -> DECONV 8 depthwise
    """,
    "depthwise convolutions": """
        block separable(c, stride=1) = CONV depthwise 3x3 /stride bn relu6 -> CONV c 1x1 bn relu6
        net t
        input 4 x 9 x 10
        separable(8, stride=2) -> separable(6) -> separable(5, stride=2)
        CONV 10 depthwise k=3 -> CONV depthwise 5x5 pad_before=2 pad_after=1
    """,
    "padding per side": """
        net t
        input 4 x 9 x 10
        CONV 4 3x3 /2 pad_before=0 pad_after=2x1 relu -> CONV 5 k=2 pad_before=1 -> CONV 4 k=3 pad_after 0x1 pad_before 1
        MAXPOOL 3x3 /1 pad_after=1 -> AVGPOOL 2x2 /1 pad_before=1 -> AVGPOOL 2x2 /1 pad_before=1x0 exclude_pad
        (MAXPOOL 2x2 /2 pad_after=1 ceil | AVGPOOL 2x2 /2 pad_after=1 ceil | AVGPOOL 2x2 /2 pad_after=1 ceil exclude_pad)
        AVGPOOL 4x4 /3 pad=2 ceil -> AVGPOOL 3x3 /2 pad_before=1 ceil
    """,
    "partial windows that would start in the padding": """
        net t
        input 4 x 8 x 10
        MAXPOOL 2x2 /2 pad_after=1 ceil | AVGPOOL 2x2 /2 pad_after=1 ceil | AVGPOOL 2x2 /2 pad_after=1 ceil exclude_pad
    """,
    "norms of single values": """
        net t
        input 6
        GN 6 -> FC 3 -> LN -> GN C
    """,
    "norms of single values in open sizes": """
        net t
        input 6 x H x W
        IN affine -> CONV 4 -> GN 4 -> GN 2 -> IN
    """,
    "volumes with padding and partial windows": """
        net t
        input 1 x 4 x 1 x 4
        AVGPOOL 2x2x2 pad=0x1x0 ceil
    """,
    "volumes with padding and partial windows left out": """
        net t
        input 2 x 5 x 4 x 7
        AVGPOOL 3x3x3 /2 pad=1 ceil exclude_pad -> AVGPOOL 2x2x2 /2x1x3 pad=1 ceil
    """,
    "nothing learned": """
        net t
        input 3 x 8 x 8
        RELU -> POOL
    """,
    "identity": """
        net t
        input 3 x 8 x 8
        identity
    """,
    "a label that is a sequence": """
        net t
        input 3 x 8 x 8
        features = (CONV 4 bn relu -> POOL) * 2 -> CONV 5 -> DROPOUT
        head = GAP -> FC 3 relu -> FC 2
    """,
    "fractal": """
        net t
        input 3 x 8 x 8
        default CONV bn relu
        fractal(3, 4, POOL) -> fractal(2, 6) -> fractal(1)
    """,
    "values that are moved": """
        net t
        input 4 x 9 x 12
        CROP 8 -> CROP 6x7 offset=1x0 -> PAD 1 -> PAD 1 reflect after=2 -> PAD before=1x0 replicate -> PAD channels=4
        SLICE 2 6 -> SLICE 1 3 axis=H -> SHUFFLE 2 -> RESHAPE 2 x ? x 4 -> TRANSPOSE 2x0x1
        RESHAPE 8 x ? -> CONV 6 k=3 relu -> TRANSPOSE -> FLATTEN spatial -> CONV C k=1 -> SLICE 0 5
        FLATTEN -> SLICE 3 10 -> PAD channels=2 -> RESHAPE 3 x 3 x 1 -> PAD 2 -> CROP 4
        PAD 1x0 before=1 replicate -> FC 3
    """,
    "values that are moved on one and three axes": """
        net t
        input 2 x 3 x 4 x 5
        PAD 1 reflect -> PAD 1x2x3 replicate -> PAD after=1 -> CROP 4x4x6 -> SLICE 1 3 axis=D -> SLICE 1 W axis=W
        CONV 6 relu -> SHUFFLE 3 -> FLATTEN spatial -> PAD 2 reflect -> PAD 1 replicate -> SHUFFLE 2 -> CROP 20 offset=3
        PAD channels=1 -> RESHAPE 7 x 2 x 2 x 5 -> TRANSPOSE 3x2x1x0
    """,
    "values that are moved in a sequence": """
        net t
        input 4 x 8 x 8
        cut = (CROP 6 -> PAD 1 -> PAD channels=2 -> SLICE 0 4 -> SHUFFLE 2 -> RESHAPE 8 x 32 -> TRANSPOSE -> FLATTEN spatial) * 1
        CONV 8 k=1 relu -> TRANSPOSE
    """,
    "channels in parts": """
        block unit(f) = split(identity, f) -> SHUFFLE 2
        net t(width=8)
        input 3 x 8 x 8
        CONV width -> unit(CONV C relu) -> CONV (3*C) -> unit(CONV C bn) * 2
        split(RELU, CONV 5, 7) -> split(TANH, PAD channels=3)
    """,
    "recurrent layers": """
        net t
        input 5 x 7
        RNN 4 -> RNN 6 relu nobias layers=2 -> GRU 5 -> GRU 3 bidirectional layers=3 dropout=0.4 -> LSTM 4 -> LSTM 4 nobias
        (LSTM 3 bidirectional layers=2 last | RNN 2 last | GRU 4 last bidirectional) -> FC 3
    """,
    "attention": """
        block encoder(heads) = (identity + (BN -> ATTENTION heads dropout=0.2)) ->
            (identity + (BN -> CONV (4*C) k=1 gelu -> CONV (C/4) k=1))
        net t
        input 3 x 8 x 8
        CONV 12 4x4 /4 valid -> FLATTEN spatial -> TOKENS -> POSITIONS
        encoder(4) * 2 -> encoder(3)
        BN -> SLICE 0 1 axis=W -> FLATTEN -> FC 5
    """,
    "a language model": """
        net t
        input 11
        e = EMBED 9 8 -> POSITIONS sinusoidal
        (identity + ATTENTION 2 causal nobias) -> TOKENS 3 -> ATTENTION 1 causal
        CONV 9 k=1
    """,
    "positions of an image": """
        net t
        input 3 x 4 x 5
        POSITIONS -> CONV 5 relu -> POSITIONS learned -> TRANSPOSE 1x0x2 -> POSITIONS -> FC 3
    """,
    "sequences of any length": """
        net t(width=6)
        input 4 x W
        CONV width k=3 relu -> POSITIONS sinusoidal -> (LSTM C bidirectional -> ATTENTION 3) * 2 -> TOKENS 2 -> GRU width last
        FC 3
    """,
    "open sizes": """
        net t
        input 3 x H x W
        CONV 8 relu -> MAXPOOL 3x3 /2 same
        residual(CONV 8 /2) -> UPSAMPLE -> CONV 4 valid
        GAP -> FC 3
    """,
}


@pytest.mark.parametrize("text", MEANINGS.values(), ids=MEANINGS)
def test_a_text_means_its_graph(text: str) -> None:
    net = loads(text)
    assert not set(net.outputs) & set(net.training_outputs)
    torch.manual_seed(1)
    module = net.compile()
    assert sum(p.numel() for p in module.parameters()) == net.params
    assert list(module.state_dict()) == weight_names(net)
    assert_means_its_graph(net, module)


@pytest.mark.parametrize("count", [5, 60, 300])
def test_a_long_chain_stays_readable(count: int) -> None:
    """One statement for each element: Python gives up at 200 nested parentheses, people long before."""
    net = loads("net t\ninput 3 x 8 x 8\ndefault CONV bn relu\n" + "CONV 4\n" * count)
    statements = re.findall(r"^ +(?:\w+ =|return) .*$", net.emit().partition("def forward")[2], re.M)
    assert len(statements) >= count
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize(
    "body", ["r(n-1) + identity", "r(n-1) -> BN", "r(n-1) -> r(0)", "(r(n-1) | identity) -> CONV 4 1x1"]
)
def test_blocks_may_call_one_another_as_deep_as_the_language_allows(body: str) -> None:
    net = loads(f"block r(n) = if n == 0 then CONV C else {body}\nnet t\ninput 4 x 4 x 4\nr(150)\n")
    assert_means_its_graph(net, net.compile())


def test_open_sizes_run_at_several_sizes() -> None:
    net = loads(MEANINGS["open sizes"])
    module = net.compile().eval()
    for height, width in ((8, 8), (9, 14), (32, 21)):
        concrete = loads(MEANINGS["open sizes"], input=(3, height, width))
        other = concrete.compile().eval()
        other.load_state_dict(module.state_dict())
        x = torch.randn(2, 3, height, width)
        torch.testing.assert_close(module(x), other(x))


def test_a_fully_convolutional_network_has_the_shapes_of_its_formulas() -> None:
    net = loads("net t\ninput 3 x H x W\nCONV 4 /2 relu -> POOL floor -> CONV 6 valid")
    module = net.compile().eval()
    for size in (14, 17, 33):
        wanted = loads(
            "net t\ninput 3 x H x W\nCONV 4 /2 relu -> POOL floor -> CONV 6 valid", input=(3, size, size + 5)
        )
        (shape,) = wanted.outputs.values()
        assert tuple(module(torch.randn(1, 3, size, size + 5)).shape[1:]) == tuple(shape)


# --- single ops against PyTorch and against the papers ----------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(2, 1, 1), (4, 1, 1), (2, 2, 1), (4, 3, 1), (2, 1, 3), (4, 2, 3)]
)
def test_same_convolutions_with_even_kernels(rank: int, kernel: int, stride: int, dilation: int) -> None:
    net = loads(f"net t\ninput 2 {'x 9 ' * rank}\nCONV 3 k={kernel} /{stride} dilation={dilation} relu\n")
    module = net.compile().eval()
    (x,) = inputs_of(net)
    total = dilation * (kernel - 1)
    padded = F.pad(x, [total // 2, total - total // 2] * rank)
    conv = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
    wanted = F.relu(conv(padded, *module.parameters(), stride=stride, dilation=dilation))
    assert wanted.shape[2:] == (math.ceil(9 / stride),) * rank
    torch.testing.assert_close(module(x), wanted)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (4, 1), (4, 2), (4, 3)])
def test_same_max_pools_with_even_kernels(rank: int, kernel: int, stride: int) -> None:
    net = loads(f"net t\ninput 2 {'x 9 ' * rank}\nMAXPOOL k={kernel} /{stride} same\n")
    (x,) = inputs_of(net)
    x = x - 10  # zeros in the padding would win
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    padded = F.pad(x, [(kernel - 1) // 2, kernel // 2] * rank, value=-math.inf)
    torch.testing.assert_close(net.compile().eval()(x), pool(padded, kernel, stride))


@pytest.mark.parametrize("count", ["include_pad", "exclude_pad"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 1), (4, 1), (4, 2), (4, 3)])
def test_same_average_pools_with_even_kernels(rank: int, kernel: int, stride: int, count: str) -> None:
    net = loads(f"net t\ninput 2 {'x 9 ' * rank}\nAVGPOOL k={kernel} /{stride} same {count}\n")
    (x,) = inputs_of(net)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    around = [(kernel - 1) // 2, kernel // 2] * rank
    wanted = pool(F.pad(x, around), kernel, stride)
    if count == "exclude_pad":
        wanted = wanted / pool(F.pad(torch.ones_like(x), around), kernel, stride)
    torch.testing.assert_close(net.compile().eval()(x), wanted)


@pytest.mark.parametrize("rounding", ["ceil", "floor"])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 3, 1), (2, 3, 0), (4, 3, 2), (2, 2, 1)]
)
def test_pools_round_as_pytorch_does(kernel: int, stride: int, pad: int, rounding: str) -> None:
    for size in range(4, 13):
        for head, pool, more in (
            ("MAXPOOL", F.max_pool2d, {}),
            ("AVGPOOL", F.avg_pool2d, {}),
            ("AVGPOOL exclude_pad", F.avg_pool2d, {"count_include_pad": False}),
        ):
            net = loads(f"net t\ninput 2 x {size} x {size + 1}\n{head} k={kernel} /{stride} pad {pad} {rounding}\n")
            (x,) = inputs_of(net)
            wanted = pool(x, kernel, stride, pad, ceil_mode=rounding == "ceil", **more)
            (shape,) = net.outputs.values()
            assert tuple(wanted.shape[1:]) == tuple(shape)
            torch.testing.assert_close(net.compile().eval()(x), wanted)


@pytest.mark.parametrize(
    ("n", "k", "alpha", "beta"), [(5, 2, 1e-4, 0.75), (3, 1, 0.5, 0.5), (1, 1, 2, 1), (9, 0.5, 0.01, 2)]
)
def test_lrn_is_the_formula_of_the_paper(n: int, k: float, alpha: float, beta: float) -> None:
    """Krizhevsky et al. 2012, section 3.3: alpha is not divided by n."""
    net = loads(f"net t\ninput 7 x 3 x 2\nLRN n={n} k={k} alpha={alpha:f} beta={beta}\n")
    (a,) = inputs_of(net, dtype=torch.float64)
    b = torch.empty_like(a)
    for i in range(7):
        around = range(max(0, i - n // 2), min(7 - 1, i + n // 2) + 1)
        b[:, i] = a[:, i] / (k + alpha * sum(a[:, j] ** 2 for j in around)) ** beta
    torch.testing.assert_close(net.compile().eval()(a), b)


def test_batch_norm_takes_eps_and_momentum_from_the_default() -> None:
    module = compiled("net t\ninput 3 x 8 x 8\ndefault BN eps=0.001 momentum=0.03\nCONV 4 bn relu\nBN momentum=0.5\n")
    first, second = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert (first.eps, first.momentum) == (0.001, 0.03)
    assert (second.eps, second.momentum) == (0.001, 0.5)


def test_dropout_drops_in_training_alone() -> None:
    module = compiled("net t\ninput 1000\nDROPOUT 0.3\n")
    x = torch.ones(4, 1000)
    torch.testing.assert_close(module.eval()(x), x)
    torch.manual_seed(0)
    dropped = module.train()(x)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)


def trained(line: str, shape: tuple[int, ...], times: int) -> Tensor:
    """What the line makes of ones in training, many times: times x N x ..."""
    module = compiled(f"net t\ninput {' x '.join(map(str, shape[1:]))}\n{line}\n").train()
    torch.manual_seed(0)
    return torch.stack([module(torch.ones(shape)) for _ in range(times)])


def assert_frequency(kept: Tensor, probability: float) -> None:
    """The share of kept draws is that of a Bernoulli law, within four standard deviations."""
    spread = math.sqrt(probability * (1 - probability) / kept.numel())
    assert kept.double().mean().item() == pytest.approx(probability, abs=4 * spread)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.7])
def test_stochastic_depth_draws_once_for_a_batch_and_does_not_rescale(p: float) -> None:
    drawn = trained(f"STOCHASTIC_DEPTH {p}", (4, 3, 2, 2), 800)
    first = drawn[:, :1, :1, :1, :1]
    assert (drawn == first).all()
    assert set(first.unique().tolist()) <= {0.0, 1.0}
    assert_frequency(first, 1 - p)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.7])
def test_stochastic_depth_is_its_expectation_in_inference(p: float) -> None:
    module = compiled(f"net t\ninput 3 x 4 x 4\nSTOCHASTIC_DEPTH {p}\n").eval()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(module(x), (1 - p) * x)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.7])
@pytest.mark.parametrize("shape", [(50, 6), (50, 3, 4), (50, 3, 2, 2)])
def test_drop_path_draws_for_each_sample_and_keeps_the_mean(p: float, shape: tuple[int, ...]) -> None:
    drawn = trained(f"DROP_PATH {p}", shape, 40).flatten(2)
    first = drawn[:, :, 0]
    assert (drawn == first[..., None]).all()
    assert {round(v, 4) for v in first.unique().tolist()} <= {0.0, round(1 / (1 - p), 4)}
    assert_frequency(first > 0, 1 - p)
    if p:
        assert any(0 < batch.mean() < batch.max() for batch in first), "one draw for the batch"


@pytest.mark.parametrize("p", [0.25, 0.7])
@pytest.mark.parametrize("space", [(5,), (3, 2), (2, 3, 2)])
def test_spatial_dropout_drops_channels_of_each_sample(p: float, space: tuple[int, ...]) -> None:
    drawn = trained(f"SPATIAL_DROPOUT {p}", (10, 20, *space), 20).flatten(3)
    first = drawn[..., 0]
    assert (drawn == first[..., None]).all()
    assert {round(v, 4) for v in first.unique().tolist()} == {0.0, round(1 / (1 - p), 4)}
    assert_frequency(first > 0, 1 - p)
    assert (first[:, 0] != first[:, 1]).any(), "one draw for all samples"


@pytest.mark.parametrize("line", ["DROPOUT 0.3", "SPATIAL_DROPOUT 0.3", "DROP_PATH 0.3"])
def test_what_rescales_in_training_is_the_identity_in_inference(line: str) -> None:
    module = compiled(f"net t\ninput 3 x 4 x 4\n{line}\n").eval()
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(module(x), x)


@pytest.mark.parametrize("line", ["STOCHASTIC_DEPTH 0.5", "DROP_PATH 0.5"])
def test_a_dropped_branch_has_no_gradient(line: str) -> None:
    module = compiled(f"net t\ninput 3 x 4 x 4\nCONV 3 tanh -> {line}\n").train()
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        module.zero_grad()
        module(torch.randn(1, 3, 4, 4)).sum().backward()
        seen.add(bool(module.conv1.weight.grad.any()))
    assert seen == {True, False}


def test_layer_scale_starts_from_its_number() -> None:
    module = compiled("net t\ninput 3 x 4 x 4\nLAYER_SCALE 0.1 -> RELU -> LAYER_SCALE\n")
    assert {k: v.tolist() for k, v in module.state_dict().items()} == {
        "layer_scale1.weight": pytest.approx([0.1] * 3),
        "layer_scale2.weight": pytest.approx([1e-6] * 3),
    }


# --- how weights start ------------------------------------------------------------------------------------------------


def layers_that_start(module: nn.Module, least: int = 4000) -> Iterator[nn.Conv2d | nn.Linear]:
    """Layers with enough weights for their spread to be measured within 5 %."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear) and part.weight.numel() >= least:
            yield part


def fan_in(layer: nn.Conv2d | nn.Linear) -> int:
    return layer.weight[0].numel()


def assert_biases(module: nn.Module, value: float = 0.0) -> None:
    biases = [
        part.bias for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None
    ]
    assert biases
    assert all((bias == value).all() for bias in biases)


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vgg16", "densenet121"])
def test_networks_with_rectifiers_start_as_he_has_it(name: str) -> None:
    module = shared_module(name)
    checked = 0
    for layer in layers_that_start(module):
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in(layer)), rel=0.05)
        assert abs(layer.weight.mean().item()) < 0.1 * layer.weight.std().item()
        checked += 1
    assert checked > 5
    assert_biases(module)
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_networks_without_rectifiers_start_as_glorot_has_it() -> None:
    module = small("lenet5").compile()
    for layer in layers_that_start(module, 100):
        receptive = layer.weight[0, 0].numel()
        fans = receptive * (layer.weight.shape[0] + layer.weight.shape[1])
        bound = math.sqrt(6 / fans)
        assert layer.weight.abs().max().item() <= bound
        assert layer.weight.abs().max().item() > 0.9 * bound
    assert_biases(module)


def test_alexnet_starts_as_the_paper_has_it() -> None:
    """Section 5: deviation 0.01; biases 1 in conv2, conv4, conv5 and the hidden layers, else 0."""
    module = shared_module("alexnet")
    for layer in layers_that_start(module):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
    ones = {name for name, value in module.named_parameters() if name.endswith(".bias") and (value == 1).all()}
    zeros = {name for name, value in module.named_parameters() if name.endswith(".bias") and (value == 0).all()}
    assert ones == {f"{name}.bias" for name in ("conv2", "conv4", "conv5", "fc6", "fc7")}
    assert zeros == {f"{name}.bias" for name in ("conv1", "conv3", "fc8")}


def spread(text: str) -> list[float]:
    torch.manual_seed(0)
    return [layer.weight.std().item() for layer in layers_that_start(compiled(text))]


@pytest.mark.parametrize("beside", ["", "CONV 100 init=0.3 relu\n"], ids=["alone", "beside another rule"])
def test_rules_for_weights(beside: str) -> None:
    def std_of(rule: str) -> float:
        return spread(f"net t\ninput 100 x 8 x 8\nCONV 100 {rule} relu\n{beside}")[0]

    n = 100 * 9
    assert std_of("") == pytest.approx(math.sqrt(2 / n), rel=0.03)
    assert std_of("init=he") == pytest.approx(math.sqrt(2 / n), rel=0.03)
    assert std_of("init=xavier") == pytest.approx(math.sqrt(2 / (n + n)), rel=0.03)
    assert std_of("init=lecun") == pytest.approx(math.sqrt(1 / n), rel=0.03)
    assert std_of("init=0.01") == pytest.approx(0.01, rel=0.03)
    assert std_of("init=torch") == pytest.approx(math.sqrt(1 / (3 * n)), rel=0.03)  # uniform, bound sqrt(1/n)


@pytest.mark.parametrize("beside", ["", "CONV 100 init=0.3 relu\n"], ids=["alone", "beside another rule"])
@pytest.mark.parametrize("rule", ["", "init=he", "init=xavier", "init=0.01", "init=torch"])
def test_biases_start_where_they_are_told(rule: str, beside: str) -> None:
    module = compiled(f"net t\ninput 100 x 8 x 8\nCONV 100 {rule} bias_init=0.123456789 relu\n{beside}")
    bias = next(part.bias for part in module.modules() if isinstance(part, nn.Conv2d))
    torch.testing.assert_close(bias, torch.full_like(bias, 0.123456789))


def test_small_deviations_are_not_rounded() -> None:
    for beside in ("", "\nFC 2 init=0.5"):
        assert re.search(r"std=0\.0123456789\b", loads(f"net t\ninput 4\nFC 3 init=0.0123456789{beside}").emit())


def test_a_group_of_one_value_becomes_its_bias() -> None:
    module = compiled("net t\ninput 3 x H x W\nIN affine -> GN 3\n")
    nn.init.constant_(module.gn1.bias, 5.0)
    for training in (True, False):
        assert (module.train(training)(torch.randn(1, 3, 1, 1)) == 5).all()


def triangle(k: int) -> list[float]:
    """The tent over k places, by hand: 1 in the middle, straight down to 0 one place beyond its half width."""
    return {2: [0.5, 0.5], 3: [0.5, 1, 0.5], 4: [0.25, 0.75, 0.75, 0.25], 5: [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3]}[k]


@pytest.mark.parametrize("beside", ["", "DECONV 3\n"], ids=["alone", "beside another rule"])
@pytest.mark.parametrize("head", ["DECONV 3", "DECONV depthwise", "CONV 3", "CONV depthwise"])
@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_bilinear_weights_are_the_product_of_two_tents(head: str, k: int, beside: str) -> None:
    module = compiled(f"net t\ninput 3 x 8 x 8\nup = {head} {k}x3 init=bilinear\n{beside}freeze up\n")
    weight = module.up.weight
    assert not weight.requires_grad
    assert (module.up.bias == 0).all()
    wanted = torch.tensor([[a * b for b in triangle(3)] for a in triangle(k)])
    for i, filters in enumerate(weight):
        for j, found in enumerate(filters):
            diagonal = i == j or "depthwise" in head
            torch.testing.assert_close(found, wanted if diagonal else torch.zeros_like(wanted))


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bilinear_weights_interpolate(factor: int) -> None:
    """With a kernel of 2S - S % 2 and `same`, it is bilinear resizing but for the border."""
    k = 2 * factor - factor % 2
    module = compiled(f"net t\ninput 3 x 6 x 7\nDECONV 3 {k}x{k} /{factor} same nobias init=bilinear\n")
    x = torch.randn(2, 3, 6, 7)
    wanted = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inner = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(module(x)[inner], wanted[inner])


PETS = """
    import "vgg16"
    net pets = vgg16 with
        freeze features
        fc8 = FC 3
"""


def test_what_is_frozen_does_not_learn() -> None:
    net = loads(PETS, input="3x32x32")
    module = net.compile()
    learns = {name: value.requires_grad for name, value in module.named_parameters()}
    assert learns
    assert all(wanted == (not name.startswith("features.")) for name, wanted in learns.items())
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == net.trainable_params < net.params
    (x,) = inputs_of(net)
    module(x).sum().backward()
    assert all((value.grad is None) == name.startswith("features.") for name, value in module.named_parameters())


@pytest.mark.parametrize("label", ["a", "b", "c", "d", "e"])
def test_every_kind_of_label_can_be_frozen(label: str) -> None:
    net = loads(f"""
        net t
        input 3 x 8 x 8
        a = CONV 4 bn relu
        b = CONV 4 | CONV 5 bn
        c = residual(CONV 9) * 2
        d = (CONV 4 -> BN) * 2 -> POOL
        e = GAP -> FC 3 bn
        freeze {label}
    """)
    module = net.compile()
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == net.trainable_params < net.params
    frozen = [
        f"{layer.name}.{w.name}" for layer in net.layers if layer.frozen for w in layer.op.weights(layer.input_types)
    ]
    assert {name for name, value in module.named_parameters() if not value.requires_grad} <= set(frozen)


# --- what PyTorch does with modules -----------------------------------------------------------------------------------


TOUR = """
    block up(skip, c) = UPSAMPLE -> (identity | skip) -> CONV c bn relu
    net tour(classes=3)
    input 3 x 16 x 16
    s = CONV 6 4x4 bn relu
    residual(CONV 8 /2) -> (residual(CONV 8)) * 2
    output aux = GAP -> DROPOUT 0.4 -> FC classes
    up(s, 6)
    (identity + (s -> CONV 6 relu)) * 2
    POOL -> LRN -> GAP -> FC classes
"""
"""A bit of everything, quickly compiled."""


@cache
def tour() -> tuple[Net, nn.Module]:
    torch.manual_seed(0)
    net = loads(TOUR)
    return net, net.compile()


def subjects() -> list[str]:
    return ["tour", "googlenet", "resnet18"]


def subject(name: str) -> tuple[nn.Module, Tensor]:
    """A module of one's own, and an input."""
    net, module = tour() if name == "tour" else (small(name), shared_module(name))
    torch.manual_seed(2)
    return copy.deepcopy(module), inputs_of(net)[0]


@pytest.mark.parametrize("name", COMPUTED)
def test_gradients_reach_every_parameter(name: str) -> None:
    module = without_dropout(fresh_module(name)).train()
    (x,) = inputs_of(small(name))
    torch.stack([y.square().mean() for y in tensors(module(x))]).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
    assert all(p.grad.abs().sum() > 0 for p in module.parameters() if p.dim() > 1)


@pytest.mark.parametrize("name", subjects())
def test_the_batch_may_have_any_size(name: str) -> None:
    module, _ = subject(name)
    module.eval()
    net = tour()[0] if name == "tour" else small(name)
    (x,) = inputs_of(net, batch=5)
    whole = module(x)
    for rows in (slice(0, 1), slice(1, 3), slice(0, 4)):
        torch.testing.assert_close(module(x[rows]), whole[rows], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_it_compiles_as_one_graph(name: str, training: bool) -> None:
    if training and name not in ("googlenet", "resnet18", "lenet5", "fractalnet"):
        pytest.skip("four networks are enough in training")
    torch._dynamo.reset()
    module = without_dropout(fresh_module(name)).train(training)
    (x,) = inputs_of(small(name))
    other = copy.deepcopy(module)
    with torch._dynamo.config.patch(allow_rnn=True):  # PyTorch's own switch, for recurrent layers
        found = torch.compile(module, backend="aot_eager" if training else "eager", fullgraph=True)(x)
    wanted = other(x)
    assert type(found).__name__ == type(wanted).__name__
    for a, b in zip(tensors(found), tensors(wanted), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    if training:
        torch.stack([y.sum() for y in tensors(found)]).sum().backward()
        assert all(p.grad is not None for p in module.parameters())
    torch._dynamo.reset()


@pytest.mark.slow
def test_inductor_compiles_it(tmp_path: Path) -> None:
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++")))):
        pytest.skip("no C++ compiler")
    code = """
        import netdsl, torch
        torch.manual_seed(0)
        net = netdsl.loads("net t\\ninput 3 x 8 x 8\\nCONV 4 2x2 bn relu -> POOL\\nGAP -> FC 3", name="t.net")
        module = net.compile().eval()
        x = torch.randn(2, 3, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(torch.compile(module, fullgraph=True)(x), module(x), rtol=1e-4, atol=1e-4)
        print("done")
    """
    assert python(code, TORCHINDUCTOR_CACHE_DIR=str(tmp_path), TORCHINDUCTOR_COMPILE_THREADS="1") == "done\n"


@pytest.mark.parametrize("name", ["tour", *COMPUTED])
def test_it_exports_with_any_batch(name: str) -> None:
    net, module = tour() if name == "tour" else (small(name), shared_module(name))
    module = copy.deepcopy(module).eval()
    (x,) = inputs_of(net, batch=3)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    for batch in (1, 4):
        (x,) = inputs_of(net, batch=batch)
        torch.testing.assert_close(program.module()(x), module(x), rtol=1e-4, atol=1e-4)


def test_the_named_tuple_survives_export_in_training() -> None:
    module, x = subject("tour")
    without_dropout(module).train()
    program = torch.export.export(module, (x,), strict=False)
    found, wanted = program.module()(x), copy.deepcopy(module)(x)
    assert found._fields == ("output", "aux")
    torch.testing.assert_close(tuple(found), tuple(wanted))


@pytest.mark.parametrize("name", subjects())
def test_it_traces_symbolically(name: str) -> None:
    module, x = subject(name)
    module.eval()
    torch.testing.assert_close(torch.fx.symbolic_trace(module)(x), module(x))


@pytest.mark.parametrize("name", subjects())
def test_copies_are_independent(name: str) -> None:
    module, x = subject(name)
    module.eval()
    other = copy.deepcopy(module)
    assert type(other) is type(module)
    wanted = module(x)
    torch.testing.assert_close(other(x), wanted)
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    torch.testing.assert_close(other(x), wanted)


@pytest.mark.parametrize("name", subjects())
def test_it_pickles(name: str) -> None:
    module, x = subject(name)
    other = pickle.loads(pickle.dumps(module.eval()))
    assert type(other) is type(module)
    assert not other.training
    torch.testing.assert_close(other(x), module(x))
    result = module.train()(x)
    again = pickle.loads(pickle.dumps(result))
    assert type(again) is type(result)
    torch.testing.assert_close(tensors(again), tensors(result))


def test_compiling_twice_gives_one_class_and_two_modules() -> None:
    net = tour()[0]
    one, two = net.compile(), net.compile()
    assert type(one) is type(two)
    assert not {id(p) for p in one.parameters()} & {id(p) for p in two.parameters()}


def test_it_loads_in_a_fresh_process(tmp_path: Path) -> None:
    """Pickled, and saved whole: the source travels along; the compiler does not read a spec."""
    names = subjects()
    for name in names:
        module, x = subject(name)
        result = without_dropout(module).train()(x)
        module.eval()
        (tmp_path / f"{name}.pickle").write_bytes(pickle.dumps((module, result)))
        torch.save(module, tmp_path / f"{name}.pt")
        torch.save((x, module(x), tuple(tensors(result))), tmp_path / f"{name}.tensors")
    code = """
        import pickle, sys, torch
        from pathlib import Path
        folder = Path(sys.argv[1])
        for name in sys.argv[2:]:
            x, wanted, trained = torch.load(folder / f"{name}.tensors")
            pickled, result = pickle.loads((folder / f"{name}.pickle").read_bytes())
            saved = torch.load(folder / f"{name}.pt", weights_only=False)
            assert type(pickled) is type(saved)
            torch.testing.assert_close(pickled(x), wanted)
            torch.testing.assert_close(saved(x), wanted)
            found = result if isinstance(result, tuple) else (result,)
            for a, b in zip(found, trained, strict=True):
                torch.testing.assert_close(a, b)
            print(type(pickled).__name__, type(result).__name__)
        assert "lark" not in sys.modules
    """
    printed = python(code, str(tmp_path), *names)
    assert printed.split() == ["Tour", "TourOutput", "GoogLeNet", "GoogLeNetOutput", "ResNet18", "Tensor"]


@pytest.mark.parametrize("name", subjects())
def test_autocast(name: str) -> None:
    module, x = subject(name)
    without_dropout(module).train()
    wanted = tensors(copy.deepcopy(module)(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = tensors(module(x))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == torch.bfloat16
        assert (a.float() - b).norm() < 0.1 * b.norm()
    torch.stack([y.float().sum() for y in found]).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.parameters())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_of_numbers(dtype: torch.dtype) -> None:
    module, x = subject("resnet18")  # PyTorch has no LRN for bfloat16 on the CPU
    module.eval()
    wanted = module(x)
    found = module.to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    assert (found - wanted).float().norm() < 0.1 * wanted.norm()


@pytest.mark.parametrize("name", subjects())
def test_channels_last(name: str) -> None:
    module, x = subject(name)
    module.eval()
    wanted = module(x)
    seen = []
    module.to(memory_format=torch.channels_last)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(
                lambda _, args, y: seen.append(y.is_contiguous(memory_format=torch.channels_last))
            )
    torch.testing.assert_close(module(x.to(memory_format=torch.channels_last)), wanted, rtol=1e-4, atol=1e-4)
    assert seen
    assert all(seen)


@pytest.mark.parametrize("name", subjects())
def test_checkpointing_gives_the_same_gradients(name: str) -> None:
    module, x = subject(name)
    without_dropout(module).eval()
    other = copy.deepcopy(module)
    module(x).sum().backward()
    checkpoint(other, x, use_reentrant=False).sum().backward()
    for a, b in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_the_meta_device() -> None:
    with torch.device("meta"):
        module = loads(TOUR).compile()
    assert all(p.is_meta for p in module.parameters())
    assert all(b.is_meta for b in module.buffers())
    real = module.to_empty(device="cpu")
    real.load_state_dict(tour()[1].state_dict())
    _, x = subject("tour")
    torch.testing.assert_close(real.eval()(x), copy.deepcopy(tour()[1]).eval()(x))


# --- names ------------------------------------------------------------------------------------------------------------


def test_the_list_of_names_that_modules_have_is_complete() -> None:
    from netdsl_torch.names import MODULE_ATTRIBUTES

    assert {name for name in dir(nn.Module()) if not name.startswith("_")} == MODULE_ATTRIBUTES


PYTHON_WORDS = ["lambda", "class", "def", "None", "True", "is", "del", "async"]
MODULE_WORDS = [
    "type",
    "half",
    "forward",
    "training",
    "eval",
    "float",
    "to",
    "parameters",
    "add_module",
    "T_destination",
]
PRIVATE = ["_modules", "_parameters", "_forward_hooks", "__init__", "__class__", "__dict__", "__call__", "__a", "_"]
SOURCE_WORDS = [
    "self",
    "super",
    "F",
    "nn",
    "torch",
    "Tensor",
    "NamedTuple",
    "step",
    "module",
    "range",
    "isinstance",
    "i",
    "T",
    "l",
]
LABELS = [*PYTHON_WORDS, *MODULE_WORDS, *PRIVATE, *SOURCE_WORDS, "normal", "he", "é", "ﬁ"]


@pytest.mark.parametrize("label", LABELS)
def test_any_name_can_be_a_label(label: str) -> None:
    net = loads(f"""
        net t
        input 3 x 8 x 8
        {label} = CONV 4 init=0.1 relu
        CONV 4 relu
        (identity + ({label} -> CONV 4 init=he)) * 2
        identity + {label}
    """)
    module = net.compile()
    assert len(module.state_dict()) == len(weight_names(net))
    assert_means_its_graph(net, module)


@pytest.mark.parametrize("label", ["crop_to", "FractalJoin", "begun"])
def test_no_label_hides_what_the_file_brings_along(label: str) -> None:
    net = loads(f"""
        net t
        input {label} = 3 x 9 x 9
        input b = 3 x 7 x 7
        (crop({label}, b) + join(b, b -> RELU)) -> CROP 5 -> MAXPOOL 2x2 /2 pad_after=1 ceil
    """)
    assert_means_its_graph(net, net.compile())
    net = loads(f"""
        net t
        input 3 x 9 x 9
        {label} = CONV 4
        CONV 4 valid
        (crop({label}, identity) + join(identity, RELU)) * 2
        crop({label}, identity) -> CROP 5 -> MAXPOOL 2x2 /2 pad_after=1 ceil
    """)
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize(
    "label", [*PYTHON_WORDS[:2], *MODULE_WORDS[:4], "self", "F", "_fields", "_a", "count", "index", "é"]
)
def test_any_name_can_be_an_output(label: str) -> None:
    net = loads(f"net t\ninput 3 x 8 x 8\n{label} = CONV 4\nb = CONV 5\noutput {label}, b\n")
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize(
    "labels", [("type", "type_"), ("class", "class_"), ("ﬁ", "fi"), ("_a", "a"), ("count", "count_"), ("__a", "_T__a")]
)
def test_two_labels_stay_two(labels: tuple[str, str]) -> None:
    one, two = labels
    net = loads(
        f"net t\ninput 3 x 8 x 8\n{one} = CONV 4\n{two} = CONV 5\nidentity + CONV 5\n"
        f"c = CONV 2\noutput {one}, {two}, c\n"
    )
    module = net.compile()
    assert len(module.state_dict()) == 8
    assert_means_its_graph(net, module)


@pytest.mark.parametrize("name", [*PYTHON_WORDS[:2], *MODULE_WORDS[:4], "self", "F", "nn", "torch", "super", "é"])
def test_any_name_can_be_an_input(name: str) -> None:
    net = loads(f"""
        net t
        input {name} = 3 x 8 x 8
        input other = 3 x 8 x 8
        a = {name} -> CONV 4 relu
        b = other -> CONV 4
        a | b | {name}
    """)
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize(
    "name",
    ["class", "None", "self", "nn", "torch", "F", "super", "in_channels", "range", "i", "c2", "module", "é", "__c"],
)
def test_any_name_can_be_a_parameter(name: str) -> None:
    text = f"""
        block b({name}=3) = RELU -> (CONV {name} init=0.1 -> LEAKY_RELU) + CONV {name} init=he
        block more({name}) = identity | CONV {name}
        block s({name}) = RELU -> more({name}) * 3 -> RELU
        net t({name}=4)
        input 3 x 8 x 8
        b(5) -> b({name}) -> s(2) -> s({name}) -> CONV {name}
    """
    net = loads(text)
    module = net.compile()
    assert_means_its_graph(net, module)
    assert len(inspect.signature(type(module)).parameters) == 1
    assert next(iter(module.double()(*inputs_of(net, dtype=torch.float64)).shape[1:])) == 4


@pytest.mark.parametrize(
    "name",
    [
        "f",
        "F",
        "tensor",
        "named_tuple",
        "nn",
        "torch",
        "t",
        "T",
        "uneven_conv2d",
        "uneven_max_pool2d",
        "none",
        "true",
        "super",
        "module",
        "step",
        "range",
        "é",
    ],
)
def test_any_name_can_be_a_block_or_a_net(name: str) -> None:
    body = """
        CONV 3 2x2 init=0.5 -> MAXPOOL 2x2 /1 same -> RELU
        a = CONV 3 init=he relu
        b = CONV 2
        output a, b
    """
    net = loads(
        f"block {name}(c) = CONV c + CONV c 2x2\n"
        f"net t\ninput 3 x 8 x 8\n{name}(4) -> RELU -> {name}(5){textwrap.dedent(body)}"
    )
    assert_means_its_graph(net, net.compile())
    net = loads(f"net {name}\ninput 3 x 8 x 8{textwrap.dedent(body)}")
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize("title", ["# None", "# True story", "# f", "# F (2012)", "# 3", "# Tensor", "# nn"])
def test_no_title_makes_a_class_that_hides_something(title: str) -> None:
    word = title.split()[1]
    name = word.lower() if word[0].isalpha() else "t"
    net = loads(f"{title}\nnet {name}\ninput 3 x 8 x 8\nCONV 4 relu\na = CONV 3\nb = RELU\noutput a, b\n")
    assert_means_its_graph(net, net.compile())


HOSTILE = [
    '# """',
    "# \\",
    "# '''\"",
    "# {x} %s \\N{DASH}",
    "# \\u0041 \\x",
    "# é 16×16",
    "# a\u2028raise SystemExit",
    "# a\x0craise SystemExit",
    '# " # "',
    "#",
]


@pytest.mark.parametrize("title", [*HOSTILE, "# Written by netdsl from t.net, checksum 000000000000."])
def test_any_comment_may_stand_first(title: str) -> None:
    net = loads(f"{title}\nnet t\ninput 3 x 8 x 8\nCONV 4 relu\n")
    assert load_backend("torch").is_generated(net.emit())
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize("comment", HOSTILE)
def test_any_comment_may_stand_inside(comment: str) -> None:
    net = loads(
        "block r(f) = f + f\nnet t\ninput 3 x 8 x 8\n"
        f"r((CONV 4 {comment}\n -> RELU))\nr((CONV 4 {comment}\n -> RELU) * 2)\n"
    )
    assert_means_its_graph(net, net.compile())


@pytest.mark.parametrize(
    "name",
    [
        'a".net',
        "a'''.net",
        'a""".net',
        "a\\.net",
        "a b.net",
        "é.net",
        "a\rraise SystemExit",
        "a\nraise SystemExit",
        "torch.net",
        "F.net",
        "<text>",
        "",
    ],
)
def test_a_spec_may_be_called_anything(name: str) -> None:
    net = netdsl.loads("net t\ninput 3 x 8 x 8\nCONV 4 -> TANH -> GAP\n", name=name)
    assert load_backend("torch").is_generated(net.emit())
    assert_means_its_graph(net, net.compile())


# --- numbers that the class takes -------------------------------------------------------------------------------------


def offered(module: nn.Module) -> list[str]:
    return list(inspect.signature(type(module)).parameters)


@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in MODULES])
def test_the_class_of_a_shipped_network_takes_classes(name: str) -> None:
    module = on_meta(name)
    (shape,) = full(name).outputs.values()
    assert str(inspect.signature(type(module))).startswith(f"(classes: 'int' = {shape[0]})")
    with torch.device("meta"):
        other = type(module)(classes=7)
    x = torch.empty(2, *next(iter(full(name).inputs.values())), device="meta")
    assert {tuple(y.shape) for y in tensors(other.train()(x))} == {(2, 7, *shape[1:])}


def spec(params: str, body: str) -> str:
    return f"net t({params})\ninput 3 x 8 x 8\n{body}\n"


CLASSES = {
    "widths": (spec("w=4, classes=3", "CONV w bn -> (CONV (w/2) | CONV w)\nGAP -> FC (w*2) -> FC classes"), "w", 8),
    "defaults": (spec("w=16", "default CONV bn relu\nCONV w\nresidual(bottleneck)*2\nGAP -> FC 10"), "w", 8),
    "growth": (spec("k=4", "CONV (2*k) -> dense_block(3, k) -> transition -> dense_block(3,k)\nGAP -> FC 10"), "k", 8),
    "fire": (spec("s=4, e=8", "CONV s -> fire(s, e) * 2\nGAP -> FC 10"), "e", 16),
    "crop": (spec("a=8", "first = CONV a\nPOOL -> CONV 5 -> crop(first, identity)\nGAP -> FC 10"), "a", 10),
    "one sum": (spec("a=8", "CONV a + CONV a\nGAP -> FC 10"), "a", 10),
    "input channels": ("net t(w=8)\ninput w x 8 x 8\nCONV 4 -> CONV C\nGAP -> FC 10\n", "w", 10),
    "input sizes": ("net t(w=8)\ninput 3 x w x w\nCONV 4 -> CONV C\nFC 10\n", "w", 10),
    "halves": (spec("w=8", "CONV w -> split(identity, CONV C relu) -> SHUFFLE 2 -> SLICE 0 (w/2)\nGAP -> FC 10"), "w", 12),
    "recurrent": ("net t(n=4)\ninput 3 x 8\nLSTM n -> GRU (2*n) bidirectional -> RNN n last\nFC n -> FC 3\n", "n", 6),
    "words": ("net t(words=20, d=4)\ninput 8\nEMBED words d -> TOKENS 1 -> (identity + ATTENTION 2) -> LSTM d last -> FC 3\n", "d", 6),
    "a vocabulary": ("net t(words=20)\ninput 8\nEMBED words 4 -> GRU 4 last -> FC 3\n", "words", 9),
    "a repeat over a label": (spec("k=4", "CONV k\ns = RELU\n(identity + (s -> CONV k))*3\nGAP -> FC 10"), "k", 8),
}  # fmt: skip
CHANGES = {
    "the least of two, inside a block": ("block inner(f) = f -> RELU\n" + spec("n=4", "inner(CONV (min(n,4))) -> CONV n"), "n", 2),
    "a rate": (spec("n=3", "CONV n -> DROPOUT (floor(n/10)/10)"), "n", 20),
    "a default": ("block b() = CONV 4\n" + spec("k=1", "default CONV stride=(floor(k/3)+1)\nb"), "k", 3),
    "stride before FC": (spec("s=2", "CONV 8 /s relu\nFC 3"), "s", 1),
    "stride before a sum": (spec("s=2", "CONV 8 /s + CONV 8 /2"), "s", 1),
    "kernel": (spec("k=3", "CONV 8 k x k relu\nGAP -> FC 3"), "k", 5),
    "even kernel": (spec("k=3", "CONV 8 k x k relu\nGAP -> FC 3"), "k", 4),
    "valid kernel": (spec("k=3", "CONV 8 k x k valid relu\nFC 3"), "k", 5),
    "pool": (spec("k=2", "POOL k=k -> CONV 4 \nFC 3"), "k", 4),
    "upsampling": (spec("k=2", "UPSAMPLE k -> CONV 4 \nFC 3"), "k", 4),
    "deconvolution": (spec("k=2", "DECONV 4 k x k /k -> FC 3"), "k", 4),
    "dilation": (spec("d=2", "CONV 4 3x3 dilation=d -> FC 10"), "d", 3),
    "padding": (spec("p=1", "CONV 4 3x3 pad p -> FC 10"), "p", 0),
    "match at a block": (spec("w=16", "default CONV bn relu\nCONV 16\nresidual(basic(w))*2\nGAP -> FC 10"), "w", 8),
    "match at its input": (spec("w=8", "CONV w -> residual(CONV 8)\nGAP -> FC 10"), "w", 10),
    "match at neither": (spec("w=8", "CONV 8 -> residual(CONV w)\nGAP -> FC 10"), "w", 10),
    "match of strides": (spec("s=1", "CONV 8 -> residual(CONV 8 /s)\nGAP -> FC 10"), "s", 2),
    "a block that compares": ("net t(c=4)\ninput 16 x 8 x 8\npreact(c) -> preact(4)\nGAP -> FC 10\n", "c", 8),
    "a sum with a number": (spec("w=16", "CONV w + CONV 16\nGAP -> FC 10"), "w", 8),
    "comparison": (spec("k=4", "if k > 3 then CONV k else CONV 3 bn\nGAP -> FC 10"), "k", 2),
    "maximum": (spec("k=4", "CONV max(k, 6) -> GAP -> FC 10"), "k", 8),
    "repeat": (spec("n=2", "(CONV 4 relu) * n -> GAP -> FC 10"), "n", 3),
    "repeat and width": (spec("n=2", "(CONV n relu) * n -> GAP -> FC n"), "n", 3),
    "a block that repeats": (spec("n=2", "dense_block(n, 4) -> GAP -> FC 10"), "n", 3),
    "a block that recurs": (spec("n=2", "fractal(n, 4) -> GAP -> FC 10"), "n", 3),
    "for": (spec("n=2", "for i in 1..n do CONV (4*i)\nGAP -> FC 10"), "n", 3),
    "floor": (spec("w=7", "CONV floor(w/2) -> CONV (w - C) -> GAP -> FC 3"), "w", 10),
    "negative": (spec("w=7", "CONV (12 - w) -> CONV (2*(C - 1)) -> GAP -> FC 3"), "w", 3),
    "dropout": (spec("p=0.5, q=0", "DROPOUT q -> CONV 3 bias_init=q -> DROPOUT p\nGAP -> FC 10"), "q", 0.5),
    "groups": ("net t(g=2)\ninput 4 x 8 x 8\nCONV 8 groups=g -> GAP -> FC 3\n", "g", 4),
    "widths of stages": (
        spec("w=16", "default CONV bn\nCONV w\nresidual(basic(w))*2\nstage(basic(2*w), 2)\nGAP -> FC 10"), "w", 8,
    ),
    "a skip as an argument": (
        "block up(skip, c) = UPSAMPLE -> (identity | skip) -> CONV c\n"
        + spec("w=4", "s = CONV w\nt = POOL -> CONV (2*w)\nPOOL -> CONV (4*w)\nup(t, 2*w) -> up(s, w)"), "w", 6,
    ),
    "a repeat over a skip": (spec("w=4", "s = CONV w\nRELU\n(identity + (s -> CONV C))*3\nGAP -> FC 10"), "w", 8),
    "transposed channels": ("net t(w=4)\ninput 3 x 8\nCONV w k=1 -> TRANSPOSE -> CONV 5 k=1 relu -> TRANSPOSE\nCONV 4 k=1 -> FC 3\n", "w", 6),
    "a block of transposed channels": (
        "block mix = TRANSPOSE -> CONV (C+1) k=1 relu -> TRANSPOSE\nblock two = mix -> LSTM C -> mix\n"
        "net t(w=4)\ninput 3 x 8\nCONV w k=1 -> two -> CONV (2*w) k=1 -> two -> FC 3\n", "w", 6,
    ),
    "a new shape": ("net t(w=4)\ninput 3 x 8\nCONV w k=1 -> RESHAPE (w/2) x 4 x 4 -> CONV 4 -> FC 3\n", "w", 8),
    "flattened channels": ("net t(w=4)\ninput 3 x 8\nCONV w k=1 -> RESHAPE 1 x ? -> LSTM 3 last -> FC 3\n", "w", 6),
    "a slice of steps": ("net t(w=4)\ninput 3 x 8\nSLICE 0 w axis=W -> CONV C k=3 -> FC 5\n", "w", 6),
    "learned steps": ("net t(w=4)\ninput 3 x 8\nTOKENS w -> POSITIONS -> CONV 2 k=3 -> FC 5\n", "w", 6),
    "padded channels": ("net t(w=4)\ninput 3 x 8\nPAD channels=w -> CONV 2 k=3 -> PAD w -> FC 5\n", "w", 6),
    "a place to crop at": (spec("k=2", "crop(CONV k, POOL, offset=k) -> CONV 3\nFC 5"), "k", 3),
    "heads": ("net t(h=4)\ninput 12 x 8\nATTENTION h -> GAP -> FC 5\n", "h", 6),
    "layers on layers": ("net t(h=2)\ninput 3 x 8\nLSTM 3 layers=h last -> FC 5\n", "h", 3),
    "neighbours": (spec("n=5", "CONV 4 -> LRN n=n -> FC 10"), "n", 3),
}  # fmt: skip


@pytest.mark.parametrize(("text", "param", "value"), [*CLASSES.values(), *CHANGES.values()], ids=[*CLASSES, *CHANGES])
def test_a_number_that_the_class_takes_can_take_other_values(text: str, param: str, value: float) -> None:
    """The class with another number is the class that the network with that number has."""
    module = compiled(text)
    if param not in offered(module):
        return
    net = loads(text, **{param: value})
    other, wanted = type(module)(**{param: value}), net.compile()
    assert str(other) == str(wanted)
    inputs = inputs_of(net)
    other.load_state_dict(wanted.state_dict())
    torch.testing.assert_close(other.eval()(*inputs), wanted.eval()(*inputs))


@pytest.mark.parametrize(("text", "param"), [case[:2] for case in CLASSES.values()], ids=CLASSES)
def test_the_class_takes_numbers_that_only_scale(text: str, param: str) -> None:
    assert param in offered(compiled(text))


@pytest.mark.parametrize(
    "name",
    ["comparison", "maximum", "repeat", "repeat and width", "a block that repeats", "a block that recurs", "for"],
)
def test_the_class_does_not_take_numbers_that_shape_it(name: str) -> None:
    text, param, _ = CHANGES[name]
    assert param not in offered(compiled(text))


# --- the source -------------------------------------------------------------------------------------------------------


def class_names(source: str) -> list[str]:
    return re.findall(r"^class (\w+)", source, re.M)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet50", 3),
        ("resnet18", 3),
        ("googlenet", 4),
        ("densenet121", 3),
        ("alexnet", 1),
        ("vgg16", 1),
        ("squeezenet1_1", 2),
        ("preact_resnet164", 4),
    ],
)
def test_blocks_that_differ_only_in_numbers_share_a_class(name: str, count: int) -> None:
    found = class_names(full(name).emit())
    assert len(found) == count, found


@pytest.mark.parametrize(
    "element",
    [
        "residual(CONV 4)",
        "(CONV 4 relu)",
        "dense_layer(2)",
        "(identity + (s -> CONV 4))",
        "(BN -> RELU -> CONV 4 -> BN -> RELU -> CONV 4)",
    ],
)
def test_a_thousand_repeats_are_a_loop(element: str) -> None:
    def emitted(count: int) -> str:
        return loads(f"net t\ninput 4 x 8 x 8\ns = CONV 4\n{element} * {count}\n").emit()

    assert len(emitted(1000).splitlines()) == len(emitted(10).splitlines())
    assert len(emitted(1000)) < 4000


def test_repeats_in_the_shipped_networks_are_loops() -> None:
    source = full("preact_resnet164").emit()
    assert source.count("for _ in range(17)") == 3
    assert re.search(r"DenseLayer\(64 \+ 32 \* i, 32\) for i in range\(6\)", full("densenet121").emit())


def test_the_source_does_not_depend_on_the_process() -> None:
    code = """
        import hashlib, sys, netdsl
        from netdsl.files import shipped
        names = list(shipped())
        for name in names if sys.argv[1] == "forward" else reversed(names):
            print(name, hashlib.sha256(netdsl.load(name).emit().encode()).hexdigest())
        assert "torch" not in sys.modules
    """
    one = python(code, "forward", PYTHONHASHSEED="1")
    two = python(code, "backward", PYTHONHASHSEED="2")
    assert sorted(one.splitlines()) == sorted(two.splitlines())
    assert len(one.splitlines()) == len(SHIPPED)


def test_the_source_does_not_depend_on_where_the_spec_lies(tmp_path: Path) -> None:
    text = full("resnet18").source.text
    (tmp_path / "resnet18.net").write_text(text, encoding="utf-8")
    source = netdsl.load(tmp_path / "resnet18.net").emit()
    assert str(tmp_path) not in source
    assert source == full("resnet18").emit()


def everything() -> dict[str, str]:
    """The source of all networks of this file, by file name."""
    found = {f"{name}.py": full(name).emit() for name in SHIPPED}
    for name, text in {**MEANINGS, "tour": TOUR, "pets": PETS}.items():
        found[f"{name.replace(' ', '_')}.py"] = loads(text).emit()
    return found


def test_formulas_of_open_sizes_stay_within_the_width() -> None:
    text = loads("""
        block inner(c, n) = POOL floor -> un(2*c, n-1) -> DECONV c
        block down(c, n) = (crop(identity, inner(c, n)) | inner(c, n))
        block un(c, n) = if n == 0 then CONV c else CONV c -> down(c, n) -> CONV c
        net t
        input 1 x H x W
        default CONV relu valid
        un(2, 3)
    """).emit()
    assert "\n            -> 16 x (2*floor((H + 2)/8) - 8)" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_source_compiles_without_warnings() -> None:
    for name, source in everything().items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(source, name, "exec")


def lint(folder: Path, *options: str) -> str:
    if subprocess.run([sys.executable, "-m", "ruff", "--version"], capture_output=True).returncode:
        pytest.skip("ruff is not installed")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--output-format", "concise", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing_in_the_source(tmp_path: Path) -> None:
    for name, source in everything().items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    assert lint(tmp_path, "--select", "E,F", "--line-length", "120", "--target-version", "py311") == ""


def test_the_source_stands_alone(tmp_path: Path) -> None:
    """Written to a file and imported where there is no netdsl, it is the module that `compile` gives."""
    real = ["lenet5", "googlenet", "resnet18"]
    for name in real:
        module, (x,) = fresh_module(name).eval(), inputs_of(small(name))
        (tmp_path / f"small_{name}.py").write_text(small(name).emit(), encoding="utf-8")
        torch.save((module.state_dict(), x, module(x), type(module).__name__), tmp_path / f"{name}.pt")
    for name in SHIPPED:
        (tmp_path / f"full_{name}.py").write_text(full(name).emit(), encoding="utf-8")
    code = """
        import importlib, sys
        sys.modules["netdsl"] = sys.modules["netdsl_torch"] = sys.modules["lark"] = None
        folder, real, names = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
        sys.path.insert(0, folder)
        import torch
        for name in names:
            module = importlib.import_module(f"full_{name}")
            with torch.device("meta"):
                net = list(vars(module).values())[-1]()
            print(name, sum(p.numel() for p in net.parameters()))
        for name in real:
            state, x, y, cls = torch.load(f"{folder}/{name}.pt")
            net = getattr(importlib.import_module(f"small_{name}"), cls)()
            net.load_state_dict(state)
            torch.testing.assert_close(net.eval()(x), y)
        assert not [name for name in sys.modules if name.startswith("netdsl") and sys.modules[name] is not None]
    """
    printed = python(code, str(tmp_path), ",".join(real), ",".join(SHIPPED))
    assert printed.split() == [str(word) for name in SHIPPED for word in (name, full(name).params)]


def test_the_source_is_at_hand() -> None:
    module = shared_module("resnet50")
    assert inspect.getsource(type(module)).startswith("class ResNet50(nn.Module):")
    block = type(module.get_submodule("conv3.1"))
    assert f"class {block.__name__}(nn.Module):" in inspect.getsource(block)


# --- tracebacks -------------------------------------------------------------------------------------------------------


def test_a_traceback_shows_the_line_and_beside_it_that_of_the_spec() -> None:
    with pytest.raises(RuntimeError):
        shared_module("resnet50")(torch.randn(1, 4, 64, 64))
    try:
        shared_module("resnet50")(torch.randn(1, 4, 64, 64))
    except RuntimeError:
        shown = traceback.format_exc()
    (line,) = [line for line in shown.splitlines() if "resnet50.net:" in line and "self." in line]
    assert re.search(r"self\.conv1\(x\).*# .*resnet50\.net:5$", line)
    assert full("resnet50").source.text.splitlines()[5 - 1].startswith("CONV 64 7x7 /2")


class Fault(Exception):
    pass


def failing(module: nn.Module, args: object) -> None:
    raise Fault


LOOPS = """
    block up(skip, c) = UPSAMPLE -> (identity | skip) -> CONV c bn relu
    net t
    input 3 x 16 x 16
    s = CONV 6 bn relu
    (identity + (s -> CONV 6 relu)) * 2
    (identity | (s -> CONV 6 relu)) * 2
    a = POOL -> up(s, 6) -> (CONV 6 -> CONV 6 bn tanh) * 2
    output aux = GAP -> FC 3
    residual((CONV 7 bn relu -> CONV 7 bn relu -> CONV 7 bn relu -> CONV 7 bn relu))
    mean(CONV 7, identity) -> GAP -> FC 3
"""


@pytest.mark.parametrize(
    "name", ["loops", "googlenet", "resnet50", "densenet121", "vgg16", "preact_resnet164", "fractalnet"]
)
def test_wherever_it_fails_the_line_of_the_spec_is_shown(name: str) -> None:
    net, module = (loads(LOOPS), compiled(LOOPS)) if name == "loops" else (small(name), shared_module(name))
    module = copy.deepcopy(module).train()
    inputs = inputs_of(net)
    seen: set[tuple[str, str]] = set()
    for path, part in module.named_modules():
        kind = type(module.get_submodule(path.rpartition(".")[0])).__name__
        place = (kind, path.rpartition(".")[2])
        if list(part.children()) or (place in seen and kind != "Sequential"):
            continue  # one module of each class is enough
        seen.add(place)
        handle = part.register_forward_pre_hook(failing)
        with pytest.raises(Fault) as caught:
            module(*inputs)
        handle.remove()
        frames = [
            frame for frame in traceback.extract_tb(caught.value.__traceback__) if frame.filename.startswith("<netdsl ")
        ]
        assert frames
        for frame in frames:
            assert re.search(r"# .*\.net:\d+$", frame.line or ""), f"{path}: {frame.line}"


def test_lines_of_the_spec_are_the_right_ones() -> None:
    """Beside each statement of the network stands the line of its spec that has that label."""
    for name in ("googlenet", "alexnet", "resnet18"):
        net = full(name)
        lines = net.source.text.splitlines()
        marks = re.findall(rf"self\.(\w+)\(.*# [\dx ]+, {name}\.net:(\d+)$", net.emit(), re.M)
        assert len(marks) > 5
        for attribute, number in marks:
            label = re.match(r"(?:output )?(\w+) =", lines[int(number) - 1])
            if label:
                assert attribute.startswith(label[1])


def test_printing_a_module_shows_uneven_padding() -> None:
    module = compiled("net t\ninput 3 x 8 x 8\nCONV 4 2x2 -> MAXPOOL 2x2 /1 same -> AVGPOOL 2x2 /1 same\n")
    assert str(module).count("(0, 1, 0, 1)") == 3


def test_rates_follow_from_the_numbers_of_a_block() -> None:
    """As the channels do: one class for all, and a loop where they grow evenly."""
    net = netdsl.loads(
        "net n(last=2)\ninput 4 x 8 x 8\nblock b(k, share) = CONV 4 -> DROPOUT (k*share/10) -> LEAKY_RELU (0.5 - k/10)\n"
        "for i in 1..4 do b(i, 2)\nb(last, 1) -> GAP -> FC 2",
        name="n.net",
    )
    source = net.emit()
    assert "nn.Dropout(k * share / 10)" in source
    assert "nn.LeakyReLU(0.5 - k / 10)" in source
    assert "for i in range(4)" in source
    module = net.compile()
    assert [part.p for part in module.modules() if isinstance(part, nn.Dropout)] == [0.2, 0.4, 0.6, 0.8, 0.2]
    slopes = [part.negative_slope for part in module.modules() if isinstance(part, nn.LeakyReLU)]
    assert slopes == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.3])
    other = type(module)(last=3)
    assert [part.p for part in other.modules() if isinstance(part, nn.Dropout)][-1] == 0.3
