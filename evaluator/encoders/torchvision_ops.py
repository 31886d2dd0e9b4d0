"""Lets a CPU build of torch import a torchvision wheel built for CUDA. Importing this module does it; import it first.

Beside such a wheel torchvision's own import fails with "operator torchvision::nms does not exist", because it
registers fake kernels for operators that did not load. Declaring them is enough: encoders never call them.
"""

from importlib.util import find_spec
from pathlib import Path

import torch

OPERATORS = ("nms", "qnms")
SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _compiled_operators_load() -> bool:
    spec = find_spec("torchvision")  # finds the package without importing it
    if spec is None or spec.origin is None:
        return True  # no torchvision at all: nothing to declare for
    try:
        for library in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(library)
            return True
    except OSError:
        return False
    return False


def _declare() -> torch.library.Library:
    library = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS:
        library.define(name + SCHEMA)
    return library


# Kept for the life of the process: the declarations vanish with the Library object.
DECLARED = None if _compiled_operators_load() else _declare()
