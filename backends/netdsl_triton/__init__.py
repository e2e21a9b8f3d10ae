"""The Triton backend: checked network → fused graph → planned memory → kernels. Importing it imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from torch import nn

    from netdsl.net import Net
    from netdsl_triton.report import Report
    from netdsl_triton.tune import TunedNetwork


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
            raise UsageError('PyTorch is not installed: `pip install "netdsl[triton]"`') from None
        return build(net, **options)

    def explain(self, net: Net, batch: int, dtype: str, device: str | None = None) -> Report:
        """What becomes of each element, and which kernel does it (docs/explain-fusion.md); nothing runs.

        Without a device it is the GPU of this machine, else an H200. Raises UsageError for an unknown device or type,
        and for sizes that are open.
        """
        from netdsl.devices import device as device_called
        from netdsl_triton.report import explain
        from netdsl_triton.store import at_hand

        wanted = device_called(device or "h200")
        here = at_hand()
        if here is not None and (device is None or here[0].name == wanted.name):
            return explain(net, batch, dtype, *here)
        return explain(net, batch, dtype, wanted)

    def tune(self, net: Net, batches: Sequence[int], dtype: str, budget: float | None = None) -> TunedNetwork:
        """Times the kernels of a network on the GPU of this machine, and remembers the fastest.

        Raises UsageError where there is no GPU, or no PyTorch or Triton.
        """
        from netdsl.options import UsageError

        try:
            from netdsl_triton.tune import tune_here
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise UsageError('PyTorch is not installed: `pip install "netdsl[triton]"`') from None
        return tune_here(net, batches, dtype, budget)

    def bench(self, nets: Sequence[tuple[Net, tuple[Any, ...]]], target: Path | None, **options: Any) -> int:
        """`netdsl bench` (docs/benchmarks.md). Raises UsageError where there is no PyTorch, or no such device."""
        from netdsl_triton.bench import command, question

        asked = [command.Asked(net, *arguments) for net, arguments in nets]
        return command.bench(asked, question.of(**options), target)

    def load_weights(self, module: nn.Module, weights: Any, fresh: Iterable[str] = ()) -> None:
        """As the PyTorch backend: the parameters are the same."""
        from netdsl_torch.weights import load_weights

        load_weights(module, weights, fresh)

    def is_generated(self, text: str) -> bool:
        from netdsl_triton.emit import is_generated

        return is_generated(text)


BACKEND = TritonBackend()
