"""Pools, and their global forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netdsl.types import TensorType
from netdsl_torch.code import Code, Hole, hole, joined
from netdsl_torch.rules.base import Rule, Types, dims, extent, sides, symmetric


def pool(kind: str) -> Callable[[Any, Types], Code]:
    def rule(op: Any, inputs: Types) -> Code:
        even = symmetric(op.padding) and not _refuses_padding(kind, op, inputs[0])
        code: list[str | Hole] = [f"nn.{kind}Pool{dims(inputs[0])}(" if even else f"Uneven{kind}Pool{dims(inputs[0])}("]
        code += extent(op.kernel, "kernel_size")
        code += extent(op.stride, "stride", ", stride=")
        if even:
            code += extent(tuple(before for before, _ in op.padding), "padding", ", padding=", 0)
        code.append(", ceil_mode=True" if op.rounding == "ceil" else "")
        if kind == "Avg" and not op.count_pad:
            code.append(", count_include_pad=False")
        code.append(")" if even else f", sides={sides(op.padding)})")
        return tuple(code)

    return rule


def _refuses_padding(kind: str, op: Any, x: TensorType) -> bool:
    """PyTorch's 3-d average pooling wants the input alone, without its padding, to be as large as the window."""
    return kind == "Avg" and len(x.spatial) == 3 and any(before for before, _ in op.padding)


def global_pool(kind: str) -> Callable[[Any, Types], Code]:
    def rule(op: Any, inputs: Types) -> Code:
        return (f"nn.Sequential(nn.Adaptive{kind}Pool{dims(inputs[0])}(1), nn.Flatten(1))",)

    return rule


def reduce_over_space(method: str) -> Callable[[Any, Types, Sequence[str]], str]:
    def rule(op: Any, inputs: Types, args: Sequence[str]) -> str:
        axes = tuple(range(2, 1 + inputs[0].rank))
        return f"{args[0]}.{method}({axes[0] if len(axes) == 1 else axes})"

    return rule


def adaptive(kind: str) -> Callable[[Any, Types], Code]:
    def rule(op: Any, inputs: Types) -> Code:
        if set(op.size) == {None}:
            return ("nn.Identity()",)
        return (f"nn.Adaptive{kind}Pool{dims(inputs[0])}(", *_output_size(op.size), ")")

    return rule


def _output_size(sizes: Sequence[int | None]) -> Code:
    """None keeps an axis, in PyTorch as here."""
    known = tuple([n for n in sizes if n is not None])
    if len(known) == len(sizes):
        return extent(known, "output_size")
    parts: list[Code] = [("None",) if n is None else (hole(n, "output_size"),) for n in sizes]
    return ("(", *joined(parts), ")")


RULES = {
    "adaptive_avgpool": Rule(adaptive("Avg")),
    "adaptive_maxpool": Rule(adaptive("Max")),
    "maxpool": Rule(pool("Max")),
    "avgpool": Rule(pool("Avg")),
    "globalavgpool": Rule(global_pool("Avg"), reduce_over_space("mean")),
    "globalmaxpool": Rule(global_pool("Max"), reduce_over_space("amax")),
}
