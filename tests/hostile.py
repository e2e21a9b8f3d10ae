"""Texts that mean harm, or that an accident could produce: what each is, how it is made, and which error it gets.

The tests run each of them as a file through the command line, and as a text through `loads`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HEAD = "net n\ninput 3 x 32 x 32\n"
MEGABYTE = 1_000_000


class Case(NamedTuple):
    """One of them. `code` is that of the first error, or empty where the text is accepted."""

    name: str
    code: str
    make: Callable[[], str]


def net(body: str) -> Callable[[], str]:
    return lambda: f"{HEAD}{body}\n"


def lines(each: Callable[[int], str], n: int, before: str = HEAD, after: str = "") -> Callable[[], str]:
    return lambda: before + "\n".join(each(i) for i in range(n)) + f"\n{after}\n"


NESTED = [
    Case("100,000 parentheses", "E0103", net("(" * 100_000 + "RELU" + ")" * 100_000)),
    Case("100,000 parentheses that are never closed", "E0103", net("(" * 100_000)),
    Case("101 parentheses", "E0103", net("(" * 101 + "RELU" + ")" * 101)),
    Case("100 parentheses", "", net("(" * 100 + "RELU" + ")" * 100)),
    Case("100,000 closing parentheses", "E0101", net(")" * 100_000)),
    Case("100,000 brackets", "E0103", net("[" * 100_000)),
    Case("100,000 braces", "E0101", net("{" * 100_000 + "}" * 100_000)),
    Case("50,000 calls in one another", "E0103", net("f(" * 50_000 + "RELU" + ")" * 50_000)),
    Case("20,000 conditions in one another", "E0103", net("if 1 == 1 then RELU else " * 20_000 + "RELU")),
    Case("20,000 loops in one another", "E0103", net("for i in 1..2 do " * 20_000 + "RELU")),
    Case("700 signs", "", net(f"CONV ({'-' * 700}1)")),
    Case("100,000 signs", "E0103", net(f"CONV ({'-' * 100_000}1)")),
    Case("100,000 times `not`", "E0103", net("if " + "not " * 100_000 + "1 == 1 then RELU else RELU")),
    Case("parentheses across lines", "E0103", net("(\n" * 100_000 + "RELU" + "\n)" * 100_000)),
    Case("parentheses in a comment", "", net("RELU # " + "(" * 100_000)),
]

REPEATED = [
    Case("a thousand million copies", "E0403", net("RELU * 1000000000")),
    Case("10^18 copies", "E0403", net("RELU * 1000000000000000000")),
    Case("10^40 copies", "E0102", net(f"RELU * 1{'0' * 40}")),
    Case("copies of copies of copies", "E0403", net("(((RELU * 1000) * 1000) * 1000) * 1000")),
    Case("copies by a product", "E0403", net("RELU * 1000 * 1000 * 1000 * 1000")),
    Case("copies by a product beyond all sizes", "E0102", net("RELU" + " * 1000000000" * 10)),
    Case("no copies", "E0401", net("RELU * 0")),
    Case("less than none", "E0401", net("RELU * (-1)")),
    Case("half a copy", "E0202", net("RELU * 0.5")),
    Case("a million copies", "", net("(CONV 8 -> RELU) * 400000")),
    Case("copies that differ", "E0403", net("(identity | RELU) * 1000000")),
    Case("a loop of a thousand million steps", "E0403", net("for i in 1..1000000000 do CONV i")),
    Case(
        "loops in loops in loops", "E0403", net("for i in 1..900 do for j in 1..900 do for k in 1..900 do CONV (i+j+k)")
    ),
    Case("a loop of different blocks", "E0403", net("block f(n) = CONV n -> RELU\nfor i in 1..10000 do f(i)")),
    Case("a loop of different elements", "", net("for i in 1..3000 do CONV i")),
    Case(
        "blocks that double, 60 of them",
        "E0403",
        lines(lambda i: f"block b{i + 1} = b{i} -> b{i}", 60, "block b0 = RELU\n", HEAD + "b60"),
    ),
    Case(
        "numbers that double",
        "E0102",
        lines(lambda i: f"let a{i + 1} = a{i} * a{i}", 80, HEAD + "let a0 = 2\n", "CONV a80"),
    ),
    Case("channels that double", "E0403", net("(identity | identity) * 60")),
    Case("sizes that double", "E0403", net("(UPSAMPLE 2) * 60")),
]

RECURSIVE = [
    Case("a block that calls itself", "E0402", net("block f = f\nf")),
    Case("a block that calls itself with one more", "E0402", net("block f(n) = f(n + 1)\nf(1)")),
    Case("two blocks that call one another", "E0402", net("block f(n) = g(n)\nblock g(n) = f(n)\nf(1)")),
    Case("a recursion that grows its input", "E0402", net("block f = CONV (C + 1) -> f\nf")),
    Case("a recursion of depth 190", "", net("block f(n) = if n == 1 then CONV 8 else f(n - 1) -> CONV n\nf(190)")),
    Case(
        "a recursion of depth 10,000", "E0402", net("block f(n) = if n == 1 then RELU else RELU -> f(n - 1)\nf(10000)")
    ),
    Case("a fork bomb by sums", "E0402", net("block f(n) = f(n + 1) + f(n + 2)\nf(1)")),
    Case("a fork bomb by names", "E0402", net("block f(g) = f(f(g)) -> f(g)\nf(RELU)")),
    Case("a fork bomb by arguments", "E0403", net("block d(f) = f -> f\n" + "d(" * 40 + "RELU" + ")" * 40)),
    Case(
        "a fork bomb by arguments that differ",
        "E0403",
        net("block d(f, n) = f -> CONV n -> f\n" + "d(" * 40 + "RELU" + "".join(f", {i + 1})" for i in range(40))),
    ),
    Case(
        "a fork bomb by defaults",
        "E0403",
        lines(lambda i: f"block b{i + 1}(f=b{i}) = f -> f", 60, "block b0 = RELU\n", HEAD + "b60"),
    ),
    Case(
        "a fork bomb by `let`",
        "E0403",
        lines(lambda i: f"let b{i + 1} = (RELU -> b{i} -> b{i})", 60, HEAD + "let b0 = (RELU -> RELU)\n", "b60"),
    ),
    Case(
        "a fork bomb by concatenation",
        "E0403",
        lines(lambda i: f"block b{i + 1}(n) = b{i}(n) | b{i}(n + 1)", 60, "block b0(n) = CONV n\n", HEAD + "b60(1)"),
    ),
    Case("fractals of fractals", "E0403", net("fractal(40, 8)")),
    Case(
        "a tower of numbers",
        "E0102",
        net(
            "block f(n, m) = if n == 0 then CONV m else if m == 0 then f(n - 1, 1) else f(n - 1, m * m + 1)\nf(100, 3)"
        ),
    ),
    Case("a block that is its own argument", "E0402", net("block f(g) = g(g)\nf(f)")),
    Case("a net that is made from itself", "E0404", lambda: "net a = a with\n"),
    Case("two nets that are made from one another", "E0404", lambda: "net a = b with\nnet b = a with\n"),
    Case("names that stand for one another", "E0207", net("let a = b\nlet b = a\na")),
]

LONG = [
    Case("a line of a million blanks", "E0106", lambda: " " * MEGABYTE),
    Case("a million empty lines", "E0106", lambda: "\n" * MEGABYTE),
    Case("a comment of a million characters", "E0106", lambda: "#" * MEGABYTE),
    Case("200,000 comments", "E0106", lambda: "#\n" * 200_000),
    Case("200,000 lines of blanks", "E0106", lambda: " \t\n" * 200_000),
    Case("blanks after a line, and no end", "", net("RELU\n" + " " * MEGABYTE)),
    Case("a name of a million letters", "E0201", net("a" * MEGABYTE)),
    Case("a name of a million dots", "E0101", net("a" + "." * MEGABYTE)),
    Case("a name of half a million parts", "E0201", net(".".join("a" * 500_000))),
    Case("a label of a million letters", "", net("a" * MEGABYTE + " = RELU")),
    Case("a number of a million digits", "E0102", net("CONV " + "9" * MEGABYTE)),
    Case("a fraction of a million digits", "E0202", net("DROPOUT 0." + "3" * MEGABYTE)),
    Case("an exponent of a million digits", "E0202", net("DROPOUT 1e" + "9" * MEGABYTE)),
    Case("a kernel of a million axes", "E0307", net("CONV 8 " + "x".join("3" * 500_000))),
    Case("an input of a million axes", "E0307", lambda: "input " + "x".join("3" * 500_000) + "\nRELU\n"),
    Case("a text of a million letters", "E0101", net('"' + "a" * MEGABYTE)),
    Case("a million quotes", "E0101", net('"' * MEGABYTE)),
    Case("a path of a million letters", "E0405", lambda: f'import "{"a" * MEGABYTE}"\n{HEAD}RELU'),
    Case("a million plus signs", "E0101", net("+" * MEGABYTE)),
    Case("a million arrows", "E0101", net("->" * 500_000)),
    Case("a million bars", "E0101", net("|" * MEGABYTE)),
    Case("a million commas", "E0101", net("CONV 8" + "," * MEGABYTE)),
    Case("a million question marks", "E0101", net("?" * MEGABYTE)),
    Case("a million signs of no alphabet", "E0101", net("\u2603" * MEGABYTE)),
    Case("a million characters without a word", "E0101", net("@" * MEGABYTE)),
    Case("100,000 lines with an error each", "E0101", lines(lambda i: "CONV 8 )", 100_000)),
    Case("an error after 40,000 lines", "E0101", lines(lambda i: f"CONV {i % 90 + 1} 1x1", 40_000, after="CONV 8 )")),
    Case("more than the longest file", "E0403", lambda: "#" * 21_000_000),
]

WIDE = [
    Case("50,000 elements in a row", "", net(" -> ".join(["RELU"] * 50_000))),
    Case("20,000 branches", "", net(" | ".join(["CONV 1"] * 20_000))),
    Case("20,000 summands", "", net(" + ".join(["CONV 1"] * 20_000))),
    Case("20,000 numbers in a sum", "", net("CONV (" + "+".join("1" * 20_000) + ")")),
    Case("20,000 factors", "", net("CONV (" + "*".join("1" * 20_000) + ")")),
    Case("20,000 conditions joined", "", net("if " + " and ".join(["1 == 1"] * 20_000) + " then RELU else TANH")),
    Case("20,000 arguments of a primitive", "E0203", net("CONV " + "8 " * 20_000)),
    Case("20,000 flags", "E0204", net("CONV 8 " + "relu " * 20_000)),
    Case("20,000 arguments of a block", "E0203", net("block f(a) = CONV a\nf(" + ", ".join("1" * 20_000) + ")")),
    Case(
        "20,000 parameters",
        "",
        net(
            "block f(" + ", ".join(f"a{i}=1" for i in range(20_000)) + ") = CONV a0\nf(" + ", ".join("1" * 20_000) + ")"
        ),
    ),
    Case(
        "20,000 parameters of a net",
        "",
        lambda: "net n(" + ", ".join(f"a{i}=1" for i in range(20_000)) + ")\ninput 3 x 8 x 8\nCONV a0",
    ),
    Case("20,000 blocks of one name", "E0205", lines(lambda i: "block f = RELU", 20_000, after="f")),
    Case("20,000 nets", "", lines(lambda i: f"net n{i}\ninput 3", 20_000, before="", after="FC 3")),
    Case("20,000 inputs", "E0212", lines(lambda i: f"input a{i} = 3 x 8 x 8", 20_000, before="")),
    Case("20,000 inputs without names", "E0212", lines(lambda i: "input 3 x 8 x 8", 20_000, before="")),
    Case(
        "20,000 labels, then one that is unknown",
        "E0201",
        lines(lambda i: f"layer{i} = RELU", 20_000, after="layr77 -> RELU"),
    ),
    Case(
        "20,000 labels, then 40 that are unknown",
        "E0201",
        lines(lambda i: f"layer{i} = RELU", 20_000, after="\n".join(f"layr{i} -> RELU" for i in range(40))),
    ),
    Case("20,000 unknown names", "E0201", lines(lambda i: f"layer{i} -> RELU", 20_000)),
    Case(
        "20,000 labels that are frozen",
        "",
        lines(lambda i: f"a{i} = CONV 3", 20_000, after="RELU\nfreeze " + " ".join(f"a{i}" for i in range(20_000))),
    ),
    Case(
        "20,000 labels, and one to freeze that is not there",
        "E0206",
        lines(lambda i: f"a{i} = CONV 3", 20_000, after="RELU\nfreeze b"),
    ),
    Case(
        "20,000 outputs",
        "",
        lines(lambda i: f"a{i} = RELU", 20_000, after="output " + ", ".join(f"a{i}" for i in range(20_000))),
    ),
    Case("the same output 20,000 times", "E0205", net("a = RELU\noutput " + ", ".join(["a"] * 20_000))),
    Case(
        "20,000 lines that are replaced",
        "",
        lines(
            lambda i: f"a{i} = CONV 3",
            20_000,
            before="net b\ninput 3 x 8 x 8\n",
            after="RELU\nnet c = b with\n" + "\n".join(f"a{i} = CONV 3 1x1" for i in range(20_000)),
        ),
    ),
    Case("20,000 lines that nothing uses", "", lines(lambda i: f"let a{i} = a -> RELU" if i else "a = RELU", 20_000)),
    Case("20,000 defaults", "", lines(lambda i: f"default CONV k={i % 3 + 1}", 20_000, after="CONV 8")),
    Case("2,000 defaults between lines", "", lines(lambda i: f"default CONV k={i % 3 + 1}\nCONV 8", 2_000)),
    Case(
        "a block that uses 5,000 labels",
        "",
        lines(
            lambda i: f"a{i} = RELU", 5_000, after="(" + " + ".join(f"a{i}" for i in range(5_000)) + " + identity) * 3"
        ),
    ),
    Case("10,000 assertions that do not hold", "E0305", lines(lambda i: "CONV 8 : 9 x 9 x 9", 10_000)),
    Case("a label 20,000 times", "E0205", lines(lambda i: "a = RELU", 20_000)),
    Case("an open size in 5,000 windows", "", lambda: "input 3 x H x W\n" + "CONV 3 valid relu\n" * 5_000),
    Case("an open size that is halved 1,000 times", "", lambda: "input 3 x H x W\n(CONV 3 /2 relu) * 1000\n"),
]

NUMBERS = [
    Case("division by zero", "E0102", net("CONV (1/0)")),
    Case("division by zero in a fraction", "E0102", net("DROPOUT (1/(2-2))")),
    Case("a stride of zero", "E0202", net("CONV 8 /0")),
    Case("a kernel of zero", "E0202", net("CONV 8 0x0")),
    Case("zero groups", "E0202", net("CONV 8 groups=0")),
    Case("zero filters", "E0202", net("CONV 0")),
    Case("10^40 filters", "E0102", net("CONV 1" + "0" * 40)),
    Case("10^18 filters", "E0102", net("CONV 1000000000000000000")),
    Case("a power by products", "E0102", net("CONV (" + "*".join(["1000000000"] * 10) + ")")),
    Case(
        "a number with a long fraction",
        "E0102",
        net("CONV (" + "+".join(f"1/{p}" for p in (999983, 999979, 999961, 999959)) + ")"),
    ),
    Case("1e99", "E0102", net("CONV 1e99")),
    Case("1e-99", "E0202", net("DROPOUT 1e-99")),
    Case("an input of nothing", "E0202", lambda: "input 0 x 0 x 0\nRELU"),
    Case("an input of 10^12", "E0102", lambda: "input 1000000000000 x 8 x 8\nRELU"),
    Case("a tensor of 10^27 elements", "", lambda: "input 1000000000 x 1000000000 x 1000000000\nRELU"),
    Case("flattening 10^27 elements", "E0403", lambda: "input 1000000000 x 1000000000 x 1000000000\nFLATTEN"),
    Case("weights of 10^18", "", lambda: "input 1000000000\nFC 1000000000 relu"),
    Case("padding of 10^9", "", net("CONV 8 pad 1000000000")),
    Case("a kernel of 10^9", "E0304", net("CONV 8 k=1000000000 valid")),
    Case("a dilation of 10^9", "E0304", net("CONV 8 dilation=1000000000 valid")),
    Case("digits of other alphabets", "", net("CONV \u0661\u0662")),
    Case("superscripts", "E0201", net("CONV 8\u00b2")),
]

CHARACTERS = [
    Case("nothing", "E0106", lambda: ""),
    Case("a blank", "E0106", lambda: " "),
    Case("a new line", "E0106", lambda: "\n"),
    Case("a NUL", "E0105", net("CONV\0 8")),
    Case("a NUL alone", "E0105", lambda: "\0"),
    Case("a million NULs", "E0105", lambda: "\0" * MEGABYTE),
    Case("a byte order mark", "", lambda: "\ufeff" + HEAD + "RELU\n"),
    Case("a byte order mark alone", "E0106", lambda: "\ufeff"),
    Case("a byte order mark in the middle", "E0101", net("CONV \ufeff 8")),
    Case("two byte order marks", "E0101", lambda: "\ufeff\ufeff" + HEAD + "RELU\n"),
    Case("CRLF", "", lambda: HEAD.replace("\n", "\r\n") + "RELU\r\n"),
    Case("CR", "", lambda: HEAD.replace("\n", "\r") + "RELU\r"),
    Case("an error after CRLF", "E0101", lambda: HEAD.replace("\n", "\r\n") + "RELU )\r\n"),
    Case("100,000 CRs", "", lambda: HEAD + "\r" * 100_000 + "RELU"),
    Case("LF, CR and CRLF in turns", "", lambda: HEAD + "\n\r\r\n" * 30_000 + "RELU"),
    Case("a form feed", "", net("\f RELU")),
    Case("a vertical tab", "E0101", net("\v RELU")),
    Case("a next-line character", "E0101", net("\x85 RELU")),
    Case("a line separator", "E0101", net("\u2028 RELU")),
    Case("an escape sequence", "E0101", net("\x1b[2J RELU")),
    Case("an escape sequence in a comment", "", net("RELU # \x1b[2J")),
    Case("a bell in a text", "E0202", net('CONV 8 padding="\a"')),
    Case("writing from right to left", "E0101", net("\u202e RELU")),
    Case("a character beyond the basic plane", "E0101", net("\U0001f600 RELU")),
    Case("names of other alphabets", "", net("\u03b1\u03b2 = RELU")),
    Case("a letter of another alphabet that looks like ours", "E0201", net("R\u0415LU")),
    Case("a combining character", "E0101", net("\u0301RELU")),
    Case("a zero-width blank", "E0101", net("RE\u200bLU")),
]

TEXTS = [*NESTED, *REPEATED, *RECURSIVE, *LONG, *WIDE, *NUMBERS, *CHARACTERS]


# --- files and folders ----------------------------------------------------------------------------------------------


class FileCase(NamedTuple):
    """One that is about files: `make` writes them into a folder; `main.net` there is checked."""

    name: str
    code: str
    make: Callable[[Path], None]


def files(**contents: bytes) -> Callable[[Path], None]:
    """Writes specs, by their names without the suffix."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for name, data in contents.items():
            (folder / f"{name}.net").write_bytes(data)

    return make


