"""Does a fused network behave as the module of the PyTorch backend does, whatever is done to it?"""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from strategies import programs, share  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import netdsl  # noqa: E402
from netdsl import UsageError, serial  # noqa: E402
from netdsl.devices import DEVICES  # noqa: E402
from netdsl.files import shipped  # noqa: E402
from netdsl_torch.paths import flat  # noqa: E402
from netdsl_triton import BACKEND, kernels  # noqa: E402
from netdsl_triton import device as devices  # noqa: E402
from netdsl_triton import module as modules  # noqa: E402
from netdsl_triton import watch as watching  # noqa: E402
from netdsl_triton.graphs import Recorder  # noqa: E402
from netdsl_triton.kernels.conv import Conv  # noqa: E402
from netdsl_triton.kernels.matmul import Matmul  # noqa: E402
from netdsl_triton.module import EXACT_BATCHES, FusedModule  # noqa: E402
from netdsl_triton.notes import SlowPath  # noqa: E402
from netdsl_triton.program import Program  # noqa: E402

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

SIZES = {
    "alexnet": "3x67x67",
    "alexnet_owt": "3x63x63",
    "convnext_tiny": "3x32x32",
    "densenet121": "3x32x32",
    "densenet161": "3x32x32",
    "densenet169": "3x32x32",
    "densenet201": "3x32x32",
    "fcn8s": "image=3x20x20",
    "fractalnet": "3x32x32",
    "googlenet": "3x80x80",
    "googlenet_bn": "3x32x32",
    "inception_resnet_v2": "3x75x75",
    "inception_v3": "3x299x299",
    "inception_v4": "3x75x75",
    "lstm_digits": "1x8x8",
    "nin": "3x63x63",
    "pets": "3x32x32",
    "rnn_digits": "1x8x8",
    "squeezenet1_0": "3x32x32",
    "squeezenet1_1": "3x28x28",
    "unet": "1x188x188",
    "xception": "3x17x17",
    "zfnet": "3x63x63",
    "zfnet_wide": "3x63x63",
    **{f"vgg{n}{norm}": "3x32x32" for n in (11, 13, 16, 19) for norm in ("", "_bn")},
}
"""The smallest inputs that are large enough; 16 x 16 for the others."""


def small(name: str) -> netdsl.Net:
    """A shipped network on a small input, with few classes."""
    channels = next(iter(netdsl.load(name).inputs.values()))[0]
    key, _, size = SIZES.get(name, f"{channels}x16x16").rpartition("=")
    return netdsl.load(name, input={key or "input": size})


def loads(text: str, **options: Any) -> netdsl.Net:
    return netdsl.loads(textwrap.dedent(text), name="test.net", **options)


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """Statistics and scales of norms as after some training, some of them negative."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.running_mean.uniform_(-0.3, 0.3, generator=generator)
                part.running_var.uniform_(0.5, 1.5, generator=generator)
                part.weight.uniform_(-0.4, 1.4, generator=generator)
                part.bias.uniform_(-0.4, 0.4, generator=generator)
    return module


def tensors(result: Any) -> tuple[Tensor, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def assert_same(found: Any, wanted: Any, limit: float = 1e-3) -> None:
    """Of one type, and no further apart than a share of the largest number."""
    assert type(found).__name__ == type(wanted).__name__
    for a, b in zip(tensors(found), tensors(wanted), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = b.abs().max().clamp(min=1e-6)
        assert ((a - b).abs().max() / scale) < limit


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU tensors go through the kernels."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv(devices.INTERPRET, "1")
    monkeypatch.setenv("NETDSL_DEBUG", "1")


@pytest.fixture
def planned(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """CPU tensors go through plans whose every element PyTorch computes: fast, and all but the kernels is tried."""
    monkeypatch.setattr(kernels, "KERNELS", ())


@contextmanager
def without_notes() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowPath)
        yield


TEXT = """
    net t
    input 3 x 16 x 16
    CONV 8 3x3 bn relu
    residual(CONV 8 3x3 bn relu -> CONV 8 3x3 bn) -> RELU
    CONV 8 1x1 relu | CONV 4 3x3 bn relu | (MAXPOOL 3x3 /1 same -> CONV 4 relu)
    CONV 8 /2
    BN -> RELU -> CONV 16 3x3
    GAP -> FC 5
"""


def fused(text: str = TEXT, **options: Any) -> FusedModule:
    torch.manual_seed(0)
    made = shaken(loads(text).compile(backend="triton", **options)).eval()
    assert isinstance(made, FusedModule)
    return made


def image(batch: int = 2, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, *(shape or (3, 16, 16)), generator=generator)


# --- shipped networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_network_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU as it is, and from planned memory."""
    torch.manual_seed(0)
    net = small(name)
    module = shaken(net.compile(backend="triton")).eval()
    inputs = [torch.randn(1, *shape) for shape in net.inputs.values()]
    with torch.inference_mode():
        wanted = module._reference(*inputs)
        assert_same(module(*inputs), wanted)
        monkeypatch.setenv("TRITON_INTERPRET", "1")
        monkeypatch.setenv(devices.INTERPRET, "1")
        monkeypatch.setattr(kernels, "KERNELS", ())
        module._start()
        with without_notes():
            assert_same(module(*inputs), wanted)
        assert isinstance(next(iter(module.programs.values())), Program)


