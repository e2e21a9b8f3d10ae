"""Which window gave this size?  The worked formula behind it."""

from __future__ import annotations

from netdsl.build import Tensor
from netdsl.ops.base import Op
from netdsl.ops.window import Window, arithmetic
from netdsl.types import TensorType


def last_window(tensor: Tensor, start: Tensor | None = None) -> tuple[Window, TensorType] | None:
    """The convolution or pool that gave a tensor its height and width, and the type of its input.

    That is the last one that changed them, or the last of all where none did; none that stands before `start`.
    """
    last = None
    for _ in range(50):
        element = tensor.element
        if element is None or tensor is start:
            return last
        if not isinstance(element.op, Op) or len(element.inputs) != 1:
            return None
        source = element.inputs[0].type
        if not isinstance(source, TensorType) or not isinstance(tensor.type, TensorType):
            return None
        op = element.op if isinstance(element.op, Window) else None
        if source.spatial != tensor.type.spatial:
            return (op, source) if op is not None else None
        if op is not None and last is None:
            last = op, source
        tensor = element.inputs[0]
    return last


def worked(tensor: Tensor, wanted: TensorType, start: Tensor | None = None) -> list[str]:
    """`W = (28 - 5 + 2*1)/1 + 1 = 26`, for each axis that is not as wanted."""
    found = last_window(tensor, start)
    if found is None or not isinstance(tensor.type, TensorType) or wanted.rank != tensor.type.rank:
        return []
    op, source = found
    rows: dict[str, list[str]] = {}
    for i, axis in enumerate(source.axes[1:]):
        if tensor.type.spatial[i] != wanted.spatial[i]:
            text = arithmetic(source.spatial[i], op.reach(i), op.padding[i], op.stride[i], op.rounding)
            rows.setdefault(text, []).append(axis)
    return [f"{' = '.join(axes)} = {text}" for text, axes in rows.items()]
