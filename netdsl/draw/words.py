"""What does a box say, and of what kind is it?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from netdsl.graph import Graph, Node, Repeat
from netdsl.ops import BY_SPELLING, Op
from netdsl.ops.base import brief, written
from netdsl.types import TensorType

KIND_OF: dict[str, str] = {
    **dict.fromkeys(("conv", "conv_transpose"), "conv"),
    **dict.fromkeys(("maxpool", "avgpool", "globalavgpool", "globalmaxpool"), "pool"),
    **dict.fromkeys(("adaptive_avgpool", "adaptive_maxpool"), "pool"),
    "linear": "fc",
    **dict.fromkeys(("flatten", "reshape", "transpose", "slice", "crop", "pad"), "reshape"),
    **dict.fromkeys(("channel_shuffle", "pad_channels", "crop_to", "resize_to", "upsample"), "reshape"),
    **dict.fromkeys(("rnn", "gru", "lstm"), "recurrent"),
    "attention": "attention",
    **dict.fromkeys(("embedding", "tokens", "positions", "sinusoidal_positions"), "embedding"),
    **dict.fromkeys(("batchnorm", "layernorm", "groupnorm", "instancenorm", "lrn"), "norm"),
    **dict.fromkeys(("relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish"), "activation"),
    **dict.fromkeys(("mish", "sigmoid", "hard_sigmoid", "tanh", "softplus", "softmax"), "activation"),
    **dict.fromkeys(("scale", "layer_scale"), "norm"),
    **dict.fromkeys(("dropout", "spatial_dropout", "stochastic_depth", "drop_path"), "regularisation"),
    **dict.fromkeys(("add", "mean", "product", "gate", "concat", "join"), "join"),
}
"""The kind of each op: what it is coloured as."""

JOINS = {"add": "+", "product": "×"}
"""Joins that have a sign; the others are called by their names."""


def kind_of(op: Op) -> str:
    return KIND_OF[op.name]


def title_of(op: Op, inputs: tuple[TensorType, ...], type: TensorType) -> str:
    """A primitive as one would write it, with its numbers: `CONV 64 7x7 /2`."""
    if op.name in JOINS:
        return JOINS[op.name]
    called: str = op.spellings[0] if op.spellings else getattr(op, "call", "") or op.name.replace("_", " ")
    return f"{called} {_WORDS.get(op.name, _described)(op, inputs, type)}".strip()


def _described(op: Op, inputs: tuple[TensorType, ...], type: TensorType) -> str:
    return op.describe().removeprefix("p=")


def _conv(op: Any, inputs: tuple[TensorType, ...], type: TensorType) -> str:
    words = re.sub(r"(?<=dilation )(\d+)(x\1)+\b", r"\1", op.describe())
    if op.groups > 1 and op.groups == inputs[0].channels:
        words = words.replace(f"groups {op.groups}", "depthwise")
    return f"{type.channels} {words}"


def _deconv(op: Any, inputs: tuple[TensorType, ...], type: TensorType) -> str:
    return f"{type.channels} {written(op.kernel)} /{brief(op.stride)}"


def _with_size(op: Any, inputs: tuple[TensorType, ...], type: TensorType) -> str:
    return f"{type.channels} {op.describe()}"


_WORDS: dict[str, Callable[[Any, tuple[TensorType, ...], TensorType], str]] = {
    "conv": _conv,
    "conv_transpose": _deconv,
    **dict.fromkeys(("linear", "rnn", "gru", "lstm"), _with_size),
}


def bare(text: str) -> str:
    """Without parentheses around all of it."""
    depth = 0
    for i, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and i + 1 < len(text):
            return text
    return bare(text[1:-1].strip()) if text.startswith("(") else text


def block_title(node: Node[TensorType], bodies: Sequence[Graph[TensorType]]) -> str:
    """A call in its author's words, where these hold numbers alone: `inception(64, 96, 128, 16, 32, 32)`.

    Names of a surrounding block become their values: `residual(f(stride=2), shortcut)` in a stage of bottlenecks is
    `residual(bottleneck(128, stride=2))`; of several bodies, those that all have. An unnamed path is what stands in its
    parentheses.
    """
    body = bodies[0]
    text = " ".join(node.origin[0].text.split()) if node.origin else body.name
    if isinstance(node.op, Repeat):
        text = re.sub(r"\s*\*\s*(\w+|\([^()]*\))$", "", text)
    text = bare(text)
    if body.kind == "path":
        return text
    title = body.title or body.name
    named = set(re.findall(r"[^\W\d]\w*\b(?!\s*=)", text))
    known = set(re.findall(r"[^\W\d]\w*", title)) | {name for name in named if name.upper() in BY_SPELLING}
    if named <= known and "->" not in text:
        return re.sub(r",\s*", ", ", text)
    shared = set(body.arguments).intersection(*(other.arguments for other in bodies[1:]))
    given = [(g.name, str(g.value)) for g in body.arguments if g in shared and not g.name.endswith("_channels")]
    if not given or len(given) > 8 or "->" in text:  # a path is given: what it took from around is not the call's
        return title
    plain = [name in ("c", "n", "k") or len(given) > 3 for name, _ in given]
    numbers = ", ".join(value if bare else f"{name}={value}" for bare, (name, value) in zip(plain, given))
    inner = re.match(r"(.*[^\W\d]\w*)(\)*)$", title)
    return f"{inner[1]}({numbers}){inner[2]}" if inner else title
