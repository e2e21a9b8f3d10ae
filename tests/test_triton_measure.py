"""How are candidates measured, and which of them fail?  Without a GPU, by fakes; clocks and progress for real."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fakes import H200, MACHINE, ROOT, Fake, FakeTimer, convolution, relu

from netdsl.devices import Device
from netdsl.passes.fused import Pointwise, Step
from netdsl.passes.recipe import NormScale, NormShift
from netdsl_triton import reference, timing
from netdsl_triton import store as stores
from netdsl_triton.choose import choose
from netdsl_triton.kernels.base import Config
from netdsl_triton.measure import MISSES, DeviceLost, compared
from netdsl_triton.progress import Progress, line
from netdsl_triton.store import Store, machine
from netdsl_triton.task import Task, View
from netdsl_triton.tensors import Tensors, random_tensors
from netdsl_triton.timing import DeviceTimer, HostTimer, Hung
from netdsl_triton.tune import tune_tasks


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test."""
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / stores.FOLDER


def on_cpu(task: Task) -> Tensors:
    return random_tensors(task, torch.device("cpu"))


def tuned(
    kernels: Sequence[Fake], timer: Any, task: Task | None = None, store: Store | None = None, **more: Any
) -> Any:
    """The notes of tuning one task, and what is known of each candidate after it."""
    task, store = task or relu(), store or Store(MACHINE)
    done = tune_tasks([("layer", task)], H200, on_cpu, timer, store, kernels=kernels, **more)
    return done, {(one.kernel, one.config["block"]): one for one in Store(MACHINE).recall(task)}


def test_the_fastest_measured_is_taken_from_then_on() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 2.0}), Fake("b", {16: 1.5})]
    timer = FakeTimer({("a", 16): 5.0, ("a", 32): 3.0, ("b", 16): 4.0})
    done, known = tuned(kernels, timer)
    assert (done.tasks, done.measured, done.notes) == (1, 3, ())
    assert {way: one.seconds for way, one in known.items()} == {("a", 16): 5.0, ("a", 32): 3.0, ("b", 16): 4.0}
    assert all(one.error == 0.0 for one in known.values())
    choice = choose(relu(), H200, Store(MACHINE), kernels)
    assert (choice.config, choice.predicted, choice.measured) == ({"block": 32}, 2.0, 3.0)


def test_what_is_known_is_not_measured_again() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 1.0})]
    times = {("a", 16): 5.0, ("a", 32): 3.0}
    tuned(kernels, FakeTimer(times))
    timer = FakeTimer(times)
    done, _ = tuned(kernels, timer)
    assert (done.measured, timer.log) == (0, [])


def test_equal_tasks_are_measured_once() -> None:
    timer = FakeTimer({("a", 16): 1.0})
    tasks = [("one", convolution("one")), ("other", relu()), ("two", convolution("two"))]
    done = tune_tasks(tasks, H200, on_cpu, timer, Store(MACHINE), kernels=[Fake("a", {16: 1.0})])
    assert (done.tasks, done.measured) == (2, 2)
    choice = choose(convolution("three"), H200, Store(MACHINE), [Fake("a", {16: 1.0})])
    assert choice.measured == 1.0


def test_close_ones_are_timed_in_turns() -> None:
    kernels = [Fake("a", {16: 1.0}), Fake("b", {16: 1.1}), Fake("c", {16: 1.2})]
    timer = FakeTimer({("a", 16): [1.0, 1.0, 1.3], ("b", 16): [1.1, 1.1, 1.05], ("c", 16): 2.0})
    _, known = tuned(kernels, timer)
    last = timer.log[-4:]
    assert last == [("a", 16), ("b", 16), ("a", 16), ("b", 16)]
    assert known["a", 16].seconds == 1.3
    assert choose(relu(), H200, Store(MACHINE), kernels).kernel == "b"


def test_what_is_predicted_to_be_far_slower_is_not_tried() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 2.9, 64: 3.1, 128: 50.0}), Fake("b", {16: 40.0, 32: 90.0})]
    timer = FakeTimer({("a", 16): 1.0, ("a", 32): 2.0, ("b", 16): 3.0})
    _, known = tuned(kernels, timer)
    assert set(known) == {("a", 16), ("a", 32), ("b", 16)}  # of every kernel, one at least


