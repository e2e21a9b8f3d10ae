"""Is a comparison fair, and are its figures those that were published?  Data, depth, groups, the command."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from commands import Run

from netdsl.analysis.depth import depth
from netdsl.cli.arguments import build_parser
from netdsl.comparison.columns import COLUMNS, ordered, short
from netdsl.comparison.entries import Comparison, compare
from netdsl.comparison.published import published, published_of
from netdsl.files import shipped
from netdsl.net import load, loads
from netdsl.size import symbol

# --- the data ---------------------------------------------------------------------------------------------------------


def test_every_shipped_network_is_described_and_nothing_else() -> None:
    assert set(published()) == set(shipped())


def test_the_figures_are_possible() -> None:
    for name, known in published().items():
        assert 1980 <= known.paper.year <= 2030 and known.paper.title and known.paper.authors, name
        assert known.paper.venue or known.paper.arxiv, name
        for figure in known.accuracy:
            assert figure.on and figure.source, name
            assert figure.top1 is not None or figure.top5 is not None, name
            assert all(10 < value < 100 for value in (figure.top1, figure.top5) if value is not None), name
            assert figure.top1 is None or figure.top5 is None or figure.top1 < figure.top5, name
            assert (figure.crops in (1, 10) and figure.size >= 224) == figure.on.startswith("ILSVRC"), name
            assert bool(figure.weights) == (figure.source == "torchvision"), name


def test_a_figure_of_one_crop_comes_first() -> None:
    for name, known in published().items():
        single = [figure.crops == 1 for figure in known.accuracy if figure.crops and figure.top1]
        assert single == sorted(single, reverse=True), name


def test_figures_of_torchvision_are_those_of_its_weights() -> None:
    pytest.importorskip("torch")
    from test_peers import torchvision_models

    models = torchvision_models()
    seen = 0
    for name, known in published().items():
        for figure in known.accuracy:
            if figure.weights:
                weights = models.get_weight(figure.weights)
                metrics = weights.meta["_metrics"]["ImageNet-1K"]
                assert (figure.top1, figure.top5) == (metrics["acc@1"], metrics["acc@5"]), name
                assert [figure.size] == weights.transforms().crop_size, name
                assert weights.meta["num_params"] in (load(name).params, load(name).params_inference), name
                seen += 1
    assert seen > 25


def test_a_changed_network_has_no_published_accuracy() -> None:
    text = shipped()["vgg16"].read_text()
    assert published_of(load("vgg16")) is published()["vgg16"]
    assert published_of(loads(text)) is published()["vgg16"]
    assert published_of(loads(text.replace("FC 4096", "FC 4000", 1))) is None
    assert published_of(loads(text.replace("vgg16", "mine", 1))) is None
    assert published_of(load("vgg16", classes=10)) is None
    assert published_of(load("resnet50", input="3x256x256")) is None


def test_a_variant_of_a_changed_base_has_no_published_accuracy(tmp_path: Path) -> None:
    """resnet101 is ResNet-50 with more blocks: a ResNet-50 beside it is the base."""
    for name in ("resnet50", "resnet101"):
        (tmp_path / f"{name}.net").write_text(shipped()[name].read_text())
    assert published_of(load(tmp_path / "resnet101.net")) is published()["resnet101"]
    (tmp_path / "resnet50.net").write_text(shipped()["resnet50"].read_text() + "# mine\n")
    assert published_of(load(tmp_path / "resnet101.net")) is None


# --- depth ------------------------------------------------------------------------------------------------------------

DEPTHS = {  # as the papers, or their names, count
    "lenet5": 5,
    "alexnet": 8,
    "vgg16": 16,
    "googlenet": 22,
    "inception_v3": 48,
    "resnet50": 50,
    "resnet1202": 1202,
    "densenet121": 121,
    "densenet201": 201,
    "preact_resnet1001": 1001,
    "mobilenet_v2": 53,
}


@pytest.mark.parametrize("name", DEPTHS)
def test_depth_is_that_of_the_paper(name: str) -> None:
    assert depth(load(name).graph) == DEPTHS[name]


@pytest.mark.parametrize(
    ("lines", "layers"),
    [
        ("RELU -> POOL", 0),
        ("(CONV 3) * 1000000", 1_000_000),
        ("CONV 3 + (CONV 3) * 5", 5),
        ("identity | CONV 3 | (CONV 4 -> CONV 4)", 2),
        ("a = CONV 3 -> CONV 3\nb = CONV 3\nlet s = a -> (CONV 3) * 4\nb + s", 6),
        ("a = CONV 3\nlet f = CONV 3 + a\nf * 4", 5),
        ("output aux = CONV 3 -> CONV 3 -> CONV 3\nCONV 3", 1),
    ],
)
def test_depth_of_small_networks(lines: str, layers: int) -> None:
    assert depth(loads(f"input 3 x 8 x 8\n{lines}\n").graph) == layers


# --- groups and columns -----------------------------------------------------------------------------------------------


def comparison(*names: str) -> Comparison:
    return compare([(name, load(name)) for name in names])


def test_networks_of_other_inputs_and_outputs_stand_apart() -> None:
    groups = comparison("resnet20", "vgg16", "inception_v3", "unet", "resnet56", "lenet5", "googlenet").groups
    names = [[entry.name for entry in group.entries] for group in groups]
    assert names == [["vgg16", "inception_v3", "googlenet"], ["resnet20", "resnet56"], ["unet"], ["lenet5"]]
    assert groups[0].title == "3 x 224 x 224 to 3 x 299 x 299 -> 1000"
    assert groups[0].data_set == "ILSVRC-2012 validation"


def test_sizes_that_are_far_apart_stand_apart() -> None:
    nets = [(str(side), load("resnet50", input=(3, side, side))) for side in (224, 64, 256, 320, 352)]
    groups = compare(nets).groups
    assert sorted(sorted(int(entry.file) for entry in group.entries) for group in groups) == [
        [64],
        [224, 256, 320],
        [352],
    ]


def test_modules_with_maps_are_compared() -> None:
    (group,) = comparison("inception_naive", "inception_bottleneck").groups
    assert group.title == "192 x 28 x 28 -> 256 x 28 x 28 to 416 x 28 x 28"


def test_the_same_name_twice_is_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.net").write_text("net tiny\ninput 3 x 8 x 8\nCONV 8\n")
    entries = compare([(f"{f}/x.net", load(tmp_path / f / "x.net")) for f in ("a", "b")]).entries
    assert [entry.name for entry in entries] == ["tiny (a/x.net)", "tiny (b/x.net)"]


def test_what_the_lecture_says_of_complexity() -> None:
    """VGG: most operations and memory. GoogLeNet: the most efficient. AlexNet: little computation, much memory."""
    by_name = {e.name: e for e in comparison("alexnet", "vgg19", "googlenet", "resnet50", "inception_v4").entries}
    assert max(by_name.values(), key=lambda e: e.macs).name == "vgg19"  # type: ignore[arg-type,return-value]
    assert max(by_name.values(), key=lambda e: e.density or 0).name == "googlenet"
    assert min(by_name.values(), key=lambda e: e.macs).name == "alexnet"  # type: ignore[arg-type,return-value]
    memory = {name: e.memory.inference for name, e in by_name.items() if e.memory}
    assert memory["vgg19"] == max(memory.values())
    assert memory["vgg19"] > memory["alexnet"] > memory["resnet50"] > memory["googlenet"] == min(memory.values())
    assert by_name["alexnet"].params > by_name["resnet50"].params > by_name["googlenet"].params


def test_numbers_have_three_digits() -> None:
    written = {0: "0", 5: "5", 999: "999", 1000: "1.00K", 61706: "61.7K", 138_357_544: "138M", 4_089_184_256: "4.09G"}
    assert {value: short(value) for value in written} == written
    assert short(999_950) == "1.00M" and short(99_960_000) == "100M" and short(7_000_000) == "7.00M"
    assert short(None) == "" and short(symbol("H") * 3) == "3*H"
    assert short(10**21) == "1000E"


@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
def test_every_column_sorts_and_what_has_no_value_stands_last(column: str) -> None:
    entries = comparison("mixer_b_16", "vgg16", "googlenet", "unet_padded", "vit_b_16", "resnet50").entries
    found = ordered(entries, column)
    assert sorted(e.name for e in found) == sorted(e.name for e in entries)
    value = next(c for c in COLUMNS if c.name == column).value
    values = [value(entry) for entry in found]
    numbers = [v for v in values if isinstance(v, int | float)]
    assert all(isinstance(v, str) for v in values) or values[: len(numbers)] == numbers, values
    assert numbers == sorted(numbers, reverse=column in ("top1", "top5", "density"))


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_table(run: Run) -> None:
    done = run("compare", "vgg16", "googlenet", "--sort", "params")
    assert done.code == 0 and done.err == ""
    title, heading, first, second, *_ = done.out.splitlines()
    assert title == "3 x 224 x 224 -> 1000    accuracy: ILSVRC-2012 validation"
    assert heading.split() == [
        "network",
        "year",
        "params",
        "MACs",
        "acts",
        "depth",
        "field",
        "top-1",
        "top-5",
        "top-1/M",
    ]
    assert first.split() == ["googlenet", "2014", "7.00M", "1.58G", "48.3", "MB", "22", "715", "68.70", "88.90", "9.8"]
    assert second.split() == ["vgg16", "2014", "138M", "15.5G", "73.2", "MB", "16", "212", "71.59", "90.38", "0.5"]
    reverse = run("compare", "vgg16", "googlenet", "--sort", "params", "--reverse").out.splitlines()
    assert reverse[2:4] == [second, first]


def test_all_that_ships_is_compared_as_shipped_and_fits_a_wide_terminal(run: Run) -> None:
    done = run("compare", str(shipped()["vgg16"].parent))
    assert done.code == 0 and "not the shipped network" not in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    assert all(name in done.out for name in shipped())


def test_json_has_the_sources(run: Run) -> None:
    found = json.loads(run("compare", "resnet50", "unet_padded", "--json").out)
    first, second = found["networks"]
    assert first["params"] == 25_557_032 and first["top1"] == 76.13 and first["depth"] == 50
    assert first["accuracy"][0]["weights"] == "ResNet50_Weights.IMAGENET1K_V1"
    assert "1512.03385" in first["paper"]
    assert second["macs"] == "733888*H*W" and second["top1"] is None
    assert any("unet_padded" in note for note in found["notes"])


def test_csv_has_every_column(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("compare", "vgg16", "mixer_b_16", "--csv").out)))
    assert [row["name"] for row in rows] == ["vgg16", "mixer_b_16"]
    assert rows[1]["top1"] == "" and rows[0]["macs"] == "15470264320"
    assert list(rows[0]) == ["group", *(column.name for column in COLUMNS)]


def test_columns_are_chosen(run: Run) -> None:
    done = run("compare", "vgg16", "--columns", "name, macs,file")
    assert done.out.splitlines()[1].split() == ["network", "MACs", "file"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vgg16", "--sort", "parms"], "there is no column 'parms': did you mean params?"),
        (["vgg16", "--columns", "name,topp1"], "there is no column 'topp1': did you mean top1?"),
        (["vgg16", "--sort", "?"], "there is no column '?': known are name, year,"),
        (["vgg61"], "there is no file and no shipped network called vgg61: did you mean vgg"),
        (["empty"], "there are no .net files in the folder empty"),
    ],
)
def test_wrong_usage(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    done = run("compare", *arguments)
    assert done.code == 2 and done.out == ""
    assert said in done.err


def test_a_spec_with_faults_is_left_out_and_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.net").write_text("net good\ninput 3 x 8 x 8\nCONV 8\n")
    Path("bad.net").write_text("net bad\ninput 3 x 8 x 8\nCONF 8\n")
    done = run("compare", ".")
    assert done.code == 1
    assert "good" in done.out and "bad" not in done.out
    assert "E0201" in done.err and "left out, because of their faults: bad.net" in done.err
    alone = run("compare", "bad.net")
    assert alone.code == 1 and alone.out == "" and "left out" not in alone.err


def test_each_file_is_compared_once(run: Run) -> None:
    done = run("compare", "vgg16", "vgg16", str(shipped()["vgg16"]))
    assert done.out.count("vgg16") == 1


def test_a_shipped_network_that_was_changed_is_named(run: Run) -> None:
    done = run("compare", "resnet50", "vgg16", "--set", "classes=10")
    assert "not the shipped network as it stands, so without its published accuracy: resnet50, vgg16" in done.out
    assert "top-1" not in done.out


def test_long_names_are_cut_and_links_and_folders_among_the_files_are_passed_over(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.net").write_text(f"net {'n' * 300}\ninput 3 x 8 x 8\nCONV 8\n")
    Path("deep.net").write_text("net deep\ninput 3 x 8 x 8\n(CONV 8) * 1000000\n")
    Path("again.net").symlink_to("deep.net")
    Path("broken.net").symlink_to("nowhere")
    Path("folder.net").mkdir()
    done = run("compare", ".", "--sort", "depth")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[2:] == [
        f"{'n' * 43}…     224  13.8K    768 B        1        3",
        f"{'deep':44}    584M  36.9G  2.05 GB  1000000  2000001",
    ]


def test_the_help_and_the_page_name_every_column() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "compare.md").read_text()
    command = next(a for a in build_parser()._actions if a.dest == "command").choices["compare"]  # type: ignore[index,call-overload]
    (columns,) = [action for action in command._actions if action.dest == "columns"]
    names = [column.name for column in COLUMNS]
    assert columns.help == f"of {', '.join(names)}"
    assert all(f"`{name}`" in page for name in names if name != "name")
