"""Recurrent layers, attention, embeddings, positions."""

from __future__ import annotations

from typing import Any

from netdsl_torch.code import Code, Hole, hole, joined, rate
from netdsl_torch.rules.base import Rule, Types


def recurrent(op: Any, inputs: Types) -> Code:
    code: list[str | Hole] = [f"Sequence{op.spellings[0]}("]
    code += joined([(hole(inputs[0].channels, "input_size"),), (hole(op.hidden, "hidden_size"),)])
    code.append(hole(op.layers, "num_layers", ", num_layers=", 1))
    code.append(', nonlinearity="relu"' if getattr(op, "activation", "tanh") == "relu" else "")
    code.append("" if op.bias else ", bias=False")
    code.append(rate(op.dropout, "dropout", ", dropout=", 0.0))
    code.append(", bidirectional=True" if op.bidirectional else "")
    code.append(", last=True)" if op.last else ")")
    return tuple(code)


def attention(op: Any, inputs: Types) -> Code:
    return (
        "SelfAttention(",
        *joined([(hole(inputs[0].channels, "embed_dim"),), (hole(op.heads, "num_heads"),)]),
        rate(op.dropout, "dropout", ", dropout=", 0.0),
        "" if op.bias else ", bias=False",
        ", causal=True)" if op.causal else ")",
    )


def embedding(op: Any, inputs: Types) -> Code:
    return ("Embed(", hole(op.vocabulary, "num_embeddings"), ", ", hole(op.dim, "embedding_dim"), ")")


def tokens(op: Any, inputs: Types) -> Code:
    return ("Tokens(", hole(inputs[0].channels, "channels"), ", ", hole(op.n, "n"), ")")


def positions(op: Any, inputs: Types) -> Code:
    return ("Positions(", *joined([(hole(size, "size"),) for size in inputs[0].shape]), ")")


RULES = {
    "rnn": Rule(recurrent),
    "gru": Rule(recurrent),
    "lstm": Rule(recurrent),
    "attention": Rule(attention, starts_itself=("nn.Linear",)),
    "embedding": Rule(embedding),
    "tokens": Rule(tokens),
    "positions": Rule(positions),
    "sinusoidal_positions": Rule(lambda op, inputs: ("SinusoidalPositions()",)),
}
