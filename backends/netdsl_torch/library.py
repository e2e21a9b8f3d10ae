"""The classes that a generated file brings along, for what PyTorch has no module for.

They are not imported: `rules/helpers.py` reads their text. A class for two spatial axes (`2d`) stands for those of one
and three as well, and `SequenceLSTM` for all recurrent layers.
"""

import torch
import torch.nn.functional as F
from torch import nn


class UnevenConv2d(nn.Conv2d):
    """A convolution with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        return super().forward(F.pad(x, self.sides))

    def extra_repr(self):
        return f"{super().extra_repr()}, sides={self.sides}"


def begun(pool, x):
    """The windows that start inside x or the padding before it: rounded up, the count may have one more."""
    strides = pool.stride if isinstance(pool.stride, tuple) else (pool.stride,) * (x.dim() - 2)
    before = reversed(pool.sides[::2])
    return (..., *(slice(-(-(n + p) // s)) for n, p, s in zip(x.shape[2:], before, strides)))


class UnevenMaxPool2d(nn.MaxPool2d):
    """Maximum pooling with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        y = super().forward(F.pad(x, self.sides, value=float("-inf")))
        return y[begun(self, x)]

    def extra_repr(self):
        return f"{super().extra_repr()}, sides={self.sides}"


class UnevenAvgPool2d(nn.AvgPool2d):
    """Average pooling with a padding of its own for each side: (left, right, top, bottom)."""

    def __init__(self, *args, sides, **options):
        super().__init__(*args, **options)
        self.sides = sides

    def forward(self, x):
        mean = super().forward(F.pad(x, self.sides))
        if not self.count_include_pad:  # the share of each window that lies inside the input
            mean = mean / super().forward(F.pad(torch.ones_like(x), self.sides))
        return mean[begun(self, x)]

    def extra_repr(self):
        return f"{super().extra_repr()}, sides={self.sides}"


class AnyGroupNorm(nn.GroupNorm):
    """Group norm also of one group of one value, which becomes its bias; PyTorch refuses a batch of one of them."""

    def forward(self, x):
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class ChannelLayerNorm(nn.LayerNorm):
    """Layer normalisation over the channels of N x C x ..., at each position by itself."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Scale(nn.Module):
    """y = factor * x."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x

    def extra_repr(self):
        return f"factor={self.factor}"


class LayerScale(nn.Module):
    """y = weight * x, a learned factor for each channel."""

    def __init__(self, channels, initial):
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.full((channels,), float(initial)))

    def forward(self, x):
        return self.weight.view(-1, *[1] * (x.dim() - 2)) * x

    def extra_repr(self):
        return f"{self.weight.numel()}, initial={self.initial}"


class StochasticDepth(nn.Module):
    """In training all of x or, with probability p, zeros; else the mean of both (Huang et al. 2016)."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return (1 - self.p) * x
        return x.new_empty(()).bernoulli_(1 - self.p) * x

    def extra_repr(self):
        return f"p={self.p}"


class DropPath(nn.Module):
    """In training zeros for a sample with probability p, and the others divided by 1 - p."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        kept = x.new_empty([x.shape[0]] + [1] * (x.dim() - 1)).bernoulli_(1 - self.p)
        return kept / (1 - self.p) * x

    def extra_repr(self):
        return f"p={self.p}"


def crop(x, size, offset=None):
    """A window of the given size: in the middle of the spatial axes, or from `offset` on."""
    for axis, wanted in enumerate(size, 2):
        start = (x.shape[axis] - wanted) // 2 if offset is None else offset[axis - 2]
        x = x.narrow(axis, start, wanted)
    return x


class Crop(nn.Module):
    """A window of the given size: in the middle of the spatial axes, or from `offset` on."""

    def __init__(self, *size, offset=None):
        super().__init__()
        self.size, self.offset = size, offset

    def forward(self, x):
        return crop(x, self.size, self.offset)

    def extra_repr(self):
        return f"{self.size}" if self.offset is None else f"{self.size}, offset={self.offset}"


class Slice(nn.Module):
    """The values from `start` up to, not including, `stop` on one axis; None is the end."""

    def __init__(self, start, stop, axis=1):
        super().__init__()
        self.start, self.stop, self.axis = start, stop, axis

    def forward(self, x):
        stop = x.shape[self.axis] if self.stop is None else self.stop
        return x.narrow(self.axis, self.start, stop - self.start)

    def extra_repr(self):
        return f"{self.start}, {self.stop}, axis={self.axis}"


