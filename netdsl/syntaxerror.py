"""What is wrong with the text?  Lark's errors in the words of the author, with repairs for what people mistype most."""

from __future__ import annotations

import re
from typing import Any

from netdsl.diagnostic import Diagnostic, diagnose
from netdsl.source import Source, Span
from netdsl.units import UNITS

_WORDS = {
    "_NL": "a new line",
    "NAME": "a name",
    "NUMBER": "a number",
    "KERNEL": "a size such as 3x3",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "CALL": "`(`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "STAR": "`*`",
    "DIV": "`/`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "VBAR": "`|`",
    "EQUAL": "`=`",
    "COLON": "`:`",
    "COMMA": "`,`",
    "SEMICOLON": "`;`",
    "_X": "`x`",
    "STRIDE": "a stride such as `/2`",
    "STRING": "a text in quotes",
    "ANY": "`?`",
    "DOTS": "`..`",
    "COMPARE": "a comparison",
    "VGG": "",
    "AMOUNT": "an amount such as 5M",
    "$END": "the end of the file",
    "__ANON_0": "`->`",
}
_KEYWORDS = [
    "net",
    "block",
    "import",
    "input",
    "output",
    "default",
    "freeze",
    "let",
    "require",
    "with",
    "if",
    "then",
    "else",
    "for",
    "in",
    "do",
    "and",
    "or",
    "not",
    "x",
]
BRACKETS = re.compile(r'#[^\r\n]*|"[^"\r\n]*"|[(\[]|[)\]]')
"""Brackets, and the comments and texts in which brackets mean nothing."""
MAX_WORDS = 5
"""So many things that could stand somewhere are listed."""
_CONTINUES = (" ", "\t", ")", "|", "-", "+")
"""What a line begins with that continues the statement before it."""
_STARTS_ELEMENT = {"NAME", "LPAR", "LSQB", "KERNEL"}


def _expected(error: Any) -> str:
    """What could stand here, in words: an element, an operator, or a short list."""
    accepts: set[str] = set(error.accepts or ())
    words: list[str] = []
    if accepts >= _STARTS_ELEMENT:
        words.append("an element such as `CONV 64`")
        accepts -= {*_STARTS_ELEMENT, "NUMBER", "STRING", "VGG", "MINUS", "IF", "FOR", "VBAR", "STRIDE"}
    for name in sorted(accepts):
        word = _WORDS.get(name, f"`{name.lower()}`" if name.lower() in _KEYWORDS else "")
        if word and word not in words:
            words.append(word)
    if "`->`" in words and len(words) > 5:
        words = [
            "an operator (`->`, `+`, `|`, `*`)",
            *[w for w in words if w in ("`)`", "`]`", "a new line", "`,`", "`then`", "`else`", "`do`")],
        ]
    if "a new line" in words and "the end of the file" in words:
        words.remove("the end of the file")
    if len(words) > MAX_WORDS:
        words = [*words[: MAX_WORDS - 1], "something else"]
    return ", ".join(words[:-1]) + (" or " if len(words) > 1 else "") + words[-1] if words else "something else"


def syntax_error(source: Source, text: str, error: Any) -> tuple[Diagnostic, int, int]:
    """The diagnostic, and from where to where the text could not be read."""
    token = getattr(error, "token", None)
    ended = token is not None and token.type == "$END"
    at = error.pos_in_stream if error.pos_in_stream is not None and error.pos_in_stream >= 0 else len(text)
    length = 1
    if token is not None and not ended:
        at, length = token.start_pos, max(1, len(token))
    elif ended or at >= len(text):
        at = max(len(text.rstrip()) - 1, 0)
    else:
        length = max(1, len(_word(text, at)))
    here = unclosed(text, len(text) if ended else at)
    if here is not None:
        fault = diagnose(
            "E0101", f"this `{text[here]}` is never closed", (Span(source, here, here + 1),), "opened here"
        )
        return fault, here, here + 1
    if reserved := _keyword_given_a_value(text, at):
        at, length = reserved.start(), len(reserved[1])
    shown = "" if ended else text[at : at + length]
    hints = _hints(text, at, shown)
    if not hints and "ELSE" in (getattr(error, "accepts", None) or ()):
        hints = ["an `if` has an `else`: `if … then … else identity`"]
    code = "E0101"
    if hints and hints[0].startswith("a number needs"):
        code = "E0102"
    elif hints and "reserved" in hints[0]:
        code = "E0208"
    if ended or shown[:1] in ("\r", "\n"):
        found, length = f"the end of the {'file' if ended else 'line'}", 1
    elif len(shown) > 30:
        found = f"`{shown[:30]}…`"
    else:
        found = f"`{shown}`" if shown.isprintable() else f"the character U+{ord(shown[0]):04X}"
    message = {"E0102": "is not a number", "E0208": "is a reserved word"}.get(code, "cannot stand here")
    label = f"expected {_expected(error)}" if token is not None and code == "E0101" else ""
    fault = diagnose(code, f"{found} {message}", (Span(source, at, at + length),), label, helps=hints)
    end = at + length
    if shown.startswith("{"):  # what the braces hold is part of the mistake
        end = max(end, _closing_brace(text, at) + 1)
    return fault, at, end


def _keyword_given_a_value(text: str, at: int) -> re.Match[str] | None:
    """The keyword before the `=` at `at`. `input = 3 x 32 x 32` is another mistake."""
    if not re.compile("=(?![=>])").match(text, at):
        return None
    found = re.compile(rf"\b({'|'.join(_KEYWORDS)})[ \t]*$").search(text[:at], max(0, at - 20))
    return found if found and found[1] != "input" else None


