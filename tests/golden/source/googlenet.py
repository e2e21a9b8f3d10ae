"""GoogLeNet (Szegedy et al. 2014, table 1). ceil: its 3x3/2 pools map 112 to 56 without padding.

    input        N x 3 x 224 x 224
    logits       N x 1000
    aux1         N x 1000, in training only
    aux2         N x 1000, in training only

13,378,280 parameters (6,998,552 in inference), 1,582,671,872 multiply-accumulates for one sample.
Written by netdsl from googlenet.net, checksum fb64b2bee0e5.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GoogLeNetOutput(NamedTuple):
    """What the network returns in training."""

    logits: Tensor  # N x 1000
    aux1: Tensor  # N x 1000
    aux2: Tensor  # N x 1000


class Inception(nn.Module):
    """`inception`:

        192 x 28 x 28 -> 256 x 28 x 28
        256 x 28 x 28 -> 480 x 28 x 28
        480 x 14 x 14 -> 512 x 14 x 14
        512 x 14 x 14 -> 512 x 14 x 14
        512 x 14 x 14 -> 528 x 14 x 14
        528 x 14 x 14 -> 832 x 14 x 14
        … and 2 more
    """

    def __init__(self, in_channels: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, a, 1)
        self.conv2 = nn.Conv2d(in_channels, b, 1)
        self.conv3 = nn.Conv2d(b, c, 3, padding=1)
        self.conv4 = nn.Conv2d(in_channels, d, 1)
        self.conv5 = nn.Conv2d(d, e, 5, padding=2)
        self.pool1 = nn.MaxPool2d(3, stride=1, padding=1)
        self.conv6 = nn.Conv2d(in_channels, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        branch1 = F.relu(self.conv1(x))  # prelude/inception.net:3
        branch2 = F.relu(self.conv2(x))  # prelude/inception.net:4
        branch2 = F.relu(self.conv3(branch2))  # prelude/inception.net:4
        branch3 = F.relu(self.conv4(x))  # prelude/inception.net:5
        branch3 = F.relu(self.conv5(branch3))  # prelude/inception.net:5
        branch4 = self.pool1(x)  # prelude/inception.net:6
        branch4 = F.relu(self.conv6(branch4))  # prelude/inception.net:6
        return torch.cat([branch1, branch2, branch3, branch4], 1)  # prelude/inception.net:3


class AuxHead(nn.Module):
    """`aux_head`:

        512 x 14 x 14 -> 1000
        528 x 14 x 14 -> 1000
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.pool1 = nn.AvgPool2d(5, stride=3)
        self.conv1 = nn.Conv2d(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.dropout1 = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(x)  # prelude/inception.net:9
        x = F.relu(self.conv1(x))  # prelude/inception.net:9
        x = self.fc1(torch.flatten(x, 1))  # prelude/inception.net:9
        x = F.relu(x)  # prelude/inception.net:9
        x = self.dropout1(x)  # prelude/inception.net:9
        return self.fc2(x)  # prelude/inception.net:9


class GoogLeNet(nn.Module):
    """N x 3 x 224 x 224 -> N x 1000. In training a named tuple, with the auxiliary outputs."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.conv1_pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv1_lrn = nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
        self.conv2 = nn.Sequential(
            nn.Conv2d(64, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1),
            nn.ReLU(),
            nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
        )
        self.a3 = Inception(192, 64, 96, 128, 16, 32, 32)
        self.b3 = Inception(256, 128, 128, 192, 32, 96, 64)
        self.b3_pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.a4 = Inception(480, 192, 96, 208, 16, 48, 64)
        self.b4 = Inception(512, 160, 112, 224, 24, 64, 64)
        self.c4 = Inception(512, 128, 128, 256, 24, 64, 64)
        self.d4 = Inception(512, 112, 144, 288, 32, 64, 64)
        self.e4 = Inception(528, 256, 160, 320, 32, 128, 128)
        self.e4_pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.a5 = Inception(832, 256, 160, 320, 32, 128, 128)
        self.b5 = Inception(832, 384, 192, 384, 48, 128, 128)
        self.logits_dropout = nn.Dropout(0.4)
        self.logits = nn.Linear(1024, classes)
        self.aux1 = AuxHead(512, classes)
        self.aux2 = AuxHead(528, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # He et al. 2015, "Delving deep into rectifiers", eq. 10
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutput:
        x = F.relu(self.conv1(x))  # 64 x 112 x 112, googlenet.net:6
        x = self.conv1_pool(x)  # 64 x 56 x 56, googlenet.net:6
        x = self.conv1_lrn(x)  # 64 x 56 x 56, googlenet.net:6
        x = self.conv2(x)  # 192 x 28 x 28, googlenet.net:7
        x = self.a3(x)  # 256 x 28 x 28, googlenet.net:8
        x = self.b3(x)  # 480 x 28 x 28, googlenet.net:9
        x = self.b3_pool(x)  # 480 x 14 x 14, googlenet.net:9
        a4 = self.a4(x)  # 512 x 14 x 14, googlenet.net:10
        x = self.b4(a4)  # 512 x 14 x 14, googlenet.net:11
        x = self.c4(x)  # 512 x 14 x 14, googlenet.net:12
        d4 = self.d4(x)  # 528 x 14 x 14, googlenet.net:13
        x = self.e4(d4)  # 832 x 14 x 14, googlenet.net:14
        x = self.e4_pool(x)  # 832 x 7 x 7, googlenet.net:14
        x = self.a5(x)  # 832 x 7 x 7, googlenet.net:15
        x = self.b5(x)  # 1024 x 7 x 7, googlenet.net:16
        x = x.mean((2, 3))  # 1024, googlenet.net:17
        x = self.logits_dropout(x)  # 1024, googlenet.net:17
        logits = self.logits(x)  # 1000, googlenet.net:17
        if self.training:
            aux1 = self.aux1(a4)  # 1000, googlenet.net:18
            aux2 = self.aux2(d4)  # 1000, googlenet.net:19
            return GoogLeNetOutput(logits, aux1, aux2)
        return logits
