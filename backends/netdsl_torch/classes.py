"""Which bodies share a class?  Those that differ only in numbers; the numbers become what its constructor takes.

signature(body)     its code without the numbers; equal signatures, one class
Class.params        in_channels, the block's own parameters, then numbers that differ for no reason we know
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from netdsl.graph import Call, Graph, Node, Repeat, Run, bodies, in_callers_terms, output_of, parts
from netdsl.ops import Op
from netdsl.record import Record
from netdsl.size import Formula, Size, Traced, substitute, symbol, symbols, trace_of
from netdsl.types import TensorType
from netdsl_torch.code import Code, Hole, hole, holes_of, in_terms, joined, rendered, skeleton, traced
from netdsl_torch.formula import to_python, to_python_rate
from netdsl_torch.initial import Initial
from netdsl_torch.names import FUNCTIONS, IN_CONSTRUCTOR, MODULE_NAMES, allotted, attributes, class_name, unique
from netdsl_torch.rules import HELPERS, rule_of

Body = Graph[TensorType]
Env = dict[str, Size]


def has_class(body: Body) -> bool:
    """Whether a body becomes a class; the others are written in place, as nn.Sequential."""
    return not body.is_sequential


class Class:
    """A class to be written, and the bodies it stands for. Mutable while bodies gather."""

    def __init__(self, plan: Plan, body: Body) -> None:
        self.plan, self.bodies, self.name = plan, [body], ""
        self.members: dict[str, list[int]] = {}

    @property
    def body(self) -> Body:
        return self.bodies[0]

    @cached_property
    def codes(self) -> list[list[tuple[int, Code]]]:
        """For each body the constructors of its modules, by node."""
        return [list(self.plan.constructors(body, {})) for body in self.bodies]

    @cached_property
    def columns(self) -> list[list[Hole]]:
        """For each hole of the code, what stands in it in each body."""
        rows = [[h for _, code in codes for h in holes_of(code)] for codes in self.codes]
        assert len({len(row) for row in rows}) == 1, self.name
        return [list(column) for column in zip(*rows)]

    @cached_property
    def roots(self) -> dict[str, Param]:
        """The numbers that the body's text speaks of, by their names there: `C` is what comes in."""
        own = [name for name in ("C", *(given.name for given in self.body.arguments)) if name in self.own_numbers]
        called = allotted([name for name in own if name != "C"], self.plan.reserved)
        if "C" in own:
            called["C"] = unique("in_channels", {*self.plan.reserved, *called.values()})
        return {name: Param(called[name], self.values(name), name) for name in own}

    @cached_property
    def resolved(self) -> tuple[list[str], list[Param]]:
        """The expression in each hole, and the parameters of the constructor."""
        extras: list[Param] = []
        texts: list[str] = []
        used: set[str] = set()
        for at, column in enumerate(self.columns):
            text, names = self.expression(column)
            if not text:
                param = self.difference(column, extras)
                self.members.setdefault(param.name, []).append(at)
                text, names = param.name, {param.root}
            texts.append(text)
            used |= names
        return texts, [*(param for root, param in self.roots.items() if root in used), *extras]

    def difference(self, column: list[Hole], extras: list[Param]) -> Param:
        """The parameter for a number that differs between the bodies for no reason we know; a new one if need be."""
        values = tuple(h.value for h in column)
        for param in [*self.roots.values(), *extras]:
            if param.values == values:
                return param
        taken = {*self.plan.reserved, *(param.name for param in [*self.roots.values(), *extras])}
        hint = column[0].hint
        name = next(n for i in range(1, 10_000) if (n := hint if i == 1 else f"{hint}{i}") not in taken)
        extras.append(Param(name, values))
        return extras[-1]

    @property
    def params(self) -> list[Param]:
        return self.resolved[1]

    def expression(self, column: list[Hole]) -> tuple[str, set[str]]:
        """What a hole says in terms of the block's parameters: a formula, or one number for all. Else nothing."""
        formulas = {self.plain(body, h) for body, h in zip(self.bodies, column)}
        formula = formulas.pop() if len(formulas) == 1 else None
        if formula is not None:
            names = symbols(formula)
            if names <= self.own_numbers and not names & self.fixed:
                write = to_python_rate if isinstance(column[0].value, float) else to_python
                text = write(formula, {name: param.name for name, param in self.roots.items()})
                return (f"({text})" if column[0].factor and " " in text else text), set(names)
        values = {h.value for h in column}
        known = self.roots.get(column[0].hint)
        if (
            known is not None
            and known.root not in self.fixed
            and known.values == tuple(h.value for h in column)
            and len(values | {1}) > 1
        ):
            return known.name, {known.root}  # `stride` of the shortcut is the block's stride
        return (repr(values.pop()), set()) if len(values) == 1 else ("", set())

    @cached_property
    def own_numbers(self) -> frozenset[str]:
        """The numbers that the body's text speaks of, in all bodies of the class."""
        return frozenset.intersection(*(frozenset(self.plan.given(body)) for body in self.bodies))

    @cached_property
    def fixed(self) -> frozenset[str]:
        """Parameters of a net on which its structure depends: its class cannot take them."""
        return self.body.pinned | self.plan.withheld if self.body.kind == "net" else frozenset()

    def plain(self, body: Body, hole: Hole) -> Formula | None:
        """The trace in bare names (`c` for `c@3`), if it is one of this body's numbers."""
        if hole.trace is None or not all(name.endswith(body.context) for name in symbols(hole.trace)):
            return None
        plain = substitute(hole.trace, {name: symbol(name.removesuffix(body.context)) for name in symbols(hole.trace)})
        return plain if isinstance(plain, Formula) else None

    def values(self, name: str) -> tuple[int | float, ...]:
        """The value of a parameter in each body, or nothing where it is not known."""
        found = [self.plan.given(body).get(name) for body in self.bodies]
        return tuple(int(v) for v in found if isinstance(v, int)) if all(isinstance(v, int) for v in found) else ()

    def argument(self, param: Param, call: Call[TensorType], x: TensorType) -> Hole:
        """What a call passes for a parameter: its number in the caller's terms, or what this body needs there."""
        if param.root and call.body.kind == "path":
            size = self.plan.given(call.body)[param.root]
            assert isinstance(size, int)
            return Hole(int(size), symbol(param.root + call.body.context), param.name)
        if param.root:
            given = {given.name: given.value for given in call.args}
            return hole(x.channels if param.root == "C" else given[param.root], param.name)
        i = next(i for i, body in enumerate(self.bodies) if body is call.body)
        traces = {self.columns[at][i].trace for at in self.members[param.name]}
        trace = traces.pop() if len(traces) == 1 else None
        outer = substitute(trace, in_callers_terms(call, x)) if trace is not None else None
        return Hole(param.values[i], outer if isinstance(outer, Formula) else None, param.name)

    def constructors(self) -> list[tuple[int, str]]:
        """The modules of the class by node, as text."""
        texts = iter(self.resolved[0])
        return [(i, rendered(code, lambda _: next(texts))) for i, code in self.codes[0]]


