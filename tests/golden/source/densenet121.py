"""DenseNet-121 (Huang et al. 2016, table 1; growth rate 32, compression 0.5).

    input        N x 3 x 224 x 224
    output       N x 1000

7,978,856 parameters, 2,834,161,664 multiply-accumulates for one sample.
Written by netdsl from densenet121.net, checksum 7a682d107cdb.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """`dense_layer`:

        64 x 56 x 56 -> 96 x 56 x 56
        96 x 56 x 56 -> 128 x 56 x 56
        128 x 56 x 56 -> 160 x 56 x 56
        160 x 56 x 56 -> 192 x 56 x 56
        192 x 56 x 56 -> 224 x 56 x 56
        224 x 56 x 56 -> 256 x 56 x 56
        … and 52 more
    """

    def __init__(self, in_channels: int, k: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, 4 * k, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * k)
        self.conv2 = nn.Conv2d(4 * k, k, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        branch2 = self.conv1(F.relu(self.bn1(x)))  # prelude/dense.net:2
        branch2 = self.conv2(F.relu(self.bn2(branch2)))  # prelude/dense.net:2
        return torch.cat([x, branch2], 1)  # prelude/dense.net:2


class Transition(nn.Module):
    """`transition`:

        256 x 56 x 56 -> 128 x 28 x 28
        512 x 28 x 28 -> 256 x 14 x 14
        1024 x 14 x 14 -> 512 x 7 x 7
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, in_channels // 2, 1, bias=False)
        self.pool1 = nn.AvgPool2d(2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.relu(self.bn1(x)))  # prelude/dense.net:4
        return self.pool1(x)  # prelude/dense.net:4


class DenseNet121(nn.Module):
    """N x 3 x 224 x 224 -> N x 1000."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.stem_bn = nn.BatchNorm2d(64)
        self.stem_pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.dense1 = nn.Sequential(
            nn.Sequential(*[DenseLayer(64 + 32 * i, 32) for i in range(6)]),
            Transition(256),
        )
        self.dense2 = nn.Sequential(
            nn.Sequential(*[DenseLayer(128 + 32 * i, 32) for i in range(12)]),
            Transition(512),
        )
        self.dense3 = nn.Sequential(
            nn.Sequential(*[DenseLayer(256 + 32 * i, 32) for i in range(24)]),
            Transition(1024),
        )
        self.dense4 = nn.Sequential(*[DenseLayer(512 + 32 * i, 32) for i in range(16)])
        self.dense4_bn = nn.BatchNorm2d(1024)
        self.fc1 = nn.Linear(1024, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # He et al. 2015, "Delving deep into rectifiers", eq. 10
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_bn(self.stem(x)))  # 64 x 112 x 112, densenet121.net:5
        x = self.stem_pool(x)  # 64 x 56 x 56, densenet121.net:5
        x = self.dense1(x)  # 128 x 28 x 28, densenet121.net:6
        x = self.dense2(x)  # 256 x 14 x 14, densenet121.net:7
        x = self.dense3(x)  # 512 x 7 x 7, densenet121.net:8
        x = self.dense4(x)  # 1024 x 7 x 7, densenet121.net:9
        x = F.relu(self.dense4_bn(x))  # 1024 x 7 x 7, densenet121.net:9
        x = x.mean((2, 3))  # 1024, densenet121.net:10
        return self.fc1(x)  # 1000, densenet121.net:10