@given(programs(), st.integers(1, 3))
@share(25)
def test_drawn_programs_give_the_same(program: Any, batch: int) -> None:
    """From planned memory, whatever they are made of."""
    net = loads(program.text)
    torch.manual_seed(0)
    module = shaken(net.compile(backend="triton")).eval()
    words = {node.inputs[0]: node.op.vocabulary for node in flat(net.graph).nodes if node.op.name == "embedding"}
    inputs = [
        torch.randint(words[i], (batch, *shape)) if i in words else torch.randn(batch, *shape)
        for i, shape in enumerate(program.inputs)
    ]
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        for variable in ("TRITON_INTERPRET", devices.INTERPRET, "NETDSL_DEBUG"):
            patch.setenv(variable, "1")
        patch.setattr(kernels, "KERNELS", ())
        found, wanted = module(*inputs), module._reference(*inputs)
        assert module.programs or any("numbers of words" in note for note in module.notes)
        assert type(found).__name__ == type(wanted).__name__
        for a, b in zip(tensors(found), tensors(wanted), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max().nan_to_num().clamp(1e-3, 1e6)))


# --- through the kernels ----------------------------------------------------------------------------------------------

TINY = {
    "inception": """
        net t
        input 3 x 9 x 9
        CONV 16 3x3 /2 bn relu
        CONV 16 1x1 relu | (CONV 8 1x1 relu -> CONV 16 3x3 relu) | (MAXPOOL 3x3 /1 same -> CONV 7 1x1)
        GAP -> FC 5
    """,
    "pre-activation": """
        net t
        input 8 x 6 x 6
        residual(BN -> RELU -> CONV 8 1x1 nobias -> BN -> RELU -> CONV 8 3x3 nobias) * 2
        BN -> RELU -> GAP -> FC 5
    """,
    "squeeze": """
        net t
        input 8 x 5 x 5
        CONV 16 1x1 bn hard_swish
        gate(GAP -> FC 4 relu -> FC 16 hard_sigmoid) -> CONV 8 1x1 bn
        GAP -> FC 5
    """,
    "norms and gates": """
        net t
        input 8 x 7 x 5
        CONV 8 depthwise 3x3 bn hard_swish
        gate(GAP -> FC 8 sigmoid)
        LRN -> AVGPOOL 2x2 /2 floor
        CONV 12 1x1 groups=4
        FC 3
    """,
}


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", TINY)
def test_small_networks_through_the_kernels(name: str, dtype: str, interpreted: None) -> None:
    if name == "norms and gates" and dtype == "float16":
        pytest.skip("one type is enough for elements that others have")
    module = fused(TINY[name])
    (shape,) = loads(TINY[name]).inputs.values()
    x = image(2, *map(int, shape))
    with torch.inference_mode(), without_notes():
        wanted = module._reference(x)
        kind = getattr(torch, dtype)
        assert_same(module.to(kind)(x.to(kind)), wanted.to(kind), 1e-4 if kind == torch.float32 else 2e-2)
    assert isinstance(next(iter(module.programs.values())), Program)


# --- an nn.Module still -----------------------------------------------------------------------------------------------


def test_names_and_numbers_are_those_of_the_torch_backend() -> None:
    plain, module = loads(TEXT).compile(), fused()
    assert list(module.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in module.named_parameters()] == [name for name, _ in plain.named_parameters()]
    assert [name for name, _ in module.named_modules()] == [name for name, _ in plain.named_modules()]
    plain.load_state_dict(module.state_dict())
    module.load_state_dict(plain.state_dict())
    assert repr(module).startswith("FusedT(")
    assert module.training is module._reference.training is False
    assert module.train().training is module._reference.training is True


def test_elements_named_as_python_has_it_are_found(planned: None) -> None:
    module = fused("net t\ninput 4 x 8 x 8\nhalf = CONV 4 bn\ntype = half -> CONV 4 -> BN\nclass_ = GAP -> FC 3\n")
    x = image(2, 4, 8, 8)
    with torch.inference_mode(), without_notes():
        assert_same(module(x), module._reference(x))
        assert len(module.programs) == 1


def change_in_place(module: nn.Module) -> None:
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.1)


def change_by_state(module: nn.Module) -> None:
    module.load_state_dict({name: value + 0.1 for name, value in module.state_dict().items()})


def change_by_step(module: nn.Module) -> None:
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowPath)
        module(image()).square().sum().backward()
    optimiser.step()


def change_statistics(module: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowPath)
        module.train()(image(8))
    module.eval()


def change_parameter(module: nn.Module) -> None:
    conv = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    conv.weight = nn.Parameter(conv.weight.detach() * 2)


def change_data(module: nn.Module) -> None:
    conv = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
    conv.weight.data = conv.weight.data * 2


def first_conv(module: nn.Module) -> nn.Conv2d:
    return next(part for part in module.modules() if isinstance(part, nn.Conv2d))


def change_inside_data(module: nn.Module) -> None:
    first_conv(module).weight.data.mul_(2)


def change_by_numpy(module: nn.Module) -> None:
    first_conv(module).weight.detach().numpy()[...] *= 2


def change_statistics_inside_data(module: nn.Module) -> None:
    norm = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    norm.running_var.data.mul_(3)


