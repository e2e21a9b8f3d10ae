"""What every backend must do, whatever it writes: run over all that are installed."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import Any

import pytest

import netdsl
from netdsl import UsageError
from netdsl.backend import Backend, backend_for, backends, installed, load_backend, written_by
from netdsl.net import Net

EVERY: tuple[Backend, ...] = tuple(backends())
every_backend = pytest.mark.parametrize("backend", EVERY, ids=[backend.name for backend in EVERY])

NETS = {
    "lenet5": lambda: netdsl.load("lenet5"),
    "resnet18": lambda: netdsl.load("resnet18", input="3x32x32", classes=5),
    "training outputs": lambda: netdsl.load("googlenet", input="3x80x80", classes=4),
    "inputs and outputs": lambda: netdsl.loads(
        "net t\ninput left = 3 x 8 x 8\ninput right = 3 x 4 x 4\na = left -> CONV 4 bn relu\n"
        "b = right -> UPSAMPLE -> CONV 4 2x2\nc = a | b\nd = a + b\noutput c, d\n",
        name="t.net",
    ),
    "open sizes": lambda: netdsl.loads(
        "net t\ninput 3 x H x W\nresidual(CONV 4 /2 bn relu) -> (CONV 4 relu) * 3\nGAP -> FC 7\n", name="t.net"
    ),
}  # fmt: skip
every_net = pytest.mark.parametrize("make", NETS.values(), ids=NETS)


def fresh(code: str) -> str:
    """What a fresh process prints. It must end well."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_backend() -> None:
    assert "torch" in installed()


@every_backend
def test_it_has_what_the_protocol_asks_for(backend: Backend) -> None:
    assert installed()[backend.name].load() is backend
    assert load_backend(backend.name) is backend
    assert backend.name.isidentifier()
    assert isinstance(backend.suffixes, tuple)
    assert written_by(backend)
    for suffix in written_by(backend):
        assert suffix.startswith(".")
        assert suffix == suffix.lower()
    for suffix in backend.suffixes:
        assert backend_for(suffix) is backend
    for method in ("emit", "build", "is_generated"):
        assert callable(getattr(backend, method))


def test_a_suffix_belongs_to_one_backend() -> None:
    suffixes = [suffix for backend in EVERY for suffix in backend.suffixes]
    assert len(set(suffixes)) == len(suffixes)


# --- the text ---------------------------------------------------------------------------------------------------------


@every_backend
@every_net
def test_equal_networks_give_equal_texts(backend: Backend, make: Any) -> None:
    one, two = make(), make()
    assert one is not two
    text = backend.emit(one)
    assert text == backend.emit(one) == backend.emit(two) == one.emit(backend.name)


@every_backend
@every_net
def test_the_text_is_a_tidy_file(backend: Backend, make: Any) -> None:
    text = backend.emit(make())
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert not [line for line in text.split("\n") if line != line.rstrip() or "\t" in line or "\r" in line]
    text.encode("utf-8")


@every_backend
def test_different_networks_give_different_texts(backend: Backend) -> None:
    texts = {backend.emit(make()) for make in NETS.values()}
    assert len(texts) == len(NETS)
    assert backend.emit(netdsl.load("lenet5", classes=7)) not in texts


def test_emitting_imports_no_framework() -> None:
    printed = fresh("""
        import sys
        import netdsl
        from netdsl.backend import backends
        for backend in backends():
            for name in ("lenet5", "googlenet", "resnet18"):
                assert backend.is_generated(backend.emit(netdsl.load(name)))
            print(backend.name)
        heavy = {"torch", "torchvision", "triton", "numpy", "onnx", "jax", "tensorflow"} & set(sys.modules)
        assert not heavy, heavy
    """)
    assert printed.split() == [backend.name for backend in EVERY]


def test_listing_the_backends_loads_none() -> None:
    fresh("""
        import sys
        from netdsl.backend import installed
        assert installed()
        assert not [name for name in sys.modules if name.startswith("netdsl_")]
    """)


# --- what may be replaced ---------------------------------------------------------------------------------------------


@every_backend
@every_net
def test_it_knows_its_own_text(backend: Backend, make: Any) -> None:
    assert backend.is_generated(backend.emit(make()))


@every_backend
def test_it_sees_every_change(backend: Backend) -> None:
    text = backend.emit(netdsl.load("lenet5"))
    lines = text.splitlines(keepends=True)
    changed = [
        text + "\n",
        text + "# mine\n",
        "# mine\n" + text,
        text[:-1],
        text.replace("    ", "\t", 1),
        text.replace("\n", "\r\n"),
        "".join(lines[:-1]),
        "".join(lines[1:]),
        "".join(sorted(lines)),
        text + text,
        *("".join(lines[:i] + lines[i + 1 :]) for i in range(len(lines)) if lines[i].strip()),
    ]
    assert not [other for other in changed if backend.is_generated(other)]


