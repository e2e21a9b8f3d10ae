"""FCN-8s and U-Net."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def bilinear(channels: int, size: int) -> Tensor:
    """Long et al. 2015, section 3.3, as weights of a transposed convolution: each channel is interpolated by itself."""
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    line = 1 - (torch.arange(size) - centre).abs() / factor
    weight = torch.zeros(channels, channels, size, size)
    for c in range(channels):
        weight[c, c] = line[:, None] * line[None, :]
    return weight


class FCN8s(nn.Module):
    """Long et al. 2015, fig. 3, with the offsets and paddings of the authors' voc-fcn8s. `thin` divides all widths."""

    def __init__(self, thin: int = 1, classes: int = 21) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        channels = 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(count):
                padding = 100 if channels == 3 else 1
                self.convs.append(nn.Conv2d(channels, width // thin, 3, padding=padding))
                channels = width // thin
        self.fc6, self.fc7 = nn.Conv2d(channels, 4096 // thin, 7), nn.Conv2d(4096 // thin, 4096 // thin, 1)
        self.score_fr = nn.Conv2d(4096 // thin, classes, 1)
        self.upscore2 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        self.score_pool4 = nn.Conv2d(512 // thin, classes, 1)
        self.upscore_pool4 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        self.score_pool3 = nn.Conv2d(256 // thin, classes, 1)
        self.upscore8 = nn.ConvTranspose2d(classes, classes, 16, 8, bias=False)
        for layer in (self.upscore2, self.upscore_pool4, self.upscore8):
            layer.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        x, pools = image, []
        convs = iter(self.convs)
        for count in (2, 2, 3, 3, 3):
            for _ in range(count):
                x = next(convs)(x).relu()
            x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            pools.append(x)
        x = self.score_fr(self.fc7(self.fc6(x).relu()).relu())
        x = self.upscore2(x)
        x = x + self.score_pool4(pools[3])[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]]
        x = self.upscore_pool4(x)
        x = x + self.score_pool3(pools[2])[:, :, 9 : 9 + x.shape[2], 9 : 9 + x.shape[3]]
        x = self.upscore8(x)
        return x[:, :, 31 : 31 + image.shape[2], 31 : 31 + image.shape[3]]


class Twice(nn.Sequential):
    """Ronneberger et al. 2015, section 2: two 3 x 3 convolutions, each followed by a ReLU."""

    def __init__(self, channels: int, width: int, padding: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=padding),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=padding),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """Ronneberger et al. 2015, fig. 1. What is copied is cropped in the middle, and comes before what is brought up."""

    def __init__(self, thin: int = 1, padding: int = 0, classes: int = 2) -> None:
        super().__init__()
        widths = [width // thin for width in (64, 128, 256, 512, 1024)]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        channels = 1
        for width in widths:
            self.down.append(Twice(channels, width, padding))
            channels = width
        for width in widths[-2::-1]:
            self.up.append(
                nn.ModuleList([nn.ConvTranspose2d(2 * width, width, 2, 2), Twice(2 * width, width, padding)])
            )
        self.score = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        copies = []
        for level, twice in enumerate(self.down):
            x = twice(F.max_pool2d(x, 2) if level else x)
            copies.append(x)
        copies.pop()
        for bring_up, twice in self.up:
            x = bring_up(x)
            copy = copies.pop()
            top, left = (copy.shape[2] - x.shape[2]) // 2, (copy.shape[3] - x.shape[3]) // 2
            copy = copy[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            x = twice(torch.cat([copy, x], 1))
        return self.score(x)
