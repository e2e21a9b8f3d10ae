"""Storages of tensors, counted: what autograd keeps, and what is there at the same time."""

from __future__ import annotations

import weakref
from typing import Any

import torch

torch.backends.mha.set_fastpath_enabled(False)  # one operator, whose tensors nobody sees


class Total(torch.autograd.Function):
    """A loss whose gradient is a tensor like any other."""

    @staticmethod
    def forward(ctx: Any, output: Any) -> Any:
        ctx.shape = output.shape
        return output.sum()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient.expand(ctx.shape).contiguous()


def kept_by_autograd(module: Any, inputs: list[Any]) -> int:
    """Bytes of all storages that are saved for the backward pass, but for those of parameters and buffers."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*module.parameters(), *module.buffers()]}
    found: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module.train()(*inputs)
    return sum(storage.nbytes() for address, storage in found.items() if address not in own)


def most_at_a_time(module: Any, inputs: list[Any], train: bool = False) -> int:
    """Bytes of storages that are there at the same time, beside parameters, buffers and inputs."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = 0
            own = [*module.parameters(), *module.buffers(), *inputs]
            self.there = {tensor.untyped_storage()._cdata: 0 for tensor in own}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    if storage._cdata not in self.there:
                        self.there[storage._cdata] = storage.nbytes()
                        self.now += storage.nbytes()
                        self.most = max(self.most, self.now)
                        weakref.finalize(storage, self.gone, storage._cdata)
            return made

        def gone(self, key: int) -> None:
            self.now -= self.there.pop(key)

    module.train(train)
    with Watch() as watch, torch.set_grad_enabled(train):
        result = module(*inputs)
        if train:
            outputs = result if isinstance(result, tuple) else (result,)
            sum(Total.apply(output) for output in outputs).backward()
    return watch.most
