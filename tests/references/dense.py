"""DenseNets for CIFAR, which torchvision does not have, and FractalNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def norm_conv(channels: int, filters: int, size: int) -> nn.Sequential:
    """Huang et al. 2016, section 3, H: BN, ReLU, convolution."""
    layer = nn.Conv2d(channels, filters, size, padding=size // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), layer)


class DenseNetForCIFAR(nn.Module):
    """Huang et al. 2016, section 3 and 4.2: three blocks on 32, 16 and 8 pixels.

    The plain form has (depth - 4)/3 layers in a block and starts from 16 channels; BC has half as many, each with a
    1 x 1 bottleneck of 4k, starts from 2k channels, and halves them between the blocks.
    """

    def __init__(self, depth: int, k: int, bc: bool) -> None:
        super().__init__()
        layers = (depth - 4) // (6 if bc else 3)
        channels = 2 * k if bc else 16
        self.first = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        for number in range(3):
            block = nn.ModuleList()
            for _ in range(layers):
                h = [norm_conv(channels, 4 * k, 1), norm_conv(4 * k, k, 3)] if bc else [norm_conv(channels, k, 3)]
                block.append(nn.Sequential(*h))
                channels += k
            end: nn.Module = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
            if number < 2:
                fewer = channels // 2 if bc else channels
                end = nn.Sequential(norm_conv(channels, fewer, 1), nn.AvgPool2d(2))
                channels = fewer
            self.stages.append(nn.ModuleList([block, end]))
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block, end in self.stages:
            for layer in block:
                x = torch.cat([x, layer(x)], 1)
            x = end(x)
        return self.fc(x.mean((2, 3)))


class ConvNormActivation(nn.Sequential):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())


class Fractal(nn.Module):
    """Larsson et al. 2016, fig. 1: of 2^(n-1) rows, column k has a convolution that ends at every 2^(n-k)-th; the
    columns that end at a row are joined by one mean, and go on from there. Pools stand before joins.
    """

    def __init__(self, columns: int, channels: int, width: int) -> None:
        super().__init__()
        self.conv = ConvNormActivation(channels, width)
        self.deeper = columns > 1
        if self.deeper:
            self.first, self.second = Fractal(columns - 1, channels, width), Fractal(columns - 1, width, width)

    def columns(self) -> list[list[nn.Module]]:
        """The convolutions of each column, from its top to its bottom."""
        if not self.deeper:
            return [[self.conv]]
        return [[self.conv], *(a + b for a, b in zip(self.first.columns(), self.second.columns(), strict=True))]


class FractalBlock(Fractal):
    def forward(self, z: Tensor) -> Tensor:
        columns = self.columns()
        rows = len(columns[-1])
        starts = [z] * len(columns)
        for row in range(1, rows + 1):
            ending = [k for k, convs in enumerate(columns) if row % (rows // len(convs)) == 0]
            outs = [columns[k][row * len(columns[k]) // rows - 1](starts[k]) for k in ending]
            if row == rows:
                outs = [F.max_pool2d(out, 2) for out in outs]
            z = torch.stack(outs).mean(0)
            for k in ending:
                starts[k] = z
        return z


class FractalNet(nn.Sequential):
    """Larsson et al. 2016, section 4.2: five blocks of four columns, dropout between them."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for i, width in enumerate((16, 32, 64, 128, 128)):
            self.append(nn.Dropout(i / 10))
            self.append(FractalBlock(4, channels, width))
            channels = width
        self.append(nn.Flatten())
        self.append(nn.Linear(128, 100))
