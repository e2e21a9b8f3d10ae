"""Which kernel is taken, and when are two tasks the same?  Without a GPU, by fakes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fakes import H200, MACHINE, Fake, convolution, relu

from netdsl.devices import DEVICES, Device
from netdsl_triton import store as stores
from netdsl_triton.choose import candidates, choose, chooser
from netdsl_triton.kernels.base import Config
from netdsl_triton.store import Result, Store, task_key
from netdsl_triton.task import Task


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / stores.FOLDER


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
    assert [rival.measured for rival in choice.rivals] == [9.0]  # what was not tried is not thought of again


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


def test_a_network_with_equal_tasks_is_chosen_for_once() -> None:
    asked: list[Task] = []

    class Asked(Fake):
        def configs(self, task: Task, device: Device) -> Sequence[Config]:
            asked.append(task)
            return super().configs(task, device)

    kernels = (Asked("a", {16: 1.0}),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netdsl_triton.kernels.KERNELS", kernels)
        chosen = chooser()
        for name in ("one", "two", "three"):
            assert chosen(convolution(name), H200).kernel == "a"
        assert chosen(convolution("one"), DEVICES["a100"]).kernel == "a"
    assert len(asked) == 2


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
