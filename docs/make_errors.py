"""Writes docs/errors.md: every code with its meaning, a wrong and a right example, and what netdsl says.

    python docs/make_errors.py            writes the page
    python docs/make_errors.py --check    exit 1 if the page is stale

Words and examples are those of `netdsl explain` (netdsl/explain/codes). More examples are the files of tests/errors:
`E0301.net`, and variants such as `E0301-unet.net`. One that needs several files is a folder, `E0404/main.net` and what
it imports. A first line `# check: --input 3x100x96` holds the options that `netdsl check` is given. Beside each lies
what netdsl says (`E0301.txt`), kept true by tests/test_errors.py.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from netdsl.diagnostic import CODES
from netdsl.explain.code import Example as Shown
from netdsl.explain.code import meaning, said
from netdsl.record import Record
from netdsl.render import render

HERE = Path(__file__).resolve().parent
PAGE = HERE / "errors.md"
EXAMPLES = HERE.parent / "tests" / "errors"


class Example(Record):
    """A faulty spec and the rendered diagnostics that belong to it."""

    name: str
    """`E0301` or `E0301-unet`."""
    spec: Path
    """Relative to the folder of the examples: `E0301.net`, `E0404/main.net`."""

    @property
    def code(self) -> str:
        return self.name.partition("-")[0]

    @property
    def golden(self) -> Path:
        return EXAMPLES / f"{self.name}.txt"

    @property
    def options(self) -> list[str]:
        """What `netdsl check` is given beside the spec."""
        first = (EXAMPLES / self.spec).read_bytes().partition(b"\n")[0].decode("utf-8", "replace")
        return shlex.split(first.removeprefix("# check:")) if first.startswith("# check:") else []

    @property
    def files(self) -> list[Path]:
        """The spec, then the other files of its folder if it has one of its own."""
        if self.spec.parent == Path("."):
            return [self.spec]
        others = sorted(path.relative_to(EXAMPLES) for path in (EXAMPLES / self.spec).parent.glob("*.net"))
        return [self.spec, *(path for path in others if path != self.spec)]


def examples() -> list[Example]:
    """Every example, by name: the one of the page before its variants."""
    found = [Example(path.stem, path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*.net")]
    found += [Example(path.parent.name, path.relative_to(EXAMPLES)) for path in EXAMPLES.glob("*/main.net")]
    return sorted(found, key=lambda example: example.name)


def page() -> str:
    return "\n".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    by_code: dict[str, list[Example]] = {code: [] for code in CODES}
    for example in examples():
        by_code.setdefault(example.code, []).append(example)

    yield "<!-- Written by docs/make_errors.py from netdsl/explain/codes and tests/errors. Do not edit. -->\n"
    yield "# Errors and warnings\n"
    yield "Every fault has a code that never changes its meaning. Errors (`E`) stop the network, and `netdsl check`"
    yield "exits with 1; warnings (`W`) do not. Each code below is followed by a spec with that fault, by what"
    yield "`netdsl check` says about it, and by a spec without. `netdsl explain E0301` shows the same on a terminal.\n"
    yield "Under a line, `^^^` marks the fault, and `---` what it is at odds with, or the call that leads there. The"
    yield "line below a help is the one to write: `~~~` marks what is written otherwise, `+++` what is added. Such"
    yield "lines were [tried](repairs.md) before they are shown; a help without one takes a decision of the author.\n"
    yield "| code | meaning |"
    yield "|------|---------|"
    for code, title in CODES.items():
        yield f"| [{code}](#{code.lower()}) | {title} |"
    yield ""
    for code, found in by_code.items():
        yield from _section(code, found)


def _section(code: str, found: list[Example]) -> Iterator[str]:
    page = meaning(code)
    yield f"## {code}\n"
    yield f"{page.title[0].upper()}{page.title[1:]}.\n"
    yield f"{page.text}\n"
    yield from _example("Wrong", page.wrong, [f"`{name}`" for name, _ in page.wrong.files])
    for name, text in page.wrong.files:
        yield f"`{name}`:\n"
        yield _block(text)
    yield _block("\n\n".join(map(render, said(page.wrong))))
    yield from _example("Right", page.right, [])
    yield f"Source: {page.source}\n"
    if found:
        links = [f"[{_title(example)}]({_link(example)})" for example in found]
        yield "More of them: " + ",\n".join(links) + ".\n"


def _example(title: str, example: Shown, beside: list[str]) -> Iterator[str]:
    said = [f"with `{example.options}`"] if example.options else []
    said += [f"beside {', '.join(beside)}"] if beside else []
    yield f"{', '.join([title, *said])}:\n"
    yield _block(example.text)


def _title(example: Example) -> str:
    return example.name.partition("-")[2].replace("-", " ") or example.name


def _link(example: Example) -> str:
    return f"../tests/errors/{example.golden.name}"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```\n"


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--check"]):
        print("make_errors.py takes --check or nothing", file=sys.stderr)
        return 2
    wanted = page()
    if not arguments:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"{PAGE} is stale: run python {Path(__file__).name}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
