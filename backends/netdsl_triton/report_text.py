"""How is a report shown to people?  Totals, then the elements block by block, each with what became of it."""

from __future__ import annotations

from netdsl_triton.kernels.base import Candidate, Choice, Config
from netdsl_triton.report import Element, Report, Work

LAST_RESORTS = ("", "fallback")
"""Where one of these is chosen, a reader asks why no other kernel was."""
WIDTH = 100
WHAT = 24


def table(report: Report) -> str:
    """The report for people: totals, then each block with its elements; equal blocks in a row are drawn once."""
    head = f"{_row('element', 'what', 'kernel, or what it became'):<76} {'time':>9}  floor"
    lines = [*summary(report), "", head]
    for paths, rows in _merged(_blocks(report)):
        lines.append(_heading(paths) if any(paths) else "")
        lines.extend(rows)
    lines += ["", *_legend(report)]
    return "\n".join(line.rstrip() for line in lines)


def summary(report: Report) -> list[str]:
    """The totals in a few lines."""
    totals, device = report.totals, report.device
    size = ", ".join(f"{name} " + " x ".join(map(str, shape)) for name, shape in report.inputs.items())
    where = device.name if report.machine is None else f"{device.name} ({report.machine.device})"
    lines = [
        f"{report.name} on {where}, batch {report.batch}, {report.dtype}; {size}",
        f"{totals.kernels} kernels for {totals.elements} elements ({totals.library} where only the steps after a layer "
        "are fused)",
        f"{_bytes(totals.moved)} moved; {_bytes(totals.arena)} of memory, at least {_bytes(totals.bound)}",
        f"predicted {_time(totals.predicted)}, floor {_time(totals.floor)}: {_share(totals.floor, totals.predicted)}",
    ]
    if totals.measured is not None:
        lines.append(f"measured  {_time(totals.measured)}, kernel by kernel: {_share(totals.floor, totals.measured)}")
    else:
        known = sum(one.choice.measured is not None for one in report.work)
        lines.append(f"measured: {f'{known} of {len(report.work)} tasks' if known else 'nothing yet: `netdsl tune`'}")
    return lines


Rows = tuple[str, ...]


def _blocks(report: Report) -> list[tuple[str, Rows]]:
    """The rows of each run of elements in one block, with names as they are in that block."""
    work: dict[str, list[Work]] = {}
    for one in report.work:
        work.setdefault(one.name, []).append(one)
    named = {element.name for element in report.elements}
    found: list[tuple[str, list[str]]] = []
    for element in report.elements:
        if not found or found[-1][0] != element.block:
            found.append((element.block, []))
        rows = found[-1][1]
        home = element.into or element.name
        if home not in named:  # several elements in one: drawn above the first of them
            for one in work.pop(home, ()):
                rows.extend(_work_rows(one, element.block, "together"))
        rows.extend(_element_rows(element, work.pop(element.name, [])))
    return [(path, tuple(rows)) for path, rows in found]


def _merged(blocks: list[tuple[str, Rows]]) -> list[tuple[list[str], Rows]]:
    """Equal blocks that follow each other as one, with all their paths."""
    found: list[tuple[list[str], Rows]] = []
    for path, rows in blocks:
        if found and path and found[-1][1] == rows:
            found[-1][0].append(path)
        else:
            found.append(([path], rows))
    return found


