"""Convolutions alike on one input become one, whose output is looked at in parts: the input is read once.

    W₁*x + b₁, W₂*x + b₂  =  ([W₁, W₂]*x + [b₁, b₂])[0:c₁], […][c₁:c₁+c₂]

Windows have to be the same, steps after them too: those with a value for each channel are stacked. A part that goes
into a concatenation has its place there, so such parts are only merged with their neighbours in it. A range of
channels is read and written fast where it starts at a multiple of 8, so other parts stay alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from netdsl.ops.join import Concat
from netdsl.passes.cost import Cost
from netdsl.passes.fused import BINARY, Channels, FusedConv, Step, Steps
from netdsl.passes.recipe import Constant, Recipe, Stacked
from netdsl.passes.rewrite import Context, Value, Work
from netdsl.types import TensorType

RULE = "siblings"
GRAIN = 8
"""Channels at a multiple of which a range may start."""
SLOPES = {(): 1.0, ("relu",): 0.0}
"""No step and a ReLU as what they multiply negative values by: the two can be in one epilogue, as `prelu`."""


def siblings(work: Work, context: Context) -> None:
    for value in [*work.inputs, *work.live()]:
        if len(value.users) < 2:
            continue
        alike: dict[object, list[Value]] = {}
        for user in sorted(dict.fromkeys(value.users), key=lambda user: user.rank):
            if (key := window_of(value, user)) is not None:
                alike.setdefault(key, []).append(user)
        for group in alike.values():
            for parts in by_destination(work, context, group):
                merge(work, context, value, parts)


def window_of(x: Value, user: Value) -> object:
    """What siblings have in common; None where it can be none."""
    op = user.op
    if not isinstance(op, FusedConv) or op.groups > 1 or user.inputs != [x]:
        return None
    return (op.kernel, op.stride, op.padding, op.dilation, op.rounding, op.flat, op.prologue)


def by_destination(work: Work, context: Context, group: Sequence[Value]) -> list[list[Value]]:
    """Those that may lie side by side: neighbours in one concatenation, or what goes into none."""
    free: list[Value] = []
    placed: dict[int, list[tuple[int, Value]]] = {}
    for value in group:
        joins = [user for user in dict.fromkeys(value.users) if isinstance(user.op, Concat)]
        if len(group) > 1 and (reason := why_alone(work, value, joins)):
            context.left(RULE, value.name, reason)
        elif joins:
            placed.setdefault(id(joins[0]), []).append((joins[0].inputs.index(value), value))
        else:
            free.append(value)
    found = [free]
    for places in placed.values():
        places.sort(key=lambda place: place[0])
        run = [places[0]]
        for place in places[1:]:
            if place[0] != run[-1][0] + 1:
                found.append([value for _, value in run])
                run = []
            run.append(place)
        found.append([value for _, value in run])
    return [parts for parts in found if len(parts) > 1]


def why_alone(work: Work, value: Value, joins: list[Value]) -> str:
    """Empty if it may be a part."""
    assert isinstance(value.op, FusedConv)
    if work.is_output(value):
        return "it is an output"
    if value.op.out_channels % GRAIN:
        return f"its {value.op.out_channels} channels are no multiple of {GRAIN}"
    if joins and work.only_user(value) is None:
        return "it lies in a concatenation, and others read it too"
    return ""


def merge(work: Work, context: Context, x: Value, parts: list[Value]) -> None:
    """Makes one convolution of several, unless the device would be slower with that."""
    ops = [part.op for part in parts if isinstance(part.op, FusedConv)]
    steps = stacked([op.epilogue for op in ops], [op.out_channels for op in ops])
    if steps is None:
        context.left(RULE, parts[0].name, f"steps after it and after {parts[1].name} differ")
        return
    fused = ops[0].replace(
        out_channels=sum(op.out_channels for op in ops),
        weight=Stacked(tuple([op.weight for op in ops])),
        bias=Stacked(tuple([op.bias or zeros(op) for op in ops])) if any(op.bias is not None for op in ops) else None,
        epilogue=steps,
    )
    output = work.infer(fused, [x])
    starts = [sum(op.out_channels for op in ops[:i]) for i in range(len(ops))]
    views = [Channels(start, op.out_channels) for start, op in zip(starts, ops)]
    if not pays(context, x.type, parts, fused, output, views):
        context.left(RULE, parts[0].name, f"it would be slower together with {parts[1].name}")
        return
    name = f"{parts[0].name}{'+' if len(parts) == 2 else '+..+'}{parts[-1].name}"
    if not context.may(RULE, parts[0].name, name, "one convolution with those beside it"):
        return
    whole = work.add(name, fused, [x], parts[0])
    for part, view in zip(parts, views):
        if part is not parts[0]:
            context.also(RULE, part.name, name, "one convolution with those beside it")
        work.change(part, view, [whole])


def zeros(op: FusedConv) -> Recipe:
    return Constant(0.0, op.out_channels)


def pays(
    context: Context,
    x: TensorType,
    parts: Sequence[Value],
    fused: FusedConv,
    output: TensorType,
    views: Sequence[Channels],
) -> bool:
    before = sum((context.cost(part.op, (x,), part.type) for part in parts if part.op is not None), Cost())
    after = context.cost(fused, (x,), output)
    after = sum((context.cost(view, (output,), part.type) for view, part in zip(views, parts)), after)
    return not before < after  # where both are equal, fewer kernels are better


def stacked(epilogues: Sequence[Steps], channels: Sequence[int]) -> Steps | None:
    """The steps after all parts as one; None where they cannot be."""
    kinds = [tuple([step.kind for step in steps]) for steps in epilogues]
    if len(set(kinds)) > 1:
        if not set(kinds) <= SLOPES.keys():
            return None
        slopes = tuple([Constant(SLOPES[kind], count) for kind, count in zip(kinds, channels)])
        return (Step("prelu", weights=(Stacked(slopes),)),)
    found = []
    for alike in zip(*epilogues):
        first = alike[0]
        if first.kind in BINARY or any(step.value != first.value for step in alike):
            return None
        columns = list(zip(*(step.weights for step in alike)))
        if any(weight.size != count for column in columns for weight, count in zip(column, channels)):
            return None
        found.append(first.replace(weights=tuple([Stacked(tuple(column)) for column in columns])))
    return tuple(found)
