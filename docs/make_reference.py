"""Writes the tables of README.md and docs/language.md that the code knows better than we do.

    python docs/make_reference.py            writes them
    python docs/make_reference.py --check    exit 1 if one is stale

A section stands between `<!-- begin NAME … -->` and `<!-- end NAME -->`; the text around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netdsl import apply, bind, evaluate, net, parse, treebuilder, values
from netdsl.explain.primitive import equation
from netdsl.files import shipped
from netdsl.net import load, loads
from netdsl.ops import OPS, Argument, Op
from netdsl.ops.base import REQUIRED
from netdsl.ops.join import Join
from netdsl.types import TensorType

ROOT = Path(__file__).resolve().parent.parent
PRELUDE = ROOT / "netdsl" / "prelude"
SAMPLE = "16 x 32 x 32"

SPECIAL = {
    "pad": "as the word `same` or `valid` says",
    "pad_before": "as `pad`, or `0`",
    "pad_after": "as `pad`, or `0`",
    "padding": "as `pad` and `out_pad` say",
    "grouping": "as `groups` says",
    "affine": "neither",
    "sharing": "one for each channel",
    "corners": "they lie half a pixel inside",
    "stride": "the window",
    "bias": "`bias`, but `nobias` where a norm follows",
    "bias_init": "`0`; with `init=torch`, as PyTorch has it",
    "init": "He or Glorot, see [initialisation](#initialisation)",
}
"""What a default of None means, by argument, where its own line does not say it."""


# --- README.md -------------------------------------------------------------------------------------------------------


def networks() -> str:
    """The shipped networks, as `netdsl list` has them: their size, and the source on their first line."""
    rows = ["| name | parameters | multiply-accumulates | source |", "|---|--:|--:|---|"]
    for name, path in shipped().items():
        net = load(path)
        source = net.source.text.split("\n", 1)[0].lstrip("# ")
        cited = re.match(r"[^(]*\(.*?\)(?=\.|$)", source)
        macs = f"{net.macs:,}" if isinstance(net.macs, int) else f"{net.macs}"
        rows.append(f"| `{name}` | {net.params:,} | {macs} | {cited[0] if cited else source} |")
    return "\n".join(rows)


# --- docs/language.md ------------------------------------------------------------------------------------------------


def primitives() -> str:
    """Every op: how it is written, as what flag, what it computes, what comes out of it."""
    rows = [f"| written | flag | computes | on `{SAMPLE}` gives |", "|---|---|---|---|"]
    for op in OPS:
        if op.spellings:
            names = ", ".join(f"`{name}`" for name in op.spellings)
            flag = f"`{op.flag}`" if op.flag else ""
            given = f", on `{op.example_input}`" if op.example_input else ""
            rows.append(f"| {names} | {flag} | {_equation(op)} | `{_result(op)}`{given} |")
    return "\n".join(rows)


def joins() -> str:
    """The ops that operators make."""
    operators = {"add": "`a + b`, ", "concat": "`a \\| b`, "}
    rows = ["| written | computes |", "|---|---|"]
    rows += [
        f"| {operators.get(op.name, '')}`{bind.usage(op, op.call)}` | {_equation(op)} |"
        for op in OPS
        if issubclass(op, Join)
    ]
    return "\n".join(rows)


def _equation(op: type[Op]) -> str:
    return equation(op).replace("|", "\\|").rstrip(".")


def _result(op: type[Op]) -> TensorType:
    """What comes out of the op at its defaults."""
    required = [a.kind for a in op.arguments if a.form == "positional" and a.default is REQUIRED]
    given = " ".join("0.5" if kind == "number" else "8" for kind in required)
    net = loads(f"input {op.example_input or SAMPLE}\n{op.spellings[0]} {op.example or given}")
    return TensorType(net.outputs["output"])


def arguments() -> str:
    """Every argument of every op, with its default."""
    parts = []
    for op in OPS:
        if not op.arguments or not op.spellings:
            continue
        rows = [f"**`{op.spellings[0]}`**" + (", followed by flags" if op.takes_flags else "")]
        rows += ["", "| argument | written | default | |", "|---|---|---|---|"]
        rows += [f"| {a.name} | {_written(a)} | {_default(a)} | {_meaning(a)} |" for a in op.arguments]
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _written(argument: Argument) -> str:
    names = [argument.name, *argument.aliases]
    if argument.form == "positional":
        return f"a bare number, or `{argument.name}=…`"
    if argument.form == "extent":
        return f"a bare number or `a x b`, or `{argument.name}=…`"
    if argument.form == "kernel":
        return ", ".join(["`5x5`", *(f"`{name}=5`" for name in names)])
    if argument.form == "stride":
        return ", ".join(["`/2`", *(f"`{name}=2`" for name in names)])
    if argument.form == "word":
        return ", ".join(f"`{word}`" for word in argument.words)
    return f"`{argument.name} …` or `{argument.name}=…`"


def _default(argument: Argument) -> str:
    value: Any = argument.default
    if value is REQUIRED:
        return "must be given"
    if value is None:
        said = re.search(r"(?:^|[;,] )([^;,]*) by default$", argument.doc)
        return said[1] if said and argument.name not in SPECIAL else SPECIAL[argument.name]
    if argument.form == "kernel":
        return f"`{value}x{value}`"
    if argument.form == "stride":
        return f"`/{value}`"
    return f"`{value}`" if isinstance(value, str) else f"`{value:g}`".replace("e-0", "e-")


def _meaning(argument: Argument) -> str:
    """The argument's own line, without the default that the column beside it shows."""
    return re.sub(r"(^|[;,] )[^;,]* by default$", "", argument.doc)


