"""Ops on sequences, C features x W steps: recurrent layers, attention, embeddings, positions.

A layer that works on each step alone is a convolution with a window of one: `CONV n k=1`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from netdsl.ops.base import Argument, Op, Weight, divisible_by, known_channels, need_share
from netdsl.ops.kept import NOTHING, Kept, More
from netdsl.ops.sight import Sight, Taps, all_of, each_place
from netdsl.ops.strides import Strides, features_last, in_order
from netdsl.ops.worked import factor, product
from netdsl.prove import Prover, ShapeFault, known
from netdsl.size import Size
from netdsl.types import TensorType

BIAS = Argument("bias", "word", default="bias", words=("bias", "nobias"), doc="whether there are biases")


def need_sequence(op: str, x: TensorType) -> None:
    """Steps are the W of a C x W."""
    if x.rank == 2:
        return
    helps: tuple[str, ...]
    if x.rank == 1:
        helps = (f"`RESHAPE 1 x {x.channels}` makes a sequence of one feature of it",)
    else:
        rows = "" if x.rank == 4 or not all(isinstance(size, int) for size in x.shape) else _rows(x)
        helps = ("`FLATTEN spatial` before it: every position becomes a step", *filter(None, [rows]))
    raise ShapeFault("E0307", f"{op} needs a sequence C x W, its input is {x}", f"input is {x}", helps=helps)


def _rows(x: TensorType) -> str:
    channels, height, width = x.shape
    if channels == 1:
        return f"or `RESHAPE {height} x {width} -> TRANSPOSE`: every row becomes a step"
    return f"or `TRANSPOSE 0x2x1 -> RESHAPE {channels * width} x {height}`: every row becomes a step"


def share(op: str, given: dict[str, Any]) -> float:
    """What `dropout` says."""
    return need_share(f"dropout of {op}", given["dropout"], ("`dropout=0.1` drops a tenth",))


class Recurrent(Op):
    """Layers whose state goes along W. `gates` weight matrices for the input, and as many for the state."""

    learns: ClassVar[bool] = True
    gates: ClassVar[int]
    kept: ClassVar[int]
    """Values that training keeps for each feature of the state and each step."""
    kept_once: ClassVar[int] = 0
    """Values that it keeps for each feature of the state beside them."""
    kept_on_cpu: ClassVar[int] = 0
    """Values that a CPU keeps for each feature of the state and each step beyond those."""
    example: ClassVar[str] = "64"
    example_input: ClassVar[str] = "16 x 32"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("hidden", "positional", scales=True, doc="the size n of the state"),
        Argument("layers", "keyword", "count", 1, doc="so many on top of one another"),
        Argument(
            "direction",
            "word",
            default="forward",
            words=("forward", "bidirectional"),
            doc="`bidirectional` adds a second state that goes from the end to the start: 2n features",
        ),
        Argument(
            "gives",
            "word",
            default="sequence",
            words=("sequence", "last"),
            doc="`sequence`: the state after every step, n x W; `last`: after the last step alone, a vector",
        ),
        Argument("dropout", "keyword", "number", 0, doc="the share that is dropped between layers in training"),
        BIAS,
    )

    hidden: int
    layers: int = 1
    bidirectional: bool = False
    last: bool = False
    dropout: float = 0.0
    bias: bool = True

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        op = cls.spellings[0]
        need_sequence(op, x)
        if given["dropout"] and given["layers"] == 1:
            raise ShapeFault(
                "E0202",
                f"dropout of {op} is between layers, and there is one",
                helps=(
                    f"`layers=2`, or an element of its own: `{op} {given['hidden']} -> DROPOUT {given['dropout']:g}`",
                ),
            )
        return cls(
            given["hidden"],
            given["layers"],
            given["direction"] == "bidirectional",
            given["gives"] == "last",
            share(op, given),
            given["bias"],
            **cls.more(given),
        )

    @classmethod
    def more(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The attributes that one kind alone has."""
        return {}

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        known_channels(self.spellings[0], x)
        features = self.directions * self.hidden
        return TensorType((features,) if self.last else (features, *x.spatial))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        rows, features = self.gates * self.hidden, known_channels(self.spellings[0], inputs[0])
        found = []
        for layer in range(self.layers):
            for reverse in ("", "_reverse")[: self.directions]:
                end = f"_l{layer}{reverse}"
                found.append(Weight(f"weight_ih{end}", (rows, features)))
                found.append(Weight(f"weight_hh{end}", (rows, self.hidden)))
                if self.bias:
                    found += [Weight(f"bias_ih{end}", (rows,)), Weight(f"bias_hh{end}", (rows,))]
            features = self.directions * self.hidden
        return tuple(found)

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        """All matrix products, at every step. The products of gates, element by element, are not counted."""
        each = sum(math.prod(weight.shape) for weight in self.weights(inputs) if len(weight.shape) == 2)
        return inputs[0].spatial[0] * each

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        return [("C", f"{self.directions}*{self.hidden} = {output.channels}")] if self.bidirectional else []

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        return self.products(inputs, " + 2" if self.bias else "")

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        return f"{factor(inputs[0].spatial[0])}*({self.products(inputs, '')})"

    def products(self, inputs: tuple[TensorType, ...], biases: str) -> str:
        """The numbers in W_ih, W_hh and the biases of the first layer, then those of the layers on top of it."""
        rows, features = product((self.gates, self.hidden)), known_channels(self.spellings[0], inputs[0])
        first = f"{self.directions}*" if self.bidirectional else ""
        text = f"{first}{rows}*({features} + {self.hidden}{biases})"
        if self.layers > 1:
            above = "".join(f"{n}*" for n in (self.layers - 1, self.directions) if n > 1)
            text += f" + {above}{rows}*({self.directions * self.hidden} + {self.hidden}{biases})"
        return text

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        n, matrices = self.hidden, "one matrix" if self.gates == 1 else f"{self.gates} matrices"
        found = [f"{matrices} for x_t, {n} x {inputs[0].channels}, and for h_(t-1), {n} x {n}"]
        if self.bias:
            found.append("+ 2: b_ih and b_hh, as PyTorch and cuDNN have them")
        return (*found, f"the same weights at each of the {inputs[0].spatial[0]} steps")

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (all_of(inputs[0]),)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return in_order(output) if self.last else features_last(output)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        """The input of each layer, what its gates and states were at each step, and the masks of dropout."""
        steps, features = inputs[0].spatial[0], known_channels(self.spellings[0], inputs[0])
        above = (self.layers - 1) * self.directions * self.hidden
        each = self.layers * self.directions * self.hidden
        masks = (More(steps * above, "mask"),) if self.dropout else ()
        states = More(each * (steps * self.kept + self.kept_once))
        more = More(each * steps * self.kept_on_cpu, "cpu")
        return Kept(more=(More(steps * (self.reads * features + above)), states, more, *masks))

    @property
    def reads(self) -> int:
        """How often the input is copied: for each direction."""
        return self.directions

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """Step by step on a CPU: the products of all inputs without and with biases; or the states, and their stack."""
        each = inputs[0].spatial[0] * self.hidden
        if self.bidirectional:
            most = 2 * self.gates + 5
        else:
            most = max(2 * self.gates, self.gates + 2 + (self.layers > 1))
        start = (self.layers * self.directions + (self.layers > 1)) * self.hidden
        return (More(most * each - output.elements + start, "cpu"),)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The gradient of one matrix for each step, and their sum, twice, before other weights have theirs."""
        return (More(3 * self.gates * self.hidden**2 - self.params(inputs), "cpu", batch=False),)

    def describe(self) -> str:
        words = [f"x{self.layers}"] if self.layers > 1 else []
        words += ["bidirectional"] if self.bidirectional else []
        return " ".join([*words, *(["last"] if self.last else [])])


class RNN(Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), from h_0 = 0 (Elman 1990)."""

    name: ClassVar[str] = "rnn"
    spellings: ClassVar[tuple[str, ...]] = ("RNN",)
    gates: ClassVar[int] = 1
    kept: ClassVar[int] = 1
    kept_once: ClassVar[int] = 1
    arguments: ClassVar[tuple[Argument, ...]] = (
        *Recurrent.arguments,
        Argument("activation", "word", default="tanh", words=("tanh", "relu"), doc="of the state"),
    )

    activation: str = "tanh"

    @classmethod
    def more(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"activation": given["activation"]}


