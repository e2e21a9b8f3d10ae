"""Which type of PyTorch does a name stand for, and the other way round?"""

from __future__ import annotations

import torch

STORED = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int64": torch.int64}
"""Types of values in memory."""
NAMES = {dtype: name for name, dtype in STORED.items()}
DTYPES = {**STORED, "tf32": torch.float32}
"""Types to compute in, too: tf32 is fp32 in memory."""
