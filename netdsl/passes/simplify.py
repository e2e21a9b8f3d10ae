"""Steps that do nothing are removed, and neighbours merged: two factors, two batch norms, a ReLU after a ReLU.

s₂·(s₁·x + t₁) + t₂  =  (s₁·s₂)·x + (s₂·t₁ + t₂)
relu(f(x))           =  f(x)                         where f is nowhere negative
"""

from __future__ import annotations

from netdsl.passes.fold_norm import factor_and_shift, plus
from netdsl.passes.fused import Absorbing, Pointwise, Step, Steps, concrete
from netdsl.passes.recipe import Constant, Times
from netdsl.passes.rewrite import Context, Value, Work

POSITIVE = ("relu", "relu6", "sigmoid", "hard_sigmoid", "softplus")
"""Steps that give nothing below zero."""
UP_TO_SIX = ("relu6", "sigmoid", "hard_sigmoid")
"""Of those, the ones that give nothing above six."""
RECTIFIERS = ("relu", "leaky_relu", "prelu", "elu")
"""Steps that leave what is not below zero."""


def simplify(work: Work, context: Context) -> None:
    for value in work.live():
        if isinstance(value.op, Absorbing):
            for part in ("prologue", "epilogue"):
                shorten(work, context, value, part)


def shorten(work: Work, context: Context, value: Value, part: str) -> None:
    steps: Steps = getattr(value.op, part, ())
    while (fewer := simpler(steps, channels_of(value, part))) is not None:
        x = value.inputs[0]
        if not fewer and isinstance(value.op, Pointwise):
            through = not work.is_output(value) or x.op is not None  # an input is no output
            if through and context.may("simplify", value.name, x.name, "multiplies by one"):
                work.replace(value, x)
            return
        if not context.may("simplify", value.name, value.name, said(steps, fewer)):
            return
        assert value.op is not None
        work.change(value, value.op.replace(**{part: fewer}), value.inputs)
        steps = fewer


def channels_of(value: Value, part: str) -> int:
    """Of what the steps see: a prologue, the input; an epilogue, the output."""
    return concrete((value.inputs[0] if part == "prologue" else value).type.channels)


def said(before: Steps, after: Steps) -> str:
    kinds = [", ".join(step.kind for step in steps) or "nothing" for steps in (before, after)]
    return f"{kinds[0]} became {kinds[1]}"


def simpler(steps: Steps, channels: int) -> Steps | None:
    """The same with one step less; None where each is needed."""
    for i, step in enumerate(steps):
        if step.kind == "scale" and step.value == 1:
            return (*steps[:i], *steps[i + 1 :])
        if i and (one := merged(steps[i - 1], step, channels)) is not None:
            return (*steps[: i - 1], one, *steps[i + 1 :])
    return None


def merged(first: Step, second: Step, channels: int) -> Step | None:
    """One step that does what two do, where there is one."""
    kinds = first.kind, second.kind
    if kinds == ("scale", "scale"):
        return Step("scale", first.value * second.value)
    if set(kinds) <= {"affine", "scale"}:
        (s1, t1), (s2, t2) = (factor_and_shift(step, channels) for step in (first, second))
        shift = plus(None if t1 is None else Times(s2, t1), t2)
        return Step("affine", weights=(Times(s1, s2), shift or Constant(0.0, channels)))
    if first.kind in POSITIVE and second.kind in RECTIFIERS:
        return first
    if first.kind in UP_TO_SIX and second.kind == "relu6":
        return first
    return second if kinds == ("relu", "relu6") else None
