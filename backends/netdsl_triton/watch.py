"""Are the weights still those that were folded?  Some hundred comparisons of Python, and no work for the device.

A tensor is known by its identity, its version (PyTorch counts writes into it) and its address. What modules inside do
can be changed, too: by hooks, by setting one of them to training, by putting another in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class Watch:
    """What `module` was when this was made.

    suspect     whether something inside hindered when it was last looked at: then it is looked at first
    """

    def __init__(self, module: nn.Module) -> None:
        self.inside = [part for part in module.modules() if part is not module]
        self.children = [(part._modules, tuple(part._modules.values())) for part in module.modules()]
        self.hooks = [hooks for part in self.inside for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self.tensors = [
            (owner, name, tensor, version_of(tensor), tensor.data_ptr()) for owner, name, tensor in owned(module)
        ]
        self.suspect = self.meddled()

    def meddled(self) -> bool:
        """Whether modules inside do more, or something else, than what was folded."""
        self.suspect = any(self.hooks) or any(part.training for part in self.inside)
        return self.suspect

    def changed(self) -> bool:
        """Whether what was folded no longer is what the module does."""
        if self.meddled():
            return True
        for modules, children in self.children:
            if tuple(modules.values()) != children:
                return True
        for owner, name, tensor, version, address in self.tensors:
            if owner.get(name) is not tensor or version_of(tensor) != version or tensor.data_ptr() != address:
                return True
        return False


def owned(module: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Each tensor, with the dictionary that holds it.

    PyTorch does not count what a batch norm writes into its statistics; but its counter of batches is one of these.
    """
    for part in module.modules():
        for owner in (part._parameters, part._buffers):
            for name, tensor in owner.items():
                if tensor is not None:
                    yield owner, name, tensor


def version_of(tensor: Tensor) -> int:
    """How often it was written; for tensors made in inference mode that is not counted."""
    return 0 if tensor.is_inference() else tensor._version


def structure(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """The modules inside, by path and class."""
    return tuple(
        [(path, f"{type(part).__module__}.{type(part).__qualname__}") for path, part in module.named_modules()]
    )
