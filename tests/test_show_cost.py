"""`netdsl show`: columns that fit, facts that hold, floors that add up, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import Run

import netdsl
from netdsl import UsageError
from netdsl.amounts import bytes_text, compact, percent, scaled
from netdsl.analysis.facts import facts
from netdsl.devices import device
from netdsl.floor_table import device_of, floor_dict, lines_of, rate
from netdsl.outline import Outline
from netdsl.roofline import floor_of


@pytest.mark.parametrize("width", [72, 80, 100, 140])
@pytest.mark.parametrize("name", ["alexnet", "resnet50", "googlenet", "vit_b_16", "squeezenet1_0"])
def test_a_table_fits(name: str, width: int, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = run("show", name).out.splitlines()
    assert all(len(line) <= width for line in lines[1:]), "the line of totals alone may be longer"
    assert {"element", "output", "parameters", "MACs"} <= set(lines[2].split())


def test_rows_add_to_the_whole(run: Run) -> None:
    for name in ("alexnet", "resnet50", "fractalnet", "densenet121"):
        outline = Outline(netdsl.load(name))
        rows = [row for row in outline.walk() if not row.children]
        pieces = outline.pieces
        whole = sum(pieces.size[v] for v in pieces.keeper if not pieces.made(v)) + sum(row.kept for row in outline.rows)
        memory = netdsl.load(name).to_dict()["memory"]
        # dropout has masks of a byte in both
        assert whole == memory["kept"]
        assert sum(row.kept * row.times for row in rows) <= whole * 1.2


def test_the_facts_of_the_lectures() -> None:
    found = {fact.what: fact for fact in facts(Outline(netdsl.load("alexnet")))}
    assert (found["parameters"].where, round(100 * found["parameters"].share)) == ("FC layers", 96)
    assert (found["MACs"].where, round(100 * found["MACs"].share)) == ("convolutions", 92)
    assert found["memory"].text.endswith("(to conv2_relu)")


def test_a_fact_that_does_not_hold_is_not_said() -> None:
    net = netdsl.loads("net t\ninput 8\nFC 8\nRELU\n")
    assert [fact.what for fact in facts(Outline(net))] == ["parameters", "MACs"]
    assert facts(Outline(netdsl.loads("net t\ninput 8\nRELU\n"))) == []


def test_open_sizes_have_no_memory(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.net"
    path.write_text("net t\ninput 3 x H x W\nCONV 8 relu\nGAP -> FC 2\n", encoding="utf-8")
    done = run("show", path)
    assert done.code == 0
    assert "Memory needs sizes: --input input=3x224x224." in done.out
    assert "memory" not in done.out.splitlines()[2]
    assert "memory, fp32" in run("show", path, "--input", "3x16x16").out
    assert json.loads(run("show", path, "--json").out)["memory"] is None


def test_a_long_network_is_shown(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t.net"
    path.write_text("net t\ninput 8 x 32 x 32\n(CONV 8 relu)*1000000\n", encoding="utf-8")
    done = run("show", path)
    assert done.code == 0
    done = run("show", path, "--roofline", "h200")
    assert (done.code, done.out) == (1, "")
    assert "E0403" in done.err
    assert run("show", "resnet1202").code == 0


def test_options_of_memory(run: Run) -> None:
    one, many = (json.loads(run("show", "lenet5", "--json", "--batch", n).out)["memory"] for n in (1, 8))
    assert many["kept"] == 8 * one["kept"]
    adam = json.loads(run("show", "lenet5", "--json", "--optimiser", "adam", "--dtype", "bf16").out)["memory"]
    assert (adam["state"], adam["parameters"]) == (one["state"], one["parameters"] // 2)
    assert "kept for the backward pass" in run("show", "lenet5", "--training").out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--dtype fp12", "there is no type 'fp12' to hold tensors: known are fp32, fp16, bf16, fp64"),
        ("--batch 0", "a batch is a whole number"),
        ("--optimiser lion", "there is no optimiser 'lion': known are sgd, adam, none"),
        ("--roofline h999", "there is no device 'h999': known are h200"),
        ("--roofline 1T", "or its operations and bytes a second"),
        ("--roofline 1T,2T,3T", "takes two rates, FLOPS,BYTES, not 3"),
        ("--roofline 1T,fast", "'fast' is no rate"),
        ("--roofline -1T,1T", ""),
        ("--roofline 0,1T", "'0' is no rate"),
        ("--roofline nan,1T", "no rate"),
        ("--roofline ,", "'' is no rate"),
        ("--roofline a100 --dtype fp64", "there is no type 'fp64' to compute in"),
        ("--roofline a100 --training", "--training does not go with --roofline"),
        ("--roofline a100 --optimiser adam", "--optimiser does not go with --roofline"),
    ],
)
def test_bad_options(options: str, said: str, run: Run) -> None:
    done = run("show", "lenet5", *options.split())
    assert (done.code, done.out) == (2, "")
    assert said in " ".join(done.err.split())


def test_a_floor_needs_sizes(run: Run) -> None:
    done = run("show", "unet_padded", "--roofline", "h200")
    assert (done.code, done.out) == (2, "")
    assert "--input input=1x224x224" in done.err


@pytest.mark.parametrize("name", ["alexnet", "resnet50", "googlenet", "lstm_digits", "vit_b_16"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_floor_adds_up(name: str, depth: int) -> None:
    net = netdsl.load(name)
    floor = floor_of(net, "fused", device("h200"), "bf16", 8)
    lines = lines_of(net, floor, depth)
    assert sum(line.seconds for line in lines) == pytest.approx(floor.seconds)
    assert sum(line.kernels for line in lines) == floor.kernels
    assert {line.held for line in lines} <= {"arithmetic", "bandwidth", "launch"}
    if depth == 1:
        assert {line.name for line in lines} <= {row.path for row in Outline(net).rows}


def test_a_floor_as_json(run: Run) -> None:
    found = json.loads(run("show", "alexnet", "--roofline", "19.5T,1.6e12", "--dtype", "fp32", "--json").out)
    floor = floor_of(netdsl.load("alexnet"), "fused", device_of("19.5e12,1.6T"), "fp32", 1)
    assert found["seconds"] == floor.seconds == sum(element["seconds"] for element in found["elements"])
    assert (found["balance"], found["device"]) == (19.5 / 1.6, "19.5 TFLOPS, 1.60 TB/s")
    held = {element["name"]: element["held_by"] for element in found["elements"]}
    assert (held["conv2"], held["fc6"]) == ("arithmetic", "bandwidth")
    assert floor_dict(netdsl.load("lenet5"), device("h200"), "bf16", 1)["elements"][0]["held_by"] == "launch"


def test_a_floor_is_shown(run: Run) -> None:
    done = run("show", "resnet50", "--roofline", "A100", "--batch", "32")
    assert done.out.startswith("resnet50 on a100, bf16, batch 32: at least 1.39 ms\n")
    assert all(len(line) <= 100 for line in done.out.splitlines())


def test_rates() -> None:
    assert [rate(text) for text in ("19.5T", "1.6e12", "2p", "5")] == [19.5e12, 1.6e12, 2e15, 5.0]
    with pytest.raises(UsageError):
        rate("5X")


def test_numbers() -> None:
    assert [compact(n) for n in (7, 999, 1000, 9994, 9995, 123_456, 999_600, 4_089_184_256)] == [
        "7", "999", "1.00K", "9.99K", "10.0K", "123K", "1.00M", "4.09G",
    ]  # fmt: skip
    assert [bytes_text(n) for n in (12, 61_000_000, 10**13)] == ["12 B", "61.0 MB", "10.0 TB"]
    assert [percent(n, 1000) for n in (0, 1, 4, 5, 15, 996, 1000)] == ["", "<1", "<1", "<1", "2", "100", "100"]
    assert scaled(0.4, ("",)) == "0"
