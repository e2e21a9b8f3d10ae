"""How is a solution written into the text, and what is said of it?  The candidates for each fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Edit, Repair
from netdsl.evaluate import short, ungroup
from netdsl.ops import Add, Concat
from netdsl.ops.join import Alike, Gate
from netdsl.options import Options
from netdsl.program import Loader, Read
from netdsl.repair import MOST
from netdsl.repair.change import Change, changes, edited, is_near, of_literal, outcome, places
from netdsl.repair.choose import MAX_TRIED, SHAPE_CODES, Candidate, accepted
from netdsl.repair.literals import roots_of, walk
from netdsl.repair.observe import (
    Application,
    Claim,
    Meeting,
    Observed,
    Situation,
    key_of,
    observe,
)
from netdsl.repair.solve import Goal, Values, nearest, solutions, value_of, wanted_of
from netdsl.repair.verify import BUDGET, Verifier, lines_of
from netdsl.size import symbols, trace_of
from netdsl.source import Source, Span
from netdsl.types import TensorType

MAX_REPAIRED = 10
"""For how many faults of one spec repairs are looked for."""


EFFECTS = {"E0303": "divides evenly", "E0304": "makes it fit"}
"""What a change does that heals a rule of an application's own."""
ROUNDED = {"floor": "drops the last rows", "ceil": "keeps a partial window"}


def with_repairs(
    faults: list[Diagnostic], source: Source, read: Read, options: Options, net: str | None, sure: bool = False
) -> list[Diagnostic]:
    """The faults, with repairs where some were found; with `sure`, only where all candidates were tried."""
    observed = _observed(faults, source, read, options, net)
    finder = Finder(observed, source) if observed is not None else None
    cost = observed.cost if observed is not None else None
    behind = observed if not options.inputs else None  # where a size is given from outside, the text is not at fault
    unseen, unmet = (behind.unseen, behind.unmet) if behind is not None else ((), ())
    verifier = Verifier(faults, source, read, options, net, cost, BUDGET * (10 if sure else 1), unseen, unmet)
    done: list[Diagnostic] = []
    for number, fault in enumerate(faults):
        if number < MAX_REPAIRED:
            solved = finder.candidates_of(fault) if finder is not None else []
            own = [idea for idea in fault.ideas if all(edit.span.source is source for edit in idea.edits)]
            ideas = [_as_candidate(idea, number) for number, idea in enumerate(own)]
            repairs = accepted(fault, [*ideas, *solved], verifier, sure)
            if repairs and not (sure and (verifier.spent or len(ideas) + len(solved) > MAX_TRIED)):
                fault = fault.replace(repairs=repairs, helps=_beside(fault, repairs) if solved else fault.helps)
        done.append(fault)
    return done


def _observed(
    faults: list[Diagnostic], source: Source, read: Read, options: Options, net: str | None
) -> Observed | None:
    """What a walk over the network shows, if one of the faults is about sizes."""
    if not any(fault.code in SHAPE_CODES for fault in faults) or lines_of(source) > BUDGET:
        return None
    program = Loader(read).load(source)
    name = net or program.own_nets[-1]
    return observe(program, name, options)


def _as_candidate(idea: Repair, number: int) -> Candidate:
    """What whoever found the fault would try, in that order."""
    return Candidate(number * 1e-6, idea.title, idea.edits, idea.title)


def _beside(fault: Diagnostic, repairs: tuple[Repair, ...]) -> tuple[str, ...]:
    """The helps that are shown beside repairs: other ways. Numbers, and the words for a remainder, are solved."""
    solved = re.compile({"E0301": "(?!)", "E0302": "(?!)", "E0303": ""}.get(fault.code, r"\d"))
    told = [help for help in fault.helps if not solved.search(help)]
    return tuple(help for help in told if not any(help.startswith(repair.title) for repair in repairs))


