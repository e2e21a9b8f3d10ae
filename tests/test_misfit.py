"""What does a call say that failed?  Which input the text declares, what came, what to do, and where PyTorch stopped.

For the module of the PyTorch backend, for the fused one on a CPU, for copies, and for the fused form of a file.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import netdsl
from netdsl_torch.expected import expected_of
from netdsl_torch.misfit import wrong_call

IMAGE = """\
net t(classes=5)
input 3 x 16 x 12
default CONV bn relu
CONV 8 /2
(CONV 8 -> CONV 8) * 2
FC classes
"""
PYRAMID = """\
net fcn
input image = 3 x H x W
skip = CONV 8 relu
POOL -> CONV 8 relu -> UPSAMPLE
identity | skip
CONV 3 1x1
"""
TWO = "net two\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\nleft + right\nCONV 4 relu -> GAP -> FC 2\n"
WORDS = "net words\ninput text = 6\nEMBED 10 4\nGAP -> FC 3\n"
ON_ONE = "net tiny\ninput 4\nFC 8 -> BN -> RELU -> FC 2\n"
BACKENDS = ["torch", "triton"]


def made(text: str, backend: str = "torch") -> nn.Module:
    """The network in inference; `test.net` is its file."""
    return netdsl.loads(text, name="some/folder/test.net").compile(backend).eval()


def failure(module: nn.Module, *inputs: Any, **named: Any) -> tuple[Exception, str]:
    with torch.inference_mode(), pytest.raises(Exception) as caught:
        module(*inputs, **named)
    assert isinstance(caught.value, Exception)
    return caught.value, str(caught.value)


x = torch.randn(2, 3, 16, 12, generator=torch.Generator().manual_seed(0))

CASES = [
    (x[0], "given 3 x 16 x 12", "the batch axis is missing: `x.unsqueeze(0)`"),
    (x.permute(0, 2, 3, 1), "given 2 x 16 x 12 x 3", "the channels stand second: `x.permute(0, 3, 1, 2)`"),
    (x[0].permute(1, 2, 0), "given 16 x 12 x 3", "and a batch axis before them: `x.permute(2, 0, 1).unsqueeze(0)`"),
    (x[:, :1], "given 2 x 1 x 16 x 12", "one channel for all 3: `x.expand(-1, 3, -1, -1)`"),
    (torch.zeros(2, 4, 16, 12), "given 2 x 4 x 16 x 12", "without the fourth, of transparency: `x[:, :3]`"),
    (torch.zeros(2, 7, 16, 12), "given 2 x 7 x 16 x 12", "or another input in the text: `input 7 x 16 x 12`"),
    (x[None, :1], "given 1 x 1 x 3 x 16 x 12", "there is an axis too many: `x.squeeze(0)`"),
    (torch.zeros(5), "given 5", "PyTorch stopped at conv1"),
    (torch.tensor(1.0), "given a single number", "PyTorch stopped at conv1"),
    (torch.zeros(2, 3, 32, 32), "given 2 x 3 x 32 x 32", "`torch.nn.functional.interpolate(x, (16, 12))` resizes it"),
    (torch.zeros(2, 3, 32, 32), "given 2 x 3 x 32 x 32", "`netdsl check test.net --input 3x32x32` says"),
    (
        torch.zeros(2, 3, 32, 32),
        "given 2 x 3 x 32 x 32",
        "stopped at fc1 (test.net:6): proven 384 -> 5, arrived 2 x 2048",
    ),
    (x.numpy(), "given a numpy.ndarray", "an array becomes a tensor by `torch.from_numpy(x).float()`"),
    (np.zeros((16, 12, 3), np.uint8), "given a numpy.ndarray", "`torch.from_numpy(x).float() / 255`"),
    (np.zeros((16, 12, 3), np.uint8), "given a numpy.ndarray", "`x.permute(2, 0, 1).unsqueeze(0)`"),
    ([x[0], x[0]], "given a list", "tensors of one shape become a batch by `torch.stack(x)`"),
    (x.tolist(), "given a list", "a tensor is needed: `torch.as_tensor(x)`"),
    ("image.png", "given a str", "a tensor is needed"),
    (None, "given None", "input `input` of t is N x 3 x 16 x 12 (test.net:2)"),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("given", "came", "said"), CASES)
def test_an_input_of_another_form(given: Any, came: str, said: str, backend: str) -> None:
    error, message = failure(made(IMAGE, backend), given)
    assert message.startswith("input `input` of t is N x 3 x 16 x 12 (test.net:2), and it was " + came)
    assert said in message
    assert type(error) is type(error.__cause__)
    assert str(error.__cause__).splitlines()[0] in message


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("dtype", "help_"),
    [
        (torch.uint8, "`x.float() / 255`"),
        (torch.int64, "`x.float()`"),
        (torch.float64, "`x.to(torch.float32)`"),
        (torch.float16, "or the network: `net.to(torch.float16)`"),
        (torch.bfloat16, "`x.to(torch.float32)`"),
    ],
)
def test_an_input_of_another_type(dtype: torch.dtype, help_: str, backend: str) -> None:
    _, message = failure(made(IMAGE, backend), x.to(dtype))
    assert message.startswith(f"input `input` (test.net:2) of t was given {dtype}, and the weights are torch.float32\n")
    assert f"help: {help_}" in message


def test_types_of_a_network_that_was_converted() -> None:
    module = made(IMAGE).to(torch.bfloat16)
    _, message = failure(module, x)
    assert "was given torch.float32, and the weights are torch.bfloat16" in message
    assert "`x.to(torch.bfloat16)`" in message
    assert "`x.to(torch.bfloat16) / 255`" in failure(module, (x * 9).to(torch.uint8))[1]


def test_another_device() -> None:
    error, message = failure(made(IMAGE), x.to("meta"))
    assert message.startswith("input `input` (test.net:2) of t is on meta, and the weights are on cpu\n")
    assert "`x.to('cpu')` brings it there; `net.to('meta')` brings the network" in message
    assert isinstance(error.__cause__, type(error))


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_number_of_inputs(backend: str) -> None:
    one, two, y = made(IMAGE, backend), made(TWO, backend), torch.zeros(2, 3, 8, 8)
    said = "t takes 1 input, `input` (N x 3 x 16 x 12, test.net:2), and was given "
    assert failure(one)[1].startswith(said + "0\n")
    assert failure(one, x, x)[1].startswith(said + "2\n")
    assert "`torch.stack(images)`" in failure(one, x, x)[1]
    assert failure(one, image=x)[1].startswith(said + "1 (`image` is none of them)\n")
    said = "two takes 2 inputs, `left` (N x 3 x 8 x 8, test.net:2), `right` (N x 3 x 8 x 8, test.net:3), and was given "
    assert failure(two, y)[1].startswith(said + "1\n")
    assert failure(two, [y, y])[1].startswith(said + "1: a list\n  = help: pass what is in it one by one: `net(*x)`")
    assert "`net(**x)`" in failure(two, {"left": y, "right": y})[1]
    assert failure(two, y, left=y)[0].__class__ is TypeError
    assert two(left=y, right=y).shape == two(y, right=y).shape == (2, 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inputs_that_do_not_fit_one_another(backend: str) -> None:
    two, y = made(TWO, backend), torch.zeros(2, 3, 8, 8)
    assert failure(two, y, torch.zeros(3, 3, 8, 8))[1].startswith(
        "the inputs of two have different numbers of samples: 2 in `left` and 3 in `right`\n"
    )
    assert (
        "input `right` of two is N x 3 x 8 x 8 (test.net:3), and it was given 2 x 3 x 8 x 4"
        in failure(two, y, y[..., :4])[1]
    )
    assert "--input right=3x8x4" in failure(two, y, y[..., :4])[1]
    shared = made("net s\ninput a = 3 x H x 8\ninput b = 3 x H x 8\na + b\nCONV 2 relu\n", backend)
    assert "the inputs of s share H, and it came as 4 and 8" in failure(shared, y, y[:, :, :4])[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_open_sizes_name_the_constraint_and_its_line(backend: str) -> None:
    module = made(PYRAMID, backend)
    error, message = failure(module, torch.zeros(1, 3, 33, 32))
    lines = message.splitlines()
    assert lines[0] == "fcn was given H = 33: H must be a multiple of 2"
    assert lines[1] == "  = asked for at test.net:4: (W - k + 2p) must be divisible by 2: H = (H - 2 + 2*0)/2 + 1"
    assert lines[2] == "  = help: H = 32 or 34 fits"
    assert "(test.net:5): proven 16 x H x W, arrived 1 x 8 x 32 x 32 and 1 x 8 x 33 x 32" in lines[3]
    assert isinstance(error, RuntimeError)
    assert "`x.permute(0, 3, 1, 2)`" in failure(module, torch.zeros(1, 32, 32, 3))[1]


def test_a_batch_of_one_in_training() -> None:
    module = made(ON_ONE).train()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel") as caught:
        module(torch.zeros(1, 4))
    said = str(caught.value).splitlines()
    assert said[0] == "tiny failed at bn1 (test.net:3): proven 8 -> 8, arrived 1 x 8"
    assert said[1].startswith("  = help: in training a batch norm needs several values of each channel")
    assert module.eval()(torch.zeros(1, 4)).shape == (1, 2)


@pytest.mark.parametrize("backend", BACKENDS)
def test_words_outside_the_vocabulary(backend: str) -> None:
    error, message = failure(made(WORDS, backend), torch.full((2, 6), 12))
    assert isinstance(error, IndexError)
    assert message.startswith("words failed at embedding1 (test.net:3): proven 6 -> 4 x 6, arrived 2 x 6\n")
    assert "the words are numbers from 0 to 9, and 12 to 12 came" in message


def test_sizes_that_pytorch_can_run_still_run() -> None:
    net = netdsl.loads("net r\ninput 3 x 32 x 32\nCONV 4 relu /2 -> GAP -> FC 3\n")
    for backend in BACKENDS:
        module = net.compile(backend).eval()
        for size in (32, 33, 57):
            assert module(torch.zeros(2, 3, size, size)).shape == (2, 3)


# --- what stays as it is ---------------------------------------------------------------------------------------------


class Stop(Exception):
    """Of somebody else."""


@pytest.mark.parametrize("kind", [Stop, ValueError, RuntimeError])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_hook_raises_is_its_own_affair(kind: type[Exception], backend: str) -> None:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        raise kind("enough")

    module = made(IMAGE, backend)
    next(m for m in module.modules() if isinstance(m, nn.Linear)).register_forward_pre_hook(hook)
    error, message = failure(module, torch.zeros(1, 3, 32, 32))
    assert type(error) is kind
    assert message == "enough"
    assert error.__cause__ is None


def test_running_out_of_memory_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    module = made(IMAGE)

    def full(self: Any, x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(nn.Linear, "forward", full)
    error, message = failure(module, x)
    assert (type(error), message, error.__cause__) == (torch.OutOfMemoryError, "no memory", None)


def test_a_fault_is_explained_once() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = made(IMAGE)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.inner(x)
            return y

    error, message = failure(Outer(), x[:, :1])
    assert message.count("test.net:2") == 1
    assert error.__cause__ is not None
    assert error.__cause__.__cause__ is None


def test_a_subclass_and_a_network_inside_another() -> None:
    base = type(made(IMAGE))

    class Mine(base):  # type: ignore[valid-type,misc]
        pass

    assert "(test.net:2)" in failure(Mine().eval(), x[:, :1])[1]


# --- copies, files, other processes ----------------------------------------------------------------------------------


def test_copies_and_pickles_say_the_same() -> None:
    module = made(IMAGE)
    wanted = failure(module, x[:, :1])[1]
    assert failure(copy.deepcopy(module), x[:, :1])[1] == wanted
    assert failure(pickle.loads(pickle.dumps(module)), x[:, :1])[1] == wanted
    torch.testing.assert_close(copy.deepcopy(module)(x), module(x))


def test_another_process_says_nearly_the_same(tmp_path: Path) -> None:
    """It has no graph, and tells lines and shapes by the comments of the source."""
    torch.save(made(IMAGE), tmp_path / "net.pt")
    torch.save(made(PYRAMID), tmp_path / "fcn.pt")
    code = (
        "import sys, torch\n"
        "for name, shape in (('net', (2, 3, 32, 32)), ('fcn', (1, 3, 33, 32))):\n"
        "    try: torch.load(f'{sys.argv[1]}/{name}.pt', weights_only=False)(torch.zeros(shape))\n"
        "    except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert "input `input` of t is N x 3 x 16 x 12 (test.net:2), and it was given 2 x 3 x 32 x 32" in done.stdout
    assert "PyTorch stopped at fc1 (test.net:6): proven 5, arrived 2 x 2048" not in done.stdout
    assert "PyTorch stopped at fc1 (test.net:6): arrived 2 x 2048" in done.stdout
    assert "fcn was given H = 33: H must be a multiple of 2\n  = asked for at test.net:4" in done.stdout


def test_the_fused_form_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_net.py").write_text(netdsl.loads(IMAGE, name="test.net").emit("triton"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import some_net  # type: ignore[import-not-found]

    module = some_net.fused().eval()
    assert failure(module, x[:, :1])[1].startswith(
        "input `input` of t is N x 3 x 16 x 12, and it was given 2 x 1 x 16 x 12\n"
    )
    assert "PyTorch stopped at fc1 (test.net:6)" in failure(module, torch.zeros(2, 3, 32, 32))[1]
    sys.modules.pop("some_net")


def test_the_source_does_without_netdsl(tmp_path: Path) -> None:
    source = netdsl.loads(IMAGE, name="test.net").emit()
    assert "import netdsl" not in source
    assert "N x 3 x 16 x 12 -> N x 5." in source


# --- calls that work -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [IMAGE, PYRAMID.replace("H x W", "16 x 12")])
def test_export_compile_script_and_trace_are_as_they_were(text: str) -> None:
    module = made(text)
    wanted = module(x)
    torch.testing.assert_close(torch.compile(module, fullgraph=True, backend="eager")(x), wanted)
    for strict in (False, True):
        torch.testing.assert_close(torch.export.export(module, (x,), strict=strict).module()(x), wanted)
    torch.testing.assert_close(torch.fx.symbolic_trace(module)(x), wanted)
    torch.testing.assert_close(torch.jit.trace(module, x)(x), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(x).dtype == torch.bfloat16
    assert copy.deepcopy(module).to("meta")(x.to("meta")).shape == wanted.shape
    params = dict(module.named_parameters())
    torch.testing.assert_close(torch.func.functional_call(module, params, (x,)), wanted)


def test_inside_a_compiled_model_the_network_is_no_break_in_the_graph() -> None:
    model = nn.Sequential(made(IMAGE), nn.ReLU()).eval()
    found = torch.compile(model, fullgraph=True, backend="eager")(x)
    torch.testing.assert_close(found, model(x))


def test_nothing_is_looked_at_while_calls_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*given: object) -> None:
        raise AssertionError("a call that works was looked at")

    monkeypatch.setattr("netdsl_torch.misfit.explained", never)
    for backend in BACKENDS:
        assert made(IMAGE, backend)(x).shape == (2, 5)


def test_the_check_is_a_function_of_what_is_given() -> None:
    """No call is needed: an editor or a notebook may ask beforehand."""
    net = netdsl.loads(IMAGE, name="test.net")
    module, expected = net.compile(), expected_of(net)
    assert wrong_call(module, (x,), {}, expected) is None
    found = wrong_call(module, (x.double(),), {}, expected)
    assert found is not None
    assert found.message.endswith("was given torch.float64, and the weights are torch.float32")
