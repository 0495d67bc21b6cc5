"""Shapes, batches, modes, other sizes."""

from __future__ import annotations

import numpy as np

from grader.homework3 import checks, strategies
from grader.homework3.patch_embed.calls import (
    LEAST_SHARE,
    LINEAR,
    PATCHES,
    SUMMED,
    Affine,
    build,
    holds_shape,
    identify,
    readable,
)
from grader.homework3.patch_embed.cases import (
    COINCIDING,
    MANY,
    PART,
    homework,
    images_of,
    large_patches,
    many_patches,
    of_sizes,
    single_pixels,
)
from grader.homework3.strategies import ImageCase
from grader.judging import expect
from grader.judging.property import Program, property_of
from grader.kernel.remote import Student


@property_of(
    PART, (strategies.images(), many_patches, strategies.images(), homework, single_pixels), examples=5
)
def test_shapes(student: Student, case: ImageCase) -> Program:
    """PatchEmbed returns one embedding per patch, shape (B, N, nout), for all sizes."""
    module = student.PatchEmbed(case.img_size, case.patch_size, nin=case.nin, nout=case.nout)
    batches = (1, 3, 2)
    for batch, reply in zip(
        batches, (yield [module(images_of(case, batch)) for batch in batches]), strict=True
    ):
        holds_shape(reply, case, batch)


@property_of(PART, (of_sizes(2, 2, 2, 3), of_sizes(3, 1, 1, 4)), examples=2)
def test_images_are_independent(student: Student, case: ImageCase) -> Program:
    """Each image in a batch gives the same result as on its own."""
    module, _ = yield from build(student, case)
    few, places = images_of(case, 2), np.arange(MANY) % 2
    alone = [module(few[i : i + 1]) for i in range(2)]
    *singles, together = yield [*alone, module(few[places])]
    for batch, reply in ((1, singles[0]), (1, singles[1]), (len(places), together)):
        holds_shape(reply, case, batch)
    want = np.concatenate([readable(single, case) for single in singles])[places]
    why = "an image of the batch gives another result than on its own"
    expect.close(readable(together, case, len(places)), want, "output", why, scale=SUMMED)


@property_of(PART, strategies.images(), examples=2)
def test_inputs_are_not_changed(student: Student, case: ImageCase) -> Program:
    """The call does not modify x."""
    x = student.tensor(case.x)
    module = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    _, after = yield module(x), x
    kept = np.array_equal(expect.tensor(after, case.x.shape, "x after the call"), case.x)
    expect.holds(bool(kept), "x was changed by the call")


@property_of(PART, (of_sizes(4, 8, 3, 128, batch=2), of_sizes(2, 3, 2, 5, batch=3)), examples=2)
def test_same_in_training_and_evaluation(student: Student, case: ImageCase) -> Program:
    """The same image gives the same output in training and evaluation mode."""
    module, _ = yield from build(student, case)
    yield from checks.expect_same_in_both_modes(
        module, (case.x,), lambda reply: (readable(reply, case, case.batch),)
    )


@property_of(PART, (strategies.other_images(), many_patches, large_patches, *COINCIDING), examples=6, private=True)
def test_other_sizes_work_alike(student: Student, case: ImageCase) -> Program:
    """Patches and pixels are treated the same way at other sizes than the homework's."""
    _, found, predicts = yield from identify(student, case)
    holds = predicts and is_same_everywhere(found) and _all_count(found)
    if not holds:
        usual = strategies.image_case(4, 8, 3, 128, 1, case.seed)
        try:
            _, known, as_usual = yield from identify(student, usual)
        except expect.Violation:
            as_usual = False
        if not as_usual or not is_same_everywhere(known) or not _all_count(known):
            expect.stand_back(
                (PATCHES, *LINEAR), "an image is not embedded as it should be at the homework's sizes either"
            )
    why = (
        "at the homework's sizes all patches go through one linear map of all their pixels, but not at these"
    )
    expect.holds(holds, why)


def _all_count(found: Affine) -> bool:
    effects = np.abs(found.matrix)
    return bool(np.all(effects > LEAST_SHARE * effects.max(axis=0)))


def is_same_everywhere(found: Affine) -> bool:
    """Whether all patches have the same bias."""
    return checks.matches(found.bias, np.broadcast_to(found.bias[:1], found.bias.shape), scale=SUMMED)
