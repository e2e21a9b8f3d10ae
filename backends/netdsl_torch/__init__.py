"""The PyTorch backend: checked network → readable source → nn.Module. Writing the source does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl_torch.emit import emit, is_generated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from netdsl.net import Net


class TorchBackend:
    """`netdsl compile … -o net.py`, and `net.compile()`."""

    name = "torch"
    suffixes: tuple[str, ...] = (".py",)

    def emit(self, net: Net) -> str:
        return emit(net)

    def build(self, net: Net, **options: Any) -> nn.Module:
        """Raises UsageError where torch is not installed; there are no options."""
        from netdsl.options import UsageError

        for name in options:
            raise UsageError(f"the torch backend has no option {name!r}")
        try:
            from netdsl_torch.build import build
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UsageError(
                'PyTorch is not installed: `pip install "netdsl[torch]"`; `netdsl compile` writes the source without it'
            ) from None
        from netdsl_torch.expected import expected_of

        return build(emit(net), net.name, expected_of(net))

    def load_weights(self, module: nn.Module, weights: Any, fresh: Iterable[str] = ()) -> None:
        """Matched by structure; see `netdsl_torch.weights`."""
        from netdsl_torch.weights import load_weights

        load_weights(module, weights, fresh)

    def is_generated(self, text: str) -> bool:
        return is_generated(text)


BACKEND = TorchBackend()
