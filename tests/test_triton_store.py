"""What is remembered of the kernels that were measured, by whom it is read, and what becomes of files that are no good?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import MACHINE, ROOT, relu

from netdsl_triton import store as stores
from netdsl_triton.store import Machine, Result, Store


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / stores.FOLDER


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
from netdsl.passes.fused import Pointwise, Step
from netdsl_triton.store import Machine, Result, Store
from netdsl_triton.task import Task, View

def relu(channels):
    view = View(2, (channels, 5, 5), channels)
    return Task(Pointwise(epilogue=(Step("relu"),)), (view,), view)

me = int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store = Store({machine!r})
for i in range(25):
    store.remember(relu(8), [Result(f"kernel{{me}}", {{"block": i}}, 1.0)])
    store.remember(relu(100 + 10 * i + me), [Result("a", {{}}, 1.0 + me)])
print(store.notes)
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    code = WRITER.format(paths=[str(ROOT), str(ROOT / "backends")], machine=MACHINE)
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
