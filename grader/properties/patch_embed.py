"""3a PatchEmbed(img_size, patch_size, nin, nout): x (B, nin, img_size, img_size) -> (B, N, nout), N patches in raster order.

Shapes are judged at many sizes; patches and the map at the homework's own, in evaluation mode, and read from an output whose
axes are in another order, so that a wrong shape, a size that is written down, or dropout costs its own family only.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from grader.kernel.remote import Remote, Student, StudentError
from grader.kernel.wire import Array
from grader.properties import common, draws, expect
from grader.properties.draws import ImageCase
from grader.properties.law import Part, Program, law

PART = Part("3a", "PatchEmbed")
FELT = 1e-4
"""What a number has to change by to count as changed."""
MOST_PIXELS = 12
"""How many pixels of a patch are tried at sizes other than the homework's."""


def build(student: Student, case: ImageCase) -> Generator[Any, Any, Remote]:
    """An embedding in evaluation mode with new weights of ordinary size, no two of them equal."""
    module: Remote = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    found = yield from common.own_parameters(module, lambda: module(case.x))
    weights = common.generic_weights(found, case.rng())
    if weights:
        module.load(weights)
    module.mode(False)
    return module


def embeddings(reply: Any, case: ImageCase, batch: int | None = None) -> Array:
    """The result, checked: (B, N, nout)."""
    return expect.tensor(reply, (batch or case.batch, case.side**2, case.nout), "output")


def readable(reply: Any, case: ImageCase, batch: int | None = None) -> Array:
    """The result as (B, N, nout), also where its axes are in another order or an extra token comes first."""
    count, size, side, nout = batch or case.batch, case.side**2, case.side, case.nout
    if isinstance(reply, np.ndarray) and reply.shape != (count, size, nout):
        if reply.shape == (count, nout, size):
            reply = reply.swapaxes(1, 2)
        elif reply.shape == (size, count, nout):
            reply = reply.swapaxes(0, 1)
        elif reply.shape == (count, nout, side, side):
            reply = reply.reshape(count, nout, size).swapaxes(1, 2)
        elif reply.shape == (count, side, side, nout):
            reply = reply.reshape(count, size, nout)
        elif reply.shape == (count, size + 1, nout):
            reply = reply[:, 1:]
        elif reply.shape == (size, nout) and count == 1:
            reply = reply[None]
    return embeddings(reply, case, batch)


def place_of(index: int, case: ImageCase) -> tuple[slice, slice]:
    """Rows and columns of the pixels of the patch with this raster index."""
    row, column = divmod(index, case.side)
    size = case.patch_size
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def one_patch_changed(student: Student, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that one patch's pixels change one embedding, at a patch of this case."""
    module = yield from build(student, case)
    index = int(case.rng().integers(case.side**2))
    rows, columns = place_of(index, case)
    change = 5 * draws.numbers(case.rng(), *case.x[:, :, rows, columns].shape)
    up, down = case.x.copy(), case.x.copy()
    up[:, :, rows, columns] += change
    down[:, :, rows, columns] -= change
    replies = yield [module(value) for value in (case.x, up, down)]
    before, *after = (readable(reply, case) for reply in replies)
    gap = np.max([np.abs(value - before) for value in after], axis=(0, 1, 3))
    row, column = divmod(index, case.side)
    which = f"patch {index} (row {row}, column {column} of the patches)"
    far = np.where(np.arange(case.side**2) == index, 0.0, gap)
    if far.max() > FELT:
        raise expect.Violation(
            f"only the pixels of {which} were changed, and embedding {int(np.argmax(far))} changes as well",
            {"embeddings that change": _listed([int(i) for i in np.flatnonzero(gap > FELT)])},
        )
    expect.holds(
        bool(gap[index] > FELT), f"the pixels of {which} were changed, and embedding {index} does not change"
    )


def _listed(numbers: list[int]) -> str:
    first = ", ".join(str(number) for number in numbers[:8])
    return first if len(numbers) <= 8 else f"{first}, ... ({len(numbers)} in all)"


@law(PART, draws.images(), examples=6)
def test_shapes(student: Student, case: ImageCase) -> Program:
    """PatchEmbed returns an embedding for each patch: shape (B, N, nout), whatever the sizes are."""
    embeddings((yield student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)(case.x)), case)
    expect.compared()


