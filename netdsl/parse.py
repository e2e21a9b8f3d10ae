"""What does the text say?  text → syntax tree, or syntax errors worth reading.

Lark does the parsing. The built grammar is kept in a folder of the user's own (it is a pickle, so never in a shared
one); a damaged or foreign file there is ignored and rebuilt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Label, diagnose
from netdsl.ops import BY_FLAG
from netdsl.source import Source, Span

if TYPE_CHECKING:
    import lark

MAX_NESTING = 100
"""Parentheses, brackets and `else if` may nest this deep. The deepest published network needs four."""
MAX_DIGITS = 18
MAX_ERRORS = 20
MAX_LENGTH = 20_000_000


def parse(source: Source) -> tuple[t.File, list[Diagnostic]]:
    """The tree of a file. With errors, the statements that could be read are there, the others are not."""
    faults = _unreadable(source)
    if faults:
        return t.File(source, (), whole=False), faults
    text = source.text
    if text.startswith("\ufeff"):  # a byte order mark is no part of the text
        text = " " + text[1:]
    errors: list[Diagnostic] = []
    while True:
        try:
            root = _grammar().parse(text)
            break
        except _lark().UnexpectedInput as error:
            diagnostic, end = _syntax_error(source, text, error)
            errors.append(diagnostic)
            if len(errors) >= MAX_ERRORS:
                return t.File(source, (), whole=False), errors
            text = _blank(source, text, error.pos_in_stream or 0, end)
    too_deep = _depth(root)
    if too_deep is not None:
        return t.File(source, (), whole=False), [*errors, _nesting(source, too_deep)]
    build = _Builder(source)
    statements = tuple([build(item) for item in root.children])
    return t.File(source, statements, whole=not errors), errors + build.faults


# --- the grammar, cached -------------------------------------------------------------------------------------------


@cache
def _lark() -> Any:
    import lark

    return lark


@cache
def _grammar() -> lark.Lark:
    import hashlib
    import pickle

    Lark = _lark().Lark
    text = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    key = hashlib.sha256(f"{_lark().__version__}\n{text}".encode()).hexdigest()[:16]
    kept = cache_folder() / f"grammar-{key}.pickle"
    try:
        with kept.open("rb") as file:
            loaded: lark.Lark = Lark.load(file)
            return loaded
    except FileNotFoundError:
        pass
    except (OSError, pickle.PickleError, EOFError, ValueError, KeyError, AttributeError, TypeError, ImportError, IndexError):
        pass  # torn or foreign: build it again and replace it
    built = Lark(text, parser="lalr", lexer="contextual", maybe_placeholders=True)
    _keep(built, kept)
    return built


def cache_folder() -> Path:
    """The folder for what can be rebuilt: $NETDSL_CACHE, else netdsl in the user's cache folder."""
    if own := os.environ.get("NETDSL_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "netdsl"


def _keep(grammar: lark.Lark, path: Path) -> None:
    """Write to a temporary file, then rename. A folder that cannot be written costs time, not the answer."""
    import tempfile

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".grammar-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            grammar.save(file)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)


# --- what cannot be read at all --------------------------------------------------------------------------------------


def _unreadable(source: Source) -> list[Diagnostic]:
    text = source.text
    if len(text) > MAX_LENGTH:
        return [diagnose("E0403", f"the file has {len(text):,} characters, more than {MAX_LENGTH:,}", (Span(source, 0, 1),))]
    at = text.find("\0")
    if at >= 0:
        return [diagnose("E0105", "not a text file: it holds a NUL byte", (Span(source, at, at + 1),), "a NUL byte")]
    import re

    depth = 0
    for found in re.finditer(r'#[^\r\n]*|"[^"\r\n]*"|[(\[]|[)\]]', text):
        if found[0] in ("(", "["):
            depth += 1
            if depth > MAX_NESTING:
                return [_nesting(source, found.start())]
        elif found[0] in (")", "]"):
            depth = max(0, depth - 1)
    return []


def _nesting(source: Source, at: int) -> Diagnostic:
    return diagnose(
        "E0103", f"nested more than {MAX_NESTING} deep", (Span(source, at, at + 1),), "this is one level too many",
        helps=("give the inner part a name: `block name = …`",),
    )  # fmt: skip


def _depth(root: lark.Tree[Any]) -> int | None:
    """Where the tree is too deep to walk, or None. (Parentheses were counted before; this is for `else if`, `- -` and `not not`.)"""
    layer, depth = [root], 0
    Tree = _lark().Tree
    while layer:
        depth += 1
        if depth > 8 * MAX_NESTING:
            token = next(layer[0].scan_values(lambda _: True))
            return int(token.start_pos)
        layer = [child for node in layer for child in node.children if isinstance(child, Tree)]
    return None


# --- syntax errors -----------------------------------------------------------------------------------------------------

_WORDS = {
    "_NL": "a new line", "NAME": "a name", "NUMBER": "a number", "KERNEL": "a size such as 3x3", "LPAR": "`(`", "RPAR": "`)`",
    "CALL": "`(`", "LSQB": "`[`", "RSQB": "`]`", "STAR": "`*`", "DIV": "`/`", "PLUS": "`+`", "MINUS": "`-`", "VBAR": "`|`",
    "EQUAL": "`=`", "COLON": "`:`", "COMMA": "`,`", "SEMICOLON": "`;`", "_X": "`x`", "STRIDE": "a stride such as `/2`",
    "STRING": "a text in quotes", "ANY": "`?`", "DOTS": "`..`", "COMPARE": "a comparison", "VGG": "", "$END": "the end of the file",
    "__ANON_0": "`->`",
}  # fmt: skip
_KEYWORDS = "net block import input output default freeze let with if then else for in do and or not x".split()
_STARTS_ELEMENT = {"NAME", "LPAR", "LSQB", "KERNEL"}


def _expected(error: Any) -> str:
    """What could stand here, in words: an element, an operator, or a short list."""
    accepts: set[str] = set(getattr(error, "accepts", None) or getattr(error, "allowed", None) or ())
    words: list[str] = []
    if accepts >= _STARTS_ELEMENT:
        words.append("an element such as `CONV 64`")
        accepts -= {*_STARTS_ELEMENT, "NUMBER", "STRING", "VGG", "MINUS", "IF", "FOR", "VBAR", "STRIDE"}
    for name in sorted(accepts):
        word = _WORDS.get(name, f"`{name.lower()}`" if name.lower() in _KEYWORDS else "")
        if word and word not in words:
            words.append(word)
    if "`->`" in words and len(words) > 5:
        words = ["an operator (`->`, `+`, `|`, `*`)", *[w for w in words if w in ("`)`", "`]`", "a new line", "`,`", "`then`", "`else`", "`do`")]]
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1] if words else "something else"