def test_a_kernel_that_no_longer_improves_is_given_up_and_stays_so() -> None:
    predicted = {16 + i: 1.0 + i / 100 for i in range(20)}
    kernels = [Fake("a", predicted)]
    timer = FakeTimer({("a", block): 1.0 + block for block in predicted})
    done, known = tuned(kernels, timer)
    assert len(known) == done.measured == 1 + MISSES
    done, _ = tuned(kernels, timer)
    assert done.measured == 0


def crash(tensors: Tensors, right: Callable[[], None], block: int) -> None:
    raise RuntimeError("PassManager::run failed\nand much more")


def wrong(tensors: Tensors, right: Callable[[], None], block: int) -> None:
    right()
    tensors.output[0, 0, 0, 0] += 1.0


def leaves_a_part(tensors: Tensors, right: Callable[[], None], block: int) -> None:
    kept = tensors.output[-1].clone()
    right()
    tensors.output[-1] = kept


def gives_nan(tensors: Tensors, right: Callable[[], None], block: int) -> None:
    right()
    tensors.output[0, 0, 0, 0] = math.nan


def adds_up() -> Callable[..., None]:
    """Right the first time; a sum that is not set back then."""
    times = 0

    def run(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        nonlocal times
        right()
        tensors.output.mul_(1 + times)
        times += 1

    return run


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (crash, "RuntimeError: PassManager::run failed"),
        (wrong, "wrong numbers: an error of "),
        (leaves_a_part, "its output is not finite, or not written everywhere"),
        (gives_nan, "its output is not finite, or not written everywhere"),
        (adds_up(), "wrong numbers: an error of "),
    ],
    ids=["crash", "wrong", "leaves a part", "NaN", "adds up"],
)
def test_a_candidate_that_fails_is_dropped_with_a_note_and_remembered_as_dropped(run: Any, why: str) -> None:
    kernels = [Fake("bad", {16: 1.0}, run=run), Fake("good", {16: 2.0})]
    timer = FakeTimer({("bad", 16): 0.1, ("good", 16): 1.0})
    done, known = tuned(kernels, timer)
    assert known["bad", 16].dropped.startswith(why)
    assert known["bad", 16].seconds is None
    assert ("bad", 16) not in timer.log  # numbers come before times
    assert len(done.notes) == 1
    assert done.notes[0].startswith(f"layer: bad block=16 is dropped: {why}")
    choice = choose(relu(), H200, Store(MACHINE), kernels)
    assert (choice.kernel, [rival.kernel for rival in choice.dropped]) == ("good", ["bad"])
    done, _ = tuned(kernels, timer)
    assert done.notes == ()


def test_a_candidate_that_spills_is_dropped() -> None:
    _, known = tuned(
        [Fake("bad", {16: 1.0}), Fake("good", {16: 2.0})], FakeTimer({("good", 16): 1.0}, spilled=("bad",))
    )
    assert known["bad", 16].dropped == "it spills 12 registers"
    assert known["good", 16].seconds == 1.0


