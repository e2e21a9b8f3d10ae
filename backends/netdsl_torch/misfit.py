"""A call of a network failed: which input is not the one that the text declares, or which element could not go on?

Nothing here runs while calls work. What comes out is an exception of the type that PyTorch raised, with PyTorch's own
as its cause; where nothing can be told, or where something else failed (a hook, memory), PyTorch's stays as it is.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.graph import size_unrolled
from netdsl.net import MAX_LISTED
from netdsl.prove import nearest_sizes
from netdsl.record import Record
from netdsl_torch.expected import Expected, Given, line_of, sizes_of
from netdsl_torch.paths import flat

EXPLAINED = (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError, AttributeError)
"""Of exactly these types. Others, as those of memory and of devices, say what they have to say."""
MARK = "explained_by_netdsl"


class Misfit(Record):
    """What does not fit: a sentence, what to do, and why."""

    message: str
    helps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def explained(
    error: Exception, module: nn.Module, inputs: Sequence[Any], named: dict[str, Any], expected: Expected
) -> Exception | None:
    """The exception that says more; None where this one is to stay."""
    if type(error) not in EXPLAINED or hasattr(error, MARK):
        return None
    _, *trace = _trace(error)
    if not all(_is_ours(step, module) for step in trace):
        return None
    stopped = where(module, trace, expected)
    remedies = stopped.remedies(error) if stopped else ()
    found = wrong_call(module, inputs, named, expected)
    if remedies and stopped is not None:
        notes = [*(f"help: {text}" for text in remedies), *([found.message] if found else [])]
        found = Misfit(f"{expected.net} failed at {stopped}")
    elif found is not None:
        notes = [*found.notes, *(f"help: {text}" for text in found.helps)]
        notes += [f"PyTorch stopped at {stopped}"] if stopped else []
    elif stopped is not None:
        found, notes = Misfit(f"{expected.net} failed at {stopped}"), []
    else:
        return None
    said = str(error).strip().split("\n")[0]
    better = type(error)("\n  = ".join([found.message, *notes, *([f"PyTorch: {said}"] if said else [])]))
    setattr(better, MARK, True)
    return better


# --- the call --------------------------------------------------------------------------------------------------------


def wrong_call(module: nn.Module, inputs: Sequence[Any], named: dict[str, Any], expected: Expected) -> Misfit | None:
    """The first thing in which a call is not the one that the text declares."""
    given = _bound(inputs, named, expected)
    if isinstance(given, Misfit):
        return given
    for check in (_kind, _device, _axes, _channels, _dtype, _sizes):
        for declared, x in zip(expected.inputs, given):
            if found := check(declared, x, module, expected):
                return found
    batches = [x.shape[0] for x in given if x.dim()]
    if len(set(batches)) > 1:
        several = " and ".join(f"{n} in `{declared.name}`" for declared, n in zip(expected.inputs, batches))
        return Misfit(f"the inputs of {expected.net} have different numbers of samples: {several}")
    return _limits(expected, given)


def _bound(inputs: Sequence[Any], named: dict[str, Any], expected: Expected) -> list[Any] | Misfit:
    """The inputs in the order of the text."""
    wanted = expected.inputs
    each = ", ".join(f"`{one.name}` ({', '.join(filter(None, [str(one), one.place]))})" for one in wanted)
    several = "input" if len(wanted) == 1 else "inputs"
    message = f"{expected.net} takes {len(wanted)} {several}, {each}, and was given {len(inputs) + len(named)}"
    if len(inputs) == 1 and isinstance(inputs[0], list | tuple | dict) and len(wanted) > 1:
        stars = "**" if isinstance(inputs[0], dict) else "*"
        return Misfit(f"{message}: a {type(inputs[0]).__name__}", (f"pass what is in it one by one: `net({stars}x)`",))
    names = {("x" if len(wanted) == 1 else one.name): i for i, one in enumerate(wanted)}
    unknown = [name for name in named if name not in names]
    if len(inputs) + len(named) != len(wanted) or unknown:
        more = f" (`{unknown[0]}` is none of them)" if unknown else ""
        return Misfit(message + more, _about_number(len(inputs) + len(named), len(wanted)))
    left = iter([*inputs, *(named[name] for name in sorted(named, key=names.__getitem__))])
    return list(left)


def _about_number(came: int, wanted: int) -> tuple[str, ...]:
    if came > wanted == 1:
        return ("several images are one tensor: `torch.stack(images)`",)
    return ()


def _kind(declared: Given, x: Any, module: nn.Module, expected: Expected) -> Misfit | None:
    if isinstance(x, Tensor):
        return None
    kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
    helps: tuple[str, ...] = ("a tensor is needed: `torch.as_tensor(x)`",)
    if kind.startswith("numpy."):
        is_floats = str(getattr(x, "dtype", "")).startswith("float")
        convert = "" if declared.words else ".float()" if is_floats else ".float() / 255"
        helps = (f"an array becomes a tensor by `torch.from_numpy(x){convert}`",)
        channels, shape = declared.type.channels, tuple(getattr(x, "shape", ()))
        if len(shape) > 2 and shape[-1] == channels and shape[-3] != channels:
            helps = (*helps, _channels_second(len(shape), batched=len(shape) > declared.type.rank))
    elif kind.startswith("PIL."):
        helps = ("an image becomes a tensor by `torchvision.transforms.functional.to_tensor(x)[None]`",)
    elif isinstance(x, list | tuple) and x and isinstance(x[0], Tensor):
        helps = ("tensors of one shape become a batch by `torch.stack(x)`",)
    elif x is None:
        helps = ()
    return Misfit(_message(declared, expected, f"a {kind}" if x is not None else "None"), helps)


def _device(declared: Given, x: Tensor, module: nn.Module, expected: Expected) -> Misfit | None:
    home = next((t.device for t in (*module.parameters(), *module.buffers())), x.device)
    if x.device == home or x.device.type == home.type == "cpu":
        return None
    helps = (f"`x.to({str(home)!r})` brings it there; `net.to({str(x.device)!r})` brings the network",)
    what = f"input `{declared.name}`{_at(declared)} of {expected.net}"
    return Misfit(f"{what} is on {x.device}, and the weights are on {home}", helps)


def _axes(declared: Given, x: Tensor, module: nn.Module, expected: Expected) -> Misfit | None:
    rank = declared.type.rank + 1
    if x.dim() == rank:
        return None
    channels = declared.type.channels
    helps: tuple[str, ...] = ()
    if x.dim() == rank - 1:
        last = rank > 2 and x.shape[-1] == channels != x.shape[0]
        helps = (_channels_second(x.dim(), batched=False) if last else "the batch axis is missing: `x.unsqueeze(0)`",)
    elif x.dim() == rank + 1 and 1 in x.shape[:2]:
        helps = (f"there is an axis too many: `x.squeeze({list(x.shape).index(1)})`",)
    elif declared.type.rank == 1 and x.dim() > rank:
        helps = ("it takes vectors: `x.flatten(1)`",)
    return Misfit(_message(declared, expected, _shape(x)), helps)


def _channels(declared: Given, x: Tensor, module: nn.Module, expected: Expected) -> Misfit | None:
    channels, came = declared.type.channels, x.shape[1]
    if not isinstance(channels, int) or came == channels:
        return None
    spread = ", ".join(["-1", str(channels), *["-1"] * (x.dim() - 2)])
    helps: tuple[str, ...] = ()
    if x.dim() > 2 and x.shape[-1] == channels:
        helps = (_channels_second(x.dim(), batched=True),)
    elif x.dim() > 2 and came == 1:
        helps = (f"one channel for all {channels}: `x.expand({spread})`",)
    elif x.dim() > 2 and came == 4 and channels == 3:
        helps = ("without the fourth, of transparency: `x[:, :3]`",)
    elif x.dim() > 2:
        helps = (f"or another input in the text: `input {came} x {' x '.join(map(str, declared.type.spatial))}`",)
    return Misfit(_message(declared, expected, _shape(x)), helps)


def _dtype(declared: Given, x: Tensor, module: nn.Module, expected: Expected) -> Misfit | None:
    own = next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
    what = f"input `{declared.name}`{_at(declared)} of {expected.net}"
    automatic = torch.is_autocast_enabled(x.device.type)
    if declared.words or own is None or x.dtype == own or (automatic and x.is_floating_point()):
        return None
    helps: tuple[str, ...] = (f"`x.to({own})`", f"or the network: `net.to({x.dtype})`")
    if not x.is_floating_point():
        scaled = " / 255" if x.dtype == torch.uint8 else ""
        short = ".float()" if own == torch.float32 else f".to({own})"
        helps = (f"`x{short}{scaled}`",)
    return Misfit(f"{what} was given {x.dtype}, and the weights are {own}", helps)


def _sizes(declared: Given, x: Tensor, module: nn.Module, expected: Expected) -> Misfit | None:
    """Other sizes than those of the text: many networks run with them, but this call did not."""
    wanted, came = declared.type.spatial, tuple(x.shape[2:])
    if all(not isinstance(a, int) or a == b for a, b in zip(wanted, came)):
        return None
    sizes = ", ".join(str(a) if isinstance(a, int) else str(b) for a, b in zip(wanted, came))
    helps = []
    if len(came) > 1 and not declared.words:
        helps.append(f"`torch.nn.functional.interpolate(x, ({sizes}))` resizes it")
    if expected.spec:
        name = "" if declared.name == "input" else f"{declared.name}="
        shape = "x".join(map(str, x.shape[1:]))
        helps.append(f"`netdsl check {expected.spec} --input {name}{shape}` says what would have to change")
    return Misfit(_message(declared, expected, _shape(x)), tuple(helps))


def _limits(expected: Expected, given: Sequence[Tensor]) -> Misfit | None:
    """An open size that a constraint excludes, or that has two values."""
    values: dict[str, set[int]] = {}
    for declared, x in zip(expected.inputs, given):
        for name, found in sizes_of(declared, tuple(x.shape[1:])).items():
            values.setdefault(name, set()).update(found)
    for name, found in values.items():
        if len(found) > 1:
            said = " and ".join(map(str, sorted(found)))
            return Misfit(f"the inputs of {expected.net} share {name}, and it came as {said}")
    for limit in expected.limits:
        for value in values.get(limit.symbol, ()):
            if not limit.domain.admits(value):
                fits = nearest_sizes(_all_of(expected, limit.symbol), value)
                message = f"{expected.net} was given {limit.symbol} = {value}: {limit.domain.describe(limit.symbol)}"
                helps = (f"{limit.symbol} = {' or '.join(map(str, fits))} fits",) if fits else ()
                return Misfit(message, helps, (f"asked for at {limit.place}: {limit.reason}",))
    return None


def _all_of(expected: Expected, symbol: str) -> Any:
    """The last limit of a size holds all of them: each narrows the one before."""
    return [limit.domain for limit in expected.limits if limit.symbol == symbol][-1]


def _message(declared: Given, expected: Expected, came: str) -> str:
    return f"input `{declared.name}` of {expected.net} is {declared}{_at(declared)}, and it was given {came}"


def _at(declared: Given) -> str:
    return f" ({declared.place})" if declared.place else ""


def _shape(x: Tensor) -> str:
    return " x ".join(map(str, x.shape)) or "a single number"


def _channels_second(rank: int, batched: bool) -> str:
    if batched:
        return f"the channels stand second: `x.permute({', '.join(map(str, (0, rank - 1, *range(1, rank - 1))))})`"
    order = ", ".join(map(str, (rank - 1, *range(rank - 1))))
    return f"the channels stand first, and a batch axis before them: `x.permute({order}).unsqueeze(0)`"


# --- inside ----------------------------------------------------------------------------------------------------------


class Stopped(Record):
    """Where PyTorch stopped: an element, the line of the spec, what it was proven to make, and what arrived."""

    name: str
    place: str
    proven: str
    arrived: str
    module: nn.Module | None = None
    tensor: Tensor | None = None

    def __str__(self) -> str:
        parts = [f"{word} {text}" for word, text in (("proven", self.proven), ("arrived", self.arrived)) if text]
        return self.name + (f" ({self.place})" if self.place else "") + (f": {', '.join(parts)}" if parts else "")

    def remedies(self, error: Exception) -> tuple[str, ...]:
        """What to do about faults that lie in values and not in shapes."""
        module, x = self.module, self.tensor
        if "more than 1 value per channel" in str(error):
            return ("in training a batch norm needs several values of each channel: a larger batch, or `net.eval()`",)
        if isinstance(module, nn.Embedding) and x is not None and x.numel() and not x.is_floating_point():
            low, high = int(x.min()), int(x.max())
            if low < 0 or high >= module.num_embeddings:
                return (f"the words are numbers from 0 to {module.num_embeddings - 1}, and {low} to {high} came",)
        return ()


def where(module: nn.Module, trace: Sequence[TracebackType], expected: Expected) -> Stopped | None:
    """The innermost element that was at work."""
    own = [i for i, step in enumerate(trace) if _is_generated(step, module)]
    if not own:
        return None
    at, below = trace[own[-1]], trace[own[-1] + 1 :]
    names = {id(inner): name for name, inner in module.named_modules()}
    inside = [step.tb_frame for step in below if id(step.tb_frame.f_locals.get("self")) in names]
    leaf = inside[-1].f_locals["self"] if inside else None
    if leaf is not None and not isinstance(leaf, nn.Sequential):
        value, name = _argument(inside, leaf), names[id(leaf)]
        tensor = value if isinstance(value, Tensor) else None
        proven, place = _proven(name, expected) or ("", _comment(at)[1])
        return Stopped(name, place, proven, _arrived([tensor]), leaf, tensor)
    proven, place = _comment(at)
    code = linecache.getline(at.tb_frame.f_code.co_filename, at.tb_lineno).split("#")[0]
    words = dict.fromkeys(re.findall(r"\b[A-Za-z_]\w*", code.partition(" = ")[2] or code))
    used = [at.tb_frame.f_locals.get(word) for word in words]
    return Stopped(_target(code), place, proven, _arrived(used))


def _proven(name: str, expected: Expected) -> tuple[str, str] | None:
    """What an element was proven to take and make, and its line."""
    if expected.graph is None or size_unrolled(expected.graph) > MAX_LISTED:
        return None
    graph = flat(expected.graph)
    for node in graph.nodes:
        if node.name == name:
            takes = ", ".join(str(graph.type_of(v)) for v in node.inputs)
            return f"{takes} -> {node.type}", line_of(node.origin)
    return None


def _argument(frames: Sequence[FrameType], leaf: nn.Module) -> Any:
    """What the `forward` of a module was given first."""
    for frame in frames:
        code = frame.f_code
        if frame.f_locals.get("self") is leaf and code.co_name == "forward" and code.co_argcount > 1:
            return frame.f_locals.get(code.co_varnames[1])
    return None


def _arrived(values: Sequence[Any]) -> str:
    each = (x for value in values for x in (value if isinstance(value, list | tuple) else [value]))
    return " and ".join([_shape(x) for x in each if isinstance(x, Tensor)][:4])


def _comment(step: TracebackType) -> tuple[str, str]:
    """What stands beside the generated statement: the shape in the network, and the line of the spec."""
    file, first = step.tb_frame.f_code.co_filename, step.tb_lineno
    lines = (linecache.getline(file, number) for number in range(first, first + MOST_LINES))
    text = next((line.partition("  # ")[2].strip() for line in lines if "  # " in line), "")
    shape, _, place = text.rpartition(", ")
    return (shape, place) if re.search(r":\d+$", place) else ("", "")


MOST_LINES = 8
"""A statement of the generated file goes over so many lines at most, for this purpose."""


def _target(code: str) -> str:
    """`conv1` in `x = F.relu(self.conv1(x))`; else the statement itself."""
    found = re.search(r"self\.(\w+)", code)
    return found[1] if found else f"`{' '.join(code.split())}`"


def _trace(error: Exception) -> Iterator[TracebackType]:
    """The steps from the call of the network, which is the first, down to the fault."""
    step = error.__traceback__
    while step is not None:
        yield step
        step = step.tb_next


_LIBRARIES = tuple(str(Path(file).parent) for file in (torch.__file__, __file__))


def _is_ours(step: TracebackType, module: nn.Module) -> bool:
    """Whether a step is of PyTorch, or of the network: what a hook raises is the hook's own affair."""
    return step.tb_frame.f_code.co_filename.startswith((*_LIBRARIES, "<netdsl ")) or _is_generated(step, module)


def _is_generated(step: TracebackType, module: nn.Module) -> bool:
    """Whether a step is of the file in which the class of the network stands."""
    own = (cls.__module__ for cls in type(module).__mro__ if issubclass(cls, nn.Module) and cls is not nn.Module)
    return any(step.tb_frame.f_globals is vars(sys.modules[name]) for name in own if name in sys.modules)