def _syntax_error(source: Source, text: str, error: Any) -> tuple[Diagnostic, int]:
    """The diagnostic, and the offset just after the text that could not be read."""
    at = error.pos_in_stream if error.pos_in_stream is not None and error.pos_in_stream >= 0 else len(text)
    token = getattr(error, "token", None)
    length = 1
    if token is not None and token.type != "$END":
        at, length = token.start_pos, max(1, len(token))
    elif token is not None or at >= len(text):
        at = max(len(text.rstrip()) - 1, 0)
    else:
        length = max(1, len(_word(text, at)))
    shown = text[at : at + length]
    span = Span(source, at, at + length)
    if shown[:1] in ("\r", "\n") or (token is not None and token.type == "$END"):
        found, span = ("the end of the file" if token is not None and token.type == "$END" else "the end of the line"), Span(source, at, at + 1)
    elif len(shown) > 30:
        found = f"`{shown[:30]}…`"
    else:
        found = f"`{shown}`" if shown.isprintable() else f"the character U+{ord(shown[0]):04X}"
    expected = _expected(error)
    hints = _hints(text, at, shown)
    code = "E0102" if hints and hints[0].startswith("a number") else "E0208" if hints and "reserved" in hints[0] else "E0101"
    message = {"E0102": f"{found} is not a number", "E0208": f"{found} is a reserved word"}.get(code, f"{found} cannot stand here")
    return diagnose(code, message, (span,), f"expected {expected}", helps=hints), at + length


