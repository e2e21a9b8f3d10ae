"""Well-typed networks, drawn at random: their text, the shapes that should come out, and where the text can be broken.

What is drawn is a `Form`: a piece of text, and what it does to a shape. The second is a re-implementation of the
language's arithmetic that owes nothing to the compiler: windows are counted, not computed. So each program comes with
a second opinion on its shapes, and a form can be used again wherever its `run` accepts the shape.

    programs()             concrete networks
    symbolic_programs()    networks with open sizes, and the same network at any size
    soups(), mangled()     texts that mean nothing, or nearly nothing
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from math import ceil, floor, gcd, prod
from random import Random
from typing import Any, Protocol, TypeVar

from hypothesis import settings
from hypothesis import strategies as st

T = TypeVar("T")
Shape = tuple[int, ...]
Env = MutableMapping[str, Any]
"""What the names of a body stand for: numbers, and blocks as functions of a shape."""
Run = Callable[[Shape, Env], Shape]

OPEN, CONCAT, SUM, SEQ, PRODUCT, APP, ATOM = range(-1, 6)
"""How tightly a piece of text binds; OPEN are `if` and `for`, which take all that follows."""

MAX_CHANNELS, MAX_EXTENT, MAX_ELEMENTS = 64, 24, 8192


def share(percent: int) -> settings:
    """Settings with that share of the profile's examples: laws that are slow take less."""
    return settings(max_examples=max(1, settings.default.max_examples * percent // 100))


class Misfit(Exception):
    """A form does not accept a shape."""


def listed(words: str) -> tuple[str, ...]:
    """`a, b c` as ("a", "b c")."""
    return tuple(re.split(r",\s+", words))


def shown(value: object, printer: Any, cycle: bool) -> None:
    """How Hypothesis prints an example: as text, where it would print the fields."""
    for i, line in enumerate(repr(value).split("\n")):
        if i:
            printer.break_()
        printer.text(line)


# --- text that remembers its pieces ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A way to break a piece: other text for it, with `{}` for its own text, and the code of the error."""

    text: str
    code: str


@dataclass(frozen=True, eq=False)
class Code:
    """A piece of text made of pieces. Pieces are told apart by identity, so each stands in one place only."""

    parts: tuple[str | Code, ...]
    level: int = ATOM
    commas: bool = False
    """Whether commas stand outside of parentheses: then it cannot be a call's argument as it is."""
    faults: tuple[Fault, ...] = ()
    blames_join: bool = False
    """Whether its faults are those of the join around it."""
    join: bool = False
    element: bool = False
    """Whether it is a primitive, which may stand in parentheses as well."""
    calls: str = ""
    """The definition that it uses."""
    dead: bool = False
    """Whether it is never elaborated."""

    def __str__(self) -> str:
        return lay(self)[0]

    def __repr__(self) -> str:
        return f"<{str(self)!r}>"

    _repr_pretty_ = shown

    def walk(self) -> Iterator[Code]:
        yield self
        for part in self.parts:
            if isinstance(part, Code):
                yield from part.walk()


def lay(code: Code, swaps: Mapping[Code, str] | None = None) -> tuple[str, dict[Code, tuple[int, int]]]:
    """The text, with some pieces replaced (`{}` stands for the old text), and where each piece stands in it."""
    spans: dict[Code, tuple[int, int]] = {}
    out: list[str] = []
    at = 0

    def put(piece: str | Code) -> None:
        nonlocal at
        start = at
        if isinstance(piece, Code):
            swap = (swaps or {}).get(piece)
            if swap is None:
                for part in piece.parts:
                    put(part)
            else:
                put(swap.replace("{}", str(piece)))
            spans[piece] = (start, at)
        else:
            out.append(piece)
            at += len(piece)

    put(code)
    return "".join(out), spans


def text(words: str, level: int = ATOM, **more: Any) -> Code:
    return Code((words,), level, **more)


def grouped(code: Code) -> Code:
    return Code(("(", code, ")"))


def bound(code: Code, level: int) -> Code:
    """The code, in parentheses where it would not bind tightly enough."""
    return code if code.level >= level else grouped(code)


def joined(codes: Sequence[Code], between: Sequence[str], level: int, **more: Any) -> Code:
    parts: list[str | Code] = [codes[0]]
    for separator, code in zip(between, codes[1:]):
        parts += [separator, code]
    return Code(tuple(parts), level, any(code.commas for code in codes), **more)


@dataclass(frozen=True)
class Windows:
    """How a convolution or a pool moves: a number for each axis."""

    kernel: Shape
    stride: Shape
    dilation: Shape
    mode: str
    """same, valid, pad or sides (padding before that differs from that after)."""
    pad: Shape
    rounding: str = "exact"
    after: Shape = ()

    def fit(self, sizes: Shape) -> Shape:
        """How many windows there are on each axis."""
        need(len(sizes) == len(self.kernel))
        if self.mode == "same":
            return tuple(ceil(size / s) for size, s in zip(sizes, self.stride))
        pads = self.pad if self.mode in ("pad", "sides") else (0,) * len(sizes)
        every = zip(sizes, self.kernel, self.dilation, pads, self.after if self.mode == "sides" else pads, self.stride)
        return tuple(windows(size, d * (k - 1) + 1, (p, q), s, self.rounding) for size, k, d, p, q, s in every)

    def pad_words(self) -> list[str]:
        """The padding as arguments by name."""
        if self.mode == "pad":
            return [f"pad={_each(self.pad)}"]
        sides = [("pad_before", self.pad), ("pad_after", self.after)]
        return [f"{name}={_each(pad)}" for name, pad in sides if any(pad)] or ["pad_after=0"]


def _each(sizes: Shape) -> str:
    return "x".join(map(str, sizes)) if len(set(sizes)) > 1 else str(sizes[0])


# --- what is drawn ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Number:
    """A number as written, and its value where the input has a certain shape."""

    code: Code
    value: Callable[[Shape, Env], int]


@dataclass(frozen=True, eq=False)
class Form:
    """A block as written, and what it does to a shape. Raises Misfit."""

    code: Code
    run: Run
    held: bool = False
    """Whether it starts from a label: what stood before it in a sequence would be lost."""
    solid: bool = True
    """Whether it makes an element, so that its label can be frozen."""
    residual: Callable[[Shape, Env, int], Shape] | None = None
    """`run` with another stride, for a call of a block that has a stride."""


def same(words: str, level: int = ATOM) -> Form:
    """A form that leaves the shape, and makes no element: `identity`. The shape of `match` is found elsewhere."""
    return Form(text(words, level), lambda shape, env: shape, solid=False)


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter of a block: its name, its default, and what it stood for when the block was drawn (None: a block)."""

    name: str
    value: int | None
    default: Number | Form | None = None
    late: bool = False
    """Whether a block is applied later than at the start of the body: on another shape than that of the call."""


@dataclass(frozen=True, eq=False)
class Definition:
    """A block of the user."""

    name: str
    params: list[Parameter]
    body: Form
    code: Code


@dataclass(frozen=True, eq=False)
class Site:
    """A place where a program can be broken, and the piece that has to be blamed for it."""

    piece: Code
    fault: Fault
    blame: Code

    def __repr__(self) -> str:
        return f"<{str(self.piece)!r} becomes {self.fault.text!r}>"

    _repr_pretty_ = shown


@dataclass(frozen=True, eq=False)
class Program:
    """A network as text, and what is known of it."""

    code: Code
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    training: tuple[Shape, ...]
    sites: tuple[Site, ...] = ()
    declared: tuple[Code, ...] = ()
    """The shapes in the `input` lines."""

    @property
    def text(self) -> str:
        return str(self.code)

    def broken(self, site: Site) -> tuple[str, int, int]:
        """The text with that fault, and from where to where the piece to blame stands in it."""
        broken, spans = lay(self.code, {site.piece: site.fault.text})
        return broken, *spans[site.blame]

    def with_inputs(self, *shapes: str) -> str:
        """The text with other input shapes."""
        return lay(self.code, dict(zip(self.declared, shapes)))[0]

    @property
    def elements(self) -> list[Code]:
        return [piece for piece in self.code.walk() if piece.element]

    def __repr__(self) -> str:
        out = " x ".join(map(str, self.outputs[0])) if self.outputs else "nothing"
        return f"<Program to {out}>\n{self.text}\n"

    _repr_pretty_ = shown


# --- the arithmetic, a second time -----------------------------------------------------------------------------------


def windows(size: int, reach: int, pad: tuple[int, int], stride: int, rounding: str) -> int:
    """How many windows there are, by counting where they start."""
    before, after = pad
    if size + before + after < reach:
        raise Misfit
    starts = list(range(0, size + before + after - reach + 1, stride))
    rest = size + before + after - reach - starts[-1]
    if rest and rounding == "exact":
        raise Misfit
    if rest and rounding == "ceil" and starts[-1] + stride < size + before:
        starts.append(starts[-1] + stride)
    return len(starts)


def limited(shape: Shape) -> Shape:
    """Keeps tensors small."""
    if (
        shape[0] > (MAX_CHANNELS if len(shape) > 1 else MAX_ELEMENTS)
        or any(n > MAX_EXTENT for n in shape[1:])
        or prod(shape) > MAX_ELEMENTS
    ):
        raise Misfit
    return shape


def need(condition: bool) -> None:
    if not condition:
        raise Misfit


def strided(shape: Shape, channels: int, stride: int = 1) -> Shape:
    """A `same` convolution."""
    need(len(shape) > 1 and channels > 0)
    return limited((channels, *(ceil(n / stride) for n in shape[1:])))


def matched(x: Shape, target: Shape) -> Shape:
    """What `match` gives: the target, if a 1x1 projection can."""
    if x != target:
        need(len(x) == len(target) > 1)
        for n, wanted in zip(x[1:], target[1:]):
            need(any(ceil(n / s) == wanted for s in range(1, n + 1)))
    return target


KINDS = ("|", "+", "mean", "product")
"""How branches meet."""


# --- chance ----------------------------------------------------------------------------------------------------------


class Dice(Protocol):
    def pick(self, options: Sequence[T]) -> T: ...
    def between(self, low: int, high: int) -> int: ...


class Drawn:
    """Dice that Hypothesis throws: simple things come first, so that they are what examples shrink to."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw

    def pick(self, options: Sequence[T]) -> T:
        return options[self.between(0, len(options) - 1)]

    def between(self, low: int, high: int) -> int:
        return low if low == high else self.draw(st.integers(low, high))


class Thrown:
    """Dice with a seed. Examples come out more varied, and shrink only by their room."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self.random.choice(options)

    def between(self, low: int, high: int) -> int:
        return self.random.randint(low, high)


COMMENTS = ("# a note", "#", "# -> | + * ( [ : 3 x", "# 16×16 é \u2192 \U0001f642", '# "quotes" # twice')
ACTIVATIONS = listed(
    "RELU, TANH, SIGMOID, RELU6, LEAKY_RELU, LRELU 0.2, ELU, GELU, SILU, swish, relu, PRELU, PRELU shared, PRELU 0.1, "
    "HARD_SWISH, HARD_SIGMOID, MISH, SOFTPLUS"
)
SCALES = ("SCALE 0.5", "SCALE (-1)", "LAYER_SCALE", "LAYER_SCALE 0.5")
DROPS = ("DROPOUT", "DROPOUT 0.2", "DROPOUT p=0", "STOCHASTIC_DEPTH 0.3", "DROP_PATH 0.2", "DROP_PATH p=0")
FLAGS = listed(
    "relu, bn, bn relu, tanh, linear, nonorm, nobias, bias, init=he, init=0.01, bias_init=1, bias_init=-1, "
    "bn nobias gelu, nobias silu, prelu, ln hard_swish, mish, hard_sigmoid nonorm"
)
DEFAULTS = listed(
    "CONV bn relu, CONV relu, CONV nobias, CONV bn init=xavier, FC relu, DROPOUT 0.3, BN momentum=0.05, LRN n=3, "
    "CONV valid, conv k=1, CONV floor, POOL k=3 /2 ceil"
)
ON_MAPS = listed(
    "conv, activation, conv, pool, conv, pool, norm, deconv, upsample, conv, norm, conv, reduction, geometry, gate, "
    "sequence_path, adaptive"
)
ON_VECTORS = listed("fc, activation, fc, norm, cut, fc, sequence_path")
COMPOUND = listed("join, group, repeat, join, crop_to, decide, loop, call, call, bracket, use, claim, skip, skip")
SHIPPED = listed(
    "residual, branch_block, inception, fire, dense, fractal, stage, stage, preact, wide, resnext, transition, mlpconv"
)
"""Methods of the author: what a step of a path may be. Simple things stand first."""


class Author:
    """Draws one program, front to back, knowing the shape at each point. Mutable: names, labels, blocks so far."""

    def __init__(self, dice: Dice, symbolic: bool = False, room: int = 30) -> None:
        self.dice, self.symbolic, self.room = dice, symbolic, room
        self.serial = count(1)
        self.labels: dict[str, Shape] = {}
        self.lets: dict[str, tuple[Shape, Form]] = {}
        self.blocks: dict[str, Definition] = {}
        self.codes: dict[str, Code] = {}
        self.numbers: list[str] = []
        self.params: list[Parameter] | None = None
        self.frame: Env = {}
        self.enters: Shape = ()
        self.net: Env = {}
        self.conv_default: dict[str, Any] = {"kernel": 3, "mode": "same", "rounding": "exact"}
        self.pool_default: dict[str, Any] = {"kernel": 2, "stride": None, "rounding": "exact"}

    # small decisions

    def coin(self, odds: int = 2) -> bool:
        """True once in `odds`."""
        return self.dice.between(1, odds) == odds

    def fresh(self, stem: str) -> str:
        return f"{stem}{next(self.serial)}"

    @property
    def in_net(self) -> bool:
        return self.params is None

    # --- numbers

    def number(self, shape: Shape, env: Env, low: int, high: int) -> Number:
        """A number from low to high: a literal, a name, or something made of the channels."""
        v = self.dice.between(low, high)
        kind = self.dice.pick(("literal", "literal", "name", "lift", "channels", "function"))
        made = None
        if kind == "name":
            known = [name for name in self.numbers if isinstance(env.get(name), int) and low <= env[name] <= high]
            made = self.named(self.dice.pick(known)) if known else None
        elif kind == "lift" and self.params is not None:
            made = self.lifted(v, shape, env)
        elif kind in ("channels", "function"):
            made = self.of_channels(kind, v)
        if made is not None:
            try:
                if low <= made.value(shape, env) <= high:
                    return made
            except Misfit:
                pass
        return self.literal(v)

    def literal(self, v: int) -> Number:
        return Number(text(str(v)), lambda shape, env: v)

    def named(self, name: str) -> Number:
        return Number(text(name), lambda shape, env: env[name])

    def lifted(self, v: int, shape: Shape, env: Env) -> Number:
        """A new parameter of the block that is being drawn."""
        assert self.params is not None
        name = self.fresh("n")
        default = self.default_of(v) if self.coin() else None
        self.params.append(Parameter(name, v, default))
        self.numbers.append(name)
        env[name] = self.frame[name] = v
        return self.named(name)

    def default_of(self, v: int) -> Number:
        """A default with this value: a number, the channels of the input, a multiple of an earlier parameter."""
        assert self.params is not None
        ways = [self.literal(v)]
        if self.enters[0] == v:
            ways.append(Number(text("C"), lambda shape, env: shape[0]))
        parts = [param for param in self.params if param.value is not None and v % param.value == 0]
        if parts:
            name, times = parts[0].name, v // (parts[0].value or 1)
            ways.append(Number(text(f"{times}*{name}", PRODUCT), lambda shape, env: times * env[name]))
        return self.dice.pick(ways)

    def of_channels(self, kind: str, v: int) -> Number:
        q = self.dice.between(2, 4)
        arithmetic: Sequence[tuple[str, int, Callable[[int], int | Fraction]]] = (
            ("C", ATOM, lambda c: c),
            (f"{q}*C", PRODUCT, lambda c: q * c),
            (f"C/{q}", PRODUCT, lambda c: Fraction(c, q)),
            (f"C + {q}", SUM, lambda c: c + q),
            (f"C - {q}", SUM, lambda c: c - q),
            (f"-C + {5 * q}", SUM, lambda c: 5 * q - c),
            (f"2*C - C/{q}", SUM, lambda c: 2 * c - Fraction(c, q)),
        )
        functions: Sequence[tuple[str, int, Callable[[int], int | Fraction]]] = (
            (f"floor(C/{q})", ATOM, lambda c: floor(Fraction(c, q))),
            (f"ceil(C/{q})", ATOM, lambda c: ceil(Fraction(c, q))),
            (f"max(C, {v})", ATOM, lambda c: max(c, v)),
            (f"min(C, {v})", ATOM, lambda c: min(c, v)),
            (f"round(C/{q})", ATOM, lambda c: floor(Fraction(c, q) + Fraction(1, 2))),
            (f"floor(0.5*C + {q})", ATOM, lambda c: floor(Fraction(c, 2) + q)),
        )
        ways = arithmetic if kind == "channels" else functions
        words, level, function = self.dice.pick(ways)

        def value(shape: Shape, env: Env) -> int:
            found = Fraction(function(shape[0]))
            need(found.denominator == 1 and found >= 1)
            return int(found)

        return Number(text(words, level), value)

    # --- putting forms together

    def fitting(self, form: Form | None, shape: Shape, env: Env) -> Form:
        """The form, or something harmless where it does not fit."""
        if form is not None:
            try:
                form.run(shape, env)
                return form
            except Misfit:
                pass
        return self.activation(shape, env)

    def sequence(self, forms: Sequence[Form]) -> Form:
        if len(forms) == 1:
            return forms[0]

        def run(shape: Shape, env: Env) -> Shape:
            for form in forms:
                shape = form.run(shape, env)
            return shape

        between = [
            self.dice.pick((" -> ", " -> ", " -> ", "->", "\n    -> ", " ->\n    ", "  # then\n\n    -> "))
            for _ in forms[1:]
        ]
        code = joined([bound(form.code, PRODUCT) for form in forms], between, SEQ)
        return Form(code, run, forms[0].held, any(form.solid for form in forms))

    def lines(self, forms: Sequence[Form]) -> Form:
        """A parenthesis with one form on each line."""
        made = self.sequence(forms)
        between = [self.dice.pick(("\n     ", "  # on\n\n     ")) for _ in forms[1:]]
        inner = joined([form.code for form in forms], between, OPEN)
        first, last = self.dice.pick((("(", ")"), ("(\n     ", "\n)"), ("(  # open\n     ", ")")))
        return Form(Code((first, inner, last)), made.run, made.held, made.solid)

    def path(self, shape: Shape, env: Env, depth: int, most: int = 3) -> Form:
        """One to `most` steps."""
        forms = self.steps(shape, env, depth, most)
        return self.lines(forms) if len(forms) > 1 and self.coin(6) else self.sequence(forms)

    def steps(self, shape: Shape, env: Env, depth: int, most: int) -> list[Form]:
        forms: list[Form] = []
        for _ in range(self.dice.between(1, most)):
            forms.append(self.step(shape, env, depth))
            shape = forms[-1].run(shape, env)
        return forms

    def step(self, shape: Shape, env: Env, depth: int) -> Form:
        """One element of a path, which takes the shape before it."""
        self.room -= 1
        kinds = ON_MAPS if len(shape) > 1 else ON_VECTORS
        if depth and self.room > 0 and self.coin():
            kinds = COMPOUND + ("prelude",) * (7 if len(shape) == 3 else 1)
        form: Form | None = getattr(self, self.dice.pick(kinds))(shape, env, depth)
        return self.fitting(form, shape, env)

    # --- primitives

    def faults(self, shape: Shape) -> tuple[Fault, ...]:
        """Elements that do not accept this shape, in place of one that does."""
        axes = len(shape) - 1
        if axes == 0:
            # Not a name alone: as a block's argument, that is blamed where the block uses it.
            words = ("GAP -> RELU", "CONV 4", "MAXPOOL 2x2", "UPSAMPLE 2", "LRN n=3")
            return tuple(Fault(f"({word})", "E0307") for word in words)
        other = "3x3x3" if axes == 2 else "3x3"
        faults = [Fault(f"(CONV {shape[0]} groups={shape[0] + 1})", "E0306"), Fault(f"(CONV 4 {other})", "E0307")]
        if self.symbolic:
            return tuple(faults)
        faults += [
            Fault(f"({head} k={max(shape[1:]) + 1} /1 valid)", "E0304") for head in ("CONV 4", "MAXPOOL", "AVGPOOL")
        ]
        if max(shape[1:]) > 1:
            even = any(n % 2 == 0 for n in shape[1:])
            faults += [
                Fault(f"({head} k={1 if even else 2} /2 valid exact)", "E0303" if min(shape[1:]) > 1 else "")
                for head in ("CONV 4 dilation=1", "MAXPOOL")
            ]
        return tuple(faults)

    def element(self, shape: Shape, head: str, args: Sequence[str | Code], run: Run) -> Form:
        """A primitive with its bare arguments, with blanks or commas between them."""
        commas = len(args) > 1 and self.coin(4)
        parts: list[str | Code] = [head]
        for i, arg in enumerate(args):
            parts += [" " if i == 0 or not commas else self.dice.pick((", ", " ", ",\n        ")), arg]
        return Form(Code(tuple(parts), APP if args else ATOM, commas, self.faults(shape), element=True), run)

    def simple(self, words: str, run: Run, shape: Shape) -> Form:
        return Form(text(words, APP if " " in words else ATOM, faults=self.faults(shape), element=True), run)

    def activation(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        more = ("SOFTMAX", *SCALES, *DROPS, *(("SPATIAL_DROPOUT", "SPATIAL_DROPOUT 0.1") if len(shape) > 1 else ()))
        picked = self.dice.pick(ACTIVATIONS + more)

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) > 1 or not picked.startswith("SPATIAL"))
            return shape

        return self.simple(picked, run, shape)

    def norm(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        words = ("BN", "BN eps=0.001 momentum=0.2", "BATCHNORM", "LN", "LN eps=0.01", "GN 1", "GN C") + (
            ("LRN", "LRN n=3 k=1 alpha=0.001, beta=0.5", "IN", "IN affine") if len(shape) > 1 else ()
        )

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) > 1 or not picked.startswith(("LRN", "IN")))
            return shape

        picked = self.dice.pick(words)
        made = self.simple(picked, run, shape)
        return replace(made, code=replace(made.code, commas="," in picked))

    def reduction(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """To a vector."""
        kind = self.dice.pick(("GAP", "GMP", "FLATTEN", "FC"))
        if kind == "FC" or (kind == "FLATTEN" and self.symbolic):
            return self.fc(shape, env)
        return self.simple(
            kind, lambda shape, env: limited((prod(shape),)) if kind == "FLATTEN" else self.pooled(shape), shape
        )

    def pooled(self, shape: Shape) -> Shape:
        need(len(shape) > 1)
        return shape[:1]

    def fc(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        if self.symbolic and len(shape) > 1:
            return self.sequence(
                [self.simple("GAP", lambda shape, env: self.pooled(shape), shape), self.fc(shape[:1], env)]
            )
        n = self.number(shape, env, 1, 12)
        args = [bound(n.code, ATOM), *self.flags()]

        def run(shape: Shape, env: Env) -> Shape:
            limited((prod(shape),))
            return (n.value(shape, env),)

        return self.element(shape, self.dice.pick(("FC", "FC", "LINEAR", "dense")), args, run)

    def flags(self) -> list[str]:
        return [self.dice.pick(FLAGS)] if self.coin(3) else []

    def upsample(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        axes = len(shape) - 1
        factor = self.per_axis(axes, 1, 3) if self.coin() else (2,) * axes

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) == axes + 1)
            return limited((shape[0], *(n * size for n, size in zip(factor, shape[1:]))))

        args = [] if set(factor) == {2} and self.coin() else [_each(factor)]
        args += self.dice.pick(((), (), ("nearest",), ("bilinear",), ("bilinear", "align_corners")))
        return self.element(shape, "UPSAMPLE", args, run)

    def adaptive(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """A pool to a size of its own."""
        axes = len(shape) - 1
        size = self.per_axis(axes, 1, 4)

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) == axes + 1)
            return limited((shape[0], *size))

        return self.element(shape, self.dice.pick(("ADAPTIVE_AVGPOOL", "ADAPTIVE_MAXPOOL")), [_each(size)], run)

    def geometry(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """What moves values and computes nothing."""
        form: Form = getattr(self, self.dice.pick(("cut", "padding", "moving", "moving")))(shape, env)
        return form

    def cut(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """CROP and SLICE: what is kept must be there."""
        if len(shape) > 1 and self.coin():
            sizes = tuple(self.dice.between(1, n) for n in shape[1:])
            sizes = (min(sizes),) * len(sizes) if self.coin() else sizes
            before = tuple(self.dice.between(0, n - kept) for n, kept in zip(shape[1:], sizes)) if self.coin() else None
            first = before or (0,) * len(sizes)

            def crop(shape: Shape, env: Env) -> Shape:
                need(len(shape) == len(sizes) + 1)
                need(all(n >= start + kept for n, start, kept in zip(shape[1:], first, sizes)))
                return (shape[0], *sizes)

            words = str(sizes[0]) if len(set(sizes)) == 1 and self.coin() else self.extent(sizes, "size")
            return self.element(
                shape, "CROP", [words, *([f"offset={'x'.join(map(str, before))}"] if before else [])], crop
            )
        at = self.dice.between(0, len(shape) - 1)
        axis = {1: "C", 2: "CW", 3: "CHW", 4: "CDHW"}[len(shape)][at]
        stop = self.dice.between(1, shape[at])
        start = self.dice.between(0, stop - 1)
        to_the_end = self.coin(4)

        def slice_(shape: Shape, env: Env) -> Shape:
            need(at < len(shape) and {1: "C", 2: "CW", 3: "CHW", 4: "CDHW"}[len(shape)][at] == axis)
            end = shape[at] if to_the_end else stop
            need(start < end <= shape[at])
            return (*shape[:at], end - start, *shape[at + 1 :])

        more = [f"axis={axis}"] if at or self.coin(4) else []
        return self.element(shape, "SLICE", [str(start), axis if to_the_end else str(stop), *more], slice_)

    def padding(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """PAD; a mirror image is smaller than what it mirrors."""
        axes = len(shape) - 1
        if self.coin(4):
            n = self.dice.between(1, 4)
            return self.element(shape, "PAD", [f"channels={n}"], lambda shape, env: limited((shape[0] + n, *shape[1:])))
        mode = self.dice.pick(("", "", "zeros", "reflect", "replicate"))
        before, after = self.per_axis(axes, 0, 2), self.per_axis(axes, 0, 2)
        kind = self.dice.pick(("both", "before", "after", "differ"))
        if kind == "both":
            args, before = [self.extent(after, "size")], after
        elif kind == "differ":
            args = [f"before={'x'.join(map(str, before))}", f"after={'x'.join(map(str, after))}"]
        else:
            sides = before if kind == "before" else after
            args = [f"{kind}={'x'.join(map(str, sides))}"]
            before, after = (before, (0,) * axes) if kind == "before" else ((0,) * axes, after)

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) == axes + 1)
            need(mode != "reflect" or all(n > max(sides) for n, *sides in zip(shape[1:], before, after)))
            return limited((shape[0], *(sum(sizes) for sizes in zip(shape[1:], before, after))))

        return self.element(shape, "PAD", [*args, *([mode] if mode else [])], run)

    def moving(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """RESHAPE, TRANSPOSE, SHUFFLE, FLATTEN spatial."""
        kind = self.dice.pick(("shuffle", "spatial", "reshape", "transpose") if not self.symbolic else ("shuffle",))
        rank = len(shape)
        if kind == "shuffle":
            groups = self.dice.pick([g for g in range(1, shape[0] + 1) if shape[0] % g == 0])

            def shuffle(shape: Shape, env: Env) -> Shape:
                need(len(shape) > 1 and shape[0] % groups == 0)
                return shape

            return self.element(shape, self.dice.pick(("SHUFFLE", "CHANNEL_SHUFFLE")), [str(groups)], shuffle)
        if kind == "spatial":

            def spatial(shape: Shape, env: Env) -> Shape:
                need(len(shape) > 1)
                return limited((shape[0], prod(shape[1:])))

            return self.element(shape, "FLATTEN", ["spatial"], spatial)
        if kind == "transpose":
            left = list(range(rank))
            order = [left.pop(self.dice.between(0, len(left) - 1)) for _ in range(rank)]
            swap = rank == 2 and self.coin()
            order = [1, 0] if swap else order

            def transpose(shape: Shape, env: Env) -> Shape:
                need(len(shape) == rank)
                return limited(tuple(shape[axis] for axis in order))

            return self.element(shape, "TRANSPOSE", [] if swap else ["x".join(map(str, order))], transpose)
        sizes, left_over = [], prod(shape)
        for _ in range(self.dice.between(1, 3)):
            sizes.append(self.dice.pick([n for n in range(1, left_over + 1) if left_over % n == 0][:8]))
            left_over //= sizes[-1]
        at = self.dice.between(0, len(sizes))
        open_ = self.coin(3)

        def reshape(shape: Shape, env: Env) -> Shape:
            need(prod(shape) == prod(sizes) * left_over if not open_ else prod(shape) % prod(sizes) == 0)
            return limited((*sizes[:at], prod(shape) // prod(sizes), *sizes[at:]))

        written = [*map(str, sizes[:at]), "?" if open_ else str(left_over), *map(str, sizes[at:])]
        return self.element(shape, "RESHAPE", [" x ".join(written)], reshape)

    def sequence_of(self, shape: Shape) -> list[Form]:
        """What makes a sequence of another shape; a table of words is given whole numbers from 0 to 6."""
        if len(shape) == 1:
            if self.coin():
                dim = self.dice.between(1, 8)
                table = self.element(shape, "EMBED", ["7", str(dim)], lambda shape, env: limited((dim, *shape)))
                return [self.simple("RELU6", lambda shape, env: shape, shape), table]
            words = f"RESHAPE 1 x {shape[0]}"

            def row(shape_: Shape, env: Env) -> Shape:
                need(shape_ == shape)
                return limited((1, *shape))

            return [self.simple(words, row, shape)]
        sizes = tuple(min(n, 4) for n in shape[1:])

        def crop(shape: Shape, env: Env) -> Shape:
            need(len(shape) == len(sizes) + 1 and all(a >= b for a, b in zip(shape[1:], sizes)))
            return (shape[0], *sizes)

        def flat(shape: Shape, env: Env) -> Shape:
            need(len(shape) > 1)
            return limited((shape[0], prod(shape[1:])))

        cut = self.simple(f"CROP {'x'.join(map(str, sizes))}", crop, shape)
        return [cut, self.simple("FLATTEN spatial", flat, (shape[0], *sizes))]

    def sequence_layer(self, shape: Shape, env: Env) -> Form:
        """A layer that looks along a sequence."""
        kind = self.dice.pick(("RNN", "GRU", "LSTM", "ATTENTION", "TOKENS", "POSITIONS", "POSITIONS sinusoidal"))
        if kind in ("RNN", "GRU", "LSTM"):
            n = self.number(shape, env, 1, 8)
            both, last = self.coin(3), self.coin(3)

            def recurrent(shape: Shape, env: Env) -> Shape:
                need(len(shape) == 2)
                out = n.value(shape, env) * (2 if both else 1)
                return limited((out,) if last else (out, shape[1]))

            more = ["relu"] if kind == "RNN" and self.coin(3) else []
            more += self.dice.pick(([], [], ["layers=2"], ["layers=2", "dropout=0.5"], ["nobias"]))
            more += (["bidirectional"] if both else []) + (["last"] if last else [])
            return self.element(shape, kind, [bound(n.code, ATOM), *more], recurrent)
        if kind == "ATTENTION":
            heads = self.dice.pick([h for h in range(1, shape[0] + 1) if shape[0] % h == 0])

            def attention(shape: Shape, env: Env) -> Shape:
                need(len(shape) == 2 and shape[0] % heads == 0)
                return shape

            more = self.dice.pick(([], ["causal"], ["nobias"], ["dropout=0.1"]))
            return self.element(shape, kind, [str(heads), *more], attention)
        added = self.dice.between(1, 2) if kind == "TOKENS" else 0

        def longer(shape: Shape, env: Env) -> Shape:
            need(len(shape) == 2)
            return limited((shape[0], shape[1] + added))

        return self.element(shape, kind, [str(added)] if added else [], longer)

    def sequence_path(self, shape: Shape, env: Env, depth: int = 0) -> Form | None:
        """A layer on a sequence, made from what there is."""
        if self.symbolic:
            return None
        first = self.sequence_of(shape) if len(shape) != 2 else []
        inner = shape
        try:
            for form in first:
                inner = form.run(inner, env)
        except Misfit:
            return None
        return self.sequence([*first, self.sequence_layer(inner, env)])

    def per_axis(self, axes: int, low: int, high: int) -> tuple[int, ...]:
        if axes > 1 and self.coin(4):
            return tuple(self.dice.between(low, high) for _ in range(axes))
        return (self.dice.between(low, high),) * axes

    def extent(self, sizes: tuple[int, ...], key: str) -> str:
        """`3x3`, `k=3`, `(1+2) x 3`: one number for each axis."""
        if len(set(sizes)) == 1 and (len(sizes) == 1 or self.coin(4)):
            return f"{key}={sizes[0]}"
        joined_sizes = "x".join(map(str, sizes))
        if key != "k" or self.coin():
            return joined_sizes
        apart = " x ".join(map(str, sizes[1:]))
        return self.dice.pick(
            (f"{sizes[0]} x {apart}", f"(0+{sizes[0]}) x {apart}", f"k={joined_sizes}", "×".join(map(str, sizes)))
        )

    def stride_words(self, stride: tuple[int, ...]) -> str:
        if len(set(stride)) == 1:
            s = stride[0]
            return self.dice.pick((f"/{s}", f"/{s}", f"stride={s}", f"/(1+{s - 1})"))
        return "/" + "x".join(map(str, stride))

    def conv(self, shape: Shape, env: Env, depth: int = 0, keep: bool = False, channels: Number | None = None) -> Form:
        """A convolution; with `keep`, one that leaves height and width."""
        axes = len(shape) - 1
        ones = (1,) * axes
        mode = "same" if keep else self.dice.pick(("same", "same", "same", "valid", "valid", "pad", "pad", "sides"))
        kernel = self.per_axis(axes, 1, 5) if self.coin() else (self.conv_default["kernel"],) * axes
        stride = ones if keep or self.coin() else self.per_axis(axes, 1, 3)
        dilation = (2,) * axes if self.coin(6) else ones
        pad = self.per_axis(axes, 0, 2)
        if mode != "same":
            kernel = tuple(min(k, n) for k, n in zip(kernel, shape[1:]))
            if any(d * (k - 1) + 1 > n for d, k, n in zip(dilation, kernel, shape[1:])):
                dilation = ones
        n = channels or self.number(shape, env, 1, 16)
        both = gcd(shape[0], n.value(shape, env))
        groups = self.dice.pick([g for g in range(1, both + 1) if both % g == 0]) if self.coin(3) else 1
        moves = Windows(kernel, stride, dilation, mode, pad, after=self.per_axis(axes, 0, 2))
        try:
            moves.fit(shape[1:])
        except Misfit:
            moves = replace(moves, rounding="floor")
        if channels is None and self.coin(8):
            return self.depthwise(shape, moves)
        return self.convolution(shape, n, moves, groups)

    def depthwise(self, shape: Shape, moves: Windows) -> Form:
        """A convolution of each channel by itself."""
        times = self.dice.pick((1, 1, 1, 2))
        args: list[str | Code] = ["depthwise", self.extent(moves.kernel, "k"), self.stride_words(moves.stride)]
        if times > 1:
            args.append(f"({times}*C)")
        args += moves.pad_words() if moves.mode in ("pad", "sides") else [moves.mode]
        args += [moves.rounding] if moves.mode != "same" else []
        args += [f"dilation={moves.dilation[0]}", *self.flags()]

        def run(shape: Shape, env: Env) -> Shape:
            return limited((times * shape[0], *moves.fit(shape[1:])))

        return self.element(shape, "CONV", args, run)

    def convolution(self, shape: Shape, n: Number, moves: Windows, groups: int = 1) -> Form:
        """A convolution as written: its arguments in some order, those that are the default left out."""

        def run(shape: Shape, env: Env) -> Shape:
            out = n.value(shape, env)
            need(shape[0] % groups == 0 and out % groups == 0)
            return limited((out, *moves.fit(shape[1:])))

        default, kernel, dilation = self.conv_default, moves.kernel, moves.dilation[0]
        rest: list[str | Code] = []
        if set(moves.stride) != {1}:
            rest.append(self.stride_words(moves.stride))
        if moves.mode == "pad":
            rest.append(moves.pad_words()[0].replace("=", self.dice.pick(("=", " "))))
        elif moves.mode == "sides":
            rest += moves.pad_words()
        elif moves.mode != default["mode"] or self.coin(6):
            rest.append(moves.mode)
        if moves.mode != "same" and moves.rounding != default["rounding"]:
            rest.append(moves.rounding)
        if dilation != 1:
            rest.append(self.dice.pick((f"dilation={dilation}", f"dilation {dilation}")))
        if groups != 1:
            rest.append(self.dice.pick((f"groups={groups}", f"groups {groups}")))
        rest += self.flags()
        head = self.dice.pick(("CONV", "CONV", "CONV", "conv", "Convolution"))
        out = bound(n.code, ATOM)
        if not rest and len(set(kernel)) == 1 and str(n.code).isdigit() and self.coin(8):
            return self.simple(f"conv{kernel[0]}-{n.code}", run, shape)
        if len(kernel) > 1 and self.coin(8):
            made = self.element(shape, head, [out, *rest], run)
            return replace(made, code=replace(made.code, parts=("x".join(map(str, kernel)), " ", *made.code.parts)))
        if set(kernel) != {default["kernel"]} or self.coin():
            rest.insert(0, self.extent(kernel, "k"))
        at = self.dice.between(0, len(rest)) if self.coin(4) else 0
        return self.element(shape, head, [*rest[:at], out, *rest[at:]], run)

    def deconv(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        axes = len(shape) - 1
        kernel, stride, pad = self.per_axis(axes, 1, 4), self.per_axis(axes, 1, 2), (self.dice.pick((0, 0, 1)),) * axes
        if self.coin():
            kernel, stride, pad = (2,) * axes, (2,) * axes, (0,) * axes
        dilation = self.per_axis(axes, 1, 2) if self.coin(4) else (1,) * axes
        more = tuple(self.dice.between(0, max(s, d) - 1) for s, d in zip(stride, dilation))
        same = self.coin(4) and all(s > 1 or d > 1 or k % 2 for k, d, s in zip(kernel, dilation, stride))
        more = more if self.coin(3) else (0,) * axes
        n = self.number(shape, env, 1, 12)
        both = gcd(shape[0], n.value(shape, env))
        groups = both if self.coin(4) else 1

        def size(n: int, axis: int) -> int:
            if same:
                return n * stride[axis]
            reach = dilation[axis] * (kernel[axis] - 1) + 1
            return (n - 1) * stride[axis] - 2 * pad[axis] + reach + more[axis]

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) == axes + 1)
            out = n.value(shape, env)
            need(shape[0] % groups == 0 and out % groups == 0)
            sizes = [size(n, axis) for axis, n in enumerate(shape[1:])]
            need(min(sizes) > 0)
            return limited((out, *sizes))

        args: list[str | Code] = [bound(n.code, ATOM)]
        if set(kernel) != {2} or self.coin():
            args.append(self.extent(kernel, "k"))
        if set(stride) != {2} or self.coin():
            args.append(self.stride_words(stride))
        if same:
            args.append("same")
        elif pad[0]:
            args.append("pad=1")
        if any(more) and not same:
            args.append(f"out_pad={_each(more)}")
        if set(dilation) != {1}:
            args.append(f"dilation={_each(dilation)}")
        if groups != 1:
            args.append(f"groups={groups}")
        return self.element(shape, self.dice.pick(("DECONV", "UPCONV")), [*args, *self.flags()], run)

    def pool(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        axes = len(shape) - 1
        average = self.coin()
        default = {"kernel": 2, "stride": None, "rounding": "exact"} if average else self.pool_default
        mode = self.dice.pick(("valid", "valid", "valid", "same", "same", "pad", "pad", "sides"))
        kernel = (
            tuple(min(k, n) for k, n in zip(self.per_axis(axes, 1, 4), shape[1:]))
            if self.coin()
            else (default["kernel"],) * axes
        )
        stride = self.per_axis(axes, 1, 3) if self.coin() else kernel
        before, after = (tuple(self.dice.between(0, k // 2) for k in kernel) for _ in range(2))
        moves = Windows(kernel, stride, (1,) * axes, mode, before, self.dice.pick(("exact", "floor", "ceil")), after)
        try:
            moves.fit(shape[1:])
        except Misfit:
            moves = replace(moves, rounding=self.dice.pick(("floor", "ceil")))
        args: list[str | Code] = []
        if set(kernel) != {default["kernel"]} or self.coin():
            args.append(self.extent(kernel, "k"))
        expected = kernel if default["stride"] is None else (default["stride"],) * axes
        if stride != expected or self.coin():
            args.append(self.stride_words(stride))
        if mode == "same":
            args.append("same")
        elif mode != "valid":
            args += moves.pad_words()
        if mode != "same" and moves.rounding != default["rounding"]:
            args.append(moves.rounding)
        if average and self.coin(3):
            args.append(self.dice.pick(("exclude_pad", "include_pad")))
        head = self.dice.pick(("AVGPOOL", "MEANPOOL")) if average else self.dice.pick(("MAXPOOL", "POOL", "pool"))
        return self.element(shape, head, args, lambda shape, env: (shape[0], *moves.fit(shape[1:])))

    # --- operators

    def label(self, name: str) -> Form:
        """A tensor from before."""
        found = self.labels[name]
        return Form(text(name), lambda shape, env: found, held=True, solid=False)

    def skip(self, shape: Shape, env: Env, depth: int = 0) -> Form | None:
        """What there is, and a tensor from before."""
        fits = [name for name, found in self.labels.items() if len(found) == len(shape) and found[1:] == shape[1:]]
        if not self.in_net or not fits:
            return None
        name = self.dice.pick(fits)
        kind = self.dice.pick(KINDS) if self.labels[name] == shape else "|"
        return self.joining(kind, [same("identity"), self.label(name)], shape, env)

    def group(self, shape: Shape, env: Env, depth: int) -> Form:
        inner = self.path(shape, env, depth - 1)
        return replace(inner, code=grouped(inner.code))

    def repeat(self, shape: Shape, env: Env, depth: int) -> Form:
        inner = self.path(shape, env, depth - 1)
        n = self.number(shape, env, 1, 3)

        def run(shape: Shape, env: Env) -> Shape:
            for _ in range(n.value(shape, env)):
                shape = inner.run(shape, env)
            return shape

        code = Code((bound(inner.code, ATOM), self.dice.pick((" * ", "*", "\n    * ")), bound(n.code, ATOM)), PRODUCT)
        return Form(code, run)

    def claim(self, shape: Shape, env: Env, depth: int) -> Form:
        inner = self.path(shape, env, depth - 1)
        made = self.asserted(inner, shape, env)
        return replace(made, code=grouped(made.code))

    def asserted(self, form: Form, shape: Shape, env: Env) -> Form:
        """`form : shape`. What it claims is right for this shape; at others it may not be."""
        out = form.run(shape, env)
        sizes: list[Number | None] = []
        for i, size in enumerate(out):
            if (self.symbolic and i) or self.coin(6):
                sizes.append(None)
            elif size == shape[0] and self.in_net and self.coin(4):
                sizes.append(Number(text("C"), lambda shape, env: shape[0]))
            else:
                sizes.append(self.literal(size))
        claimed = [
            replace(size.code, faults=(Fault(f"{size.value(shape, env) + 1}", "E0305"),)) if size else text("?")
            for size in sizes
        ]
        digits = all(str(code).isdigit() for code in claimed)
        between = self.dice.pick((" x ", " x ", " × ", "x" if digits else " x "))
        claim = joined(claimed, [between] * (len(claimed) - 1), OPEN, faults=(Fault("{} x 1", "E0305"),))

        def run(shape: Shape, env: Env) -> Shape:
            made = form.run(shape, env)
            need(len(made) == len(sizes) and all(s is None or s.value(shape, env) == m for s, m in zip(sizes, made)))
            return made

        return replace(
            form,
            code=Code((form.code, self.dice.pick((" : ", "  : ", "\n    : ")), claim), OPEN, form.code.commas),
            run=run,
        )

    def decide(self, shape: Shape, env: Env, depth: int) -> Form:
        """`if`: the branch that is not taken is drawn for this shape too, but nothing looks at it."""
        test, holds = self.test(shape, env)
        then, other = self.path(shape, env, depth - 1, 2), self.path(shape, env, depth - 1, 2)
        taken = holds(shape, env)
        gap = self.dice.pick((" ", " ", "\n    "))

        def run(shape: Shape, env: Env) -> Shape:
            return (then if holds(shape, env) else other).run(shape, env)

        one = then.code if taken else replace(then.code, dead=True)
        two = replace(other.code, dead=True) if taken else other.code
        return Form(
            Code(("if ", test, gap, "then ", one, gap, "else ", two), OPEN, one.commas or two.commas),
            run,
            solid=then.solid and other.solid,
        )

    def test(self, shape: Shape, env: Env) -> tuple[Code, Callable[[Shape, Env], bool]]:
        def comparison() -> tuple[Code, Callable[[Shape, Env], bool]]:
            left = Number(text("C"), lambda shape, env: shape[0]) if self.coin() else self.number(shape, env, 1, 16)
            right = self.number(shape, env, 1, 16)
            op = self.dice.pick(("==", "!=", "<", "<=", ">", ">="))
            code = Code((left.code, f" {op} ", right.code))

            def holds(shape: Shape, env: Env) -> bool:
                a, b = left.value(shape, env), right.value(shape, env)
                return {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]

            return code, holds

        a, first = comparison()
        kind = self.dice.pick(("", "", "not", "and", "or"))
        if kind == "":
            return a, first
        if kind == "not":
            return Code(("not ", a)), lambda shape, env: not first(shape, env)
        b, second = comparison()
        if kind == "and":
            return Code((a, " and ", b)), lambda shape, env: first(shape, env) and second(shape, env)
        return Code((a, " or not ", b)), lambda shape, env: first(shape, env) or not second(shape, env)

    def loop(self, shape: Shape, env: Env, depth: int) -> Form:
        """`for i in a..b do f`."""
        name, first = self.fresh("i"), self.dice.between(1, 4)
        last = first + self.dice.between(0, 2)
        self.numbers.append(name)
        body = self.path(shape, ChainMap({name: first}, env), depth - 1, 2)
        self.numbers.remove(name)

        def run(shape: Shape, env: Env) -> Shape:
            for i in range(first, last + 1):
                shape = body.run(shape, ChainMap({name: i}, env))
            return shape

        return Form(Code((f"for {name} in {first}..{last} do ", body.code), OPEN, body.code.commas), run)

    def join(self, shape: Shape, env: Env, depth: int) -> Form | None:
        """`a + b`, `a | b`, `mean(a, b)`, `product(a, b)`."""
        kind = self.dice.pick(KINDS)
        first = self.path(shape, env, depth - 1, 2)
        target = first.run(shape, env)
        branches = [first]
        for _ in range(self.dice.pick((1, 1, 2))):
            branches.append(self.branch(shape, target, env, kind) or same("identity"))
        if self.coin(4) and not branches[-1].held:
            branches.reverse()
        return self.joining(kind, branches, shape, env)

    def gate(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """`gate(…)`: a factor for each channel, for each place, or one for all."""
        n = self.dice.pick((shape[0], shape[0], 1))
        way = self.dice.pick(
            (f"GAP -> FC {n} sigmoid", f"identity, GMP -> FC {n} -> TANH", "CONV 1 k=1 /1 pad=0 sigmoid")
        )

        def run(shape: Shape, env: Env) -> Shape:
            need(len(shape) > 1 and (n in (1, shape[0]) or "CONV" in way))
            return shape

        return Form(text(f"gate({way})", element=True), run)

    def crop_to(self, shape: Shape, env: Env, depth: int) -> Form | None:
        """`crop(f)`, `resize(f)`: the input with the size of what f gives."""
        if self.symbolic or len(shape) == 1:
            return None
        like, resizes = self.path(shape, env, depth - 1, 2), self.coin(3)

        def run(shape: Shape, env: Env) -> Shape:
            out = like.run(shape, env)
            need(len(out) == len(shape) and (resizes or all(a >= b for a, b in zip(shape[1:], out[1:]))))
            return (shape[0], *out[1:])

        try:
            run(shape, env)
        except Misfit:
            return None
        inner = grouped(like.code) if like.code.commas or like.code.level < CONCAT else like.code
        name = self.dice.pick(("crop(", "crop(identity, "))
        if resizes:
            name = name.replace("crop", "resize")
        mode = self.dice.pick((", mode=bilinear)", ")")) if resizes else ")"
        return Form(Code((name, inner, mode), join=True), run)

    def branch(self, shape: Shape, target: Shape, env: Env, kind: str) -> Form | None:
        """A branch that fits one that ends in `target`: in all axes for a sum, in height and width to concatenate."""
        exact = kind != "|"
        ways = ["identity", "label", "match", "bridge", "bridge"]
        way = self.dice.pick(ways)
        if way == "identity":
            return same("identity")
        if way == "match" and exact and self.conv_default["mode"] == "same":
            return same("match_pad" if shape[0] <= target[0] and self.coin(3) else "match")
        if way == "label" and self.in_net and self.labels:
            name = self.dice.pick(list(self.labels))
            found = self.labels[name]
            label = self.label(name)
            if len(found) == len(target) and (found[1:] == target[1:] if not exact else found == target):
                return label
            step = self.bridge(found, target, {}, exact)
            return self.sequence([label, step]) if step is not None else None
        return self.bridge(shape, target, env, exact)

    def bridge(self, shape: Shape, target: Shape, env: Env, exact: bool) -> Form | None:
        """One element or two from one shape to another."""
        if len(target) == 1:
            n = self.literal(target[0]) if exact else self.number(shape, env, 1, 8)
            gap = self.simple("GAP", lambda shape, env: self.pooled(shape), shape)
            fc = self.element(shape[:1], "FC", [bound(n.code, ATOM)], lambda shape, env: (n.value(shape[:1], env),))
            if len(shape) == 1:
                return fc
            return gap if shape[0] == target[0] and self.coin() else self.sequence([gap, fc])
        if len(shape) != len(target):
            return None
        n = self.literal(target[0]) if exact else self.number(shape, env, 1, 8)
        if shape[1:] == target[1:]:
            return self.conv(shape, env, keep=True, channels=n)
        stride = next((s for s in (2, 3) if all(ceil(a / s) == b for a, b in zip(shape[1:], target[1:]))), None)
        axes = len(shape) - 1
        ones = (1,) * axes
        if stride is not None and self.coin():
            return self.convolution(shape, n, Windows((3,) * axes, (stride,) * axes, ones, "same", ones))
        if self.symbolic and any(not 0 <= a - b <= 4 for a, b in zip(shape[1:], target[1:])):
            return None
        # W - k + 2p + 1 = W'
        pad = tuple(max(0, (b - a + 1) // 2) for a, b in zip(shape[1:], target[1:]))
        kernel = tuple(a - b + 2 * p + 1 for a, b, p in zip(shape[1:], target[1:], pad))
        return self.convolution(shape, n, Windows(kernel, ones, ones, "pad", pad))

    def joining(self, kind: str, branches: list[Form], shape: Shape, env: Env, sure: bool = True) -> Form | None:
        """The branches with their operator between them. `sure`: whether it is known what comes out of each."""
        if all(branch.held for branch in branches):
            return None
        matches = [str(branch.code) in ("match", "match_pad") for branch in branches]
        if all(matches):
            return None

        def run(shape: Shape, env: Env) -> Shape:
            outs = [branch.run(shape, env) for branch, match in zip(branches, matches) if not match]
            outs += [matched(shape, outs[0]) for match in matches if match]
            need(len({len(out) for out in outs}) == 1)
            if kind == "|":
                need(len({out[1:] for out in outs}) == 1)
                return limited((sum(out[0] for out in outs), *outs[0][1:]))
            need(len(set(outs)) == 1)
            return outs[0]

        try:
            outs = [() if match else branch.run(shape, env) for branch, match in zip(branches, matches)]
        except Misfit:
            return None
        codes = [branch.code for branch in branches]
        if sure and not any(matches):
            codes = [self.breakable(code, out, kind) for code, out in zip(codes, outs)]
        if kind.isalpha():
            args = [grouped(code) if code.commas or code.level < CONCAT else code for code in codes]
            between = [self.dice.pick((", ", ",\n        ")) for _ in args[1:]]
            return Form(Code((f"{kind}(", joined(args, between, OPEN), ")"), join=True), run)
        level = SUM if kind == "+" else CONCAT
        codes = [bound(code, level + 1) for code in codes]
        between = [self.dice.pick((f" {kind} ", f" {kind} ", f"\n    {kind} ", f" {kind}\n      ")) for _ in codes[1:]]
        code = joined(codes, between, level, join=True)
        if kind == "|" and self.coin(6):  # at the start of a line, a bar would go on with the line before
            code = Code(("(| ", code, ")"))
        return Form(code, run)

    def breakable(self, code: Code, out: Shape, kind: str) -> Code:
        """The branch, with ways to make it differ from the others."""
        if len(out) > 1:
            faults = [
                Fault("(({}) -> CONV 4 k=3 /1 pad=2 dilation=1 groups=1)", "E0301"),
                Fault("(({}) -> GAP)", "E0301"),
            ]
            if kind != "|":
                faults.append(Fault(f"(({{}}) -> CONV {out[0] + 1} k=1 /1 pad=0)", "E0302"))
        else:
            faults = [Fault(f"(({{}}) -> FC {out[0] + 1})", "E0302")] if kind != "|" else []
        code_of = "E0301" if kind == "|" else "E0302"
        return Code(
            (code,), code.level, code.commas, tuple(replace(fault, code=code_of) for fault in faults), blames_join=True
        )

    def bracket(self, shape: Shape, env: Env, depth: int = 0) -> Form | None:
        """`[1x1, 4; 3x3, 4]`: a residual block as in a paper's table."""
        if len(shape) != 3 or self.conv_default["mode"] != "same":
            return None
        channels = [self.dice.between(1, 8) for _ in range(self.dice.between(1, 3))]
        stride = self.dice.pick((1, 1, 2))
        rows = [f"{k}x{k}{self.dice.pick((', ', ' '))}{c}" for c in channels for k in [self.dice.pick((1, 3))]]
        rows[0] += " /2" if stride == 2 else ""
        between = self.dice.pick(("; ", ";", "\n     "))
        return Form(
            text(f"[{between.join(rows)}]"),
            lambda shape, env: matched(shape, strided(self.flat(shape), channels[-1], stride)),
        )

    def flat(self, shape: Shape) -> Shape:
        need(len(shape) == 3)
        return shape

    def use(self, shape: Shape, env: Env, depth: int = 0) -> Form | None:
        """A block that a `let` has named."""
        if not self.in_net or not self.lets:
            return None
        name = self.dice.pick(list(self.lets))
        drawn_for, form = self.lets[name]
        calls = name if shape == drawn_for else ""
        return Form(text(name, calls=calls), lambda shape, env: form.run(shape, self.net), solid=False)

    # --- blocks

    def call(self, shape: Shape, env: Env, depth: int) -> Form | None:
        """A call of a block: one that is there already, or a new one."""
        if self.blocks and self.coin():
            known = self.blocks[self.dice.pick(list(self.blocks))]
            return self.called(known, shape, env, depth, again=True)
        if len(self.blocks) >= 4:
            return None
        return self.called(self.define(shape, env, depth), shape, env, depth, again=False)

    def called(self, block: Definition, shape: Shape, env: Env, depth: int, again: bool) -> Form | None:
        """The call, with arguments by position, then by name; what has a default may be left out."""
        given: dict[str, Number | Form] = {}
        words: list[Code] = []
        by_name = False
        for param in block.params:
            if param.default is not None and self.coin():
                by_name = True
                continue
            arg: Number | Form
            if param.value is None:
                arg = self.path(shape, env, max(0, depth - 1), 2)
                if arg.held:
                    return None
            elif again and self.coin():
                arg = self.number(shape, env, max(1, param.value - 2), param.value + 2)
            else:
                arg = self.number(shape, env, param.value, param.value)
            code = grouped(arg.code) if arg.code.commas else arg.code
            code = Code((code,), dead=param.late)
            by_name = by_name or self.coin(4)
            words.append(Code((f"{param.name}=", code)) if by_name else code)
            given[param.name] = arg

        def run(shape: Shape, env: Env) -> Shape:
            inner: Env = {}
            for param in block.params:
                inner[param.name] = self.argument(given.get(param.name), param, shape, env, inner)
            return block.body.run(shape, inner)

        calls = "" if again else block.name  # only of the first call it is sure what does not fit inside
        code = Code((block.name,), calls=calls)
        if words or self.coin(4):
            between = [self.dice.pick((", ", ", ", ",", ",\n        ")) for _ in words[1:]]
            last = self.dice.pick((")", ")", ")", ",)")) if words else ")"
            code = Code((block.name, "(", joined(words, between, OPEN) if words else "", last), calls=calls)
        return Form(code, run)

    def argument(self, given: Number | Form | None, param: Parameter, shape: Shape, env: Env, inner: Env) -> Any:
        """What a parameter stands for. A number is taken where the block is applied, a block where it is used."""
        value = given or param.default
        seen = env if given is not None else dict(inner)
        if isinstance(value, Form):
            form = value
            return lambda shape: form.run(shape, seen)
        assert value is not None
        return value.value(shape, seen)

    def define(self, shape: Shape, env: Env, depth: int) -> Definition:
        """A new block, drawn for the shape on which it will be called first."""
        name = self.fresh("block_")
        outer = self.params, self.numbers, self.frame, self.enters
        self.params, self.numbers, self.frame, self.enters = [], [], {}, shape
        inner = self.frame
        try:
            kind = self.dice.pick(("plain", "plain", "wrapper", "recursive"))
            if kind == "wrapper":
                body = self.wrapper(shape, inner)
            elif kind == "recursive":
                body = self.recursive(name, shape, inner, depth)
            else:
                body = self.path(shape, inner, depth - 1)
            params = self.params
        finally:
            self.params, self.numbers, self.frame, self.enters = outer
        heads = [Code((p.name, "=", p.default.code)) if p.default is not None else text(p.name) for p in params]
        head: list[str | Code] = [f"block {name}"]
        if heads:
            head += ["(", joined(heads, [", "] * (len(heads) - 1), OPEN), ")"]
        code = Code((*head, self.dice.pick((" = ", " =\n    ")), body.code))
        definition = Definition(name, params, body, code)
        self.blocks[name], self.codes[name] = definition, code
        return definition

    def wrapper(self, shape: Shape, env: Env) -> Form:
        """A block that is given a block."""
        assert self.params is not None
        name = self.dice.pick(("f", "inner"))
        default = None
        if self.coin(3):
            default = self.dice.pick((same("identity"), same("RELU"), same("BN -> TANH", SEQ)))
        self.params.append(Parameter(name, None, default))

        def f() -> Form:
            return Form(text(name), lambda shape, env: env[name](shape))

        relu = Form(text(self.dice.pick(ACTIVATIONS[:3]), element=True), lambda shape, env: shape)
        kind = self.dice.pick(("chain", "residual", "dense", "twice", "mean", "repeat", "both"))
        if kind == "chain":
            return self.sequence([f(), relu])
        if kind == "twice":
            return self.sequence([f(), f()])
        if kind == "repeat":
            return Form(text(f"{name} * 2", PRODUCT), lambda shape, env: env[name](env[name](shape)))
        env = ChainMap({name: lambda shape: shape}, env)
        operator = {"residual": "+", "dense": "|", "mean": "mean", "both": "+"}[kind]
        shortcut = same("match" if self.conv_default["mode"] == "same" else "identity")
        second = {"residual": shortcut, "both": f()}.get(kind, same("identity"))
        made = self.joining(operator, [f(), second], shape, env, sure=False)
        assert made is not None
        return self.sequence([made, relu]) if self.coin() else made

    def recursive(self, name: str, shape: Shape, env: Env, depth: int) -> Form:
        """A block that calls itself with one less, until there is one left."""
        assert self.params is not None
        n = self.fresh("n")
        value = self.dice.between(1, 3)
        self.params.append(Parameter(n, value, self.literal(value) if self.coin() else None))
        self.numbers.append(n)
        env[n] = self.frame[n] = value
        end = self.dice.pick(("", "end"))
        if end:
            self.params.append(Parameter(end, None, same("identity"), late=True))
            env[end] = lambda shape: shape
        base, step = self.path(shape, env, 0, 2), self.path(shape, env, 0, 2)
        others = [param for param in self.params if param.name != n]
        passed = [param for param in others if param.default is None or self.coin()]
        words = "".join(f", {param.name}={param.name}" for param in passed)
        if others and len(passed) == len(others) and self.coin():
            words = "".join(f", {param.name}" for param in others)
        after: list[str | Code] = [" -> end"] if end else []

        def run(shape: Shape, env: Env) -> Shape:
            if env[n] == 1:
                shape = base.run(shape, env)
                return env[end](shape) if end else shape
            need(1 < env[n] < 50)  # blocks may call one another 200 deep
            shape = step.run(shape, env)
            inner: Env = {n: env[n] - 1}
            for param in others:
                inner[param.name] = (
                    env[param.name] if param in passed else self.argument(None, param, shape, env, inner)
                )
            return run(shape, inner)

        test = self.dice.pick((f"{n} == 1", f"{n} <= 1", f"not {n} > 1"))
        one, two = bound(base.code, PRODUCT), bound(step.code, PRODUCT)
        first, then = (Code((one,)), Code((two,), dead=True)) if value == 1 else (Code((one,), dead=True), Code((two,)))
        code = Code(
            (f"if {test} then ", first, *after, "\n    else ", then, f" -> {name}({n} - 1{words})"),
            OPEN,
            one.commas or two.commas,
        )
        ordered = sorted(self.params, key=lambda param: param.name != n)  # n comes first: the call gives it by position
        self.params[:] = ordered
        return Form(code, run)

    # --- the prelude

    def prelude(self, shape: Shape, env: Env, depth: int) -> Form | None:
        """A call of a shipped block."""
        if self.conv_default["mode"] != "same" or self.conv_default["kernel"] != 3:
            return None
        if len(shape) != 3:
            return self.fractal(shape, env, depth) if len(shape) > 1 else None
        form: Form | None = getattr(self, self.dice.pick(SHIPPED))(shape, env, depth)
        return form

    def written_call(self, name: str, args: Sequence[str | Number | Form], run: Run, **more: Any) -> Form:
        codes = [
            text(arg) if isinstance(arg, str) else grouped(arg.code) if arg.code.commas else arg.code for arg in args
        ]
        between = [self.dice.pick((", ", ", ", ",", ",\n        ")) for _ in codes[1:]]

        def flat(shape: Shape, env: Env) -> Shape:
            return run(self.flat(shape), env)

        return Form(Code((name, "(", joined(codes, between, OPEN), ")")), flat, **more)

    def branch_block(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """basic or bottleneck, by name alone or with arguments."""
        name = self.dice.pick(("basic", "bottleneck"))
        widen = 4 if name == "bottleneck" else 1
        if self.coin(3):

            def channels(shape: Shape) -> int:
                need(shape[0] % widen == 0)
                return shape[0] // widen

            def plain(shape: Shape, env: Env, stride: int = 1) -> Shape:
                return strided(self.flat(shape), widen * channels(shape), stride)

            return Form(text(name), plain, residual=plain)
        n = self.number(shape, env, 1, 6)
        stride = self.dice.pick((1, 1, 2))

        def run(shape: Shape, env: Env, stride: int = stride) -> Shape:
            return strided(self.flat(shape), widen * n.value(shape, env), stride)

        args: list[str | Number] = [n] if stride == 1 else [n, self.dice.pick(("stride=2", "2"))]
        return replace(self.written_call(name, args, run), residual=run)

    def residual(self, shape: Shape, env: Env, depth: int) -> Form:
        f = self.branch_block(shape, env) if self.coin() else self.path(shape, env, max(0, depth - 1), 2)
        return self.written_call("residual", [f], lambda shape, env: matched(shape, f.run(shape, env)))

    def stage(self, shape: Shape, env: Env, depth: int) -> Form | None:
        f = self.branch_block(shape, env)
        n = self.number(shape, env, 1, 3)
        if "stride" in str(f.code) or re.search(r", ?\s*2\)$", str(f.code)):
            return None
        step = f.residual
        assert step is not None

        def run(shape: Shape, env: Env) -> Shape:
            blocks = n.value(shape, env)
            shape = matched(shape, step(shape, env, 2))
            for _ in range(blocks - 1):
                shape = matched(shape, step(shape, env, 1))
            return shape

        return self.written_call("stage", [f, n], run)

    def preact(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        n, stride = self.number(shape, env, 1, 5), self.dice.pick((1, 2))
        args: list[str | Number] = [n] if stride == 1 else [n, "stride=2"]
        return self.written_call(
            "preact", args, lambda shape, env: matched(shape, strided(shape, 4 * n.value(shape, env), stride))
        )

    def wide(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        n, stride = self.number(shape, env, 1, 12), self.dice.pick((1, 2))
        args: list[str | Number] = [n] if stride == 1 else [n, "2"]
        return self.written_call(
            "wide", args, lambda shape, env: matched(shape, strided(shape, n.value(shape, env), stride))
        )

    def resnext(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        """groups*width*c/64 filters in the middle: 2*8*8/64 = 2, 4*8*4/64 = 2 (not a multiple of 4) and so on."""
        groups, width, c = self.dice.pick(((2, 8, 8), (2, 16, 4), (1, 16, 4), (2, 32, 2), (4, 16, 4)))
        stride = self.dice.pick((1, 2))
        args = [str(c), f"groups={groups}", f"width={width}", *(["stride=2"] if stride == 2 else [])]
        return self.written_call("resnext", args, lambda shape, env: strided(shape, 4 * c, stride))

    def fire(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        s, e = self.number(shape, env, 1, 6), self.number(shape, env, 1, 8)
        return self.written_call(
            "fire", [s, e], lambda shape, env: limited((2 * e.value(shape, env) + 0 * s.value(shape, env), *shape[1:]))
        )

    def inception(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        six = [self.number(shape, env, 1, 5) for _ in range(6)]

        def run(shape: Shape, env: Env) -> Shape:
            a, _, c, _, e, f = (n.value(shape, env) for n in six)
            return limited((a + c + e + f, *shape[1:]))

        return self.written_call("inception", six, run)

    def dense(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        n, k = self.dice.between(1, 3), self.dice.between(1, 6)
        if self.coin(3):
            return self.written_call("dense_layer", [str(k)], lambda shape, env: limited((shape[0] + k, *shape[1:])))
        return self.written_call(
            "dense_block", [str(n), str(k)], lambda shape, env: limited((shape[0] + n * k, *shape[1:]))
        )

    def transition(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        theta = self.dice.pick(("0.5", "1/4", "0.75", "1"))

        def run(shape: Shape, env: Env) -> Shape:
            channels = floor(Fraction(theta) * shape[0])
            need(channels > 0 and all(n % 2 == 0 for n in shape[1:]))
            return (channels, *(n // 2 for n in shape[1:]))

        if theta == "0.5" and self.coin():
            return Form(text("transition"), lambda shape, env: run(self.flat(shape), env))
        return self.written_call("transition", [theta], run)

    def mlpconv(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        n, k, s, p = (
            self.number(shape, env, 1, 8),
            self.dice.between(1, 4),
            self.dice.between(1, 2),
            self.dice.between(0, 1),
        )

        def run(shape: Shape, env: Env) -> Shape:
            return limited((n.value(shape, env), *(windows(size, k, (p, p), s, "floor") for size in shape[1:])))

        return self.written_call("mlpconv", [n, f"k={k}", f"stride={s}", f"padding={p}"], run)

    def fractal(self, shape: Shape, env: Env, depth: int = 0) -> Form:
        n, c = self.dice.between(1, 3), self.number(shape, env, 1, 6)
        end = self.dice.pick(("", "POOL", "TANH", "DROPOUT 0.1")) if self.pool_default["stride"] is None else ""
        args: list[str | Number] = [str(n), c, *([end] if end else [])]

        def run(shape: Shape, env: Env) -> Shape:
            out = strided(shape, c.value(shape, env))
            if end != "POOL":
                return out
            need(all(size % 2 == 0 for size in out[1:]))
            return (out[0], *(size // 2 for size in out[1:]))

        return replace(self.written_call("fractal", args, run), run=run)

    # --- the lines of a network

    def program(self) -> Program:
        inputs = self.inputs()
        statements: list[Code] = []
        header = self.header()
        given, declared = self.input_lines(inputs)
        statements += self.default_lines(len(inputs[0][1]) - 1)
        shape = inputs[0][1]
        main: Shape | None = shape if len(inputs) == 1 else None
        training: list[Shape] = []
        replaceable: list[tuple[str, Code, Shape, Shape]] = []
        solid: list[str] = []
        for _ in range(self.dice.between(1, 6)):
            kind = (
                self.dice.pick(("line", "line", "line", "line", "let", "training", "side"))
                if main is not None
                else "line"
            )
            if kind == "let":
                statements.append(self.let_line(shape))
            elif kind == "training":
                form = self.start(shape)
                training.append(form.run(shape, self.net))
                statements.append(Code(("output ", self.fresh("aux"), " = ", form.code)))
            elif kind == "side" and self.labels:
                statements.append(self.side_line())
            else:
                before = shape
                form = self.start(shape) if main is not None else self.first(inputs)
                if self.coin(3):
                    form = self.asserted(form, shape, self.net) if main is not None else form
                shape = main = form.run(shape, self.net)
                label = self.fresh(self.dice.pick(("a", "conv", "part_", "é"))) if self.coin() else ""
                line = Code((f"{label} = ", form.code) if label else (form.code,))
                statements.append(line)
                if label:
                    if form.solid and not form.held:
                        solid.append(label)
                        replaceable.append((label, line, before, shape))
                    self.labels[label] = shape
        if main is None:
            form = self.first(inputs)
            shape = form.run(shape, self.net)
            statements.append(Code((form.code,)))
        outputs = [shape]
        if self.labels and self.coin(4):
            names = list(self.labels)
            chosen = sorted({self.dice.pick(names) for _ in range(2)}, key=names.index)
            statements.append(text("output " + ", ".join(chosen)))
            outputs = [self.labels[name] for name in chosen]
        if solid and self.coin(4):
            statements.append(
                text("freeze " + self.dice.pick((", ", " ")).join(dict.fromkeys([solid[0], self.dice.pick(solid)])))
            )
        if self.coin(6):
            statements.append(text(self.dice.pick(BUDGETS)))
        made: list[Code] = []
        replaced = None
        if header is not None and replaceable and not self.symbolic and self.coin(6):
            label, replaced, before, after = self.dice.pick(replaceable)
            made = self.made_from(header, label, before, after)
        code, live = self.assembled(header, given, statements, made, replaced)
        sites = tuple(self.sites(live))
        return Program(code, tuple(size for _, size in inputs), tuple(outputs), tuple(training), sites, tuple(declared))

    def inputs(self) -> list[tuple[str, Shape]]:
        """Each with its name; the only one may have none."""
        axes = self.dice.pick((2, 2, 2, 2, 1, 3)) if self.symbolic else self.dice.pick((2, 2, 2, 2, 2, 1, 1, 3, 3, 0))
        top = {0: 0, 1: 20, 2: 16, 3: 6}[axes]
        shape = (self.dice.between(1, 12), *(self.dice.between(4 if axes < 3 else 3, top) for _ in range(axes)))
        if self.symbolic:
            shape = (shape[0], *(self.dice.pick((16, 16, 12, 20, 24, 15)) for _ in range(axes)))
        if axes == 2 and self.coin():
            shape = (shape[0], shape[1], shape[1])
        if self.coin(6):
            other = shape if self.coin() else (self.dice.between(1, 8), *shape[1:])
            return [(self.fresh("left"), shape), (self.fresh("right"), other)]
        return [(self.fresh("img") if self.coin(4) else "", shape)]

    def header(self) -> Code | None:
        if not self.symbolic and self.coin(6):
            return None
        params = []
        for _ in range(self.dice.pick((0, 0, 1, 2))):
            name, value = self.fresh("p"), self.dice.between(1, 10)
            self.net[name] = value
            self.numbers.append(name)
            params.append(f"{name}={value}")
        return text("net " + self.fresh("net_") + (f"({', '.join(params)})" if params else ""))

    def input_lines(self, inputs: list[tuple[str, Shape]]) -> tuple[list[Code], list[Code]]:
        """The lines, and the shapes in them."""
        lines, declared = [], []
        for name, shape in inputs:
            if name:
                self.labels[name] = shape
            declared.append(text(self.extent_of_input(shape)))
            lines.append(Code((f"input {name} = " if name else "input ", declared[-1])))
        return lines, declared

    def extent_of_input(self, shape: Shape) -> str:
        sizes = [str(n) for n in shape]
        if not self.symbolic:
            known = [name for name, value in self.net.items() if value == shape[0]]
            sizes[0] = known[0] if known else sizes[0]
            if not known and len(sizes) > 1 and self.coin(4):
                return "x".join(sizes)
        return " x ".join(sizes)

    def default_lines(self, axes: int) -> list[Code]:
        """What holds for all elements that follow."""
        lines = []
        for _ in range(self.dice.pick((0, 0, 1, 2))):
            kind = self.dice.pick(DEFAULTS)
            if kind == "CONV valid":
                self.conv_default["mode"] = "valid"
            elif kind == "CONV floor":
                self.conv_default["rounding"] = "floor"
            elif kind == "conv k=1":
                self.conv_default["kernel"] = 1
            elif kind == "POOL k=3 /2 ceil":
                self.pool_default.update(kernel=3, stride=2, rounding="ceil")
            lines.append(text(f"default {kind}"))
        return lines

    def start(self, shape: Shape) -> Form:
        """A line: a path from where the main one stands, or from a label."""
        if self.labels and self.coin(5):
            name = self.dice.pick(list(self.labels))
            if self.coin(6):
                return self.label(name)
            return self.sequence([self.label(name), *self.steps(self.labels[name], self.net, 2, 2)])
        forms = self.steps(shape, self.net, 3, 3)
        return self.lines(forms) if len(forms) > 1 and self.coin(5) else self.sequence(forms)

    def first(self, inputs: list[tuple[str, Shape]]) -> Form:
        """With several inputs the path starts from one of them, or from all."""
        (left, a), (right, b) = inputs
        if a[1:] == b[1:] and self.coin():
            kind = "+" if a == b and self.coin() else "|"
            out = a if kind == "+" else (a[0] + b[0], *a[1:])
            both = Form(Code((f"({left} {kind} {right})",)), lambda shape, env: out, held=True)
            return self.sequence([both, *self.steps(out, self.net, 2, 2)])
        name, shape = inputs[self.dice.between(0, 1)]
        return self.sequence([self.label(name), *self.steps(shape, self.net, 2, 2)])

    def let_line(self, shape: Shape) -> Code:
        """A number, a block or a side path."""
        kind = self.dice.pick(("block", "number", "tensor"))
        if kind == "number":
            name, n = self.fresh("m"), self.number(shape, self.net, 1, 8)
            self.net[name] = n.value(shape, self.net)
            self.numbers.append(name)
            return Code((f"let {name} = ", n.code))
        if kind == "tensor" and self.labels:
            return self.side_line()
        name = self.fresh("let_")
        form = self.path(shape, self.net, 1, 2)
        self.lets[name], self.codes[name] = (shape, form), form.code
        return Code((f"let {name} = ", Code((form.code,), dead=True)))

    def side_line(self) -> Code:
        """`let s = pool4 -> CONV 21 1x1`."""
        name = self.dice.pick(list(self.labels))
        found = self.labels[name]
        steps = self.steps(found, self.net, 1, 2)
        form = self.sequence([self.label(name), *steps])
        side = self.fresh("s")
        self.labels[side] = form.run(found, self.net)
        return Code((f"let {side} = ", form.code))

    def made_from(self, header: Code, label: str, before: Shape, after: Shape) -> list[Code]:
        """`net b = a with`, where a line is replaced by another of the same shape, if one element makes that."""
        self.numbers = []
        step = self.bridge(before, after, {}, exact=True)
        base = str(header).removeprefix("net ").partition("(")[0]
        lines = [text(f"net {self.fresh('net_')} = {base} with")]
        if step is not None:
            lines.append(Code((f"    {label} = ", step.code)))
        if self.coin():
            lines.append(text(f"    freeze {label}"))
        if self.coin(4):
            lines.append(text(f"    {self.dice.pick(BUDGETS)}"))
        return lines

    def assembled(
        self, header: Code | None, given: list[Code], statements: list[Code], made: list[Code], replaced: Code | None
    ) -> tuple[Code, list[Code]]:
        """The lines of the file, blocks before or after the network, and the pieces that are elaborated."""
        blocks = [block.code for block in self.blocks.values()]
        split = self.dice.between(0, len(blocks)) if self.coin(4) and header is not None else len(blocks)
        before = [*blocks[:split], *([header] if header else []), *given, *statements]
        lines = [*before, *blocks[split:]] if not made else [*before, *made, *blocks[split:]]
        parts: list[str | Code] = [self.dice.pick(COMMENTS) + "\n"] if self.coin(6) else []
        for line in lines:
            parts += [self.dice.pick(("", "", "", "", "\n", "  ")), line]
            parts.append(f"  {self.dice.pick(COMMENTS)}\n" if self.coin(8) else "\n")
        if self.coin(4):
            parts[-1] = ""
        return Code(tuple(parts)), [*(line for line in statements if line is not replaced), *made]

    def sites(self, live: list[Code]) -> Iterator[Site]:
        """Every place that is elaborated and can be broken."""
        reached: set[str] = set()
        todo: list[Code] = list(live)

        def visit(piece: Code, join: Code | None) -> Iterator[Site]:
            if piece.dead:
                return
            join = piece if piece.join else join
            if piece.calls and piece.calls not in reached:
                reached.add(piece.calls)
                todo.append(self.codes[piece.calls])
            for fault in piece.faults:
                if not piece.blames_join:
                    yield Site(piece, fault, piece)
                elif join is not None:
                    yield Site(piece, fault, join)
            for part in piece.parts:
                if isinstance(part, Code):
                    yield from visit(part, join)

        while todo:
            yield from visit(todo.pop(), None)


# --- strategies ------------------------------------------------------------------------------------------------------


def draw_program(draw: st.DrawFn, symbolic: bool) -> Program:
    """Some choice by choice, which shrink well, and some from a seed, which are more varied."""
    room = draw(st.integers(1, 40))
    seed = draw(st.none() | st.integers(0, 2**32 - 1))
    dice = Drawn(draw) if seed is None else Thrown(seed)
    return Author(dice, symbolic, room).program()


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Networks that must be accepted."""
    return draw_program(draw, symbolic=False)


@st.composite
def symbolic_programs(draw: st.DrawFn) -> Program:
    """Networks for open heights and widths, `with_inputs("3 x H x W")`. The text itself has sizes that fit."""
    return draw_program(draw, symbolic=True)


BUDGETS = (
    "require params < 1T",
    "require  params<1T , depth<=2*(1_000+3K),weights < 1.5TiB",
    "require layers >= 0,\n    trainable_params <= 1e12 , # c\n depth < 1G/2",
)
"""Lines with budgets that every drawn network keeps."""

WORDS = """
    CONV POOL MAXPOOL AVGPOOL FC GAP BN RELU LRN DROPOUT FLATTEN UPSAMPLE DECONV SOFTMAX conv relu bn conv3-8
    net block import input output default freeze let require with if then else for in do and or not x
    identity match mean residual basic bottleneck stage fire inception dense_block fractal transition preact
    a b c f n i C H W D a.b é same valid floor ceil max min round pad groups stride k init he nobias linear bias
    -> + | * / - = == != < <= > >= : ; , . .. ( ) [ ] ( ) ? # " ' { } × → & @ \\ ~
    params macs depth 5M 2GB 1_000 3ms
    0 1 2 3 4 8 16 0.5 1e3 1e-4 1e99 3x3 1x1 3x 2x2x2 0x0 /2 /0 /(1+1) 1/3 f(n-1) f(2,c=3) (CONV_4)*2
    999999999 1000000000000000000 99999999999999999999
"""
VOCABULARY = (
    *WORDS.split(),
    *("\n", "\n", "\n", "\n  ", "# c\n", "input 3 x 8 x 8\n", "net n\n", "input 3 x H x W\n", 'import "lenet5"\n'),
    *("block f(n, c=C) = ", "(CONV 4) * 2", "\r\n", "\r", "\t", " ", "\x0b", "\x0c", "\x85", "\0", "\u2028", "\ufeff"),
)
"""What soups are made of: words, operators, numbers good and bad, and characters that files should not hold."""


def pieces_of(source: str) -> list[str]:
    """The text cut into tokens and blanks."""
    return re.findall(r"\s|\w+|->|==|!=|<=|>=|\.\.|.", source, re.DOTALL)


@st.composite
def soups(draw: st.DrawFn) -> str:
    """Words of the language in no order."""
    words = draw(st.lists(st.sampled_from(VOCABULARY), max_size=25))
    blanks = draw(st.sampled_from((" ", " ", "", "\n")))
    start = draw(st.sampled_from(("", "net n\ninput 3 x 8 x 8\n", "input 4 x H x W\n", "block f(n=2) = ")))
    return start + blanks.join(words)


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """A program in which a few words or characters were removed, doubled, exchanged or replaced."""
    source = draw(programs()).text
    pieces = pieces_of(source) if draw(st.integers(0, 3)) else list(source)
    for _ in range(draw(st.integers(1, 3))):
        if not pieces:
            break
        at, other = draw(st.integers(0, len(pieces) - 1)), draw(st.integers(0, len(pieces) - 1))
        kind = draw(st.sampled_from(("delete", "double", "swap", "replace", "insert", "cut", "copy")))
        if kind == "delete":
            del pieces[at]
        elif kind == "double":
            pieces.insert(at, pieces[at])
        elif kind == "swap":
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif kind == "replace":
            pieces[at] = draw(st.sampled_from(VOCABULARY))
        elif kind == "insert":
            pieces.insert(at, draw(st.sampled_from(VOCABULARY)))
        elif kind == "cut":
            del pieces[at : at + draw(st.integers(1, 20))]
        else:
            pieces[at:at] = pieces[other : other + draw(st.integers(1, 20))]
    return "".join(pieces)
