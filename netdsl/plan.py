"""Which lines make up a network?  Its own, or those of a net it is made from, some of them replaced.

`net pets = vgg16 with …` has the lines of vgg16; those that follow replace the ones with the same label. Each line
keeps seeing the names of its own file.
"""

from __future__ import annotations

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Help, Label, Repair, Stop, diagnose, nearest
from netdsl.elaborate import Elaborator
from netdsl.options import Options, UsageError
from netdsl.program import STATEMENTS, NetDef, Program
from netdsl.record import Record
from netdsl.source import Span, named
from netdsl.values import Num, Poison, Scope, Value, free_names


class Line(Record):
    """A statement and the names it sees."""

    statement: t.Statement
    scope: Scope
    asserts: bool = True
    """Whether its assertions are to be proven: those about an input that was replaced are not."""
    spare: bool = False
    """Whether it may go unused without a word: a line of the base, where the new net has outputs of its own."""


class Planner(Elaborator):
    """Gathers the lines of a network. Mutable, as the Elaborator is."""

    def __init__(self, program: Program, faults: list[Diagnostic], options: Options, check_assertions: bool) -> None:
        super().__init__(faults, check_assertions)
        self.program, self.options = program, options
        self.labels: dict[str, Value] = {}
        self.values: dict[str, Num] = {}

    def plan(self, definition: NetDef, given: dict[str, Num], chain: list[NetDef]) -> list[Line]:
        """The lines of a net, those of its base included, each with the scope it sees."""
        scope = Scope("net", Scope("net", definition.scope), self.labels)
        assert scope.parent is not None
        if definition in chain:
            ring = " -> ".join(d.name for d in [*chain, definition])
            raise Stop(diagnose("E0404", f"the net is made from itself: {ring}", (definition.header.span,)))
        for param in definition.params:
            scope.parent.names[param.name] = self.parameter(param, given, scope)
        own = [Line(statement, scope) for statement in definition.statements]
        header = definition.header
        if isinstance(header, t.Net):
            return own
        base = self.base_of(header)
        if base is None:
            raise Stop(self.faults.pop())
        inherited = self.plan(base, self.base_arguments(header, base, scope), [*chain, definition])
        return self.merge(inherited, own, base.name)

    def parameter(self, param: t.Param, given: dict[str, Num], scope: Scope) -> Num | Poison:
        number: Value
        if param.name in self.options.params and param.name not in given and param.name not in self.values:
            number = Num(self.options.params[param.name])
        elif param.name in given:
            return given[param.name]
        elif param.default is None:
            raise UsageError(
                f"{self.builder.name} needs a value for {param.name!r}: it has no default (`--set {param.name}=10`)"
            )
        else:
            number = self.evaluate(param.default, scope, None)
        if isinstance(number, Num):
            self.values.setdefault(param.name, number)
            return self.builder.parameter(param.name, number)
        if not isinstance(number, Poison):
            self.fail("E0202", f"the parameter `{param.name}` of a net is a number", param.span)
        return Poison()

    def base_of(self, header: t.NetFrom) -> NetDef | None:
        name = header.base.head if isinstance(header.base, t.Call) else header.base
        assert isinstance(name, t.Name)
        if name.id in self.program.nets:
            return self.program.nets[name.id]
        loader = self.program.loader
        before = len(loader.faults)
        other = loader.fetch(name.id, self.program.source, name.span)
        if other is not None and not loader.faults[before:]:
            return other.nets[name.id] if name.id in other.nets else other.nets[other.own_nets[-1]]
        faults = loader.faults[before:]
        del loader.faults[before:]
        inner = [d for d in faults if d.code != "E0405"]
        self.faults.append(
            inner[0]
            if inner
            else diagnose(
                "E0201",
                f"there is no net `{name.id}` to start from",
                (name.span,),
                helps=[h for d in faults for h in d.ideas or d.helps],
            )
        )
        return None

    def base_arguments(self, header: t.NetFrom, base: NetDef, scope: Scope) -> dict[str, Num]:
        given: dict[str, Num] = {}
        if not isinstance(header.base, t.Call):
            return given
        names = [param.name for param in base.params]
        free = list(names)
        for arg in header.base.args:
            name = arg.name if isinstance(arg, t.Keyword) else free[0] if free else ""
            expr = arg.value if isinstance(arg, t.Keyword) else arg
            if name not in names or name in given:
                has = f"it has {', '.join(names)}" if names else "it has none"
                close = nearest(name, names) if name not in names else None
                from netdsl.edits import meant

                self.fail(
                    "E0204" if isinstance(arg, t.Keyword) else "E0203",
                    f"`{base.name}` has no parameter `{name}`"
                    if name and name not in names
                    else f"`{base.name}` has no parameter for `{arg.span.text}`",
                    arg.span,
                    helps=(meant(close, named(arg.span)) if close and isinstance(arg, t.Keyword) else has,),
                )
                continue
            free.remove(name)
            assert isinstance(expr, t.Expr)
            value = self.operand(expr, scope, None)
            if isinstance(value, Num):
                given[name] = value
        return given

    def merge(self, inherited: list[Line], own: list[Line], base: str) -> list[Line]:
        """The base's lines with those replaced that have the label of a new one.

        A new `default` or `let` comes before the base's elements, so that these and the new ones see it; but a `let`
        that starts from a label comes after them. New outputs take the place of the base's; the rest follows. What the
        base asserts of its input does not hold for a new one.
        """
        if any(isinstance(line.statement, t.Input) for line in own):
            inherited = [line.replace(asserts=False) for line in inherited]
        if any(isinstance(line.statement, t.Output) for line in own):
            kept = [line for line in inherited if not isinstance(line.statement, t.Output)]
            inherited = [line.replace(spare=True) for line in kept]
        known: dict[str, Line] = {}
        for line in inherited:
            if (name := label_of(line.statement)) is not None:
                known.setdefault(name.id, line)
        inherited = without_budgets(inherited, own)
        replaced: dict[str, Line] = {}
        early: list[Line] = []
        late: list[Line] = []
        tensors = {name for name, line in known.items() if isinstance(line.statement, t.Element)}
        for line in own:
            label = label_of(line.statement)
            if isinstance(line.statement, t.Input):
                self.replace_input(line, inherited, replaced, base)
            elif label is not None and (old := known.get(label.id)) is not None:
                self.replace_line(label, line, old, replaced)
            elif isinstance(line.statement, t.Element):
                self.nothing_to_replace(line.statement, label, inherited, base)
            else:
                is_late = not isinstance(line.statement, t.Default | t.Let)
                if isinstance(line.statement, t.Let) and not free_names(line.statement.value).isdisjoint(tensors):
                    is_late = True
                    tensors.add(line.statement.label.id)
                (late if is_late else early).append(line)
        lines = [replaced.get(key, line) for key, line in ((_key(line), line) for line in inherited)]
        first = next((i for i, line in enumerate(lines) if isinstance(line.statement, t.Element)), len(lines))
        return [*lines[:first], *early, *lines[first:], *late]

    def replace_line(self, label: t.Name, line: Line, old: Line, replaced: dict[str, Line]) -> None:
        """A line with the label of one of the base's takes its place, once, and only as what that was."""
        if label.id in replaced:
            first = label_of(replaced[label.id].statement)
            assert first is not None
            others = (Label(first.span, "replaced here"),)
            self.fail("E0205", f"`{label.id}` is replaced twice", label.span, "replaced again here", others=others)
        elif type(line.statement) is not type(old.statement):
            message = f"`{label.id}` is {_KINDS[type(old.statement)]} of the base, and only one can replace it"
            self.fail("E0206", message, line.statement.span)
        else:
            replaced[label.id] = line

    def replace_input(self, line: Line, inherited: list[Line], replaced: dict[str, Line], base: str) -> None:
        """A new input takes the place of the base's one, or of the one with its name."""
        assert isinstance(line.statement, t.Input)
        inputs = [other for other in inherited if isinstance(other.statement, t.Input)]
        label = line.statement.label
        names = [_key(other) for other in inputs]
        if label is None and len(inputs) == 1:
            replaced[names[0]] = line
        elif label is not None and label.id in names:
            replaced[label.id] = line
        else:
            has = f"`{base}` has {', '.join(f'`{name}`' for name in names)}" if names else f"`{base}` has no input"
            self.fail("E0206", "which input of the base does this replace?", line.statement.span, helps=(has,))

    def nothing_to_replace(self, statement: t.Element, label: t.Name | None, inherited: list[Line], base: str) -> None:
        labels = [known.id for line in inherited if (known := label_of(line.statement)) is not None]
        helps: list[Help] = []
        start = Span(statement.span.source, statement.span.start, statement.span.start)
        if label is None:
            head = statement.value.head if isinstance(statement.value, t.App) else None
            close = nearest(head.id, STATEMENTS) if isinstance(head, t.Name) else None
            for line in inherited if isinstance(head, t.Name) and not close else ():
                other = line.statement
                if isinstance(other, t.Element) and other.label and isinstance(other.value, t.App):
                    if isinstance(head, t.Name) and other.value.head.span.text.upper() == head.id.upper():
                        text = f"{other.label.id} = "
                        helps.append(Repair.of(f"to replace `{other.label.id}`, write `{text}…`", (start, text)))
            what = "a line here needs the label of the element that it replaces"
        else:
            close = nearest(label.id, labels)
            what = f"`{base}` has no element `{label.id}` to replace"
        has = ", ".join(f"`{name}`" for name in labels) or "no labels"
        if close:
            from netdsl.edits import meant

            helps = [meant(close, named(statement.span))]
        self.fail("E0206", what, statement.span, helps=(*helps[:3], *([] if close else [f"`{base}` has {has}"])))


def without_budgets(inherited: list[Line], own: list[Line]) -> list[Line]:
    """The base's lines without the budgets for which the new net has its own."""
    required = [line.statement for line in own if isinstance(line.statement, t.Require)]
    if not required:
        return inherited
    from netdsl.budget import quantity_of

    mine = {quantity_of(budget) for statement in required for budget in statement.budgets}
    kept = []
    for line in inherited:
        if isinstance(line.statement, t.Require):
            budgets = tuple([b for b in line.statement.budgets if quantity_of(b) not in mine])
            if not budgets:
                continue
            line = line.replace(statement=line.statement.replace(budgets=budgets))
        kept.append(line)
    return kept


def label_of(statement: t.Statement) -> t.Name | None:
    return statement.label if isinstance(statement, t.Element | t.Let | t.TrainingOutput | t.Input) else None


def _key(line: Line) -> str:
    """By what a line can be replaced: its label; an input without one is `input`."""
    label = label_of(line.statement)
    if label is None:
        return "input" if isinstance(line.statement, t.Input) else f"{line.statement.span.start} of {id(line)}"
    return label.id


_KINDS = {t.Element: "an element", t.Let: "a `let`", t.TrainingOutput: "a training output", t.Input: "an input"}
