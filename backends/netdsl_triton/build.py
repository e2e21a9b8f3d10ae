"""A checked network → the module that runs it fused."""

from __future__ import annotations

from typing import Any

from torch import nn

from netdsl import serial
from netdsl.net import Net
from netdsl_torch import BACKEND as TORCH
from netdsl_torch.expected import line_of
from netdsl_torch.paths import flat
from netdsl_triton.module import FusedModule
from netdsl_triton.options import options_of


def build(net: Net, **options: Any) -> FusedModule:
    """The fused module, with fresh parameters. Raises UsageError for an unknown option."""
    options_of(options)
    places = [line_of(input.origin) for input in net.graph.inputs]
    return FusedModule(TORCH.build(net), flat(net.graph), places, **options)


def fuse(module: nn.Module, graph: str, **options: Any) -> FusedModule:
    """The fused module of a generated file: its class, and its graph as text. Raises UsageError where they disagree."""
    return FusedModule(module, serial.loads(graph), **options)
