"""AlexNet (Krizhevsky et al. 2012, fig. 2 and section 3). The input is 227: (224 - 11)/4 + 1 is not
whole.

    input        N x 3 x 227 x 227
    fc8          N x 1000

60,965,224 parameters, 724,406,816 multiply-accumulates for one sample.
Written by netdsl from alexnet.net, checksum dea987e71195.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def normal(layer, std, bias=0.0):
    """Starts the weights of a layer: a normal distribution."""
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.constant_(layer.bias, bias)
    return layer


class AlexNet(nn.Module):
    """N x 3 x 227 x 227 -> N x 1000."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = normal(nn.Conv2d(3, 96, 11, stride=4), std=0.01)
        self.conv1_lrn = nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
        self.conv1_pool = nn.MaxPool2d(3, stride=2)
        self.conv2 = normal(nn.Conv2d(96, 256, 5, padding=2, groups=2), std=0.01, bias=1.0)
        self.conv2_lrn = nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
        self.conv2_pool = nn.MaxPool2d(3, stride=2)
        self.conv3 = normal(nn.Conv2d(256, 384, 3, padding=1), std=0.01)
        self.conv4 = normal(nn.Conv2d(384, 384, 3, padding=1, groups=2), std=0.01, bias=1.0)
        self.conv5 = normal(nn.Conv2d(384, 256, 3, padding=1, groups=2), std=0.01, bias=1.0)
        self.conv5_pool = nn.MaxPool2d(3, stride=2)
        self.fc6 = normal(nn.Linear(9216, 4096), std=0.01, bias=1.0)
        self.fc6_dropout = nn.Dropout(0.5)
        self.fc7 = normal(nn.Linear(4096, 4096), std=0.01, bias=1.0)
        self.fc7_dropout = nn.Dropout(0.5)
        self.fc8 = normal(nn.Linear(4096, classes), std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))  # 96 x 55 x 55, alexnet.net:7
        x = self.conv1_lrn(x)  # 96 x 55 x 55, alexnet.net:7
        x = self.conv1_pool(x)  # 96 x 27 x 27, alexnet.net:7
        x = F.relu(self.conv2(x))  # 256 x 27 x 27, alexnet.net:8
        x = self.conv2_lrn(x)  # 256 x 27 x 27, alexnet.net:8
        x = self.conv2_pool(x)  # 256 x 13 x 13, alexnet.net:8
        x = F.relu(self.conv3(x))  # 384 x 13 x 13, alexnet.net:9
        x = F.relu(self.conv4(x))  # 384 x 13 x 13, alexnet.net:10
        x = F.relu(self.conv5(x))  # 256 x 13 x 13, alexnet.net:11
        x = self.conv5_pool(x)  # 256 x 6 x 6, alexnet.net:11
        x = F.relu(self.fc6(torch.flatten(x, 1)))  # 4096, alexnet.net:12
        x = self.fc6_dropout(x)  # 4096, alexnet.net:12
        x = F.relu(self.fc7(x))  # 4096, alexnet.net:13
        x = self.fc7_dropout(x)  # 4096, alexnet.net:13
        return self.fc8(x)  # 1000, alexnet.net:14