def _word(text: str, at: int) -> str:
    end = at
    while end < len(text) and end - at < 60 and not text[end].isspace() and text[end] not in "()[],;|":
        end += 1
    return text[at:end]


def _hints(text: str, at: int, shown: str) -> list[str]:
    """Repairs for the mistakes that people make most."""
    import re

    before = text[max(0, at - 200) : at]
    line_before = before.rsplit("\n", 1)[-1].rstrip()
    if shown in ("x", "×") and line_before.endswith((")", "]")):
        return ["repeat with `*`: write `* 3`, not `x 3`"]
    if re.match(r"\d", shown) and re.match(r"\d[\w.]*[A-Za-z.]", _word(text, at)):
        return [f"a number and a name need a space between them, and a size is written `3x3` or `k x k`: `{_word(text, at)[:30]}`"]
    if shown.lower() in _KEYWORDS and (shown in _KEYWORDS):
        return [f"`{shown}` is reserved; choose another name"]
    if shown == "=" and re.search(r"[\w)]\s*$", before):
        return ["`=` names an element at the start of a line: `name = CONV 64`; a comparison is `==`"]
    if shown in ("→", "⟶", "=>", ">"):
        return ["an arrow is written `->`"]
    if shown in ("{", "}"):
        return ["group with parentheses: `( … )`"]
    if shown in ("'", "‘", "“"):
        return ['texts stand in double quotes: `"…"`']
    if shown == "//" or text.startswith("//", at):
        return ["a comment starts with `#`"]
    if shown in ("&", "&&", "||", "!"):
        return ["conditions are written with `and`, `or`, `not`"]
    if text.count("(") > text.count(")"):
        return ["a parenthesis is not closed"]
    if text.count("(") < text.count(")") and shown == ")":
        return ["this parenthesis was never opened"]
    return []


def _blank(source: Source, text: str, at: int, end: int) -> str:
    """The text without the statement around the error, so that the statements after it are still read."""
    line = source.line_column(min(at, max(len(text) - 1, 0)))[0]
    starts = source.line_starts
    first = line - 1
    while first > 0 and text[starts[first] : starts[first] + 1] in (" ", "\t", ")", "|", "-", "+"):
        first -= 1
    last = source.line_column(min(max(end - 1, at), max(len(text) - 1, 0)))[0]
    while last < len(starts) and text[starts[last] : starts[last] + 1] in (" ", "\t", ")", "|", "-", "+"):
        last += 1
    begin, stop = starts[first], starts[last] if last < len(starts) else len(text)
    if not text[begin:stop].strip():
        begin = 0  # what is wrong lies before: give up on all of it
    return text[:begin] + "".join(c if c in "\r\n" else " " for c in text[begin:stop]) + text[stop:]


# --- Lark's tree → ours ------------------------------------------------------------------------------------------------


