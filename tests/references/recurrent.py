"""Recurrent networks, step by step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RowReader(nn.Module):
    """Reads the rows of an image, and classifies by the state after the last: of Elman's network, or an LSTM."""

    def __init__(self, gates: int, hidden: int = 64, columns: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.gates = gates
        self.weight_ih_l0 = nn.Parameter(torch.empty(gates * hidden, columns))
        self.weight_hh_l0 = nn.Parameter(torch.empty(gates * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(gates * hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(gates * hidden))
        self.classes = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.weight_hh_l0.shape[1])
        for row in x[:, 0].unbind(1):
            a = row @ self.weight_ih_l0.T + self.bias_ih_l0 + h @ self.weight_hh_l0.T + self.bias_hh_l0
            if self.gates == 1:
                h = torch.tanh(a)
                continue
            i, f, g, o = a.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        logits: Tensor = self.classes(h)
        return logits