class Reshape(nn.Module):
    """The values of each sample in another shape; -1 is what is left."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self):
        return f"{self.shape}"


class Transpose(nn.Module):
    """The axes of each sample in another order, numbered from 0."""

    def __init__(self, *order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x.permute(0, *(axis + 1 for axis in self.order))

    def extra_repr(self):
        return f"{self.order}"


class PadChannels(nn.Module):
    """Channels of zeros at the end: the parameter-free shortcut of He et al. 2015 (option A)."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return F.pad(x, (0, 0) * (x.dim() - 2) + (0, self.channels))

    def extra_repr(self):
        return f"{self.channels}"


class FractalJoin(nn.Module):
    """The mean of its inputs; in training that of those which drop-path keeps (Larsson et al. 2016, section 3.1).

    A share `alone` of the mini-batches keeps one column of the whole network, which `draw` chooses: the k-th input of
    every join, counted from the last. The others drop each input with probability `drop`, but never all of a join.
    """

    def __init__(self, columns, drop=0.15, alone=0.5):
        super().__init__()
        self.columns, self.drop, self.alone = columns, drop, alone
        self.register_buffer("column", torch.tensor(-1), persistent=False)  # -1: every join for itself

    @staticmethod
    def draw(network):
        joins = [module for module in network.modules() if isinstance(module, FractalJoin)]
        column = torch.randint(max(join.columns for join in joins), ())
        column = torch.where(torch.rand(()) < joins[0].alone, column, -1)
        for join in joins:
            join.column.copy_(column)

    def forward(self, *columns):
        if not self.training:
            return sum(columns) / len(columns)
        device = columns[0].device
        place = torch.arange(len(columns) - 1, -1, -1, device=device)
        keep = torch.rand(len(columns), device=device) >= self.drop
        keep = keep | (~keep.any() & (place == torch.randint(len(columns), (), device=device)))
        keep = torch.where((self.column >= 0) & (self.column < len(columns)), place == self.column, keep)
        keep = keep.to(columns[0].dtype)
        weights = keep / keep.sum()
        return sum(weight * column for weight, column in zip(weights.unbind(), columns))

    def extra_repr(self):
        return f"{self.columns}, drop={self.drop}"


class SequenceLSTM(nn.LSTM):
    """nn.LSTM along W of N x C x W; with `last`, its state after the last step alone."""

    def __init__(self, *args, last=False, **options):
        super().__init__(*args, batch_first=True, **options)
        self.last = last

    def forward(self, x):
        y, state = super().forward(x.transpose(1, 2))
        if not self.last:
            return y.transpose(1, 2)
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat([h[-2], h[-1]], 1) if self.bidirectional else h[-1]

    def extra_repr(self):
        return f"{super().extra_repr()}, last={self.last}"


class SelfAttention(nn.MultiheadAttention):
    """Attention among the W steps of N x C x W; where it is causal, a step sees itself and those before."""

    def __init__(self, *args, causal=False, **options):
        super().__init__(*args, batch_first=True, **options)
        self.causal = causal

    def forward(self, x):
        x = x.transpose(1, 2)
        mask = None
        if self.causal:
            mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        y, _ = super().forward(x, x, x, need_weights=False, attn_mask=mask, is_causal=self.causal)
        return y.transpose(1, 2)

    def extra_repr(self):
        return f"{self.embed_dim}, {self.num_heads}, causal={self.causal}"


class Embed(nn.Embedding):
    """N x W whole numbers, of any type -> N x C x W."""

    def forward(self, x):
        return super().forward(x.long()).transpose(1, 2)


class Tokens(nn.Module):
    """n learned steps before those of N x C x W."""

    def __init__(self, channels, n):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, n))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        return torch.cat([self.weight.to(x.dtype).expand(x.shape[0], -1, -1), x], 2)

    def extra_repr(self):
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"


class Positions(nn.Module):
    """y = x + weight, one number for each place."""

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x):
        return x + self.weight

    def extra_repr(self):
        return f"{tuple(self.weight.shape)}"


class SinusoidalPositions(nn.Module):
    """Adds sin(t / 10000^(2i/C)) to channel 2i of step t, and its cos to channel 2i + 1 (Vaswani et al. 2017)."""

    def forward(self, x):
        kind = {"device": x.device, "dtype": torch.promote_types(x.dtype, torch.float32)}
        channel, step = torch.arange(x.shape[1], **kind)[:, None], torch.arange(x.shape[2], **kind)
        angle = step * 10000 ** (-(channel - channel % 2) / x.shape[1])
        return x + torch.where(channel % 2 == 0, angle.sin(), angle.cos()).to(x.dtype)