def prelude() -> str:
    """The files of the prelude, whole."""
    return "\n\n".join(
        f"```net\n{path.read_text(encoding='utf-8').strip()}\n```" for path in sorted(PRELUDE.glob("*.net"))
    )


def limits() -> str:
    """The budgets, from the code that enforces them."""
    rows = [
        ("characters in a file", parse.MAX_LENGTH, "E0403"),
        ("parentheses, brackets and `else if` inside one another", parse.MAX_NESTING, "E0103"),
        ("digits of a number", treebuilder.MAX_DIGITS, "E0102"),
        ("a count or a size in the text", bind.MAX_SIZE, "E0102"),
        ("the value of arithmetic, and a numerator or denominator on the way", values.LIMIT, "E0102"),
        ("steps of a `for`", apply.MAX_STEPS, "E0403"),
        ("copies of a `*`", apply.MAX_UNROLLED, "E0403"),
        ("blocks calling one another, in depth", apply.MAX_DEPTH, "E0402"),
        ("applications of blocks", apply.MAX_CALLS, "E0403"),
        ("applications of blocks that were passed to blocks", apply.MAX_SPLICED, "E0403"),
        ("different bodies: a block with other arguments or another input is another body", apply.MAX_BODIES, "E0403"),
        ("different elements, where what is repeated counts once", apply.MAX_ELEMENTS, "E0403"),
        ("elements with repeats counted", apply.MAX_UNROLLED, "E0403"),
        ("elements listed one by one, by `layers` and `show --json`", net.MAX_LISTED, "E0403"),
        ("errors reported in one run", evaluate.MAX_FAULTS, "E0403"),
        ("syntax errors reported in one run", parse.MAX_ERRORS, ""),
    ]
    table = ["| what | at most | beyond it |", "|---|--:|---|"]
    table += [f"| {what} | {number:,} | {code or 'the rest is not shown'} |" for what, number, code in rows]
    return "\n".join(table)


# --- the pages -------------------------------------------------------------------------------------------------------

Section = Callable[[], str]
PAGES: dict[Path, tuple[Section, ...]] = {
    ROOT / "README.md": (networks,),
    ROOT / "docs" / "language.md": (primitives, joins, arguments, prelude, limits),
}


def with_sections(text: str, sections: tuple[Section, ...]) -> str:
    """The page with its sections as they are now."""
    for section in sections:
        name = section.__name__
        pattern = re.compile(rf"(<!-- begin {name}\b[^>]*-->\n).*?(<!-- end {name} -->)", re.DOTALL)
        assert len(pattern.findall(text)) == 1, f"there is no section {name}, or more than one"
        text = pattern.sub(lambda found, section=section: f"{found[1]}\n{section()}\n\n{found[2]}", text)
    return text


def main(given: list[str]) -> int:
    if given not in ([], ["--check"]):
        print("make_reference.py takes --check or nothing", file=sys.stderr)
        return 2
    stale = []
    for page, sections in PAGES.items():
        text = page.read_text(encoding="utf-8")
        wanted = with_sections(text, sections)
        if wanted == text:
            continue
        stale.append(page.name)
        if not given:
            page.write_text(wanted, encoding="utf-8")
    if given and stale:
        print(f"stale: {', '.join(stale)}; run python docs/{Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
