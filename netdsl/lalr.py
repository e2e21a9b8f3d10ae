"""How is a text read?  Lark's LALR(1) tables as plain data, and the loop that runs them.

Lark builds the tables, once, and explains what cannot be read. What can be read is read here: the same trees, twice as
fast, and without importing Lark. The automaton is the usual one (Aho, Sethi & Ullman 1986, §4.7): a stack of
states, and for each state and word either the state to go to or the rule by which the top of the stack is reduced.
"""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from netdsl.record import Record

if TYPE_CHECKING:
    import lark

END = "$END"
NO_WORD = "no_word"
"""A character that no word has: nothing follows on it."""


class Word(str):
    """A token: its text, and where it stands."""

    __slots__ = ("end_pos", "start_pos")
    start_pos: int
    end_pos: int


class Node:
    """What a rule was reduced to, in the form of Lark's trees."""

    __slots__ = ("children", "data")

    def __init__(self, data: str, children: list[Any]) -> None:
        self.data, self.children = data, children


Rule = tuple[int, str, str, bool, tuple[tuple[int, bool, int], ...], int]
"""How many values it takes off the stack; its symbol; the name of its node; whether a single child stands for itself;
which values become children, each with whether its own children take its place and how many are missing before it; how
many are missing at the end."""
Action = int | str | Rule
"""The state to go to; or the symbol that the top of the stack now is, unchanged; or a reduction."""


class Unsupported(Exception):
    """This Lark's tables are not understood: Lark reads by itself then."""


class Tables(Record):
    """The automaton: words by one regular expression, and for each state what follows on which word or symbol."""

    pattern: str
    flags: int
    ignored: frozenset[str]
    actions: tuple[dict[str, Action], ...]
    first: int
    last: int

    @cached_property
    def words(self) -> re.Pattern[str]:
        return re.compile(f"{self.pattern}|(?P<{NO_WORD}>(?s:.))", self.flags)


def tables_of(built: lark.Lark) -> Tables:
    """The tables that Lark made. Raises Unsupported where this Lark keeps them elsewhere, or in another form."""
    try:
        return _tables_of(built)
    except (AttributeError, TypeError, ValueError, KeyError, AssertionError) as error:
        raise Unsupported(str(error)) from error


def _tables_of(built: lark.Lark) -> Tables:
    lexer: Any = built.parser.lexer
    table: Any = built.parser.parser._parse_table
    (pattern,) = lexer.scanner._mres
    assert not lexer.callback, "a terminal that is a text and fits another terminal's expression"
    number = {state: i for i, state in enumerate(table.states)}
    rules: dict[Any, str | Rule] = {}
    actions: list[dict[str, Action]] = []
    for row in table.states.values():
        actions.append({})
        for symbol, (action, argument) in row.items():
            if action.name == "Shift":
                actions[-1][symbol] = number[argument]
            else:
                actions[-1][symbol] = rules.setdefault(argument, _rule(argument))
    ((_, first),) = table.start_states.items()
    ((_, last),) = table.end_states.items()
    ignored = frozenset(lexer.ignore_types)
    return Tables(pattern.pattern, lexer.g_regex_flags, ignored, tuple(actions), number[first], number[last])


def _rule(rule: Any) -> str | Rule:
    """What Lark's tree builder does where a rule is reduced: words without a name and `_rules` have no nodes."""
    missing = [0]
    for empty in rule.options.empty_indices or [False] * len(rule.expansion):
        if empty:
            missing[-1] += 1
        else:
            missing.append(0)
    children, gap = [], 0
    for i, symbol in enumerate(rule.expansion):
        gap += missing[i]
        if rule.options.keep_all_tokens or not (symbol.is_term and symbol.filter_out):
            children.append((i, not symbol.is_term and symbol.name.startswith("_"), gap))
            gap = 0
    data = rule.alias or rule.options.template_source or rule.origin.name
    single = bool(rule.options.expand1 and not rule.alias)
    gap += missing[-1]
    if single and len(rule.expansion) == 1 and children == [(0, False, 0)] and not gap:
        return str(rule.origin.name)
    return (len(rule.expansion), rule.origin.name, str(data), single, tuple(children), gap)


def read(tables: Tables, text: str, at: int = 0) -> tuple[list[Any], int | None]:
    """The statements of a text from `at` on, and where the first begins that cannot be read: Lark knows why."""
    actions: Any = tables.actions
    ignored, state, begin, start = tables.ignored, tables.first, at, at
    states, values = [state], list[Any]()
    for found in chain(tables.words.finditer(text, at), (None,)):
        if found is None:
            word, kind = Word(), END
        else:
            kind = found.lastgroup or ""
            if kind in ignored:
                continue
            word = Word(found[0])
            word.start_pos, word.end_pos = start, _ = found.span()
        while True:
            action: Any = actions[state].get(kind)
            if action.__class__ is int:
                if len(values) < 3 and (not values or _holds_statements(values[-1])):
                    begin = start
                state = action
                states.append(state)
                values.append(word)
                break
            if action.__class__ is str:
                state = states[-1] = actions[states[-2]][action]
                continue
            if action is None:
                return _statements(values), begin
            size, symbol, data, single, which, gap = action
            taken: list[Any] = []
            if size:
                taken = values[-size:]
                del values[-size:], states[-size:]
            children: list[Any] = []
            for i, spliced, before in which:
                if before:
                    children += [None] * before
                if not spliced:
                    children.append(taken[i])
                elif children:
                    children += taken[i].children
                else:  # the list grows where it is: a long row of items takes linear time
                    children = taken[i].children
            if gap:
                children += [None] * gap
            values.append(children[0] if single and len(children) == 1 else Node(data, children))
            state = actions[states[-1]][symbol]
            states.append(state)
            if kind is END and state == tables.last:
                return values[-1].children, None
    return _statements(values), begin


def _holds_statements(value: Any) -> bool:
    """Whether a value on the stack is what the grammar's first rule has gathered: statements and new lines."""
    return isinstance(value, Node) and value.data.startswith("__start")


def _statements(values: list[Any]) -> list[Any]:
    """Those that were read before the parser stopped: they are at the bottom of the stack."""
    return [item for value in values[:2] if _holds_statements(value) for item in value.children]
