"""netdsl: a language and a compiler for neural-network architectures.

    import netdsl

    net = netdsl.load("googlenet", classes=10)     # a path, a shipped name; netdsl.loads(text)
    net.params, net.macs, net.inputs, net.outputs, net.layers
    net.show(depth=2); net.memory(batch=32).training; net.explain("conv1"); net.draw("googlenet.svg")
    model = net.compile()                          # a torch.nn.Module

    netdsl.check(text)                             # what is wrong with it, with repairs
    netdsl.diff("vgg16", "vgg16_bn")
    netdsl.compare(["alexnet", "vgg16", net])

Importing it is light: torch is imported by `compile` alone, and the parser when the first spec is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netdsl.api import check, compare, diff
    from netdsl.diagnostic import Diagnostic, SpecError
    from netdsl.net import Net, compile, load, loads
    from netdsl.options import UsageError

__version__ = "0.1.0"
__all__ = [
    "Diagnostic",
    "Net",
    "SpecError",
    "UsageError",
    "check",
    "compare",
    "compile",
    "diff",
    "load",
    "loads",
]

_HOMES = {
    "Diagnostic": "netdsl.diagnostic",
    "SpecError": "netdsl.diagnostic",
    "UsageError": "netdsl.options",
    "Net": "netdsl.net",
    "check": "netdsl.api",
    "compare": "netdsl.api",
    "diff": "netdsl.api",
    "compile": "netdsl.net",
    "load": "netdsl.net",
    "loads": "netdsl.net",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netdsl' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
