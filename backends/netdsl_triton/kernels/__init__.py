"""The ways to do a task: Triton kernels, and those of libraries."""
