"""How is each op written in PyTorch?  One rule for each op of the core, in files as those of `netdsl/ops`.

| file             | what                                                     |
|------------------|----------------------------------------------------------|
| `base.py`        | the rule itself, and what rules are made with            |
| `helpers.py`     | the classes of `library.py` that a file brings along     |
| others           | `RULES` of the ops in the file of that name              |
"""

from __future__ import annotations

from netdsl.ops import OPS, Op
from netdsl_torch.rules import (
    activation,
    convolution,
    geometry,
    join,
    linear,
    normalisation,
    pooling,
    regularisation,
    resize,
    scaling,
    sequence,
)
from netdsl_torch.rules.base import Rule
from netdsl_torch.rules.helpers import HELPERS, brought_along

FAMILIES = (
    convolution,
    pooling,
    linear,
    geometry,
    sequence,
    normalisation,
    activation,
    scaling,
    regularisation,
    resize,
    join,
)
RULES: dict[str, Rule] = {name: rule for family in FAMILIES for name, rule in family.RULES.items()}

missing = {op.name for op in OPS} - set(RULES)
assert not missing, f"ops without a rule in netdsl_torch: {sorted(missing)}"


def rule_of(op: Op) -> Rule:
    return RULES[op.name]


__all__ = ["HELPERS", "RULES", "Rule", "brought_along", "rule_of"]
