"""What several test files do to modules."""

from __future__ import annotations

import torch
from torch import nn


def without_dropout(module: nn.Module) -> nn.Module:
    """What drops something at random has a share `p` or `dropout`; a join of FractalNet has two, `drop` and `alone`."""
    for part in module.modules():
        for share in ("p", "drop", "alone", "dropout"):
            if isinstance(getattr(part, share, None), float):
                setattr(part, share, 0.0)
    return module


def randomised(module: nn.Module, signs: bool = False) -> nn.Module:
    """Weights that hide nothing: no zero biases, no trivial statistics; of a size that keeps values near one.

    With `signs`, some γ are negative, and some are zero.
    """
    torch.manual_seed(3)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "bias")):
                value.normal_(std=0.2)
            elif value.dim() == 1 and value.is_floating_point():
                value.uniform_(0.5, 1.5)
                if signs:
                    value.mul_(torch.tensor([1.0, -1.0, 1.0, 0.0]).repeat(len(value))[: len(value)])
            elif value.dim() > 1:
                value.normal_(std=value[0].numel() ** -0.5)
    return module