def test_a_candidate_that_fails_in_the_last_round_is_dropped() -> None:
    runs = 0

    def tires(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        right()

    class Tiring(FakeTimer):
        def seconds(self, launch: Any, count: int) -> list[float]:
            nonlocal runs
            runs += launch.way == ("a", 16)
            if runs > 3:
                raise RuntimeError("misaligned address")
            return super().seconds(launch, count)

    kernels = [Fake("a", {16: 1.0}, run=tires), Fake("b", {16: 2.0})]
    _, known = tuned(kernels, Tiring({("a", 16): 1.0, ("b", 16): 1.01}))
    assert known["a", 16].dropped == "RuntimeError: misaligned address"
    assert choose(relu(), H200, Store(MACHINE), kernels).kernel == "b"


def test_without_memory_a_candidate_is_left_out_for_now_and_the_memory_freed() -> None:
    full = True

    def large(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        if full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        right()

    kernels = [Fake("large", {16: 1.0}, run=large), Fake("small", {16: 2.0})]
    timer = FakeTimer({("large", 16): 1.0, ("small", 16): 2.0})
    done, known = tuned(kernels, timer)
    assert timer.released == 1
    assert set(known) == {("small", 16)}
    assert done.notes == (
        "layer: large block=16 is left out this time: OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    )
    full = False
    _, known = tuned(kernels, timer)
    assert set(known) == {("small", 16), ("large", 16)}


def test_without_memory_for_its_tensors_a_task_is_left_out_and_the_next_is_measured() -> None:
    def tensors(task: Task) -> Tensors:
        if task.output.channels == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return on_cpu(task)

    timer = FakeTimer({("a", 16): 1.0})
    tasks = [("large", relu(8)), ("small", relu(16))]
    done = tune_tasks(tasks, H200, tensors, timer, Store(MACHINE), kernels=[Fake("a", {16: 1.0})])
    assert done.notes == ("large: not measured: OutOfMemoryError: CUDA out of memory",)
    assert timer.released == 1
    assert not Store(MACHINE).recall(relu(8))
    assert Store(MACHINE).recall(relu(16))


def test_what_hangs_is_remembered_and_ends_the_tuning() -> None:
    kernels = [Fake("good", {16: 1.0}), Fake("bad", {16: 2.0}), Fake("later", {16: 3.0})]
    timer = FakeTimer({("good", 16): 1.0, ("later", 16): 1.0})
    timer.hanging = ("bad",)
    with pytest.raises(DeviceLost, match="bad block=16 hangs"):
        tuned(kernels, timer)
    known = {one.kernel: one for one in Store(MACHINE).recall(relu())}
    assert known["bad"].dropped == "it did not end within 20 s"
    assert known["good"].seconds == 1.0
    timer.hanging = ()
    done, known = tuned(kernels, timer)  # the next process goes on behind it
    assert set(known) == {("good", 16), ("bad", 16), ("later", 16)}
    assert done.measured == 1


def test_what_breaks_the_device_ends_the_tuning_and_blames_nobody_else() -> None:
    timer = FakeTimer({("good", 16): 1.0})

    def illegal(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        timer.living = False
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(DeviceLost, match="bad block=16 broke the device"):
        tuned([Fake("bad", {16: 1.0}, run=illegal), Fake("good", {16: 2.0})], timer)
    assert [one.kernel for one in Store(MACHINE).recall(relu())] == ["bad"]


def test_interrupted_it_keeps_what_was_measured_and_goes_on_there() -> None:
    stop = True

    def interrupted(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        if block == 32 and stop:
            raise KeyboardInterrupt
        right()

    kernels = [Fake("a", {16: 1.0, 32: 2.0}, run=interrupted)]
    timer = FakeTimer({("a", 16): 1.0, ("a", 32): 0.5})
    with pytest.raises(KeyboardInterrupt):
        tuned(kernels, timer)
    assert [one.config["block"] for one in Store(MACHINE).recall(relu())] == [16]
    stop = False
    done, known = tuned(kernels, timer)
    assert done.measured == 1
    assert known["a", 32].seconds == 0.5


def test_what_is_likely_to_be_tried_is_compiled_at_once() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 2.0, 64: 9.0}), Fake("library", {16: 1.5})]
    timer = FakeTimer({("a", 16): 1.0, ("a", 32): 1.0, ("library", 16): 2.0})
    tuned(kernels, timer)
    assert timer.prepared == [("a", 16), ("a", 32)]


COMPILED = """
import sys
sys.path[:0] = {paths!r}
import torch, triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from netdsl_triton.timing import compile_together, compiled_kernels

class NoDevice:
    def get_current_target(self): return GPUTarget("cuda", 90, 32)
    def get_current_device(self): return 0
    def get_current_stream(self, device): return 0

driver.set_active(NoDevice())

@triton.jit
def twice(x, y, n, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + i, 2 * tl.load(x + i, i < n), i < n)

x, y = torch.ones(100), torch.zeros(100)
ran = []

def launch(block):
    def run():
        twice[(1,)](x, y, 100, BLOCK=block)
        ran.append(block)
    return run

run = type(twice).run
compile_together([launch(block) for block in (32, 64, 100)])  # 100 is no power of two
assert type(twice).run is run
made = list(twice.device_caches[0][0].values())
good = [kernel for kernel in made if type(kernel).__name__ == "CompiledKernel"]
print(len(made), len(good), sorted(ran), y.sum().item())
try:
    launch(100)()
except Exception as error:
    print(type(error).__name__)
"""


def test_candidates_are_compiled_in_parallel_without_a_launch(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    script = tmp_path / "compiled.py"  # Triton reads the source of its functions
    script.write_text(COMPILED.format(paths=[str(ROOT), str(ROOT / "backends")]))
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    variables["TRITON_CACHE_DIR"] = str(tmp_path / "triton")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=variables)
    assert done.stdout.splitlines() == ["3 2 [32, 64, 100] 0.0", "CompilationError"], done.stderr


def test_when_the_time_is_up_what_costs_most_was_measured() -> None:
    now = 0.0

    def slow(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        nonlocal now
        now += 4.0
        right()

    class BySize(Fake):
        def seconds(self, task: Task, config: Config, device: Device) -> float:
            return task.output.channels * 1e-6

    store = Store(MACHINE)
    tasks = [("small", relu(8)), ("large", relu(64)), ("middle", relu(16))]
    kernels = [BySize("a", {16: 1.0}, run=slow)]
    timer = FakeTimer({("a", 16): 1.0})
    done = tune_tasks(tasks, H200, on_cpu, timer, store, kernels=kernels, budget=10.0, clock=lambda: now)
    assert [len(store.recall(task)) for _, task in tasks] == [0, 1, 1]
    assert done.notes == ("the time is up: 1 of 3 tasks are as they were",)


def test_what_lies_beside_a_slice_is_left_alone() -> None:
    def spreads(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        right()
        tensors.output.as_strided((1,), (1,), tensors.output.storage_offset() - 1).fill_(1.0)

    task = relu(8, pitch=32, offset=16)
    kernels = [Fake("bad", {16: 1.0}, run=spreads), Fake("good", {16: 2.0})]
    _, known = tuned(kernels, FakeTimer({("good", 16): 1.0}), task)
    assert known["bad", 16].dropped == "it writes beside its output"
    assert known["good", 16].seconds == 1.0


def test_the_tensors_of_a_task_lie_as_its_views_say() -> None:
    task = Task(relu().op, (View(2, (6, 5, 4), 16, 8),), View(2, (6, 5, 4), 32, 4, "bf16"))
    tensors = on_cpu(task)
    assert tensors.inputs[0].shape == (2, 6, 5, 4)
    assert tensors.inputs[0].stride() == (5 * 4 * 16, 1, 4 * 16, 16)
    assert tensors.inputs[0].storage_offset() == 8
    assert (tensors.output.stride(1), tensors.output.stride(3), tensors.output.dtype) == (1, 32, torch.bfloat16)
    assert tensors.beside is not None
    assert tensors.beside.shape == (2, 32, 5, 4)
    vector = on_cpu(Task(relu().op, (View(3, (7,), 7),), View(3, (7,), 7)))
    assert vector.inputs[0].shape == (3, 7)
    assert vector.beside is None
    weights = on_cpu(convolution("conv")).weights
    assert {name: tuple(tensor.shape) for name, tensor in weights.items()} == {
        "weight": (4, 8, 1, 1),
        "epilogue.0.0": (4,),
        "epilogue.0.1": (4,),
    }
    (view,) = relu(4096).inputs
    step = Step("affine", weights=(NormScale("bn", 1e-5, 4096), NormShift("bn", 1e-5, 4096)))
    scale = on_cpu(Task(Pointwise(epilogue=(step,)), (view,), view)).weights["epilogue.0.0"]
    assert 0.05 < (scale < 0).float().mean() < 0.15
    assert (scale.abs() < 0.1).float().mean() < 0.01


@pytest.mark.parametrize("tf32", [False, True])
def test_libraries_round_as_the_task_allows_and_the_reference_never(
    tf32: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def precision() -> tuple[str, str]:
        return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision

    before = (precision(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)
    seen: list[tuple[str, str]] = []

    def watched(tensors: Tensors, right: Callable[[], None], block: int) -> None:
        seen.append(precision())
        right()

    run = reference.run
    monkeypatch.setattr(reference, "run", lambda *given: (seen.append(precision()), run(*given))[1])
    tuned([Fake("a", {16: 1.0}, run=watched)], FakeTimer({("a", 16): 1.0}), relu().replace(allow_tf32=tf32))
    allowed = "tf32" if tf32 else "ieee"
    assert seen == [("ieee", "ieee"), *[(allowed, allowed)] * 4]
    assert before == (precision(), torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nothing_that_is_not_finite_passes(bad: float) -> None:
    y, right = torch.zeros(4), torch.zeros(4)
    y[2] = bad
    assert compared(y, right, 1e9)[1] == "its output is not finite, or not written everywhere"
    assert compared(right, y, 1e9)[1] == "the reference is not finite"
    assert compared(right, right, 0.0) == (0.0, "")
    assert compared(right, right.reshape(2, 2), 0.0)[1] == "it has the shape (4,), not (2, 2)"


def test_an_error_counts_against_the_largest_value() -> None:
    y, right = torch.tensor([1.0, -4.0]), torch.tensor([1.0, -3.9])
    assert compared(y, right, 1e-2)[0] == pytest.approx(0.1 / 3.9)
    assert compared(y, right, 1e-2)[1] == "wrong numbers: an error of 2.6e-02, and 1e-02 is allowed"
    assert compared(y, right, 3e-2)[1] == ""


# --- timers ----------------------------------------------------------------------------------------------------------


def test_the_processor_is_timed_for_real() -> None:
    x, y = torch.randn(64, 64), torch.empty(64, 64)
    ran = 0

    def launch() -> None:
        nonlocal ran
        ran += 1
        torch.mm(x, x, out=y)

    timer = HostTimer()
    assert timer.once(launch) == 0
    times = timer.seconds(launch, 5)
    assert len(times) == 5
    assert ran == 6
    assert all(time > 0 for time in times)
    assert timer.alive()


def test_tuning_measures_real_tensors_on_the_processor() -> None:
    kernels = [Fake("a", {16: 1.0, 32: 2.0})]
    store = Store(machine(torch.device("cpu")))
    done = tune_tasks([("conv", convolution("conv"))], H200, on_cpu, HostTimer(), store, kernels=kernels)
    choice = choose(convolution("conv"), H200, store, kernels)
    assert (done.measured, done.notes) == (2, ())
    assert choice.measured is not None
    assert choice.measured > 0


def test_spilled_registers_are_those_of_the_kernels_that_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(function: int, spilled: int, loaded: bool = True) -> Any:
        return SimpleNamespace(function=function, n_spills=spilled, module=object() if loaded else None)

    cache = {"a": compiled(1, 0), "b": compiled(2, 40), "c": compiled(3, 8), "d": compiled(2, 99, loaded=False)}
    module = SimpleNamespace(kernel=SimpleNamespace(device_caches={0: (cache, {})}), other=7)
    monkeypatch.setitem(sys.modules, "netdsl_triton.jit.fake", module)
    assert timing.spills({1, 2}) == {2: 40}
    assert timing.spills({1}) == {}


def test_triton_says_which_kernels_it_launches() -> None:
    triton = pytest.importorskip("triton", reason="Triton is not installed")
    with timing.launched() as handles:
        triton.knobs.runtime.launch_enter_hook(SimpleNamespace(get=lambda: {"function": 7}))
    triton.knobs.runtime.launch_enter_hook(SimpleNamespace(get=lambda: {"function": 8}))
    assert handles == {7}


def test_the_functions_of_triton_have_the_caches_that_are_looked_into() -> None:
    jit = pytest.importorskip("triton.runtime.jit", reason="Triton is not installed")
    compiler = pytest.importorskip("triton.compiler.compiler")
    import inspect

    made = inspect.getsource(jit.JITFunction.create_binder)
    assert "return {}, {}," in made
    loaded = inspect.getsource(compiler.CompiledKernel._init_handles)
    assert "self.n_spills" in loaded
    assert '"function": self.function' in inspect.getsource(compiler.CompiledKernel.launch_metadata)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_is_timed_and_what_hangs_is_noticed() -> None:
    x = torch.randn(4096, 4096, device="cuda")
    y = torch.empty_like(x)
    timer = DeviceTimer(x.device)

    def launch() -> None:
        torch.mm(x, x, out=y)

    assert timer.once(launch) == 0
    assert all(1e-5 < time < 1.0 for time in timer.seconds(launch, 5))
    assert timer.alive()
    timer.limit = 0.0
    with pytest.raises(Hung):
        timer.once(launch)


# --- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_nowhere_else() -> None:
    tasks = [("conv3.2.conv1", relu())]
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        progress = Progress(stream)
        tune_tasks(
            tasks, H200, on_cpu, FakeTimer({("a", 16): 1.0}), Store(MACHINE), progress, kernels=[Fake("a", {16: 1.0})]
        )
    assert "0/1  just begun  conv3.2.conv1" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
    assert file.getvalue() == ""


def test_a_line_of_progress() -> None:
    assert line(12, 48, "conv3.2.conv1", 30.0) == "[######                  ] 12/48  1:30 left  conv3.2.conv1"
    assert line(0, 0, "", 0.0) == f"[{'#' * 24}] 0/0  0:00 left  "


def test_progress_is_drawn_no_more_often_than_one_can_see() -> None:
    now = 0.0
    screen = Terminal()
    with Progress(screen, lambda: now) as progress:
        for i in range(1000):
            now = i / 1000
            progress.show(i, 1000, "layer")
    assert 8 <= screen.getvalue().count("\r[") <= 11
