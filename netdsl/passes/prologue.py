"""Steps before elements that compute go into their prologues: batch norm and ReLU of pre-activated networks.

    y = f(x); conv(y), pool(y)  =  conv(f(·))(x), pool(f(·))(x)

All that read y have to take the steps, or y would have to be written all the same; then each of them computes f anew
where it reads x. That pays where a value is read seldom: a 3x3 window computes it nine times, and once more for each
block of output channels. Zeros of a padding stay zeros: they are of what the prologue gives.
"""

from __future__ import annotations

from netdsl.passes.cost import Cost
from netdsl.passes.fused import (
    BINARY,
    MAX_OPERANDS,
    UNARY,
    FusedConv,
    FusedMean,
    FusedPool,
    Head,
    Pointwise,
    Steps,
    moved,
    operands,
)
from netdsl.passes.rewrite import Context, Value, Work

RULE = "prologue"
HOSTS = (FusedConv, FusedPool, FusedMean, Head)
STEPS = (*UNARY, "affine", "scale", "prelu", "gate")
"""What a prologue may hold."""
MAX_STEPS = 4


def prologue(work: Work, context: Context) -> None:
    for value in work.live_backwards():
        if isinstance(value.op, Pointwise):
            absorb(work, context, value)


def absorb(work: Work, context: Context, value: Value) -> None:
    """Moves all steps of `value` into the prologues of all that read it."""
    op, readers = value.op, work.readers(value)
    assert isinstance(op, Pointwise)
    if readers is None:
        context.left(RULE, value.name, "it is read as an operand of a step, or is an output")
        return
    if not context.device.prologues:
        context.left(RULE, value.name, "convolutions of this device compute nothing on what they read")
        return
    for user in readers:
        if reason := why_not(op.epilogue, user):
            context.left(RULE, value.name, f"{user.name} {reason}")
            return
    before = context.cost(op, [x.type for x in value.inputs], value.type)
    after, changes = Cost(), []
    for user in readers:
        assert user.op is not None
        fused, inputs = prepended(op.epilogue, value.inputs, user)
        before += context.cost(user.op, [x.type for x in user.inputs], user.type)
        after += context.cost(fused, [x.type for x in inputs], user.type)
        changes.append((user, fused, inputs))
    names = ", ".join(user.name for user in readers)
    if not after < before:
        context.left(RULE, value.name, f"to compute it in {names} as often as it is read there is no faster")
        return
    what = ", ".join(dict.fromkeys(step.kind for step in op.epilogue))
    if context.may(RULE, value.name, readers[0].name, f"{what} in the prologue of {names}"):
        for user, fused, inputs in changes:
            work.change(user, fused, inputs)
        work.forget(value)


def why_not(steps: Steps, user: Value) -> str:
    """Empty if `user` can compute the steps on what it reads."""
    op = user.op
    if not isinstance(op, HOSTS):
        return f"is {'an' if user.op is not None and user.op.name[0] in 'aeio' else 'a'} {op.name if op else 'input'}"
    if len(steps) + len(op.prologue) > MAX_STEPS:
        return "has a full prologue"
    if any(step.kind not in STEPS for step in steps):
        return "takes no sums in its prologue"
    if isinstance(op, FusedConv) and op.flat and any(n > 1 for n in op.kernel):
        return "reads the map as a vector"
    extra = sum(step.kind in BINARY for step in steps)
    if extra and not (isinstance(op, FusedConv) and op.is_gemm):
        return "takes no gate in its prologue: it is no 1x1 convolution"
    if extra and len(user.inputs) - 1 + extra > MAX_OPERANDS:
        return "reads too much already"
    return ""


def prepended(
    steps: Steps, inputs: list[Value], user: Value
) -> tuple[FusedConv | FusedPool | FusedMean | Head, list[Value]]:
    """The element with the steps first in its prologue, and its inputs: operands of the steps come last."""
    op = user.op
    assert isinstance(op, HOSTS)
    at = {old: len(user.inputs) + i for i, old in enumerate(dict.fromkeys(operands(steps)))}
    found = [inputs[0], *user.inputs[1:], *(inputs[old] for old in at)]
    return op.replace(prologue=(*moved(steps, at), *op.prologue)), found
