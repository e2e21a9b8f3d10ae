"""How is an explanation shown?  As text of 80 columns.

Up to `FULL` steps are told in full: the equation, where it comes from, and which rows of the image a place sees. Of
more there is the arithmetic alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from netdsl.amounts import number
from netdsl.analysis.receptive import Reach
from netdsl.diagnostic import CODES, Diagnostic
from netdsl.explain.code import Example, Meaning
from netdsl.explain.element import Explanation, Neighbour, Step
from netdsl.render.full import render
from netdsl.render.text import WIDTH, clean, wrap
from netdsl.size import Size

FULL = 4
MOST = 24
"""So many steps are shown."""
AROUND = 6
"""So many neighbours are named."""


def code_list() -> str:
    """Every code, a line for each."""
    return "\n".join(f"{code}  {title}" for code, title in CODES.items())


def meaning_text(meaning: Meaning, faults: Sequence[Diagnostic], colour: bool = False) -> str:
    """A code in full; `faults` is what netdsl says about its wrong example."""
    return "\n".join(_meaning(meaning, faults, colour)).rstrip()


def _meaning(meaning: Meaning, faults: Sequence[Diagnostic], colour: bool) -> Iterator[str]:
    yield bold(f"{meaning.code}: {meaning.title}", colour)
    yield ""
    for paragraph in meaning.paragraphs:
        yield from wrap(paragraph.replace("**", ""), WIDTH, "")
        yield ""
    yield from _example("Wrong", meaning.wrong, colour)
    yield bold("netdsl says", colour)
    yield ""
    for fault in faults:
        yield render(fault, colour)
        yield ""
    yield from _example("Right", meaning.right, colour)
    yield from wrap(f"Source: {meaning.source}", WIDTH, "        ")


def _example(title: str, example: Example, colour: bool) -> Iterator[str]:
    yield bold(title + (f", with {example.options}" if example.options else ""), colour)
    yield ""
    yield from _indented(example.text)
    for name, text in example.files if title == "Wrong" else ():
        yield bold(f"and beside it, {name}", colour)
        yield ""
        yield from _indented(text)


def _indented(text: str) -> Iterator[str]:
    yield from (f"    {line}".rstrip() for line in text.rstrip().splitlines())
    yield ""


def bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour and text else text


# --- elements --------------------------------------------------------------------------------------------------------


def explanation_text(found: Explanation, colour: bool = False) -> str:
    """Elements, worked."""
    return "\n".join(_explanation(found, colour)).rstrip()


def _explanation(found: Explanation, colour: bool) -> Iterator[str]:
    inside = "" if found.title.startswith(f"{found.net}.") else f" of {found.net}"
    yield bold(f"{clean(found.title)}{inside}", colour)
    yield ""
    file = ""
    for name, line, text in found.lines[:AROUND]:
        if name != file and not found.title.startswith(f"{name}:"):
            yield _cut(f"     in {clean(name)}")
        file, shown = name, clean(text).rstrip()
        yield _cut(f"{line:>4} | {shown if len(shown) + 7 <= WIDTH else re.sub(' {3,}', '  ', shown)}")
    if len(found.lines) > AROUND:
        yield f"     | … and {len(found.lines) - AROUND} lines more"
    if found.lines:
        yield ""
    yield from _around("from", found.feeds)
    if found.output:
        yield _row("out", found.output)
    yield from _around("to", found.uses)
    if found.places:
        some = ", ".join(clean(name) for name in found.places[:AROUND])
        more = len(found.places) - AROUND
        yield from _rows("stands in", some + (f" and {more} places more" if more > 0 else ""))
    yield from _cost(found)
    for i, step in enumerate(found.steps[:MOST]):
        if i == 0:
            yield ""
        yield from _step(step, found, colour)
        if len(found.steps) <= FULL and i + 1 < len(found.steps):
            yield ""
    if len(found.steps) > MOST:
        rest = len(found.steps) - MOST
        yield f"… and {rest} more steps: ask for one of them by its path, or for `--json`"
    if found.limits:
        yield ""
        yield bold("What this asks of the input's sizes", colour)
        for limit in found.limits:
            yield from (f"    {row}" for row in wrap(limit, WIDTH - 4, "    "))


def _around(word: str, neighbours: Sequence[Neighbour]) -> Iterator[str]:
    """What feeds it or takes it, a line for each."""
    shown = neighbours[:AROUND]
    name = max((len(other.name) for other in shown), default=0)
    shape = max((len(other.shape) for other in shown), default=0)
    for i, other in enumerate(shown):
        line = f"line {other.line}" if other.line else other.place.rpartition(":")[0]
        yield _row(word if i == 0 else "", f"{clean(other.name):{name}}  {other.shape:{shape}}  {line}".rstrip())
    if len(neighbours) > AROUND:
        yield _row("", f"… and {len(neighbours) - AROUND} more")


def _cost(found: Explanation) -> Iterator[str]:
    """The sums, and what part of the network's they are."""
    for word, own, whole in (("parameters", found.params, found.whole[0]), ("MACs", found.macs, found.whole[1])):
        if own == 0 or whole == 0:
            continue
        share = (
            f", {100 * own / whole:.3g} % of the network's" if isinstance(own, int) and isinstance(whole, int) else ""
        )
        yield from _rows(word, number(own) + share)


