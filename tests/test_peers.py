"""The shipped networks against their peers: torchvision where it has the network, else tests/references, from the paper.

Weights are copied by structure: both sides declare their parameters and buffers in the same order. Then outputs in
evaluation and in training, gradients and running statistics must agree, in double precision.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import netdsl
from netdsl.files import shipped
from netdsl.net import Net

torch = pytest.importorskip("torch")

from modules import randomised, without_dropout  # noqa: E402
from references import classic, dense, inception, modern, recurrent, residual, segmentation  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from netdsl_torch.weights import parts_first  # noqa: E402

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
    """One or more outputs; those that have names in the order of these, as torchvision returns aux2 before aux1."""
    if not isinstance(result, tuple):
        return (result,)
    return tuple(getattr(result, name) for name in sorted(result._fields))


def copy_by_structure(ours: nn.Module, peer: nn.Module) -> None:
    """Gives the peer our weights. Parameters and buffers must have the same order, last names, and shapes but for axes of
    length one: a 1x1 convolution is a linear layer."""
    mine = ours.state_dict()
    theirs = in_our_order(mine, peer.state_dict())
    assert [last_name(name) for name in mine] == [last_name(name) for name in theirs]
    assert shapes(mine) == shapes(theirs)
    pairs = zip(theirs.items(), mine.values(), strict=True)
    peer.load_state_dict({name: value.reshape(its.shape) for (name, its), value in pairs})


def in_our_order(mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the peer declares them, or, where those are not our shapes, a module's own tensors after its parts."""
    return theirs if shapes(mine) == shapes(theirs) else parts_first(theirs)


def shapes(named: dict[str, Tensor]) -> list[torch.Size]:
    return [value.squeeze().shape for value in named.values()]


def last_name(name: str) -> str:
    return name.rpartition(".")[2].replace("layer_scale", "weight")


def assert_same(ours: nn.Module, peer: nn.Module, *shapes: tuple[int, ...]) -> None:
    ours, peer = randomised(ours.double()), peer.double()
    copy_by_structure(ours, peer)
    inputs = [torch.randn(2, *shape, dtype=torch.float64) for shape in shapes]

    close = {"rtol": 1e-7, "atol": 1e-9}
    with torch.no_grad():
        found, wanted = tensors(ours.eval()(*inputs)), tensors(peer.eval()(*inputs))
    assert all(y.abs().max() > 1e-4 for y in wanted), "the outputs are too small to tell anything"
    torch.testing.assert_close(found, wanted, **close)

    without_dropout(ours)
    without_dropout(peer)
    found, wanted = tensors(ours.train()(*inputs)), tensors(peer.train()(*inputs))
    torch.testing.assert_close(found, wanted, **close)
    targets = [torch.randn_like(y) for y in wanted]
    for outputs in (found, wanted):
        torch.stack([(y * t).sum() for y, t in zip(outputs, targets, strict=True)]).sum().backward()
    theirs = in_our_order(dict(ours.named_parameters()), dict(peer.named_parameters()))
    for a, b in zip(ours.parameters(), theirs.values(), strict=True):
        assert a.requires_grad == b.requires_grad
        if not a.requires_grad:
            continue
        assert a.grad is not None
        assert b.grad is not None
        # A bias before a norm has no gradient.
        assert (a.grad - b.grad.reshape(a.shape)).norm() <= 1e-7 * b.grad.norm() + 1e-11
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


def last_declared(peer: nn.Module, *names: str) -> nn.Module:
    """Moves these parts to the end, where a spec has its auxiliary heads."""
    for name in names:
        part = getattr(peer, name)
        delattr(peer, name)
        setattr(peer, name, part)
    return peer


def regnet(models: Any) -> nn.Module:
    """torchvision computes the widths with tensors."""
    with torch.device("cpu"):
        peer: nn.Module = models.regnet_y_400mf()
    return peer


class Segmented(NamedTuple):
    out: Tensor
    aux: Tensor


