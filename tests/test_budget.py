"""What may a network cost?  `require` lines: what each quantity counts, in which units, for which sizes, whose they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Program, programs, share

from netdsl.analysis import memory as memory_module
from netdsl.analysis.depth import depth
from netdsl.analysis.memory import memory
from netdsl.analysis.receptive import receptive_field
from netdsl.budget import CHOICES
from netdsl.cli import main
from netdsl.diagnostic import Diagnostic, SpecError
from netdsl.graph import bodies, show_graph
from netdsl.net import Net, load, loads

SMALL = "net small(classes=10)\ninput 3 x 32 x 32\n{}\nCONV 64 relu -> POOL\nCONV 128 relu -> POOL\nFC 512 relu -> FC classes\n"


def small(*lines: str, **params: int) -> Net:
    return loads(SMALL.format("\n".join(lines)), **params)


def faults(text: str, **options: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(SpecError) as caught:
        loads(text, **options)
    return caught.value.diagnostics


def codes(*lines: str) -> list[str]:
    return [fault.code for fault in faults(SMALL.format("\n".join(lines)))]


def exactly(net: Net) -> dict[str, str]:
    """Every quantity of a network with a number, as it is written."""
    return {
        "params": str(net.params),
        "trainable_params": str(net.trainable_params),
        "macs": str(net.macs),
        "flops": f"2*{net.macs}",
        "weights": f"{4 * net.params}B",
        "weights(dtype=fp16)": f"{2 * net.params}B",
        "weights(bf16)": f"{2 * net.params}B",
        "depth": str(depth(net.graph)),
        "layers": str(sum(layer.macs != 0 for layer in net.layers)),
    }


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet18", "lenet5", "lstm_digits", "squeezenet1_0", "pets"])
def test_each_quantity_is_what_the_network_says(name: str) -> None:
    values = exactly(load(name))
    kept = ", ".join(f"{quantity} == {value}" for quantity, value in values.items())
    net = loads(f"net same = {name} with\n    require {kept}")
    assert exactly(net) == values
    for quantity, value in values.items():
        (fault,) = faults(f"net same = {name} with\n    require {quantity} < {value}")
        assert fault.code == "E0601"
        assert fault.label.text == "just that, which this budget excludes"


@pytest.mark.parametrize(
    ("name", "layers"),
    [("alexnet", 8), ("vgg19", 19), ("googlenet", 22), ("resnet50", 50), ("resnet152", 152), ("densenet201", 201)],
)
def test_the_depth_is_that_of_the_papers(name: str, layers: int) -> None:
    loads(f"net same = {name} with\n    require depth == {layers}")


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("params < 4_275_595", True),
        ("params <= 4_275_594", True),
        ("params < 4_275_594", False),
        ("params != 4_275_594", False),
        ("params > 4_275_594", False),
        ("params >= 4_275_594", True),
        ("params < 4.3M", True),
        ("params < 4275.5K", False),
        ("params < 4.2e6 + 75_595", True),
        ("params < 2*(2M + 137_798)", True),
        ("weights < 17.2MB", True),
        ("weights < 16.32MiB", True),
        ("weights < 16.31MiB", False),
        ("weights(fp16) < 8.6MB", True),
        ("params < 4_270_464 + 513*classes + 1", True),
        ("params < floor(4275594.9) + 1", True),
        ("receptive_field == 10", True),
        ("receptive_field >= 11", False),
        ("time(h200) > 0s", True),
        ("time(h200, batch=64, dtype=fp16) < 1us", False),
        ("time(cpu) < 1s", True),
    ],
)
def test_what_holds(line: str, holds: bool) -> None:
    if holds:
        assert small(f"require {line}").params == 4_275_594
    else:
        assert codes(f"require {line}") == ["E0601"]


def test_the_largest_elements_are_shown_with_their_lines() -> None:
    (fault,) = faults(SMALL.format("require params < 4M"))
    shown = {label.span.text: label.text for label in fault.others}
    assert shown == {"FC 512 relu": "4,194,816 (98 %)"}
    (fault,) = faults(SMALL.format("require macs < 4M"))
    assert [label.span.text for label in fault.others] == ["CONV 128 relu", "FC 512 relu", "CONV 64 relu"]
    assert fault.notes == ("`CONV 128 relu`: (16*16*128)*(3*3*64) = 18,874,368",)


def test_those_of_a_labelled_sequence_are_shown_one_by_one() -> None:
    (fault,) = faults("net n = vgg16 with\n    require macs < 1G")
    assert len(fault.others) == 3
    assert all(label.span.text.startswith(("conv3", "CONV", "(CONV")) for label in fault.others)


@pytest.mark.parametrize(("name", "rows"), [("vgg16", 212), ("resnet50", 427), ("fcn8s", 468), ("lenet5", 16)])
def test_receptive_fields(name: str, rows: int) -> None:
    assert [reach.size for reach in receptive_field(load(name))] == [rows, rows]
    assert loads(f"net same = {name} with\n    require receptive_field == {rows}")
    (fault,) = faults(f"net same = {name} with\n    require receptive_field > {rows}")
    assert all(int(label.text.split()[0]) <= rows for label in fault.others)


def test_the_receptive_field_is_that_of_the_worse_axis() -> None:
    net = "input 3 x 32 x 32\nrequire receptive_field {}\nCONV 8 5x1 relu -> CONV 8 3x3\n"
    assert loads(net.format(">= 3, receptive_field <= 7"))
    (fault,) = faults(net.format(">= 4"))
    assert "3 pixels" in fault.message
    (fault,) = faults(net.format("< 7"))
    assert "7 pixels" in fault.message
    assert [label.text for label in fault.others] == ["5", "2"] or [label.text for label in fault.others] == ["4", "2"]


@pytest.mark.parametrize("name", ["resnet18", "lenet5", "lstm_digits"])
def test_memory(name: str) -> None:
    found, trained = memory(load(name), 8, "bf16"), memory(load(name), 4, optimiser="adam")
    budgets = f"memory(batch=8, bf16) == {found.inference}B, memory(training, batch=4, adam) == {trained.training}B"
    assert loads(f"net same = {name} with\n    require {budgets}")
    (fault,) = faults(f"net same = {name} with\n    require memory(batch=8, bf16) < {found.inference}B")
    assert fault.label.text == "just that, which this budget excludes"
    assert "parameters" in fault.notes[0]
    assert all(label.text.startswith("output of ") for label in fault.others)


def test_memory_of_open_sizes() -> None:
    assert [fault.code for fault in faults(OPEN.format("require memory < 1GB"))] == ["E0604"]
    assert loads(OPEN.format("require memory(H=32, W=32) < 1MB"))
    assert [fault.code for fault in faults(OPEN.format("require memory(H=320, W=320) < 1MB"))] == ["E0601"]
    assert [fault.code for fault in faults(OPEN.format("require memory(trainin) < 1MB"))] == ["E0602"]
    assert [fault.code for fault in faults(OPEN.format("require memory(lamb) < 1MB"))] == ["E0602"]


def test_options_are_those_of_the_functions_behind() -> None:
    assert set(memory_module.OPTIMISERS) == set(CHOICES["optimiser"])
    assert {dtype.replace("tf32", "fp32") for dtype in CHOICES["dtype"]} <= set(memory_module.TYPES)


def test_what_is_frozen_costs_no_training() -> None:
    net = "input 3 x 8 x 8\nrequire trainable_params {}\na = FC 10 relu\nb = FC 2\nfreeze a\n"
    assert loads(net.format("== 22")).params == 1952
    (fault,) = faults(net.format("< 22"))
    assert [label.span.text for label in fault.others] == ["FC 2"]


def test_values_are_those_of_what_is_built() -> None:
    assert small("require params < 4.5M", classes=10)
    text = SMALL.format("require params < 4.5M, macs < 100M")
    assert [fault.code for fault in faults(text, classes=1000)] == ["E0601"]  # type: ignore[arg-type]
    assert [fault.code for fault in faults(text, input="3x128x128")] == ["E0601", "E0601"]


# --- open sizes --------------------------------------------------------------------------------------------------------

OPEN = "net n\ninput 3 x H x W\n{}\nCONV 64 relu -> POOL -> GAP -> FC 10\n"


@pytest.mark.parametrize("line", ["params < 3K", "depth == 2", "macs > 5K", "macs >= 7_000", "macs(H=32, W=32) < 2M"])
def test_what_holds_for_all_sizes(line: str) -> None:
    assert loads(OPEN.format(f"require {line}")).constraints


@pytest.mark.parametrize("line", ["macs < 1G", "macs > 1M", "macs == 7K", "macs(H=32) < 1G", "time(h200) < 1s"])
def test_what_depends_on_them(line: str) -> None:
    (fault,) = faults(OPEN.format(f"require {line}"))
    assert fault.code == "E0604"
    fixed = next(text for text in fault.helps if "which sizes" in text).split("`")[1]
    loads(OPEN.format(f"require {fixed}").replace("== 7K", "> 7K"))
    assert [f.code for f in faults(OPEN.format("require macs < 1M"), input="3x320x320")] == ["E0601"]
    assert loads(OPEN.format("require macs < 1M"), input="3x8x8")


def test_a_size_that_does_not_fit() -> None:
    assert [fault.code for fault in faults(OPEN.format("require macs(H=33, W=32) < 1G"))] == ["E0310"]
    assert [fault.code for fault in faults(OPEN.format("require macs(H=0, W=32) < 1G"))] == ["E0602"]


def test_a_budget_at_a_size_is_left_aside_for_another() -> None:
    assert loads(OPEN.format("require macs(H=32, W=32) < 2M"), input="3x320x320")
    assert [f.code for f in faults(OPEN.format("require macs(H=32, W=32) < 1M"), input="3x32x32")] == ["E0601"]


# --- a net made from a net ---------------------------------------------------------------------------------------------

BASE = "net base(classes=10)\ninput 3 x 8 x 8\nrequire params < 2K, depth == 1\nhead = FC classes\n"


def test_a_base_hands_its_budgets_on() -> None:
    assert loads(BASE + "net a = base with\n    head = FC 5")
    (fault,) = faults(BASE + "net a = base with\n    head = FC 20")
    assert fault.label.span.text == "params < 2K"
    assert fault.helps == ("a budget of `params` in `a` takes the place of its base's",)
    (fault,) = faults(BASE + "net a = base with\n    head = FC 5 relu -> FC 2\nnet b = a")
    assert fault.label.span.text == "depth == 1"


def test_a_budget_of_its_own_takes_their_place() -> None:
    assert loads(BASE + "net a = base with\n    head = FC 20\n    require params < 5K").params == 3860
    both = faults(BASE + "net a = base with\n    head = FC 20 relu -> FC 3\n    require params < 1K")
    assert [fault.label.span.text for fault in both] == ["depth == 1", "params < 1K"]


# --- what is wrong with the text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("params < 5MB", "E0603"),
        ("params < 7B", "E0603"),
        ("depth < 3s", "E0603"),
        ("weights < 5M", "E0603"),
        ("weights < 5000000", "E0603"),
        ("weights < 2*5000", "E0603"),
        ("time(h200) < 5", "E0603"),
        ("time(h200) < 5MB", "E0603"),
        ("speed < 5", "E0602"),
        ("parameters < 5M", "E0602"),
        ("params(batch=3) < 5M", "E0602"),
        ("params(H=3) < 5M", "E0602"),
        ("macs(H=32) < 5M", "E0602"),
        ("time(h300) < 5ms", "E0602"),
        ("time(device=3) < 5ms", "E0602"),
        ("time(h200, batch=0) < 5ms", "E0602"),
        ("time(h200, batch=1.5) < 5ms", "E0602"),
        ("time(h200, a100) < 5ms", "E0204"),
        ("params < classses", "E0201"),
        ("params < relu", "E0210"),
        ("params < 1/0", "E0102"),
        ("params < 99999999999999999999M", "E0102"),
        ("params < 0", "E0605"),
        ("params <= -1", "E0101"),
        ("depth == 0 - 1", "E0605"),
        ("params < 5M, params > 5M", "E0605"),
        ("params <= 5M, params > 5M", "E0605"),
        ("params == 5M, params == 6M", "E0605"),
        ("weights(fp16) < 1MB, weights(dtype=fp16) > 1MB", "E0605"),
        ("params", "E0101"),
        ("params <", "E0101"),
        ("5M > params", "E0101"),
        ("params = 5M", "E0101"),
        ("params < 5 M", "E0101"),
        ("params < 60,965,224", "E0101"),
        ("params < 5m", "E0102"),
        ("params < 5M and macs < 1G", "E0101"),
        ("params < 50%", "E0101"),
    ],
)
def test_what_is_refused(line: str, code: str) -> None:
    assert codes(f"require {line}") == [code]


def test_faults_of_names_are_reported_with_those_of_shapes() -> None:
    assert codes("require parms < 5M", "CONV 8 5x5 valid : 1 x 2 x 3") == ["E0602", "E0305"]
    assert codes("require params < 5", "CONV 8 5x5 valid : 1 x 2 x 3") == ["E0305"]


def test_the_word_is_reserved() -> None:
    (fault,) = faults("input 3 x 8 x 8\nrequire = CONV 8\n")
    assert fault.code == "E0208"
    assert loads("input 3 x 8 x 8\nrequired = CONV 8\n").params


def test_the_command_exits_with_1(tmp_path: object, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"{tmp_path}/small.net"
    with open(path, "w", encoding="utf-8") as file:
        file.write(SMALL.format("require params < 4M"))
    assert main(["check", path]) == 1
    assert "275,594 too many (6.9 %)" in capsys.readouterr().err
    assert main(["check", path, "--set", "classes=10", "--input", "3x16x16"]) == 0


# --- laws --------------------------------------------------------------------------------------------------------------


@share(30)
@given(programs(), st.sampled_from(["params", "macs", "flops", "weights", "depth", "layers"]))
def test_a_budget_changes_no_graph(program: Program, quantity: str) -> None:
    unit = "TiB" if quantity == "weights" else "T"
    net = loads(program.text)
    budgeted = loads(f"{program.text}\nrequire {quantity} < 1{unit} + 3{unit}")
    assert show_graph(budgeted.graph) == show_graph(net.graph)
    assert [body.pinned for body in bodies(budgeted.graph)] == [body.pinned for body in bodies(net.graph)]


@pytest.mark.parametrize(
    ("line", "help_"), [("params < 5M and depth < 3", "separated by commas"), ("params < 5%", "share")]
)
def test_what_people_write_first(line: str, help_: str) -> None:
    (fault,) = faults(SMALL.format(f"require {line}"))
    assert help_ in fault.helps[0]


def test_too_many_elements_are_not_timed() -> None:
    (fault,) = faults("net n\ninput 8 x 16 x 16\nrequire time(h200) < 1s\n(CONV 8 relu) * 1000000\n")
    assert fault.code == "E0403"


def test_a_million_elements_are_measured_without_being_listed() -> None:
    text = "net n\ninput 8 x 16 x 16\nrequire params < 1M, depth == 1_000_000, macs < 1G\n(CONV 8) * 1000000\n"
    assert [fault.code for fault in faults(text)] == ["E0601", "E0601"]