class Param(Record):
    """A parameter of a constructor, and its value in each body of the class. `root`: what the block's text calls it."""

    name: str
    values: tuple[int | float, ...]
    root: str = ""

    @property
    def kind(self) -> str:
        return "float" if any(isinstance(value, float) for value in self.values) else "int"


class Plan:
    """All classes of a network, callees first. Mutable while it is made."""

    def __init__(self, net: Body, title: str, withheld: frozenset[str] = frozenset()) -> None:
        self.net, self.title, self.withheld = net, title, withheld
        self.initial = Initial(net)
        self.classes: list[Class] = []
        self.class_of: dict[int, Class] = {}
        self.called: dict[int, dict[str, str]] = {}
        found: dict[object, Class] = {}
        every = bodies(net)
        for body in every:
            if not has_class(body):
                continue
            key = (body.kind, body.name, body.title, self.signature(body))
            if key in found:
                found[key].bodies.append(body)
            else:
                found[key] = Class(self, body)
                self.classes.append(found[key])
            self.class_of[id(body)] = found[key]
        self.name_classes()
        for cls in self.classes:  # callees first, so that nesting is no depth of calls
            _ = cls.resolved

    @property
    def net_names(self) -> frozenset[str]:
        """The classes of the network itself and of what it returns."""
        return frozenset({self.title, f"{self.title}Output", f"{self.title}TrainingOutput"})

    @cached_property
    def reserved(self) -> frozenset[str]:
        """What a constructor's parameter cannot be called."""
        return MODULE_NAMES | IN_CONSTRUCTOR | FUNCTIONS | HELPERS.keys() | {cls.name for cls in self.classes}

    @property
    def essence(self) -> object:
        """What the source says, but for the numbers with which the network's own class is called by default."""
        return [(cls.name, [param.name for param in cls.params], cls.constructors()) for cls in self.classes]

    def attributes(self, body: Body) -> dict[str, str]:
        """The attribute of each element's module, by the element's name."""
        if id(body) not in self.called:
            self.called[id(body)] = attributes(node.name for node in body.nodes)
        return self.called[id(body)]

    def given(self, body: Body) -> dict[str, Size]:
        """The numbers a body was built with, its channels included. `C` in a path is not that of its text's block."""
        numbers: dict[str, Size] = {given.name: given.value for given in body.arguments}
        return numbers if body.kind == "path" else {"C": body.inputs[0].type.channels, **numbers}

    def name_classes(self) -> None:
        """The block's name; where several classes have it, what tells them apart."""
        groups: dict[str, list[Class]] = {}
        for cls in self.classes:
            text = cls.body.title or cls.body.name
            if cls.body.kind == "path":
                text = f"{cls.body.name} step"
            groups.setdefault(class_name(text), []).append(cls)
        taken = set(self.net_names)
        for name, group in groups.items():
            for cls, suffix in zip(group, _suffixes(group, self)):
                if cls.body is self.net:
                    cls.name = self.title
                    continue
                wanted = name + suffix
                cls.name = next(
                    n for i in range(1, 100_000) if (n := wanted if i == 1 else f"{wanted}V{i}") not in taken
                )
                taken.add(cls.name)

    # --- code ---------------------------------------------------------------------------------------------------

    def signature(self, body: Body) -> object:
        """The structure of a body. Bodies with one signature have the same code but for the numbers."""
        rows = []
        for node in body.nodes:
            rows.append((node.name, node.inputs, node.frozen, self.shape_of(body, node)))
        return tuple(rows), tuple(out.value for out in body.outputs), len(body.inputs)

    def shape_of(self, body: Body, node: Node[TensorType]) -> object:
        if isinstance(node.op, Op):
            types = tuple(body.type_of(v) for v in node.inputs)
            rule = rule_of(node.op)
            if rule.module is not None and (rule.function is None or body.is_sequential):
                return node.op.name, skeleton(self.initial.wrap(node.op, rule.module(node.op, types))), types[0].rank
            assert rule.function is not None
            return node.op.name, rule.function(node.op, types, ["x"] * len(types))
        rows = [(run.count, run.captured, self.part_of(run.call.body)) for run in parts(node.op)]
        return type(node.op).__name__, tuple(rows)

    def part_of(self, body: Body) -> object:
        return id(self.class_of[id(body)]) if has_class(body) else self.signature(body)

    def constructors(self, body: Body, env: Env) -> Iterator[tuple[int, Code]]:
        """The constructor of each node that needs a module, in order."""
        for i, node in enumerate(body.nodes):
            code = self.constructor(body, node, env)
            if code is not None:
                yield i, code

    def constructor(self, body: Body, node: Node[TensorType], env: Env, module: bool = False) -> Code | None:
        """A module for the node; None where a function does and no `module` is asked for."""
        if isinstance(node.op, Op):
            rule = rule_of(node.op)
            if rule.module is None or (rule.function is not None and not module):
                return None
            types = tuple(body.type_of(v) for v in node.inputs)
            return in_terms(self.initial.wrap(node.op, rule.module(node.op, types)), env)
        x = body.type_of(node.inputs[0])
        if isinstance(node.op, Call):
            return self.application(node.op, x, env)
        items = self.steps(node.op, x, env)
        kind = "nn.Sequential" if all(not run.captured for run in parts(node.op)) else "nn.ModuleList"
        if kind == "nn.ModuleList":
            return (f"{kind}([", *joined(items), "])")
        return (f"{kind}(", *joined(items), ")")

    def application(self, call: Call[TensorType], x: TensorType, env: Env) -> Code:
        """One application of a body: a constructor call, or its sequence written in place."""
        body = call.body
        if has_class(body):
            cls = self.class_of[id(body)]
            holes: list[Code] = [(cls.argument(param, call, x),) for param in cls.params]
            return in_terms((f"{cls.name}(", *joined(holes), ")"), env)
        items = self.sequence(body, self.inner_env(call, x, env))
        return (
            items[0]
            if len(body.nodes) == 1 and body.kind == "path" and not isinstance(body.nodes[0].op, Repeat)
            else ("nn.Sequential(", *joined(items), ")")
        )

    def inner_env(self, call: Call[TensorType], x: TensorType, env: Env) -> Env:
        """What the numbers of a body that is written in place are, in the terms of the class around it."""
        body = call.body
        if body.kind == "path":
            return env
        inner: Env = {given.name + body.context: _outside(given.value, env) for given in call.args}
        inner["C" + body.context] = _outside(x.channels, env)
        return inner

    def sequence(self, body: Body, env: Env) -> list[Code]:
        """The modules of a sequential body, repeats unrolled into it."""
        items: list[Code] = []
        for node in body.nodes:
            if isinstance(node.op, Repeat):
                items.extend(self.steps(node.op, body.type_of(node.inputs[0]), env))
            else:
                code = self.constructor(body, node, env, module=True)
                assert code is not None
                items.append(code)
        return items

    def steps(self, repeat: Repeat[TensorType], x: TensorType, env: Env) -> list[Code]:
        """The steps of a repeat: equal ones, and ones whose numbers grow evenly, as a comprehension."""
        codes: list[tuple[Code, Run[TensorType]]] = []
        for run in repeat.runs:
            codes.append((self.application(run.call, x, env), run))
            x = output_of(run.call, x)
        items: list[Code] = []
        i = 0
        while i < len(codes):
            code, run = codes[i]
            if run.count > 1:
                items.append(("*[", *code, f" for _ in range({run.count})]"))
                i += 1
                continue
            length = _even_growth([c for c, r in codes[i:]], [r.count for _, r in codes[i:]])
            if length >= 3:
                items.append(_growing([c for c, _ in codes[i : i + length]]))
                i += length
            else:
                items.append(code)
                i += 1
        return items


