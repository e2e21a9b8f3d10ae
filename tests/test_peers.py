"""The shipped networks against their peers: torchvision where it has the network, else a few lines from the paper.

Weights are copied by structure: both sides declare their parameters and buffers in the same order. Then outputs in
evaluation and in training, gradients and running statistics must agree, in double precision.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import netdsl
from netdsl.net import Net

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from modules import without_dropout  # noqa: E402
from torch import Tensor, nn  # noqa: E402

LIBRARIES: list[Any] = []
"""Kept alive: what a library has declared goes with it."""


def declare_operators() -> None:
    """For a torchvision built for CUDA beside a torch for CPUs: its own operators cannot load, and it asks for two."""
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    LIBRARIES.append(library)


def torchvision_models() -> Any:
    """torchvision.models; skips where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            try:
                import torchvision.models
            except RuntimeError:  # operator torchvision::nms does not exist
                for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                    del sys.modules[name]
                declare_operators()
                import torchvision.models
        except (ImportError, RuntimeError) as error:
            pytest.skip(f"torchvision does not load: {error}")
    return torchvision.models


# --- how two modules are compared -------------------------------------------------------------------------------------


def tensors(result: Any) -> tuple[Tensor, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def copy_by_structure(ours: nn.Module, peer: nn.Module) -> None:
    """Gives the peer our weights. Parameters and buffers must have the same order, shapes and last names."""
    mine, theirs = ours.state_dict(), peer.state_dict()
    assert [name.rpartition(".")[2] for name in mine] == [name.rpartition(".")[2] for name in theirs]
    assert [value.shape for value in mine.values()] == [value.shape for value in theirs.values()]
    peer.load_state_dict(dict(zip(theirs, mine.values(), strict=True)))


def randomised(module: nn.Module) -> nn.Module:
    """Weights that hide nothing: no zero biases, no trivial statistics; of a size that keeps values near one."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif name.endswith(("running_mean", "bias")):
                value.normal_(std=0.2)
            elif value.dim() == 1:
                value.uniform_(0.5, 1.5)
            elif value.dim() > 1:
                value.normal_(std=value[0].numel() ** -0.5)
    return module


def assert_same(ours: nn.Module, peer: nn.Module, *shapes: tuple[int, ...]) -> None:
    ours, peer = randomised(ours.double()), peer.double()
    copy_by_structure(ours, peer)
    without_dropout(ours)
    without_dropout(peer)
    inputs = [torch.randn(3, *shape, dtype=torch.float64) for shape in shapes]

    close = {"rtol": 1e-7, "atol": 1e-9}
    with torch.no_grad():
        found, wanted = tensors(ours.eval()(*inputs)), tensors(peer.eval()(*inputs))
    assert all(y.abs().max() > 1e-4 for y in wanted), "the outputs are too small to tell anything"
    torch.testing.assert_close(found, wanted, **close)

    found, wanted = tensors(ours.train()(*inputs)), tensors(peer.train()(*inputs))
    torch.testing.assert_close(found, wanted, **close)
    targets = [torch.randn_like(y) for y in wanted]
    for outputs in (found, wanted):
        torch.stack([(y * t).sum() for y, t in zip(outputs, targets, strict=True)]).sum().backward()
    for a, b in zip(ours.parameters(), peer.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        assert (a.grad - b.grad).norm() <= 1e-7 * b.grad.norm() + 1e-11  # a bias before a norm has no gradient
    for a, b in zip(statistics(ours), statistics(peer), strict=True):
        torch.testing.assert_close(a, b, **close)


def statistics(module: nn.Module) -> list[Tensor]:
    """The buffers that are saved with the module."""
    parameters = {name for name, _ in module.named_parameters()}
    return [value for name, value in module.state_dict().items() if name not in parameters]


def shapes_of(net: Net) -> list[tuple[int, ...]]:
    return [tuple(int(n) for n in shape if isinstance(n, int)) for shape in net.inputs.values()]


def on_cpu(make: Callable[[], nn.Module]) -> nn.Module:
    """A module whose weights will be copied: they are not initialised."""
    with torch.device("meta"):
        module = make()
    return module.to_empty(device="cpu")


# --- torchvision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "peer", "size"),
    [
        ("resnet18", "resnet18", "3x96x96"),
        ("resnet50", "resnet50", "3x64x64"),
        ("densenet121", "densenet121", "3x64x64"),
        ("squeezenet1_1", "squeezenet1_1", "3x95x64"),
    ],
)
def test_torchvision(name: str, peer: str, size: str) -> None:
    models = torchvision_models()
    net = netdsl.load(name, input=size)
    assert_same(net.compile(), on_cpu(getattr(models, peer)), *shapes_of(net))


def test_torchvision_vgg16() -> None:
    """At 64 x 64 two rows of features are left; torchvision would bring them to seven before its first linear layer."""
    models = torchvision_models()
    net = netdsl.load("vgg16", input="3x64x64", classes=10)

    def peer() -> nn.Module:
        module = models.vgg16(num_classes=10)
        module.avgpool = nn.Identity()
        module.classifier[0] = nn.Linear(512 * 2 * 2, 4096)
        return module

    assert_same(net.compile(), on_cpu(peer), *shapes_of(net))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg16", "densenet121", "squeezenet1_1"])
def test_torchvision_has_the_same_state_at_full_size(name: str) -> None:
    models = torchvision_models()
    with torch.device("meta"):
        ours, peer = netdsl.load(name).compile(), getattr(models, name)()
    shapes = [[tuple(value.shape) for value in module.state_dict().values()] for module in (ours, peer)]
    assert shapes[0] == shapes[1]


# --- from the papers --------------------------------------------------------------------------------------------------


def response_norm(x: Tensor, n: int = 5, k: float = 2, alpha: float = 1e-4, beta: float = 0.75) -> Tensor:
    """Krizhevsky et al. 2012, section 3.3: b = a / (k + alpha * sum of a^2 over n channels) ^ beta."""
    squares = F.pad(x**2, (0, 0, 0, 0, n // 2, n // 2))
    return x / (k + alpha * sum(squares[:, i : i + x.shape[1]] for i in range(n))) ** beta


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


def test_lenet5() -> None:
    net = netdsl.load("lenet5")
    assert_same(net.compile(), LeNet5(), *shapes_of(net))


class AlexNet(nn.Module):
    """Krizhevsky et al. 2012, section 3.5; a grouped layer is two layers, one for each GPU."""

    def __init__(self, last: int) -> None:
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


def test_alexnet() -> None:
    net = netdsl.load("alexnet", input="3x99x99")
    assert_same(net.compile(), on_cpu(lambda: AlexNet(last=2)), *shapes_of(net))


class Inception(nn.Module):
    """Szegedy et al. 2014, fig. 2b, with a row of table 1."""

    def __init__(self, channels: int, a: int, b: int, c: int, d: int, e: int, f: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, a, 1)
        self.reduce3, self.three = nn.Conv2d(channels, b, 1), nn.Conv2d(b, c, 3, padding=1)
        self.reduce5, self.five = nn.Conv2d(channels, d, 1), nn.Conv2d(d, e, 5, padding=2)
        self.project = nn.Conv2d(channels, f, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, 1)
        found = [
            self.one(x),
            self.three(self.reduce3(x).relu()),
            self.five(self.reduce5(x).relu()),
            self.project(pooled),
        ]
        return torch.cat(found, 1).relu()


class AuxiliaryHead(nn.Module):
    """Szegedy et al. 2014, section 5."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.fc1, self.fc2 = nn.Conv2d(channels, 128, 1), nn.Linear(128, 1024), nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(F.avg_pool2d(x, 5, 3)).relu()
        return self.fc2(self.fc1(x.flatten(1)).relu())


def overlapping(x: Tensor) -> Tensor:
    """3 x 3 / 2; the last window may be partial: 112 -> 56."""
    return F.max_pool2d(x, 3, 2, ceil_mode=True)


class GoogLeNet(nn.Module):
    """Szegedy et al. 2014, table 1."""

    TABLE = (
        ("3a", 192, 64, 96, 128, 16, 32, 32),
        ("3b", 256, 128, 128, 192, 32, 96, 64),
        ("4a", 480, 192, 96, 208, 16, 48, 64),
        ("4b", 512, 160, 112, 224, 24, 64, 64),
        ("4c", 512, 128, 128, 256, 24, 64, 64),
        ("4d", 512, 112, 144, 288, 32, 64, 64),
        ("4e", 528, 256, 160, 320, 32, 128, 128),
        ("5a", 832, 256, 160, 320, 32, 128, 128),
        ("5b", 832, 384, 192, 384, 48, 128, 128),
    )

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3)
        self.conv2_reduce, self.conv2 = nn.Conv2d(64, 64, 1), nn.Conv2d(64, 192, 3, padding=1)
        self.inception = nn.ModuleDict({name: Inception(*row) for name, *row in self.TABLE})
        self.classifier = nn.Linear(1024, 1000)
        self.head1, self.head2 = AuxiliaryHead(512), AuxiliaryHead(528)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = response_norm(overlapping(self.conv1(x).relu()))
        x = overlapping(response_norm(self.conv2(self.conv2_reduce(x).relu()).relu()))
        seen = {}
        for name, module in self.inception.items():
            x = seen[name] = module(x)
            x = overlapping(x) if name in ("3b", "4e") else x
        logits = self.classifier(x.mean((2, 3)))
        return (logits, self.head1(seen["4a"]), self.head2(seen["4d"])) if self.training else logits


