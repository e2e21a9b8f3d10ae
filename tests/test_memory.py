"""Is the memory that is said what PyTorch takes?  Storages are counted: those that autograd keeps, those there at a time."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

import netdsl
from netdsl import Net, UsageError
from netdsl.analysis.memory import Memory, memory
from netdsl.ops import OPS, Op

torch = pytest.importorskip("torch")

SMALL = {
    "lenet5": None,
    "alexnet": None,
    "resnet18": "3x64x64",
    "resnet110_stochastic_depth": "3x16x16",
    "mobilenet_v2": "3x64x64",
    "efficientnet_b0": "3x64x64",
    "squeezenet1_1": "3x96x96",
    "densenet121": "3x64x64",
    "shufflenet_v2_x1_0": "3x64x64",
    "fractalnet": None,
    "nin_cifar10": None,
    "unet_padded": "1x32x32",
    "convnext_tiny": "3x64x64",
    "res2net50_26w_4s": "3x64x64",
    "pets": "3x64x64",
}


LOOSE = {"fractalnet": 0.15, "unet_padded": 0.15, "res2net50_26w_4s": 0.25}


def batch_for(net: Net, batch: int) -> list[Any]:
    return [torch.rand(batch, *shape) for shape in net.inputs.values()]


def kept_by_autograd(module: Any, inputs: list[Any]) -> int:
    """Bytes of all storages that are saved for the backward pass, but for those of parameters and buffers."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*module.parameters(), *module.buffers()]}
    found: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        found[storage.data_ptr()] = storage  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module.train()(*inputs)
    return sum(storage.nbytes() for address, storage in found.items() if address not in own)


def most_at_a_time(module: Any, inputs: list[Any], train: bool = False) -> int:
    """Bytes of storages that are there at the same time, beside parameters, buffers and inputs."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.now = self.most = 0
            own = [*module.parameters(), *module.buffers(), *inputs]
            self.there = {tensor.untyped_storage()._cdata: 0 for tensor in own}

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    if storage._cdata not in self.there:
                        self.there[storage._cdata] = storage.nbytes()
                        self.now += storage.nbytes()
                        self.most = max(self.most, self.now)
                        weakref.finalize(storage, self.gone, storage._cdata)
            return made

        def gone(self, key: int) -> None:
            self.now -= self.there.pop(key)

    module.train(train)
    with Watch() as watch, torch.set_grad_enabled(train):
        result = module(*inputs)
        if train:
            outputs = result if isinstance(result, tuple) else (result,)
            loss = sum(output.sum() for output in outputs)
            del result, outputs
            loss.backward()
    return watch.most


# --- against PyTorch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_training_keeps_what_autograd_keeps(name: str) -> None:
    """To the byte."""
    net = netdsl.load(name, input=SMALL[name])
    assert memory(net, 2, on_cpu=True).kept == kept_by_autograd(net.compile(), batch_for(net, 2))


@pytest.mark.parametrize("name", SMALL)
def test_inference_takes_what_is_there_at_a_time(name: str) -> None:
    """Sums of many terms, and variables that outlive their last reader, are not followed."""
    net = netdsl.load(name, input=SMALL[name])
    measured = most_at_a_time(net.compile(), batch_for(net, 2))
    assert memory(net, 2).activations == pytest.approx(measured, rel=LOOSE.get(name, 0.01))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "pets", "alexnet"])
def test_the_backward_pass_takes_what_is_there_at_a_time(name: str) -> None:
    net = netdsl.load(name, input=SMALL[name])
    measured = most_at_a_time(net.compile(), batch_for(net, 2), train=True)
    assert memory(net, 2, on_cpu=True).backward == pytest.approx(measured, rel=0.1)


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
