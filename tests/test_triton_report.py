"""What does `--explain-fusion` say?  The report as data, the table, the command line; without a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import Run

from netdsl.devices import DEVICES, Device
from netdsl.net import Net, load, loads
from netdsl.options import UsageError
from netdsl.passes.fused import FusedConv
from netdsl_triton import kernels as registry
from netdsl_triton.kernels.base import Config
from netdsl_triton.report import Report, explain, planned
from netdsl_triton.report_text import table
from netdsl_triton.store import Machine, Result, Store
from netdsl_triton.task import Task

ROOT = Path(__file__).resolve().parent.parent
H200 = DEVICES["h200"]
MACHINE = Machine("NVIDIA H200", "sm_90", "570.1 12.8", "0.1", "2.13", "3.7", "abc")
SMALL = """net small
input 3 x 16 x 16
stem = CONV 8 bn relu
body = (CONV 8 bn -> CONV 8 bn relu) * 2
a = CONV 4 1x1 relu
b = body -> CONV 4 3x3
both = concat(a, b)
POOL -> GAP -> dropout 0.5
logits = FC 10
output aux = stem -> GAP -> FC 10
"""


class Modelled:
    """A kernel of convolutions, or of all else, whose launches are predicted to take so many microseconds each."""

    def __init__(self, name: str, micros: float, convolutions: bool) -> None:
        self.name, self.micros, self.convolutions = name, micros, convolutions

    def claims(self, task: Task, device: Device) -> str:
        return "" if isinstance(task.op, FusedConv) == self.convolutions else "it is not for that"

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return [{"block_m": 64, "block_n": 32, "num_warps": 4, "fast": True}, {"block_m": 16, "block_n": 16}]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        return self.micros * 1e-6 * 64 / int(config["block_m"])

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Any]) -> tuple[Any, ...]:
        raise NotImplementedError

    def bind(self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]) -> Any:
        raise NotImplementedError

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Any]:
        return ()


@pytest.fixture
def modelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three kernels with known predictions instead of those there are."""
    kernels = (Modelled("conv", 4.0, True), Modelled("library", 5.0, True), Modelled("rest", 2.0, False))
    monkeypatch.setattr(registry, "KERNELS", kernels)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder and a cache of its own for every test."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return folder


def net_of(text: str = SMALL) -> Net:
    return loads(text, name="small.net")


# --- data --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["alexnet", "googlenet", "densenet121", "resnet50", "inception_v3", "mobilenet_v3_large", "convnext_tiny"]
)
def test_each_primitive_is_accounted_for_once(name: str) -> None:
    net = load(name)
    report = explain(net, 32, "bf16", H200)
    elements = {element.name: element for element in report.elements}
    assert len(elements) == len(report.elements)
    assert len(elements) == len(net.layers)
    work = {one.name for one in report.work}
    for element in report.elements:
        if element.becomes == "fused":
            assert element.done, element
            assert element.into in work, element
        elif element.becomes == "kernel":
            assert element.name in work, element
    parts = [part for name in work for part in next(one for one in report.work if one.name == name).elements]
    assert len(set(parts)) == len(parts)
    assert set(parts) == {element.name for element in report.elements if element.becomes in ("kernel", "fused")}
    assert {"kernel", "fused"} <= {element.becomes for element in report.elements}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ["fp32", "tf32", "fp16", "bf16"])
def test_every_device_and_type_has_a_report(device: str, dtype: str) -> None:
    report = explain(net_of(), 4, dtype, DEVICES[device])
    totals = report.totals
    assert totals.kernels == sum(one.choice.launches for one in report.work)
    assert totals.predicted == pytest.approx(sum(one.choice.predicted for one in report.work))
    assert totals.measured is None
    assert 0 < totals.floor <= totals.predicted
    assert totals.floor <= totals.floor_library
    assert totals.kernels < totals.library < totals.elements
    assert json.loads(json.dumps(report.to_dict()))["dtype"] == dtype


