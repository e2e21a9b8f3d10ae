"""What would make it fit?  The worked formula behind a size, and the padding that gives another."""

from __future__ import annotations

from netdsl.build import Tensor
from netdsl.ops.base import Op
from netdsl.ops.window import arithmetic
from netdsl.types import TensorType


def last_window(tensor: Tensor) -> tuple[Op, TensorType] | None:
    """The convolution or pool that gave a tensor its height and width, and the type of its input.

    That is the last one that changed them, or the last of all where none did.
    """
    last = None
    for _ in range(50):
        element = tensor.element
        if element is None:
            return last
        if not isinstance(element.op, Op) or len(element.inputs) != 1:
            return None
        source = element.inputs[0].type
        if not isinstance(source, TensorType) or not isinstance(tensor.type, TensorType):
            return None
        window = hasattr(element.op, "kernel") and hasattr(element.op, "rounding")
        if source.spatial != tensor.type.spatial:
            return (element.op, source) if window else None
        if window and last is None:
            last = element.op, source
        tensor = element.inputs[0]
    return last


def worked(tensor: Tensor, wanted: TensorType) -> list[str]:
    """`W = (28 - 5 + 2*1)/1 + 1 = 26`, for each axis that is not as wanted."""
    found = last_window(tensor)
    if found is None or not isinstance(tensor.type, TensorType) or wanted.rank != tensor.type.rank:
        return []
    op, source = found
    rows: dict[str, list[str]] = {}
    for i, axis in enumerate(source.axes[1:]):
        if tensor.type.spatial[i] != wanted.spatial[i]:
            text = arithmetic(source.spatial[i], _reach(op, i), op.padding[i], op.stride[i], op.rounding)  # type: ignore[attr-defined]
            rows.setdefault(text, []).append(axis)
    return [f"{' = '.join(axes)} = {text}" for text, axes in rows.items()]


def padding_for(tensor: Tensor, wanted: TensorType) -> list[str]:
    """`pad 2` keeps 28: the padding of the last window with which every axis comes out as wanted, if there is one."""
    found = last_window(tensor)
    if found is None or not isinstance(tensor.type, TensorType) or wanted.rank != tensor.type.rank:
        return []
    op, source = found
    pads = set()
    for i, (size, goal) in enumerate(zip(source.spatial, wanted.spatial)):
        if not isinstance(size, int) or not isinstance(goal, int):
            return []
        reach, stride = _reach(op, i), op.stride[i]  # type: ignore[attr-defined]
        fits = [
            p
            for p in range(reach)
            if size + 2 * p >= reach
            and (size + 2 * p - reach) % stride == 0
            and (size + 2 * p - reach) // stride + 1 == goal
        ]
        pads.add(fits[0] if fits else None)
    if len(pads) != 1 or None in pads or tensor.type.spatial == wanted.spatial:
        return []
    verb = "keeps" if wanted.spatial == source.spatial else "gives"
    return [f"`pad {pads.pop()}` {verb} {' x '.join(map(str, dict.fromkeys(wanted.spatial)))}"]


def _reach(op: Op, axis: int) -> int:
    dilation = getattr(op, "dilation", None)
    return (dilation[axis] if dilation else 1) * (op.kernel[axis] - 1) + 1  # type: ignore[attr-defined,no-any-return]
