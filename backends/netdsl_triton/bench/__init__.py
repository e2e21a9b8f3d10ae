"""How fast is it?  Backends side by side, in one run, in turns, each compared with a reference before it is timed.

`command.py` is `netdsl bench`; `benchmarks/gpu_inference.py` runs whole tables with the same parts.
"""
