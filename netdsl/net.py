"""The network as people use it from Python: load, look, compile."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netdsl.analysis.cost import Cost, cost
from netdsl.diagnostic import Diagnostic, SpecError, diagnose
from netdsl.domain import Domain, simplified
from netdsl.driver import Checked, check_source, check_varied
from netdsl.files import FileReader, Unreadable, find, no_files, read_source
from netdsl.graph import Graph, Layer, layers, size_unrolled
from netdsl.options import Options, UsageError
from netdsl.prove import Constraint
from netdsl.repair import repaired
from netdsl.size import Size, symbols
from netdsl.source import Source, place_of
from netdsl.types import TensorType

if TYPE_CHECKING:
    import torch

Shape = tuple[Size, ...]
Sizes = str | Sequence[int | str] | Mapping[str, str | Sequence[int | str]]
Number = float | Fraction | str

MAX_EXPONENT = 30
"""Of a parameter that the caller sets: `1e999999999` would fill the memory."""


MAX_LISTED = 200_000
"""So many elements are listed one by one, as `layers` and as JSON: they take a few seconds and 200 MB."""


class Net:
    """A network whose shapes are proven.

    name                        as in its `net` line
    inputs, outputs             {name: shape}, without the batch axis; open sizes are formulas
    training_outputs            {name: shape} of the heads that only training has
    params                      all parameters
    params_inference            without those of training-only heads
    trainable_params            without frozen ones
    macs                        multiply-accumulates for one sample: convolutions and linear layers
    layers                      every primitive of the inference path, in order of execution
    constraints                 what open sizes must satisfy, by name: {"H": "H >= 32"}
    graph                       the checked graph, with its blocks
    """

    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self.graph: Graph[TensorType] = checked.graph
        self.name: str = checked.graph.name

    @property
    def source(self) -> Source:
        return self._checked.source

    @property
    def sources(self) -> tuple[Source, ...]:
        """The texts that it was made from: its own, and those of its imports."""
        return tuple(file.source for file in self._checked.program.loader.files.values())

    @property
    def options(self) -> Options:
        """What the caller asked for beyond the text."""
        return self._checked.options

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the net's own parameters: what `load(…, classes=10)` takes."""
        return tuple(self._checked.elaborated.values)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self._checked.warnings

    @property
    def inputs(self) -> dict[str, Shape]:
        return {input.name: self._shape(input.type) for input in self.graph.inputs}

    def _shape(self, type: TensorType) -> Shape:
        return tuple(map(self.shown, type.plain().shape))

    @property
    def outputs(self) -> dict[str, Shape]:
        return self._outputs(training=False)

    @property
    def training_outputs(self) -> dict[str, Shape]:
        return self._outputs(training=True)

    def _outputs(self, training: bool) -> dict[str, Shape]:
        outs = [out for out in self.graph.outputs if out.training == training]
        return {out.name: self._shape(self.graph.type_of(out.value)) for out in outs}

    @cached_property
    def cost(self) -> Cost:
        return cost(self.graph)

    @property
    def params(self) -> int:
        return self.cost.params

    @property
    def params_inference(self) -> int:
        return self.cost.params_inference

    @property
    def trainable_params(self) -> int:
        return self.cost.trainable_params

    @property
    def macs(self) -> Size:
        return self.shown(self.cost.macs)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Raises SpecError for a network that is too long to be listed element by element."""
        self.need_listed()
        return tuple(layers(self.graph))

    def need_listed(self) -> None:
        """Raises SpecError for a network that is too long to be listed element by element."""
        count = size_unrolled(self.graph)
        if count > MAX_LISTED:
            message = f"{self.name} unrolls to {count:,} elements, and at most {MAX_LISTED:,} are listed"
            helps = ("the table, `netdsl show --depth 2`, counts what repeats",)
            raise SpecError([diagnose("E0403", message, self.graph.nodes[0].origin, helps=helps)])

    @property
    def domains(self) -> dict[str, Domain]:
        """What each open size may be."""
        return dict(self._checked.elaborated.prove.domains)

    def shown(self, size: Size) -> Size:
        """A size as it reads best under the network's constraints: `H` for 8*floor(H/8) where 8 divides H."""
        return simplified(size, self.domains) if symbols(size) else size

    def shape_text(self, type: TensorType) -> str:
        """`64 x H/2 x W/2`."""
        return str(TensorType(tuple(self.shown(size) for size in type.shape)))

    @property
    def constraints(self) -> dict[str, str]:
        return {name: domain.describe(name) for name, domain in self.domains.items()}

    @property
    def derivation(self) -> tuple[Constraint, ...]:
        """Each narrowing of an open size, in the order found: what asked for it, and where."""
        return tuple(self._checked.elaborated.prove.constraints)

    def to_dict(self, batch: int = 1, dtype: str = "fp32", optimiser: str = "sgd") -> dict[str, Any]:
        """What `netdsl show --json` prints: see docs/show-json.md. The memory is that of a batch."""
        from netdsl.analysis.listed import field_of_net, fields_of_layers, memory_of

        return {
            "name": self.name,
            "inputs": {name: [_json(size) for size in shape] for name, shape in self.inputs.items()},
            "outputs": {name: [_json(size) for size in shape] for name, shape in self.outputs.items()},
            "training_outputs": {
                name: [_json(size) for size in shape] for name, shape in self.training_outputs.items()
            },
            "constraints": self.constraints,
            "params": self.params,
            "params_inference": self.params_inference,
            "trainable_params": self.trainable_params,
            "macs": _json(self.macs),
            "receptive_field": field_of_net(self),
            "memory": memory_of(self, batch, dtype, optimiser),
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op.name,
                    "inputs": list(layer.inputs),
                    "shape": [_json(self.shown(size)) for size in layer.type.shape],
                    "params": layer.params,
                    "macs": _json(self.shown(layer.macs)),
                    "at": place_of(layer.origin).place,
                    **seen,
                }
                for layer, seen in fields_of_layers(self)
            ],
        }

    def varied(self, name: str, value: int) -> Net | None:
        """The network with another number for a parameter, its assertions set aside; None if it does not fit."""
        checked = check_varied(self._checked, {name: value})
        return Net(checked) if checked is not None else None

    def emit(self, backend: str = "torch") -> str:
        """The source text that the backend writes."""
        from netdsl.backend import load_backend

        return load_backend(backend).emit(self)

    def compile(
        self, backend: str = "torch", *, weights: Any = None, fresh: Iterable[str] = (), **options: Any
    ) -> torch.nn.Module:
        """A module that runs: with fresh parameters, or with `weights`.

        backend     `torch`: the module as the text has it; `triton`: fused for inference (docs/triton.md)
        weights     a state dict, a module, or a file of another implementation of this network: torchvision's, say
        fresh       labels of lines that keep fresh parameters all the same: a new head
        options     those of the backend

        Raises UsageError where the weights are not those of this network, or the backend has no such option.
        """
        from netdsl.backend import load_backend

        chosen = load_backend(backend)
        module: torch.nn.Module = chosen.build(self, **options)
        if weights is not None:
            chosen.load_weights(module, weights, fresh)
        return module

    def __repr__(self) -> str:
        ins = ", ".join(f"{name}: {TensorType(shape)}" for name, shape in self.inputs.items())
        outs = ", ".join(f"{name}: {TensorType(shape)}" for name, shape in self.outputs.items())
        return f"<Net {self.name}: {ins} -> {outs}, {self.params:,} parameters>"


