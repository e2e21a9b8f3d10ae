"""How fast is inference on a CPU?  netdsl beside PyTorch, PyTorch with folded batch norms, and torch.compile.

    python benchmarks/cpu_inference.py [NETWORK...] [--batch 1,8] [--threads 1] [--repeats N] [--json FILE] [--quick]
    python benchmarks/cpu_inference.py --page FILE...     writes the table of docs/benchmarks/cpu.md from such files

What is timed, and how, is what `netdsl bench --device cpu` does: outputs are compared first, then all take turns.
torch.compile has freezing, and finds its caches empty, so that the time until it is ready is that of a first run. With
one thread, time is that of the process, so that others on the machine count less; with more, it is wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from netdsl.files import shipped
from netdsl.net import load
from netdsl.options import UsageError
from netdsl.table import align
from netdsl.writing import write_atomically
from netdsl_triton.bench.goals import NETWORKS

QUICK = ("squeezenet1_1", "resnet18", "preact_resnet164")
ROWS = ("torch", "folded", "compile", "triton")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks" / "cpu.md"
BEGIN, END = "<!-- begin table (python benchmarks/cpu_inference.py --page FILE) -->", "<!-- end table -->"


def measure(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # read when torch.compile is first used
        import torch

        from netdsl_triton.bench.command import Asked, bench
        from netdsl_triton.bench.question import Question

        torch.set_num_threads(args.threads)
        names = args.names or (QUICK if args.quick else NETWORKS)
        question = Question(
            backends=ROWS,
            batches=(1,) if args.quick else args.batch,
            dtype="fp32",
            device="cpu",
            repeats=args.repeats or (3 if args.quick else 9),
            clock="process" if args.threads == 1 else "wall",
        )
        asked = [Asked(load(name), name, None, None, {}) for name in names]
        target = Path(args.json) if args.json else None
        code: int = bench(asked, question, target)
        return code


def summary(cases: list[dict[str, Any]]) -> str:
    """One line for each network and batch, and the medians over them."""
    head = ("network", "batch", "eager ms", "folded ms", "compile ms", "netdsl ms", "x rival", "x eager", "ready x")
    rows: list[tuple[str, ...]] = [head]
    against_rival, against_eager, sooner = [], [], []
    for case in cases:
        row = {one["backend"]: one for one in case["results"]}
        ms = {name: row[name].get("median_ms") for name in ROWS if name in row}
        shown = [f"{ms[name]:.1f}" if ms.get(name) is not None else row[name]["status"] for name in ROWS]
        rivals = [ms[name] for name in ("folded", "compile") if ms.get(name) is not None]
        ratios = ["-", "-", "-"]
        if ms.get("triton") is not None and rivals and ms.get("torch") is not None:
            against_rival.append(min(rivals) / ms["triton"])
            against_eager.append(ms["torch"] / ms["triton"])
            ratios[:2] = [f"{against_rival[-1]:.2f}", f"{against_eager[-1]:.2f}"]
            if ms.get("compile") is not None:
                sooner.append(row["compile"]["prepare_s"] / row["triton"]["prepare_s"])
                ratios[2] = f"{sooner[-1]:.0f}"
        rows.append((case["network"], str(case["batch"]), *shown, *ratios))
    if against_rival:
        medians = (f"{statistics.median(v):.2f}" if v else "-" for v in (against_rival, against_eager))
        rows.append(("median", "", "", "", "", "", *medians, f"{statistics.median(sooner):.0f}" if sooner else "-"))
    return "\n".join(align(rows, right=tuple(range(1, len(head)))))


def write_page(files: list[str]) -> None:
    """Puts the table of JSON files between the marks of the page; the machine is that of the first."""
    cases: list[dict[str, Any]] = []
    heads = []
    for file in files:
        try:
            found = json.loads(Path(file).read_text(encoding="utf-8"))
            heads.append((found["machine"], found["question"]))
            cases += found["cases"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{file} is no result of this script: {error}") from None
    machine, question = heads[0]
    clock = "time of the process" if question.get("clock") == "process" else "wall time"
    about = (
        f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores; Python {machine['python']}, "
        f"PyTorch {machine['torch']}; fp32; {clock}, medians of {question['repeats']} turns."
    )
    cases.sort(key=lambda case: (case["batch"], case["network"]))
    text = PAGE.read_text(encoding="utf-8")
    new = f"{BEGIN}\n{about}\n\n```text\n{summary(cases)}\n```\n{END}"
    made = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: new, text, flags=re.DOTALL)
    write_atomically(PAGE, made)


def several(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if not all(n >= 1 for n in numbers):
        raise ValueError(text)
    return numbers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NETWORK", help="shipped networks (those of the table)")
    parser.add_argument("--batch", type=several, default=(1, 8), metavar="N,N…", help="sizes of batches (1,8)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of PyTorch (1)")
    parser.add_argument("--repeats", type=int, metavar="N", help="turns (9)")
    parser.add_argument("--quick", action="store_true", help="three networks, batch 1, three turns")
    parser.add_argument("--json", metavar="FILE", help="also write the results to this file")
    parser.add_argument("--page", nargs="+", metavar="FILE", help="measure nothing: write the page's table from these")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in shipped()]
    if unknown:
        parser.error(f"no shipped network is called {unknown[0]!r}")
    if args.threads < 1 or (args.repeats is not None and args.repeats < 1):
        parser.error("threads and turns are at least 1")
    try:
        if args.page:
            write_page(args.page)
            return 0
        return measure(args)
    except UsageError as error:
        print(f"cpu_inference: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