class Segmenting(nn.Module):
    """A network of torchvision that returns a dictionary: in training with the auxiliary output, in use without."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        found = self.network(x)
        return Segmented(**found) if self.training else found["out"]


def deeplab(models: Any) -> nn.Module:
    return Segmenting(models.segmentation.deeplabv3_resnet50(**OPTIONS["deeplabv3_resnet50"]))


def without_adaptive_pool(peer: nn.Module, linear: int, size: int) -> nn.Module:
    """torchvision pools any input to the size that its first linear layer needs; here that layer takes what comes."""
    peer.avgpool = nn.Identity()
    layer = peer.classifier[linear]
    peer.classifier[linear] = nn.Linear(layer.in_features // size, layer.out_features)
    return peer


def frozen(peer: nn.Module) -> nn.Module:
    peer.features.requires_grad_(False)
    return peer


TORCHVISION: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "alexnet_owt": ("3x63x63", lambda models: without_adaptive_pool(models.alexnet(), 1, 36)),
    "vgg11": ("3x32x32", lambda models: without_adaptive_pool(models.vgg11(), 0, 49)),
    "vgg13": ("3x32x32", lambda models: without_adaptive_pool(models.vgg13(), 0, 49)),
    "vgg16": ("3x32x32", lambda models: without_adaptive_pool(models.vgg16(), 0, 49)),
    "vgg19": ("3x32x32", lambda models: without_adaptive_pool(models.vgg19(), 0, 49)),
    "vgg11_bn": ("3x32x32", lambda models: without_adaptive_pool(models.vgg11_bn(), 0, 49)),
    "vgg13_bn": ("3x32x32", lambda models: without_adaptive_pool(models.vgg13_bn(), 0, 49)),
    "vgg16_bn": ("3x32x32", lambda models: without_adaptive_pool(models.vgg16_bn(), 0, 49)),
    "vgg19_bn": ("3x32x32", lambda models: without_adaptive_pool(models.vgg19_bn(), 0, 49)),
    "googlenet_bn": (
        "3x80x80",
        lambda models: last_declared(models.googlenet(init_weights=False), "aux1", "aux2"),
    ),
    # The auxiliary head takes 17 x 17 alone.
    "inception_v3": (
        "3x299x299",
        lambda models: last_declared(models.inception_v3(transform_input=False, init_weights=False), "AuxLogits"),
    ),
    "resnet18": ("3x64x64", lambda models: models.resnet18()),
    "resnet34": ("3x64x64", lambda models: models.resnet34()),
    "resnet50": ("3x64x64", lambda models: models.resnet50()),
    "resnet101": ("3x64x64", lambda models: models.resnet101()),
    "resnet152": ("3x64x64", lambda models: models.resnet152()),
    "wide_resnet50_2": ("3x64x64", lambda models: models.wide_resnet50_2()),
    "resnext50_32x4d": ("3x64x64", lambda models: models.resnext50_32x4d()),
    "resnext101_32x8d": ("3x64x64", lambda models: models.resnext101_32x8d()),
    "densenet121": ("3x64x64", lambda models: models.densenet121()),
    "densenet161": ("3x64x64", lambda models: models.densenet161()),
    "densenet169": ("3x64x64", lambda models: models.densenet169()),
    "densenet201": ("3x64x64", lambda models: models.densenet201()),
    "pets": ("3x32x32", lambda models: frozen(without_adaptive_pool(models.vgg16(num_classes=3), 0, 49))),
    "squeezenet1_0": ("3x95x64", lambda models: models.squeezenet1_0()),
    "squeezenet1_1": ("3x95x64", lambda models: models.squeezenet1_1()),
    "shufflenet_v2_x1_0": ("3x64x64", lambda models: models.shufflenet_v2_x1_0()),
    "mobilenet_v2": ("3x64x64", lambda models: models.mobilenet_v2()),
    "mobilenet_v3_large": ("3x64x64", lambda models: models.mobilenet_v3_large()),
    "efficientnet_b0": ("3x64x64", lambda models: models.efficientnet_b0()),
    "regnet_y_400mf": ("3x64x64", regnet),
    "deeplabv3_resnet50": ("3x64x64", deeplab),
    "convnext_tiny": ("3x64x64", lambda models: models.convnext_tiny()),
}
"""A size that keeps the test short, and the peer."""


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name: str) -> None:
    size, peer = TORCHVISION[name]
    models = torchvision_models()
    net = netdsl.load(name, input=size)
    assert_same(on_cpu(net.compile), on_cpu(lambda: peer(models)), *shapes_of(net))


NAMED_ELSE = {"alexnet_owt": "alexnet", "googlenet_bn": "googlenet", "pets": "vgg16"}
OPTIONS: dict[str, dict[str, Any]] = {
    "inception_v3": {"init_weights": False},
    "googlenet_bn": {"init_weights": False},
    "pets": {"num_classes": 3},
    "deeplabv3_resnet50": {"weights_backbone": None, "aux_loss": True},
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision_has_the_same_state_at_full_size(name: str) -> None:
    models = torchvision_models()
    with torch.device("cpu" if name == "regnet_y_400mf" else "meta"):  # its widths are computed with tensors
        where = models.segmentation if name.startswith("deeplab") else models
        ours, peer = netdsl.load(name).compile(), getattr(where, NAMED_ELSE.get(name, name))(**OPTIONS.get(name, {}))
    shapes = [sorted(tuple(value.squeeze().shape) for value in m.state_dict().values()) for m in (ours, peer)]
    assert shapes[0] == shapes[1]


# --- from the papers --------------------------------------------------------------------------------------------------


PAPERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "lenet5": ("1x32x32", classic.LeNet5),
    "alexnet": ("3x99x99", lambda: classic.AlexNet(last=2)),
    "zfnet": ("3x95x95", lambda: classic.ZFNet(last=2)),
    "zfnet_wide": ("3x95x95", lambda: classic.ZFNet((512, 1024, 512), last=2)),
    "nin": ("3x64x64", classic.NiN),
    "nin_cifar10": ("3x24x24", classic.NiNForCIFAR),
    "googlenet": ("3x80x80", inception.GoogLeNet),
    "inception_naive": ("192x9x9", lambda: inception.NaiveInception(192, 64, 128, 32)),
    "inception_bottleneck": ("192x9x9", lambda: inception.Inception(192, 64, 96, 128, 16, 32, 32)),
    "inception_v4": ("3x107x107", inception.InceptionV4),
    "inception_resnet_v2": ("3x107x107", inception.InceptionResNetV2),
    "resnet34_a": ("3x64x64", residual.ResNetA),
    "resnet20": ("3x32x32", lambda: residual.ResNetForCIFAR(3)),
    "resnet56": ("3x16x16", lambda: residual.ResNetForCIFAR(9)),
    "resnet110": ("3x16x16", lambda: residual.ResNetForCIFAR(18)),
    "resnet1202": ("3x8x8", lambda: residual.ResNetForCIFAR(200)),
    "resnet110_stochastic_depth": ("3x16x16", lambda: residual.StochasticDepth(18)),
    "resnet50_v1": ("3x64x64", residual.ResNet50V1),
    "preact_resnet164": ("3x16x16", lambda: residual.PreActivatedResNet(18)),
    "preact_resnet1001": ("3x8x8", lambda: residual.PreActivatedResNet(111)),
    "wrn_28_10": ("3x8x8", lambda: residual.WideResNet(4, 10)),
    "fractalnet": ("3x32x32", dense.FractalNet),
    "densenet_40_12": ("3x16x16", lambda: dense.DenseNetForCIFAR(40, 12, bc=False)),
    "unet_padded": ("1x32x48", lambda: segmentation.UNet(padding=1)),
    "res2net50_26w_4s": ("3x64x64", modern.Res2Net),
    "xception": ("3x75x75", modern.Xception),
    "mixer_b_16": ("3x32x32", lambda: modern.Mixer(32)),
    "rnn_digits": ("1x8x8", lambda: recurrent.RowReader(1)),
    "lstm_digits": ("1x8x8", lambda: recurrent.RowReader(4)),
    "densenet_bc_100_12": ("3x16x16", lambda: dense.DenseNetForCIFAR(100, 12, bc=True)),
}
"""A size that keeps the test short, and the network as the paper describes it."""


@pytest.mark.parametrize("name", PAPERS)
def test_the_papers(name: str) -> None:
    size, peer = PAPERS[name]
    net = netdsl.load(name, input=size)
    assert_same(on_cpu(net.compile), on_cpu(peer), *shapes_of(net))


def in_columns(name: str, value: Tensor) -> Tensor:
    """A tensor of torchvision's transformer as we have it: features x steps, and linear layers as convolutions."""
    if name.endswith(("class_token", "pos_embedding")):
        return value[0].mT
    return value[..., None] if ".mlp." in name and value.dim() == 2 else value


