"""How is the command line read?  What was meant by a word that is not known; numbers with their limits."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says in a line what is wrong, and what was probably meant by a command, an option or a word of one."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n(`{self.prog} --help` says what there is)\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What is left over is refused here, where the options of the command are known."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            options = [option for action in self._actions for option in action.option_strings]
            close = meant(rest[0].partition("=")[0], options) if rest[0].startswith("-") else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{close}")
        return found, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        help_ = meant(str(value), choices) or f": choose from {', '.join(choices)}"
        if action.dest == "command":
            raise argparse.ArgumentError(None, f"there is no command {value!r}{help_}")
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{help_}")


def meant(name: str, known: list[str]) -> str:
    """`: did you mean --depth?`; nothing where no name is near."""
    from netdsl.diagnostic import nearest

    close = nearest(name, known)
    return f": did you mean {close}?" if close else ""


def whole(text: str) -> int:
    """A number of 0 or more."""
    return 0 if text.strip() == "0" else positive(text)


def positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 1000 is needed, not {text!r}")
    return int(text)


def pixels(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or not 100 <= int(text) <= 20_000:
        raise argparse.ArgumentTypeError(f"a width is a whole number from 100 to 20000, not {text!r}")
    return int(text)


def samples(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"a batch is a whole number from 1 to 100000, not {text!r}")
    return int(text)


def several_samples(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys([samples(part.strip()) for part in text.split(",")]))


def seconds(text: str) -> float:
    import math

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a time is a number of seconds above 0, not {text!r}")
    return value
