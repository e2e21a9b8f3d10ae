"""What did the author mean, where the text cannot be read?  The mistakes that people make most, each with its edit.

An edit is an idea only: whoever shows it has the edited text read first (netdsl/repair).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from netdsl.diagnostic import Help, Repair
from netdsl.parse import BRACKETS
from netdsl.record import Record
from netdsl.source import Source, Span
from netdsl.units import UNITS

KEYWORDS = (
    *("net", "block", "import", "input", "output", "default", "freeze", "let", "require", "with", "if", "then", "else"),
    *("for", "in", "do", "and", "or", "not", "x"),
)
_CONTINUES = (" ", "\t", ")", "|", "-", "+")
"""What a line begins with that continues the statement before it."""
_SUM = re.compile(r"([A-Za-z]\w*|\d+) ?[-+*/] ?\d+(\.\d+)?$")
"""Arithmetic at the end of what was read."""


class Mistake(Record):
    """Reading stopped at `at` of a text, whose statements that cannot be read are blank. `shown` is what stands there.

    `accepts` are the terminals of the grammar that could stand there.
    """

    source: Source
    text: str
    at: int
    shown: str
    accepts: frozenset[str]

    @property
    def before(self) -> str:
        return self.text[max(0, self.at - 200) : self.at]

    @property
    def line_before(self) -> str:
        return self.before.rsplit("\n", 1)[-1].rstrip()

    @property
    def word(self) -> str:
        return word_at(self.text, self.at)

    def span(self, start: int, end: int) -> Span:
        return Span(self.source, start, end)

    def here(self, title: str, text: str, length: int | None = None) -> Repair:
        """What stands here becomes a text."""
        length = len(self.shown) if length is None else length
        return Repair.of(title, (self.span(self.at, self.at + length), text))

    def everywhere(self, title: str, pattern: str, text: str) -> Help:
        """The same mistake in the whole statement, mended at once; comments and texts in quotes stay."""
        start, end = self.statement()
        found = re.compile(rf'#[^\r\n]*|"[^"\r\n]*"|(?P<it>{pattern})').finditer(self.text, start, end)
        changes = [(self.span(m.start(), m.end()), text) for m in found if m["it"] is not None]
        return Repair.of(title, *changes) if changes else title

    def statement(self) -> tuple[int, int]:
        return statement_around(self.source, self.text, self.at, self.at + 1)

    def reach(self, at: int) -> int:
        """Where the expression ends that begins at `at`: before a bracket that closes, or with the statement."""
        stop, depth, end = self.statement()[1], 0, at
        for found in re.compile(r'#[^\r\n]*|"[^"\r\n]*"|[(\[]|[)\]]|[^\s#"()\[\]]+|.', re.DOTALL).finditer(
            self.text, at, stop
        ):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(found[0], 0)
            if depth < 0:
                break
            if not found[0].isspace() and not found[0].startswith("#"):
                end = found.end()
        return end


def word_at(text: str, at: int) -> str:
    end = at
    while end < len(text) and end - at < 60 and not text[end].isspace() and text[end] not in "()[],;|":
        end += 1
    return text[at:end]


def hints(mistake: Mistake) -> list[Help]:
    """Repairs for the mistakes that people make most; the first rule that knows one has the word."""
    for rule in _RULES:
        if found := list(rule(mistake)):
            return found
    return []


def _repeat(m: Mistake) -> Iterator[Help]:
    if m.shown in ("x", "×") and m.line_before.endswith((")", "]")):
        yield m.here("repeat with `*`: write `* 3`, not `x 3`", "*")


def _arithmetic(m: Mistake) -> Iterator[Help]:
    if not m.shown[:1].isalnum() or m.line_before != m.before.rsplit("\n", 1)[-1].rstrip(" "):
        return
    if found := _SUM.search(m.line_before):
        start = m.at - len(m.before.rsplit("\n", 1)[-1]) + found.start()
        head = re.search(r"([A-Za-z_]\w* (?:[\w/=]+ )*)$", m.line_before[: found.start()])
        if kernel := re.fullmatch(r"(1|3|5|7|11) ?\* ?\1", found[0]):
            text = f"{kernel[1]}x{kernel[1]}"
            yield Repair.of(f"a kernel is written `{text}`", (m.span(start, start + len(found[0])), text))
        element = f"{head[1] if head else ''}({found[0]}) {m.word if head else ''}".rstrip()
        title = f"arithmetic among bare arguments stands in parentheses: `{element}`"
        yield Repair.of(title, (m.span(start, start + len(found[0])), f"({found[0]})"))


def _budget(m: Mistake) -> Iterator[Help]:
    """A line of `require`."""
    if not re.match(r"\s*require\b", m.line_before):
        return
    if m.line_before.endswith("require") and m.shown[:1].isdigit():
        yield "what is limited stands first: `require params < 5M`"
    elif m.shown.isdecimal() and (digits := re.search(r"\d[\d_,]*,$", m.line_before)):
        more = re.compile(r"[\d,]*\d").match(m.text, m.at)
        rest = more[0] if more else ""
        new = (digits[0] + rest).replace(",", "_")
        start = m.at - len(m.before.rsplit("\n", 1)[-1]) + digits.start()
        yield Repair.of(f"digits are grouped by `_`: `{new}`", (m.span(start, m.at + len(rest)), new))
    elif (number := re.search(r"\d[\d_.]*$", m.line_before)) and m.word in UNITS:
        end = m.at - len(m.before.rsplit("\n", 1)[-1]) + number.end()
        yield Repair.of(f"a unit touches its number: `{number[0]}{m.word}`", (m.span(end, m.at), ""))
    elif m.shown == "and":
        start = m.at - (len(m.before) - len(m.before.rstrip(" ")))
        yield Repair.of("budgets are separated by commas", (m.span(start, m.at + 3), ","))
    elif m.shown == "%":
        yield "a budget is an amount, not a share: `params < 5M`"
    elif re.match(r"\d[\w.]*[A-Za-z]", m.word):
        yield "a number needs one of the units K, M, G, T, KB, MB, GB, KiB, MiB, GiB, s, ms, us, or none"


def _digits_and_letters(m: Mistake) -> Iterator[Help]:
    if re.match(r"\d", m.shown) and re.match(r"\d[\w.]*[A-Za-z.]", m.word) and not re.match(r"\d+([x×]\d+)+$", m.word):
        title = f"a number needs a space before a name, and a size is `3x3` or `k x k`: `{m.word[:30]}`"
        unit = re.fullmatch(r"(\d+)(px|pixels?)", m.word)
        yield m.everywhere(title, rf"(?<=\d){unit[2]}\b", "") if unit else title


def _if_or_for(m: Mistake) -> Iterator[Help]:
    if m.shown in ("if", "for") and m.line_before.endswith(("->", "+", "|", "*")):
        title = f"`{m.shown}` takes all that follows it, so inside a path it stands in parentheses: `({m.shown} …)`"
        end = m.reach(m.at)
        yield Repair.of(title, (m.span(m.at, m.at), "("), (m.span(end, end), ")"))


def _for_over_a_list(m: Mistake) -> Iterator[Help]:
    if m.shown in ("do", ":", "{") and re.search(r"\bfor\s+\w+\s+in\b", m.line_before):
        yield "`for` counts from a number to another: `for i in 1..4 do CONV (8*i)`"


def _named_inside(m: Mistake) -> Iterator[Help]:
    if m.shown in ("let", "=") and re.fullmatch(r"\s*\w*", m.line_before) and unmatched(m.text[: m.at])[0]:
        if m.shown == "let":
            yield "inside parentheses nothing has a name; a number of a block is a parameter: `block f(c, half=c/2)`"
        else:
            yield (
                "inside parentheses nothing has a label; what two branches share stands before both: "
                "`shared -> (a | b)`"
            )


def _divided(m: Mistake) -> Iterator[Help]:
    """`c//2` and `i % 2`, of names and numbers."""
    second = m.shown == "/" and re.search(r"[\w)]/$", m.line_before) is not None
    at = m.at - 1 if second else m.at
    if m.shown == "%":
        title, operator = "the remainder of a/b is `a - b*floor(a/b)`", "%"
    elif second or re.compile(r"(?<=[\w)])//").match(m.text, m.at):
        title, operator = "whole numbers are divided by `floor(a/b)`", "//"
    else:
        return
    left = re.search(r"(?<![\w.])\w+ *$", m.text[max(0, at - 60) : at])
    right = re.compile(r" *(\w+)").match(m.text, at + len(operator))
    if left is None or right is None:
        yield title
        return
    a, b, start, end = left[0].strip(), right[1], at - len(left[0]), right.end()
    if operator == "//":
        grouped = m.text[start - 1 : start] == "(" and m.text[end : end + 1] == ")"
        if grouped and not re.match(r"\w", m.text[start - 2 : start - 1]):
            start, end = start - 1, end + 1
        new = f"floor({a}/{b})"
    else:
        whole = re.search(r"(\b(if|and|or|not)\s+|\()$", m.text[max(0, start - 8) : start]) is not None
        new = f"{a} - {b}*floor({a}/{b})"
        new = new if whole and re.compile(r"\s*([=!<>]=?|\)|\bthen\b)").match(m.text, end) else f"({new})"
    yield Repair.of(title, (m.span(start, end), new))


def _default_of_nothing(m: Mistake) -> Iterator[Help]:
    if default := re.match(r"default\s+([a-z]\w*)\s*$", m.line_before):
        at = m.at - len(m.before.rsplit("\n", 1)[-1]) + default.start(1)
        yield Repair.of(f"it needs a primitive: `default CONV {default[1]}`", (m.span(at, at), "CONV "))


def _truth(m: Mistake) -> Iterator[Help]:
    """`if n then …`."""
    if m.shown == "then" and (test := re.search(r"\bif\s+(\w+)$", m.line_before)):
        at = m.at - len(m.before.rsplit("\n", 1)[-1]) + test.end()
        yield Repair.of(f"a condition compares: `if {test[1]} != 0 then …`", (m.span(at, at), " != 0"))


def _reserved(m: Mistake) -> Iterator[Help]:
    if m.shown in KEYWORDS and m.shown.lower() in KEYWORDS and (m.shown != "for" or m.line_before.strip()):
        declared = re.match(r"\s*(block|net)\b[^=]*$", m.line_before)
        if m.shown == "x" and not declared and m.line_before.endswith(("+", "|", "(", ",")):
            yield m.here("what comes in is `identity`", "identity")
            return
        title = f"`{m.shown}` is reserved; choose another name"
        yield m.everywhere(title, rf"(?<![\w.]){m.shown}(?![\w.])", f"{m.shown}1")


def _arrow(m: Mistake) -> Iterator[Help]:
    if m.text.startswith("=>", m.at) or m.shown in ("→", "⟶", ">"):
        drawn = m.shown != ">" or m.text[m.at - 1 : m.at] == "="
        pattern = r"=>|→|⟶" if drawn else r"(?<![-=<>\s])\s?>(?!=)|(?<=\s)>(?=\s)"
        yield m.everywhere("an arrow is written `->`", pattern, "->")


def _input_equals(m: Mistake) -> Iterator[Help]:
    if m.shown == "=" and re.search(r"\binput\s*$", m.before):
        rest = re.compile(r"=\s*").match(m.text, m.at)
        yield m.here("sizes follow at once: `input 3 x 32 x 32`", "", len(rest[0]) if rest else 1)


def _equals(m: Mistake) -> Iterator[Help]:
    if m.shown != "=" or not re.search(r"[\w)]\s*$", m.before):
        return
    title = "`=` names an element at the start of a line: `name = CONV 64`; a comparison is `==`"
    start = m.at - len(m.before.rsplit("\n", 1)[-1])
    inside = re.search(r"\bif\b(?!.*\bthen\b)", m.line_before)
    path = re.match(r"(?![^#]*[()=])(?P<path>\S.*->\s*)(?P<label>\w+)\s*$", m.line_before)
    follows = re.compile(r"=\s*[^\r\n#]*?(?P<arrow>\s*->\s*)(?=\S)").match(m.text, m.at)
    if inside:
        yield m.here(title, "==")
    elif path and follows:  # the label goes to the front, and what follows it to a line of its own
        value = re.compile(r"=\s*").match(m.text, m.at)
        assert value is not None
        yield Repair.of(
            title,
            (m.span(start, start), f"{path['label']} = "),
            (m.span(start + path.start("label"), value.end()), ""),
            (m.span(follows.start("arrow"), follows.end("arrow")), "\n"),
        )
    else:
        yield title


def _python_block(m: Mistake) -> Iterator[Help]:
    """`block f(c):`, then indented lines."""
    header = re.match(r"\s*block\s+\w+\s*(\([^()]*\))?$", m.line_before)  # a space stands for a byte order mark
    if m.shown == ":" and header:
        title = f"`{header[0].strip()} = ( … )`"
        body = re.compile(r":[ \t]*(#[^\r\n]*)?(\r\n?|\n)([ \t]+\S[^\r\n]*(\r\n?|\n|$))+").match(m.text, m.at)
        if body is None:
            yield title
            return
        end = m.at + len(body[0].rstrip())
        yield Repair.of(title, (m.span(m.at, m.at + 1), " = ("), (m.span(end, end), "\n)"))


def _after_an_assertion(m: Mistake) -> Iterator[Help]:
    if m.shown == "->" and re.search(r":[^:]*$", m.line_before):
        title = "inside a path, parenthesise: `(POOL : …) -> …`"
        line = m.before.rsplit("\n", 1)[-1]
        path = re.match(r"(\w+\s*=(?!=)\s*)?", line)
        start = m.at - len(line) + (path.end() if path else 0)
        end = m.at - len(line) + len(m.line_before)
        yield Repair.of(title, (m.span(start, start), "("), (m.span(end, end), ")"))


def _tuple(m: Mistake) -> Iterator[Help]:
    line_start = m.at - len(m.before.rsplit("\n", 1)[-1])
    line = m.text[line_start:].split("\n", 1)[0]
    if m.shown == "," and (sizes := re.match(r"input\s(?:\w+\s*=\s*)?.*?(\(([\w, ]+)\))", line)):
        new = " x ".join(re.findall(r"[^, ]+", sizes[2]))
        span = m.span(line_start + sizes.start(1), line_start + sizes.end(1))
        yield Repair.of(f"sizes are written `{new}`", (span, new))


def _braces(m: Mistake) -> Iterator[Help]:
    if m.shown[:1] not in ("{", "}"):
        return
    title = "group with parentheses: `( … )`"
    end = closing_brace(m.text, m.at)
    if m.shown[0] == "}" or end < 0:
        yield title
        return
    opened = "(" if not re.match(r"block\s+\w+\s*(\([^()]*\))?$", m.line_before) else "= ("
    yield Repair.of(title, (m.span(m.at, m.at + 1), opened), (m.span(end, end + 1), ")"))


def _quotes(m: Mistake) -> Iterator[Help]:
    if m.shown[:1] in ("'", "‘", "“"):
        title = 'texts stand in double quotes: `"…"`'
        quoted = re.compile(r"['‘“]([^'’”\"\r\n]*)['’”]").match(m.text, m.at)
        yield m.here(title, f'"{quoted[1]}"', len(quoted[0])) if quoted else title


def _comment(m: Mistake) -> Iterator[Help]:
    if m.shown == "//" or m.text.startswith("//", m.at):
        yield m.here("a comment starts with `#`", "#", 2)


def _logic(m: Mistake) -> Iterator[Help]:
    words = {"&": "and", "&&": "and", "||": "or", "!": "not "}
    if m.shown in words:
        yield m.everywhere(
            "conditions are written with `and`, `or`, `not`", re.escape(m.shown) + r"(?!=)", words[m.shown]
        )


def _never_opened(m: Mistake) -> Iterator[Help]:
    if m.shown == ")" and m.at in unmatched(m.text)[1]:
        line = m.before.rsplit("\n", 1)[-1]
        label = re.match(r"\s*(\w+\s*=(?!=)\s*)?", line)
        start = m.at - len(line) + (label.end() if label else 0)
        yield Repair.of("this parenthesis was never opened", (m.span(start, start), "("))
        yield Repair.of("leave it out", (m.span(m.at, m.at + 1), ""))


def _without_else(m: Mistake) -> Iterator[Help]:
    if "ELSE" in m.accepts:
        end = len(m.text[: m.at].rstrip())
        yield Repair.of("an `if` has an `else`: `if … then … else identity`", (m.span(end, end), " else identity"))


def _dangling(m: Mistake) -> Iterator[Help]:
    """An operator after which nothing stands, or another."""
    found = re.search(r"\s*(->|[|+*])$", m.text[: m.at + len(m.shown)].rstrip() if m.shown == "" else m.line_before)
    if m.shown == "->" and m.line_before.endswith("->"):
        rest = re.compile(r"->[ \t]*").match(m.text, m.at)
        yield m.here("one `->` is enough", "", len(rest[0]) if rest else 2)
    elif found and m.shown[:1] in ("", ")", "\n", "\r"):
        end = len(m.text[: m.at + (m.shown == "")].rstrip())
        yield Repair.of(f"nothing follows the `{found[1]}`: leave it out", (m.span(end - len(found[0]), end), ""))


def _missing_arrow(m: Mistake) -> Iterator[Help]:
    if "__ANON_0" in m.accepts and re.match(r"[A-Za-z_(\[]", m.shown) and m.shown not in KEYWORDS:
        yield m.here("write `->` between elements", f"-> {m.shown}")


_RULES = (
    *(_repeat, _budget, _arithmetic, _digits_and_letters, _if_or_for, _for_over_a_list, _named_inside, _divided),
    *(_default_of_nothing, _truth),
    *(_reserved, _arrow, _input_equals, _equals, _python_block, _after_an_assertion, _tuple),
    *(_braces, _quotes, _comment, _logic, _never_opened, _without_else, _dangling, _missing_arrow),
)


def unclosed_helps(source: Source, text: str, at: int) -> list[Help]:
    """A bracket that is never closed: it may end with its line, or be too much."""
    close = {"(": ")", "[": "]"}[text[at]]
    line = re.compile(r'(?:"[^"\r\n]*"|[^#\r\n"])*').match(text, at)
    end = at + len(line[0].rstrip()) if line else at + 1
    return [
        Repair.of(f"close it: `{close}`", (Span(source, end, end), close)),
        Repair.of("leave it out", (Span(source, at, at + 1), "")),
    ]


def closing_brace(text: str, at: int) -> int:
    """Where the brace at `at` is closed; -1 where it is not."""
    depth = 0
    for found in re.compile(r"#[^\r\n]*|[{}]").finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    return -1


def unmatched(text: str) -> tuple[list[int], list[int]]:
    """Where brackets open that are never closed, and where they close that were never opened."""
    opened: list[int] = []
    closed: list[int] = []
    for found in BRACKETS.finditer(text):
        if found[0] in ("(", "["):
            opened.append(found.start())
        elif found[0] in (")", "]"):
            if opened:
                opened.pop()
            else:
                closed.append(found.start())
    return opened, closed


def statement_around(source: Source, text: str, at: int, end: int) -> tuple[int, int]:
    """From where to where the statement around an error goes: those after it are still read."""
    line = source.line_column(min(at, max(len(text) - 1, 0)))[0]
    starts = source.line_starts
    first = line - 1
    while first > 0 and text[starts[first] : starts[first] + 1] in _CONTINUES:
        first -= 1
    last = source.line_column(min(max(end - 1, at), max(len(text) - 1, 0)))[0]
    while last < len(starts) and text[starts[last] : starts[last] + 1] in _CONTINUES:
        last += 1
    return starts[first], starts[last] if last < len(starts) else len(text)
