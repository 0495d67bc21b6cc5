"""What the notebook's first cell provides."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def until_done() -> Iterator[None]:
    """Let a cell of an unfinished notebook say what is still to do, so that "Run All" goes on."""
    try:
        yield
    except NotImplementedError as todo:
        print(f"still to do: {todo}")


def checked(*items: str) -> bool:
    """Check these items, or all, with the package hw3-check; False if it is not installed."""
    try:
        from hw3_check import check  # noqa: PLC0415
    except ImportError:
        return False
    check(*items)
    return True
