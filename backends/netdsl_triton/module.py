"""A network that runs its fused program, and still is an ordinary nn.Module.

The module shares parameters, buffers and submodules with the one that the PyTorch backend builds: names in the state
dict, `.to`, `.half`, optimisers, copies and pickles are those of that module. In inference a program is made for each
signature (shapes, type, device); whatever a program cannot do runs as the PyTorch backend has it, with one note.

The weights are watched. A call starts the program first and looks then, while the device works, whether the weights
it was folded from are still the same; where they are not, it folds them anew and runs again.
"""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import RLock
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import maybe_current_level
from torch.utils._python_dispatch import _len_torch_dispatch_stack  # type: ignore[attr-defined]

from netdsl.devices import DEVICES
from netdsl.graph import Graph
from netdsl.ops.sequence import Embedding
from netdsl.options import UsageError
from netdsl.passes import Context, optimise, retype
from netdsl.prove import ShapeFault
from netdsl.record import Record
from netdsl.types import TensorType
from netdsl_torch.expected import Expected, of_graph
from netdsl_torch.misfit import explained
from netdsl_triton.choose import chooser
from netdsl_triton.device import interpreted, rates_of, triton_missing
from netdsl_triton.dtypes import NAMES
from netdsl_triton.graphs import Recorder
from netdsl_triton.notes import Notes
from netdsl_triton.options import Options, options_of
from netdsl_triton.plan import NotPlanned, Plan, plan
from netdsl_triton.program import Program, ordinary
from netdsl_triton.signature import Signature, tf32_allowed
from netdsl_triton.store import Store, machine
from netdsl_triton.tune import Tuned, tune_plan
from netdsl_triton.watch import Watch, structure

MEDDLED = (
    "a module inside has hooks or is set to training, so the network runs as PyTorch has it: "
    "without them it takes the fused kernels"
)
GRADIENTS = (
    "gradients are wanted, so the network runs as PyTorch has it: "
    "call it under `torch.inference_mode()` for the fused kernels"
)
TRAINING = "in training the network runs as PyTorch has it: `.eval()` gives the fused kernels"
EXACT_BATCHES = 4
"""So many sizes of batches have a program of their own, for inputs that otherwise agree."""
MOST_SHAPES = 1000
"""Of so many kinds of inputs it is remembered which sizes of batches came."""

Runs = Callable[..., tuple[Tensor, ...]]


class Unable(Record):
    """Why there is no program for a signature."""

    reason: str


