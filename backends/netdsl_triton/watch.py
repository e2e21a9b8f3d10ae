"""Are the weights still those that were folded?  Some hundred comparisons of Python, and no work for the device.

A tensor is known by its identity, its version (PyTorch counts writes into it) and its address. Some writes are not
counted: those through `.data` or NumPy, and those of optimisers with `fused=True`. On a CPU a few values of each tensor
are compared, which shows all that write everywhere; fused optimisers report to what watches their parameters. What
modules inside do can be changed, too: by hooks, by a `forward` of their own, by setting one of them to training, by
putting another in its place.
"""

from __future__ import annotations

import ctypes
from itertools import chain
from operator import attrgetter
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

SAMPLES = 3
"""Values of each tensor on a CPU that are compared."""


class Watch:
    """What `module` was when this was made.

    suspect     whether something inside hindered when it was last looked at: then it is looked at first
    """

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        self.inside = [part for part in parts if part is not module]
        self.hooks = [hooks for part in self.inside for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self.hooks += [_global_forward_hooks, _global_forward_pre_hooks]
        self.attributes = [part.__dict__ for part in self.inside]
        self.owners: list[dict[str, Any]] = [
            owner for part in parts for owner in (part._modules, part._parameters, part._buffers) if owner
        ]
        self.owned = [thing for owner in self.owners for thing in owner.values()]
        self.tensors = [thing for thing in self.owned if isinstance(thing, Tensor)]
        self.counted = [tensor for tensor in self.tensors if not tensor.is_inference()]
        self.ids, self.versions, self.addresses = self.now()
        self.kept = [tensor.untyped_storage() for tensor in self.tensors if is_read(tensor)]  # so that they can be read
        self.cells = [cell for tensor in self.tensors for cell in cells(tensor)]
        self.values = list(map(VALUE, self.cells))
        self.stepped = False
        self.suspect = self.meddled()
        WATCHES.add(self)

    def now(self) -> tuple[list[int], list[int], list[int]]:
        """Which modules and tensors there are, how often these were written, and where they lie.

        Inference tensors do not count what is written into them. Nor does a batch norm count what it writes into its
        statistics; but its counter of batches is one of these tensors.
        """
        things = chain.from_iterable([owner.values() for owner in self.owners])
        return (
            list(map(id, things)),
            list(map(VERSION, self.counted)),
            list(map(Tensor.data_ptr, self.tensors)),
        )

    def meddled(self) -> bool:
        """Whether modules inside do more, or something else, than what was folded."""
        self.suspect = (
            any(self.hooks)
            or any(part.training for part in self.inside)
            or any("forward" in attributes for attributes in self.attributes)
        )
        return self.suspect

    def changed(self) -> bool:
        """Whether what was folded no longer is what the module does."""
        if self.meddled() or self.stepped or (self.ids, self.versions, self.addresses) != self.now():
            return True
        return self.values != list(map(VALUE, self.cells))


VERSION = attrgetter("_version")
VALUE = attrgetter("value")
CELLS: dict[int, Any] = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}
"""By the bytes of a value: its bits, as one of which NaN is itself."""
WATCHES: WeakSet[Watch] = WeakSet()


def is_read(tensor: Tensor) -> bool:
    """Whether its values can be read where they lie."""
    return tensor.device.type == "cpu" and tensor.layout == torch.strided and tensor.itemsize in CELLS


def cells(tensor: Tensor) -> list[Any]:
    """Some values of a tensor, spread over it, where they lie."""
    count, address = tensor.numel(), tensor.data_ptr()
    if not count or not address or not is_read(tensor):
        return []
    kind = CELLS[tensor.itemsize]
    found = []
    for at in sorted({(2 * i + 1) * count // (2 * SAMPLES) for i in range(SAMPLES)}):
        offset = 0
        for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride())):
            at, index = divmod(at, size)
            offset += index * stride
        found.append(kind.from_address(address + offset * tensor.itemsize))
    return found


def stepped(optimiser: Optimizer, args: object, kwargs: object) -> None:
    """Fused optimisers do not count what they write: whoever watches one of their parameters is told."""
    if torch.compiler.is_compiling():
        return
    written = {id(p) for group in optimiser.param_groups if group.get("fused") for p in group["params"]}
    for watch in list(WATCHES):
        if not written.isdisjoint(watch.ids):
            watch.stepped = True


register_optimizer_step_post_hook(stepped)


FORM = ("stride", "padding", "dilation", "groups", "padding_mode", "eps", "negative_slope", "approximate", "ceil_mode")
"""Attributes of PyTorch's modules that what was folded depends on."""


def structure(module: nn.Module) -> tuple[tuple[str, ...], ...]:
    """The modules inside, by path, class and form, and the names of their tensors."""
    return tuple(
        [
            (
                path,
                f"{type(part).__module__}.{type(part).__qualname__}",
                *[str(part.__dict__[name]) for name in FORM if name in part.__dict__],
                *[name for owned in (part._parameters, part._buffers) for name, x in owned.items() if x is not None],
            )
            for path, part in module.named_modules()
        ]
    )
