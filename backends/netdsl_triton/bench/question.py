"""What is asked of a benchmark?  Which backends, on which networks, at which sizes, for how long."""

from __future__ import annotations

from typing import Any

from netdsl.devices import dtype
from netdsl.diagnostic import nearest
from netdsl.options import UsageError
from netdsl.record import Record

BACKENDS = {
    "torch": "the module as the torch backend emits it",
    "eager": "the same, channels last; on CUDA also in a CUDA graph",
    "folded": "eager, with batch norms folded into the convolutions by torch.fx",
    "compile": "torch.compile with freezing; on CUDA max-autotune and CUDA graphs",
    "triton": "the triton backend of netdsl",
}
OURS = "triton"
DEVICES = ("auto", "cuda", "cpu")
COMPILE_MODES = ("max-autotune", "reduce-overhead", "default")


class Question(Record):
    """One benchmark.

    backends        of BACKENDS, in the order of the table
    batches         samples for each call
    dtype           fp32, tf32 (fp32 numbers, products rounded to tf32), fp16, bf16
    device          cuda or cpu
    seconds         of timing for each network and batch, about
    repeats         samples for each row, instead of `seconds`
    tune            whether the triton backend may time candidates on the device
    tune_budget     seconds for that, what matters most first; None: until all are timed
    compile_mode    the mode of torch.compile on CUDA
    prepare_limit   seconds after which building a row is given up
    clock           wall, or process: on a CPU the time that this process had, for one thread beside other work
    latency         whether compile times are measured too, cold and warm, in processes of their own
    """

    backends: tuple[str, ...]
    batches: tuple[int, ...]
    dtype: str
    device: str
    seconds: float = 5.0
    repeats: int | None = None
    tune: bool = True
    tune_budget: float | None = None
    compile_mode: str = "max-autotune"
    prepare_limit: float = 600.0
    clock: str = "wall"
    latency: bool = False


def of(backends: str, batches: tuple[int, ...], dtype: str | None, device: str, **others: Any) -> Question:
    """What the command line asks. Raises UsageError."""
    found = device_called(device)
    compile_mode = others.get("compile_mode", COMPILE_MODES[0])
    if compile_mode not in COMPILE_MODES:
        raise UsageError(f"there is no mode {compile_mode!r} of torch.compile: there are {', '.join(COMPILE_MODES)}")
    return Question(names(backends), batches, dtype_called(dtype, found), found, **others)


def names(text: str) -> tuple[str, ...]:
    """`torch,eager` → names, each once. Raises UsageError."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in BACKENDS:
            close = nearest(name, BACKENDS)
            known = f"did you mean {close!r}?" if close else f"known are {', '.join(BACKENDS)}"
            raise UsageError(f"--backend: {name!r} cannot be compared: {known}")
    return names


def device_called(name: str) -> str:
    """cuda or cpu, where `auto` is the better one there is. Raises UsageError where it is missing."""
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError('a benchmark runs the networks, and needs PyTorch: `pip install "netdsl[torch]"`') from None
    if name not in DEVICES:
        raise UsageError(f"there is no device {name!r} to compare on: there are {', '.join(DEVICES)}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here: --device cpu measures the processor")
    return name


def dtype_called(name: str | None, device: str) -> str:
    """The type of number: bf16 on CUDA and fp32 on a CPU, unless one is asked for. Raises UsageError."""
    if name == "tf32" and device != "cuda":
        raise UsageError("tf32 is a mode of CUDA devices: --dtype fp32 on a CPU")
    return dtype(name) if name else "bf16" if device == "cuda" else "fp32"