def test_googlenet() -> None:
    net = netdsl.load("googlenet", input="3x80x80")
    assert_same(net.compile(), on_cpu(GoogLeNet), *shapes_of(net))


class PreActivated(nn.Module):
    """He et al. 2016, fig. 4e, as a bottleneck; with a projection, it shares the first norm and activation."""

    def __init__(self, channels: int, width: int, stride: int, projects: bool) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, width, 1, stride, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(width), nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm3, self.conv3 = nn.BatchNorm2d(width), nn.Conv2d(width, 4 * width, 1, bias=False)
        self.project = nn.Conv2d(channels, 4 * width, 1, stride, bias=False) if projects else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.norm1(x).relu()
        shortcut = x if self.project is None else self.project(active)
        y = self.conv1(active)
        for norm, conv in ((self.norm2, self.conv2), (self.norm3, self.conv3)):
            y = conv(norm(y).relu())
        return shortcut + y


@pytest.mark.parametrize(
    ("channels", "call", "stride", "projects"),
    [
        (16, "preact(8)", 1, True),
        (16, "preact(8, stride=2)", 2, True),
        (32, "preact(8)", 1, False),
        (32, "preact", 1, False),
    ],
)
def test_preactivated_units(channels: int, call: str, stride: int, projects: bool) -> None:
    net = netdsl.loads(f"net unit\ninput {channels} x 8 x 8\ndefault CONV nobias\n{call}\n", name="unit.net")
    assert_same(net.compile(), PreActivated(channels, 8, stride, projects), *shapes_of(net))