def _step(step: Step, found: Explanation, colour: bool) -> Iterator[str]:
    """One step: in full where there are few."""
    full = len(found.steps) <= FULL
    times = f", × {step.count:,}" if step.count > 1 else ""
    notes = [word for word, true in (("frozen", step.frozen), ("in training only", step.training)) if true]
    head = f"{clean(step.name)}: {step.what}{times}" + (f" ({', '.join(notes)})" if notes else "")
    work = step.worked
    plain = not (work.shape or work.params or work.macs or work.notes) and len(step.inputs) == 1
    if not full or plain:
        yield from _two_columns(head, _shapes(step), colour)
    else:
        yield from (bold(row, colour) for row in wrap(head, WIDTH, "    "))
    if full:
        yield from (f"    {row}" for row in wrap(step.rule, WIDTH - 4, ""))
    if full and not plain:
        yield from _inputs(step)
        for note in work.notes:
            yield from _rows("", note)
    for text in work.shape:
        yield from _rows(*_split_axes(text))
    if full and not plain:
        yield from _rows("output", str(step.output))
        yield from _rows("parameters", work.params or "none")
    elif work.params:
        yield from _rows("parameters", work.params)
    if work.macs:
        yield from _rows("MACs", work.macs)
    if full and not plain:
        yield from _sees(step)
    elif work.shape and step.sees:
        for text in _sizes(step):
            yield from _rows("sees", text)


def _shapes(step: Step) -> str:
    """`3 x 227 x 227 -> 96 x 55 x 55`; the output alone where nothing else comes in."""
    ins = list(dict.fromkeys(x.shape for x in step.inputs))
    if ins == [str(step.output)]:
        return ins[0]
    return f"{ins[0] if len(step.inputs) == 1 else f'{len(step.inputs)} inputs'} -> {step.output}"


def _inputs(step: Step) -> Iterator[str]:
    for i, x in enumerate(step.inputs):
        yield from _rows("input" if i == 0 else "", f"{x.shape} from {clean(x.name)}")


def _split_axes(text: str) -> tuple[str, str]:
    """`H = W = (28 - 1)/1 + 1 = 28` as `H = W` and the rest."""
    parts = text.split(" = ")
    n = 0
    while n + 1 < len(parts) and parts[n] in ("C", "D", "H", "W"):
        n += 1
    return " = ".join(parts[:n]), " = ".join(parts[n:])


# --- what is seen of the image ---------------------------------------------------------------------------------------

WORDS = {"C": "values", "D": "slices", "H": "rows", "W": "columns"}


def _sees(step: Step) -> Iterator[str]:
    """The receptive field, and two places of the output with what they see."""
    first = True
    for text in _sizes(step):
        yield from _rows("sees" if first else "", text)
        first = False
    for input in dict.fromkeys(reach.input for reach in step.sees):
        own = [reach for reach in step.sees if reach.input == input]
        if any(reach.along is None for reach in own):
            continue
        sizes = step.output.shape
        middles = [_middle(sizes[reach.along]) for reach in own if reach.along is not None]
        for places in dict.fromkeys([tuple(0 for _ in own), tuple(middles)]):
            yield from _rows("", f"place {_place(places)} sees {_spans(own, places)}")


def _sizes(step: Step) -> Iterator[str]:
    """`195 x 195 of the input, stride 32`, for each input of the network that is seen."""
    for input in dict.fromkeys(reach.input for reach in step.sees):
        own = [reach for reach in step.sees if reach.input == input]
        of = f"`{input}`"
        if all(reach.whole for reach in own):
            yield f"all of {of}"
            continue
        if any(reach.size is None for reach in own):
            yield f"a part of {of} that is not followed"
            continue
        size = " x ".join(str(reach.size) for reach in own)
        jumps = list(dict.fromkeys(reach.jump for reach in own))
        stride = f", stride {'x'.join(map(str, jumps))}" if None not in jumps else ""
        more = [r for r in own if isinstance(r.rows, int) and isinstance(r.size, int) and r.size > r.rows]
        beyond = " (padding counts)" if more else ""
        yield f"{size} of {of}{stride}{beyond}{' (the first of them)' if step.count > 1 else ''}"


def _middle(size: Size) -> int:
    return size // 2 if isinstance(size, int) else 1


def _place(places: Sequence[int]) -> str:
    return f"({', '.join(map(str, places))})" if len(places) > 1 else str(places[0])


def _spans(own: Sequence[Reach], places: Sequence[int]) -> str:
    said = []
    for reach, place in zip(own, places):
        word = "places" if reach.axis == "W" and len(own) == 1 else WORDS[reach.axis]
        span = reach.span(place)
        if span is None or span[1] < span[0]:
            said.append(f"no {word}")
        else:
            said.append(f"{word} {span[0]} to {span[1]}" if span[0] != span[1] else f"{word[:-1]} {span[0]}")
    return ", ".join(said)


# --- rows ------------------------------------------------------------------------------------------------------------

LEFT = 12


def _row(word: str, text: str) -> str:
    return _cut(f"    {word:{LEFT}}{text}")


def _rows(word: str, text: str) -> Iterator[str]:
    first, *more = wrap(text, WIDTH - 4 - LEFT, "  ")
    yield f"    {word:{LEFT}}{first}"
    yield from (f"    {'':{LEFT}}{row}" for row in more)


def _two_columns(left: str, right: str, colour: bool) -> Iterator[str]:
    if len(left) + 2 + len(right) <= WIDTH:
        yield bold(left, colour) + " " * (WIDTH - len(left) - len(right)) + right
    else:
        yield bold(_cut(left), colour)
        for row in right.replace(" -> ", "\n-> ").splitlines():
            yield from _rows("", row)


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
