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


HELPERS: dict[str, str] = {
    f"Uneven{kind}{rank}d": _uneven(f"{kind}{rank}d") for kind in ("Conv", "MaxPool", "AvgPool") for rank in (1, 2, 3)
}
"""The source of each class, by its name. A file has those that it mentions; no class of a network takes such a name."""
