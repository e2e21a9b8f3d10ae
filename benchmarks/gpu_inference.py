"""Inference on one GPU: the networks of the goals at batch 1, 32 and 256, against the best of what else there is.

    python benchmarks/gpu_inference.py [--minutes 9.5] [--networks NAME,…] [--batch 1,32,256] [--output FILE]

It ends within its minutes. First every network against eager PyTorch, channels last, with and without a CUDA graph,
the kernels of the triton backend tuned within a budget; then, the most important first, once more with torch.compile.
The file (docs/benchmarks/<device>-<date>.json) is replaced after each network and batch. Started again, it goes on
where it stopped. Each row is measured in a process that can be lost: what breaks the device costs its own row alone.

    python benchmarks/gpu_inference.py --device cpu --quick        runs a tiny version anywhere
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from netdsl.devices import DTYPES
from netdsl.net import load
from netdsl.options import UsageError
from netdsl.writing import write_atomically
from netdsl_triton.bench import question as asked
from netdsl_triton.bench.goals import NETWORKS

ROOT = Path(__file__).resolve().parent.parent
PHASES = {"eager": ("eager", "triton"), "compile": ("eager", "compile", "triton")}
LEAST = {"eager": 12.0, "compile": 45.0}
"""Seconds that must be left for another row of a phase to begin."""
RESERVE = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, help="bf16 on CUDA, fp32 on a CPU")
    parser.add_argument("--minutes", type=float, default=9.5, metavar="M", help="for everything (9.5)")
    parser.add_argument("--networks", metavar="NAME,…", help="of those of the table (all)")
    parser.add_argument("--batch", default="1,32,256", metavar="N,N…")
    parser.add_argument("--seconds", type=float, default=1.5, metavar="S", help="of timing for each row (1.5)")
    parser.add_argument("--tune-budget", type=float, default=12.0, metavar="S", help="of tuning for each row (12)")
    parser.add_argument("--compile-mode", choices=asked.COMPILE_MODES, default="max-autotune")
    parser.add_argument("--phases", default="eager,compile", metavar="NAMES", help="eager,compile")
    parser.add_argument("--quick", action="store_true", help="one small network, two samples, no torch.compile")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the results go, and where it goes on")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(json.loads(args.worker))
    try:
        dtype = asked.dtype_called(args.dtype, asked.device_called(args.device))
        return run(args, dtype)
    except (UsageError, FileNotFoundError) as error:
        print(f"gpu_inference: {error}", file=sys.stderr)
        return 2


def run(args: argparse.Namespace, dtype: str) -> int:
    from netdsl_triton.bench import machine

    deadline = time.monotonic() + 60 * args.minutes
    names = ("lenet5",) if args.quick else tuple(args.networks.split(",")) if args.networks else NETWORKS
    batches = (1, 2) if args.quick else numbers(args.batch)
    phases = ("eager",) if args.quick else tuple(args.phases.split(","))
    if unknown := next((phase for phase in phases if phase not in PHASES), None):
        raise UsageError(f"there is no phase {unknown!r}: there are {', '.join(PHASES)}")
    for name in names:
        load(name)
    here = machine.describe(args.device)
    target = args.output or ROOT / "docs" / "benchmarks" / f"{slug(here)}-{here['when'][:10]}.json"
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    found = resumed(target, here, dtype)
    print(f"{machine.title(here)}\nresults in {target}")
    done = {(case["network"], case["batch"], case["phase"]) for case in found["cases"]}
    for phase in phases:
        for name in names:
            waiting = [batch for batch in batches if (name, batch, phase) not in done]
            while waiting:
                left = deadline - time.monotonic() - RESERVE
                if left < LEAST[phase] and not args.quick:
                    print(f"out of time before {name}, batch {waiting[0]} ({phase}): run it again to go on")
                    return 0
                question = {
                    "backends": PHASES[phase],
                    "batches": waiting,
                    "dtype": dtype,
                    "device": args.device,
                    "seconds": args.seconds,
                    "repeats": 2 if args.quick else None,
                    "tune_budget": min(args.tune_budget, left / 3),
                    "compile_mode": args.compile_mode,
                    "prepare_limit": left * 0.7,
                }
                for case in in_process({"network": name, "question": question}, max(left, 60.0)):
                    waiting.remove(case["batch"])
                    keep(found, {**case, "phase": phase})
                    write_atomically(target, json.dumps(found, indent=1) + "\n")
    return 0


def numbers(text: str) -> tuple[int, ...]:
    """Raises UsageError."""
    parts = text.split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,4}", part) for part in parts):
        raise UsageError(f"--batch takes whole numbers, a comma between them (1,32,256), not {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


def slug(machine: dict[str, Any]) -> str:
    """`nvidia-h200`, for the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", str(machine.get("gpu") or machine["processor"]).lower()).strip("-")


