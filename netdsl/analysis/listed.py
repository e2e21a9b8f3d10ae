"""What does `show --json` say of costs?  The memory of a network, and what each of its layers sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netdsl.analysis.memory import memory
from netdsl.analysis.receptive import Reach, Receptive, reaches_of, receptive_field
from netdsl.analysis.seen import Field, composed, of_op, start
from netdsl.graph import Layer
from netdsl.size import Size
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.net import Net


def memory_of(net: Net, batch: int, dtype: str, optimiser: str) -> dict[str, Any] | None:
    """None where sizes are open."""
    if any(input.type.symbols for input in net.graph.inputs):
        return None
    found = memory(net, batch, dtype, optimiser)
    parts = {name: getattr(found, name) for name in found.fields}
    return {**parts, "inference": found.inference, "training": found.training}


def field_of_net(net: Net) -> list[int | str | None] | None:
    """The receptive field of a network, on the first input."""
    return first_input(receptive_field(net))[0]


def fields_of_layers(net: Net) -> Iterator[tuple[Layer, dict[str, Any]]]:
    """Each layer with what its output sees of the first input, and by how much that moves from place to place."""
    types = {input.name: Receptive(net.shown).type(input.type) for input in net.graph.inputs}
    seen: dict[str, Field] = dict(zip(types, start(list(types.values()))))
    for layer in net.layers:
        inputs = [types[name] for name in layer.inputs]
        type = TensorType(tuple([net.shown(size) for size in layer.type.shape]))
        field = composed(of_op(layer.op, inputs, type), [seen[name] for name in layer.inputs], inputs, type)
        seen[layer.name], types[layer.name] = field, type
        sizes, jumps = first_input(reaches_of(net, field))
        yield layer, {"receptive_field": sizes, "stride": jumps}


def first_input(reaches: tuple[Reach, ...]) -> tuple[list[int | str | None] | None, list[int | str | None] | None]:
    """The sizes and the jumps on the spatial axes of the first input that is seen; None where it is a vector."""
    mine = [reach for reach in reaches if reach.input == reaches[0].input and reach.axis != "C"]
    if not mine:
        return None, None
    return [plain(reach.size) for reach in mine], [jump(reach) for reach in mine]


def plain(size: Size | None) -> int | str | None:
    return size if size is None else int(size) if isinstance(size, int) else str(size)


def jump(reach: Reach) -> int | str | None:
    found = reach.jump
    if found is None:
        return None
    return int(found) if found.denominator == 1 else str(found)
