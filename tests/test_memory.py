"""Is the memory that is said what PyTorch takes?  Storages are counted: those that autograd keeps, those there at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storages import kept_by_autograd, most_at_a_time
from strategies import share

import netdsl
from netdsl import Net, UsageError
from netdsl.analysis.memory import Memory, memory
from netdsl.ops import OPS, Op

torch = pytest.importorskip("torch")

SMALL = {
    "lenet5": None,
    "alexnet": None,
    "resnet18": "3x64x64",
    "mobilenet_v2": "3x32x32",
    "squeezenet1_1": "3x96x96",
    "shufflenet_v2_x1_0": "3x64x64",
    "unet_padded": "1x32x32",
    "convnext_tiny": "3x64x64",
    "pets": "3x32x32",
}


def batch_for(net: Net, batch: int) -> list[Any]:
    return [torch.rand(batch, *shape) for shape in net.inputs.values()]


# --- against PyTorch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_training_keeps_what_autograd_keeps(name: str) -> None:
    """To the byte."""
    net = netdsl.load(name, input=SMALL[name])
    assert memory(net, 2, on_cpu=True).kept == kept_by_autograd(net.compile(), batch_for(net, 2))


@pytest.mark.parametrize("name", SMALL)
def test_inference_takes_what_is_there_at_a_time(name: str) -> None:
    """To the byte."""
    net = netdsl.load(name, input=SMALL[name])
    assert memory(net, 2, on_cpu=True).activations == most_at_a_time(net.compile(), batch_for(net, 2))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1", "lenet5"])
def test_the_backward_pass_takes_what_is_there_at_a_time(name: str) -> None:
    net = netdsl.load(name, input=SMALL[name])
    measured = most_at_a_time(net.compile(), batch_for(net, 2), train=True)
    assert memory(net, 2, on_cpu=True).backward == pytest.approx(measured, rel=0.05)


MAPS = (
    *("CONV 8", "CONV 6 3x3 bn relu", "CONV C depthwise bn", "DECONV 4", "BN", "GN C", "IN", "LN", "LRN"),
    *("RELU", "GELU", "SIGMOID", "PRELU", "SOFTMAX", "LAYER_SCALE", "POSITIONS", "UPSAMPLE", "PAD 1"),
    *("POOL 2x2 /1 valid", "AVGPOOL 2x2 /1 valid", "ADAPTIVE_MAXPOOL 5x5", "ADAPTIVE_AVGPOOL 6x6", "CHANNEL_SHUFFLE 2"),
    *(
        "DROPOUT 0.5",
        "SPATIAL_DROPOUT 0.5",
        "DROP_PATH 0.1",
        "STOCHASTIC_DEPTH 0.1",
        "SLICE 0 2 -> CONV 4",
        "CROP 4x4 -> RELU",
    ),
    *("(CONV 4 | CONV 2 | identity)", "residual(CONV C bn relu -> CONV C bn)", "gate(identity, GAP -> FC C sigmoid)"),
    *(
        "mean(CONV 4, CONV 4)",
        "product(CONV 4, CONV 4)",
        "(CONV C relu) * 3",
        "residual(LN -> CONV C) * 2",
        "TRANSPOSE 0x2x1",
    ),
)
HEADS = (
    *("GAP", "GMP -> FC 5", "FLATTEN -> FC 9 relu -> DROPOUT 0.5 -> FC 4", "CROP 4x4 -> FLATTEN spatial -> CONV 4 k=1"),
    *(f"FLATTEN spatial -> {layer}" for layer in ("TOKENS -> CONV 4 k=1 -> ATTENTION 2", "ATTENTION 1 causal")),
)


@pytest.mark.parametrize(
    "layer", ["RNN 5", "GRU 4 layers=2", "GRU 3 layers=3 bidirectional", "RNN 6 layers=2 dropout=0.5"]
)
def test_recurrent_layers_keep_what_is_said(layer: str) -> None:
    """What inference takes of them is rougher."""
    net = netdsl.loads(f"net t\ninput 3 x 9\nCONV 4\n{layer}")
    assert memory(net, 2, on_cpu=True).kept == kept_by_autograd(net.compile(), batch_for(net, 2))


@share(20)
@given(st.lists(st.sampled_from(MAPS), max_size=6), st.sampled_from(HEADS))
def test_every_network_takes_what_is_there_at_a_time(maps: list[str], head: str) -> None:
    """Forward passes to the byte, and the backward pass within a quarter."""
    net = netdsl.loads("net t\ninput 3 x 8 x 8\n" + "\n".join(["CONV 4", *maps, head]))
    said, module, inputs = memory(net, 2, on_cpu=True), net.compile(), batch_for(net, 2)
    assert said.kept == kept_by_autograd(module, inputs)
    assert said.activations == most_at_a_time(module, inputs)
    most = max(said.activations, said.backward)
    assert most == pytest.approx(most_at_a_time(module, inputs, train=True), rel=0.25, abs=64)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="measures the memory of a CUDA device")
def test_a_gpu_takes_what_is_said() -> None:
    net = netdsl.load("resnet18")
    module = net.compile().cuda().train()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    module(torch.rand(32, 3, 224, 224, device="cuda")).sum().backward()
    measured = torch.cuda.max_memory_allocated() - before
    found = memory(net, 32)
    assert found.inputs + found.backward == pytest.approx(measured, rel=0.25)


# --- rules ------------------------------------------------------------------------------------------------------------


def small(text: str, start: str = "4 x 8 x 8", **options: Any) -> Memory:
    return memory(netdsl.loads(f"net t\ninput {start}\n{text}\n"), **options)


def test_a_tensor_that_two_keep_is_kept_once() -> None:
    assert small("CONV 4 nobias").kept == 4 * 64 * 4
    assert small("CONV 4 nobias -> RELU").kept == 2 * 4 * 64 * 4
    assert small("CONV 4 nobias -> RELU -> CONV 4 -> RELU").kept == 3 * 4 * 64 * 4


def test_repeats_are_multiplied() -> None:
    one, many = small("(CONV 4 -> RELU)*3"), small("(CONV 4 -> RELU)*1000")
    assert many.kept - one.kept == 997 * 4 * 64 * 4
    assert many.activations == one.activations
    assert small("(CONV 4 -> RELU) -> (CONV 4 -> RELU) -> (CONV 4 -> RELU)").kept == one.kept


def test_what_is_frozen_keeps_nothing() -> None:
    text = "body = (CONV 4 -> RELU)*2\nGAP -> FC 10"
    assert small(text + "\nfreeze body").kept == 4 * 4
    assert small(text + "\nfreeze body").gradients == (4 * 10 + 10) * 4


def test_optimisers_and_types() -> None:
    adam, sgd, half = small("FC 10", optimiser="adam"), small("FC 10"), small("FC 10", dtype="bf16")
    assert (adam.state, sgd.state, half.parameters) == (2 * sgd.gradients, sgd.gradients, sgd.parameters // 2)
    assert small("FC 10", batch=8).kept == 8 * sgd.kept
    assert adam.training - sgd.training == sgd.gradients
    with pytest.raises(UsageError, match="known are sgd, adam"):
        small("FC 10", optimiser="lion")
    with pytest.raises(UsageError, match="known are fp32"):
        small("FC 10", dtype="int3")
    with pytest.raises(UsageError, match="--input input=3x224x224"):
        small("CONV 4", start="3 x H x W")


def test_vgg16_takes_less_than_lectures_say() -> None:
    """Its volumes add to 15.2 million values, 61 MB, and not to 96 MB."""
    net = netdsl.load("vgg16")
    volumes = [3 * 224 * 224]
    volumes += [layer.type.elements for layer in net.layers if layer.op.name in ("conv", "maxpool", "linear")]  # type: ignore[misc]
    assert sum(volumes) == 15_237_608
    pooled = sum(layer.type.elements for layer in net.layers if layer.op.name == "maxpool")  # type: ignore[misc]
    dropped, classes = 2 * 4096, 1000
    # FC layers keep what comes out of dropout; a pool where its largest values were; the classes are given back
    assert memory(net).kept == 4 * (sum(volumes) + dropped - classes) + 8 * pooled + dropped


def test_every_op_says_what_it_keeps() -> None:
    assert [op.name for op in OPS if op.keeps is Op.keeps] == []