def resumed(target: Path, here: dict[str, Any], dtype: str) -> dict[str, Any]:
    """What the file has, if it is of this machine and these versions. Raises UsageError where it is not."""
    from netdsl_triton.bench.command import SCHEMA

    fresh: dict[str, Any] = {"schema": SCHEMA, "machine": here, "dtype": dtype, "cases": []}
    if not target.exists():
        return fresh
    try:
        found: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
        same = all(found["machine"].get(name) == here.get(name) for name in ("gpu", "processor", "torch", "triton"))
        if same and found["schema"] == SCHEMA and found["dtype"] == dtype and isinstance(found["cases"], list):
            return found
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise UsageError(f"{target} is of another machine, type or version: --output names another file")


def keep(found: dict[str, Any], case: dict[str, Any]) -> None:
    """A later phase replaces the row of an earlier one, but for one that came to nothing."""
    lost = case["results"] and not any(row["status"] == "timed" for row in case["results"])
    earlier = [old for old in found["cases"] if (old["network"], old["batch"]) == (case["network"], case["batch"])]
    if lost and earlier:
        earlier[0]["phase"] = case["phase"]
        earlier[0]["results"] += [row for row in case["results"] if row["backend"] == "compile"]
        return
    found["cases"] = [old for old in found["cases"] if old not in earlier] + [case]


def in_process(task: dict[str, Any], left: float) -> Iterator[dict[str, Any]]:
    """The rows of one network, from a process of its own, as they come.

    Where it dies, or does not come to an end, the row that it was at is one of failures; those after it are left out.
    """
    question = task["question"]
    waiting = list(question["batches"])
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", json.dumps(task)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stop = threading.Timer(left, process.kill)
        stop.start()
        try:
            for line in process.stdout:
                if line.startswith(MARK):
                    case = json.loads(line.removeprefix(MARK))
                    waiting.remove(case["batch"])
                    yield case
                else:
                    print(line, end="", flush=True)
        finally:
            late = not stop.is_alive()
            stop.cancel()
    if process.returncode:
        reason = "it did not come to an end" if late else f"its process ended with {process.returncode}"
        print(f"{task['network']}, batch {waiting[0] if waiting else '?'}: {reason}", flush=True)
        if waiting:
            rows = [{"backend": name, "status": "failed", "reason": reason} for name in question["backends"]]
            yield {
                "network": task["network"],
                "batch": waiting[0],
                "dtype": question["dtype"],
                "floor": None,
                "results": rows,
            }


MARK = "case: "


def work(task: dict[str, Any]) -> int:
    """The other process: prints each table, and the case as one line of JSON."""
    from netdsl_triton.bench import compare, machine, table

    given = task["question"]
    question = asked.Question(**given | {"backends": tuple(given["backends"]), "batches": tuple(given["batches"])})
    rates = machine.rates(question.device, question.dtype)
    net = load(task["network"])
    for batch in question.batches:
        try:
            case = compare.compare(net, question, batch, rates)
        except compare.DeviceLost as error:
            print(MARK + json.dumps(error.case), flush=True)
            return 0
        print(table.case_table(case) + "\n")
        print(MARK + json.dumps(case), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