class GRU(Recurrent):
    """h_t = (1 - z)·n + z·h_(t-1), n = tanh(W_in x_t + b_in + r·(W_hn h_(t-1) + b_hn)), from h_0 = 0.

    r and z are σ(W_i x_t + b_i + W_h h_(t-1) + b_h) with weights of their own (Cho et al. 2014). As in PyTorch and
    cuDNN, r multiplies after W_hn; in the paper's equation 8 it does before.
    """

    name: ClassVar[str] = "gru"
    spellings: ClassVar[tuple[str, ...]] = ("GRU",)
    gates: ClassVar[int] = 3
    kept: ClassVar[int] = 7


class LSTM(Recurrent):
    """c_t = f·c_(t-1) + i·g and h_t = o·tanh(c_t), from h_0 = c_0 = 0.

    i, f, o are σ(W_i x_t + b_i + W_h h_(t-1) + b_h) with weights of their own, g the same with tanh for σ (Hochreiter &
    Schmidhuber 1997; f: Gers et al. 2000).
    """

    name: ClassVar[str] = "lstm"
    spellings: ClassVar[tuple[str, ...]] = ("LSTM",)
    gates: ClassVar[int] = 4
    kept: ClassVar[int] = 7
    kept_once: ClassVar[int] = 4
    kept_on_cpu: ClassVar[int] = 10

    @property
    def reads(self) -> int:
        return 1

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """On a CPU, where oneDNN does it: the input once more, what each layer starts from, and its states."""
        each = inputs[0].spatial[0] * self.hidden * self.directions
        layers = 1 + (self.layers > 1) + self.bidirectional
        starts = 4 * self.layers * self.directions * self.hidden
        return (More(inputs[0].elements + starts + layers * each - output.elements, "cpu"),)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """Each layer by itself: the gradients of those below come later."""
        features = known_channels("LSTM", inputs[0]) if self.layers == 1 else self.directions * self.hidden
        last = self.gates * self.hidden * (features + self.hidden + 2 * self.bias)
        return (More(last - self.params(inputs), "cpu", batch=False),)


