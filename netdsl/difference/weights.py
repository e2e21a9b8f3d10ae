"""Do the weights of one network load into the other?  Parameters by name and shape, as a state dict has them."""

from __future__ import annotations

from netdsl.graph import layers, size_unrolled
from netdsl.net import Net
from netdsl.record import Record

MAX_LISTED = 50_000
"""So many elements have their parameters compared one by one."""


class Weight(Record):
    """A parameter or buffer: its name in a state dict, and its shape in each of the networks that have it."""

    name: str
    old: tuple[int, ...] | None
    new: tuple[int, ...] | None


class Weights(Record):
    """What becomes of the old network's weights in the new one.

    fitting      parameters and buffers that have the same name and shape in both
    reshaped     the same name, another shape
    missing      those that only the new network has: they start fresh
    unused       those that only the old one has
    """

    fitting: int
    reshaped: tuple[Weight, ...]
    missing: tuple[Weight, ...]
    unused: tuple[Weight, ...]

    @property
    def load(self) -> bool:
        """Whether they load as they are."""
        return not (self.reshaped or self.missing or self.unused)


def compared(old: Net, new: Net) -> Weights | None:
    """What fits; None for networks that are too long to be listed."""
    if max(size_unrolled(old.graph), size_unrolled(new.graph)) > MAX_LISTED:
        return None
    before, after = shapes(old), shapes(new)
    common = [name for name in before if name in after]
    reshaped = [Weight(name, before[name], after[name]) for name in common if before[name] != after[name]]
    return Weights(
        len(common) - len(reshaped),
        tuple(reshaped),
        tuple([Weight(name, None, shape) for name, shape in after.items() if name not in before]),
        tuple([Weight(name, shape, None) for name, shape in before.items() if name not in after]),
    )


def shapes(net: Net) -> dict[str, tuple[int, ...]]:
    """Every parameter and buffer with its shape, training-only heads included."""
    found = {}
    for layer in layers(net.graph, training=True):
        for weight in layer.op.weights(layer.input_types):
            found[f"{layer.name}.{weight.name}"] = tuple([int(size) for size in weight.shape])
    return found
