"""Is what the pages say true?  Every example of README.md and docs/*.md is run; so are the grammar's own examples.

A fenced block says by its first line what it is:

    ```net                          a network, or a piece of one: it must check
    ```net after="input 3 x 8 x 8"  a piece, read after that line; without `after`, after `input 3 x 224 x 224`
    ```net error=E0303              it must be refused, with these codes and no others (several: E0201,E0303)
    ```net warning=W0501            it checks, with this warning
    ```net file=tiny.net            a file of the page's folder, in which the commands below it run; whole as it stands
    ```text says                    what the block before it is answered, in part: its lines, in this order
    ```console                      `$ netdsl …` and what it prints; a line `...` stands for any number of lines
    ```python                       run in one namespace per page, from top to bottom
    ```text prints                  what the Python block before it prints
    ```python excerpt=tiny.py       lines of a file in the page's folder, one after the other; `...` skips some
    ```json excerpt=out.json        likewise
    ```diff                         a change to this repository, made in a copy of it (docs/adding-an-op.md)
    ```text without-rule            what the copy says while the backend has no rule for the new op
    ```text new-op                  a network that the changed copy knows; with error=E0306, one that it refuses

Everything else (```sh, ```text, ```mermaid) is only shown. `pytest --update-golden` rewrites what commands and Python print.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from netdsl.cli import main
from netdsl.diagnostic import CODES, Diagnostic, SpecError
from netdsl.net import Net, load, loads
from netdsl.parse import parse
from netdsl.render import render
from netdsl.source import Source

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
BEFORE = "input 3 x 224 x 224"


# --- the blocks of a page --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: what its first line says, and its text."""

    page: Path
    line: int
    kind: str
    words: tuple[str, ...]
    options: dict[str, str] = field(hash=False)
    text: str
    start: int = field(compare=False, default=0)
    """Where the text begins in the page."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def codes(self) -> set[str]:
        """The errors it should have."""
        return set(filter(None, self.options.get("error", "").split(",")))

    @property
    def warnings(self) -> set[str]:
        return set(filter(None, self.options.get("warning", "").split(",")))

    @property
    def spec(self) -> str:
        """The whole network that a piece stands for."""
        whole = re.search(r"^(input\b|net \w+(\(.*\))? = )", self.text, re.MULTILINE) or "file" in self.options
        return self.text if whole else f"{self.options.get('after', BEFORE)}\n{self.text}"


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    text = page.read_text(encoding="utf-8")
    found = []
    for fence in re.finditer(r"^```([^\n`]+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        kind, *rest = shlex.split(fence[1])
        options = dict(word.split("=", 1) for word in rest if "=" in word)
        words = tuple(word for word in rest if "=" not in word)
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(page, line, kind, words, options, fence[2], fence.start(2)))
    return tuple(found)


def every(kind: str, *words: str) -> list[Block]:
    return [b for page in PAGES for b in blocks(page) if b.kind == kind and set(words) <= set(b.words)]


def name_of(thing: Block | Path) -> str:
    return thing.place if isinstance(thing, Block) else str(thing.relative_to(ROOT))


def pages_with(*kinds: str) -> list[Path]:
    return [page for page in PAGES if any(block.kind in kinds for block in blocks(page))]


def write_files(last: Block, folder: Path) -> None:
    """The files that a page shows, as they are once its reader has come to a block: later ones replace earlier ones."""
    for block in blocks(last.page):
        if block.line <= last.line and block.kind == "net" and "file" in block.options:
            target = folder / block.options["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")


def outcome(block: Block) -> tuple[Net | None, tuple[Diagnostic, ...]]:
    """What netdsl makes of a block. The page's own files lie in the current folder."""
    try:
        if "file" in block.options:
            net = load(block.options["file"])
        elif "import " in block.text or " with" in block.text:
            Path("example.net").write_text(block.spec, encoding="utf-8")
            net = load("example.net")
        else:
            net = loads(block.spec)
    except SpecError as error:
        return None, error.diagnostics
    return net, net.warnings


