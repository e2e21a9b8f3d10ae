"""What can be written differently?  A number in its place, an argument added where it belongs, a word for another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netdsl import tree as t
from netdsl.bind import NO_FLAG
from netdsl.diagnostic import Edit
from netdsl.ops import BY_FLAG, Op
from netdsl.ops.base import Argument
from netdsl.prove import Prover, ShapeFault
from netdsl.record import Record
from netdsl.repair import applied
from netdsl.repair.literals import Literal
from netdsl.repair.observe import Application, plain
from netdsl.repair.solve import FAR, nearest
from netdsl.size import Traced, evaluate, symbols
from netdsl.source import Source, Span
from netdsl.types import TensorType

WORDS = {"padding": ("same", "valid"), "rounding": ("floor", "ceil")}
"""The words that change what a window gives."""


class Change(Record):
    """Edits that belong together, how they read, and how large they are."""

    edits: tuple[Edit, ...]
    said: str
    """In code: `pad 2`; nothing where that is a piece of the text as it reads then."""
    cost: float
    """How large it is, 1 for the least."""
    what: str
    """The number or the argument that is changed: of several values for it, one is offered."""
    out: TensorType | None = None
    """What the application gives then."""
    at: t.Expr | None = None
    """The application that is changed."""


COSTS = {"pad": 1.0, "stride": 1.2, "kernel": 1.5, "dilation": 1.5, "rounding": 2.0, "padding": 2.2, "input": 2.4}
"""What a change of an argument costs, the amount aside; that of a number of channels is 1."""
ADDED = {"pad": 0.5, "stride": 1.3, "kernel": 3.5}
"""What an argument costs more that was not there."""
NEARLY = 1.0
"""What an input costs less that is nearly as large: 224 for 227 is the usual mistake."""
UNUSUAL = 0.6
"""What a padding costs more that is not the half of its window."""


def of_literal(literal: Literal, value: int, argument: str = "") -> Change:
    """Another number in the place of one in the text, where it is that argument of a primitive."""
    edits = tuple(Edit(span, str(value)) for span in literal.spans)
    argument = literal.role or argument
    amount = abs(value - literal.value) / max(1, literal.value, value)
    uneven = 1.0 if argument == "kernel" and literal.value % 2 and (not value % 2 or value == 1) else 0
    uneven -= NEARLY if argument == "input" and 0 < amount < 0.03 else 0
    more = 10 if argument == "input" else 0.5 if argument == "pad" else 1 if argument in COSTS else 0.3
    less_round = 0 if argument in COSTS else (_twos(literal.value) - _twos(value)) / 10
    return Change(edits, "", COSTS.get(argument, 1.0) + amount * more + uneven + less_round, literal.name)


def _twos(value: int) -> int:
    """How often 2 divides a number, up to 6 times: numbers of channels are round, and a mistake rarely is."""
    return next((n for n in range(6) if value % 2 ** (n + 1)), 6)


def is_near(literal: Literal, value: int) -> bool:
    """Whether one number can have been meant where the other stands: nobody writes 15x15 for 2x2."""
    return value <= max(2 * literal.value + 1, literal.value + 6) and (not literal.role or 2 * value >= literal.value)


def outcome(application: Application, given: Mapping[str, Any]) -> TensorType | None:
    """What comes out of an application with these attributes; None where its rule is broken."""
    type = application.x.plain()
    try:
        for op in application.op.expand({name: plain(value) for name, value in given.items()}, type):
            type = op.infer((type,), Prover())
    except ShapeFault:
        return None
    return type if all(isinstance(size, int) and size > 0 for size in type.shape) else None


def changes(
    application: Application, literals: Mapping[str, Literal], source: Source, fits: Callable[[TensorType], bool]
) -> Iterator[Change]:
    """The changes of one application with which what it gives `fits`: of each number or argument the nearest ones."""
    if not all(isinstance(size, int) for size in application.x.shape):
        return  # what an open size needs is told in the fault
    given = [*application.given.values()]
    names = sorted({name for value in given for name in _symbols(value) if name in literals})
    for name in names:
        yield from _literal_changes(application, literals[name], literals, fits)
    if application.expr.span.source is source and not _is_vgg(application):
        yield from _argument_changes(application, fits)


def _symbols(value: object) -> frozenset[str]:
    parts = value if isinstance(value, tuple) else (value,)
    return frozenset[str]().union(*(symbols(part.trace) for part in parts if isinstance(part, Traced)))


def _literal_changes(
    application: Application, literal: Literal, literals: Mapping[str, Literal], fits: Callable[[TensorType], bool]
) -> Iterator[Change]:
    found: set[bool] = set()
    for value in nearest(literal.value, FAR):
        if value < 0 or (value > literal.value) in found or not is_near(literal, value):
            continue
        given = {name: _with(old, literal.name, value, literals) for name, old in application.given.items()}
        shape = _with(application.x.shape, literal.name, value, literals)
        changed = application.replace(x=TensorType(shape))
        out = outcome(changed, given) if _allowed(application.op, given) and min(shape) > 0 else None
        if out is not None and fits(out):
            found.add(value > literal.value)
            argument = next(name for name, old in application.given.items() if literal.name in _symbols(old))
            yield of_literal(literal, value, argument).replace(out=out, at=application.expr)
            if len(found) == 2:
                return


def _allowed(op: type[Op], given: Mapping[str, Any]) -> bool:
    """Whether each number is as large as its argument has to be."""
    for argument in op.arguments:
        value, least = given.get(argument.name), 0 if argument.kind in ("whole", "pad", "size", "number") else 1
        parts = value if isinstance(value, tuple) else (value,)
        if argument.form != "word" and any(isinstance(part, int) and part < least for part in parts):
            return False
    return True


def _with(old: Any, name: str, value: int, literals: Mapping[str, Literal]) -> Any:
    """An attribute where one literal has another value."""
    if isinstance(old, tuple):
        return tuple(_with(part, name, value, literals) for part in old)
    if not isinstance(old, Traced) or name not in symbols(old.trace):
        return old
    env = {n: literals[n].value if n in literals else 0 for n in symbols(old.trace)}
    new = evaluate(old.trace, {**env, name: value})
    return int(new) if new.denominator == 1 else old


def _reaches(given: Mapping[str, Any]) -> list[int]:
    """Over how many rows the window reaches on each axis: more padding than that less one is never seen whole."""
    kernel, dilation = given.get("kernel") or 1, given.get("dilation") or 1
    kernels = kernel if isinstance(kernel, tuple) else (kernel,)
    steps = dilation if isinstance(dilation, tuple) else (dilation,) * len(kernels)
    return [d * (k - 1) + 1 for k, d in zip(kernels, steps)]


def _is_vgg(application: Application) -> bool:
    """`conv3-64`, which takes no further arguments."""
    return isinstance(application.expr, t.App) and "-" in application.expr.span.text.split()[0]


def _argument_changes(application: Application, fits: Callable[[TensorType], bool]) -> Iterator[Change]:
    """Arguments added, and words that take the place of others."""
    op, given, said = application.op, application.given, said_of(application)
    by_name = {argument.name: argument for argument in op.arguments}

    def tried(name: str, text: str, amount: float, new: dict[str, Any]) -> Iterator[Change]:
        out = outcome(application, {**given, **new})
        if out is not None and fits(out):
            edit = edit_for(application, by_name[name], text, said)
            if edit is not None:
                cost = COSTS[name] + ADDED.get(name, 0) + amount
                what = f"{application.expr.span.start} {name}"
                yield Change((edit,), text, cost, what, out, application.expr)

    if "pad" in by_name and not {"pad", "pad_before", "pad_after"} & set(said):
        for pad in range(1, min(max(_reaches(given), default=1), FAR)):
            usual = all(reach == 2 * pad + 1 for reach in _reaches(given))
            found = list(tried("pad", f"pad {pad}", pad / 5 + (0 if usual else UNUSUAL), {"pad": pad}))
            yield from found
            if found:
                break
    if "stride" in by_name and "stride" not in said:
        for stride in (2, 1, 3, 4):
            yield from tried("stride", f"/{stride}", stride / 10, {"stride": stride})
    if "kernel" in by_name and "kernel" not in said and len(application.x.spatial) == 2:
        for kernel in (1, 2, 3, 5, 7):
            yield from tried("kernel", f"{kernel}x{kernel}", kernel / 10, {"kernel": kernel})
    for name, words in WORDS.items():
        for word in words if name in by_name else ():
            if word in by_name[name].words and given.get(name) != word:
                free = {"pad": None} if name == "padding" else {}
                if name != "padding" or not {"pad", "pad_before", "pad_after"} & set(said):
                    yield from tried(name, word, 0, {name: word, **free})


def said_of(application: Application) -> dict[str, Span]:
    """The arguments that stand in the text of an application, with their places."""
    found: dict[str, Span] = {}
    named = {name: a.name for a in application.op.arguments for name in (a.name, *a.aliases)}
    words = {word: a.name for a in application.op.arguments if a.form == "word" for word in a.words}
    forms = {a.form: a.name for a in reversed(application.op.arguments)}
    args = [arg for arg in application.args if arg.span != application.expr.span]
    before: t.Name | None = None
    for arg in args:
        if before is not None:
            found[named[before.id]] = before.span.to(arg.span)
            before = None
        elif isinstance(arg, t.Stride):
            found["stride"] = arg.span
        elif isinstance(arg, t.Keyword):
            found[named.get(arg.name, arg.name)] = arg.span
        elif isinstance(arg, t.Extent):
            found[forms.get("kernel") or forms.get("extent", "")] = arg.span
        elif isinstance(arg, t.Name) and arg.id in words:
            found[words[arg.id]] = arg.span
        elif (
            isinstance(arg, t.Name)
            and arg.id in named
            and not any(arg.id in a.aliases for a in application.op.arguments)
        ):
            before = arg
        elif not isinstance(arg, t.Name) or not is_word(arg.id):
            found.setdefault(forms.get("positional") or forms.get("extent", ""), arg.span)
    return found


def is_word(name: str) -> bool:
    """Whether a name among bare arguments says what follows the op (`bn`, `linear`), and is no number's name."""
    return name in BY_FLAG or name in NO_FLAG


