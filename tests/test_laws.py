"""Laws: what must hold for every network, whatever it is. They are tried on networks drawn at random (`strategies.py`).

HYPOTHESIS_PROFILE=thorough tries them on twenty times as many.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from strategies import Code, Program, Shape, lay, mangled, programs, share, soups, symbolic_programs

import netdsl
from netdsl import tree as t
from netdsl.diagnostic import CODES, Diagnostic, SpecError
from netdsl.graph import Graph, bodies, layers, show_graph, verify
from netdsl.net import Net
from netdsl.network import UsageError
from netdsl.ops import OPS, Op
from netdsl.parse import parse
from netdsl.passes.inline import inline
from netdsl.prove import Prover
from netdsl.render import render
from netdsl.size import evaluate
from netdsl.source import Source, Span
from netdsl.types import TensorType

# --- what the laws speak of -------------------------------------------------------------------------------------------


def shapes(outputs: dict[str, Any]) -> tuple[Shape, ...]:
    return tuple(outputs.values())


def graph_of(text: str) -> str:
    return show_graph(netdsl.loads(text).graph)


def tree_of(text: str) -> t.File:
    file, faults = parse(Source("<text>", text))
    assert all(fault.severity == "warning" for fault in faults), faults
    return file


def unrolled(graph: Graph[TensorType]) -> list[tuple[Any, ...]]:
    """Every layer, heads of training included: op, input and output shapes, costs."""
    return [
        (layer.op, tuple(x.plain() for x in layer.input_types), layer.type.plain(), layer.params, layer.macs)
        for layer in layers(graph, training=True)
    ]


def outputs_of(
    module: Any, net: Net, batch: int, training: bool, sizes: tuple[Shape, ...] = (), **where: Any
) -> list[Shape]:
    """The shapes that the module returns for random inputs."""
    import torch

    inputs = [torch.rand(batch, *shape, **where) for shape in sizes or net.inputs.values()]  # type: ignore[misc]
    module.train(training)
    with torch.no_grad():
        result = module(*inputs)
    return [tuple(x.shape) for x in (result if isinstance(result, tuple) else (result,))]


def expected(net: Net, batch: int, training: bool) -> list[Shape]:
    outputs = shapes(net.outputs) + (shapes(net.training_outputs) if training else ())
    return [(batch, *shape) for shape in outputs]


# --- the checker ------------------------------------------------------------------------------------------------------


@share(400)
@given(programs())
def test_a_well_typed_network_is_accepted(program: Program) -> None:
    """Every shape is what a second reading of the language says, which counts windows instead of computing them."""
    net = netdsl.loads(program.text)
    verify(net.graph)
    outputs = [net.graph.type_of(out.value).plain().shape for out in net.graph.outputs]
    assert tuple(outputs) == program.outputs + program.training
    assert shapes(net.inputs) == program.inputs


def test_every_form_of_the_language_is_drawn() -> None:
    """The laws are worth what the networks are on which they are tried."""
    seen: Counter[str] = Counter()

    @share(1000)
    @given(programs())
    def look(program: Program) -> None:
        stack: list[t.Tree] = list(tree_of(program.text).statements)
        while stack:
            tree = stack.pop()
            seen[tree.id if isinstance(tree, t.Name) else type(tree).__name__] += 1
            stack.extend(t.children(tree))
        for body in bodies(netdsl.loads(program.text).graph):
            seen[body.kind] += 1
            seen.update(node.op.name for node in body.nodes)
        seen.update(site.fault.code for site in program.sites)
        seen[f"{len(program.inputs[0])}-axis"] += 1
        seen[f"{len(program.inputs)}-input"] += 1

    look()
    wanted = f"""
        Net NetFrom Block Input Output TrainingOutput Default Freeze Let Element
        Number Extent Group Stride Keyword App Call Seq Sum Product Concat Negative If For Compare Logic Not
        Assertion Anything Param identity match mean floor ceil min max round C block path repeat
        residual basic bottleneck stage fire inception dense_block transition fractal preact wide resnext mlpconv
        1-input 2-input 1-axis 2-axis 3-axis 4-axis E0301 E0302 E0303 E0304 E0305 E0306 E0307
        {" ".join(op.name for op in OPS)}
    """.split()
    assert [name for name in wanted if not seen[name]] == []


@share(300)
@given(programs(), st.data())
def test_a_fault_is_reported_where_it_is(program: Program, data: st.DataObject) -> None:
    """One element of a good network is replaced by one that does not fit, and the blame falls on it (or its join)."""
    assume(program.sites)
    site = data.draw(st.sampled_from(program.sites))
    text, start, end = program.broken(site)
    with pytest.raises(SpecError) as caught:
        netdsl.loads(text)
    found = [d for d in caught.value.diagnostics if overlap(d.label.span, text, start, end)]
    assert found, caught.value
    assert not site.fault.code or site.fault.code in {d.code for d in found}, caught.value
    for diagnostic in found:
        line, _ = diagnostic.label.span.source.line_column(diagnostic.label.span.start)
        shown = str(caught.value)
        assert diagnostic.place in shown and any(row.lstrip().startswith(f"{line} | ") for row in shown.splitlines())


@share(300)
@given(programs(), st.data())
def test_a_fault_is_reported_once(program: Program, data: st.DataObject) -> None:
    """What depends on a failed element stays silent: every error points to the element, or to a call of its block."""
    assume(program.sites)
    text, start, end = program.broken(data.draw(st.sampled_from(program.sites)))
    with pytest.raises(SpecError) as caught:
        netdsl.loads(text)
    for diagnostic in (d for d in caught.value.diagnostics if d.severity == "error"):
        spans = (diagnostic.label.span, *diagnostic.trail)
        assert any(overlap(span, text, start, end) for span in spans), caught.value


def overlap(span: Span, text: str, start: int, end: int) -> bool:
    return span.source.text == text and span.start < end and span.end > start


@share(1000)
@given(st.one_of(mangled(), soups()))
def test_every_text_is_accepted_or_explained(text: str) -> None:
    """Nothing crashes, and what is said of a text has a known code, a place inside it, and can be drawn."""
    diagnostics: tuple[Diagnostic, ...] = ()
    try:
        net = netdsl.loads(text)
        verify(net.graph)
        diagnostics = net.warnings
        event("accepted")
    except SpecError as error:
        diagnostics = error.diagnostics
        assert any(diagnostic.severity == "error" for diagnostic in diagnostics)
    except UsageError:
        event("asks for what the text does not have")
    for diagnostic in diagnostics:
        event(diagnostic.code)
        assert diagnostic.code in CODES and diagnostic.message
        assert render(diagnostic) and render(diagnostic, colour=True)
        for label in (diagnostic.label, *diagnostic.others):
            span = label.span
            assert 0 <= span.start <= span.end <= max(1, len(span.source.text)), (diagnostic.code, span.start, span.end)
            assert span.source.text == text or not span.source.own


# --- open sizes -------------------------------------------------------------------------------------------------------

SYMBOLS = st.sampled_from(("own", "one"))


def opened(program: Program, names: str) -> tuple[str, tuple[str, ...]]:
    """The text with names in place of heights and widths: `own` has one for each axis, `one` has the same for all."""
    axes = len(program.inputs[0]) - 1
    symbols = ("n",) * axes if names == "one" else ("D", "H", "W")[3 - axes :]
    return program.with_inputs(*(" x ".join((str(shape[0]), *symbols)) for shape in program.inputs)), symbols


def accepted(text: str, **options: Any) -> Net | None:
    try:
        return netdsl.loads(text, **options)
    except SpecError:
        return None


def why_not(text: str) -> str:
    try:
        netdsl.loads(text)
    except SpecError as error:
        return str(error)
    return ""


def prover(net: Net) -> Prover:
    return net._checked.elaborated.prove


def sizes_for(
    program: Program, symbols: tuple[str, ...], data: st.DataObject
) -> tuple[dict[str, int], tuple[Shape, ...]]:
    """A size for each symbol, and what the inputs then are."""
    values = {name: data.draw(st.integers(1, 30), label=name) for name in dict.fromkeys(symbols)}
    return values, tuple((shape[0], *(values[name] for name in symbols)) for shape in program.inputs)


@share(200)
@given(symbolic_programs(), SYMBOLS, st.data())
def test_a_size_is_admitted_just_when_its_network_is_accepted(
    program: Program, names: str, data: st.DataObject
) -> None:
    """The constraints on open sizes are exact: they say of each size what checking the network at that size says.

    Where it is accepted, the formulas give its shapes, and it is the same network for all sizes: those for which a
    `match` would be an identity are ruled out, although their networks are accepted.
    """
    text, symbols = opened(program, names)
    net = accepted(text)
    assume(net is not None)
    assert net is not None
    verify(net.graph)
    for _ in range(4):
        values, inputs = sizes_for(program, symbols, data)
        admitted = all(prover(net).domains[name].admits(n) for name, n in values.items())
        concrete = accepted(program.with_inputs(*(" x ".join(map(str, shape)) for shape in inputs)))
        given_sizes = accepted(text, input=dict(zip(net.inputs, inputs)))
        identity = any("identity" in constraint.reason for constraint in prover(net).admits(values))
        assert (given_sizes is not None) == (concrete is not None and not identity), values
        if not identity:
            assert admitted == (concrete is not None), (values, net.constraints)
        if admitted and concrete is not None:
            assert concrete.params == net.params
        if concrete is not None and given_sizes is not None:
            for shape, one, two in zip(shapes(net.outputs), shapes(concrete.outputs), shapes(given_sizes.outputs)):
                assert tuple(evaluate(size, values) for size in shape) == one == two, (values, net.outputs)
        event("admitted" if admitted else "refused")


@share(150)
@given(symbolic_programs(), SYMBOLS)
def test_no_network_that_works_is_called_impossible(program: Program, names: str) -> None:
    """Each drawn network works at some size. So it may hold for that one only, or be undecided, never "for no size"."""
    assume(names == "own" or len(set(program.inputs[0][1:])) == 1)
    said = why_not(opened(program, names)[0])
    assert "no size" not in said and "E0309" not in said, said


@share(150)
@given(symbolic_programs(), SYMBOLS)
def test_a_formula_that_is_shown_can_be_asserted(program: Program, names: str) -> None:
    """What the checker prints as a shape, it reads and proves."""
    text, _ = opened(program, names)
    net = accepted(text)
    assume(net is not None and not text.rstrip().endswith("with"))
    assert net is not None
    out = net.graph.type_of(net.graph.outputs[0].value).plain()
    assume(len(net.graph.outputs) == 1 and "output " not in text and "block " not in text)
    again = netdsl.loads(f"{text}\nidentity : {out}\n")
    assert again.graph.type_of(again.graph.outputs[0].value).plain() == out


# --- meaning that is kept ---------------------------------------------------------------------------------------------


@share(250)
@given(programs())
def test_inlining_keeps_every_layer(program: Program) -> None:
    """The flat graph has primitives only, and they are those of the unrolled network, in order."""
    graph = netdsl.loads(program.text).graph
    flat = inline(graph)
    verify(flat)
    assert all(isinstance(node.op, Op) for node in flat.nodes)
    assert unrolled(flat) == unrolled(graph)
    assert [(layer.name, layer.frozen) for layer in layers(flat)] == [
        (layer.name, layer.frozen) for layer in layers(graph)
    ]


@share(250)
@given(programs(), st.sampled_from(("({})", "(({}))", "(  # why not\n{}\n)")), st.data())
def test_parentheses_around_an_element_change_nothing(program: Program, form: str, data: st.DataObject) -> None:
    assume(program.elements)
    element: Code = data.draw(st.sampled_from(program.elements))
    assert graph_of(lay(program.code, {element: form})[0]) == graph_of(program.text)


LAYOUTS = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "comments": lambda text: text.replace("\n", "  # -> | (\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n  # alone\n\t\n"),
    "indentation": lambda text: "  " + text.replace("\n", "\n\t "),
    "byte order mark": lambda text: "\ufeff" + text,
    "no last line end": lambda text: text.rstrip("\n"),
}


@share(100)
@given(programs())
def test_layout_changes_nothing(program: Program) -> None:
    """Line ends, comments, blank lines and indentation have no meaning."""
    graph = graph_of(program.text)
    for name, change in LAYOUTS.items():
        assert graph_of(change(program.text)) == graph, name


@share(150)
@given(programs(), st.integers(2, 4))
def test_a_repeat_is_that_many_copies(program: Program, n: int) -> None:
    """`f * n` is `f -> f -> …`, is n lines, is a `for` without its number: the same layers, shapes and costs."""
    ways = {
        "chain": lambda f: " -> ".join([f"({f})"] * n),
        "lines": lambda f: "(" + "\n".join([f"({f})"] * n) + ")",
        "repeat": lambda f: f"({f}) * {n}",
        "for": lambda f: f"(for step in 1..{n} do ({f}))",
        "product": lambda f: f"(({f}) * {n}) * 1",
    }
    elements = [element for element in program.elements if "\n" not in str(element)]
    assume(elements)
    element = elements[0]
    found = {}
    for name, write in ways.items():
        net = accepted(lay(program.code, {element: f"({write(str(element))})"})[0])
        found[name] = net and (unrolled(net.graph), net.params, net.macs, net.outputs)
    event("accepted" if found["chain"] else "a copy does not fit")
    assert all(what == found["chain"] for what in found.values())


# --- PyTorch ----------------------------------------------------------------------------------------------------------


@share(250)
@given(programs(), st.booleans())
def test_shapes_are_those_of_torch(program: Program, training: bool) -> None:
    """PyTorch, asked without computing anything, returns the inferred shapes."""
    torch = pytest.importorskip("torch")
    net = netdsl.loads(program.text)
    with torch.device("meta"):
        module = net.compile()
    assert outputs_of(module, net, 2, training, device="meta") == expected(net, 2, training)


@share(250)
@given(programs())
def test_parameters_are_those_of_torch(program: Program) -> None:
    """Layer by layer and in total; frozen ones take no gradient."""
    torch = pytest.importorskip("torch")
    net = netdsl.loads(program.text)
    with torch.device("meta"):
        module = net.compile()
    every = list(layers(net.graph, training=True))
    assert sum(p.numel() for p in module.parameters()) == net.params == sum(layer.params for layer in every)
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    assert frozen == net.params - net.trainable_params == sum(layer.params for layer in every if layer.frozen)
    named = {
        f"{layer.name}.{weight.name}": weight.shape for layer in every for weight in layer.op.weights(layer.input_types)
    }
    assert {name: tuple(value.shape) for name, value in module.state_dict().items()} == named


@share(200)
@given(programs())
def test_an_accepted_network_runs(program: Program) -> None:
    """In training and in evaluation, for odd batches too. (A batch norm cannot be trained on one value.)"""
    pytest.importorskip("torch")
    net = netdsl.loads(program.text)
    module = net.compile()
    for batch, training in ((3, True), (2, True), (1, False), (5, False)):
        assert outputs_of(module, net, batch, training) == expected(net, batch, training)


@share(150)
@given(symbolic_programs(), SYMBOLS, st.data())
def test_a_network_with_open_sizes_runs_at_each_admitted_size(
    program: Program, names: str, data: st.DataObject
) -> None:
    """One module for all sizes, whose outputs have the shapes that the formulas give."""
    pytest.importorskip("torch")
    text, symbols = opened(program, names)
    net = accepted(text)
    assume(net is not None)
    assert net is not None
    module = net.compile()
    for _ in range(4):
        values, inputs = sizes_for(program, symbols, data)
        if all(prover(net).domains[name].admits(n) for name, n in values.items()):
            wanted = [(2, *(evaluate(size, values) for size in shape)) for shape in shapes(net.outputs)]
            assert outputs_of(module, net, 2, False, inputs) == wanted


@share(150)
@given(programs())
def test_a_module_computes_what_its_graph_says(program: Program) -> None:
    """Op by op from the formulas, in evaluation and in training, running statistics included."""
    pytest.importorskip("torch")
    from test_torch_backend import assert_means_its_graph

    net = netdsl.loads(program.text)
    assert_means_its_graph(net, net.compile())
