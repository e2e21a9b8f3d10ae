"""A bit of everything that has no shipped network: two inputs, skips as arguments, a repeat over a
label, open sizes.

    image        N x 3 x H x W
    hint         N x 1 x H x W
    score        N x 3 x H x W
    class        N x 3
    aux          N x 3, in training only
    sizes        H must be a multiple of 4, W must be a multiple of 4

44,066 parameters (43,967 in inference), 7268*H*W + 18 multiply-accumulates for one sample.
Written by netdsl from decoder.net, checksum f0fc31106915.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DecoderOutput(NamedTuple):
    """What the network returns."""

    score: Tensor  # N x 3 x H x W
    class_: Tensor  # N x 3


class DecoderTrainingOutput(NamedTuple):
    """What the network returns in training."""

    score: Tensor  # N x 3 x H x W
    class_: Tensor  # N x 3
    aux: Tensor  # N x 3


class UnevenConv2d(nn.Conv2d):
    """A convolution with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        return super().forward(F.pad(x, self.sides))

    def extra_repr(self):
        return f"{super().extra_repr()}, sides={self.sides}"


class Residual(nn.Module):
    """`residual`: 8 x H/2 x W/2 -> 16 x H/2 x W/2."""

    def __init__(self, in_channels: int, n: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, n, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n)
        self.conv2 = nn.Conv2d(in_channels, n, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))  # decoder.net:7
        shortcut = self.conv2(x)  # prelude/residual.net:4
        return F.relu(y + shortcut)  # prelude/residual.net:4


class Up(nn.Module):
    """`up`:

        32 x H/4 x W/4 -> 16 x H/2 x W/2
        16 x H/2 x W/2 -> 8 x H x W
    """

    def __init__(self, in_channels: int, c: int, skip_channels: int) -> None:
        super().__init__()
        self.upsample1 = nn.Upsample(scale_factor=2)
        self.conv1 = nn.Conv2d(in_channels + skip_channels, c, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        branch1 = self.upsample1(x)  # decoder.net:2
        x = torch.cat([branch1, skip], 1)  # decoder.net:2
        return F.relu(self.bn1(self.conv1(x)))  # decoder.net:2


class DecoderStep(nn.Module):
    """A step of `decoder`: 8 x H x W -> 8 x H x W."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        skip = F.relu(self.conv1(skip))  # decoder.net:12
        return x + skip  # decoder.net:12


class Decoder(nn.Module):
    """N x 3 x H x W, N x 1 x H x W -> N x 3 x H x W, N x 3. In training a named tuple, with the auxiliary outputs."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.s = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.s_bn = nn.BatchNorm2d(8)
        self.t_pool = nn.MaxPool2d(2, stride=2)
        self.t = Residual(8, 16)
        self.u = nn.Sequential(
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            *[nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()) for _ in range(3)],
        )
        self.aux = nn.Linear(32, classes)
        self.up1 = Up(32, 16, 16)
        self.up2 = Up(16, 8, 8)
        self.conv1 = nn.ModuleList([*[DecoderStep(8) for _ in range(2)]])
        self.score = UnevenConv2d(9, classes, 2, sides=(0, 1, 0, 1))
        self.class_fc = nn.Linear(classes, classes)
        self.class_fc2 = nn.Linear(classes, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # He et al. 2015, "Delving deep into rectifiers", eq. 10
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.s.requires_grad_(False)
        self.s_bn.requires_grad_(False)

    def forward(self, image: Tensor, hint: Tensor) -> DecoderOutput | DecoderTrainingOutput:
        s = F.relu(self.s_bn(self.s(image)))  # 8 x H x W, decoder.net:6
        x = self.t_pool(s)  # 8 x H/2 x W/2, decoder.net:7
        t = self.t(x)  # 16 x H/2 x W/2, decoder.net:7
        u = self.u(t)  # 32 x H/4 x W/4, decoder.net:8
        x = self.up1(u, t)  # 16 x H/2 x W/2, decoder.net:10
        x = self.up2(x, s)  # 8 x H x W, decoder.net:11
        for step in self.conv1:  # 8 x H x W, decoder.net:12
            x = step(x, s)  # 8 x H x W, decoder.net:12
        x = torch.cat([x, hint], 1)  # 9 x H x W, decoder.net:13
        score = self.score(x)  # 3 x H x W, decoder.net:14
        column1 = score.mean((2, 3))  # 3, decoder.net:15
        column1 = self.class_fc(column1)  # 3, decoder.net:15
        column2 = score.amax((2, 3))  # 3, decoder.net:15
        column2 = self.class_fc2(column2)  # 3, decoder.net:15
        class_ = (column1 + column2) / 2  # 3, decoder.net:15
        if self.training:
            u = u.mean((2, 3))  # 32, decoder.net:9
            aux = self.aux(u)  # 3, decoder.net:9
            return DecoderTrainingOutput(score, class_, aux)
        return DecoderOutput(score, class_)
