"""What went wrong, where, and what repairs it?  Errors are data; netdsl/render draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from netdsl.record import Record
from netdsl.source import Origin, Span, place_of

CODES = {
    "E0101": "syntax error",
    "E0102": "bad number",
    "E0103": "nested too deeply",
    "E0104": "ambiguous operator after bare arguments",
    "E0105": "not a text file",
    "E0106": "no network in the file",
    "E0201": "unknown name",
    "E0202": "wrong kind of argument",
    "E0203": "wrong number of arguments",
    "E0204": "unknown or repeated argument",
    "E0205": "duplicate name",
    "E0206": "unknown label",
    "E0207": "used before its definition",
    "E0208": "reserved name",
    "E0209": "missing `->` between elements",
    "E0210": "a value of another kind is needed here",
    "E0211": "the path before it would be lost",
    "E0212": "no input here",
    "E0213": "a line outside any network",
    "E0301": "concat inputs differ",
    "E0302": "sum inputs differ",
    "E0303": "the window does not divide its input evenly",
    "E0304": "the window is larger than its input, or a cut goes beyond it",
    "E0305": "the shape is not the one asserted",
    "E0306": "groups do not divide the channels",
    "E0307": "the input has the wrong number of axes",
    "E0308": "a known size is needed here",
    "E0309": "no input size satisfies every constraint",
    "E0310": "the input given does not fit the network's input",
    "E0311": "the new shape has another number of values",
    "E0401": "a repeat of less than one",
    "E0402": "recursion without end",
    "E0403": "budget exceeded",
    "E0404": "import cycle",
    "E0405": "import not found",
    "E0406": "import outside the spec's folder",
    "E0601": "a budget is not kept",
    "E0602": "no such quantity in a budget",
    "E0603": "the unit is not one of the quantity",
    "E0604": "whether a budget is kept depends on open sizes",
    "E0605": "a budget that no network keeps",
    "W0501": "never used",
    "W0502": "no non-linearity",
    "W0503": "the line continues the last branch only",
    "W0504": "an indented line after a block is not part of it",
    "W0505": "the channels of the input seem to stand last",
}
"""Every code with its meaning. Codes are stable: a retired one is never given to something else."""


MAX_SAID = 500
"""Characters of a message, a note or a help. What is longer quotes something endless."""


class Label(Record):
    """A place and what is to be said of it."""

    span: Span
    text: str = ""


class Edit(Record):
    """A change of the text: what stands in `span` becomes `text`. An empty span inserts, an empty text deletes."""

    span: Span
    text: str


class Repair(Record):
    """A way out that was tried: with these edits, the fault is gone and no other has come.

    `title` is one clause (`pad 2 keeps 28 x 28`); edits are in order and do not overlap. They are in one file.
    """

    title: str
    edits: tuple[Edit, ...]

    @classmethod
    def of(cls, title: str, *changes: tuple[Span, str]) -> Repair:
        """A repair by its changes: what stands in each span becomes a text."""
        return cls(title, tuple(Edit(span, text) for span, text in changes))


Help = str | Repair
"""What may help: a sentence, or a sentence with the edits that carry it out, which are still to be tried."""


class Diagnostic(Record):
    """One fault: a stable code, one sentence, the place, other places, the arithmetic, and ways out."""

    code: str
    message: str
    label: Label
    others: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    trail: Origin = ()
    repairs: tuple[Repair, ...] = ()
    """The smallest change first, at most three. Whoever needs them asks for them: finding them takes checks."""
    ideas: tuple[Repair, ...] = ()
    """What whoever found the fault would try: repairs once they were checked. Their titles are among the helps."""

    @property
    def unrepaired(self) -> tuple[str, ...]:
        """The helps that no repair carries out."""
        titles = {repair.title for repair in self.repairs}
        return tuple(text for text in self.helps if text not in titles)

    @property
    def severity(self) -> str:
        return "warning" if self.code.startswith("W") else "error"

    @property
    def place(self) -> str:
        return self.label.span.place

    def __str__(self) -> str:
        """As `netdsl check` shows it."""
        from netdsl.render import render

        return render(self)

    def __repr__(self) -> str:
        return f"<{self.code} {self.place}: {self.message}>"


class SpecError(Exception):
    """A spec has faults. `diagnostics` holds them, with repairs; the message is their rendered text."""

    def __init__(
        self, diagnostics: Sequence[Diagnostic], repaired: Callable[[], Sequence[Diagnostic]] | None = None
    ) -> None:
        """`repaired` gives the same faults with repairs, which are looked for once somebody looks at the faults."""
        self._found, self._repaired = tuple(diagnostics), repaired
        super().__init__()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        if self._repaired is not None:
            self._found, self._repaired = tuple(self._repaired()), None
        return self._found

    def __str__(self) -> str:
        from netdsl.render import render_all

        return render_all(self.diagnostics)

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Diagnostic, ...]]]:
        return SpecError, (self.diagnostics,)


class Stop(Exception):
    """A fault after which nothing sensible can be said (budget, recursion): it ends the run with its diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def diagnose(
    code: str,
    message: str,
    origin: Origin,
    text: str = "",
    *,
    others: Iterable[Label] = (),
    notes: Iterable[str] = (),
    helps: Iterable[Help] = (),
) -> Diagnostic:
    """A diagnostic at the innermost place of `origin` that the user wrote.

    Inside the prelude, the prelude's own lines are shown below as the trail that leads to the fault.
    """
    assert code in CODES, code
    primary, helps = place_of(origin), tuple(helps)
    trail = tuple(span for span in origin if span is not primary and span.source is not Span.NOWHERE.source)
    labels = []
    for other in others:  # a label inside a block stands for the user's line when the block is not the user's
        if other.span.source.own or not primary.source.own:
            labels.append(other)
    ideas = tuple(help for help in helps if isinstance(help, Repair))
    texts = tuple(_said(help.title if isinstance(help, Repair) else help) for help in helps)
    return Diagnostic(
        code,
        _said(message),
        Label(primary, _said(text)),
        tuple(labels),
        tuple(map(_said, notes)),
        texts,
        trail,
        ideas=tuple(idea for idea in ideas if len(idea.title) <= MAX_SAID),
    )


def _said(text: str) -> str:
    """A sentence, cut where a name in it is a text of its own."""
    return text if len(text) <= MAX_SAID else f"{text[: MAX_SAID - 1]}…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    from difflib import get_close_matches

    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(candidate.lower(), candidate)
    if len(name) > MAX_COMPARED:
        return None
    if len(by_lower) > MAX_COMPARED:  # comparing takes microseconds each, and there may be many faults
        by_lower = {key: by_lower[key] for key in sorted(by_lower, key=lambda key: _unlike(key, name))[:MAX_COMPARED]}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


MAX_COMPARED = 300


def _unlike(key: str, name: str) -> int:
    """How little two names have in common, at a glance."""
    return abs(len(key) - len(name)) - sum(a == b for a, b in zip(key, name.lower()))
