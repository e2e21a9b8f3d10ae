"""What meets?  Branches on one input and the op that joins them; shortcuts that take the shape of the others."""

from __future__ import annotations

from functools import partial

from netdsl import tree as t
from netdsl.apply import Runs
from netdsl.bind import NOTHING, Binder, Bound, Failed, complete
from netdsl.build import Tensor
from netdsl.diagnostic import Label
from netdsl.evaluate import short, ungroup
from netdsl.ops import Add, Conv, Join, MaxPool, Op, PadChannels
from netdsl.ops.join import JoinFault
from netdsl.program import MATCHES
from netdsl.prove import ShapeFault
from netdsl.repair.formula import worked
from netdsl.repeat import Repeater
from netdsl.size import Formula, Traced, TracedFloat, ceil_div, symbols, trace_of
from netdsl.source import Span
from netdsl.types import TensorType
from netdsl.values import Builtin, Function, Num, Path, Scope


class Joiner(Repeater):
    """Joins branches. Primitives and how a node is added are the Elaborator's matter."""

    def add(self, op: Op, inputs: list[Tensor], span: Span) -> Tensor:
        """A node, with the type its rule gives. Raises ShapeFault."""
        raise NotImplementedError

    def add_default(self, op: type[Op], x: Tensor, span: Span) -> Tensor:
        """An op at its defaults, those of the net included."""
        raise NotImplementedError

    def run_seq(self, expr: t.Seq, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        """The elements of a path, one after the other; `end` runs the last of them."""
        raise NotImplementedError

    def run_assertion(self, expr: t.Assertion, scope: Scope, x: Tensor | None, end: Runs | None = None) -> Tensor:
        """`a : shape`; `end` runs what it speaks of."""
        raise NotImplementedError

    def pin_geometry(self, op: type[Op], values: dict[str, object]) -> None:
        """Windows decide heights and widths, which carry no trace: what they follow from is fixed."""
        for argument in op.arguments:
            if not argument.scales:
                value = values[argument.name]
                for part in value if isinstance(value, tuple) else (value,):
                    if isinstance(part, Traced | TracedFloat):
                        self.builder.pin(symbols(part.trace))

    def run_join(self, kind: type[Join], expr: t.Call, scope: Scope, x: Tensor | None) -> Tensor:
        """`mean(a, b)`, `concat(a, b, axis=H)`: a join that is called by its name."""
        items = tuple(arg for arg in expr.args if isinstance(arg, t.Expr))
        least, most = (1, 2) if kind.alone else (2, len(items))
        if not least <= len(items) <= most:
            takes = "one or two blocks" if kind.alone else "two or more blocks"
            sample = f"`{kind.call}(a)`, `{kind.call}(a, b)`" if kind.alone else f"`{kind.call}(a, b)`"
            self.fail("E0203", f"`{kind.call}` takes {takes}: {sample}", expr.span)
            return self.failed()
        binder = Binder(kind, kind.call, expr.span, scope, lambda e: self.evaluate(e, scope, x), self.fail)
        try:
            for arg in expr.args:
                if isinstance(arg, t.Keyword):
                    binder.keyword(arg.name, arg.value, arg.span)
            self.builder.pin(binder.rounded)
            values = complete(kind, Bound(binder.values, binder.spans, ()), kind.call, expr.span, self.fail)
            self.pin_geometry(kind, values)
        except Failed:
            return self.failed()
        if len(items) < 2:
            items = (t.Name(expr.head.span, "identity"), *items)
        return self.join(kind, items, expr, scope, x, values)

    def join(
        self,
        kind: type[Join],
        items: tuple[t.Expr, ...],
        expr: t.Expr,
        scope: Scope,
        x: Tensor | None,
        values: dict[str, object] | None = None,
    ) -> Tensor:
        """Branches on the same input, then the op that joins them. `match` among them takes the others' shape."""
        results: list[Tensor | None] = []
        marks: list[int] = []
        words = [matching(item, scope) for item in items]
        matches = [i for i, word in enumerate(words) if word]
        if matches and x is None:
            return self.need_input(x, items[matches[0]])
        for i, item in enumerate(items):
            marks.append(len(self.builder.elements))
            ending = self.run_to_join if kind.merges else self.run
            result = None if i in matches else ending(item, scope, x)
            if x is None and result is not None and result.failed:
                return result  # of an input that is missing one branch speaks for all
            results.append(result)
        if matches and x is not None:
            shape = next((r for r in results if r is not None), None)
            if shape is None or not kind.alike:
                word = words[matches[0]]
                message = f"`{word}` needs something to match: use it in a sum, `f + {word}`"
                self.fail("E0210", message, items[matches[0]].span)
                return self.failed()
            for i in matches:
                results[i] = self.match(x, shape, words[i], items[i].span, marks[i])
        tensors = [r for r in results if r is not None and not r.failed]
        if len(tensors) < len(items):
            return self.failed()
        self.prove.subjects = tuple([short(item) for item in items])
        try:
            assert isinstance(tensors[0].type, TensorType)
            op = kind.build(values or {}, tensors[0].type)
            assert isinstance(op, Join)
            if op.merges:
                tensors = self.merged(op, tensors, marks[0])
            out = self.add(op, tensors, expr.span)
            self.pin_coincidences(op, tensors)
            return out
        except JoinFault as fault:
            self.join_fault(kind, fault, items, tensors, x)
        except ShapeFault as fault:
            self.shape_fault(fault, expr.span)
        return self.failed()

    # --- a join of joins is one join

    def run_to_join(self, expr: t.Expr, scope: Scope, x: Tensor | None) -> Tensor:
        """A branch of `join(…)`. The block that it ends in is spliced in if that ends in a join: the two can merge.
        A repeat ends in its last copy.
        """
        inner = ungroup(expr)
        if not self.ends_in_join(inner, scope, set()):
            return self.run(expr, scope, x)
        if isinstance(inner, t.Seq):
            return self.run_seq(inner, scope, x, self.run_to_join)
        if isinstance(inner, t.Assertion):
            return self.run_assertion(inner, scope, x, self.run_to_join)
        if isinstance(inner, t.Product):
            return self.run_repeat(inner, scope, x, self.run_to_join)
        if isinstance(inner, t.For):
            return self.run_for(inner, scope, x, self.run_to_join)
        if isinstance(inner, t.If):
            holds = self.truth(inner.test, scope, x)
            return self.failed() if holds is None else self.run_to_join(inner.then if holds else inner.other, scope, x)
        function = self.given_function(Path(inner, scope), x)
        if function is not None:
            return self.splice(function, inner, self.need_input(x, inner), self.run_to_join)
        found = scope.find(inner.id) if isinstance(inner, t.Name) else None
        if found is None or not isinstance(found[0], Path):
            return self.run(expr, scope, x)
        self.push(inner.span)
        out = self.run_to_join(found[0].expr, found[0].scope, x)
        self.trail.pop()
        return out

    def ends_in_join(self, expr: t.Expr, scope: Scope, seen: set[int]) -> bool:
        """Whether the last element of an expression is a `join(…)`, blocks that it calls included."""
        inner = ungroup(expr)
        if isinstance(inner, t.Seq):
            return self.ends_in_join(inner.items[-1], scope, seen)
        if isinstance(inner, t.If):
            return any(self.ends_in_join(branch, scope, seen) for branch in (inner.then, inner.other))
        if isinstance(inner, t.Assertion):
            return self.ends_in_join(inner.inner, scope, seen)
        if isinstance(inner, t.Product):
            return not self.is_number(inner, scope) and self.ends_in_join(inner.items[0], scope, seen)
        if isinstance(inner, t.For):
            return self.ends_in_join(inner.body, Scope("path", scope, {inner.var: Num(0)}), seen)
        called = self.join_called(inner, scope)
        if called is not None and called.merges:
            return True
        head = inner.head if isinstance(inner, t.Call) else inner
        found = scope.find(head.id) if isinstance(head, t.Name) else None
        if found is None or id(inner) in seen:
            return False
        seen.add(id(inner))
        value = found[0]
        if isinstance(value, Function):
            return self.ends_in_join(value.block.body, value.scope, seen)
        return isinstance(value, Path) and self.ends_in_join(value.expr, value.scope, seen)

    def merged(self, op: Join, tensors: list[Tensor], mark: int) -> list[Tensor]:
        """The inputs of a join, where one that is itself such a join, made here, gives way to what it joins."""
        elements = self.builder.elements
        found: list[Tensor] = []
        for tensor in tensors:
            element = tensor.element
            made_here = element is not None and any(element is e for e in elements[mark:])
            if element is not None and made_here and element.op == op:
                found.extend(element.inputs)
                elements[mark:] = [e for e in elements[mark:] if e is not element]
            else:
                found.append(tensor)
        return found

    # --- shortcuts

    def match(self, x: Tensor, target: Tensor, word: str, span: Span, mark: int) -> Tensor:
        """`identity` where the shapes agree. Else `match` projects (He et al. 2015, eq. 2, option B): a 1x1 convolution
        with the stride that makes them agree, with the norm and bias of `default CONV`, and no activation. `match_pad`
        (option A) takes every S-th row and column, and adds channels of zeros.
        """
        if x.failed or target.failed:
            return self.failed()
        x = self.builder.local(x)
        assert isinstance(x.type, TensorType)
        assert isinstance(target.type, TensorType)
        if x.type == target.type:
            self.builder.agree(trace_of(x.type.channels), trace_of(target.type.channels))
            return x
        stride = projection_stride(x.type, target.type)
        more = target.type.channels - x.type.channels
        fewer = word == "match_pad" and isinstance(more, int) and more < 0
        if stride is None or fewer:
            does = "adds channels of zeros" if word == "match_pad" else "a 1x1 projection changes channels"
            self.fail(
                "E0302",
                f"`{word}` cannot bring the shortcut to the shape of the branch",
                span,
                f"shortcut {x.type}, branch {target.type}",
                notes=(f"{does}, and divides height and width by its stride, rounded up",),
                helps=("`match` projects, also to fewer channels",) if fewer and stride is not None else (),
            )
            return self.failed()
        before = len(self.builder.elements)
        try:
            self.same_network_for_all_sizes(x.type, target.type, span)
            change = self.pad if word == "match_pad" else self.project
            x = change(x, target.type, stride, span)
        except ShapeFault as fault:
            self.shape_fault(fault, span)
            return self.failed()
        elements = self.builder.elements  # execution follows the text: a match that is written first runs first
        for element in elements[before:]:
            element.shortcut = True
        elements[mark:] = [*elements[before:], *elements[mark:before]]
        return x

    def same_network_for_all_sizes(self, x: TensorType, target: TensorType, span: Span) -> None:
        """Where only open heights and widths differ, sizes for which they agree would make the shortcut an identity."""
        if x.channels != target.channels:
            return
        self.prove.origin = self.full_origin(span)
        for axis, size, wanted in zip(x.axes[1:], x.spatial, target.spatial):
            if size != wanted:
                reason = f"the shortcut would be an identity where {axis} = {size} is {wanted}"
                self.prove.at_least(size - wanted, 1, reason, partial(ShapeFault, "E0302", reason))

    def project(self, x: Tensor, target: TensorType, stride: tuple[int, ...] | int, span: Span) -> Tensor:
        assert isinstance(x.type, TensorType)
        if stride == 1:  # other numbers could make the channels agree, and the shortcut an identity
            self.builder.pin(symbols(trace_of(x.type.channels)) | symbols(trace_of(target.channels)))
        bound = self.defaults.get(Conv, NOTHING)
        flags = tuple(flag for flag in bound.flags if flag.slot == "norm")
        values: dict[str, object] = {"out_channels": target.channels, "kernel": 1, "stride": stride}
        values.update((name, bound.values[name]) for name in ("bias", "init", "bias_init") if name in bound.values)
        given = Bound(values, {}, flags)
        for made in Conv.expand(complete(Conv, given, "CONV", span, self.fail), x.type):
            x = self.add(made, [x], span)
        for flag in flags:
            if flag.op is not None:
                x = self.add_default(flag.op, x, span)
        return x

    def pad(self, x: Tensor, target: TensorType, stride: tuple[int, ...] | int, span: Span) -> Tensor:
        """Option A: no parameters, and no arithmetic but for the sum that follows."""
        if stride != 1:
            assert isinstance(x.type, TensorType)
            given = Bound({"kernel": 1, "stride": stride, "padding": "same"}, {}, ())
            values = complete(MaxPool, given, "MAXPOOL", span, self.fail)
            x = self.add(MaxPool.build(values, x.type), [x], span)
        assert isinstance(x.type, TensorType)
        more = target.channels - x.type.channels
        if more != 0:
            assert isinstance(more, int), "an open number of channels is the same on both sides"
            x = self.add(PadChannels(more), [x], span)
        return x

    # --- sizes that agree, and that do not

    def pin_coincidences(self, op: Join, tensors: list[Tensor]) -> None:
        """Sizes that agree by value but not by formula do so for these parameters only."""
        types = tuple(tensor.type for tensor in tensors if isinstance(tensor.type, TensorType))
        for a, b in op.agreeing(types):
            self.builder.agree(trace_of(a), trace_of(b))

    def join_fault(
        self, kind: type[Join], fault: JoinFault, items: tuple[t.Expr, ...], tensors: list[Tensor], x: Tensor | None
    ) -> None:
        """What was not alike, and the window that made it so: one of a branch, not what came before the join."""
        i, j = fault.pair
        a, b = tensors[i].type, tensors[j].type
        assert isinstance(a, TensorType)
        assert isinstance(b, TensorType)
        first, second = (items[i], items[j]) if len(items) == len(tensors) else (items[0], items[-1])
        formulas = worked(tensors[j], a, x)
        before = x.type.spatial if x is not None and isinstance(x.type, TensorType) else None
        if not formulas or (b.spatial == before != a.spatial):  # the first is the one that changed
            formulas = [f"`{short(first)}` has {row}" for row in worked(tensors[i], b, x)] or formulas
        self.fail(
            fault.code,
            fault.message,
            second.span,
            str(b),
            others=(Label(first.span, str(a)),),
            notes=[*formulas, *fault.notes],
            helps=[*fault.helps, *_match_help(kind, a, b)],
        )


def matching(expr: t.Expr, scope: Scope) -> str:
    """`match` or `match_pad`, where an expression is that word or a parameter that it was given to; else nothing."""
    inner = ungroup(expr)
    if not isinstance(inner, t.Name) or inner.id in MATCHES:
        return inner.id if isinstance(inner, t.Name) else ""
    found = scope.find(inner.id)
    return found[0].name if found and isinstance(found[0], Builtin) and found[0].name in MATCHES else ""


def _match_help(kind: type[Join], a: TensorType, b: TensorType) -> list[str]:
    if kind is Add and (projection_stride(a, b) or projection_stride(b, a)):
        return ["`match` as the shortcut projects where shapes differ: `f + match`"]
    return []


def projection_stride(x: TensorType, target: TensorType) -> tuple[int, ...] | int | None:
    """The smallest stride on each axis with ceil(W/S) = W', or None."""
    if x.rank != target.rank or x.rank < 2:
        return None
    strides = []
    for size, wanted in zip(x.spatial, target.spatial):
        top = 64 if isinstance(size, Formula) else min(size, 1024)
        stride = next((s for s in range(1, top + 1) if ceil_div(size, s) == wanted), None)
        if stride is None:
            return None
        strides.append(stride)
    return strides[0] if len(set(strides)) == 1 else tuple(strides)
