"""An affine step right before a layer with weights goes into them: after a pool, a concatenation, a ReLU.

    W*(s·x + t) + b  =  (W·s)*x + (W*t + b)

Exact where the layer has no padding: its zeros would have to be -t/s. With t = 0 it is exact always. All that read the
step have to be such layers, or it would have to be computed as well. A prologue that ends in such a step loses it.
"""

from __future__ import annotations

from netdsl.passes.fold_norm import factor_and_shift, plus
from netdsl.passes.fused import FusedConv, Head, Pointwise, Step, concrete
from netdsl.passes.recipe import Recipe, Response, ScaledIn
from netdsl.passes.rewrite import Context, Value, Work

RULE = "fold_forward"


def fold_forward(work: Work, context: Context) -> None:
    for value in work.live_backwards():
        if isinstance(value.op, Pointwise):
            while fold_last(work, context, value):
                pass
        elif isinstance(value.op, FusedConv | Head):
            while fold_prologue(work, context, value):
                pass


def fold_last(work: Work, context: Context, value: Value) -> bool:
    """Moves the last step of `value` into the weights of all that read it."""
    op = value.op
    if not isinstance(op, Pointwise) or not is_affine(step := op.epilogue[-1]):
        return False
    readers = work.readers(value)
    if readers is None:
        return False
    for user in readers:
        if not isinstance(user.op, FusedConv | Head) or user.op.prologue:
            return False
        if reason := why_not(user.op, step):
            context.left(RULE, value.name, f"{user.name} {reason}")
            return False
    names = ", ".join(user.name for user in readers)
    if not context.may(RULE, value.name, readers[0].name, f"folded into the weights of {names}"):
        return False
    for user in readers:
        assert isinstance(user.op, FusedConv | Head)
        work.change(user, with_input_scaled(user.op, step, user.inputs[0]), user.inputs)
    if len(op.epilogue) > 1:
        work.change(value, Pointwise(epilogue=op.epilogue[:-1]), value.inputs)
    else:
        work.replace(value, value.inputs[0])
    return True


def fold_prologue(work: Work, context: Context, value: Value) -> bool:
    """Moves the last step of a prologue into the weights."""
    op = value.op
    assert isinstance(op, FusedConv | Head)
    if not op.prologue or not is_affine(step := op.prologue[-1]) or why_not(op, step):
        return False
    if not context.may(RULE, value.name, value.name, "the last step of its prologue is folded into its weights"):
        return False
    op = with_input_scaled(op, step, value.inputs[0])
    work.change(value, op.replace(prologue=op.prologue[:-1]), value.inputs)
    return True


def is_affine(step: Step) -> bool:
    return step.kind in ("affine", "scale")


def why_not(op: FusedConv | Head, step: Step) -> str:
    """Empty if the weights can take the step."""
    padded = isinstance(op, FusedConv) and any(map(any, op.padding))
    return "pads with zeros" if padded and factor_and_shift(step, 1)[1] is not None else ""


def with_input_scaled(op: FusedConv | Head, step: Step, x: Value) -> FusedConv | Head:
    """The layer with the step's factor and shift in its weight and bias."""
    scale, shift = factor_and_shift(step, concrete(x.type.channels))
    groups = op.groups if isinstance(op, FusedConv) else 1
    response: Recipe | None = None if shift is None else Response(op.weight, shift, groups)
    return op.replace(weight=ScaledIn(op.weight, scale, groups), bias=plus(response, op.bias))