class Attention(Op):
    """Y = W_o [softmax(Q_h^T K_h / √d) V_h for each head h], with Q, K and V linear in X, d = C/heads.

    Multi-head self-attention among the W steps of C x W (Vaswani et al. 2017, §3.2.2).
    """

    name: ClassVar[str] = "attention"
    spellings: ClassVar[tuple[str, ...]] = ("ATTENTION", "SELF_ATTENTION")
    learns: ClassVar[bool] = True
    example: ClassVar[str] = "8"
    example_input: ClassVar[str] = "16 x 32"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("heads", "positional", doc="the number of heads, which divides the channels"),
        Argument(
            "sight",
            "word",
            default="full",
            words=("full", "causal"),
            doc="`causal`: a step sees itself and those before",
        ),
        Argument("dropout", "keyword", "number", 0, doc="the share of the attention that is dropped in training"),
        BIAS,
    )

    heads: int
    causal: bool = False
    dropout: float = 0.0
    bias: bool = True

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_sequence("ATTENTION", x)
        return cls(given["heads"], given["sight"] == "causal", share("ATTENTION", given), given["bias"])

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        channels = known_channels("ATTENTION", x)
        if channels % self.heads:
            raise ShapeFault(
                "E0306",
                f"{channels} channels do not make {self.heads} heads",
                f"input is {x}",
                helps=divisible_by(channels, self.heads),
            )
        return x

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        channels = known_channels("ATTENTION", inputs[0])
        biases = [Weight("in_proj_bias", (3 * channels,)), Weight("out_proj.bias", (channels,))][: 2 * self.bias]
        return (
            Weight("in_proj_weight", (3 * channels, channels)),
            *biases[:1],
            Weight("out_proj.weight", (channels, channels)),
            *biases[1:],
        )

    def macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> Size:
        """The four projections, and the products Q^T K and with V; all of them, also where the attention is causal."""
        channels, steps = known_channels("ATTENTION", inputs[0]), inputs[0].spatial[0]
        return steps * (4 * channels * channels) + steps * steps * (2 * channels)

    def worked_params(self, inputs: tuple[TensorType, ...]) -> str:
        channels = known_channels("ATTENTION", inputs[0])
        return f"4*{channels}*({channels} + 1)" if self.bias else f"4*{channels}*{channels}"

    def worked_macs(self, inputs: tuple[TensorType, ...], output: TensorType) -> str:
        channels, steps = known_channels("ATTENTION", inputs[0]), factor(inputs[0].spatial[0])
        return f"{steps}*(4*{channels}*{channels}) + 2*({steps}*{steps}*{channels})"

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        channels = known_channels("ATTENTION", inputs[0])
        steps = inputs[0].spatial[0]
        return (
            f"d = {channels}/{self.heads} = {channels // self.heads} for each head",
            "4: the projections to Q, K and V, and that of the result",
            f"2: the products Q^T K and with V, each {steps} x {steps} steps",
        )

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (all_of(inputs[0]),)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return features_last(output)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        """The input once more, step by step; Q, K and V; a sum for each step and head; what the heads give."""
        (x,) = inputs
        steps = x.spatial[0]
        sums = More(steps * self.heads, "statistic")
        if self.dropout:  # which a CPU does on all products
            sums = More(3 * steps * steps * self.heads + 2 * x.elements, "cpu")
        return Kept(more=(More(x.elements), More(3 * x.elements), sums, More(x.elements)))

    def works(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """The input once more, Q, K and V, and what the heads give."""
        steps = inputs[0].spatial[0]
        masks = (More(steps * steps, "flag", batch=False), More(steps * steps, batch=False)) if self.causal else ()
        return (More(5 * output.elements), *masks)

    def works_back(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[More, ...]:
        """Gradients of Q, K and V, each in a tensor for all three, before their weights have theirs."""
        later = sum(weight.size for weight in self.weights(inputs) if weight.name.startswith("in_proj"))
        sums = More(0 if self.dropout else -inputs[0].spatial[0] * self.heads, "statistic")
        return (More(4 * output.elements), sums, More(-later, batch=False))

    def describe(self) -> str:
        return f"{self.heads} heads" + (" causal" if self.causal else "")


class Embedding(Op):
    """Y[:, t] = E[x_t]: for each of W whole numbers its row of a table, vocabulary x dim."""

    name: ClassVar[str] = "embedding"
    spellings: ClassVar[tuple[str, ...]] = ("EMBED", "EMBEDDING")
    learns: ClassVar[bool] = True
    example: ClassVar[str] = "1000 64"
    example_input: ClassVar[str] = "32"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "vocabulary", "positional", scales=True, doc="how many words there are; the numbers are from 0 up to it"
        ),
        Argument("dim", "positional", scales=True, doc="the features of each"),
    )

    vocabulary: int
    dim: int

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        if x.rank != 1:
            steps = x.shape[-1]
            raise ShapeFault(
                "E0307",
                f"EMBED takes a vector of whole numbers, its input is {x}",
                f"input is {x}",
                helps=(f"declare the numbers of a text as `input {steps}`", "several channels: `FLATTEN` before it"),
            )
        return TensorType((self.dim, x.channels))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        return (Weight("weight", (self.vocabulary, self.dim)),)

    def remarks(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[str, ...]:
        return (f"a row of {self.dim} numbers for each of {self.vocabulary} words",)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Taps(1),),)

    def strided(self, strides: Strides, x: TensorType, output: TensorType) -> Strides | None:
        return features_last(output)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return Kept(more=(More(inputs[0].elements, "index"),))

    def describe(self) -> str:
        return f"of {self.vocabulary}"


