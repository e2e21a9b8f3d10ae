"""Concatenations and views that only pass channels on are made one, or removed.

    concat(x)                            =  x
    concat(concat(a, b), c)              =  concat(a, b, c)       where nothing else reads the inner one
    concat(x[0:4], x[4:8]), 8 channels   =  x
    concat(a, b)[i:j]                    =  a[i:j]                where a has all of these channels

Where the parts lie in memory is decided later: each is written where the concatenation has it, if that can be.
"""

from __future__ import annotations

from netdsl.ops.join import Concat
from netdsl.passes.fused import Channels, concrete
from netdsl.passes.rewrite import Context, Value, Work

RULE = "concat"


def concat(work: Work, context: Context) -> None:
    for value in work.live():
        if isinstance(value.op, Channels):
            while narrow(work, context, value):
                pass
        elif isinstance(value.op, Concat):
            splice(work, context, value)
            if value.op.axis == "C":
                join_views(work, context, value)
            pass_through(work, context, value)


def narrow(work: Work, context: Context, value: Value) -> bool:
    """A view of a view, of one part of a concatenation, or of everything."""
    op, (x,) = value.op, value.inputs
    assert isinstance(op, Channels)
    if op.count == x.type.channels:
        if work.is_output(value) and x.op is None:
            return False
        if context.may(RULE, value.name, x.name, "it has all channels"):
            work.replace(value, x)
        return False
    if isinstance(x.op, Channels):
        if not context.may(RULE, value.name, x.inputs[0].name, "a range of a range"):
            return False
        return look_at(work, value, x.inputs[0], x.op.start + op.start)
    if isinstance(x.op, Concat) and x.op.axis == "C":
        start = 0
        for part in x.inputs:
            end = start + concrete(part.type.channels)
            if start <= op.start and op.start + op.count <= end:
                if not context.may(RULE, value.name, part.name, "the range lies in one part"):
                    return False
                return look_at(work, value, part, op.start - start)
            start = end
    return False


def look_at(work: Work, value: Value, source: Value, start: int) -> bool:
    """Makes `value` a view of another value, which it may be no longer than."""
    op, old = value.op, value.inputs[0]
    assert isinstance(op, Channels)
    work.change(value, Channels(start, op.count), [source])
    work.forget(old)
    return True


def splice(work: Work, context: Context, value: Value) -> None:
    """The parts of inner concatenations that only this one reads become its own."""
    while (at := next((i for i, x in enumerate(value.inputs) if is_inner(work, value, x)), None)) is not None:
        inner = value.inputs[at]
        if not context.may(RULE, inner.name, value.name, "its parts are parts of the outer one"):
            return
        assert value.op is not None
        work.change(value, value.op, [*value.inputs[:at], *inner.inputs, *value.inputs[at + 1 :]])
        work.forget(inner)


def is_inner(work: Work, value: Value, x: Value) -> bool:
    return isinstance(x.op, Concat) and x.op == value.op and work.only_user(x) is value


def join_views(work: Work, context: Context, value: Value) -> None:
    """Ranges of one value that follow each other become one range."""
    at = 1
    while at < len(value.inputs):
        first, second = value.inputs[at - 1 : at + 1]
        if not follows(first, second) or work.only_user(first) is not value or work.only_user(second) is not value:
            at += 1
            continue
        if not context.may(RULE, second.name, first.name, "the range continues the one before it"):
            return
        assert isinstance(first.op, Channels)
        assert isinstance(second.op, Channels)
        assert value.op is not None
        longer = first.op.replace(count=first.op.count + second.op.count)
        work.change(value, value.op, [*value.inputs[:at], *value.inputs[at + 1 :]])
        work.change(first, longer, first.inputs, work.infer(longer, first.inputs))
        work.forget(second)
        if first.op.count == first.inputs[0].type.channels:
            narrow(work, context, first)


def follows(first: Value, second: Value) -> bool:
    if not isinstance(first.op, Channels) or not isinstance(second.op, Channels):
        return False
    return first.inputs[0] is second.inputs[0] and first.op.start + first.op.count == second.op.start


def pass_through(work: Work, context: Context, value: Value) -> None:
    """A concatenation of one part is that part."""
    if len(value.inputs) > 1 or (work.is_output(value) and value.inputs[0].op is None):
        return
    if context.may(RULE, value.name, value.inputs[0].name, "there is one part alone"):
        work.replace(value, value.inputs[0])
