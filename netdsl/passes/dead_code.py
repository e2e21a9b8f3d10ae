"""What inference does not need is removed: heads of training, and whatever is computed for them alone.

So nothing that only training reads counts as a reader of a value afterwards.
"""

from __future__ import annotations

from netdsl.passes.rewrite import Context, Work

NOWHERE = "nothing"
"""What does the work of an element that nobody needs."""


def dead_code(work: Work, context: Context) -> None:
    for value in work.live_backwards():
        if value.users or work.is_output(value):
            continue
        if context.may("dead_code", value.name, NOWHERE, "only training needs it"):
            work.drop(value)
