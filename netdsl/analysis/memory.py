"""How much memory does it take, in inference and in training?  From a schedule: what is there at the same time.

    inference    parameters, buffers and the inputs, and the most that other tensors take at any moment
    training     parameters, buffers, the state of the optimiser, the inputs, and the most that kept activations and
                 gradients take at any moment of the backward pass

What is modelled is what the PyTorch module of a network does. Elements run in the order of the text. A tensor lives
until its variable gets another value, or the function returns (`Pieces.held_until`), and what a block is given lives
until the block is done. Nothing is computed in place; flattening, reshaping, slices and crops are views; a
concatenation is a copy; dropout does nothing in inference. Training keeps what autograd keeps (`Op.keeps`): each piece
of memory once, until the backward pass of the first element that keeps it. Gradients of activations live from the last
reader's backward pass to the maker's; those of parameters from theirs on. Not in it: the workspace of libraries, memory
that an allocator holds back, and the CUDA context.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from netdsl.analysis.kept import Ledger, Pieces, Setting
from netdsl.devices import BYTES
from netdsl.graph import Graph, Node, fold, live, total_of
from netdsl.ops.base import Op
from netdsl.options import UsageError, need_known
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.types import TensorType

if TYPE_CHECKING:
    from netdsl.net import Net

OPTIMISERS = {"sgd": 1, "adam": 2, "none": 0}
"""How many values an optimiser remembers of each parameter: SGD its momentum, Adam two moments."""
TYPES = ("fp32", "fp16", "bf16", "fp64")
"""Types that activations and parameters may have in memory."""


class Memory(Record):
    """Bytes, for a batch.

    parameters    all of them; in inference those of heads that only training has are there, too
    buffers       running statistics
    inputs        the batch
    activations   of inference: the most that other tensors take at any moment
    kept          what the forward pass of training leaves for the backward pass, the batch included where it is kept
    gradients     of all parameters that are trained
    state         of the optimiser
    backward      the most that kept activations and gradients take during the backward pass
    """

    batch: int
    dtype: str
    optimiser: str
    parameters: int
    buffers: int
    inputs: int
    activations: int
    kept: int
    gradients: int
    state: int
    backward: int

    @property
    def inference(self) -> int:
        """The peak of inference."""
        return self.parameters + self.buffers + self.inputs + self.activations

    @property
    def training(self) -> int:
        """The peak of a step of training."""
        most = max(self.activations, self.backward, self.gradients)
        return self.parameters + self.buffers + self.inputs + self.state + most


def memory(net: Net, batch: int = 1, dtype: str = "fp32", optimiser: str = "sgd", on_cpu: bool = False) -> Memory:
    """The memory of a network whose sizes are numbers. Raises UsageError where some are open."""
    from netdsl.roofline import sizes_of

    for name, shape in net.inputs.items():
        sizes_of(net, name, shape)
    return memory_of(net.graph, batch, dtype, optimiser, on_cpu)


def memory_of(
    graph: Graph[TensorType], batch: int = 1, dtype: str = "fp32", optimiser: str = "sgd", on_cpu: bool = False
) -> Memory:
    """The same of a checked graph without open sizes; `on_cpu`: with the masks of dropout as they are there."""
    need_known("optimiser", optimiser, OPTIMISERS)
    setting = setting_of(batch, dtype, on_cpu)
    forward, training = Ledger(setting, False).of_net(graph), Ledger(setting, True).of_net(graph)
    parameters, buffers = held(graph, setting.item)
    gradients = sum(training.learned)
    return Memory(
        batch,
        dtype,
        optimiser,
        parameters,
        buffers,
        number(sum([setting.bytes(input.type) for input in graph.inputs])),
        number(running(forward)),
        number(training.inside + sum([training.size[v] for v in handed(training)])),
        gradients,
        gradients * OPTIMISERS[optimiser],
        number(backward(training, top=True)),
    )


def setting_of(batch: int, dtype: str, on_cpu: bool = False) -> Setting:
    """Raises UsageError for a type that is not known, and for no samples."""
    need_known("type", dtype, TYPES, " to hold tensors")
    if batch < 1:
        raise UsageError(f"a batch has at least one sample, not {batch}")
    return Setting(batch, BYTES[dtype], *((BYTES[dtype],) * 2 if on_cpu else (1, 0)))


def number(size: Size) -> int:
    assert isinstance(size, int), size
    return int(size)


def handed(found: Pieces) -> set[int]:
    """Pieces of a net that are kept and are an input, or its (first) output."""
    return {v for v in found.keeper if not found.made(v) or v == found.out}


def held(graph: Graph[TensorType], item: int) -> tuple[int, int]:
    """The bytes of all parameters, and of all buffers."""

    def weights(buffer: bool) -> int:
        def measure(body: Graph[TensorType], node: Node[TensorType]) -> Size:
            assert isinstance(node.op, Op)
            found = node.op.weights(tuple([body.type_of(v).plain() for v in node.inputs]))
            return sum([w.size * (item if w.shape else 8) for w in found if w.buffer == buffer])

        totals = fold(graph, measure)
        every = live(graph, training=True)
        return number(sum([total_of(graph, graph.nodes[i], measure, totals) for i in every]))

    return weights(buffer=False), weights(buffer=True)


def running(found: Pieces) -> int:
    """The most that the tensors of a body take at any moment, without its inputs: once for each body."""
    if found.peak is None:
        found.peak = running_once(found)
    return found.peak


def running_once(found: Pieces) -> int:
    now: int = 0
    most: int = 0
    freed: dict[int, list[int]] = {}
    for root, i in found.held_until.items():
        freed.setdefault(i, []).append(root)
    there: set[int] = set()
    for i in found.which:
        value = found.first + i
        most = max(most, now + number(run_of(found, i)))
        if found.roots[value] == value:
            there.add(value)
            now += number(found.size[value])
        if value not in found.held_until and value in there:
            freed.setdefault(i, []).append(value)
        for root in freed.get(i, ()):
            if root in there:
                there.remove(root)
                now -= number(found.size[root])
    return most


def run_of(found: Pieces, i: int) -> Size:
    """The most that one node takes while it runs, its output included."""
    value = found.first + i
    if i not in found.inner:
        own = number(found.size[value]) if found.roots[value] == value else 0
        return own + number(found.works[i])
    most, before = 0, 0
    for run, inner in found.inner[i]:
        peak = number(running(inner))
        most = max(most, before + peak)
        if inner.made(inner.out):
            before = number(inner.size[inner.out])
            if run.count > 1:
                most = max(most, before + peak)
    return most


def backward(found: Pieces, top: bool = False) -> Size:
    """The most that a body's kept pieces and gradients take while its backward pass runs.

    Without what is the caller's: its inputs and output, and their gradients. With `top`, the output is the body's own.
    """
    gradients, kept = Gradients(found, top), kept_at(found, top)
    before, learned, most = number(total(found.more)), 0, 0
    for j in reversed(range(len(found.body.nodes))):
        before -= number(found.more[j])
        learned += found.learned[j]
        there = learned - found.learned[j] if j in found.inner else learned  # inside, gradients come one by one
        most = max(most, kept[j] + before + there + gradients.of(j) + number(back_of(found, j)))
        value = found.first + j
        made = number(found.size[value]) if found.roots[value] == value else 0
        most = max(most, kept[j] + before + made + number(found.works[j]))  # when its forward pass ran
        added = gradients.added()
        if j:
            most = max(most, kept[j - 1] + before + learned + added)
    return most


def kept_at(found: Pieces, top: bool) -> list[int]:
    """The bytes of kept pieces that are there during the backward pass of each node."""
    n = len(found.body.nodes)
    change = [0] * (n + 1)
    outputs = {found.roots[out.value] for out in found.body.outputs} if top else set()
    for root in outputs | found.keeper.keys():
        if found.made(root) and (top or root != found.out):
            change[0 if root in outputs else found.keeper[root]] += number(found.size[root])
    return list(accumulate(change))


class Gradients:
    """The gradients of activations that are there, from the last node of a body to the first.

    A sum hands the gradient of its output on to its inputs; a view, too, where it shows all of its input. Where a
    second gradient of a value comes, the sum of both is a third tensor. Those of inputs are the caller's. Mutable.
    """

    def __init__(self, found: Pieces, top: bool) -> None:
        self.found = found
        self.now = 0
        self.sizes: list[int] = []
        self.holders: list[int] = []
        self.at: dict[int, int] = {}
        """The tensor of each value's gradient."""
        self.given: list[tuple[int, int]] = []
        for out in found.body.outputs:
            if found.trained[out.value]:
                self.at[out.value] = self.new(self.bytes(out.value) if top else 0)

    def bytes(self, value: int) -> int:
        """A view of a part has a gradient of its own size."""
        found = self.found
        if not found.made(found.roots[value]):
            return 0
        if value == found.roots[value]:
            return number(found.size[value])
        root = found.body.type_of(found.roots[value]).plain().elements
        part = found.body.type_of(value).plain().elements
        return number(found.size[found.roots[value]]) * number(part) // max(1, number(root))

    def new(self, size: int) -> int:
        self.sizes.append(size)
        self.holders.append(1)
        self.now += size
        return len(self.sizes) - 1

    def release(self, tensor: int) -> None:
        self.holders[tensor] -= 1
        if not self.holders[tensor]:
            self.now -= self.sizes[tensor]

    def of(self, j: int) -> int:
        """The bytes that are there when node j is done: gradients of its output and inputs, and all others."""
        found, node = self.found, self.found.body.nodes[j]
        self.given = []
        value = found.first + j
        mine = self.at.pop(value, None)
        if mine is None:
            return self.now
        for v in node.inputs:
            if not found.trained[v]:
                continue
            if isinstance(node.op, Op) and node.op.hands_on(node.type.plain(), found.body.type_of(v).plain()):
                self.holders[mine] += 1
                self.given.append((v, mine))
            else:
                self.given.append((v, self.new(self.bytes(v))))
        there = self.now
        self.release(mine)
        return there

    def added(self) -> int:
        """The bytes that are there at most while these gradients are added to those that came before."""
        most = self.now
        for v, tensor in self.given:
            if v in self.at:
                one = self.new(self.bytes(v))
                most = max(most, self.now)
                self.release(tensor)
                self.release(self.at[v])
                tensor = one
            self.at[v] = tensor
        return most


def back_of(found: Pieces, j: int) -> Size:
    """What one node keeps for itself, and what its backward pass takes; of a repeat, when its last step begins."""
    if j not in found.inner:
        return found.more[j] + found.back[j]
    _, last = found.inner[j][-1]
    steps = sum(run.count for run, _ in found.inner[j])
    given = found.trained[found.body.nodes[j].inputs[0]]  # its gradient comes when that between the steps has gone
    between = last.size[0] if steps > 1 and last.trained[0] and not given else 0
    if last.peak_back is None:
        last.peak_back = number(backward(last))
    return found.more[j] - last.inside + last.peak_back + between