def _outside(size: Size, env: Env) -> Size:
    trace = trace_of(size)
    if not isinstance(trace, Formula) or not isinstance(size, int):
        return size if not isinstance(size, Traced) else int(size)
    return substitute(trace, env) if env else trace


def _even_growth(codes: list[Code], counts: list[int]) -> int:
    """How many of the codes, from the first on, differ by the same step in each number: f(64), f(96), f(128)."""
    first = codes[0]
    if any(part.factor for part in holes_of(first)):
        return 1  # it has a loop of its own, and one variable for both would not do
    shape = skeleton(first)
    steps: list[object] | None = None
    length = 1
    for before, code, count in zip(codes, codes[1:], counts[1:]):
        if count != 1 or skeleton(code) != shape:
            break
        step: list[object] = [(_step(b, a), _minus(b, a)) for a, b in zip(holes_of(before), holes_of(code))]
        if steps is None:
            steps = step
        if step != steps:
            break
        length += 1
    return length


def _step(b: Hole, a: Hole) -> object:
    """By how much a number grows. Rates must stay as they are: sums of decimals are not exact."""
    if isinstance(a.value, float) or isinstance(b.value, float):
        return 0 if a.value == b.value else object()
    return b.value - a.value


def _minus(b: Hole, a: Hole) -> Size | None:
    if a.trace is None and b.trace is None:
        return None
    return trace_of(traced(b)) - trace_of(traced(a))


