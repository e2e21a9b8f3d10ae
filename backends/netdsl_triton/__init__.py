"""The Triton backend: checked network → fused graph → kernels, for inference."""
