"""Is every plan sound?  Its memory is played through with tags instead of numbers, by rules of its own."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import programs, share

import netdsl
from netdsl.devices import BYTES, DEVICES
from netdsl.graph import Graph
from netdsl.ops import Concat
from netdsl.ops.linear import Flatten
from netdsl.passes import Context, optimise, retype
from netdsl.passes.fused import Channels, Pointwise
from netdsl_torch.paths import flat
from netdsl_triton import plan as planning
from netdsl_triton.choose import choose
from netdsl_triton.kernels.base import Choice
from netdsl_triton.memory import ALIGNMENT, Lifetime, aligned, arrange, peak
from netdsl_triton.plan import NotPlanned, Plan, Stage, plan
from netdsl_triton.task import View

H200 = DEVICES["h200"]


def unclaimed(task: Any, device: Any) -> Choice:
    return Choice("", {}, 1e-6)


def planned(text: str, batch: int = 2, dtype: str = "fp32", fuel: int | None = None, **options: Any) -> Plan:
    net = netdsl.loads(text, name="test.net")
    return plan(fused(flat(net.graph), batch, dtype, fuel), batch, dtype, H200, unclaimed, **options)


def fused(graph: Graph[Any], batch: int, dtype: str, fuel: int | None = None) -> Graph[Any]:
    concrete = retype(graph, [input.type.shape for input in graph.inputs])
    return optimise(concrete, Context(batch, dtype, H200, fuel))


def net(body: str) -> str:
    return "net t\n" + "\n".join(line.strip() for line in body.strip().splitlines()) + "\n"


# --- the checker ------------------------------------------------------------------------------------------------------


def cells(plan: Plan, view: View, home: int) -> np.ndarray[Any, Any]:
    """The bytes of the arena, as numbers of 4-byte cells, in which each value of a tensor N x C x … starts."""
    size, base = BYTES[view.dtype], plan.buffers[home].offset
    pixels = np.arange(view.batch * prod(view.shape[1:])).reshape(view.batch, *view.shape[1:])
    channels = np.arange(view.shape[0]).reshape(1, -1, *[1] * (len(view.shape) - 1))
    at = base + size * (np.expand_dims(pixels, 1) * view.pitch + view.offset + channels)
    assert at.min() >= base
    assert at.max() + size <= base + plan.buffers[home].bytes
    assert base + plan.buffers[home].bytes <= plan.arena
    return at


def expected(plan: Plan) -> list[np.ndarray[Any, Any]]:
    """A tag for each number of each value: what an element computes is new, what it passes on is not."""
    graph = plan.graph
    tags: list[np.ndarray[Any, Any]] = []
    for value in range(len(graph.inputs) + len(graph.nodes)):
        shape = (plan.batch, *graph.type_of(value).shape)
        node = graph.nodes[value - len(graph.inputs)] if value >= len(graph.inputs) else None
        inputs = [tags[v] for v in node.inputs] if node else []
        op = node.op if node else None
        if isinstance(op, Concat) and op.axis == "C":
            tag = np.concatenate(inputs, axis=1)
        elif isinstance(op, Channels):
            tag = inputs[0][:, op.start : op.start + op.count]
        elif isinstance(op, Flatten) and (op.axes == "spatial" or inputs[0][0, 0].size == 1):
            tag = inputs[0].reshape(shape)
        else:
            tag = (value + 1) * 10**9 + np.arange(prod(shape)).reshape(shape)
        assert tag.shape == shape
        tags.append(tag)
    return tags


def check(plan: Plan) -> None:
    """Plays the plan: each stage finds in memory what its inputs are, and writes what its output is."""
    tags = expected(plan)
    owner = np.full(plan.arena, -1, np.int64)

    def write(at: np.ndarray[Any, Any], tag: np.ndarray[Any, Any], size: int) -> None:
        for byte in range(size):
            owner[at + byte] = tag * 8 + byte

    def found(at: np.ndarray[Any, Any], tag: np.ndarray[Any, Any], size: int) -> bool:
        return all(bool((owner[at + byte] == tag * 8 + byte).all()) for byte in range(size))

    inputs = len(plan.graph.inputs)
    for value in range(inputs):
        view = plan.views[value]
        write(cells(plan, view, plan.homes[value]), tags[value], BYTES[view.dtype])
    done = set(range(inputs))
    for stage in plan.stages:
        output, home = stage.task.output, plan.homes[stage.output]
        for value, view in zip(stage.inputs, stage.task.inputs, strict=True):
            assert view == plan.views[value]
            at = cells(plan, view, plan.homes[value])
            assert found(at, tags[value], BYTES[view.dtype]), f"{stage.name} does not find its input {value}"
        node = plan.graph.nodes[stage.node]
        at = cells(plan, output, home)
        if isinstance(node.op, Concat) and node.op.axis == "C":  # a part that could not be written in place
            assert isinstance(stage.task.op, Channels)
            tag = tags[stage.inputs[0]]
        else:
            assert output == plan.views[stage.output]
            assert stage.inputs == node.inputs
            assert stage.output not in done
            tag = tags[stage.output]
        if touches(plan, stage, at):
            assert isinstance(node.op, Pointwise), f"{stage.name} writes over what it reads"
        write(at, tag, BYTES[output.dtype])
        done.add(stage.output)
    for out in plan.graph.outputs:
        view = plan.views[out.value]
        at = cells(plan, view, plan.homes[out.value])
        assert found(at, tags[out.value], BYTES[view.dtype]), f"the output {out.name} is not there at the end"
    assert plan.bound <= plan.arena
    for buffer in plan.buffers:
        assert buffer.offset % ALIGNMENT == 0


def touches(plan: Plan, stage: Stage, at: np.ndarray[Any, Any]) -> bool:
    """Whether a stage reads bytes that it writes."""
    written = np.zeros(plan.arena, bool)
    for byte in range(BYTES[stage.task.output.dtype]):
        written[at + byte] = True
    every = [(cells(plan, view, plan.homes[v]), view) for v, view in zip(stage.inputs, stage.task.inputs)]
    return any(written[there + byte].any() for there, view in every for byte in range(BYTES[view.dtype]))


@given(programs(), st.integers(1, 3), st.sampled_from(["fp32", "bf16"]), st.none() | st.integers(0, 12))
@share(60)
def test_every_program_has_a_sound_plan(program: Any, batch: int, dtype: str, fuel: int | None) -> None:
    try:
        found = planned(program.text, batch, dtype, fuel)
    except NotPlanned as why:
        assert "words" in str(why)
        return
    check(found)


@pytest.mark.parametrize(
    ("name", "input"),
    [
        ("densenet_40_12", "3x8x8"),
        ("squeezenet1_1", "3x64x64"),
        ("googlenet", "3x80x80"),
        ("shufflenet_v2_x1_0", "3x32x32"),
        ("unet_padded", "1x16x16"),
        ("res2net50_26w_4s", "3x32x32"),
    ],
)
def test_a_shipped_network_has_a_sound_plan(name: str, input: str) -> None:
    graph = fused(flat(netdsl.load(name, input=input).graph), 1, "bf16")
    check(plan(graph, 1, "bf16", H200, choose))


# --- concatenations ---------------------------------------------------------------------------------------------------


def copies(found: Plan) -> list[str]:
    return [stage.name for stage in found.stages if isinstance(stage.task.op, Channels)]


CONCATS = {
    "branches": ("input 3 x 8 x 8\nCONV 8 | CONV 5 3x3 | CONV 3\nCONV 2", 0),
    "nested": (
        "input 3 x 8 x 8\na = CONV 8 | CONV 4\nb = a -> CONV 8 3x3\nc = a | b\nd = c | (c -> CONV 3)\nCONV 2",
        0,
    ),
    "grows by more than one": (
        "input 3 x 8 x 8\na = CONV 4\nb = a -> CONV 4\nc = (a | b) -> CONV 4\nd = (a | b | c) -> CONV 4\nCONV 2",
        0,
    ),
    "the same twice": ("input 3 x 8 x 8\na = CONV 4\na | a\nCONV 2", 1),
    "in two orders": (
        "input 3 x 8 x 8\na = CONV 4\nb = a -> CONV 4 relu\nc = (a | b) -> CONV 4\nd = (b | a) -> CONV 4\nc + d",
        2,
    ),
    "of the input": ("input img = 3 x 8 x 8\na = img -> CONV 4\nimg | a\nCONV 2", 0),
    "of an input that is an output too": ("input img = 3 x 8 x 8\na = img -> CONV 4\nb = img | a\noutput a, b", 0),
    "along the height": ("input 3 x 8 x 8\na = CONV 4\nb = a -> CONV 4\nconcat(a, b, axis=H) -> CONV 2", 0),
    "of vectors": ("input img = 3 x 8 x 8\na = img -> GAP -> FC 5\nb = img -> GAP -> FC 7\na | b\nFC 2", 0),
}


@pytest.mark.parametrize("name", CONCATS)
def test_parts_are_written_where_the_whole_has_them(name: str) -> None:
    body, copied = CONCATS[name]
    found = planned(net(body))
    check(found)
    assert len(copies(found)) == copied
    assert not any(isinstance(stage.task.op, Concat) and stage.task.op.axis == "C" for stage in found.stages)


def test_dense_blocks_copy_nothing() -> None:
    graph = fused(flat(netdsl.load("densenet121").graph), 32, "bf16")
    found = plan(graph, 32, "bf16", H200, unclaimed)
    assert copies(found) == []
    slices = [stage.task.output for stage in found.stages if stage.task.output.is_slice]
    assert len(slices) >= 58  # each of the 58 layers writes into its block


def test_the_checker_sees_a_wrong_plan() -> None:
    """The meta-test: whatever is moved in a plan, it is noticed."""
    found = planned(net(CONCATS["nested"][0]))
    check(found)
    broken = 0
    for i, buffer in enumerate(found.buffers):
        at_once = [b for b in found.buffers if b.start <= buffer.end and buffer.start <= b.end and b is not buffer]
        for offset in {other.offset for other in at_once}:
            buffers = list(found.buffers)
            buffers[i] = buffer.replace(offset=offset)
            with pytest.raises(AssertionError):
                check(found.replace(buffers=tuple(buffers), arena=found.arena + buffer.bytes))
            broken += 1
    assert broken
    with pytest.raises(AssertionError):
        check(found.replace(stages=found.stages[::-1]))


# --- in place ---------------------------------------------------------------------------------------------------------


class InPlace:
    """A kernel that may write over what it reads."""

    name = "in_place"
    in_place = True


def test_a_step_may_write_over_an_operand_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "registered", lambda: (InPlace(),))
    text = net("input 4 x 8 x 8\na = POOL 3x3 /1 same\nb = a -> LRN\nc = a + b\nc -> LRN -> RELU -> LRN")
    graph = fused(flat(netdsl.loads(text, name="t.net").graph), 2, "fp32")
    chosen = plan(graph, 2, "fp32", H200, lambda task, device: Choice("in_place", {}, 1e-6))
    check(chosen)
    shared = [s for s in chosen.stages if any(chosen.homes[v] == chosen.homes[s.output] for v in s.inputs)]
    assert shared
    assert all(isinstance(stage.task.op, Pointwise) for stage in shared)
    apart = plan(graph, 2, "fp32", H200, unclaimed)
    check(apart)
    assert not [s for s in apart.stages if any(apart.homes[v] == apart.homes[s.output] for v in s.inputs)]
    assert chosen.arena <= apart.arena


# --- numbers of words -------------------------------------------------------------------------------------------------


def test_words_stay_whole_numbers() -> None:
    found = planned("net t\ninput 12\nEMBED 1000 8 -> LSTM 4 last -> FC 3\n", dtype="bf16")
    assert found.views[0].dtype == "int64"
    assert {view.dtype for view in found.views[1:]} == {"bf16"}
    check(found)


def test_tf32_is_said_of_fp32_alone() -> None:
    text = net("input 3 x 8 x 8\nCONV 4 3x3 relu\nGAP -> FC 3")
    for dtype, wanted in (("fp32", {True, False}), ("fp16", {False})):
        found = planned(text, dtype=dtype, tf32=(True, False))
        assert {stage.task.allow_tf32 for stage in found.stages} == wanted


# --- the arena --------------------------------------------------------------------------------------------------------

LIVES = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, 20), st.integers(0, 8)).map(
        lambda t: Lifetime(t[0], t[1], t[1] + t[2])
    ),
    min_size=1,
    max_size=25,
)


@given(LIVES)
def test_what_lives_at_once_lies_apart(lives: list[Lifetime]) -> None:
    layout = arrange(lives)
    assert layout == arrange(lives)
    assert layout.bytes >= peak(lives)
    for i, a in enumerate(lives):
        assert layout.offsets[i] % ALIGNMENT == 0
        assert layout.offsets[i] + a.bytes <= layout.bytes
        for j, b in enumerate(lives[:i]):
            if a.start <= b.end and b.start <= a.end:
                first, second = sorted((i, j), key=lambda k: layout.offsets[k])
                assert layout.offsets[first] + lives[first].bytes <= layout.offsets[second]


@given(LIVES)
def test_the_bound_is_that_of_the_fullest_step(lives: list[Lifetime]) -> None:
    steps = range(30)
    assert peak(lives) == max(sum(aligned(b.bytes) for b in lives if b.start <= step <= b.end) for step in steps)
