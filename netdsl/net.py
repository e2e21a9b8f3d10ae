"""The network as people use it from Python: load, look, compile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from netdsl.analysis.cost import Cost, cost
from netdsl.diagnostic import Diagnostic, SpecError, diagnose
from netdsl.domain import Domain, simplified
from netdsl.driver import Checked, check_source, check_varied
from netdsl.files import FileReader, Unreadable, find, no_files, read_source
from netdsl.graph import Graph, Layer, layers, size_unrolled
from netdsl.options import Number, Options, Sizes, options_of
from netdsl.prove import Constraint
from netdsl.repair import repaired
from netdsl.size import Size, symbols
from netdsl.source import Source, place_of
from netdsl.types import TensorType

if TYPE_CHECKING:
    import torch

    from netdsl.analysis.memory import Memory
    from netdsl.draw.formats import Drawing
    from netdsl.explain.element import Explanation
    from netdsl.text import Text

Shape = tuple[Size, ...]

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

    What it costs and why is asked with `show`, `memory`, `receptive_field` and `explain`; `draw` is its picture, which
    is also what a notebook shows of it (docs/python.md).
    """

    def __init__(self, checked: Checked, mended: Callable[[], Sequence[Diagnostic]] | None = None) -> None:
        """`mended` gives the warnings with repairs, which are looked for once somebody looks at the warnings."""
        self._checked, self._mended = checked, mended
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

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return self._checked.warnings if self._mended is None else tuple(self._mended())

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

    # --- what is there to know of it ----------------------------------------------------------------------------

    def show(
        self,
        depth: int = 1,
        *,
        batch: int | None = None,
        dtype: str = "fp32",
        optimiser: str = "sgd",
        training: bool = False,
        width: int = 100,
    ) -> Text:
        """The table that `netdsl show` prints; `depth` is how many levels of blocks are opened. Raises UsageError."""
        from netdsl.table import cost_table
        from netdsl.text import Text

        return Text(cost_table(self, depth, width, batch, dtype, optimiser, training))

    def memory(self, batch: int = 1, dtype: str = "fp32", optimiser: str = "sgd") -> Memory:
        """The bytes that it takes: `.inference` and `.training` are the peaks, the fields what they consist of.

        Raises UsageError where sizes are open, and for a type or an optimiser that is not known.
        """
        from netdsl.analysis.memory import memory

        return memory(self, batch, dtype, optimiser)

    @property
    def receptive_field(self) -> tuple[int | str | None, ...]:
        """How many rows of the first input a place of the last map sees, by axis; () where there is no map.

        A formula, as text, where a place sees all rows and their number is open; None where it is not known.
        """
        from netdsl.analysis.listed import field_of_net

        return tuple(field_of_net(self) or ())

    def explain(self, what: str | int, column: int | None = None) -> Explanation:
        """How an element is computed, by its label or path (`"conv3"`, `"conv3.0.conv1"`), or by its line.

        Raises UsageError with the nearest there is.
        """
        from netdsl.explain.element import explain_label, explain_line

        return explain_line(self, what, column) if isinstance(what, int) else explain_label(self, what)

    def draw(
        self,
        file: str | os.PathLike[str] | None = None,
        *,
        depth: int | None = None,
        theme: str = "auto",
        page: str = "portrait",
        width: int | None = None,
        tex: str | None = None,
    ) -> Drawing:
        """Its picture, which a notebook shows; written to `file`, if one is given: .svg, .png, .html, .dot, .mmd, .tex.

        Raises UsageError where the format is not known or has no such option, and where the file cannot be written.
        """
        from netdsl.draw.formats import Asked, Drawing

        drawing = Drawing(self, Asked(depth, theme, page, width, tex))
        if file is not None:
            drawing.save(file)
        return drawing

    def _repr_svg_(self) -> str:
        return self.draw()._repr_svg_()

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
    mended = partial(repaired, checked.warnings, source, read, options, net)
    return Net(checked, mended if any(warning.ideas for warning in checked.warnings) else None)


def compile(
    spec: str | os.PathLike[str], *, backend: str = "torch", input: Sizes | None = None, **params: float
) -> torch.nn.Module:
    """`load(spec, …).compile(backend)`, for short."""
    return load(spec, input=input, net=None, **params).compile(backend)
