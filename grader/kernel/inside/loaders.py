"""DataLoaders that load in the process itself: their workers would hand over tensors by sockets, which kernels may not."""

from __future__ import annotations

import functools
import inspect
from typing import Any

_ALONE = {
    "num_workers": 0,
    "prefetch_factor": None,
    "persistent_workers": False,
    "timeout": 0,
    "multiprocessing_context": None,
}
"""What a loader without workers takes."""


def load_without_workers() -> None:
    """``DataLoader(..., num_workers=4)`` gives the same batches without starting a process."""
    from torch.utils.data import DataLoader  # noqa: PLC0415

    loader: Any = DataLoader
    original = loader.__init__
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            return original(*args, **kwargs)  # type: ignore[no-any-return]  # raises it with torch's own words
        given = bound.arguments
        if type(given.get("num_workers")) is int and given["num_workers"] > 0:
            given.update({name: value for name, value in _ALONE.items() if name in given})
        return original(*bound.args, **bound.kwargs)  # type: ignore[no-any-return]

    loader.__init__ = init
