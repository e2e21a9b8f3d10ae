"""Which files make up the program?  A spec, what it imports, the prelude: blocks and nets by name.

Nothing here touches the disk: `read` is given, so the command line, an editor and a test can each bring their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from netdsl import tree as t
from netdsl.diagnostic import Diagnostic, Help, Label, Repair, diagnose, nearest
from netdsl.ops import BY_CALL, BY_SPELLING
from netdsl.parse import parse
from netdsl.record import Record
from netdsl.source import Source, Span, named
from netdsl.values import FUNCTIONS, Function, Scope, Value

RESERVED = {"C": "channels", "D": "depth", "H": "height", "W": "width"}
STATEMENTS = ("input", "output", "default", "freeze", "let", "block", "import", "net", "require")
MATCHES = ("match", "match_pad")
BUILTINS = ("identity", *MATCHES)


MAX_RENAMED = 50
"""So many faults are given another name for what they refuse."""


class NotFound(Exception):
    """`read` has no such file. `code` says why, `helps` what to do."""

    def __init__(self, code: str, message: str, *helps: str, instead: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.helps, self.instead = code, message, helps, instead


Read = Callable[[str, Source], Source]
"""read(path as written, the file that imports it) → the source. Raises NotFound."""


class NetDef(Record):
    """A network as written: its header, the statements that follow it, and the names its file sees."""

    header: t.Net | t.NetFrom
    statements: tuple[t.Statement, ...]
    scope: Scope

    @property
    def name(self) -> str:
        return self.header.name.id

    @property
    def params(self) -> tuple[t.Param, ...]:
        return self.header.params


class Program(Record):
    """Everything one spec can name."""

    source: Source
    nets: dict[str, NetDef]
    scope: Scope
    own_nets: tuple[str, ...]
    loader: Loader


class Loader:
    """Reads files once, follows imports, and reports cycles. Mutable: it remembers what it has read."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.files: dict[str, Program] = {}
        self.open: list[str] = []
        self.faults: list[Diagnostic] = []
        self.whole = True
        """Whether every file could be read to its end: else names may be missing."""

    def load(self, source: Source) -> Program:
        self.open.append(source.name)
        file, faults = parse(source)
        self.faults.extend(faults)
        self.whole &= file.whole
        program = self.link(file)
        self.files[source.name] = program
        self.open.pop()
        return program

    def link(self, file: t.File) -> Program:
        scope = Scope("file", prelude())
        nets: dict[str, NetDef] = {}
        header: t.Net | t.NetFrom | None = None
        statements: list[t.Statement] = []
        sections: list[tuple[t.Net | t.NetFrom | None, list[t.Statement]]] = []
        defined: dict[str, Span] = {}
        for before, statement in zip((None, *file.statements), file.statements):
            if isinstance(before, t.Block) and isinstance(statement, t.Element) and header is not None:
                self.warn_of_lost_line(before, statement)
            if isinstance(statement, t.Import):
                imported = self.follow(statement, file.source)
                if imported is not None:
                    self.take(imported, scope, statement.span)
                    nets.update(imported.nets)
            elif isinstance(statement, t.Block):
                if statement.name.id not in defined:  # a name that is refused is known, too: its uses stay silent
                    scope.names[statement.name.id] = Function(statement, scope)
                self.may_name(statement.name, defined)
                self.check_params(statement.params)
            elif isinstance(statement, t.Net | t.NetFrom):
                sections.append((header, statements))
                header, statements = statement, []
                self.check_params(statement.params)
            else:
                statements.append(statement)
        sections.append((header, statements))
        if len(sections) > 1 and sections[0][1]:
            self.before_the_net(sections[0][1][0], sections[1][0], file)
            del sections[0]
        own: dict[str, None] = {}
        for head, body in sections:
            if head is None:
                if not body:
                    continue
                stem = re.sub(r"\W", "_", Path(file.source.name).stem) or "net"
                head = t.Net(body[0].span, t.Name(body[0].span, stem), ())
            if head.name.id in own:
                first = Label(nets[head.name.id].header.name.span, "first defined here")
                message = f"`{head.name.id}` is defined twice"
                helps = (self.renamed("give one of them another name", head.name.span),)
                self.faults.append(diagnose("E0205", message, (head.name.span,), others=(first,), helps=helps))
            own[head.name.id] = None
            nets[head.name.id] = NetDef(head, tuple(body), scope)
        return Program(file.source, nets, scope, tuple(own), self)

    def take(self, imported: Program, scope: Scope, span: Span) -> None:
        """The blocks of an imported file. Two of one name are refused, wherever the second comes from."""
        for name, value in imported.scope.names.items():
            if name in scope.names and scope.names[name] != value:
                helps = ("give one of them another name",)
                self.faults.append(
                    diagnose("E0205", f"`{name}` is defined here and by the import", (span,), helps=helps)
                )
            scope.names[name] = value

    def warn_of_lost_line(self, block: t.Block, line: t.Element) -> None:
        """A line that is indented below a block looks like its body, and is one of the network."""
        source = line.span.source
        if source.line_column(line.span.start)[1] > source.line_column(block.span.start)[1]:
            message = f"this line is indented below `{block.name.id}`, but not part of it: it is on the main path"
            from netdsl.edits import lost_line

            helps = lost_line(block, line)
            others = (Label(block.name.span, "the block ends on its own line"),)
            self.faults.append(diagnose("W0504", message, (line.span,), others=others, helps=helps))

    def before_the_net(self, statement: t.Statement, header: t.Net | t.NetFrom | None, file: t.File) -> None:
        """A line that no network has: its block lacks parentheses, or the header comes too late."""
        assert header is not None
        message = f"this line stands before `net {header.name.id}`, so it belongs to no network"
        several = "a block of several lines needs parentheses: `block b(c) = ( … )`"
        helps: tuple[Help, ...] = ("move it below the `net` line", several)
        before = [other for other in file.statements if other.span.end <= statement.span.start]
        if before and isinstance(before[-1], t.Block) and isinstance(statement, t.Element):
            from netdsl.edits import lost_line

            helps = (helps[0], Repair(several, lost_line(before[-1], statement)[0].edits))
        self.faults.append(diagnose("E0213", message, (statement.span,), helps=helps))

    def renamed(self, title: str, name: Span) -> Help:
        """Another name, for the faults that are shown: finding one takes a look at the whole text."""
        from netdsl.edits import renamed

        return renamed(title, name) if len(self.faults) < MAX_RENAMED else title

    def follow(self, statement: t.Import, importer: Source) -> Program | None:
        return self.fetch(statement.path, importer, statement.span)

    def fetch(self, path: str, importer: Source, span: Span) -> Program | None:
        """The program at `path`, or None where that has been reported."""
        try:
            source = self.read(path, importer)
        except NotFound as missing:
            helps: tuple[Help, ...] = missing.helps
            at = span.start + span.text.find(path)
            if missing.instead and at >= span.start:
                helps = (Repair.of(missing.helps[0], (Span(span.source, at, at + len(path)), missing.instead)),)
            self.faults.append(diagnose(missing.code, missing.message, (span,), helps=helps))
            return None
        if source.name in self.files:
            return self.files[source.name]
        if source.name in self.open:
            ring = " -> ".join([*self.open[self.open.index(source.name) :], source.name])
            self.faults.append(
                diagnose(
                    "E0404",
                    f"the import closes a cycle: {ring}",
                    (span,),
                    helps=("move what both need into a file of its own",),
                )
            )
            return None
        if len(self.open) > 64 or len(self.files) > 1000:
            self.faults.append(diagnose("E0403", "more than 1,000 files, or imports more than 64 deep", (span,)))
            return None
        return self.load(source)

    def may_name(self, name: t.Name, defined: dict[str, Span]) -> None:
        if name.id in defined:
            first = Label(defined[name.id], "first defined here")
            self.faults.append(
                diagnose(
                    "E0205",
                    f"`{name.id}` is defined twice",
                    (name.span,),
                    others=(first,),
                    helps=(self.renamed("give one of them another name", name.span),),
                )
            )
            return
        defined[name.id] = name.span
        may_name(name, self.faults)

    def check_params(self, params: tuple[t.Param, ...]) -> None:
        seen: dict[str, Span] = {}
        for param in params:
            if param.name in seen:
                message, first = f"the parameter `{param.name}` stands twice", Label(seen[param.name], "first here")
                from netdsl.edits import keep_one

                helps = keep_one(seen[param.name], param.span)
                self.faults.append(diagnose("E0205", message, (param.span,), others=(first,), helps=helps))
            seen.setdefault(param.name, param.span)
            may_name(t.Name(named(param.span), param.name), self.faults, inside=True)


