"""What changed between two networks?  Alignment, facts, totals, weights, and how all that is shown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from strategies import Program, programs, share

from netdsl.cli import main
from netdsl.difference import Change, Difference, difference
from netdsl.difference.align import align
from netdsl.difference.keys import Keys
from netdsl.difference.table import difference_fields, difference_table
from netdsl.graph import show_graph
from netdsl.layout import layout
from netdsl.net import Net, load, loads
from netdsl.source import Source

INPUT = "net n\ninput 3 x 16 x 16\n"


def between(old: str, new: str) -> Difference:
    return difference(loads(INPUT + old), loads(INPUT + new))


def flat(changes: tuple[Change, ...], level: int = 0) -> list[tuple[int, str, str, str, tuple[str, ...]]]:
    """(level, kind, old label, new label, facts) of every change, those that follow from others left out."""
    rows = []
    for change in changes:
        inside = flat(change.children, level + 1)
        if change.facts or inside or change.kind != "changed":
            labels = [side.label if side else "" for side in (change.old, change.new)]
            rows.append((level, change.kind, labels[0], labels[1], tuple(fact.text for fact in change.facts)))
        rows += inside
    return rows


def rows(old: str, new: str) -> list[tuple[int, str, str, str, tuple[str, ...]]]:
    return flat(between(old, new).changes)


# --- what is no change -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("CONV 8 relu -> POOL\n", "# c\n\n( CONV  8 -> RELU )->POOL   : 8 x 8 x 8\n"),
        ("CONV 8 relu\nFC 3\n", "default CONV relu\nCONV 8 3x3 /1 same\nFLATTEN -> FC 3\n"),
        ("(CONV 8 relu) * 2\n", "let c = 8\n(CONV c -> RELU) * (1 + 1)\n"),
        ("block f(c) = CONV c\nf(8)\n", "block f(c, k=3) = CONV c kernel=k\nf(8)\n"),
        ("a = CONV 8\n", "require params < 1K\na = CONV 8\n"),
        ("(CONV 4) * 3 -> FC 2\n", "(CONV 4) * 3\nFC 2\n"),
    ],
)
def test_another_text_is_no_change(old: str, new: str) -> None:
    found = between(old, new)
    assert found.same, difference_table(found)
    assert difference_table(found) == ""


# --- what changed ------------------------------------------------------------------------------------------------------


def test_an_element_more() -> None:
    assert rows("CONV 8 relu\nFC 3\n", "CONV 8 relu\nBN\nFC 3\n") == [(0, "added", "", "bn1", ())]
    assert rows("CONV 8 relu\nBN\nFC 3\n", "CONV 8 relu\nFC 3\n") == [(0, "removed", "bn1", "", ())]


def test_other_attributes() -> None:
    found = rows("CONV 8 relu\nFC 3\n", "CONV 9 5x5 /2 relu\nFC 3\n")
    facts = ("kernel 3 → 5", "stride 1 → 2", "padding 1 → 2", "out channels 8 → 9")
    assert found == [(0, "changed", "conv1", "conv1", facts)]
    assert rows("CONV 8 relu\n", "CONV 8 -> GELU\n")[-1][1:4] == ("added", "", "gelu1")


def test_a_label_is_recognised_when_it_changes() -> None:
    found = rows("stem = CONV 8 relu\nFC 3\n", "first = CONV 8 relu\nFC 3\n")
    assert found == [
        (0, "changed", "stem", "first", ("stem → first",)),
        (0, "changed", "stem_relu", "first_relu", ("stem → first",)),
    ]
    moved = rows("a = CONV 8 relu\nb = CONV 9 relu\n", "b = CONV 8 relu\na = CONV 9 relu\n")
    assert {facts for *_, facts in moved} == {("a → b",), ("b → a",)}


def test_repeats_are_compared_as_repeats() -> None:
    found = rows("conv2 = (CONV 3 relu) * 3\n", "conv2 = (CONV 3 relu) * 5\n")
    assert found == [
        (0, "changed", "conv2", "conv2", ("(CONV 3 relu) * 3 → (CONV 3 relu) * 5",)),
        (1, "changed", "0…2", "0…4", ("× 3 → × 5",)),
    ]
    (change,) = difference(load("resnet50"), load("resnet101")).changes
    assert (change.side.label, change.facts[0].text) == (
        "conv4",
        "stage(bottleneck(256), 6) → stage(bottleneck(256), 23)",
    )
    assert flat(change.children)[-1][4] == ("× 5 → × 22",)


def test_steps_that_grow_are_compared_by_their_number() -> None:
    found = difference(load("densenet121"), load("densenet169"))
    added = [change for change in walk(found.changes) if change.kind == "added"]
    assert [(change.side.label, change.side.count) for change in added] == [("24…31", 8), ("16…31", 16)]
    assert not [change for change in walk(found.changes) if change.kind == "removed"]


def walk(changes: tuple[Change, ...]) -> list[Change]:
    return [each for change in changes for each in (change, *walk(change.children))]


def test_wiring() -> None:
    old = "a = CONV 4 relu\nb = CONV 4 relu\nc = a + b\nFC 2\n"
    new = "a = CONV 4 relu\nb = CONV 4 relu\nc = b + b\nFC 2\n"
    found = between(old, new)
    assert not found.same
    assert [fact.of for change in found.changes for fact in change.facts] == ["wiring"]
    assert "from a_relu, b_relu → from b_relu, b_relu" in difference_table(found)


def test_freezing_and_heads_of_training() -> None:
    net = "a = CONV 4 relu\nb = FC 3\n"
    assert rows(net, net + "freeze a\n")[0][4] == ("frozen",)
    assert rows(net + "freeze a\n", net)[0][4] == ("no longer frozen",)
    found = between(net, net + "output aux = a -> GAP -> FC 2\n")
    assert found.ends == ("training output aux: none → 2",)


def test_inputs_and_outputs() -> None:
    found = between("a = CONV 4\n", "a = CONV 4\nb = CONV 5\noutput a, b\n")
    assert found.ends == ("output b: none → 5 x 16 x 16",)
    assert between("a = CONV 4\n", "b = CONV 4\n").ends == ("output a: 4 x 16 x 16 → b: 4 x 16 x 16",)
    one, two = (loads(f"net n\ninput 3 x {size} x {size}\nCONV 4 -> GAP\n") for size in (8, 9))
    assert difference(one, two).ends == ("input: 3 x 8 x 8 → 3 x 9 x 9",)


def test_a_label_that_is_the_name_anyway_changes_nothing() -> None:
    assert between("CONV 4\nFC 2\n", "conv1 = CONV 4\nFC 2\n").same


def test_the_same_change_is_told_once() -> None:
    text = difference_table(difference(load("vgg16"), load("vgg16_bn")))
    assert sum("batchnorm" in line for line in text.split("\n")) == 1
    text = difference_table(difference(load("resnet50"), load("resnet50_v1")))
    assert "conv3, conv4, conv5" in text
    assert "conv2" not in text.split("element")[1].split("conv3, conv4, conv5")[0]


def test_what_follows_is_counted() -> None:
    text = difference_table(between("CONV 4 relu -> POOL\nGAP -> FC 3\n", "CONV 4 relu /2 -> POOL\nGAP -> FC 3\n"))
    assert "1 element unchanged, 3 others of another shape alone" in text


# --- totals and weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [("vgg16", "resnet18"), ("unet", "unet_padded"), ("pets", "vgg16")])
def test_totals_are_those_of_the_networks(old: str, new: str) -> None:
    a, b = load(old), load(new)
    totals = {total.name: (total.old, total.new) for total in difference(a, b).totals}
    assert totals["parameters"] == (a.params, b.params)
    assert totals["MACs"] == (a.macs, b.macs)
    assert ("trainable" in totals) == (old == "pets")


def test_changes_add_up_to_the_totals() -> None:
    for old, new in (("googlenet", "googlenet_bn"), ("inception_v3", "inception_v4"), ("densenet121", "densenet161")):
        a, b = load(old), load(new)
        found = difference(a, b)
        for change in [None, *(change for change in walk(found.changes) if change.children and change.facts)]:
            inside = found.changes if change is None else change.children
            old_params, new_params = (
                (a.params, b.params) if change is None else (change.old.params, change.new.params)  # type: ignore[union-attr]
            )
            assert sum(delta(each) for each in inside) == new_params - old_params


def delta(change: Change) -> int:
    return (change.new.params if change.new else 0) - (change.old.params if change.old else 0)


def test_weights() -> None:
    weights = between("a = CONV 4 relu\nb = FC 3\n", "a = CONV 4 5x5 relu\nc = FC 3\n").weights
    assert weights is not None
    assert not weights.load
    assert [(w.name, w.old, w.new) for w in weights.reshaped] == [("a.weight", (4, 3, 3, 3), (4, 3, 5, 5))]
    assert [w.name for w in weights.missing] == ["c.weight", "c.bias"]
    assert [w.name for w in weights.unused] == ["b.weight", "b.bias"]
    assert weights.fitting == 1


@pytest.mark.parametrize(
    ("old", "new"), [("resnet18", "resnet34"), ("vgg16", "pets"), ("squeezenet1_0", "squeezenet1_1")]
)
def test_weights_are_those_of_state_dicts(old: str, new: str) -> None:
    torch = pytest.importorskip("torch")
    found = difference(load(old), load(new)).weights
    assert found is not None
    with torch.device("meta"):
        before, after = (load(name).compile().state_dict() for name in (old, new))
    common = [name for name in before if name in after]
    fitting = [name for name in common if before[name].shape == after[name].shape]
    assert found.fitting == len(fitting)
    assert {w.name for w in found.reshaped} == set(common) - set(fitting)
    assert {w.name for w in found.missing} == after.keys() - before.keys()
    assert {w.name for w in found.unused} == before.keys() - after.keys()


# --- laws --------------------------------------------------------------------------------------------------------------


@share(30)
@given(programs())
def test_a_network_does_not_differ_from_itself(program: Program) -> None:
    net = loads(program.text)
    assert difference(net, net).same
    again, _ = layout(Source("again.net", program.text))
    assert again is not None
    assert difference(net, loads(again)).same


@share(30)
@given(programs(), programs())
def test_it_is_empty_where_the_contents_are_equal(one: Program, other: Program) -> None:
    a, b = loads(one.text), loads(other.text)
    keys = Keys()
    found = difference(a, b)
    assert found.same == (keys.body(a.graph) == keys.body(b.graph))
    assert bool(difference_table(found)) == (not found.same)
    assert all(len(line) <= 110 for line in difference_table(found).split("\n") if "→" not in line)
    json.dumps(difference_fields(found))


@share(30)
@given(programs())
def test_equal_contents_are_equal_graphs(program: Program) -> None:
    """The key of a graph holds what its printed form shows."""
    net = loads(program.text)
    longer = loads(program.text)
    keys = Keys()
    assert keys.body(net.graph) == keys.body(longer.graph)
    assert show_graph(net.graph) == show_graph(longer.graph)


@share(30)
@given(programs())
def test_one_more_element_is_found(program: Program) -> None:
    assume("output" not in program.text)
    assume(" with" not in program.text)
    net, more = loads(program.text), loads(f"{program.text}\nDROPOUT 0.25\n")
    found = difference(net, more)
    assert any(change.kind == "added" and "dropout" in change.side.what for change in walk(found.changes))


def test_alignment() -> None:
    def alike(x: str, y: str) -> float:
        return 2.0 if x == y else float(x[0] == y[0])

    assert align("abc", "abc", alike, str) == [(0, 0), (1, 1), (2, 2)]
    assert align("ac", "abc", alike, str) == [(0, 0), (None, 1), (1, 2)]
    assert align(["a1", "b"], ["a2", "b"], alike, str) == [(0, 0), (1, 1)]
    assert align("", "ab", alike, str) == [(None, 0), (None, 1)]
    assert align("a", "b", alike, str) == [(0, None), (None, 0)]


def test_long_sequences_are_divided_by_what_is_unique() -> None:
    a = [f"u{i}" for i in range(2000)]
    b = [f"u{i}" for i in range(2000) if i % 7] + ["v"]
    b[300:300] = ["w"] * 5
    b.insert(0, "first")
    pairs = align(a, b, lambda x, y: float(x == y), str)
    assert [(a[i], b[j]) for i, j in pairs if i is not None and j is not None] == [(x, x) for x in a if x in set(b)]
    assert sorted(i for i, _ in pairs if i is not None) == list(range(len(a)))
    assert sorted(j for _, j in pairs if j is not None) == list(range(len(b)))
    strangers = align([f"a{i}" for i in range(2000)], [f"b{i}" for i in range(2000)], lambda x, y: 1.0, str)
    assert len(strangers) == 4000


def test_a_million_elements_are_compared_without_being_listed() -> None:
    found = between("(CONV 3) * 1000000\n", "(CONV 3) * 999999\n")
    assert flat(found.changes)[-1][4] == ("× 1,000,000 → × 999,999",)
    assert found.weights is None


# --- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.net").write_text(INPUT + "CONV 4 relu\nGAP -> FC 3\n", encoding="utf-8")
    (tmp_path / "b.net").write_text(INPUT + "CONV 5 relu\nGAP -> FC 3\n\nnet m = n\n", encoding="utf-8")
    (tmp_path / "bad.net").write_text(INPUT + "CONV 4 ->\n", encoding="utf-8")
    return tmp_path


def test_exit_codes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.net", "a.net"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["diff", "a.net", "b.net"]) == 1
    assert "out channels 4 → 5" in capsys.readouterr().out
    assert main(["diff", "a.net", "bad.net"]) == 2
    assert "E0101" in capsys.readouterr().err
    assert main(["diff", "bad.net", "bad.net"]) == 2
    assert main(["diff", "a.net", "none.net"]) == 2
    assert main(["diff", "-", "-"]) == 2
    assert main(["diff", "a.net", "b.net", "--set", "classes=3"]) == 2
    assert main(["diff", "a.net", "b.net:nope"]) == 2
    assert main(["diff", "lenet5", "lenet5"]) == 0


def test_one_of_several_networks(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "b.net:n", "b.net:m"]) == 0
    (files / "odd:n").write_text(INPUT + "CONV 7\n", encoding="utf-8")
    assert main(["diff", "odd:n", "b.net:m"]) == 1
    assert "7" in capsys.readouterr().out


def test_standard_input(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Stdin:
        buffer = io.BytesIO((INPUT + 'import "b.net"\nCONV 4 relu\nGAP -> FC 3\n').encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert main(["diff", "-", "a.net"]) == 0
    Stdin.buffer = io.BytesIO(b"\xff\xfe")
    assert main(["diff", "-", "a.net"]) == 2
    assert "E0105" in capsys.readouterr().err


def test_json(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", "a.net", "b.net", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["old"], found["new"], found["same"]) == ("n", "m", False)
    assert found["totals"][0] == {"name": "parameters", "old": 127, "new": 158}
    first = found["changes"][0]
    assert (first["level"], first["kind"], first["new"]["path"]) == (1, "changed", "conv1")
    assert found["weights"]["load"] is False
    assert main(["diff", "a.net", "a.net", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_depth(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for depth in (["--depth", "1"], ["--depth", "2"], []):
        assert main(["diff", "resnet50", "resnet101", *depth]) == 1
        lines.append(len(capsys.readouterr().out.splitlines()))
    assert lines[0] + 2 == lines[1] + 1 == lines[2]


def test_names_of_any_kind(tmp_path: Path) -> None:
    long = "é" + "x" * 200
    old = loads(INPUT + f"{long} = CONV 4 relu\n" + "FC 2\n")
    new = loads(INPUT + f"{long} = CONV 5 relu\n" + "FC 2\n")
    assert all(len(line) < 110 for line in difference_table(difference(old, new)).split("\n\n")[2].split("\n"))


def test_open_sizes() -> None:
    found = difference(load("unet"), load("unet_padded"))
    assert "1 x 572 x 572 → 1 x H x W" in found.ends[0]
    assert "padding 0 → 1" in difference_table(found)
    net: Net = load("unet_padded")
    assert difference(net, net).same
