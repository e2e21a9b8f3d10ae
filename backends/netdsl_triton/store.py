"""What was measured on this machine?  Times of candidates, kept on disk for each user, for a task and a machine.

A file for each task, in `choices` in the folder of `netdsl.cache`; the name is a hash of the machine and the task.
Processes that write at once lose nothing: a file is replaced as a whole, and its writer first takes over what others
put there. What is torn, foreign or of another version is measured again. Without a disk, a store remembers until the
end.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache as once
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from netdsl import __version__, cache
from netdsl.devices import Device
from netdsl.ops import Op
from netdsl.passes.recipe import Recipe
from netdsl.record import Record
from netdsl_triton.kernels.base import Config, candidate_key
from netdsl_triton.task import Task, View

if TYPE_CHECKING:
    import torch

FORMAT = 1
FOLDER = "choices"
MOST = 10_000
"""Files that stay; beyond it those go that were not used for longest. One has a few kilobytes."""
LONGEST = 1 << 22
"""Bytes of one file: what is longer was not written here."""
PATIENCE = 2.0
"""Seconds that a writer waits for another; then it writes all the same."""


class Machine(Record):
    """What times depend on beside the task: another of these, and nothing is remembered.

    device        its product name
    capability    sm_90, gfx942, or the processor's architecture
    driver        the versions of the driver and of the runtime
    sources       a hash of the kernels' sources
    """

    device: str
    capability: str
    driver: str
    netdsl: str
    torch: str
    triton: str
    sources: str

    def to_dict(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.fields}


class Result(Record):
    """What came of one candidate: its time and error, or why it was dropped."""

    kernel: str
    config: Config
    seconds: float | None = None
    error: float | None = None
    dropped: str = ""

    @property
    def key(self) -> str:
        return candidate_key(self.kernel, self.config)


class Store:
    """The memory of one machine. Mutable: it reads each file once, and `notes` says what is wrong with the disk."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.known: dict[str, dict[str, Result]] = {}
        self.said: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        return list(self.said.values())

    def recall(self, task: Task) -> tuple[Result, ...]:
        """What is known of the candidates for a task, in no order that matters."""
        key = task_key(task)
        if key not in self.known:
            self.known[key] = self._read(key)
        return tuple(self.known[key].values())

    def remember(self, task: Task, results: Iterable[Result]) -> None:
        """Adds results to those that are known, here and on disk; newer ones replace older ones."""
        key = task_key(task)
        new = {result.key: result for result in results}
        with _lock():
            self.known[key] = {**self.known.get(key, {}), **self._read(key), **new}
            text = _encoded(self.machine, key, self.known[key].values())
            if not cache.keep(self._file(key), lambda file: file.write(text), MOST):
                place = cache.folder()
                self.said["written"] = (
                    f"what is measured is not kept: {place} cannot be written (NETDSL_CACHE=… moves it)"
                )

    def _file(self, key: str) -> str:
        digest = hashlib.sha256(f"{json.dumps(self.machine.to_dict(), sort_keys=True)}\n{key}".encode()).hexdigest()
        return os.path.join(FOLDER, f"{digest[:40]}.json")

    def _read(self, key: str) -> dict[str, Result]:
        name = self._file(key)
        found = cache.fetch(name, lambda file: _decoded(file, self.machine, key))
        if found is None:
            path = os.path.join(cache.folder(), name)
            if os.path.lexists(path):
                self.said.setdefault("read", f"{path} is torn, or not netdsl's: what it should hold is measured again")
            return {}
        return {result.key: result for result in found}


def task_key(task: Task) -> str:
    """What the time of a task depends on, as text: not on the names of parameters, nor on how weights are made."""
    views = ", ".join(map(_view_text, (*task.inputs, task.output)))
    return f"{_text(task.op)} on {views}{', tf32' if task.allow_tf32 else ''}"


def _view_text(view: View) -> str:
    # how a slice is aligned counts, not where in its buffer it begins
    aligned = math.gcd(view.offset, 64) if view.offset else 64
    return f"{view.dtype}[{'x'.join(map(str, (view.batch, *view.shape)))} pitch {view.pitch} at {aligned}]"


