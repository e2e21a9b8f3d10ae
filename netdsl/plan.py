"""Which lines make up a network?  Its own, or those of a net it is made from, some of them replaced.

`net pets = vgg16 with …` has the lines of vgg16; those that follow replace the ones with the same label. Each line
keeps seeing the names of its own file.
"""

from __future__ import annotations

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Stop, diagnose, nearest
from netdsl.elaborate import Elaborator
from netdsl.options import Options, UsageError
from netdsl.program import STATEMENTS, NetDef, Program
from netdsl.record import Record
from netdsl.values import Num, Poison, Scope, Value


class Line(Record):
    """A statement and the names it sees."""

    statement: t.Statement
    scope: Scope


class Planner(Elaborator):
    """Gathers the lines of a network. Mutable, as the Elaborator is."""

    def __init__(self, program: Program, faults: list[Diagnostic], options: Options, check_assertions: bool) -> None:
        super().__init__(faults, check_assertions)
        self.program, self.options = program, options
        self.labels: dict[str, Value] = {}
        self.values: dict[str, Num] = {}

    def plan(self, definition: NetDef, given: dict[str, Num], chain: list[NetDef], top: bool) -> list[Line]:
        """The lines of a net, those of its base included, each with the scope it sees."""
        scope = Scope("net", Scope("net", definition.scope), self.labels)
        assert scope.parent is not None
        if definition in chain:
            ring = " -> ".join(d.name for d in [*chain, definition])
            raise Stop(diagnose("E0404", f"the net is made from itself: {ring}", (definition.header.span,)))
        for param in definition.params:
            scope.parent.names[param.name] = self.parameter(param, given, scope, top)
        own = [Line(statement, scope) for statement in definition.statements]
        header = definition.header
        if isinstance(header, t.Net):
            return own
        base = self.base_of(header, definition)
        if base is None:
            raise Stop(self.faults.pop())
        inherited = self.plan(base, self.base_arguments(header, base, scope), [*chain, definition], top=True)
        return self.merge(inherited, own, base.name)

    def parameter(self, param: t.Param, given: dict[str, Num], scope: Scope, top: bool) -> Num | Poison:
        number: Value
        if param.name in self.options.params and param.name not in given:
            number = Num(self.options.params[param.name])
        elif param.name in given:
            return given[param.name]
        elif param.default is None:
            raise UsageError(f"{self.builder.name} needs a value for {param.name!r}: it has no default")
        else:
            number = self.evaluate(param.default, scope, None)
        if isinstance(number, Num):
            self.values.setdefault(param.name, number)
            return self.builder.parameter(param.name, number)
        if not isinstance(number, Poison):
            self.fail("E0202", f"the parameter `{param.name}` of a net is a number", param.span)
        return Poison()

    def base_of(self, header: t.NetFrom, definition: NetDef) -> NetDef | None:
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
                helps=(*(h for d in faults for h in d.helps),),
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
                self.fail(
                    "E0204" if isinstance(arg, t.Keyword) else "E0203",
                    f"`{base.name}` has no parameter `{name}`"
                    if name and name not in names
                    else f"`{base.name}` has no parameter for `{arg.span.text}`",
                    arg.span,
                    helps=(f"did you mean `{close}`?" if close else has,),
                )
                continue
            free.remove(name)
            assert isinstance(expr, t.Expr)
            value = self.operand(expr, scope, None)
            if isinstance(value, Num):
                given[name] = value
        return given

    def merge(self, inherited: list[Line], own: list[Line], base: str) -> list[Line]:
        """The base's lines with those replaced that have the label of a new one; the rest of the new ones follow."""
        where = {label.id: i for i, line in enumerate(inherited) if (label := label_of(line.statement)) is not None}
        merged = list(inherited)
        for line in own:
            label = label_of(line.statement)
            if isinstance(line.statement, t.Input) and label is None:
                at = [i for i, other in enumerate(merged) if isinstance(other.statement, t.Input)]
                merged[at[0] : at[0] + 1] = [line]
            elif isinstance(line.statement, t.Default):
                at = [i for i, other in enumerate(merged) if isinstance(other.statement, t.Element)]
                merged.insert(at[0] if at else len(merged), line)
                where = {name: i + 1 if at and i >= at[0] else i for name, i in where.items()}
            elif label is not None and label.id in where:
                merged[where[label.id]] = line
            elif isinstance(line.statement, t.Element):
                head = line.statement.value.head if isinstance(line.statement.value, t.App) else None
                word = nearest(head.id, STATEMENTS) if label is None and isinstance(head, t.Name) else None
                close = nearest(label.id, where) if label else word
                help_ = (
                    f"did you mean `{close}`?"
                    if close
                    else f"`{base}` has {', '.join(f'`{name}`' for name in where) or 'no labels'}"
                )
                what = (
                    f"`{base}` has no element `{label.id}` to replace"
                    if label
                    else "a line here needs the label of the element that it replaces"
                )
                self.fail("E0206", what, line.statement.span, helps=(help_,))
            else:
                merged.append(line)
        return merged


def label_of(statement: t.Statement) -> t.Name | None:
    return statement.label if isinstance(statement, t.Element | t.Let | t.TrainingOutput | t.Input) else None