def test_what_happened_to_each_element(modelled: None) -> None:
    elements = {element.name: element for element in explain(net_of(), 1, "fp16", H200).elements}
    found = {name: (element.becomes, element.into) for name, element in elements.items()}
    assert found == {
        "stem": ("kernel", ""),
        "stem_bn": ("fused", "stem"),
        "stem_relu": ("fused", "stem"),
        "body.0.0": ("kernel", ""),
        "body.0.1": ("fused", "body.0.0"),
        "body.0.2": ("kernel", ""),
        "body.0.3": ("fused", "body.0.2"),
        "body.0.4": ("fused", "body.0.2"),
        "body.1.0": ("kernel", ""),
        "body.1.1": ("fused", "body.1.0"),
        "body.1.2": ("kernel", ""),
        "body.1.3": ("fused", "body.1.2"),
        "body.1.4": ("fused", "body.1.2"),
        "a": ("kernel", ""),
        "a_relu": ("fused", "a"),
        "b": ("kernel", ""),
        "both": ("view", ""),
        "pool1": ("kernel", ""),
        "gap1": ("fused", "logits"),
        "dropout1": ("nothing", ""),
        "logits": ("kernel", ""),
    }
    assert elements["body.0.3"].block == "body.0"
    assert [step.rule for step in elements["stem_relu"].done] == ["epilogue"]
    assert elements["stem"].at == "small.net:3:8"


def test_what_was_not_fused_says_why() -> None:
    text = "net forked\ninput 3 x 8 x 8\na = CONV 4\nb = a -> relu\n(a + b) -> GAP -> FC 10\n"
    elements = {element.name: element for element in explain(net_of(text), 1, "fp16", H200).elements}
    assert [(step.rule, step.reason) for step in elements["b"].left] == [
        ("epilogue", "others read what a gives too"),
        ("prologue", "fc1 takes no sums in its prologue"),
    ]


def test_elements_that_become_one_are_named_together() -> None:
    report = explain(load("googlenet"), 32, "bf16", H200)
    (one,) = [one for one in report.work if one.name == "a3.conv2+a3.conv4"]
    assert one.elements == ("a3.conv2", "a3.relu2", "a3.conv4", "a3.relu4")
    assert one.macs == 32 * 28 * 28 * 192 * (96 + 16)
    assert {element.into for element in report.elements if element.name in ("a3.conv2", "a3.conv4")} == {one.name}
    assert "  conv2+conv4      together" in table(report)


def test_what_went_on_with_its_host_is_shown_on_its_way() -> None:
    text = "net preact\ninput 8 x 8 x 8\na = CONV 16\nb = bn -> relu -> CONV 16 1x1\n(a + b) -> GAP -> FC 4\n"
    report = explain(net_of(text), 32, "fp16", H200)
    relu = next(element for element in report.elements if element.op == "relu")
    assert (relu.done[-1].into, relu.into) == ("b_bn", "b")
    assert "→ b_bn → b: relu in its epilogue" in table(report)


def remembering(report: Report, results: Callable[[int], Sequence[Result]], dtype: str) -> Store:
    """A store with results for each task of the small network, by its number."""
    store = Store(MACHINE)
    for i, stage in enumerate(planned(net_of(), report.batch, dtype, H200)[2].stages):
        store.remember(stage.task, results(i))
    return store


BEST = {"block_m": 64, "block_n": 32, "num_warps": 4, "fast": True}


def test_what_was_measured_stands_beside_what_was_predicted(modelled: None) -> None:
    predicted = explain(net_of(), 1, "fp16", H200)

    def results(i: int) -> Sequence[Result]:
        if predicted.work[i].kernel == "rest":
            return [Result("rest", BEST, 3e-6, 0.0)]
        dropped = Result("conv", {"block_m": 16, "block_n": 16}, dropped="it spills 12 registers")
        return [Result("conv", BEST, 8e-6, 2e-4), Result("library", BEST, 6e-6, 1e-4), dropped]

    report = explain(net_of(), 1, "fp16", H200, remembering(predicted, results, "fp16"))
    stem = report.work[0]
    assert (stem.kernel, stem.choice.measured, stem.choice.error) == ("library", 6e-6, 1e-4)
    assert stem.choice.predicted == pytest.approx(5e-6)
    assert stem.runner_up is not None
    assert (stem.runner_up.kernel, stem.margin) == ("conv", pytest.approx(8 / 6))
    assert report.totals.measured == pytest.approx(sum(one.choice.measured or 0 for one in report.work))
    assert report.machine == MACHINE
    text = table(report)
    assert "on h200 (NVIDIA H200)" in text
    assert "1.33 x as fast as conv (8.0 µs); predicted 5.0 µs; error 1e-04" in text
    assert "conv 16x16 dropped: it spills 12 registers" in text
    assert "measured  " in text
    fields = report.to_dict()
    assert fields["machine"]["device"] == "NVIDIA H200"
    assert fields["work"][0]["measured_s"] == 6e-6
    assert fields["work"][0]["dropped"] == [
        {"kernel": "conv", "config": {"block_m": 16, "block_n": 16}, "reason": "it spills 12 registers"}
    ]


