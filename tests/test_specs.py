"""Are the shipped networks those of the papers?  Each against its published facts: sizes, parameters, MACs.

`facts/networks.json` holds the numbers and where they come from.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from netdsl import Net, load
from netdsl.files import shipped

HERE = Path(__file__).resolve().parent
FACTS: dict[str, dict[str, Any]] = json.loads((HERE / "facts" / "networks.json").read_text(encoding="utf-8"))[
    "networks"
]

BREVITY = {"vgg16": 11, "googlenet": 18, "resnet50": 15}
"""Non-blank lines of plain Keras for the same network: a spec says more and needs no more."""

WINDOWED = ("conv", "conv_transpose", "maxpool", "avgpool", "globalavgpool", "globalmaxpool")

OPEN = {"unet_padded"}
"""Networks whose text leaves the size of the input open: the facts are those of one size."""

MODULES = {"inception_naive", "inception_bottleneck"}
"""Parts of networks, without classes."""


def load_one(name: str, **options: int) -> Net:
    """A network at the size of its facts."""
    return load(name, input=tuple(FACTS[name]["input"]) if name in OPEN else None, **options)


@pytest.fixture(params=FACTS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def facts(name: str) -> dict[str, Any]:
    return FACTS[name]


@pytest.fixture(scope="module")
def net(name: str) -> Net:
    return load_one(name)


def test_every_shipped_network_has_facts() -> None:
    assert set(shipped()) == set(FACTS)


def test_input_and_output(net: Net, facts: dict[str, Any]) -> None:
    assert [list(shape) for shape in net.inputs.values()] == [facts["input"]]
    assert [list(shape) for shape in net.outputs.values()] == [facts["output"]]


def test_parameters(net: Net, facts: dict[str, Any]) -> None:
    assert net.params == facts["params"]
    assert net.params_inference == facts.get("params_inference", facts["params"])
    assert net.trainable_params == facts.get("trainable_params", facts["params"])


def test_macs(net: Net, facts: dict[str, Any]) -> None:
    assert net.macs == facts["macs"]


@pytest.mark.parametrize("listed", [name for name in FACTS if "sizes" in FACTS[name]])
def test_spatial_sizes(listed: str) -> None:
    """The heights after convolutions and pools: in the order in which they first occur, or every change where one recurs."""
    sizes = FACTS[listed]["sizes"]
    shapes = [layer.type.shape for layer in load(listed).layers if layer.op.name in WINDOWED]
    heights = [shape[1] if len(shape) > 1 else 1 for shape in shapes]
    recurs = len(set(sizes)) < len(sizes)
    assert ([height for height, _ in groupby(heights)] if recurs else list(dict.fromkeys(heights))) == sizes


def test_layers_add_up(net: Net) -> None:
    assert sum(layer.params for layer in net.layers) == net.params_inference
    assert sum(layer.macs for layer in net.layers) == net.macs


def test_no_warnings(net: Net) -> None:
    assert net.warnings == ()


def test_the_spec_names_its_source(name: str) -> None:
    """A comment that `netdsl list` shows: the network, and the paper with its year."""
    first = shipped()[name].read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ")
    assert any(str(year) in first for year in range(1989, 2027))


def test_auxiliary_heads_are_for_training_only() -> None:
    net = load("googlenet")
    assert net.training_outputs == {"aux1": (1000,), "aux2": (1000,)}
    assert (
        net.params - net.params_inference == 2 * (512 * 128 + 128 + 2048 * 1024 + 1024 + 1024 * 1000 + 1000) + 16 * 128
    )


@pytest.mark.parametrize(("name", "bar"), BREVITY.items())
def test_brevity(name: str, bar: int) -> None:
    lines = [line.strip() for line in shipped()[name].read_text(encoding="utf-8").splitlines()]
    assert sum(bool(line) and not line.startswith("#") for line in lines) <= bar


@pytest.mark.parametrize("name", [name for name in FACTS if name not in MODULES])
def test_the_number_of_classes_can_be_set(name: str) -> None:
    net = load_one(name, classes=7)
    assert list(net.outputs.values()) == [(7, *FACTS[name]["output"][1:])]


@pytest.mark.parametrize("name", OPEN)
def test_open_sizes(name: str) -> None:
    """What has to hold for a size is derived: a U-Net halves it four times and meets what it had."""
    domains = load(name).domains
    assert {size: domain.describe(size) for size, domain in domains.items()} == {
        "H": "H must be a multiple of 16",
        "W": "W must be a multiple of 16",
    }


def test_a_bottleneck_saves_nine_tenths() -> None:
    """The 5x5 branch of module 3a, with and without the 1x1 before it."""

    def macs(name: str, first: str, last: str) -> int:
        layers = [layer.name.rpartition(".")[2] for layer in load(name).layers]
        return sum(layer.macs for layer in load(name).layers[layers.index(first) : layers.index(last) + 1])

    assert macs("inception_naive", "conv3", "conv3") == 28 * 28 * 32 * 5 * 5 * 192 == 120_422_400
    assert macs("inception_bottleneck", "conv4", "conv5") == 12_443_648
