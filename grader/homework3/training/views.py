"""Fresh views of images, and what they tell of a network: whether it has learned what images show, or knows these images.

CIFAR-10 is public, so a submission may hold a table of its validation images. A table knows images; what has learned
recognizes them also when they are shifted, turned, mirrored and cropped, and fares with validation images no better than with
those it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from grader.homework3.training.data import Cifar10
from grader.kernel.wire import Array

CHUNK = 1000


@dataclass(frozen=True)
class Settings:
    """How views are made, and what is plausible of a network that was trained here.

    Args:
        images: how many images of each kind are asked about.
        views: in how many fresh views each, besides the image as it is.
        shift: the most pixels by which a view is moved.
        turn: the most degrees by which it is turned.
        zoom: the least part of the image's side that it shows.
        light: the most relative change of a color's contrast and brightness.
        most: more than this a network of the homework's size does not reach in the homework's epochs.
        advantage: how much better validation images may fare than training images, as they are or in views.
        fall: how much accuracy fresh views may cost in all.
    """

    images: int = 2000
    views: int = 1
    shift: float = 4.0
    turn: float = 20.0
    zoom: float = 0.6
    light: float = 0.25
    most: float = 0.75
    advantage: float = 0.08
    fall: float = 0.3


CIFAR10 = Settings()
"""For CIFAR-10 and the homework's network."""


def fresh_views(images: Array, rng: np.random.Generator, settings: Settings = CIFAR10) -> Array:
    """Each image, uint8 (N, C, height, width), mirrored or not, turned, cropped, shifted and lit anew."""
    return np.concatenate([_views(images[at : at + CHUNK], rng, settings) for at in range(0, len(images), CHUNK)])


def _views(images: Array, rng: np.random.Generator, settings: Settings) -> Array:
    count, _, height, width = images.shape
    turn = np.deg2rad(rng.uniform(-settings.turn, settings.turn, (count, 1, 1)))
    zoom = rng.uniform(settings.zoom, 1.0, (count, 1, 1))
    mirror = rng.choice([-1.0, 1.0], (count, 1, 1))
    down, right = rng.uniform(-settings.shift, settings.shift, (2, count, 1, 1))
    y, x = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    x = x * mirror
    rows = zoom * (np.cos(turn) * y - np.sin(turn) * x) + down + (height - 1) / 2
    columns = zoom * (np.sin(turn) * y + np.cos(turn) * x) + right + (width - 1) / 2
    # Beyond its margin an image goes on as in a mirror.
    rows, columns = (size - 1 - np.abs(size - 1 - np.abs(at)) for at, size in ((rows, height), (columns, width)))
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    part_y, part_x = (rows - top)[..., None], (columns - left)[..., None]
    number = np.arange(count).reshape(-1, 1, 1)
    pixels = np.moveaxis(images, 1, -1).astype(np.float32)  # (N, height, width, C)
    upper = pixels[number, top, left] * (1 - part_x) + pixels[number, top, beside] * part_x
    lower = pixels[number, below, left] * (1 - part_x) + pixels[number, below, beside] * part_x
    seen = upper * (1 - part_y) + lower * part_y
    # Each color by itself: its contrast, and how bright it is.
    channels = images.shape[1]
    contrast, light = rng.uniform(1 - settings.light, 1 + settings.light, (2, count, 1, 1, channels))
    mean = seen.mean(axis=(1, 2), keepdims=True)
    lit = mean * light + (seen - mean) * contrast
    return np.ascontiguousarray(np.moveaxis(np.clip(np.round(lit), 0, 255).astype(np.uint8), -1, 1))


@dataclass(frozen=True)
class Shares:
    """Shares of right answers: for validation and training images, as they are and in fresh views."""

    validation: float
    validation_views: float
    training: float
    training_views: float

    def __str__(self) -> str:
        """In words, for notes."""
        return (
            f"of validation images {self.validation:.1%} as they are and {self.validation_views:.1%} in fresh views "
            f"(mirrored, turned, cropped, shifted, colored) are right; of training images {self.training:.1%} and "
            f"{self.training_views:.1%}"
        )


def measure(
    data: Cifar10, right: Callable[[Array, Array], Array], rng: np.random.Generator, settings: Settings = CIFAR10
) -> Shares:
    """Ask about images of both kinds and their views, mixed, so that nothing but the image tells which it is.

    ``right(images, labels)`` says for each image whether it is classified right.
    """
    kinds = ((data.validation_images, data.validation_labels), (data.train_images, data.train_labels))
    images, labels, groups = [], [], []
    for kind, (own, classes) in enumerate(kinds):
        chosen = rng.permutation(len(own))[: settings.images]
        plain = np.asarray(own[chosen])
        for view in range(1 + settings.views):
            images.append(plain if view == 0 else fresh_views(plain, rng, settings))
            labels.append(np.asarray(classes[chosen]))
            groups.append(np.full(len(chosen), 2 * kind + (view > 0)))
    order = rng.permutation(sum(map(len, groups)))
    answers, group = right(np.concatenate(images)[order], np.concatenate(labels)[order]), np.concatenate(groups)[order]
    return Shares(*(float(answers[group == number].mean()) for number in range(4)))


def implausible(counted: float, shares: Shares, settings: Settings = CIFAR10) -> str | None:
    """Why a network that was trained here would hardly answer so; None if it may.

    ``counted`` is its accuracy over all validation images.
    """
    if counted > settings.most:
        return f"{counted:.1%} is more than a network of this size reaches in these epochs ({settings.most:.0%})"
    if counted - shares.validation > settings.advantage:
        return f"{counted:.1%} were right when validation images came alone, and {shares.validation:.1%} when mixed with others"
    if shares.validation - shares.training > settings.advantage:
        return "validation images fare better than the images it was trained on"
    lost, usual = shares.validation - shares.validation_views, shares.training - shares.training_views
    if lost - usual > settings.advantage or lost > settings.fall:
        return "validation images are recognized as they are, and far less in fresh views"
    return None