def test_where_some_were_measured_their_sum_is_no_time_of_the_network(modelled: None) -> None:
    predicted = explain(net_of(), 1, "fp16", H200)
    store = Store(MACHINE)
    store.remember(planned(net_of(), 1, "fp16", H200)[2].stages[0].task, [Result("conv", BEST, 8e-6)])
    report = explain(net_of(), 1, "fp16", H200, store)
    assert report.totals.measured is None
    assert report.totals.predicted == pytest.approx(predicted.totals.predicted)
    assert f"measured: 1 of {len(report.work)} tasks" in table(report)


def test_times_of_different_kinds_are_not_compared(modelled: None) -> None:
    store = Store(MACHINE)
    task = planned(net_of(), 1, "fp16", H200)[2].stages[0].task
    store.remember(task, [Result("conv", BEST, 8e-6), Result("library", BEST, dropped="it spills 4 registers")])
    stem = explain(net_of(), 1, "fp16", H200, store).work[0]
    assert (stem.kernel, stem.runner_up, stem.margin) == ("conv", None, None)


# --- the table ---------------------------------------------------------------------------------------------------

TABLE = """\
small on h200, batch 1, fp16; input 3 x 16 x 16
9 kernels for 21 elements (14 where only the steps after a layer are fused)
0.1 MB moved; 0.0 MB of memory, at least 0.0 MB
predicted 32.0 µs, floor 0.0 µs: 0 %
measured: nothing yet: `netdsl tune`

  element          what                     kernel, or what it became             time  floor

  stem             conv 3x3                 conv 64x32 w4 fast                  4.0 µs    0 %
      1.25 x as fast as library (5.0 µs)
  stem_bn          batchnorm                → stem: folded into the weights
  stem_relu        relu                     → stem: relu in its epilogue
body.0 … body.1: 2 equal ones
  0                conv 3x3                 conv 64x32 w4 fast                  4.0 µs    0 %
      1.25 x as fast as library (5.0 µs)
  1                batchnorm                → 0: folded into the weights
  2                conv 3x3                 conv 64x32 w4 fast                  4.0 µs    0 %
      1.25 x as fast as library (5.0 µs)
  3                batchnorm                → 2: folded into the weights
  4                relu                     → 2: relu in its epilogue

  a                conv 1x1                 conv 64x32 w4 fast                  4.0 µs    0 %
"""


def test_the_table(modelled: None) -> None:
    text = table(explain(net_of(), 1, "fp16", H200))
    assert text.startswith(TABLE)
    assert text.endswith(
        "\n\ntimes are predicted, not measured; % of the floor: max(arithmetic / rate, bytes / bandwidth)"
    )
    assert "  dropout1         dropout p=0.5            does nothing in inference\n" in text
    assert "  both             concat                   a view of memory\n" in text


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "mobilenet_v3_large", "inception_v4", "mixer_b_16"])
def test_lines_fit_a_terminal(name: str) -> None:
    lines = table(explain(load(name), 32, "bf16", H200)).splitlines()
    assert max(map(len, lines)) <= 120
    assert sum(len(line) > 100 for line in lines) <= len(lines) // 10


def test_what_no_kernel_claims_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KERNELS", (Modelled("conv", 4.0, True),))
    text = table(explain(net_of(), 1, "fp16", H200))
    assert "  pool1            maxpool 2x2 /2           pytorch" in text
    assert "      no kernel claims it; conv: it is not for that" in text


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def spec(here: Path) -> Path:
    path = here / "small.net"
    path.write_text(SMALL)
    return path


