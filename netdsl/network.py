"""What do the lines of a network mean?  Inputs, labels, the main path, outputs: a NetDef → Graph[Draft].

A network made from another (`net pets = vgg16 with …`) is the base's lines, some replaced, each seeing its own file.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from netdsl import tree as t
from netdsl.apply import MAX_UNROLLED
from netdsl.bind import Binder, Bound, Failed
from netdsl.build import Element, Names, Tensor
from netdsl.diagnostic import Diagnostic, Help, Label, Repair, Stop, diagnose, nearest
from netdsl.graph import Call, Graph, bodies, size_unrolled
from netdsl.ops import BY_SPELLING, Op
from netdsl.options import Options, UsageError
from netdsl.plan import Line, Planner
from netdsl.program import BUILTINS, NetDef, Program, may_name, unknown_name
from netdsl.prove import Prover, nearest_sizes
from netdsl.record import Record
from netdsl.recursion import deep_recursion
from netdsl.size import Formula, Size, Traced, symbol, symbols
from netdsl.source import Span
from netdsl.types import UNKNOWN, Draft, TensorType
from netdsl.values import POISON, Held, Num, Poison, Scope, Value

if TYPE_CHECKING:
    from netdsl.budget import Budget


class Elaborated(Record):
    """The draft of a network, and what was found out on the way."""

    graph: Graph[Draft]
    prove: Prover
    values: dict[str, Num]
    """The parameters of the net, by name."""
    budgets: tuple[Budget, ...] = ()
    """What it may cost: `require` lines, its own and those of its base."""


def elaborate(
    program: Program, name: str, options: Options, check_assertions: bool = True
) -> tuple[Elaborated | None, list[Diagnostic]]:
    """The draft of the network `name`, and every fault. With faults, the draft may be missing.

    A net whose input is replaced is first proven as written, because its assertions speak of the sizes it declares.
    """
    faults: list[Diagnostic] = []
    try:
        with deep_recursion():
            if options.inputs:
                written = Network(program, faults, Options(options.params), check_assertions)
                written.build(name)
                errors = [d for d in faults if d.severity == "error"]
                if any(d.code != "E0308" for d in errors):
                    return None, faults
                faults.clear()
                if errors:  # what is missing is a size, and here it is
                    return Network(program, faults, options, check_assertions).build(name), faults
                # sizes are replaced, not filled in: what the text asserts is about others
                if not written.prove.domains:
                    network = Network(program, faults, options, False)
                    return network.build(name), faults
                faults.extend(unfit(written, options))
                if faults:
                    return None, faults
            network = Network(program, faults, options, check_assertions)
            return network.build(name), faults
    except Stop as stop:
        return None, [*faults, stop.diagnostic]


def unfit(network: Network, options: Options) -> list[Diagnostic]:
    """The constraints on open sizes that the given ones break, the first for each size."""
    sizes: dict[str, int] = {}
    for name, wanted in options.inputs.items():
        tensor = network.inputs.get(name)
        if tensor is not None and isinstance(tensor.type, TensorType):
            pairs = zip(tensor.type.shape, wanted)
            sizes.update((str(s), n) for s, n in pairs if isinstance(s, Formula) and isinstance(n, int))
    found: dict[str, Diagnostic] = {}
    for broken in network.prove.admits(sizes):
        symbol_, given = broken.symbol, sizes[broken.symbol]
        fits = nearest_sizes(network.prove.domains[symbol_], given)
        helps = [f"{symbol_} = {' or '.join(map(str, fits))} fits"] if fits else []
        message = f"an input with {symbol_} = {given} does not fit: {network.prove.domains[symbol_].describe(symbol_)}"
        fault = diagnose("E0310", message, broken.origin, "needed here", notes=(broken.reason,), helps=helps)
        found.setdefault(symbol_, fault)
    return list(found.values())


class Network(Planner):
    """The walk over the lines of one network. Mutable, as the Elaborator is."""

    def __init__(self, program: Program, faults: list[Diagnostic], options: Options, check_assertions: bool) -> None:
        super().__init__(program, faults, options, check_assertions)
        self.spans: dict[str, Span] = {}
        self.later: dict[str, Span] = {}
        self.main: Tensor | None = None
        self.inputs: dict[str, Tensor] = {}
        self.opened: set[str] = set()
        """The names of sizes that the caller leaves open."""
        self.input_names = Names()
        self.outputs: list[tuple[str, Tensor, bool]] = []
        self.named_outputs: list[t.Name] = []
        self.frozen: list[t.Name] = []
        self.required: list[tuple[t.Require, Scope]] = []
        self.lines_used: list[tuple[str, Span, int, int]] = []
        self.lines: list[Line] = []

    def build(self, name: str) -> Elaborated | None:
        self.builder.name = name
        definition = self.program.nets[name]
        lines = self.lines = self.plan(definition, {}, [])
        unknown = [key for key in self.options.params if key not in self.values]
        if unknown:
            close = nearest(unknown[0], self.values)
            known = f"; it has {', '.join(self.values)}" if self.values else "; it has none"
            raise UsageError(
                f"{name} has no parameter {unknown[0]!r}" + (f": did you mean {close!r}?" if close else known)
            )
        self.later = {}
        for line in lines:
            statement = line.statement
            if isinstance(statement, t.Element | t.Let | t.TrainingOutput | t.Input) and statement.label is not None:
                self.later.setdefault(statement.label.id, statement.label.span)
        check_assertions = self.check_assertions
        for line in lines:
            self.check_assertions = check_assertions and line.asserts
            before = len(self.lines_used)
            self.line(line.statement, line.scope)
            if line.spare:
                del self.lines_used[before:]
        missing = [key for key in self.options.inputs if key not in self.inputs]
        if missing:
            raise UsageError(f"{name} has no input {missing[0]!r}: it has {', '.join(self.inputs) or 'none'}")
        return self.close(definition)

    # --- one line -----------------------------------------------------------------------------------------------

    def line(self, statement: t.Statement, scope: Scope) -> None:
        if isinstance(statement, t.Element):
            self.element(statement, scope)
        elif isinstance(statement, t.Input):
            self.input(statement, scope)
        elif isinstance(statement, t.Default):
            self.default(statement, scope)
        elif isinstance(statement, t.Let):
            self.let(statement, scope)
        elif isinstance(statement, t.TrainingOutput):
            tensor = self.labelled(statement.label, statement.value, scope)
            self.name(statement.label, Held(tensor))
            self.outputs.append((statement.label.id, tensor, True))
        elif isinstance(statement, t.Output):
            self.named_outputs.extend(statement.labels)
        elif isinstance(statement, t.Freeze):
            self.frozen.extend(statement.labels)
        elif isinstance(statement, t.Require):
            self.required.append((statement, scope))

    def budgets(self, definition: NetDef) -> tuple[Budget, ...]:
        """What `require` lines say. They see all names of the network, and leave no trace in its graph."""
        if not self.required:
            return ()
        from netdsl.budget import read_budgets

        own = {b.span for s in definition.statements if isinstance(s, t.Require) for b in s.budgets}
        builder, self.builder = self.builder, self.builders("net", self.builder.name)
        found = [budget for statement, scope in self.required for budget in read_budgets(self, statement, scope)]
        self.builder = builder
        return tuple([budget.replace(inherited=budget.span not in own) for budget in found])

    def defined_later(self, name: str) -> Span | None:
        return self.later.get(name)

    def name(self, label: t.Name, value: Value) -> None:
        """Gives a name a value, once."""
        if label.id in self.spans:
            from netdsl.edits import renamed

            self.fail(
                "E0205",
                f"`{label.id}` names two things",
                label.span,
                "named again here",
                others=(Label(self.spans[label.id], "first named here"),),
                helps=(renamed("give one of them another name", label.span),),
            )
            return
        if not may_name(label, self.faults):
            return
        self.spans[label.id] = label.span
        self.labels[label.id] = value

    def input(self, statement: t.Input, scope: Scope) -> None:
        name = self.input_names.give(statement.label.id if statement.label else "input")
        sizes: list[Size] = []
        for expr in statement.shape.sizes:
            size = self.extent(expr, scope, statement.shape)
            if size is None:
                sizes = []
                break
            sizes.append(size)
        if name in self.options.inputs:
            sizes = self.replaced(name, self.options.inputs[name], sizes)
        type: Draft = TensorType(tuple(sizes)) if sizes else UNKNOWN
        if len(sizes) > 4:
            from netdsl.edits import without_batch

            self.fail(
                "E0307",
                f"an input has one to four axes (C, D, H, W), not {len(sizes)}",
                statement.shape.span,
                helps=(without_batch(statement.shape),),
            )
            type = UNKNOWN
        if len(sizes) == 3 and sizes[0] == sizes[1] and sizes[2] in (1, 3) and sizes[0] != sizes[2]:
            from netdsl.edits import channels_first

            self.faults.append(
                diagnose(
                    "W0505",
                    f"the input has {sizes[0]} channels, and is {sizes[1]} high and {sizes[2]} wide",
                    (statement.shape.span,),
                    helps=(channels_first(statement.shape),),
                )
            )
        tensor = self.builder.add_input(type, (statement.span,), name)
        if statement.label is not None:
            self.name(statement.label, Held(tensor))
        self.inputs[name] = tensor
        # With several inputs the path starts where the text says, not at the last one.
        self.main = tensor if len(self.inputs) == 1 else None

    def extent(self, expr: t.Expr, scope: Scope, shape: t.Shape) -> Size | None:
        """A size of an input: a number, or a name for a size that is open."""
        if isinstance(expr, t.Anything):
            from netdsl.edits import open_sizes

            self.fail("E0202", "an open size needs a name: `input 3 x H x W`", expr.span, helps=open_sizes(shape))
            return None
        if (
            isinstance(expr, t.Name)
            and scope.find(expr.id) is None
            and expr.id.upper() not in BY_SPELLING
            and expr.id not in BUILTINS
        ):
            self.symbols.add(expr.id)
            self.prove.declare(expr.id)
            return symbol(expr.id)
        value = self.evaluate(expr, scope, None)
        if isinstance(value, Poison):
            return None
        if not isinstance(value, Num) or not isinstance(value.value, int) or value.value < 1:
            self.fail("E0202", f"a size is a whole number of at least 1, or a name, not `{expr.span.text}`", expr.span)
            return None
        if value.value > 10**9:
            self.fail("E0102", f"a size of more than {10**9:,}", expr.span)
            return None
        return value.value if value.trace is None else value.size

    def replaced(self, name: str, wanted: tuple[int | str, ...], declared: list[Size]) -> list[Size]:
        """The sizes that the caller gives. A name that stands for two different ones is refused."""
        if declared and len(wanted) != len(declared):
            type = TensorType(tuple(declared))
            raise UsageError(f"input {name!r} is {type}, with {len(declared)} sizes, not {len(wanted)}")
        shown = " x ".join(map(str, wanted))
        for size, given in zip(declared, wanted):
            if isinstance(given, str):
                self.opened.add(given)
                if isinstance(size, Formula) and str(size) != given:
                    raise UsageError(f"{size} of {name!r} is open: give it a number, or leave it {size}, not {given}")
            elif isinstance(size, Formula):
                if self.bindings.setdefault(str(size), given) != given:
                    both = f"{self.bindings[str(size)]} and {given}"
                    raise UsageError(f"{size} cannot be both {both} in {name!r} = {shown}")
                self.prove.domains.pop(str(size), None)  # it is open no more
        for bound in self.opened & self.bindings.keys():
            raise UsageError(f"{bound} cannot be both {self.bindings[bound]} and open in {name!r} = {shown}")
        return [self.left_open(given) if isinstance(given, str) else given for given in wanted]

    def left_open(self, name: str) -> Size:
        """A size that the caller leaves open. What the text says cannot depend on its name."""
        self.prove.declare(name)
        return symbol(name)

    def default(self, statement: t.Default, scope: Scope) -> None:
        op = BY_SPELLING.get(statement.head.id.upper())
        if op is None:
            self.fail(
                "E0201",
                f"`default` takes a primitive, and `{statement.head.id}` is none",
                statement.head.span,
                helps=unknown_name(statement.head, scope),
            )
            return
        try:
            head = op.spellings[0]
            binder = Binder(op, head, statement.span, scope, lambda e: self.evaluate(e, scope, None), self.fail)
            bound = binder.bind(statement.args)
            self.builder.pin(binder.rounded)
        except Failed:
            return
        bound = self.fixed(bound).over(self.defaults.get(op), op)
        self.defaults = {**self.defaults, op: bound}
        self.applied = {}
        self.defaults_key = tuple((op.name, bound.key) for op, bound in self.defaults.items())

    def fixed(self, bound: Bound) -> Bound:
        """A default applies inside blocks, which do not know the net's numbers: those in it are fixed."""

        def plain(value: object) -> object:
            if isinstance(value, Traced):
                self.builder.pin(symbols(value.trace))
                return int(value)
            return tuple(map(plain, value)) if isinstance(value, tuple) else value

        return bound.replace(values={name: plain(value) for name, value in bound.values.items()})

    def let(self, statement: t.Let, scope: Scope) -> None:
        expr = statement.value
        if self.is_number(expr, scope):
            value = self.evaluate(expr, scope, self.main)
        elif self.is_closed(expr, scope):
            value = Held(self.labelled(statement.label, expr, scope))
        else:
            value = self.evaluate(expr, scope, self.main)
            if isinstance(value, Poison):
                value = Held(self.failed())
        if not isinstance(value, Poison):
            self.name(statement.label, value)
        else:
            self.name(statement.label, POISON)

    def is_closed(self, expr: t.Expr, scope: Scope) -> bool:
        """Whether a path starts from labels only, so that it is a tensor, not a block."""
        if isinstance(expr, t.Group):
            return self.is_closed(expr.inner, scope)
        if isinstance(expr, t.Assertion):
            return self.is_closed(expr.inner, scope)
        if isinstance(expr, t.Name):
            found = scope.find(expr.id)
            return found is not None and isinstance(found[0], Held)
        if isinstance(expr, t.Seq | t.Product):
            return self.is_closed(expr.items[0], scope)
        if isinstance(expr, t.Sum | t.Concat):
            return all(self.is_closed(item, scope) for item in expr.items)
        join = self.join_called(expr, scope)
        if join is not None and isinstance(expr, t.Call):
            blocks = [arg for arg in expr.args if isinstance(arg, t.Expr)]
            return all(self.is_closed(block, scope) for block in blocks) and not (join.alone and len(blocks) == 1)
        return False

    def element(self, statement: t.Element, scope: Scope) -> None:
        tensor = self.labelled(statement.label, statement.value, scope, statement.span)
        if statement.label is not None:
            self.name(statement.label, Held(tensor))
        self.main = tensor

    def labelled(self, label: t.Name | None, expr: t.Expr, scope: Scope, span: Span | None = None) -> Tensor:
        """The output of a line on the main path, its elements grouped under the label."""
        mark = len(self.builder.elements)
        if self.main is None and not self.inputs:
            self.no_input(expr)
            self.main = self.failed()
        tensor = self.run(expr, scope, self.main)
        fresh = self.builder.elements[mark:]
        if label is not None and label.id not in self.spans and fresh:
            tensor = self.group(label, fresh, mark, tensor)
        self.lines_used.append((label.id if label else "", span or expr.span, mark, len(self.builder.elements)))
        return tensor

    def no_input(self, expr: t.Expr) -> None:
        self.fail(
            "E0212",
            "the network has no input yet",
            expr.span,
            "nothing reaches this element",
            helps=("declare it first: `input 3 x 224 x 224`", *self.input_below(expr)),
        )

    def from_an_input(self, expr: t.Expr) -> tuple[Help, ...]:
        """The line, started from each of the inputs."""
        start = Span(expr.span.source, expr.span.start, expr.span.start)
        names = [name for name in self.inputs if name in self.labels]
        if not names or expr.span.source is not self.program.source or len(names) > 3:
            return super().from_an_input(expr)
        return tuple(Repair.of(f"start the path from `{name}`", (start, f"{name} -> ")) for name in names)

    def input_below(self, expr: t.Expr) -> tuple[Help, ...]:
        """The declaration that stands below the first line that needs it, moved above it."""
        source = expr.span.source
        below = [line.statement for line in self.lines if isinstance(line.statement, t.Input)]
        below = [statement for statement in below if statement.span.source is source]
        if len(below) != 1 or below[0].span.start < expr.span.start:
            return ()
        from netdsl.edits import whole_lines

        line, first = whole_lines(below[0].span), whole_lines(expr.span).start
        return (Repair.of("move it up", (Span(source, first, first), f"{line.text.rstrip()}\n"), (line, "")),)

    def group(self, label: t.Name, fresh: list[Element], mark: int, tensor: Tensor) -> Tensor:
        """Names the elements of a labelled line.

        The one that learns has the label itself (`conv2.weight`). A chain of several becomes a sequence of that name
        (`features.0.weight`). Anything else stays where it is, with the label in front.
        """
        for element in fresh:
            element.group = label.id
        learned = [e for e in fresh if not isinstance(e.op, Op) or e.op.learns]
        chain = all(len(e.inputs) == 1 for e in fresh) and all(a.output is b.inputs[0] for a, b in pairwise(fresh))
        if len(fresh) == 1 or len(learned) == 1:
            (learned or fresh)[0].label = label.id
        elif chain and fresh[-1].output is tensor and learned:
            return self.extract(label, fresh, mark)
        elif fresh[-1].output is tensor:
            fresh[-1].label = label.id
        return tensor

    def extract(self, label: t.Name, fresh: list[Element], mark: int) -> Tensor:
        """Turns a chain of elements into one, whose body they are."""
        body = self.builders("path", label.id, self.builder)
        source = fresh[0].inputs[0]
        inner = body.add_input(source.type, source.origin, "x")
        fresh[0].inputs = [inner]
        for element in fresh:
            element.group = ""
        body.elements = list(fresh)
        graph = body.finish([("out", fresh[-1].output, False)])
        del self.builder.elements[mark:]
        first = fresh[0].origin[-1]
        tensor = self.builder.add(
            Call(graph),
            [source],
            fresh[-1].output.type,
            (first.to(fresh[-1].origin[-1]) if first.source is fresh[-1].origin[-1].source else first,),
        )
        assert tensor.element is not None
        tensor.element.label = tensor.element.group = label.id
        return tensor

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self, definition: NetDef) -> Elaborated | None:
        if not self.inputs:
            if not any(d.severity == "error" for d in self.faults):
                self.fail(
                    "E0106",
                    f"`{definition.name}` has no input and no elements",
                    definition.header.span,
                    helps=("a network starts with `input 3 x 224 x 224`",),
                )
            return None
        outputs, budgets = self.results(definition), self.budgets(definition)
        named: dict[str, list[Element]] = {}
        for element in self.builder.elements if self.frozen else ():
            for name in dict.fromkeys((element.group, element.label)):
                named.setdefault(name, []).append(element)
        for label in self.frozen:
            members = named.get(label.id, [])
            value = self.labels.get(label.id)
            if not members and not (isinstance(value, Held) and value.tensor.failed):
                labels = list(dict.fromkeys(e.group for e in self.builder.elements if e.group))
                close = nearest(label.id, labels)
                from netdsl.edits import meant

                self.fail(
                    "E0206",
                    f"there is no element `{label.id}` to freeze",
                    label.span,
                    helps=(meant(close, label.span) if close else f"the labels are {', '.join(labels) or 'none'}",),
                )
            for element in members:
                element.frozen = True
        if any(d.severity == "error" for d in self.faults) or not outputs:
            return None
        if any(tensor.failed for _, tensor, _ in outputs):
            return None  # what failed has been reported, by the parser where the text can be read in two ways
        self.builder.settle()
        keep = self.used(outputs)
        graph = self.builder.finish(
            [(name, tensor, training) for name, tensor, training in outputs], definition.name, keep
        )
        self.budget(graph, definition)
        self.linearity(graph, definition)
        return Elaborated(graph, self.prove, self.values, budgets)

    def results(self, definition: NetDef) -> list[tuple[str, Tensor, bool]]:
        """The outputs: those named by `output`, or the end of the main path; then those of training."""
        found: list[tuple[str, Tensor, bool]] = []
        for label in self.named_outputs:
            value = self.labels.get(label.id)
            if isinstance(value, Held):
                found.append((label.id, value.tensor, False))
            elif value is None:
                close = nearest(label.id, self.labels)
                from netdsl.edits import meant

                self.fail(
                    "E0206",
                    f"there is no label `{label.id}` to output",
                    label.span,
                    helps=(meant(close, label.span),) if close else (),
                )
            else:
                self.fail("E0210", f"an output is a tensor, and `{label.id}` is none", label.span)
        if not self.named_outputs:
            if self.main is None:
                self.fail(
                    "E0212",
                    "the network has several inputs and no path",
                    definition.header.span,
                    helps=("start a line from an input by its name: `left -> CONV 16`",),
                )
                return []
            heads = {name for name, _, _ in self.outputs}
            labels = {name: value for name, value in self.labels.items() if name not in heads}
            names = {id(value.tensor): name for name, value in labels.items() if isinstance(value, Held)}
            found.append((names.get(id(self.main), "output"), self.main, False))
        taken: dict[str, Span] = {}
        for label in self.named_outputs:
            if label.id in taken:
                first = Label(taken[label.id], "first named here")
                from netdsl.edits import without

                once = Repair.of("once is enough", (without(label.span), ""))
                self.fail("E0205", f"`{label.id}` is an output twice", label.span, others=(first,), helps=(once,))
            taken.setdefault(label.id, label.span)
        return found + self.outputs

    def used(self, outputs: list[tuple[str, Tensor, bool]]) -> set[int]:
        """The elements on which an output depends. A line none of whose elements is used gets a warning."""
        needed = {id(tensor) for _, tensor, _ in outputs}
        kept: set[int] = set()
        for i in range(len(self.builder.elements) - 1, -1, -1):
            element = self.builder.elements[i]
            if id(element.output) in needed:
                kept.add(i)
                needed.update(id(tensor) for tensor in element.inputs)
        for label, span, first, last in self.lines_used:
            if last > first and not kept & set(range(first, last)):
                what = f"`{label}`" if label else "this line"
                from netdsl.edits import whole_lines

                self.faults.append(
                    diagnose(
                        "W0501",
                        f"{what} is never used: no output depends on it",
                        (span,),
                        helps=(Repair.of("remove it", (whole_lines(span), "")), "start a path from it"),
                    )
                )
        for name, tensor in self.inputs.items():
            if id(tensor) not in needed:
                from netdsl.edits import whole_lines

                helps = (Repair.of("remove it", (whole_lines(tensor.origin[-1]), "")),)
                self.faults.append(diagnose("W0501", f"the input `{name}` is never used", tensor.origin, helps=helps))
        return kept

    def budget(self, graph: Graph[Draft], definition: NetDef) -> None:
        total = size_unrolled(graph)
        if total > MAX_UNROLLED:
            raise Stop(
                diagnose(
                    "E0403",
                    f"the network unrolls to {total:,} elements, more than {MAX_UNROLLED:,}",
                    (definition.header.span,),
                )
            )

    def linearity(self, graph: Graph[Draft], definition: NetDef) -> None:
        """Two learned layers and nothing between them that is not linear: someone forgot the activations."""
        ops = [node.op for body in bodies(graph) for node in body.nodes if isinstance(node.op, Op)]
        learned = sum(op.learns for op in ops)
        if learned > 1 and all(op.linear for op in ops):
            self.faults.append(
                diagnose(
                    "W0502",
                    f"`{definition.name}` has no non-linearity: its {learned} layers amount to one",
                    (definition.header.span,),
                    helps=("`default CONV relu` and `default FC relu` add one to every layer",),
                )
            )
