"""Do the weights of other implementations find their places?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netdsl
from netdsl import UsageError

torch = pytest.importorskip("torch")

from test_peers import torchvision_models  # noqa: E402
from torch import Tensor, nn  # noqa: E402

TEXT = """net small(classes=10)
input 3 x 8 x 8
default CONV bn relu
stem = CONV 4
GAP -> FC 6 relu
head = FC classes
"""


class Other(nn.Module):
    """The same network by other hands: 1x1 convolutions in place of linear layers, names of its own."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.hidden, self.logits = nn.Conv2d(4, 6, 1), nn.Conv2d(6, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).mean((2, 3), keepdim=True)
        return self.logits(self.hidden(x).relu()).flatten(1)


@pytest.fixture
def other() -> nn.Module:
    torch.manual_seed(0)
    module = Other()
    module(torch.randn(8, 3, 8, 8))  # moves the statistics
    return module.eval()


@pytest.fixture
def net() -> netdsl.Net:
    return netdsl.loads(TEXT, name="small.net")


def test_a_module_a_state_dict_a_file_and_a_checkpoint(net: netdsl.Net, other: nn.Module, tmp_path: Path) -> None:
    torch.save(other.state_dict(), tmp_path / "state.pth")
    torch.save({"epoch": 3, "state_dict": other.state_dict()}, tmp_path / "checkpoint.pth")
    x = torch.randn(2, 3, 8, 8)
    for weights in (other, other.state_dict(), tmp_path / "state.pth", str(tmp_path / "checkpoint.pth")):
        torch.testing.assert_close(net.compile(weights=weights).eval()(x), other(x))


def test_names_that_agree_are_followed_in_any_order(net: netdsl.Net) -> None:
    torch.manual_seed(0)
    one, x = net.compile(), torch.randn(2, 3, 8, 8)
    state = dict(reversed(one.state_dict().items()))
    torch.testing.assert_close(net.compile(weights=state).eval()(x), one.eval()(x))


def test_files_without_counters_load(net: netdsl.Net, other: nn.Module) -> None:
    """Weights of before PyTorch 0.4.1 do not say how many batches a norm has seen."""
    state = {name: value for name, value in other.state_dict().items() if "num_batches" not in name}
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(net.compile(weights=state).eval()(x), other(x))


def test_a_new_head_stays_fresh(other: nn.Module) -> None:
    torch.manual_seed(1)
    module = netdsl.loads(TEXT, name="small.net", classes=3).compile(weights=other, fresh=["head"])
    assert module.head.weight.shape == (3, 6)
    assert torch.equal(module.stem.weight, other.features[0].weight)
    assert not torch.equal(module.head.weight, other.logits.weight[:3].flatten(1))


def broken(kind: str, state: dict[str, Any]) -> Any:
    if kind == "wider":
        return Other(classes=11)
    if kind == "swapped":
        names = ["features.1.bias", "features.1.weight"]
        order = [*(name for name in state if name not in names)]
        order[1:1] = names
        return {name: state[name] for name in order}
    if kind == "shorter":
        return dict(list(state.items())[:-1])
    if kind == "longer":
        return {**state, "aux.weight": torch.zeros(3)}
    if kind == "optimiser":
        return {"lr": 0.1, "weights": state["hidden.bias"]}
    return [1, 2]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("wider", "`head.weight` is 10 x 6, and in its place the weights have `logits.weight`, 11 x 6 x 1 x 1"),
        ("swapped", "`stem_bn.weight` is 4, and in its place the weights have `features.1.bias`, 4"),
        ("shorter", "the network has 9 tensors, the weights have 8: `head.bias` has none"),
        ("longer", "the network has 9 tensors, the weights have 10: `aux.weight` is left over"),
        ("optimiser", "weights are a state dict, and `lr` in it is no tensor"),
        ("list", "weights are a state dict, not list"),
    ],
)
def test_weights_of_another_network_are_refused(net: netdsl.Net, other: nn.Module, kind: str, says: str) -> None:
    module = net.compile()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    from netdsl_torch.weights import load_weights

    with pytest.raises(UsageError) as refused:
        load_weights(module, broken(kind, other.state_dict()))
    assert says in str(refused.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items()), "something was loaded"


def test_files_that_hold_no_weights(net: netdsl.Net, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none\.pth: No such file"):
        net.compile(weights=tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("not a pickle")
    with pytest.raises(UsageError, match=r"text\.pth holds no weights"):
        net.compile(weights=tmp_path / "text.pth")


def test_a_label_that_is_not_there(net: netdsl.Net, other: nn.Module) -> None:
    with pytest.raises(UsageError, match="nothing in the network is called `haed`: `head`"):
        net.compile(weights=other, fresh=["haed"])


def test_a_modules_own_tensors_may_stand_before_its_parts() -> None:
    from netdsl_torch.weights import parts_first

    names = ["token", "0.scale", "0.conv.weight", "0.conv.bias", "0.mlp.0.weight", "1.weight", "1.bias"]
    order = ["0.conv.weight", "0.conv.bias", "0.mlp.0.weight", "0.scale", "1.weight", "1.bias", "token"]
    assert list(parts_first(dict.fromkeys(names, torch.zeros(1)))) == order


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "regnet_y_400mf", "efficientnet_b0", "convnext_tiny"])
def test_torchvisions_weights(name: str) -> None:
    peer = getattr(torchvision_models(), name)().eval()
    module = netdsl.load(name).compile(weights=peer).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(module(x), peer(x))
