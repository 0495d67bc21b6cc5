"""3a PatchEmbed(img_size, patch_size, nin, nout): x (B, nin, img_size, img_size) -> (B, N, nout), N patches in raster order.

An embedding is affine in the pixels of its patch, so a few images say all: one of zeros gives the bias, and images with one
pixel set in each patch give the map, which must predict what other images give. Where it does not, each criterion looks for
its own fault. Shapes are judged at many sizes; patches and the map at the homework's own, in evaluation mode, and read from
an output whose axes are in another order. So a wrong shape, a size that is written down, or dropout costs its own family only.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from grader.homework3 import common, strategies
from grader.homework3.strategies import ImageCase
from grader.judging import expect
from grader.judging.property import Part, Program, property_of
from grader.kernel.remote import Remote, Student
from grader.kernel.wire import Array

PART = Part("3a", "PatchEmbed")
PATCHES = "patch_embed.test_a_patch_changes_its_own_embedding_only"
LINEAR = ("patch_embed.test_one_affine_map_of_all_pixels", "patch_embed.test_the_map_learns")
FELT = 1e-4
"""What a number has to change by, beside the largest change, to count as changed."""
LEAST_SHARE = 1e-6
"""The least effect of a pixel beside the largest, so that it counts at all."""
MANY = 257
"""More images than a batch has in the homework."""
SUMMED = 50.0
"""About the size of the terms that are summed to one number."""
STEP = 0.2
"""The size of a step along the gradient, beside that of the weights."""


# -- cases -------------------------------------------------------------------------------------------------------


def of_sizes(patch: int, side: int, nin: int, nout: int, batch: int = 1) -> st.SearchStrategy[ImageCase]:
    """Cases of these sizes."""
    return strategies.seeds.map(lambda seed: strategies.image_case(patch, side, nin, nout, batch, seed))


homework = of_sizes(4, 8, 3, 128)
many_patches = of_sizes(4, 10, 2, 3)
"""More patches, and a larger image, than in the homework."""
large_patches = of_sizes(6, 2, 1, 4)
"""Larger patches than in the homework."""
channels_as_edge = of_sizes(2, 2, 4, 5)
"""As many channels as pixels along an edge."""
single_pixels = of_sizes(1, 3, 4, 4)
"""Patches of one pixel, whose embeddings are as large as they are."""
one_patch = of_sizes(3, 1, 3, 2)
"""One patch, with as many channels as rows."""
COINCIDING = (channels_as_edge, single_pixels, one_patch)


# -- calls -------------------------------------------------------------------------------------------------------


def build(student: Student, case: ImageCase) -> Generator[Any, Any, tuple[Remote, dict[str, Array]]]:
    """An embedding in evaluation mode with new weights of ordinary size, no two of them equal, and these weights."""
    module: Remote = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    found = yield from common.own_parameters(module, lambda: module(case.x[:1]))
    weights = common.generic_weights(found, case.rng())
    if weights:
        module.load(weights)
    module.mode(False)
    return module, weights


def readable(reply: Any, case: ImageCase, batch: int = 1) -> Array:
    """The result as (B, N, nout), also where its axes are in another order or an extra token comes first."""
    count, size, side, nout = batch, case.side**2, case.side, case.nout
    if isinstance(reply, np.ndarray) and reply.shape != (count, size, nout):
        if reply.shape[:1] == (1,) and reply.ndim == 4 and reply.shape[1:] == (count, size, nout):
            reply = reply[0]
        elif reply.shape == (count, nout, size):
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
    return expect.tensor(reply, (count, size, nout), "output")


def holds_shape(reply: Any, case: ImageCase, batch: int) -> None:
    """The result has the shape (B, N, nout), to the letter."""
    wanted = (batch, case.side**2, case.nout)
    if isinstance(reply, np.ndarray) and reply.shape != wanted:
        raise expect.Violation(f"the output has shape {reply.shape}, expected (B, N, nout) = {wanted}")
    expect.shape(reply, wanted, "output")


def images_of(case: ImageCase, count: int, number: int = 0) -> Array:
    """Other images for a case, drawn once; ``number`` tells apart those of equal shapes."""
    made: dict[tuple[int, int], Array] = case.__dict__.setdefault("other_images", {})
    if (count, number) not in made:
        rng = np.random.default_rng([case.seed, count, number])
        made[count, number] = strategies.numbers(rng, count, case.nin, case.img_size, case.img_size)
    return made[count, number]


def patches_of(x: Array, case: ImageCase) -> Array:
    """The pixels of each patch (B, N, nin * p * p), in raster order: by channel, row and column within a patch."""
    count, side, size = x.shape[0], case.side, case.patch_size
    cut = x.astype(np.float64).reshape(count, case.nin, side, size, side, size)
    patches: Array = cut.transpose(0, 2, 4, 1, 3, 5).reshape(count, side**2, -1)
    return patches


def one_pixel_each(case: ImageCase) -> list[Array]:
    """Images that are 0 but for one pixel in each patch, another in each, until each pixel of a patch had its turn."""
    made: list[Array] | None = case.__dict__.get("impulses")
    if made is None:
        pixels, places = case.nin * case.patch_size**2, case.side**2
        made = []
        for first in range(0, pixels, places):
            patches = np.zeros((places, pixels), np.float32)
            patches[np.arange(places), (first + np.arange(places)) % pixels] = 1
            cut = patches.reshape(case.side, case.side, case.nin, case.patch_size, case.patch_size)
            image = cut.transpose(2, 0, 3, 1, 4).reshape(1, case.nin, case.img_size, case.img_size)
            made.append(np.ascontiguousarray(image))
        case.__dict__["impulses"] = made
    return made


@dataclass(frozen=True)
class Affine:
    """What images of zeros and of single pixels give: a bias for each patch (N, nout), and a map (nin * p * p, nout).

    Where patches are not alike the map is one for each of them, (nin * p * p, N, nout).
    """

    bias: Array
    matrix: Array

    def embeddings(self, x: Array, case: ImageCase) -> Array:
        """The embeddings (B, N, nout) of other images."""
        found: Array = patches_of(x, case) @ self.matrix + self.bias
        return found


def probes_of(case: ImageCase) -> list[Array]:
    """The images that tell the map: zeros, and one pixel in each patch."""
    return [np.zeros((1, case.nin, case.img_size, case.img_size), np.float32), *one_pixel_each(case)]


def affine_of(replies: list[Any], case: ImageCase) -> Affine:
    """The map that the replies to `probes_of` tell."""
    nothing, *values = (readable(reply, case)[0] for reply in replies)
    pixels, places = case.nin * case.patch_size**2, case.side**2
    matrix = np.zeros((pixels, case.nout))
    for number, value in enumerate(values):
        matrix[(number * places + np.arange(places)) % pixels] = value - nothing
    return Affine(nothing, matrix)


def identify(student: Student, case: ImageCase) -> Generator[Any, Any, tuple[Remote, Affine, bool]]:
    """A module, the map that single pixels tell, and whether it predicts what other images give."""
    module, _ = yield from build(student, case)
    fresh = [images_of(case, 1, number) * np.float32(1 + 2 * number) for number in range(2)]
    replies = yield [module(image) for image in (*probes_of(case), *fresh)]
    found = affine_of(replies[: -len(fresh)], case)
    predicts = all(
        common.matches(readable(reply, case), found.embeddings(image, case), scale=SUMMED)
        for reply, image in zip(replies[-len(fresh) :], fresh, strict=True)
    )
    return module, found, predicts and bool(np.abs(found.matrix).max() > FELT)


def place_of(index: int, case: ImageCase) -> tuple[slice, slice]:
    """Rows and columns of the pixels of the patch with this raster index."""
    row, column = divmod(index, case.side)
    size = case.patch_size
    return slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)


def pixel_name(number: int, case: ImageCase) -> str:
    """Which pixel of a patch has this number."""
    channel, row, column = np.unravel_index(number, (case.nin, case.patch_size, case.patch_size))
    return f"channel {channel}, row {row}, column {column}"


# -- shapes ------------------------------------------------------------------------------------------------------


@property_of(PART, (strategies.images(), many_patches, strategies.images(), homework, single_pixels), examples=5)
def test_shapes(student: Student, case: ImageCase) -> Program:
    """PatchEmbed returns an embedding for each patch: shape (B, N, nout), whatever the sizes are."""
    module = student.PatchEmbed(case.img_size, case.patch_size, nin=case.nin, nout=case.nout)
    batches = (1, 3, 2)
    for batch, reply in zip(batches, (yield [module(images_of(case, batch)) for batch in batches]), strict=True):
        holds_shape(reply, case, batch)


@property_of(PART, (of_sizes(2, 2, 2, 3), of_sizes(3, 1, 1, 4)), examples=2)
def test_images_are_independent(student: Student, case: ImageCase) -> Program:
    """Each image of a batch gets the result that it gets alone."""
    module, _ = yield from build(student, case)
    few, places = images_of(case, 2), np.arange(MANY) % 2
    alone = [module(few[i : i + 1]) for i in range(2)]
    *singles, together = yield [*alone, module(few[places])]
    for batch, reply in ((1, singles[0]), (1, singles[1]), (len(places), together)):
        holds_shape(reply, case, batch)
    want = np.concatenate([readable(single, case) for single in singles])[places]
    why = "an image of the batch gets another result than alone"
    expect.close(readable(together, case, len(places)), want, "output", why, scale=SUMMED)


@property_of(PART, strategies.images(), examples=2)
def test_inputs_are_not_changed(student: Student, case: ImageCase) -> Program:
    """x is after the call what it was before it."""
    x = student.tensor(case.x)
    module = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
    _, after = yield module(x), x
    kept = np.array_equal(expect.tensor(after, case.x.shape, "x after the call"), case.x)
    expect.holds(bool(kept), "x was changed by the call")


@property_of(PART, (of_sizes(4, 8, 3, 128, batch=2), of_sizes(2, 3, 2, 5, batch=3)), examples=2)
def test_same_in_training_and_evaluation(student: Student, case: ImageCase) -> Program:
    """The same image gives the same output in training and in evaluation mode."""
    module, _ = yield from build(student, case)
    yield from common.same_in_both_modes(module, (case.x,), lambda reply: (readable(reply, case, case.batch),))


@property_of(PART, (strategies.other_images(), many_patches, large_patches, *COINCIDING), examples=6)
def test_other_sizes_work_alike(student: Student, case: ImageCase) -> Program:
    """What holds for patches and pixels at the homework's sizes holds at other sizes."""
    _, found, predicts = yield from identify(student, case)
    holds = predicts and _same_everywhere(found) and _all_count(found)
    if not holds:
        usual = strategies.image_case(4, 8, 3, 128, 1, case.seed)
        try:
            _, known, as_usual = yield from identify(student, usual)
        except expect.Violation:
            as_usual = False
        if not as_usual or not _same_everywhere(known) or not _all_count(known):
            expect.stand_back((PATCHES, *LINEAR), "an image is not embedded as it should be at the homework's sizes either")
    why = "at the homework's sizes all patches go through one linear map of all their pixels, but not at these"
    expect.holds(holds, why)


