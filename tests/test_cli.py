"""What does the command line do?  Exit codes, streams, files: through `main`, and through real processes.

0 all is well, 1 a spec has faults, 2 wrong usage, 70 a fault of netdsl itself (which no test here may see).
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import Done, Run

from netdsl import __version__
from netdsl.cli import main
from netdsl.files import shipped

ROOT = Path(__file__).resolve().parent.parent
SPECS = sorted(shipped())
CLOSED = [name for name in SPECS if name != "unet_padded"]
"""Networks whose text says the size of their input."""
FAULTY = "net faulty\ninput 3 x 8 x 8\nCONVV 64\nGAP -> FC 10\n"
SMALL = "net small(classes=10)\ninput 3 x 8 x 8\nCONV 4 relu -> POOL : 4 x 4 x 4\nlogits = FC classes\n"
OPEN = "net fcn(classes=21)\ninput 3 x H x W\n(CONV 8 relu -> POOL) * 3\nCONV classes 1x1\n"
WARNED = "net warned\ninput 3 x 8 x 8\na = CONV 4 relu\nb = a -> CONV 5 relu\na -> GAP -> FC 10\n"
TWO = "net left\ninput 3 x 8 x 8\nCONV 4 relu -> GAP\n\nnet right\ninput 3 x 8 x 8\nCONV 8 relu -> GAP\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def spec(here: Path) -> Callable[..., Path]:
    """spec(text) writes small.net into the current folder."""

    def write(text: str = SMALL, name: str = "small.net") -> Path:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Path(name)

    return write


def process(*arguments: str | bytes | Path) -> subprocess.CompletedProcess[str]:
    """A real process: `python -m netdsl …`."""
    words = [sys.executable, "-m", "netdsl", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=30)


def files() -> set[str]:
    return {path.name for path in Path.cwd().iterdir()}


# --- check -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLOSED)
def test_check_is_silent_when_all_is_well(name: str, run: Run) -> None:
    assert run("check", name) == (0, "", "")
    assert run("check", shipped()[name]) == (0, "", "")


def test_check_takes_many_specs(run: Run, spec: Callable[..., Path]) -> None:
    assert run("check", *CLOSED, spec()) == (0, "", "")


def test_check_reports_a_faulty_spec(run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec(FAULTY))
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error[E0201]: unknown name `CONVV`\n --> small.net:3:1\n")
    assert "did you mean `CONV`?" in done.err
    assert "\x1b" not in done.err, "no colours where nobody sees them"


def test_check_goes_on_after_a_faulty_spec(run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec(FAULTY, "a.net"), spec(SMALL, "b.net"), spec(FAULTY, "c.net"))
    assert done.code == 1
    assert re.findall(r"--> (\w\.net)", done.err) == ["a.net", "c.net"]


def test_check_counts_several_errors(run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec("net two\ninput 3 x 8 x 8\na = CONVV 64\nb = POOOL\n"))
    assert done.code == 1
    assert done.err.count("error[E0201]") == 2
    assert done.err.rstrip().endswith("2 errors")


def test_warnings_do_not_fail(run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec(WARNED))
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith("warning[W0501]: `b` is never used")


def test_check_says_what_open_sizes_must_satisfy(run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec(OPEN))
    assert (done.code, done.err) == (0, "")
    assert re.search(r"\bH\b.*multiple of 8", done.out)
    assert "small.net:3:" in done.out


@pytest.mark.parametrize(("sizes", "code"), [("3x64x96", 0), ("3x64x100", 1), ("3x4x64", 1)])
def test_check_proves_a_concrete_size(sizes: str, code: int, run: Run, spec: Callable[..., Path]) -> None:
    done = run("check", spec(OPEN), "--input", sizes)
    assert (done.code, done.out) == (code, "")
    assert ("E0310" in done.err) == bool(code)


def test_a_path_is_shown_as_it_was_typed(run: Run, spec: Callable[..., Path], here: Path) -> None:
    path = spec(FAULTY, "nets/deep/faulty.net")
    assert " --> nets/deep/faulty.net:3:1\n" in run("check", path).err
    assert " --> nets/deep/faulty.net:3:1\n" in run("check", here / path).err


def test_a_file_that_is_no_text(run: Run, here: Path) -> None:
    (here / "bytes.net").write_bytes(b"net a\n\xff\xfe\n")
    done = run("check", "bytes.net")
    assert (done.code, done.out) == (1, "")
    assert "E0105" in done.err


# --- wrong usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check missing.net", "there is no file missing.net"),
        ("check nets/missing.net", "there is no file nets/missing.net"),
        ("check googlnet", "did you mean googlenet?"),
        ("check quixotic", "netdsl list"),
        ("check .", "folder"),
        ("check small.net --sett classes=3", "unrecognized arguments: --sett classes=3: did you mean --set?"),
        ("check", "SPEC"),
        ("", "prove that every shape fits"),
        ("chekc small.net", "netdsl: there is no command 'chekc': did you mean check?"),
        ("check small.net --format jsn", "argument --format: invalid choice: 'jsn': did you mean json?"),
        ("check small.net --color red", "choose from auto, always, never"),
        ("check small.net --set classes", "--set takes NAME=NUMBER, not 'classes'"),
        ("check small.net --set classes=", "--set takes NAME=NUMBER"),
        ("check small.net --set =3", "--set takes NAME=NUMBER"),
        ("check small.net --set 3=3", "--set takes NAME=NUMBER"),
        ("check small.net --set classes=many", "classes is a number, not 'many'"),
        ("check small.net --set classes=1/0", "classes is a number, not '1/0'"),
        ("check small.net --set classes=nan", "classes is a number"),
        ("check small.net --set classes=inf", "classes is a number"),
        ("check small.net --set clases=3", "did you mean 'classes'?"),
        ("check small.net --set depth=3", "it has classes"),
        ("check small.net --set input=3x8x8", "give it with --input"),
        ("check small.net --set net=small", "give it with --net"),
        ("check small.net --set spec=3", "no parameter 'spec'"),
        ("check small.net --set self=3", "no parameter 'self'"),
        ("check small.net --input big", "with 3 sizes, not 1"),
        ("check small.net --input 3x0x8", "3x224x224"),
        ("check small.net --input 3x-8x8", "3x224x224"),
        ("check small.net --input 3x8.5x8", "3x224x224"),
        ("check small.net --input 3x\u00b2x8", "3x224x224"),
        (f"check small.net --input 3x{'9' * 5000}x8", "3x224x224"),
        ("check small.net --input ''", "3x224x224"),
        ("check small.net --input 3x8", "with 3 sizes, not 2"),
        ("check small.net --input 3x8x8x8", "with 3 sizes, not 4"),
        ("check small.net --input left=3x8x8", "no input 'left'"),
        ("check small.net --net big", "has no net 'big': it has small"),
        ("check lenet5 --net big", "has no net 'big': it has lenet5"),
        ("show small.net --depth 0", "whole number"),
        ("show small.net --depth deep", "whole number"),
        ("show", "SPEC"),
        ("show small.net lenet5", "unrecognized arguments"),
        ("compile small.net -o small.xyz", "no backend writes .xyz"),
        ("compile small.net -o small", "a file without a suffix"),
        ("compile small.net -o small.xyz --backend torch", "torch backend writes .py, not .xyz"),
        ("compile small.net --backend troch", "did you mean 'torch'?"),
        ("compile small.net -o missing/small.py", "there is no folder missing"),
        ("compile small.net -o small.net/small.py", "small.net"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(command: str, said: str, run: Run, spec: Callable[..., Path]) -> None:
    spec()
    before = files()
    done = run(*shlex.split(command))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert files() == before


def test_a_number_that_would_fill_the_memory(spec: Callable[..., Path]) -> None:
    """In a process of its own, which is given 30 seconds."""
    done = process("check", spec(), "--set", "classes=1e999999999")
    assert (done.returncode, done.stdout) == (2, "")
    assert "classes" in done.stderr


def test_a_parameter_without_a_default_is_asked_for(run: Run, spec: Callable[..., Path]) -> None:
    path = spec(SMALL.replace("classes=10", "classes"))
    done = run("check", path)
    assert done.code == 2
    assert "small needs a value for 'classes'" in done.err
    assert run("check", path, "--set", "classes=3") == (0, "", "")


def test_version_and_help(run: Run) -> None:
    assert run("--version") == (0, f"netdsl {__version__}\n", "")
    done = run("--help")
    assert (done.code, done.err) == (0, "")
    modules = {path.stem for path in Path(sys.modules["netdsl.cli"].__file__ or "").parent.glob("*.py")}
    commands = re.findall(r"^  ([a-z]+) {2,}\w", done.out, re.M)
    assert set(commands) == modules - {"__init__", "arguments", "asked", "output", "parser"}
    assert max(map(len, done.out.splitlines())) <= 100
    for command in commands:
        inner = run(command, "--help")
        assert (inner.code, inner.err) == (0, "")


# --- which network ---------------------------------------------------------------------------------------------------


def test_a_path_wins_over_a_shipped_name(run: Run, spec: Callable[..., Path]) -> None:
    spec(SMALL, "lenet5")
    assert run("show", "lenet5").out.startswith("small: ")


def test_a_folder_does_not(run: Run, here: Path) -> None:
    (here / "lenet5").mkdir()
    assert run("show", "lenet5").out.startswith("lenet5: ")


def test_the_last_of_several_networks_or_the_one_that_is_named(run: Run, spec: Callable[..., Path]) -> None:
    path = spec(TWO)
    assert json.loads(run("show", path, "--json").out)["outputs"] == {"output": [8]}
    assert json.loads(run("show", path, "--json", "--net", "left").out)["outputs"] == {"output": [4]}
    assert "it has left, right" in run("show", path, "--net", "middle").err


def test_imports_are_found_beside_the_spec(
    run: Run, spec: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec("block down(c) = CONV c relu -> POOL\n", "nets/parts/blocks.net")
    path = spec('import "parts/blocks.net"\nnet small\ninput 3 x 8 x 8\ndown(4) -> GAP -> FC 10\n', "nets/small.net")
    assert run("check", path) == (0, "", "")
    monkeypatch.chdir("nets/parts")
    assert run("check", "../small.net") == (0, "", "")


def test_a_fault_in_an_imported_file_is_shown_there(run: Run, spec: Callable[..., Path]) -> None:
    spec("block down(c) = CONVV c -> POOL\n", "blocks.net")
    path = spec('import "blocks.net"\nnet small\ninput 3 x 8 x 8\ndown(4) -> GAP -> FC 10\n')
    done = run("check", path)
    assert done.code == 1
    assert " --> blocks.net:1:17\n" in done.err
    assert "called from small.net:4:1" in done.err


# --- show ------------------------------------------------------------------------------------------------------------


def test_a_repair_in_another_file_says_in_which(run: Run, spec: Callable[..., Path]) -> None:
    spec("net base\ninput 8 x 8 x 8\na = CONV 8\nb = a + CONV 8\n", "base.net")
    done = run("check", spec('import "base.net"\nnet other = base with\n    a = CONV 9\n'))
    assert done.code == 1 and "--> base.net:4:" in done.err
    assert "help: `CONV 8` makes both 8 x 8 x 8\n ::: small.net:3:14\n3 |     a = CONV 8\n" in done.err


def test_show_is_a_table(run: Run) -> None:
    done = run("show", "lenet5")
    assert (done.code, done.err) == (0, "")
    head, empty, *rows = done.out.splitlines()
    assert head == "lenet5: 61,706 parameters, 416,520 MACs"
    assert empty == ""
    assert rows[0].split() == [
        "element",
        "what",
        "output",
        "parameters",
        "%",
        "MACs",
        "%",
        "memory",
        "%",
        "field",
        "stride",
    ]
    assert re.fullmatch(r"conv1 +conv 5x5 +6 x 28 x 28 +156 <1 +118K 28 +5 +1", rows[2])
    assert re.fullmatch(r"fc3 +linear +10 +850 +1 +840 <1 +all", rows[13])
    assert re.fullmatch(r"total +61,706 +417K +36.4 kB", rows[14])
    assert rows[16].startswith(
        "96 % of the parameters are in FC layers, 78 % in fc1; 86 % of the MACs are in convolutions"
    )
    assert rows[-3].split() == ["memory,", "fp32", "batch", "1", "batch", "32", "batch", "256"]
    assert [row.split()[0] for row in rows[-2:]] == ["inference", "training,"]
    assert all(row == row.rstrip() for row in rows)


def test_show_tells_parameters_of_training_apart(run: Run) -> None:
    head = run("show", "googlenet").out.splitlines()[0]
    assert head == "googlenet: 13,378,280 parameters (6,998,552 in inference), 1,582,671,872 MACs"


def test_show_opens_blocks_to_a_depth(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # wide enough for whole words
    tables = [run("show", "resnet50", "--depth", depth).out.splitlines() for depth in (1, 2, 3, 4, 1000)]
    lengths = [len(table) for table in tables]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[1] < lengths[2]
    assert tables[0] == run("show", "resnet50").out.splitlines()
    for table in tables:
        assert table[0] == tables[0][0]
        outer = [" ".join(row.split()) for row in table[3:] if not row.startswith(" ")]
        assert outer == [" ".join(row.split()) for row in tables[0][3:]], "the outer rows stay as they are"


def test_show_of_a_faulty_spec(run: Run, spec: Callable[..., Path]) -> None:
    for options in ([], ["--json"]):
        done = run("show", spec(FAULTY), *options)
        assert (done.code, done.out) == (1, "")
        assert "E0201" in done.err


def as_json(done: Done) -> dict[str, Any]:
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", CLOSED)
def test_json_holds_what_was_agreed(name: str, run: Run) -> None:
    """name, inputs, outputs, params, params_inference, trainable_params, macs, and the layers in order."""
    net = as_json(run("show", name, "--json"))
    assert net["name"] == name
    for field in ("params", "params_inference", "trainable_params", "macs"):
        assert type(net[field]) is int
    for field in ("inputs", "outputs"):
        assert net[field]
        for label, shape in net[field].items():
            assert isinstance(label, str)
            assert all(type(size) is int for size in shape)

    known = set(net["inputs"])
    names = [layer["name"] for layer in net["layers"]]
    assert len(set(names)) == len(names)
    assert not set(names) & known
    for layer in net["layers"]:
        assert list(layer) == ["name", "op", "inputs", "shape", "params", "macs", "at", "receptive_field", "stride"]
        assert isinstance(layer["name"], str)
        assert isinstance(layer["op"], str)
        assert layer["inputs"], "every layer has an input"
        assert set(layer["inputs"]) <= known, "an input is a network input or an earlier layer"
        assert all(type(size) is int and size > 0 for size in layer["shape"])
        assert type(layer["params"]) is int
        assert type(layer["macs"]) is int
        file, line, column = layer["at"].rsplit(":", 2)
        text = shipped()[Path(file).stem].read_text(encoding="utf-8").splitlines()[int(line) - 1]
        assert text[int(column) - 1 :].strip()
        known.add(layer["name"])

    assert sum(layer["params"] for layer in net["layers"]) == net["params_inference"]
    assert sum(layer["macs"] for layer in net["layers"]) == net["macs"]
    assert net["params_inference"] <= net["params"]
    assert net["trainable_params"] <= net["params"]
    assert list(net["outputs"].values()) == [net["layers"][-1]["shape"]]


def test_json_of_every_kind_of_input(run: Run, spec: Callable[..., Path]) -> None:
    text = (
        "net pair\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\na = left -> CONV 4 relu\nb = right -> CONV 4 relu\n"
    )
    net = as_json(run("show", spec(text + "both = a | b\noutput both, a\n"), "--json"))
    assert net["inputs"] == {"left": [3, 8, 8], "right": [3, 8, 8]}
    assert net["outputs"] == {"both": [8, 8, 8], "a": [4, 8, 8]}
    assert [layer["inputs"] for layer in net["layers"] if layer["op"] == "conv"] == [["left"], ["right"]]


def test_json_of_open_sizes_holds_formulas(run: Run, spec: Callable[..., Path]) -> None:
    net = as_json(run("show", spec(OPEN), "--json"))
    assert net["inputs"] == {"input": [3, "H", "W"]}
    assert net["layers"][0]["shape"] == [8, "H", "W"]
    assert isinstance(net["macs"], str)
    assert type(net["params"]) is int


def test_json_counts_frozen_parameters(run: Run, spec: Callable[..., Path]) -> None:
    net = as_json(run("show", spec(SMALL + "freeze logits\n"), "--json"))
    assert net["params"] - net["trainable_params"] == 64 * 10 + 10


def test_settings_reach_the_network(run: Run) -> None:
    net = as_json(run("show", "vgg16", "--json", "--set", "classes=10", "--input", "3x64x64"))
    assert net["inputs"] == {"input": [3, 64, 64]}
    assert net["outputs"] == {"fc8": [10]}
    assert net["layers"][-1]["params"] == 4096 * 10 + 10


def test_inputs_are_set_by_name(run: Run, spec: Callable[..., Path]) -> None:
    path = spec("net pair\ninput left = 3 x 8 x 8\ninput right = 3 x 8 x 8\n(left + right) -> CONV 4 relu\n")
    net = as_json(run("show", path, "--json", "--input", "left=3x4x4", "--input", "right=3 x 4 x 4"))
    assert net["inputs"] == {"left": [3, 4, 4], "right": [3, 4, 4]}


def test_a_spec_that_is_not_there_is_told_with_what_is(run: Run, here: Path) -> None:
    (here / "mine").mkdir()
    assert "mine is a folder; give a .net file in it" in run("check", "mine").err
    assert "there is no file lenet5.net; the shipped network is lenet5" in run("check", "lenet5.net").err


# --- list ------------------------------------------------------------------------------------------------------------


def test_list_names_every_shipped_network(run: Run) -> None:
    done = run("list")
    assert (done.code, done.err) == (0, "")
    head, *rows = done.out.splitlines()
    assert head.split() == ["name", "params", "MACs", "source"]
    assert [row.split()[0] for row in rows] == SPECS
    assert len(rows) >= 10
    lenet5 = rows[SPECS.index("lenet5")].split()
    assert lenet5[1:3] == ["61.7K", "417K"]
    assert all("#" not in row for row in rows)


# --- compile ---------------------------------------------------------------------------------------------------------


def test_compile_writes_into_the_current_folder(run: Run) -> None:
    done = run("compile", "lenet5")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("lenet5: 61,706 parameters")
    assert done.out.endswith("\nwrote lenet5.py\n")
    assert files() == {"lenet5.py"}
    compile(Path("lenet5.py").read_text(encoding="utf-8"), "lenet5.py", "exec")


@pytest.mark.parametrize("name", SPECS)
def test_every_shipped_network_compiles_to_python(name: str, run: Run) -> None:
    assert run("compile", name).code == 0
    compile(Path(f"{name}.py").read_text(encoding="utf-8"), f"{name}.py", "exec")


def test_compile_takes_a_file_name(run: Run, here: Path) -> None:
    (here / "models").mkdir()
    assert run("compile", "lenet5", "-o", "models/digits.py").out.endswith("wrote models/digits.py\n")
    assert run("compile", "lenet5", "--output", here / "again.py", "--backend", "torch").code == 0
    assert files() == {"models", "again.py"}
    assert Path("models/digits.py").read_bytes() == Path("again.py").read_bytes()


def test_compile_names_the_file_after_the_network(run: Run, spec: Callable[..., Path]) -> None:
    assert run("compile", spec(SMALL, "experiment.net")).code == 0
    assert files() == {"experiment.net", "small.py"}


def test_compile_with_settings(run: Run) -> None:
    done = run("compile", "vgg16", "--set", "classes=10", "--input", "3x64x64")
    assert done.code == 0
    assert re.search(r"^fc8 +linear +10 +40,970 +<1 +41.0K +<1 +all$", done.out, re.MULTILINE)
    assert re.search(r"^input +input +3 x 64 x 64 +49.2 kB +1$", done.out, re.MULTILINE)
    assert "2048" in Path("vgg16.py").read_text(encoding="utf-8"), "512 x 2 x 2 reach the first linear layer"


def test_compiling_twice_gives_the_same_text(run: Run) -> None:
    assert run("compile", "resnet18", "-o", "a.py").code == 0
    assert run("compile", "resnet18", "-o", "b.py").code == 0
    assert Path("a.py").read_bytes() == Path("b.py").read_bytes()


def test_compile_replaces_its_own_output(run: Run) -> None:
    assert run("compile", "lenet5").code == 0
    first = Path("lenet5.py").read_bytes()
    assert run("compile", "lenet5", "--set", "classes=3")[0::2] == (0, "")
    assert Path("lenet5.py").read_bytes() != first
    assert run("compile", "resnet18", "-o", "lenet5.py").code == 0, "also that of another network"


@pytest.mark.parametrize("foreign", ["print('mine')\n", "", "\ufeff# notes\n"])
def test_compile_refuses_a_file_that_is_not_its_own(foreign: str, run: Run) -> None:
    Path("lenet5.py").write_text(foreign, encoding="utf-8")
    done = run("compile", "lenet5")
    assert (done.code, done.out) == (2, "")
    assert "lenet5.py exists" in done.err
    assert "--force" in done.err
    assert Path("lenet5.py").read_text(encoding="utf-8") == foreign
    assert files() == {"lenet5.py"}


def test_compile_refuses_bytes_that_are_no_text(run: Run) -> None:
    Path("lenet5.py").write_bytes(b"\xff\x00")
    assert run("compile", "lenet5").code == 2
    assert Path("lenet5.py").read_bytes() == b"\xff\x00"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "\n# a note\n",
        lambda text: text.replace("5", "7", 1),
        lambda text: text.replace("forward", "backward", 1),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("\n", "\n\n", 1),
    ],
    ids=["appended", "a digit", "a word", "cut", "a line"],
)
def test_compile_refuses_output_that_was_edited(edit: Callable[[str], str], run: Run) -> None:
    assert run("compile", "lenet5").code == 0
    path = Path("lenet5.py")
    edited = edit(path.read_text(encoding="utf-8"))
    path.write_text(edited, encoding="utf-8")
    done = run("compile", "lenet5")
    assert (done.code, done.out) == (2, "")
    assert "edited" in done.err or "changed" in done.err
    assert path.read_text(encoding="utf-8") == edited


def test_compile_can_be_forced(run: Run) -> None:
    Path("lenet5.py").write_text("print('mine')\n", encoding="utf-8")
    assert run("compile", "lenet5", "--force").code == 0
    assert "mine" not in Path("lenet5.py").read_text(encoding="utf-8")
    assert run("compile", "lenet5").code == 0, "from now on it is netdsl's"


def test_compile_replaces_what_another_backend_wrote(run: Run) -> None:
    for backend in ("triton", "torch", "triton"):
        assert run("compile", "lenet5", "--backend", backend).code == 0


def test_compile_does_not_write_onto_a_folder(run: Run, here: Path) -> None:
    (here / "lenet5.py").mkdir()
    for options in ([], ["--force"]):
        done = run("compile", "lenet5", *options)
        assert (done.code, done.out) == (2, "")
        assert "lenet5.py is a folder" in done.err
    assert files() == {"lenet5.py"}


def test_a_faulty_spec_writes_nothing(run: Run, spec: Callable[..., Path]) -> None:
    path = spec(FAULTY)
    done = run("compile", path)
    assert (done.code, done.out) == (1, "")
    assert "E0201" in done.err
    assert files() == {"small.net"}


def test_a_faulty_spec_leaves_what_was_there(run: Run, spec: Callable[..., Path]) -> None:
    assert run("compile", spec(SMALL)).code == 0
    before = Path("small.py").read_bytes()
    assert run("compile", spec(FAULTY), "-o", "small.py", "--force").code == 1
    assert Path("small.py").read_bytes() == before


def test_a_folder_that_cannot_be_written(run: Run, here: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (here / "locked").mkdir(mode=0o555)
    done = run("compile", "lenet5", "-o", "locked/lenet5.py")
    assert (done.code, done.out) == (2, "")
    assert "locked/lenet5.py cannot be written" in done.err


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_that_not_even_root_can_write(run: Run) -> None:
    done = run("compile", "lenet5", "-o", "/proc/self/lenet5.py")
    assert (done.code, done.out) == (2, "")
    assert "/proc/self/lenet5.py cannot be written" in done.err


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("function", ["tempfile.mkstemp", "os.fdopen", "os.chmod", "os.replace"])
def test_nothing_half_written_stays(function: str, existing: bool, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails on the way: an error in a sentence, the old file or none, and no temporary file."""
    if existing:
        assert run("compile", "lenet5").code == 0
    before = {path.name: path.read_bytes() for path in Path.cwd().iterdir()}

    def full(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    home, _, name = function.partition(".")
    with monkeypatch.context() as patch:
        patch.setattr({"os": os, "tempfile": tempfile}[home], name, full)
        done = run("compile", "lenet5", "--set", "classes=3")
    assert (done.code, done.out) == (2, "")
    assert "lenet5.py cannot be written: No space left on device" in done.err
    assert {path.name: path.read_bytes() for path in Path.cwd().iterdir()} == before


def test_nothing_half_written_stays_when_it_is_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert main(["compile", "lenet5"]) == 130
    assert files() == set()


def test_the_file_has_the_mode_of_any_new_file(run: Run) -> None:
    before = os.umask(0o027)
    try:
        assert run("compile", "lenet5").code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("lenet5.py").stat().st_mode) == 0o640