class PreActivatedResNet164(nn.Module):
    """He et al. 2016, section 4 and appendix, on CIFAR-10: three stages of 18 bottlenecks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.units = nn.Sequential()
        channels = 16
        for width in (16, 32, 64):
            for i in range(18):
                stride = 2 if i == 0 and width > 16 else 1
                self.units.append(PreActivated(channels, width, stride, projects=i == 0))
                channels = 4 * width
        self.norm, self.fc = nn.BatchNorm2d(256), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.units(self.conv(x))).relu().mean((2, 3)))


def test_preact_resnet164() -> None:
    net = netdsl.load("preact_resnet164", input="3x16x16")
    assert_same(net.compile(), PreActivatedResNet164(), *shapes_of(net))


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


def test_fractal_block() -> None:
    net = netdsl.loads("net block1\ninput 3 x 16 x 16\ndefault CONV bn relu bias\nfractal(4, 6, POOL)\n", name="b.net")
    assert_same(net.compile(), FractalBlock(4, 3, 6), *shapes_of(net))


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


def test_fractalnet() -> None:
    net = netdsl.load("fractalnet")
    assert_same(net.compile(), FractalNet(), *shapes_of(net))


def test_the_comparison_can_fail() -> None:
    """A wrong activation, stride order or norm is seen."""

    class Wrong(PreActivated):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 1e-6)

    net = netdsl.loads("net unit\ninput 16 x 8 x 8\ndefault CONV nobias\npreact(8)\n", name="unit.net")
    with pytest.raises(AssertionError):
        assert_same(net.compile(), Wrong(16, 8, 1, True), *shapes_of(net))
    with pytest.raises(AssertionError):
        assert_same(net.compile(), PreActivated(16, 4, 1, True), *shapes_of(net))
