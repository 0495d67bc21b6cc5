"""Images that a small network learns in seconds, and Homework 3 with a training check on them.

Workers of a batch load a homework by the name of its module, so this is one. ``BLOCKS`` in the environment names the folder.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from grader import homework3
from grader.homework3.training import views
from grader.homework3.training.attempt import RECIPES, Settings
from grader.homework3.training.check import ImageTraining
from grader.homework3.training.data import Cifar10
from grader.homework3.training.stated import stated

TRAIN, VALIDATION = 64, 40
FOLDER = "BLOCKS"


def make_blocks(folder: Path) -> None:
    """Write images whose class is the place of a bright block in noise: easy, if patches and positions are used."""
    draw = np.random.default_rng(0)
    for kind, each in (("train", TRAIN), ("validation", VALIDATION)):
        labels = np.repeat(np.arange(10, dtype=np.uint8), each)
        pixels = draw.integers(60, 120, (len(labels), 3, 32, 32)).astype(np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            row, column = divmod(int(label), 5)
            image[:, 16 * row : 16 * row + 12, 6 * column : 6 * column + 6] += 120
        np.save(folder / f"{kind}-images.npy", pixels)
        np.save(folder / f"{kind}-labels.npy", labels)


def read_blocks(folder: Path) -> Cifar10:
    """The images that `make_blocks` wrote."""
    train = np.load(folder / "train-images.npy", mmap_mode="r")
    others = (np.load(folder / f"{name}.npy") for name in ("train-labels", "validation-images", "validation-labels"))
    return Cifar10(folder / "train-images.npy", train, *others)


def small_settings() -> Settings:
    """Two narrow layers learn these images perfectly, and mirrored or shifted they show another class."""
    sizes = {**stated().vit, "dim": 48, "attn_dim": 16, "mlp_dim": 48, "num_layers": 2}
    return Settings(sizes=sizes, views=views.Settings(images=100, most=1.0, fall=1.0))


def fast(settings: Settings, look_every: int) -> Settings:
    """The settings with a recipe and looks for so few images."""
    recipes = {**RECIPES, "cpu": {"batch": 64, "rate": 2e-3, "matrix_rate": 6e-3, "warm_up": 10}}
    return replace(settings, look_every=look_every, recipes=recipes)


def _load(folder: Path | None, say: Any = None) -> Cifar10:
    return read_blocks(Path(os.environ[FOLDER]))


HOMEWORK = replace(
    homework3.HOMEWORK, training=ImageTraining(_load, fast(small_settings(), look_every=4 * TRAIN * 10))
)
