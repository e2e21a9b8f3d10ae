"""GoogLeNet, Inception-v4, Inception-ResNet-v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from references.classic import overlapping, response_norm


class Inception(nn.Module):
    """Szegedy et al. 2014, fig. 2b, with a row of table 1."""

    def __init__(self, channels: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, a, 1)
        self.reduce3, self.three = nn.Conv2d(channels, b, 1), nn.Conv2d(b, c, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(channels, d, 1), nn.Conv2d(d, e, 5, padding=2)
        self.project = nn.Conv2d(channels, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 1)
        found = [
            self.one(x),
            self.three(self.reduce3(x).relu()),
            self.five(self.reduce5(x).relu()),
            self.project(pooled),
        ]
        return torch.cat(found, 1).relu()


class NaiveInception(nn.Module):
    """Szegedy et al. 2014, fig. 2a: the pool's output is passed on as it is."""

    def __init__(self, channels: int, a: int, b: int, c: int) -> None:
        super().__init__()
        self.one, self.three = nn.Conv2d(channels, a, 1), nn.Conv2d(channels, b, 3, padding=1)
        self.five = nn.Conv2d(channels, c, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 1)
        return torch.cat([self.one(x).relu(), self.three(x).relu(), self.five(x).relu(), pooled], 1)


class AuxiliaryHead(nn.Module):
    """Szegedy et al. 2014, section 5."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(channels, 128, 1), nn.Linear(128, 1024), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.avg_pool2d(x, 5, 3)).relu()
        return self.fc2(self.fc1(x.flatten(1)).relu())


class Outputs(NamedTuple):
    """In training, the auxiliary logits come along."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor


class GoogLeNet(nn.Module):
    """Szegedy et al. 2014, table 1."""

    TABLE = (
        ("3a", 192, 64, 96, 128, 16, 32, 32),
        ("3b", 256, 128, 128, 192, 32, 96, 64),
        ("4a", 480, 192, 96, 208, 16, 48, 64),
        ("4b", 512, 160, 112, 224, 24, 64, 64),
        ("4c", 512, 128, 128, 256, 24, 64, 64),
        ("4d", 512, 112, 144, 288, 32, 64, 64),
        ("4e", 528, 256, 160, 320, 32, 128, 128),
        ("5a", 832, 256, 160, 320, 32, 128, 128),
        ("5b", 832, 384, 192, 384, 48, 128, 128),
    )

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.conv2_reduce, self.conv2 = nn.Conv2d(64, 64, 1), nn.Conv2d(64, 192, 3, padding=1)
        self.inception = nn.ModuleDict({name: Inception(*row) for name, *row in self.TABLE})
        self.classifier = nn.Linear(1024, 1000)
        self.head1, self.head2 = AuxiliaryHead(512), AuxiliaryHead(528)

    def forward(self, x: Tensor) -> Tensor | Outputs:
        x = response_norm(overlapping(self.conv1(x).relu()))
        x = overlapping(response_norm(self.conv2(self.conv2_reduce(x).relu()).relu()))
        seen = {}
        for name, module in self.inception.items():
            x = seen[name] = module(x)
            x = overlapping(x) if name in ("3b", "4e") else x
        logits = self.classifier(x.mean((2, 3)))
        return Outputs(logits, self.head1(seen["4a"]), self.head2(seen["4d"])) if self.training else logits


# --- Szegedy et al. 2016, "Inception-v4, Inception-ResNet and the impact of residual connections on learning" ---------

Size = int | tuple[int, int]