class Tokens(Op):
    """n learned steps, then those of X: C x W → C x (n + W).

    The class token of BERT (Devlin et al. 2019, §3) and ViT (Dosovitskiy et al. 2021, eq. 1).
    """

    name: ClassVar[str] = "tokens"
    spellings: ClassVar[tuple[str, ...]] = ("TOKENS",)
    linear: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    example_input: ClassVar[str] = "16 x 32"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument("n", "positional", "count", 1, doc="how many, one by default"),
    )

    n: int = 1

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        need_sequence("TOKENS", x)
        return cls(given["n"])

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        return True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        (x,) = inputs
        return TensorType((known_channels("TOKENS", x), x.spatial[0] + self.n))

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        return (Weight("weight", (known_channels("TOKENS", inputs[0]), self.n)),)

    def worked_axes(self, inputs: tuple[TensorType, ...], output: TensorType) -> Iterable[tuple[str, str]]:
        return [("W", f"{self.n} + {inputs[0].spatial[0]} = {output.spatial[0]}")]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return ((Taps(0), Taps(1, -self.n, -self.n)),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING

    def describe(self) -> str:
        return f"+{self.n}"


class Positions(Op):
    """Y = X + P, with P learned, of the shape of X (Gehring et al. 2017, §3.1)."""

    name: ClassVar[str] = "positions"
    spellings: ClassVar[tuple[str, ...]] = ("POSITIONS",)
    linear: ClassVar[bool] = True
    learns: ClassVar[bool] = True
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            "kind",
            "word",
            default="learned",
            words=("learned", "sinusoidal"),
            doc="`sinusoidal`: fixed waves of Vaswani et al. 2017, §3.5, for sequences of any length",
        ),
    )

    @classmethod
    def build(cls, given: dict[str, Any], x: TensorType) -> Op:
        if given["kind"] == "sinusoidal":
            need_sequence("POSITIONS sinusoidal", x)
            return SinusoidalPositions()
        if x.rank == 1:
            message = f"POSITIONS needs axes beside the channels, its input is {x}"
            helps = (f"`RESHAPE 1 x {x.channels}` makes a sequence of one feature of it",)
            raise ShapeFault("E0307", message, f"input is {x}", helps=helps)
        return cls()

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        return True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        self.sizes(inputs[0])
        return inputs[0]

    def sizes(self, x: TensorType) -> tuple[int, ...]:
        helps = ["give the input concrete sizes"]
        if x.rank == 2:
            helps.append("`POSITIONS sinusoidal` fits any length")
        fault = ShapeFault(
            "E0308", f"POSITIONS needs known sizes, its input is {x}", f"input is {x}", helps=tuple(helps)
        )
        return tuple(known(size, lambda: fault) for size in x.shape)

    def weights(self, inputs: tuple[TensorType, ...]) -> tuple[Weight, ...]:
        return (Weight("weight", self.sizes(inputs[0])),)

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (each_place(output),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING


class SinusoidalPositions(Op):
    """Y[2i, t] = X[2i, t] + sin(t / 10000^(2i/C)), and cos in the odd channels (Vaswani et al. 2017, §3.5)."""

    name: ClassVar[str] = "sinusoidal_positions"
    linear: ClassVar[bool] = True

    def hands_on(self, output: TensorType, input: TensorType) -> bool:
        return True

    def infer(self, inputs: tuple[TensorType, ...], prove: Prover) -> TensorType:
        known_channels("POSITIONS", inputs[0])
        return inputs[0]

    def sees(self, inputs: tuple[TensorType, ...], output: TensorType) -> tuple[Sight, ...]:
        return (each_place(output),)

    def keeps(self, inputs: tuple[TensorType, ...], output: TensorType) -> Kept:
        return NOTHING