CHANGES = [
    change_in_place,
    change_by_state,
    change_by_step,
    change_statistics,
    change_parameter,
    change_data,
    change_inside_data,
    change_by_numpy,
    change_statistics_inside_data,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("inference", [False, True], ids=["no_grad", "inference_mode"])
def test_new_weights_are_seen(change: Any, inference: bool, planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode(inference), torch.no_grad():
        before = module(x)
    (program,) = module.programs.values()
    addresses = [tensor.data_ptr() for packed in program.packed.values() for tensor in packed]
    change(module)
    with torch.inference_mode(inference), torch.no_grad():
        assert_same(module(x), module._reference(x))
        assert not torch.allclose(module(x), before, atol=1e-4)
    assert list(module.programs.values()) == [program]
    assert [tensor.data_ptr() for packed in program.packed.values() for tensor in packed] == addresses


def test_fused_optimisers_say_that_they_wrote(planned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not count their writes, and on a GPU no values are compared."""
    monkeypatch.setattr(watching, "cells", lambda tensor: [])
    module, x = fused(), image()
    with torch.no_grad():
        module(x)
    other = nn.Parameter(torch.ones(1))
    other.grad = torch.ones(1)
    torch.optim.SGD([other], lr=0.1, fused=True).step()
    assert not module._watch.changed()
    conv = first_conv(module)
    conv.weight.grad = torch.ones_like(conv.weight)
    torch.optim.SGD([conv.weight], lr=0.1, fused=True).step()
    with torch.no_grad():
        assert_same(module(x), module._reference(x))


def test_weights_made_in_inference_mode_may_change(planned: None) -> None:
    with torch.inference_mode():
        module, x = fused(), image()
        module(x)
        first_conv(module).weight.mul_(2)
        assert_same(module(x), module._reference(x))


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_fold_that_was_interrupted_is_done_again(
    fault: type[BaseException], planned: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, x = fused(), image()
    with torch.no_grad():
        module(x)
    change_in_place(module)
    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(Program, "refold", lambda self: (_ for _ in ()).throw(fault))
        with pytest.raises(fault):
            module(x)
    with torch.no_grad():
        assert_same(module(x), module._reference(x))


def test_a_program_that_was_not_changed_is_not_folded_again(planned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = fused(), image()
    folds = []
    monkeypatch.setattr(Program, "refold", lambda self: folds.append(self))
    with torch.no_grad():
        for _ in range(3):
            module(x)
    assert not folds
    change_in_place(module)
    with torch.no_grad():
        module(x)
    assert len(folds) == 1


def test_another_type(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        wanted = module(x)
        assert_same(module.half()(x.half()), wanted.half(), 2e-2)
        assert [program.plan.dtype for program in module.programs.values()] == ["fp16"]
        assert_same(module.float()(x), wanted, 2e-2)
        assert_same(module.bfloat16()(x.bfloat16()), wanted.bfloat16(), 5e-2)


def test_double_runs_as_pytorch_has_it(planned: None) -> None:
    module, x = fused().double(), image().double()
    with torch.inference_mode(), pytest.warns(SlowPath, match="no kernels for torch.float64"):
        found = module(x)
    assert torch.equal(found, module._reference(x))


def test_autocast(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert_same(module(x), module._reference(x), 5e-2)
    with torch.inference_mode():
        assert_same(module(x), module._reference(x))
    assert {program.plan.dtype for program in module.programs.values()} == {"bf16", "fp32"}


def test_copies_have_weights_of_their_own(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        wanted = module(x)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(buffer, weights_only=False)]
    for other in copies:
        assert other._modules is other._reference._modules
        assert other._parameters is other._reference._parameters
        with torch.inference_mode():
            assert torch.equal(other(x), wanted)
        change_in_place(other)
        with torch.inference_mode():
            assert not torch.allclose(other(x), wanted, atol=1e-4)
            assert torch.equal(module(x), wanted)
    assert not copies[0]._notes.said


def test_a_pickle_is_read_by_another_process(tmp_path: Path) -> None:
    module = fused()
    (tmp_path / "module.pickle").write_bytes(pickle.dumps(module))
    code = f"import pickle; m = pickle.load(open({str(tmp_path / 'module.pickle')!r}, 'rb')); print(type(m).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "FusedModule\n", done.stderr


def test_data_parallel_spreads_the_plain_module() -> None:
    module = fused()
    replica = module._replicate_for_data_parallel()
    assert type(replica) is type(module._reference)
    assert replica._modules is not module._modules


def test_a_note_points_at_the_call(planned: None) -> None:
    one, other, x = fused(), fused().double(), image()
    with pytest.warns(SlowPath) as of_gradients:
        one(x)
    with torch.inference_mode(), pytest.warns(SlowPath) as of_types:
        other(x.double())
    assert [note.filename for note in [*of_gradients, *of_types]] == [__file__] * 2


def test_threads_do_not_meet(planned: None) -> None:
    module = fused()
    inputs = [image(1 + i % 3) + i for i in range(12)]
    with torch.inference_mode():
        wanted = [module._reference(x) for x in inputs]
    found: dict[int, Tensor] = {}
    faults: list[BaseException] = []

    def work(i: int) -> None:
        try:
            with torch.inference_mode():
                for _ in range(5):
                    found[i] = module(inputs[i])
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    for i, y in enumerate(wanted):
        assert_same(found[i], y)
    assert len(module.programs) == 3


# --- when it runs as PyTorch has it -----------------------------------------------------------------------------------


def test_training_is_that_of_the_torch_backend(planned: None) -> None:
    module, x = fused().train(), image(4)
    other = loads(TEXT).compile()
    other.load_state_dict(module.state_dict())
    other.train()
    with pytest.warns(SlowPath, match=r"`\.eval\(\)` gives the fused kernels"):
        module(x).sum().backward()
    other(x).sum().backward()
    for (name, a), b in zip(module.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad), name
    for a, b in zip(module.buffers(), other.buffers(), strict=True):
        assert torch.equal(a, b)
    with without_notes():
        module(x)  # it is said once


def test_gradients_are_had_where_they_are_wanted(planned: None) -> None:
    module, x = fused(), image()
    with pytest.warns(SlowPath, match=r"call it under `torch.inference_mode\(\)`"):
        y = module(x)
    assert y.requires_grad
    assert len(module.notes) == 1
    with torch.no_grad(), without_notes():
        assert not module(x).requires_grad
    module.requires_grad_(False)
    with without_notes():
        assert not module(x).requires_grad
    x.requires_grad_()
    assert module(x).requires_grad


def test_hooks_inside_are_called(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        wanted = module(x)
        called: list[str] = []
        inside = next(part for part in module.modules() if isinstance(part, nn.Conv2d))
        handle = inside.register_forward_hook(lambda *_: called.append("hook"))
        with pytest.warns(SlowPath, match="has hooks"):
            module(x)
        assert called == ["hook"]
        module(x)
        assert len(called) == 2
        handle.remove()
        with without_notes():
            assert torch.equal(module(x), wanted)
        assert len(called) == 2


def test_hooks_on_the_network_are_called_once(planned: None) -> None:
    module, x = fused(), image()
    called: list[int] = []
    module.register_forward_hook(lambda *_: called.append(1))
    with torch.inference_mode(), without_notes():
        module(x)
    assert called == [1]
    assert module.programs


def test_another_module_inside(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        module(x)
        name = [name for name, part in module.named_children() if isinstance(part, nn.Linear)][-1]
        setattr(module, name, nn.Sequential(nn.Linear(16, 3), nn.Softmax(1)).eval())
        with pytest.warns(SlowPath, match="no longer those of the text"):
            found = module(x)
        assert found.shape == (2, 3)
        assert torch.equal(found, module._reference(x))


def add_bias(module: nn.Module) -> None:
    conv = next(part for part in module.modules() if isinstance(part, nn.Conv2d) and part.bias is None)
    conv.bias = nn.Parameter(torch.ones(conv.out_channels))


def dilate(module: nn.Module) -> None:
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3) and part.stride == (1, 1):
            parent, _, leaf = path.rpartition(".")
            channels = part.in_channels, part.out_channels
            wider = nn.Conv2d(*channels, 3, padding=2, dilation=2, bias=part.bias is not None).eval()
            setattr(module.get_submodule(parent), leaf, wider)
            return


def patch_forward(module: nn.Module) -> None:
    conv = first_conv(module)
    conv.forward = lambda x: 2 * nn.Conv2d.forward(conv, x)  # type: ignore[method-assign]


@pytest.mark.parametrize("change", [add_bias, dilate, patch_forward])
@pytest.mark.parametrize("first", [False, True], ids=["before", "after"])
def test_a_part_that_does_something_else(change: Any, first: bool, planned: None) -> None:
    module, x = fused(), image()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", SlowPath)
        if first:
            module(x)
        change(module)
        assert torch.equal(module(x), module._reference(x))


def test_hooks_of_all_modules_are_called(planned: None) -> None:
    module, x, called = fused(), image(), []
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", SlowPath)
        module(x)
        hook = nn.modules.module.register_module_forward_hook(lambda part, *_: called.append(type(part)))
        try:
            module(x)
        finally:
            hook.remove()
        assert nn.Conv2d in called


def test_another_head_of_another_size(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        module(x)
        name = [name for name, part in module.named_children() if isinstance(part, nn.Linear)][-1]
        setattr(module, name, nn.Linear(16, 9))
        with pytest.warns(SlowPath, match="runs as PyTorch has it"):
            found = module(x)
        assert torch.equal(found, module._reference(x))


def test_a_part_in_training(planned: None) -> None:
    module, x = fused(), image()
    norm = next(part for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    with torch.inference_mode():
        module(x)
        norm.train()
        before = norm.num_batches_tracked.clone()
        with pytest.warns(SlowPath, match="set to training"):
            module(x)
        assert norm.num_batches_tracked == before + 1


def test_transformations_of_functions(planned: None) -> None:
    module, x = fused(), image()
    state = {name: value.detach() for name, value in module.state_dict().items()}
    with torch.no_grad():
        wanted = module._reference(x)
        assert_same(torch.func.functional_call(module, state, (x,)), wanted)
        zeros = {name: torch.zeros_like(value) for name, value in state.items()}
        assert not torch.func.functional_call(module, zeros, (x,)).any()
        assert_same(module(x), wanted)
        mapped = torch.func.vmap(lambda one: module(one[None])[0])(x)
        assert_same(mapped, wanted)


@pytest.mark.parametrize("kernels_run", [False, True], ids=["cpu", "planned"])
def test_a_default_device_is_no_matter(kernels_run: bool, request: pytest.FixtureRequest) -> None:
    if kernels_run:
        request.getfixturevalue("planned")
    module, x = fused(TEXT.replace("GAP", "LRN -> GAP")), image()
    with torch.no_grad(), without_notes():
        wanted = module._reference(x)
        with torch.device("meta"):
            assert_same(module(x), wanted)


def test_without_values(planned: None) -> None:
    module = fused().to("meta")
    with torch.inference_mode(), without_notes():
        assert module(image().to("meta")).shape == (2, 5)


def test_fake_tensors(planned: None) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    module = fused()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        assert module(torch.empty(2, 3, 16, 16)).shape == (2, 5)


def test_traced_by_torch_fx(planned: None) -> None:
    module, x = fused(), image()
    traced = torch.fx.symbolic_trace(module)
    assert any(node.op == "call_module" for node in traced.graph.nodes)
    with torch.no_grad():
        torch.testing.assert_close(traced(x), module._reference(x))


def test_compiled_and_exported_by_torch(planned: None) -> None:
    module, x = fused(), image()
    with torch.no_grad():
        wanted = module._reference(x)
        torch._dynamo.reset()
        assert_same(torch.compile(module, backend="eager")(x), wanted)
        assert_same(torch.export.export(module, (x,)).module()(x), wanted)
        assert_same(torch.jit.trace(module, x)(x), wanted)


def test_without_triton(monkeypatch: pytest.MonkeyPatch, interpreted: None) -> None:
    monkeypatch.setattr(modules, "triton_missing", lambda: "Triton 2.0 is too old: 3.6 or newer is needed")
    module, x = fused(), image()
    with torch.inference_mode():
        with pytest.warns(SlowPath, match=r"Triton 2\.0 is too old"):
            found = module(x)
        with without_notes():
            assert torch.equal(module(x), found)
        assert torch.equal(found, module._reference(x))


@pytest.mark.parametrize(
    ("version", "said"), [("2.1.0", "2.1.0 is too old"), ("3.5.1+git", "too old"), ("3.6.0", ""), ("4.0", "")]
)
def test_versions_of_triton(version: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    devices.triton_missing.cache_clear()
    found = devices.triton_missing()
    devices.triton_missing.cache_clear()
    assert said in found
    assert bool(said) == bool(found)


def test_a_fault_of_a_kernel_is_a_note(planned: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ArithmeticError("the compiler gave up\nat length")

    monkeypatch.delenv("NETDSL_DEBUG")
    monkeypatch.setattr(Program, "bound", broken)
    module, x = fused(), image()
    with torch.inference_mode():
        with pytest.warns(SlowPath, match=r"ArithmeticError: the compiler gave up$"):
            found = module(x)
        assert torch.equal(found, module._reference(x))


def test_what_cannot_be_bound_is_done_by_the_next_best(interpreted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """And by plain PyTorch where there is none; each is a note."""

    def refuse(*_: Any) -> None:
        raise RuntimeError("no engine for it\nat length")

    monkeypatch.delenv("NETDSL_DEBUG")
    monkeypatch.setattr(Matmul, "bind", refuse)
    monkeypatch.setattr(Conv, "bind", refuse)
    module, x = fused(), image()
    with torch.inference_mode():
        with pytest.warns(SlowPath, match=r"conv failed, cudnn does it: RuntimeError: no engine for it$"):
            found = module(x)
        assert_same(found, module._reference(x))
        (program,) = module.programs.values()
        assert isinstance(program, Program)
        assert "cudnn" in program.plan.by_kernel and not {"conv", "matmul"} & set(program.plan.by_kernel)
        for kernel in program.kernels.values():
            monkeypatch.setattr(type(kernel), "bind", refuse)
        module = fused()
        with pytest.warns(SlowPath, match=r"fallback failed, PyTorch does it"):
            found = module(x)
        assert_same(found, module._reference(x))
        (program,) = module.programs.values()
        assert isinstance(program, Program) and set(program.plan.by_kernel) == {""}


# --- inputs -----------------------------------------------------------------------------------------------------------


def strange_inputs() -> dict[str, Tensor]:
    wide = image(4, 6, 20, 20)
    return {
        "channels last": image().contiguous(memory_format=torch.channels_last),
        "a slice": wide[1:3, 2:5, 2:18, 3:19],
        "every second": image(4, 3, 16, 16)[::2],
        "transposed": image().transpose(2, 3),
        "expanded": image(1).expand(3, -1, -1, -1),
        "reversed": image().flip(3),
        "constant": torch.zeros(1, 1, 1, 1).expand(2, 3, 16, 16),
    }


@pytest.mark.parametrize("name", strange_inputs())
def test_any_layout(name: str, planned: None) -> None:
    module, x = fused(), strange_inputs()[name]
    before = x.clone()
    with torch.inference_mode(), without_notes():
        assert_same(module(x), module._reference(x))
    assert torch.equal(x, before)


def test_results_are_laid_out_as_pytorch_does(planned: None) -> None:
    module = fused("net t\ninput 3 x 8 x 8\nCONV 4 3x3 relu\n")
    with torch.inference_mode():
        for x in (image(2, 3, 8, 8), image(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)):
            assert module(x).stride() == module._reference(x).stride()


def test_results_stay_as_they_are(planned: None) -> None:
    """The next call does not write over them, nor what is done to them into the program."""
    module, x = fused("net t\ninput 3 x 8 x 8\na = CONV 4\nb = a -> CONV 4\noutput a, b\n"), image(2, 3, 8, 8)
    with torch.no_grad():
        first = module(x)
        kept = [y.clone() for y in first]
        module(-x)
        assert all(torch.equal(a, b) for a, b in zip(first, kept))
        for y in first:
            y.zero_()
        assert all(torch.equal(a, b) for a, b in zip(module(x), kept))


def test_nan_and_infinity_pass_through(planned: None) -> None:
    module, x = fused(), image(3)
    x[1, 0, 3, 3] = float("nan")
    x[2] = float("inf")
    with torch.inference_mode():
        found, wanted = module(x), module._reference(x)
    assert found[1].isnan().all()
    assert torch.equal(found.isnan(), wanted.isnan())
    assert_same(found[:1], wanted[:1])


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinity_in_layers_that_became_one(value: float, interpreted: None) -> None:
    """A part with a ReLU and one without share the steps after them: -∞ is 0 in the first, and stays in the second."""
    module = fused("net t\ninput 8 x 4 x 4\nCONV 8 1x1 relu | CONV 8 1x1")
    x = image(2, 8, 4, 4)
    x[0, 0, 0, 0] = value
    with torch.inference_mode(), without_notes():
        found, wanted = module(x), module._reference(x)
    (program,) = module.programs.values()
    assert [step.kind for stage in program.plan.stages for step in getattr(stage.task.op, "epilogue", ())] == ["prelu"]
    torch.testing.assert_close(found, wanted, equal_nan=True, rtol=0, atol=1e-5)


def test_other_sizes(planned: None) -> None:
    module = fused()
    with torch.inference_mode(), without_notes():
        for size in ((16, 16), (20, 12), (33, 17)):
            x = image(2, 3, *size)
            assert_same(module(x), module._reference(x))
    assert len(module.programs) == 3


def test_a_size_that_is_against_the_text(planned: None) -> None:
    """Which still may run, and then runs."""
    module = fused("net t\ninput 3 x 8 x 8\nCONV 4 2x2 /2 valid\nCONV 4 2x2 /2 valid\nGAP -> FC 3\n")
    x = image(2, 3, 9, 9)
    with torch.inference_mode(), pytest.warns(SlowPath, match="runs as PyTorch has it for 2 x 3 x 9 x 9"):
        assert torch.equal(module(x), module._reference(x))


@pytest.mark.parametrize("shape", [(2, 4, 16, 16), (3, 16, 16, 2), (5,), (), (2, 3, 16), (16, 16)])
def test_an_input_that_does_not_fit(shape: tuple[int, ...], planned: None) -> None:
    module = fused()
    given = " x ".join(map(str, shape)) or "a single number"
    wanted = rf"input `input` of t is N x 3 x 16 x 16 \(test\.net:3\), and it was given {given}\n"
    with torch.inference_mode(), pytest.raises(RuntimeError, match=wanted):
        module(torch.zeros(shape))


def test_other_faults_are_those_of_pytorch(planned: None) -> None:
    module, x = fused(), image()
    for inputs in ((), (x, x), ("x",), (None,), (x.long(),), (x.half(),), (x.double(),)):
        with torch.inference_mode():
            with pytest.raises(Exception) as wanted:
                module._reference(*inputs)
            with pytest.raises(type(wanted.value)):
                module(*inputs)


def test_named_inputs(planned: None) -> None:
    module, x = fused(), image()
    with torch.inference_mode():
        assert_same(module(x=x), module(x))


def test_an_empty_batch(planned: None) -> None:
    module = fused()
    with torch.inference_mode(), without_notes():
        assert module(image()[:0]).shape == (0, 5)


def test_several_inputs_and_outputs(planned: None) -> None:
    module = fused(
        """
        net t
        input left = 3 x 8 x 8
        input right = 3 x 4 x 4
        a = left -> CONV 4 bn relu
        b = right -> UPSAMPLE -> CONV 4 2x2
        c = a | b
        d = a + b
        output c, d, left
        """
    )
    inputs = image(2, 3, 8, 8), image(2, 3, 4, 4)
    with torch.inference_mode(), without_notes():
        found, wanted = module(*inputs), module._reference(*inputs)
        assert_same(found, wanted)
        assert found._fields == wanted._fields
        with pytest.raises(RuntimeError, match=r"input `right` of t is N x 3 x 4 x 4 \(test\.net:4\)"):
            module(inputs[0], image(2, 1, 4, 4))


def test_words(planned: None) -> None:
    module = fused("net t\ninput 12\nEMBED 1000 8 -> LSTM 4 last -> FC 3\n")
    words = torch.randint(1000, (2, 12))
    with torch.inference_mode(), without_notes():
        assert_same(module(words), module._reference(words))
        assert_same(module(words.int()), module._reference(words))
    assert len(module.programs) == 1


# --- programs ---------------------------------------------------------------------------------------------------------


def test_batches_have_programs_of_their_own_up_to_a_number(planned: None) -> None:
    module = fused(programs=20)
    with torch.inference_mode():
        for batch in (1, 2, 3, 5, 6, 7, 8, 9, 3, 1):
            x = image(batch)
            assert_same(module(x), module._reference(x))
    assert sorted(signature.batch for signature in module.programs) == [1, 2, 3, 5, 8, 16]
    assert EXACT_BATCHES == 4


def test_batches_that_were_chosen(planned: None) -> None:
    module = fused(batches=(4, 2))
    with torch.inference_mode():
        for batch in (1, 2, 3, 4, 7):
            x = image(batch)
            x[0, 0, 0, 0] = float("nan")  # what is left in memory harms nobody
            assert torch.equal(module(x)[1:].isnan(), module._reference(x)[1:].isnan())
            assert_same(module(image(batch)), module._reference(image(batch)))
    assert sorted(signature.batch for signature in module.programs) == [2, 4, 7]


def test_the_program_that_was_not_used_for_longest_makes_room(planned: None) -> None:
    module = fused(programs=2)
    with torch.inference_mode():
        for batch in (1, 2, 1, 3):
            module(image(batch))
    assert [signature.batch for signature in module.programs] == [1, 3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tuned": True}, "no option 'tuned': there are tune, graphs, programs, batches, fuel"),
        ({"tune": 1}, "tune is True or False, not 1"),
        ({"graphs": "no"}, "graphs is True or False, not 'no'"),
        ({"programs": 0}, "programs is a whole number from 1 on, not 0"),
        ({"batches": (1, 0)}, r"batches are whole numbers from 1 on, not \(1, 0\)"),
        ({"batches": 8}, "batches are whole numbers from 1 on, not 8"),
        ({"fuel": -1}, "fuel is a whole number from 0 on, or None, not -1"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        loads(TEXT).compile(backend="triton", **options)
    with pytest.raises(UsageError, match="the torch backend has no option"):
        loads(TEXT).compile(**options)


@pytest.mark.parametrize("fuel", [0, 1, 5])
def test_fuel(fuel: int, planned: None) -> None:
    module, x = fused(fuel=fuel), image()
    with torch.inference_mode(), without_notes():
        assert_same(module(x), module._reference(x))
        full = fused()
        full(x)
    (few,), (all_,) = module.programs.values(), full.programs.values()
    assert few.plan.kernels > all_.plan.kernels


def test_weights_of_others_are_loaded(planned: None) -> None:
    other = shaken(loads(TEXT).compile(), seed=3).eval()
    renamed = {
        f"their.{i}.{name.rpartition('.')[2]}": value for i, (name, value) in enumerate(other.state_dict().items())
    }
    module, x = fused(), image()
    with torch.inference_mode():
        module(x)
    BACKEND.load_weights(module, renamed)
    with torch.inference_mode():
        assert_same(module(x), other(x))
        assert_same(loads(TEXT).compile(backend="triton", weights=other).eval()(x), other(x))


def test_tuning_has_a_say(interpreted: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What was measured is remembered on disk, and planned with from then on."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    monkeypatch.setattr(kernels, "KERNELS", tuple(kernel for kernel in kernels.KERNELS if kernel.name == "matmul"))
    text = "net t\ninput 16\nFC 8 relu -> FC 4\n"
    module, x = fused(text), image(2, 16)
    signature = module._signature((x,))
    assert {stage.choice.measured for stage in module.plan(signature).stages} == {None}
    tuned = module.tune(x, budget=20)
    assert tuned.tasks == 2
    assert tuned.measured > 0
    assert None not in {stage.choice.measured for stage in module.plan(signature).stages}
    assert None not in {stage.choice.measured for stage in fused(text).plan(signature).stages}
    with torch.inference_mode(), without_notes():
        assert_same(module(x), module._reference(x))
    with pytest.raises(UsageError, match="runs as PyTorch has it"):
        module.double().tune(x.double())


# --- CUDA graphs ------------------------------------------------------------------------------------------------------


class Stream:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")

    def wait_event(self, event: Any) -> None:
        self.log.append(f"{self.name} waits")

    def synchronize(self) -> None:
        self.log.append(f"{self.name} synchronised")


class Cuda:
    """`torch.cuda` as far as a recorder knows it. What is recorded is the last function that ran."""

    def __init__(self, fails: bool = False) -> None:
        self.log: list[str] = []
        self.current = Stream(self.log, "main")
        self.fails = fails
        cuda = self

        class Graph:
            def replay(self) -> None:
                cuda.log.append("replay")

        class Event:
            def record(self, stream: Stream) -> None:
                cuda.log.append(f"{stream.name} done")

        self.CUDAGraph, self.Event = Graph, Event

    def Stream(self, device: Any) -> Stream:
        return Stream(self.log, "side")

    def current_stream(self, device: Any) -> Stream:
        return self.current

    def synchronize(self, device: Any) -> None:
        self.log.append("synchronised")

    @contextmanager
    def device(self, device: Any) -> Iterator[None]:
        yield

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        yield
        self.current = before

    @contextmanager
    def graph(self, graph: Any, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.log.append("recording")
        yield
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        self.log.append("recorded")


def recorded(cuda: Cuda) -> Program:
    module = fused()
    (shape,) = [(3, 16, 16)]
    signature = module._signature((image(2, *shape),))
    return Program(module.plan(signature), module._reference, torch.device("cpu"), Recorder(torch.device("cpu"), cuda))


def test_launches_are_recorded_and_replayed(planned: None) -> None:
    cuda = Cuda()
    program = recorded(cuda)
    recorded_last = ["side waits for main", "side synchronised", "recording", "recorded", "main waits for side"]
    assert cuda.log == ["main done", "main done", *recorded_last]  # weights folded, kernels compiled
    assert program.notes == []
    cuda.log.clear()
    for _ in range(2):
        program(image())
    assert cuda.log == ["replay", "main done", "replay", "main done"]


def test_streams_wait_for_each_other(planned: None) -> None:
    cuda = Cuda()
    program = recorded(cuda)
    cuda.log.clear()
    program(image())
    with cuda.stream(Stream(cuda.log, "other")):
        program(image())
        program(image())
        program.refold()
    program(image())
    assert cuda.log == [
        *("replay", "main done"),
        *("other waits", "replay", "other done"),
        *("replay", "other done"),
        "other done",
        *("main waits", "replay", "main done"),
    ]


def test_without_recording_streams_wait_all_the_same(planned: None) -> None:
    cuda, module = Cuda(), fused()
    made = module.plan(module._signature((image(),)))
    recorder = Recorder(torch.device("cpu"), cuda)
    program = Program(made, module._reference, torch.device("cpu"), recorder, graphs=False)
    cuda.log.clear()
    with torch.inference_mode():
        assert_same(program(image())[0], module._reference(image()))
    with cuda.stream(Stream(cuda.log, "other")):
        program(image())
    assert cuda.log == ["main done", "other waits", "other done"]


def test_what_cannot_be_recorded_runs_all_the_same(planned: None) -> None:
    cuda = Cuda(fails=True)
    program = recorded(cuda)
    assert program.notes == ["without a CUDA graph: operation not permitted when stream is capturing"]
    assert "synchronised" in cuda.log
    module, x = fused(), image()
    with torch.inference_mode():
        assert_same(program(x)[0], module._reference(x))


def test_devices_that_have_no_kernels() -> None:
    assert devices.rates_of(torch.device("cpu")) == DEVICES["cpu"]
    assert devices.rates_of(torch.device("mps")) == "there are no kernels for mps devices"


@needs_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "densenet121", "squeezenet1_1", "shufflenet_v2_x1_0"])
def test_shipped_networks_on_a_gpu(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = shaken(netdsl.load(name).compile(backend="triton")).eval().cuda().to(dtype)
    x = torch.randn(4, 3, 224, 224, device="cuda", dtype=dtype)
    with torch.inference_mode(), without_notes():
        wanted = module._reference.float()(x.float()).to(dtype)
        module.to(dtype)
        for _ in range(3):
            assert_same(module(x), wanted, {torch.float32: 1e-2, torch.float16: 2e-2}.get(dtype, 8e-2))
        (program,) = module.programs.values()
        assert program.recording is not None


@needs_gpu
@pytest.mark.gpu
def test_a_replay_allocates_nothing_but_its_results() -> None:
    module = shaken(netdsl.load("resnet18").compile(backend="triton")).eval().cuda().half()
    x = torch.randn(4, 3, 224, 224, device="cuda", dtype=torch.half)
    with torch.inference_mode():
        module(x)
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        module(x)
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before + 1


@needs_gpu
@pytest.mark.gpu
def test_streams_and_threads_on_a_gpu() -> None:
    module = shaken(netdsl.load("resnet18", input="3x64x64").compile(backend="triton")).eval().cuda().half()
    inputs = [torch.randn(2, 3, 64, 64, device="cuda", dtype=torch.half) for _ in range(4)]
    with torch.inference_mode():
        wanted = [module(x) for x in inputs]
        torch.cuda.synchronize()
    found: dict[int, list[Tensor]] = {}

    def work(i: int) -> None:
        with torch.inference_mode(), torch.cuda.stream(torch.cuda.Stream()):
            found[i] = [module(inputs[i]) for _ in range(20)]
            torch.cuda.current_stream().synchronize()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, y in enumerate(wanted):
        assert all(torch.equal(one, y) for one in found[i])


# --- generated files --------------------------------------------------------------------------------------------------


def test_a_generated_file_has_all_that_is_needed(planned: None) -> None:
    net = loads(TEXT)
    text = BACKEND.emit(net)
    namespace: dict[str, Any] = {"__name__": "generated"}
    sys.modules["generated"] = type(sys)("generated")
    exec(compile(text, "generated.py", "exec"), namespace)
    module, x = shaken(namespace["fused"](programs=3)).eval(), image()
    assert isinstance(module, FusedModule)
    with torch.inference_mode(), without_notes():
        assert_same(module(x), module._reference(x))
        assert len(module.programs) == 1
    assert type(module._reference) is namespace["T"]


def test_a_generated_file_without_netdsl(tmp_path: Path) -> None:
    (tmp_path / "generated.py").write_text(BACKEND.emit(loads(TEXT)), encoding="utf-8")
    code = (
        "import sys; sys.modules['netdsl_triton'] = None; import generated, torch; "
        "m = generated.fused(); print(type(m).__name__, tuple(m.eval()(torch.zeros(1, 3, 16, 16)).shape))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "T (1, 5)\n", done.stderr


@pytest.mark.parametrize("name", ["googlenet", "densenet_40_12", "unet_padded", "lstm_digits", "vit_b_16", "fcn8s"])
def test_graphs_are_written_and_read(name: str) -> None:
    graph = flat(netdsl.load(name).graph)
    text = serial.dumps(graph)
    found = serial.loads(text)
    assert serial.dumps(found) == text
    assert [(node.name, node.op, node.inputs, node.type) for node in found.nodes] == [
        (node.name, node.op, node.inputs, node.type) for node in graph.nodes
    ]
    assert [(out.name, out.value, out.training) for out in found.outputs] == [
        (out.name, out.value, out.training) for out in graph.outputs
    ]


def test_a_network_that_is_too_long_is_not_written() -> None:
    with pytest.raises(UsageError, match="more than 200,000 elements: the torch backend writes it"):
        loads("net t\ninput 1 x 4 x 4\n(CONV 1) * 250000\n").emit("triton")


WRITTEN = serial.dumps(flat(loads(TEXT).graph))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (WRITTEN, "", "JSONDecodeError"),
        (WRITTEN, "[]", "another version"),
        ('"format": 1', '"format": 2', "another version"),
        ('{"op": "relu"}', '{"op": "perceptron"}', "there is no op 'perceptron'"),
        ('"groups": 1', '"branches": 1', "conv has no 'branches'"),
        ("[3, 16, 16]", "[3, -16, 16]", "no sizes"),
        ("[3, 16, 16]", "[]", "no sizes"),
        ('"8 x 16 x 16"', '"8 x 16 x 17"', "is 8 x 16 x 16, and 8 x 16 x 17 is written"),
        (", [0], ", ", [99], ", "reads what is not there"),
        ('"outputs": [["output"', '"outputs": [[7', "no name"),
        ('"kernel": [3, 3]', '"kernel": "3x3"', "cannot be read"),
    ],
)
def test_a_graph_that_was_changed(old: str, new: str, said: str) -> None:
    assert old in WRITTEN
    with pytest.raises(UsageError, match="the graph cannot be read") as caught:
        serial.loads(WRITTEN.replace(old, new, 1))
    assert said in str(caught.value)