def _heading(paths: list[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    return f"{paths[0]} … {paths[-1]}: {len(paths)} equal ones"


def _element_rows(element: Element, work: list[Work]) -> list[str]:
    rows: list[str] = []
    if work:
        for one in work:
            rows.extend(_work_rows(one, element.block, element.what))
        moves = [step for step in element.done if step.into != element.name]
        rows.extend(_said(f"{step.rule}: {step.reason}") for step in moves)
    elif element.becomes == "fused":
        into = _local(element.into, element.block)
        first = _local(element.done[-1].into, element.block)
        way = into if first == into else f"{first} → {into}"  # with what it was fused into, it went on
        rows.append(_row(_local(element.name, element.block), element.what, f"→ {way}: {_reason(element, first)}"))
    else:
        reason = _reason(element, "")
        said = f"a view of memory{f': {reason}' if reason else ''}" if element.becomes == "view" else reason
        rows.append(_row(_local(element.name, element.block), element.what, said))
    rows.extend(_said(f"not in {step.rule}: {step.reason}") for step in element.left)
    return rows


def _reason(element: Element, into: str) -> str:
    """Why, in the words of the pass; the name of the host is not said twice."""
    step = element.done[-1] if element.done else None
    if step is None:
        return ""
    return step.reason.replace(f" of {step.into}", "").replace(f" {into} ", " ")


def _work_rows(one: Work, block: str, what: str) -> list[str]:
    choice = one.choice
    kernel = f"{one.kernel} {_config(choice.config)}".rstrip()
    time = f"{_time(choice.seconds)}{' ' if choice.measured is None else '*'}"
    row = f"{_row(_local(one.name, block), what, kernel):<76} {time:>10} {_share(one.floor, choice.seconds):>5}"
    rows = [row]
    details = []
    other = one.runner_up
    if one.margin is not None and other is not None and is_rival(other, choice):
        against = other.kernel if other.kernel != choice.kernel else f"its {_config(other.config)}"
        details.append(f"{one.margin:.2f} x as fast as {against} ({_time(other.seconds)})")
    if choice.measured is not None:
        details.append(f"predicted {_time(choice.predicted)}")
    if choice.error is not None:
        details.append(f"error {choice.error:.0e}")
    if choice.launches > 1:
        details.append(f"{choice.launches} kernels")
    if not choice.kernel:
        details.append(choice.reason)
    if choice.kernel in LAST_RESORTS:
        details.extend(f"{kernel}: {why}" for kernel, why in choice.refused.items())
    rows.extend(_said(text) for text in _wrapped(details))
    rows.extend(_said(f"{drop.kernel} {_config(drop.config)} dropped: {drop.dropped}") for drop in choice.dropped)
    return rows


def is_rival(other: Candidate, choice: Choice) -> bool:
    """Whether a comparison says something: with another kernel, or with times that were measured."""
    return other.measured is not None or (other.kernel != choice.kernel and other.kernel not in LAST_RESORTS)


def _wrapped(parts: list[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < WIDTH - 12:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return lines


def _row(name: str, what: str, rest: str) -> str:
    what = what if len(what) <= WHAT else f"{what[: WHAT - 1]}…"
    return f"  {name:<16} {what:<{WHAT}} {rest}"


def _said(text: str) -> str:
    text = text if len(text) <= WIDTH - 8 else f"{text[: WIDTH - 9]}…"
    return f"      {text}"


def _local(name: str, block: str) -> str:
    """A name, or several joined by +, as the block has it."""
    prefix = f"{block}."
    parts = [part.removeprefix(prefix) if block else part for part in name.split("+")]
    return "+".join(parts)


SHORT = {"num_warps": "w", "num_stages": "s"}


def _config(config: Config) -> str:
    """`128x64x32 w4 s3 split=2`: block sizes joined, what is not set left out."""
    blocks = [str(value) for name, value in config.items() if name.startswith("block")]
    words = ["x".join(blocks)] if blocks else []
    for name, value in config.items():
        if name in SHORT:
            words.append(f"{SHORT[name]}{value}")
        elif not name.startswith("block") and value not in (False, 1, ""):
            words.append(name if value is True else f"{name}={value}")
        elif value is True:
            words.append(name)
    return " ".join(words)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


def _share(floor: float, seconds: float) -> str:
    return f"{100 * floor / seconds:.0f} %" if seconds else "-"


def _legend(report: Report) -> list[str]:
    measured = any(one.choice.measured is not None for one in report.work)
    mark = "* measured on this machine, others predicted" if measured else "times are predicted, not measured"
    return [f"{mark}; % of the floor: max(arithmetic / rate, bytes / bandwidth)"]