@law(PART, draws.images(), examples=5)
def test_images_are_independent(student: Student, case: ImageCase) -> Program:
    """Each image of a batch gets the result that it gets alone."""
    module = yield from build(student, case)
    reply, alone = yield module(case.x), [module(case.x[i : i + 1]) for i in range(case.batch)]
    together = embeddings(reply, case)
    for i, value in enumerate(alone):
        want = embeddings(value, case, batch=1)[0]
        expect.close(
            together[i], want, "output", f"image {i} of the batch gets another result than alone", scale=50
        )


@law(PART, draws.images(), examples=4)
def test_inputs_are_not_changed(student: Student, case: ImageCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    module = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    _, after = yield module(x), x
    kept = np.array_equal(expect.tensor(after, case.x.shape, "x after the call"), case.x)
    expect.holds(bool(kept), "x was changed by the call")


@law(PART, draws.homework_images(), examples=3)
def test_same_in_training_and_evaluation(student: Student, case: ImageCase) -> Program:
    """The same image gives the same output in training and in evaluation mode."""
    module = yield from build(student, case)
    yield from common.same_in_both_modes(module, (case.x,), lambda reply: (readable(reply, case),))


@law(PART, draws.other_images(), examples=5, catches=True)
def test_other_sizes_work_alike(student: Student, case: ImageCase) -> Program:
    """What holds for patches and pixels at the homework's sizes holds at other sizes."""
    try:
        yield from one_patch_changed(student, case)
        yield from pixel_effects(student, case, most=MOST_PIXELS)
    except (expect.Violation, StudentError):
        usual = ImageCase(4, 8, 3, 128, 1, case.seed, draws.numbers(case.rng(), 1, 3, 32, 32))
        try:
            yield from one_patch_changed(student, usual)
            yield from linear(student, usual)
            yield from pixel_effects(student, usual)
        except expect.Violation:
            return  # the matter of other families
        raise


@law(PART, draws.homework_images(), examples=5)
def test_a_patch_changes_its_own_embedding_only(student: Student, case: ImageCase) -> Program:
    """Changing the pixels of one patch changes one embedding: the one at the patch's raster index (rows first)."""
    yield from one_patch_changed(student, case)


@law(PART, draws.homework_images(), examples=4)
def test_equal_patches_get_equal_embeddings(student: Student, case: ImageCase) -> Program:
    """All patches go through the same map: an image of equal patches gives equal embeddings."""
    module = yield from build(student, case)
    size = case.patch_size
    x = np.tile(case.x[:, :, :size, :size], (1, 1, case.side, case.side))
    got = readable((yield module(x)), case)
    want = np.broadcast_to(got[:, :1], got.shape)
    expect.close(
        got, want, "output", "all patches of the image are equal, and their embeddings are not", scale=50
    )


@law(PART, draws.homework_images(), examples=4)
def test_linear_in_the_pixels(student: Student, case: ImageCase) -> Program:
    """An embedding is a linear map of the patch's pixels, plus a bias: no activation and no normalisation."""
    yield from linear(student, case)


@law(PART, draws.homework_images(), examples=1)
def test_each_pixel_has_a_weight_of_its_own(student: Student, case: ImageCase) -> Program:
    """Each pixel in each channel of a patch counts for each number of its embedding, by a weight of its own."""
    felt, whole = yield from pixel_effects(student, case)
    names = [f"channel {c}, row {i}, column {j}" for c, i, j in pixels(case)]
    alike = "two pixels of a patch count in the same way for all numbers of its embedding"
    products = _different(felt, alike, names)
    numbers = [f"number {k}" for k in range(case.nout)]
    _different(
        whole.transpose(2, 0, 1), "two numbers of an embedding are always the same, up to a constant", numbers
    )
    squares = np.linalg.eigvalsh(products)  # of the singular values, which are many times slower to get
    rank = int((squares > (1e-4) ** 2 * squares.max()).sum())
    why = f"the {len(felt)} pixels of a patch count through {rank} numbers only, by which the whole embedding is made"
    expect.holds(rank == len(felt), why)


def pixels(case: ImageCase, most: int | None = None) -> list[tuple[int, ...]]:
    """Channel, row and column of each pixel of a patch, or of the first, the last and some others."""
    every = list(np.ndindex(case.nin, case.patch_size, case.patch_size))
    if most is None or len(every) <= most:
        return every
    others = case.rng().choice(len(every) - 2, size=most - 2, replace=False) + 1
    return [every[number] for number in (0, *sorted(map(int, others)), len(every) - 1)]


def pixel_effects(
    student: Student, case: ImageCase, most: int | None = None
) -> Generator[Any, Any, tuple[Array, Array]]:
    """Hold that each pixel of a patch counts, or ``most`` of them.

    Gives what each pixel, set in all patches of an empty image, adds to the embeddings (pixels, N, nout), and what x does.
    That all patches are alike leaves their order, and how they are cut, to other laws.
    """
    module = yield from build(student, case)
    images = [np.zeros((1, case.nin, case.img_size, case.img_size), np.float32)]
    chosen = pixels(case, most)
    for channel, row, column in chosen:
        images.append(images[0].copy())
        images[-1][:, channel, row :: case.patch_size, column :: case.patch_size] = 1
    replies, at_x = yield [module(image) for image in images], module(case.x)
    nothing, *values = (readable(reply, case, batch=1)[0] for reply in replies)
    felt = np.stack(values) - nothing
    size = np.abs(felt).max(axis=1)
    if size.min() <= 1e-7:
        place, number = (int(i) for i in np.unravel_index(int(np.argmin(size)), size.shape))
        channel, row, column = chosen[place]
        where = f"channel {channel}, row {row}, column {column} of a patch"
        raise expect.Violation(f"number {number} of the embeddings does not depend on the pixel in {where}")
    return felt, readable(at_x, case) - nothing


def linear(student: Student, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that the embeddings are linear in the pixels, but for a constant."""
    module = yield from build(student, case)
    shift = draws.numbers(case.rng(), *case.x.shape)
    replies = yield [module(value) for value in (case.x, shift, case.x + shift, np.zeros_like(case.x))]
    at_x, at_shift, at_both, at_zero = (readable(reply, case) for reply in replies)
    why = "the embeddings f(x) are not linear in the pixels, even but for a constant: f(x + y) - f(y) is not f(x) - f(0)"
    expect.close(at_both - at_shift, at_x - at_zero, "f(x + y) - f(y)", why, scale=50)


def _different(values: Array, why: str, names: list[Any]) -> Array:
    """No two entries along the first axis are alike; gives their scalar products."""
    flat = values.reshape(len(values), -1)
    products: Array = flat @ flat.T
    squares = np.diag(products)[:, None] + np.diag(products) - 2 * products
    # Few are near in the mean of squares, which is quickly found for all pairs at once.
    near = squares <= flat.shape[1] * FELT**2 + 1e-9 * products.max()
    for first, other in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        if np.abs(flat[first] - flat[other]).max() <= FELT:
            raise expect.Violation(f"{why}: {names[first]} and {names[other]}")
    return products


@law(PART, draws.homework_images(), examples=3)
def test_the_weights_learn(student: Student, case: ImageCase) -> Program:
    """A loss on the output gives the weights of the map a gradient, and they are parameters of the module."""
    module = yield from build(student, case)
    out = module(case.x)
    reply = yield out
    readable(reply, case)
    cotangent = draws.numbers(case.rng(), *reply.shape)
    found = yield student.parameter_gradients(out, cotangent, module)
    expect.holds(isinstance(found, dict) and bool(found), "the module has no parameters that could learn")
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    for name, gradient in arrays.items():
        expect.holds(bool(np.all(np.isfinite(gradient))), f"the gradient of {name} is not finite")
    learning = sum(int(np.count_nonzero(gradient)) for gradient in arrays.values())
    # A layer that is left over, unused, may lack a gradient; a bias alone is not the map.
    least = case.nin * case.patch_size**2 + case.nout
    expect.holds(
        learning >= least,
        f"only {learning} numbers among the module's parameters get a gradient, so the map cannot be learned",
    )