def _closing_brace(text: str, at: int) -> int:
    """Where the brace at `at` is closed; -1 where it is not."""
    depth = 0
    for found in re.compile(r"#[^\r\n]*|[{}]").finditer(text, at):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth == 0:
            return found.start()
    return -1


def _word(text: str, at: int) -> str:
    end = at
    while end < len(text) and end - at < 60 and not text[end].isspace() and text[end] not in "()[],;|":
        end += 1
    return text[at:end]


def _hints(text: str, at: int, shown: str) -> list[str]:
    """Repairs for the mistakes that people make most."""
    before = text[max(0, at - 200) : at]
    line_before = before.rsplit("\n", 1)[-1].rstrip()
    line = text[at - len(before.rsplit("\n", 1)[-1]) :].split("\n", 1)[0]
    if shown in ("x", "×") and line_before.endswith((")", "]")):
        return ["repeat with `*`: write `* 3`, not `x 3`"]
    if line.lstrip().startswith("require") and (found := _budget(text, at, shown, line_before)):
        return [found]
    if re.match(r"\d", shown) and re.match(r"\d[\w.]*[A-Za-z.]", _word(text, at)):
        return [f"a number needs a space before a name, and a size is `3x3` or `k x k`: `{_word(text, at)[:30]}`"]
    if shown in ("if", "for") and line_before.endswith(("->", "+", "|", "*")):
        return [f"`{shown}` takes all that follows it, so inside a path it stands in parentheses: `({shown} …)`"]
    if found := _misplaced(text, at, shown, line, line_before):
        return [found]
    if shown.lower() in _KEYWORDS and (shown in _KEYWORDS):
        return [f"`{shown}` is reserved; choose another name"]
    if text.startswith("=>", at) or shown in ("→", "⟶", ">"):
        return ["an arrow is written `->`"]
    if shown == "=" and re.search(r"\binput\s*$", before):
        return ["sizes follow at once: `input 3 x 32 x 32`"]
    if shown == "=" and re.search(r"[\w)]\s*$", before):
        return ["`=` names an element at the start of a line: `name = CONV 64`; a comparison is `==`"]
    if shown == ":" and (header := re.match(r"block\s+\w+\s*(\([^()]*\))?$", line_before)):
        return [f"`{header[0]} = ( … )`"]
    if shown == "->" and re.search(r":[^:]*$", line_before):
        return ["inside a path, parenthesise: `(POOL : …) -> …`"]
    if shown[:1].isalnum() and (sum_ := re.search(r"([A-Za-z]\w*|\d+) ?[-+*/] ?\d+(\.\d+)?$", line_before)):
        return [f"arithmetic among bare arguments stands in parentheses: `({sum_[0]})`"]
    if shown == "," and (sizes := re.match(r"input\s.*?\(([\w, ]+)\)", line)):
        return [f"sizes are written `{' x '.join(re.findall(r'[^, ]+', sizes[1]))}`"]
    if shown[:1] in ("{", "}"):
        return ["group with parentheses: `( … )`"]
    if shown[:1] in ("'", "‘", "“"):
        return ['texts stand in double quotes: `"…"`']
    if shown == "//" or text.startswith("//", at):
        return ["a comment starts with `#`"]
    if shown in ("&", "&&", "||", "!"):
        return ["conditions are written with `and`, `or`, `not`"]
    if shown == ")" and at in unmatched(text)[1]:
        return ["this parenthesis was never opened"]
    return []


def _budget(text: str, at: int, shown: str, line_before: str) -> str:
    """The repair of a budget that cannot be read; "" where nothing is known."""
    word = _word(text, at)
    if line_before.endswith("require") and shown[:1].isdigit():
        return "what is limited stands first: `require params < 5M`"
    if shown.isdecimal() and (digits := re.search(r"\d[\d_,]*,$", line_before)):
        more = re.compile(r"[\d,]*\d").match(text, at)
        number = digits[0] + (more[0] if more else "")
        return f"digits are grouped by `_`: `{number.replace(',', '_')}`"
    if (number_ := re.search(r"\d[\d_.]*$", line_before)) and word in UNITS:
        return f"a unit touches its number: `{number_[0]}{word}`"
    if re.match(r"\d[\w.]*[A-Za-z]", word):
        return "a number needs one of the units K, M, G, T, KB, MB, GB, KiB, MiB, GiB, s, ms, us, or none"
    return ""


def _misplaced(text: str, at: int, shown: str, line: str, line_before: str) -> str:
    """The repair where something stands in the wrong place that is right in another; "" where it is not that."""
    if shown in ("do", ":", "{") and re.search(r"\bfor\s+\w+\s+in\b", line_before):
        return "`for` counts from a number to another: `for i in 1..4 do CONV (8*i)`"
    if shown in ("let", "=") and re.fullmatch(r"\s*\w*", line_before) and unmatched(text[:at])[0]:
        if shown == "let":
            return "inside parentheses nothing has a name; a number of a block is a parameter: `block f(c, half=c/2)`"
        return "inside parentheses nothing has a label; what two branches share stands before both: `shared -> (a | b)`"
    if re.compile(r"(?<=[\w)])//").match(text, at) or (shown == "/" and re.search(r"[\w)]/$", line_before)):
        return "whole numbers are divided by `floor(a/b)`"
    if shown == "%":
        return "the remainder of a/b is `a - b*floor(a/b)`"
    if default := re.match(r"default\s+([a-z]\w*)\s*$", line_before):
        return f"it needs a primitive: `default CONV {default[1]}`"
    return ""


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


def unclosed(text: str, at: int) -> int | None:
    """Where a bracket opens before `at`, where reading stopped, that is never closed: then that is the mistake."""
    opened = unmatched(text)[0]
    return opened[0] if opened and opened[0] < at else None


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