def _json(size: Size) -> int | str:
    return int(size) if isinstance(size, int) else str(size)


def load(spec: str | os.PathLike[str], *, input: Sizes | None = None, net: str | None = None, **params: float) -> Net:
    """The network of a file or of a shipped name; a path wins over a name.

    input     other sizes for the input: "3x64x64", (3, 64, 64), or {name: sizes}; "3xHxW" leaves sizes open
    net       which network, where the file has several (the last one by default)
    params    numbers for the net's parameters: classes=10

    Raises SpecError with diagnostics where the spec has faults, FileNotFoundError, UsageError (a ValueError) where
    the network has no such parameter or input.
    """
    return load_with(os.fspath(spec), input, net, params)


def load_with(spec: str, input: Sizes | None, net: str | None, params: Mapping[str, Number]) -> Net:
    """`load`, for parameters of any name: `spec` and `input` are names, too."""
    path = find(spec)
    try:
        source = read_source(path)
    except Unreadable as error:
        raise SpecError([error.diagnostic]) from None
    reader = FileReader(path)
    reader.paths[source.name] = path
    return checked_net(source, reader, input, net, params)


def loads(
    text: str, *, name: str = "<text>", input: Sizes | None = None, net: str | None = None, **params: float
) -> Net:
    """The network of a text. It can import shipped networks, not files."""
    return checked_net(Source(name, text), no_files, input, net, params)


