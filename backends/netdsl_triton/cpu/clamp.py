"""Which pre-activations are one pass over memory?  Those whose affine part can go into the layer that follows.

    relu(s·x + t)  =  s·clamp(x; -t/s, ∞) + t    for s > 0
                   =  s·clamp(x; -∞, -t/s) + t   for s < 0
    W·relu(s·x + t)  =  (W·s)·clamp(x) + W·t

That holds for every pixel that a window sees, but not for the zeros of a padding: so only where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from netdsl.ops.base import Elementwise
from netdsl.passes.fused import Absorbing, FusedConv, FusedMean, FusedPool, Head, Pointwise, moved, operands
from netdsl.passes.recipe import Plus, Recipe, Response, ScaledIn
from netdsl.passes.rewrite import Value, Work
from netdsl.prove import Prover
from netdsl.types import TensorType
from netdsl_triton.fold import evaluate

MAX_BOUND = 1e30
"""Beyond it a channel counts as constant: s·x is nothing beside t."""


class Clamp(Elementwise, Absorbing):
    """The clamp of relu(s·x + t); what follows multiplies by s and adds t."""

    name: ClassVar[str] = "clamp"

    low: Recipe
    high: Recipe

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        return inputs[0]

    def weight_recipes(self) -> dict[str, Recipe]:
        return {"low": self.low, "high": self.high}


class Kept(Recipe):
    """One vector of relu(s·x + t) = scale·clamp(x; low, high) + shift.

    A channel with s = 0 is the constant relu(t): its bounds and its scale are zero.
    """

    part: str
    s: Recipe
    t: Recipe

    @property
    def dims(self) -> tuple[int, ...]:
        return self.s.dims

    def __str__(self) -> str:
        return f"{self.part}({self.s}, {self.t})"


@evaluate.register
def _(recipe: Kept, state: Mapping[str, Tensor]) -> Tensor:
    s, t = evaluate(recipe.s, state), evaluate(recipe.t, state)
    bound = -t / s
    constant = ~(bound.abs() < MAX_BOUND)
    zero, endless = torch.zeros_like(s), torch.full_like(s, torch.inf)
    parts = {
        "scale": torch.where(constant & ~s.isnan(), zero, s),
        "shift": torch.where(constant, t.relu(), t),
        "low": torch.where(constant, zero, torch.where(s > 0, bound, -endless)),
        "high": torch.where(constant, zero, torch.where(s > 0, endless, bound)),
    }
    return parts[recipe.part]


def separate(work: Work) -> None:
    """Prologues become elements of their own, one for all that have the same: library kernels take none."""
    made: dict[object, Value] = {}
    for value in work.live():
        op = value.op
        if not isinstance(op, FusedConv | FusedPool | FusedMean | Head) or not op.prologue:
            continue
        taken = operands(op.prologue)
        inputs = [value.inputs[i] for i in (0, *taken)]
        steps = moved(op.prologue, {old: new for new, old in enumerate(taken, 1)})
        key = (steps, tuple(map(id, inputs)))
        if key not in made:
            made[key] = work.add(f"{value.name}.prologue", Pointwise(epilogue=steps), inputs, value)
        work.change(value, op.replace(prologue=()), [made[key], *value.inputs[1:]])


def clamp(work: Work) -> None:
    """Pre-activations become clamps, where all that reads them are layers without padding."""
    for value in work.live():
        op = value.op
        if not isinstance(op, Pointwise) or [step.kind for step in op.epilogue] != ["affine", "relu"]:
            continue
        if work.is_output(value) or not all(takes_clamp(user, value) for user in value.users):
            continue
        s, t = op.epilogue[0].weights
        work.change(value, Clamp(low=Kept("low", s, t), high=Kept("high", s, t)), value.inputs)
        for user in list(value.users):
            layer = user.op
            assert isinstance(layer, FusedConv)
            shift = Response(layer.weight, Kept("shift", s, t), layer.groups)
            bias = shift if layer.bias is None else Plus(layer.bias, shift)
            weight = ScaledIn(layer.weight, Kept("scale", s, t), layer.groups)
            work.change(user, layer.replace(weight=weight, bias=bias), user.inputs)


def takes_clamp(user: Value, value: Value) -> bool:
    op = user.op
    return (
        isinstance(op, FusedConv)
        and not op.prologue
        and not any(map(any, op.padding))
        and [x is value for x in user.inputs].count(True) == 1
        and user.inputs[0] is value
    )
