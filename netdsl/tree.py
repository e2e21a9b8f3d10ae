"""What did the author write?  The syntax tree: one class for each form of the language, each with its span."""

from __future__ import annotations

from fractions import Fraction

from netdsl.record import Record
from netdsl.source import Source, Span


class Tree(Record):
    """A piece of syntax and where it stands."""

    span: Span


class Expr(Tree):
    """Something with a value: a number, a name, or a block (a function from a tensor to a tensor)."""


# --- atoms -----------------------------------------------------------------------------------------------------


class Number(Expr):
    """`64`, `0.5`, `1e-4`: exact."""

    value: int | Fraction


class Name(Expr):
    """`pool4`, `classes`, `C`, `RELU`."""

    id: str


class Text(Expr):
    """`"bilinear"`."""

    value: str


class Amount(Expr):
    """`5M`, `4.8MB`, `60_965_224`: exact, and the unit as it was written."""

    value: int | Fraction
    unit: str


class Extent(Expr):
    """One number for each axis: `3x3`, `k x k`."""

    sizes: tuple[Expr, ...]


class Group(Expr):
    """`(…)`."""

    inner: Expr


# --- application -----------------------------------------------------------------------------------------------


class Stride(Tree):
    """`/2` among bare arguments."""

    value: Expr


class Keyword(Tree):
    """`groups=2` among bare arguments, `stride=2` in a call."""

    name: str
    value: Expr


Arg = Expr | Stride | Keyword


class App(Expr):
    """A primitive with bare arguments: `CONV 64 3x3 /2`."""

    head: Expr
    args: tuple[Arg, ...]


class Call(Expr):
    """A block with call arguments: `fire(16, 64)`."""

    head: Name
    args: tuple[Arg, ...]


# --- operators -------------------------------------------------------------------------------------------------


class Seq(Expr):
    """`a -> b`; the lines of a parenthesis are one, too."""

    items: tuple[Expr, ...]
    lines: bool = False


class Sum(Expr):
    """`a + b - c`: arithmetic between numbers, a sum of outputs between blocks. `ops[i]` stands before `items[i+1]`."""

    items: tuple[Expr, ...]
    ops: tuple[str, ...]


class Product(Expr):
    """`a * b / c`: arithmetic between numbers, a repeat between a block and a number."""

    items: tuple[Expr, ...]
    ops: tuple[str, ...]


class Concat(Expr):
    """`a | b`."""

    items: tuple[Expr, ...]


class Negative(Expr):
    """`-a`."""

    inner: Expr


class If(Expr):
    """`if a then b else c`."""

    test: Expr
    then: Expr
    other: Expr


class For(Expr):
    """`for i in a..b do f`: f at a, then at a + 1, … then at b, in sequence."""

    var: str
    first: Expr
    last: Expr
    body: Expr


class Compare(Expr):
    """`a == b`; op is one of == != < <= > >=."""

    op: str
    left: Expr
    right: Expr


class Logic(Expr):
    """`a and b`, `a or b`."""

    op: str
    items: tuple[Expr, ...]


class Not(Expr):
    """`not a`."""

    inner: Expr


class Anything(Expr):
    """`?` in an assertion: whatever this size is."""


class Shape(Tree):
    """`64 x H/2 x ?`."""

    sizes: tuple[Expr, ...]


class Assertion(Expr):
    """`a : 64 x 56 x 56`, which the compiler proves."""

    inner: Expr
    shape: Shape


class Faulty(Expr):
    """Something that can be read in two ways: it has been refused, and has no value."""


# --- statements ------------------------------------------------------------------------------------------------


class Param(Tree):
    """A parameter of a net or a block, with its default."""

    name: str
    default: Expr | None


class Net(Tree):
    """`net vgg16(classes=1000)`."""

    name: Name
    params: tuple[Param, ...]


class NetFrom(Tree):
    """`net pets = vgg16 with`: the lines that follow replace labelled elements of the base."""

    name: Name
    params: tuple[Param, ...]
    base: Expr
    changes: bool


class Block(Tree):
    """`block fire(s, e) = …`."""

    name: Name
    params: tuple[Param, ...]
    body: Expr


class Import(Tree):
    """`import "blocks.net"`, `import "vgg16"`."""

    path: str


class Input(Tree):
    """`input 3 x 224 x 224`, `input left = …`."""

    label: Name | None
    shape: Shape


class Output(Tree):
    """`output boxes, scores`: these labels are the network's outputs."""

    labels: tuple[Name, ...]


class TrainingOutput(Tree):
    """`output aux1 = a4 -> …`: one more output, in training only."""

    label: Name
    value: Expr


class Default(Tree):
    """`default CONV bn relu`."""

    head: Name
    args: tuple[Arg, ...]


class Freeze(Tree):
    """`freeze features`."""

    labels: tuple[Name, ...]


class Let(Tree):
    """`let s = …`: a number, a block or a side path."""

    label: Name
    value: Expr


class Budget(Tree):
    """`memory(batch=32) < 2GB`; op is one of == != < <= > >=."""

    quantity: Name | Call
    op: str
    bound: Expr


class Require(Tree):
    """`require params < 5M, macs < 1G`: what is built has to keep within that."""

    budgets: tuple[Budget, ...]


class Element(Tree):
    """A line of the network, labelled or not."""

    label: Name | None
    value: Expr


Statement = (
    Net | NetFrom | Block | Import | Input | Output | TrainingOutput | Default | Freeze | Let | Require | Element
)


class File(Record):
    """A whole file."""

    source: Source
    statements: tuple[Statement, ...]
    whole: bool = True
    """Whether every statement could be read."""


def children(tree: Tree) -> list[Tree]:
    """The pieces directly inside `tree`, in order."""
    found: list[Tree] = []
    for name in tree.fields:
        value = getattr(tree, name)
        if isinstance(value, Tree):
            found.append(value)
        elif isinstance(value, tuple):
            for part in value:
                found.extend(
                    [part]
                    if isinstance(part, Tree)
                    else [p for p in part if isinstance(p, Tree)]
                    if isinstance(part, tuple)
                    else []
                )
    return found


def content(tree: object) -> object:
    """What a tree says, without where it stands: equal for trees whose texts differ in layout alone."""
    if isinstance(tree, Tree):
        return (type(tree).__name__, *[content(getattr(tree, name)) for name in tree.fields if name != "span"])
    return tuple([content(part) for part in tree]) if isinstance(tree, tuple) else tree
