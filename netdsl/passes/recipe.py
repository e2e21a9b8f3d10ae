"""How is a weight of a fused element made from the network's own?  Expressions over parameters, as data.

Folding a batch norm changes weights, and passes know none: they see types. So a fused element says *how* its weights
follow from the parameters and buffers, by their names in the state dict, and a backend computes them, once for each
set of weights (`netdsl_triton.fold`). All vectors are of one value for each channel.
"""

from __future__ import annotations

import math

from netdsl.record import Record


class Recipe(Record):
    """A tensor of known shape. `str` is its formula, as in the printed form of a graph."""

    @property
    def dims(self) -> tuple[int, ...]:
        """The shape of what comes out."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        return math.prod(self.dims)


class Parameter(Recipe):
    """A parameter or buffer of the network, by its name in the state dict."""

    name: str
    shape: tuple[int, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        return self.shape

    def __str__(self) -> str:
        return self.name


class Constant(Recipe):
    """One number for every channel."""

    value: float
    channels: int

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels,)

    def __str__(self) -> str:
        return f"{self.value:g}"


class NormScale(Recipe):
    """s = γ/√(σ² + ε) of a batch norm in inference: y = s·x + t."""

    norm: str
    eps: float
    channels: int

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels,)

    def __str__(self) -> str:
        return f"{self.norm}.s"


class NormShift(Recipe):
    """t = β - μ·s of a batch norm in inference: y = s·x + t."""

    norm: str
    eps: float
    channels: int

    @property
    def dims(self) -> tuple[int, ...]:
        return (self.channels,)

    def __str__(self) -> str:
        return f"{self.norm}.t"


class Times(Recipe):
    """The product of two vectors."""

    left: Recipe
    right: Recipe

    @property
    def dims(self) -> tuple[int, ...]:
        return self.left.dims

    def __str__(self) -> str:
        return f"{_factor(self.left)}*{_factor(self.right)}"


class Plus(Recipe):
    """The sum of two vectors."""

    left: Recipe
    right: Recipe

    @property
    def dims(self) -> tuple[int, ...]:
        return self.left.dims

    def __str__(self) -> str:
        return f"{self.left} + {self.right}"


class ScaledOut(Recipe):
    """A weight (out x in/groups x kernel) whose filters are each multiplied by the factor of their output channel."""

    weight: Recipe
    factor: Recipe

    @property
    def dims(self) -> tuple[int, ...]:
        return self.weight.dims

    def __str__(self) -> str:
        return f"{_factor(self.weight)}·out({self.factor})"


class ScaledIn(Recipe):
    """A weight (out x in/groups x kernel) whose filters are multiplied by the factor of the input channel they read."""

    weight: Recipe
    factor: Recipe
    groups: int = 1

    @property
    def dims(self) -> tuple[int, ...]:
        return self.weight.dims

    def __str__(self) -> str:
        return f"{_factor(self.weight)}·in({self.factor})"


class Response(Recipe):
    """What a convolution gives on a constant image, without padding: Σ over inputs and kernel of weight·value."""

    weight: Recipe
    value: Recipe
    groups: int = 1

    @property
    def dims(self) -> tuple[int, ...]:
        return self.weight.dims[:1]

    def __str__(self) -> str:
        return f"{_factor(self.weight)}({self.value})"


class Stacked(Recipe):
    """Tensors one after the other along their first axis: the filters of several convolutions."""

    parts: tuple[Recipe, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        return (sum(part.dims[0] for part in self.parts), *self.parts[0].dims[1:])

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.parts))}]"


class Shaped(Recipe):
    """The same values in another shape: a linear layer over a map as a convolution as large as the map."""

    value: Recipe
    shape: tuple[int, ...]

    @property
    def dims(self) -> tuple[int, ...]:
        return self.shape

    def __str__(self) -> str:
        return str(self.value)


def _factor(recipe: Recipe) -> str:
    return f"({recipe})" if isinstance(recipe, Plus) else str(recipe)


def parameters(recipe: Recipe) -> tuple[str, ...]:
    """The tensors of the state dict that it is made from."""
    if isinstance(recipe, Parameter):
        return (recipe.name,)
    if isinstance(recipe, NormScale):
        return tuple(f"{recipe.norm}.{name}" for name in ("weight", "running_var"))
    if isinstance(recipe, NormShift):
        return tuple(f"{recipe.norm}.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
    found: list[str] = []
    for name in recipe.fields:
        value = getattr(recipe, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Recipe):
                found.extend(parameters(part))
    return tuple(dict.fromkeys(found))