def test_the_first_lines_of_blocks_are_understood() -> None:
    known = {"net", "console", "python", "json", "diff", "text", "sh", "mermaid"}
    options = {
        "net": {"after", "error", "warning", "file"},
        "python": {"excerpt"},
        "json": {"excerpt"},
        "text": {"error"},
    }
    words = {"says", "prints", "without-rule", "new-op"}
    for page in PAGES:
        for block in blocks(page):
            assert block.kind in known, f"{block.place}: what is {block.kind!r}?"
            assert set(block.options) <= options.get(block.kind, set()), f"{block.place}: {block.options}"
            assert set(block.words) <= words, f"{block.place}: {block.words}"
            assert block.codes | block.warnings <= set(CODES), block.place
        fences = re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(page)), f"{page.name}: a fence without a kind, or one that is not closed"


# --- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", every("net"), ids=name_of)
def test_net(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_files(block, tmp_path)
    net, faults = outcome(block)
    said = "\n\n".join(map(render, faults))
    found = {fault.code for fault in faults if fault.severity == "error"}
    assert found == block.codes, f"{block.place}\n{said or net}"
    if not block.codes:  # a piece of a network need not have an activation, and its lines may lead nowhere
        expected = block.warnings | ({"W0502"} & {fault.code for fault in faults})
        assert {fault.code for fault in faults} == expected, f"{block.place}\n{said}"


@pytest.mark.parametrize("block", every("text", "says"), ids=name_of)
def test_what_it_says(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = [b for b in blocks(block.page) if b.kind == "net" and b.line < block.line][-1]
    write_files(before, tmp_path)
    _, faults = outcome(before)
    assert_in_order(block.text.splitlines(), "\n".join(map(render, faults)), block.place)


def assert_in_order(lines: Sequence[str], text: str, where: str) -> None:
    """Each line occurs in the text after the one before it; spaces and the breaks of long lines aside."""
    rest = " ".join(re.sub(r"^\s*\|", " ", text, flags=re.MULTILINE).split())
    for line in (" ".join(line.split()) for line in lines):
        before, found, rest = rest.partition(line)
        assert found, f"{where}: {line!r} is not said, or not in this order:\n{text}\n{before}"


# --- commands and Python ---------------------------------------------------------------------------------------------


def run_command(command: str) -> str:
    """What `netdsl …` prints, errors included, in the order in which it comes."""
    program, *arguments = shlex.split(command)
    assert program == "netdsl", command
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        with suppress(SystemExit):
            main(arguments)
    return out.getvalue()


def commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it is said to print."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield command, printed


def matches(wanted: str, printed: str) -> bool:
    """Whether they are equal, ends of lines aside; a line `...` in `wanted` stands for any number of lines."""

    def clean(text: str) -> str:
        lines = [line.rstrip() for line in text.strip("\n").splitlines()]
        return "".join(f"{line}\n" for line in lines)

    pieces = re.split(r"^\.\.\.$", wanted, flags=re.MULTILINE)
    pattern = r"(?:.*\n)*".join(re.escape(clean(piece)) for piece in pieces)
    return re.fullmatch(pattern, clean(printed)) is not None


class Walk:
    """A page from top to bottom, in a folder of its own. Mutable: its Python has a namespace, and prints."""

    def __init__(self, page: Path, folder: Path, with_python: bool, update: bool) -> None:
        self.page, self.folder, self.with_python, self.update = page, folder, with_python, update
        self.names: dict[str, Any] = {"__name__": "__main__"}
        self.printed = ""
        self.fresh: list[tuple[Block, str]] = []
        (folder / "specs").symlink_to(ROOT / "specs")  # as in a checkout

    def run(self) -> None:
        try:
            for block in blocks(self.page):
                self.step(block)
        finally:
            self.rewrite()

    def step(self, block: Block) -> None:
        if block.kind == "net" and "file" in block.options:
            write_files(block, self.folder)
        elif block.kind == "console":
            shown = [(command, wanted, run_command(command)) for command, wanted in commands(block.text)]
            now = "".join(f"$ {command}\n{printed}".rstrip() + "\n" for command, _, printed in shown)
            self.compare(block, [(wanted, printed) for _, wanted, printed in shown], now)
        elif "excerpt" in block.options:
            whole = (self.folder / block.options["excerpt"]).read_text(encoding="utf-8")
            assert matches(f"...\n{block.text}\n...", whole), f"{block.place} is not in\n{whole}"
        elif block.kind == "python" and self.with_python:
            self.printed = self.python(block)
        elif block.kind == "text" and "prints" in block.words and self.with_python:
            self.compare(block, [(block.text, self.printed)], self.printed.strip("\n") + "\n")

    def compare(self, block: Block, pairs: list[tuple[str, str]], now: str) -> None:
        """What is wanted against what was printed; `now` is the block as it should be."""
        assert "internal error" not in now, f"{block.place}\n{now}"
        wrong = [(wanted, printed) for wanted, printed in pairs if not matches(wanted, printed)]
        if wrong and self.update and "..." not in block.text.splitlines():
            self.fresh.append((block, now))
        elif wrong:
            wanted, printed = wrong[0]
            assert wanted.strip("\n") == printed.strip("\n"), block.place

    def rewrite(self) -> None:
        if self.fresh:
            text = self.page.read_text(encoding="utf-8")
            for block, now in reversed(self.fresh):
                text = text[: block.start] + now + text[block.start + len(block.text) :]
            self.page.write_text(text, encoding="utf-8")
            blocks.cache_clear()

    def python(self, block: Block) -> str:
        """What the block prints."""
        out = io.StringIO()
        with redirect_stdout(out):
            exec(compile(block.text, block.place, "exec"), self.names)
        return out.getvalue()


@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    monkeypatch.chdir(tmp_path)
    Walk(page, tmp_path, with_python=False, update=update_golden).run()


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    if importlib.util.find_spec("sklearn") is None:
        for module in stand_in_for_sklearn():
            monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    walk = Walk(page, tmp_path, with_python=True, update=update_golden)
    walk.run()
    if page.name == "first-network.md":
        assert walk.names["accuracy"] > 0.8, "the network of the tutorial does not learn"


def stand_in_for_sklearn() -> list[types.ModuleType]:
    """Scikit-learn's digits where it is not installed: as many images of the same form, of ten noisy patterns."""
    import numpy as np

    chance = np.random.default_rng(0)
    patterns = chance.integers(0, 17, (10, 8, 8))
    target = np.arange(1797) % 10
    images = np.clip(patterns[target] + chance.normal(0, 2, (1797, 8, 8)), 0, 16)
    modules = [types.ModuleType(name) for name in ("sklearn", "sklearn.datasets")]
    for module in modules:
        module.__spec__ = ModuleSpec(module.__name__, None)
    vars(modules[1])["load_digits"] = lambda: types.SimpleNamespace(images=images, target=target)
    return modules


def test_the_walk_notices_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert matches("a\n...\nc", "a\nb\nb\nc\n")
    assert matches("a\n...\n", "a\n")
    assert not matches("a\nc", "a\nb\nc")
    assert not matches("", "a")
    with pytest.raises(AssertionError):
        assert_in_order(["b", "a"], "a\nb", "here")
    monkeypatch.chdir(tmp_path)
    assert run_command("netdsl check nope").startswith("netdsl: there is no file and no shipped network called nope")


# --- tables, links ---------------------------------------------------------------------------------------------------


def load_maker() -> Any:
    """docs/make_reference.py, which writes the tables."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_what_the_code_says(update_golden: bool) -> None:
    maker = load_maker()
    if update_golden:
        assert maker.main([]) == 0
    assert maker.main(["--check"]) == 0, "a table is stale: run python docs/make_reference.py"


def test_a_stale_table_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = load_maker()
    copies = {}
    for page, sections in maker.PAGES.items():
        copies[tmp_path / page.name] = sections
        shutil.copy(page, tmp_path)
    maker.PAGES = copies
    assert maker.main(["--check"]) == 0
    page = tmp_path / "language.md"
    page.write_text(page.read_text(encoding="utf-8").replace("| `GELU` | `gelu` |", "| `GELU` | |"), encoding="utf-8")
    assert maker.main(["--check"]) == 1
    assert "language.md" in capsys.readouterr().err
    assert maker.main([]) == 0
    assert maker.main(["--check"]) == 0


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{page.name} links to {target}, which is not there"
        assert not anchor or anchor in headings(other), f"{page.name} links to {target}: there is no such heading"


def test_files_named_in_the_text_exist() -> None:
    """`netdsl/ops/base.py` in a page is a file; `rules.py` alone is not checked."""
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for path in re.findall(r"`((?:netdsl|backends|specs|docs|tests|benchmarks)/[\w/.]+)`", text):
            assert (ROOT / path).exists(), f"{page.name} speaks of {path}"


# --- adding an op ----------------------------------------------------------------------------------------------------


def changed(text: str, diff: str) -> str:
    """The text after a change; what the change expects to find is there once."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] or "\n" for line in lines if line[0] in " -")
    after = "".join(line[1:] or "\n" for line in lines if line[0] in " +")
    assert text.count(before) == 1, f"not there, or not once:\n{before}"
    return text.replace(before, after)


def test_adding_an_op(tmp_path: Path) -> None:
    page = ROOT / "docs" / "adding-an-op.md"
    for folder in ("netdsl", "backends", "specs"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join([str(tmp_path), str(tmp_path / "backends")])
    environment = {**os.environ, "PYTHONPATH": path, "NETDSL_CACHE": str(tmp_path / "cache")}

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path
        )

    for block in blocks(page):
        if block.kind == "diff":
            head, _, diff = block.text.partition("@@\n")
            target = tmp_path / head.removeprefix("--- ").strip()
            target.write_text(changed(target.read_text(encoding="utf-8"), diff), encoding="utf-8")
        elif block.words == ("without-rule",):
            done = python("-c", "import netdsl_torch")
            assert done.stderr.splitlines()[-1] == block.text.strip()
        elif block.words == ("new-op",):
            (tmp_path / "new.net").write_text(block.text, encoding="utf-8")
            done = python("-m", "netdsl", "compile", "new.net", "--force")
            assert set(re.findall(r"error\[(\w+)\]", done.stderr)) == block.codes, done.stderr
            assert done.returncode == (1 if block.codes else 0)
            if not block.codes:
                assert "nn.PixelShuffle(2)" in (tmp_path / "new.py").read_text(encoding="utf-8")


# --- the grammar's own examples --------------------------------------------------------------------------------------

GRAMMAR = (ROOT / "netdsl" / "grammar.lark").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"//\s*e\.g\.\s*(.+?)\s*$", GRAMMAR, re.MULTILINE)
NOT_YET_SHOWN: set[str] = set()
"""Rules that no example of the grammar uses. Take one out when its example is there; add none."""
TWO_LINES = {"lines", "body"}
"""Rules whose example does not fit on a line."""


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_grammar_parses(example: str) -> None:
    tree, faults = parse(Source("grammar.lark", example))
    assert not faults, "\n".join(map(render, faults))
    assert len(tree.statements) == 1


def test_the_examples_use_every_rule() -> None:
    import lark

    parser = lark.Lark(GRAMMAR, parser="lalr", lexer="basic", maybe_placeholders=True)
    seen = {str(node.data).partition("{")[0] for example in EXAMPLES for node in parser.parse(example).iter_subtrees()}
    unshown = shown_in_trees() - seen
    assert unshown <= NOT_YET_SHOWN | TWO_LINES, f"no example (`// e.g. …`) in grammar.lark uses {sorted(unshown)}"


def shown_in_trees() -> set[str]:
    """The rules and aliases that make a node of the tree: no `_rule`, and no `?rule` that only chooses."""
    names = set(re.findall(r"^(\w+)(?:\{\w+\})?(?:\.\d+)?:", GRAMMAR, re.MULTILINE))
    names |= {name for name in re.findall(r"^\?(\w+)", GRAMMAR, re.MULTILINE) if name in ("or_", "and_")}
    aliases = set(re.findall(r"-> (\w+)", re.sub(r"//.*|\"[^\"]*\"", "", GRAMMAR)))
    renamed = {"call_keyword"}  # every alternative of it has an alias
    return {name for name in names if name[0] != "_" and not name.isupper()} - renamed | aliases


def test_every_rule_with_content_has_an_example_in_sight() -> None:
    """The comment that opens the grammar promises it, and here is what it leaves out."""
    rules = re.findall(r"^\??([a-z]\w*)(?:\{\w+\})?(?:\.\d+)?:(.*(?:\n[ \t]+\|.*)*)", GRAMMAR, re.MULTILINE)
    by_itself = {"start", "item", "name", "number", "kernel", "string", "atom"}  # lists of other rules, single words
    by_their_users = {"group", "call", "call_keyword", "extent"}  # shown where they are used
    without = {name for name, body in rules if "e.g." not in body}
    assert without <= by_itself | by_their_users | NOT_YET_SHOWN | TWO_LINES, sorted(without)


# --- the design page: what it shows, and the traps that it closes ----------------------------------------------------
# The snippets are copied as they stand there; `…` marks what this test adds.

DESIGN_BLOCKS = """
block residual(f)       = (f + match) -> RELU        # match: identity, or a 1x1 projection where shapes differ
block fire(s, e)        = CONV s 1x1 -> (CONV e 1x1 | CONV e 3x3)
block dense_layer(k)    = identity | (BN -> RELU -> CONV (4*k) 1x1 -> BN -> RELU -> CONV k 3x3)
block dense_block(n, k) = dense_layer(k) * n
block transition(theta) = BN -> RELU -> CONV floor(theta*C) 1x1 -> AVGPOOL 2x2 /2
block fractal(n, c)     = if n == 1 then CONV c else mean(CONV c, fractal(n-1, c) -> fractal(n-1, c))
"""

DESIGN_VGG = """
# VGG-16, configuration D (Simonyan & Zisserman 2014)
net vgg16(classes=1000)
input 3 x 224 x 224

(CONV 64)*2  -> POOL        : 64 x 112 x 112
(CONV 128)*2 -> POOL        : 128 x 56 x 56
(CONV 256)*3 -> POOL        : 256 x 28 x 28
(CONV 512)*3 -> POOL        : 512 x 14 x 14
(CONV 512)*3 -> POOL        : 512 x 7 x 7
(FC 4096 -> RELU -> DROPOUT 0.5)*2
FC classes
"""

DESIGN_RESNET = """
net resnet50(classes=1000)
input 3 x 224 x 224
default CONV bn relu                         # every CONV is conv, batch norm, ReLU

CONV 64 7x7 /2 -> MAXPOOL 3x3 /2 same        : 64 x 56 x 56
conv2 = residual(bottleneck(64)) * 3         : 256 x 56 x 56
conv3 = stage(bottleneck(128), 4)            : 512 x 28 x 28
conv4 = stage(bottleneck(256), 6)            : 1024 x 14 x 14
conv5 = stage(bottleneck(512), 3)            : 2048 x 7 x 7
GAP -> FC classes
"""

DESIGN_GOOGLENET = """
net googlenet(classes=1000)
input 480 x 14 x 14                          # …
a4 = inception(192, 96,208, 16,48, 64)       : 512 x 14 x 14
GAP -> FC classes                            # …
output aux1 = a4 -> aux_head(classes)        # in training only, as the paper has it
"""

DESIGN_PETS = """
net pets = vgg16 with
    freeze features
    fc8 = FC 3
"""

COURSE = "input 3 x 224 x 224\n"


def faults_of(text: str) -> list[Diagnostic]:
    """The errors of a text, none where it checks."""
    try:
        loads(text)
    except SpecError as error:
        return list(error.diagnostics)
    return []


def codes_of(text: str) -> list[str]:
    return [fault.code for fault in faults_of(text)]


def shape_of(line: str, before: str = COURSE) -> tuple[object, ...]:
    """What comes out of a network whose last line this is."""
    return next(iter(loads(f"{before}{line}\n").outputs.values()))


def test_the_designs_blocks_are_the_preludes() -> None:
    lines = ["residual(bottleneck(16))*2", "fire(8, 32)", "dense_block(3, 12)", "transition(0.5)", "fractal(3, 32)"]
    body = "\n".join(["input 64 x 56 x 56", *lines])
    own, shipped = loads(DESIGN_BLOCKS + body), loads(body)
    assert (own.params, own.macs, own.outputs) == (shipped.params, shipped.macs, shipped.outputs)
    # The prelude's fractal joins all columns that end together in one mean, with drop-path.
    body = "\n".join(["input 64 x 56 x 56", *lines[:-1]])
    own, shipped = loads(DESIGN_BLOCKS + body), loads(body)
    assert [layer.name for layer in own.layers] == [layer.name for layer in shipped.layers]


@pytest.mark.parametrize("block", ["residual(bottleneck)*2", "dense_block", "fire", "stage(bottleneck)", "transition"])
def test_a_name_without_a_call_is_the_block_at_its_defaults(block: str) -> None:
    assert codes_of(f"input 64 x 56 x 56\n{block}") == []


@pytest.mark.parametrize(
    ("line", "same_as"),
    [
        ("CONV 64", "CONV 64 3x3 /1 same"),
        ("CONV 96 11x11 /4 valid floor", "CONV 96, 11x11, /4, valid, floor"),
        ("CONV 96 11x11 /4 valid floor", "CONV valid /4 floor 11x11 96"),
        ("7x7 conv, 64, /2", "CONV 64 7x7 /2"),
        ("conv3-64", "CONV 64 3x3"),
        ("[1x1, 64; 3x3, 64; 1x1, 256] * 3", "residual(CONV 64 1x1 -> CONV 64 3x3 -> CONV 256 1x1) * 3"),
        ("POOL", "MAXPOOL 2x2 /2"),
        ("MEANPOOL 3x3 /2 same", "AVGPOOL 3x3 /2 same"),
        ("conv 64 -> relu -> Pool", "CONV 64 -> RELU -> POOL"),
    ],
)  # fmt: skip
def test_the_papers_spellings(line: str, same_as: str) -> None:
    one, other = loads(COURSE + line), loads(COURSE + same_as)
    assert [(layer.name, layer.op, layer.type) for layer in one.layers] == [
        (layer.name, layer.op, layer.type) for layer in other.layers
    ]


def test_the_labels_of_the_papers_boxes() -> None:
    boxes = "MAXPOOL 3x3 /2 -> AVGPOOL 3x3 /2 -> LRN -> BN -> RELU -> TANH -> GAP -> FC 4096 -> DROPOUT 0.5 -> SOFTMAX"
    net = loads(f"{COURSE}CONV 96 11x11 /4 pad 2 floor -> {boxes}")
    assert net.outputs == {"output": (4096,)}


@pytest.mark.parametrize(
    ("name", "text"),
    [("vgg16", DESIGN_VGG), ("resnet50", DESIGN_RESNET), ("googlenet", DESIGN_GOOGLENET), ("pets", DESIGN_PETS)],
    ids=["vgg16", "resnet50", "googlenet", "pets"],
)
def test_the_designs_files_check(name: str, text: str) -> None:
    assert loads(text).name == name


def test_the_designs_numbers() -> None:
    assert loads(DESIGN_VGG).params == 138_357_544
    assert loads(DESIGN_RESNET).params == 25_557_032
    assert loads(DESIGN_PETS).trainable_params == loads(DESIGN_PETS).params - 14_714_688
    assert loads(DESIGN_GOOGLENET).training_outputs == {"aux1": (1000,)}


def test_a_label_is_also_its_tensor() -> None:
    before = COURSE + "default CONV relu\npool4 = CONV 8 -> POOL\nscore = CONV 21 1x1\n"
    assert shape_of("score + (pool4 -> CONV 21 1x1)", before) == (21, 112, 112)
    assert shape_of("identity | pool4", before) == (29, 112, 112)
    assert shape_of("let s = pool4 -> CONV 5 1x1", before) == (21, 112, 112)  # let does not move the main path
    assert shape_of("pool4 -> CONV 5 1x1", before) == (5, 112, 112)  # a line does
    assert shape_of("output aux = pool4 -> CONV 5 1x1", before) == (21, 112, 112)  # output does not


# the traps


def test_trap_a_new_line_binds_loosest() -> None:
    assert shape_of("CONV 4\nCONV 8 | CONV 16") == (24, 224, 224)
    assert shape_of("(CONV 4\nCONV 8 | CONV 16)") == (24, 224, 224)


@pytest.mark.parametrize("end", [" ->\n", " |\n", " +\n", ",\n"])
def test_trap_a_line_goes_on_after_an_operator(end: str) -> None:
    rest = "3x3" if end == ",\n" else "CONV 8"
    assert codes_of(f"{COURSE}CONV 8{end}   {rest}") == []
    assert len(parse(Source("t", f"CONV 8{end}   {rest}"))[0].statements) == 1


@pytest.mark.parametrize("start", ["-> RELU", "+ CONV 8", "| CONV 8", ": 8 x 224 x 224", ", 3x3"])
def test_trap_a_line_goes_on_before_an_operator(start: str) -> None:
    text = f"CONV 8  # why\n\n   # a comment\r\n   {start}"
    assert codes_of(COURSE + text) == []
    assert len(parse(Source("t", text))[0].statements) == 1


def test_trap_a_line_goes_on_before_a_bracket_then_and_else() -> None:
    text = "block f(c) = if c == 8\n  then (\n    CONV 8\n    RELU\n  )\n  else RELU\n"
    assert codes_of(text + COURSE + "f(8)\n[1x1, 8\n; 3x3, 8\n]\n(RELU)\n * 2") == []


def test_trap_a_blocks_body_is_one_expression() -> None:
    tree, _ = parse(Source("t", "block f(c) =\n   CONV c\n   RELU\n"))
    assert len(tree.statements) == 2  # the second line is one of the network
    tree, _ = parse(Source("t", "block f(c) = (\n   CONV c\n   RELU\n)\n"))
    assert len(tree.statements) == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_trap_comments_and_line_ends_change_nothing(end: str) -> None:
    plain = DESIGN_RESNET.replace("  # every CONV is conv, batch norm, ReLU", "")
    other = end.join(f"{line}   # {line}" for line in plain.split("\n"))
    assert loads(other).to_dict().keys() == loads(plain).to_dict().keys()
    assert [(layer.name, layer.type) for layer in loads(other).layers] == [
        (layer.name, layer.type) for layer in loads(plain).layers
    ]


@pytest.mark.parametrize(
    ("line", "ways"),
    [
        ("CONV 64 * 2", ["(CONV 64) * 2", "CONV (64*2)"]),
        ("CONV 4*C", ["(CONV 4) * C", "CONV (4*C)"]),
        ("CONV C/2", ["CONV (C/2)"]),
        ("CONV C-1", ["CONV (C-1)"]),
    ],
)
def test_trap_operators_after_bare_arguments_are_refused(line: str, ways: list[str]) -> None:
    (fault,) = faults_of(COURSE + line)
    assert fault.code == "E0104"
    for way in ways:
        assert f"`{way}`" in " ".join(fault.helps)


def test_trap_a_slash_is_a_stride_where_it_touches_what_follows() -> None:
    assert shape_of("CONV 64 /2") == shape_of("CONV 64, /2") == (64, 112, 112)
    assert shape_of("CONV 64 /(1+1)") == (64, 112, 112)
    assert shape_of("let n = 64/2\nCONV n") == shape_of("let n = 64 / 2\nCONV n") == (32, 224, 224)


def test_trap_a_missing_arrow_is_refused() -> None:
    (fault,) = faults_of(COURSE + "CONV 64 BN RELU")
    assert fault.code == "E0209"
    assert "write `->` between elements: `CONV 64 -> BN`" in fault.helps
    assert shape_of("CONV 64 bn relu") == (64, 224, 224)


@pytest.mark.parametrize("label", ["conv", "Conv", "relu", "Pool", "CONV"])
def test_trap_a_label_that_differs_from_a_primitive_by_case_is_refused(label: str) -> None:
    assert codes_of(f"{COURSE}{label} = CONV 64") == ["E0208"]


KEYWORDS = "net block import input output default freeze let with if then else for in do and or not"


@pytest.mark.parametrize("word", ["x", *KEYWORDS.split(" ")])
def test_trap_words_are_reserved(word: str) -> None:
    """As a label, a parameter and in a path. Some begin a statement of their own, which then goes wrong elsewhere."""
    for text in (
        f"{word} = CONV 64",
        f"let {word} = 3",
        f"block {word} = RELU",
        f"block f({word}) = RELU",
        f"CONV 64 -> {word}",
    ):
        assert codes_of(COURSE + text), text


def test_trap_a_repeat_is_written_with_a_star() -> None:
    (fault,) = faults_of(COURSE + "[1x1, 64; 3x3, 64] x 3")
    assert "`* 3`" in fault.helps[0]
    assert codes_of(COURSE + "[1x1, 64; 3x3, 64] * 3") == []


def test_trap_a_shape_is_loosest_of_all() -> None:
    assert codes_of(COURSE + "CONV 8 -> POOL | CONV 8 /2 : 16 x 112 x 112") == []
    assert codes_of(COURSE + "CONV 8 : 8 x 224 x 224 -> POOL") == ["E0101"]
    assert codes_of(COURSE + "(CONV 8 : 8 x 224 x 224) -> POOL : 8 x 112 x 112") == []


def test_trap_an_arrow_after_branches_continues_the_last() -> None:
    assert shape_of("CONV 8 | CONV 8\n  -> CONV 16") == (24, 224, 224)
    assert shape_of("(CONV 8 | CONV 8)\n  -> CONV 16") == (16, 224, 224)
    assert [w.code for w in loads(COURSE + "CONV 8 relu | CONV 8\n  -> CONV 16").warnings] == ["W0503"]


def test_trap_many_comment_lines_are_read_at_once() -> None:
    comments = "# a line of comment\n" * 20_000
    for text in (
        comments + DESIGN_VGG,
        DESIGN_VGG + comments,
        DESIGN_VGG.replace("\n(CONV 512)", f"\n{comments}(CONV 512)", 1),
    ):
        source = Source("t", text)
        assert not parse(source)[1]  # quadratic, this took minutes


@pytest.mark.parametrize("opening", ["(", "[", "residual(", "if C == 1 then RELU else ", "- ", "not "])
def test_trap_deep_nesting_is_refused_where_it_starts(opening: str) -> None:
    depth = 10_000
    closing = {"(": ")", "[": "]", "residual(": ")"}.get(opening, "")
    prefix = {"- ": "let n = ", "not ": "if "}.get(opening, "")
    inner = {"- ": "1", "not ": "C == 1 then RELU else RELU"}.get(opening, "RELU")
    faults = faults_of(f"{COURSE}{prefix}{opening * depth}{inner}{closing * depth}")
    assert [fault.code for fault in faults][:1] in (["E0103"], ["E0101"])


def test_trap_the_cache_is_a_folder_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "netdsl"
    environment = {**os.environ, "NETDSL_CACHE": str(folder)}
    subprocess.run([sys.executable, "-m", "netdsl", "check", "lenet5"], check=True, env=environment)
    assert any(folder.iterdir())
    assert folder.stat().st_mode & 0o077 == 0
