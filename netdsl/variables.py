"""Which variables hold the values of a body, and which are written inside the next expression?

The PyTorch module of a network computes so, with names a reader would choose; what a variable holds lives until another
value stands in it, or the function returns (`analysis.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netdsl.graph import Graph, Node, Repeat, parts
from netdsl.ops import Join, Op
from netdsl.types import TensorType


class Variables:
    """The variables of one body. Mutable: they are chosen in the order of execution (`assign`).

    order    the nodes in order of execution: those of inference, then those of training alone
    spelled  how a name of the spec is written
    inputs   the variables of the body's inputs
    name     the variable of each value that has one
    holder   the value that stands in each variable, up to now
    until    for each value whose variable has another value now, the node that made it
    """

    def __init__(
        self,
        body: Graph[TensorType],
        order: Sequence[int],
        spelled: Callable[[str, Sequence[str]], str] = lambda name, taken: name,
    ) -> None:
        self.body, self.spelled = body, spelled
        self.position = {i: at for at, i in enumerate(order)}
        self.uses: dict[int, list[int]] = {}
        for i in order:
            for v in body.nodes[i].inputs:
                self.uses.setdefault(v, []).append(i)
        self.kept = {out.value for out in body.outputs}
        self.reads = {v: [self.position[self.reader(i)] for i in uses] for v, uses in self.uses.items()}
        self.met: dict[int, tuple[Node[TensorType], int] | None] = {}
        self.inputs: list[str] = []
        for i, input in enumerate(body.inputs):
            first = len(body.inputs) == 1 or (i == 0 and body.kind != "net")
            self.inputs.append("x" if first else spelled(input.name, self.inputs))
        self.name = dict(enumerate(self.inputs))
        self.holder = {name: v for v, name in self.name.items()}
        self.until: dict[int, int] = {}

    def value(self, i: int) -> int:
        return len(self.body.inputs) + i

    def reader(self, i: int) -> int:
        """The node in whose statement node `i` is computed: its own, or the one that it is written into."""
        while self.is_inline(i):
            i = self.uses[self.value(i)][0]
        return i

    def assign(self, i: int) -> str:
        """Chooses the variable of a node that is not written inside another."""
        node, name = self.body.nodes[i], self.name_for(i)
        if is_loop(node) and name in [self.name[v] for v in node.inputs[1:]]:  # every step needs it as it is
            name = next(n for k in range(2, 100_000) if (n := f"x{k}") not in self.holder)
        if name in self.holder:
            self.until[self.holder[name]] = i
        self.name[self.value(i)] = name
        self.holder[name] = self.value(i)
        return name

    def is_inline(self, i: int) -> bool:
        """Whether a value is written inside the next expression: one use, and the same element in the text."""
        node, v = self.body.nodes[i], self.value(i)
        uses = self.uses.get(v, [])
        if v in self.kept or len(uses) != 1 or not isinstance(node.op, Op):
            return False
        user = self.body.nodes[uses[0]]
        if not isinstance(user.op, Op) or len(user.inputs) > 1:
            return False
        return (bool(node.origin) and node.origin == user.origin) or self.flows(node, user)

    def flows(self, node: Node[TensorType], user: Node[TensorType]) -> bool:
        """Whether hands would write the two as one expression: `F.relu(y + x)`, `conv(F.relu(bn(x)))`."""
        assert isinstance(node.op, Op)
        assert isinstance(user.op, Op)
        if user.op.slot == "activation":
            return node.op.slot == "norm" or node.op.name == "add"
        before = node.inputs[0] - len(self.body.inputs)
        source = self.body.nodes[before].op if before >= 0 else None
        apart = before >= 0 and self.body.nodes[before].origin != node.origin
        normed = apart and isinstance(source, Op) and source.slot == "norm"
        return normed and node.op.slot == "activation" and user.op.learns

    def name_for(self, i: int) -> str:
        """The variable for a node's value: the one it replaces where that has served, else a telling new one."""
        wanted, role = self.wanted(i)
        if self.deserves(i):
            return self.fresh(wanted, i)
        node = self.body.nodes[i]
        if len(node.inputs) > 1 and self.is_free("x", i):
            return "x"  # branches have met: the main path goes on
        for v in self.reachable(node):
            name = self.name[v]
            if self.holder.get(name) == v and not self.is_needed(v, i) and not (role and name == "x"):
                return name
        if role:
            return self.fresh(wanted, i)
        return "x" if self.is_free("x", i) else self.fresh(wanted if node.group else "y", i)

    def reachable(self, node: Node[TensorType]) -> list[int]:
        """The values of variables in the node's expression, the first argument first; the input `x` before others."""
        found = []
        stack = list(node.inputs[::-1])
        while stack:
            v = stack.pop()
            if v in self.name:
                found.append(v)
            else:
                stack.extend(self.body.nodes[v - len(self.body.inputs)].inputs[::-1])
        return sorted(found, key=lambda v: v >= len(self.body.inputs) or self.name.get(v) != "x")

    def deserves(self, i: int) -> bool:
        """Whether the value has a label of the author's and is used again later."""
        node = self.body.nodes[i]
        return bool(node.group) and (
            len(self.uses.get(self.value(i), [])) > 1
            or (self.value(i) in self.kept and self.body.kind == "net" and len(self.body.outputs) > 1)
        )

    def is_needed(self, v: int, after: int) -> bool:
        """Whether a value is used after node `after` has run."""
        return v in self.kept or any(at > self.position[after] for at in self.reads.get(v, ()))

    def wanted(self, i: int) -> tuple[str, bool]:
        """A name by what becomes of the value, and whether that is a role: a branch, a column, a shortcut."""
        node = self.body.nodes[i]
        own = self.spelled(node.group or node.name, ())
        meeting = None if self.deserves(i) else self.meeting(i)
        if meeting is None:
            return own, False
        user, k = meeting
        if not isinstance(user.op, Join):
            return own, False
        if user.op.role:
            return f"{user.op.role}{k + 1}", True
        return "shortcut" if node.shortcut else user.op.roles[k] if user.op.roles else "y", True

    def meeting(self, i: int) -> tuple[Node[TensorType], int] | None:
        """The node in which a chain from node `i` on meets others, and as which of its inputs, if any."""
        chain: list[int] = []
        while i not in self.met:
            uses = self.uses.get(self.value(i), [])
            if len(uses) != 1 or self.value(i) in self.kept:
                self.met[i] = None
            elif len(self.body.nodes[uses[0]].inputs) > 1:
                user = self.body.nodes[uses[0]]
                self.met[i] = user, user.inputs.index(self.value(i))
            else:
                chain.append(i)
                i = uses[0]
        for earlier in chain:
            self.met[earlier] = self.met[i]
        return self.met[i]

    def is_free(self, name: str, i: int) -> bool:
        """Whether no value that is still needed stands in the variable."""
        return name not in self.holder or not self.is_needed(self.holder[name], i)

    def fresh(self, name: str, i: int) -> str:
        """`name`, unless another value that is still needed stands in it."""
        return next(n for k in range(1, 100_000) if self.is_free(n := name if k == 1 else f"{name}{k}", i))


def is_loop(node: Node[TensorType]) -> bool:
    """Whether the steps of a repeat take more than the running tensor: then it is written as a loop."""
    return isinstance(node.op, Repeat) and any(run.captured for run in parts(node.op))
