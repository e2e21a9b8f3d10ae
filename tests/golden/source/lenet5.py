"""LeNet-5 (LeCun et al. 1998, fig. 2; convolution C3 fully connected).

    input        N x 1 x 32 x 32
    output       N x 10

61,706 parameters, 416,520 multiply-accumulates for one sample.
Written by netdsl from lenet5.net, checksum 50974dccde35.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LeNet5(nn.Module):
    """N x 1 x 32 x 32 -> N x 10."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.pool1 = nn.AvgPool2d(2, stride=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool2 = nn.AvgPool2d(2, stride=2)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                # Glorot & Bengio 2010, eq. 16
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)  # 6 x 28 x 28, lenet5.net:5
        x = torch.tanh(x)  # 6 x 28 x 28, lenet5.net:5
        x = self.pool1(x)  # 6 x 14 x 14, lenet5.net:6
        x = self.conv2(x)  # 16 x 10 x 10, lenet5.net:7
        x = torch.tanh(x)  # 16 x 10 x 10, lenet5.net:7
        x = self.pool2(x)  # 16 x 5 x 5, lenet5.net:8
        x = self.fc1(torch.flatten(x, 1))  # 120, lenet5.net:9
        x = torch.tanh(x)  # 120, lenet5.net:9
        x = self.fc2(x)  # 84, lenet5.net:10
        x = torch.tanh(x)  # 84, lenet5.net:10
        return self.fc3(x)  # 10, lenet5.net:11