class _Builder:
    """Turns Lark's tree into ours, and refuses what the grammar lets through only to explain it better."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.faults: list[Diagnostic] = []

    def __call__(self, node: Any) -> Any:
        method: Callable[[Any], Any] = getattr(self, node.data)
        return method(node.children)

    def span(self, first: Any, last: Any) -> Span:
        return Span(self.source, self.start(first), self.end(last))

    def start(self, node: Any) -> int:
        if isinstance(node, t.Tree):
            return node.span.start
        return int(node.start_pos)

    def end(self, node: Any) -> int:
        if isinstance(node, t.Tree):
            return node.span.end
        return int(node.end_pos)

    def fault(self, code: str, message: str, span: Span, text: str = "", helps: tuple[str, ...] = (), others: tuple[Label, ...] = ()) -> None:
        self.faults.append(diagnose(code, message, (span,), text, helps=helps, others=others))

    # atoms

    def name(self, c: list[Any]) -> t.Name:
        return t.Name(self.span(c[0], c[0]), str(c[0]))

    def token_name(self, token: Any) -> t.Name:
        if "." in token:
            self.fault("E0208", f"a name has no dots: `{token}`", self.span(token, token), helps=(f"`{token.replace('.', '_')}`",))
        return t.Name(self.span(token, token), str(token))

    def number(self, c: list[Any]) -> t.Number:
        span = self.span(c[0], c[0])
        return t.Number(span, self.value(str(c[0]), span))

    def value(self, text: str, span: Span) -> int | Fraction:
        mantissa, _, exponent = text.lower().partition("e")
        if len(mantissa) > MAX_DIGITS + 1 or len(exponent.lstrip("+-")) > 2 or (exponent and abs(int(exponent)) > MAX_DIGITS):
            self.fault("E0102", "the number is too large or too fine to be a size, a rate or a count", span, f"more than {MAX_DIGITS} digits")
            return 1
        value = Fraction(text)
        return int(value) if value.denominator == 1 else value

    def kernel(self, c: list[Any]) -> t.Extent:
        return self.extent_of(c[0])

    def extent_of(self, token: Any) -> t.Extent:
        span = self.span(token, token)
        sizes, at = [], span.start
        for part in str(token).replace("×", "x").split("x"):
            here = Span(self.source, at, at + len(part))
            sizes.append(t.Number(here, self.value(part, here)))
            at += len(part) + 1
        return t.Extent(span, tuple(sizes))

    def string(self, c: list[Any]) -> t.Text:
        return t.Text(self.span(c[0], c[0]), str(c[0])[1:-1])

    def any(self, c: list[Any]) -> t.Anything:
        return t.Anything(self.span(c[0], c[0]))

    def group(self, c: list[Any]) -> t.Group:
        return t.Group(self.span(c[0], c[-1]), self(c[1]))

    # application

    def app(self, c: list[Any]) -> t.App:
        head, *args = [self(x) for x in c]
        return t.App(self.span(head, args[-1]), head, tuple(args))

    def call(self, c: list[Any]) -> t.Call:
        head = self(c[0])
        args = tuple(self(x) for x in c[2:-1])
        return t.Call(self.span(head, c[-1]), head, args)

    def kernel_app(self, c: list[Any]) -> t.App:
        kernel, head, *args = self.extent_of(c[0]), self(c[1]), *[self(x) for x in c[2:]]
        return t.App(self.span(kernel, args[-1] if args else head), head, (kernel, *args))

    def vgg(self, c: list[Any]) -> t.App:
        span = self.span(c[0], c[0])
        kernel, filters = str(c[0])[4:].split("-")
        middle = span.start + 4 + len(kernel)
        here, there = Span(self.source, span.start + 4, middle), Span(self.source, middle + 1, span.end)
        size = t.Keyword(here, "kernel", t.Number(here, self.value(kernel, here)))
        return t.App(span, t.Name(Span(self.source, span.start, span.start + 4), "CONV"), (size, t.Number(there, self.value(filters, there))))

    def bracket(self, c: list[Any]) -> t.Call:
        """`[1x1, 64; 3x3, 64]` is residual(CONV 64 1x1 -> CONV 64 3x3 linear): the last row has no activation."""
        span = self.span(c[0], c[-1])
        rows: list[t.Expr] = []
        for row in c[1:-1]:
            args = [self(x) for x in row.children]
            here = self.span(args[0], args[-1])
            words = {arg.id for arg in args if isinstance(arg, t.Name)}
            args = [arg for arg in args if not (isinstance(arg, t.Name) and arg.id.lower() == "conv")]
            if row is c[-2] and not words & {*BY_FLAG, "linear"}:
                args.append(t.Name(here, "linear"))
            rows.append(t.App(here, t.Name(here, "CONV"), tuple(args)))
        return t.Call(span, t.Name(span, "residual"), (rows[0] if len(rows) == 1 else t.Seq(span, tuple(rows)),))

    def extent(self, c: list[Any]) -> t.Extent:
        sizes: list[t.Expr] = []
        for part in (self(x) for x in c):
            sizes.extend(part.sizes if isinstance(part, t.Extent) else [part])
        return t.Extent(self.span(sizes[0], sizes[-1]), tuple(sizes))

    def stride(self, c: list[Any]) -> t.Stride:
        value = self(c[1])
        return t.Stride(self.span(c[0], value), value)

    def keyword(self, c: list[Any]) -> t.Keyword:
        value = self(c[-1])
        if len(c) == 3:  # name, minus, atom
            value = t.Negative(self.span(c[1], value), value)
        return t.Keyword(self.span(c[0], value), str(c[0]), value)

    # operators

    def lines(self, c: list[Any]) -> t.Seq:
        items = tuple(self(x) for x in c)
        return t.Seq(self.span(items[0], items[-1]), items, True)

    def seq(self, c: list[Any]) -> t.Seq:
        items = tuple(self(x) for x in c)
        return t.Seq(self.span(items[0], items[-1]), items)

    def concat(self, c: list[Any]) -> t.Concat:
        items = tuple(self(x) for x in c)
        return t.Concat(self.span(items[0], items[-1]), items)

    def sum_(self, c: list[Any]) -> t.Expr:
        items, ops = self.operands(c)
        span = self.span(items[0], items[-1])
        refused = [op == "-" and self.refuse_bare(items[i], op, items[i + 1]) for i, op in enumerate(ops)]
        return t.Faulty(span) if any(refused) else t.Sum(span, items, ops)

    def product(self, c: list[Any]) -> t.Expr:
        items, ops = self.operands(c)
        span = self.span(items[0], items[-1])
        refused = [self.refuse_bare(items[i], op, items[i + 1]) for i, op in enumerate(ops)]
        return t.Faulty(span) if any(refused) else t.Product(span, items, ops)

    def operands(self, c: list[Any]) -> tuple[tuple[t.Expr, ...], tuple[str, ...]]:
        return tuple(self(x) for x in c[::2]), tuple(str(op) for op in c[1::2])

    def refuse_bare(self, left: t.Expr, op: str, right: t.Expr) -> bool:
        """`CONV 64 * 2` could be (CONV 64) * 2 or CONV (64*2): nothing silently means the other thing."""
        if not isinstance(left, t.App) or left.span.text.lower().startswith("conv") and "-" in left.span.text.split()[0]:
            return False
        last = left.args[-1]
        head = self.source.text[left.span.start : last.span.start]
        tight = f"{last.span.text}{op}{right.span.text}"
        span = left.span.to(right.span)
        ways = [f"`{head}({tight})`"] if not isinstance(last, (t.Stride, t.Keyword)) else []
        if op == "*":
            ways.insert(0, f"`({left.span.text}) * {right.span.text}`")
        elif op == "/":
            ways.append(f"`{left.span.text} /{right.span.text}` (a stride)")
        self.fault(
            "E0104", f"`{op}` after bare arguments can be read in two ways", span,
            "parentheses decide", ("write " + " or ".join(ways),) if ways else (),
        )  # fmt: skip
        return True

    def negative(self, c: list[Any]) -> t.Negative:
        inner = self(c[1])
        return t.Negative(self.span(c[0], inner), inner)

    def if_(self, c: list[Any]) -> t.If:
        test, then, other = self(c[1]), self(c[3]), self(c[5])
        return t.If(self.span(c[0], other), test, then, other)

    def for_(self, c: list[Any]) -> t.For:
        var, body = self.token_name(c[1]), self(c[7])
        return t.For(self.span(c[0], body), var.id, self(c[3]), self(c[5]), body)

    def compare(self, c: list[Any]) -> t.Compare:
        left, right = self(c[0]), self(c[2])
        return t.Compare(self.span(left, right), str(c[1]), left, right)

    def or_(self, c: list[Any]) -> t.Logic:
        items = tuple(self(x) for x in c[::2])
        return t.Logic(self.span(items[0], items[-1]), "or", items)

    def and_(self, c: list[Any]) -> t.Logic:
        items = tuple(self(x) for x in c[::2])
        return t.Logic(self.span(items[0], items[-1]), "and", items)

    def negation(self, c: list[Any]) -> t.Not:
        inner = self(c[1])
        return t.Not(self.span(c[0], inner), inner)

    def shape(self, c: list[Any]) -> t.Shape:
        sizes: list[t.Expr] = []
        for part in (self(x) for x in c):
            sizes.extend(part.sizes if isinstance(part, t.Extent) else [part])
        return t.Shape(self.span(sizes[0], sizes[-1]), tuple(sizes))

    def assertion(self, c: list[Any]) -> t.Assertion:
        inner, shape = self(c[0]), self(c[1])
        return t.Assertion(self.span(inner, shape), inner, shape)

    # statements

    def param(self, c: list[Any]) -> t.Param:
        name = self.token_name(c[0])
        default = self(c[1]) if c[1] is not None else None
        return t.Param(self.span(name, default or name), name.id, default)

    def params_of(self, node: Any) -> tuple[t.Param, ...]:
        if node is None:
            return ()
        return tuple(self(x) for x in node.children[1:-1] if x is not None)

    def net(self, c: list[Any]) -> t.Net:
        name = self.token_name(c[1])
        return t.Net(self.span(c[0], name), name, self.params_of(c[2]))

    def base(self, c: list[Any]) -> Any:
        return self(c[0])

    def net_from(self, c: list[Any]) -> t.NetFrom:
        name, base = self.token_name(c[1]), self(c[3])
        return t.NetFrom(self.span(c[0], c[4] or base), name, self.params_of(c[2]), base, c[4] is not None)

    def block(self, c: list[Any]) -> t.Block:
        name, body = self.token_name(c[1]), self(c[3])
        return t.Block(self.span(c[0], body), name, self.params_of(c[2]), body)

    def import_(self, c: list[Any]) -> t.Import:
        return t.Import(self.span(c[0], c[1]), str(c[1])[1:-1])

    def input_(self, c: list[Any]) -> t.Input:
        shape = self(c[2])
        return t.Input(self.span(c[0], shape), self.token_name(c[1]) if c[1] is not None else None, shape)

    def output_(self, c: list[Any]) -> t.Output:
        labels = tuple(self(x) for x in c[1:])
        return t.Output(self.span(c[0], labels[-1]), labels)

    def output_training(self, c: list[Any]) -> t.TrainingOutput:
        value = self(c[2])
        return t.TrainingOutput(self.span(c[0], value), self.token_name(c[1]), value)

    def default_(self, c: list[Any]) -> t.Default:
        head, *args = [self(x) for x in c[1:]]
        return t.Default(self.span(c[0], args[-1]), head, tuple(args))

    def freeze_(self, c: list[Any]) -> t.Freeze:
        labels = tuple(self(x) for x in c[1:])
        return t.Freeze(self.span(c[0], labels[-1]), labels)

    def let_(self, c: list[Any]) -> t.Let:
        value = self(c[2])
        return t.Let(self.span(c[0], value), self.token_name(c[1]), value)

    def element(self, c: list[Any]) -> t.Element:
        value = self(c[1])
        label = self.token_name(c[0]) if c[0] is not None else None
        return t.Element(self.span(label or value, value), label, value)