@every_backend
def test_it_sees_the_change_of_a_single_character(backend: Backend) -> None:
    text = backend.emit(netdsl.load("lenet5"))
    missed = []
    for i, c in enumerate(text):
        other = text[:i] + ("#" if c != "#" else "-") + text[i + 1 :]
        if backend.is_generated(other):
            missed.append(text[max(0, i - 20) : i + 20])
    assert not missed


@every_backend
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "import torch\n",
        "hello",
        "\x00",
        "é \U0001f642",
        "Written by netdsl",
        '"""Written by netdsl from a.net, checksum 000000000000."""\n',
        '"""Written by netdsl from a.net, checksum zzz."""\n',
        "checksum",
    ],
)
def test_it_does_not_claim_what_others_wrote(backend: Backend, text: str) -> None:
    assert not backend.is_generated(text)


@every_backend
def test_it_does_not_claim_what_other_backends_wrote(backend: Backend) -> None:
    net = netdsl.load("lenet5")
    for other in EVERY:
        if other is not backend and set(written_by(other)) & set(written_by(backend)):
            assert not backend.is_generated(other.emit(net))


# --- what runs --------------------------------------------------------------------------------------------------------


def sizes(net: Net, shape: tuple[Any, ...]) -> list[int]:
    """A shape with 8 for every open size."""
    return [n if isinstance(n, int) else 8 for n in shape]


@every_backend
@every_net
def test_what_it_builds_runs(backend: Backend, make: Any) -> None:
    torch = pytest.importorskip("torch")
    net = make()
    built = backend.build(net)
    inputs = [torch.randn(2, *sizes(net, shape)) for shape in net.inputs.values()]

    def shapes(result: Any) -> list[list[int]]:
        every = result if isinstance(result, tuple) else (result,)
        assert all(y.isfinite().all() for y in every)
        return [list(y.shape) for y in every]

    wanted = [[2, *sizes(net, shape)] for shape in net.outputs.values()]
    heads = [[2, *sizes(net, shape)] for shape in net.training_outputs.values()]
    with torch.no_grad():
        assert shapes(built.eval()(*inputs)) == wanted
        assert shapes(built.train()(*inputs)) == wanted + heads


@every_backend
def test_building_leaves_the_network_as_it_was(backend: Backend) -> None:
    pytest.importorskip("torch")
    net = netdsl.load("lenet5")
    before = backend.emit(net)
    one, two = backend.build(net), net.compile(backend.name)
    assert one is not two
    assert backend.emit(net) == before


def test_without_torch_the_source_is_written_and_building_says_what_is_missing() -> None:
    printed = fresh("""
        import sys
        sys.modules["torch"] = None
        import netdsl
        net = netdsl.load("lenet5")
        assert net.emit("torch")
        try:
            net.compile("torch")
        except netdsl.UsageError as error:
            print(error)
    """)
    assert 'pip install "netdsl[torch]"' in printed


# --- errors name what there is ----------------------------------------------------------------------------------------


def test_an_unknown_backend() -> None:
    with pytest.raises(UsageError, match=r"there is no backend 'torhc': did you mean 'torch'\?"):
        load_backend("torhc")
    with pytest.raises(UsageError, match=r"there is no backend 'cobol': installed are .*torch"):
        load_backend("cobol")
    for use in (netdsl.load("lenet5").emit, netdsl.load("lenet5").compile):
        with pytest.raises(UsageError, match="there is no backend 'cobol'"):
            use("cobol")
    with pytest.raises(UsageError, match="there is no backend 'cobol'"):
        netdsl.compile("lenet5", backend="cobol")


@pytest.mark.parametrize(("suffix", "said"), [(".xyz", r"no backend writes \.xyz"), ("", "a file without a suffix")])
def test_an_unknown_suffix(suffix: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        backend_for(suffix)
    for backend in EVERY:
        assert all(known in str(caught.value) for known in backend.suffixes)


def test_no_backend_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netdsl.backend.installed", dict)
    with pytest.raises(UsageError, match="installed are none"):
        load_backend("torch")
    with pytest.raises(UsageError, match="the suffixes are none"):
        backend_for(".py")


def test_the_library_is_python_that_runs() -> None:
    """What generated files bring along is a module of its own, and each name that is offered is in it or a variant."""
    pytest.importorskip("torch")
    import netdsl_torch.library as library
    from netdsl_torch.rules.helpers import HELPERS, VARIANTS

    own = {name for name, value in vars(library).items() if getattr(value, "__module__", "") == library.__name__}
    variants = {
        name.replace(part, other)
        for name in own
        for part, others in VARIANTS.items()
        if part in name
        for other in others
    }
    assert own | variants == set(HELPERS)