def _growing(codes: list[Code]) -> Code:
    """`*[f(64 + 32 * i) for i in range(6)]`."""
    out: list[str | Hole] = ["*["]
    second = iter(holes_of(codes[1]))
    for part in codes[0]:
        if isinstance(part, str):
            out.append(part)
            continue
        other = next(second)
        step = other.value - part.value
        if step == 0:
            out.append(part)
            continue
        if step == 1 and other.trace is None:
            out += [part.prefix, part.replace(prefix="", default=None), " + i"]
            continue
        growth = _minus(other, part)
        trace = growth if isinstance(growth, Formula) else None
        growth_hole = Hole(step, trace, "step", factor=True)
        out += [part.prefix, part.replace(prefix="", default=None), " + ", growth_hole, " * i"]
    return (*out, f" for i in range({len(codes)})]")


def _suffixes(group: list[Class], plan: Plan) -> list[str]:
    """What tells classes of one block apart: a number it was called with, or whether it projects."""
    if len(group) == 1:
        return [""]
    for name in (given.name for given in group[0].body.arguments):
        found = [{plan.given(body).get(name) for body in cls.bodies} for cls in group]
        values = [str(next(iter(v))) if len(v) == 1 and None not in v else "" for v in found]
        if all(values) and len(set(values)) == len(values):
            return values
    projects = [any(node.shortcut for node in cls.body.nodes) for cls in group]
    return ["Projection" if p else "" for p in projects]
