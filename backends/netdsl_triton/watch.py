"""Are the weights still those that were folded?  Some hundred comparisons of Python, and no work for the device.

A tensor is known by its identity, its version (PyTorch counts writes into it) and its address. What modules inside do
can be changed, too: by hooks, by setting one of them to training, by putting another in its place.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter
from typing import Any

from torch import Tensor, nn


class Watch:
    """What `module` was when this was made.

    suspect     whether something inside hindered when it was last looked at: then it is looked at first
    """

    def __init__(self, module: nn.Module) -> None:
        parts = list(module.modules())
        self.inside = [part for part in parts if part is not module]
        self.hooks = [hooks for part in self.inside for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self.owners: list[dict[str, Any]] = [
            owner for part in parts for owner in (part._modules, part._parameters, part._buffers) if owner
        ]
        self.owned = [thing for owner in self.owners for thing in owner.values()]
        self.tensors = [thing for thing in self.owned if isinstance(thing, Tensor)]
        self.counted = [tensor for tensor in self.tensors if not tensor.is_inference()]
        self.ids, self.versions, self.addresses = self.now()
        self.suspect = self.meddled()

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
        self.suspect = any(self.hooks) or any(part.training for part in self.inside)
        return self.suspect

    def changed(self) -> bool:
        """Whether what was folded no longer is what the module does."""
        return self.meddled() or (self.ids, self.versions, self.addresses) != self.now()


VERSION = attrgetter("_version")


def structure(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """The modules inside, by path and class."""
    return tuple(
        [(path, f"{type(part).__module__}.{type(part).__qualname__}") for path, part in module.named_modules()]
    )
