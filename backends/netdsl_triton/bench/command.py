"""`netdsl bench`: runs what is asked, prints a table for each network and batch, and keeps the results as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netdsl.net import Net
from netdsl.options import UsageError
from netdsl.record import Record
from netdsl.roofline import sizes_of
from netdsl.writing import write_atomically
from netdsl_triton.bench.question import Question

SCHEMA = 1


class Asked(Record):
    """A network as it was asked for, so that another process can load it: the arguments of `netdsl.net.load_with`."""

    net: Net
    spec: str
    input: dict[str, str] | None
    name: str | None
    params: dict[str, str]


def bench(asked: Sequence[Asked], question: Question, target: Path | None = None) -> int:
    """Prints the tables; the exit code: 0, or 1 where a backend gave wrong numbers or nothing at all could be timed."""
    for one in asked:
        for name, shape in one.net.inputs.items():
            sizes_of(one.net, name, shape)
    if target is not None and (target.is_dir() or not target.parent.is_dir()):
        raise UsageError(f"{target} is a folder" if target.is_dir() else f"there is no folder {target.parent}")
    from netdsl_triton.bench import compare, latency, machine, table
    from netdsl_triton.progress import Progress

    rates = machine.rates(question.device, question.dtype)
    found = {"schema": SCHEMA, "machine": machine.describe(question.device), "question": as_json(question), "cases": []}
    cases: list[dict[str, Any]] = found["cases"]  # type: ignore[assignment]
    print(machine.title(found["machine"]) + "\n")  # type: ignore[arg-type]

    def keep(case: dict[str, Any]) -> None:
        cases.append(case)
        if target is not None:
            write_atomically(target, json.dumps(found, indent=1) + "\n")
        shown.clear()
        print(table.case_table(case) + "\n", flush=True)

    with Progress() as shown:
        for one in asked:
            for batch in question.batches:
                try:
                    case = compare.compare(one.net, question, batch, rates, shown.say)
                    if question.latency:
                        latency.add(case, one, question, batch)
                    keep(case)
                except compare.DeviceLost as error:
                    keep(error.case)
                    print(f"netdsl: {error}; what was found so far is kept", file=sys.stderr)
                    return 1
    statuses = [row["status"] for case in cases for row in case["results"]]
    return 1 if "wrong" in statuses or "timed" not in statuses else 0


def as_json(question: Question) -> dict[str, Any]:
    return {name: getattr(question, name) for name in Question.fields}
