"""`netdsl bench`: what it refuses, what it compares, and what happens where a backend is wrong or fails."""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from netdsl import UsageError, loads
from netdsl.cli import main
from netdsl.devices import DEVICES
from netdsl_triton.bench import compare, contestants, latency, machine, question, table, timing
from netdsl_triton.bench.command import Asked
from netdsl_triton.bench.question import Question

SMALL = """net small(classes=5)
input 3 x 8 x 8
default CONV bn relu
CONV 8 3x3 -> residual(CONV 8 3x3)
GAP -> FC classes
"""
ASKED = Question(("torch", "eager", "folded"), (2,), "fp32", "cpu", repeats=2)
RATES = (DEVICES["cpu"], "the table")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "small.net"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def quick_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without measuring the processor."""
    monkeypatch.setattr(machine, "rates", lambda device, dtype: RATES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--backend", "torch,tritn"), "--backend: 'tritn' cannot be compared: did you mean 'triton'?"),
        (("--backend", "zzz"), "known are torch, eager, folded, compile, triton"),
        (("--backend", ""), "--backend: '' cannot be compared"),
        (("--dtype", "tf32", "--device", "cpu"), "tf32 is a mode of CUDA devices"),
        (("--json", "nowhere/at/all.json"), "there is no folder nowhere/at"),
        (("--json", "."), ". is a folder"),
    ],
)
def test_wrong_usage_is_a_sentence(
    spec: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(spec), *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--batch", "1,x", "a batch is a whole number from 1 to 100000, not 'x'"),
        ("--batch", "0", "not '0'"),
        ("--batch", "1,", "not ''"),
        ("--repeats", "0", "a whole number from 1 to 1000 is needed"),
        ("--seconds", "-1", "a time is a number of seconds above 0"),
        ("--prepare-limit", "nan", "a time is a number of seconds above 0"),
    ],
)
def test_wrong_numbers_are_refused(
    spec: Path, option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", str(spec), option, value])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_device_that_is_missing(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main(["bench", str(spec), "--device", "cuda"]) == 2
    assert "there is no CUDA device here: --device cpu" in capsys.readouterr().err
    assert question.device_called("auto") == "cpu"


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    real = __import__

    def missing(name: str, *args: Any, **named: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, *args, **named)

    monkeypatch.setattr("builtins.__import__", missing)
    with pytest.raises(UsageError, match=r'needs PyTorch: `pip install "netdsl\[torch\]"`'):
        question.device_called("auto")


def test_open_sizes_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "open.net"
    spec.write_text("net open\ninput 3 x H x W\nCONV 4 3x3\n", encoding="utf-8")
    assert main(["bench", str(spec), "--device", "cpu"]) == 2
    assert "open takes any 3 x H x W: say which, --input input=3x224x224" in capsys.readouterr().err


def test_faults_of_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "bad.net"
    spec.write_text("net bad\ninput 3 x 8 x 8\nCONVV 4\n", encoding="utf-8")
    assert main(["bench", str(spec), "--device", "cpu"]) == 1
    assert "E0201" in capsys.readouterr().err


@pytest.mark.usefixtures("quick_rates")
def test_the_command_prints_tables_and_writes_json(
    spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.json"
    arguments = ["--backend", "torch,eager,folded,triton", "--batch", "1,3", "--device", "cpu", "--repeats", "2"]
    assert main(["bench", str(spec), *arguments, "--set", "classes=4", "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert "small, batch 1, fp32: floor" in out
    assert "small, batch 3, fp32: floor" in out
    found = json.loads(target.read_text(encoding="utf-8"))
    assert found["schema"] == 1
    assert found["machine"]["torch"] == torch.__version__
    assert found["question"]["repeats"] == 2
    assert [case["batch"] for case in found["cases"]] == [1, 3]
    for case in found["cases"]:
        assert [row["backend"] for row in case["results"]] == ["torch", "eager", "folded", "triton"]
        for row in case["results"]:
            assert row["status"] == "timed", row
            assert row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
            assert row["per_second"] == pytest.approx(1e3 * case["batch"] / row["median_ms"])
            assert row["share_of_floor"] == pytest.approx(case["floor"]["fused_ms"] / row["median_ms"])
            assert 0 <= row["error"]["rms"] <= case["reference"]["limit"]
            assert row["samples"] == 2
            assert row["peak_bytes"] is None
        rivals = {row["backend"]: row["median_ms"] for row in case["results"] if row["backend"] != "triton"}
        assert case["best_rival"] == min(rivals, key=lambda name: rivals[name])
        best = next(row for row in case["results"] if row["backend"] == case["best_rival"])
        assert best["against_best_rival"] == 1
        assert case["reference"]["dtype"] == "fp64"


def case_with(monkeypatch: pytest.MonkeyPatch, make: Any, asked: Question = ASKED) -> dict[str, Any]:
    """The results where the backend `eager` is made by `make`."""
    monkeypatch.setitem(contestants.MAKERS, "eager", make)
    return compare.compare(loads(SMALL), asked, 2, RATES)


def row_of(case: dict[str, Any], backend: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in case["results"] if row["backend"] == backend)
    return found


def others_are_timed(case: dict[str, Any]) -> None:
    assert [row_of(case, name)["status"] for name in ("torch", "folded")] == ["timed", "timed"]
    assert case["best_rival"] in ("torch", "folded")


def test_wrong_numbers_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        module = scene.fresh()
        return lambda x: module(x) * 1.01

    case = case_with(monkeypatch, make)
    row = row_of(case, "eager")
    assert row["status"] == "wrong"
    assert row["reason"] == "the error is 0.01, and 0.0001 is allowed"
    assert row["error"]["rms"] == pytest.approx(0.01, rel=0.01)
    assert "median_ms" not in row
    others_are_timed(case)
    assert "eager: wrong: the error is 0.01" in table.case_table(case)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_never_passes(monkeypatch: pytest.MonkeyPatch, bad: float) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        module = scene.fresh()

        def call(x: Tensor) -> Tensor:
            out = module(x).clone()
            out[0, 0] = bad
            return out  # type: ignore[no-any-return]

        return call

    row = row_of(case_with(monkeypatch, make), "eager")
    assert (row["status"], row["reason"]) == ("wrong", "NaN, inf, or outputs of other sizes")
    json.dumps(row, allow_nan=False)


def test_a_graph_that_keeps_its_first_inputs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        out = scene.fresh()(*scene.inputs[1])
        return lambda x: out

    assert row_of(case_with(monkeypatch, make), "eager")["status"] == "wrong"


def test_what_goes_wrong_while_it_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        module, count = scene.fresh(), iter(range(10**6))
        return lambda x: module(x) + (1 if next(count) > 3 else 0)

    case = case_with(monkeypatch, make)
    assert row_of(case, "eager")["reason"] == "other numbers after timing"
    others_are_timed(case)


def test_a_backend_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scene: contestants.Scene) -> contestants.Call:
        raise RuntimeError("no such instruction\nin line 3")

    case = case_with(monkeypatch, broken)
    assert row_of(case, "eager") == {
        "backend": "eager",
        "status": "failed",
        "reason": "RuntimeError: no such instruction",
    }
    others_are_timed(case)


def test_a_backend_without_memory_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    assert row_of(case_with(monkeypatch, make), "eager")["reason"] == "out of memory"


def test_a_backend_that_fails_later_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        module, count = scene.fresh(), iter(range(10**6))

        def call(x: Tensor) -> Tensor:
            if next(count) > 8:
                raise ValueError("worn out")
            return module(x)  # type: ignore[no-any-return]

        return call

    case = case_with(monkeypatch, make)
    assert row_of(case, "eager")["reason"] == "ValueError: worn out"
    others_are_timed(case)


def test_a_backend_that_is_not_ready_in_time_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: contestants.Scene) -> contestants.Call:
        time.sleep(30)
        raise AssertionError

    start = time.monotonic()
    case = case_with(monkeypatch, make, ASKED.replace(prepare_limit=0.2))
    assert row_of(case, "eager")["reason"] == "TookTooLong: not ready within 0.2 s"
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(("weight", "status"), [(math.inf, "failed"), (1e30, "wrong")])
def test_where_numbers_overflow_nothing_is_timed(monkeypatch: pytest.MonkeyPatch, weight: float, status: str) -> None:
    """In the reference, or in fp32 alone."""

    def overflowing(module: torch.nn.Module, inputs: object) -> None:
        for parameter in module.parameters():
            parameter.data.fill_(weight)

    monkeypatch.setattr(contestants, "randomise", overflowing)
    case = compare.compare(loads(SMALL), ASKED, 2, RATES)
    assert {row["status"] for row in case["results"]} == {status}
    expected = "the reference is not finite" if status == "failed" else "NaN, inf, or outputs"
    assert expected in case["results"][0]["reason"]


def test_the_fused_module_says_when_it_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    from netdsl_triton.module import FusedModule

    def nothing(self: FusedModule, signature: Any) -> Any:
        raise RuntimeError("no kernels today")

    monkeypatch.setattr(FusedModule, "_program_for", nothing)
    with pytest.warns(UserWarning, match="no kernels today"):
        case = compare.compare(loads(SMALL), ASKED.replace(backends=("triton",)), 2, RATES)
    assert "runs as PyTorch has it; small runs as PyTorch has it for" in case["results"][0]["note"]
    assert "no kernels today" in table.case_table(case)


def test_actions_take_turns_and_inputs_do_too() -> None:
    order: list[tuple[str, int]] = []

    def action(name: str) -> timing.Action:
        def act(i: int) -> None:
            order.append((name, i % 3))
            time.sleep(0.02)

        return act

    found = timing.alternating({"a": action("a"), "b": action("b")}, 3, "cpu", 1.0, 4)
    assert all(isinstance(times, timing.Times) and len(times.samples) == 4 for times in found.values())
    names = [name for name, _ in order[6:]]  # after those that find how many calls make a sample
    assert names == [*"aabb", *"bbaa"] * 2
    assert {i for _, i in order} == {0, 1, 2}


def test_percentiles_are_samples() -> None:
    times = timing.Times(tuple(float(n) for n in range(11)), 1, 0.0)
    assert (times.median, times.percentile(10), times.percentile(90)) == (5.0, 1.0, 9.0)
    alone = timing.Times((3.0,), 1, 0.0)
    assert (alone.median, alone.percentile(10), alone.percentile(90)) == (3.0, 3.0, 3.0)


def test_embeddings_get_whole_numbers() -> None:
    net = loads("net t\ninput 6\nEMBED 9 4 -> LSTM 3 last -> FC 2\n")
    (x,) = contestants.sample_inputs(net, 5)
    assert x.dtype == torch.int64
    assert x.shape == (5, 6)
    assert 0 <= int(x.min()) <= int(x.max()) < 9
    case = compare.compare(net, ASKED.replace(backends=("torch",)), 5, RATES)
    assert case["results"][0]["status"] == "timed"


def test_errors_are_of_the_worst_output() -> None:
    one, two = torch.ones(4), torch.tensor([1.0, 2.0])
    assert compare.errors([one, two], [one, two]) == (0, 0)
    rms, largest = compare.errors([one, two + torch.tensor([0.0, 0.2])], [one, two])
    assert rms == pytest.approx(0.2 / math.sqrt(5))
    assert largest == pytest.approx(0.1)
    assert all(map(math.isnan, compare.errors([one], [one, two])))
    assert all(map(math.isnan, compare.errors([one[:2]], [one])))


def test_clocks_are_only_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "$@" >"$(dirname "$0")/asked"\necho "1980 MHz, 3201 MHz, 1980 MHz, 80.1 W, 31, 0 %"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine.clocks("cpu") is None
    found = machine.clocks("cuda")
    assert found is not None
    assert (found["clocks.sm"], found["temperature.gpu"]) == ("1980 MHz", "31")
    assert (tmp_path / "asked").read_text().startswith("--query-gpu=clocks.sm")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert machine.clocks("cuda") is None


def test_time_to_the_first_result(monkeypatch: pytest.MonkeyPatch, spec: Path) -> None:
    """The cold process and the cached one share folders that nobody used before."""
    seen = []
    real = latency.first_result

    def first_result(task: dict[str, Any], environment: dict[str, str]) -> float:
        folders = [environment[name] for name in latency.CACHES]
        seen.append((folders, [Path(folder).exists() for folder in folders]))
        return real(task, environment)

    monkeypatch.setattr(latency, "first_result", first_result)
    asked = Asked(loads(SMALL), str(spec), None, None, {"classes": "3"})
    case = {"results": [{"backend": "triton", "status": "timed"}, {"backend": "eager", "status": "timed"}]}
    latency.add(case, asked, ASKED, 2)
    times = case["results"][0]["compile"]
    assert "compile" not in case["results"][1]
    assert 0 < times["warm_s"] < 60  # type: ignore[index]
    (cold, existed), (warm, _) = seen
    assert cold == warm
    assert not any(existed)


@pytest.fixture(autouse=True)
def _switches() -> Iterator[None]:
    """No comparison leaves a switch of torch as it set it."""
    before = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    yield
    after = (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    assert before == after


# --- the scripts -----------------------------------------------------------------------------------------------------

SCRIPTS = Path(__file__).resolve().parent.parent / "benchmarks"


def script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_table_of_inference_end_to_end(tmp_path: Path) -> None:
    """Measured, resumed, and made into a page."""
    target = tmp_path / "machine.json"
    arguments = ("--device", "cpu", "--quick", "--output", target)
    done = script("gpu_inference.py", *arguments)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text(encoding="utf-8"))
    assert [(case["network"], case["batch"], case["phase"]) for case in found["cases"]] == [
        ("lenet5", 1, "eager"),
        ("lenet5", 2, "eager"),
    ]
    assert all(row["status"] == "timed" for case in found["cases"] for row in case["results"])
    found["cases"][1]["results"] = [{"backend": "triton", "status": "failed", "reason": "out of memory"}]
    del found["cases"][0]
    target.write_text(json.dumps(found), encoding="utf-8")
    again = script("gpu_inference.py", *arguments)
    assert again.returncode == 0, again.stderr
    assert "lenet5, batch 1, fp32" in again.stdout
    assert "lenet5, batch 2, fp32" not in again.stdout

    page = tmp_path / "page.md"
    assert script("make_page.py", "--folder", tmp_path, "--page", page).returncode == 0
    measured, predicted = page.read_text(encoding="utf-8").split("## Predicted")
    assert "### machine.json" in measured
    assert "| lenet5 | 1 | " in measured
    assert "- lenet5, batch 2, triton: out of memory" in measured
    assert "| resnet50 | 0.025 | 0.530 | 4.228 |" in predicted


@pytest.mark.parametrize("change", [{"schema": 99}, {"machine": {"gpu": "another"}}, {"dtype": "fp16"}, {"cases": 3}])
def test_results_of_another_machine_are_not_mixed_in(tmp_path: Path, change: dict[str, Any]) -> None:
    resumed = runpy.run_path(str(SCRIPTS / "gpu_inference.py"))["resumed"]
    here = machine.describe("cpu")
    found = {"schema": 1, "machine": here, "dtype": "fp32", "cases": []}
    target = tmp_path / "machine.json"
    target.write_text(json.dumps(found), encoding="utf-8")
    assert resumed(target, {**here, "when": "later"}, "fp32") == found
    for text in (json.dumps({**found, **change}), "{", "[]"):
        target.write_text(text, encoding="utf-8")
        with pytest.raises(UsageError, match="is of another machine, type or version"):
            resumed(target, here, "fp32")


def test_the_table_of_inference_needs_a_gpu(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = script("gpu_inference.py", "--output", tmp_path / "out.json")
    assert done.returncode == 2
    assert "there is no CUDA device here" in done.stderr
    torn = tmp_path / "torn.json"
    torn.write_text("{", encoding="utf-8")
    assert script("make_page.py", "--folder", tmp_path, "--page", tmp_path / "page.md").returncode == 2
