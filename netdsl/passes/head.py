"""Global average pooling and the linear layer after it are one element; so are a linear 1x1 convolution and the mean.

head(x) = W · mean(x) + b
mean(W*x + b) = W · mean(x) + b      W 1x1, nothing between: the mean of fewer values, and a product for each sample
"""

from __future__ import annotations

from netdsl.passes.fused import FusedConv, FusedMean, FusedPool, Head, concrete
from netdsl.passes.recipe import Shaped
from netdsl.passes.rewrite import Context, Value, Work


def head(work: Work, context: Context) -> None:
    for value in work.live():
        if isinstance(value.op, FusedConv) and not any(n > 1 for n in value.op.kernel):
            after_mean(work, context, value)
        elif isinstance(value.op, FusedMean):
            before_mean(work, context, value)


def is_mean(x: Value) -> bool:
    """Whether it is the mean over space alone, as a pool as large as the map, too."""
    op = x.op
    if isinstance(op, FusedMean):
        return op.kind == "avg" and not op.epilogue
    if not isinstance(op, FusedPool) or op.kind != "avg" or op.epilogue or any(map(any, op.padding)):
        return False
    return op.kernel == x.inputs[0].type.spatial and x.type.elements == x.type.channels


def after_mean(work: Work, context: Context, value: Value) -> None:
    """W · mean(x) + b."""
    op, x = value.op, value.inputs[0]
    assert isinstance(op, FusedConv)
    if not is_mean(x) or (op.kernel and not op.flat) or op.groups > 1 or op.prologue or len(x.inputs) > 1:
        return
    if work.only_user(x) is not value:
        context.left("head", value.name, f"others read the means of {x.name} too")
        return
    if not context.may("head", x.name, value.name, "the means and what is made of them are one element"):
        return
    features = op.out_channels
    weight = Shaped(op.weight, (features, concrete(x.type.channels))) if op.kernel else op.weight
    assert isinstance(x.op, FusedMean | FusedPool)
    fused = Head(out_features=features, weight=weight, bias=op.bias, prologue=x.op.prologue, epilogue=op.epilogue)
    work.change(value, fused, [*x.inputs, *value.inputs[1:]])
    work.forget(x)


def before_mean(work: Work, context: Context, value: Value) -> None:
    """mean(W*x + b), of a 1x1 convolution."""
    op, x = value.op, value.inputs[0]
    assert isinstance(op, FusedMean)
    if op.kind != "avg" or op.prologue or not isinstance(x.op, FusedConv) or work.only_user(x) is not value:
        return
    if not x.op.is_gemm or not x.op.kernel or x.op.flat or len(x.inputs) > 1:
        return
    if x.op.epilogue:
        context.left("head", value.name, f"{x.op.epilogue[-1].kind} stands between {x.name} and the mean")
        return
    if not context.may("head", x.name, value.name, "the mean is taken first: the product is of one vector"):
        return
    weight = Shaped(x.op.weight, (x.op.out_channels, concrete(x.inputs[0].type.channels)))
    fused = Head(
        out_features=x.op.out_channels, weight=weight, bias=x.op.bias, prologue=x.op.prologue, epilogue=op.epilogue
    )
    work.change(value, fused, [*x.inputs, *value.inputs[1:]])
    work.forget(x)