class Filters(nn.Module):
    """A box of the figures: a convolution, batch normalisation (epsilon 0.001, as in the authors' code), ReLU."""

    def __init__(self, channels: int, filters: int, size: Size = 1, stride: int = 1, valid: bool = False) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        padding = (0, 0) if valid else (height // 2, width // 2)
        self.conv = nn.Conv2d(channels, filters, (height, width), stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu()


def tower(channels: int, *boxes: Sequence[object]) -> nn.Sequential:
    """Boxes one above the other, each (filters, size, ...)."""
    found = nn.Sequential()
    for filters, *rest in boxes:
        found.append(Filters(channels, filters, *rest))  # type: ignore[arg-type]
        channels = filters  # type: ignore[assignment]
    return found


class Mean(nn.Module):
    """3 x 3, stride 1; what lies outside the image does not count."""

    def forward(self, x: Tensor) -> Tensor:
        ones = torch.ones_like(x[:1, :1])
        return F.avg_pool2d(x, 3, 1, 1) / F.avg_pool2d(ones, 3, 1, 1)


class Concat(nn.Module):
    """Filter concatenation."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


def halved() -> nn.Module:
    return nn.MaxPool2d(3, 2)


def split(channels: int, filters: int) -> nn.Module:
    return Concat(Filters(channels, filters, (1, 3)), Filters(channels, filters, (3, 1)))


def stem_v4() -> nn.Sequential:
    """Fig. 3; V marks what is not padded."""
    v = True
    return nn.Sequential(
        tower(3, (32, 3, 2, v), (32, 3, 1, v), (64, 3)),
        Concat(halved(), Filters(64, 96, 3, 2, v)),
        Concat(tower(160, (64,), (96, 3, 1, v)), tower(160, (64,), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, v))),
        Concat(Filters(192, 192, 3, 2, v), halved()),
    )


def inception_a() -> nn.Module:
    """Fig. 4, on 35 x 35 x 384."""
    return Concat(
        Filters(384, 96),
        tower(384, (64,), (96, 3)),
        tower(384, (64,), (96, 3), (96, 3)),
        nn.Sequential(Mean(), Filters(384, 96)),
    )


def reduction_a(channels: int, k: int, l: int, m: int, n: int) -> nn.Module:  # noqa: E741
    """Fig. 7 with a row of table 1, from 35 x 35 to 17 x 17."""
    return Concat(Filters(channels, n, 3, 2, True), tower(channels, (k,), (l, 3), (m, 3, 2, True)), halved())


def inception_b() -> nn.Module:
    """Fig. 5, on 17 x 17 x 1024."""
    return Concat(
        Filters(1024, 384),
        tower(1024, (192,), (224, (1, 7)), (256, (7, 1))),
        tower(1024, (192,), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))),
        nn.Sequential(Mean(), Filters(1024, 128)),
    )


def reduction_b() -> nn.Module:
    """Fig. 8, from 17 x 17 to 8 x 8."""
    return Concat(
        tower(1024, (192,), (192, 3, 2, True)),
        tower(1024, (256,), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, True)),
        halved(),
    )


def inception_c() -> nn.Module:
    """Fig. 6, on 8 x 8 x 1536."""
    return Concat(
        Filters(1536, 256),
        nn.Sequential(Filters(1536, 384), split(384, 256)),
        nn.Sequential(tower(1536, (384,), (448, (3, 1)), (512, (1, 3))), split(512, 256)),
        nn.Sequential(Mean(), Filters(1536, 256)),
    )


class InceptionV4(nn.Module):
    """Fig. 9."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            stem_v4(),
            *[inception_a() for _ in range(4)],
            reduction_a(384, 192, 224, 256, 384),
            *[inception_b() for _ in range(7)],
            reduction_b(),
            *[inception_c() for _ in range(3)],
        )
        self.classifier = nn.Linear(1536, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


class ScaledResidual(nn.Module):
    """Fig. 16, 17, 19 and 20: branches, a linear 1 x 1, scaled by `scale` and added to the input; ReLU but at the end."""

    def __init__(self, channels: int, branches: nn.Module, width: int, scale: float, last: bool = False) -> None:
        super().__init__()
        self.branches, self.linear, self.scale, self.last = branches, nn.Conv2d(width, channels, 1), scale, last

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.scale * self.linear(self.branches(x))
        return y if self.last else y.relu()


def residual_35() -> nn.Module:
    branches = Concat(Filters(320, 32), tower(320, (32,), (32, 3)), tower(320, (32,), (48, 3), (64, 3)))
    return ScaledResidual(320, branches, 128, 0.17)


def residual_17() -> nn.Module:
    branches = Concat(Filters(1088, 192), tower(1088, (128,), (160, (1, 7)), (192, (7, 1))))
    return ScaledResidual(1088, branches, 384, 0.1)


def residual_8(scale: float, last: bool = False) -> nn.Module:
    branches = Concat(Filters(2080, 192), tower(2080, (192,), (224, (1, 3)), (256, (3, 1))))
    return ScaledResidual(2080, branches, 448, scale, last)


class InceptionResNetV2(nn.Module):
    """Fig. 15, with the stem, the widths and the scales of the authors' code, which its published weights fit."""

    def __init__(self) -> None:
        super().__init__()
        v = True
        self.features = nn.Sequential(
            tower(3, (32, 3, 2, v), (32, 3, 1, v), (64, 3)),
            halved(),
            tower(64, (80,), (192, 3, 1, v)),
            halved(),
            Concat(
                Filters(192, 96),
                tower(192, (48,), (64, 5)),
                tower(192, (64,), (96, 3), (96, 3)),
                nn.Sequential(Mean(), Filters(192, 64)),
            ),
            *[residual_35() for _ in range(10)],
            reduction_a(320, 256, 256, 384, 384),
            *[residual_17() for _ in range(20)],
            Concat(
                tower(1088, (256,), (384, 3, 2, v)),
                tower(1088, (256,), (288, 3, 2, v)),
                tower(1088, (256,), (288, 3), (320, 3, 2, v)),
                halved(),
            ),
            *[residual_8(0.2) for _ in range(9)],
            residual_8(1.0, last=True),
            Filters(2080, 1536),
        )
        self.classifier = nn.Linear(1536, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))