def may_name(name: t.Name, faults: list[Diagnostic], inside: bool = False) -> bool:
    """Refuses names that mean something already. `inside`: it is a parameter, whose uses are in the same statement."""
    if name.id in RESERVED:
        what = f"`{name.id}` is the {RESERVED[name.id]} of the current input"
    elif name.id.upper() in BY_SPELLING:
        what = (
            f"`{name.id}` differs from the primitive {name.id.upper()} only by case"
            if name.id not in BY_SPELLING
            else f"`{name.id}` is a primitive"
        )
    elif name.id in BUILTINS or name.id in FUNCTIONS:
        what = f"`{name.id}` is built in"
    else:
        return True
    from netdsl.edits import another_name

    faults.append(
        diagnose(
            "E0208",
            f"{what}, so nothing else can have that name",
            (name.span,),
            helps=(another_name(name, inside),) if len(faults) < MAX_RENAMED else (),
        )
    )
    return False


# --- the prelude -----------------------------------------------------------------------------------------------


class Prelude(Scope):
    """The blocks of `prelude/*.net`, each file read when one of its blocks is first named."""

    def __init__(self) -> None:
        super().__init__("prelude")
        self.where: dict[str, Source] = {}
        for path in sorted((Path(__file__).parent / "prelude").glob("*.net")):
            source = Source(f"prelude/{path.name}", path.read_text(encoding="utf-8"), own=False)
            for name in re.findall(r"^block\s+(\w+)", source.text, re.MULTILINE):
                self.where[name] = source

    def get(self, name: str) -> Value | None:
        if name not in self.names and name in self.where:
            file, faults = parse(self.where[name])
            assert not faults, faults[0].message
            for block in file.statements:
                assert isinstance(block, t.Block)
                self.names[block.name.id] = Function(block, self)
        return self.names.get(name)

    def own(self) -> Iterable[str]:
        return self.where