def checked_net(source: Source, read: Any, input: Sizes | None, net: str | None, params: Mapping[str, Number]) -> Net:
    options = options_of(input, params)
    checked, faults = check_source(source, read, options, net)
    if checked is None:
        raise SpecError(faults, lambda: repaired(faults, source, read, options, net))
    return Net(checked)


def options_of(input: Sizes | None, params: Mapping[str, Number]) -> Options:
    return Options({name: exact(name, value) for name, value in params.items()}, input_sizes(input))


def exact(name: str, value: Any) -> int | Fraction:
    """A parameter as the exact number that it shows: 0.1 is 1/10."""
    if isinstance(value, bool) or not isinstance(value, int | float | Fraction | str):
        raise UsageError(f"{name} is a number, not {value!r}")
    try:
        text = str(value)
        exponent = text.lower().partition("e")[2] or "0"
        if len(text) > 50 or len(exponent) > 4 or abs(int(exponent)) > MAX_EXPONENT:
            raise UsageError(f"{name} is too large or too fine: {text[:40]}")
        number = Fraction(text)
    except UsageError:
        raise
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{name} is a number, not {value!r}") from None
    return int(number) if number.denominator == 1 else number


def input_sizes(input: Sizes | None) -> dict[str, tuple[int | str, ...]]:
    """{name: sizes}; the one input that has no name of its own is called `input`. A name stands for an open size."""
    if input is None:
        return {}
    given = input if isinstance(input, Mapping) else {"input": input}
    sizes: dict[str, tuple[int | str, ...]] = {}
    for name, value in given.items():
        parts = re.split("[xX×]", value.replace(" ", "")) if isinstance(value, str) else list(value)
        if not parts or not all(is_size(part) or is_open_size(part) for part in parts):
            shown = value if isinstance(value, str) and len(value) <= 60 else f"{str(value)[:60]}…"
            raise UsageError(f"the sizes of an input are written 3x224x224, or 3xHxW if they are open, not {shown!r}")
        sizes[name] = tuple(str(part) if is_open_size(part) else int(part) for part in parts)
    return sizes


def is_open_size(part: object) -> bool:
    """Whether `part` is a name for a size: without an x, which stands between sizes."""
    return isinstance(part, str) and re.fullmatch(r"(?![xX])[A-Za-z_](?:(?![xX])[A-Za-z_0-9])*", part) is not None


def is_size(part: object) -> bool:
    """Whether `part` is a whole number that a size can be: ASCII digits, and few enough of them."""
    text = str(part)
    return text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= 10**9


def compile(
    spec: str | os.PathLike[str], *, backend: str = "torch", input: Sizes | None = None, **params: float
) -> torch.nn.Module:
    """`load(spec, …).compile(backend)`, for short."""
    return load(spec, input=input, net=None, **params).compile(backend)