def _text(value: Any) -> str:
    if isinstance(value, Recipe):
        return "x".join(map(str, value.dims))
    if isinstance(value, Record):
        name = value.name if isinstance(value, Op) else ""
        inside = [f"{field}={_text(getattr(value, field))}" for field in value.fields]
        return f"{name}({', '.join(inside)})"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    return repr(value)


# --- files -------------------------------------------------------------------------------------------------------


def _encoded(machine: Machine, key: str, results: Iterable[Result]) -> bytes:
    rows = [{name: getattr(result, name) for name in Result.fields} for result in results]
    fields = {"format": FORMAT, "machine": machine.to_dict(), "task": key, "results": rows}
    return json.dumps(fields, indent=1, default=dict).encode()


def _decoded(file: IO[bytes], machine: Machine, key: str) -> tuple[Result, ...]:
    """The results of a file. Raises ValueError, TypeError or KeyError where it is not one of ours, of this kind."""
    data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError("too long")
    fields = json.loads(data)
    if (fields["format"], fields["machine"], fields["task"]) != (FORMAT, machine.to_dict(), key):
        raise ValueError("of something else")
    return tuple([_result(row) for row in fields["results"]])


def _result(row: Mapping[str, Any]) -> Result:
    result = Result(**row)
    numbers: list[Any] = [result.seconds, result.error]
    if not all(isinstance(text, str) for text in (result.kernel, result.dropped)):
        raise TypeError
    if not all(isinstance(value, int | str | bool) for value in dict(result.config).values()):
        raise TypeError
    if any(number is not None and not (0 <= float(number) < math.inf) for number in numbers):
        raise ValueError
    if (result.seconds is None) == (not result.dropped):
        raise ValueError
    return result


@contextmanager
def _lock() -> Iterator[None]:
    """Keeps other processes from writing, where the system can: else a result may be lost, but no file is torn."""
    file = None
    with suppress(ImportError, OSError):
        file = _locked_file()
    try:
        yield
    finally:
        if file is not None:
            file.close()


def _locked_file() -> IO[bytes]:
    import fcntl

    place = os.path.join(cache.folder(), FOLDER)
    os.makedirs(place, mode=0o700, exist_ok=True)
    path = os.path.join(place, "lock")
    file = open(path, "ab")  # noqa: SIM115 (locked as long as it is open)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
    with suppress(OSError):
        os.utime(path)  # the oldest files go: never this one
    return file


# --- the machine -------------------------------------------------------------------------------------------------

NODES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What a system with a driver of NVIDIA or AMD has, under Linux: looked for before PyTorch is imported."""


def at_hand() -> tuple[Device, Store] | None:
    """The GPU of this machine, as the cost model sees it, and what is remembered of it; None where there is none.

    Without PyTorch there is none that could be used.
    """
    if not any(map(os.path.exists, NODES)) or find_spec("torch") is None:
        return None
    import torch

    from netdsl_triton.device import rates_of

    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda", torch.cuda.current_device())
    rates = rates_of(device)
    return None if isinstance(rates, str) else (rates, Store(machine(device)))


def machine(device: torch.device) -> Machine:
    """The machine of a device of PyTorch: a CUDA or HIP device, or the processor."""
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name = str(properties.name)
        hip = torch.version.hip
        capability = str(properties.gcnArchName) if hip else f"sm_{properties.major}{properties.minor}"
        driver = f"{_kernel_driver()} {hip or torch.version.cuda}"
    else:
        name, capability, driver = device.type, platform.machine(), ""
    return Machine(name, capability, driver, __version__, _version("torch"), _version("triton"), sources())


def _kernel_driver() -> str:
    """The version of the driver, as the system says it; empty where it does not."""
    for path in ("/sys/module/nvidia/version", "/sys/module/amdgpu/version"):
        with suppress(OSError):
            return Path(path).read_text(encoding="utf-8").strip()
    return ""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


@once
def sources() -> str:
    """A hash of the kernels: other code, other times."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("kernels/*.py"), *here.glob("jit/*.py")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