ORDER = ("out_channels", "kernel", "size", "stride", "dilation", "pad", "padding", "rounding")
"""In which order arguments are written."""
INSTEAD = {"pad": ("padding",), "padding": ("padding",), "rounding": ("rounding", "padding")}
"""The words that an argument takes the place of."""


def edit_for(application: Application, argument: Argument, text: str, said: dict[str, Span]) -> Edit | None:
    """The edit that gives an application one more argument, or a word for another."""
    for name in INSTEAD.get(argument.name, ()):
        if name in said:
            return Edit(said[name], text)
    rank = ORDER.index(argument.name)
    before = [span for name, span in said.items() if name not in ORDER or ORDER.index(name) < rank]
    expr = application.expr
    comma = ", " if isinstance(expr, t.App) and "," in expr.span.text else " "
    if before:
        place = max(before, key=lambda span: span.end).end
    elif isinstance(expr, t.App) and expr.head.span.text != expr.span.text:
        place, comma = expr.head.span.end, " "
    else:
        place = expr.span.end
    return Edit(Span(expr.span.source, place, place), comma + text)


def places(type: TensorType | None) -> int:
    """How many places a map has, and a vector channels."""
    sizes = (type.spatial or type.shape) if type is not None else ()
    return math.prod(size for size in sizes if isinstance(size, int))


def edited(source: Source, span: Span, edits: tuple[Edit, ...]) -> str:
    """The text of a span as it reads after those of the edits that lie in it."""
    inside = [e for e in edits if span.start <= e.span.start and e.span.end <= span.end]
    grown = sum(len(e.text) - (e.span.end - e.span.start) for e in inside)
    return applied(source, inside).text[span.start : span.end + grown]
