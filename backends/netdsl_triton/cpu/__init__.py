"""Inference on a CPU: the same fused graph, by oneDNN's convolutions with what follows them, folded and channels last.

| file           | the question it answers                                                              |
|----------------|--------------------------------------------------------------------------------------|
| `program.py`   | how is the network run: steps, bound once; what happens with new weights              |
| `clamp.py`     | which pre-activations are one pass: relu(s·x + t) as a clamp, s and t in the weights   |
| `plan.py`      | how many samples go through at a time, and which values are slices of a concatenation  |
| `bind.py`      | what runs one element: for each op a rule                                             |
| `convolution.py`, `pool.py`, `steps.py`, `normalisation.py` | those rules                           |
"""

from netdsl_triton.cpu.program import CpuProgram

__all__ = ["CpuProgram"]
