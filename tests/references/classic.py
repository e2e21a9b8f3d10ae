"""LeNet-5, AlexNet, ZFNet, network in network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def response_norm(x: Tensor, n: int = 5, k: float = 2, alpha: float = 1e-4, beta: float = 0.75) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3: b = a / (k + alpha * sum of a^2 over n channels) ^ beta."""
    squares = F.pad(x**2, (0, 0, 0, 0, n // 2, n // 2))
    return x / (k + alpha * sum(squares[:, i : i + x.shape[1]] for i in range(n))) ** beta


def overlapping(x: Tensor, ceil_mode: bool = True) -> Tensor:
    """3 x 3 / 2; with `ceil_mode` the last window may be partial: 112 -> 56."""
    return F.max_pool2d(x, 3, 2, ceil_mode=ceil_mode)


class LeNet5(nn.Module):
    """LeCun et al. 1998, fig. 2: C1, S2, C3, S4, C5, F6, output; sampling without parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c3 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.c5 = nn.Linear(16 * 5 * 5, 120)  # a convolution whose 5 x 5 kernels fill the map is a full connection
        self.f6, self.output = nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        s2 = F.avg_pool2d(self.c1(x).tanh(), 2)
        s4 = F.avg_pool2d(self.c3(s2).tanh(), 2)
        return self.output(self.f6(self.c5(s4.flatten(1)).tanh()).tanh())


class AlexNet(nn.Module):
    """Krizhevsky et al. 2012, section 3.5; a grouped layer is two layers, one for each GPU.

    `last` is the height and width of what the fully connected layers see: 6 for an input of 227.
    """

    def __init__(self, last: int = 6) -> None:
        super().__init__()
        self.conv = nn.ModuleList(
            [
                nn.Conv2d(3, 96, 11, 4),
                nn.Conv2d(48, 256, 5, padding=2),
                nn.Conv2d(256, 384, 3, padding=1),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(192, 256, 3, padding=1),
            ]
        )
        self.fc = nn.ModuleList([nn.Linear(256 * last * last, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)])

    def on_two(self, i: int, x: Tensor) -> Tensor:
        layer = self.conv[i]
        parts = zip(x.chunk(2, 1), layer.weight.chunk(2), layer.bias.chunk(2), strict=True)
        return torch.cat([F.conv2d(x, w, b, padding=layer.padding) for x, w, b in parts], 1).relu()

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(response_norm(self.conv[0](x).relu()), 3, 2)
        x = F.max_pool2d(response_norm(self.on_two(1, x)), 3, 2)
        x = self.on_two(3, self.conv[2](x).relu())
        x = F.max_pool2d(self.on_two(4, x), 3, 2).flatten(1)
        return self.fc[2](self.fc[1](self.fc[0](x).relu()).relu())


class ZFNet(nn.Module):
    """Zeiler & Fergus 2013, fig. 3: each of the first two layers is filtered, rectified, pooled, and normalised."""

    def __init__(self, widths: tuple[int, int, int] = (384, 384, 256), last: int = 6) -> None:
        super().__init__()
        a, b, c = widths
        self.layer1, self.layer2 = nn.Conv2d(3, 96, 7, 2, padding=1), nn.Conv2d(96, 256, 5, 2)
        self.layer3, self.layer4 = nn.Conv2d(256, a, 3, padding=1), nn.Conv2d(a, b, 3, padding=1)
        self.layer5 = nn.Conv2d(b, c, 3, padding=1)
        self.layer6, self.layer7 = nn.Linear(c * last * last, 4096), nn.Linear(4096, 4096)
        self.output = nn.Linear(4096, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = response_norm(overlapping(self.layer1(x).relu()))  # 110 -> 55
        x = response_norm(overlapping(self.layer2(x).relu()))  # 26 -> 13
        x = self.layer5(self.layer4(self.layer3(x).relu()).relu()).relu()
        x = overlapping(x, ceil_mode=False).flatten(1)  # 13 -> 6
        return self.output(self.layer7(self.layer6(x).relu()).relu())


def mlpconv(channels: int, a: int, b: int, c: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    """Lin et al. 2013, eq. 2: a convolution, then a perceptron over the channels of each place."""
    return nn.Sequential(
        nn.Conv2d(channels, a, kernel, stride, padding),
        nn.ReLU(),
        nn.Conv2d(a, b, 1),
        nn.ReLU(),
        nn.Conv2d(b, c, 1),
        nn.ReLU(),
    )


class NiN(nn.Module):
    """Lin et al. 2013, as the authors' Caffe model for ImageNet: four mlpconv layers. Caffe's pools take the ceiling."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            mlpconv(3, 96, 96, 96, 11, 4),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            mlpconv(96, 256, 256, 256, 5, padding=2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            mlpconv(256, 384, 384, 384, 3, padding=1),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            mlpconv(384, 1024, 1024, 1000, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).mean((2, 3))


class NiNForCIFAR(nn.Module):
    """Lin et al. 2013, as the authors' Caffe model for CIFAR-10: a maximum, then a mean between the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = mlpconv(3, 192, 160, 96, 5, padding=2)
        self.second = mlpconv(96, 192, 192, 192, 5, padding=2)
        self.third = mlpconv(192, 192, 192, 10, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = overlapping(self.first(x))
        x = self.second(x)
        # Caffe divides the sum of a partial window by what lies inside the image.
        windows = F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2, divisor_override=1)
        inside = F.avg_pool2d(F.pad(torch.ones_like(x), (0, 1, 0, 1)), 3, 2, divisor_override=1)
        return self.third(windows / inside).mean((2, 3))
