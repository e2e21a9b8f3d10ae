"""An affine step right after a convolution goes into its weights: batch norms, layer scales, constant factors.

Only where nothing else reads what the convolution gives, and never across an activation. In training a batch norm has
statistics of its own; these graphs are of inference.

    s·(W*x + b) + t  =  (s·W)*x + (s·b + t)
"""

from __future__ import annotations

from netdsl.passes.fused import FusedConv, Head, Pointwise, Step
from netdsl.passes.recipe import Constant, Plus, Recipe, ScaledOut, Times
from netdsl.passes.rewrite import Context, Value, Work


def fold_norm(work: Work, context: Context) -> None:
    for value in work.live():
        host = value.inputs[0] if value.inputs else None
        if not isinstance(value.op, Pointwise) or host is None or not isinstance(host.op, FusedConv | Head):
            continue
        while starts_affine(value) and fold_first(work, context, value, host):
            pass


def starts_affine(value: Value) -> bool:
    return isinstance(value.op, Pointwise) and value.op.epilogue[0].kind in ("affine", "scale")


def fold_first(work: Work, context: Context, value: Value, host: Value) -> bool:
    """Moves the first step of `value` into the weights of `host`."""
    op = host.op
    assert isinstance(value.op, Pointwise)
    assert isinstance(op, FusedConv | Head)
    if work.only_user(host) is not value:
        context.left("fold_norm", value.name, f"others read what {host.name} gives too")
        return False
    if op.epilogue:
        context.left("fold_norm", value.name, f"{op.epilogue[-1].kind} stands between it and {host.name}")
        return False
    if not context.may("fold_norm", value.name, host.name, "folded into the weights"):
        return False
    first, *rest = value.op.epilogue
    weight, bias = folded(op.weight, op.bias, first)
    work.change(host, op.replace(weight=weight, bias=bias), host.inputs)
    if rest:
        work.change(value, Pointwise(epilogue=tuple(rest)), value.inputs)
    else:
        work.replace(value, host)
    return True


def folded(weight: Recipe, bias: Recipe | None, step: Step) -> tuple[Recipe, Recipe | None]:
    """The weight and bias of a layer with an affine step, or a factor, after it."""
    scale, shift = factor_and_shift(step, weight.dims[0])
    return ScaledOut(weight, scale), plus(None if bias is None else Times(scale, bias), shift)


def factor_and_shift(step: Step, channels: int) -> tuple[Recipe, Recipe | None]:
    """s and t of s·x + t; None for a t of zero."""
    if step.kind == "scale":
        return Constant(step.value, channels), None
    scale, shift = step.weights
    return scale, None if isinstance(shift, Constant) and not shift.value else shift


def plus(a: Recipe | None, b: Recipe | None) -> Recipe | None:
    """The sum of two vectors, of which None is zero."""
    return Plus(a, b) if a is not None and b is not None else a or b
