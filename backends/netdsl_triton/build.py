"""A checked network → the module that runs it fused."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

from torch import nn

from netdsl import serial
from netdsl.net import Net
from netdsl_torch import BACKEND as TORCH
from netdsl_torch.paths import flat
from netdsl_triton.module import FusedModule
from netdsl_triton.options import options_of


def build(net: Net, **options: Any) -> FusedModule:
    """The fused module, with fresh parameters. Raises UsageError for an unknown option."""
    options_of(options)
    return FusedModule(TORCH.build(net), flat(net.graph), places(net), **options)


def fuse(module: nn.Module, graph: str, **options: Any) -> FusedModule:
    """The fused module of a generated file: its class, and its graph as text. Raises UsageError where they disagree."""
    return FusedModule(module, serial.loads(graph), **options)


def places(net: Net) -> list[str]:
    """`resnet50.net:3` for each input: the line that declares it, where one line does."""
    name = PurePath(net.source.name).name
    lines = net.source.text.splitlines()
    found = []
    for input in net.graph.inputs:
        named = re.compile(rf"\s*input\s+{re.escape(input.name)}\s*=")
        plain = re.compile(r"\s*input\b(?![^#]*=)") if input.name == "input" or len(net.graph.inputs) == 1 else named
        at = [i for i, line in enumerate(lines, 1) if named.match(line) or plain.match(line)]
        found.append(f"{name}:{at[0]}" if len(at) == 1 else "")
    return found