def test_warnings_do_not_stop_a_compilation(run: Run, spec: Callable[..., Path]) -> None:
    done = run("compile", spec(WARNED))
    assert done.code == 0
    assert "W0501" in done.err
    assert files() == {"small.net", "warned.py"}


# --- real processes --------------------------------------------------------------------------------------------------


def test_python_dash_m_netdsl() -> None:
    done = process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"netdsl {__version__}\n", "")


def test_the_installed_command_and_its_exit_codes(spec: Callable[..., Path]) -> None:
    command = Path(sys.executable).with_name("netdsl")
    if not command.exists():
        pytest.skip("netdsl is not installed beside this Python")
    for arguments, code in ((["lenet5"], 0), ([spec(FAULTY)], 1), (["missing.net"], 2)):
        done = subprocess.run([command, "check", *arguments], capture_output=True, text=True)
        assert done.returncode == code
        assert done.stdout == ""
        assert bool(done.stderr) == bool(code)


def test_messages_go_to_the_error_stream(spec: Callable[..., Path]) -> None:
    done = process("show", spec(WARNED), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["name"] == "warned"
    assert done.stderr.startswith("warning[W0501]")


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    """`netdsl show resnet50 --json | head -1` ends cleanly."""
    words = f"{shlex.quote(sys.executable)} -m netdsl show resnet50 --json"
    done = subprocess.run(["bash", "-c", f"{words} | head -1; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("{\n0\n", "")


@pytest.mark.parametrize("arguments", [("show", "resnet50", "--json"), ("list",), ("show", "lenet5"), ("--help",)])
def test_a_reader_that_never_was_is_no_error(arguments: tuple[str, ...]) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "netdsl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    said = child.stderr.read()
    child.stderr.close()
    assert child.wait(60) == 0
    assert said == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_streams_are_no_error(closed: str, spec: Callable[..., Path]) -> None:
    words = shlex.join([sys.executable, "-m", "netdsl", "check", str(spec(FAULTY))])
    done = subprocess.run(["sh", "-c", f"{words} {closed}"], capture_output=True, text=True)
    assert (done.returncode, "internal error" in done.stderr) == (1, False)


def test_a_full_disk_behind_the_output_is_told() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "netdsl", "show", "lenet5"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_that_cannot_show_every_character(encoding: str, spec: Callable[..., Path]) -> None:
    """Tables hold `…`, specs may hold anything: what cannot be shown is replaced, and nothing fails."""
    path = spec(
        "# R\u00e9seau \u2192 1\nnet small\ninput 3 x 8 x 8\nb\u00e9ta = residual(CONV 4 -> BN -> RELU -> CONV 4) * 3\n"
    )
    faulty = spec(FAULTY.replace("CONVV", "CONV\u03b2\u2192"), "faulty.net")
    variables = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for arguments, code in (
        (("show", path, "--depth", "3"), 0),
        (("show", path, "--json"), 0),
        (("check", faulty), 1),
        (("list",), 0),
        (("explain", f"{path}:4"), 0),
        (("compile", path), 0),
    ):
        words = [sys.executable, "-m", "netdsl", *map(str, arguments)]
        done = subprocess.run(words, capture_output=True, env=variables)
        assert done.returncode == code, done.stderr
        assert b"internal error" not in done.stderr
        if arguments[0] == "explain" and encoding == "ascii":
            assert b"add, x 3 " in done.stdout
        if "--json" in arguments:
            assert "b\u00e9ta.0.conv1" in {
                layer["name"] for layer in json.loads(done.stdout.decode(encoding))["layers"]
            }


@pytest.mark.parametrize("argument", ["", " ", "\n", "..", "/", "~", "a" * 5000, "*.net", "-", "--", "\u2603", "con:"])
@pytest.mark.parametrize("command", ["check", "show", "compile"])
def test_strange_names_of_files(command: str, argument: str, run: Run) -> None:
    assert run(command, argument).code == 2


def test_a_name_that_is_no_text(here: Path) -> None:
    done = process("check", b"\xff.net")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no file" in done.stderr
    (here / os.fsdecode(b"\xff.net")).write_text(FAULTY)
    found = json.loads(process("check", "--format", "sarif", b"\xff.net").stdout)["runs"][0]["results"]
    assert found[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "%FF.net"


@pytest.mark.parametrize(
    "text", ["", "\n", "#", "\ufeff", "net", "net a", "input 3", "(", ")" * 1000, "->" * 1000, "x", "\t", "\r", "a = "]
)
def test_strange_texts(text: str, run: Run, spec: Callable[..., Path]) -> None:
    assert run("check", spec(text)).code in (0, 1)


def test_internal_faults_are_told_apart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A fault of netdsl itself says so, has its own code, and shows its traceback on demand."""

    def broken(*arguments: object, **named: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("netdsl.net.load_with", broken)
    monkeypatch.delenv("NETDSL_DEBUG", raising=False)
    assert main(["check", "lenet5"]) == 70
    said = capsys.readouterr()
    assert said.out == ""
    assert "internal error, please report it: RuntimeError: a bug" in said.err
    assert "Traceback" not in said.err
    monkeypatch.setenv("NETDSL_DEBUG", "1")
    with pytest.raises(RuntimeError):
        main(["check", "lenet5"])
