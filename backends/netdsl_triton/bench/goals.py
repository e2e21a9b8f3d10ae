"""On which networks is inference measured, and how fast is it to be?"""

from __future__ import annotations

GOALS = {
    "resnet50": 1.25,
    "densenet121": 1.6,
    "googlenet": 1.25,
    "squeezenet1_1": 1.4,
    "vgg16": 1.08,
    "inception_v3": 1.15,
    "resnext50_32x4d": 1.25,
    "resnet18": 1.25,
    "wrn_28_10": 1.6,
    "preact_resnet164": 1.6,
    "inception_v4": 1.15,
    "alexnet": 1.08,
    "wide_resnet50_2": 1.15,
    "googlenet_bn": 1.25,
    "resnet152": 1.25,
}
"""The networks, one of each family first; on a GPU at batch 32 and 256, the time of the best of eager PyTorch (channels
last, CUDA graph) and torch.compile over ours."""
ALONE = 1.5
"""At batch 1, of eager PyTorch in a CUDA graph."""
NETWORKS = tuple(GOALS)


def goal(network: str, batch: int) -> float:
    """Of other networks it is asked that they are no slower."""
    return ALONE if batch == 1 else GOALS.get(network, 1.0)
