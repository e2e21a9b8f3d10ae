"""The Triton backend: checked network → fused graph → planned memory → kernels. Importing it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from netdsl.net import Net


class TritonBackend:
    """`net.compile(backend="triton")`, and `netdsl compile … --backend triton`."""

    name = "triton"
    suffixes: tuple[str, ...] = ()
    shared_suffixes: tuple[str, ...] = (".py",)
    """Written where the backend is named: by itself, `.py` is the PyTorch backend's."""

    def emit(self, net: Net) -> str:
        from netdsl_triton.emit import emit

        return emit(net)

    def build(self, net: Net, **options: Any) -> nn.Module:
        """Raises UsageError where torch is not installed, or for an unknown option."""
        from netdsl.options import UsageError

        try:
            from netdsl_triton.build import build
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UsageError("PyTorch is not installed: `pip install netdsl[triton]`") from None
        return build(net, **options)

    def load_weights(self, module: nn.Module, weights: Any, fresh: Iterable[str] = ()) -> None:
        """As the PyTorch backend: the parameters are the same."""
        from netdsl_torch.weights import load_weights

        load_weights(module, weights, fresh)

    def is_generated(self, text: str) -> bool:
        from netdsl_triton.emit import is_generated

        return is_generated(text)


BACKEND = TritonBackend()
