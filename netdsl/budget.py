"""What may a network cost?  `require params < 5M, memory(batch=32) < 2GB`: budgets as they are written.

Here they are read: which quantity, with which options, in which unit. `analysis/budget.py` measures what was built.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from netdsl import tree as t
from netdsl.devices import BYTES, DEVICES, DTYPES
from netdsl.diagnostic import Help, Label, Repair, nearest
from netdsl.evaluate import Evaluator, short
from netdsl.format import expression
from netdsl.record import Record
from netdsl.source import Span
from netdsl.units import UNITS
from netdsl.values import Poison, Scope


class Quantity(Record):
    """Something that can be limited.

    of         what it is measured in: count, bytes, seconds or pixels
    said       the sentence that a number of it completes
    options    what may stand in its parentheses
    sized      whether it depends on the size of the input
    """

    of: str
    said: str
    options: tuple[str, ...] = ()
    sized: bool = True


QUANTITIES = {
    "params": Quantity("count", "has {} parameters", sized=False),
    "trainable_params": Quantity("count", "has {} trainable parameters", sized=False),
    "weights": Quantity("bytes", "has weights of {}", ("dtype",), sized=False),
    "macs": Quantity("count", "does {} multiply-accumulates"),
    "flops": Quantity("count", "does {} floating-point operations"),
    "layers": Quantity("count", "has {} layers with weights", sized=False),
    "depth": Quantity("count", "is {} layers deep", sized=False),
    "receptive_field": Quantity("pixels", "has a receptive field of {} pixels", sized=False),
    "memory": Quantity("bytes", "needs {} of memory", ("batch", "training", "dtype", "optimiser")),
    "time": Quantity("seconds", "takes at least {}", ("device", "batch", "dtype")),
}
"""By the name that stands in `require`. docs/language.md says what each counts."""

OPTIMISERS = ("sgd", "adam", "none")
"""As in `analysis/memory.py`."""

WORDS = {
    **dict.fromkeys(DTYPES, "dtype"),
    **dict.fromkeys(DEVICES, "device"),
    **dict.fromkeys(OPTIMISERS, "optimiser"),
    "training": "training",
}
"""Options that are said by their value alone: `time(h200)`, `memory(training)`."""


class Budget(Record):
    """A limit. `bound` is in units, bytes, seconds or pixels; `sizes` are those of open axes at which it is to hold."""

    name: str
    op: str
    bound: int | Fraction
    span: Span
    asked: str
    """The bound as it was written: `5M`."""
    options: Mapping[str, int | str] = {}
    sizes: Mapping[str, int] = {}
    inherited: bool = False
    """Whether it stands in the net that this one was made from."""

    @property
    def quantity(self) -> Quantity:
        return QUANTITIES[self.name]

    @property
    def key(self) -> object:
        """Equal for two budgets of one thing."""
        return self.name, tuple(sorted(self.options.items())), tuple(sorted(self.sizes.items()))

    def admits(self, value: int | float | Fraction) -> bool:
        holds: bool = {
            "==": value == self.bound,
            "!=": value != self.bound,
            "<": value < self.bound,
            "<=": value <= self.bound,
            ">": value > self.bound,
            ">=": value >= self.bound,
        }[self.op]
        return holds


def quantity_of(budget: t.Budget) -> str:
    """What a budget is about, as text: a net made from another replaces its base's budgets of the same."""
    return expression(budget.quantity, "value")


def read_budgets(reader: Evaluator, statement: t.Require, scope: Scope) -> list[Budget]:
    """The budgets of a line; those that mean nothing are reported to the reader."""
    found = []
    for budget in statement.budgets:
        read = Reader(reader, budget, scope).read()
        if read is not None:
            found.append(read)
    return found


