"""Imports torchvision even where its compiled operators do not fit the installed torch."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import torch

_HELD: list[torch.library.Library] = []  # a library that nobody holds takes its operators with it


def import_torchvision() -> ModuleType:
    """Return torchvision; data sets and transforms work without the operators that it misses."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    # A CUDA build of torchvision beside a CPU torch loads no operators, yet registers shapes for two of them.
    library: Any = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _HELD.append(library)
    return importlib.import_module("torchvision")
