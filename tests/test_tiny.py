"""The tour of netdsl on one screen: read a network, look at it, break it, leave its sizes open, compile it, run it.

Read from top to bottom, this file is a manual.
"""

from __future__ import annotations

import pytest

import netdsl

TINY = """
# A tiny residual network for CIFAR-10
net tiny(classes=10)
input 3 x 32 x 32
default CONV bn relu         # every CONV is a convolution, batch normalisation, ReLU

stem = CONV 16               : 16 x 32 x 32
body = residual(basic) * 2   : 16 x 32 x 32
down = stage(basic(32), 2)   : 32 x 16 x 16
GAP -> FC classes
"""


def test_a_network_is_read_and_proven() -> None:
    net = netdsl.loads(TINY)
    assert net.name == "tiny"
    assert net.inputs == {"input": (3, 32, 32)}
    assert net.outputs == {"output": (10,)}


def test_what_it_costs_is_known() -> None:
    net = netdsl.loads(TINY)
    first = net.layers[0]
    assert (first.name, first.op.name, first.type.shape) == ("stem", "conv", (16, 32, 32))
    assert first.params == 3 * 16 * 3 * 3  # no bias: batch normalisation has its own
    assert first.macs == first.params * 32 * 32
    assert net.params == sum(layer.params for layer in net.layers) == 43_226
    assert net.macs == sum(layer.macs for layer in net.layers)


def test_a_parameter_has_a_default_and_can_be_set() -> None:
    assert netdsl.loads(TINY, classes=100).outputs == {"output": (100,)}
    with pytest.raises(netdsl.UsageError, match="did you mean 'classes'"):
        netdsl.loads(TINY, clases=100)


def test_a_shape_that_is_wrong_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(netdsl.SpecError) as caught:
        netdsl.loads(TINY.replace("CONV 16          ", "CONV 16 5x5 pad 1"))
    assert str(caught.value).startswith(
        """\
error[E0305]: the shape is 16 x 30 x 30, not 16 x 32 x 32
 --> <text>:7:32
  |
7 | stem = CONV 16 5x5 pad 1     : 16 x 32 x 32
  |                                ^^^^^^^^^^^^ asserted here
  |        ----------------- 16 x 30 x 30
  |
  = H = W = (32 - 5 + 2*1)/1 + 1 = 30
  = help: `pad 2` gives 16 x 32 x 32
"""
    )


def test_a_name_that_is_wrong_is_refused_with_the_right_one() -> None:
    with pytest.raises(netdsl.SpecError) as caught:
        netdsl.loads(TINY.replace("residual", "residul"))
    (fault,) = caught.value.diagnostics
    assert (fault.code, fault.helps) == ("E0201", ("did you mean `residual`?",))


def test_sizes_may_be_left_open() -> None:
    net = netdsl.loads("input 3 x H x W\nCONV 8 relu -> POOL -> CONV 8 relu -> POOL : 8 x H/4 x W/4")
    assert net.constraints == {"H": "H must be a multiple of 4", "W": "W must be a multiple of 4"}
    assert [str(size) for size in net.outputs["output"]] == ["8", "H/4", "W/4"]


def test_it_becomes_source_that_one_would_have_written() -> None:
    source = netdsl.loads(TINY).emit()
    assert "class Tiny(nn.Module):" in source
    assert "self.stem = nn.Conv2d(3, 16, 3, padding=1, bias=False)" in source
    assert "self.body = nn.Sequential(*[ResidualBasic(16) for _ in range(2)])" in source
    assert "netdsl" not in source.split('"""', 2)[2]  # no trace of the compiler: it depends on PyTorch alone


def test_it_runs() -> None:
    torch = pytest.importorskip("torch")
    net = netdsl.loads(TINY)
    model = net.compile()
    assert model(torch.zeros(4, 3, 32, 32)).shape == (4, 10)
    assert sum(p.numel() for p in model.parameters()) == net.params
    assert next(iter(model.state_dict())) == "stem.weight"


def test_published_networks_come_along() -> None:
    assert netdsl.load("vgg16").params == 138_357_544
    pets = netdsl.loads("net pets = vgg16 with\n    freeze features\n    fc8 = FC 3")
    assert pets.outputs == {"fc8": (3,)}
    assert pets.trainable_params < pets.params
