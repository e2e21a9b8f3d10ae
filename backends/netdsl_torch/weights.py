"""Whose weights?  Published ones, or those of any other implementation of the same network: matched by structure.

Other libraries call their layers otherwise, but a network has its layers in one order. So the weights are taken one
after the other; their kinds and shapes have to agree to the last one, or nothing is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.diagnostic import nearest
from netdsl.options import UsageError

Weights = Mapping[str, Tensor] | nn.Module | str | os.PathLike[str]

KINDS = ("weight", "bias", "running_mean", "running_var")
COUNTER = "num_batches_tracked"
"""How many batches a norm has seen: older files lack it, and nothing is computed from it here."""


class WeightsError(UsageError):
    """The weights are not those of this network. Nothing was loaded."""


def load_weights(module: nn.Module, weights: Weights, fresh: Iterable[str] = ()) -> None:
    """Gives `module` the weights of another implementation of the same network.

    weights     a state dict, a module, or a file that `torch.load` reads (a state dict, or a checkpoint that holds one)
    fresh       labels of lines that keep their own weights: a new head

    Names that agree are followed. Else the order counts, which is that of declaration; a 1x1 convolution takes the
    weights of a linear layer, and the other way round. Raises WeightsError, which names the first two that differ.
    """
    theirs, ours = state_of(weights), module.state_dict()
    kept = kept_by(ours, fresh)
    if theirs.keys() != ours.keys():
        theirs = matched_in_some_order(ours, theirs, kept)
    theirs = {name: value for name, value in theirs.items() if name not in kept}
    for name, value in theirs.items():
        if not fits(ours[name], value):
            raise WeightsError(f"`{name}` is {shown(ours[name])}, and the weights have {shown(value)}")
    with torch.no_grad():
        for name, value in theirs.items():
            ours[name].copy_(value.reshape(ours[name].shape))


def state_of(weights: Weights) -> dict[str, Tensor]:
    """The tensors by name, whatever they came in."""
    found: Any = weights
    if isinstance(weights, str | os.PathLike):
        try:
            found = torch.load(weights, map_location="cpu", weights_only=True)
        except OSError as error:
            raise WeightsError(f"cannot read {os.fspath(weights)}: {error.strerror or error}") from None
        except Exception as error:
            raise WeightsError(f"{os.fspath(weights)} holds no weights: {str(error).splitlines()[0]}") from None
    if isinstance(found, nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping):
        raise WeightsError(f"weights are a state dict, not {type(found).__name__}")
    for key in ("state_dict", "model"):  # what training scripts call it in their checkpoints
        if isinstance(found.get(key), Mapping):
            found = found[key]
    other = next((name for name, value in found.items() if not isinstance(value, Tensor)), None)
    if other is not None:
        raise WeightsError(f"weights are a state dict, and `{other}` in it is no tensor")
    return dict(found)


def kept_by(ours: Mapping[str, Tensor], labels: Iterable[str]) -> set[str]:
    """The tensors of the lines with these labels: `fc8` has fc8.weight, `conv1` also conv1_bn.weight."""
    kept: set[str] = set()
    for label in labels:
        found = {name for name in ours if name.startswith((f"{label}.", f"{label}_"))}
        if not found:
            close = nearest(label, {name.partition(".")[0] for name in ours})
            raise WeightsError(f"nothing in the network is called `{label}`" + (f": `{close}`?" if close else ""))
        kept |= found
    return kept


def matched_in_some_order(
    ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], kept: Container[str]
) -> dict[str, Tensor]:
    """Their tensors under our names, in the order of declaration, or with a module's own tensors after its parts."""
    try:
        return matched(ours, theirs, kept)
    except WeightsError:
        try:
            return matched(ours, parts_first(theirs), kept)
        except WeightsError:
            pass
        raise


def parts_first(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict has a module's own tensors before those of its parts; here they follow, as ConvNeXt's factors do.

    `0.scale`, `0.conv.weight`, `1.weight` → `0.conv.weight`, `0.scale`, `1.weight`
    """
    names = list(state)
    last = {module: i for i, name in enumerate(names) for module in modules_around(name)}
    order = sorted(names, key=lambda name: (last[name.rpartition(".")[0]], -name.count(".")))
    return {name: state[name] for name in order}


def modules_around(name: str) -> list[str]:
    """`a.b.weight` → "", `a`, `a.b`."""
    parts = name.split(".")
    return [".".join(parts[:i]) for i in range(len(parts))]


def matched(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], kept: Container[str]) -> dict[str, Tensor]:
    """Their tensors under our names, in order. The shapes of what is kept do not count."""
    mine = [name for name in ours if not name.endswith(COUNTER)]
    other = [name for name in theirs if not name.endswith(COUNTER)]
    found: dict[str, Tensor] = {}
    for at, (name, its) in enumerate(zip_longest(mine, other), 1):
        if name is None or its is None:
            what = f"`{name}` has none" if its is None else f"`{its}` is left over"
            raise WeightsError(f"the network has {len(mine)} tensors, the weights have {len(other)}: {what}")
        if name not in kept and not (fits(ours[name], theirs[its]) and same_kind(name, its)):
            here, there = f"`{name}` is {shown(ours[name])}", f"`{its}`, {shown(theirs[its])}"
            raise WeightsError(f"tensor {at} of {len(mine)}: {here}, and in its place the weights have {there}")
        found[name] = theirs[its]
    return found


def fits(mine: Tensor, other: Tensor) -> bool:
    """Whether the shapes agree, but for axes of length one: those of a 1x1 kernel."""
    return [n for n in mine.shape if n != 1] == [n for n in other.shape if n != 1]


def same_kind(name: str, other: str) -> bool:
    """Whether both are weights, or both biases … Names that say something else do not tell."""
    kinds = [path.rpartition(".")[2] for path in (name, other)]
    return kinds[0] == kinds[1] or not all(kind in KINDS for kind in kinds)


def shown(value: Tensor) -> str:
    return " x ".join(map(str, value.shape)) or "a number"
