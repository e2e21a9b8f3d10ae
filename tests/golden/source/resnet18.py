"""ResNet-18 (He et al. 2015, table 1).

    input        N x 3 x 224 x 224
    output       N x 1000

11,689,512 parameters, 1,814,073,344 multiply-accumulates for one sample.
Written by netdsl from resnet18.net, checksum 6832b7d14520.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBasic(nn.Module):
    """`residual(basic)`:

        64 x 56 x 56 -> 64 x 56 x 56
        128 x 28 x 28 -> 128 x 28 x 28
        256 x 14 x 14 -> 256 x 14 x 14
        512 x 7 x 7 -> 512 x 7 x 7
    """

    def __init__(self, in_channels: int, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, c, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))  # prelude/residual.net:7
        y = self.bn2(self.conv2(y))  # prelude/residual.net:7
        return F.relu(y + x)  # prelude/residual.net:4


class ResidualBasicProjection(nn.Module):
    """`residual(basic)`:

        64 x 56 x 56 -> 128 x 28 x 28
        128 x 28 x 28 -> 256 x 14 x 14
        256 x 14 x 14 -> 512 x 7 x 7
    """

    def __init__(self, in_channels: int, c: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, c, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.conv3 = nn.Conv2d(in_channels, c, 1, stride=stride, bias=False)
        self.bn3 = nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))  # prelude/residual.net:7
        y = self.bn2(self.conv2(y))  # prelude/residual.net:7
        shortcut = self.bn3(self.conv3(x))  # prelude/residual.net:4
        return F.relu(y + shortcut)  # prelude/residual.net:4


class ResNet18(nn.Module):
    """N x 3 x 224 x 224 -> N x 1000."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(*[ResidualBasic(64, 64) for _ in range(2)])
        self.conv3 = nn.Sequential(ResidualBasicProjection(64, 128, 2), ResidualBasic(128, 128))
        self.conv4 = nn.Sequential(ResidualBasicProjection(128, 256, 2), ResidualBasic(256, 256))
        self.conv5 = nn.Sequential(ResidualBasicProjection(256, 512, 2), ResidualBasic(512, 512))
        self.fc1 = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # He et al. 2015, "Delving deep into rectifiers", eq. 10
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # 64 x 112 x 112, resnet18.net:5
        x = self.pool1(x)  # 64 x 56 x 56, resnet18.net:5
        x = self.conv2(x)  # 64 x 56 x 56, resnet18.net:6
        x = self.conv3(x)  # 128 x 28 x 28, resnet18.net:7
        x = self.conv4(x)  # 256 x 14 x 14, resnet18.net:8
        x = self.conv5(x)  # 512 x 7 x 7, resnet18.net:9
        x = x.mean((2, 3))  # 512, resnet18.net:10
        return self.fc1(x)  # 1000, resnet18.net:10
