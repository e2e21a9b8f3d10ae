"""What several test files do to modules."""

from __future__ import annotations

from torch import nn


def without_dropout(module: nn.Module) -> nn.Module:
    """What drops something at random has a share `p` or `dropout`; a join of FractalNet has two, `drop` and `alone`."""
    for part in module.modules():
        for share in ("p", "drop", "alone", "dropout"):
            if isinstance(getattr(part, share, None), float):
                setattr(part, share, 0.0)
    return module