class FusedModule(nn.Module):
    """A network with a program for each signature; `reference` is the module of the PyTorch backend."""

    _reference: nn.Module
    _graph: Graph[TensorType]
    _places: tuple[str, ...]
    _structure: tuple[tuple[str, ...], ...]
    _words: frozenset[int]
    _options: Options
    _programs: OrderedDict[Signature, Runs | Unable]
    _watch: Watch | None
    _notes: Notes
    _lock: Any
    _seen: dict[Signature, set[int]]

    def __init__(
        self, reference: nn.Module, graph: Graph[TensorType], places: Sequence[str] = (), **options: Any
    ) -> None:
        """`graph` is flat, with the names of `reference`; `places` says where the text declares each input."""
        super().__init__()
        self.__dict__.update(
            _reference=reference,
            _graph=graph,
            _places=tuple(places),
            _structure=structure(reference),
            _words=frozenset([v for node in graph.nodes if isinstance(node.op, Embedding) for v in node.inputs]),
            _options=options_of(options),
            _parameters=reference._parameters,
            _buffers=reference._buffers,
            _non_persistent_buffers_set=reference._non_persistent_buffers_set,
            _modules=reference._modules,
            training=reference.training,
        )
        self._start()

    def _start(self) -> None:
        """What is made anew in copies: programs, and what was said."""
        self.__dict__.update(_programs=OrderedDict(), _watch=None, _notes=Notes(), _lock=RLock(), _seen={})

    # --- as a module ----------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return f"Fused{type(self._reference).__name__}"

    def train(self, mode: bool = True) -> FusedModule:
        super().train(mode)
        self._reference.training = mode
        self.__dict__["_watch"] = None
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> FusedModule:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.__dict__["_watch"] = None
        return self

    def _replicate_for_data_parallel(self) -> nn.Module:
        """`nn.DataParallel` spreads tensors that live for one call: they are not worth folding."""
        replica: nn.Module = self._reference._replicate_for_data_parallel()  # type: ignore[no-untyped-call]
        return replica

    def __getstate__(self) -> dict[str, Any]:
        made = ("_programs", "_watch", "_notes", "_lock", "_seen")
        return {name: value for name, value in self.__dict__.items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._start()

    # --- a call ---------------------------------------------------------------------------------------------------

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        """What the reference gives."""
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
            return self._reference(*inputs, **named)
        if type(inputs) is not tuple:  # torch.fx puts a proxy in place of all inputs
            return self._reference.forward(*[inputs[i] for i in range(len(self._graph.inputs))])
        kind, note = self._hindered(inputs, named)
        if kind:
            if note:
                self._notes.say(kind, note)
            return self._plainly(inputs, named)
        try:
            return self._fused(inputs)
        except IndexError:  # a word that is in no table: the reference says which
            self._plainly(inputs, named)
            raise

    def _fused(self, inputs: tuple[Tensor, ...]) -> Any:
        """By the program for such inputs; without one, as PyTorch has it."""
        signature = self._signature(inputs)
        program = self._program(signature)
        if isinstance(program, Unable):
            return self._plainly(inputs, {})
        results = program(*inputs)
        if self._changed():
            program = self._program(signature)
            if isinstance(program, Unable):
                return self._plainly(inputs, {})
            results = program(*inputs)
        return self._packaged(results)

    def _plainly(self, inputs: Sequence[Tensor], named: dict[str, Tensor]) -> Any:
        """The reference; where it fails, the error says what the network takes, and where it stopped."""
        try:
            return self._reference(*inputs, **named)
        except Exception as error:
            better = explained(error, self._reference, inputs, named, self._expected())
            if better is None:
                raise
            raise better from error

    def _expected(self) -> Expected:
        """What it takes, for references that were not built with it: those of a file."""
        found = of_graph(self._graph).replace(graph=None)
        places = [*self._places, *[""] * len(found.inputs)]
        return found.replace(inputs=tuple([given.replace(place=at) for given, at in zip(found.inputs, places)]))

    def _packaged(self, results: tuple[Tensor, ...]) -> Any:
        """As the reference returns them: one tensor, or its named tuple."""
        if len(results) == 1:
            return results[0]
        module = sys.modules[type(self._reference).__module__]
        return getattr(module, f"{type(self._reference).__name__}Output")(*results)

    def _is_misfit(self, inputs: Sequence[Tensor]) -> bool:
        """Whether the inputs are not those that the text declares: other axes, or other channels."""
        graph = self._graph
        if len(inputs) != len(graph.inputs):
            return True
        for declared, x in zip(graph.inputs, inputs):
            channels = declared.type.channels
            if x.dim() != declared.type.rank + 1 or (isinstance(channels, int) and x.shape[1] != channels):
                return True
        return False

    # --- what hinders ---------------------------------------------------------------------------------------------

    def _hindered(self, inputs: Sequence[Any], named: dict[str, Any]) -> tuple[str, str]:
        """Why this call runs as PyTorch has it: of what kind the reason is, and the note to be given, if any."""
        if self.training:
            return "training", TRAINING
        if named or not all(type(x) in (Tensor, nn.Parameter) for x in inputs) or self._is_misfit(inputs):
            return "form", ""
        if torch.is_grad_enabled() and any(t.requires_grad for t in (*inputs, *self.parameters())):
            return "gradients", GRADIENTS
        if not inputs or any(x.shape[0] != inputs[0].shape[0] or not x.numel() for x in inputs):
            return "empty", ""
        if any(x.device != inputs[0].device or x.layout != torch.strided for x in inputs) or inputs[0].is_meta:
            return "form", ""
        if not self._fits(inputs):
            return "form", ""
        if maybe_current_level() is not None or _len_torch_dispatch_stack():
            return "mode", ""
        return "", ""

    def _fits(self, inputs: Sequence[Tensor]) -> bool:
        """Whether the inputs are of the type that PyTorch asks for: that of the weights; autocast converts."""
        numbers = [x for i, x in enumerate(inputs) if i not in self._words]
        if torch.is_autocast_enabled(inputs[0].device.type):
            return all(x.is_floating_point() for x in numbers)
        own = self._own_dtype()
        return all(x.dtype == own for x in numbers)

    def _signature(self, inputs: Sequence[Tensor]) -> Signature:
        device = inputs[0].device
        automatic = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if automatic else self._own_dtype()
        shapes = tuple([tuple(x.shape[1:]) for x in inputs])
        signature = Signature(inputs[0].shape[0], shapes, dtype, device, tf32_allowed())
        return signature.replace(batch=self._batch(signature))

    def _own_dtype(self) -> torch.dtype:
        return next((p.dtype for p in self.parameters() if p.is_floating_point()), torch.float32)

    def _batch(self, signature: Signature) -> int:
        """For how many samples the program is made that takes so many."""
        batch, chosen = signature.batch, self._options.batches
        if signature.device.type == "cpu" and not interpreted():
            return 1 << (batch - 1).bit_length()  # it is for about so many: programs of the CPU take any number
        if chosen:
            return next((size for size in chosen if size >= batch), batch)
        if len(self._seen) > MOST_SHAPES:
            self._seen.clear()
        seen = self._seen.setdefault(signature.replace(batch=0), set())
        if batch in seen or len(seen) < EXACT_BATCHES:
            seen.add(batch)
            return batch
        return 1 << (batch - 1).bit_length()

    def _changed(self) -> bool:
        """Whether the weights changed since they were folded, or what computes with them; then it is seen to."""
        watch = self._watch
        if watch is not None and not watch.changed():
            return False
        with self._lock:
            if self._watch is watch:
                self._refold()
        return True

    # --- programs -------------------------------------------------------------------------------------------------

    def _program(self, signature: Signature) -> Runs | Unable:
        found = self._programs.get(signature)
        watch = self._watch
        if found is not None and watch is not None and not watch.suspect and len(self._programs) == 1:
            return found
        with self._lock:
            watch = self._watch or self._refold()
            if watch.meddled():
                self._notes.say("meddled", MEDDLED)
                return Unable(MEDDLED)
            found = self._programs.get(signature)
            if found is None:
                found = self._programs[signature] = self._made(signature)
                while len(self._programs) > self._options.programs:
                    self._programs.popitem(last=False)
            self._programs.move_to_end(signature)
        return found

    def _refold(self) -> Watch:
        """Folds the weights as they are now, in every program; those of another device or type are dropped."""
        watch = Watch(self._reference)
        if structure(self._reference) != self._structure:
            self._programs.clear()
        for signature, program in list(self._programs.items()):
            if isinstance(program, Unable) or not self._is_current(program) or not refolded(program):
                del self._programs[signature]
        self.__dict__["_watch"] = watch  # not before all is folded: whatever interrupts that, the next call folds again
        return watch

    def _is_current(self, program: Any) -> bool:
        """Whether a program still is of the device and type of the parameters."""
        return all(a.device == b.device and a.dtype == b.dtype for a, b in zip(program.state.values(), self._tensors()))

    def _tensors(self) -> list[Tensor]:
        return [*self.parameters(), *self.buffers()]

    def _made(self, signature: Signature) -> Runs | Unable:
        """A program, or why there is none; then a note is given."""
        try:
            return self._program_for(signature)
        except (NotPlanned, ShapeFault) as error:
            reason = str(error)
        except Exception as error:  # a fault of a kernel, a compiler or a driver must not stop the network
            if os.environ.get("NETDSL_DEBUG"):
                raise
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        self._notes.say(reason, f"{self._graph.name} runs as PyTorch has it for {signature}: {reason}")
        return Unable(reason)

    def _program_for(self, signature: Signature) -> Runs | Unable:
        device = signature.device
        if structure(self._reference) != self._structure:
            raise NotPlanned("its modules are no longer those of the text")
        if any(t.device != device for t in self._tensors()):
            raise NotPlanned(f"the weights are not on {device}")
        if device.type == "cpu" and not interpreted():
            return self._cpu_program(signature)
        if missing := triton_missing():
            raise NotPlanned(missing)
        found = self.plan(signature)
        if self._options.tune:
            self._tuned(found, device)
            found = self.plan(signature)
        recorder = Recorder(device) if device.type == "cuda" else None
        program = Program(found, self._reference, device, recorder, self._options.graphs)
        for note in program.notes:
            self._notes.say(note, note)
        return program

    def _cpu_program(self, signature: Signature) -> Runs | Unable:
        from netdsl_triton.cpu import CpuProgram

        graph = self.optimised(signature, DEVICES["cpu"])
        made: Runs = CpuProgram(graph, self._reference, signature.batch, signature.dtype)
        return made

    # --- plans ----------------------------------------------------------------------------------------------------

    def optimised(self, signature: Signature, device: Any) -> Graph[TensorType]:
        """The graph of a signature after all passes. Raises ShapeFault where the sizes do not fit, or NotPlanned."""
        if signature.dtype not in NAMES or signature.dtype == torch.int64:
            raise NotPlanned(f"there are no kernels for {signature.dtype}")
        graph = retype(self._graph, signature.shapes)
        dtype = NAMES[signature.dtype]
        kind = "tf32" if dtype == "fp32" and any(signature.tf32) and device.arch[0] != "cpu" else dtype
        context = Context(signature.batch, kind, device, self._options.fuel)
        return optimise(graph, context)

    def plan(self, signature: Signature) -> Plan:
        """The plan of a signature, its kernels chosen."""
        rates = DEVICES["h200"] if interpreted() else rates_of(signature.device)
        if isinstance(rates, str):
            raise NotPlanned(rates)
        if signature.device.type == "cpu" and not interpreted():
            raise NotPlanned("on the CPU there is nothing to plan")
        graph = self.optimised(signature, rates)
        store = Store(machine(signature.device))
        return plan(graph, signature.batch, NAMES[signature.dtype], rates, chooser(store), signature.tf32)

    def tune(self, *inputs: Tensor, budget: float | None = None) -> Tuned:
        """Measures on the device which kernels are the fastest for inputs like these; the next call uses them.

        `budget` is in seconds. What was measured is kept on disk, for this machine. Raises UsageError where these
        inputs have no program, and why.
        """
        signature = self._signature(inputs)
        try:
            found = self.plan(signature)
        except (NotPlanned, ShapeFault) as error:
            raise UsageError(f"{self._graph.name} runs as PyTorch has it for {signature}: {error}") from None
        tuned = self._tuned(found, signature.device, budget)
        with self._lock:
            self._programs.pop(signature, None)
        return tuned

    def _tuned(self, found: Plan, device: torch.device, budget: float | None = None) -> Tuned:
        with ordinary(device):
            return tune_plan(found, device, Store(machine(device)), budget=budget)

    @property
    def programs(self) -> dict[Signature, Runs]:
        """The programs there are, by signature; the last used is the last."""
        return {signature: program for signature, program in self._programs.items() if not isinstance(program, Unable)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was said so far: why some calls run as PyTorch has it."""
        return tuple(self._notes.said.values())


def refolded(program: Any) -> bool:
    """Folds the weights again; whether they still have the form that the program was made for."""
    try:
        program.refold()
    except (RuntimeError, KeyError, ValueError):
        return False
    return True
