"""Which classes does a generated file bring along?  Those for what PyTorch has no module for."""

from __future__ import annotations

UNEVEN = '''\
class Uneven{kind}(nn.{kind}):
    """{what} with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        return {forward}

    def extra_repr(self):
        return f"{{super().extra_repr()}}, sides={{self.sides}}"
'''


def _uneven(kind: str) -> str:
    if kind.startswith("Conv"):
        return UNEVEN.format(kind=kind, what="A convolution", forward="super().forward(F.pad(x, self.sides))")
    if kind.startswith("Max"):
        return UNEVEN.format(
            kind=kind, what="Maximum pooling", forward='super().forward(F.pad(x, self.sides, value=float("-inf")))'
        )
    text = UNEVEN.format(kind=kind, what="Average pooling", forward="mean")
    body = (
        "        mean = super().forward(F.pad(x, self.sides))\n"
        "        if not self.count_include_pad:  # the share of each window that lies inside the input\n"
        "            mean = mean / super().forward(F.pad(torch.ones_like(x), self.sides))\n"
    )
    return text.replace("        return mean", body + "        return mean")


SCALE = '''\
class Scale(nn.Module):
    """y = factor * x."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x

    def extra_repr(self):
        return f"factor={self.factor}"
'''

LAYER_SCALE = '''\
class LayerScale(nn.Module):
    """y = weight * x, a learned factor for each channel."""

    def __init__(self, channels, initial):
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.full((channels,), float(initial)))

    def forward(self, x):
        return self.weight.view(-1, *[1] * (x.dim() - 2)) * x

    def extra_repr(self):
        return f"{self.weight.numel()}, initial={self.initial}"
'''

STOCHASTIC_DEPTH = '''\
class StochasticDepth(nn.Module):
    """In training all of x or, with probability p, zeros; else the mean of both (Huang et al. 2016)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return (1 - self.p) * x
        return x.new_empty(()).bernoulli_(1 - self.p) * x

    def extra_repr(self):
        return f"p={self.p}"
'''

DROP_PATH = '''\
class DropPath(nn.Module):
    """In training zeros for a sample with probability p, and the others divided by 1 - p."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        kept = x.new_empty([x.shape[0]] + [1] * (x.dim() - 1)).bernoulli_(1 - self.p)
        return kept / (1 - self.p) * x

    def extra_repr(self):
        return f"p={self.p}"
'''

HELPERS: dict[str, str] = {
    "Scale": SCALE,
    "LayerScale": LAYER_SCALE,
    "StochasticDepth": STOCHASTIC_DEPTH,
    "DropPath": DROP_PATH,
} | {f"Uneven{kind}{rank}d": _uneven(f"{kind}{rank}d") for kind in ("Conv", "MaxPool", "AvgPool") for rank in (1, 2, 3)}
"""The source of each class, by its name. A file has those that it mentions; no class of a network takes such a name."""