class Finder:
    """Finds the candidates of each fault, from what was observed. Mutable: it knows of which fault it speaks."""

    fault: Diagnostic
    """The one whose candidates are made."""
    here: Span
    """What it speaks of."""

    def __init__(self, observed: Observed, source: Source) -> None:
        self.observed, self.source = observed, source
        self.known = {name: literal.value for name, literal in observed.literals.items()}
        self.order = {name: i for i, name in enumerate(observed.applications)}

    def candidates_of(self, fault: Diagnostic) -> list[Candidate]:
        situation, self.fault = self.observed.situations.get(key_of(fault)), fault
        self.here = fault.label.span
        if isinstance(situation, Claim) and isinstance(situation.expr.inner, t.App | t.Name):
            self.here = situation.expr.inner.span
        return list(self.candidates(situation)) if situation is not None else []

    def candidates(self, situation: Situation) -> Iterator[Candidate]:
        if isinstance(situation, Application):
            yield from self.of_application(situation)
        elif isinstance(situation, Meeting):
            yield from self.of_meeting(situation)
        else:
            yield from self.of_claim(situation)

    # --- a rule of its own is broken

    def of_application(self, application: Application) -> Iterator[Candidate]:
        """The application changed so that its rule holds; then what comes in."""
        effect = EFFECTS.get(self.fault.code, "fits")
        made = list(changes(application, self.observed.literals, self.source, lambda type: True))
        usual = sorted(places(change.out) for change in made)[len(made) // 2] if made else 1
        for change in made:  # what gives much more or less than the others is rarely meant
            assert change.out is not None
            rounded = f"gives {_spatial(change.out)}" if change.said == "same" else ROUNDED.get(change.said, effect)
            yield self.candidate(change, rounded, min(1.0, abs(places(change.out) - usual) / usual))
        x = application.x
        space = list(range(1, x.rank))
        square = len({x.shape[i] for i in space}) == 1
        for axes in [[0], *([space] if square else [[i] for i in space])]:
            if not isinstance(x.shape[axes[0]], int):
                continue
            size = int(x.shape[axes[0]])  # type: ignore[arg-type]
            found: set[bool] = set()
            for value in nearest(size, 64):
                if value < 1 or (value > size) in found:
                    continue
                shape = tuple(value if i in axes else s for i, s in enumerate(x.plain().shape))
                if outcome(application.replace(x=TensorType(shape)), application.given) is not None:
                    found.add(value > size)
                    goal = Goal(tuple(trace_of(x.shape[i]) - value for i in axes))
                    yield from self.of_goal(goal, effect, 0.2)
                if len(found) == 2:
                    break

    # --- branches meet

    def of_meeting(self, meeting: Meeting) -> Iterator[Candidate]:
        types = meeting.types
        if len({type.rank for type in types}) > 1 and meeting.kind is not Gate:
            return
        if issubclass(meeting.kind, Alike):
            axes = list(range(types[0].rank))
        elif meeting.kind is Concat:
            axes = list(range(1, types[0].rank))
        elif meeting.kind is Gate:
            axes = [i for i in range(min(t.rank for t in types)) if types[1].shape[i] != 1]
        else:
            return
        pairs = [[trace_of(other.shape[i]) - trace_of(types[0].shape[i]) for i in axes] for other in types[1:]]
        yield from self.of_goal(Goal(tuple(zero for pair in pairs for zero in pair)), "", 0, meeting)
        broken = [goal for pair in pairs if (goal := Goal(tuple(pair))).broken(self.known)]
        for goal in broken if len(broken) > 1 else ():  # one after the other
            yield from self.of_goal(goal, "", 0.5, meeting)
        for item in meeting.items:
            inner = ungroup(item)
            if meeting.kind is Add and isinstance(inner, t.Name) and inner.id == "identity":
                if inner.span.source is self.source:
                    yield Candidate(
                        1.6,
                        "`match` as the shortcut projects where shapes differ",
                        (Edit(inner.span, "match"),),
                        "match",
                    )

    # --- an assertion

    def of_claim(self, claim: Claim) -> Iterator[Candidate]:
        if len(claim.sizes) == claim.type.rank:
            pairs = [(size, wanted) for size, wanted in zip(claim.type.shape, claim.sizes) if wanted is not None]
            goal = Goal(tuple(trace_of(size) - wanted for size, wanted in pairs))
            shape = " x ".join("?" if size is None else str(size) for size in claim.sizes)
            yield from self.of_goal(goal, f"gives {shape}", 0)
            yield from self.by_value(claim, [(int(a), b) for a, b in pairs if isinstance(a, int) and a != b], shape)
        span = claim.expr.shape.span
        if span.source is self.source:
            title = f"if the shape is right, write `: {claim.type}`"
            yield Candidate(10, title, (Edit(span, str(claim.type)),), "assertion")

    def by_value(self, claim: Claim, pairs: list[tuple[int, int]], shape: str) -> Iterator[Candidate]:
        """Where a condition hides what a size depends on: the number that is there, as the one that is wanted."""
        inside = [n for n in self.observed.literals.values() if _within(n.spans[0], claim.expr.inner.span)]
        for value, wanted in dict.fromkeys(pairs):
            for literal in [literal for literal in inside if literal.value == value][-MOST:]:
                yield self.candidate(of_literal(literal, wanted), f"gives {shape}", 0.8)

    # --- one unknown

    def of_goal(self, goal: Goal, effect: str, cost: float, meeting: Meeting | None = None) -> Iterator[Candidate]:
        """The changes of one number or one application that reach the goal."""
        try:
            names = goal.unknowns(self.known)
        except KeyError:
            return
        applications: dict[str, None] = {}
        for name in names:
            literal = self.observed.literals.get(name)
            if literal is not None:
                for value in solutions(goal, name, self.known):
                    if literal.role and not is_near(literal, value):
                        continue
                    change = of_literal(literal, value)
                    yield self.candidate(change, effect or self.meets(meeting, {name: value}), cost)
            elif name.startswith("@"):
                applications.setdefault(name.partition(".")[0])
        for name in sorted({n.partition(".")[0] for z in goal.zeros for n in symbols(z) if n.startswith("@")}):
            applications.setdefault(name)
        last = len(self.order)
        for name in applications:
            application = self.observed.applications.get(name)
            wanted = wanted_of(goal, name, self.known)
            if application is None or wanted is None:
                continue
            far = min(10, last - self.order[name]) / 20
            for change in self.reaching(application, wanted):
                assert change.out is not None
                verb = "keeps" if change.out.spatial == application.x.spatial else "gives"
                yield self.candidate(change, effect or f"{verb} {_spatial(change.out)}", cost + far)

    def reaching(self, application: Application, wanted: dict[int, list[Values]]) -> Iterator[Change]:
        out = application.out
        assert out is not None

        def fits(type: TensorType) -> bool:
            return type.rank == out.rank and all(
                all(values.admit(int(size) - int(before)) for values in wanted[i])  # type: ignore[arg-type]
                if i in wanted
                else True
                for i, (size, before) in enumerate(zip(type.shape, out.shape))
            )

        return changes(application, self.observed.literals, self.source, fits)

    def meets(self, meeting: Meeting | None, new: dict[str, int]) -> str:
        """What the branches are then."""
        if meeting is None:
            return "fits"
        known = {**self.known, **new}
        type = meeting.types[0]
        sizes = [value_of(trace_of(size), known) if isinstance(size, int) else size for size in type.shape]
        if meeting.kind is Concat:
            return f"makes all branches {' x '.join(map(str, sizes[1:]))}"
        return f"makes both {' x '.join(map(str, sizes))}"

    def candidate(self, change: Change, effect: str, cost: float) -> Candidate:
        """A change with the words for it; `effect` is a verb and what comes of it."""
        literal = self.observed.literals.get(change.what)
        if literal is not None and literal.role == "input":
            said = f"an input of {self.shown(change.edits, t.Shape)}"
        else:
            said = change.said or self.shown(change.edits)
            said = f"`{said}`" + self.elsewhere(change, said)
        return Candidate(cost + change.cost, f"{said} {effect}", change.edits, change.what)

    def elsewhere(self, change: Change, said: str) -> str:
        """Where a change is, if that is not where the fault is: in which primitive, on which line."""
        at, where = change.edits[0].span, ""
        if change.at is not None and _within(at, change.at.span):
            named = isinstance(change.at, t.App) and said.startswith(change.at.head.span.text)
            where = "" if named or _within(change.at.span, self.here) else f" in `{short(change.at)}`"
        line, here = (self.source.line_column(span.start)[0] for span in (at, self.here))
        return f"{where} on line {line}" if line != here and self.here.source is self.source else where

    def shown(self, edits: tuple[Edit, ...], kind: type[t.Tree] = t.Tree) -> str:
        """What is changed as it reads then: the argument, with its primitive where it would not be understood alone."""
        at = edits[0].span
        around = [tree for tree in self.trees if _within(at, tree.span) and isinstance(tree, kind)]
        named = [tree for tree in around if isinstance(tree, t.Stride | t.Keyword | t.Extent | t.Shape)]
        whole = [tree for tree in around if isinstance(tree, t.App | t.Call)]
        tree = named[-1] if named else whole[-1] if whole else None
        if tree is None:
            line = next((tree for tree in reversed(around) if isinstance(tree, t.Let | t.Element)), None)
            text = edited(self.source, line.span, edits) if line is not None else ""
            return text if 0 < len(text) <= 32 else edits[0].text
        if not named and isinstance(tree, t.App):
            return self.argument(tree, edits)
        text = " ".join(edited(self.source, tree.span, edits).split())
        return text if len(text) <= 32 or named else f"{edits[0].text}` in place of `{at.text}"

    def argument(self, app: t.App, edits: tuple[Edit, ...]) -> str:
        """`CONV 128`, `pad 2`: an argument without a sign of its own, after the word that it belongs to."""
        if app.head.span == app.span:  # a row of brackets
            return edited(self.source, app.span, edits)
        before: t.Arg | t.Expr = app.head
        for arg in app.args:
            if _within(edits[0].span, arg.span):
                word = before if isinstance(before, t.Name) else app.head  # of several numbers, all up to this
                return " ".join(edited(self.source, word.span.to(arg.span), edits).split())
            before = arg
        return edits[0].text

    @cached_property
    def trees(self) -> list[t.Tree]:
        """The pieces of the user's file, outer ones first."""
        return list(walk(roots_of(self.observed.program), self.source))


def _within(inner: Span, outer: Span) -> bool:
    return inner.source is outer.source and outer.start <= inner.start and inner.end <= outer.end


def _spatial(type: TensorType) -> str:
    return " x ".join(map(str, type.spatial or type.shape))