def _all_count(found: Affine) -> bool:
    effects = np.abs(found.matrix)
    return bool(np.all(effects > LEAST_SHARE * effects.max(axis=0)))


def _same_everywhere(found: Affine) -> bool:
    return common.matches(found.bias, np.broadcast_to(found.bias[:1], found.bias.shape), scale=SUMMED)


# -- patches -----------------------------------------------------------------------------------------------------


@property_of(PART, homework, examples=2)
def test_a_patch_changes_its_own_embedding_only(student: Student, case: ImageCase) -> Program:
    """Each embedding depends on the patch at its raster index (rows first), and all patches go through the same map."""
    module, found, predicts = yield from identify(student, case)
    yield from _has_weights(student, module, case)
    if predicts and _same_everywhere(found):
        expect.compared()
    else:  # a map that is not linear may still be one for each patch
        yield from _one_patch_changed(module, case)
        yield from _equal_patches(module, case)


def _has_weights(student: Student, module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Without any parameter, two modules differ where weights were drawn but not registered."""
    found = yield from common.own_parameters(module)
    if not found:
        other = student.PatchEmbed(case.img_size, case.patch_size, case.nin, case.nout)
        one, two = yield module(case.x), other(case.x)
        same = isinstance(one, np.ndarray) and isinstance(two, np.ndarray) and np.array_equal(one, two)
        expect.require(not same, "the module has no weights: two of them give the same embeddings")


def _one_patch_changed(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that one patch changes one embedding: one in the second row, where other orders differ, and the last."""
    rng = case.rng()
    last = case.side**2 - 1
    chosen = [case.side + 1, last, int(rng.integers(last))] if case.side > 1 else [0]
    images = [case.x]
    for index in chosen:
        rows, columns = place_of(index, case)
        change = 5 * strategies.numbers(rng, *case.x[:, :, rows, columns].shape)
        for sign in (1, -1):
            images.append(case.x.copy())
            images[-1][:, :, rows, columns] += sign * change
    before, *after = (readable(reply, case) for reply in (yield [module(image) for image in images]))
    for place, index in enumerate(chosen):
        gap = np.max([np.abs(value - before) for value in after[2 * place : 2 * place + 2]], axis=(0, 1, 3))
        row, column = divmod(index, case.side)
        which = f"patch {index} (row {row}, column {column} of the patches)"
        far = np.where(np.arange(case.side**2) == index, 0.0, gap)
        least = FELT * max(1.0, float(gap.max()))
        if far.max() > least:
            raise expect.Violation(
                f"only the pixels of {which} were changed, and embedding {int(np.argmax(far))} changes as well",
                {"embeddings that change": _listed([int(i) for i in np.flatnonzero(gap > least)])},
            )
        expect.holds(
            bool(gap[index] > least), f"the pixels of {which} were changed, and embedding {index} does not change"
        )


def _equal_patches(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that an image of equal patches gives equal embeddings."""
    size = case.patch_size
    x = np.tile(case.x[:, :, :size, :size], (1, 1, case.side, case.side))
    got = readable((yield module(x)), case)
    if not common.matches(got, np.broadcast_to(got[:, :1], got.shape), scale=SUMMED):
        why = "all patches of the image are equal, and their embeddings are not"
        raise expect.Violation(why, {"your output": expect.show(got)})


def _listed(numbers: list[int]) -> str:
    first = ", ".join(str(number) for number in numbers[:8])
    return first if len(numbers) <= 8 else f"{first}, ... ({len(numbers)} in all)"


# -- the map -----------------------------------------------------------------------------------------------------


@property_of(PART, homework, examples=1)
def test_one_affine_map_of_all_pixels(student: Student, case: ImageCase) -> Program:
    """An embedding is a linear map of all the patch's pixels, each with a weight of its own, plus a bias of its own."""
    module, found, predicts = yield from identify(student, case)
    matrix, bias = found.matrix, found.bias
    numbers = matrix.T
    if not predicts:
        yield from _linear(module, case)
        replies = yield [module(image) for image in (*everywhere(case), case.x)]
        matrix, bias = effects_of(replies[:-1], case)
        numbers = (readable(replies[-1], case)[0] - bias).T
    _holds_map(matrix.reshape(matrix.shape[0], -1, case.nout), numbers, case)
    _holds_bias(bias)
    if not predicts:
        expect.stand_back(PATCHES, "an embedding is not what the pixels of its patch give alone")


def _linear(module: Remote, case: ImageCase) -> Generator[Any, Any, None]:
    """Hold that the embeddings are linear in the pixels, but for a constant."""
    x, shift = case.x, images_of(case, 1)
    replies = yield [module(value) for value in (x, shift, x + shift, np.zeros_like(x))]
    at_x, at_shift, at_both, at_zero = (readable(reply, case) for reply in replies)
    why = "the embeddings f(x) are not linear in the pixels, even but for a constant: f(x + y) - f(y) is not f(x) - f(0)"
    expect.close(at_both - at_shift, at_x - at_zero, "f(x + y) - f(y)", why, scale=SUMMED)


def everywhere(case: ImageCase) -> list[Array]:
    """An image of zeros, and for each pixel of a patch one in which it is set in all patches.

    That all patches are alike leaves their order, and how they are cut, to other properties.
    """
    size = case.patch_size
    images = [np.zeros((1, case.nin, case.img_size, case.img_size), np.float32)]
    for channel, row, column in np.ndindex(case.nin, size, size):
        images.append(images[0].copy())
        images[-1][:, channel, row::size, column::size] = 1
    return images


def effects_of(replies: list[Any], case: ImageCase) -> tuple[Array, Array]:
    """What each pixel adds to the embeddings by the replies to `everywhere` (pixels, N, nout), and the bias (N, nout)."""
    nothing, *values = (readable(reply, case)[0] for reply in replies)
    return np.stack(values) - nothing, nothing


def _holds_map(effects: Array, numbers: Array, case: ImageCase) -> None:
    """Each pixel counts for each number of an embedding (pixels, N, nout), no two alike, and none only through others.

    ``numbers`` (nout, ...) are values by which the numbers of an embedding are told apart.
    """
    size = np.abs(effects).max(axis=1)
    expect.require(float(size.max()) > FELT, "the embeddings do not depend on the pixels")
    shares = size / np.maximum(size.max(axis=0), 1e-30)
    if shares.min() <= LEAST_SHARE:
        pixel, number = (int(i) for i in np.unravel_index(int(np.argmin(shares)), size.shape))
        raise expect.Violation(
            f"number {number} of the embeddings does not follow the pixel in {pixel_name(pixel, case)} of a patch: a change"
            f" of that pixel by 1 changes it by {size[pixel, number]:.2g}, others by up to {size[:, number].max():.2g}"
        )
    flat = effects.reshape(len(effects), -1)
    _different(flat, "two pixels of a patch count in the same way for all numbers of its embedding", case)
    _different(numbers, "two numbers of an embedding are the same up to a constant")
    products = flat @ flat.T
    squares = np.linalg.eigvalsh(products)  # of the singular values, which are many times slower to get
    rank = int((squares > (1e-4) ** 2 * squares.max()).sum())
    whole = min(len(flat), case.nout)
    why = f"the {len(flat)} pixels of a patch count through {rank} numbers only, by which the whole embedding is made"
    expect.holds(rank >= whole, why)


def _different(flat: Array, why: str, case: ImageCase | None = None) -> None:
    """No two rows are alike; with ``case`` they are pixels."""
    products = flat @ flat.T
    squares = np.diag(products)[:, None] + np.diag(products) - 2 * products
    # Few are near in the mean of squares, which is quickly found for all pairs at once.
    near = squares <= flat.shape[1] * FELT**2 + 1e-9 * products.max()
    for first, other in zip(*np.nonzero(np.triu(near, 1)), strict=True):
        names = [f"number {n}" if case is None else pixel_name(int(n), case) for n in (first, other)]
        expect.require(bool(np.abs(flat[first] - flat[other]).max() > FELT), f"{why}: {names[0]} and {names[1]}")


def _holds_bias(bias: Array) -> None:
    """An image of zeros gives each number of an embedding a value of its own."""
    values = bias.mean(axis=0)
    shown = {"the embeddings of an image of zeros": expect.show(bias)}
    why = "there is no bias: an image of zeros has embeddings of zeros, whatever the module's parameters are"
    expect.holds(bool(np.abs(values).max() > FELT), why, shown)
    expect.holds(
        len(values) < 2 or bool(np.ptp(values) > FELT), "all numbers of an embedding have the same bias", shown
    )


@property_of(PART, homework, examples=1)
def test_the_map_learns(student: Student, case: ImageCase) -> Program:
    """A step along the gradient of a loss changes every weight of the map and every bias, and the gradient reaches x."""
    module, before, predicts = yield from identify(student, case)
    found = yield from common.own_parameters(module)
    weights = common.generic_weights(found, case.rng())
    expect.require(bool(weights), "the module has no parameters that could learn")
    probes = probes_of(case) if predicts else everywhere(case)
    if not predicts:
        before = Affine(*effects_of((yield [module(image) for image in probes]), case)[::-1])
    module.mode(True)
    x = student.tensor(images_of(case, 2), requires_grad=True)
    out = module(x.method("clone"))
    taken = student.parameter_gradients(out, None, module), student.gradients(out, None, [x])
    by_name, (by_x,) = yield taken
    module.mode(False)
    again = module(images_of(case, 2))
    late = yield student.parameter_gradients(again, None, module)
    found = {name: value for name, value in by_name.items() if isinstance(value, np.ndarray) and name in weights}
    for name, gradient in found.items():
        expect.require(bool(np.all(np.isfinite(gradient))), f"the gradient of {name} is not finite")
    reached = any(bool(np.any(gradient)) for gradient in found.values())
    expect.require(reached, "no parameter gets a gradient, so the map cannot be learned")
    in_evaluation = any(isinstance(value, np.ndarray) and bool(np.any(value)) for value in late.values())
    expect.require(in_evaluation, "in evaluation mode no parameter gets a gradient")
    expect.require(isinstance(by_x, np.ndarray) and bool(np.any(by_x)), "no gradient reaches the input x")
    size = np.sqrt(sum(float((weights[name] ** 2).sum()) for name in found))
    length = np.sqrt(sum(float((gradient**2).sum()) for gradient in found.values()))
    module.load({n: (weights[n] + STEP * size / length * gradient).astype(np.float32) for n, gradient in found.items()})
    replies = yield [module(image) for image in probes]
    after = affine_of(replies, case) if predicts else Affine(*effects_of(replies, case)[::-1])
    moved = np.abs(after.matrix - before.matrix).reshape(len(before.matrix), -1, case.nout).max(axis=1)
    still = moved <= 1e-6 * max(1.0, float(moved.max()))
    for share, name in ((still.mean(axis=0), "of an embedding's numbers"), (still.mean(axis=1), "of a patch's pixels")):
        stuck = int((share > 0.5).sum())
        expect.holds(stuck == 0, f"a step along the gradient leaves the weights of {stuck} {name} as they are")
    moves = np.abs(after.bias - before.bias).mean(axis=0)
    stuck = int((moves <= 1e-6).sum())
    expect.holds(stuck < 0.1 * case.nout, f"a step along the gradient leaves the bias of {stuck} numbers as it is")