def test_explain_prints_and_writes_no_file(run: Run, spec: Path, here: Path) -> None:
    done = run("compile", spec, "--backend", "triton", "--explain-fusion", "--batch", 4, "--device", "a100")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("small on a100, batch 4, bf16; input 3 x 16 x 16\n")
    assert [path.name for path in here.iterdir()] == ["small.net"]


def test_explain_with_a_target_writes_it_too(run: Run, spec: Path, here: Path) -> None:
    done = run("compile", spec, "--explain-fusion", "-o", "fused.py")
    assert (done.code, done.err) == (0, "")
    assert "small on h200, batch 32, bf16" in done.out
    assert "def fused(" in (here / "fused.py").read_text()


def test_explain_as_json_is_one_object_with_a_line_for_each_row(run: Run, spec: Path) -> None:
    done = run("compile", spec, "--explain-fusion", "--json", "--dtype", "fp32", "--set", "classes=10")
    assert done.code == 2  # it has no such parameter
    done = run("compile", spec, "--explain-fusion", "--json", "--dtype", "fp32")
    fields = json.loads(done.out)
    assert set(fields) == {
        *("format", "name", "inputs", "batch", "dtype", "device", "machine", "totals", "elements", "work", "notes")
    }
    assert len(done.out.splitlines()) == len(fields) + len(fields["elements"]) + len(fields["work"]) + 2 + 2
    page = (ROOT / "docs" / "explain-fusion.md").read_text(encoding="utf-8")
    for part in (fields, fields["totals"], fields["elements"][0], fields["work"][0]):
        for key in part:
            assert f"`{key}`" in page, f"docs/explain-fusion.md does not speak of {key}"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--device", "h100"), "there is no device 'h100': known are h200, a100, b200, mi300x, cpu"),
        (("--dtype", "int8"), "there is no type 'int8' to compute in: known are fp32, tf32, fp16, bf16"),
        (("--batch", "0"), "a batch is a whole number from 1 to 100000, not '0'"),
        (("--batch", "many"), "a batch is a whole number from 1 to 100000, not 'many'"),
        (("--backend", "torch"), "the torch backend fuses nothing that could be explained: --backend triton does"),
        (("--backend", "tritn"), "there is no backend 'tritn': did you mean 'triton'?"),
        (("-o", "small.txt"), "the triton backend writes .py, not .txt"),
    ],
)
def test_wrong_usage_says_what_is_right(arguments: tuple[str, ...], said: str, run: Run, spec: Path) -> None:
    done = run("compile", spec, "--explain-fusion", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize("option", [("--batch", "4"), ("--dtype", "fp16"), ("--device", "a100"), ("--json",)])
def test_options_of_the_report_go_with_it(option: tuple[str, ...], run: Run, spec: Path, here: Path) -> None:
    done = run("compile", spec, *option)
    assert (done.code, done.err) == (2, f"netdsl: {option[0]} goes with --explain-fusion\n")
    assert [path.name for path in here.iterdir()] == ["small.net"]


def test_open_sizes_have_to_be_said(run: Run, here: Path) -> None:
    (here / "fcn.net").write_text("net fcn\ninput 3 x H x W\nCONV 8 relu -> CONV 2 1x1\n")
    done = run("compile", "fcn.net", "--explain-fusion")
    assert (done.code, done.err) == (2, "netdsl: fcn takes any 3 x H x W: say which, --input input=3x224x224\n")
    done = run("compile", "fcn.net", "--explain-fusion", "--input", "3x32x48")
    assert (done.code, done.err) == (0, "")
    assert "input 3 x 32 x 48" in done.out


def test_a_spec_with_faults_is_not_explained(run: Run, here: Path) -> None:
    (here / "faulty.net").write_text("net faulty\ninput 3 x 8 x 8\nCONVV 64\n")
    for command in (("compile", "faulty.net", "--explain-fusion"), ("tune", "faulty.net")):
        done = run(*command)
        assert (done.code, done.out) == (1, "")
        assert "CONVV" in done.err


def test_what_cannot_be_planned_says_why(run: Run, here: Path) -> None:
    (here / "words.net").write_text("net words\ninput 12\nrelu -> embed 100 8\n")
    done = run("compile", "words.net", "--explain-fusion")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("netdsl: words runs as the PyTorch backend has it: ")


BARE = """
import sys
sys.path[:0] = {paths!r}
sys.modules["torch"] = sys.modules["triton"] = sys.modules["numpy"] = None
from netdsl.cli import main
code = main(sys.argv[1:])
sys.exit(code)
"""


def bare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process in which torch, triton and numpy cannot be imported."""
    code = BARE.format(paths=[str(ROOT), str(ROOT / "backends")])
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=os.environ)


def test_without_torch_and_triton_the_report_is_the_same(run: Run, spec: Path) -> None:
    arguments = ("compile", str(spec), "--explain-fusion", "--device", "mi300x")
    done = bare(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run(*arguments).out


def test_tuning_without_torch_says_what_is_missing(spec: Path) -> None:
    done = bare("tune", str(spec))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == 'netdsl: PyTorch is not installed: `pip install "netdsl[triton]"`\n'


# --- tuning ------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("NETDSL_TRITON_INTERPRET", raising=False)


def test_tuning_without_a_gpu_says_so(no_gpu: None, run: Run, spec: Path) -> None:
    done = run("tune", spec, "--batch", "1,32")
    assert (done.code, done.out) == (2, "")
    assert done.err == "netdsl: there is no GPU here to time kernels on: without one, the cost model chooses\n"


def test_tuning_without_triton_says_so(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netdsl_triton import tune

    monkeypatch.setattr(tune, "triton_missing", lambda: "Triton is not installed: `pip install triton`")
    done = run("tune", spec)
    assert (done.code, done.err) == (2, "netdsl: Triton is not installed: `pip install triton`\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch", "1,0"), "a batch is a whole number from 1 to 100000, not '0'"),
        (("--batch", ""), "a batch is a whole number from 1 to 100000, not ''"),
        (("--budget", "0"), "a time is a number of seconds above 0, not '0'"),
        (("--budget", "nan"), "a time is a number of seconds above 0, not 'nan'"),
    ],
)
def test_wrong_numbers_for_tuning(arguments: tuple[str, ...], said: str, run: Run, spec: Path) -> None:
    done = run("tune", spec, *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


TINY = "net tiny\ninput 16 x 4 x 4\na = CONV 16 1x1 bn relu\nb = CONV 16 1x1\n(a + b) -> GAP -> FC 4\n"


def test_tuning_runs_for_real_in_the_interpreter(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton was imported without its interpreter")
    monkeypatch.setenv("NETDSL_TRITON_INTERPRET", "1")
    (here / "tiny.net").write_text(TINY)
    done = run("tune", "tiny.net", "--batch", "1,2", "--dtype", "fp32")
    assert done.code == 0
    assert done.err == ""  # no terminal, no bar
    assert "tiny on h200 (cpu), batch 2, fp32" in done.out
    assert "candidates measured for" in done.out
    assert "dropped" not in done.out
    again = run("tune", "tiny.net", "--dtype", "fp32", "--batch", "2")
    assert "\n0 candidates measured for" in again.out


def test_a_module_tunes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton was imported without its interpreter")
    import torch

    monkeypatch.setenv("NETDSL_TRITON_INTERPRET", "1")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    module: Any = net_of(TINY).compile(backend="triton").eval()
    x = torch.randn(2, 16, 4, 4)
    with torch.inference_mode():
        predicted = module(x)
        done = module.tune(x)
        assert done.measured > 0
        assert module.programs == {}  # the next call has the winners
        tuned = module(x)
    torch.testing.assert_close(tuned, predicted)
    (program,) = module.programs.values()
    choices = [stage.choice for stage in program.plan.stages if stage.choice.kernel]
    assert choices
    assert all(choice.measured is not None for choice in choices)
    assert module.tune(x).measured == 0
    again: Any = net_of(TINY).compile(backend="triton", tune=True).eval()
    with torch.inference_mode():
        again(x)
    (program,) = again.programs.values()
    assert [stage.choice for stage in program.plan.stages if stage.choice.kernel] == choices


def test_unknown_devices_are_a_fault_of_the_caller() -> None:
    with pytest.raises(UsageError, match="a batch has at least one sample, not 0"):
        explain(net_of(), 0, "bf16", H200)
