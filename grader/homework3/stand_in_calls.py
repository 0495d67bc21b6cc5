"""What stand-ins were given: the calls that they recorded, and the masks in them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from grader.homework3 import stand_in_formulas
from grader.homework3.strategies import SequenceCase
from grader.judging import expect
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array


def unregistered_stand_ins(
    student: Student, module: Remote, indices: Sequence[int]
) -> Generator[Any, Any, list[int]]:
    """Stand-ins that do not belong to the module, by its own list of parameters or by what freezing it leaves free to learn.

    A forged list of parameters alone earns nothing. The module stays frozen.
    """
    module.method("requires_grad_", False)
    free = [student.standin(index).attribute("weight").attribute("requires_grad") for index in indices]
    registered, learning = yield module.registered(), free
    return [
        index for index, is_free in zip(indices, learning, strict=True) if index not in registered or is_free
    ]


def recorded_calls(reply: Any, batch: int = 1) -> list[dict[str, Any]]:
    """The list of stand-ins' calls, checked: at least one.

    A stand-in that was called for each of ``batch`` sequences apart counts as called once for all of them.
    """
    good = isinstance(reply, list) and all(
        isinstance(call, dict) and {"index", "x", "mask"} <= set(call) for call in reply
    )
    expect.require(
        good and bool(reply), "none of the modules that this part is built from takes part in the call"
    )
    made: dict[int, list[dict[str, Any]]] = {}
    for call in reply:
        made.setdefault(int(call["index"]), []).append(call)
    if batch == 1 or not all(len(group) == batch and _lone_sequences(group) for group in made.values()):
        return list(reply)
    return [_joined(group) for group in made.values()]


def _lone_sequences(group: list[dict[str, Any]]) -> bool:
    """Whether all calls of a stand-in are for one sequence of the same length, with or without a mask for it."""
    shapes = {call["x"].shape for call in group if isinstance(call["x"], np.ndarray)}
    masks = {call["mask"].shape[-2:] if isinstance(call["mask"], np.ndarray) else None for call in group}
    return len(shapes) == 1 and next(iter(shapes))[:1] == (1,) and len(masks) == 1


def _joined(group: list[dict[str, Any]]) -> dict[str, Any]:
    """Calls for lone sequences as one call for the batch."""
    xs, masks = ([call[name] for call in group] for name in ("x", "mask"))
    if isinstance(masks[0], np.ndarray):
        tokens = masks[0].shape[-2:]
        masks = [np.concatenate([mask.reshape(-1, *tokens)[:1] for mask in masks])]
    return {**group[0], "x": np.concatenate(xs), "mask": masks[0]}


def called_indices(reply: Any) -> list[int]:
    """Indices of the stand-ins that were called, in the order in which they were built."""
    return sorted({int(call["index"]) for call in recorded_calls(reply)})


def full_mask(mask: Any, case: Any) -> Array | None:
    """A mask as a stand-in got it, as float 0/1 of shape (B, T, T); None stays None."""
    if not isinstance(mask, np.ndarray):
        return None
    wanted = (case.batch, case.tokens, case.tokens)
    array = mask.astype(np.float64)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    try:
        return np.broadcast_to(array, wanted)
    except ValueError:
        raise expect.Violation(
            f"a mask of shape {tuple(mask.shape)} is passed on, which does not fit (B, T, T) = {wanted}"
        ) from None


def mixing_of(call: dict[str, Any], case: SequenceCase) -> Array:
    """The token mixing that a stand-in used in a call, by the mask that it was given."""
    mask = full_mask(call["mask"], case)
    if mask is None:
        return stand_in_formulas.mixing(None, case.batch, case.tokens)
    permitted = (mask > 0).astype(np.float64)
    mixing: Array = permitted / np.maximum(permitted.sum(-1, keepdims=True), 1.0)
    return mixing


def expect_masks_passed_on(made: Sequence[dict[str, Any]], case: SequenceCase, who: str) -> None:
    """Each call got the case's mask; None and a mask of ones mean the same."""
    ones = np.ones((case.batch, case.tokens, case.tokens))
    want = ones if case.mask is None else case.mask.astype(np.float64)
    for call in made:
        passed = call["mask"]
        if isinstance(passed, np.ndarray) and passed.ndim > 3:
            raise expect.Violation(
                f"{who} gets a mask of shape {tuple(passed.shape)}, expected (T, T), (1, T, T) or (B, T, T)"
            )
        got = full_mask(passed, case)
        if got is None and not np.array_equal(want, ones):
            raise expect.Violation(f"{who} gets no mask, but attn_mask was given")
        got = ones if got is None else got
        if not np.array_equal(got, want):
            raise expect.Violation(
                f"{who} gets another mask than attn_mask",
                {
                    f"the mask that {who} gets": expect.show(got),
                    "the expected mask": expect.show(want),
                },
            )