@pytest.mark.parametrize("size", [32, 64])
def test_vision_transformer(size: int) -> None:
    """ViT-B/16, on smaller images to keep the test short."""
    models = torchvision_models()
    ours = randomised(on_cpu(netdsl.load("vit_b_16", input=(3, size, size)).compile).double())
    peer = on_cpu(lambda: models.VisionTransformer(size, 16, 12, 12, 768, 3072)).double()
    theirs = list(peer.named_parameters())
    # Where it begins torchvision declares the token, the patches, and the positions; we the patches first.
    order = [1, 2, 0, *range(3, len(theirs))]
    with torch.no_grad():
        for (_, mine), (name, value) in zip(ours.named_parameters(), [theirs[i] for i in order], strict=True):
            in_columns(name, value).copy_(mine)
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    found, wanted = ours(x), peer(x)
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)
    target = torch.randn_like(wanted)
    for y in (found, wanted):
        (y * target).sum().backward()
    for (_, mine), (name, value) in zip(ours.named_parameters(), [theirs[i] for i in order], strict=True):
        assert mine.grad is not None
        assert value.grad is not None
        wanted = in_columns(name, value.grad)
        assert (mine.grad - wanted).norm() <= 1e-7 * wanted.norm() + 1e-9


def test_vision_transformer_at_full_size() -> None:
    models = torchvision_models()
    with torch.device("meta"):
        ours, peer = netdsl.load("vit_b_16").compile(), models.vit_b_16()
    sizes = [sorted(value.numel() for value in module.state_dict().values()) for module in (ours, peer)]
    assert sizes[0] == sizes[1]


