"""What is wrong with the text?  Lark's errors in the words of the author."""

from __future__ import annotations

import re
from typing import Any

from netdsl.diagnostic import Diagnostic, Repair, diagnose
from netdsl.source import Source, Span
from netdsl.syntaxhelp import KEYWORDS, Mistake, closing_brace, hints, unclosed_helps, unmatched, word_at

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
MAX_WORDS = 5
"""So many things that could stand somewhere are listed."""
_STARTS_ELEMENT = {"NAME", "LPAR", "LSQB", "KERNEL"}


def _expected(error: Any) -> str:
    """What could stand here, in words: an element, an operator, or a short list."""
    accepts: set[str] = set(error.accepts or ())
    words: list[str] = []
    if accepts >= _STARTS_ELEMENT:
        words.append("an element such as `CONV 64`")
        accepts -= {*_STARTS_ELEMENT, "NUMBER", "STRING", "VGG", "MINUS", "IF", "FOR", "VBAR", "STRIDE"}
    for name in sorted(accepts):
        word = _WORDS.get(name, f"`{name.lower()}`" if name.lower() in KEYWORDS else "")
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
        length = max(1, len(word_at(text, at)))
    here = unclosed(text, len(text) if ended else at)
    if here is not None:
        fault = diagnose(
            "E0101",
            f"this `{text[here]}` is never closed",
            (Span(source, here, here + 1),),
            "opened here",
            helps=unclosed_helps(source, text, here),
        )
        return fault, here, here + 1
    if reserved := _keyword_given_a_value(text, at):
        at, length = reserved.start(), len(reserved[1])
    shown = "" if ended else text[at : at + length]
    helps = hints(Mistake(source, text, at, shown, frozenset(getattr(error, "accepts", None) or ())))
    said = helps[0].title if helps and isinstance(helps[0], Repair) else "".join(map(str, helps[:1]))
    code = "E0102" if said.startswith("a number needs") else "E0208" if "reserved" in said else "E0101"
    if ended or shown[:1] in ("\r", "\n"):
        found, length = f"the end of the {'file' if ended else 'line'}", 1
    elif len(shown) > 30:
        found = f"`{shown[:30]}…`"
    else:
        found = f"`{shown}`" if shown.isprintable() else f"the character U+{ord(shown[0]):04X}"
    message = {"E0102": "is not a number", "E0208": "is a reserved word"}.get(code, "cannot stand here")
    label = f"expected {_expected(error)}" if token is not None and code == "E0101" else ""
    fault = diagnose(code, f"{found} {message}", (Span(source, at, at + length),), label, helps=helps)
    end = at + length
    if shown.startswith("{"):  # what the braces hold is part of the mistake
        end = max(end, closing_brace(text, at) + 1)
    return fault, at, end


def _keyword_given_a_value(text: str, at: int) -> re.Match[str] | None:
    """The keyword before the `=` at `at`. `input = 3 x 32 x 32` is another mistake."""
    if not re.compile("=(?![=>])").match(text, at):
        return None
    found = re.compile(rf"\b({'|'.join(KEYWORDS)})[ \t]*$").search(text[:at], max(0, at - 20))
    return found if found and found[1] != "input" else None


def unclosed(text: str, at: int) -> int | None:
    """Where a bracket opens before `at`, where reading stopped, that is never closed: then that is the mistake."""
    opened = unmatched(text)[0]
    return opened[0] if opened and opened[0] < at else None