def main(text: str) -> bytes:
    return f"{text}\n{HEAD}RELU\n".encode()


def outside(path: str) -> Callable[[Path], None]:
    """A file beside the spec's folder, which the spec must not reach by `path`."""

    def make(folder: Path) -> None:
        folder.mkdir()
        (folder.parent / "secret.net").write_text("block f = RELU\n")
        (folder / "link.net").symlink_to(folder.parent / "secret.net")
        (folder / "up").symlink_to(folder.parent)
        (folder / "main.net").write_bytes(main(f'import "{path}"'))

    return make


def ring(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.net").symlink_to(folder / "b.net")
    (folder / "b.net").symlink_to(folder / "a.net")
    (folder / "main.net").write_bytes(main('import "a.net"'))


def pipe(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "pipe.net")
    (folder / "main.net").write_bytes(main('import "pipe.net"'))


def folder_as_file(folder: Path) -> None:
    (folder / "sub.net").mkdir(parents=True)
    (folder / "main.net").write_bytes(main('import "sub.net"'))


def sparse(folder: Path) -> None:
    folder.mkdir()
    with (folder / "main.net").open("wb") as file:
        file.truncate(8 << 30)


def chain(n: int) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        folder.mkdir()
        for i in range(n):
            (folder / f"b{i}.net").write_text(f'import "b{i + 1}.net"\nblock f{i} = RELU\n')
        (folder / f"b{n}.net").write_text("block last = RELU\n")
        (folder / "main.net").write_bytes(main('import "b0.net"'))

    return make


FILES = [
    FileCase("not UTF-8", "E0105", files(main=HEAD.encode() + b"CONV \xff\xfe 8\n")),
    FileCase("Latin-1", "E0105", files(main="# für\n".encode("latin-1"))),
    FileCase("UTF-16", "E0105", files(main=(HEAD + "RELU\n").encode("utf-16"))),
    FileCase("UTF-16 without a mark", "E0105", files(main=(HEAD + "RELU\n").encode("utf-16-le"))),
    FileCase("a surrogate in UTF-8", "E0105", files(main=b"\xed\xa0\x80")),
    FileCase("a character of five bytes", "E0105", files(main=b"\xf8\x88\x80\x80\x80")),
    FileCase("a character that is cut off", "E0105", files(main=HEAD.encode() + b"RELU \xe2\x82")),
    FileCase("random bytes", "E0105", files(main=bytes(range(256)) * 4000)),
    FileCase("a million bytes 0xff", "E0105", files(main=b"\xff" * MEGABYTE)),
    FileCase("eight gigabytes of nothing", "E0403", sparse),
    FileCase("an import that is not UTF-8", "E0105", files(main=main('import "a.net"'), a=b"\xff")),
    FileCase("a path upwards", "E0406", outside("../secret.net")),
    FileCase("a path upwards and back and up", "E0406", outside("up/../../secret.net")),
    FileCase("an absolute path", "E0406", outside("/etc/passwd")),
    FileCase("a link that leads outside", "E0406", outside("link.net")),
    FileCase("a folder that leads outside", "E0406", outside("up/secret.net")),
    FileCase("the home folder", "E0406", outside("~/secret.net")),
    FileCase("a drive", "E0406", outside("C:/secret.net")),
    FileCase("a share", "E0406", outside("\\\\\\\\host\\\\secret.net")),
    FileCase("a path of dots", "E0406", outside("../" * 5000 + "etc/passwd")),
    FileCase("a long name", "E0405", outside("a" * 300 + ".net")),
    FileCase("a very long name", "E0405", outside("a" * MEGABYTE)),
    FileCase("an address", "E0405", outside("https://example.org/a.net")),
    FileCase("links that lead to one another", "E0405", ring),
    FileCase("a pipe", "E0405", pipe),
    FileCase("a folder", "E0405", folder_as_file),
    FileCase("a file that imports itself", "E0404", files(main=main('import "main.net"'))),
    FileCase(
        "two files that import one another", "E0404", files(main=main('import "a.net"'), a=b'import "main.net"\n')
    ),
    FileCase("imports 60 deep", "", chain(60)),
    FileCase("imports 300 deep", "E0403", chain(300)),
    FileCase("a hundred imports of one file", "", files(main=main('import "a.net"\n' * 100), a=b"block f = RELU\n")),
    FileCase(
        "two blocks of one name",
        "E0205",
        files(main=main('import "a.net"\nimport "b.net"'), a=b"block f = RELU\n", b=b"block f = TANH\n"),
    ),
]