class Reader:
    """Reads one budget. Mutable: it notes what was wrong."""

    def __init__(self, evaluator: Evaluator, tree: t.Budget, scope: Scope) -> None:
        self.evaluator, self.tree, self.scope = evaluator, tree, scope
        self.options: dict[str, int | str] = {}
        self.sizes: dict[str, int] = {}
        self.failed = False
        self.aside = False
        """Whether it speaks of another size than the one that the input was given."""

    def fail(self, code: str, message: str, span: Span, *helps: Help, label: str = "") -> None:
        self.evaluator.fail(code, message, span, label, helps=helps)
        self.failed = True

    def read(self) -> Budget | None:
        head = self.tree.quantity.head if isinstance(self.tree.quantity, t.Call) else self.tree.quantity
        quantity = QUANTITIES.get(head.id)
        if quantity is None:
            self.unknown(head)
            return None
        for arg in self.tree.quantity.args if isinstance(self.tree.quantity, t.Call) else ():
            self.option(head.id, quantity, arg)
        self.check_unit(head.id, quantity)
        bound = self.evaluator.operand(self.tree.bound, self.scope, None)
        if self.failed or self.aside or isinstance(bound, Poison):
            return None
        asked = short(self.tree.bound)
        if not isinstance(bound.value, int | Fraction):
            self.fail("E0308", f"a budget is a known number, and `{asked}` is open", self.tree.bound.span)
            return None
        return Budget(head.id, self.tree.op, bound.value, self.tree.span, asked, self.options, self.sizes)

    def unknown(self, head: t.Name) -> None:
        close = ALIASES.get(head.id.lower()) or nearest(head.id, QUANTITIES)
        known = f"a budget limits {', '.join(f'`{q}`' for q in QUANTITIES)}"
        from netdsl.edits import meant

        helps: Help = meant(close, head.span) if close else known
        self.fail("E0602", f"`{head.id}` is nothing that a budget can limit", head.span, helps)

    def option(self, name: str, quantity: Quantity, arg: t.Arg) -> None:
        """`batch=32`, `bf16`, `H=512`."""
        value = arg.value if isinstance(arg, t.Keyword | t.Stride) else arg
        key = arg.name if isinstance(arg, t.Keyword) else WORDS.get(value.id, "") if isinstance(value, t.Name) else ""
        if key in self.options or key in self.sizes:
            self.fail("E0204", f"`{key}` is given twice", arg.span)
        elif key == "training" and key in quantity.options and not isinstance(arg, t.Keyword):
            self.options[key] = 1
        elif key in quantity.options and key != "training":
            self.options[key] = self.known_word(key, value) if key in CHOICES else self.number(key, value)
        elif quantity.sized and key in self.evaluator.symbols:
            self.sizes[key] = self.number(key, value)
            given = self.evaluator.bindings.get(key, self.sizes[key])
            self.aside |= given != self.sizes[key]
        else:
            takes = [*quantity.options, *(sorted(self.evaluator.symbols) if quantity.sized else ())]
            has = f"it takes {', '.join(f'`{option}`' for option in takes)}" if takes else "it takes none"
            self.fail("E0602", f"`{name}` has no option `{key or short(value)}`", arg.span, has)

    def known_word(self, key: str, value: t.Expr) -> str:
        word = value.id if isinstance(value, t.Name) else ""
        if word not in CHOICES[key]:
            self.fail("E0602", f"`{short(value)}` is no {key}", value.span, f"one of {', '.join(CHOICES[key])}")
        return word

    def number(self, key: str, value: t.Expr) -> int:
        found = self.evaluator.operand(value, self.scope, None)
        if isinstance(found, Poison):
            self.failed = True
            return 1
        if not isinstance(found.value, int) or not 1 <= found.value <= MOST:
            self.fail("E0602", f"`{key}` is a whole number from 1 to {MOST:,}, not {found}", value.span)
            return 1
        return found.value

    def check_unit(self, name: str, quantity: Quantity) -> None:
        """Bytes and seconds have units; counts may have the prefix alone."""
        amounts = amounts_in(self.tree.bound)
        for amount in amounts:
            of = UNITS[amount.unit].of
            if of == ("count" if quantity.of == "pixels" else quantity.of):
                continue
            message = f"`{name}` is in {MEASURES[quantity.of]}, and `{amount.span.text}` is in {MEASURES[of]}"
            self.fail("E0603", message, amount.span, *self.other_unit(amount, quantity.of))
            return
        if not amounts and quantity.of in ("bytes", "seconds") and not isinstance(self.tree.bound, t.Name | t.Call):
            unit = {"bytes": "KB, MB, GB (powers of 1000), KiB, MiB or GiB (of 1024)", "seconds": "s, ms or us"}
            text = short(self.tree.bound)
            helps = f"a unit follows its number at once: {unit[quantity.of]}"
            self.fail("E0603", f"`{name}` is in {quantity.of}, and `{text}` has no unit", self.tree.bound.span, helps)

    def other_unit(self, amount: t.Amount, of: str) -> tuple[Help, ...]:
        digits = amount.span.text.removesuffix(amount.unit)
        if of == "bytes" and amount.unit in ("K", "k", "M", "G", "T"):
            return (written_as(amount, f"{digits}{amount.unit}B"),)
        if of in ("count", "pixels") and amount.unit == "B":
            return (Repair.of(f"a billion is `{digits}G`", (amount.span, f"{digits}G")),)
        if of == "count" and amount.unit.endswith("B") and "i" not in amount.unit:
            weigh = (
                ("what they take in memory is `weights`",) if self.tree.quantity.span.text.endswith("params") else ()
            )
            return (written_as(amount, f"{digits}{amount.unit[:-1]}"), *weigh)
        return ()


