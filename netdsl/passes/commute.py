"""An average pool and a 1x1 convolution change places where that makes the work less: on fewer pixels, or channels.

    pool(W*x + b) = W*pool(x) + b         the convolution on what the pool leaves (DenseNet's transitions)
    W*pool(x) + b = pool(W*x) + b         the pool on what the convolution leaves (the pools of the Inceptions)

Both are linear, one over space and one over channels. The bias is its own mean only where no zeros of the padding
count; in the second it comes after the pool, with the convolution's other steps. Only where the device would be faster.
"""

from __future__ import annotations

from netdsl.passes.fused import FusedConv, FusedPool, Step
from netdsl.passes.recipe import Constant
from netdsl.passes.rewrite import Context, Value, Work

RULE = "commute"


def commute(work: Work, context: Context) -> None:
    for value in work.live():
        x = value.inputs[0] if value.inputs else None
        if x is None or work.only_user(x) is not value or value.inputs.count(x) > 1 or len(x.inputs) > 1:
            continue
        if is_average(value) and is_product(x):
            pool_first(work, context, x, value)
        elif is_product(value) and is_average(x):
            convolve_first(work, context, x, value)


def is_average(value: Value) -> bool:
    return isinstance(value.op, FusedPool) and value.op.kind == "avg"


def is_product(value: Value) -> bool:
    """Whether it multiplies the channels of each pixel by a matrix, and nothing else but steps after it."""
    return isinstance(value.op, FusedConv) and value.op.is_gemm and bool(value.op.kernel) and not value.op.flat


def pool_first(work: Work, context: Context, conv: Value, pool: Value) -> None:
    """pool(W*x + b) becomes W*pool(x) + b."""
    first, second = conv.op, pool.op
    assert isinstance(first, FusedConv)
    assert isinstance(second, FusedPool)
    if second.prologue:
        return
    if first.epilogue:
        context.left(RULE, pool.name, f"{first.epilogue[-1].kind} stands between {conv.name} and the pool")
        return
    if first.bias is not None and second.count_pad and any(map(any, second.padding)):
        context.left(RULE, pool.name, f"zeros of its padding count, and {conv.name} has a bias")
        return
    new_pool = second.replace(prologue=first.prologue, epilogue=())
    new_conv = first.replace(prologue=(), epilogue=second.epilogue)
    swap(work, context, conv, pool, new_pool, new_conv, "the pool comes first: the product is of fewer pixels")


def convolve_first(work: Work, context: Context, pool: Value, conv: Value) -> None:
    """W*pool(x) + b becomes pool(W*x) + b."""
    first, second = pool.op, conv.op
    assert isinstance(first, FusedPool)
    assert isinstance(second, FusedConv)
    if second.prologue or first.epilogue:
        return
    bias = () if second.bias is None else (Step("affine", weights=(Constant(1.0, second.out_channels), second.bias)),)
    new_conv = second.replace(prologue=first.prologue, bias=None, epilogue=())
    new_pool = first.replace(prologue=(), epilogue=(*bias, *second.epilogue))
    swap(work, context, pool, conv, new_conv, new_pool, "the product comes first: the pool is of fewer channels")


def swap(
    work: Work,
    context: Context,
    first: Value,
    second: Value,
    now_first: FusedConv | FusedPool,
    now_second: FusedConv | FusedPool,
    reason: str,
) -> None:
    """The two change places, if the device is faster with that; each keeps its name."""
    assert first.op is not None
    assert second.op is not None
    x, others = first.inputs[0], second.inputs[1:]
    between = work.infer(now_first, [x])
    beside = [other.type for other in others]
    before = context.cost(first.op, (x.type,), first.type)
    before += context.cost(second.op, (first.type, *beside), second.type)
    after = context.cost(now_first, (x.type,), between)
    after += context.cost(now_second, (between, *beside), second.type)
    if not after < before:
        context.left(RULE, second.name, f"it would be no faster before {first.name}")
        return
    if context.may(RULE, second.name, first.name, reason):
        work.change(first, now_first, [x], between)
        work.change(second, now_second, [first, *others])
        work.exchange(first, second)
