"""Steps after an element that computes go into its epilogue: the value is not written and read again in between.

Bias, residual sum, activation … whatever is element by element. A sum of two such elements goes into the one that
comes later, and reads the other's output there.
"""

from __future__ import annotations

from netdsl.passes.fused import BINARY, FusedConv, FusedMean, FusedPool, Head, Pointwise, Step, moved
from netdsl.passes.rewrite import Context, Value, Work

HOSTS = (FusedConv, FusedPool, FusedMean, Head, Pointwise)
MAX_OPERANDS = 2
"""Other inputs of one epilogue: each is one more stream that a kernel reads."""
MAX_STEPS = 6


def epilogue(work: Work, context: Context) -> None:
    for value in work.live():
        if isinstance(value.op, Pointwise):
            absorb(work, context, value)


def absorb(work: Work, context: Context, value: Value) -> None:
    """Moves all steps of `value` into the element before it, if there is one that can take them."""
    op = value.op
    assert isinstance(op, Pointwise)
    candidates = [(0, value.inputs[0])]
    if op.epilogue[0].kind in ("add", "mul"):  # these commute: the other operand can be the host as well
        candidates.append((op.epilogue[0].input, value.inputs[op.epilogue[0].input]))
    able = [(at, host) for at, host in candidates if isinstance(host.op, HOSTS) and work.only_user(host) is value]
    if not able:
        host = candidates[0][1]
        if isinstance(host.op, HOSTS):
            context.left("epilogue", value.name, f"others read what {host.name} gives too")
        else:
            what = host.op.name if host.op is not None else "the input"
            context.left("epilogue", value.name, f"{what} has no epilogue")
        return
    rank = {id(node): i for i, node in enumerate(work.nodes)}
    # a convolution saves most; of two, the later one, so that the other is there when it runs
    at, host = max(able, key=lambda pair: (isinstance(pair[1].op, FusedConv | Head), rank[id(pair[1])]))
    host_op = host.op
    assert isinstance(host_op, HOSTS)
    steps, others = op.epilogue, list(value.inputs)
    if at:
        others[0], others[at] = others[at], others[0]
    joined, inputs = appended(host_op.epilogue, list(host.inputs), steps, others)
    if len(joined) > MAX_STEPS or sum(step.kind in BINARY for step in joined) > MAX_OPERANDS:
        context.left("epilogue", value.name, f"the epilogue of {host.name} is full")
        return
    what = ", ".join(dict.fromkeys(step.kind for step in steps))
    if context.may("epilogue", value.name, host.name, f"{what} in its epilogue"):
        work.change(host, host_op.replace(epilogue=joined), inputs)
        work.replace(value, host)


def appended(
    first: tuple[Step, ...], inputs: list[Value], steps: tuple[Step, ...], others: list[Value]
) -> tuple[tuple[Step, ...], list[Value]]:
    """The steps one after the other, and the inputs of both: those of `others` but the first follow `inputs`."""
    at = {i: len(inputs) + i - 1 for i in range(1, len(others))}
    return (*first, *moved(steps, at)), [*inputs, *others[1:]]