def written_as(amount: t.Amount, text: str) -> Repair:
    """An amount in another unit."""
    return Repair.of(f"`{text}`", (amount.span, text))


MOST = 10**9
CHOICES = {
    "dtype": tuple(dtype for dtype in DTYPES if dtype in BYTES),
    "device": tuple(DEVICES),
    "optimiser": OPTIMISERS,
}
MEASURES = {"count": "plain numbers", "bytes": "bytes", "seconds": "seconds", "pixels": "pixels"}
ALIASES = {
    "parameters": "params",
    "param": "params",
    "mult_adds": "macs",
    "madds": "macs",
    "multadds": "macs",
    "mac": "macs",
    "ops": "flops",
    "size": "weights",
    "latency": "time",
    "rf": "receptive_field",
    "vram": "memory",
    "ram": "memory",
    "activations": "memory",
    "trainable": "trainable_params",
}
"""What the quantities are called elsewhere."""


def amounts_in(expr: t.Tree) -> list[t.Amount]:
    found, stack = [], [expr]
    while stack:
        tree = stack.pop()
        if isinstance(tree, t.Amount):
            found.append(tree)
        stack.extend(reversed(t.children(tree)))
    return found


def impossible(budgets: list[Budget]) -> list[tuple[Budget, str, tuple[Label, ...]]]:
    """Budgets that no network can keep, each with why: less than nothing, or two that exclude each other."""
    found: list[tuple[Budget, str, tuple[Label, ...]]] = []
    lowest: dict[object, tuple[int | Fraction, bool, Budget]] = {}
    highest: dict[object, tuple[int | Fraction, bool, Budget]] = {}
    for budget in budgets:
        strict = budget.op in ("<", ">")
        if budget.op in ("<", "<=", "==") and (budget.bound < 0 or (strict and budget.bound == 0)):
            found.append((budget, "no network costs less than nothing", ()))
            continue
        if budget.op in ("<", "<=", "==") and (
            budget.key not in highest or (budget.bound, not strict) < highest[budget.key][:2]
        ):
            highest[budget.key] = budget.bound, not strict, budget
        if budget.op in (">", ">=", "==") and (
            budget.key not in lowest or (budget.bound, strict) > lowest[budget.key][:2]
        ):
            lowest[budget.key] = budget.bound, strict, budget
    for key, (high, reached, above) in highest.items():
        if key in lowest:
            low, excluded, below = lowest[key]
            if low > high or (low == high and (excluded or not reached)):
                first, second = sorted((above, below), key=lambda b: b.span.start)
                found.append((second, "no network keeps both budgets", (Label(first.span, "the other one"),)))
    return found
