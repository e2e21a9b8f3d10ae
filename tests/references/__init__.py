"""Networks of the literature as plain PyTorch, written by hand from the papers: what the shipped specs are compared with."""
