"""The values of recipes: what fused weights are, for definite parameters. In double precision, given as fp32."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

import torch
from torch import Tensor

from netdsl.passes.fused import Absorbing
from netdsl.passes.recipe import (
    Constant,
    NormScale,
    NormShift,
    Parameter,
    Plus,
    Recipe,
    Response,
    ScaledIn,
    ScaledOut,
    Shaped,
    Stacked,
    Times,
)

State = Mapping[str, Tensor]


def fold(op: Absorbing, state: State, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The weights of a fused element by name, contiguous, on the device of the parameters."""
    with torch.no_grad():
        return {name: evaluate(recipe, state).to(dtype).contiguous() for name, recipe in op.weight_recipes().items()}


@singledispatch
def evaluate(recipe: Recipe, state: State) -> Tensor:
    """The tensor that a recipe stands for, in fp64."""
    raise TypeError(recipe)


@evaluate.register
def _(recipe: Parameter, state: State) -> Tensor:
    return state[recipe.name].detach().double().reshape(recipe.shape)


@evaluate.register
def _(recipe: Constant, state: State) -> Tensor:
    like = next(iter(state.values()), torch.empty(0, device="cpu"))
    return torch.full(recipe.dims, recipe.value, dtype=torch.float64, device=like.device)


@evaluate.register
def _(recipe: NormScale, state: State) -> Tensor:
    gamma, variance = (state[f"{recipe.norm}.{name}"].detach().double() for name in ("weight", "running_var"))
    return gamma / torch.sqrt(variance + recipe.eps)


@evaluate.register
def _(recipe: NormShift, state: State) -> Tensor:
    beta, mean = (state[f"{recipe.norm}.{name}"].detach().double() for name in ("bias", "running_mean"))
    return beta - mean * evaluate(NormScale(recipe.norm, recipe.eps, recipe.channels), state)


@evaluate.register
def _(recipe: Times, state: State) -> Tensor:
    return evaluate(recipe.left, state) * evaluate(recipe.right, state)


@evaluate.register
def _(recipe: Plus, state: State) -> Tensor:
    return evaluate(recipe.left, state) + evaluate(recipe.right, state)


@evaluate.register
def _(recipe: ScaledOut, state: State) -> Tensor:
    weight = evaluate(recipe.weight, state)
    return weight * evaluate(recipe.factor, state).reshape(-1, *[1] * (weight.dim() - 1))


@evaluate.register
def _(recipe: ScaledIn, state: State) -> Tensor:
    weight = evaluate(recipe.weight, state)
    grouped = _by_group(weight, recipe.groups)
    factor = evaluate(recipe.factor, state).reshape(recipe.groups, 1, weight.shape[1], 1)
    return (grouped * factor).reshape(weight.shape)


@evaluate.register
def _(recipe: Response, state: State) -> Tensor:
    weight = evaluate(recipe.weight, state)
    value = evaluate(recipe.value, state).reshape(recipe.groups, 1, weight.shape[1], 1)
    return (_by_group(weight, recipe.groups) * value).sum((2, 3)).reshape(-1)


def _by_group(weight: Tensor, groups: int) -> Tensor:
    """out x in/groups x kernel → groups x out/groups x in/groups x (all of the kernel)."""
    return weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)


@evaluate.register
def _(recipe: Stacked, state: State) -> Tensor:
    return torch.cat([evaluate(part, state) for part in recipe.parts])


@evaluate.register
def _(recipe: Shaped, state: State) -> Tensor:
    return evaluate(recipe.value, state).reshape(recipe.shape)