@cache
def prelude() -> Prelude:
    return Prelude()


_SEPARABLE = "a filter for each channel is `CONV depthwise`; separable: `CONV depthwise -> CONV 64 1x1`"
ELSEWHERE = {
    **dict.fromkeys(("sepconv", "separableconv", "separable_conv", "separableconv2d"), _SEPARABLE),
    **dict.fromkeys(("dwconv", "depthwiseconv", "depthwise_conv", "depthwiseconv2d"), _SEPARABLE),
    **dict.fromkeys(("bneck", "inverted_residual", "invertedresidual"), "an inverted residual is `mbconv`"),
    **dict.fromkeys(("mha", "mhsa", "multihead_attention", "multiheadattention"), "it is `ATTENTION heads`"),
    **dict.fromkeys(("skip", "shortcut"), "what comes in is `identity`: `identity + (…)`"),
    "global": "`GAP` is the mean over all of space, `GMP` the largest value",
}
"""Names of papers and other libraries whose nearest name here is another thing."""


def unknown_name(expr: t.Name, scope: Scope) -> tuple[Help, ...]:
    """Help for a name that nothing has: the nearest one, written as it is written."""
    name = expr.id
    if name.lower() in ELSEWHERE:
        text = ELSEWHERE[name.lower()]
        if text == _SEPARABLE:
            return (text,)
        here = re.findall(r"`(\w+)", text)[0]
        return (Repair.of(text, (expr.span, here)),)
    close = nearest(name, [*scope.known(), *BY_SPELLING, *BUILTINS, *BY_CALL, *FUNCTIONS, *STATEMENTS])
    if close in BY_SPELLING and name.islower() and BY_SPELLING[close].flag == close.lower():
        close = close.lower()  # `CONV 16 rleu`: a flag
    from netdsl.edits import meant

    return (
        (meant(close, expr.span),)
        if close
        else ("`block NAME(…) = …` defines a block; docs/language.md lists the primitives",)
    )
