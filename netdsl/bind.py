"""Which argument is which?  The bare arguments of a primitive → its attributes, with the defaults of the net."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, NoReturn

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Help, Repair, nearest
from netdsl.ops import BY_CALL, BY_FLAG, BY_SPELLING, Argument, Join, Op
from netdsl.ops.base import REQUIRED
from netdsl.ops.initial import SOURCES
from netdsl.record import Record
from netdsl.size import Formula, Size, TracedFloat, is_polynomial
from netdsl.source import Span, named
from netdsl.types import AXIS_NAMES
from netdsl.values import FUNCTIONS, Num, Path, Poison, Primitive, Scope, Text, Value, Word, kind_of, roots

Fail = Callable[..., Diagnostic]
"""fail(code, message, span, label, helps=…) → the diagnostic, already reported."""
Evaluate = Callable[[t.Expr], Value]

WORDS: frozenset[str] = frozenset(
    word for op in BY_SPELLING.values() for a in op.arguments if a.form == "word" for word in a.words
) | {
    "linear",
    "nonorm",
}
"""The words that may stand among bare arguments and mean themselves."""
NO_FLAG = {"linear": "activation", "nonorm": "norm"}
"""Words that switch off what `default` has switched on."""
MAX_SIZE = 10**9


class Failed(Exception):
    """The arguments cannot be bound; it has been reported."""


class Flag(Record):
    """A norm or an activation after an application; `op` is None where it is switched off."""

    slot: str
    op: type[Op] | None
    span: Span


class Bound(Record):
    """The arguments of one application: attributes by name, where they stand, and the flags."""

    values: dict[str, Any]
    spans: dict[str, Span]
    flags: tuple[Flag, ...]

    @property
    def key(self) -> object:
        """What it says, without where."""
        flags = tuple((flag.slot, flag.op) for flag in self.flags)
        return tuple(sorted(self.values.items(), key=lambda item: item[0])), flags

    def over(self, default: Bound | None, op: type[Op]) -> Bound:
        """These arguments, and those of `default` for what is not said here."""
        if default is None:
            return self
        said = [a for a in op.arguments if a.name in self.values]
        silent = {a.name for a in op.arguments if a in said or any(a.contradicts("", b, "") for b in said)}
        values = {name: value for name, value in default.values.items() if name not in silent}
        slots = {flag.slot for flag in self.flags}
        flags = (*(flag for flag in default.flags if flag.slot not in slots), *self.flags)
        return Bound({**values, **self.values}, {**default.spans, **self.spans}, tuple(sorted(flags, key=_flag_order)))


def _flag_order(flag: Flag) -> int:
    return 0 if flag.slot == "norm" else 1


NOTHING = Bound({}, {}, ())


@cache
def _by_name(op: type[Op]) -> tuple[dict[str, Argument], dict[str, Argument]]:
    """The arguments by what they can be given as, `name=value`, and by the words that mean one of their values."""
    named = {name: a for a in op.arguments for name in (a.name, *a.aliases) if a.form != "word"}
    named |= {a.name: a for a in op.arguments if a.form == "word"}
    return named, {word: a for a in op.arguments if a.form == "word" for word in a.words}


def says_all(op: type[Op], args: tuple[t.Arg, ...]) -> bool:
    """Whether bare arguments mean the same wherever they stand: numbers and words, and no names from around."""
    named, words = _by_name(op)  # type: ignore[arg-type]
    for arg in args:
        value = arg.value if isinstance(arg, t.Stride | t.Keyword) else arg
        if isinstance(value, t.Name):
            own = value.id in words or (value.id in named and named[value.id].name == value.id and value is arg)
            if not own and not (op.takes_flags and (value.id in BY_FLAG or value.id in NO_FLAG)):
                return False
        elif isinstance(value, t.Extent):
            if not all(isinstance(size, t.Number) for size in value.sizes):
                return False
        elif not isinstance(value, t.Number):
            return False
    return True


class Binder:
    """Reads the arguments of one application, one after the other. Mutable: it fills what it returns."""

    def __init__(self, op: type[Op], head: str, where: Span, scope: Scope, evaluate: Evaluate, fail: Fail) -> None:
        self.op, self.head, self.where, self.scope, self.evaluate, self.fail = op, head, where, scope, evaluate, fail
        self.values: dict[str, Any] = {}
        self.spans: dict[str, Span] = {}
        self.flags: list[Flag] = []
        self.rounded: frozenset[str] = frozenset()
        """What the numbers follow from that were made floats, and so lost their traces."""
        self.named, self.words = _by_name(op)  # type: ignore[arg-type]
        self.args: tuple[t.Arg, ...] = ()

    def bind(self, args: tuple[t.Arg, ...]) -> Bound:
        i, self.args = 0, args
        while i < len(args):
            arg = args[i]
            i += 1
            if isinstance(arg, t.Stride):
                self.put_form("stride", arg.value, arg.span)
            elif isinstance(arg, t.Keyword):
                self.keyword(arg.name, arg.value, arg.span)
            elif isinstance(arg, t.Name) and self.takes_value(arg.id):
                if i >= len(args) or isinstance(args[i], t.Stride | t.Keyword):
                    self.error("E0203", f"`{arg.id}` needs a value", arg.span, helps=(f"`{arg.id} 2`",))
                value = args[i]
                assert isinstance(value, t.Expr)
                i += 1
                self.keyword(arg.id, value, arg.span.to(value.span))
            elif isinstance(arg, t.Name):
                self.word(arg)
            elif isinstance(arg, t.Extent):
                self.put_form("kernel", arg, arg.span)
            else:
                self.positional(arg)
        return Bound(self.values, self.spans, tuple(sorted(self.flags, key=_flag_order)))

    def error(self, code: str, message: str, span: Span, label: str = "", helps: Sequence[Help] = ()) -> NoReturn:
        self.fail(code, message, span, label, helps=helps)
        raise Failed

    def takes_value(self, name: str) -> bool:
        """Whether a bare name is that of an argument, whose value follows: `pad 2`, `stride 2`, `padding same`.

        A short form (`k`) is not: it may be a number of the author's.
        """
        argument = self.named.get(name)
        if argument is None or name in self.words:
            return False
        return argument.name == name and argument.form not in ("positional", "extent")

    # one argument

    def word(self, arg: t.Name) -> None:
        word = arg.id
        if word in NO_FLAG and self.op.takes_flags:
            self.flag(NO_FLAG[word], None, arg.span)
            return
        if word in BY_FLAG and self.op.takes_flags:
            self.flag(BY_FLAG[word].slot, BY_FLAG[word], arg.span)
            return
        if word in self.words:
            self.put(self.words[word], word, arg.span)
            return
        if word.upper() in BY_SPELLING and word.lower() not in self.words:
            text = f"{self.head} … -> {word.upper()}"
            if word in BY_FLAG:
                self.error(
                    "E0204",
                    f"`{word}` cannot follow {self.head}",
                    arg.span,
                    helps=(Repair.of(f"as an element of its own: `{text}`", (arg.span, f"-> {word.upper()}")),),
                )
            from netdsl.argumenthelp import elements_and_flags

            helps = elements_and_flags(self.op, self.where, arg, self.args)
            message = f"`{word}` is an element of its own here"
            self.error("E0209", message, arg.span, "expected `->` before it", tuple(helps))
        hint = self.hint(word, arg.span) if self.scope.find(word) is None else ()
        if hint:
            self.error("E0204", f"{self.head} does not take `{word}`", arg.span, helps=hint)
        self.accept(self.evaluate(arg), arg)

    def positional(self, arg: t.Expr) -> None:
        self.accept(self.evaluate(arg), arg)

    def accept(self, value: Value, arg: t.Expr) -> None:
        if isinstance(value, Poison):
            raise Failed
        if isinstance(value, Word):
            if value.text in self.words:
                self.put(self.words[value.text], value.text, arg.span)
                return
            close = nearest(value.text, [*self.words, *BY_FLAG])
            from netdsl.edits import meant

            self.error(
                "E0204",
                f"{self.head} does not take `{value.text}`",
                arg.span,
                helps=(meant(close, arg.span),) if close else self.usage(),
            )
        if isinstance(value, Primitive) and value.op.flag and self.op.takes_flags:
            self.flag(value.op.slot, value.op, arg.span)
            return
        if not isinstance(value, Num):
            message = f"{self.head} takes numbers and words here, not {kind_of(value)}"
            self.error("E0202", message, arg.span, helps=self.instead(value, arg))
        takes = [a for a in self.op.arguments if a.form in ("positional", "extent")]
        free = [a for a in takes if a.name not in self.values]
        if not free:
            count = f"{len(takes)} number{'s' if len(takes) != 1 else ''}" if takes else "no number"
            kernel = any(a.form == "kernel" for a in self.op.arguments)
            from netdsl.argumenthelp import positional_numbers

            how = positional_numbers(arg, self.args, "kernel" in self.values) if kernel else self.usage()
            self.error(
                "E0203", f"{self.head} takes {count}, and `{arg.span.text}` is one more", arg.span, "one too many", how
            )
        self.put(free[0], value, arg.span)

    def instead(self, value: Value, arg: t.Expr) -> tuple[Help, ...]:
        """What to write where a block was given for a number. A call of an unknown name is an error of its own."""
        expr = value.expr if isinstance(value, Path) else None
        if isinstance(value, Text) and re.fullmatch(r"\d+(\.\d+)?|[A-Za-z_]\w*", value.text):
            return (Repair.of(f"without quotes: `{value.text}`", (arg.span, value.text)),)
        if isinstance(expr, t.Extent):
            return ("a size such as `3x3` is no value: give its number as `k`, and write `k x k` where it is used",)
        if not isinstance(expr, t.Call):
            return self.usage()
        name = expr.head.id
        op = BY_SPELLING.get(name.upper())
        if self.scope.find(name) is not None or name in BY_CALL:
            return ("a block gives a tensor; numbers come from arithmetic, which is written out where it is needed",)
        if op is None:
            functions = f"functions of numbers are {', '.join(f'`{name}`' for name in FUNCTIONS)}"
            helps = (Repair.of(functions, (expr.head.span, "floor")),) if name in ("int", "trunc") else (functions,)
            self.error("E0201", f"unknown name `{name}`", expr.head.span, helps=helps)
        if op.flag and op.arguments and self.op.takes_flags:
            inside = f"({', '.join(arg.span.text for arg in expr.args)})"
            given = f"{op.arguments[0].name}={inside[1:-1]}" if len(expr.args) == 1 else "…"
            line = f"default {name.upper()} {given}"
            title = f"a flag has the arguments of its `default` line: `{line}`, and `{op.flag}` here"
            element = f"-> {name.upper()} {given}"
            alone = Repair.of(f"as an element of its own: `{element}`", (arg.span, element))
            return (title, alone) if arg is self.args[-1] else (title,)
        return self.usage()

    def keyword(self, name: str, expr: t.Expr, span: Span) -> None:
        argument = self.named.get(name)
        if argument is None:
            from netdsl.argumenthelp import NOT_HERE

            close = nearest(name, self.named) if name not in NOT_HERE else None
            alone = (f"`{name}` is a word alone: it takes no value",) if name in self.words else ()
            from netdsl.argumenthelp import elsewhere

            translated = elsewhere(self.op, self.head, self.args)
            from netdsl.edits import meant

            likely = (meant(close, named(span)),) if close else self.usage()
            helps = alone or translated or self.hint(name, span) or likely
            self.error("E0204", f"{self.head} has no argument `{name}`", span, helps=helps)
        if argument.form == "word":
            text = expr.id if isinstance(expr, t.Name) else expr.value if isinstance(expr, t.Text) else ""
            known = text not in argument.words and isinstance(expr, t.Name) and self.scope.find(text) is not None
            value = self.evaluate(expr) if known else Word(text)
            if isinstance(value, Poison):
                raise Failed
            if not isinstance(value, Word) or value.text not in argument.words:
                zeros: Help = f"zeros are counted with `pad {expr.span.text if isinstance(expr, t.Number) else 1}`"
                if name == "padding" and isinstance(expr, t.Number | t.Group | t.Extent):
                    zeros = Repair.of(str(zeros), (span, f"pad={expr.span.text}"))
                from netdsl.argumenthelp import elsewhere

                helps = (zeros,) if name == "padding" else elsewhere(self.op, self.head, self.args)
                message = f"`{name}` of {self.head} is {_or(argument.words)}"
                self.error("E0202", message, expr.span, helps=helps)
            self.put(argument, value.text, span)
        elif argument.kind == "init":
            self.put(argument, self.init(argument, expr), span)
        elif argument.kind == "axis":
            self.put(argument, self.axis(expr), span)
        else:
            self.put(argument, self.extent(argument, expr), span, expr.span)

    def hint(self, word: str, span: Span) -> tuple[Help, ...]:
        """What a word was probably meant to say, where that is more than a typing mistake."""
        if word.lower() in {*self.words, *BY_FLAG} and word.lower() != word:
            return (Repair.of(f"words are in lower case: `{word.lower()}`", (span, word.lower())),)
        if re.fullmatch(r"[A-Za-z]\d?x[A-Za-z]\d?", word):
            spaced = " x ".join(word.split("x"))
            return (Repair.of(f"a size of two names has spaces: `{spaced}`", (span, spaced)),)
        for flag in self.flags:
            if flag.op is not None and word in [a.name for a in flag.op.arguments]:
                text = f"default {flag.op.spellings[0]} {word}=…"
                return (
                    f"`{word}` belongs to `{flag.span.text}`; a flag has the arguments of its `default` line: `{text}`",
                )
        if word in ("activation", "act", "norm", "normalization"):
            return ("a norm or an activation is a word alone: `CONV 64 bn relu`",)
        from netdsl.argumenthelp import of_word

        return of_word(word, self.words, span) if "kernel" in self.named else ()

    def init(self, argument: Argument, expr: t.Expr) -> str:
        if isinstance(expr, t.Name) and expr.id in argument.words:
            return expr.id
        value = self.evaluate(expr) if not isinstance(expr, t.Name) or expr.id not in SOURCES else None
        if isinstance(value, Poison):
            raise Failed
        if not isinstance(value, Num) or isinstance(value.value, Formula) or value.value < 0:
            message = f"`init` is one of {_or(argument.words)}, or the standard deviation of a normal"
            text = value.text if isinstance(value, Text) else expr.span.text
            from netdsl.argumenthelp import INITIAL

            same = INITIAL.get(text.lower(), text)
            helps = (Repair.of(f"write `{same}`", (expr.span, same)),) if same in argument.words else ()
            self.error("E0202", message, expr.span, helps=helps)
        self.rounded |= roots(value)
        return repr(float(value.value))

    def axis(self, expr: t.Expr) -> str:
        if not isinstance(expr, t.Name) or expr.id not in AXIS_NAMES:
            counted = {"1": "C"}.get(expr.span.text)  # where the batch is axis 0
            helps = (Repair.of("axis 1, after the batch, is `C`", (expr.span, counted)),) if counted else ()
            self.error("E0202", f"an axis is {_or(AXIS_NAMES)}, not `{expr.span.text}`", expr.span, helps=helps)
        return expr.id

    def put_form(self, form: str, expr: t.Expr, span: Span) -> None:
        forms = ("kernel", "extent") if form == "kernel" else (form,)
        argument = next((a for a in self.op.arguments if a.form in forms), None)
        if argument is None:
            from netdsl.edits import without

            gone = Repair.of(f"leave out `{span.text}`", (without(span), ""))
            self.error("E0204", f"{self.head} has no {form}", span, helps=(gone, *self.usage()))
        self.put(argument, self.extent(argument, expr), span, expr.span)

    def extent(self, argument: Argument, expr: t.Expr) -> Value | tuple[Value | None, ...]:
        """One value, or one for each axis; None stands for `?`, the size that is left."""
        if not isinstance(expr, t.Extent):
            return self.evaluate(expr)
        for size in expr.sizes:
            if isinstance(size, t.Anything) and argument.kind != "sizes":
                helps = ("`?` is any size in an assertion, what is left in `RESHAPE`, what stays in adaptive pools",)
                self.error("E0202", f"{argument.name} of {self.head} is numbers, not `?`", size.span, helps=helps)
        return tuple(None if isinstance(size, t.Anything) else self.evaluate(size) for size in expr.sizes)

    def flag(self, slot: str, op: type[Op] | None, span: Span) -> None:
        earlier = next((flag for flag in self.flags if flag.slot == slot), None)
        if earlier is not None:
            from netdsl.argumenthelp import further_elements

            self.error(
                "E0204",
                f"`{span.text}` after `{earlier.span.text}`: one {slot} only",
                span,
                helps=further_elements(op, span, earlier.span),
            )
        self.flags.append(Flag(slot, op, span))

    # one value

    def put(self, argument: Argument, value: Any, span: Span, at: Span | None = None) -> None:
        if argument.name in self.values:
            earlier, what = self.spans[argument.name].text, argument.name.replace("_", " ")
            from netdsl.edits import keep_one

            ways = keep_one(self.spans[argument.name], span)
            self.error("E0204", f"`{span.text}` after `{earlier}`: {self.head} has one {what}", span, helps=ways)
        for other in self.op.arguments:
            if other.name in self.values and argument.contradicts(_word(value), other, _word(self.values[other.name])):
                earlier = self.spans[other.name].text
                from netdsl.edits import keep_one

                ways = keep_one(self.spans[other.name], span)
                self.error("E0204", f"`{earlier}` and `{span.text}` contradict each other", span, helps=ways)
        self.values[argument.name] = self.convert(argument, value, at or span) if not isinstance(value, str) else value
        self.spans[argument.name] = span

    def convert(self, argument: Argument, value: Any, span: Span) -> Any:
        """The value as the op keeps it: counts and extents whole, rates as floats."""
        if isinstance(value, tuple):
            if argument.kind not in ("extent", "pad", "sizes"):
                self.error("E0202", f"{argument.name} of {self.head} is one number, not `{span.text}`", span)
            return tuple(None if part is None else self.whole(argument, part, span) for part in value)
        if isinstance(value, Poison):
            raise Failed
        if not isinstance(value, Num):
            self.error("E0202", f"{argument.name} of {self.head} is a number, not {kind_of(value)}", span)
        if argument.kind == "number":
            if isinstance(value.value, Formula):
                self.error("E0308", f"{argument.name} of {self.head} must be known, and `{span.text}` is {value}", span)
            if value.trace is not None and is_polynomial(value.trace):
                return TracedFloat(float(value.value), value.trace)
            self.rounded |= roots(value)
            return float(value.value)
        return self.whole(argument, value, span)

    def whole(self, argument: Argument, value: Value, span: Span) -> Size:
        what = argument.name.replace("_", " ")
        if isinstance(value, Poison):
            raise Failed
        if not isinstance(value, Num):
            self.error("E0202", f"{what} of {self.head} is a number, not {kind_of(value)}", span)
        number = value.value
        if isinstance(number, Formula):
            if argument.kind in ("size", "sizes"):
                return number
            self.error(
                "E0308",
                f"{what} of {self.head} must be known, and `{span.text}` is {number}",
                span,
                helps=("`GAP` pools over whatever size there is",)
                if "pool" in self.op.name
                else ("give the input concrete sizes: `input 3 x 224 x 224`",),
            )
        if isinstance(number, Fraction):
            from netdsl.edits import rounded

            self.error(
                "E0202",
                f"{what} of {self.head} must be whole, and `{span.text}` is {value}",
                span,
                helps=rounded(span),
            )
        least = 0 if argument.kind in ("whole", "pad", "size") else 1
        if number < least:
            self.error("E0202", f"{what} of {self.head} must be at least {least}, not {number}", span)
        if number > MAX_SIZE:
            self.error("E0102", f"{what} of {self.head} is more than {MAX_SIZE:,}", span)
        return value.size

    def usage(self) -> tuple[Help, ...]:
        """How the primitive is written, for help lines."""
        return (f"{self.head} is written `{usage(self.op, self.head)}`",)


def complete(op: type[Op], bound: Bound, head: str, where: Span, fail: Fail) -> dict[str, Any]:
    """A value for every argument of the op; a missing one is an error."""
    values: dict[str, Any] = {}
    for argument in op.arguments:
        value = bound.values.get(argument.name, argument.default)
        if value is REQUIRED and argument.unless in bound.values:
            value = None
        if value is REQUIRED:
            from netdsl.argumenthelp import filters_missing

            fail(
                "E0203",
                f"{head} needs {argument.doc or argument.name}",
                where,
                helps=filters_missing(head, bound.spans.get("kernel")) or (f"{head} is written `{usage(op, head)}`",),
            )
            raise Failed
        values[argument.name] = value
    if "bias" in values:  # a norm has a bias of its own, so a convolution before it needs none
        normed = any(flag.slot == "norm" and flag.op for flag in bound.flags)
        values["bias"] = values["bias"] == "bias" if values["bias"] else not normed
    return values


def usage(op: type[Op], head: str) -> str:
    """`CONV out_channels 3x3 /1 [same|valid] …`, `concat(a, b, axis=…)`."""
    if issubclass(op, Join):
        return f"{head}({', '.join(['a', 'b', *(f'{a.name}=…' for a in op.arguments)])})"
    parts = [head]
    for a in op.arguments:
        if a.form == "positional":
            parts.append(a.name if a.default is REQUIRED else f"[{a.name}]")
        elif a.form == "extent":
            parts.append(f"{a.name}" if a.default is REQUIRED else f"[{a.name}]")
        elif a.form == "kernel":
            parts.append("[KxK]")
        elif a.form == "stride":
            parts.append("[/S]")
        elif a.form == "word":
            parts.append(f"[{'|'.join(a.words)}]")
        else:
            parts.append(f"[{a.name}=…]")
    return " ".join(parts)


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""


def _or(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{w}`" for w in words[:-1]) + f" or `{words[-1]}`"