THINNER: dict[str, tuple[dict[str, str], Callable[[], nn.Module]]] = {
    "fcn8s": ({"image": "3x60x76"}, lambda: segmentation.FCN8s(thin=32)),
    "unet": ({"input": "1x188x204"}, lambda: segmentation.UNet(thin=32)),
}
"""Networks that compute much whatever the input: with fewer filters."""


@pytest.mark.parametrize("name", THINNER)
def test_the_papers_with_fewer_filters(name: str) -> None:
    size, peer = THINNER[name]
    text = re.sub(r" +: .*", "", shipped()[name].read_text(encoding="utf-8"))  # the table is about all filters
    text = re.sub(r"(\bCONV |^up\()(\d+)", lambda found: f"{found[1]}{int(found[2]) // 32}", text, flags=re.MULTILINE)
    net = netdsl.loads(text, name=f"{name}.net", input=size)
    assert_same(net.compile(), peer(), *shapes_of(net))


def test_fcn8s_interpolates() -> None:
    """Its transposed convolutions start as bilinear interpolation, and stay so."""
    module = netdsl.load("fcn8s", input={"image": "3x20x20"}).compile()
    for layer, size in ((module.up2, 4), (module.up4, 4), (module.up8, 16)):
        torch.testing.assert_close(layer.weight, segmentation.bilinear(21, size))
        assert not layer.weight.requires_grad


def test_every_shipped_network_has_a_peer() -> None:
    names = [*TORCHVISION, *PAPERS, *THINNER, "vit_b_16"]
    assert sorted(names) == sorted(shipped())


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
    assert_same(net.compile(), residual.PreActivated(channels, 8, stride, projects), *shapes_of(net))


def test_fractal_block() -> None:
    net = netdsl.loads("net block1\ninput 3 x 16 x 16\ndefault CONV bn relu bias\nfractal(4, 6, POOL)\n", name="b.net")
    assert_same(net.compile(), dense.FractalBlock(4, 3, 6), *shapes_of(net))


def test_the_comparison_can_fail() -> None:
    """A wrong activation, stride order or norm is seen."""

    class Wrong(residual.PreActivated):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 1e-6)

    net = netdsl.loads("net unit\ninput 16 x 8 x 8\ndefault CONV nobias\npreact(8)\n", name="unit.net")
    with pytest.raises(AssertionError):
        assert_same(net.compile(), Wrong(16, 8, 1, True), *shapes_of(net))
    with pytest.raises(AssertionError):
        assert_same(net.compile(), residual.PreActivated(16, 4, 1, True), *shapes_of(net))
