"""Residual networks that torchvision does not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(channels: int, filters: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, size, stride, padding=size // 2, bias=False)


def pad_shortcut(x: Tensor, channels: int, stride: int) -> Tensor:
    """He et al. 2015, section 3.3, option A: identity; extra channels are zeros, and every second pixel is taken."""
    return F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - x.shape[1]))


class BasicA(nn.Module):
    """He et al. 2015, fig. 2 and 5 left, with shortcuts of option A."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.stride, self.filters = stride, filters
        self.conv1, self.bn1 = conv(channels, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = conv(filters, filters, 3), nn.BatchNorm2d(filters)

    def branch(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))

    def forward(self, x: Tensor) -> Tensor:
        return (self.branch(x) + pad_shortcut(x, self.filters, self.stride)).relu()


class ResNetA(nn.Module):
    """He et al. 2015, table 1, 34 layers, with shortcuts of option A."""

    def __init__(self, counts: tuple[int, ...] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1, self.bn1, self.pool = conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential()
        channels = 64
        for filters, count in zip((64, 128, 256, 512), counts, strict=True):
            for i in range(count):
                self.blocks.append(BasicA(channels, filters, 2 if i == 0 and filters > 64 else 1))
                channels = filters
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.pool(self.bn1(self.conv1(x)).relu())).mean((2, 3)))


class ResNetForCIFAR(nn.Module):
    """He et al. 2015, section 4.2: 6n + 2 layers; 16, 32 and 64 filters on 32, 16 and 8 pixels; option A."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
        self.blocks = nn.Sequential()
        channels = 16
        for filters in (16, 32, 64):
            for i in range(n):
                self.blocks.append(BasicA(channels, filters, 2 if i == 0 and filters > 16 else 1))
                channels = filters
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.bn1(self.conv1(x)).relu()).mean((2, 3)))


class StochasticDepth(ResNetForCIFAR):
    """Huang et al. 2016, eq. 2 to 5: of L blocks, block l is dropped with 1 - p = l/L * 0.5; in use its branch counts p."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.drop = 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        for i, block in enumerate(self.blocks, start=1):
            p = 1 - i / len(self.blocks) * self.drop
            kept = (torch.rand(()) < p).to(x) if self.training else p
            x = (kept * block.branch(x) + pad_shortcut(x, block.filters, block.stride)).relu()
        return self.fc(x.mean((2, 3)))


class BottleneckV1(nn.Module):
    """He et al. 2015, fig. 5 right; the first 1 x 1 has the stride, as in the authors' Caffe models."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, width, 1, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.project = None
        if stride > 1 or channels != 4 * width:
            self.project = nn.Sequential(conv(channels, 4 * width, 1, stride), nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        return (self.bn3(self.conv3(y)) + (x if self.project is None else self.project(x))).relu()


class ResNet50V1(nn.Module):
    """He et al. 2015, table 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1, self.pool = conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.MaxPool2d(3, 2, 1)
        self.blocks = nn.Sequential()
        channels = 64
        for width, count in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
            for i in range(count):
                self.blocks.append(BottleneckV1(channels, width, 2 if i == 0 and width > 64 else 1))
                channels = 4 * width
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.pool(self.bn1(self.conv1(x)).relu())).mean((2, 3)))


class PreActivated(nn.Module):
    """He et al. 2016, fig. 4e, as a bottleneck; with a projection, it shares the first norm and activation."""

    def __init__(self, channels: int, width: int, stride: int, projects: bool) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), conv(channels, width, 1, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3)
        self.norm3, self.conv3 = nn.BatchNorm2d(width), conv(width, 4 * width, 1)
        self.project = conv(channels, 4 * width, 1, stride) if projects else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        shortcut = x if self.project is None else self.project(active)
        y = self.conv1(active)
        for norm, layer in ((self.norm2, self.conv2), (self.norm3, self.conv3)):
            y = layer(norm(y).relu())
        return shortcut + y


class PreActivatedResNet(nn.Module):
    """He et al. 2016, section 4 and appendix, on CIFAR-10: three stages of n bottlenecks, 9n + 2 layers."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv = conv(3, 16, 3)
        self.units = nn.Sequential()
        channels = 16
        for width in (16, 32, 64):
            for i in range(n):
                stride = 2 if i == 0 and width > 16 else 1
                self.units.append(PreActivated(channels, width, stride, projects=i == 0))
                channels = 4 * width
        self.norm, self.fc = nn.BatchNorm2d(256), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.units(self.conv(x))).relu().mean((2, 3)))


class WideBlock(nn.Module):
    """Zagoruyko & Komodakis 2016, fig. 1c without dropout: BN, ReLU, convolution, twice."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), conv(channels, filters, 3, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(filters), conv(filters, filters, 3)
        self.project = conv(channels, filters, 1, stride) if stride > 1 or channels != filters else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        y = self.conv2(self.norm2(self.conv1(active)).relu())
        return y + (x if self.project is None else self.project(active))


class WideResNet(nn.Module):
    """Zagoruyko & Komodakis 2016, table 1: depth 6n + 4, k times as wide."""

    def __init__(self, n: int, k: int) -> None:
        super().__init__()
        self.conv1, self.groups = conv(3, 16, 3), nn.Sequential()
        channels = 16
        for filters in (16 * k, 32 * k, 64 * k):
            for i in range(n):
                self.groups.append(WideBlock(channels, filters, 2 if i == 0 and filters > 16 * k else 1))
                channels = filters
        self.norm, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.groups(self.conv1(x))).relu().mean((2, 3)))
