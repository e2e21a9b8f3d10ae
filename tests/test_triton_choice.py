"""Which kernel is taken, what is remembered of it, and how candidates are measured: without a GPU, by fakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from netdsl.devices import DEVICES, Device
from netdsl.passes.fused import FusedConv, Pointwise, Step
from netdsl.passes.recipe import NormScale, NormShift, Parameter
from netdsl_triton import store as stores
from netdsl_triton.choose import candidates, choose
from netdsl_triton.kernels.base import Config
from netdsl_triton.store import Machine, Result, Store, task_key
from netdsl_triton.task import Task, View

ROOT = Path(__file__).resolve().parent.parent
H200 = DEVICES["h200"]
MACHINE = Machine("NVIDIA H200", "sm_90", "570.1 12.8", "0.1", "2.13", "3.7", "abc")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / stores.FOLDER


class Fake:
    """A kernel with given predictions, by block size."""

    def __init__(self, name: str, predicted: Mapping[int, float], refusal: str = "") -> None:
        self.name, self.predicted, self.refusal = name, predicted, refusal

    def claims(self, task: Task, device: Device) -> str:
        return self.refusal

    def configs(self, task: Task, device: Device) -> Sequence[Config]:
        return [{"block": block} for block in self.predicted]

    def seconds(self, task: Task, config: Config, device: Device) -> float:
        return self.predicted[config["block"]]  # type: ignore[index]

    def launches(self, task: Task, config: Config) -> int:
        return 1

    def pack(self, task: Task, config: Config, weights: Mapping[str, Any]) -> tuple[Any, ...]:
        return ()

    def bind(self, task: Task, config: Config, inputs: Sequence[Any], output: Any, packed: Sequence[Any]) -> Any:
        raise NotImplementedError

    def compilations(self, task: Task, config: Config, device: Device) -> Sequence[Any]:
        return ()


def relu(channels: int = 8, pitch: int = 0, offset: int = 0, dtype: str = "fp32") -> Task:
    view = View(2, (channels, 5, 5), pitch or channels, offset, dtype)
    return Task(Pointwise(epilogue=(Step("relu"),)), (view,), view)


def convolution(name: str) -> Task:
    """A 1x1 convolution with the batch norm after it, of a layer called `name`."""
    scale, shift = NormScale(f"{name}_bn", 1e-5, 4), NormShift(f"{name}_bn", 1e-5, 4)
    op = FusedConv(
        kernel=(1, 1),
        stride=(1, 1),
        padding=((0, 0), (0, 0)),
        dilation=(1, 1),
        rounding="exact",
        out_channels=4,
        groups=1,
        weight=Parameter(f"{name}.weight", (4, 8, 1, 1)),
        epilogue=(Step("affine", weights=(scale, shift)),),
    )
    return Task(op, (View(2, (8, 5, 5), 8),), View(2, (4, 5, 5), 4))


# --- choosing ----------------------------------------------------------------------------------------------------


def test_without_measurements_the_cost_model_decides() -> None:
    kernels = [Fake("slow", {16: 3.0, 32: 2.5}), Fake("fast", {16: 2.0, 32: 1.0}), Fake("none", {1: 0.1}, "too odd")]
    choice = choose(relu(), H200, None, kernels)
    assert (choice.kernel, choice.config, choice.predicted, choice.measured) == ("fast", {"block": 32}, 1.0, None)
    assert [rival.predicted for rival in choice.rivals] == [2.0, 2.5, 3.0]
    assert choice.refused == {"none": "too odd"}
    assert choice.seconds == 1.0


def test_of_equals_the_first_is_taken_each_time() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 1.0}), Fake("b", {16: 1.0})]
    found = candidates(relu(), H200, kernels)
    assert [(one.kernel, one.config["block"]) for one in found] == [("a", 16), ("a", 32), ("b", 16)]
    assert choose(relu(), H200, None, kernels) == choose(relu(), H200, None, kernels)


def test_what_was_measured_wins_over_what_was_predicted() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 2.0}), Fake("b", {16: 3.0})]
    store = Store(MACHINE)
    store.remember(relu(), [Result("a", {"block": 32}, 9.0, 1e-3), Result("b", {"block": 16}, 8.0, 2e-3)])
    choice = choose(relu(), H200, store, kernels)
    assert (choice.kernel, choice.predicted, choice.measured, choice.error) == ("b", 3.0, 8.0, 2e-3)
    assert [rival.measured for rival in choice.rivals] == [9.0, None]


def test_what_failed_on_this_machine_is_not_taken_again() -> None:
    kernels = [Fake("a", {16: 1.0}), Fake("b", {16: 3.0})]
    store = Store(MACHINE)
    store.remember(relu(), [Result("a", {"block": 16}, dropped="it spills 12 registers")])
    choice = choose(relu(), H200, store, kernels)
    assert choice.kernel == "b"
    assert [rival.dropped for rival in choice.dropped] == ["it spills 12 registers"]
    store.remember(relu(), [Result("b", {"block": 16}, dropped="wrong numbers")])
    choice = choose(relu(), H200, store, kernels)
    assert (choice.kernel, choice.reason, len(choice.dropped)) == ("", "every kernel failed on this machine", 2)


def test_what_no_kernel_claims_says_so() -> None:
    choice = choose(relu(), H200, None, [Fake("a", {16: 1.0}, "no fp32")])
    assert (choice.kernel, choice.reason, choice.refused) == ("", "no kernel claims it", {"a": "no fp32"})
    assert choice.predicted > 0


# --- what a task is ------------------------------------------------------------------------------------------------


def test_the_key_of_a_task_knows_shapes_and_steps_but_no_names() -> None:
    assert task_key(convolution("conv1")) == task_key(convolution("conv2"))
    assert "conv1" not in task_key(convolution("conv1"))
    task = convolution("conv1")
    others = [
        task.replace(op=task.op.replace(epilogue=())),
        task.replace(op=task.op.replace(groups=2)),
        task.replace(allow_tf32=True),
        task.replace(output=task.output.replace(pitch=12)),
        task.replace(output=task.output.replace(dtype="fp16")),
        task.replace(inputs=(task.inputs[0].replace(batch=3),)),
    ]
    assert len({task_key(one) for one in (task, *others)}) == 1 + len(others)


def test_slices_count_by_their_alignment() -> None:
    assert task_key(relu(8, 256, 64)) == task_key(relu(8, 256, 128))
    assert task_key(relu(8, 256, 64)) != task_key(relu(8, 256, 72))


# --- the memory on disk ----------------------------------------------------------------------------------------------


def saved(place: Path) -> Path:
    (path,) = place.glob("*.json")
    return path


def test_another_process_remembers(place: Path) -> None:
    results = (
        Result("a", {"block": 16, "fast": True, "kind": "tma"}, 1e-6, 2e-3),
        Result("b", {}, dropped="it spills"),
    )
    Store(MACHINE).remember(relu(), results)
    assert Store(MACHINE).recall(relu()) == results
    assert Store(MACHINE).recall(relu(16)) == ()
    assert json.loads(saved(place).read_text())["machine"]["device"] == "NVIDIA H200"
    assert saved(place).stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize("field", Machine.fields)
def test_another_machine_or_version_remembers_nothing_of_it(field: str) -> None:
    Store(MACHINE).remember(relu(), [Result("a", {}, 1e-6)])
    store = Store(MACHINE.replace(**{field: "another"}))
    assert store.recall(relu()) == ()
    assert store.notes == []


def test_results_are_added_to_those_there_are() -> None:
    one, two = Store(MACHINE), Store(MACHINE)
    assert two.recall(relu()) == ()
    one.remember(relu(), [Result("a", {}, 1.0), Result("b", {}, 2.0)])
    two.remember(relu(), [Result("b", {}, 3.0), Result("c", {}, 4.0)])
    assert {result.kernel: result.seconds for result in Store(MACHINE).recall(relu())} == {"a": 1.0, "b": 3.0, "c": 4.0}


def changed(**fields: Any) -> Any:
    def change(data: bytes) -> bytes:
        return json.dumps({**json.loads(data), **fields}).encode()

    return change


BROKEN = {
    "empty": lambda data: b"",
    "torn": lambda data: data[: len(data) // 2],
    "binary": lambda data: b"\x80\x04\x95\xff" + data,
    "a list": lambda data: b"[1, 2]",
    "deep": lambda data: b"[" * 100_000,
    "endless": lambda data: data + b" " * stores.LONGEST,
    "of a later format": changed(format=stores.FORMAT + 1),
    "of another machine": changed(machine={"device": "other"}),
    "of another task": changed(task="something else"),
    "no results": changed(results=7),
    "a result without a kernel": changed(results=[{"config": {}, "seconds": 1.0}]),
    "a result with more": changed(results=[{"kernel": "a", "config": {}, "seconds": 1.0, "more": 1}]),
    "a config of lists": changed(results=[{"kernel": "a", "config": {"block": [1]}, "seconds": 1.0}]),
    "a time that is none": changed(results=[{"kernel": "a", "config": {}, "seconds": float("nan")}]),
    "a time below zero": changed(results=[{"kernel": "a", "config": {}, "seconds": -1.0}]),
    "neither time nor fault": changed(results=[{"kernel": "a", "config": {}}]),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_file_that_is_no_good_is_ignored_with_a_note_and_written_anew(how: str, place: Path) -> None:
    Store(MACHINE).remember(relu(), [Result("a", {}, 1.0)])
    path = saved(place)
    path.write_bytes(BROKEN[how](path.read_bytes()))
    store = Store(MACHINE)
    assert store.recall(relu()) == ()
    assert len(store.notes) == 1
    assert str(path) in store.notes[0]
    store.remember(relu(), [Result("b", {}, 2.0)])
    assert Store(MACHINE).recall(relu()) == (Result("b", {}, 2.0),)
    assert len(store.notes) == 1


def test_many_files_that_are_no_good_make_one_note(place: Path) -> None:
    for channels in (8, 16, 24):
        Store(MACHINE).remember(relu(channels), [Result("a", {}, 1.0)])
    for path in place.glob("*.json"):
        path.write_bytes(b"{")
    store = Store(MACHINE)
    for channels in (8, 16, 24):
        assert store.recall(relu(channels)) == ()
    assert len(store.notes) == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")
def test_what_belongs_to_somebody_else_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Store(MACHINE).remember(relu(), [Result("a", {}, 1.0)])
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert Store(MACHINE).recall(relu()) == ()


@pytest.mark.parametrize("obstacle", ["a file", "a folder in its place"])
def test_a_folder_that_cannot_be_written_costs_the_memory_and_one_note(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle == "a file":
        (tmp_path / "taken").write_text("")
        monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "taken" / "inside"))
    else:
        monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    store = Store(MACHINE)
    store.remember(relu(), [Result("a", {}, 1.0)])
    store.remember(relu(16), [Result("a", {}, 2.0)])
    assert store.recall(relu()) == (Result("a", {}, 1.0),)
    assert len(store.notes) == 1
    assert "NETDSL_CACHE" in store.notes[0]
    assert Store(MACHINE).recall(relu()) == ()


def test_the_oldest_files_go(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST", 8)
    for i in range(12):
        Store(MACHINE).remember(relu(8 + i), [Result("a", {}, 1.0)])
        newest = max(place.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (10**9 + i, 10**9 + i))
    assert 6 <= len(list(place.glob("*.json"))) <= 8
    assert Store(MACHINE).recall(relu(8 + 11))
    assert not Store(MACHINE).recall(relu(8))


WRITER = """
import sys
sys.path[:0] = {paths!r}
import test_triton_choice as t
from netdsl_triton.store import Result, Store
me = int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store = Store(t.MACHINE)
for i in range(25):
    store.remember(t.relu(), [Result(f"kernel{{me}}", {{"block": i}}, 1.0)])
    store.remember(t.relu(100 + 10 * i + me), [Result("a", {{}}, 1.0 + me)])
print(store.notes)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    code = WRITER.format(paths=[str(ROOT / "tests"), str(ROOT), str(ROOT / "backends")])
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(me)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for me in range(4)
    ]
    for writer in writers:  # they write at once: when all have imported what they need
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.communicate()[0].strip() == "[]"
        assert writer.returncode == 0
    store = Store(MACHINE)
    found = {(result.kernel, result.config["block"]) for result in store.recall(relu())}
    assert found == {(f"kernel{me}", i) for me in range(4) for i in range(25)}
    for me in range(4):
        for i in range(25):
            assert [result.seconds for result in store.recall(relu(100 + 10 * i + me))] == [1.0 + me]
    assert store.notes == []
