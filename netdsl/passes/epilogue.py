"""Steps after an element that computes go into its epilogue: the value is not written and read again in between.

Bias, residual sum, activation … whatever is element by element. A sum of two such elements goes into the one that
comes later, and reads the other's output there.
"""

from __future__ import annotations

from itertools import takewhile

from netdsl.passes.fused import (
    BINARY,
    MAX_OPERANDS,
    FusedConv,
    FusedMean,
    FusedPool,
    Head,
    Pointwise,
    Steps,
    moved,
    operands,
)
from netdsl.passes.rewrite import Context, Value, Work

HOSTS = (FusedConv, FusedPool, FusedMean, Head, Pointwise)
MAX_STEPS = 6


def epilogue(work: Work, context: Context) -> None:
    for value in work.live():
        if isinstance(value.op, Pointwise):
            while absorb(work, context, value) and isinstance(value.op, Pointwise):
                pass


def absorb(work: Work, context: Context, value: Value) -> bool:
    """Moves the steps of `value`, as many as there is room for, into an element before it, if one can take them."""
    op = value.op
    assert isinstance(op, Pointwise)
    hosts = candidates(op, value)
    able = [(at, host) for at, host in hosts if room(work, host, value)]
    if not able:
        context.left("epilogue", value.name, why_not(work, [host for _, host in hosts], value))
        return False
    # a convolution saves most; of two, the later one, so that the other is there when it runs
    at, host = max(able, key=lambda pair: (isinstance(pair[1].op, FusedConv | Head), pair[1].rank))
    host_op = host.op
    assert isinstance(host_op, HOSTS)
    others = list(value.inputs)
    others[0], others[at] = others[at], others[0]
    count = room(work, host, value)
    taken, rest = op.epilogue[:count], op.epilogue[count:]
    what = ", ".join(dict.fromkeys(step.kind for step in taken))
    if not context.may("epilogue", value.name, host.name, f"{what} in its epilogue"):
        return False
    steps, inputs = appended(host_op.epilogue, host.inputs, taken, others)
    work.change(host, host_op.replace(epilogue=steps), inputs)
    if rest:
        steps, inputs = appended((), [host], rest, others)
        work.change(value, Pointwise(epilogue=steps), inputs)
    else:
        work.replace(value, host)
    return True


def candidates(op: Pointwise, value: Value) -> list[tuple[int, Value]]:
    """What the steps can be appended to: the input; of a sum or a product, each of its terms."""
    first = op.epilogue[0].kind
    terms = takewhile(lambda step: step.kind == first and first in ("add", "mul"), op.epilogue)
    return [(at, value.inputs[at]) for at in (0, *(step.input for step in terms))]


def why_not(work: Work, hosts: list[Value], value: Value) -> str:
    """Of the value that nothing else reads, if there is one."""
    host = next((host for host in hosts if work.only_user(host) is value), hosts[0])
    if not isinstance(host.op, HOSTS):
        return f"{host.op.name if host.op is not None else 'the input'} has no epilogue"
    full = work.only_user(host) is value
    return f"the epilogue of {host.name} is full" if full else f"others read what {host.name} gives too"


def room(work: Work, host: Value, value: Value) -> int:
    """How many of the steps of `value` an element can take after those that it has; 0 where it can take none."""
    if not isinstance(host.op, HOSTS) or work.only_user(host) is not value:
        return 0
    assert isinstance(value.op, Pointwise)
    count = 0
    for _ in value.op.epilogue:
        joined = (*host.op.epilogue, *value.op.epilogue[: count + 1])
        if len(joined) > MAX_STEPS or sum(step.kind in BINARY for step in joined) > MAX_OPERANDS:
            break
        count += 1
    return count


def appended(first: Steps, inputs: list[Value], steps: Steps, others: list[Value]) -> tuple[Steps, list[Value]]:
    """The steps one after the other, and the inputs of both: those operands of `others` that are read follow."""
    at = {old: len(inputs) + i for i, old in enumerate(dict.fromkeys(operands(steps)))}
    return (*first, *moved(steps, at)), [*inputs, *(others[old] for old in at)]
