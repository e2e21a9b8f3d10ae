"""How does a tensor lie in memory?  Strides, the batch axis first, as PyTorch counts them: of two samples."""

from __future__ import annotations

from netdsl.types import TensorType

Strides = tuple[int, ...]
SAMPLES = 2


def sizes_of(x: TensorType) -> tuple[int, ...]:
    """With the batch axis. Open sizes count as one."""
    return (SAMPLES, *[size if isinstance(size, int) else 1 for size in x.plain().shape])


def in_order(x: TensorType) -> Strides:
    """One row after the other, the last axis fastest."""
    return dense(sizes_of(x))


def dense(sizes: tuple[int, ...]) -> Strides:
    found, step = [], 1
    for size in reversed(sizes):
        found.append(step)
        step *= size
    return tuple(reversed(found))


def features_last(x: TensorType) -> Strides:
    """As N x W x C lies in order, seen as N x C x W."""
    batch, channels, *spatial = sizes_of(x)
    first, *others, last = dense((batch, *spatial, channels))
    return (first, last, *others)


def alike(strides: Strides, x: TensorType) -> Strides:
    """Of what is computed value by value: as its input, where that has no gaps, else without them."""
    sizes = sizes_of(x)
    order = sorted(range(len(sizes)), key=lambda axis: -strides[axis])
    made = dense(tuple([sizes[axis] for axis in order]))
    found = dict(zip(order, made))
    return tuple([found[axis] for axis in range(len(sizes))])


def viewed(strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
    """The strides of the same values in another shape, None where those cannot be: then they are copied."""
    sizes, wanted = sizes_of(x), list(sizes_of(output))
    found: list[int] = []
    run, step = 1, strides[-1]  # axes that lie one after the other, from the last
    for axis in reversed(range(len(sizes))):
        run *= sizes[axis]
        if axis and (sizes[axis - 1] == 1 or strides[axis - 1] == run * step):
            continue
        while wanted and (run > 1 or wanted[-1] == 1):
            if run % wanted[-1]:
                return None
            found.append(step)
            step *= wanted[-1]
            run //= wanted.pop()
        if run > 1:
            return None
        if axis:
            step = strides[axis - 1]
    return None if wanted else tuple(reversed(found))
