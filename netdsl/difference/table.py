"""How is a difference shown?  Totals first, then the elements that changed, then the weights; and as fields for JSON.

Siblings that changed in the same way are one row (`conv3, conv4, conv5`). What follows from a change elsewhere, such as
the shape of an activation, is only counted.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from netdsl.amounts import number, signed
from netdsl.difference.changes import Change, Difference, Side, Total
from netdsl.difference.weights import Weight, Weights
from netdsl.record import Record
from netdsl.size import Size, total
from netdsl.table import align

ROOM = 46
"""Columns for what changed; longer texts are continued below."""
LABELS = 28
"""Columns for the labels of siblings that changed alike."""
MARKS = {"added": "+", "removed": "-", "changed": "~"}


class Group(Record):
    """Siblings that changed in the same way."""

    changes: tuple[Change, ...]
    inside: tuple[Group, ...]
    followers: int
    """How many of what they are made of have another shape alone."""

    @property
    def first(self) -> Change:
        return self.changes[0]


def difference_table(difference: Difference, depth: int | None = None) -> str:
    """The whole difference as text; "" for networks that are the same. `depth` limits the levels of blocks."""
    if difference.same:
        return ""
    parts = [f"{difference.old} → {difference.new}", "\n".join(totals_table(difference))]
    if difference.ends:
        parts.append("\n".join(difference.ends))
    groups, followers = grouped(difference.changes)
    rows = [row for group in groups for row in rows_of(group, 0, depth)]
    if rows:
        heading = ("  element", "change", "parameters", "MACs")
        parts.append("\n".join(align([heading, *rows], (2, 3))))
    parts.append(remainder(difference, groups, followers))
    parts.append(weights_text(difference))
    return "\n\n".join(filter(None, parts))


# --- totals ------------------------------------------------------------------------------------------------------


def totals_table(difference: Difference) -> list[str]:
    rows = [("", difference.old, difference.new, "change", "")]
    rows += [(each.name, shown(each.old), shown(each.new), *change_of(each)) for each in difference.totals]
    return align(rows, (1, 2, 3, 4))


def shown(size: Size | None) -> str:
    return "unknown" if size is None else number(size)


def change_of(each: Total) -> tuple[str, str]:
    """The difference and the percentage: `+128`, `+0.1 %`."""
    if each.old is None or each.new is None or each.old == each.new:
        return "", ""
    if not isinstance(each.old, int) or not isinstance(each.new, int):
        return exactly(each.new - each.old), ""
    share = f"{100 * (each.new - each.old) / each.old:+,.1f} %" if each.old else ""
    return exactly(each.new - each.old), share


def exactly(size: Size) -> str:
    return f"{int(size):+,}" if isinstance(size, int) else number(size)


def macs_text(size: Size) -> str:
    """`+3.71G`; of long formulas only that there is one."""
    if not isinstance(size, int):
        text = number(size)
        return text if len(text) <= 16 else "a formula"
    return signed(size) if size else ""


# --- elements ----------------------------------------------------------------------------------------------------


def grouped(changes: Iterable[Change]) -> tuple[tuple[Group, ...], int]:
    """Changes with those alike together, and how many elements only follow."""
    found: dict[object, list[tuple[Change, tuple[Group, ...], int]]] = {}
    followers = 0
    for change in changes:
        if change.follows and not (is_layer(change.side) and of_params(change)):
            followers += 1
            continue
        inside, below = grouped(change.children)
        if change.children and not change.facts and not inside:
            followers += below
        else:
            found.setdefault(likeness(change, inside), []).append((change, inside, below))
    groups = []
    for members in found.values():
        every = tuple([change for change, _, _ in members])
        groups.append(Group(every, members[0][1], sum(below for _, _, below in members)))
    return tuple(groups), followers


def likeness(change: Change, inside: tuple[Group, ...]) -> object:
    """Equal for changes that are told in one row."""
    own: object = (kind_of(change.side), *[fact.text for fact in change.facts if fact.of != "text"])
    if change.kind != "changed" or change.follows:
        own = kind_of(change.side), change.side.label if is_named(change.side) else ""
    elif any(fact.of in ("text", "name") for fact in change.facts) and not inside:
        own = tuple([fact.text for fact in change.facts])
    return change.kind, own, frozenset([likeness(group.first, group.inside) for group in inside])


def is_layer(side: Side) -> bool:
    return side.params > 0 and side.macs != 0


def is_named(side: Side) -> bool:
    """Whether its label says more than what it is and a number."""
    return side.path == side.label and not side.label.rstrip("0123456789_").startswith(kind_of(side)[:3])


def kind_of(side: Side) -> str:
    """`batchnorm` of `batchnorm`, `mbconv` of `mbconv(64, stride=2)`."""
    return side.what.partition("(")[0].partition(" ")[0] or "path"


Cells = tuple[str, ...]


def rows_of(group: Group, level: int, depth: int | None) -> Iterator[Cells]:
    """The rows of siblings that changed alike, and below them what changed inside."""
    change = group.first
    params = sum(of_params(each) for each in group.changes)
    macs = total([of_macs(each) for each in group.changes])
    label = f"{MARKS[change.kind]} {'  ' * level}{labels(group)}"
    first, *more = textwrap.wrap(text_of(group), ROOM, break_on_hyphens=False) or [""]
    yield label, first, f"{params:+,}" if params else "", macs_text(macs)
    yield from [("", f"  {line}", "", "") for line in more]
    if depth is None or level + 1 < depth:
        for inner in group.inside:
            yield from rows_of(inner, level + 1, depth)


def labels(group: Group) -> str:
    """`conv3, conv4, conv5`; the first ones of many, and how many there are."""
    if renamed(group):
        return group.first.facts[0].text if len(group.changes) > 1 else label_of(group.first)
    names = [label_of(change) for change in group.changes]
    text, rest = names[0] if len(names[0]) <= LABELS else f"{names[0][: LABELS - 1]}…", len(names)
    if len(", ".join(names)) <= LABELS:
        return ", ".join(names)
    for name in names[1:]:
        if len(f"{text}, {name}, … ({rest})") > LABELS:
            break
        text = f"{text}, {name}"
    return text if rest == 1 else f"{text}, … ({rest})"


def renamed(group: Group) -> bool:
    """Whether it is a line that has another label, and nothing else."""
    return not group.inside and [fact.of for fact in group.first.facts] == ["name"]


def label_of(change: Change) -> str:
    if change.old is None or change.new is None or change.old.label == change.new.label:
        return change.side.label
    if change.old.label.isdecimal() or any(fact.of == "count" for fact in change.facts):
        return change.new.label
    return f"{change.old.label} → {change.new.label}"


def text_of(group: Group) -> str:
    """What changed of an element, in a line."""
    change = group.first
    if renamed(group):
        return "renamed"
    if change.old is None or change.new is None:
        several = f"{len(group.changes)} × " if len(group.changes) > 1 else ""
        shape = f"  : {change.side.shape}" if not several else ""
        return f"{several}{kind_of(change.side) if several else change.side.what}{shape}"
    facts = [fact.text for fact in change.facts if fact.of not in ("name", "count") or not shows_name(change, fact.of)]
    if any(fact.of == "count" for fact in change.facts) and not any(fact.of == "text" for fact in change.facts):
        what = change.new.what.removesuffix(f" * {change.new.count}")
        facts = [f"{what} {facts[0]}", *facts[1:]]
    if len(group.changes) > 1 and len({each.new.what for each in group.changes if each.new}) > 1:
        facts = [fact for fact in facts if fact not in [f.text for f in change.facts if f.of == "text"]]
        if not facts:
            facts = [f"{len(group.changes)} × {kind_of(change.new)}"]
    if not facts and change.follows and change.old.shape == change.new.shape:
        facts = [f"{change.new.what}, on another input"]
    if not facts and not change.children and change.old.shape != change.new.shape:
        facts = [f"{change.new.what}  : {change.old.shape} → {change.new.shape}"]
    if not facts and change.facts:
        facts = [change.new.what]
    return "; ".join(facts) or change.new.what


def shows_name(change: Change, of: str) -> bool:
    """Whether the label says already what a fact says."""
    return of == "name" and change.old is not None and change.new is not None and change.old.label != change.new.label


def of_params(change: Change) -> int:
    return (change.new.params if change.new else 0) - (change.old.params if change.old else 0)


def of_macs(change: Change) -> Size:
    return (change.new.macs if change.new else 0) - (change.old.macs if change.old else 0)


def remainder(difference: Difference, groups: Sequence[Group], followers: int) -> str:
    """How much is as it was, and how much follows from the rest."""
    follow = followers + sum(map(all_followers, groups))
    parts = []
    if difference.equal:
        parts.append(f"{counted(difference.equal, 'element')} unchanged")
    if follow:
        parts.append(f"{counted(follow, 'other')} of another shape alone")
    return ", ".join(parts)


def all_followers(group: Group) -> int:
    return group.followers + len(group.changes) * sum(map(all_followers, group.inside))


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


# --- weights -----------------------------------------------------------------------------------------------------


def weights_text(difference: Difference) -> str:
    """Whether the old weights load, and which do not."""
    weights = difference.weights
    if weights is None:
        return ""
    if weights.load:
        return f"weights of {difference.old} load into {difference.new}: all {weights.fitting:,} names and shapes fit"
    lines = [f"weights of {difference.old} in {difference.new}: {weights.fitting:,} fit"]
    for what, some in (
        ("of another shape", weights.reshaped),
        ("new", weights.missing),
        ("no longer used", weights.unused),
    ):
        if some:
            lines += textwrap.wrap(f"  {len(some):,} {what}: {places(some)}", 96, subsequent_indent="    ")
    return "\n".join(lines)


def places(some: Sequence[Weight]) -> str:
    """A few by name and shape, many by the lines that they belong to."""
    if len(some) <= 4:
        return ", ".join(f"{weight.name} ({shapes(weight)})" for weight in some)
    lines = Counter(weight.name.partition(".")[0] for weight in some)
    named = [f"{line} ({n:,})" if n > 1 else line for line, n in lines.items()]
    return ", ".join(named) if len(named) <= 8 else f"{', '.join(named[:7])} and {len(named) - 7} more"


def shapes(weight: Weight) -> str:
    return " → ".join([" x ".join(map(str, shape)) for shape in (weight.old, weight.new) if shape is not None])


# --- JSON --------------------------------------------------------------------------------------------------------


def difference_fields(difference: Difference, depth: int | None = None) -> dict[str, Any]:
    """What `netdsl diff --json` prints: see docs/diff.md."""
    return {
        "old": difference.old,
        "new": difference.new,
        "same": difference.same,
        "totals": [{"name": each.name, "old": plain(each.old), "new": plain(each.new)} for each in difference.totals],
        "ends": list(difference.ends),
        "changes": [row for change in difference.changes for row in fields_of(change, 1, depth)],
        "unchanged": difference.equal,
        "weights": weight_fields(difference.weights),
    }


def fields_of(change: Change, level: int, depth: int | None) -> Iterator[dict[str, Any]]:
    yield {
        "level": level,
        "kind": change.kind,
        "facts": [{"of": fact.of, "text": fact.text} for fact in change.facts],
        "old": side_fields(change.old),
        "new": side_fields(change.new),
    }
    if depth is None or level < depth:
        for child in change.children:
            yield from fields_of(child, level + 1, depth)


def side_fields(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {name: plain(value) if name == "macs" else value for name, value in zip(side.fields, side._values())}


def weight_fields(weights: Weights | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    listed = {name: getattr(weights, name) for name in ("reshaped", "missing", "unused")}
    return {"fitting": weights.fitting, "load": weights.load} | {
        name: [{"name": weight.name, "old": weight.old, "new": weight.new} for weight in some]
        for name, some in listed.items()
    }


def plain(size: Size | None) -> int | str | None:
    return size if size is None else int(size) if isinstance(size, int) else str(size)
