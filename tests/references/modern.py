"""Networks from 2017 on that torchvision does not have."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SeparableConv(nn.Module):
    """Chollet 2017, section 2: a 3x3 filter for each channel, then 1x1; nothing in between, and a norm at the end."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, filters, 1, bias=False)
        self.bn = xception_norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.pointwise(self.depthwise(x)))


def xception_norm(channels: int) -> nn.BatchNorm2d:
    """With the numbers of the author's Keras code."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class XceptionModule(nn.Module):
    """Chollet 2017, fig. 5: two separable convolutions and a pool, beside a 1x1 convolution with stride 2."""

    def __init__(self, channels: int, middle: int, filters: int, activated: bool) -> None:
        super().__init__()
        self.activated = activated
        self.first, self.second = SeparableConv(channels, middle), SeparableConv(middle, filters)
        self.shortcut, self.bn = nn.Conv2d(channels, filters, 1, 2, bias=False), xception_norm(filters)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x.relu() if self.activated else x).relu())
        return F.max_pool2d(y, 3, 2, 1) + self.bn(self.shortcut(x))


class XceptionMiddle(nn.Module):
    """Chollet 2017, fig. 5, middle flow: three times ReLU and a separable convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(SeparableConv(728, 728) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for part in self.parts:
            y = part(y.relu())
        return x + y


class Xception(nn.Module):
    """Chollet 2017, fig. 5."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), xception_norm(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), xception_norm(64)
        self.modules_ = nn.Sequential(
            XceptionModule(64, 128, 128, False),
            XceptionModule(128, 256, 256, True),
            XceptionModule(256, 728, 728, True),
            *(XceptionMiddle() for _ in range(8)),
            XceptionModule(728, 728, 1024, True),
        )
        self.third, self.fourth = SeparableConv(1024, 1536), SeparableConv(1536, 2048)
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        x = self.fourth(self.third(self.modules_(x)).relu()).relu()
        return self.fc(x.mean((2, 3)))


class Perceptron(nn.Module):
    """Tolstikhin et al. 2021, eq. 1: two linear layers with a GELU between them, over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.gelu(self.first(x)))


class MixerLayer(nn.Module):
    """Tolstikhin et al. 2021, eq. 1, for B x S x C: the first perceptron runs over the columns, the second over the rows."""

    def __init__(self, steps: int, width: int, along_steps: int, along_channels: int) -> None:
        super().__init__()
        self.norm1, self.mix_steps = nn.LayerNorm(width, eps=1e-6), Perceptron(steps, along_steps)
        self.norm2, self.mix_channels = nn.LayerNorm(width, eps=1e-6), Perceptron(width, along_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix_steps(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mix_channels(self.norm2(x))


class Mixer(nn.Module):
    """Tolstikhin et al. 2021, table 1, B/16, on images that are so many pixels high and wide."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 768, 16, 16)
        self.layers = nn.Sequential(*(MixerLayer((size // 16) ** 2, 768, 384, 3072) for _ in range(12)))
        self.norm, self.head = nn.LayerNorm(768, eps=1e-6), nn.Linear(768, 1000)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.layers(steps)).mean(1))


class Bottle2neck(nn.Module):
    """Gao et al. 2019, fig. 2b: y_i = K_i(x_i + y_(i-1)) on four parts of 26 channels (at the width of 64).

    The authors' code leaves the last part, not the first, without a convolution. In the first block of a stage, which has
    a projection, no part sees another, and the last one is pooled.
    """

    def __init__(self, channels: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        self.first, self.stride, self.width = first, stride, planes * 26 // 64
        self.reduce = nn.Conv2d(channels, 4 * self.width, 1, bias=False)
        self.reduce_bn = nn.BatchNorm2d(4 * self.width)
        self.parts = nn.ModuleList()
        for _ in range(3):
            self.parts.append(nn.Conv2d(self.width, self.width, 3, stride, 1, bias=False))
            self.parts.append(nn.BatchNorm2d(self.width))
        self.expand, self.expand_bn = nn.Conv2d(4 * self.width, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.shortcut = nn.Sequential()
        if first:
            self.shortcut.append(nn.Conv2d(channels, 4 * planes, 1, stride, bias=False))
            self.shortcut.append(nn.BatchNorm2d(4 * planes))

    def forward(self, x: Tensor) -> Tensor:
        *inputs, last = self.reduce_bn(self.reduce(x)).relu().split(self.width, dim=1)
        outputs: list[Tensor] = []
        for i, part in enumerate(inputs):
            seen = part if i == 0 or self.first else part + outputs[-1]
            outputs.append(self.parts[2 * i + 1](self.parts[2 * i](seen)).relu())
        outputs.append(F.avg_pool2d(last, 3, self.stride, 1) if self.first else last)
        return (self.expand_bn(self.expand(torch.cat(outputs, 1))) + self.shortcut(x)).relu()


class Res2Net(nn.Module):
    """Gao et al. 2019, table 1: ResNet-50 with these blocks, 26w x 4s."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.blocks = nn.Sequential()
        widths, counts = (64, 128, 256, 512), (3, 4, 6, 3)
        for channels, planes, count in zip((64, 256, 512, 1024), widths, counts, strict=True):
            self.blocks.append(Bottle2neck(channels, planes, 1 if planes == 64 else 2, True))
            self.blocks.extend(Bottle2neck(4 * planes, planes, 1, False) for _ in range(count - 1))
        self.fc = nn.Linear(2048, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        return self.fc(self.blocks(x).mean((2, 3)))
