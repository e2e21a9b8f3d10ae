"""Layers on sequences: they are PyTorch's, PyTorch does with them what it does with others, and they learn."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import netdsl
from netdsl.net import Net

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402


def loads(lines: str, input: str = "8 x 10") -> Net:
    return netdsl.loads(f"net t\ninput {input}\n{lines}\n", name="test.net")


def made(lines: str, input: str = "8 x 10") -> nn.Module:
    torch.manual_seed(0)
    module: nn.Module = loads(lines, input).compile()
    return module


# --- the layers are PyTorch's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [False, True], ids=["sequence", "last"])
@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", {}),
        ("nobias", {"bias": False}),
        ("layers=3", {"num_layers": 3}),
        ("bidirectional", {"bidirectional": True}),
        ("bidirectional layers=2", {"bidirectional": True, "num_layers": 2}),
    ],
)
@pytest.mark.parametrize(("op", "peer"), [("RNN", nn.RNN), ("GRU", nn.GRU), ("LSTM", nn.LSTM)])
def test_recurrent_layers_are_those_of_torch(op: str, peer: Any, words: str, options: Any, last: bool) -> None:
    ours = made(f"{op} 6 {words} {'last' if last else ''}")
    theirs = peer(8, 6, batch_first=True, **options)
    part = ours.get_submodule(f"{op.lower()}1")
    theirs.load_state_dict(part.state_dict())
    x = torch.randn(3, 8, 10)
    y, state = theirs(x.mT)
    h = state[0] if op == "LSTM" else state
    wanted = torch.cat([*h[-2 if "bidirectional" in words else -1 :]], 1) if last else y.mT
    torch.testing.assert_close(ours(x), wanted)


def test_a_recurrent_layer_with_relu() -> None:
    ours, theirs = made("RNN 6 relu"), nn.RNN(8, 6, nonlinearity="relu", batch_first=True)
    theirs.load_state_dict(ours.get_submodule("rnn1").state_dict())
    x = torch.randn(3, 8, 10)
    torch.testing.assert_close(ours(x), theirs(x.mT)[0].mT)


def test_the_last_state_of_the_second_direction_is_at_the_first_step() -> None:
    whole, last = made("LSTM 5 bidirectional"), made("LSTM 5 bidirectional last")
    last.load_state_dict(whole.state_dict())
    x = torch.randn(2, 8, 10)
    y = whole(x)
    torch.testing.assert_close(last(x), torch.cat([y[:, :5, -1], y[:, 5:, 0]], 1))


@pytest.mark.parametrize(("words", "options"), [("", {}), ("nobias", {"bias": False})])
def test_attention_is_that_of_torch(words: str, options: Any) -> None:
    ours, theirs = made(f"ATTENTION 4 {words}"), nn.MultiheadAttention(8, 4, batch_first=True, **options)
    theirs.load_state_dict(ours.get_submodule("attention1").state_dict())
    x = torch.randn(3, 8, 10)
    torch.testing.assert_close(ours(x), theirs(x.mT, x.mT, x.mT)[0].mT)


def test_attention_keeps_no_order_without_positions() -> None:
    module, order = made("ATTENTION 2").eval(), torch.randperm(10)
    x = torch.randn(1, 8, 10)
    torch.testing.assert_close(module(x[:, :, order]), module(x)[:, :, order])


def test_causal_attention_does_not_see_ahead() -> None:
    module = made("ATTENTION 2 causal -> ATTENTION 4 causal").eval()
    x = torch.randn(1, 8, 10)
    other = x.clone()
    other[:, :, 6:] = 0
    torch.testing.assert_close(module(x)[:, :, :6], module(other)[:, :, :6])
    assert not torch.allclose(module(x)[:, :, 6:], module(other)[:, :, 6:])


def test_dropout_of_attention_and_between_layers_is_in_training_alone() -> None:
    for lines in ("ATTENTION 2 dropout=0.5", "GRU 6 layers=2 dropout=0.5"):
        module, x = made(lines), torch.randn(2, 8, 10)
        assert torch.equal(module.eval()(x), module(x))
        assert not torch.equal(module.train()(x), module(x))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, torch.float32])
def test_words_may_be_numbers_of_any_type(dtype: torch.dtype) -> None:
    module = made("EMBED 30 5", "12")
    x = torch.randint(30, (2, 12))
    wanted = module.get_parameter("embedding1.weight")[x].mT
    torch.testing.assert_close(module(x.to(dtype)), wanted)


def test_a_sequence_may_have_any_length() -> None:
    text = "EMBED 30 6 -> POSITIONS sinusoidal -> (identity + ATTENTION 2) -> LSTM 4 -> TOKENS 3"
    module = made(text, "W").eval()
    assert [tuple(module(torch.randint(30, (2, w))).shape) for w in (1, 7, 50)] == [(2, 4, w + 3) for w in (1, 7, 50)]


def test_waves_are_those_of_the_paper() -> None:
    """Vaswani et al. 2017, section 3.5: wavelengths from 2 pi to 10000 * 2 pi."""
    y = made("POSITIONS sinusoidal", "4 x 3")(torch.zeros(1, 4, 3))
    t = torch.arange(3.0)
    torch.testing.assert_close(y[0], torch.stack([t.sin(), t.cos(), (t / 100).sin(), (t / 100).cos()]))


# --- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines", ["ATTENTION 4", "ATTENTION 1 nobias", "TOKENS 2 -> ATTENTION 2", "CONV 6 k=1 -> FC 3"]
)
def test_multiply_accumulates_are_those_that_torch_counts(lines: str) -> None:
    net = loads(lines)
    module = net.compile().train()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # other kernels are not counted
        module(torch.randn(1, 8, 10))
    assert counter.get_total_flops() == 2 * net.macs


@pytest.mark.parametrize(
    ("lines", "each"),
    [
        ("RNN 6", 6 * (8 + 6)),
        ("GRU 6 nobias", 3 * 6 * (8 + 6)),
        ("LSTM 6 last", 4 * 6 * (8 + 6)),
        ("LSTM 6 bidirectional layers=2", 2 * 4 * 6 * (8 + 6) + 2 * 4 * 6 * (12 + 6)),
    ],
)
def test_recurrent_layers_cost_their_matrices_at_every_step(lines: str, each: int) -> None:
    net = loads(lines)
    assert net.macs == 10 * each
    assert net.params == sum(p.numel() for p in net.compile().parameters())


def test_costs_of_open_lengths_are_formulas() -> None:
    assert str(loads("ATTENTION 2", "8 x W").macs) == "16*W*W + 256*W"
    assert str(loads("LSTM 4", "8 x W").macs) == "192*W"


# --- how they start ---------------------------------------------------------------------------------------------------


def test_attention_starts_as_in_torch_and_other_layers_as_the_network_says() -> None:
    """The output projection is a linear layer to PyTorch, too, and keeps its start all the same."""
    module = made("identity + ATTENTION 8\nCONV 64 k=1 relu -> GAP -> FC 300", "256 x 10")
    out, fc = module.get_parameter("attention1.out_proj.weight"), module.get_parameter("fc1.weight")
    assert out.abs().max() <= 256**-0.5
    assert abs(float(fc.std().detach()) * (64 / 2) ** 0.5 - 1) < 0.05
    assert not module.get_parameter("attention1.in_proj_bias").any()


def test_tokens_and_positions_start_small() -> None:
    module = made("TOKENS 20 -> POSITIONS", "500 x 10")
    for name in ("tokens1.weight", "positions1.weight"):
        assert abs(float(module.get_parameter(name).std().detach()) / 0.02 - 1) < 0.05


# --- what PyTorch does with modules -----------------------------------------------------------------------------------


LAYERS = {
    "RNN": "RNN 6 relu",
    "GRU": "GRU 6 bidirectional last",
    "LSTM": "LSTM 6 layers=2",
    "ATTENTION": "ATTENTION 4 -> ATTENTION 2 causal nobias",
    "TOKENS": "TOKENS 2 -> POSITIONS -> POSITIONS sinusoidal",
    "cuts": "CROP 8 -> SLICE 1 5 -> SLICE 2 W axis=W -> PAD 1 reflect -> PAD channels=2 -> CONV 4 k=3",
    "shapes": "RESHAPE 4 x ? x 4 -> SHUFFLE 2 -> TRANSPOSE 1x0x2 -> FLATTEN spatial -> CONV 4 k=3",
    "sequential": "(PAD 1 -> CROP 10 -> TRANSPOSE -> TRANSPOSE -> RESHAPE 8 x 10 -> FLATTEN spatial -> LSTM C) * 2",
}
every_layer = pytest.mark.parametrize("lines", LAYERS.values(), ids=LAYERS)


@every_layer
def test_copies_and_pickles(lines: str) -> None:
    module = made(lines).eval()
    x = torch.randn(2, 8, 10)
    wanted = module(x)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(x), wanted)
        with torch.no_grad():
            for p in other.parameters():
                p.zero_()
        assert torch.equal(module(x), wanted)


@every_layer
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_it_compiles_as_one_graph(lines: str, training: bool) -> None:
    torch._dynamo.reset()
    module, x = made(lines).train(training), torch.randn(2, 8, 10)
    with torch._dynamo.config.patch(allow_rnn=True):
        found = torch.compile(module, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(found, module(x))
    if training and list(module.parameters()):
        found.sum().backward()
        assert all(p.grad is not None for p in module.parameters())
    torch._dynamo.reset()


@every_layer
@pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights")
def test_it_exports_with_any_batch(lines: str) -> None:
    module, x = made(lines).eval(), torch.randn(2, 8, 10)
    batch = torch.export.Dim("batch")
    program = torch.export.export(module, (x,), dynamic_shapes=({0: batch},))
    for n in (1, 5):
        other = torch.randn(n, 8, 10)
        torch.testing.assert_close(program.module()(other), module(other))


@every_layer
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_of_numbers(lines: str, dtype: torch.dtype) -> None:
    y = made(lines).to(dtype)(torch.randn(2, 8, 10, dtype=dtype))
    assert y.dtype == dtype
    assert y.isfinite().all()


@every_layer
def test_autocast(lines: str) -> None:
    module, x = made(lines).train(), torch.randn(2, 8, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x)
    torch.testing.assert_close(y.float(), module(x), rtol=0.1, atol=0.1)


@every_layer
def test_the_meta_device(lines: str) -> None:
    net = loads(lines)
    with torch.device("meta"):
        module = net.compile()
    y = module(torch.empty(3, 8, 10, device="meta"))
    assert tuple(y.shape) == (3, *next(iter(net.outputs.values())))


# --- they learn -------------------------------------------------------------------------------------------------------


def accuracy_on_digits(name: str) -> float:
    """Trained on two thirds of scikit-learn's 1,797 digits, tried on the rest."""
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(labels))
    train, test = order[:1200], order[1200:]
    module = netdsl.load(name).compile()
    steps = torch.optim.Adam(module.parameters(), lr=5e-3)
    for _ in range(12):
        for batch in train[torch.randperm(len(train))].split(50):
            steps.zero_grad()
            nn.functional.cross_entropy(module(images[batch]), labels[batch]).backward()
            steps.step()
    with torch.no_grad():
        found: Tensor = module.eval()(images[test]).argmax(1)
    return float((found == labels[test]).double().mean())


@pytest.mark.parametrize("name", ["rnn_digits", "lstm_digits"])
def test_recurrent_networks_learn_digits(name: str) -> None:
    assert accuracy_on_digits(name) > 0.9
